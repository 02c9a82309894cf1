"""What is asked of whoever answers: replies, at once or to come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from clusterdns.server.turns import Turns

Client: TypeAlias = tuple[Any, ...]
"""A socket address, whose first element is the client's IP address as text."""


class StreamClient(tuple[Any, ...]):  # noqa: SLOT001 - a tuple can have no slots but none
    """A client of a stream. It may be told several messages in reply to one query: all but the last are sent here."""

    send: Callable[[bytes], Coroutine[Any, Any, None]]
    """Sends a message, and waits until the client has read enough of what it was sent. Raises ConnectionError if the
    client is gone, and TimeoutError if it does not read."""
    cut: Callable[[], None]
    """Ends the connection of a client that was told a part of something."""


ToCome: TypeAlias = Coroutine[Any, Any, bytes | None]

Respond: TypeAlias = Callable[[bytes, Client], bytes | ToCome | None]


class Promises:
    """The replies that are still to come.

    turns: how many of them are begun in one turn of the loop. Each takes many times what a reply does that is there at
    once, so that without it whoever makes up names for upstreams would hold up everybody.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_line = 0

    def add(self, reply: ToCome, deliver: Callable[[bytes | None], None]) -> None:
        if self._turns.take():
            self._begin(reply, deliver)
            return

        def go_on() -> None:
            self._in_line -= 1
            self.add(reply, deliver)

        self._in_line += 1
        self._turns.wait(go_on)

    async def kept(self, seconds: float) -> bool:
        """Wait until all are there, or so long; whether there were any to wait for."""
        if not (self._tasks or self._in_line):
            return False
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (self._tasks or self._in_line) and loop.time() < end:
            if self._in_line:
                await asyncio.sleep(0)
            else:
                await asyncio.wait(set(self._tasks), timeout=end - loop.time())
        return True

    def _begin(self, reply: ToCome, deliver: Callable[[bytes | None], None]) -> None:
        async def keep() -> None:
            deliver(await reply)

        task = asyncio.get_running_loop().create_task(keep())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
