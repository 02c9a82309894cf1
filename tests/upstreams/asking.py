"""Many questions at once, over UDP and TCP, by a client that takes whatever comes back for what it is."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import dns.message

from tests.e2e.serving import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

WINDOW = 48
"""Questions under way at a time: few enough that no socket's buffer overflows."""

SECONDS = 10.0
"""For an answer that no fault holds up."""


def ask(
    server: tuple[str, int],
    name: str,
    rtype: str = "A",
    *,
    tcp: bool = False,
    seconds: float = SECONDS,
    **options: Any,
) -> dns.message.Message:
    """One question; the reply, which dnspython takes for one to it."""
    query = dns.message.make_query(name, rtype, **options)
    (packet,) = (over_tcp if tcp else over_udp)(server, [query.to_wire()], seconds=seconds)
    assert packet is not None, f"silence for {name} {rtype}"
    reply = dns.message.from_wire(packet)
    assert reply.id == query.id
    assert reply.question == query.question
    return reply


def over_udp(
    server: tuple[str, int], packets: Sequence[bytes], *, window: int = WINDOW, seconds: float = SECONDS
) -> list[bytes | None]:
    """The reply to each; None for silence that lasted so many seconds."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        client.connect(server)
        return _exchange(packets, client, client.send, lambda: [client.recv(65535)], window=window, seconds=seconds)


def over_tcp(
    server: tuple[str, int], packets: Sequence[bytes], *, window: int = WINDOW, seconds: float = SECONDS
) -> list[bytes | None]:
    """The same on one connection, pipelined."""
    with socket.create_connection(server, timeout=seconds) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = bytearray()

        def receive() -> Iterator[bytes]:
            chunk = client.recv(65535)
            assert chunk, "the connection was closed on us"
            received.extend(chunk)
            while len(received) >= 2 and len(received) >= 2 + (length := struct.unpack_from("!H", received)[0]):
                yield bytes(received[2 : 2 + length])
                del received[: 2 + length]

        def send(packet: bytes) -> None:
            client.sendall(struct.pack("!H", len(packet)) + packet)

        return _exchange(packets, client, send, receive, window=window, seconds=seconds)


def _exchange(
    packets: Sequence[bytes],
    client: socket.socket,
    send: Callable[[bytes], object],
    receive: Callable[[], Iterator[bytes] | list[bytes]],
    *,
    window: int,
    seconds: float,
) -> list[bytes | None]:
    """Under IDs of our own, so that none is there twice; the replies have those that were given."""
    replies: list[bytes | None] = [None] * len(packets)
    unanswered: set[int] = set()
    following = 0
    while following < len(packets) or unanswered:
        while following < len(packets) and len(unanswered) < window:
            send((following % 65536).to_bytes(2) + packets[following][2:])
            unanswered.add(following)
            following += 1
        if not select.select([client], [], [], seconds)[0]:
            unanswered.clear()
            continue
        for reply in receive():
            number = next((n for n in unanswered if n % 65536 == int.from_bytes(reply[:2])), None)
            if number is not None:
                unanswered.remove(number)
                replies[number] = packets[number][:2] + reply[2:]
    return replies


class Exchange(NamedTuple):
    """sent, received: by the monotonic clock; reply None and received infinite if there was none."""

    name: str
    sent: float
    received: float
    reply: bytes | None

    @property
    def message(self) -> dns.message.Message:
        assert self.reply is not None
        return dns.message.from_wire(self.reply)


class Load:
    """Asks on and on, so many queries a second, from a thread of its own; `with Load(…) as load: …`.

    names: of the queries, in turn.
    Behind the `with`, load.exchanges holds them all, and each was given `seconds` to be answered.
    """

    def __init__(
        self,
        server: tuple[str, int],
        names: Iterator[str],
        *,
        rate: float = 300,
        seconds: float = SECONDS,
        **edns: Any,
    ) -> None:
        self._server, self._names, self._interval, self._seconds, self._edns = server, names, 1 / rate, seconds, edns
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._sent: dict[int, tuple[str, float]] = {}
        self._count = 0
        self.exchanges: list[Exchange] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def go_on(self, queries: int) -> None:
        """Until so many more were sent."""
        enough = self._count + queries
        eventually(lambda: self._count >= enough, f"{queries} more queries")

    def unanswered(self) -> list[str]:
        return [each.name for each in self.exchanges if each.reply is None]

    def _run(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(self._server)
            client.setblocking(False)
            due = time.monotonic()
            for number in count():
                if self._stopping.is_set():
                    break
                name = next(self._names)
                query = dns.message.make_query(name, "A", id=number % 65536, **self._edns)
                self._sent[number % 65536] = (name, time.monotonic())
                client.send(query.to_wire())
                self._count = number + 1
                due = max(due + self._interval, time.monotonic() - 0.1)
                while (left := due - time.monotonic()) > 0:
                    self._receive(client, left)
            deadline = time.monotonic() + self._seconds
            while self._sent and time.monotonic() < deadline:
                self._receive(client, 0.05)
        self.exchanges += [Exchange(name, sent, float("inf"), None) for name, sent in self._sent.values()]

    def _receive(self, client: socket.socket, seconds: float) -> None:
        if select.select([client], [], [], seconds)[0]:
            reply = client.recv(65535)
            name, sent = self._sent.pop(int.from_bytes(reply[:2]), ("", 0.0))
            if name:
                self.exchanges.append(Exchange(name, sent, time.monotonic(), reply))
