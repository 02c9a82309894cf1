"""One packet in, one packet out: the whole server on one screen.

The fast way: the question's name leads to a node of the index, and the form of the query to a reply that was encoded
before. The slow way: read, answer, encode, and remember for the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from clusterdns import wire
from clusterdns.answer import answer
from clusterdns.names import LONGEST_LABEL, LONGEST_NAME
from clusterdns.records import CLASS_IN, Answer, Rcode, Reason, ReasonCode, Type
from clusterdns.wire import HEADER, OPCODE_QUERY

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.index import Index
    from clusterdns.nodes import Node
    from clusterdns.wire import Dialect, Query

Respond: TypeAlias = "Callable[[bytes], bytes | None]"
"""From a query's bytes to the reply's; None if it deserves none."""

MOST_FORMS = 12
"""How many forms of queries a node remembers replies for; clients use a handful, only an attacker uses more."""

_DATAGRAM, _STREAM = b"u", b"t"
"""The last byte of a remembered form, so that no packet of one kind can have the form of the other."""


def responder(index: Index, dialect: Dialect, *, stream: bool) -> Respond:
    """What answers the packets of UDP, or those of a stream, whose replies may be long."""
    node_of = index.nodes.get
    kind = _STREAM if stream else _DATAGRAM

    def respond(packet: bytes) -> bytes | None:
        name_end = packet.find(0, HEADER)
        name = packet[HEADER : name_end + 1].lower()
        node = node_of(name) or _nothing_above(name, node_of)
        if node is not None:
            reply = node.replies.get(packet[2:HEADER] + packet[name_end + 1 :] + kind)
            if reply is not None:
                return reply.to(packet, name_end)
        return _slowly(packet, index, dialect, stream=stream)

    return respond


def _nothing_above(name: bytes, node_of: Callable[[bytes], Node | None]) -> Node | None:
    """What the closest existing ancestor says of names below it that do not exist, if it was asked before."""
    start = 0
    try:
        while (length := name[start]) <= LONGEST_LABEL:
            start += 1 + length
            encloser = node_of(name[start:])
            if encloser is not None:
                return encloser.nothing if len(name) <= LONGEST_NAME else None
    except IndexError:
        pass  # no name of ours, or none at all
    return None


def _slowly(packet: bytes, index: Index, dialect: Dialect, *, stream: bool) -> bytes | None:
    try:
        query = wire.read_query(packet)
    except wire.FormatError:
        return wire.write_error(packet)
    if query.is_response:
        return None
    refusal = _refusal(query)
    node = None if refusal else index.find(query.question.name)
    if node is None:
        return wire.encode(query, refusal or _NOT_OURS, None, dialect, stream=stream).to(packet, query.name_end)
    form = wire.form(query) + (_STREAM if stream else _DATAGRAM)
    reply = node.replies.get(form)
    if reply is None:
        found = answer(query.question, node, index)
        reply = wire.encode(query, found, node.zone, dialect, stream=stream)
        if found.settled:
            if len(node.replies) >= MOST_FORMS:
                node.replies.clear()
            node.replies[form] = reply
    return reply.to(packet, query.name_end)


_NOT_OURS = Answer(
    rcode=Rcode.REFUSED,
    authoritative=False,
    reason=Reason("the name is in none of the zones served here", ReasonCode.NOT_AUTHORITATIVE),
)


def _refusal(query: Query) -> Answer | None:
    """The answer to a query that is well-formed, but asks for what is not done here."""
    if query.opcode != OPCODE_QUERY:
        return Answer(rcode=Rcode.NOTIMP, authoritative=False)
    if query.edns and query.edns.version > 0:
        return Answer(rcode=Rcode.BADVERS, authoritative=False)
    if query.question.qclass != CLASS_IN:
        reason = Reason("there are only records of class IN here", ReasonCode.NOT_SUPPORTED)
        return Answer(rcode=Rcode.REFUSED, authoritative=False, reason=reason)
    if query.question.qtype in (Type.AXFR, Type.IXFR):
        reason = Reason("zones are not transferred", ReasonCode.NOT_SUPPORTED)
        return Answer(rcode=Rcode.REFUSED, authoritative=False, reason=reason)
    return None
