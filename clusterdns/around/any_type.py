"""Questions for any type, answered with as little as RFC 8482 section 4.2 allows: one HINFO record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import wire
from clusterdns.queries import HEADER, OPCODE_QUERY, FormatError, read_query
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
        try:
            query = read_query(packet)
        except FormatError:
            return respond(packet, client)
        question = query.question
        is_plain = query.opcode == OPCODE_QUERY and not query.is_response and not (query.edns and query.edns.version)
        if not is_plain or question.qtype != Type.ANY or question.qclass != CLASS_IN:
            return respond(packet, client)
        answer = Answer(records=(Record(question.name, Type.HINFO, TTL, STRINGS),), authoritative=False)
        return wire.encode(query, answer, None, dialect, stream=stream).to(packet, query.name_end)

    return sparing
