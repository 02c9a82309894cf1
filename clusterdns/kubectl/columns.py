"""Rows as lines of text."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP = 3
NARROWEST = 6
"""Of a column, its gap included."""


class Columns:
    """Each is as wide as what was widest in it so far; the last is as wide as it is."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def lines(self, rows: Iterable[Sequence[str]]) -> list[str]:
        rows = list(rows)
        for row in rows:
            widths = [max(len(cell) + GAP, NARROWEST) for cell in row[:-1]]
            self._widths = [max(pair) for pair in zip_longest(self._widths, widths, fillvalue=0)]
        return [
            "".join(cell.ljust(width) for cell, width in zip(row[:-1], self._widths, strict=True)) + row[-1]
            for row in rows
        ]
