"""Names that somebody wrote down: hosts(5) files and lines of the same form, read again as the files change.

At the start a line of the configuration that is none, or a file that can not be read, is a fault. What is wrong inside
a file is logged and passed over, as every resolver does. A file that can not be read later keeps its last content.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from clusterdns import names
from clusterdns.contents import content
from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import Host
from clusterdns.stamps import POLL_SECONDS, Stamp, rested, stamp_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from clusterdns.events import Event
    from clusterdns.names import Address, Name

log = logging.getLogger("clusterdns.hosts")

SLICE = 500
"""Lines that are read, or names that are compared, before others have their turn: about 2 ms."""

MOST_WARNINGS = 10
"""How many lines of one file are complained of one by one."""

_HOST_NAME = re.compile(rb"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


_Names: TypeAlias = dict["Name", Host]


class HostsError(Exception):
    """`faults` says what is wrong, `place: reason` each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


class _File(Struct):
    """A file as it was last read. `trouble` and `faults` are what was logged of it, and holds still."""

    path: Path
    content: bytes = b""
    stamp: Stamp | None = None
    trouble: str = ""
    faults: tuple[str, ...] = ()


class Hosts:
    """The source of the names in `paths`, then in `lines`, which are the configuration's own.

    needed: whether a file that can not be read at the start is a fault; else it is read once it can be.
    zones: names outside of these are passed over, unless there are none.
    """

    def __init__(
        self, paths: Sequence[Path], lines: Sequence[str] = (), *, needed: bool = True, zones: Iterable[Name] = ()
    ) -> None:
        self._needed = needed
        self._zones = frozenset(zones)
        self._files = [_File(path) for path in paths]
        self._lines = "\n".join(" ".join(each.splitlines()) for each in lines).encode()
        self._known: _Names = {}
        """What was handed over."""
        self.is_telling = False
        """Whether a change was read, and a part of it is yet to be handed over."""

    async def open(self) -> list[Event]:
        """All names, as one Listed. Raises HostsError with all that is wrong with the lines, and with reading files."""
        troubles = []
        for file in self._files:
            try:
                file.content, file.stamp = await asyncio.to_thread(_read, file.path)
            except OSError as error:
                trouble = f"cannot be read: {error.strerror or error}"
                if self._needed:
                    troubles.append(f"{file.path}: {trouble}")
                else:
                    _note(file, trouble)
        faults = await _parse("hosts.entries", self._lines, {}, {})
        if troubles or faults:
            raise HostsError([*troubles, *faults])
        self._known = await self._all()
        if self._files:
            log.info("%d hosts files read: %d names", len(self._files), len(self._known))
        return [self.listed()]

    def listed(self) -> Listed:
        """All names that were handed over, or are about to be."""
        return Listed(Host, tuple(self._known.values()))

    def look_anew(self) -> None:
        """Read all files again at the next look: whoever was about to tell what has changed is not here any more."""
        self.is_telling = False
        for file in self._files:
            file.content, file.stamp = b"", None

    async def changes(self) -> AsyncGenerator[list[Event], None]:
        """The difference to what was handed over, in slices, each time that there is one, without end."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if any([await self._reread(file) for file in self._files]):
                async for events in self._difference(await self._all()):
                    yield events
                self.is_telling = False

    async def _reread(self, file: _File) -> bool:
        """Whether the file has another content than before."""
        try:
            if await rested(lambda: stamp_of(file.path.stat()), file.stamp) == file.stamp:
                _note(file, "")
                return False
            content, file.stamp = await asyncio.to_thread(_read, file.path)
        except OSError as error:
            _note(file, f"cannot be read: {error.strerror or error}; what was read before stays")
            return False
        _note(file, "")
        changed = content != file.content
        file.content = content
        self.is_telling = self.is_telling or changed
        return changed

    async def _all(self) -> _Names:
        """The names of all files and lines; one that comes again has all the addresses."""
        found: _Names = {}
        for file in self._files:
            faults = await _parse(str(file.path), file.content, found, self._known)
            _complain(file, faults)
        await _parse("hosts.entries", self._lines, found, self._known)
        if self._zones:
            return {name: host for name, host in found.items() if self._is_within(name)}
        return found

    def _is_within(self, name: Name) -> bool:
        return name in self._zones or any(each in self._zones for each in names.ancestors(name))

    async def _difference(self, now: _Names) -> AsyncGenerator[list[Event], None]:
        """Names are put before others go, so that one that is moved to another file is never missing."""
        known, self._known = self._known, now
        puts = gone = 0
        async for some in _sliced(now.values()):
            new = [each for each in some if known.get(each.name) != each]
            puts += len(new)
            if new:
                yield [Put(each) for each in new]
        async for some in _sliced(known.values()):
            old = [each for each in some if each.name not in now]
            gone += len(old)
            if old:
                yield [Gone(Host, each.key) for each in old]
        log.info("hosts files have changed: %d names put, %d gone", puts, gone)


def _read(path: Path) -> tuple[bytes, Stamp]:
    """A file's content, and its stamp before it was read: whatever is written meanwhile is a change."""
    stamp = stamp_of(path.stat())
    return content(path), stamp


def _note(file: _File, trouble: str) -> None:
    """Log a trouble when it comes, and when it goes."""
    if trouble and trouble != file.trouble:
        log.warning("%(file)s: %(error)s", {"file": file.path, "error": trouble})
    elif file.trouble and not trouble:
        log.info("%s is read again", file.path)
    file.trouble = trouble


def _complain(file: _File, faults: Sequence[str]) -> None:
    """Log what is new in the first faults of a file, and how many others there are."""
    shown = tuple(faults[:MOST_WARNINGS])
    new = [each for each in shown if each not in file.faults]
    for each in new:
        log.warning("%s; passed over", each)
    if new and len(faults) > len(shown):
        log.warning("%s: %d more lines like these; passed over", file.path, len(faults) - len(shown))
    file.faults = shown


# Lines -> names


async def _parse(place: str, content: bytes, found: _Names, known: _Names) -> list[str]:
    """Add a content's names to what is found; what is known already is used again, for the sake of memory.

    Returns what is wrong with the content, `place:line: reason` each.
    """
    faults: list[str] = []
    alone: tuple[Address, ...] = ()
    """The last address by itself, which all the names of a block list share."""
    for number, line in enumerate(io.BytesIO(content.removeprefix(b"\xef\xbb\xbf")), 1):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        fields = line.partition(b"#")[0].split()
        if not fields:
            continue
        address = names.address(fields[0].decode("ascii", "replace"))
        if address is None or len(fields) == 1:
            faults.append(f"{place}:{number}: {_shown(line)}: expected ADDRESS NAME [ALIAS...]")
            continue
        if alone != (address,):
            alone = (address,)
        for text in fields[1:]:
            name = _name(text)
            if name is None:
                faults.append(f"{place}:{number}: {_shown(text)} is no host name")
                continue
            held = found.get(name)
            if held is None or address not in held.addresses:
                new = Host(held.name, held.addresses + alone) if held else Host(name, alone)
                before = known.get(name)
                if before is not None and before == new:
                    new = before
                found[new.name] = new
    return faults


def _name(text: bytes) -> Name | None:
    """The host name, None if DNS can not hold it; a name beyond ASCII is written as `xn--...` there."""
    return names.possible(text.decode()) if _HOST_NAME.fullmatch(text) else None


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "replace").strip()
    return repr(shown if len(shown) <= 60 else f"{shown[:60]}...")


async def _sliced(hosts: Iterable[Host]) -> AsyncGenerator[list[Host], None]:
    """The hosts, some at a time, with the others' turn in between."""
    every = list(hosts)
    for start in range(0, len(every), SLICE):
        yield every[start : start + SLICE]
        await asyncio.sleep(0)
