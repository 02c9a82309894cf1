"""TCP (RFC 7766): connections are accepted, read in rounds, and closed when they have been idle."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import socket
import struct
import termios
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.server import leftovers
from clusterdns.server.replies import StreamClient

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
    from collections.abc import Callable

    from clusterdns.server.holding import Holding
    from clusterdns.server.replies import Client, Promises, Respond
    from clusterdns.server.turns import Turns

log = logging.getLogger("clusterdns.server")

DRAIN = 16
"""Messages of one stream answered before the others get their turn."""

ACCEPTS = 16
"""Connections accepted a wake-up."""

ACCEPT_PAUSE_SECONDS = 0.5

PIECE = 16 << 10
"""Bytes read at one time: what a connection holds of a pipeline that is longer than we answer it."""

QUIET_SECONDS = 0.02
"""Without anything new, once this server leaves, until a client is taken to have no more to ask for now."""


class Limits(Struct, frozen=True):
    """What clients over TCP may take of us (RFC 7766 section 6)."""

    connections: int = 1000
    connections_per_client: int = 250
    """Of one IPv4 address, or one IPv6 network of 64 bits."""
    idle_seconds: float = 10.0
    longest_query: int = 0xFFFF
    """Bytes. What is longer is answered as if it ended there, and ends the connection: many clients, each of which
    lets us wait for the end of such a message, would take up much memory."""
    unread_bytes: int = 16 << 10
    """Replies that a client has not read yet, before we read no more of its queries."""
    awaited_replies: int = 100
    """Replies to come on one connection, before we read no more of its queries."""
    unread_late_bytes: int = 256 << 10
    """Replies that came later and are not read yet, before the connection ends."""


class Listener:
    """One listening TCP socket. A burst of clients, or want of descriptors, must not keep the loop from answering."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, tcp: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._loop = loop
        self._socket = tcp
        self._protocol = protocol
        self._tasks: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_short = False
        loop.add_reader(tcp, self._accept)

    async def close(self) -> None:
        """Accept who has come so far, and no more: the kernel resets those whom nobody has accepted."""
        if self._pause:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        with contextlib.suppress(OSError):  # there are no descriptors left
            while self._accept_one():
                pass
        self._socket.close()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                is_one = self._accept_one()
            except OSError as error:
                self._wait(error)
                return
            if not is_one:
                return
            self._is_short = False

    def _accept_one(self) -> bool:
        """Whether there was one."""
        try:
            client, _address = self._socket.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True
        client.setblocking(False)  # noqa: FBT003
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def _wait(self, error: OSError) -> None:
        """There are no descriptors left, or no memory: leave the clients in the queue for a while."""
        if not self._is_short:
            log.warning(
                "connections have to wait, nothing is left to accept them with: %(error)s", {"error": error.strerror}
            )
        self._is_short = True
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._loop.add_reader, self._socket, self._accept)


_PIECE = memoryview(bytearray(PIECE))
"""Where all connections read to, one after the other: what has come is taken out of it at once."""


class Connection(asyncio.BufferedProtocol, asyncio.Protocol):
    """One TCP client: messages behind their lengths, cut into segments as the network pleases (RFC 7766 section 8)."""

    _transport: asyncio.Transport

    def __init__(
        self, respond: Respond, limits: Limits, connections: Holding[Connection], turns: Turns, to_come: Promises
    ) -> None:
        self._respond = respond
        self._turns = turns
        self._to_come = to_come
        self._client: Client = ("",)
        self._waiting: list[asyncio.Future[None]] = []
        """Whoever has more to send, once the client has read what it was sent."""
        self._is_ended = False
        self.awaited = 0
        """Replies to come."""
        self.limits = limits
        self._connections = connections
        self._received = bytearray()
        self._is_writable = True
        self._has_asked = False
        self._is_busy = False
        self._is_in_line = False
        self._is_leaving = False
        self._ends_with_an_answer = False
        self._is_over = False
        self._quiet: asyncio.TimerHandle | None = None
        self.last_query = asyncio.get_running_loop().time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream server makes
        self._transport = transport
        client = StreamClient(transport.get_extra_info("peername") or self._client)
        client.send, client.cut = self._send, transport.abort
        self._client = client
        transport.set_write_buffer_limits(self.limits.unread_bytes)
        address, limits = self._client[0], self.limits
        self._connections.add(self, address)
        # The ones that have been idle the longest give way, as RFC 7766 section 6.2.3 lets a server do. Whoever
        # does is counted until its connection is lost, so that those that come in one burst each find another.
        for each in self._connections.excess(address, limits.connections, limits.connections_per_client):
            each.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.remove(self)
        leftovers.clear(self._transport)
        if self._quiet is not None:
            self._quiet.cancel()
        self._client = ("",)  # it leads back to us
        self._wake()

    def leave(self) -> None:
        """End once the client is answered and asks no more for a moment: what it asks next, others shall answer."""
        if not self._is_leaving:
            self._is_leaving = True
            if self._has_asked:
                self._look_for_quiet()

    def end_with_an_answer(self) -> None:
        """End with the next answer after which nothing is left to do, even if the client gives us no quiet moment.

        The end goes out in one segment with that answer: so the client has not asked again when it learns of it.
        """
        if self._is_over or self._transport.is_closing():
            return
        self._is_leaving = self._ends_with_an_answer = True
        if self._has_asked:
            self._gather_answers(1)
        else:
            self._end()

    def _look_for_quiet(self) -> None:
        self._is_busy = False
        self._quiet = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._end_if_quiet)

    def _end_if_quiet(self) -> None:
        self._quiet = None
        if self._is_busy or not self._is_through:
            self._look_for_quiet()
        else:
            self._end()

    def _go_on_leaving(self) -> None:
        """Look whether this was the last answer."""
        if self._ends_with_an_answer and not self._transport.is_closing():
            self._end_or_go_on()
        elif self._quiet is None:
            self._look_for_quiet()

    def _end_or_go_on(self) -> None:
        if self._received or self._has_unread or not self._is_through:
            self._gather_answers(0)
            self._gather_answers(1)
        else:
            self._end()

    def _gather_answers(self, wanted: int) -> None:
        """Let the kernel keep what is written until it is told that this is all (1), or send what there is (0)."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, wanted)

    @property
    def _has_unread(self) -> bool:
        """Whether there is something in the kernel that we have not seen."""
        return any(fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, bytes(4)))

    @property
    def _socket(self) -> TransportSocket:
        found: TransportSocket = self._transport.get_extra_info("socket")
        return found

    def _end(self) -> None:
        """Say no more. The client closes then; what it has sent meanwhile is read, and not answered.

        A socket that closes with something unread would take back what it had sent (RFC 1122 section 4.2.2.13).
        """
        if not self._is_over and not self._transport.is_closing():
            self._is_over = True
            if self._quiet is not None:
                self._quiet.cancel()
            self._transport.write_eof()

    def close(self) -> None:
        """Close; a client that does not read what it was answered is cut off on a second call."""
        if self._transport.is_closing():
            self._transport.abort()
        else:
            self._transport.close()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return _PIECE

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(_PIECE[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """What TCP has brought, or what TLS has made of that."""
        if self._is_over:
            return
        self._received += data
        self._has_asked = self._is_busy = True
        self._answer()

    def eof_received(self) -> bool:
        """Whoever has asked all its questions gets the last answers, then the end."""
        self._is_ended = True
        return not self._is_through

    @property
    def _is_through(self) -> bool:
        """Whether everything is answered that has come in whole."""
        return self._is_writable and not self._is_in_line and not self.awaited

    def pause_writing(self) -> None:
        self._is_writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._wake()
        self._answer()

    def _answer(self) -> None:
        """Answer what has come in, in rounds, so that one client's pipeline does not hold up the others."""
        if self._is_over or self._is_in_line or self._transport.is_closing():
            return
        if self._answer_one_round():
            self._is_busy = True
            self._transport.pause_reading()
            self._is_in_line = True
            self._turns.wait(self._go_on)
        elif self._is_full:
            self._transport.pause_reading()
        elif self._is_ended and self._is_through:
            self._transport.close()
        elif self._is_writable:
            self._transport.resume_reading()
        if self._is_leaving:
            self._go_on_leaving()

    def _go_on(self) -> None:
        self._is_in_line = False
        self._answer()

    @property
    def _is_waiting(self) -> bool:
        """Whether the client has enough to do, or is gone."""
        return self._is_full or not self._is_writable or self._transport.is_closing()

    @property
    def _is_full(self) -> bool:
        return self.awaited >= self.limits.awaited_replies

    def _answer_one_round(self) -> bool:
        """Answer whole messages for as long as the client reads what it is told; whether there may be more of them."""
        received, at = self._received, 0
        for _ in range(DRAIN):
            length = int.from_bytes(received[at : at + 2], "big")
            end = at + 2 + min(length, self.limits.longest_query)
            if self._is_waiting or len(received) < max(end, at + 2):
                del received[:at]
                return False
            if not self._turns.take():
                break
            reply = self._respond(bytes(received[at + 2 : end]), self._client)
            at = end
            self._note_query()
            if reply is None:
                self._transport.close()
                return False
            if isinstance(reply, bytes):
                self._write(reply)
            else:
                self.awaited += 1
                self._to_come.add(reply, self._deliver)
            if length > self.limits.longest_query:
                self._transport.close()
                return False
        del received[:at]
        return True

    def _note_query(self) -> None:
        self.last_query = asyncio.get_running_loop().time()
        self._connections.note_query(self)

    def _write(self, reply: bytes) -> None:
        self._transport.write(struct.pack("!H", len(reply)) + reply)

    async def _send(self, message: bytes) -> None:
        """As StreamClient has it; a client has as long to read as it may be idle."""
        loop = asyncio.get_running_loop()
        if self._is_over or self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._write(message)
        self._note_query()
        if not (self._is_writable or self._transport.is_closing()):
            room = loop.create_future()
            self._waiting.append(room)
            try:
                async with asyncio.timeout(self.limits.idle_seconds):
                    await room
            except TimeoutError as error:
                raise TimeoutError("the client does not read") from error
        if self._transport.is_closing():
            raise ConnectionResetError("the client is gone")

    def _wake(self) -> None:
        for each in self._waiting:
            if not each.done():
                each.set_result(None)
        self._waiting.clear()

    def _deliver(self, reply: bytes | None) -> None:
        """Write a reply that was to come; whoever had too many of them may go on asking."""
        self.awaited -= 1
        if self._transport.is_closing():
            return
        if reply is not None:
            self._write(reply)
        if self._transport.get_write_buffer_size() > self.limits.unread_late_bytes:
            self._transport.abort()
            return
        if self.awaited == self.limits.awaited_replies - 1:
            self._answer()
        elif self._is_ended and self._is_through:
            self._transport.close()
        elif self._is_leaving:
            self._go_on_leaving()
