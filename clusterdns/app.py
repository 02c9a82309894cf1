"""Builds everything once, starts it, stops it.

This is the one place where parts are put together: a source feeds the index, the index answers, the server asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
import ssl
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from clusterdns import __version__, config, names
from clusterdns.cache import Cache, CacheLimits
from clusterdns.elsewhere import Elsewhere
from clusterdns.forward import Forwarder, HostResolver, Manner, Patience, Route, UpstreamAddress, parse_address
from clusterdns.index import Index
from clusterdns.nodes import Zone
from clusterdns.objects import EndpointSlice, Host, Namespace, Pod, Service
from clusterdns.resolv_conf import POD_NDOTS
from clusterdns.resolve import Resolver, Searching
from clusterdns.respond import responder
from clusterdns.search import SearchList
from clusterdns.server import Limits, Server, address_text
from clusterdns.sources.hosts import Hosts
from clusterdns.sources.manifests import Manifests
from clusterdns.sources.snapshot import Snapshot
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from clusterdns.config import Config
    from clusterdns.http import Views
    from clusterdns.metrics import CacheState, UpstreamState, Watch
    from clusterdns.names import Address, Name
    from clusterdns.objects import KubernetesObject
    from clusterdns.resolv_conf import ResolvConf
    from clusterdns.sources.cluster import Cluster

    Source: TypeAlias = Manifests | Cluster

log = logging.getLogger("clusterdns")

SOCKETS_PER_QUERY = 2
"""That waits for an upstream: the second is for the few of which one upstream did not answer in time."""

GRACE_SECONDS = 0.2
"""So that of a single name it is the upstreams that are said to be silent, not the sum of them."""

OWN_DESCRIPTORS = 50
"""Files and sockets beside the clients' connections: manifests, the API server, listeners, what libraries take."""


async def serve(settings: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises ManifestError, NoCredentials and CannotListen before the first answer."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, log.info, "SIGHUP: manifests are followed as they change")
    loop.set_exception_handler(_note_fault)

    gc.set_threshold(50_000, 20, 100)  # what is read stays: looking through it often, while it grows, finds nothing
    started = time.monotonic()
    source = build_source(settings)
    hosts = Hosts([Path(path) for path in settings.hosts.files], settings.hosts.entries)
    index = build_index(settings)
    async with contextlib.AsyncExitStack() as stack:
        if settings.snapshot:
            snapshot = Snapshot(Path(settings.snapshot), _kinds(settings), index)
            await stack.enter_async_context(snapshot.kept())
        index.apply([*await hosts.open(), *await source.open()])
        forwarding = Forwarding(settings, index)
        server = build_server(settings, index, forwarding.resolver)
        bound = await server.start([config.listen_address(each) for each in settings.listen])
        await stack.enter_async_context(forwarding.kept_up(bound))
        stack.push_async_callback(server.stop, hurry=forwarding.forwarder.stop)  # first: upstreams may yet answer
        if settings.http:
            views = build_views(index, source, forwarding)
            await views.start(*config.listen_address(settings.http))
            stack.push_async_callback(views.stop)
        log.info("clusterdns %s, answering after %.2f s", __version__, time.monotonic() - started)
        for host, port in bound:
            log.info("listening on %s, UDP and TCP", address_text(host, port))
        _settle(index, started)

        following = [asyncio.create_task(_follow(each, index, stop, started)) for each in (source, hosts)]
        await stop.wait()
        for each in following:
            each.cancel()
        for each in following:
            with contextlib.suppress(asyncio.CancelledError):
                await each
    log.info("stopped")


def _note_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """One line for what nobody waited for; the traceback is for whoever turns debugging on."""
    error = context.get("exception")
    log.error("a fault: %s: %r", context["message"], error)
    log.debug("the fault in full", exc_info=error)


async def _follow(source: Source | Hosts, index: Index, stop: asyncio.Event, started: float) -> None:
    """Apply what a source says for as long as it speaks; a fault in here must not pass for a quiet cluster."""
    try:
        async for events in source.changes():
            was_synced = index.is_synced
            index.apply(events)
            if index.is_synced and not was_synced:
                _settle(index, started)
    finally:
        stop.set()


def _settle(index: Index, started: float) -> None:
    """Once all is read: it stays, so the collector need not look through it again and again."""
    if index.is_synced:
        gc.collect()
        gc.freeze()
        counts = (index.count(Service), index.count(EndpointSlice))
        log.info("ready after %.2f s: %d Services, %d EndpointSlices", time.monotonic() - started, *counts)


def build_source(settings: Config) -> Source:
    """Manifests if there are any, else a cluster."""
    if settings.manifests:
        return Manifests([Path(path) for path in settings.manifests], settings.service_cidr)
    from clusterdns.sources.cluster import Access, Cluster, Patience, Selection  # noqa: PLC0415 - it takes half a second

    selection = Selection(
        kinds=_kinds(settings),
        namespaces=frozenset(settings.namespaces),
        namespace_labels=settings.namespace_labels,
        labels=settings.labels,
    )
    kubeconfig = Path(settings.kubeconfig) if settings.kubeconfig else None
    return Cluster(Access(settings.api_server, kubeconfig, settings.context or None), selection, Patience())


def _kinds(settings: Config) -> tuple[type[KubernetesObject], ...]:
    """What the names are made of."""
    endpoints = (EndpointSlice,) if settings.endpoints else ()
    pods = (Pod,) if settings.pods == "verified" else ()
    return (Namespace, Service, *endpoints, *pods)


def build_index(settings: Config) -> Index:
    primary = names.from_text(settings.zone[0])
    reverse = [name for text in settings.reverse_zone for name in config.reverse_zones(text)]
    return Index(
        [_zone(settings, names.from_text(text)) for text in settings.zone],
        [_zone(settings, name, primary, is_reverse=True) for name in dict.fromkeys(reverse)],
        awaited=_kinds(settings),
        selects_namespaces=bool(settings.namespace_labels),
        dns_service=config.service_key(settings.dns_service),
        own_addresses=tuple(_own_addresses(settings)),
        hosts_ttl=settings.hosts.ttl,
        clock=time.time,
    )


def _zone(settings: Config, name: Name, authority: Name | None = None, *, is_reverse: bool = False) -> Zone:
    """A zone; `authority` is the one that the names in its SOA record are in, if it is not the zone itself."""
    within = authority or name
    return Zone(
        name=name,
        mname=names.below("ns", "dns", parent=within),
        rname=names.below("hostmaster", parent=within),
        is_reverse=is_reverse,
        ttl=settings.ttl,
        negative_ttl=settings.negative_ttl,
        pods=settings.pods,
        endpoint_pod_names=settings.endpoint_pod_names,
        ignore_empty_service=settings.ignore_empty_service,
    )


def _own_addresses(settings: Config) -> Iterator[Address]:
    """Where we are reached; in place of a wildcard, what the host's own name leads to."""
    for host, port in map(config.listen_address, settings.listen):
        hosts = [host]
        if host in ("0.0.0.0", "::"):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with contextlib.suppress(OSError):
                hosts = [str(each[4][0]) for each in socket.getaddrinfo(socket.gethostname(), port, family)]
        for each in hosts:
            address = names.address(each)
            if address is not None and any(address):
                yield address


class Forwarding:
    """What answers the names that are not ours, and keeps up with the host's resolv.conf. Raises BadConfig."""

    def __init__(self, settings: Config, index: Index) -> None:
        self._settings = given = settings.forward
        self._autopath = settings.autopath
        self._searches = settings.search == "server" or (settings.search == "auto" and bool(settings.manifests))
        self._manner = Manner(given.random_letter_case, given.force_tcp, _tls_context(given))
        routes = [self._route(each.zone, map(parse_address, each.upstreams)) for each in given.zones]
        routes.append(self._route(".", map(parse_address, given.upstreams)))
        self.forwarder = Forwarder(routes, Patience(given.try_seconds, given.seconds))
        cache = Cache(_cache_limits(settings.cache), time.monotonic)
        zone = settings.zone[0]
        domains = settings.search_domains or (f"default.svc.{zone}", f"svc.{zone}", zone)
        self._cluster = SearchList(tuple(map(names.from_text, domains)), ndots=POD_NDOTS) if self._searches else None
        most_seconds = given.seconds + GRACE_SECONDS
        elsewhere = Elsewhere(cache, self.forwarder, possible_in_flight(settings), most_seconds)
        self.resolver = Resolver(index, elsewhere, Searching(self._cluster, autopath=settings.autopath))

    @contextlib.asynccontextmanager
    async def kept_up(self, listening: Sequence[tuple[str, int]]) -> AsyncIterator[None]:
        """From the start of asking to its end."""
        following: asyncio.Task[None] | None = None
        if self._settings.resolv_conf:
            host = HostResolver(Path(self._settings.resolv_conf), listening)
            self._take(host, host.read())
            following = asyncio.create_task(self._follow(host))
        if self._settings.upstreams:
            self._tell()
        self.forwarder.start()
        try:
            yield
        finally:
            if following:
                following.cancel()
            self.forwarder.stop()

    async def _follow(self, host: HostResolver) -> None:
        async for conf in host.changes():
            self._take(host, conf)

    def _take(self, host: HostResolver, conf: ResolvConf) -> None:
        if not self._settings.upstreams:
            self.forwarder.put(self._route(".", host.upstreams()))
            self._tell()
        domains = tuple(name for name in map(names.possible, conf.search) if name not in (None, names.ROOT))
        host_list = SearchList(domains, conf.ndots) if self._searches and domains else None
        searching = Searching(self._cluster, host_list, self._autopath, domains)
        if searching != self.resolver.searching:
            self.resolver.searching = searching
            self.resolver.elsewhere.cache.clear()  # what is there was found by another search list

    def _tell(self) -> None:
        upstreams = ", ".join(str(each) for zone, each in self.forwarder.upstreams if zone == names.ROOT)
        log.info("upstreams: %s", upstreams or "none; names of others are refused")

    def _route(self, zone: str, upstreams: Iterable[UpstreamAddress]) -> Route:
        excepted = frozenset(map(names.from_text, self._settings.excepted))
        return Route(names.from_text(zone), tuple(upstreams), self._settings.policy, excepted, self._manner)


def _tls_context(given: config.Forward) -> ssl.SSLContext | None:
    """What certificates are held against, if there are any."""
    upstreams = [*given.upstreams, *(one for each in given.zones for one in each.upstreams)]
    if not given.tls_ca and not any(parse_address(each).tls for each in upstreams):
        return None  # loading the system's authorities takes a while
    try:
        return ssl.create_default_context(cafile=given.tls_ca or None)
    except (OSError, ssl.SSLError) as error:
        raise config.BadConfig(f"forward.tls-ca: {given.tls_ca}: {error.strerror or error}") from error


def _cache_limits(given: config.Cache) -> CacheLimits:
    return CacheLimits(
        given.entries if given.bytes else 0,
        given.bytes,
        given.ttl,
        given.negative_ttl,
        given.failure_seconds,
        given.stale_seconds,
        given.prefetch_hits,
    )


def build_server(settings: Config, index: Index, resolver: Resolver) -> Server:
    forwards = bool(settings.forward.upstreams or settings.forward.zones or settings.forward.resolv_conf)
    dialect = Dialect(
        udp_size=settings.udp_size, extended_errors=settings.extended_errors, recursion_available=forwards
    )
    respond = partial(responder, index, dialect, resolver=resolver)
    limits = Limits(connections=_possible_connections(settings), idle_seconds=settings.tcp.idle_seconds)
    return Server(respond(stream=False), respond(stream=True), limits)


def _possible_connections(settings: Config) -> int:
    """As many as are set, within what the process may open."""
    free = _descriptors(settings) - SOCKETS_PER_QUERY * possible_in_flight(settings)
    return _at_most("tcp.connections", settings.tcp.connections, free)


def possible_in_flight(settings: Config) -> int:
    """As many queries as are set, within half of what the process may open."""
    return _at_most("forward.in-flight", settings.forward.in_flight, _descriptors(settings) // 2 // SOCKETS_PER_QUERY)


def _at_most(setting: str, wanted: int, possible: int) -> int:
    if possible < wanted:
        log.warning("%s: %d of %d, since this process may open few files", setting, max(1, possible), wanted)
    return max(1, min(wanted, possible))


def _descriptors(settings: Config) -> int:
    """How many sockets the process may have for its clients and upstreams; it asks for as many as it may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.tcp.connections + SOCKETS_PER_QUERY * settings.forward.in_flight + OWN_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft - OWN_DESCRIPTORS


def build_views(index: Index, source: Source, forwarding: Forwarding) -> Views:
    from clusterdns.http import Views  # noqa: PLC0415
    from clusterdns.metrics import Metrics, Readings  # noqa: PLC0415

    def missing() -> list[str]:
        if index.is_synced:
            return []
        troubles = [] if isinstance(source, Manifests) else [each.trouble for each in source.health if each.trouble]
        return [*(f"{kind}: not listed yet" for kind in index.awaited), *dict.fromkeys(troubles)]

    readings = Readings(
        objects=lambda: {each.__name__: index.count(each) for each in (Namespace, Service, EndpointSlice, Pod, Host)},
        cache=partial(_cache_state, forwarding),
        upstreams=partial(_upstream_states, forwarding),
    )
    if not isinstance(source, Manifests):
        readings = msgspec.structs.replace(
            readings,
            watches=partial(_watches, source),
            propagation=source.propagation,
            programming=source.programming,
        )
    return Views(missing, Metrics(readings).text)


def _watches(source: Cluster) -> list[Watch]:
    from clusterdns.metrics import Watch  # noqa: PLC0415

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


def _cache_state(forwarding: Forwarding) -> CacheState:
    from clusterdns.metrics import CacheState  # noqa: PLC0415

    elsewhere = forwarding.resolver.elsewhere
    cache = elsewhere.cache
    return CacheState(
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


def _upstream_states(forwarding: Forwarding) -> list[UpstreamState]:
    from clusterdns.metrics import UpstreamState  # noqa: PLC0415

    return [
        UpstreamState(
            upstream=str(each),
            zone=names.to_text(zone),
            is_usable=not (each.is_down or each.is_looping),
            is_looping=each.is_looping,
            failures=each.failed,
            durations=each.durations,
        )
        for zone, each in forwarding.forwarder.upstreams
    ]
