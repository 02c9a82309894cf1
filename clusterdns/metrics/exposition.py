"""All metrics in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from clusterdns.metrics import coredns, own

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from clusterdns.metrics.readings import Readings


class Metrics(Collector):
    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._registry = CollectorRegistry()
        for each in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self._registry.register(each)
        self._registry.register(self)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        yield from coredns.families(self._readings)
        yield from own.families(self._readings)
