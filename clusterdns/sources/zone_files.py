"""Zones out of files in the format of RFC 1035 section 5, read again as the files change.

At the start a file that makes no zone is a fault. One that does not later keeps the zone that it made before.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.names import Name
from clusterdns.records import LONGEST_TTL
from clusterdns.stamps import POLL_SECONDS, Stamp, rested, stamp
from clusterdns.zones import MasterFileError, ServedZone, ZoneData, make_zone, read_records
from clusterdns.zones.text import name_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence


log = logging.getLogger("clusterdns.zones")


class ZoneFileError(Exception):
    """The message says what is wrong with each file, `file:line: what`."""


class ZoneFile(Struct, frozen=True):
    path: Path
    zones: tuple[Name, ...]
    """What the file says is said of each of these: relative names are completed with it."""
    fall_through: frozenset[Name] = frozenset()
    needed: bool = True
    """Whether a file that can not be read at the start is a fault; else it is read once it can be."""
    followed: bool = True
    """Whether it is read again when it changes."""
    ttl: tuple[int, int] = (0, LONGEST_TTL)
    negative_ttl: tuple[int, int] = (0, LONGEST_TTL)
    """As a ServedZone has them."""


class ZoneFolder(Struct, frozen=True):
    """A folder whose files come and go, and each are a zone's."""

    path: Path
    zone_of: Callable[[str], Name | None]
    """From a file's name to its zone; None if it is no zone file."""
    followed: bool = True
    ttl: tuple[int, int] = (0, LONGEST_TTL)
    negative_ttl: tuple[int, int] = (0, LONGEST_TTL)

    def files(self) -> dict[Path, ZoneFile]:
        """Those that are there now, also in folders below; a zone that comes twice has its first file.

        Raises OSError if a folder goes while it is looked through.
        """
        found: dict[Name, ZoneFile] = {}
        for path in sorted(self.path.rglob("*")):
            zone = self.zone_of(path.name)
            if zone is not None and zone not in found and path.is_file():
                found[zone] = ZoneFile(
                    path, (zone,), needed=False, followed=self.followed, ttl=self.ttl, negative_ttl=self.negative_ttl
                )
        return {each.path: each for each in found.values()}


class _Held(Struct):
    """A file as it was last read."""

    file: ZoneFile
    zones: dict[Name, ZoneData | None]
    stamps: dict[Path, Stamp | None]
    """Of all the files that it is made of, with those that it includes."""
    trouble: str = ""
    """What was logged of it, and holds still."""


def _held(file: ZoneFile) -> _Held:
    return _Held(file, dict.fromkeys(file.zones), {file.path: None})


class ZoneFiles:
    """The source of all zones of a block."""

    def __init__(self, files: Sequence[ZoneFile], folders: Sequence[ZoneFolder] = ()) -> None:
        self._held = [_held(each) for each in files]
        self._folders = folders
        self._found: dict[Path, _Held] = {}
        """The files of the folders."""

    async def open(self) -> list[ServedZone]:
        """All zones. Raises ZoneFileError with all that is wrong with them."""
        troubles = []
        for held in self._held:
            trouble, is_missing = await self._read(held)
            if trouble and is_missing and not held.file.needed:
                _note(held, trouble)
            elif trouble:
                troubles.append(trouble)
        if troubles:
            raise ZoneFileError("\n".join(troubles))
        await self._look(self._folders)
        return self.served()

    async def changes(self) -> AsyncGenerator[list[ServedZone], None]:
        """All zones, each time that there is a change, without end."""
        followed = [each for each in self._held if each.file.followed]
        folders = [each for each in self._folders if each.followed]
        while followed or folders:
            await asyncio.sleep(POLL_SECONDS)
            known = [each for each in self._found.values() if each.file.followed]
            changed = [await self._reread(each) for each in (*followed, *known)]
            if await self._look(folders) or any(changed):
                yield self.served()

    def served(self) -> list[ServedZone]:
        """All zones, as they were read last.

        Those of the folders come first: a file that is named takes the place of one that was found.
        """
        read = [each for each in self._found.values() if None not in each.zones.values()]
        return [
            ServedZone(name, zone, held.file.fall_through, held.file.ttl, held.file.negative_ttl)
            for held in (*read, *self._held)
            for name, zone in held.zones.items()
        ]

    async def _look(self, folders: Sequence[ZoneFolder]) -> bool:
        """Look for files that have come to these folders or gone from them; whether there were any."""
        files = {path: held.file for path, held in self._found.items() if not held.file.followed}
        try:
            for folder in folders:
                files |= await asyncio.to_thread(folder.files)
        except OSError:
            return False  # the next look will be at what is there then
        gone, come = self._found.keys() - files.keys(), files.keys() - self._found.keys()
        for path in gone:
            del self._found[path]
            log.info("%s is gone", path)
        for path in sorted(come):
            held = self._found[path] = _held(files[path])
            _note(held, (await self._read(held))[0])
        return bool(gone or come)

    async def _reread(self, held: _Held) -> bool:
        """Whether there are other zones than before."""
        if await rested(lambda: {each: stamp(each) for each in held.stamps}, held.stamps) == held.stamps:
            return False
        trouble, _ = await self._read(held)
        _note(held, trouble and f"{trouble}; what was read before stays")
        return not trouble

    async def _read(self, held: _Held) -> tuple[str, bool]:
        """Read the file again; what is wrong with it, if it is not taken, and whether it can not be read at all."""
        reading = _Reading()
        try:
            zones = await asyncio.to_thread(reading.zones, held.file)
        except OSError as error:
            return f"{held.file.path}: cannot be read: {error.strerror or error}", True
        except MasterFileError as error:
            return str(error), False
        finally:
            held.stamps = reading.stamps
        held.zones = dict(zones)
        for name, zone in zones.items():
            left_out = f", {zone.outside} records outside of it left out" if zone.outside else ""
            log.info(
                "%s: zone %s, serial %d, %d names%s",
                held.file.path,
                name_text(name),
                zone.serial,
                len(zone.nodes),
                left_out,
            )
        return "", False


class _Reading:
    """One reading of a file, with all that it includes."""

    def __init__(self) -> None:
        self.stamps: dict[Path, Stamp | None] = {}

    def zones(self, file: ZoneFile) -> dict[Name, ZoneData]:
        """Raises OSError and MasterFileError."""
        text = self._text(file.path)
        found = {}
        for name in file.zones:
            records = read_records(str(file.path), text, name, self._included)
            try:
                found[name] = make_zone(name, records)
            except ValueError as error:
                raise MasterFileError(f"{file.path}:1: {error}, for the zone {name_text(name)}") from error
        return found

    def _included(self, name: str, includer: str) -> tuple[str, str]:
        path = Path(includer).parent / name
        return str(path), self._text(path)

    def _text(self, path: Path) -> str:
        self.stamps[path] = stamp(path)
        if not path.is_file() and path.exists():
            raise OSError(errno.EINVAL, "it is no file")  # a pipe would be waited for
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


def _note(held: _Held, trouble: str) -> None:
    """Log a trouble when it comes, and when it goes."""
    if trouble and trouble != held.trouble:
        log.warning("%s", trouble)
    held.trouble = trouble
