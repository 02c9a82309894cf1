"""Transfers on real sockets, to clients that are slow, gone or too many, while the zone changes."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import msgspec
import pytest

from clusterdns.events import Listed, Put
from clusterdns.objects import EndpointSlice, Namespace, Service
from clusterdns.origins import LATE_TRANSFER, Trail
from clusterdns.records import Record, Soa, Type
from clusterdns.server import Limits, Server
from clusterdns.transfers import Contents, Rule, Rules, Transfers, Within, contents_of, transferring
from clusterdns.wire import Dialect
from clusterdns.zones import ServedZones
from tests.cluster import make_index
from tests.transferred import lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clusterdns.index import Index
    from clusterdns.transfers.transferring import ContentsOf

DEADLINE = 20


def service(number: int, address: int) -> Service:
    spec = {"clusterIP": f"10.{address >> 16}.{address >> 8 & 255}.{address & 255}", "ports": [{"port": 80}]}
    return msgspec.convert({"metadata": {"name": f"s{number}", "namespace": "demo"}, "spec": spec}, Service)


def filled(services: int) -> Index:
    index = make_index()
    index.apply([
        Listed(Namespace, (msgspec.convert({"metadata": {"name": "demo"}}, Namespace),)),
        Listed(Service, tuple([service(number, number) for number in range(services)])),
        Listed(EndpointSlice, ()),
    ])  # fmt: skip
    return index


def endless(zone: bytes) -> Contents:
    """More than what the kernel's buffers hold of a client that does not read."""
    soa = Record(zone, Type.SOA, 60, Soa(zone, zone, 1, 60))
    return Contents(soa, lambda: ([Record(zone, Type.TXT, 60, (b"x" * 255,))] for _ in count()))


def of(index: Index) -> ContentsOf:
    return partial(contents_of, index=index, files=ServedZones())


class Serving:
    def __init__(self, find: ContentsOf, within: Within, limits: Limits) -> None:
        self.trail = Trail()
        transfers = Transfers(Rules([Rule(to=("*",))]), find, within, Dialect(), self.trail)
        respond = transferring(lambda packet, _client: packet[:2] + b"\x80\0" + packet[4:], transfers.respond)
        self._server = Server(respond, respond, limits)

    async def __aenter__(self) -> int:
        ((_, port),) = await self._server.start([("127.0.0.1", 0)])
        return port

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def ask(self, zone: str = "cluster.local", rtype: str = "AXFR") -> None:
        packet = dns.message.make_query(zone, rtype).to_wire()
        self.writer.write(struct.pack("!H", len(packet)) + packet)

    async def message(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            (length,) = struct.unpack("!H", await self._reader.readexactly(2))
            return await self._reader.readexactly(length)

    async def rcode(self) -> str:
        return dns.rcode.to_text(dns.message.from_wire(await self.message(), xfr=True).rcode())

    async def zone(self, *before: bytes, pause: float = 0) -> list[bytes]:
        """All messages, with a pause after each; some have come before."""
        found = list(before)
        while not found or not self._is_last(found):
            found.append(await self.message())
            await asyncio.sleep(pause)
        return found

    @staticmethod
    def _is_last(found: list[bytes]) -> bool:
        last = dns.message.from_wire(found[-1], xfr=True, one_rr_per_rrset=True).answer
        soa = [each for each in last if each.rdtype == dns.rdatatype.SOA]
        return len(soa) > (len(found) == 1)

    async def is_cut(self, first: bytes) -> bool:
        """Whether there is an end before that of the zone."""
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await self.zone(first)
        return True


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)  # so that little is on its way
    tcp.setblocking(False)
    await asyncio.get_running_loop().sock_connect(tcp, ("127.0.0.1", port))
    client = Client(*await asyncio.open_connection(sock=tcp, limit=1 << 12))
    try:
        yield client
    finally:
        client.writer.transport.abort()


async def test_is_of_the_moment_that_its_serial_names() -> None:
    """A hundred changes and more while it is read: each service holds the number of its last change."""
    index = filled(1500)
    held = dict(enumerate(range(1500)))
    states = {index.serial: dict(held)}

    async def change() -> None:
        for moment in range(1500, 100_000):
            number = moment * 7919 % 1500
            index.apply([Put(service(number, moment))])
            held[number] = moment
            states[index.serial] = dict(held)
            await asyncio.sleep(0.005)

    async with Serving(of(index), Within(), Limits()) as port, connected(port) as client:
        changing = asyncio.create_task(change())
        for _ in range(2):
            before = len(states)
            client.ask()
            found = lines(await client.zone(pause=0.02), "cluster.local")
            assert len(states) > before + 5, "nothing has changed meanwhile"
            serial = int(found[0][3].split()[2])
            assert found[0] == found[-1]
            addresses = {each[0]: each[3] for each in found if each[2] == "A" and each[0].startswith("s")}
            assert addresses == {
                f"s{number}.demo.svc.cluster.local.": f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}"
                for number, at in states[serial].items()
            }
        changing.cancel()


class TestSlowClients:
    async def test_one_that_does_not_read_is_cut_off(self) -> None:
        async with (
            Serving(endless, Within(at_once=1), Limits(idle_seconds=0.3)) as port,
            connected(port) as idle,
            connected(port) as other,
        ):
            idle.ask()
            first = await idle.message()
            await until_allowed(other)
            assert await idle.is_cut(first)

    async def test_one_that_takes_too_long_over_all_is_cut_off(self) -> None:
        within = Within(at_once=1, seconds=0.3)
        async with Serving(endless, within, Limits()) as port, connected(port) as slow:
            slow.ask()
            first = await slow.message()
            async with connected(port) as other:
                await until_allowed(other, "in-addr.arpa")
            assert await slow.is_cut(first)

    async def test_one_that_goes_makes_room(self) -> None:
        async with Serving(endless, Within(at_once=1), Limits()) as port, connected(port) as other:
            async with connected(port) as gone:
                gone.ask()
                await gone.message()
                other.ask()
                assert await other.rcode() == "SERVFAIL"
            await until_allowed(other)

    async def test_one_that_half_closes_gets_all(self) -> None:
        async with Serving(of(filled(2000)), Within(), Limits()) as port, connected(port) as client:
            client.ask()
            client.writer.write_eof()
            assert len(lines(await client.zone(), "cluster.local")) == 2 * 2000 + 4


async def until_allowed(client: Client, zone: str = "cluster.local") -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            client.ask(zone)
            if await client.rcode() == "NOERROR":
                return
            await asyncio.sleep(0.02)


async def test_those_that_are_too_many_are_told_so() -> None:
    """On one connection; what is not a transfer is answered meanwhile."""
    async with Serving(endless, Within(at_once=2), Limits()) as port, connected(port) as client:
        for zone in ("cluster.local", "in-addr.arpa", "cluster.local"):
            client.ask(zone)
        client.ask("www.example.com", "A")
        rcodes = []
        while len(rcodes) < 4:
            message = dns.message.from_wire(await client.message(), xfr=True)
            rcodes += [dns.rcode.to_text(message.rcode())] * bool(message.question)
        assert sorted(rcodes) == ["NOERROR", "NOERROR", "NOERROR", "SERVFAIL"]


async def test_its_origin_is_told_when_it_is_over() -> None:
    serving = Serving(of(filled(2000)), Within(), Limits())
    async with serving as port, connected(port) as client:
        client.ask()
        await client.zone()
        assert serving.trail.origin is LATE_TRANSFER
