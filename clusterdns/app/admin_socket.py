"""The admin socket as it listens: a file that is this server's alone, or a port of the loopback."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
from typing import TYPE_CHECKING

from clusterdns.admin import AUTOMATIC, OF_THE_MACHINE, Place, parse, usual_places
from clusterdns.server import CannotListen

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("clusterdns")

BACKLOG = 16


class AdminSocket:
    """listening: it is closed by whoever answers on it, and the file goes by `forget`."""

    def __init__(self, place: Place, listening: socket.socket) -> None:
        self.listening = listening
        self.place = place
        self._file = None if place.path is None else _identity(place.path)

    def forget(self) -> None:
        """Close it, and remove its file, unless that is another server's by now."""
        self.listening.close()
        path = self.place.path
        if path is not None and self._file is not None and _identity(path) == self._file:
            path.unlink(missing_ok=True)


def opened(setting: str) -> AdminSocket | None:
    """Listen as it is set; at the usual places only if that can be. Raises CannotListen."""
    place = parse(setting)
    if place is not None:
        try:
            return AdminSocket(place, _listening(place))
        except OSError as error:
            raise CannotListen(f"cannot listen on {place}, for admin: {_why(error)}") from error
    for each in usual_places(os.environ) if setting == AUTOMATIC else ():
        try:
            return AdminSocket(each, _listening(each))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                log.info("no admin socket: %s is another server's; --admin gives this one its own", each)
                return None
            log.debug("no admin socket at %s: %s", each, _why(error))
    return None


def _listening(place: Place) -> socket.socket:
    """Raises OSError."""
    if place.path is None:
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        return socket.create_server((place.host, place.port), family=family, backlog=BACKLOG)
    if place.path == OF_THE_MACHINE:
        place.path.parent.mkdir(mode=0o700, exist_ok=True)
    _clear(place.path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.bind(str(place.path))
        place.path.chmod(stat.S_IRUSR | stat.S_IWUSR)  # until it listens nobody can connect
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _clear(path: Path) -> None:
    """Remove the socket of a server that has ended without it. Raises OSError for that of one that lives."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file, which is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asking:
            try:
                asking.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            except BlockingIOError:  # it is only too busy to say so
                raise OSError(errno.EADDRINUSE, "a server listens there") from None
            else:
                raise OSError(errno.EADDRINUSE, "a server listens there")


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.lstat()
        return found.st_dev, found.st_ino
    return None


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
