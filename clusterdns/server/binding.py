"""Sockets on an address and port, or the reason why there are none."""

from __future__ import annotations

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


def bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one address and port. Raises CannotListen."""
    udp, tcp = _bind(host, port, (socket.SOCK_DGRAM, socket.SOCK_STREAM))
    return udp, tcp


def bind_stream(host: str, port: int) -> socket.socket:
    """A TCP socket alone. Raises CannotListen."""
    (tcp,) = _bind(host, port, (socket.SOCK_STREAM,))
    return tcp


def _bind(host: str, port: int, kinds: Sequence[socket.SocketKind]) -> list[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made: list[socket.socket] = []
    takes_any = port == 0
    try:
        for kind in kinds:
            each = socket.socket(family, kind)
            made.append(each)
            each.settimeout(0)
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
            if kind == socket.SOCK_STREAM:
                each.listen(1024)
    except OSError as error:
        for each in made:
            each.close()
        if takes_any and len(made) == 2 and error.errno == errno.EADDRINUSE:
            return _bind(host, 0, kinds)  # the one that is free over UDP was not over TCP
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
