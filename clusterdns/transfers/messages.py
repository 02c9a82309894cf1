"""The messages of a transfer: records packed into as few bytes as they take.

A message is filled up to the last byte that a pointer can lead to: what came behind that could not be pointed at, so
that longer messages would say the same in more bytes.
"""

from __future__ import annotations

from struct import Struct as Format
from struct import pack
from typing import TYPE_CHECKING

from clusterdns.around.message import read_message
from clusterdns.queries import AA, CD, DO, HEADER, QR, RA, RD, FormatError
from clusterdns.records import CLASS_IN, Soa, Srv, Type

if TYPE_CHECKING:
    from clusterdns.names import Name
    from clusterdns.queries import Query
    from clusterdns.records import Record
    from clusterdns.wire import Dialect

FULL = 0x4000
"""Bytes of a message; a single record may take more."""

LARGEST = 65535

_RECORD = Format("!HHIH")
_COUNTS = Format("!HHHH")
_POINTERS = [pack("!H", 0xC000 | offset) for offset in range(FULL)]
_NAMED = frozenset({Type.NS, Type.CNAME, Type.PTR})
"""Types whose data is a name, and may be compressed (RFC 3597 section 4)."""


def known_serial(packet: bytes) -> int:
    """Of the zone that the client has already: it stands in the authority section of its query (RFC 1995 section 3).

    Raises FormatError.
    """
    for record in read_message(packet).authority:
        if record.rtype == Type.SOA and len(record.after) == 20:
            return int.from_bytes(record.after[:4], "big")
    raise FormatError("there is no SOA record in the query")


def is_newer(serial: int, known: int) -> bool:
    """In the arithmetic of RFC 1982."""
    return 0 < (serial - known) & 0xFFFFFFFF <= 0x7FFFFFFF


class Packing:
    """Packs records into messages. The first has the question, and an OPT record if the client sent one."""

    def __init__(self, packet: bytes, query: Query, dialect: Dialect) -> None:
        flags = QR | AA | query.flags & (RD | CD) | RA * dialect.recursion_available
        self._head = packet[:2] + pack("!H", flags)
        self._opt = b""
        if query.edns is not None:
            self._opt = b"\0" + _RECORD.pack(Type.OPT, dialect.udp_size, query.edns.dnssec_ok * DO, 0)
        self._question = packet[HEADER : query.name_end + 5]
        self._begin()

    def _begin(self) -> None:
        self._body = bytearray(self._question)
        self._count = 0
        self._places: dict[Name, int] = {}
        """Where names stand in the message that a pointer may lead to."""
        if self._question:
            self._compressed(self._question[:-4].lower(), HEADER)

    def add(self, record: Record) -> bytes | None:
        """Take in a record; a message that is full without it, if there is one.

        A record that no message can hold is left out, as no answer can hold it.
        """
        encoded, ready = self._encoded(record), None
        if self._count and not self._has_room(encoded, FULL):
            ready = self.message()
            encoded = self._encoded(record)
        if self._has_room(encoded, LARGEST):
            self._body += encoded
            self._count += 1
        else:
            self._begin()
        return ready

    def message(self) -> bytes:
        """What was taken in since the last message."""
        counts = _COUNTS.pack(bool(self._question), self._count, 0, bool(self._opt))
        message = b"".join((self._head, counts, self._body, self._opt))
        self._question = self._opt = b""
        self._begin()
        return message

    def _has_room(self, encoded: bytes, size: int) -> bool:
        return HEADER + len(self._body) + len(encoded) + len(self._opt) <= size

    def _encoded(self, record: Record) -> bytes:
        at = HEADER + len(self._body)
        owner = self._compressed(record.owner, at)
        data = self._data(record, at + len(owner) + _RECORD.size)
        return owner + _RECORD.pack(record.rtype, CLASS_IN, record.ttl, len(data)) + data

    def _data(self, record: Record, at: int) -> bytes:
        data = record.data
        if isinstance(data, Srv):
            return pack("!HHH", data.priority, data.weight, data.port) + data.target
        if isinstance(data, Soa):
            mname = self._compressed(data.mname, at)
            rname = self._compressed(data.rname, at + len(mname))
            return mname + rname + pack("!IIIII", data.serial, data.refresh, data.retry, data.expire, data.minimum)
        if isinstance(data, tuple):
            return b"".join([bytes((len(each),)) + each for each in data])
        return self._compressed(data, at) if record.rtype in _NAMED else data

    def _compressed(self, name: Name, at: int) -> bytes:
        """The name, with a pointer to what of it stands in the message already; the rest does, from now on."""
        places = self._places
        start = 0
        while length := name[start]:
            suffix = name[start:]
            place = places.get(suffix)
            if place is not None:
                return name[:start] + _POINTERS[place]
            if at + start < FULL:
                places[suffix] = at + start
            start += 1 + length
        return name
