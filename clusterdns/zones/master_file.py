"""The records of a master file (RFC 1035 section 5), with $ORIGIN, $TTL (RFC 2308 section 4), $INCLUDE and $GENERATE.

A record that does not say its owner has that of the one before. One that does not say its TTL has that of $TTL; without
such a line that of the record before it, or the SOA record's last number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from msgspec import Struct

from clusterdns.names import Name
from clusterdns.presentation import on_one_line, type_number
from clusterdns.records import CLASS_IN, Record, Type
from clusterdns.zones.data import LOWERED, NameOf, read_data
from clusterdns.zones.text import CLASSES, NotARecord, entries, is_ttl, name_from_text, seconds, unquoted

DEFAULT_TTL = 3600
"""Seconds; where nothing says another one."""

DEEPEST = 16
"""Files that include one another."""

MOST_INCLUDED = 1000
"""Files of a zone: two that each include the next one twice would come to 65,536."""

MOST_GENERATED = 65536
"""Records of one $GENERATE."""

MOST_GENERATED_IN_ALL = 1_000_000
"""Records of all of them: those of a reverse zone of 12 bits. What is longer holds up the server for minutes."""

ReadFile: TypeAlias = Callable[[str, str], tuple[str, str]]
"""From a file's name, and that of the one that includes it, to its own place and its text. Raises OSError."""


class MasterFileError(Exception):
    """`file:line: what is wrong there`."""


def read_records(file: str, text: str, origin: Name, read_file: ReadFile) -> list[Record]:
    """All records, with their names in lower case, in their order. Raises MasterFileError.

    origin: what relative names are completed with.
    read_file: what reads the files that are included.
    """
    return list(_Reader(read_file).records(file, text, origin, 0))


class _Owner(Struct):
    """What one record leaves to the next, in one file."""

    origin: Name
    name: Name | None = None


class _Reader:
    def __init__(self, read_file: ReadFile) -> None:
        self._read_file = read_file
        self._default: int | None = None
        """The TTL of $TTL."""
        self._last: int | None = None
        """The TTL of the record before."""
        self._minimum: int | None = None
        self._included = 0
        self._generated = 0

    def records(self, file: str, text: str, origin: Name, depth: int) -> Iterator[Record]:
        owner = _Owner(origin)
        line = 1
        try:
            for line, is_indented, words in entries(text):  # noqa: B007 - of the entry that is at fault
                if words[0].startswith("$") and not is_indented:
                    yield from self._directive(words, owner, file, depth)
                else:
                    yield self._record(words, owner, is_indented=is_indented)
        except (ValueError, OverflowError) as error:
            at = error.args[1] if isinstance(error, NotARecord) and len(error.args) > 1 else line
            raise MasterFileError(on_one_line(f"{file}:{at}: {error.args[0]}")) from error

    def _directive(self, words: list[str], owner: _Owner, file: str, depth: int) -> Iterator[Record]:
        match [words[0].upper(), *words[1:]]:
            case ["$ORIGIN", name]:
                owner.origin = name_from_text(name, owner.origin).lower()
            case ["$TTL", ttl]:
                self._default = seconds(ttl)
            case ["$INCLUDE", name, *origins] if len(origins) < 2:
                origin = name_from_text(origins[0], owner.origin).lower() if origins else owner.origin
                if depth == DEEPEST:
                    raise NotARecord(f"more than {DEEPEST} files that include one another")
                self._included += 1
                if self._included > MOST_INCLUDED:
                    raise NotARecord(f"more than {MOST_INCLUDED} files are included")
                try:
                    place, text = self._read_file(unquoted(name).decode(errors="replace"), file)
                except OSError as error:
                    raise NotARecord(f"{name}: {error.strerror or error}") from error
                yield from self.records(place, text, origin, depth + 1)
            case ["$GENERATE", numbers, name, *rest] if rest:
                numbered = _numbers(numbers)
                self._generated += len(numbered)
                if self._generated > MOST_GENERATED_IN_ALL:
                    raise NotARecord(f"more than {MOST_GENERATED_IN_ALL} records of all $GENERATE")
                for number in numbered:
                    filled = [_filled(each, number) for each in (name, *rest)]
                    yield self._record(filled, owner, is_indented=False)
            case _:
                raise NotARecord(
                    f"{' '.join(words)}: expected $ORIGIN NAME, $TTL TTL, $INCLUDE FILE [ORIGIN] or $GENERATE"
                )

    def _record(self, words: list[str], owner: _Owner, *, is_indented: bool) -> Record:
        words = list(words)
        if not is_indented:
            owner.name = name_from_text(words.pop(0), owner.origin).lower()
        if owner.name is None:
            raise NotARecord("there is no record before this one to have the owner of")
        ttl: int | None = None
        while words:
            word = words.pop(0)
            if is_ttl(word) and ttl is None:
                ttl = seconds(word)
            elif word.upper() in CLASSES:
                if CLASSES[word.upper()] != CLASS_IN:
                    raise NotARecord(f"there are only records of class IN here, not {word}")
            else:
                rtype = type_number(word)
                data = read_data(rtype, words, _names_of(rtype, owner.origin))
                return Record(owner.name, rtype, self._ttl(ttl, rtype, data), data)
        raise NotARecord("no type")

    def _ttl(self, ttl: int | None, rtype: int, data: bytes) -> int:
        if rtype == Type.SOA and self._minimum is None:
            self._minimum = int.from_bytes(data[-4:], "big")
        if ttl is None:
            known = (self._default, self._last, self._minimum)
            return next((each for each in known if each is not None), DEFAULT_TTL)
        self._last = ttl
        return ttl


def _names_of(rtype: int, origin: Name) -> NameOf:
    """In lower case, unless a signature could be about the letters as they are."""
    if rtype in LOWERED:
        return lambda text: name_from_text(text, origin).lower()
    return lambda text: name_from_text(text, origin)


# $GENERATE, as BIND has it

_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})(?:/(\d{1,9}))?", re.ASCII)
_PLACE = re.compile(
    r"\\\$|\$\$|\$(?:\{(?P<offset>[+-]?\d{1,9})(?:,(?P<width>\d{1,3})(?:,(?P<base>[doxX]))?)?\})?", re.ASCII
)


def _numbers(text: str) -> range:
    found = _RANGE.fullmatch(text)
    if found is None:
        raise NotARecord(f"{text!r} is no range such as 1-9 or 0-100/10")
    numbers = range(int(found[1]), int(found[2]) + 1, int(found[3] or 1) or 1)
    if len(numbers) > MOST_GENERATED:
        raise NotARecord(f"{text}: more than {MOST_GENERATED} records")
    return numbers


def _filled(text: str, number: int) -> str:
    def fill(place: re.Match[str]) -> str:
        if place[0] in ("\\$", "$$"):
            return "$"
        value = number + int(place["offset"] or 0)
        if value < 0:
            raise NotARecord(f"{text}: {value} is below 0")
        return f"{value:0{place['width'] or 0}{place['base'] or 'd'}}"

    return _PLACE.sub(fill, text)
