"""Names of the machine that asks, answered here: nobody else's servers need to hear of them (RFC 6761 section 6.3).

The records, and their names, are those of CoreDNS's plugin local.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names, wire
from clusterdns.names import LONGEST_NAME
from clusterdns.queries import HEADER, read_plain_query
from clusterdns.records import CLASS_IN, Answer, Rcode, Record, Soa, Type

if TYPE_CHECKING:
    from clusterdns.names import Name
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

TTL = 604800
"""Seconds: a week, as RFC 1912 section 4.1 has it in its zones."""

LOCALHOST = names.from_text("localhost")
_LABEL = LOCALHOST[:-1]
_REVERSE_ZONES = tuple(names.from_text(f"{octet}.in-addr.arpa") for octet in (0, 127, 255))
_ZONES = (LOCALHOST, *_REVERSE_ZONES)
_OWN_ADDRESS = names.reverse(bytes((127, 0, 0, 1)))
_ADDRESSES = {Type.A: bytes((127, 0, 0, 1)), Type.AAAA: bytes(15) + b"\1"}


def answering_localhost(respond: Respond, dialect: Dialect, *, stream: bool) -> Respond:
    """The responder, which is not asked for names of the machine itself."""

    def local(packet: bytes, client: Client) -> Reaction:
        name = packet[HEADER : packet.find(0, HEADER) + 1].lower()
        if not (name.startswith(_LABEL) or name.endswith(_ZONES)) or len(name) > LONGEST_NAME:
            return respond(packet, client)
        query = read_plain_query(packet)
        if query is None or query.question.qclass != CLASS_IN:
            return respond(packet, client)
        answer = _answer(query.question.name, query.question.qtype)
        if answer is None:
            return respond(packet, client)
        return wire.encode(query, answer, None, dialect, stream=stream).to(packet, query.name_end)

    return local


def _answer(name: Name, qtype: int) -> Answer | None:
    """None for a name of others."""
    above = (name, *names.ancestors(name))
    if name.startswith(_LABEL) or LOCALHOST in above:
        return _found(name, name, qtype, _addresses(name, qtype))
    zone = next((each for each in _REVERSE_ZONES if each in above), None)
    if zone is None:
        return None
    if name == _OWN_ADDRESS:
        pointers = (Record(name, Type.PTR, TTL, LOCALHOST),) if qtype == Type.PTR else ()
        return _found(name, zone, qtype, pointers)
    if name == zone:
        return _found(name, zone, qtype, ())
    return Answer(rcode=Rcode.NXDOMAIN, authority=(_soa(zone),), authoritative=False)


def _addresses(name: Name, qtype: int) -> tuple[Record, ...]:
    return tuple(Record(name, rtype, TTL, data) for rtype, data in _ADDRESSES.items() if rtype == qtype)


def _found(name: Name, zone: Name, qtype: int, records: tuple[Record, ...]) -> Answer:
    """A name's records; SOA and NS are those of a zone's own name."""
    if name == zone and name in _ZONES and qtype == Type.SOA:
        records = (_soa(zone),)
    elif name == zone and name in _ZONES and qtype == Type.NS:
        records = (Record(name, Type.NS, TTL, LOCALHOST),)
    return Answer(records=records, authority=() if records else (_soa(zone),), authoritative=False)


def _soa(zone: Name) -> Record:
    root = names.below("root", parent=LOCALHOST)
    return Record(zone, Type.SOA, TTL, Soa(LOCALHOST, root, 1, TTL, refresh=0, retry=0, expire=0))
