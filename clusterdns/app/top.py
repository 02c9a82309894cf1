"""Who asks what, for whoever looks: counting begins with them and ends with them.

Where workers answer, it is they who count; each time that they are asked what there is, they are told who looks.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from clusterdns import names
from clusterdns.objects import Namespace
from clusterdns.popularity import Counting, Popularity, Tally

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Collection, Mapping, Sequence

    from clusterdns.app.answering import Answering
    from clusterdns.app.listeners import Listeners
    from clusterdns.names import Name
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.workers import Crew

MOST_LOOKING = 8
"""Each is counted for by itself, on the way of each query."""

MOST_ROWS = 1000


class Running(Protocol):
    answering: list[Answering]
    listeners: Listeners


class Looking(Struct, frozen=True, tag=True):
    """Asks a worker what it has counted for one of those who look, and tells it who does."""

    who: int
    lookers: tuple[int, ...]


class Top:
    """Those who look have numbers."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._counting: dict[int, Counting] = {}
        """For each of those who look, in a process that answers."""
        self._lookers: tuple[int, ...] = ()
        self._seen = 0

    async def reports(self, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """A Report every `interval` seconds, with so many `rows`. Raises ValueError."""
        interval, rows = _number(query, "interval", 1.0, 0.1, 3600), int(_number(query, "rows", 10, 1, MOST_ROWS))
        if len(self._lookers) >= MOST_LOOKING:
            raise ValueError(f"{MOST_LOOKING} are looking already")
        counted = Popularity(self._zones(), time.monotonic)
        self._seen = who = self._seen + 1
        self._lookers = (*self._lookers, who)
        try:
            await self._taken(who)
            yield b""
            while True:
                await asyncio.sleep(interval)
                for each in await self._taken(who):
                    counted.add(each)
                yield msgspec.json.encode(counted.report(rows, self._namespaces(), self._pod)) + b"\n"
        finally:
            self._lookers = tuple(each for each in self._lookers if each != who)
            self._end(who)

    def counted(self, looking: Looking) -> Tally:
        """What this process has counted for one of those who look, since it was asked before."""
        self._count_for(looking.lookers)
        return self._counting[looking.who].taken() if looking.who in self._counting else Tally()

    async def _taken(self, who: int) -> list[Tally]:
        """What was counted for one of those who look, in all processes that answer."""
        looking = Looking(who, self._lookers)
        crew = self._running.listeners.crew
        return [self.counted(looking)] if crew is None else await _of_workers(crew, looking)

    def _end(self, who: int) -> None:
        looking = Looking(who, self._lookers)
        crew = self._running.listeners.crew
        if crew is None:
            self.counted(looking)
        else:
            crew.do(_told(crew, looking))

    def _count_for(self, lookers: Collection[int]) -> None:
        if self._counting.keys() != set(lookers):
            self._counting = {each: self._counting.get(each) or Counting(self._zones()) for each in lookers}
            self._running.listeners.look(self._noting if lookers else None)

    def _noting(self, respond: Respond) -> Respond:
        looking = tuple(self._counting.values())

        def noting(packet: bytes, client: Client) -> Reaction:
            reply = respond(packet, client)
            if reply is None or isinstance(reply, bytes):
                for each in looking:
                    each.note(packet, client[0], reply)
                return reply
            return later(packet, client, reply)

        async def later(packet: bytes, client: Client, reply: Awaitable[bytes | None]) -> bytes | None:
            began = time.monotonic()
            found = await reply
            for each in looking:
                each.note(packet, client[0], found)
                each.note_slow(packet, time.monotonic() - began)
            return found

        return noting

    def _zones(self) -> Sequence[Name]:
        return list(dict.fromkeys(zone.name for each in self._running.answering for zone in each.index.zones))

    def _namespaces(self) -> frozenset[str]:
        return frozenset(
            each.key[1] for answering in self._running.answering for each in answering.index.objects(Namespace)
        )

    def _pod(self, client: str) -> str:
        address = names.address(client.partition("%")[0])
        if address is None:
            return ""
        found = (each.index.pod_of_client(address) for each in self._running.answering)
        return next(("/".join(filter(None, each)) for each in found if each is not None), "")


async def _of_workers(crew: Crew, looking: Looking) -> list[Tally]:
    said = await crew.inquire_all(msgspec.msgpack.encode(looking))
    return [msgspec.msgpack.decode(each, type=Tally) for each in said if each]


async def _told(crew: Crew, looking: Looking) -> None:
    await _of_workers(crew, looking)


def _number(query: Mapping[str, str], name: str, usual: float, least: float, most: float) -> float:
    """Raises ValueError."""
    text = query.get(name, "")
    try:
        found = float(text) if text else usual
    except ValueError:
        found = float("nan")
    if not least <= found <= most:
        raise ValueError(f"{name}: {text!r}: expected a number from {least:g} to {most:g}")
    return found
