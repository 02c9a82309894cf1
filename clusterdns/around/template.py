"""Replies made from templates: the records of an answer as text, with gaps for what was asked.

The templates are tried in their order. One whose zones, class and type fit, but none of whose patterns match, ends the
search with SERVFAIL unless it falls through; what nothing fits goes to the responder behind.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Sequence
from struct import pack
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from clusterdns import wire
from clusterdns.around.go_template import CanNotBeFilledIn, Data, Groups, NotATemplate, read_template
from clusterdns.around.go_template import Template as Filling
from clusterdns.around.message import Message, Resource, has_question, read_message
from clusterdns.around.patterns import NotAPattern, Pattern, find, pattern
from clusterdns.around.zone_text import record_from_text
from clusterdns.names import Name, ancestors
from clusterdns.presentation import type_text
from clusterdns.queries import AA, HEADER, OPCODE_QUERY, QR, RA, RD, Edns, FormatError, read_query, write_query
from clusterdns.records import CLASS_IN, LONGEST_TTL, Answer, Question, Rcode, Reason, Type
from clusterdns.responses import MOST_ERRORS, Terms, terms
from clusterdns.zones.text import CLASSES, NotARecord, name_from_text, name_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterdns.queries import Query
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

MOST_TEMPLATES = 1000

MOST_NAMES = 10_000
"""How many names that no template wants are remembered; then all are forgotten."""

MOST_REPLIES = 1000
"""How many replies are remembered; then all are forgotten."""

MOST_ALIASES = 8
"""How many CNAME records that templates made are followed one after the other. Those that stand side by side count as
well, since the ones that each of them leads to would multiply: three at a time once came to 3^8 questions.
"""

ANY_CLASS = CLASSES["ANY"]
_CLASS_TEXT = {number: text for text, number in CLASSES.items()}


class Template(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What is said to questions of this class (255: any), type (255: any) and these zones."""

    qclass: int = CLASS_IN
    qtype: int
    zones: tuple[str, ...] = (".",)
    patterns: tuple[str, ...] = ()
    """The first that matches the name fills in the match and its groups. None at all match everything."""
    answer: tuple[str, ...] = ()
    """Go templates, each of which gives a record as a zone file has it."""
    authority: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()
    rcode: int = Rcode.NOERROR
    reason: Reason | None = None
    """For clients that take extended errors."""
    fall_through: tuple[str, ...] = ()
    """The zones whose names go on to the next template if no pattern matches."""
    ttl: tuple[int, int] = (0, LONGEST_TTL)
    """Seconds: a record's TTL is raised to the first and lowered to the second."""
    negative_ttl: tuple[int, int] = (0, LONGEST_TTL)
    """The same in a reply that has no answer."""


class NotAReply(ValueError):
    """A template that can not be used."""


def templating(respond: Respond, templates: Sequence[Template], dialect: Dialect, *, stream: bool) -> Respond:
    """The responder behind these templates. Raises NotAReply.

    CNAME records that a template gives to questions for addresses are followed, through templates and responder.
    stream: whether replies may be as long as TCP takes them.
    """
    if not templates:
        return respond
    templater = _Templater(respond, _made_ready(templates), dialect, stream=stream)
    unwanted, written = templater.unwanted, templater.written.get

    def templated(packet: bytes, client: Client) -> Reaction:
        name_end = packet.find(0, HEADER)
        key = packet[HEADER : name_end + 1].lower() + packet[name_end + 1 : name_end + 5]
        if key in unwanted:
            return respond(packet, client)
        known = written(packet[2:HEADER] + key + packet[name_end + 5 :])
        if known is not None:
            return packet[:2] + known[0] + packet[HEADER : name_end + 5] + known[1]
        return templater.respond(packet, client)

    return templated


class _Ready(Struct, frozen=True):
    """A template, read."""

    template: Template
    zones: dict[Name, str]
    fall_through: frozenset[Name]
    patterns: tuple[Pattern, ...]
    sections: tuple[tuple[Filling, ...], ...]
    """Of the answer, the authority and the additional section."""
    asks_for_client: bool


class _Place(Struct, frozen=True):
    """Where a question ends up."""

    ready: _Ready | None = None
    """None: a template that fits has no pattern that does."""
    zone: str = ""
    match: re.Match[str] | None = None


class _Asked(NamedTuple):
    packet: bytes
    query: Query
    client: Client
    aliases: int
    """How many were followed to get to this question."""


class _Templater:
    def __init__(self, respond: Respond, ready: Sequence[_Ready], dialect: Dialect, *, stream: bool) -> None:
        self.unwanted: set[bytes] = set()
        """Questions that no template wants: the lowered name, the type and the class."""
        self.written: dict[bytes, tuple[bytes, bytes]] = {}
        """By all of a query but its ID, lowered: what stands in a reply before the question, and what behind."""
        self._respond = respond
        self._ready = ready
        self._dialect = dialect
        self._stream = stream

    def respond(self, packet: bytes, client: Client, aliases: int = 0) -> Reaction:
        try:
            query = read_query(packet)
        except FormatError:
            return self._respond(packet, client)
        if query.is_response or query.opcode != OPCODE_QUERY or (query.edns and query.edns.version):
            return self._respond(packet, client)
        place = self._place(query, name_text(query.question.name))
        has_zeros = packet.find(0, HEADER) != query.name_end  # another name could begin like it
        if place is None:
            if not has_zeros:
                self._remember_unwanted(packet, query)
            return self._respond(packet, client)
        if place.ready is None:
            return self._failure(packet, query, "no pattern of the template matches the name")
        try:
            message = self._message(query, place.ready, place, client)
        except (CanNotBeFilledIn, NotARecord) as error:
            return self._failure(packet, query, f"the template gives no record: {error}")
        if query.question.qtype in (Type.A, Type.AAAA) and aliases < MOST_ALIASES:
            targets = [each for each in message.answer if each.rtype == Type.CNAME]
            if targets:
                return self._followed(_Asked(packet, query, client, aliases), message, targets)
        reply = message.to(packet, query.name_end, self._space(query))
        if not has_zeros and not place.ready.asks_for_client:
            self._remember_reply(packet, query, reply)
        return reply

    def _place(self, query: Query, text: str) -> _Place | None:
        question = query.question
        suffixes = (question.name, *ancestors(question.name))
        for ready in self._ready:
            template = ready.template
            zone = next((ready.zones[each] for each in suffixes if each in ready.zones), None)
            if zone is None or not _fits(template.qclass, question.qclass) or not _fits(template.qtype, question.qtype):
                continue
            match = next(filter(None, (find(each, text) for each in ready.patterns)), None)
            if match is not None or not ready.patterns:
                return _Place(ready, zone, match)
            if ready.fall_through.isdisjoint(suffixes):
                return _Place()
        return None

    def _remember_unwanted(self, packet: bytes, query: Query) -> None:
        if len(self.unwanted) >= MOST_NAMES:
            self.unwanted.clear()
        self.unwanted.add(query.question.name + packet[query.name_end + 1 : query.name_end + 5])

    def _remember_reply(self, packet: bytes, query: Query, reply: bytes) -> None:
        if len(self.written) >= MOST_REPLIES:
            self.written.clear()
        end = query.name_end + 5
        form = packet[2:HEADER] + query.question.name + packet[query.name_end + 1 :]
        self.written[form] = reply[2:HEADER], reply[end:]

    def _message(self, query: Query, ready: _Ready, place: _Place, client: Client) -> Message:
        """Raises CanNotBeFilledIn or NotARecord."""
        template, question = ready.template, query.question
        asked = terms(query, self._dialect, 0)
        flags = QR | AA | RA * self._dialect.recursion_available | asked.echoed | template.rcode
        message = Message(flags, [], [], [], _opt(asked, template.reason))
        if template.rcode == Rcode.SERVFAIL:
            message.flags &= ~AA
            return message
        found, name = place.match, name_text(question.name)
        matched = (found[0], *[each or "" for each in found.groups()]) if found else (name,)
        groups = {str(number): each for number, each in enumerate(matched)}
        if found:
            groups |= {name: each or "" for name, each in found.groupdict().items()}
        qclass = template.qclass if question.qclass == ANY_CLASS else question.qclass
        qtype = template.qtype if question.qtype == Type.ANY else question.qtype
        data = Data(
            zone=place.zone,
            name=name,
            qclass=_CLASS_TEXT.get(qclass, ""),
            qtype=type_text(qtype),
            remote=str(client[0]),
            match=matched,
            groups=groups,
        )
        sections = [[record_from_text(filling(data)) for filling in each] for each in ready.sections]
        message.answer, message.authority, message.additional = sections
        lowest, highest = template.ttl if message.answer else template.negative_ttl
        for record in message.records():
            record.ttl = min(max(record.ttl, lowest), highest)
        return message

    def _followed(self, asked: _Asked, message: Message, aliases: Sequence[Resource]) -> Reaction:
        """The reply with what the targets of its aliases lead to behind them."""
        edns = Edns(self._dialect.udp_size)
        reactions = []
        followed = asked.aliases + len(aliases)
        for alias in aliases:
            question = Question(alias.names[0].lower(), asked.query.question.qtype)
            packet = write_query(int.from_bytes(asked.packet[:2], "big"), question.name, question, RD, edns)
            reactions.append((alias, self.respond(packet, asked.client, followed)))
        if any(isinstance(each, Coroutine) for _, each in reactions):
            return self._followed_later(asked, message, reactions)
        for alias, reply in reactions:
            _insert(message, alias, reply)
        return message.to(asked.packet, asked.query.name_end, self._space(asked.query))

    async def _followed_later(
        self, asked: _Asked, message: Message, reactions: Iterable[tuple[Resource, Reaction]]
    ) -> bytes:
        for alias, reaction in reactions:
            _insert(message, alias, await reaction if isinstance(reaction, Coroutine) else reaction)
        return message.to(asked.packet, asked.query.name_end, self._space(asked.query))

    def _space(self, query: Query) -> int:
        return wire.LARGEST if self._stream else wire.udp_space(query, self._dialect)

    def _failure(self, packet: bytes, query: Query, reason: str) -> bytes:
        failed = Answer(rcode=Rcode.SERVFAIL, authoritative=False, reason=Reason(reason))
        return wire.encode(query, failed, None, self._dialect, stream=self._stream).to(packet, query.name_end)


def _fits(wanted: int, asked: int) -> bool:
    return 255 in (wanted, asked) or wanted == asked


def _insert(message: Message, alias: Resource, reply: object) -> None:
    if not isinstance(reply, bytes) or not has_question(reply):
        return
    try:
        found = read_message(reply)
    except FormatError:
        return
    at = next(at for at, each in enumerate(message.answer, 1) if each is alias)
    message.answer[at:at] = found.answer


def _opt(asked: Terms, reason: Reason | None) -> bytes:
    if not asked.opt or reason is None or not asked.takes_errors:
        return asked.opt
    option = wire.extended_error(reason, MOST_ERRORS)
    return asked.opt[:-2] + pack("!H", len(option)) + option


# Templates, made ready


def _made_ready(templates: Sequence[Template]) -> list[_Ready]:
    if len(templates) > MOST_TEMPLATES:
        raise NotAReply(f"template: {len(templates)} templates, more than {MOST_TEMPLATES}")
    found = []
    for number, template in enumerate(templates, 1):
        try:
            found.append(_ready(template))
        except (NotAPattern, NotATemplate, NotARecord, NotAReply) as error:
            raise NotAReply(f"template {number}: {error}") from error
    return found


def _ready(template: Template) -> _Ready:
    if not 0 <= template.rcode <= 0xF:
        raise NotAReply(f"{template.rcode} is no rcode of 4 bits")
    if not (0 <= template.qtype <= 0xFFFF and 0 <= template.qclass <= 0xFFFF):
        raise NotAReply(f"class {template.qclass}, type {template.qtype}: these are numbers from 0 to 65535")
    if template.reason is not None and not 0 <= template.reason.code <= 0xFFFF:
        raise NotAReply(f"{template.reason.code} is no code of a reason, 0 to 65535")
    for lowest, highest in (template.ttl, template.negative_ttl):
        if not 0 <= lowest <= highest <= LONGEST_TTL:
            raise NotAReply(f"{lowest} to {highest} is no range of TTLs")
    patterns = tuple(map(pattern, template.patterns))
    names: frozenset[str] = frozenset().union(*[each.names for each in patterns])
    groups = Groups(names, max([each.groups for each in patterns], default=0))
    sections = (template.answer, template.authority, template.additional)
    zones = [name_from_text(each.lower()) for each in template.zones]
    return _Ready(
        template,
        {each: name_text(each) for each in zones},
        frozenset([name_from_text(each.lower()) for each in template.fall_through]),
        patterns,
        tuple([tuple([read_template(each, groups) for each in section]) for section in sections]),
        any(".Remote" in each for section in sections for each in section),
    )
