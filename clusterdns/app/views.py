"""What the pages show: numbers that the other parts keep anyway."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from clusterdns import names
from clusterdns.http import Views
from clusterdns.metrics import CacheState, Metrics, Readings, UpstreamState, Watch
from clusterdns.objects import EndpointSlice, Host, Namespace, Pod, Service
from clusterdns.sources.manifests import Manifests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.app.answering import Answering
    from clusterdns.sources.cluster import Cluster


class Running(Protocol):
    """What there is to show; blocks and source are others after a reload."""

    answering: list[Answering]
    source: Manifests | Cluster
    fault: str
    reloads_failed: int
    is_leaving: bool

    @property
    def log_lines_dropped(self) -> int: ...


def build_views(running: Running) -> Views:
    """The pages of all blocks."""
    readings = Readings(
        objects=lambda: _objects(running.answering),
        caches=lambda: [_cache_state(each) for each in running.answering],
        upstreams=lambda: [state for each in running.answering for state in _upstream_states(each)],
        reloads_failed=lambda: running.reloads_failed,
        log_lines_dropped=lambda: running.log_lines_dropped,
        watches=lambda: _watches(running.source),
        propagation=lambda: None if isinstance(running.source, Manifests) else running.source.propagation,
        programming=lambda: None if isinstance(running.source, Manifests) else running.source.programming,
    )
    return Views(lambda: _missing(running), Metrics(readings).text, lambda: running.fault)


def _missing(running: Running) -> list[str]:
    """What keeps us from being ready, in words."""
    if running.is_leaving:
        return ["terminating"]
    source = running.source
    awaited = dict.fromkeys(kind for each in running.answering for kind in each.index.awaited)
    if not awaited:
        return []
    troubles = [] if isinstance(source, Manifests) else [each.trouble for each in source.health if each.trouble]
    return [*(f"{kind}: not listed yet" for kind in awaited), *dict.fromkeys(troubles)]


def _objects(answering: Sequence[Answering]) -> dict[str, int]:
    """Blocks share the cluster's objects, and have hosts of their own."""
    cluster = max(answering, key=lambda each: each.block.cluster).index
    counts = {each.__name__: cluster.count(each) for each in (Namespace, Service, EndpointSlice, Pod)}
    return counts | {Host.__name__: sum(each.index.count(Host) for each in answering)}


def _watches(source: Manifests | Cluster) -> list[Watch]:
    if isinstance(source, Manifests):
        return []
    now = time.monotonic()
    return [
        Watch(
            each.resource,
            None if each.heard_at is None else now - each.heard_at,
            None if each.listed_at is None else now - each.listed_at,
            each.restarts,
            each.differences,
        )
        for each in source.health
    ]


def _cache_state(answering: Answering) -> CacheState:
    elsewhere = answering.resolver.elsewhere
    cache = elsewhere.cache
    return CacheState(
        block=str(answering),
        entries=len(cache),
        bytes=cache.size,
        hits=cache.hits,
        misses=cache.misses,
        evictions=cache.evictions,
        stale=elsewhere.stale,
        prefetched=elsewhere.prefetched,
        waiting=elsewhere.waiting,
        rejected=elsewhere.rejected,
    )


def _upstream_states(answering: Answering) -> list[UpstreamState]:
    return [
        UpstreamState(
            block=str(answering),
            upstream=str(each),
            zone=names.to_text(zone),
            is_usable=not (each.is_down or each.is_looping),
            is_looping=each.is_looping,
            failures=each.failed,
            durations=each.durations,
        )
        for zone, each in answering.forwarder.upstreams
    ]
