"""How long ago something was, in a few letters."""

from __future__ import annotations

UNKNOWN = "<unknown>"
INVALID = "<invalid>"

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR = 365 * DAY


def age(created: float | None, now: float) -> str:
    """Both in seconds since the epoch; a clock may be behind that of the API server, but not by much."""
    if created is None:
        return UNKNOWN
    seconds = int(now - created)
    if seconds < -1:
        return INVALID
    if seconds < 2 * MINUTE:
        return f"{max(seconds, 0)}s"
    if seconds < 10 * MINUTE:
        return _two(seconds, MINUTE, "m", 1, "s")
    if seconds < 3 * HOUR:
        return f"{seconds // MINUTE}m"
    if seconds < 8 * HOUR:
        return _two(seconds, HOUR, "h", MINUTE, "m")
    if seconds < 2 * DAY:
        return f"{seconds // HOUR}h"
    if seconds < 8 * DAY:
        return _two(seconds, DAY, "d", HOUR, "h")
    if seconds < 2 * YEAR:
        return f"{seconds // DAY}d"
    if seconds < 8 * YEAR:
        return _two(seconds, YEAR, "y", DAY, "d")
    return f"{seconds // YEAR}y"


def _two(seconds: int, unit: int, sign: str, lesser: int, lesser_sign: str) -> str:
    rest = seconds % unit // lesser
    return f"{seconds // unit}{sign}" + (f"{rest}{lesser_sign}" if rest else "")
