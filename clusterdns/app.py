"""Builds everything once, starts it, stops it.

This is the one place where parts are put together: sources feed the index, the index answers, the server asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clusterdns import __version__, config, names
from clusterdns.index import Index
from clusterdns.nodes import Zone
from clusterdns.respond import responder
from clusterdns.server import Limits, Server, address_text
from clusterdns.sources.manifests import Manifests
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from clusterdns.config import Config
    from clusterdns.events import Event
    from clusterdns.names import Address, Name

log = logging.getLogger("clusterdns")


async def serve(settings: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises ManifestError and CannotListen before it answers the first query."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    started = time.monotonic()
    source = Manifests([Path(path) for path in settings.manifests], settings.service_cidr)
    index = build_index(settings)
    index.apply(source.load())
    server = build_server(settings, index)
    bound = await server.start([config.listen_address(each) for each in settings.listen])
    gc.collect()
    gc.freeze()  # what is read at the start stays: the collector need not look through it again and again
    log.info("clusterdns %s, ready after %.2f s", __version__, time.monotonic() - started)
    for host, port in bound:
        log.info("listening on %s, UDP and TCP", address_text(host, port))

    following = asyncio.create_task(_follow(source.changes(), index, stop))
    try:
        await stop.wait()
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await server.stop()
    log.info("stopped")


async def _follow(changes: AsyncIterator[list[Event]], index: Index, stop: asyncio.Event) -> None:
    """Apply what a source says for as long as it speaks; a fault in here must not pass for a quiet cluster."""
    try:
        async for events in changes:
            index.apply(events)
    finally:
        stop.set()


def build_index(settings: Config) -> Index:
    primary = names.from_text(settings.zone[0])
    reverse = [name for text in settings.reverse_zone for name in config.reverse_zones(text)]
    return Index(
        [_zone(settings, names.from_text(text)) for text in settings.zone],
        [_zone(settings, name, primary, is_reverse=True) for name in dict.fromkeys(reverse)],
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
    limits = Limits(connections=settings.tcp.connections, idle_seconds=settings.tcp.idle_seconds)
    return Server(respond(stream=False), respond(stream=True), limits)
