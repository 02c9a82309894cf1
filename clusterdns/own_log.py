"""The program's own log: a line for each message, for people on a terminal, and for programs everywhere else.

Where a message is made with a dictionary, `log.warning("%(file)s: %(error)s", {"file": …, "error": …})`, its values
are members of the JSON object too. Libraries are heard from warnings on. No secret gets past this door, nobody waits
for whoever reads the log, and a message never takes more than its one line.
"""

from __future__ import annotations

import io
import json
import logging
import os
import select
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeAlias

from clusterdns.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterdns.consolidation import Level

Format: TypeAlias = Literal["auto", "text", "json", "coredns"]
"""`auto`: text on a terminal, else JSON. `coredns`: [LEVEL] and the message, on standard output as CoreDNS has it."""

LONGEST_MESSAGE = 2000
"""Characters, so that a line fits into what a pipe takes at once."""

_OURS = logging.getLogger("clusterdns")

_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "31"}
"""Of a level on a terminal, as in ECMA-48."""

_CONTROLS = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160))} | {10: "\\n", 13: "\\r", 9: "\\t"}
"""What would end a line, or give orders to a terminal."""


@contextmanager
def told(form: Format, level: Level) -> Iterator[None]:
    """Write the log, until the end of this."""
    root = logging.getLogger()
    handler = _Lines()
    root.addHandler(handler)
    before = root.level, _OURS.level
    root.setLevel(logging.WARNING)
    change(form, level)
    try:
        yield
    finally:
        handler.tell_dropped()
        root.removeHandler(handler)
        root.setLevel(before[0])
        _OURS.setLevel(before[1])


def change(form: Format, level: Level) -> None:
    """Write it in this form from now on, and from this level on, if it is written."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Lines):
            handler.take(form)
            _OURS.setLevel(level.upper())


class _Lines(logging.Handler):
    """Writes each message as a line; while nobody reads them, they are dropped, and counted."""

    def __init__(self) -> None:
        super().__init__()
        self._dropped = 0
        self._is_coredns = False

    @property
    def _stream(self) -> TextIO:
        return sys.stdout if self._is_coredns else sys.stderr

    def take(self, form: Format) -> None:
        self._is_coredns = form == "coredns"
        is_terminal = self._stream.isatty()
        if form == "coredns":
            self.setFormatter(_AsCoreDns())
        elif form == "json" or (form == "auto" and not is_terminal):
            self.setFormatter(_Json())
        else:
            self.setFormatter(_Text(is_coloured=is_terminal and _takes_colour()))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a message that can not be made is a fault of ours, and no reason to end
            line = self.format(logging.makeLogRecord({"levelname": "ERROR", "msg": f"no message: {record.msg!r}"}))
        if not self._is_taken():
            self._dropped += 1
            return
        self.tell_dropped()
        self._put(line)

    def tell_dropped(self) -> None:
        """Say how many lines were lost, if any were."""
        if self._dropped and self._is_taken():
            text = f"{self._dropped} lines of this log were dropped, since nobody read them"
            self._dropped = 0
            self._put(self.format(logging.makeLogRecord({"name": _OURS.name, "levelname": "WARNING", "msg": text})))

    def _is_taken(self) -> bool:
        """Whether a line can be written without waiting."""
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError):
            return True  # it is no file
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0))

    def _put(self, line: str) -> None:
        data = f"{line}\n".encode(errors="backslashreplace")
        with suppress(OSError, ValueError):  # whoever read it has gone
            try:
                descriptor = self._stream.fileno()
            except io.UnsupportedOperation:
                self._stream.write(data.decode())
                return
            while data:
                data = data[os.write(descriptor, data) :]


class _Text(logging.Formatter):
    """Time, level, message."""

    def __init__(self, *, is_coloured: bool = False) -> None:
        super().__init__()
        self._is_coloured = is_coloured

    def format(self, record: logging.LogRecord) -> str:
        return f"{self.formatTime(record)} {self._level(record)} {_message(record)}{self._more(record)}"

    def _level(self, record: logging.LogRecord) -> str:
        colour = _COLOURS.get(record.levelname.lower()) if self._is_coloured else None
        return f"\x1b[{colour}m{record.levelname}\x1b[0m" if colour else record.levelname

    def _more(self, record: logging.LogRecord) -> str:
        """A traceback, which only whoever turns debugging on gets to see; it has lines of its own."""
        return "".join(f"\n    {line.translate(_CONTROLS)}" for line in _traceback(record).splitlines())


class _AsCoreDns(_Text):
    """`[INFO] message`: whoever collects the lines knows the time."""

    def format(self, record: logging.LogRecord) -> str:
        return f"[{record.levelname}] {_message(record)}{self._more(record)}"


class _Json(logging.Formatter):
    """An object."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        members: dict[str, Any] = {
            "time": f"{time[:-6]}Z",
            "level": record.levelname.lower(),
            "message": _short(redacted(record.getMessage())),
            "logger": record.name,
        }
        fields = record.args if isinstance(record.args, dict) else {}
        members = {name: _plain(value) for name, value in fields.items()} | members
        members = {name: members[name] for name in dict.fromkeys(("time", "level", "message", "logger", *members))}
        if traceback := _traceback(record):
            members["exception"] = traceback
        return json.dumps(members)


def _takes_colour() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _message(record: logging.LogRecord) -> str:
    return _short(redacted(record.getMessage())).translate(_CONTROLS)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    return value if value is None or isinstance(value, int) else _short(redacted(str(value)))


def _traceback(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return redacted(logging.Formatter().formatException(record.exc_info))
