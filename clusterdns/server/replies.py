"""What is asked of whoever answers: replies, at once or to come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

Client: TypeAlias = tuple[Any, ...]
"""A socket address, whose first element is the client's IP address as text."""

ToCome: TypeAlias = Coroutine[Any, Any, bytes | None]

Respond: TypeAlias = Callable[[bytes, Client], bytes | ToCome | None]


class Promises:
    """The replies that are still to come."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, reply: ToCome, deliver: Callable[[bytes | None], None]) -> None:
        async def keep() -> None:
            deliver(await reply)

        task = asyncio.get_running_loop().create_task(keep())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def kept(self, seconds: float) -> bool:
        """Wait until all are there, or so long; whether there were any to wait for."""
        if not self._tasks:
            return False
        await asyncio.wait(set(self._tasks), timeout=seconds)
        return True
