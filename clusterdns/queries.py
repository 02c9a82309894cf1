"""Queries, read and written: everything that may be wrong with a packet is found here.

What a packet may cost is bounded: a name ends at 255 bytes, a query holds few records, and pointers lead back.
"""

from __future__ import annotations

from struct import pack, unpack_from
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.names import LONGEST_LABEL, LONGEST_NAME
from clusterdns.records import Question, Type

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = 12

# The flags of the header (RFC 1035 section 4.1.1; CD: RFC 4035 section 3.2.2) and of EDNS (RFC 6891 section 6.1.4).
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
OPCODE = 0x7800
OPCODE_QUERY = 0
DO = 0x8000

MOST_RECORDS = 8
"""Of a query: an OPT, a signature and the SOA records of a transfer are four. Their names cost time to follow."""

MOST_STEPS = 200
"""Labels and pointers in a name: 127 labels fit into 255 bytes."""


class FormatError(ValueError):
    """The packet is no query that RFC 1035 or RFC 6891 allows."""


class Edns(Struct, frozen=True):
    udp_size: int
    version: int = 0
    dnssec_ok: bool = False
    options: bytes = b""
    """As they stand in the packet."""


class Query(Struct, frozen=True):
    flags: int
    question: Question
    edns: Edns | None
    name_end: int
    """Where in the packet the question's name has its last byte."""

    @property
    def opcode(self) -> int:
        return (self.flags & OPCODE) >> 11

    @property
    def is_response(self) -> bool:
        return bool(self.flags & QR)


def read_query(packet: bytes) -> Query:
    """The query in a packet. Raises FormatError."""
    if len(packet) < HEADER:
        raise FormatError("shorter than a header")
    flags, questions, *others = unpack_from("!HHHHH", packet, 2)
    if questions != 1:
        raise FormatError(f"{questions} questions")
    name_end = _end_of_name(packet, HEADER)
    if len(packet) < name_end + 5:
        raise FormatError("the question is cut off")
    qtype, qclass = unpack_from("!HH", packet, name_end + 1)
    edns = _read_edns(packet, name_end + 5, others)
    return Query(flags, Question(packet[HEADER : name_end + 1].lower(), qtype, qclass), edns, name_end)


def read_plain_query(packet: bytes) -> Query | None:
    """The query in a packet, if what it asks decides what is said; None if that is an error, or nothing."""
    try:
        query = read_query(packet)
    except FormatError:
        return None
    is_plain = query.opcode == OPCODE_QUERY and not query.is_response and not (query.edns and query.edns.version)
    return query if is_plain else None


def write_query(number: int, name: bytes, question: Question, flags: int, edns: Edns | None) -> bytes:
    """A query of our own. `number` is its ID; `name` is the question's, in the letter case that is wanted."""
    opt = b""
    if edns is not None:
        opt = pack("!BHHIH", 0, Type.OPT, edns.udp_size, edns.dnssec_ok * DO, len(edns.options)) + edns.options
    header = pack("!HHHHHH", number, flags, 1, 0, 0, int(bool(opt)))
    return header + name + pack("!HH", question.qtype, question.qclass) + opt


def _end_of_name(packet: bytes, start: int) -> int:
    """Where the last byte of an uncompressed name stands: there is nothing yet that a pointer could lead to."""
    at = start
    while True:
        if at >= len(packet):
            raise FormatError("the name is cut off")
        length = packet[at]
        if length == 0:
            return at
        if length > LONGEST_LABEL:
            raise FormatError("a label of more than 63 bytes, or a pointer")
        at += 1 + length
        if at - start >= LONGEST_NAME:
            raise FormatError("a name of more than 255 bytes")


def _read_edns(packet: bytes, start: int, counts: Sequence[int]) -> Edns | None:
    """The OPT record among whatever stands behind the question: signatures, the SOA of an IXFR, whatever comes.

    What is in the other records does not matter here; that all are whole does, and that there is no second OPT record.
    """
    answers, authorities, additional = counts
    if sum(counts) > MOST_RECORDS:
        raise FormatError(f"{sum(counts)} records in a query")
    found: Edns | None = None
    at = start
    for number in range(answers + authorities + additional):
        owner, at = at, _end_of_owner(packet, at)
        if len(packet) < at + 10:
            raise FormatError("a record is cut off")
        rtype, size, _, version, flags, length = unpack_from("!HHBBHH", packet, at)
        at += 10 + length
        if len(packet) < at:
            raise FormatError("a record is longer than the packet")
        if rtype == Type.OPT:
            if found or number < answers + authorities or packet[owner]:
                raise FormatError("more than one OPT record, or one that is out of its place")
            _check_options(packet, at - length, at)
            found = Edns(size, version, bool(flags & DO), packet[at - length : at])
    if at != len(packet):
        raise FormatError("bytes behind the end of the query")
    return found


def _check_options(packet: bytes, start: int, end: int) -> None:
    at = start
    while at < end:
        if at + 4 > end:
            raise FormatError("an option is cut off")
        at += 4 + unpack_from("!H", packet, at + 2)[0]
    if at != end:
        raise FormatError("an option is longer than its record")


def _end_of_owner(packet: bytes, start: int) -> int:
    """Where the first byte behind a name stands; each pointer in it must lead back, and not by way of too many."""
    at, end, length, lowest = start, 0, 0, start
    for _ in range(MOST_STEPS):
        if at + 1 >= len(packet):
            break
        octet = packet[at]
        if octet >= 0xC0:
            end = end or at + 2
            at = unpack_from("!H", packet, at)[0] & 0x3FFF
            if not HEADER <= at < lowest:
                raise FormatError("a pointer that does not lead back")
            lowest = at
            continue
        length += 1 + octet
        if octet > LONGEST_LABEL or length > LONGEST_NAME:
            break
        at += 1 + octet
        if not octet:
            return end or at
    raise FormatError("a record's name is cut off, or too long")
