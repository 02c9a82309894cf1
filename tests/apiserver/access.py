"""Who asks, and what they may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apiserver.statuses import forbidden, unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.apiserver.shapes import Resource

ANONYMOUS = "system:anonymous"


class Access:
    """tokens: the user behind each bearer token; None lets everybody in.

    denied: (user, resource, verb) that is answered with 403; None stands for each. Whoever is known may do the rest.
    """

    def __init__(self, tokens: Mapping[str, str] | None = None) -> None:
        self.tokens = None if tokens is None else dict(tokens)
        self.denied: set[tuple[str | None, str | None, str | None]] = set()

    def accept(self, token: str, user: str = "system:serviceaccount:kube-system:clusterdns") -> None:
        self.tokens = {**(self.tokens or {}), token: user}

    def revoke(self, token: str) -> None:
        """Open watches go on, as they do with the real one."""
        self.tokens = {key: user for key, user in (self.tokens or {}).items() if key != token}

    def deny(self, resource: str | None = None, verb: str | None = None, user: str | None = None) -> None:
        self.denied.add((user, resource, verb))

    def allow(self, resource: str | None = None, verb: str | None = None, user: str | None = None) -> None:
        """Take back what was denied in these words."""
        self.denied.discard((user, resource, verb))

    def user(self, authorization: str, certificate: Mapping[str, Any] | None) -> str:
        """The one who asks."""
        if certificate:
            names = dict(pair for part in certificate["subject"] for pair in part)
            return str(names["commonName"])
        scheme, _, token = authorization.partition(" ")
        if self.tokens is None:
            return ANONYMOUS
        if scheme.lower() != "bearer" or token.strip() not in self.tokens:
            raise unauthorized()
        return self.tokens[token.strip()]

    def check(self, user: str, verb: str, resource: Resource, namespace: str) -> None:
        for who, what, how in self.denied:
            if who in (None, user) and what in (None, resource.name) and how in (None, verb):
                raise forbidden(user, verb, resource, namespace)
