"""Clients behind a balancer: each query goes to a server that was ready a moment ago, as kube-proxy has it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import select
import socket
import struct
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import dns.message

if TYPE_CHECKING:
    from collections.abc import Iterator

TICK = 0.005
"""Seconds from one handful of queries to the next."""

PATIENCE = 5.0
"""Seconds until a query is given up. Nobody asks twice."""


class Backend(NamedTuple):
    """A server, and where it says that it is ready."""

    dns: tuple[str, int]
    http: str


class Rates(NamedTuple):
    """Queries a second: over UDP, over TCP with a connection for each, and over connections that are kept."""

    udp: int
    fresh: int
    kept: int


class Clients:
    """They ask from `start` to `stop`; `lost` says what became of the queries that were not answered."""

    def __init__(self, name: str, rates: Rates, *, connections: int = 10, delay: float = 0.2) -> None:
        """connections: that are kept; a client looks whether its connection has ended before it asks again.

        delay: in seconds, until the balancer acts upon what /ready says.
        """
        self.asked = dict.fromkeys(Rates._fields, 0)
        self.lost: list[str] = []
        self.ready: list[Backend] = []
        """As far as the balancer knows."""
        self._backends: list[Backend] = []
        self._query = dns.message.make_query(name, "A").to_wire()[2:]
        self._ids = itertools.cycle(range(1 << 16))
        self._turns = itertools.count()
        self._rates, self._connections, self._delay = rates, connections, delay
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._udp.setblocking(False)
        self._awaited: dict[bytes, tuple[str, int]] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def add(self, backend: Backend) -> None:
        self._backends = [*self._backends, backend]

    def remove(self, backend: Backend) -> None:
        self._backends = [each for each in self._backends if each != backend]

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            self._thread.join()
            self._udp.close()

    def _chosen(self) -> tuple[str, int]:
        return self.ready[next(self._turns) % len(self.ready)].dns

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._udp, self._receive)
        looking = asyncio.create_task(self._look())
        while not (self.ready or self._is_over.is_set()):  # noqa: ASYNC110 - another thread's clock
            await asyncio.sleep(TICK)
        kept = [asyncio.create_task(self._keep()) for _ in range(self._connections if self._rates.kept else 0)]
        fresh: set[asyncio.Task[None]] = set()
        began = loop.time()
        while not self._is_over.is_set():
            due = loop.time() - began
            for _ in range(int(due * self._rates.udp) - self.asked["udp"]):
                self._send()
            for _ in range(int(due * self._rates.fresh) - self.asked["fresh"]):
                self.asked["fresh"] += 1
                task = asyncio.create_task(self._ask_anew())
                fresh.add(task)
                task.add_done_callback(fresh.discard)
            await asyncio.sleep(TICK)
        await asyncio.gather(*kept, *fresh)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._awaited:  # noqa: ASYNC110
                    await asyncio.sleep(TICK)
        self.lost += [f"UDP to {each}" for each in self._awaited.values()]
        looking.cancel()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            ready = [each for each in self._backends if await asyncio.to_thread(_is_ready, each)]
            loop.call_later(self._delay, self.ready.__setitem__, slice(None), ready)
            await asyncio.sleep(0.05)

    # UDP

    def _send(self) -> None:
        message_id, to = struct.pack("!H", next(self._ids)), self._chosen()
        self.asked["udp"] += 1
        self._awaited[message_id] = to
        self._udp.sendto(message_id + self._query, to)

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._awaited.pop(self._udp.recv(4096)[:2], None)

    # TCP

    async def _ask_anew(self) -> None:
        to = self._chosen()
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(*to)
                await self._exchange(reader, writer)
                writer.close()
        except (OSError, EOFError) as error:
            self.lost.append(f"TCP to {to}: {error!r}")

    async def _keep(self) -> None:
        """Ask over one connection, and over another when that has ended."""
        pause = self._connections / self._rates.kept
        while not self._is_over.is_set():
            to = self._chosen()
            reader, writer = await asyncio.open_connection(*to)
            try:
                while not (_has_ended(writer) or self._is_over.is_set()):
                    self.asked["kept"] += 1
                    async with asyncio.timeout(PATIENCE):
                        await self._exchange(reader, writer)
                    await asyncio.sleep(pause)
            except (OSError, EOFError) as error:
                self.lost.append(f"TCP, kept, to {to}: {error!r}")
            finally:
                writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message_id = struct.pack("!H", next(self._ids))
        writer.write(struct.pack("!H", len(self._query) + 2) + message_id + self._query)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        reply = await reader.readexactly(length)
        assert reply[:2] == message_id


def _has_ended(writer: asyncio.StreamWriter) -> bool:
    """As the kernel has it: the loop may not have come to it yet."""
    poll = select.poll()
    poll.register(writer.get_extra_info("socket"), select.POLLRDHUP)
    return bool(poll.poll(0))


def _is_ready(backend: Backend) -> bool:
    try:
        with urllib.request.urlopen(f"http://{backend.http}/ready", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:  # 503 is one, too
        return False
