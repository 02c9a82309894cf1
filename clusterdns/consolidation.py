"""Log records that are alike, counted for a while and told as one."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from clusterdns.around.patterns import find, pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("clusterdns")

Level: TypeAlias = Literal["debug", "info", "warning", "error"]


class Consolidation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Warnings and errors that are told together."""

    pattern: str
    """A regular expression of RE2 that is somewhere in the message."""
    seconds: float
    """For so long, from the first of them on."""
    level: Level = "error"
    """Of what is told then."""
    show_first: bool = False
    """Whether the first of them is told as it is."""


class Consolidating(logging.Filter):
    """Keeps back what is told together; the first pattern that fits decides. Raises NotAPattern."""

    def __init__(self, consolidations: Sequence[Consolidation]) -> None:
        super().__init__()
        self._patterns = [_Counted(each) for each in consolidations]
        self._is_telling = False

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or self._is_telling:
            return True
        message = record.getMessage()
        for each in self._patterns:
            if find(each.pattern, message):
                return self._count(each)
        return True

    def close(self) -> None:
        """Tell what was kept back."""
        for each in self._patterns:
            self._tell(each)

    def _count(self, counted: _Counted) -> bool:
        """Whether the record is to be told now."""
        counted.count += 1
        if counted.timer is not None:
            return False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return True  # nobody could tell it later
        given = counted.given
        counted.timer = loop.call_later(given.seconds, self._tell, counted)
        counted.count -= given.show_first
        return given.show_first

    def _tell(self, counted: _Counted) -> None:
        given, count = counted.given, counted.count
        if counted.timer is not None:
            counted.timer.cancel()
        counted.timer, counted.count = None, 0
        if count:
            self._is_telling = True
            level = logging.getLevelNamesMapping()[given.level.upper()]
            log.log(level, "%d errors like '%s' occurred in last %gs", count, given.pattern, given.seconds)
            self._is_telling = False


class _Counted:
    """What is told together, and how much of it there was."""

    def __init__(self, given: Consolidation) -> None:
        self.given = given
        self.pattern = pattern(given.pattern)
        self.count = 0
        self.timer: asyncio.TimerHandle | None = None
