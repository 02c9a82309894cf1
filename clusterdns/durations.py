"""How long things take, as plain numbers that whoever shows them reads."""

from __future__ import annotations

from bisect import bisect_left


class Durations:
    """Durations, counted in buckets. Seconds."""

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        """Upper bounds of the buckets; one more bucket has none."""
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds
