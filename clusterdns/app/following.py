"""Whoever follows something goes on after a fault that nobody foresaw: it is told and counted, never a silent end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger("clusterdns")

PAUSE_SECONDS = 1.0
"""So that a fault that comes at once each time does no harm."""


async def following(what: str, follow: Callable[[], Awaitable[None]], note_fault: Callable[[], None]) -> None:
    """Follow until that ends by itself, and again after each fault."""
    while True:
        try:
            await follow()
        except Exception as error:
            note_fault()
            text = "a fault in the program, please report it: following %(source)s: %(fault)r; going on with it"
            log.error(text, {"source": what, "fault": error})  # noqa: TRY400 - one line
            log.debug("the fault in full", exc_info=True)
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
