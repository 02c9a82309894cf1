"""An upstream's response, relayed as it is: only the ID, the TTLs and the size are adapted.

No record type has to be known for that. What is read is what every record has: an owner name to skip, a type, a TTL and
a length. The question is the client's own, letter case and all, and stands where it stood, so that pointers into it go
on being right.
"""

from __future__ import annotations

from struct import pack, pack_into, unpack_from
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import astuple, replace

from clusterdns.names import LONGEST_LABEL, LONGEST_NAME, ROOT, Name
from clusterdns.queries import AA, AD, CD, DO, HEADER, OPCODE, QR, RA, RD, TC, FormatError
from clusterdns.records import CLASS_IN, LONGEST_TTL, Rcode, Reason, Record, Type
from clusterdns.wire import EXTENDED_ERROR, extended_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterdns.queries import Query
    from clusterdns.records import Question
    from clusterdns.wire import Dialect

MOST_ERRORS = 300
"""Bytes of the upstream's extended errors that are relayed."""

MOST_POINTERS = 128
"""In a name that is read out of a response."""

MOST_ALIASES = 50
"""In one response; chains are followed over fewer."""

MOST_RECORDS = 1000
"""That are taken out of one response."""

# The types of RFC 1035 whose data may hold compressed names (RFC 3597 section 4): the bytes in front of them, and how
# many names there are.
NAMES_IN_DATA = {2: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 1), 6: (0, 2), 7: (0, 1), 8: (0, 1), 9: (0, 1), 12: (0, 1),
                  14: (0, 2), 15: (2, 1)}  # fmt: skip


class Terms(Struct, frozen=True):
    """What a client's query asks of the reply, whatever the reply says."""

    echoed: int
    """The flags that come back as they came: RD and CD."""
    space: int
    """The largest reply, in bytes."""
    opt: bytes
    """The OPT record of the reply but for its options, or nothing if the client sent none."""
    wants_authentic: bool
    """Whether AD means anything to the client (RFC 6840 section 5.7)."""
    suffix: bytes
    """Type, class, DO and CD: what an answer depends on beside the name."""
    dnssec_ok: bool
    takes_errors: bool
    """Whether extended errors are sent at all."""
    options: bytes = b""
    """The EDNS options that an upstream is told."""


def terms(query: Query, dialect: Dialect, space: int) -> Terms:
    """The terms of a query whose reply may take `space` bytes."""
    edns = query.edns
    do = edns is not None and edns.dnssec_ok
    opt = b"" if edns is None else b"\0" + pack("!HHIH", Type.OPT, dialect.udp_size, do * DO, 0)
    suffix = pack("!HHB", query.question.qtype, query.question.qclass, do << 1 | bool(query.flags & CD))
    options = _relayed(edns.options, dialect.relayed_options) if edns and dialect.relayed_options else b""
    echoed, authentic = query.flags & (RD | CD), bool(query.flags & AD or do)
    return Terms(echoed, space, opt, authentic, suffix, do, dialect.extended_errors, options)


def _relayed(options: bytes, codes: frozenset[int]) -> bytes:
    found, at = b"", 0
    while at < len(options):
        code, length = unpack_from("!HH", options, at)
        found += options[at : at + 4 + length] if code in codes else b""
        at += 4 + length
    return found


class Response(Struct, eq=False):
    """What an upstream said to a question. Times are seconds."""

    name: Name
    """The question's name; it is not in `body`, but pointers in there lead to it."""
    flags: int
    """Of its header, the rcode among them."""
    counts: tuple[int, int, int]
    """Records in its sections, without the OPT record."""
    body: bytes = b""
    """The records, as they came."""
    ttls: tuple[tuple[int, int], ...] = ()
    """Where in the body a TTL stands, and its value."""
    errors: bytes = b""
    """The extended errors, as options of an OPT record."""
    is_data: bool = False
    """Whether the answer section has a record of the type that was asked for."""
    leads_to: Name | None = None
    """Where the aliases in the answer section end, if there is nothing but aliases in it."""
    negative_ttl: int | None = None
    """How long the absence may be remembered, by the SOA record (RFC 2308 section 5); None if it does not say."""
    _age: int = 0
    _aged: bytes = b""

    @property
    def rcode(self) -> int:
        return self.flags & 0xF

    @property
    def is_failure(self) -> bool:
        """Whether it says neither what there is nor that there is nothing."""
        return self.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN)

    @property
    def is_denial(self) -> bool:
        """Whether it says that there is nothing, or nothing at all."""
        return self.is_failure or self.rcode == Rcode.NXDOMAIN or (not self.counts[0] and self.negative_ttl is not None)

    @property
    def is_truncated(self) -> bool:
        return bool(self.flags & TC)

    @property
    def lowest_ttl(self) -> int | None:
        return min([ttl for _, ttl in self.ttls], default=None)

    def __len__(self) -> int:
        return len(self.body)

    def to(self, packet: bytes, name_end: int, terms: Terms, age: int = 0) -> bytes:
        """The reply to a query whose question's name ends with the byte at `name_end`, the TTLs so many seconds on."""
        flags = self.flags & (QR | AA | TC | RA | AD | 0xF) | terms.echoed
        if not terms.wants_authentic:
            flags &= ~AD
        body = self.body if not age else self._after(age)
        answers, authority, additional = self.counts
        opt = terms.opt
        if opt:
            additional += 1
            if self.errors and terms.takes_errors:
                opt = opt[:-2] + pack("!H", len(self.errors)) + self.errors
        if name_end + 5 + len(body) + len(opt) > terms.space:
            return self._cut(packet[: name_end + 5], flags, body, opt, terms.space)
        head = pack("!HHHHH", flags, 1, answers, authority, additional)
        return packet[:2] + head + packet[HEADER : name_end + 5] + body + opt

    def _after(self, seconds: int) -> bytes:
        if self._age != seconds:
            aged = bytearray(self.body)
            for at, ttl in self.ttls:
                pack_into("!I", aged, at, max(0, ttl - seconds))
            self._age, self._aged = seconds, bytes(aged)
        return self._aged

    def _cut(self, asked: bytes, flags: int, body: bytes, opt: bytes, space: int) -> bytes:
        """As many whole records as fit, and TC unless only additional ones are left out (RFC 2181 section 9)."""
        room = space - len(asked) - len(opt)
        if room < 0 and opt:  # a reason in many words
            opt = opt[:9] + b"\0\0"
            room = space - len(asked) - len(opt)
        shown = [0, 0, 0]
        end = 0
        for section, record in _records(body, 0, self.counts, before=len(asked)):
            if record.end > room:
                break
            shown[section] += 1
            end = record.end
        if shown[:2] != list(self.counts[:2]):
            flags |= TC
        head = pack("!HHHHH", flags, 1, shown[0], shown[1], shown[2] + bool(opt))
        return asked[:2] + head + asked[HEADER:] + body[:end] + opt

    def with_ttls(self, lowest: int, highest: int) -> Response:
        """The same with each TTL within these bounds; of an absence, what the SOA record says is bounded."""
        negative = None if self.negative_ttl is None else max(lowest, min(self.negative_ttl, highest))
        bound = highest if self.is_data or negative is None else negative
        return replace(self.retimed([max(lowest, min(ttl, bound)) for _, ttl in self.ttls]), negative_ttl=negative)

    def stale(self, ttl: int, reason: Reason) -> Response:
        """The same past its time, as RFC 8767 has it: every TTL is `ttl`, and the extended error says why."""
        return replace(self.retimed([ttl] * len(self.ttls)), errors=extended_error(reason, MOST_ERRORS))

    def timeless(self) -> Response:
        """The same, whose TTLs stay as they are."""
        return (_TimelessRing if isinstance(self, _Ring) else _Timeless)(*astuple(self))

    def rotating(self) -> Response:
        """The same; if its answer ends with several addresses of a name, these change places each time it is given."""
        ring: list[_Record] = []
        for section, record in _records(self.body, 0, self.counts, before=HEADER + len(self.name) + 4):
            if section:
                break
            is_alike = bool(ring) and self._owner_and_type(record) == self._owner_and_type(ring[0])
            ring = [*ring, record] if is_alike else [record]
        # No name is compressed by pointing into such records: their owners are pointers, and their data has no names.
        if len(ring) < 2 or ring[0].rtype not in (Type.A, Type.AAAA) or self.body[ring[0].start] < 0xC0:
            return self
        start, end = ring[0].start, ring[-1].end
        if any(each.end - each.start != (end - start) // len(ring) for each in ring):
            return self
        length = end - start
        return replace(_Ring(*astuple(self)), _start=start, _length=length, _step=length // len(ring))

    def _owner_and_type(self, record: _Record) -> tuple[bytes, int, int]:
        return self.body[record.start : record.start + 2], record.rtype, record.rclass

    def not_authoritative(self) -> Response:
        """The same out of a cache (RFC 1034 section 6.2)."""
        return replace(self, flags=self.flags & ~AA) if self.flags & AA else self

    def retimed(self, ttls: list[int]) -> Response:
        """The same with these TTLs in its records."""
        changed = tuple([(at, ttl) for (at, _), ttl in zip(self.ttls, ttls, strict=True)])
        if changed == self.ttls:
            return self
        body = bytearray(self.body)
        for at, ttl in changed:
            pack_into("!I", body, at, ttl)
        return replace(self, body=bytes(body), ttls=changed, _age=0, _aged=b"")

    @property
    def reason(self) -> Reason | None:
        """The first of the extended errors."""
        if not self.errors:
            return None
        length, code = unpack_from("!HH", self.errors, 2)
        text = self.errors[6 : 4 + length].decode(errors="replace")
        return Reason(text, code)

    def records(self, age: int = 0) -> tuple[list[Record], list[Record]]:
        """The records of the answer and authority sections by themselves, so many seconds on.

        No name in them is compressed.

        Raises FormatError.
        """
        if sum(self.counts) > MOST_RECORDS:
            raise FormatError(f"{sum(self.counts)} records are too many to follow")
        packet = bytes(HEADER) + self.name + bytes(4) + self.body
        start = len(packet) - len(self.body)
        names = _Names(packet)
        found: tuple[list[Record], list[Record], list[Record]] = ([], [], [])
        for section, record in _records(packet, start, self.counts):
            if section < 2 and record.rclass == CLASS_IN:
                owner, _ = names.read(record.start)
                ttl = max(0, record.ttl - age)
                found[section].append(Record(owner, record.rtype, ttl, _read_data(packet, record, names)))
        return found[0], found[1]


class _Timeless(Response, eq=False):
    """One whose TTLs do not count down, in its time nor past it."""

    def _after(self, _seconds: int) -> bytes:
        return self.body

    def records(self, _age: int = 0) -> tuple[list[Record], list[Record]]:
        return super().records()

    def stale(self, _ttl: int, reason: Reason) -> Response:
        return replace(self, errors=extended_error(reason, MOST_ERRORS))


class _Ring(Response, eq=False):
    """One whose last answers change places."""

    _start: int = 0
    """Where in the body they begin..."""
    _length: int = 1
    """...and how many bytes they take, together..."""
    _step: int = 0
    """...and each."""
    _turn: int = 0

    def to(self, packet: bytes, name_end: int, terms: Terms, age: int = 0) -> bytes:
        reply = Response.to(self, packet, name_end, terms, age)
        self._turn = turn = (self._turn + self._step) % self._length
        if not turn or reply[2] & TC >> 8:
            return reply
        start = name_end + 5 + self._start
        middle, end = start + turn, start + self._length
        return reply[:start] + reply[middle:end] + reply[start:middle] + reply[end:]


class _TimelessRing(_Timeless, _Ring, eq=False):
    """Both."""


def failure(name: Name, reason: Reason) -> Response:
    """What is said when nobody answers; it is remembered for as short as RFC 9520 section 3.2 allows."""
    return Response(
        name, QR | RA | Rcode.SERVFAIL, (0, 0, 0), errors=extended_error(reason, MOST_ERRORS), negative_ttl=1
    )


def read_response(packet: bytes, question: Question) -> Response:
    """What an upstream said to a question; whether it is one to it at all, has been looked at. Raises FormatError."""
    start = HEADER + len(question.name) + 4
    flags, _, *counts = unpack_from("!HHHHH", packet, 2)
    ttls: list[tuple[int, int]] = []
    opt: _Record | None = None
    is_data = False
    aliases: list[_Record] = []
    negative_ttl: int | None = None
    end = start
    sections = [0, 0, 0]
    for section, record in _records(packet, start, (counts[0], counts[1], counts[2])):
        if record.rtype == Type.OPT:
            if section != 2 or packet[record.start] != 0:
                raise FormatError("an OPT record out of its place")
            opt = record
            break  # what stands behind it is additional, and could point past it: it is left out
        if record.rtype in NAMES_IN_DATA:
            _check_names(packet, record)
        sections[section] += 1
        end = record.end
        ttls.append((record.start_of_ttl - start, record.ttl))
        if section == 0:
            is_data = is_data or question.qtype in (record.rtype, Type.ANY)
            if record.rtype == Type.CNAME and record.rclass == CLASS_IN:
                aliases.append(record)
        elif record.rtype == Type.SOA and section == 1 and record.end - record.start_of_data >= 22:
            negative_ttl = min(_read_ttl(record.ttl), _read_ttl(unpack_from("!I", packet, record.end - 4)[0]))
    else:
        if end != len(packet):
            raise FormatError("bytes behind the end of the response")
    errors = b"" if opt is None else _errors(packet, opt)
    leads_to = None if is_data or not aliases else _end_of_chain(packet, question.name, aliases)
    counted = (sections[0], sections[1], sections[2])
    body = packet[start:end]
    response = Response(
        question.name, flags & ~OPCODE, counted, body, tuple(ttls), errors, is_data, leads_to, negative_ttl
    )
    return response.retimed([_read_ttl(ttl) for _, ttl in ttls])


def _read_ttl(ttl: int) -> int:
    """One with the highest bit set is 0 (RFC 2181 section 8)."""
    return 0 if ttl > LONGEST_TTL else ttl


class _Record(Struct):
    """Where a record's parts stand."""

    start: int
    start_of_ttl: int
    start_of_data: int
    end: int
    rtype: int
    rclass: int
    ttl: int


def _records(packet: bytes, at: int, counts: tuple[int, int, int], *, before: int = 0) -> Iterator[tuple[int, _Record]]:
    """The section, counted from 0, and the parts of each record. Raises FormatError.

    before: how many bytes of the message stand before `packet`.
    """
    for section, count in enumerate(counts):
        for _ in range(count):
            start, at = at, _end_of_name(packet, at, before)
            if len(packet) < at + 10:
                raise FormatError("a record is cut off")
            rtype, rclass, ttl, length = unpack_from("!HHIH", packet, at)
            end = at + 10 + length
            if len(packet) < end:
                raise FormatError("a record is longer than the packet")
            yield section, _Record(start, at + 4, at + 10, end, rtype, rclass, ttl)
            at = end


def _end_of_name(packet: bytes, at: int, before: int) -> int:
    """Where the first byte behind a name stands. Its pointer is not followed, but has to lead back.

    before: how many bytes of the message stand before `packet`.
    """
    start = at
    while at < len(packet) and at - start < LONGEST_NAME:
        length = packet[at]
        if length >= 0xC0 and at + 1 < len(packet):
            if not HEADER <= (length & 0x3F) << 8 | packet[at + 1] < start + before:
                raise FormatError("a pointer that does not lead back")
            return at + 2
        if length > LONGEST_LABEL:
            break
        at += 1 + length
        if not length:
            return at
    raise FormatError("a record's name is cut off, or too long")


def _end_of_chain(packet: bytes, name: Name, aliases: list[_Record]) -> Name:
    """Where aliases lead, from a name on; they may come in any order, and in a circle. Raises FormatError."""
    if len(aliases) > MOST_ALIASES:
        raise FormatError(f"{len(aliases)} aliases")
    names = _Names(packet)
    targets = {names.read(each.start)[0]: names.read(each.start_of_data)[0] for each in aliases}
    for _ in targets:
        name = targets.get(name, name)
    return name


class _Names:
    """Reads names out of a message, without their pointers. What a pointer leads to is read once."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._known: dict[int, Name] = {}

    def read(self, at: int) -> tuple[Name, int]:
        """The name that stands there, and where the first byte behind it stands. Raises FormatError."""
        packet, length = self._packet, 1
        labels: list[bytes] = []
        start = at
        while at < len(packet):
            octet = packet[at]
            if octet >= 0xC0 and at + 1 < len(packet):
                rest = self._pointed_at((octet & 0x3F) << 8 | packet[at + 1], start)
                if length - 1 + len(rest) > LONGEST_NAME:
                    break
                return b"".join(labels) + rest, at + 2
            length += 1 + octet
            if octet > LONGEST_LABEL or length - 1 > LONGEST_NAME:
                break
            if not octet:
                return b"".join(labels) + ROOT, at + 1
            labels.append(packet[at : at + 1 + octet].lower())
            at += 1 + octet
        raise FormatError("a name that can not be read")

    def _pointed_at(self, at: int, start: int) -> Name:
        """Each pointer leads back, to where another name has begun before."""
        if not HEADER <= at < start:
            raise FormatError("a pointer that does not lead back")
        name = self._known.get(at)
        if name is None:
            self._depth += 1
            if self._depth > MOST_POINTERS:
                raise FormatError("a name of too many pointers")
            name, _ = self.read(at)
            self._depth -= 1
            self._known[at] = name
        return name

    _depth = 0


def _check_names(packet: bytes, record: _Record) -> None:
    """A client that decompresses names must not be led in a circle by us."""
    skipped, count = NAMES_IN_DATA[record.rtype]
    at = record.start_of_data + skipped
    for _ in range(count if record.rclass == CLASS_IN else 0):
        at = _end_of_name(packet, at, 0)
    if at > record.end:
        raise FormatError("a name that is longer than its record")


def _read_data(packet: bytes, record: _Record, names: _Names) -> bytes:
    if record.rtype not in NAMES_IN_DATA:
        return packet[record.start_of_data : record.end]
    skipped, count = NAMES_IN_DATA[record.rtype]
    at = record.start_of_data + skipped
    data = packet[record.start_of_data : at]
    for _ in range(count):
        name, at = names.read(at)
        data += name
    if at > record.end:
        raise FormatError("a name that is longer than its record")
    return data + packet[at : record.end]


def _errors(packet: bytes, opt: _Record) -> bytes:
    """The extended errors among the options of an OPT record."""
    found = b""
    at = opt.start_of_data
    while at + 4 <= opt.end:
        option, length = unpack_from("!HH", packet, at)
        at, start = at + 4 + length, at
        if at > opt.end:
            raise FormatError("an option is longer than its record")
        if option == EXTENDED_ERROR and length >= 2 and len(found) + 4 + length <= MOST_ERRORS:
            found += packet[start:at]
    return found
