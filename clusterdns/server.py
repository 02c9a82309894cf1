"""UDP and TCP sockets: knows packets, not DNS.

All that it is told is a `Respond`: from the bytes of a packet to those of the reply, or None for silence. A datagram is
answered where it is read, without a task or a future; a stream's messages are answered in their order.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import struct
from heapq import nsmallest
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger("clusterdns.server")

Respond: TypeAlias = "Callable[[bytes], bytes | None]"

DRAIN = 64
"""Datagrams, or messages of one stream, answered before the loop gets its turn."""

ACCEPTS = 16
"""Connections accepted a wake-up."""

ACCEPT_PAUSE_SECONDS = 0.5

LAST_ROUNDS = 128
"""Rounds of that many which are still answered when a socket closes: more than a kernel's buffer holds."""

LONGEST_DATAGRAM = 4096
"""A query that is longer is cut off, and so malformed."""

GOODBYE_SECONDS = 0.5
"""What clients get at the stop to read their last answers."""

QUIET_SECONDS = 0.02

RECEIVE_BUFFER = 4 << 20
"""Bytes of queries that the kernel may keep for us, if it lets us."""


class CannotListen(Exception):
    """An address can not be listened on; the message says which and why."""


class Limits(Struct, frozen=True):
    """What clients over TCP may take of us (RFC 7766 section 6)."""

    connections: int = 1000
    idle_seconds: float = 10.0
    unread_bytes: int = 16 << 10
    """Replies that a client has not read yet, before we read no more of its queries."""


class Server:
    """The sockets of one list of addresses."""

    def __init__(self, over_udp: Respond, over_tcp: Respond, limits: Limits) -> None:
        self._over_udp = over_udp
        self._over_tcp = over_tcp
        self._limits = limits
        self._connections: dict[_Connection, None] = {}
        self._datagrams: list[_Datagrams] = []
        self._listeners: list[_Listener] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, addresses: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Listen on these addresses, over UDP and TCP, or on none of them; port 0 takes a free one.

        Returns the addresses as they are bound. Raises CannotListen.
        """
        loop = asyncio.get_running_loop()
        bound: list[tuple[socket.socket, socket.socket]] = []
        try:
            for host, port in addresses:
                bound.append(_bind(host, port))
        except CannotListen:
            for each in bound:
                for one in each:
                    one.close()
            raise
        for udp, tcp in bound:
            self._datagrams.append(_Datagrams(loop, udp, self._over_udp))
            self._listeners.append(_Listener(loop, tcp, self._connect))
        self._sweeper = loop.call_later(1, self._sweep)
        return [udp.getsockname()[:2] for udp, _ in bound]

    async def stop(self) -> None:
        """Close every socket. What was asked has been answered; a client that is slow to read it gets a moment."""
        if self._sweeper:
            self._sweeper.cancel()
        for datagrams in self._datagrams:
            datagrams.close()
        for listener in self._listeners:
            listener.close()
        loop = asyncio.get_running_loop()
        patience = loop.time() + GOODBYE_SECONDS
        for connection in list(self._connections):
            connection.finish()
        while self._connections and loop.time() < patience:  # noqa: ASYNC110 - it happens once, at the end
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)

    def _connect(self) -> asyncio.Protocol:
        return _Connection(self._over_tcp, self._limits, self._connections)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._limits.idle_seconds
        for connection in [each for each in self._connections if each.last_query < oldest]:
            connection.close()
        self._sweeper = loop.call_later(1, self._sweep)


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one address and port. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made: list[socket.socket] = []
    takes_any = port == 0
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            each = socket.socket(family, kind)
            made.append(each)
            each.settimeout(0)
            if kind == socket.SOCK_STREAM:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind((host, port))
            port = each.getsockname()[1]
            if kind == socket.SOCK_STREAM:
                each.listen(1024)
    except OSError as error:
        for each in made:
            each.close()
        if takes_any and len(made) == 2 and error.errno == errno.EADDRINUSE:
            return _bind(host, 0)  # the one that is free over UDP was not over TCP
        raise CannotListen(f"cannot listen on {address_text(host, port)}: {why(error, port)}") from error
    udp, tcp = made
    return udp, tcp


def why(error: OSError, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use"
        case errno.EACCES:
            return f"no permission for port {port} (a port below 1024 takes root, or the capability NET_BIND_SERVICE)"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
        case number:
            return os.strerror(number) if number else str(error)


def address_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Datagrams:
    """One UDP socket: read until it is empty, each datagram answered in place."""

    def __init__(self, loop: asyncio.AbstractEventLoop, udp: socket.socket, respond: Respond) -> None:
        self._loop = loop
        self._socket = udp
        self._respond = respond
        wildcard = udp.getsockname()[0] in ("0.0.0.0", "::")
        if wildcard:
            _ask_for_destinations(udp)
        self._answer_waiting = self._drain_any if wildcard else self._drain
        loop.add_reader(udp, self._answer_waiting)

    def close(self) -> None:
        """Answer what has come in so far, and no more."""
        self._loop.remove_reader(self._socket)
        for _ in range(LAST_ROUNDS):
            self._answer_waiting()
        self._socket.close()

    def _drain(self) -> None:
        receive, send, respond = self._socket.recvfrom, self._socket.sendto, self._respond
        for _ in range(DRAIN):
            try:
                packet, client = receive(LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # what an earlier reply met on its way, such as an unreachable port
            reply = respond(packet)
            if reply is not None:
                try:
                    send(reply, client)
                except OSError:
                    continue  # UDP may lose a reply; the client asks again

    def _drain_any(self) -> None:
        """As _drain, on a socket that is bound to every address: the reply comes from the one that was asked."""
        receive, send, respond = self._socket.recvmsg, self._socket.sendmsg, self._respond
        for _ in range(DRAIN):
            try:
                packet, destination, _flags, client = receive(LONGEST_DATAGRAM, _DESTINATION_SPACE)
            except BlockingIOError:
                return
            except OSError:
                continue
            reply = respond(packet)
            if reply is not None:
                try:
                    send((reply,), _as_source(destination), 0, client)
                except OSError:
                    continue


# A wildcard socket learns with each datagram which of our addresses it was sent to (ip(7), RFC 3542 section 4).

_IP_PKTINFO = 8
_DESTINATION_SPACE = socket.CMSG_SPACE(20)
_Ancillary: TypeAlias = "list[tuple[int, int, bytes]]"


def _ask_for_destinations(udp: socket.socket) -> None:
    if udp.family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _as_source(destination: _Ancillary) -> _Ancillary:
    """Turn where a datagram came to into where the reply comes from; the interface is the routing table's choice."""
    source: _Ancillary = []
    for level, kind, data in destination:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            source.append((level, kind, bytes(4) + data[4:8] + bytes(4)))
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            is_link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
            source.append((level, kind, data if is_link_local else data[:16] + bytes(4)))
    return source


class _Listener:
    """One listening TCP socket. A burst of clients, or want of descriptors, must not keep the loop from answering."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, tcp: socket.socket, protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._loop = loop
        self._socket = tcp
        self._protocol = protocol
        self._tasks: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_short = False
        loop.add_reader(tcp, self._accept)

    def close(self) -> None:
        if self._pause:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                client, _address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._wait(error)
                return
            self._is_short = False
            client.setblocking(False)  # noqa: FBT003
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _wait(self, error: OSError) -> None:
        """There are no descriptors left, or no memory: leave the clients in the queue for a while."""
        if not self._is_short:
            log.warning("connections have to wait: %s", error.strerror)
        self._is_short = True
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._loop.add_reader, self._socket, self._accept)


class _Connection(asyncio.Protocol):
    """One TCP client: messages behind their lengths, cut into segments as the network pleases (RFC 7766 section 8)."""

    _transport: asyncio.Transport

    def __init__(self, respond: Respond, limits: Limits, connections: dict[_Connection, None]) -> None:
        self._respond = respond
        self._limits = limits
        self._connections = connections
        self._received = bytearray()
        self._is_writable = True
        self._is_busy = False
        self.last_query = asyncio.get_running_loop().time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream server makes
        self._transport = transport
        transport.set_write_buffer_limits(self._limits.unread_bytes)
        self._connections[self] = None
        excess = len(self._connections) - self._limits.connections
        if excess > 0:
            # The ones that have been idle the longest give way, as RFC 7766 section 6.2.3 lets a server do. Whoever
            # does is counted until its connection is lost, so that those that come in one burst each find another.
            for each in nsmallest(excess, self._connections, key=lambda each: each.last_query):
                each.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.pop(self, None)

    def finish(self) -> None:
        """Close as soon as nothing more comes in and all is answered.

        A socket that closes with something unread would take back what it had sent (RFC 1122 section 4.2.2.13).
        """
        self._is_busy = False
        asyncio.get_running_loop().call_later(QUIET_SECONDS, self._close_if_quiet)

    def _close_if_quiet(self) -> None:
        if self._is_busy or not self._is_writable:
            self.finish()
        elif not self._transport.is_closing():
            self._transport.close()

    def close(self) -> None:
        """Close; a client that does not read what it was answered is cut off on a second call."""
        if self._transport.is_closing():
            self._transport.abort()
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._is_busy = True
        self._answer()

    def eof_received(self) -> bool:
        return False  # whoever has asked all its questions gets the last answers, then the end

    def pause_writing(self) -> None:
        self._is_writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._answer()

    def _answer(self) -> None:
        """Answer what has come in, in rounds, so that one client's pipeline does not hold up the others."""
        if self._transport.is_closing():
            return
        if self._answer_one_round():
            self._is_busy = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._answer)
        elif self._is_writable:
            self._transport.resume_reading()

    def _answer_one_round(self) -> bool:
        """Answer whole messages for as long as the client reads what it is told; whether there may be more of them."""
        received, at = self._received, 0
        for _ in range(DRAIN):
            end = at + 2 + int.from_bytes(received[at : at + 2], "big")
            if not self._is_writable or len(received) < max(end, at + 2):
                break
            reply = self._respond(bytes(received[at + 2 : end]))
            at = end
            self.last_query = asyncio.get_running_loop().time()
            if reply is None:
                self._transport.close()
                break
            self._transport.write(struct.pack("!H", len(reply)) + reply)
        else:
            del received[:at]
            return True
        del received[:at]
        return False
