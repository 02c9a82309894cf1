"""An upstream that does wrong as it is told to, over UDP, TCP and TLS; and remembers what it was asked."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self, TypeAlias

import dns.flags
import dns.message
import dns.rdatatype

from tests.e2e.serving import free_port

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
    from types import TracebackType

OTHER_ADDRESS = "127.0.0.2"


class Query:
    """What came in. connection: which one, counted from 1; 0 for UDP. at: when, by the monotonic clock."""

    def __init__(self, packet: bytes, client: tuple[str, int], transport: str, connection: int = 0) -> None:
        self.packet = packet
        self.client = client
        self.transport = transport
        self.connection = connection
        self.at = time.monotonic()

    @cached_property
    def message(self) -> dns.message.Message:
        return dns.message.from_wire(self.packet)

    @property
    def id(self) -> int:
        return int.from_bytes(self.packet[:2])

    @cached_property
    def name(self) -> str:
        """As it was written, letter case and all."""
        return self.message.question[0].name.to_text()

    @property
    def rtype(self) -> str:
        return dns.rdatatype.to_text(self.message.question[0].rdtype)

    @property
    def flags(self) -> set[str]:
        """Those of the header, and DO."""
        edns = dns.flags.edns_to_text(self.message.ednsflags)
        return set(f"{dns.flags.to_text(self.message.flags)} {edns}".split())


class Say(NamedTuple):
    """A packet to send back.

    after: seconds from now.
    source: "port" or "address" for another one than what was asked.
    close: end the connection behind it.
    """

    packet: bytes
    after: float = 0.0
    source: str = ""
    close: bool = False


Behaviour: TypeAlias = "Callable[[Query], Iterable[Say]]"


class Faulty:
    """`with Faulty(honest) as upstream`: at upstream.address and upstream.port, and with `tls` at upstream.tls_port.

    behaviour: may be exchanged at any time.
    port: of its own choice, unless one is given.
    tcp: whether it takes connections over TCP.
    idle_seconds: after which it closes connections.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        tcp: bool = True,
        tls: ssl.SSLContext | None = None,
        idle_seconds: float | None = None,
    ) -> None:
        self.behaviour = behaviour
        self.address, self.port = address, port or free_port()
        self.tls_port = free_port() if tls else 0
        self.queries: list[Query] = []
        self.connections = 0
        self._tcp, self._tls, self._idle_seconds = tcp, tls, idle_seconds
        self._writers: set[asyncio.StreamWriter] = set()
        self._faults: list[BaseException] = []
        self.start()

    def __str__(self) -> str:
        """As --upstream has it."""
        return f"{self.address}:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    def asked_for(self, name: str, rtype: str = "A") -> list[Query]:
        wanted = name.rstrip(".").lower()
        return [each for each in self.queries if (each.name.rstrip(".").lower(), each.rtype) == (wanted, rtype)]

    def start(self) -> None:
        """Also again, on the same ports."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,))
        self._thread.start()
        started.wait()
        if self._faults:
            self.stop()

    def stop(self) -> None:
        """Ports and connections are closed after that. Raises what went wrong inside."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        if self._faults:
            raise self._faults[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            self._faults.append(error)
        finally:
            started.set()

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        with (
            _socket(self.address, self.port) as own,
            _socket(self.address, 0) as other_port,
            _socket(OTHER_ADDRESS, self.port) as other_address,
        ):
            self._sockets = {"": own, "port": other_port, "address": other_address}
            self._loop.add_reader(own, self._datagrams, own)
            servers = []
            if self._tcp:
                servers.append(await asyncio.start_server(self._connected, self.address, self.port))
            if self._tls:
                servers.append(await asyncio.start_server(self._connected, self.address, self.tls_port, ssl=self._tls))
            started.set()
            await self._stopping.wait()
            self._loop.remove_reader(own)
            for server in servers:
                server.close()
            for writer in self._writers:
                writer.transport.abort()

    def _datagrams(self, own: socket.socket) -> None:
        while True:
            try:
                packet, client = own.recvfrom(65535)
            except OSError:
                return
            for say in self._asked(Query(packet, client, "udp")):
                self._loop.call_later(say.after, self._send, say, client)

    def _send(self, say: Say, client: tuple[str, int]) -> None:
        with suppress(OSError):  # the client has gone, or we are stopping
            self._sockets[say.source].sendto(say.packet, client)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        transport = "tls" if writer.get_extra_info("ssl_object") else "tcp"
        client, number = writer.get_extra_info("peername")[:2], self.connections
        try:
            while True:
                (length,) = struct.unpack("!H", await self._in_time(reader.readexactly(2)))
                packet = await reader.readexactly(length)
                for say in self._asked(Query(packet, client, transport, number)):
                    self._loop.call_later(say.after, _write, say, writer)
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _in_time(self, reading: asyncio.Future[bytes]) -> bytes:
        return await asyncio.wait_for(reading, self._idle_seconds)

    def _asked(self, query: Query) -> list[Say]:
        self.queries.append(query)
        try:
            return list(self.behaviour(query))
        except Exception as error:  # noqa: BLE001 - it is raised in the test
            self._faults.append(error)
            return []


def _socket(address: str, port: int) -> socket.socket:
    bound = socket.socket(type=socket.SOCK_DGRAM)
    bound.setblocking(False)
    bound.bind((address, port))
    return bound


def _write(say: Say, writer: asyncio.StreamWriter) -> None:
    if writer.is_closing():
        return
    if say.packet:
        writer.write(struct.pack("!H", len(say.packet)) + say.packet)
    if say.close:
        writer.close()
