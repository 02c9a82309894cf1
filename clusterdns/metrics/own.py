"""What CoreDNS has no name for, under names of ours."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from clusterdns import __version__
from clusterdns.metrics.families import counter, gauge, histogram
from clusterdns.presentation import rcode_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric

    from clusterdns.durations import Buckets
    from clusterdns.metrics.families import Labels
    from clusterdns.metrics.readings import CacheState, Readings, Served, UpstreamState, Watch


def families(readings: Readings) -> Iterator[Metric]:
    yield gauge("clusterdns_build_info", "What is running.", "version", {(__version__,): 1})
    objects: dict[Labels, float] = {(kind,): count for kind, count in readings.objects().items()}
    yield gauge("clusterdns_objects", "Objects in the index.", "kind", objects)
    names: dict[Labels, float] = {(block,): count for block, count in readings.names().items()}
    yield gauge("clusterdns_index_names", "Names in the index.", "block", names)
    yield counter("clusterdns_reloads", "Configurations that were taken over.", "", {(): readings.reloads()})
    text = "Whether the configuration that was read last is in effect."
    yield gauge("clusterdns_configuration_in_effect", text, "", {(): not readings.is_outdated()})
    text = "Lines of the query log that were lost, since nobody read them in time."
    yield counter("clusterdns_query_log_dropped", text, "", {(): readings.log_lines_dropped()})
    yield from _served(readings.served())
    yield from _watches(readings.watches())
    yield from _caches(readings.caches())
    yield from _upstreams(readings.upstreams())
    workers = readings.workers()
    if workers is not None:
        yield gauge("clusterdns_workers", "Processes that answer queries.", "", {(): workers.count})
        text = "Processes that were started in the place of one that had ended."
        yield counter("clusterdns_worker_restarts", text, "", {(): workers.restarts})
    propagation = readings.propagation()
    if propagation is not None:
        text = "From the bytes of a change to the changed answer."
        yield histogram("clusterdns_propagation_seconds", text, "", {(): propagation})


def _served(served: Sequence[Served]) -> Iterator[Metric]:
    answers: Counter[Labels] = Counter()
    missing: Counter[Labels] = Counter()
    waiting: Counter[Labels] = Counter()
    unanswered: Counter[Labels] = Counter()
    for each in served:
        totals = each.tally.totals()
        for way, count in totals.ways.items():
            answers[each.zone, way] += count
        for what, count in totals.missing.items():
            missing[each.zone, what] += count
        waiting[each.server, each.zone, each.proto] += each.tally.waiting
        unanswered[each.server, each.zone, each.proto] += each.tally.unanswered
    text = "Answers that were ready-made, made for the query, waited for, or given by what stands around the rest."
    yield counter("clusterdns_answers", text, "zone way", answers)
    text = "NXDOMAIN for names of the cluster's zones, by what the name would have been."
    yield counter("clusterdns_nxdomain", text, "zone reason", missing)
    text = "Queries whose answer is still to come."
    yield gauge("clusterdns_queries_in_flight", text, "server zone proto", waiting)
    text = "Packets that got no answer: they were no queries, or had none to get."
    yield counter("clusterdns_unanswered", text, "server zone proto", unanswered)


def _watches(watches: Sequence[Watch]) -> Iterator[Metric]:
    age: dict[Labels, float] = {(each.resource,): each.age for each in watches if each.age is not None}
    yield gauge("clusterdns_watch_age_seconds", "Since the API server last said anything.", "resource", age)
    listed: dict[Labels, float] = {(each.resource,): each.listed_age for each in watches if each.listed_age is not None}
    yield gauge("clusterdns_watch_list_age_seconds", "Since everything was listed.", "resource", listed)
    restarts: dict[Labels, float] = {(each.resource,): each.restarts for each in watches}
    yield counter("clusterdns_watch_restarts", "Watches begun anew.", "resource", restarts)
    text = "Objects that a new list had otherwise than the watch."
    differences: dict[Labels, float] = {(each.resource,): each.differences for each in watches}
    yield counter("clusterdns_watch_differences", text, "resource", differences)


def _caches(caches: Sequence[CacheState]) -> Iterator[Metric]:
    for field, name, text in (
        ("entries", "cache_entries", "Responses in the cache."),
        ("bytes", "cache_bytes", "What they take, about."),
        ("waiting", "upstream_waiting", "Queries that wait for an upstream."),
    ):
        states: dict[Labels, float] = {(each.block,): getattr(each, field) for each in caches}
        yield gauge(f"clusterdns_{name}", text, "block", states)
    for field, name, text in (
        ("hits", "cache_hits", "Queries for names of others that the cache could answer."),
        ("misses", "cache_misses", "Those that it could not."),
        ("evictions", "cache_evictions", "Responses that had to make room before their time."),
        ("stale", "cache_stale", "Answers past their time, since no upstream gave a newer one."),
        ("prefetched", "cache_prefetches", "Responses asked for again before their time was over."),
        ("rejected", "upstream_rejects", "Queries refused since too many waited."),
    ):
        counts: dict[Labels, float] = {(each.block,): getattr(each.counts, field) for each in caches}
        yield counter(f"clusterdns_{name}", text, "block", counts)


def _upstreams(upstreams: Sequence[UpstreamState]) -> Iterator[Metric]:
    by_labels = {(each.block, each.upstream, each.zone): each for each in upstreams}
    labels = "block upstream zone"
    usable: dict[Labels, float] = {key: each.is_usable for key, each in by_labels.items()}
    yield gauge("clusterdns_upstream_usable", "Whether it answers.", labels, usable)
    looping: dict[Labels, float] = {key: each.is_looping for key, each in by_labels.items()}
    yield gauge("clusterdns_upstream_looping", "Whether what it is asked comes back to this server.", labels, looping)
    failures: dict[Labels, float] = {key: each.tally.failed for key, each in by_labels.items()}
    yield counter("clusterdns_upstream_failures", "Queries that it did not answer.", labels, failures)
    durations: dict[Labels, Buckets] = {
        (*key, rcode_text(rcode)): taken
        for key, each in by_labels.items()
        for rcode, taken in each.tally.durations.items()
    }
    text = "How long it took for its answers."
    yield histogram("clusterdns_upstream_duration_seconds", text, f"{labels} rcode", durations)
