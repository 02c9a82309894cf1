"""Clients that ask all the time, over UDP and TCP, and judge each reply."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from tests.soak.world import Truth
from tests.upstreams.behaviours import address_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from random import Random

    from tests.soak.world import World

ELSEWHERE = "example.test."
CONVALESCENCE = 10.0  # seconds until an upstream that failed has to be asked again
PATIENCE = 3.0  # seconds until a query counts as lost
MOST_AT_ONCE = 100  # queries; what is due besides, since the client was held up itself, is not asked
MOST_TOLD = 20


class Seen:
    """What was asked, and what was wrong with the replies."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.lost: list[tuple[float, str]] = []
        """When they were asked, by time.monotonic()."""
        self.upstream_is_well_since = 0.0
        """By the same clock; infinity while it is not."""

    def note_wrong(self, text: str) -> None:
        self.counts["wrong"] += 1
        if len(self.wrong) < MOST_TOLD:
            self.wrong.append(text)
            print(f"soak: wrong: {text}", file=sys.stderr, flush=True)


def query(truth: Truth, number: int, random: Random) -> dns.message.Message:
    """With EDNS or without it."""
    options = {"use_edns": 0, "payload": random.choice((512, 1232, 4096))} if random.random() < 0.5 else {}
    made = dns.message.make_query(truth.name, truth.rtype, **options)
    made.id = number
    return made


def fault(asked: dns.message.Message, reply: dns.message.Message, truth: Truth) -> str:
    """What is wrong with a reply; empty if nothing is."""
    if not asked.is_response(reply):
        return "it is no response to the question"
    if dns.rcode.to_text(reply.rcode()) != truth.rcode:
        return f"{dns.rcode.to_text(reply.rcode())} in place of {truth.rcode}"
    rtype = dns.rdatatype.from_text(truth.rtype)
    found = {each.to_text() for rrset in reply.answer if rrset.rdtype == rtype for each in rrset}
    if reply.flags & dns.flags.TC:
        return "" if found <= truth.records else f"{sorted(found - truth.records)} are not there"
    return "" if found == truth.records else f"{sorted(found)} in place of {sorted(truth.records)}"


class _Udp:
    """A socket that is emptied at each wake-up: what the kernel drops for want of room would look lost."""

    def __init__(self, port: int) -> None:
        self.awaited: dict[int, asyncio.Future[bytes]] = {}
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.connect(("127.0.0.1", port))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def ask(self, number: int, packet: bytes) -> asyncio.Future[bytes]:
        waiting = self.awaited[number] = asyncio.get_running_loop().create_future()
        with contextlib.suppress(OSError):  # then it is lost
            self._socket.send(packet)
        return waiting

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # BlockingIOError, once it is empty
            while True:
                data = self._socket.recv(65535)
                waiting = self.awaited.pop(int.from_bytes(data[:2], "big"), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(data)


class Load:
    """Asks so many queries a second until it is cancelled. What has to be so at every moment is judged so."""

    def __init__(self, port: int, world: World, seen: Seen, random: Random, rate: float) -> None:
        self._port = port
        self._world = world
        self._seen = seen
        self._random = random
        self._rate = rate
        self._still = world.truths_of_still()
        self._still_names = {each.name for each in self._still}

    async def over_udp(self) -> None:
        udp, tasks = _Udp(self._port), set[asyncio.Task[None]]()
        begun, asked = time.monotonic(), 0
        try:
            while True:
                due = int((time.monotonic() - begun) * self._rate)
                for number in range(max(asked, due - MOST_AT_ONCE), due):
                    task = asyncio.create_task(self._ask(udp, number % 65536))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                asked = due
                await asyncio.sleep(0.01)
        finally:
            if tasks:
                await asyncio.wait(tasks, timeout=2 * PATIENCE)
            udp.close()

    async def _ask(self, udp: _Udp, number: int) -> None:
        what = self._next()
        asked = query(what, number, self._random)
        at = time.monotonic()
        waiting = udp.ask(number, asked.to_wire())
        self._seen.counts["over UDP"] += 1
        done, _ = await asyncio.wait([waiting], timeout=2 * PATIENCE if what.name.endswith(ELSEWHERE) else PATIENCE)
        if done:
            self._judge(asked, waiting.result(), self._possible(what, at))
        else:
            udp.awaited.pop(number, None)
            self._seen.lost.append((at, f"{what.name} {what.rtype}"))

    async def over_tcp(self) -> None:
        """One connection after the other, each with some queries at once."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE + 5):
                    await self._converse()
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                self._seen.counts["TCP connections that failed"] += 1
                self._seen.lost.append((time.monotonic(), f"a TCP connection: {error!r}"))
            await asyncio.sleep(0.05)

    async def _converse(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            truths = [self._random.choice(self._still) for _ in range(self._random.randint(1, 20))]
            asked = [(query(truth, number, self._random), truth) for number, truth in enumerate(truths)]
            async for message, data, truth in pipelined(reader, writer, asked, and_no_more=self._random.random() < 0.2):
                self._seen.counts["over TCP"] += 1
                self._judge(message, data, [truth])
        finally:
            writer.close()

    def _next(self) -> Truth:
        """A question; of a name that does not change, with its answer."""
        chance = self._random.random()
        if chance < 0.6:
            return self._random.choice(self._still)
        if chance < 0.85:
            return Truth(self._world.moving_name(self._random), "A", frozenset())
        return Truth(f"h{self._random.randrange(2000)}.{ELSEWHERE}", "A", frozenset())

    def _possible(self, asked: Truth, at: float) -> list[Truth]:
        """The answers that a question may have that was asked then, and is answered now."""
        if asked.name.endswith(ELSEWHERE):
            found = [Truth(asked.name, "A", frozenset({address_of(asked.name)}))]
            if at < self._seen.upstream_is_well_since + CONVALESCENCE:
                found += [replace(found[0], records=frozenset(), rcode=each) for each in ("SERVFAIL", "REFUSED")]
            return found
        return self._world.possible(asked.name, at) if asked.name not in self._still_names else [asked]

    def _judge(self, asked: dns.message.Message, data: bytes, possible: Sequence[Truth]) -> None:
        """The last of what is possible is told, if it is none of them."""
        about = f"{possible[-1].name} {possible[-1].rtype}"
        try:
            reply = dns.message.from_wire(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is wrong
            self._seen.note_wrong(f"{about}: it can not be read: {error!r}")
            return
        self._seen.counts[dns.rcode.to_text(reply.rcode())] += 1
        wrong = [fault(asked, reply, each) for each in possible]
        if all(wrong):
            self._seen.note_wrong(f"{about}: {wrong[-1]}")


async def pipelined(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    asked: Sequence[tuple[dns.message.Message, Truth]],
    *,
    and_no_more: bool = False,
) -> AsyncIterator[tuple[dns.message.Message, bytes, Truth]]:
    """Ask all at once, over TCP; each query with its reply, as they come. Their IDs count from 0.

    and_no_more: close our half of the connection before the replies are there.
    """
    packets = [message.to_wire() for message, _ in asked]
    writer.write(b"".join(struct.pack("!H", len(each)) + each for each in packets))
    if and_no_more:
        writer.write_eof()
    for _ in asked:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        data = await reader.readexactly(length)
        message, truth = asked[int.from_bytes(data[:2], "big")]
        yield message, data, truth


async def differences(port: int, truths: Sequence[Truth]) -> list[str]:
    """All answers that are not what they have to be, over TCP, in one pipeline."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    try:
        for start in range(0, len(truths), 100):
            some = enumerate(truths[start : start + 100])
            asked = [(dns.message.make_query(each.name, each.rtype, use_edns=0, id=at), each) for at, each in some]
            async for message, data, truth in pipelined(reader, writer, asked):
                if wrong := fault(message, dns.message.from_wire(data), truth):
                    found.append(f"{truth.name} {truth.rtype}: {wrong}")
    finally:
        writer.close()
    return found
