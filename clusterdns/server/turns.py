"""Whose pipeline is answered next, so that many long ones do not hold up datagrams, nor each other."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

MOST_MESSAGES = 64
"""Of all streams, before the loop gets its turn, and with it the datagrams: about as many as of those."""


class Turns:
    """Messages are answered for as long as some are left in this turn of the loop; who finds none waits in line."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = MOST_MESSAGES
        self._line: deque[Callable[[], None]] = deque()
        self._is_over_soon = False

    def take(self) -> bool:
        """Whether one more message may be answered now."""
        if not self._is_over_soon:
            self._is_over_soon = True
            self._loop.call_soon(self._begin)
        self._left -= 1
        return self._left >= 0

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call this when it is its turn."""
        self._line.append(go_on)
        if not self._is_over_soon:
            self._is_over_soon = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._left = MOST_MESSAGES
        self._is_over_soon = False
        for _ in range(len(self._line)):
            if self._left <= 0:
                break
            self._line.popleft()()
        if self._line and not self._is_over_soon:
            self._is_over_soon = True
            self._loop.call_soon(self._begin)
