"""What the pages show: numbers that the other parts keep anyway."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from clusterdns import config, names
from clusterdns.app.plugins import plugins
from clusterdns.http import Views
from clusterdns.metrics import CacheState, Metrics, Part, Readings, Served, UpstreamState, Watch, Workers
from clusterdns.objects import EndpointSlice, Host, Namespace, Node, Pod, Service
from clusterdns.server import address_text
from clusterdns.sources.manifests import Manifests
from clusterdns.traffic import DROPPED, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterdns.app.answering import Answering
    from clusterdns.app.listeners import Listeners
    from clusterdns.config import Block
    from clusterdns.metrics import Reading
    from clusterdns.sources.cluster import Cluster
    from clusterdns.workers import Crew, Fed


class Running(Protocol):
    """What there is to show; blocks and source are others after a reload."""

    answering: list[Answering]
    source: Manifests | Cluster | Fed
    listeners: Listeners
    fault: str
    faults: int
    reloads: int
    reloads_failed: int
    is_leaving: bool

    @property
    def log_lines_dropped(self) -> int: ...


def build_views(running: Running) -> Views:
    """The pages of all blocks."""
    crew = running.listeners.crew
    others = (lambda: None) if crew is None else crew.readings
    metrics = Metrics(_readings(running), others)
    gather = None if crew is None else crew.read
    return Views(
        lambda: _missing(running),
        metrics.text,
        lambda: running.fault,
        gather=gather,
        most_guests=config.MOST_GUESTS,
    )


def read(running: Running) -> Reading:
    """The numbers of this process."""
    return Metrics(_readings(running)).reading()


def _readings(running: Running) -> Readings:
    return Readings(
        objects=lambda: _objects(running.answering),
        names=lambda: {str(each): len(each.index.nodes) for each in running.answering},
        served=lambda: _served(running.listeners),
        parts=lambda: [part for each in running.answering for part in _parts(each.block, running.listeners)],
        caches=lambda: [_cache_state(each, running.listeners) for each in running.answering],
        upstreams=lambda: [state for each in running.answering for state in _upstream_states(each)],
        despairs=lambda: sum(each.forwarder.tallies.despairs for each in running.answering),
        faults=lambda: running.faults + sum(each.trail.faults for each in running.answering),
        reloads=lambda: running.reloads,
        reloads_failed=lambda: running.reloads_failed,
        is_outdated=lambda: bool(running.fault),
        log_lines_dropped=lambda: running.log_lines_dropped,
        watches=lambda: _watches(running.source),
        propagation=lambda: None if isinstance(running.source, Manifests) else running.source.propagation,
        programming=lambda: None if isinstance(running.source, Manifests) else running.source.programming,
        workers=lambda: _workers(running.listeners.crew),
    )


def _workers(crew: Crew | None) -> Workers | None:
    return None if crew is None else Workers(crew.size, crew.restarts)


def _missing(running: Running) -> list[str]:
    """What keeps us from being ready, in words."""
    if running.is_leaving:
        return ["terminating"]
    source = running.source
    awaited = dict.fromkeys(kind for each in running.answering for kind in each.index.awaited)
    unmanned = [] if running.listeners.crew is None else running.listeners.crew.missing()
    if not awaited:
        return unmanned
    troubles = [] if isinstance(source, Manifests) else [each.trouble for each in source.health if each.trouble]
    return [*(f"{kind}: not listed yet" for kind in awaited), *dict.fromkeys(troubles), *unmanned]


def _objects(answering: Sequence[Answering]) -> dict[str, int]:
    """Blocks share the cluster's objects, and have hosts of their own."""
    cluster = max(answering, key=lambda each: each.block.cluster).index
    counts = {each.__name__: cluster.count(each) for each in (Namespace, Service, EndpointSlice, Pod, Node)}
    return counts | {Host.__name__: sum(each.index.count(Host) for each in answering)}


def _watches(source: Manifests | Cluster | Fed) -> list[Watch]:
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


def _served(listeners: Listeners) -> list[Served]:
    return [
        Served(
            server=_server(place, listeners),
            zone=place.zone,
            view=place.view,
            proto="tcp" if place.is_stream else "udp",
            family="2" if ":" in place.host else "1",
            tally=tally,
        )
        for place, tally in listeners.traffic.tallies.items()
        if not tally.is_idle or _is_open(place)
    ]


def _is_open(place: Place) -> bool:
    """Whether queries can be expected there, so that it is shown that there are none yet."""
    return place.zone != DROPPED and (place.is_stream or not place.is_tls)


def _server(place: Place, listeners: Listeners) -> str:
    """An address as CoreDNS writes it."""
    host = "" if place.host in ("0.0.0.0", "::") else place.host
    return f"{'tls' if place.is_tls else 'dns'}://{address_text(host, listeners.bound_port(place))}"


def _parts(block: Block, listeners: Listeners) -> Iterator[Part]:
    for where in map(config.listening, block.listen):
        for zone in map(names.to_text, map(names.from_text, block.names)):
            server = _server(Place(where.host, where.port, where.is_tls, is_stream=True, zone=zone), listeners)
            for name in plugins(block):
                yield Part(server, zone, block.view.name, name)


def _cache_state(answering: Answering, listeners: Listeners) -> CacheState:
    block, cache = answering.block, answering.cache
    where = config.listening(block.listen[0])
    zones = block.cache.zones or block.names
    return CacheState(
        block=str(answering),
        server=_server(Place(where.host, where.port, where.is_tls, is_stream=True, zone=""), listeners),
        view=block.view.name,
        zones=",".join(names.to_text(names.from_text(each)) for each in zones),
        entries=len(cache),
        denials=cache.denials,
        bytes=cache.size,
        waiting=answering.resolver.elsewhere.waiting,
        counts=cache.counts,
    )


def _upstream_states(answering: Answering) -> list[UpstreamState]:
    """An upstream that is asked about a zone in two ways is one."""
    return [
        UpstreamState(
            block=str(answering),
            upstream=str(each),
            zone=names.to_text(zone),
            to=address_text(each.address.host, each.address.port),
            is_usable=not (each.is_down or each.is_looping),
            is_looping=each.is_looping,
            tally=each.tally,
        )
        for zone, each in {each.tally: (zone, each) for zone, each in answering.forwarder.upstreams}.values()
    ]
