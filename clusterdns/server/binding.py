"""Sockets on an address and port, or the reason why there are none."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RECEIVE_BUFFER = 4 << 20
"""Bytes of queries that the kernel may keep for us, if it lets us."""

STREAM_BUFFER = 32 << 10
"""Bytes that the kernel keeps of a connection in each direction; it takes twice as many for itself. Left alone it keeps
megabytes for a client that does not read, and they count as memory of ours."""


class CannotListen(Exception):
    """An address can not be listened on; the message says which and why."""


def bind(host: str, port: int, *, shared: bool = False) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one address and port. Raises CannotListen.

    shared: whether others may bind that address in the same way; the kernel gives each its share of the queries.
    """
    udp, tcp = _bind(host, port, (socket.SOCK_DGRAM, socket.SOCK_STREAM), shared=shared)
    return udp, tcp


def bind_stream(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A TCP socket alone. Raises CannotListen."""
    (tcp,) = _bind(host, port, (socket.SOCK_STREAM,), shared=shared)
    return tcp


class Reservation:
    """An address that is kept for several processes which share it, and are its only users. Raises CannotListen.

    port: 0 is a free one.
    """

    def __init__(self, host: str, port: int, *, stream_only: bool = False) -> None:
        kinds = (socket.SOCK_STREAM,) if stream_only else (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        # What is bound to be shared would be shared with any other server, too: so it is tried alone before.
        alone = _bind(host, port, kinds, shared=False)
        self.address: tuple[str, int] = alone[0].getsockname()[:2]
        for each in alone:
            each.close()
        self._sockets = _bind(self.address[0], self.address[1], kinds, shared=True, listens=False)
        for each in self._sockets:
            if each.type == socket.SOCK_DGRAM:
                leave(each)

    def close(self) -> None:
        for each in self._sockets:
            each.close()


def leave(udp: socket.socket) -> None:
    """Take a socket out of those that share its address: what is connected gets no share of what others send."""
    with contextlib.suppress(OSError):  # then what it gets meanwhile is lost, as with any socket that closes
        udp.connect(udp.getsockname())


def _bind(
    host: str, port: int, kinds: Sequence[socket.SocketKind], *, shared: bool, listens: bool = True
) -> list[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made: list[socket.socket] = []
    takes_any = port == 0
    try:
        for kind in kinds:
            each = socket.socket(family, kind)
            made.append(each)
            each.settimeout(0)
            if shared:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if kind == socket.SOCK_STREAM:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                for direction in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # for those that are accepted, too
                    each.setsockopt(socket.SOL_SOCKET, direction, STREAM_BUFFER)
            else:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind((host, port))
            port = each.getsockname()[1]
            if kind == socket.SOCK_STREAM and listens:
                each.listen(1024)
    except OSError as error:
        for each in made:
            each.close()
        if takes_any and len(made) == 2 and error.errno == errno.EADDRINUSE:
            return _bind(
                host, 0, kinds, shared=shared, listens=listens
            )  # the one that is free over UDP was not over TCP
        raise CannotListen(f"cannot listen on {address_text(host, port)}: {why(error, port)}") from error
    return made


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
