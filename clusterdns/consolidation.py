"""Log records that are alike, counted for a while and told as one.

Those that fit a pattern of the configuration are told as that says. Any other warning or error is told at once when it
comes for the first time; after that once in a while, with how often it came, and as it was when it came last.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
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


MOST_KINDS = 1000
"""Of errors that are counted at a time, each by itself; all others are counted together."""

SUBJECTS = ("source", "upstream", "file", "address", "zone")
"""Fields that say what an error is about: about two things it is two errors. It is another one too where `error` says
something else, but for numbers. Other fields are circumstances."""

_Kind: TypeAlias = tuple[object, ...]


class Consolidating(logging.Filter):
    """Keeps back what is told together; the first pattern that fits decides. Raises NotAPattern.

    repeat_seconds: so long a record that no pattern fits keeps back others of its kind. 0: it does not.
    """

    def __init__(self, consolidations: Sequence[Consolidation], repeat_seconds: float = 0.0) -> None:
        super().__init__()
        self._patterns = [_Counted(each) for each in consolidations]
        self._repeat_seconds = repeat_seconds
        self._repeated: dict[_Kind, _Repeated] = {}
        self._is_telling = False

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or self._is_telling:
            return True
        if self._patterns:
            message = record.getMessage()
            for each in self._patterns:
                if find(each.pattern, message):
                    return self._count(each)
        return not self._repeat_seconds or self._is_new(record)

    @property
    def kept(self) -> int:
        """How many kinds of errors are counted that no pattern fits."""
        return len(self._repeated)

    def close(self) -> None:
        """Tell what was kept back."""
        for each in self._patterns:
            self._tell(each)
        for kind in list(self._repeated):
            self._tell_and_forget(kind)

    def _is_new(self, record: logging.LogRecord) -> bool:
        """Whether the record is the first of its kind for a while."""
        kind = _kind(record)
        if len(self._repeated) >= MOST_KINDS and kind not in self._repeated:
            kind = _OTHERS
        repeated = self._repeated.get(kind)
        if repeated is not None:
            repeated.count += 1
            repeated.last = record
            return False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return True  # nobody could tell it later
        self._repeated[kind] = _Repeated(record, loop.call_later(self._repeat_seconds, self._tell_again, kind))
        return True

    def _tell_again(self, kind: _Kind) -> None:
        """Say how often it came; what did not come again is forgotten, and is new when it does."""
        repeated = self._tell_and_forget(kind)
        if repeated.count:
            timer = asyncio.get_running_loop().call_later(self._repeat_seconds, self._tell_again, kind)
            self._repeated[kind] = _Repeated(repeated.last, timer)

    def _tell_and_forget(self, kind: _Kind) -> _Repeated:
        repeated = self._repeated.pop(kind)
        repeated.timer.cancel()
        if repeated.count:
            self._is_telling = True
            logging.getLogger(repeated.last.name).handle(repeated.again())
            self._is_telling = False
        return repeated

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


class _Repeated:
    """What came again, the last time, and how often since it was told."""

    def __init__(self, last: logging.LogRecord, timer: asyncio.TimerHandle) -> None:
        self.last = last
        self.timer = timer
        self.count = 0
        self._since = time.monotonic()

    def again(self) -> logging.LogRecord:
        """The last one, with how often it came."""
        last, now = self.last, time.time()
        fields = last.args if isinstance(last.args, dict) else {}
        many = {"times": self.count, "seconds": time.monotonic() - self._since}
        said = f"{last.getMessage()} ({self.count} times in {many['seconds']:.0f} s)"
        new = {"msg": said.replace("%", "%%"), "args": {**fields, **many}, "created": now, "msecs": now % 1 * 1000}
        return logging.makeLogRecord({**last.__dict__, **new})


def _kind(record: logging.LogRecord) -> _Kind:
    """What is the same in two records of the same error: ours say by their fields what they are about."""
    if isinstance(record.args, dict):
        error = _without_numbers(record.args.get("error"))
        return record.name, record.levelno, record.msg, error, *map(record.args.get, SUBJECTS)
    if record.name.startswith("clusterdns"):
        return record.name, record.levelno, record.getMessage()
    return record.name, record.levelno, _without_numbers(record.msg)


def _without_numbers(text: object) -> str:
    return _NUMBERS.sub("0", str(text)[:200])


_OTHERS: _Kind = ()

_NUMBERS = re.compile("0x[0-9a-f]+|[0-9]+")
