"""The source of a worker: what its parent tells it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clusterdns.workers.messages import Ask, Changed, events_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from clusterdns.durations import Durations
    from clusterdns.events import Event
    from clusterdns.sources.cluster.following import Health


class Fed:
    """A source that never lists: what was known is known since the fork.

    answer: is called when all that was said before is taken over.
    """

    propagation: Durations | None = None
    programming: Durations | None = None

    def __init__(self, answer: Callable[[Ask], None]) -> None:
        self._answer = answer
        self._heard: asyncio.Queue[Changed | Ask] = asyncio.Queue()
        self.health: list[Health] = []

    def put(self, message: Changed | Ask) -> None:
        self._heard.put_nowait(message)

    async def open(self) -> list[Event]:
        return []

    async def close(self) -> None:
        pass

    async def renew(self) -> None:
        pass

    async def changes(self) -> AsyncGenerator[list[Event], None]:
        """Batches of events, without end."""
        while True:
            message = await self._heard.get()
            if isinstance(message, Ask):
                self._answer(message)
            else:
                yield events_of(message)
