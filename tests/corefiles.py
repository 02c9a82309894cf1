"""Corefiles for tests: written in the test, read as from /etc/coredns, shown as plain lists."""

from __future__ import annotations

import errno
import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clusterdns.corefile import Corefile, CorefileError, Directive, read, served_zones

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COREFILE = Path("/etc/coredns/Corefile")

ENVIRONMENT = {
    "ZONE": "example.org", "PORT": "1053", "SPACED": "one two", "OPEN": "{", "CLOSE": "}", "ITSELF": "{$ITSELF}",
    "EMPTY": "", "HASH": "#", "IMPORT": "import",
}  # fmt: skip

Said = tuple[object, ...]
"""A directive's name and arguments, and a list of what its block says: `("health", ["lameduck", "5s"])`."""


class Memory:
    """Files by their paths."""

    def __init__(self, texts: Mapping[Path, str]) -> None:
        self._texts = texts

    def read(self, path: Path) -> str:
        if path not in self._texts:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._texts[path]

    def matching(self, pattern: Path) -> Sequence[Path]:
        return sorted(path for path in self._texts if fnmatch.fnmatchcase(str(path), str(pattern)))


def corefile(text: str, **imported: str) -> Corefile:
    """A Corefile in /etc/coredns; the others' names are relative to it, `a__b` is a/b and `a_b` is a.b."""
    texts = {COREFILE.parent / name.replace("__", "/").replace("_", "."): content for name, content in imported.items()}
    return read(COREFILE, Memory({COREFILE: text, **texts}), ENVIRONMENT)


def faults(text: str, **imported: str) -> list[str]:
    """What is wrong, without the folder."""
    with pytest.raises(CorefileError) as raised:
        served_zones(corefile(text, **imported))
    assert str(raised.value) == "\n".join(map(str, raised.value.faults))
    return [line.removeprefix("/etc/coredns/") for line in str(raised.value).split("\n")]


def said(directives: Sequence[Directive]) -> list[Said]:
    return [
        (each.name, *(word.text for word in each.arguments), *([said(each.lines)] if each.lines is not None else []))
        for each in directives
    ]


def blocks(found: Corefile) -> list[tuple[list[str], list[Said]]]:
    return [([key.text for key in each.keys], said(each.directives)) for each in found.blocks]
