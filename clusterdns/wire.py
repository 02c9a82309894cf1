"""Values -> bytes: replies are encoded here; queries.py reads what they reply to.

A reply is encoded once for a form of query (flags, type, class, EDNS: everything but the ID and the name), and written
for each query of that form by putting the query's own ID and question in front. So the client's letter case comes back,
and every name in a reply that ends as the question does is a pointer into the question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from struct import Struct as Format
from struct import pack
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.names import LONGEST_LABEL, LONGEST_NAME, ROOT, ancestors
from clusterdns.nodes import Zone
from clusterdns.queries import AA, CD, DO, HEADER, OPCODE, QR, RA, RD, TC, Edns, Query
from clusterdns.records import CLASS_IN, Lacking, Rcode, ReasonCode, Record, Soa, Srv, Type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterdns.names import Name
    from clusterdns.nodes import Reply
    from clusterdns.records import Answer, Reason

SMALLEST_UDP = 512
LARGEST = 65535

EXTENDED_ERROR = 15
LONGEST_REASON = 140
"""Bytes of a reason's text: even behind the longest question it leaves a negative answer within 512 bytes."""

_COUNTS = Format("!HHHH")
_RECORD = Format("!HHIH")
_ERROR_HEADS = [
    pack("!HHHH", 6 + size, EXTENDED_ERROR, 2 + size, ReasonCode.OTHER) for size in range(LONGEST_REASON + 1)
]
"""The length of an OPT record's data, and an extended error with a text of that size as far as the text."""
_POINTERS = [pack("!H", 0xC000 | offset) for offset in range(HEADER + LONGEST_NAME + 1)]


class Dialect(Struct, frozen=True):
    """What all replies have in common."""

    udp_size: int = 1232
    """The largest reply over UDP, in bytes, and what we tell clients that we take."""
    recursion_available: bool = False
    extended_errors: bool = True
    unserved: Rcode = Rcode.REFUSED
    """What is said of names that are not ours, if nobody is asked for them."""
    relayed_options: frozenset[int] = frozenset()
    """The codes of the EDNS options that upstreams are told."""


def essence(query: Query, dialect: Dialect, *, stream: bool) -> Query:
    """The query with nothing in it but what its reply depends on."""
    edns = query.edns and Edns(SMALLEST_UDP if stream else udp_space(query, dialect), 0, query.edns.dnssec_ok)
    return Query(query.flags & (RD | CD), query.question, edns, query.name_end)


def form(query: Query) -> bytes:
    """What a packet of this query holds but for the ID and the name, without the EDNS options that are ignored."""
    edns = query.edns
    counts = b"\0\1\0\0\0\0\0\1" if edns else b"\0\1\0\0\0\0\0\0"
    fixed = pack("!H", query.flags) + counts + pack("!HH", query.question.qtype, query.question.qclass)
    if edns is None:
        return fixed
    return fixed + b"\0" + _RECORD.pack(Type.OPT, edns.udp_size, edns.version << 16 | edns.dnssec_ok * DO, 0)


class Fixed(Struct, eq=False):
    """A reply that is the same each time."""

    head: bytes
    tail: bytes

    @property
    def size(self) -> int:
        return len(self.tail)

    def to(self, packet: bytes, name_end: int) -> bytes:
        return packet[:2] + self.head + packet[HEADER : name_end + 5] + self.tail


class Rotating(Struct, eq=False):
    """A reply whose last record set begins with another record each time; as much of it as fits, if not all does.

    `ring` holds the records of the set twice over, so that every rotation is one slice of it.
    """

    head: bytes
    lead: bytes
    ring: bytes
    starts: Sequence[int]
    ends: Sequence[int]
    trail: bytes
    turn: int = 0

    @property
    def size(self) -> int:
        return len(self.lead) + len(self.ring) + len(self.trail)

    def to(self, packet: bytes, name_end: int) -> bytes:
        turn = self.turn
        self.turn = turn - 1 if turn else len(self.starts) - 1
        records = self.ring[self.starts[turn] : self.ends[turn]]
        return packet[:2] + self.head + packet[HEADER : name_end + 5] + self.lead + records + self.trail


class Negative(Struct, eq=False):
    """A reply of nothing but the zone's SOA record, for any name of the zone.

    The pointers to the zone's name are set, and the serial is brought up to date, when it is written.
    """

    head: bytes
    zone: Zone
    ttl: int
    trail: bytes
    serial: int = -1
    pieces: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        return len(self.trail) + sum(map(len, self.pieces))

    def to(self, packet: bytes, name_end: int) -> bytes:
        zone = self.zone
        if self.serial != zone.serial:
            self.serial = zone.serial
            self.pieces = _soa_pieces(zone, self.ttl)
        apex = _POINTERS[name_end + 1 - len(zone.name)]
        return packet[:2] + self.head + packet[HEADER : name_end + 5] + apex.join(self.pieces) + self.trail


class NoData(Negative, eq=False):
    """The same for one name of the zone, which stands at the same place each time."""

    tail: bytes = b""

    @property
    def size(self) -> int:
        return len(self.tail)

    def to(self, packet: bytes, name_end: int) -> bytes:
        if self.serial != self.zone.serial:
            self.serial = self.zone.serial
            apex = _POINTERS[name_end + 1 - len(self.zone.name)]
            self.tail = apex.join(_soa_pieces(self.zone, self.ttl)) + self.trail
        return packet[:2] + self.head + packet[HEADER : name_end + 5] + self.tail


class Denial(Negative, eq=False, kw_only=True):
    """The same, with an extended error that names what is missing: the label below `parent`.

    All names that are missing below it share the reply, so the label is put in when it is written.
    """

    parent: int
    """Bytes of the name that the label is missing below."""
    before: bytes
    after: bytes
    size: int
    """Bytes of both, less the one of the label's length."""

    def to(self, packet: bytes, name_end: int) -> bytes:
        zone = self.zone
        if self.serial != zone.serial:
            self.serial = zone.serial
            self.pieces = _soa_pieces(zone, self.ttl)
        end = name_end + 1 - self.parent
        at = HEADER
        while (following := at + 1 + packet[at]) < end:
            at = following
        label = packet[at + 1 : end].translate(_SHOWN)
        apex = _POINTERS[name_end + 1 - len(zone.name)]
        return b"".join(
            (
                packet[:2],
                self.head,
                packet[HEADER : name_end + 5],
                apex.join(self.pieces),
                self.trail,
                _ERROR_HEADS[self.size + end - at],
                self.before,
                label,
                self.after,
            )
        )


def shown(label: bytes) -> bytes:
    """A label as reasons have it, in as many bytes."""
    return label.translate(_SHOWN)


_SHOWN = bytes(each if 33 <= each < 127 else ord("?") for each in bytes(range(256)).lower())
"""A label as it is shown: in small letters, and with nothing in it that a terminal could take for an order."""


def encode(query: Query, answer: Answer, zone: Zone | None, dialect: Dialect, *, stream: bool = False) -> Reply:
    """The reply for every query of this form and name.

    zone: the one that the question's name is in, if it is in one of ours.
    """
    space = LARGEST if stream else udp_space(query, dialect)
    room = space - HEADER - len(query.question.name) - 4
    if zone is not None and answer.authority and not answer.records:
        return _negative(query, answer, zone, dialect, space)
    opt = _opt(query, answer, dialect, LONGEST_REASON)
    places = _places(query.question.name)
    records = [_encode_record(each, places) for each in answer.records]
    authority = [_encode_record(each, places) for each in answer.authority]
    additional = [_encode_record(each, places) for each in answer.additional]
    at = _start_of_last_set(answer.records)
    lead, ring = records[:at], records[at:]
    room -= len(opt)
    shown = _fitting(lead, room)
    room -= sum(map(len, lead[:shown]))
    width = _fitting(sorted(ring, key=len, reverse=True), room) if shown == len(lead) else 0
    room -= sum(map(len, ring))
    whole = shown + width == len(records) and room >= sum(map(len, authority))
    if whole:
        room -= sum(map(len, authority))
        additional = additional[: _fitting(additional, room)]  # that some are left out is no truncation: RFC 2181, 9
    else:
        authority, additional = [], []
    head = _head(query, answer, dialect, (shown + width, len(authority), len(additional) + bool(opt)), cut=not whole)
    trail = b"".join([*authority, *additional, opt])
    if width < 1 or len(ring) == 1:
        return Fixed(head, b"".join([*lead[:shown], *ring[:width], trail]))
    starts, ends = _windows(ring, width)
    turn = next(_encoded[query.question.qtype]) % len(ring)
    return Rotating(head, b"".join(lead), b"".join(ring * 2), starts, ends, trail, turn)


_encoded: defaultdict[int, count[int]] = defaultdict(count)
"""How many replies were, by type: those that are not remembered rotate too, also for who asks A and AAAA in turn."""


def write_error(packet: bytes) -> bytes | None:
    """A bare header for a packet that could not be read; None if it has no ID, or is a response itself."""
    flags = int.from_bytes(packet[2:4].ljust(2, b"\0"), "big")
    if len(packet) < 2 or flags & QR:
        return None
    rcode = Rcode.NOTIMP if flags & OPCODE else Rcode.FORMERR
    return packet[:2] + pack("!H", QR | flags & (OPCODE | RD | CD) | rcode) + bytes(8)


def udp_space(query: Query, dialect: Dialect) -> int:
    """The largest reply over UDP that the client takes, in bytes."""
    if query.edns is None:
        return SMALLEST_UDP
    return min(max(query.edns.udp_size, SMALLEST_UDP), dialect.udp_size)


def _head(query: Query, answer: Answer, dialect: Dialect, counts: tuple[int, int, int], *, cut: bool = False) -> bytes:
    flags = QR | query.flags & (OPCODE | RD | CD) | answer.rcode & 0xF
    flags |= AA * answer.authoritative | TC * cut | RA * dialect.recursion_available
    return _packed_head(flags, counts)


@lru_cache(maxsize=1024)
def _packed_head(flags: int, counts: tuple[int, int, int]) -> bytes:
    """One for all replies that begin so: it is close at hand for the processor as well."""
    return pack("!H", flags) + _COUNTS.pack(1, *counts)


def _opt(query: Query, answer: Answer, dialect: Dialect, reason_space: int) -> bytes:
    """The OPT record, with the reason as an Extended DNS Error (RFC 8914); empty if the client sent none."""
    if query.edns is None:
        return b""
    options = b""
    if answer.reason and dialect.extended_errors:
        options = extended_error(answer.reason, min(reason_space, LONGEST_REASON))
    return _opt_head(query, answer, dialect) + pack("!H", len(options)) + options


def _opt_head(query: Query, answer: Answer, dialect: Dialect) -> bytes:
    """The OPT record as far as the length of its data, to a query that has one."""
    ttl = answer.rcode >> 4 << 24 | (query.edns is not None and query.edns.dnssec_ok) * DO
    return b"\0" + pack("!HHI", Type.OPT, dialect.udp_size, ttl)


def extended_error(reason: Reason, space: int) -> bytes:
    """The option of an OPT record, with as much of the reason's text as fits into so many bytes."""
    text = reason.text.encode()[: max(0, space)].decode(errors="ignore").encode()
    return pack("!HHH", EXTENDED_ERROR, 2 + len(text), reason.code) + text


def _negative(query: Query, answer: Answer, zone: Zone, dialect: Dialect, space: int) -> Negative:
    ttl = answer.authority[0].ttl
    soa = len(_POINTERS[0].join(_soa_pieces(zone, ttl)))
    reason_space = space - HEADER - LONGEST_NAME - 4 - soa - 17
    reason = answer.reason
    if isinstance(reason, Lacking) and query.edns is not None and dialect.extended_errors:
        before, after = reason.before.encode(), reason.after.encode()
        if len(before) + LONGEST_LABEL + len(after) <= min(reason_space, LONGEST_REASON):
            head, trail = _head(query, answer, dialect, (0, 1, 1)), _opt_head(query, answer, dialect)
            return Denial(
                head,
                zone,
                ttl,
                trail,
                parent=len(reason.parent),
                before=before,
                after=after,
                size=len(before) + len(after) - 1,
            )
    opt = _opt(query, answer, dialect, reason_space)
    kind = Negative if answer.rcode == Rcode.NXDOMAIN else NoData
    return kind(_head(query, answer, dialect, (0, 1, int(bool(opt)))), zone, ttl, opt)


def _soa_pieces(zone: Zone, ttl: int) -> tuple[bytes, ...]:
    """The zone's SOA record, cut wherever the zone's own name stands in it."""
    soa = zone.soa()
    pieces = [b""]
    for name in (soa.mname, soa.rname):
        if name.endswith(zone.name):
            pieces[-1] += name[: -len(zone.name)]
            pieces.append(b"")
        else:
            pieces[-1] += name
    pieces[-1] += pack("!IIIII", soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum)
    length = sum(map(len, pieces)) + 2 * (len(pieces) - 1)
    return b"", _RECORD.pack(Type.SOA, CLASS_IN, ttl, length) + pieces[0], *pieces[1:]


def _start_of_last_set(records: Sequence[Record]) -> int:
    """Where the last record set begins: the one that rotates. What stands before it are the aliases that lead there."""
    at = len(records)
    while at and (records[at - 1].owner, records[at - 1].rtype) == (records[-1].owner, records[-1].rtype):
        at -= 1
    return at


def _fitting(records: Iterable[bytes], room: int) -> int:
    """How many whole records fit, from the first on."""
    count = 0
    for each in records:
        room -= len(each)
        if room < 0:
            break
        count += 1
    return count


def _windows(ring: list[bytes], width: int) -> tuple[Sequence[int], Sequence[int]]:
    """Where in the doubled ring each rotation starts and ends."""
    sizes = set(map(len, ring))
    if len(sizes) == 1:
        size = sizes.pop()
        return range(0, len(ring) * size, size), range(width * size, (len(ring) + width) * size, size)
    offsets = [0]
    for each in ring * 2:
        offsets.append(offsets[-1] + len(each))
    return tuple(offsets[: len(ring)]), tuple(offsets[width : len(ring) + width])


# Records


def _places(name: Name) -> dict[Name, int]:
    """Where the question's name and its ancestors stand; the root is cheaper without a pointer."""
    at = {name: HEADER} | {each: HEADER + len(name) - len(each) for each in ancestors(name)}
    at.pop(ROOT, None)
    return at


def _encode_record(record: Record, places: dict[Name, int]) -> bytes:
    data = _encode_data(record, places)
    return _compressed(record.owner, places) + _RECORD.pack(record.rtype, CLASS_IN, record.ttl, len(data)) + data


def _encode_data(record: Record, places: dict[Name, int]) -> bytes:
    match record.data:
        case Srv(weight, port, target, priority):
            return pack("!HHH", priority, weight, port) + target  # never compressed: RFC 2782, RFC 3597 section 4
        case Soa() as soa:
            times = pack("!IIIII", soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum)
            return _compressed(soa.mname, places) + _compressed(soa.rname, places) + times
        case tuple() as strings:
            return b"".join([bytes((len(each),)) + each for each in strings])
        case name if record.rtype in (Type.CNAME, Type.NS, Type.PTR):
            return _compressed(name, places)
        case data:
            return data


def _compressed(name: Name, places: dict[Name, int]) -> bytes:
    for ancestor in (name, *ancestors(name)):
        if ancestor in places:
            return name[: len(name) - len(ancestor)] + _POINTERS[places[ancestor]]
    return name
