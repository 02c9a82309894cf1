"""Files that are looked at again: whether one has changed is seen by its stamp, without reading it.

Nobody has to tell us of a change; so it is noticed also where a file is a link to a link, as a ConfigMap has them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

POLL_SECONDS = 1.0
"""How often files are looked at."""

SECOND_LOOK = 0.1
"""A change is believed when it looks the same a moment later: nobody is in the midst of it. Seconds."""

LOOKS = 20
"""A file that never rests for so many looks is taken as it is."""

T = TypeVar("T")


class Stamp(Struct, frozen=True):
    """As long as it is the same, nobody has touched the file, nor put another in its place."""

    device: int
    inode: int
    size: int
    modified_ns: int


def stamp(path: Path) -> Stamp | None:
    """None if there is none to be had."""
    try:
        return stamp_of(path.stat())
    except OSError:
        return None


def stamp_of(info: os.stat_result) -> Stamp:
    return Stamp(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)


async def rested(look: Callable[[], T], known: T) -> T:
    """What is seen, once it is what is known, or was seen at the last look too. Raises what `look` does."""
    seen = await asyncio.to_thread(look)
    for _ in range(LOOKS):
        if seen == known:
            break
        await asyncio.sleep(SECOND_LOOK)
        before, seen = seen, await asyncio.to_thread(look)
        if seen == before:
            break
    return seen
