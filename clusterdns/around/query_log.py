"""Which queries are written down: rules in their order; the first that is about the name and the client decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from clusterdns.around.log_line import (
    JSON,
    LONGEST_ASKED,
    MOST_ASKED,
    Asked,
    Exchange,
    Surroundings,
    format_of,
    kind_of,
    read_asked,
)
from clusterdns.around.networks import Networks, client_address
from clusterdns.names import ancestors, from_text

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from clusterdns.respond import Client, Reaction, Respond

MOST_CLIENTS = 10_000
"""How many clients' addresses a rule remembers."""

Outcome: TypeAlias = Literal["all", "success", "denial", "error"]
"""What came of a query: an answer; the news that there is none, NXDOMAIN or NODATA; any other rcode, or silence."""


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Which queries are written down, and how."""

    zones: tuple[str, ...] = (".",)
    clients: tuple[str, ...] = ()
    """Addresses or networks that it is about; none: all."""
    namespaces: tuple[str, ...] = ()
    """Of the pods that it is about; none: all clients. It takes `pods: verified`."""
    classes: tuple[Outcome, ...] = ("all",)
    """What must have come of a query."""
    slower_than: float | None = None
    """Seconds: what took longer is written down whatever its class is."""
    sample: int = 1
    """One of so many is written down."""
    format: str = JSON
    """`json`, or text with the placeholders of CoreDNS's plugin log."""


class NotALogRule(ValueError):
    """A rule that can not be followed."""


def logged(respond: Respond, rules: Sequence[Rule], around: Surroundings) -> Respond:
    """The responder, whose queries are written down by these rules. Raises NotALogRule."""
    if not rules:
        return respond
    made = _made_ready(rules, around)
    known: dict[bytes, tuple[Asked | None, tuple[_Ready, ...]]] = {}
    recall, clock = known.get, around.clock

    def and_note(packet: bytes, client: Client) -> Reaction:
        asked, candidates = recall(packet[2:]) or read(packet)
        for rule in candidates:
            if asked is not None and rule.is_about(client[0]):
                started = clock()
                reaction = respond(packet, client)
                if reaction is None or isinstance(reaction, bytes):
                    note(rule, asked, packet, client, reaction, seconds=clock() - started)
                    return reaction
                return later(rule, asked, packet, client, reaction, started=started)
        return respond(packet, client)

    def read(packet: bytes) -> tuple[Asked | None, tuple[_Ready, ...]]:
        asked = read_asked(packet, stream=around.stream)
        found: tuple[_Ready, ...] = ()
        if asked is not None:
            within = {asked.name, *ancestors(asked.name)}
            found = tuple(each for each in made if not each.zones.isdisjoint(within))
        if len(packet) <= LONGEST_ASKED:
            if len(known) >= MOST_ASKED:
                known.clear()
            known[packet[2:]] = asked, found
        return asked, found

    def note(rule: _Ready, asked: Asked, packet: bytes, client: Client, reply: bytes | None, *, seconds: float) -> None:
        kind = kind_of(reply)
        if rule.wants(kind, seconds):
            around.write(rule.prefix + rule.line(Exchange(asked, packet, client, reply, seconds, kind, around)))

    async def later(
        rule: _Ready,
        asked: Asked,
        packet: bytes,
        client: Client,
        reply: Coroutine[Any, Any, bytes | None],
        *,
        started: float,
    ) -> bytes | None:
        found = await reply
        note(rule, asked, packet, client, found, seconds=clock() - started)
        return found

    return and_note


class _Ready:
    """A rule, made ready."""

    def __init__(self, rule: Rule, around: Surroundings) -> None:
        self.zones = frozenset([from_text(each.lower()) for each in rule.zones])
        self.line = format_of(rule.format)
        self.prefix = "" if rule.format == JSON else "[INFO] "
        self._kinds = frozenset(("success", "denial", "error") if "all" in rule.classes else rule.classes)
        self._slower_than = float("inf") if rule.slower_than is None else rule.slower_than
        self._networks = Networks(rule.clients) if rule.clients else None
        self._clients: dict[str, bool] = {}
        self._namespaces = frozenset(rule.namespaces)
        self._sample = rule.sample
        self._passed = 0
        self._pod = around.pod

    def is_about(self, client: str) -> bool:
        if self._networks is not None and not self._is_in_networks(client, self._networks):
            return False
        if not self._namespaces:
            return True
        pod = self._pod(client)
        return pod is not None and pod.namespace in self._namespaces

    def wants(self, kind: str, seconds: float) -> bool:
        if kind not in self._kinds and seconds <= self._slower_than:
            return False
        if self._sample == 1:
            return True
        self._passed += 1
        if self._passed < self._sample:
            return False
        self._passed = 0
        return True

    def _is_in_networks(self, client: str, networks: Networks) -> bool:
        known = self._clients.get(client)
        if known is None:
            try:
                known = networks.hold(client_address(client))
            except ValueError:
                known = False
            if len(self._clients) >= MOST_CLIENTS:
                self._clients.clear()
            self._clients[client] = known
        return known


def check(rules: Sequence[Rule]) -> None:
    """Raises NotALogRule."""
    _made_ready(rules, Surroundings(lambda _: None, float, float))


def _made_ready(rules: Sequence[Rule], around: Surroundings) -> tuple[_Ready, ...]:
    found = []
    for number, rule in enumerate(rules, 1):
        try:
            if not rule.zones or not rule.classes:
                raise NotALogRule("expected at least one zone, and one class")
            if rule.sample < 1:
                raise NotALogRule(f"sample {rule.sample}: expected 1 or more")
            if not rule.format:
                raise NotALogRule("expected a format")
            found.append(_Ready(rule, around))
        except ValueError as error:
            raise NotALogRule(f"rule {number}: {error}") from error
    return tuple(found)
