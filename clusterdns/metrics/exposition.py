"""All metrics in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from clusterdns.metrics import coredns, own
from clusterdns.metrics.adding import Sum, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

    from clusterdns.metrics.adding import Reading
    from clusterdns.metrics.readings import Readings


_OF_PROCESS = (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR)


class Metrics(Collector):
    """others: the numbers of other processes, which are added to those of this one; None if there are none at all."""

    def __init__(self, readings: Readings, others: Callable[[], Iterable[Reading] | None] = lambda: None) -> None:
        self._readings = readings
        self._others = others
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def reading(self) -> Reading:
        """The numbers of this process."""
        return reading(self._of_this_process())

    def collect(self) -> Iterator[Metric]:
        others = self._others()
        if others is None:
            yield from self._of_this_process()
            return
        whole = Sum()
        for each in (self.reading(), *others):
            whole.add(each)
        yield from whole.families()

    def _of_this_process(self) -> Iterator[Metric]:
        for each in _OF_PROCESS:
            yield from each.collect()
        yield from coredns.families(self._readings)
        yield from own.families(self._readings)
