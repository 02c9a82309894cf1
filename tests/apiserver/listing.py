"""One list: which objects, at which version, and the way to the next page."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, NamedTuple

from tests.apiserver import selectors
from tests.apiserver.options import EXACT, Options
from tests.apiserver.shapes import Resource, go_json
from tests.apiserver.statuses import bad_request, expired_continue, expired_list, too_large
from tests.apiserver.store import Expired

if TYPE_CHECKING:
    from tests.apiserver.store import Store, Stored

NOT_KEPT = -1
"""The version in a token that goes on after its list has expired: whatever there is now."""


class Listing(NamedTuple):
    resource: Resource
    version: int
    items: list[Stored]
    continues: str = ""
    remaining: int | None = None

    @property
    def parts(self) -> list[bytes]:
        """The body, each item a part of its own."""
        metadata: dict[str, str | int] = {"resourceVersion": str(self.version)}
        if self.continues:
            metadata["continue"] = self.continues
        if self.remaining is not None:
            metadata["remainingItemCount"] = self.remaining
        kind = {"kind": f"{self.resource.kind}List", "apiVersion": self.resource.api_version, "metadata": metadata}
        items = [b"," + each.json if number else each.json for number, each in enumerate(self.items)]
        return [go_json(kind)[:-1] + b',"items":[', *items, b"]}\n"]


def make_list(store: Store, resource: Resource, namespace: str, options: Options) -> Listing:
    matches = selectors.matcher(resource, namespace, options.labels, options.fields)
    version, after = store.version, ""
    is_continued = bool(options.continues)
    # What is continued has its version already; kubectl and client-go repeat resourceVersion=0 or nothing.
    if is_continued:
        kept, after = _read_token(options.continues)
        if options.version:
            raise bad_request("specifying resource version is not allowed when using continue")
        version = store.version if kept == NOT_KEPT else kept
    elif options.version:
        if options.version > store.version:
            raise too_large(options.version, store.version)
        if options.match == EXACT or (options.limit and not options.match):
            version = options.version
    try:
        everything = store.at(resource, version)
    except Expired:
        raise (expired_continue(_token(NOT_KEPT, after.lstrip("/"))) if is_continued else expired_list()) from None

    prefix = f"/{namespace}" if namespace else ""
    items = [each for each in everything if matches(each) and (not after or each.key >= prefix + after)]
    # The watch cache serves resourceVersion=0, and pays no heed to limit.
    if not options.limit or (options.version == 0 and not is_continued) or len(items) <= options.limit:
        return Listing(resource, version, items)
    page, rest = items[: options.limit], items[options.limit :]
    token = _token(version, page[-1].key.removeprefix(prefix) + "\0")
    return Listing(resource, version, page, token, None if options.labels or options.fields else len(rest))


def _token(version: int, start: str) -> str:
    content = go_json({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _read_token(token: str) -> tuple[int, str]:
    try:
        content = json.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(content["rv"]), "/" + str(content["start"]).lstrip("/")
    except (ValueError, KeyError, TypeError):
        raise bad_request("continue key is not valid: encoded continue key is not valid") from None
