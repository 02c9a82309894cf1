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
    """What was answered out of the cache of a block, and what waits for its upstreams."""

    block: str
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

    block: str
    upstream: str
    zone: str
    is_usable: bool
    is_looping: bool
    failures: int
    durations: Durations


class Readings(Struct, frozen=True):
    """Where the numbers are read."""

    objects: Callable[[], dict[str, int]]
    caches: Callable[[], Sequence[CacheState]] = tuple
    upstreams: Callable[[], Sequence[UpstreamState]] = tuple
    reloads_failed: Callable[[], int] = int
    log_lines_dropped: Callable[[], int] = int
    watches: Callable[[], Sequence[Watch]] = tuple
    propagation: Callable[[], Durations | None] = lambda: None
    programming: Callable[[], Durations | None] = lambda: None


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
        text = "Configurations that were not taken over, since something is wrong with them."
        yield CounterMetricFamily("coredns_reload_failed", text, readings.reloads_failed())
        text = "Lines of the query log that were lost, since nobody read them in time."
        yield CounterMetricFamily("clusterdns_query_log_dropped", text, readings.log_lines_dropped())
        yield from _watches(readings.watches())
        yield from _caches(readings.caches())
        yield from _upstreams(readings.upstreams())
        text = "From the bytes of a change to the changed answer."
        yield from _histogram("clusterdns_propagation_seconds", text, readings.propagation())
        text = "From the change of a service's endpoints to the changed answer."
        name = "coredns_kubernetes_dns_programming_duration_seconds"
        yield from _histogram(name, text, readings.programming(), service_kind="headless_with_selector")


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


def _caches(caches: Sequence[CacheState]) -> Iterator[Metric]:
    for field, name, text in (
        ("entries", "cache_entries", "Responses in the cache."),
        ("bytes", "cache_bytes", "What they take, about."),
        ("waiting", "upstream_waiting", "Queries that wait for an upstream."),
    ):
        gauge = GaugeMetricFamily(f"clusterdns_{name}", text, labels=["block"])
        for state in caches:
            gauge.add_metric([state.block], getattr(state, field))
        yield gauge
    for field, name, text in (
        ("hits", "cache_hits", "Queries for names of others that the cache could answer."),
        ("misses", "cache_misses", "Those that it could not."),
        ("evictions", "cache_evictions", "Responses that had to make room before their time."),
        ("stale", "cache_stale", "Answers past their time, since no upstream gave a newer one."),
        ("prefetched", "cache_prefetches", "Responses asked for again before their time was over."),
        ("rejected", "upstream_rejects", "Queries refused since too many waited."),
    ):
        counter = CounterMetricFamily(f"clusterdns_{name}", text, labels=["block"])
        for state in caches:
            counter.add_metric([state.block], getattr(state, field))
        yield counter


def _upstreams(upstreams: Sequence[UpstreamState]) -> Iterator[Metric]:
    usable = GaugeMetricFamily(
        "clusterdns_upstream_usable", "Whether it answers.", labels=["block", "upstream", "zone"]
    )
    looping = GaugeMetricFamily(
        "clusterdns_upstream_looping",
        "Whether what it is asked comes back to this server.",
        labels=["block", "upstream", "zone"],
    )
    failures = CounterMetricFamily(
        "clusterdns_upstream_failures", "Queries that it did not answer.", labels=["block", "upstream", "zone"]
    )
    name, text = "clusterdns_upstream_duration_seconds", "How long it took for its answers."
    durations = HistogramMetricFamily(name, text, labels=["block", "upstream", "zone"])
    for each in upstreams:
        usable.add_metric([each.block, each.upstream, each.zone], each.is_usable)
        looping.add_metric([each.block, each.upstream, each.zone], each.is_looping)
        failures.add_metric([each.block, each.upstream, each.zone], each.failures)
        durations.add_metric([each.block, each.upstream, each.zone], _buckets(each.durations), each.durations.sum)
    yield from (usable, looping, failures, durations)


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    bounds = [*map(str, durations.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(durations.counts)), strict=True))


def _histogram(name: str, text: str, durations: Durations | None, **labels: str) -> Iterator[Metric]:
    if durations is not None:
        family = HistogramMetricFamily(name, text, labels=list(labels))
        family.add_metric(list(labels.values()), _buckets(durations), durations.sum)
        yield family
