"""What somebody may have meant: the names that are a slip or two away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 3
"""More suggestions than these are a list, and no help."""


class Nearest:
    """A search that can be made in pieces: ten thousand names that are alike take a tenth of a second."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._letters = frozenset(text)
        self._limit = max(1, min(3, len(text) // 3))
        self._alike: list[tuple[int, str]] = []
        self._longer: list[str] = []

    @property
    def found(self) -> tuple[str, ...]:
        """Those that are like the text, the likest first; at the end are those that only begin alike."""
        return (*(other for _, other in self._alike), *self._longer)[:MOST]

    def look(self, others: Iterable[str]) -> None:
        """Look through these as well."""
        text, letters = self._text, self._letters
        for other in others:
            if other == text:
                continue
            limit = self._limit
            may_be = abs(len(other) - len(text)) <= limit and len(letters ^ frozenset(other)) <= 2 * limit
            if may_be and (slips := distance(text, other, limit)) <= limit:
                self._alike = sorted([*self._alike, (slips, other)])[:MOST]
                if len(self._alike) == MOST:
                    self._limit = self._alike[-1][0]  # what is less like it would not be among the first
            elif _continues(text, other) or _continues(other, text):
                self._longer = sorted([*self._longer, other])[:MOST]


def nearest(text: str, others: Iterable[str]) -> tuple[str, ...]:
    search = Nearest(text)
    search.look(others)
    return search.found


def distance(one: str, other: str, limit: int) -> int:
    """How many letters were left out, put in, mistaken, or swapped with the next one; more than the limit is any more.

    Of names that are alike most is the same at both ends, and does not count.
    """
    first, last = 0, 0
    shorter = min(len(one), len(other))
    while first < shorter and one[first] == other[first]:
        first += 1
    while last < shorter - first and one[-1 - last] == other[-1 - last]:
        last += 1
    return _distance(one[first : len(one) - last], other[first : len(other) - last], limit)


def _distance(one: str, other: str, limit: int) -> int:
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, its in enumerate(other, 1):
            slips = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                slips = min(slips, earlier[j - 2] + 1)
            row.append(slips)
        if min(row) > limit <= min(before):
            return limit + 1
    return row[-1]


def _continues(longer: str, shorter: str) -> bool:
    """`alpaca-prod` goes on where `alpaca` ends."""
    return len(shorter) > 2 and longer.startswith(f"{shorter}-")
