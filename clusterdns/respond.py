"""One packet in, one packet out: the whole server on one screen.

The fast way: the question's name leads to a node of the index, and the form of the query to a reply that was encoded
before. The slow way: read, answer, encode, and remember for the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from clusterdns import wire
from clusterdns.answer import answer
from clusterdns.names import LONGEST_LABEL, LONGEST_NAME
from clusterdns.queries import HEADER, OPCODE_QUERY, FormatError, read_query
from clusterdns.records import CLASS_IN, Answer, Rcode, Reason, ReasonCode, Type

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.index import Index
    from clusterdns.nodes import Node, Reply, Zone
    from clusterdns.queries import Query
    from clusterdns.wire import Dialect

Respond: TypeAlias = "Callable[[bytes], bytes | None]"
"""From a query's bytes to the reply's; None if it deserves none."""

MOST_FORMS = 12
"""How many forms of queries a node remembers replies for; clients use a handful, only an attacker uses more."""

MOST_BYTES = 16 << 20
"""What the remembered replies may take together, about; then all are forgotten, and those in use come back at once."""

_DATAGRAM, _STREAM = b"u", b"t"
"""The last byte of a remembered form, so that no packet of one kind can have the form of the other."""


def responder(index: Index, dialect: Dialect, *, stream: bool) -> Respond:
    """What answers the packets of UDP, or those of a stream, whose replies may be long."""
    node_of = index.nodes.get
    kind = _STREAM if stream else _DATAGRAM
    slowly = _SlowWay(index, dialect, stream=stream)

    def respond(packet: bytes) -> bytes | None:
        name_end = packet.find(0, HEADER)
        name = packet[HEADER : name_end + 1].lower()
        node = node_of(name) or _nothing_above(name, node_of)
        if node is not None:
            reply = node.replies.get(packet[2:HEADER] + packet[name_end + 1 :] + kind)
            if reply is not None:
                return reply.to(packet, name_end)
        return slowly.respond(packet)

    return respond


def _nothing_above(name: bytes, node_of: Callable[[bytes], Node | None]) -> Node | None:
    """What the closest existing ancestor says of names below it that do not exist, if it was asked before."""
    start = 0
    if len(name) > LONGEST_NAME:
        return None
    try:
        while (length := name[start]) <= LONGEST_LABEL:
            start += 1 + length
            encloser = node_of(name[start:])
            if encloser is not None:
                return encloser.nothing
    except IndexError:
        pass  # no name of ours, or none at all
    return None


class _SlowWay:
    """Read, answer, encode, and remember."""

    def __init__(self, index: Index, dialect: Dialect, *, stream: bool) -> None:
        self._index = index
        self._dialect = dialect
        self._stream = stream
        self._kind = _STREAM if stream else _DATAGRAM
        self._bytes = 0

    def respond(self, packet: bytes) -> bytes | None:
        try:
            query = read_query(packet)
        except FormatError:
            return wire.write_error(packet)
        if query.is_response:
            return None
        refusal = _refusal(query)
        node = None if refusal else self._index.find(query.question.name)
        if node is None:
            return self._encode(query, refusal or _NOT_OURS, None).to(packet, query.name_end)
        reply, form = self._remembered(query, node)
        if reply is not None:
            return reply.to(packet, query.name_end)
        found = answer(query.question, node, self._index)
        reply = self._encode(query, found, node.zone)
        written = reply.to(packet, query.name_end)
        if found.settled:
            self._remember(node, form, reply, len(written))
        return written

    def _encode(self, query: Query, found: Answer, zone: Zone | None) -> Reply:
        return wire.encode(query, found, zone, self._dialect, stream=self._stream)

    def _remembered(self, query: Query, node: Node) -> tuple[Reply | None, bytes]:
        """The reply to another query that asks for the same, and the form under which it stands or will stand.

        Two queries may differ in what does not matter, such as EDNS options, or sizes beyond the largest that we send.
        """
        form = wire.form(wire.essence(query, self._dialect, stream=self._stream)) + self._kind
        reply = node.replies.get(form)
        own = wire.form(query) + self._kind
        if reply is not None and own != form:
            self._remember(node, own, reply, 0)
        return reply, form

    def _remember(self, node: Node, form: bytes, reply: Reply, size: int) -> None:
        if self._bytes > MOST_BYTES:
            self._bytes = 0
            self._index.forget_replies()
        if len(node.replies) >= MOST_FORMS:
            node.replies.clear()
        node.replies[form] = reply
        self._bytes += 2 * size + OVERHEAD


OVERHEAD = 300
"""Bytes of a remembered form and of the objects around its reply."""


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
