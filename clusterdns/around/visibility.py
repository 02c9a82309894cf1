"""Which namespaces are there for whom: what a client's rule does not let it see is as if it did not exist.

A hidden namespace is asked for by a name that none can have, so that what comes back is what is said of any that is
missing. Aliases and PTR records that lead there are hidden with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import wire
from clusterdns.around.message import has_question, read_message
from clusterdns.around.reactions import worked_on
from clusterdns.names import Name, is_kubernetes_label
from clusterdns.queries import HEADER, FormatError, read_query
from clusterdns.records import Rcode, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clusterdns.around.message import Resource
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

MOST_NAMESPACES = 10_000
"""Of clients, for which it is remembered what they see."""

_NO_NAMESPACE = b"_"
"""Of such bytes no namespace's name is made (RFC 1123)."""

_PARTS = frozenset((b"svc", b"pod"))

_OWN_ADDRESS = frozenset((b"\xc0\x0c\0\1", b"\xc0\x0c\0\x1c"))
"""How a record begins that gives the name in question an A or AAAA record: no alias stands before it."""


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What some clients see. The first rule that is about a client decides."""

    see: tuple[str, ...]
    """Namespaces, beside their own."""
    clients: tuple[str, ...] = ()
    """Namespaces of the pods that it is about; none: all clients, whether they are pods or not."""


class NotARule(ValueError):
    """A rule that can not be followed."""


class Places(Struct, frozen=True):
    """Where names have a namespace in them."""

    cluster: frozenset[Name]
    """Zones with names such as `web.shop.svc.` and `10-244-0-7.shop.pod.`"""
    external: frozenset[Name] = frozenset()
    """Zones with names such as `web.shop.`"""
    external_apex: bytes = b""
    """The one label there that is no namespace."""

    def namespace(self, name: Name) -> tuple[int, bytes] | None:
        """The label that is a namespace, and where it begins."""
        found: list[tuple[int, bytes]] = []
        at = 0
        while length := name[at]:
            zone = name[at:]
            if zone in self.cluster:
                return found[-2] if len(found) >= 2 and found[-1][1] in _PARTS else None
            if zone in self.external:
                return found[-1] if found and found[-1][1] != self.external_apex else None
            found.append((at + 1, name[at + 1 : at + 1 + length]))
            at += 1 + length
        return None


def check(rules: Sequence[Rule]) -> None:
    """Raises NotARule."""
    for number, rule in enumerate(rules, 1):
        for each in (*rule.clients, *rule.see):
            if not is_kubernetes_label(each):
                raise NotARule(f"rule {number}: {each!r} is no name of a namespace")


def showing(
    respond: Respond,
    rules: Sequence[Rule],
    places: Places,
    namespace_of: Callable[[str], str | None],
    dialect: Dialect,
    *,
    stream: bool,
) -> Respond:
    """The responder, as clients see it by these rules; those that none of them is about see all.

    namespace_of: the namespace of a client's pod, by the text of its address; None for all other clients.
    """
    if not rules:
        return respond
    sights: dict[str | None, _Sight | None] = {}

    def seen(packet: bytes, client: Client) -> Reaction:
        namespace = namespace_of(client[0])
        if namespace not in sights:
            if len(sights) >= MOST_NAMESPACES:
                sights.clear()
            sights[namespace] = _sight(rules, places, namespace)
        sight = sights[namespace]
        if sight is None:
            return respond(packet, client)
        try:
            query = read_query(packet)
        except FormatError:
            return respond(packet, client)
        hidden = sight.hidden_label(query.question.name)
        if hidden is not None:
            return _as_if_missing(respond, packet, client, *hidden)
        space = wire.LARGEST if stream else wire.udp_space(query, dialect)
        return worked_on(respond(packet, client), lambda reply: _without_hidden(reply, query.name_end, sight, space))

    return seen


class _Sight(Struct, frozen=True):
    """What some clients see."""

    namespaces: frozenset[bytes]
    places: Places

    def hidden_label(self, name: Name) -> tuple[int, int] | None:
        """Where the name has a namespace that is hidden, and in how many bytes; None if it has none."""
        found = self.places.namespace(name)
        return (found[0], len(found[1])) if found is not None and found[1] not in self.namespaces else None

    def hides(self, record: Resource) -> bool:
        """Whether the record is one of a hidden name, or leads there."""
        led_to = record.names if record.rtype in (Type.CNAME, Type.PTR) else ()
        return any(self.hidden_label(each.lower()) for each in (record.owner, *led_to))


def _sight(rules: Sequence[Rule], places: Places, namespace: str | None) -> _Sight | None:
    for rule in rules:
        if not rule.clients or namespace in rule.clients:
            seen = rule.see if namespace is None else (*rule.see, namespace)
            return _Sight(frozenset(each.encode() for each in seen), places)
    return None


def _as_if_missing(respond: Respond, packet: bytes, client: Client, start: int, length: int) -> Reaction:
    """What is said of a namespace that is not there, whose name is as long: so pointers into the question hold."""
    start += HEADER
    end = start + length

    def with_question(reply: bytes) -> bytes:
        if not has_question(reply):
            return reply
        # The reason names what is missing.
        behind = reply[end:].replace(b"'%b'" % (_NO_NAMESPACE * length), b"'%b'" % wire.shown(packet[start:end]))
        return reply[:start] + packet[start:end] + behind

    return worked_on(respond(packet[:start] + _NO_NAMESPACE * length + packet[end:], client), with_question)


def _without_hidden(reply: bytes, name_end: int, sight: _Sight, space: int) -> bytes:
    """The reply without what is hidden; NXDOMAIN if that was all there is."""
    if reply[6:8] == b"\0\0" or reply[name_end + 5 : name_end + 9] in _OWN_ADDRESS or not has_question(reply):
        return reply
    try:
        message = read_message(reply)
    except FormatError:
        return reply
    if not any(map(sight.hides, message.records())):
        return reply
    message.answer = [each for each in message.answer if not sight.hides(each)]
    message.authority = [each for each in message.authority if not sight.hides(each)]
    message.additional = [each for each in message.additional if not sight.hides(each)]
    if all(each.rtype == Type.CNAME for each in message.answer):
        message.answer, message.authority, message.additional = [], [], []
        message.flags = message.flags & ~0xF | Rcode.NXDOMAIN
    return message.to(reply, name_end, space)
