"""DNS over TLS at the sockets (RFC 7858), with a respond of our own; clients are those of Python's ssl."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from clusterdns.server import Limits, Server, encryption
from tests.apiserver.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

LOCAL = "127.0.0.1"
DEADLINE = 10


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "resolvers")


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*authority.server(["IP:127.0.0.1"]))
    return made


def echo(packet: bytes, _client: object) -> bytes | None:
    """Says what it hears, and nothing to nothing."""
    return b"re: " + packet if packet else None


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(each)) + each for each in messages)


class Serving(NamedTuple):
    server: Server
    port: int
    trusted: ssl.SSLContext

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(LOCAL, self.port, ssl=self.trusted)
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()

    def silent(self) -> socket.socket:
        """A client that says nothing, over TCP alone."""
        made = socket.create_connection((LOCAL, self.port))
        made.setblocking(False)
        return made


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def receive(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            return await self.reader.readexactly(length)

    async def ask(self, *messages: bytes) -> list[bytes]:
        self.writer.write(framed(*messages))
        return [await self.receive() for _ in messages]

    async def is_over(self) -> bool:
        """Whether the server has said in TLS that this is all; a cut would be an error."""
        async with asyncio.timeout(DEADLINE):
            return not await self.reader.read(1)


@pytest.fixture
def serving(authority: Authority, context: ssl.SSLContext) -> Callable[..., Awaitable[Serving]]:
    @asynccontextmanager
    async def start(respond: object = echo, limits: Limits | None = None) -> AsyncIterator[Serving]:
        server = Server(respond, respond, limits or Limits(), context)  # type: ignore[arg-type]
        ((_, port),) = await server.start([(LOCAL, 0)])
        try:
            yield Serving(server, port, ssl.create_default_context(cafile=authority.ca))
        finally:
            await server.stop()

    return start  # type: ignore[return-value]


async def until_closed(client: socket.socket, seconds: float = DEADLINE) -> bytes:
    """What the server said until it closed."""
    said = b""
    async with asyncio.timeout(seconds):
        try:
            while piece := await asyncio.get_running_loop().sock_recv(client, 4096):
                said += piece
        except ConnectionResetError:
            pass
    return said


class TestMessages:
    MESSAGES = (b"one", b"two" * 500, b"3", b"four" * 10_000, b"five")

    async def test_one_after_the_other(self, serving: Callable[..., Serving]) -> None:
        async with serving() as it, it.connected() as client:
            for message in self.MESSAGES:
                assert await client.ask(message) == [b"re: " + message]

    async def test_many_at_once(self, serving: Callable[..., Serving]) -> None:
        messages = self.MESSAGES * 40
        async with serving() as it, it.connected() as client:
            assert await client.ask(*messages) == [b"re: " + each for each in messages]

    async def test_byte_by_byte(self, serving: Callable[..., Serving]) -> None:
        """Each of them in a TLS record of its own."""
        async with serving() as it, it.connected() as client:
            for octet in framed(b"one", b"three"):
                client.writer.write(bytes([octet]))
                await client.writer.drain()
            assert [await client.receive(), await client.receive()] == [b"re: one", b"re: three"]

    @pytest.mark.parametrize("size", [1, 7, 1000])
    async def test_in_segments_of_any_size(self, serving: Callable[..., Serving], size: int) -> None:
        """Where TCP cuts has nothing to do with where TLS does."""
        async with serving() as it, it.connected() as client:
            port = await _cutting(it.port, size)
            reader, writer = await asyncio.open_connection(LOCAL, port, ssl=it.trusted)
            assert await Client(reader, writer).ask(*self.MESSAGES[:3]) == [b"re: " + e for e in self.MESSAGES[:3]]
            writer.transport.abort()
            assert await client.ask(b"last") == [b"re: last"]

    async def test_replies_that_come_later(self, serving: Callable[..., Serving]) -> None:
        async def late(packet: bytes) -> bytes:
            await asyncio.sleep(0.05)
            return packet

        def respond(packet: bytes, _client: object) -> object:
            return late(packet) if packet.startswith(b"late") else packet

        async with serving(respond) as it, it.connected() as client:
            assert await client.ask(b"late", b"now") == [b"now", b"late"]

    async def test_who_asks(self, serving: Callable[..., Serving]) -> None:
        def respond(_packet: bytes, client: tuple[str, int]) -> bytes:
            return f"{client[0]} {client[1]}".encode()

        async with serving(respond) as it, it.connected() as client:
            host, port = client.writer.get_extra_info("sockname")
            assert await client.ask(b"?") == [f"{host} {port}".encode()]

    async def test_silence_ends_the_connection(self, serving: Callable[..., Serving]) -> None:
        async with serving() as it, it.connected() as client:
            client.writer.write(framed(b"one", b""))
            assert await client.receive() == b"re: one"
            assert await client.is_over()

    async def test_there_is_no_udp(self, serving: Callable[..., Serving]) -> None:
        """RFC 7858 is about TCP; the port over UDP is QUIC's."""
        async with serving() as it:
            with socket.socket(type=socket.SOCK_DGRAM) as other:
                other.bind((LOCAL, it.port))


async def _cutting(port: int, size: int) -> int:
    """Where a relay listens that hands a client's bytes on in small segments, and the server's as they are."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.close()
        up_reader, up_writer = await asyncio.open_connection(LOCAL, port)
        up_writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        async def down() -> None:
            while piece := await up_reader.read(4096):
                writer.write(piece)
            writer.close()

        task = asyncio.create_task(down())
        while piece := await reader.read(4096):
            for start in range(0, len(piece), size):
                up_writer.write(piece[start : start + size])
                await up_writer.drain()
                await asyncio.sleep(0)
        up_writer.close()
        await task

    server = await asyncio.start_server(relay, LOCAL, 0)
    return int(server.sockets[0].getsockname()[1])


class TestHandshake:
    async def test_who_says_nothing_is_cut_off(
        self, serving: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(encryption, "HANDSHAKE_SECONDS", 0.2)
        async with serving(limits=Limits(idle_seconds=3600)) as it, it.connected() as client:
            with it.silent() as silent:
                assert await until_closed(silent) == b""
            assert await client.ask(b"one") == [b"re: one"]

    async def test_who_begins_and_does_not_end_is_too(
        self, serving: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(encryption, "HANDSHAKE_SECONDS", 0.2)
        async with serving(limits=Limits(idle_seconds=3600)) as it:
            with it.silent() as slow:
                slow.send(bytes.fromhex("16030100ff010000fb0303"))
                assert await until_closed(slow) == b""

    @pytest.mark.parametrize(
        "said",
        [framed(b"plain text"), b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(70_000)],
        ids=["DNS over TCP", "HTTP", "zeros", "a record too long"],
    )
    async def test_what_is_no_tls(self, serving: Callable[..., Serving], said: bytes) -> None:
        async with serving() as it:
            with it.silent() as client:
                client.send(said)
                assert not (await until_closed(client)).startswith(b"re: ")

    async def test_silent_clients_give_way(self, serving: Callable[..., Serving]) -> None:
        """They count as connections do, handshake or not."""
        async with serving(limits=Limits(connections=10)) as it:
            silent = [it.silent() for _ in range(40)]
            try:
                async with it.connected() as client:
                    assert await client.ask(b"one") == [b"re: one"]
                    for each in silent[:31]:
                        await until_closed(each)
            finally:
                for each in silent:
                    each.close()

    async def test_old_versions_are_refused(self, serving: Callable[..., Serving]) -> None:
        async with serving() as it:
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                it.trusted.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(LOCAL, it.port, ssl=it.trusted)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
    async def test_new_ones_are_spoken(self, serving: Callable[..., Serving], version: ssl.TLSVersion) -> None:
        async with serving() as it:
            it.trusted.minimum_version = it.trusted.maximum_version = version
            async with it.connected() as client:
                assert await client.ask(b"one") == [b"re: one"]


class TestTheEnd:
    async def test_who_is_idle_is_told(self, serving: Callable[..., Serving]) -> None:
        async with serving(limits=Limits(idle_seconds=0.1)) as it, it.connected() as client:
            assert await client.ask(b"one") == [b"re: one"]
            assert await client.is_over()

    async def test_the_server_stops(self, serving: Callable[..., Serving]) -> None:
        async with serving() as it:
            client = Client(*await asyncio.open_connection(LOCAL, it.port, ssl=it.trusted))
            assert await client.ask(b"one") == [b"re: one"]
        assert await client.is_over()
        client.writer.transport.abort()

    async def test_who_has_asked_all_gets_the_last_answers(
        self, serving: Callable[..., Serving], authority: Authority
    ) -> None:
        """A client that says in TLS that it has no more to ask, and reads on (RFC 8446 section 6.1)."""

        async def late(packet: bytes) -> bytes:
            await asyncio.sleep(0.1)
            return packet

        async with serving(lambda packet, _client: late(packet)) as it:

            def ask() -> bytes:
                with socket.create_connection((LOCAL, it.port), timeout=DEADLINE) as plain:
                    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                    tls = it.trusted.wrap_bio(incoming, outgoing, server_hostname=LOCAL)
                    _until_done(tls.do_handshake, plain, incoming, outgoing)
                    tls.write(framed(b"last"))
                    with pytest.raises(ssl.SSLWantReadError):
                        tls.unwrap()
                    plain.sendall(outgoing.read())
                    while piece := plain.recv(4096):
                        incoming.write(piece)
                    return tls.read(100)

            assert await asyncio.to_thread(ask) == framed(b"last")

    async def test_who_has_asked_much_at_once_gets_all_of_it(
        self, serving: Callable[..., Serving], authority: Authority
    ) -> None:
        """More than is answered in one turn, and the end behind it in one piece."""
        messages = [b"%d" % number for number in range(200)]
        expected = framed(*(b"re: " + each for each in messages))
        async with serving() as it:

            def ask() -> bytes:
                with socket.create_connection((LOCAL, it.port), timeout=DEADLINE) as plain:
                    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                    tls = it.trusted.wrap_bio(incoming, outgoing, server_hostname=LOCAL)
                    _until_done(tls.do_handshake, plain, incoming, outgoing)
                    tls.write(framed(*messages))
                    with pytest.raises(ssl.SSLWantReadError):
                        tls.unwrap()
                    plain.sendall(outgoing.read())
                    while piece := plain.recv(4096):
                        incoming.write(piece)
                    found = b""
                    while len(found) < len(expected):
                        found += tls.read(len(expected))
                    return found

            assert await asyncio.to_thread(ask) == expected

    async def test_what_is_left_unread_does_not_pile_up(self, serving: Callable[..., Serving]) -> None:
        answered = 0

        def respond(_packet: bytes, _client: object) -> bytes:
            nonlocal answered
            answered += 1
            return bytes(60_000)

        async with serving(respond) as it, it.connected() as client:
            client.writer.write(framed(*[b"long"] * 1000))
            before, rests = -1, 0
            while rests < 20:
                rests = rests + 1 if answered == before > 0 else 0
                before = answered
                await asyncio.sleep(0.005)
            assert answered * 60_000 < 32 << 20  # most of it the kernel's, at both ends
            for _ in range(1000):
                assert await client.receive() == bytes(60_000)


def _until_done(
    step: Callable[[], object], plain: socket.socket, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
) -> None:
    while True:
        try:
            step()
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65536))
        else:
            plain.sendall(outgoing.read())
            return


async def test_another_certificate_is_for_new_connections(
    serving: Callable[..., Serving], authority: Authority
) -> None:
    """Those that are open go on, and are answered by whoever answers now."""
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    other.load_cert_chain(*authority.server(["IP:127.0.0.1", "DNS:other.example"]))

    def names(client: Client) -> Iterable[str]:
        return [name for _, name in client.writer.get_extra_info("peercert")["subjectAltName"]]

    async with serving() as it, it.connected() as before:
        assert await before.ask(b"one") == [b"re: one"]
        it.server.swap(lambda packet, _: packet, lambda packet, _: packet, Limits(), other)
        async with it.connected() as after:
            assert await before.ask(b"two") == [b"two"]
            assert await after.ask(b"three") == [b"three"]
            assert (names(before), names(after)) == ([LOCAL], [LOCAL, "other.example"])
