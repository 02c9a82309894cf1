"""Lines that are written by a thread of their own, so that nobody waits for whoever reads them.

There is a bound to the lines that wait; what comes on top is dropped and counted, and the reader is told how many.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from select import PIPE_BUF
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_LINES = 10_000
"""That wait: a few megabytes."""

GATHER_SECONDS = 0.05
"""Lines are written together: to wake the thread for each of them costs more than to write them."""

TELL_SECONDS = 10.0
"""Between one word about dropped lines and the next."""

END_SECONDS = 1.0
"""For the last lines, at the end."""


class LineWriter:
    """Writes lines to a file descriptor; while that can not be written to, what is too much is lost.

    shared: whether others write there too: then no more is written at once than stays together in a pipe.
    dropped: is how a number of lines, and of seconds in which they were lost, are told: a line.
    """

    def __init__(
        self, descriptor: int, dropped: Callable[[int, float], str], most: int = MOST_LINES, *, shared: bool = False
    ) -> None:
        self.dropped = 0
        """Lines that were lost, ever."""
        self._descriptor = descriptor
        self._tell = dropped
        self._most = most
        self._shared = shared
        self._lines: deque[str] = deque()
        self._told = 0
        self._losing_since: float | None = None
        self._woken = threading.Event()
        self._is_asked = False
        self._is_ending = False
        self._thread = threading.Thread(target=self._work, name="lines", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Have a line written soon; from within a loop."""
        if len(self._lines) >= self._most:
            self.dropped += 1
            self._losing_since = self._losing_since or time.monotonic()
            return
        self._lines.append(line)
        if not self._is_asked:
            self._is_asked = True
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._woken.set)

    def close(self) -> None:
        """Write what waits, if that can be done soon."""
        self._is_ending = True
        self._woken.set()
        self._thread.join(END_SECONDS)

    def _work(self) -> None:
        while not self._is_ending or self._lines:
            self._woken.wait(None if self._losing_since is None else TELL_SECONDS)
            self._woken.clear()
            self._is_asked = False
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            for some in self._pieces([f"{each}\n".encode() for each in [*lines, *self._loss()]]):
                self._put(some)

    def _pieces(self, lines: list[bytes]) -> Iterator[bytes]:
        if not self._shared:
            yield b"".join(lines)
            return
        piece = b""
        for line in lines:
            if piece and len(piece) + len(line) > PIPE_BUF:
                yield piece
                piece = b""
            piece += line
        yield piece

    def _loss(self) -> Iterator[str]:
        """A word about the lines that were lost, now and then."""
        since, dropped = self._losing_since, self.dropped
        if since is None:
            return
        seconds = time.monotonic() - since
        if seconds >= TELL_SECONDS or self._is_ending:
            yield self._tell(dropped - self._told, seconds)
            self._told, self._losing_since = dropped, None

    def _put(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # whoever read it has gone
            while data:
                data = data[os.write(self._descriptor, data) :]
