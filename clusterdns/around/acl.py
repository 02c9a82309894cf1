"""Who may ask what: rules by the client's address, in their order; the first that fits decides.

A client is looked up once, and what its address leaves of the rules is remembered: for most clients nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from clusterdns import wire
from clusterdns.around.networks import Networks, client_address
from clusterdns.names import ROOT, Name, ancestors
from clusterdns.queries import HEADER, FormatError, read_query
from clusterdns.records import Answer, Rcode, Reason
from clusterdns.zones.text import NotARecord, name_from_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

MOST_NETWORKS = 1_000_000

MOST_CLIENTS = 10_000
"""How many addresses are remembered by what they may ask; then all are forgotten."""

MOST_QUESTIONS = 1000
"""The same of the questions of clients to whom the same rules apply."""

BLOCKED, FILTERED = 15, 17
"""Extended DNS Errors (RFC 8914 sections 4.16 and 4.18)."""

Action: TypeAlias = Literal["allow", "block", "filter", "drop"]
"""What becomes of a query: it goes on, is refused, is answered with nothing, is not answered."""


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    action: Action
    types: tuple[int, ...] = ()
    """Of the questions that it is about; none: of all."""
    networks: tuple[str, ...] = ()
    """Of the clients that it is about, as addresses or networks of either family; none: of all."""
    files: tuple[str, ...] = ()
    """Of more networks, one a line; whoever puts rules to use reads them first."""


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Policies for the names of these zones. If none of them fits, the next rule has its say."""

    policies: tuple[Policy, ...]
    zones: tuple[str, ...] = (".",)


class NotAPolicy(ValueError):
    """A rule that can not be followed."""


def guarding(respond: Respond, rules: Sequence[Rule], dialect: Dialect, *, stream: bool) -> Respond:
    """The responder behind these rules: what none of them decides is allowed. Raises NotAPolicy."""
    if not rules:
        return respond
    gate = _Gate(_made_ready(rules))
    remembered = gate.clients.get
    refusals = {
        action: lambda packet, answer=answer: _said(packet, answer, dialect, stream=stream)
        for action, answer in _ANSWERS.items()
    }

    def guarded(packet: bytes, client: Client) -> Reaction:
        standing = remembered(client[0]) or gate.standing(client[0])
        if standing.is_free:
            return respond(packet, client)
        action = standing.action(packet)
        if action == "allow":
            return respond(packet, client)
        return None if action == "drop" else refusals[action](packet)

    return guarded


_ANSWERS = {
    "block": Answer(
        rcode=Rcode.REFUSED,
        authoritative=False,
        reason=Reason("this client may not ask this", BLOCKED),
    ),
    "filter": Answer(authoritative=False, reason=Reason("this client gets no such records", FILTERED)),
}


def _said(packet: bytes, answer: Answer, dialect: Dialect, *, stream: bool) -> bytes | None:
    try:
        query = read_query(packet)
    except FormatError:  # its question alone was enough to decide
        return wire.write_error(packet)
    if query.is_response:
        return None
    return wire.encode(query, answer, None, dialect, stream=stream).to(packet, query.name_end)


class _Clause(Struct, frozen=True):
    """What is left of a policy once the client is known."""

    action: Action
    types: frozenset[int]
    zones: frozenset[Name]

    @property
    def is_about_everything(self) -> bool:
        return not self.types and ROOT in self.zones


class _Standing:
    """What all clients may ask to whom the same clauses apply."""

    def __init__(self, clauses: tuple[_Clause, ...]) -> None:
        self.is_free = all(each.action == "allow" for each in clauses)
        self._clauses = clauses
        self._is_ignored = bool(clauses) and clauses[0].is_about_everything and clauses[0].action == "drop"
        self._decided: dict[bytes, Action] = {}

    def action(self, packet: bytes) -> Action:
        """What becomes of a packet; it is allowed if it is no query, so that the responder says what it is."""
        if self._is_ignored:
            return "drop"
        name_end = packet.find(0, HEADER)
        key = packet[HEADER : name_end + 1].lower() + packet[name_end + 1 : name_end + 3]
        return self._decided.get(key) or self._decide(packet, key, name_end)

    def _decide(self, packet: bytes, key: bytes, name_end: int) -> Action:
        try:
            query = read_query(packet)
        except FormatError:
            return "allow"
        if query.is_response:
            return "allow"
        question = query.question
        names = (question.name, *ancestors(question.name))
        action: Action = "allow"
        for clause in self._clauses:
            if (not clause.types or question.qtype in clause.types) and not clause.zones.isdisjoint(names):
                action = clause.action
                break
        if query.name_end == name_end:  # else there are zeros in the name, and another one could begin like it
            if len(self._decided) >= MOST_QUESTIONS:
                self._decided.clear()
            self._decided[key] = action
        return action


class _Gate:
    """Looks clients up."""

    def __init__(self, policies: Sequence[_Ready]) -> None:
        self.clients: dict[str, _Standing] = {}
        """By the text of the address."""
        self._policies = policies
        self._standings: dict[tuple[_Clause, ...], _Standing] = {}

    def standing(self, client: str) -> _Standing:
        if len(self.clients) >= MOST_CLIENTS:
            self.clients.clear()
            self._standings.clear()
        clauses = self._clauses(client)
        found = self._standings.setdefault(clauses, _Standing(clauses))
        self.clients[client] = found
        return found

    def _clauses(self, client: str) -> tuple[_Clause, ...]:
        """Those that can decide anything. An address that can not be read is blocked, as by CoreDNS."""
        try:
            address = client_address(client)
        except ValueError:
            return (_Clause("block", frozenset(), frozenset({ROOT})),)
        found: list[_Clause] = []
        for policy in self._policies:
            if policy.networks is None or policy.networks.hold(address):
                found.append(policy.clause)
                if policy.clause.is_about_everything:
                    break
        return tuple(found)


# Rules, made ready


class _Ready(Struct, frozen=True):
    clause: _Clause
    networks: Networks | None
    """None: all addresses."""


def _made_ready(rules: Sequence[Rule]) -> list[_Ready]:
    if sum(len(policy.networks) for rule in rules for policy in rule.policies) > MOST_NETWORKS:
        raise NotAPolicy(f"acl: more than {MOST_NETWORKS} networks")
    found = []
    for number, rule in enumerate(rules, 1):
        for which, policy in enumerate(rule.policies, 1):
            try:
                zones = frozenset([name_from_text(each.lower()) for each in rule.zones])
                networks = Networks(policy.networks) if policy.networks else None
                if policy.action not in ("allow", "block", "filter", "drop"):
                    raise NotAPolicy(f"{policy.action!r} is no action: expected allow, block, filter or drop")
            except (ValueError, NotARecord) as error:
                raise NotAPolicy(f"acl rule {number}, policy {which}: {error}") from error
            found.append(_Ready(_Clause(policy.action, frozenset(policy.types), zones), networks))
    return found
