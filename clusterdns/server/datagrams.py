"""UDP: a socket is read until it is empty, each datagram answered in place."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from clusterdns.server import batches
from clusterdns.server.batches import SLOT, Ancillary, Batch
from clusterdns.server.binding import leave

if TYPE_CHECKING:
    import asyncio

    from clusterdns.server.replies import Client, Promises, Respond, ToCome

DRAIN = 64
"""Datagrams answered before the loop gets its turn."""

LAST_ROUNDS = 128
"""Rounds of that many which are still answered when a socket closes: more than a kernel's buffer holds."""

LONGEST_DATAGRAM = SLOT
"""A query that is longer is cut off, and so malformed."""


class Datagrams:
    """One UDP socket: read until it is empty, each datagram answered in place."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, udp: socket.socket, respond: Respond, to_come: Promises
    ) -> None:
        self._loop = loop
        self._socket = udp
        self.respond = respond
        self._to_come = to_come
        wildcard = udp.getsockname()[0] in ("0.0.0.0", "::")
        if wildcard:
            _ask_for_destinations(udp)
        self._batch = Batch(udp, DRAIN, with_destinations=wildcard) if batches.ARE_THERE else None
        self._answer_waiting = self._drain_batch if self._batch else self._drain_any if wildcard else self._drain
        loop.add_reader(udp, self._answer_waiting)

    def finish(self) -> None:
        """Answer what has come in so far, and no more."""
        self._loop.remove_reader(self._socket)
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            leave(self._socket)
        self._answer_all()

    def close(self) -> None:
        self._answer_all()  # what came while replies were waited for
        self._socket.close()

    def _answer_all(self) -> None:
        for _ in range(LAST_ROUNDS):
            if not self._answer_waiting():
                return

    def _send_later(self, reply: ToCome, client: Client, source: Ancillary) -> None:
        self._to_come.add(reply, lambda reply: self._send(reply, client, source))

    def _send(self, reply: bytes | None, client: Client, source: Ancillary) -> None:
        if reply is not None:
            with contextlib.suppress(OSError):  # UDP may lose a reply, and the socket may be closed by now
                self._socket.sendmsg((reply,), source, 0, client)

    def _drain_batch(self) -> bool:
        """As _drain, with two system calls for all."""
        batch, respond = self._batch, self.respond
        assert batch is not None  # noqa: S101 - it is called only where there is one
        try:
            queries = batch.receive()
        except OSError:
            return True  # what an earlier reply met on its way, such as an unreachable port
        replies: dict[int, bytes] = {}
        for at, (packet, client) in enumerate(queries):
            try:
                reply = respond(packet, client)
            except Exception as fault:  # noqa: BLE001 - it is told, and the others are answered
                self._loop.call_exception_handler({"message": "a fault while answering", "exception": fault})
                continue
            if isinstance(reply, bytes):
                if len(reply) <= SLOT:
                    replies[at] = reply
                else:
                    self._send(reply, client, batch.source(at))
            elif reply is not None:
                self._send_later(reply, client, batch.source(at))
        if replies:
            batch.send(replies)
        return len(queries) == DRAIN

    def _drain(self) -> bool:
        """Whether there may be more."""
        receive, send, respond = self._socket.recvfrom, self._socket.sendto, self.respond
        for _ in range(DRAIN):
            try:
                packet, client = receive(LONGEST_DATAGRAM)
            except BlockingIOError:
                return False
            except OSError:
                continue  # what an earlier reply met on its way, such as an unreachable port
            reply = respond(packet, client)
            if isinstance(reply, bytes):
                try:
                    send(reply, client)
                except OSError:
                    continue  # UDP may lose a reply; the client asks again
            elif reply is not None:
                self._send_later(reply, client, [])
        return True

    def _drain_any(self) -> bool:
        """As _drain, on a socket that is bound to every address: the reply comes from the one that was asked."""
        receive, send, respond = self._socket.recvmsg, self._socket.sendmsg, self.respond
        for _ in range(DRAIN):
            try:
                packet, destination, _flags, client = receive(LONGEST_DATAGRAM, _DESTINATION_SPACE)
            except BlockingIOError:
                return False
            except OSError:
                continue
            reply = respond(packet, client)
            if isinstance(reply, bytes):
                try:
                    send((reply,), _as_source(destination), 0, client)
                except OSError:
                    continue
            elif reply is not None:
                self._send_later(reply, client, _as_source(destination))
        return True


# A wildcard socket learns with each datagram which of our addresses it was sent to (ip(7), RFC 3542 section 4).

_IP_PKTINFO = 8
_DESTINATION_SPACE = socket.CMSG_SPACE(20)


def _ask_for_destinations(udp: socket.socket) -> None:
    if udp.family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _as_source(destination: Ancillary) -> Ancillary:
    """Turn where a datagram came to into where the reply comes from; the interface is the routing table's choice."""
    source: Ancillary = []
    for level, kind, data in destination:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            source.append((level, kind, bytes(4) + data[4:8] + bytes(4)))
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            is_link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
            source.append((level, kind, data if is_link_local else data[:16] + bytes(4)))
    return source
