"""How long things take, and how large they are, as plain numbers that whoever shows them reads."""

from __future__ import annotations

from bisect import bisect_left


class Buckets:
    """Numbers, counted by how large they are."""

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        """Upper bounds of the buckets; one more bucket has none."""
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, number: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, number)] += times
        self.sum += number * times

    def add(self, more: Buckets) -> None:
        """Count in what was counted in the same buckets elsewhere."""
        self.counts = [one + other for one, other in zip(self.counts, more.counts, strict=True)]
        self.sum += more.sum


class Durations(Buckets):
    """Seconds."""
