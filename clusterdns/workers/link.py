"""One end of a connection between two processes: messages as bytes, each behind its length.

Whoever sends never waits: what the other one does not read yet is kept here, and it can be asked how much that is.
"""

from __future__ import annotations

import struct
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

PIECE = 256 << 10
"""Bytes that are read at once."""

LAST_SECONDS = 1.0
"""For what is still to be sent, at the end."""

_LENGTH = struct.Struct("!I")


class Link:
    """heard: is called with each message; lost: once, when the other end is closed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        end: socket.socket,
        heard: Callable[[bytes], None],
        lost: Callable[[], None],
    ) -> None:
        self.backlog = 0
        """Bytes that the other end has not taken yet."""
        self._loop = loop
        self._end = end
        self._heard = heard
        self._lost = lost
        self._received = bytearray()
        self._waiting: deque[memoryview] = deque()
        self._is_open = True
        end.setblocking(False)  # noqa: FBT003
        loop.add_reader(end, self._read)

    def send(self, message: bytes) -> None:
        if not self._is_open:
            return
        is_first = not self._waiting
        for part in (_LENGTH.pack(len(message)), message):
            self._waiting.append(memoryview(part))
            self.backlog += len(part)
        if is_first:
            self._write()
            if self._waiting:
                self._loop.add_writer(self._end, self._write)

    def close(self) -> None:
        """Send what is still to be sent, if that can be done soon."""
        if self._is_open:
            self._shut()
            with suppress(OSError):
                self._end.settimeout(LAST_SECONDS)
                while self._waiting:
                    self._end.sendall(self._waiting.popleft())
            self._end.close()

    def drop(self) -> None:
        """Send nothing more."""
        if self._is_open:
            self._shut()
            self._end.close()

    def _shut(self) -> None:
        self._is_open = False
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)

    def _write(self) -> None:
        try:
            while self._waiting:
                first = self._waiting[0]
                sent = self._end.send(first)
                self.backlog -= sent
                if sent < len(first):
                    self._waiting[0] = first[sent:]
                else:
                    self._waiting.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()  # the other end is closed, which is heard of where it is read
            self.backlog = 0
        self._loop.remove_writer(self._end)

    def _read(self) -> None:
        try:
            piece = self._end.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.drop()
            self._lost()
            return
        self._received += piece
        at = 0
        while len(self._received) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received, at)
            end = at + _LENGTH.size + length
            if len(self._received) < end:
                break
            message = bytes(self._received[at + _LENGTH.size : end])
            at = end
            self._heard(message)
        del self._received[:at]
