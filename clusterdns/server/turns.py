"""Who is next, so that much to do of one kind does not hold up all else: long pipelines, or replies to come."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Turns:
    """There are so many in each turn of the loop; who finds none left waits in line.

    most: how many.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop = loop
        self._most = self._left = most
        self._line: deque[Callable[[], None]] = deque()
        self._is_over_soon = False

    def take(self) -> bool:
        """Whether there was one left."""
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
        self._left = self._most
        self._is_over_soon = False
        for _ in range(len(self._line)):
            if self._left <= 0:
                break
            self._line.popleft()()
        if self._line and not self._is_over_soon:
            self._is_over_soon = True
            self._loop.call_soon(self._begin)
