"""Asks as a pod's resolver would: which names, in which order, and until when (glibc's getaddrinfo and res_search)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.forward import UpstreamAddress
from clusterdns.forward.asking import UNWILLING
from clusterdns.forward.upstream import Asked, Manner, Try, Upstream
from clusterdns.queries import RD
from clusterdns.records import Question, Rcode
from clusterdns.responses import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from clusterdns.names import Name
    from clusterdns.search import SearchList


class Exchange(Struct, frozen=True):
    """A question, and what became of it."""

    question: Question
    server: UpstreamAddress
    """Who answered; who was asked last, if nobody did."""
    seconds: float
    """From the query to its response, or until the server was given up."""
    response: Response | None = None
    over_tcp: bool = False
    fault: str = ""
    """Why there is no response, in words."""

    @property
    def has_answer(self) -> bool:
        """Whether there are records, of whatever type: resolvers look no further then."""
        return self.response is not None and self.response.rcode == Rcode.NOERROR and self.response.counts[0] > 0

    @property
    def is_found(self) -> bool:
        """Whether there are records of the type that was asked for."""
        return self.response is not None and self.response.rcode == Rcode.NOERROR and self.response.is_data

    @property
    def lets_search_go_on(self) -> bool:
        """Whether the next domain of the search list is tried after this: glibc stops where nobody answers."""
        return self.response is not None and self.response.rcode in _GOING_ON and not self.has_answer


_GOING_ON = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.SERVFAIL})


async def look_up(
    name: Name,
    types: Sequence[int],
    search: SearchList,
    ask: Callable[[Question], Awaitable[Exchange]],
    *,
    absolute: bool = False,
) -> AsyncIterator[tuple[Exchange, ...]]:
    """What became of each name that was tried, one exchange for each type; the last is where a resolver stops.

    The name as it is gets its try even when the list is given up: then it is the only one that is left.
    """
    is_given_up = False
    for candidate in search.candidates(name, absolute=absolute):
        if is_given_up and candidate != name:
            continue
        exchanges = tuple(await asyncio.gather(*[ask(Question(candidate, each)) for each in types]))
        yield exchanges
        if any(each.has_answer for each in exchanges):
            return
        is_given_up = candidate != name and not any(each.lets_search_go_on for each in exchanges)


class Servers:
    """The name servers of a resolver.

    timeout: seconds that a server has for one try. attempts: how often each that is silent is asked.
    """

    def __init__(self, addresses: Sequence[UpstreamAddress], *, timeout: float, attempts: int) -> None:
        self._upstreams = [Upstream(each, Manner()) for each in addresses]
        self._timeout = timeout
        self._attempts = attempts

    def close(self) -> None:
        for each in self._upstreams:
            each.close()

    async def ask(self, question: Question) -> Exchange:
        """The first answer; a refusal if there is none, and failing that, the last silence. Raises ValueError."""
        silent = list(self._upstreams)
        found: Exchange | None = None
        for _ in range(self._attempts):
            for upstream in tuple(silent):
                exchange = await self._ask_one(upstream, question)
                if found is None or found.response is None:
                    found = exchange
                if exchange.response is None:
                    continue
                if exchange.response.rcode not in UNWILLING:
                    return exchange
                silent.remove(upstream)
        if found is None:
            raise ValueError("there is no server to ask")
        return found

    async def _ask_one(self, upstream: Upstream, question: Question) -> Exchange:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Response | str] = loop.create_future()
        started = loop.time()
        one = Try(
            upstream,
            Asked(question, RD),
            lambda _, response: _end(outcome, response),
            lambda _, why: _end(outcome, why),
        )
        one.start()
        try:
            async with asyncio.timeout(self._timeout):
                end = await outcome
        except TimeoutError:
            end = f"no response within {self._timeout:g} s"
        finally:
            one.close()
        seconds = loop.time() - started
        if isinstance(end, str):
            return Exchange(question, upstream.address, seconds, over_tcp=one.is_over_stream, fault=end)
        return Exchange(question, upstream.address, seconds, end, one.is_over_stream)


def _end(outcome: asyncio.Future[Response | str], end: Response | str) -> None:
    if not outcome.done():
        outcome.set_result(end)
