"""A query over UDP and its response."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_DATAGRAM = 4096

NO_SOCKET = "no socket is left for it here"
"""The one reason that is not the upstream's fault."""

_WANT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

MOST_WRONG = 100
"""Packets that are no response to the query: whoever sends that many is guessing."""


class Datagram:
    """One query, over a socket of its own.

    So its source port is another each time, as its ID is, and whoever guesses has to guess both (RFC 5452 section 9.2).
    The socket is connected: the kernel drops what comes from elsewhere, and tells of ports that nobody listens on.

    query: its ID is put in here.
    take: is given each packet with the right ID, and says whether it is a response to the query.
    fail: is told, in words, why there will be none. Neither is called before the constructor returns.
    """

    def __init__(
        self, address: tuple[str, int], query: bytes, take: Callable[[bytes], bool], fail: Callable[[str], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._id = secrets.token_bytes(2)
        self._take = take
        self._fail = fail
        self._wrong = 0
        self._socket: socket.socket | None = None
        try:
            host, _ = address
            udp = self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            udp.setblocking(False)  # noqa: FBT003
            udp.connect(address)
            udp.send(self._id + query[2:])
        except OSError as error:
            self._loop.call_soon(self._give_up, _why(error))
        else:
            self._loop.add_reader(udp.fileno(), self._read)

    def close(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        while self._socket is not None:
            try:
                packet = self._socket.recv(LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                self._give_up(_why(error))
                return
            if packet[:2] == self._id and self._take(packet):
                self.close()
                return
            self._wrong += 1
            if self._wrong > MOST_WRONG:
                self._give_up("sent responses to other questions")

    def _give_up(self, why: str) -> None:
        self.close()
        self._fail(why)


def _why(error: OSError) -> str:
    if error.errno in _WANT:
        return NO_SOCKET
    return os.strerror(error.errno).lower() if error.errno else str(error)
