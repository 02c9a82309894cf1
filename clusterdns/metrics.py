"""The metrics: numbers that the other parts keep anyway, read when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from msgspec import Struct
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from clusterdns import __version__
from clusterdns.durations import Durations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric


class Watch(Struct, frozen=True):
    """A watch as it stands; ages are in seconds, None before the first time."""

    resource: str
    age: float | None
    listed_age: float | None
    restarts: int
    differences: int


class Readings(Struct, frozen=True):
    """Where the numbers are read."""

    objects: Callable[[], dict[str, int]]
    watches: Callable[[], Sequence[Watch]] = tuple
    propagation: Durations | None = None
    programming: Durations | None = None


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
        readings = self._readings
        build = GaugeMetricFamily("clusterdns_build_info", "What is running.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        objects = GaugeMetricFamily("clusterdns_objects", "Objects in the index.", labels=["kind"])
        for kind, count in readings.objects().items():
            objects.add_metric([kind], count)
        yield objects
        yield from _watches(readings.watches())
        text = "From the bytes of a change to the changed answer."
        yield from _histogram("clusterdns_propagation_seconds", text, readings.propagation)
        text = "From the change of a service's endpoints to the changed answer."
        name = "coredns_kubernetes_dns_programming_duration_seconds"
        yield from _histogram(name, text, readings.programming, service_kind="headless_with_selector")


def _watches(watches: Sequence[Watch]) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "clusterdns_watch_age_seconds", "Since the API server last said anything.", labels=["resource"]
    )
    listed = GaugeMetricFamily("clusterdns_watch_list_age_seconds", "Since everything was listed.", labels=["resource"])
    restarts = CounterMetricFamily("clusterdns_watch_restarts", "Watches begun anew.", labels=["resource"])
    different = CounterMetricFamily(
        "clusterdns_watch_differences", "Objects that a new list had otherwise than the watch.", labels=["resource"]
    )
    for watch in watches:
        if watch.age is not None:
            age.add_metric([watch.resource], watch.age)
        if watch.listed_age is not None:
            listed.add_metric([watch.resource], watch.listed_age)
        restarts.add_metric([watch.resource], watch.restarts)
        different.add_metric([watch.resource], watch.differences)
    yield from (age, listed, restarts, different)


def _histogram(name: str, text: str, durations: Durations | None, **labels: str) -> Iterator[Metric]:
    if durations is not None:
        family = HistogramMetricFamily(name, text, labels=list(labels))
        bounds = [*map(str, durations.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(durations.counts), strict=True))
        family.add_metric(list(labels.values()), buckets, durations.sum)
        yield family
