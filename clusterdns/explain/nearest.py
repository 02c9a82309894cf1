"""What somebody may have meant: the names that are a slip or two away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 3
"""More suggestions than these are a list, and no help."""


def nearest(text: str, others: Iterable[str]) -> tuple[str, ...]:
    """Those of the others that are like the text, the likest first.

    Ten thousand of them take some milliseconds: few have both the length and the letters that it takes.
    """
    limit = max(1, min(3, len(text) // 3))
    letters = frozenset(text)
    found: list[tuple[int, str]] = []
    for other in others:
        if other == text:
            continue
        if abs(len(other) - len(text)) <= limit and len(letters ^ frozenset(other)) <= 2 * limit:
            slips = distance(text, other)
            if slips <= limit:
                found.append((slips, other))
        elif _continues(text, other) or _continues(other, text):
            found.append((limit + 1, other))
    return tuple(other for _, other in sorted(found)[:MOST])


def distance(one: str, other: str) -> int:
    """How many letters were left out, put in, mistaken, or swapped with the next one."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, its in enumerate(other, 1):
            slips = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                slips = min(slips, earlier[j - 2] + 1)
            row.append(slips)
    return row[-1]


def _continues(longer: str, shorter: str) -> bool:
    """`alpaca-prod` goes on where `alpaca` ends."""
    return len(shorter) > 2 and longer.startswith(f"{shorter}-")
