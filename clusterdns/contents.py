"""What is in a file that somebody has named. Not in a named pipe: that would be waited for, and for ever."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HANDED_OVER = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/", "/dev/null")
"""What the shell makes of `< FILE` and `<(COMMAND)`: somebody writes there."""


def content(path: Path) -> bytes:
    """Raises OSError, also for what is no regular file, unless the shell has handed it over."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        check_regular(path, os.fstat(descriptor))
        os.set_blocking(descriptor, True)
        return file.read()


def check_regular(path: Path, info: os.stat_result) -> None:
    """Raises OSError."""
    if stat.S_ISDIR(info.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(info.st_mode) and not str(path).startswith(_HANDED_OVER):
        raise OSError(errno.EINVAL, "it is no regular file")
