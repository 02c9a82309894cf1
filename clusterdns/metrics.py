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


class CacheState(Struct, frozen=True):
    """What was answered out of the cache, and what waits for upstreams."""

    entries: int
    bytes: int
    hits: int
    misses: int
    evictions: int
    stale: int
    prefetched: int
    waiting: int
    rejected: int


class UpstreamState(Struct, frozen=True):
    """An upstream as it stands."""

    upstream: str
    zone: str
    is_usable: bool
    is_looping: bool
    failures: int
    durations: Durations


class Readings(Struct, frozen=True):
    """Where the numbers are read."""

    objects: Callable[[], dict[str, int]]
    cache: Callable[[], CacheState] | None = None
    upstreams: Callable[[], Sequence[UpstreamState]] = tuple
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
        if readings.cache is not None:
            yield from _cache(readings.cache())
        yield from _upstreams(readings.upstreams())
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


def _cache(state: CacheState) -> Iterator[Metric]:
    for name, text, value in (
        ("clusterdns_cache_entries", "Responses in the cache.", state.entries),
        ("clusterdns_cache_bytes", "What they take, about.", state.bytes),
        ("clusterdns_upstream_waiting", "Queries that wait for an upstream.", state.waiting),
    ):
        yield GaugeMetricFamily(name, text, value)
    for name, text, value in (
        ("clusterdns_cache_hits", "Queries for names of others that the cache could answer.", state.hits),
        ("clusterdns_cache_misses", "Those that it could not.", state.misses),
        ("clusterdns_cache_evictions", "Responses that had to make room before their time.", state.evictions),
        ("clusterdns_cache_stale", "Answers past their time, since no upstream gave a newer one.", state.stale),
        ("clusterdns_cache_prefetches", "Responses asked for again before their time was over.", state.prefetched),
        ("clusterdns_upstream_rejects", "Queries refused since too many waited.", state.rejected),
    ):
        yield CounterMetricFamily(name, text, value)


def _upstreams(upstreams: Sequence[UpstreamState]) -> Iterator[Metric]:
    usable = GaugeMetricFamily("clusterdns_upstream_usable", "Whether it answers.", labels=["upstream", "zone"])
    looping = GaugeMetricFamily(
        "clusterdns_upstream_looping",
        "Whether what it is asked comes back to this server.",
        labels=["upstream", "zone"],
    )
    failures = CounterMetricFamily(
        "clusterdns_upstream_failures", "Queries that it did not answer.", labels=["upstream", "zone"]
    )
    name, text = "clusterdns_upstream_duration_seconds", "How long it took for its answers."
    durations = HistogramMetricFamily(name, text, labels=["upstream", "zone"])
    for each in upstreams:
        usable.add_metric([each.upstream, each.zone], each.is_usable)
        looping.add_metric([each.upstream, each.zone], each.is_looping)
        failures.add_metric([each.upstream, each.zone], each.failures)
        durations.add_metric([each.upstream, each.zone], _buckets(each.durations), each.durations.sum)
    yield from (usable, looping, failures, durations)


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    bounds = [*map(str, durations.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(durations.counts)), strict=True))


def _histogram(name: str, text: str, durations: Durations | None, **labels: str) -> Iterator[Metric]:
    if durations is not None:
        family = HistogramMetricFamily(name, text, labels=list(labels))
        family.add_metric(list(labels.values()), _buckets(durations), durations.sum)
        yield family
