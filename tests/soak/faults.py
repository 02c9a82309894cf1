"""What goes wrong, one thing after the other, by a seed: each fault is healed before the next one comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from tests.soak.upstream import HONEST, WRONG

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from random import Random

    from tests.soak.load import Seen
    from tests.soak.setting import Setting
    from tests.soak.world import World

MOST_AT_ONCE = 100  # changes
IN_HAND = 0.5  # seconds: older queries of a worker that is killed were answered before
REPLACED_WITHIN = 3.0  # seconds in which a worker's queries may be lost once it was killed


class Faults:
    """held: while it is, nobody asks the API server for changes, since it may not be there."""

    def __init__(self, setting: Setting, world: World, seen: Seen, random: Random, *, workers: int) -> None:
        self._setting = setting
        self._world = world
        self._seen = seen
        self._random = random
        self.held = asyncio.Lock()
        self.excused: list[tuple[float, float]] = []
        """From when until when queries may be lost."""
        self._all: list[Callable[[], Awaitable[None]]] = [
            self.kill_api, self.pause_api, self.cut_watches, self.expire_watches, self.slow_api, self.refuse,
            self.garble, self.kill_upstream, self.pause_upstream, self.upstream_does_wrong, self.reload,
            self.reload_what_is_wrong, self.half_messages, self.never_read, self.made_up_names,
        ]  # fmt: skip
        if workers > 1:
            self._all.append(self.kill_worker)

    async def happen(self) -> None:
        """Without end; a fault that has begun is healed, also when this is cancelled."""
        while True:
            order = self._random.sample(self._all, len(self._all))
            for fault in order:
                await asyncio.sleep(self._random.uniform(0.2, 1.5))
                self._seen.counts[fault.__name__.replace("_", " ")] += 1
                await _whole(fault())

    async def change(self, rate: float) -> None:
        """So many changes a second. What could not be made while there was no API server is made up for."""
        begun = time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            async with self.held:
                due = min(int((time.monotonic() - begun) * rate) - self._seen.counts["changes"], MOST_AT_ONCE)
                await _whole(self._change(due))

    async def _change(self, count: int) -> None:
        for what, manifests in self._world.change(count).items():
            await asyncio.to_thread(self._setting.api.call, what, *manifests)
        self._seen.counts["changes"] += count

    async def _call(self, method: str, **named: object) -> None:
        await asyncio.to_thread(self._setting.api.call, method, **named)

    def _moment(self, least: float = 0.5, most: float = 3.0) -> Awaitable[None]:
        return asyncio.sleep(self._random.uniform(least, most))

    async def kill_api(self) -> None:
        async with self.held:
            self._setting.api.kill()
            await self._moment()
            await asyncio.to_thread(self._setting.api.start)

    async def pause_api(self) -> None:
        async with self.held:
            self._setting.api.pause()
            await self._moment()
            self._setting.api.resume()

    async def cut_watches(self) -> None:
        async with self.held:
            await self._call("cut", reset=self._random.random() < 0.5)

    async def expire_watches(self) -> None:
        async with self.held:
            await self._call("compact")
            await self._call("expire")

    async def slow_api(self) -> None:
        await self._spoil("slow", before=0.5, item=0.002)

    async def refuse(self) -> None:
        await self._spoil("fail", code=self._random.choice((403, 429, 500, 503)), times=5)

    async def _spoil(self, method: str, **named: object) -> None:
        """Let all watches meet this when they are begun anew, for a moment."""
        async with self.held:
            await self._call(method, **named)
            await self._call("cut")
        await self._moment()
        async with self.held:
            await self._call("heal")

    async def garble(self) -> None:
        """The API server says what is no event, and cuts lines in two."""
        async with self.held:
            await self._call("inject")
            await self._call("cut", in_line=True)

    async def kill_upstream(self) -> None:
        with self._upstream_is_not_well():
            self._setting.upstream.kill()
            await self._moment()
            await asyncio.to_thread(self._setting.upstream.start)

    async def pause_upstream(self) -> None:
        with self._upstream_is_not_well():
            self._setting.upstream.process.send_signal(signal.SIGSTOP)
            await self._moment()
            self._setting.upstream.process.send_signal(signal.SIGCONT)

    async def upstream_does_wrong(self) -> None:
        how = self._random.choice(list(WRONG))
        self._seen.counts[f"upstream is {how}"] += 1
        with self._upstream_is_not_well():
            await asyncio.to_thread(self._setting.upstream.behave, how)
            await self._moment()
            await asyncio.to_thread(self._setting.upstream.behave, HONEST)

    @contextlib.contextmanager
    def _upstream_is_not_well(self) -> Iterator[None]:
        self._seen.upstream_is_well_since = float("inf")
        try:
            yield
        finally:
            self._seen.upstream_is_well_since = time.monotonic()

    async def reload(self) -> None:
        self._setting.write_configuration(ttl=self._random.randint(5, 60))
        self._setting.reload()

    async def reload_what_is_wrong(self) -> None:
        self._setting.write_configuration(fault=self._random.choice(("ttl: [", "no-such: 1\n", "listen: [nowhere]\n")))
        self._setting.reload()
        await self._moment()
        self._setting.write_configuration()
        self._setting.reload()

    async def half_messages(self) -> None:
        """Connections that begin a message and never end it."""
        await self._hold(100, b"\x40\0" + bytes(100))

    async def never_read(self) -> None:
        """Connections that ask much, and do not read what they are told."""
        query = b"\0\1\1\0\0\1\0\0\0\0\0\0\5s0000\6team-0\3svc\7cluster\5local\0\0\1\0\1"
        await self._hold(20, (len(query).to_bytes(2, "big") + query) * 2000)

    async def _hold(self, count: int, first: bytes) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                client = stack.enter_context(socket.socket())
                client.settimeout(0.5)
                with contextlib.suppress(OSError):
                    client.connect(("127.0.0.1", self._setting.port))
                    client.setblocking(False)
                    client.send(first)
                await asyncio.sleep(0)
            await self._moment()

    async def made_up_names(self) -> None:
        """Names for the upstream that nobody has asked before, faster than it answers, and no DNS at all."""
        with self._upstream_is_not_well(), socket.socket(type=socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", self._setting.port))
            for number in range(2000):
                label = b"%08d" % self._random.randrange(10**8)
                packet = b"\0\1\1\0\0\1\0\0\0\0\0\0\x08" + label + b"\7example\4test\0\0\1\0\1"
                with contextlib.suppress(OSError):
                    client.send(self._random.randbytes(60) if number % 10 == 0 else packet)
                if number % 50 == 0:
                    await asyncio.sleep(0.02)

    async def kill_worker(self) -> None:
        _, *children = self._setting.processes()
        if len(children) < 2:
            return
        at = time.monotonic()
        self.excused.append((at - IN_HAND, at + REPLACED_WITHIN))
        os.kill(self._random.choice(children), signal.SIGKILL)
        await self._moment(REPLACED_WITHIN, REPLACED_WITHIN + 1)


async def _whole(doing: Awaitable[None]) -> None:
    """Do all of it, also when that is cancelled in its midst."""
    task = asyncio.ensure_future(doing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
