"""What is not ours: remembered, or asked upstream; stale if nobody answers.

Identical questions on their way are asked once, whether a client waits for them or the cache wants to stay fresh.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import names
from clusterdns.cache import ALWAYS
from clusterdns.forward import Asked
from clusterdns.queries import AD, CD, RD
from clusterdns.records import Question, Rcode, Reason, ReasonCode
from clusterdns.responses import Response

if TYPE_CHECKING:
    from clusterdns.cache import Cache, Entry
    from clusterdns.forward import Forwarder
    from clusterdns.names import Name
    from clusterdns.responses import Terms

log = logging.getLogger("clusterdns.forward")

FEW = 32
"""Queries that any client may have waiting while there is room: a resolver's own burst, for a page of many names."""

RETRY_SECONDS = 5.0
"""How long stale answers are given at once after nobody answered. RFC 8767 section 5 recommends 30, for recursive
resolvers, which have many servers to trouble; an upstream that is back is worth one question in five seconds."""


class Remembered(Struct, frozen=True):
    response: Response
    age: int
    """Whole seconds since it came."""


class Elsewhere:
    """The cache and the upstreams behind it.

    most_waiting: queries that may wait for an upstream, and questions that may be on their way, at one time.
    most_seconds: what a query may take, whatever number of names has to be asked for.
    """

    def __init__(self, cache: Cache, forwarder: Forwarder, most_waiting: int, most_seconds: float) -> None:
        self.cache = cache
        self.most_seconds = most_seconds
        self.waiting = 0
        self._forwarder = forwarder
        self._most_waiting = most_waiting
        self._waiting_of: Counter[bytes] = Counter()
        self._asking: dict[bytes, asyncio.Future[Response]] = {}

    def serves(self, name: Name) -> bool:
        """Whether there is anybody to ask for the name."""
        return self._forwarder.serves(name)

    def caught(self, question: Question) -> bool:
        """Whether the question is one of our own that has come back."""
        return self._forwarder.caught(question)

    def admit(self, client: str) -> bool:
        """Whether one more query of that client may wait; whoever is let in has to `leave`.

        client: its IP address.

        A client that has as many waiting as there is room for has to wait for some of them. So one takes half of the
        room at most, two take a third each, and there is always some for those who have none.
        """
        waiting = _waiting_as(client)
        own, room = self._waiting_of[waiting], self._room
        if room <= 0 or own >= max(room, FEW):
            self.cache.counts.rejected += 1
            text = "a query of %(client)s is refused: %(own)d of its own wait, of %(waiting)d; see forward.in-flight"
            fields = {"client": client, "own": own, "waiting": self.waiting}
            log.warning(text, fields)
            return False
        self.waiting += 1
        self._waiting_of[waiting] = own + 1
        return True

    @property
    def _room(self) -> int:
        """A question may be on its way longer than the query for it waits, or without any."""
        return self._most_waiting - max(self.waiting, len(self._asking))

    @property
    def _is_full(self) -> bool:
        return self._room <= 0

    def leave(self, client: str) -> None:
        self.waiting -= 1
        waiting = _waiting_as(client)
        self._waiting_of[waiting] -= 1
        if not self._waiting_of[waiting]:
            del self._waiting_of[waiting]

    def remembered(self, question: Question, terms: Terms, *, serial: int | None = None) -> Remembered | None:
        """What can be said at once.

        serial: of the index, if it was seen now to have nothing to say to a name that could be its own.
        """
        cache = self.cache
        now = cache.clock()
        entry = cache.recall(question.name + terms.suffix, now)
        if entry is None:
            cache.counts.misses += 1
            return None
        self._vouch(entry, serial)
        if now < entry.expires_at:
            self._count_hit(entry)
            entry.hit(now, cache.limits.prefetch_gap_seconds)
            if now >= entry.prefetch_at:
                self._refresh_if_popular(entry, question, terms, serial)
            return Remembered(entry.response, int(now - entry.stored_at))
        if now >= entry.retry_at and not cache.limits.stale_after_seconds and not self._is_full:
            entry.retry_at = now + RETRY_SECONDS
            self._ask(question, terms, serial)
        if now < entry.retry_at:
            self._count_hit(entry)
            return Remembered(self._stale(entry), 0)
        cache.counts.misses += 1
        return None

    async def find(self, question: Question, terms: Terms, *, serial: int | None = None) -> Remembered:
        """What is remembered, else what is learned."""
        return self.remembered(question, terms, serial=serial) or await self.learn(question, terms, serial=serial)

    async def learn(self, question: Question, terms: Terms, *, serial: int | None = None) -> Remembered:
        """What an upstream says, or said before if none answers now; in bounded time."""
        cache = self.cache
        now = cache.clock()
        entry = cache.recall(question.name + terms.suffix, now)
        if entry is not None and now < entry.expires_at:  # it came while this stood in line
            self._vouch(entry, serial)
            return Remembered(entry.response, int(now - entry.stored_at))
        asking = self._ask(question, terms, serial)
        if entry is None or entry.response.is_failure:
            return Remembered(await asyncio.shield(asking), 0)  # others wait for it too
        await asyncio.wait((asking,), timeout=cache.limits.stale_after_seconds)
        if asking.done() and not asking.result().is_failure:
            return Remembered(asking.result(), 0)
        entry.retry_at = cache.clock() + RETRY_SECONDS
        return Remembered(self._stale(entry), 0)

    @staticmethod
    def _vouch(entry: Entry, serial: int | None) -> None:
        if serial is not None and entry.vouched_for >= 0:
            entry.vouched_for = serial

    def _count_hit(self, entry: Entry) -> None:
        self.cache.counts.hits += 1
        self.cache.counts.denial_hits += entry.is_denial

    def _refresh_if_popular(self, entry: Entry, question: Question, terms: Terms, serial: int | None) -> None:
        if entry.hits >= self.cache.limits.prefetch_hits and not self._is_full:
            self.cache.counts.prefetched += 1
            self._ask(question, terms, serial)
            entry.refresh_at = entry.prefetch_at = entry.expires_at

    def _ask(self, question: Question, terms: Terms, serial: int | None) -> asyncio.Future[Response]:
        """The response, once it is there and in the cache."""
        recursive = terms.echoed & RD
        key = question.name + terms.suffix
        flight = key + bytes((bool(recursive),)) + terms.options
        learned = self._asking.get(flight)
        if learned is not None:
            return learned
        self._asking[flight] = learned = asyncio.get_running_loop().create_future()
        asked = Asked(question, recursive | terms.echoed & CD | AD, terms.dnssec_ok, terms.options)

        def keep(response: Response) -> None:
            del self._asking[flight]
            if recursive:  # else it may be a referral, or what the upstream happened to know
                vouched_for = ALWAYS if serial is None else serial
                response = self.cache.keep(key, response, self.cache.clock(), vouched_for=vouched_for)
            learned.set_result(response)

        self._forwarder.ask(asked, keep)
        return learned

    def _stale(self, entry: Entry) -> Response:
        self.cache.counts.stale += 1
        if entry.response.rcode == Rcode.NXDOMAIN:
            reason = Reason("the last known answer; no upstream confirms it", ReasonCode.STALE_NXDOMAIN)
        else:
            reason = Reason("the last known answer; no upstream gives a newer one", ReasonCode.STALE_ANSWER)
        return entry.response.stale(self.cache.limits.stale_ttl, reason)


def _waiting_as(client: str) -> bytes:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 address, which is one link."""
    return (names.address(client.partition("%")[0]) or b"")[:8]
