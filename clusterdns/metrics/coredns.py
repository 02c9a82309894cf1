"""What CoreDNS has a name for, under that name, with its labels and its buckets.

Its own words for what they mean: plugin/metrics/README.md of CoreDNS, and those of cache, forward and kubernetes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from clusterdns import __version__
from clusterdns.durations import Buckets
from clusterdns.forward import DURATION_BOUNDS
from clusterdns.metrics.families import counter, gauge, histogram
from clusterdns.presentation import rcode_text
from clusterdns.records import Rcode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric

    from clusterdns.metrics.families import Labels
    from clusterdns.metrics.readings import CacheState, Readings, Served, UpstreamState

_FORWARD = "forward"

_FROM_THE_START = (Rcode.NOERROR, Rcode.SERVFAIL, Rcode.NXDOMAIN, Rcode.REFUSED)
"""Response codes of upstreams that are shown while there are none: a rate can only be had of what began with zero."""


def families(readings: Readings) -> Iterator[Metric]:
    build: dict[Labels, float] = {(__version__, "", ""): 1}
    yield gauge("coredns_build_info", "What is running: clusterdns.", "version revision goversion", build)
    parts: dict[Labels, float] = {(each.server, each.zone, each.view, each.name): 1 for each in readings.parts()}
    yield gauge("coredns_plugin_enabled", "What may answer, by zone.", "server zone view name", parts)
    text = "Faults in the server itself."
    yield counter("coredns_panics", text, "", {(): readings.faults()})
    text = "Configurations that were not taken over, since something is wrong with them."
    yield counter("coredns_reload_failed", text, "", {(): readings.reloads_failed()})
    yield from _served(readings.served())
    yield from _caches(readings.caches())
    yield from _upstreams(readings.upstreams())
    rejected = sum(each.counts.rejected for each in readings.caches())
    text = "Queries refused since too many waited for an upstream."
    yield counter("coredns_forward_max_concurrent_rejects", text, "", {(): rejected})
    text = "Questions to an upstream when all of them seemed to be down."
    yield counter("coredns_forward_healthcheck_broken", text, "", {(): readings.despairs()})
    programming = readings.programming()
    if programming is not None:
        name = "coredns_kubernetes_dns_programming_duration_seconds"
        text = "From the change of a service's endpoints to the changed answer."
        yield histogram(name, text, "service_kind", {("headless_with_selector",): programming})


def _served(served: Sequence[Served]) -> Iterator[Metric]:
    requests: Counter[Labels] = Counter()
    dnssec_ok: Counter[Labels] = Counter()
    responses: Counter[Labels] = Counter()
    request_sizes: dict[Labels, Buckets] = {}
    response_sizes: dict[Labels, Buckets] = {}
    durations: dict[Labels, Buckets] = {}
    for each in served:
        totals = each.tally.totals()
        where = (each.server, each.zone, each.view)
        for qtype, count in totals.requests.items():
            requests[*where, each.proto, each.family, qtype] += count
        dnssec_ok[where] += totals.dnssec_ok
        for (rcode, part), count in totals.responses.items():
            responses[*where, rcode, part] += count
        _add(request_sizes, (*where, each.proto), totals.request_sizes)
        _add(response_sizes, (*where, each.proto), totals.response_sizes)
        _add(durations, where, each.tally.durations())
    where_, over = "server zone view", "server zone view proto"
    yield counter("coredns_dns_requests", "Queries.", f"{over} family type", requests)
    yield counter("coredns_dns_do_requests", "Queries with the DO bit.", where_, dnssec_ok)
    yield counter("coredns_dns_responses", "Responses.", f"{where_} rcode plugin", responses)
    yield histogram("coredns_dns_request_size_bytes", "How long queries are.", over, request_sizes)
    yield histogram("coredns_dns_response_size_bytes", "How long responses are.", over, response_sizes)
    yield histogram("coredns_dns_request_duration_seconds", "How long queries took.", where_, durations)


def _add(all_buckets: dict[Labels, Buckets], labels: Labels, more: Buckets) -> None:
    if labels not in all_buckets:
        all_buckets[labels] = Buckets(*more.bounds)
    all_buckets[labels].add(more)


def _caches(caches: Sequence[CacheState]) -> Iterator[Metric]:
    entries: Counter[Labels] = Counter()
    hits: Counter[Labels] = Counter()
    evictions: Counter[Labels] = Counter()
    requests: Counter[Labels] = Counter()
    misses: Counter[Labels] = Counter()
    prefetched: Counter[Labels] = Counter()
    stale: Counter[Labels] = Counter()
    for each in caches:
        counts, where = each.counts, (each.zones, each.view)
        success, denial = (each.server, "success", *where), (each.server, "denial", *where)
        entries[success] += each.entries - each.denials
        entries[denial] += each.denials
        hits[success] += counts.hits - counts.denial_hits
        hits[denial] += counts.denial_hits
        evictions[success] += counts.evictions - counts.denial_evictions
        evictions[denial] += counts.denial_evictions
        requests[each.server, *where] += counts.hits + counts.misses
        misses[each.server, *where] += counts.misses
        prefetched[each.server, *where] += counts.prefetched
        stale[each.server, *where] += counts.stale
    typed, untyped = "server type zones view", "server zones view"
    yield gauge("coredns_cache_entries", "Responses in the cache.", typed, entries)
    yield counter("coredns_cache_hits", "Queries that the cache could answer.", typed, hits)
    yield counter("coredns_cache_misses", "Queries that it could not.", untyped, misses)
    yield counter("coredns_cache_requests", "Both together.", untyped, requests)
    yield counter("coredns_cache_evictions", "Responses that made room before their time.", typed, evictions)
    yield counter(
        "coredns_cache_prefetch", "Responses asked for again before their time was over.", untyped, prefetched
    )
    yield counter("coredns_cache_served_stale", "Answers past their time.", untyped, stale)


def _upstreams(upstreams: Sequence[UpstreamState]) -> Iterator[Metric]:
    by_rcode: dict[Labels, Buckets] = {}
    probes_failed: Counter[str] = Counter()
    for each in upstreams:
        probes_failed[each.to] += each.tally.probes_failed
        for rcode in (*_FROM_THE_START, *each.tally.durations):
            by_rcode.setdefault((each.to, rcode_text(rcode)), Buckets(*DURATION_BOUNDS))
        for rcode, taken in each.tally.durations.items():
            by_rcode[each.to, rcode_text(rcode)].add(taken)
    text = "How long upstreams took for their responses."
    labelled: dict[Labels, Buckets] = {(_FORWARD, *labels): taken for labels, taken in by_rcode.items()}
    yield histogram("coredns_proxy_request_duration_seconds", text, "proxy_name to rcode", labelled)
    text = "Probes that an upstream did not answer."
    failed: dict[Labels, float] = {(_FORWARD, to): count for to, count in probes_failed.items()}
    yield counter("coredns_proxy_healthcheck_failures", text, "proxy_name to", failed)
    yield from _upstreams_by_former_names(by_rcode, probes_failed)


def _upstreams_by_former_names(by_rcode: dict[Labels, Buckets], failed: Counter[str]) -> Iterator[Metric]:
    """What the same was called up to CoreDNS 1.11; many a dashboard asks for it."""
    responses: dict[Labels, float] = {labels: sum(taken.counts) for labels, taken in by_rcode.items()}
    requests: Counter[Labels] = Counter()
    for (to, _), taken in by_rcode.items():
        requests[to,] += sum(taken.counts)
    text = "How long upstreams took for their responses."
    yield histogram("coredns_forward_request_duration_seconds", text, "to rcode", by_rcode)
    yield counter("coredns_forward_requests", "Questions that an upstream has answered.", "to", requests)
    yield counter("coredns_forward_responses", "Responses of upstreams.", "to rcode", responses)
    text = "Probes that an upstream did not answer."
    yield counter("coredns_forward_healthcheck_failures", text, "to", {(to,): count for to, count in failed.items()})
