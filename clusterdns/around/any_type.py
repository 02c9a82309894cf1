"""Questions for any type, answered with as little as RFC 8482 section 4.2 allows: one HINFO record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import wire
from clusterdns.queries import HEADER, read_plain_query
from clusterdns.records import CLASS_IN, Answer, Record, Type

if TYPE_CHECKING:
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

TTL = 8482
"""Seconds; what CoreDNS gives."""

STRINGS = (b"ANY obsoleted", b"See RFC 8482")

_ANY = b"\0\xff"


def sparing_of_any(respond: Respond, dialect: Dialect, *, stream: bool) -> Respond:
    """The responder, which is not asked for any type of a name."""

    def sparing(packet: bytes, client: Client) -> Reaction:
        name_end = packet.find(0, HEADER)
        if packet[name_end + 1 : name_end + 3] != _ANY:
            return respond(packet, client)
        query = read_plain_query(packet)
        if query is None or (query.question.qtype, query.question.qclass) != (Type.ANY, CLASS_IN):
            return respond(packet, client)
        answer = Answer(records=(Record(query.question.name, Type.HINFO, TTL, STRINGS),), authoritative=False)
        return wire.encode(query, answer, None, dialect, stream=stream).to(packet, query.name_end)

    return sparing
