"""Questions rewritten on their way in, and what was rewritten undone on the way out.

The client gets its own question back. What else of the reply is undone, its rules say (rewrite_rules.py). A name that
was rewritten twice is undone in the reverse order.
"""

from __future__ import annotations

from collections.abc import Coroutine
from struct import pack
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clusterdns import wire
from clusterdns.around.aliases import first_turn
from clusterdns.around.message import has_question, read_message
from clusterdns.around.options import Asker, EdnsRule, Options, read_options, with_options
from clusterdns.around.reactions import worked_on
from clusterdns.around.renaming import Rename
from clusterdns.around.rewrite_rules import Asked, ClassRule, TypeRule, Undo, steps_of
from clusterdns.names import Name
from clusterdns.queries import HEADER, OPCODE_QUERY, FormatError, read_query
from clusterdns.records import Answer, Rcode, Reason
from clusterdns.zones.text import NotARecord, name_from_text, name_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.around.message import Message
    from clusterdns.around.rewrite_rules import Rule, Step
    from clusterdns.queries import Query
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

MOST_NAMES = 10_000
"""How many names are remembered by what the rules make of them; then all are forgotten."""

MOST_REPLIES = 1000
"""How many replies are remembered as they were put back; then all are forgotten."""

LARGEST_REPLY = 1232
"""Bytes of a reply that is remembered."""


def rewriting(respond: Respond, rules: Sequence[Rule], dialect: Dialect, *, stream: bool) -> Respond:
    """The responder behind these rules, which are tried in their order. Raises NotARule.

    stream: whether replies may be as long as TCP takes them.
    """
    steps = steps_of(rules)
    if not steps:
        return respond
    rewriter = _Rewriter(respond, steps, dialect, stream=stream)
    plan_of = rewriter.plans.get
    # The type and the class are part of what is remembered only if a rule asks for them.
    asked = 4 if any(isinstance(rule, TypeRule | ClassRule) for rule in rules) else 0
    if any(isinstance(rule, EdnsRule) for rule in rules):
        # What becomes of a question depends on the client and its options too.
        return lambda packet, client: rewriter.meet(packet, client, None, packet.find(0, HEADER))

    def rewritten(packet: bytes, client: Client) -> Reaction:
        name_end = packet.find(0, HEADER)
        key = packet[HEADER : name_end + 1].lower() + packet[name_end + 1 : name_end + 1 + asked]
        plan = plan_of(key, _UNKNOWN)
        if plan is None:
            return respond(packet, client)
        if plan is _UNKNOWN:
            return rewriter.meet(packet, client, key, name_end)
        return rewriter.follow(plan, packet, client, name_end)

    return rewritten


def relayed_options(rules: Sequence[Rule]) -> frozenset[int]:
    """The codes of the EDNS options that these rules are about: upstreams are told them."""
    return frozenset(each.number for each in rules if isinstance(each, EdnsRule))


class _Plan(Struct, frozen=True):
    """What the rules make of a question."""

    name: Name
    asked: bytes
    """Type and class; nothing if they stay as they are."""
    undo: tuple[Undo, ...] = ()
    leads: tuple[Rename, ...] = ()
    options: Options | None = None
    """Those of EDNS; None if they stay as they are."""
    fault: str = ""
    """Why there is no such question."""


_UNKNOWN = _Plan(b"", b"")


class _Rewriter:
    def __init__(self, respond: Respond, steps: Sequence[Step], dialect: Dialect, *, stream: bool) -> None:
        self.plans: dict[bytes, _Plan | None] = {}
        """By the lowered name, and type and class if they matter; None: no rule wants it."""
        self.undone: dict[tuple[bytes, ...], tuple[bytes, bytes]] = {}
        """By the reply and the query, without IDs and lowered: what stands before the question, and what behind."""
        self._respond = respond
        self._steps = steps
        self._dialect = dialect
        self._stream = stream

    def meet(self, packet: bytes, client: Client, key: bytes | None, name_end: int) -> Reaction:
        """Answer a question that is not known yet, and what becomes of it under this key."""
        try:
            query = read_query(packet)
        except FormatError:
            return self._respond(packet, client)
        if query.is_response or query.opcode != OPCODE_QUERY:
            return self._respond(packet, client)
        plan = self._plan(packet, query, client)
        if (
            key is not None and query.name_end == name_end
        ):  # else there are zeros in it, and another name could begin like it
            if len(self.plans) >= MOST_NAMES:
                self.plans.clear()
            self.plans[key] = plan
        if plan is None:
            return self._respond(packet, client)
        return self.follow(plan, packet, client, query.name_end)

    def _plan(self, packet: bytes, query: Query, client: Client) -> _Plan | None:
        question = query.question
        text = name_text(question.name)
        before = read_options(packet, query)
        options = None if before is None else list(before)
        asker = Asker(query, client, self._stream)
        asked = Asked(text, question.qtype, question.qclass, asker, options)
        for step in self._steps:
            if step(asked):
                break
        try:
            name = question.name if asked.name == text else name_from_text(asked.name)
        except NotARecord as error:
            return _Plan(question.name, b"", fault=str(error))
        was = (question.name, question.qtype, question.qclass)
        changed = None if options == before else options
        if (name, asked.qtype, asked.qclass) == was and not asked.undo and not asked.leads and changed is None:
            return None
        typed = b"" if (asked.qtype, asked.qclass) == was[1:] else pack("!HH", asked.qtype, asked.qclass)
        return _Plan(name, typed, asked.undo, asked.leads, changed)

    def follow(self, plan: _Plan, packet: bytes, client: Client, name_end: int) -> Reaction:
        if plan.fault:
            return self._failure(packet, f"the name can not be rewritten: {plan.fault}")
        asked = plan.asked or packet[name_end + 1 : name_end + 5]
        question = packet[:HEADER] + plan.name + asked + packet[name_end + 5 :]
        if plan.options is not None:
            question = with_options(question, read_query(question), plan.options)
        reaction = self._respond(question, client)
        if plan.leads:
            reaction = self._led(plan, question, client, reaction)
        return worked_on(reaction, lambda reply: self._undone(plan, packet, name_end, reply))

    def _led(self, plan: _Plan, question: bytes, client: Client, reaction: Reaction) -> Reaction:
        """The reply, whose aliases lead where the rules say."""
        if isinstance(reaction, Coroutine):
            return self._led_later(plan, question, client, reaction)
        try:
            turn = first_turn(reaction, plan.leads)
        except (FormatError, NotARecord) as error:
            return self._failure(question, f"the alias can not lead elsewhere: {error}")
        if turn is None:
            return reaction
        end = HEADER + len(plan.name)
        other = self._respond(question[:HEADER] + turn.target + question[end:], client)
        return worked_on(other, lambda found: turn.taken(found, question, end - 1))

    async def _led_later(
        self, plan: _Plan, question: bytes, client: Client, coming: Coroutine[Any, Any, bytes | None]
    ) -> bytes | None:
        reaction = self._led(plan, question, client, await coming)
        return await reaction if isinstance(reaction, Coroutine) else reaction

    def _undone(self, plan: _Plan, packet: bytes, name_end: int, reply: bytes) -> bytes | None:
        if not has_question(reply):
            return reply
        form = (reply[2:], packet[HEADER : name_end + 1].lower(), packet[name_end + 1 :])
        known = self.undone.get(form)
        if known is not None:
            return packet[:2] + known[0] + packet[HEADER : name_end + 5] + known[1]
        try:
            message = read_message(reply)
            for undo in reversed(plan.undo):
                undo(message)
            if plan.options is not None and packet[10:HEADER] == b"\0\0":
                message.opt = b""  # the client knows nothing of EDNS
            written = message.to(packet, name_end, self._space(packet, message))
        except (FormatError, NotARecord) as error:
            return self._failure(packet, f"the reply can not be rewritten: {error}")
        if len(reply) <= LARGEST_REPLY and len(packet) <= LARGEST_REPLY:
            if len(self.undone) >= MOST_REPLIES:
                self.undone.clear()
            self.undone[form] = written[2:HEADER], written[name_end + 5 :]
        return written

    def _space(self, packet: bytes, message: Message) -> int:
        if self._stream:
            return wire.LARGEST
        return wire.udp_space(read_query(packet), self._dialect) if message.opt else wire.SMALLEST_UDP

    def _failure(self, packet: bytes, reason: str) -> bytes | None:
        try:
            query = read_query(packet)
        except FormatError:
            return wire.write_error(packet)
        failed = Answer(rcode=Rcode.SERVFAIL, authoritative=False, reason=Reason(reason))
        return wire.encode(query, failed, None, self._dialect, stream=self._stream).to(packet, query.name_end)
