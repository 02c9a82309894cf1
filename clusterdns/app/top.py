"""Who asks what, for whoever looks: counting begins with them and ends with them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from clusterdns import names
from clusterdns.objects import Namespace
from clusterdns.popularity import Popularity

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence

    from clusterdns.app.answering import Answering
    from clusterdns.app.listeners import Listeners
    from clusterdns.respond import Client, Reaction, Respond

MOST_LOOKING = 8
"""Each is counted for by itself, on the way of each query."""

MOST_ROWS = 1000


class Running(Protocol):
    answering: list[Answering]
    listeners: Listeners


class Top:
    def __init__(self, running: Running) -> None:
        self._running = running
        self._looking: tuple[Popularity, ...] = ()

    async def reports(self, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """A Report every `interval` seconds, with so many `rows`. Raises ValueError."""
        interval, rows = _number(query, "interval", 1.0, 0.1, 3600), int(_number(query, "rows", 10, 1, MOST_ROWS))
        if self._running.listeners.crew is not None:
            raise ValueError("this server answers in several processes, of which none knows who asks the others")
        if len(self._looking) >= MOST_LOOKING:
            raise ValueError(f"{MOST_LOOKING} are looking already")
        zones = dict.fromkeys(zone.name for each in self._running.answering for zone in each.index.zones)
        counted = Popularity([*zones], time.monotonic)
        self._look((*self._looking, counted))
        try:
            yield b""
            while True:
                await asyncio.sleep(interval)
                yield msgspec.json.encode(counted.report(rows, self._namespaces(), self._pod)) + b"\n"
        finally:
            self._look(tuple(each for each in self._looking if each is not counted))

    def _look(self, looking: Sequence[Popularity]) -> None:
        self._looking = tuple(looking)
        self._running.listeners.look(self._noting if looking else None)

    def _noting(self, respond: Respond) -> Respond:
        looking = self._looking

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
