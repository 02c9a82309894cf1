"""Numbers of several processes, as those of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from prometheus_client import Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_Labels = tuple[tuple[str, str], ...]

LOWEST = frozenset({
    "clusterdns_configuration_in_effect", "clusterdns_upstream_usable", "process_max_fds", "process_start_time_seconds",
})  # fmt: skip
"""Gauges that are what the lowest one says: something holds if it holds for all."""

HIGHEST = frozenset({
    "clusterdns_build_info", "clusterdns_index_names", "clusterdns_objects", "clusterdns_upstream_looping",
    "coredns_build_info", "coredns_plugin_enabled", "python_info",
})  # fmt: skip
"""Gauges that are what the highest one says: all processes have the same, or one has learnt of it first."""


class Family(Struct, frozen=True, array_like=True):
    """A family of metrics, as plain values."""

    name: str
    text: str
    kind: str
    samples: tuple[tuple[str, _Labels, float], ...]


Reading = tuple[Family, ...]
"""All numbers of one process at one moment."""


def reading(families: Iterable[Metric]) -> Reading:
    return tuple(
        Family(
            each.name,
            each.documentation,
            each.type,
            tuple((sample.name, tuple(sample.labels.items()), float(sample.value)) for sample in each.samples),
        )
        for each in families
    )


class Sum:
    """Readings, added up. Gauges that LOWEST and HIGHEST do not name are added like the rest: what waits, what is kept
    in caches, what a process takes of memory (where what several share is counted for each) and of descriptors.
    """

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}
        self._numbers: dict[str, dict[tuple[str, _Labels], float]] = {}

    def add(self, reading: Reading) -> None:
        for family in reading:
            self._families.setdefault(family.name, family)
            numbers = self._numbers.setdefault(family.name, {})
            for name, labels, number in family.samples:
                key = name, labels
                numbers[key] = _together(family.name, numbers[key], number) if key in numbers else number

    def add_lasting(self, reading: Reading) -> None:
        """What stays counted when its process has ended."""
        self.add(tuple(each for each in reading if each.kind in ("counter", "histogram")))

    def reading(self) -> Reading:
        return tuple(
            Family(
                each.name, each.text, each.kind, tuple((*key, number) for key, number in self._numbers[name].items())
            )
            for name, each in self._families.items()
        )

    def families(self) -> Iterator[Metric]:
        """As whoever shows them takes them."""
        for each in self.reading():
            metric = Metric(each.name, each.text, each.kind)
            for name, labels, number in each.samples:
                metric.add_sample(name, dict(labels), number)
            yield metric


def _together(family: str, one: float, other: float) -> float:
    if family in LOWEST:
        return min(one, other)
    if family in HIGHEST:
        return max(one, other)
    return one + other
