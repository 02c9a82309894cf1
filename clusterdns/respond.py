"""One packet in, one packet out: the whole server on one screen.

The fast way: the question's name leads to a node of the index, and the form of the query to a reply that was encoded
before; or the cache has the response of an upstream. The slow way: read, answer, encode, and remember for the next one.
Whatever takes an upstream is a reply to come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from clusterdns import names, origins, wire
from clusterdns.answer import answer
from clusterdns.cache import ALWAYS, NEVER
from clusterdns.names import LONGEST_LABEL, LONGEST_NAME
from clusterdns.nodes import Nothing
from clusterdns.origins import SLOWLY, Trail
from clusterdns.queries import HEADER, OPCODE_QUERY, FormatError, read_query
from clusterdns.records import CLASS_IN, Answer, Rcode, Reason, ReasonCode, Type
from clusterdns.responses import Terms, terms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterdns.elsewhere import Remembered
    from clusterdns.index import Index
    from clusterdns.names import Name
    from clusterdns.nodes import Node, Reply, Zone
    from clusterdns.origins import Origin
    from clusterdns.queries import Query
    from clusterdns.records import Question
    from clusterdns.resolve import Resolver
    from clusterdns.wire import Dialect

log = logging.getLogger("clusterdns.respond")

Client: TypeAlias = tuple[Any, ...]
"""A socket address, whose first element is the client's IP address as text."""

Reaction: TypeAlias = bytes | Coroutine[Any, Any, bytes | None] | None
"""The reply; one that is still to come; or None if the packet deserves none."""

Respond: TypeAlias = Callable[[bytes, Client], Reaction]
"""From a query's bytes to the reply's."""

MOST_TERMS = 1000
"""How many forms of queries are known by what they ask of a reply."""

LONGEST_FORM = 64
"""Of those, in bytes: without much padding."""

NOBODY: Client = ("",)

_DATAGRAM, _STREAM = b"u", b"t"
"""The last byte of a remembered form, so that no packet of one kind can have the form of the other."""


def responder(
    index: Index,
    dialect: Dialect,
    *,
    stream: bool,
    resolver: Resolver | None = None,
    trail: Trail | None = None,
    unfamiliar: Callable[[Respond, Respond], Respond] | None = None,
) -> Respond:
    """What answers the packets of UDP, or those of a stream, whose replies may be long.

    resolver: for the names that are not ours; they are refused without.
    trail: is told where each reply came from.
    unfamiliar: makes of the whole responder, and of its slow way, what takes the packets that are no form of query that
    was answered before. So what is rare costs the others nothing.
    """
    trail = trail or Trail()
    slowly = _SlowWay(index, dialect, resolver, trail, stream=stream)
    whole = _quickly(index, slowly, resolver, slowly.respond, trail=trail, stream=stream)
    if unfamiliar is None:
        return whole
    return _quickly(index, slowly, resolver, unfamiliar(whole, slowly.respond), trail=trail, stream=stream)


def _quickly(
    index: Index, slowly: _SlowWay, resolver: Resolver | None, otherwise: Respond, *, trail: Trail, stream: bool
) -> Respond:
    """The fast way, and `otherwise` for all that can not go it."""
    node_of = index.nodes.get
    kind = _STREAM if stream else _DATAGRAM
    terms_of = slowly.terms.get
    cache = None if resolver is None else resolver.elsewhere.cache
    depends_on_client = Nothing if resolver and resolver.searching.follows_first_tries else None

    def respond(packet: bytes, client: Client = NOBODY) -> Reaction:
        name_end = packet.find(0, HEADER)
        name = packet[HEADER : name_end + 1].lower()
        node = node_of(name) or _nothing_above(name, node_of)
        form = packet[2:HEADER] + packet[name_end + 1 :]
        if node is not None:
            reply = node.replies.get(form + kind)
            if reply is not None and node.__class__ is not depends_on_client:
                trail.origin, trail.form = node.origin, form
                return reply.to(packet, name_end)
        elif cache is not None:
            known = terms_of(form)
            if known is not None:
                now = cache.clock()
                entry = cache.recall(name + known.suffix, now)
                if entry is not None and now < entry.refresh_at and entry.vouched_for in (ALWAYS, index.serial):
                    counts = cache.counts
                    counts.hits += 1
                    if entry.is_denial:
                        counts.denial_hits += 1
                    entry.hits += 1
                    trail.origin, trail.form = origins.CACHE, form
                    return entry.response.to(packet, name_end, known, int(now - entry.stored_at))
        return otherwise(packet, client)

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

    def __init__(
        self, index: Index, dialect: Dialect, resolver: Resolver | None, trail: Trail, *, stream: bool
    ) -> None:
        self.terms: dict[bytes, Terms] = {}
        """By the form of a query: what it asks of the reply, whatever the name is."""
        self._index = index
        self._dialect = dialect
        self._unserved = replace(NOT_OURS, rcode=dialect.unserved)
        self._resolver = resolver
        self._trail = trail
        self._stream = stream
        self._kind = _STREAM if stream else _DATAGRAM

    def respond(self, packet: bytes, client: Client) -> Reaction:
        self._trail.begin()
        try:
            query = read_query(packet)
        except FormatError as error:
            log.warning("a malformed query from %(client)s: %(reason)s", {"client": client[0], "reason": error})
            return wire.write_error(packet)
        if query.is_response:
            return None
        refusal = _refusal(query)
        if refusal is not None:
            return self._write(packet, query, refusal)
        resolver = self._resolver
        if resolver is None:
            node = self._index.find(query.question.name)
            return (
                self._write(packet, query, self._unserved)
                if node is None
                else self._from_node(packet, query, node, client)
            )
        node = resolver.ours(query.question.name)
        if node is None:
            return self._from_elsewhere(packet, query, resolver, client)
        if isinstance(node, Nothing) and resolver.searching.follows_first_tries and self._index.is_synced:
            candidates = resolver.path(query.question.name, names.address(client[0]) or b"")
            if candidates is not None and resolver.elsewhere.admit(client[0]):
                walking = self._walk(query, resolver, candidates, self._terms(packet, query), client)
                return self._later(packet, query, resolver, walking, client, origin=origins.LATE_AUTOPATH)
        return self._from_node(packet, query, node, client)

    # Names of ours

    def _from_node(self, packet: bytes, query: Query, node: Node, client: Client) -> Reaction:
        self._trail.origin = SLOWLY[node.origin]
        # Queries of two forms may ask for the same: EDNS options differ, or sizes beyond the largest that we send.
        own = wire.form(query) + self._kind
        essence = wire.form(wire.essence(query, self._dialect, stream=self._stream)) + self._kind
        reply = node.replies.get(essence)
        if reply is not None:
            if own != essence:
                self._index.replies.remember(node, own, reply)
            return reply.to(packet, query.name_end)
        found = answer(query.question, node, self._index)
        if found.onward is not None and self._resolver is not None:
            return self._follow(packet, query, self._resolver, found, client, later=origins.LATE_KUBERNETES)
        reply = self._encode(query, found, node.zone)
        written = reply.to(packet, query.name_end)
        if found.settled:
            for form in dict.fromkeys((essence, own)):
                self._index.replies.remember(node, form, reply)
        return written

    # Names of others

    def _from_elsewhere(self, packet: bytes, query: Query, resolver: Resolver, client: Client) -> Reaction:
        elsewhere, question, trail = resolver.elsewhere, query.question, self._trail
        if resolver.zones:
            found = resolver.zones.answer(question, dnssec_ok=bool(query.edns and query.edns.dnssec_ok))
            if found is not None:
                trail.origin = origins.FILE
                return self._follow(packet, query, resolver, found, client, later=origins.LATE_FILE)
        found = resolver.completed(question)
        if found is not None:
            trail.origin = SLOWLY[origins.KUBERNETES]
            return self._follow(packet, query, resolver, found, client, later=origins.LATE_KUBERNETES)
        if not elsewhere.serves(question.name):
            return self._write(packet, query, self._unserved)
        if elsewhere.caught(question):
            return self._write(packet, query, _OWN_PROBE)
        asked = self._terms(packet, query)
        serial = resolver.serial(question.name)
        if serial != NEVER:
            known = elsewhere.remembered(question, asked, serial=serial)
            if known is not None and not resolver.leads_to_ours(known.response):
                trail.origin = SLOWLY[origins.CACHE]
                return known.response.to(packet, query.name_end, asked, known.age)
            if known is not None and elsewhere.admit(client[0]):
                following = resolver.follow_response(question, known, asked, client)
                return self._later(packet, query, resolver, following, client, origin=origins.LATE_FORWARD)
        trail.origin = origins.FORWARD
        if not elsewhere.admit(client[0]):
            return self._write(packet, query, _TOO_MANY)
        finding = self._find(question, resolver, asked, client)
        return self._later(packet, query, resolver, finding, client, origin=origins.LATE_FORWARD)

    def _follow(
        self, packet: bytes, query: Query, resolver: Resolver, found: Answer, client: Client, *, later: Origin
    ) -> Reaction:
        """An answer, or the one to come that goes on where it ends.

        later: where it comes from then.
        """
        if found.onward is None:
            return self._write(packet, query, found)
        if not resolver.elsewhere.admit(client[0]):
            return self._write(packet, query, _TOO_MANY)
        following = resolver.follow(query.question, found, self._terms(packet, query), client)
        return self._later(packet, query, resolver, following, client, origin=later)

    async def _walk(
        self, query: Query, resolver: Resolver, candidates: Iterable[Name], asked: Terms, client: Client
    ) -> Answer:
        found = await resolver.walk(query.question, candidates, asked, client)
        if found is not None:
            return found
        node = self._index.find(query.question.name)
        return answer(query.question, node, self._index) if node else self._unserved

    async def _find(self, question: Question, resolver: Resolver, asked: Terms, client: Client) -> Answer | Remembered:
        """What is to be had of a name that is not ours."""
        serial = resolver.serial(question.name)
        if resolver.is_for_host(question.name):
            completed = await resolver.completed_for_host(question, asked, client)
            if completed is not None:
                return completed
            found = await resolver.elsewhere.find(question, asked, serial=serial)
        elif (candidates := resolver.client_path(question.name)) is not None:
            found = await resolver.elsewhere.find(question, asked, serial=serial)
            if found.response.rcode == Rcode.NXDOMAIN:
                completed = await resolver.walk(question, candidates, asked, client)
                if completed is not None:
                    return completed
        else:
            found = await resolver.elsewhere.learn(question, asked, serial=serial)
        if resolver.leads_to_ours(found.response):
            return await resolver.follow_response(question, found, asked, client)
        return found

    async def _later(
        self,
        packet: bytes,
        query: Query,
        resolver: Resolver,
        finding: Coroutine[Any, Any, Answer | Remembered],
        client: Client,
        *,
        origin: Origin,
    ) -> bytes:
        """The reply, once it is found out what to say; the query was admitted before."""
        found: Answer | Remembered
        try:
            async with asyncio.timeout(resolver.elsewhere.most_seconds):
                found = await finding
        except TimeoutError:
            found = _TOO_LATE
        except Exception as error:
            fields = {"name": names.to_text(query.question.name), "fault": error}
            log.error("a fault in the program, please report it: answering %(name)s: %(fault)r", fields)  # noqa: TRY400 - one line
            log.debug("the fault in full", exc_info=True)
            self._trail.faults += 1
            found = _FAULT
        finally:
            resolver.elsewhere.leave(client[0])
        self._trail.origin = origin
        if isinstance(found, Answer):
            return self._write(packet, query, found)
        return found.response.to(packet, query.name_end, self._terms(packet, query), found.age)

    def _terms(self, packet: bytes, query: Query) -> Terms:
        """What the query asks of its reply; remembered, if nothing in it but the name could make a difference."""
        form = packet[2:HEADER] + packet[query.name_end + 1 :]
        found = self.terms.get(form)
        if found is None:
            space = wire.LARGEST if self._stream else wire.udp_space(query, self._dialect)
            found = terms(query, self._dialect, space)
            if packet[4:11] == b"\0\1\0\0\0\0\0" and packet[11] <= 1 and len(form) <= LONGEST_FORM:
                if len(self.terms) >= MOST_TERMS:
                    self.terms.clear()
                self.terms[form] = found
        return found

    def _write(self, packet: bytes, query: Query, found: Answer) -> bytes:
        return self._encode(query, found, None).to(packet, query.name_end)

    def _encode(self, query: Query, found: Answer, zone: Zone | None) -> Reply:
        return wire.encode(query, found, zone, self._dialect, stream=self._stream)


NOT_OURS = Answer(
    rcode=Rcode.REFUSED,
    authoritative=False,
    reason=Reason("the name is in none of the zones served here", ReasonCode.NOT_AUTHORITATIVE),
)
_OWN_PROBE = Answer(
    rcode=Rcode.REFUSED,
    authoritative=False,
    reason=Reason("a loop: this server has asked this itself"),
)
_TOO_MANY = Answer(
    rcode=Rcode.REFUSED,
    authoritative=False,
    reason=Reason("too many queries wait for an upstream"),
)
_TOO_LATE = Answer(
    rcode=Rcode.SERVFAIL,
    authoritative=False,
    reason=Reason("the upstreams took too long over all the names that this took", ReasonCode.NO_REACHABLE_AUTHORITY),
)
_FAULT = Answer(rcode=Rcode.SERVFAIL, authoritative=False, reason=Reason("a fault in the server"))


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
