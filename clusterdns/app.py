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
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from clusterdns import __version__, config, names
from clusterdns.index import Index
from clusterdns.nodes import Zone
from clusterdns.objects import EndpointSlice, Namespace, Pod, Service
from clusterdns.respond import responder
from clusterdns.server import Limits, Server, address_text
from clusterdns.sources.manifests import Manifests
from clusterdns.sources.snapshot import Snapshot
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterdns.config import Config
    from clusterdns.http import Views
    from clusterdns.names import Address, Name
    from clusterdns.objects import Object
    from clusterdns.sources.cluster import Cluster

    Source: TypeAlias = Manifests | Cluster

log = logging.getLogger("clusterdns")

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
    index = build_index(settings)
    async with contextlib.AsyncExitStack() as stack:
        if settings.snapshot:
            snapshot = Snapshot(Path(settings.snapshot), _kinds(settings), index)
            await stack.enter_async_context(snapshot.kept())
        index.apply(await source.open())
        server = build_server(settings, index)
        bound = await server.start([config.listen_address(each) for each in settings.listen])
        stack.push_async_callback(server.stop)
        if settings.http:
            views = build_views(index, source)
            await views.start(*config.listen_address(settings.http))
            stack.push_async_callback(views.stop)
        log.info("clusterdns %s, answering after %.2f s", __version__, time.monotonic() - started)
        for host, port in bound:
            log.info("listening on %s, UDP and TCP", address_text(host, port))
        _settle(index, started)

        following = asyncio.create_task(_follow(source, index, stop, started))
        await stop.wait()
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    log.info("stopped")


def _note_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """One line for what nobody waited for; the traceback is for whoever turns debugging on."""
    error = context.get("exception")
    log.error("a fault: %s: %r", context["message"], error)
    log.debug("the fault in full", exc_info=error)


async def _follow(source: Source, index: Index, stop: asyncio.Event, started: float) -> None:
    """Apply what a source says for as long as it speaks; a fault in here must not pass for a quiet cluster."""
    is_synced = index.is_synced
    try:
        async for events in source.changes():
            index.apply(events)
            if index.is_synced and not is_synced:
                is_synced = True
                _settle(index, started)
    finally:
        stop.set()


def _settle(index: Index, started: float) -> None:
    """Once all is read: it stays, so the collector need not look through it again and again."""
    if index.is_synced:
        gc.collect()
        gc.freeze()
        counts = (len(index.objects(Service)), len(index.objects(EndpointSlice)))
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


def _kinds(settings: Config) -> tuple[type[Object], ...]:
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


def build_server(settings: Config, index: Index) -> Server:
    respond = partial(responder, index, Dialect(udp_size=settings.udp_size, extended_errors=settings.extended_errors))
    limits = Limits(connections=_possible_connections(settings), idle_seconds=settings.tcp.idle_seconds)
    return Server(respond(stream=False), respond(stream=True), limits)


def _possible_connections(settings: Config) -> int:
    """As many as are set, within what the process may open; it asks for as much as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < settings.tcp.connections + OWN_DESCRIPTORS:
        wanted = settings.tcp.connections + OWN_DESCRIPTORS
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = max(1, min(settings.tcp.connections, soft - OWN_DESCRIPTORS))
    if possible < settings.tcp.connections:
        text = "tcp.connections: %d of %d, since this process may open %d files only"
        log.warning(text, possible, settings.tcp.connections, soft)
    return possible


def build_views(index: Index, source: Source) -> Views:
    from clusterdns.http import Views  # noqa: PLC0415
    from clusterdns.metrics import Metrics, Readings, Watch  # noqa: PLC0415

    kinds = (Namespace, Service, EndpointSlice, Pod)

    def objects() -> dict[str, int]:
        return {each.__name__: len(index.objects(each)) for each in kinds}

    def missing() -> list[str]:
        if index.is_synced:
            return []
        troubles = [] if isinstance(source, Manifests) else [each.trouble for each in source.health if each.trouble]
        return [*(f"{kind}: not listed yet" for kind in index.awaited), *dict.fromkeys(troubles)]

    if isinstance(source, Manifests):
        return Views(missing, Metrics(Readings(objects)).text)

    def watches() -> list[Watch]:
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

    return Views(missing, Metrics(Readings(objects, watches, source.propagation, source.programming)).text)
