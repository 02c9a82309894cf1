"""A reply taken apart into its records, and put together again with other names in it.

Names that stand in a record's data are known for the types that have one to look for (RFC 1035, and SRV, DNAME, NAPTR);
every other record's data is bytes. Letter case is kept.
"""

from __future__ import annotations

import struct
from struct import Struct as Format
from struct import pack, unpack_from
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.names import LONGEST_LABEL, LONGEST_NAME, ROOT, Name, ancestors
from clusterdns.queries import HEADER, TC, FormatError
from clusterdns.records import Type
from clusterdns.responses import NAMES_IN_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

NAPTR = 35

_NAMES = NAMES_IN_DATA | {33: (6, 1), 39: (0, 1)}
"""These, SRV and DNAME; the name of a NAPTR record stands behind three character strings."""

_MOST_STEPS = 256
"""Labels and pointers in a name."""

_FARTHEST = 0x3FFF
"""Where a pointer can lead to at most."""

_RECORD = Format("!HHIH")


class Resource(Struct):
    """A record whose names are whole; the data is `before`, `names` and `after`."""

    owner: Name
    rtype: int
    rclass: int
    ttl: int
    before: bytes = b""
    names: tuple[Name, ...] = ()
    after: bytes = b""


def resource(owner: Name, rtype: int, rclass: int, ttl: int, data: bytes) -> Resource:
    """A record whose data is whole. Raises FormatError."""
    try:
        record, _ = _read_record(owner + _RECORD.pack(rtype, rclass, ttl, len(data)) + data, 0)
    except (struct.error, IndexError) as error:
        raise FormatError("data that is cut off") from error
    return record


class Message(Struct):
    flags: int
    answer: list[Resource]
    authority: list[Resource]
    additional: list[Resource]
    """Without the OPT record."""
    opt: bytes = b""
    """The whole OPT record, or nothing."""

    def records(self) -> Iterator[Resource]:
        yield from self.answer
        yield from self.authority
        yield from self.additional

    def to(self, packet: bytes, name_end: int, space: int) -> bytes:
        """The reply to a query whose question's name ends with the byte at `name_end`: as much as `space` bytes take.

        Additional records that are left out are no truncation (RFC 2181 section 9).
        """
        asked = packet[HEADER : name_end + 5]
        places = _places(asked[:-4])
        room = space - HEADER - len(asked) - len(self.opt)
        body, counts, flags = b"", [0, 0, 0], self.flags
        for section, records in enumerate((self.answer, self.authority, self.additional)):
            for record in records:
                written = _write(record, places, HEADER + len(asked) + len(body))
                if len(body) + len(written) > room:
                    break
                body += written
                counts[section] += 1
            if counts[section] < len(records):
                flags |= TC * (section < 2)
                break
        head = pack("!HHHHH", flags, 1, *counts[:2], counts[2] + bool(self.opt))
        return packet[:2] + head + asked + body + self.opt


def has_question(packet: bytes) -> bool:
    """Whether it is more than the bare header that packets get which could not be read."""
    return len(packet) > HEADER and packet[4:6] == b"\0\1"


def end_of_question_name(reply: bytes) -> int:
    """Where the last byte of the question's name stands in a reply that has one."""
    at = HEADER
    while reply[at]:
        at += 1 + reply[at]
    return at


def read_message(packet: bytes) -> Message:
    """The records of a reply that has one question. Raises FormatError."""
    try:
        flags, _, *counts = unpack_from("!HHHHH", packet, 2)
        _, at = _read_name(packet, HEADER)
        at += 4
        sections: tuple[list[Resource], list[Resource], list[Resource]] = ([], [], [])
        opt = b""
        for section, count in enumerate(counts):
            for _ in range(count):
                start = at
                record, at = _read_record(packet, at)
                if record.rtype == Type.OPT:
                    opt = packet[start:at]
                else:
                    sections[section].append(record)
    except (struct.error, IndexError) as error:
        raise FormatError("a reply that is cut off") from error
    return Message(flags, *sections, opt)


def _read_record(packet: bytes, at: int) -> tuple[Resource, int]:
    owner, at = _read_name(packet, at)
    rtype, rclass, ttl, length = _RECORD.unpack_from(packet, at)
    at += _RECORD.size
    end = at + length
    if end > len(packet):
        raise FormatError("a record is longer than the packet")
    record = Resource(owner, rtype, rclass, ttl)
    skipped, count = _before_naptr_name(packet, at) if rtype == NAPTR else _NAMES.get(rtype, (length, 0))
    found = []
    record.before = packet[at : at + skipped]
    at += skipped
    for _ in range(count):
        name, at = _read_name(packet, at)
        found.append(name)
    if at > end:
        raise FormatError("a name that is longer than its record")
    record.names, record.after = tuple(found), packet[at:end]
    return record, end


def _before_naptr_name(packet: bytes, start: int) -> tuple[int, int]:
    at = start + 4
    for _ in range(3):
        at += 1 + packet[at]
    return at - start, 1


def _read_name(packet: bytes, at: int) -> tuple[Name, int]:
    """A name without its pointers, each of which must lead back, and where the first byte behind it stands."""
    labels: list[bytes] = []
    length, end, lowest = 1, 0, at
    for _ in range(_MOST_STEPS):
        octet = packet[at]
        if octet >= 0xC0:
            end = end or at + 2
            at = unpack_from("!H", packet, at)[0] & _FARTHEST
            if not HEADER <= at < lowest:
                break
            lowest = at
            continue
        if not octet:
            return b"".join(labels) + ROOT, end or at + 1
        length += 1 + octet
        if octet > LONGEST_LABEL or length > LONGEST_NAME:
            break
        labels.append(packet[at : at + 1 + octet])
        at += 1 + octet
    raise FormatError("a name that can not be read")


def _places(name: Name) -> dict[Name, int]:
    """Where a name that stands behind the header, and its ancestors, are; the root is cheaper without a pointer."""
    lowered = name.lower()
    found = {each: HEADER + len(name) - len(each) for each in (lowered, *ancestors(lowered))}
    found.pop(ROOT, None)
    return found


def _write(record: Resource, places: dict[Name, int], at: int) -> bytes:
    owner = _compressed(record.owner, places, at)
    data = record.before
    for name in record.names:
        behind = at + len(owner) + _RECORD.size + len(data)
        data += _compressed(name, places, behind) if record.rtype in NAMES_IN_DATA else name
    data += record.after
    return owner + _RECORD.pack(record.rtype, record.rclass, record.ttl, len(data)) + data


def _compressed(name: Name, places: dict[Name, int], at: int) -> bytes:
    """The name, with a pointer to whatever of it stands in the message already; what does not, does from now on."""
    lowered = name.lower()
    for suffix in (lowered, *ancestors(lowered)):
        if suffix in places:
            return name[: len(name) - len(suffix)] + pack("!H", 0xC000 | places[suffix])
        place = at + len(name) - len(suffix)
        if suffix != ROOT and place <= _FARTHEST:
            places[suffix] = place
    return name
