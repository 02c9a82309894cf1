"""Replies that are there and replies to come, handled alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from clusterdns.respond import Reaction


def worked_on(reaction: Reaction, work: Callable[[bytes], bytes | None]) -> Reaction:
    """What `work` makes of the reply: now, if it is there, else once it is. Silence stays silence."""
    if reaction is None:
        return None
    if isinstance(reaction, bytes):
        return work(reaction)
    return _later(reaction, work)


async def _later(reply: Coroutine[Any, Any, bytes | None], work: Callable[[bytes], bytes | None]) -> bytes | None:
    found = await reply
    return None if found is None else work(found)
