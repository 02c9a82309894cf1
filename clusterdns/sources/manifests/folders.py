"""Looks which manifest files there are, without reading them.

A folder counts with all its folders. What begins with a dot does not: it is hidden, and where a ConfigMap is mounted
each file is a link into such a folder (`cart.yaml -> ..data/cart.yaml`, `..data -> ..2026_07_31_12_00_00.1/`), which
would be read twice. A file that is named by itself counts whatever its name.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

SUFFIXES = (".yaml", ".yml", ".json")


class Stamp(Struct, frozen=True):
    """As long as it is the same, nobody has touched the file, nor put another in its place."""

    resolved: Path
    inode: int = 0
    size: int = 0
    modified_ns: int = 0


class Survey(Struct):
    """What was seen in one look.

    `folders` are those whose entries matter, each with its device and inode: a folder that was removed and made again
    is another one. `faults` are the paths that could not be looked at, with the reason; those of them that are not
    known to be missing, and may be as full as before, are `unreadable`.
    """

    stamps: dict[Path, Stamp] = field(default_factory=dict)
    folders: set[tuple[Path, int, int]] = field(default_factory=set)
    faults: dict[Path, str] = field(default_factory=dict)
    unreadable: set[Path] = field(default_factory=set)


def survey(paths: Iterable[Path]) -> Survey:
    """One look at all the paths. A file or folder that is reached on two ways counts once."""
    seen: set[Path] = set()
    result = Survey()
    for path in paths:
        try:
            info = path.stat()
            resolved = path.resolve()
        except OSError as error:
            _add_fault(path, error, result)
            continue
        if stat.S_ISDIR(info.st_mode):
            _add_folder(path, resolved, info, result, seen)
        else:
            _add_file(path, resolved, info, result, seen)
            _add_watched(path.parent, result)
    return result


def _add_fault(path: Path, error: OSError, result: Survey) -> None:
    result.faults[path] = _reason(error)
    if not isinstance(error, FileNotFoundError):
        result.unreadable.add(path)


def _add_folder(path: Path, resolved: Path, info: os.stat_result, result: Survey, seen: set[Path]) -> None:
    if resolved in seen:
        return
    seen.add(resolved)
    result.folders.add((path, info.st_dev, info.st_ino))
    try:
        entries = sorted(path.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        _add_fault(path, error, result)
        return
    for entry in entries:
        if not entry.name.startswith("."):
            _add_entry(entry, resolved, result, seen)


def _add_entry(entry: Path, folder: Path, result: Survey, seen: set[Path]) -> None:
    is_manifest = entry.suffix.lower() in SUFFIXES and entry.stem != "kustomization"
    try:
        info = entry.stat()
        # Looking up every part of every path would be most of the work.
        resolved = entry.resolve() if entry.is_symlink() else folder / entry.name
    except OSError as error:
        # It may just have been removed, but a link stays to say that its target is missing.
        if is_manifest and (entry.is_symlink() or not isinstance(error, FileNotFoundError)):
            _add_fault(entry, error, result)
        return
    if stat.S_ISDIR(info.st_mode):
        _add_folder(entry, resolved, info, result, seen)
    elif stat.S_ISREG(info.st_mode) and is_manifest:
        _add_file(entry, resolved, info, result, seen)


def _add_file(path: Path, resolved: Path, info: os.stat_result, result: Survey, seen: set[Path]) -> None:
    if resolved in seen:
        return
    seen.add(resolved)
    result.stamps[path] = _stamp(resolved, info)
    if path.is_symlink():
        _add_watched(resolved.parent, result)


def stamp(path: Path) -> Stamp | None:
    """The file's stamp as of now, None if it cannot be had."""
    try:
        return _stamp(path.resolve(), path.stat())
    except OSError:
        return None


def _stamp(resolved: Path, info: os.stat_result) -> Stamp:
    if stat.S_ISREG(info.st_mode):
        return Stamp(resolved, info.st_ino, info.st_size, info.st_mtime_ns)
    # A pipe, as the shell's <(…) makes it, can be read once.
    return Stamp(resolved)


def _add_watched(folder: Path, result: Survey) -> None:
    try:
        info = folder.stat()
    except OSError:
        return
    result.folders.add((folder, info.st_dev, info.st_ino))


def _reason(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"
