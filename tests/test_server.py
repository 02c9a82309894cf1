"""The server's sockets, with a respond of our own: packets are bytes here, and need not be DNS."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import struct
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterdns.server import CannotListen, Limits, Server, address_text, batches
from clusterdns.server.server import BEGUN, MESSAGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from typing import Self

LOCAL = "127.0.0.1"
PORT_RANGE = tuple(map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()))
DEADLINE = 10


def echo(packet: bytes, _client: object) -> bytes | None:
    """Says what it hears, and nothing to nothing."""
    return b"re: " + packet if packet else None


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(each)) + each for each in messages)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - whatever it is, it happens elsewhere
            await asyncio.sleep(0.005)


def open_sockets() -> set[str]:
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder's own
            found.add(str(each.readlink()))
    return {each for each in found if each.startswith("socket:")}


def has_ended(client: socket.socket) -> bool:
    """Whether the server has said that it says no more, whatever of what it said before is still to be read."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    return bool(poll.poll(0))


@asynccontextmanager
async def serving(respond: Callable[[bytes], bytes | None] = echo, limits: Limits | None = None) -> AsyncIterator[int]:
    """A server on a free port of 127.0.0.1."""
    server = Server(respond, respond, limits or Limits())
    ((_, port),) = await server.start([(LOCAL, 0)])
    try:
        yield port
    finally:
        await server.stop()


class Client:
    """A TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            return await self.reader.readexactly(length)

    async def receive_all(self) -> list[bytes]:
        """Every message until the server closes; an error if it ends within one."""
        messages = []
        while not await self.is_over():
            messages.append(await self.receive())
        return messages

    async def is_over(self) -> bool:
        """Whether the server has closed the connection, by an end or a reset, rather than said something more."""
        try:
            async with asyncio.timeout(DEADLINE):
                first = await self.reader.read(1)
        except ConnectionResetError:
            return True
        self.reader._buffer[:0] = first  # type: ignore[attr-defined]
        return not first


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection(LOCAL, port))
    try:
        yield client
    finally:
        client.writer.transport.abort()


class TestSegmentation:
    """RFC 7766 section 8: a message may come in any number of segments, and a segment may hold several messages."""

    MESSAGES = (b"one", b"two" * 500, b"3", b"four" * 5000, b"five")
    REPLIES = tuple(b"re: " + each for each in MESSAGES)

    async def exchanged(self, pieces: Iterable[bytes]) -> tuple[bytes, ...]:
        async with serving() as port, connected(port) as client:
            for piece in pieces:
                client.send(piece)
                await asyncio.sleep(0)  # the server's turn: it reads this piece by itself
                await asyncio.sleep(0)
            client.writer.write_eof()
            return tuple(await client.receive_all())

    async def test_whole(self) -> None:
        assert await self.exchanged([framed(*self.MESSAGES)]) == self.REPLIES

    async def test_message_by_message(self) -> None:
        assert await self.exchanged([framed(each) for each in self.MESSAGES]) == self.REPLIES

    async def test_byte_by_byte(self) -> None:
        sent = framed(b"one", b"three")
        assert await self.exchanged(sent[i : i + 1] for i in range(len(sent))) == (b"re: one", b"re: three")

    async def test_length_and_message_apart(self) -> None:
        pieces = [part for each in self.MESSAGES for part in (framed(each)[:2], each)]
        assert await self.exchanged(pieces) == self.REPLIES

    @settings(max_examples=40)
    @given(st.lists(st.integers(0, len(framed(*MESSAGES))), max_size=20).map(sorted))
    def test_any_cut(self, cuts: list[int]) -> None:
        sent = framed(*self.MESSAGES)
        ends = [*cuts, len(sent)]
        pieces = [sent[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
        assert b"".join(pieces) == sent
        assert asyncio.run(self.exchanged(pieces)) == self.REPLIES

    async def test_the_longest_message(self) -> None:
        async with serving(lambda packet, _client: packet[::-1]) as port, connected(port) as client:
            client.send(framed(b"a" + bytes(65534)))
            assert await client.receive() == bytes(65534) + b"a"

    @pytest.mark.parametrize("sent", [b"x" * 101, b"x" * 5000])
    async def test_a_message_that_is_too_long_is_cut_off_and_the_last(self, sent: bytes) -> None:
        """Nobody waits for its end."""
        async with serving(limits=Limits(longest_query=100)) as port, connected(port) as client:
            client.send(framed(b"one", b"y" * 100))
            assert [await client.receive() for _ in range(2)] == [b"re: one", b"re: " + b"y" * 100]
            client.send(framed(sent)[:102])
            assert await client.receive_all() == [b"re: " + b"x" * 100]

    async def test_half_a_message_is_no_message(self) -> None:
        assert await self.exchanged([framed(b"one"), b"\0\x05half"]) == (b"re: one",)


class TestStreams:
    async def test_pipelined_queries_are_answered_in_order(self) -> None:
        messages = [str(number).encode() for number in range(2000)]
        async with serving() as port, connected(port) as client:
            client.send(framed(*messages))
            assert [await client.receive() for _ in messages] == [b"re: " + each for each in messages]

    async def test_a_connection_serves_many_queries_in_turn(self) -> None:
        async with serving() as port, connected(port) as client:
            for number in range(50):
                client.send(framed(b"%d" % number))
                assert await client.receive() == b"re: %d" % number

    async def test_a_half_closed_connection_gets_its_answers(self) -> None:
        """Whoever has asked all its questions still wants to know."""
        messages = [b"question" * 1000] * 300
        async with serving() as port, connected(port) as client:
            client.send(framed(*messages))
            client.writer.write_eof()
            assert await client.receive_all() == [b"re: " + each for each in messages]

    async def test_silence_closes(self) -> None:
        """To a message that deserves no reply, and the answers before it arrive."""
        async with serving() as port, connected(port) as client:
            client.send(framed(b"one", b"", b"two"))
            assert await client.receive_all() == [b"re: one"]

    async def test_a_client_that_resets_harms_no_other(self) -> None:
        async with serving() as port, connected(port) as client:
            for _ in range(20):
                with socket.create_connection((LOCAL, port)) as rude:
                    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    rude.sendall(framed(b"x" * 60000)[: 100 + 100 * 3])
            client.send(framed(b"still there?"))
            assert await client.receive() == b"re: still there?"


class TestIdleClients:
    async def test_one_that_says_nothing_is_closed(self) -> None:
        async with serving(limits=Limits(idle_seconds=0.05)) as port, connected(port) as client:
            assert await client.is_over()

    async def test_one_that_was_answered_is_closed_later(self) -> None:
        async with serving(limits=Limits(idle_seconds=0.05)) as port, connected(port) as client:
            client.send(framed(b"one"))
            assert await client.receive_all() == [b"re: one"]

    async def test_one_that_trickles_is_closed_too(self) -> None:
        """Bytes that never make a message do not count."""
        async with serving(limits=Limits(idle_seconds=0.5)) as port, connected(port) as client:
            async with asyncio.timeout(DEADLINE):
                while not client.reader.at_eof() and client.reader.exception() is None:
                    client.send(b"\xff")
                    await asyncio.sleep(0.05)

    async def test_one_that_asks_is_not(self) -> None:
        limits = Limits(idle_seconds=1.0)
        async with serving(limits=limits) as port, connected(port) as client, connected(port) as idle:
            # It asks for as long as it takes the server to close the other one, and once more.
            while not idle.reader.at_eof():
                client.send(framed(b"one"))
                assert await client.receive() == b"re: one"
                await asyncio.sleep(0.02)
            client.send(framed(b"two"))
            assert await client.receive() == b"re: two"


class TestManyClients:
    """RFC 7766 section 6.2.3: when all connections are taken, the one that is idle for longest gives way."""

    async def test_the_longest_idle_gives_way(self) -> None:
        async with (
            serving(limits=Limits(connections=3)) as port,
            connected(port) as first,
            connected(port) as second,
            connected(port) as third,
        ):
            for client in (second, third, first):
                client.send(framed(b"one"))
                assert await client.receive() == b"re: one"
            async with connected(port) as fourth:
                fourth.send(framed(b"four"))
                assert await fourth.receive() == b"re: four"
                assert await second.is_over()
                for client in (first, third):
                    client.send(framed(b"two"))
                    assert await client.receive() == b"re: two"

    async def test_there_are_never_more(self) -> None:
        """Even when they come all at once."""
        async with serving(limits=Limits(connections=10)) as port:
            clients: list[socket.socket] = []
            try:
                clients.extend(socket.create_connection((LOCAL, port)) for _ in range(60))
                async with connected(port) as last:
                    last.send(framed(b"last"))
                    assert await last.receive() == b"re: last"

                    def is_closed(client: socket.socket) -> bool:
                        client.setblocking(False)
                        try:
                            return client.recv(1) == b""
                        except BlockingIOError:
                            return False
                        except ConnectionResetError:
                            return True

                    await until(lambda: sum(map(is_closed, clients)) >= 51)
                    assert sum(map(is_closed, clients)) == 51
                    assert all(map(is_closed, clients[:51]))
            finally:
                for client in clients:
                    client.close()

    async def test_a_client_that_has_many_gives_way_to_itself(self) -> None:
        """However long others have been idle."""
        limits = Limits(connections=10, connections_per_client=2)
        async with serving(limits=limits) as port:
            other = Client(*await asyncio.open_connection(LOCAL, port, local_addr=("127.0.0.2", 0)))
            try:
                async with connected(port) as first, connected(port) as second, connected(port) as third:
                    assert await first.is_over()
                    for client in (second, third, other):
                        client.send(framed(b"one"))
                        assert await client.receive() == b"re: one"
            finally:
                other.writer.transport.abort()

    async def test_those_that_stay_are_served(self) -> None:
        async with serving(limits=Limits(connections=10)) as port:
            clients = [Client(*await asyncio.open_connection(LOCAL, port)) for _ in range(30)]
            try:
                for client in clients[-10:]:
                    client.send(framed(b"one"))
                    assert await client.receive() == b"re: one"
                for client in clients[:-10]:
                    assert await client.is_over()
            finally:
                for client in clients:
                    client.writer.transport.abort()


class TestConnectionsThatAreOver:
    async def test_nothing_of_them_waits_for_the_garbage_collector(self) -> None:
        """Which comes by rarely, so that a flood would leave much behind."""
        async with serving() as port:

            async def come_and_go(count: int) -> None:
                clients = [socket.create_connection((LOCAL, port)) for _ in range(count)]
                async with connected(port) as last:
                    last.send(framed(b"last"))
                    assert await last.receive() == b"re: last"
                for client in clients:
                    client.close()
                await until(lambda: len(open_sockets()) <= before)

            before = len(open_sockets())
            await come_and_go(10)
            gc.collect()
            gc.disable()
            try:
                await come_and_go(100)
                transports = [each for each in gc.get_objects() if type(each).__name__ == "_SelectorSocketTransport"]
                assert len(transports) < 10
            finally:
                gc.enable()


class TestManyPipelines:
    async def test_datagrams_get_their_turn(self) -> None:
        """Of many long pipelines, so many messages in all are answered between two looks at the datagrams."""
        asked: list[bytes] = []

        def note(packet: bytes, _client: object) -> bytes:
            asked.append(packet)
            return packet

        async with serving(note) as port:
            clients = [Client(*await asyncio.open_connection(LOCAL, port)) for _ in range(20)]
            try:
                with Datagrams(port) as datagrams:
                    for client in clients:
                        client.send(framed(*[b"long"] * 1000))
                    await until(lambda: len(asked) >= 100)
                    before = len(asked)
                    datagrams.send(b"short")
                    await until(lambda: datagrams.received)
                    assert asked.index(b"short") - before <= 3 * MESSAGES
                for client in clients:
                    for _ in range(1000):
                        assert await client.receive() == b"long"
            finally:
                for client in clients:
                    client.writer.transport.abort()


class TestSlowReaders:
    REPLY = bytes(60_000)
    COUNT = 1000

    @asynccontextmanager
    async def slow(self) -> AsyncIterator[tuple[int, socket.socket, list[int]]]:
        """A client that has asked for 60 MB of replies, has read none, and gets no more written."""
        answered = [0]

        def long_winded(packet: bytes, _client: object) -> bytes:
            answered[0] += packet == b"long"
            return self.REPLY if packet == b"long" else packet

        async with serving(long_winded) as port:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect((LOCAL, port))
                client.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(client, framed(*[b"long"] * self.COUNT))
                before, rests = -1, 0
                while rests < 20:
                    rests = rests + 1 if answered[0] == before > 0 else 0
                    before = answered[0]
                    await asyncio.sleep(0.005)
                yield port, client, answered

    async def test_its_replies_do_not_pile_up(self) -> None:
        async with self.slow() as (_, _, answered):
            assert answered[0] * len(self.REPLY) < 16 << 20  # most of it the kernel's

    async def test_it_gets_them_all_when_it_reads(self) -> None:
        async with self.slow() as (_, client, answered):
            left = self.COUNT * (2 + len(self.REPLY))
            async with asyncio.timeout(30):
                while left:
                    left -= len(await asyncio.get_running_loop().sock_recv(client, min(left, 1 << 20)))
            assert answered[0] == self.COUNT

    async def test_the_others_are_served_meanwhile(self) -> None:
        async with self.slow() as (port, _, _), connected(port) as other:
            other.send(framed(b"short"))
            assert await other.receive() == b"short"


class Datagrams:
    """A UDP client. It empties its socket at each wake-up, so that the kernel need not drop what it has not read."""

    def __init__(self, port: int) -> None:
        self.received: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect((LOCAL, port))
        self._loop.add_reader(self._socket, self._read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def send(self, packet: bytes) -> None:
        self._socket.send(packet)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.received.append(self._socket.recv(65536))


@pytest.fixture(params=["many a call", "one a call"])
def system_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux, and as where there is no call for many datagrams at once."""
    if request.param == "one a call":
        monkeypatch.setattr(batches, "ARE_THERE", False)


@pytest.mark.usefixtures("system_calls")
class TestDatagrams:
    @pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
    async def test_a_burst_is_answered_to_the_last(self, host: str) -> None:
        server = Server(echo, echo, Limits())
        ((_, port),) = await server.start([(host, 0)])
        with Datagrams(port) as client:
            for number in range(500):
                client.send(b"%d" % number)
            await until(lambda: len(client.received) == 500)
            assert client.received == [b"re: %d" % number for number in range(500)]
        await server.stop()

    @pytest.mark.parametrize(("listening", "asked"), [("0.0.0.0", "127.0.0.7"), ("::", "::1"), (LOCAL, LOCAL)])
    async def test_a_reply_comes_from_the_address_that_was_asked(self, listening: str, asked: str) -> None:
        """Also where some get none, one is too long for its place, and one comes later."""

        async def later(packet: bytes) -> bytes:
            await asyncio.sleep(0)
            return b"later " + packet

        def respond(packet: bytes, client: tuple[Any, ...]) -> Any:
            clients.append(client)
            if packet == b"fault":
                raise ValueError(packet)
            if packet == b"soon":
                return later(packet)
            return {b"no": None, b"long": b"x" * 20_000}.get(packet, b"re: " + packet)

        clients: list[tuple[Any, ...]] = []
        faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
        server = Server(respond, respond, Limits())
        ((_, port),) = await server.start([(listening, 0)])
        try:
            family = socket.AF_INET6 if ":" in asked else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.connect((asked, port))  # so it hears of nobody else
                heard = []
                for packet in (b"1", b"no", b"2", b"fault", b"soon", b"long", b"3", b"4"):
                    client.send(packet)

                def hear() -> bool:
                    with suppress(BlockingIOError):
                        heard.append(client.recv(30_000))
                    return len(heard) == 6

                await until(hear)
                here = client.getsockname()
        finally:
            await server.stop()
        assert sorted(heard) == sorted([b"re: 1", b"re: 2", b"re: 3", b"re: 4", b"later soon", b"x" * 20_000])
        assert set(clients) == {here}
        assert [str(each) for each in faults] == [str(b"fault")]

    async def test_silence_is_silence(self) -> None:
        async with serving() as port:
            with Datagrams(port) as client:
                for packet in (b"", b"one", b"", b"two"):
                    client.send(packet)
                await until(lambda: len(client.received) > 1)
                assert client.received == [b"re: one", b"re: two"]

    async def test_a_client_that_is_gone_harms_no_other(self) -> None:
        """The kernel tells the server about its unreachable port."""
        async with serving() as port:
            for _ in range(20):
                with socket.socket(type=socket.SOCK_DGRAM) as gone:
                    gone.sendto(b"bye", (LOCAL, port))
            with Datagrams(port) as client:
                client.send(b"still there?")
                await until(lambda: client.received)
                assert client.received == [b"re: still there?"]

    async def test_a_reply_that_is_too_long_is_lost_alone(self) -> None:
        async with serving(lambda packet, _client: bytes(70_000) if packet == b"long" else packet) as port:
            with Datagrams(port) as client:
                client.send(b"long")
                client.send(b"short")
                await until(lambda: client.received)
                assert client.received == [b"short"]

    async def test_streams_get_their_turn_in_a_flood(self) -> None:
        async with serving() as port, connected(port) as client:
            with socket.socket(type=socket.SOCK_DGRAM) as flood:
                flood.connect((LOCAL, port))
                for _ in range(1000):
                    flood.send(b"x")
                client.send(framed(b"my turn"))
                assert await client.receive() == b"re: my turn"


class TestStart:
    async def test_udp_and_tcp_have_their_own_respond(self) -> None:
        server = Server(lambda *_: b"datagram", lambda *_: b"stream", Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        try:
            async with connected(port) as stream:
                stream.send(framed(b"?"))
                assert await stream.receive() == b"stream"
            with Datagrams(port) as client:
                client.send(b"?")
                await until(lambda: client.received)
                assert client.received == [b"datagram"]
        finally:
            await server.stop()

    async def test_it_says_which_ports_it_took(self) -> None:
        server = Server(echo, echo, Limits())
        bound = await server.start([(LOCAL, 0), ("127.0.0.2", 0), ("0.0.0.0", 0)])
        try:
            assert [host for host, _ in bound] == [LOCAL, "127.0.0.2", "0.0.0.0"]
            assert all(0 < port < 65536 for _, port in bound)
        finally:
            await server.stop()

    async def test_a_free_port_is_free_over_both(self) -> None:
        """Where some other program holds every other TCP port, the kernel's choice for UDP may be one of these."""
        taken = []
        try:
            for port in range(*PORT_RANGE, 2):
                held = socket.socket()
                taken.append(held)
                try:
                    held.bind(("127.0.0.77", port))
                except OSError:
                    continue
                if len(taken) > 800:
                    break
            for _ in range(100):
                server = Server(echo, echo, Limits())
                await server.start([("127.0.0.77", 0)])
                await server.stop()
        finally:
            for held in taken:
                held.close()

    @pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["UDP", "TCP"])
    async def test_it_listens_everywhere_or_nowhere(self, kind: int) -> None:
        before = open_sockets()
        with socket.socket(type=kind) as taken:
            taken.bind((LOCAL, 0))
            if kind == socket.SOCK_STREAM:
                taken.listen()
            port = taken.getsockname()[1]
            server = Server(echo, echo, Limits())
            with pytest.raises(CannotListen, match=rf"^cannot listen on 127\.0\.0\.1:{port}: the port is in use$"):
                await server.start([("127.0.0.2", 0), ("127.0.0.3", 0), (LOCAL, port)])
        assert open_sockets() == before

    async def test_the_same_address_twice(self) -> None:
        server = Server(echo, echo, Limits())
        with pytest.raises(CannotListen, match="the port is in use"):
            await server.start([("127.0.0.9", 40953), ("127.0.0.9", 40953)])

    async def test_an_address_of_another_machine(self) -> None:
        server = Server(echo, echo, Limits())
        with pytest.raises(CannotListen, match=r"192\.0\.2\.1:5353: this machine has no such address"):
            await server.start([("192.0.2.1", 5353)])


@pytest.mark.usefixtures("system_calls")
class TestStop:
    async def test_it_leaves_no_socket(self) -> None:
        before = open_sockets()
        server = Server(echo, echo, Limits())
        bound = await server.start([(LOCAL, 0), ("0.0.0.0", 0)])
        async with connected(bound[0][1]) as idle, connected(bound[1][1]) as busy:
            busy.send(framed(b"one") + b"\0\x10half")
            assert await busy.receive() == b"re: one"
            await server.stop()
            assert await idle.is_over()
            assert await busy.is_over()
        await until(lambda: open_sockets() == before)

    async def test_datagrams_that_have_come_are_answered(self) -> None:
        """Those that wait in the kernel when the socket closes: a client would take them for lost."""
        server = Server(echo, echo, Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.connect((LOCAL, port))
            for number in range(100):
                client.send(b"%d" % number)
            await server.stop()
            assert [client.recv(100) for _ in range(100)] == [b"re: %d" % number for number in range(100)]

    async def test_those_whom_nobody_has_accepted_are_answered(self) -> None:
        """The kernel connects them all by itself, and would reset them."""
        server = Server(echo, echo, Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        clients = [socket.create_connection((LOCAL, port), timeout=DEADLINE) for _ in range(100)]
        for each in clients:
            each.sendall(framed(b"one"))
        await server.stop()
        assert [each.recv(100) for each in clients] == [framed(b"re: one")] * len(clients)
        for each in clients:
            each.close()

    async def test_datagrams_are_answered_while_others_are_waited_for(self) -> None:
        server = Server(echo, echo, Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        async with connected(port):
            stopping = asyncio.create_task(server.stop())
            with Datagrams(port) as client:
                client.send(b"still there?")
                await until(lambda: client.received)
                assert not stopping.done()
                assert client.received == [b"re: still there?"]
            await stopping

    async def test_a_query_that_crosses_the_end_takes_no_answer_away(self) -> None:
        server = Server(echo, echo, Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        with socket.create_connection((LOCAL, port), timeout=DEADLINE) as client:
            client.sendall(framed(b"one"))
            stopping = asyncio.create_task(server.stop())
            await until(lambda: has_ended(client))
            client.sendall(framed(b"two"))
            await stopping
            assert client.recv(100) == framed(b"re: one")

    async def test_what_was_asked_is_answered(self) -> None:
        server = Server(echo, echo, Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        async with connected(port) as client:
            client.send(framed(*[b"x" * 1000] * 200))
            first = await client.receive()
            await server.stop()
            assert [first, *await client.receive_all()] == [b"re: " + b"x" * 1000] * 200

    async def test_a_client_that_never_reads_does_not_hold_it_up(self) -> None:
        reply = bytes(60_000)
        server = Server(echo, lambda *_: reply, Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((LOCAL, port))
            client.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(client, framed(*[b"long"] * 500))
            async with asyncio.timeout(DEADLINE):
                await server.stop()

    async def test_its_port_is_free_again(self) -> None:
        port = 0
        for _ in range(3):
            server = Server(echo, echo, Limits())
            ((_, port),) = await server.start([(LOCAL, port)])
            async with connected(port) as client:
                client.send(framed(b"one"))
                assert await client.receive() == b"re: one"
                await server.stop()


@pytest.mark.parametrize(
    ("host", "text"), [("127.0.0.1", "127.0.0.1:53"), ("::", "[::]:53"), ("fe80::1%lo", "[fe80::1%lo]:53")]
)
def test_addresses_as_text(host: str, text: str) -> None:
    assert address_text(host, 53) == text


@pytest.mark.usefixtures("system_calls")
class TestRepliesToCome:
    """What the responder can not say at once."""

    @staticmethod
    def slow(seconds: float = 0.05, size: int = 0) -> Callable[[bytes, object], Any]:
        """Answers `now` at once, and everything else later."""

        async def later(packet: bytes) -> bytes:
            await asyncio.sleep(seconds)
            return b"re: " + packet + bytes(size)

        def respond(packet: bytes, _client: object) -> Any:
            return b"re: now" if packet == b"now" else later(packet)

        return respond

    async def test_over_udp(self) -> None:
        async with serving(self.slow()) as port:
            with socket.socket(type=socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.connect((LOCAL, port))
                loop = asyncio.get_running_loop()
                client.send(b"one")
                client.send(b"now")
                got = [await asyncio.wait_for(loop.sock_recv(client, 100), DEADLINE) for _ in range(2)]
        assert got == [b"re: now", b"re: one"]

    async def test_so_many_are_begun_in_a_turn(self) -> None:
        """However many are asked for, what can be said at once is said meanwhile; and none is forgotten."""
        begun: list[bytes] = []

        async def later(packet: bytes) -> bytes:
            begun.append(packet)
            return packet

        def respond(packet: bytes, _client: object) -> Any:
            return b"%d" % len(begun) if packet == b"now" else later(packet)

        async with serving(respond) as port:
            with socket.socket(type=socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.connect((LOCAL, port))
                for _ in range(60):
                    client.send(b"later")
                client.send(b"now")
                loop = asyncio.get_running_loop()
                got = [await asyncio.wait_for(loop.sock_recv(client, 100), DEADLINE) for _ in range(61)]
        (told,) = [int(each) for each in got if each != b"later"]
        assert told <= 3 * BEGUN
        assert len(begun) == 60

    async def test_those_in_line_are_waited_for_at_the_stop(self) -> None:
        server = Server(self.slow(0.01), self.slow(0.01), Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect((LOCAL, port))
            client.settimeout(DEADLINE)
            for number in range(40):
                client.send(b"%d" % number)
            await server.stop()
            assert {client.recv(100) for _ in range(40)} == {b"re: %d" % number for number in range(40)}

    async def test_over_tcp_as_they_become_ready(self) -> None:
        async with serving(self.slow()) as port, connected(port) as client:
            client.send(framed(b"one", b"now", b"two"))
            assert [await client.receive() for _ in range(3)] == [b"re: now", b"re: one", b"re: two"]

    async def test_a_client_that_has_asked_all_gets_them(self) -> None:
        """More than may be awaited at a time, and then the end of the stream."""
        messages = [b"%d" % number for number in range(250)]
        async with serving(self.slow(0.01)) as port, connected(port) as client:
            client.send(framed(*messages))
            client.writer.write_eof()
            assert set(await client.receive_all()) == {b"re: " + each for each in messages}

    async def test_a_client_that_does_not_read_them_is_cut_off(self) -> None:
        """A hundred replies of 60 KB may not wait for it: of those, the kernel keeps some and we keep a few."""
        limits = Limits(unread_late_bytes=100_000)
        async with serving(self.slow(0.01, 60_000), limits) as port:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect((LOCAL, port))
                before = open_sockets()
                client.sendall(framed(*[b"%d" % number for number in range(100)]))
                await until(lambda: open_sockets() > before)
                await until(lambda: open_sockets() == before)

    async def test_they_are_waited_for_at_the_stop(self) -> None:
        server = Server(self.slow(0.1), self.slow(0.1), Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect((LOCAL, port))
            client.send(b"one")
            await asyncio.sleep(0.01)
            await server.stop()
            assert client.recv(100) == b"re: one"

    async def test_and_then_hurried(self) -> None:
        hurried = asyncio.Event()

        async def until_hurried(packet: bytes) -> bytes:
            await hurried.wait()
            return b"re: " + packet

        server = Server(lambda packet, _: until_hurried(packet), lambda packet, _: until_hurried(packet), Limits())
        ((_, port),) = await server.start([(LOCAL, 0)])
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect((LOCAL, port))
            client.send(b"one")
            await asyncio.sleep(0.01)
            await server.stop(hurry=hurried.set)
            assert client.recv(100) == b"re: one"
