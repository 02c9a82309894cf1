"""What a directive says, word by word, and what is found to be wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from clusterdns.corefile import keys
from clusterdns.corefile.words import Fault, Place, shown
from clusterdns.presentation import on_one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterdns.corefile.grammar import Directive
    from clusterdns.names import Name

Chosen = TypeVar("Chosen", bound=str)

_DURATION = re.compile(r"(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"([0-9.]+)([a-zµμ]+)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Findings:
    """All that is wrong, and all that is understood, in the order in which it was found."""

    def __init__(self, *, lenient: bool) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.understood: list[str] = []
        self._lenient = lenient

    def fault(self, place: Place, text: str) -> None:
        self.faults.append(Fault(place, text))

    def warn(self, place: Place, text: str) -> None:
        self.warnings.append(Fault(place, text))

    def unsupported(self, place: Place, text: str) -> None:
        """What CoreDNS can do and this server can not: a fault, or a warning to those who are lenient."""
        (self.warnings if self._lenient else self.faults).append(Fault(place, f"{text}: not supported"))


class Reading:
    """A directive, or a line of its block. What is wrong is noted, and reading goes on: a caller that gets None, or
    less than it asked for, has nothing to say about it.
    """

    def __init__(self, directive: Directive, findings: Findings, within: str = "") -> None:
        self.place = directive.place
        self.keyword = directive.name
        self.name = f"{within}: {directive.name}" if within else directive.name
        self.words = tuple([word.text for word in directive.arguments])
        self._directive = directive
        self._findings = findings

    def fault(self, text: str) -> None:
        self._findings.fault(self.place, f"{self.name}: {text}")

    def warn(self, text: str) -> None:
        self._findings.warn(self.place, f"{self.name}: {text}")

    def unsupported(self, text: str = "") -> None:
        self._findings.unsupported(self.place, f"{self.name}: {text}" if text else self.name)

    def understood(self, *parts: str) -> None:
        said = f": {'; '.join(parts)}" if parts else ""
        self._findings.understood.append(on_one_line(f"{self.place}: {self.name}{said}"))

    def lines(self) -> Iterator[Reading]:
        """What stands in its block; nothing if it has none."""
        for line in self._directive.lines or ():
            yield Reading(line, self._findings, self.name)

    def no_lines(self) -> None:
        for line in self.lines():
            line.unsupported()

    def count(self, expected: str, least: int, most: int | None = None) -> bool:
        """Whether there are so many words; `expected` says what they are."""
        if least <= len(self.words) <= (len(self.words) if most is None else most):
            return True
        self.fault(f"expected {expected}, not {shown(' '.join(self.words)) if self.words else 'nothing'}")
        return False

    def only_first(self) -> None:
        """Say so where there are more words: CoreDNS passes over them."""
        if len(self.words) > 1:
            self.warn(f"only the first word is used: {shown(self.words[0])}")

    def nothing(self) -> bool:
        return self.count("no arguments", 0, 0)

    def one_of(self, word: str, choices: Sequence[Chosen]) -> Chosen | None:
        for choice in choices:
            if word == choice:
                return choice
        self.fault(f"expected {', '.join(choices[:-1])} or {choices[-1]}, not {shown(word)}")
        return None

    def number(self, word: str, what: str, least: int, most: int | None = None) -> int | None:
        digits = word.removeprefix("+")
        if digits.isascii() and digits.isdigit() and len(digits) <= 18:
            number = int(digits)
            if least <= number and (most is None or number <= most):
                return number
        bounds = f"from {least} to {most}" if most is not None else f"of {least} or more"
        self.fault(f"expected {what} {bounds}, not {shown(word)}")
        return None

    def duration(self, word: str, least: float = 0.0, most: float | None = None) -> float | None:
        """Seconds, from what Go takes for a duration."""
        seconds: float | None = None
        if word == "0":
            seconds = 0.0
        elif _DURATION.fullmatch(word):
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(word))
        if seconds is not None and least <= seconds and (most is None or seconds <= most):
            return seconds
        bounds = f" from {least:g}s to {most:g}s" if most is not None else f" of {least:g}s or more" if least else ""
        self.fault(f"expected a duration such as 5s or 1h30m{bounds}, not {shown(word)}")
        return None

    def zones(self, words: Sequence[str]) -> tuple[Name, ...]:
        """The zones that these words name, each once; a network stands for its reverse zones."""
        found: dict[Name, None] = {}
        for word in words:
            try:
                found.update(dict.fromkeys(keys.zones(word)))
            except ValueError as error:
                self.fault(f"{shown(word)}: {error}")
        return tuple(found)
