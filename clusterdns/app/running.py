"""All blocks, their source and their sockets, as the settings have them now."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from clusterdns import __version__, config, names
from clusterdns.app import certificates
from clusterdns.app.answering import Answering, kinds
from clusterdns.config import Listening
from clusterdns.consolidation import Consolidating
from clusterdns.dispatch import dispatcher
from clusterdns.events import Listed
from clusterdns.line_writer import LineWriter
from clusterdns.objects import EndpointSlice, Service
from clusterdns.server import CannotListen, Limits, Server, address_text
from clusterdns.sources.manifests import Manifests
from clusterdns.sources.snapshot import Snapshot

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence

    from clusterdns.config import Config
    from clusterdns.consolidation import Consolidation
    from clusterdns.events import Event
    from clusterdns.index import Index
    from clusterdns.names import Name
    from clusterdns.objects import Object
    from clusterdns.server import Respond
    from clusterdns.sources.cluster import Cluster

    Source: TypeAlias = Manifests | Cluster

log = logging.getLogger("clusterdns")

SOCKETS_PER_QUERY = 2
"""That waits for an upstream: the second is for the few of which one upstream did not answer in time."""

QUIET_SECONDS = 0.5
"""Without a query, at the end, until nobody is taken to ask us any more."""

OVERTIME_SECONDS = 5.0
"""How much longer than it is told to this server answers, at most, while it is still asked."""

OWN_DESCRIPTORS = 50
"""Files and sockets beside the clients' connections: manifests, the API server, listeners, what libraries take."""


class Running:
    """Everything that runs, as the settings have it."""

    def __init__(self, settings: Config, stop: asyncio.Event) -> None:
        self.settings = settings
        self.fault = ""
        """Why the configuration that was read last is not in effect."""
        self.reloads_failed = 0
        self.is_leaving = False
        """Whether whoever can ask another server should."""
        self.answering: list[Answering] = []
        self.source: Source = build_source(settings)
        self._stop = stop
        self._started = time.monotonic()
        self._servers: dict[Listening, Server] = {}
        self._bound: dict[Listening, tuple[str, int]] = {}
        self._certificates = certificates.fingerprints(certificates.files(settings))
        self._following: asyncio.Task[None] | None = None
        self._lines: LineWriter | None = None
        self._consolidating = Consolidating(())
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        settings = self.settings
        certificates.check_api_server(settings)
        answering = [Answering(each, settings, _possible_in_flight(settings)) for each in config.blocks(settings)]
        for each in answering:
            await each.open()
        self.answering = answering
        indexes = _of_cluster(answering)
        if settings.snapshot and indexes:
            snapshot = Snapshot(Path(settings.snapshot), kinds(settings), _Known(self))
            await self._stack.enter_async_context(snapshot.kept())
        told = await self.source.open()
        for index in indexes:
            index.apply(told)
        bound = await self._listen(answering, settings)
        self._take_over(answering)
        self._consolidate(settings.log_consolidate)
        if pages := config.pages(settings):
            from clusterdns.app.views import build_views  # noqa: PLC0415

            views = build_views(self)
            self._stack.push_async_callback(views.stop)
            for paths in dict.fromkeys(pages.values()):
                await views.start(*(address for address, shown in pages.items() if shown == paths), paths=paths)
        log.info("clusterdns %s, answering after %.2f s", __version__, time.monotonic() - self._started)
        _tell(bound)
        _settle(indexes, self._started)
        self._following = asyncio.create_task(self._follow(self.source))

    async def become(self, settings: Config) -> None:
        """Do as these settings say, without losing a query; if they can not be, nothing is changed.

        Raises what starting with them would.
        """
        found = certificates.fingerprints(certificates.files(settings))
        if settings == self.settings and found == self._certificates:
            return
        for setting in _FIXED:
            if getattr(settings, setting) != getattr(self.settings, setting):
                log.warning("%s: what it is now takes a new start", setting.replace("_", "-"))
        certificates.check_api_server(settings)
        former = {(each.block.names, each.block.listen): each for each in self.answering}
        most_waiting = _possible_in_flight(settings)
        answering = [
            Answering(each, settings, most_waiting, former.pop((each.names, each.listen), None))
            for each in config.blocks(settings)
        ]
        for each in answering:
            await each.open()
        known = _of_cluster(self.answering)
        source: Source | None = None
        if _origin(settings) != _origin(self.settings) or not known:
            source = build_source(settings)
            told = await source.open()
        else:
            told = [Listed(kind, known[0].objects(kind)) for kind in kinds(self.settings) if known[0].has_listed(kind)]
        fresh = [each.index for each in answering if each.block.cluster and (each.is_new or source is not None)]
        _tell(await self._listen(answering, settings))
        for index in fresh:
            index.apply(told)
        self._certificates = found
        before, self.settings = self.answering, settings
        self._take_over(answering)
        self._consolidate(settings.log_consolidate)
        for each in before:
            each.rest()
            asyncio.get_running_loop().call_later(each.block.forward.seconds + 1, each.stop)
        if source is not None:
            await self._follow_instead(source)
        elif not isinstance(self.source, Manifests):
            await self.source.renew()

    async def linger(self, at_once: asyncio.Event) -> None:
        """Say that we go, and answer until those who ask have heard of it, or until `at_once`."""
        seconds = self.settings.lameduck_seconds
        if not seconds:
            return
        self.is_leaving = True
        log.info("going: queries are answered for %g s more", seconds)
        asked = _Latest()
        for server in self._servers.values():
            server.note_queries(asked.note)
        end = time.monotonic() + seconds

        def rest() -> float:
            return min(max(end, asked.at + QUIET_SECONDS), end + OVERTIME_SECONDS) - time.monotonic()

        while not at_once.is_set() and (wait := rest()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(at_once.wait(), wait)

    async def stop(self) -> None:
        """Answer what was asked, and end."""
        if self._following:
            self._following.cancel()
        for each in self.answering:
            each.rest()
        stops = [each.stop(hurry=self._hurry) for each in self._servers.values()]
        await asyncio.gather(*stops)
        self._hurry()
        if self._lines:
            self._lines.close()
        self._consolidate(())
        await self._stack.aclose()
        if self._following:
            with contextlib.suppress(asyncio.CancelledError):
                await self._following

    def _hurry(self) -> None:
        for each in self.answering:
            each.stop()

    def _take_over(self, answering: list[Answering]) -> None:
        self.answering = answering
        for each in answering:
            each.start([bound for where, bound in self._bound.items() if not where.is_tls])

    def _consolidate(self, consolidations: Sequence[Consolidation]) -> None:
        """Tell these warnings and errors together from now on."""
        former, self._consolidating = self._consolidating, Consolidating(consolidations)
        for handler in logging.getLogger().handlers:
            handler.removeFilter(former)
            if consolidations:
                handler.addFilter(self._consolidating)
        former.close()

    async def _listen(self, answering: Sequence[Answering], settings: Config) -> list[Listening]:
        """A server on each address, for all blocks that have it; all of that, or nothing.

        Returns the addresses that are new, as they are bound. Raises CannotListen, and BadConfig for certificates.
        """
        over_udp: dict[Listening, dict[Name, Respond]] = {}
        over_tcp: dict[Listening, dict[Name, Respond]] = {}
        tls: dict[Listening, ssl.SSLContext] = {}
        for each in answering:
            udp, tcp = each.responds()
            for where in map(config.listening, each.block.listen):
                if where.is_tls and where not in tls:
                    tls[where] = certificates.for_clients(each.block.tls)
                logged_udp = each.logged(udp, where.host, self._write, stream=False)
                logged_tcp = each.logged(tcp, where.host, self._write, stream=True)
                for name in map(names.from_text, each.block.names):
                    over_udp.setdefault(where, {})[name] = logged_udp
                    over_tcp.setdefault(where, {})[name] = logged_tcp
        limits = Limits(connections=_possible_connections(settings), idle_seconds=settings.tcp.idle_seconds)
        made: dict[Listening, Server] = {}
        try:
            for where in over_udp.keys() - self._servers.keys():
                server = Server(dispatcher(over_udp[where]), dispatcher(over_tcp[where]), limits, tls.get(where))
                try:
                    (self._bound[where],) = await server.start([(where.host, where.port)])
                except CannotListen as error:
                    if where.host == "::" and replace(where, host="0.0.0.0") in over_udp:
                        log.warning("%s; IPv4 has to do", error)
                        continue
                    raise
                made[where] = server
        except CannotListen:
            for where, server in made.items():
                del self._bound[where]
                await server.stop()
            raise
        for where in over_udp.keys() & self._servers.keys():
            udp, tcp = dispatcher(over_udp[where]), dispatcher(over_tcp[where])
            self._servers[where].swap(udp, tcp, limits, tls.get(where))
        for where in self._servers.keys() - over_udp.keys():
            del self._bound[where]
            await self._servers.pop(where).stop()
        self._servers |= made
        return [Listening(*self._bound[where], where.is_tls) for where in over_udp if where in made]

    def _write(self, line: str) -> None:
        """Write a line about a query to standard output, as CoreDNS does."""
        if self._lines is None:
            self._lines = LineWriter(sys.stdout.fileno(), _dropped)
        self._lines.write(line)

    @property
    def log_lines_dropped(self) -> int:
        return self._lines.dropped if self._lines else 0

    async def _follow_instead(self, source: Source) -> None:
        if self._following:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        self.source = source
        self._following = asyncio.create_task(self._follow(source))

    async def _follow(self, source: Source) -> None:
        """Apply what a source says for as long as it speaks; a fault in here must not pass for a quiet cluster."""
        try:
            async for events in source.changes():
                indexes = _of_cluster(self.answering)
                were_synced = all(each.is_synced for each in indexes)
                for index in indexes:
                    index.apply(events)
                if not were_synced:
                    _settle(indexes, self._started)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._stop.set()
            raise


def _dropped(count: int, seconds: float) -> str:
    return f"[WARNING] {count} query log lines dropped in {seconds:.0f} s"


def _tell(bound: Iterable[Listening]) -> None:
    for each in bound:
        log.info("listening on %s, %s", address_text(each.host, each.port), "TLS" if each.is_tls else "UDP and TCP")


class _Latest:
    """When something last happened."""

    def __init__(self) -> None:
        self.at = float("-inf")

    def note(self) -> None:
        self.at = time.monotonic()


class _Known:
    """What is known of the cluster, in whichever index has it."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @property
    def _index(self) -> Index:
        return _of_cluster(self._running.answering)[0]

    @property
    def is_synced(self) -> bool:
        return bool(_of_cluster(self._running.answering)) and self._index.is_synced

    @property
    def serial(self) -> int:
        return self._index.serial

    def objects(self, kind: type[Object]) -> tuple[Object, ...]:
        return self._index.objects(kind)

    def apply(self, events: Iterable[Event]) -> None:
        self._index.apply(events)


def _of_cluster(answering: Sequence[Answering]) -> list[Index]:
    return [each.index for each in answering if each.block.cluster]


_FIXED = ("http", "http_health", "http_ready", "http_metrics", "tcp", "snapshot")
"""Settings that are not changed while we run."""


def _origin(settings: Config) -> tuple[object, ...]:
    """The settings that a source is made of."""
    return (
        settings.manifests, settings.kubeconfig, settings.context, settings.api_server, settings.api_certificate,
        settings.api_key, settings.api_authority, settings.namespaces, settings.namespace_labels,
        settings.labels, settings.endpoints, settings.service_cidr, kinds(settings),
    )  # fmt: skip


def _settle(indexes: Sequence[Index], started: float) -> None:
    """Once all is read: it stays, so the collector need not look through it again and again."""
    if all(each.is_synced for each in indexes):
        gc.collect()
        gc.freeze()
        counts = (indexes[0].count(Service), indexes[0].count(EndpointSlice)) if indexes else (0, 0)
        log.info("ready after %.2f s: %d Services, %d EndpointSlices", time.monotonic() - started, *counts)


def build_source(settings: Config) -> Source:
    """Manifests if there are any, or no block asks for a cluster; else a cluster."""
    if settings.manifests or not any(each.cluster for each in config.blocks(settings)):
        return Manifests([Path(path) for path in settings.manifests], settings.service_cidr)
    from clusterdns.sources.cluster import Access, Cluster, Patience, Selection  # noqa: PLC0415 - it takes half a second

    selection = Selection(
        kinds=kinds(settings),
        namespaces=frozenset(settings.namespaces),
        namespace_labels=settings.namespace_labels,
        labels=settings.labels,
    )
    kubeconfig = Path(settings.kubeconfig) if settings.kubeconfig else None
    access = Access(
        settings.api_server,
        kubeconfig,
        settings.context or None,
        settings.api_certificate,
        settings.api_key,
        settings.api_authority,
    )
    return Cluster(access, selection, Patience())


def _possible_connections(settings: Config) -> int:
    """As many as are set, within what the process may open."""
    free = _descriptors(settings) - SOCKETS_PER_QUERY * _possible_in_flight(settings)
    return _at_most("tcp.connections", settings.tcp.connections, free)


def _possible_in_flight(settings: Config) -> int:
    """As many queries as are set, within half of what the process may open."""
    return _at_most(
        "forward.in-flight",
        max(each.forward.in_flight for each in config.blocks(settings)),
        _descriptors(settings) // 2 // SOCKETS_PER_QUERY,
    )


def _at_most(setting: str, wanted: int, possible: int) -> int:
    if possible < wanted:
        log.warning("%s: %d of %d, since this process may open few files", setting, max(1, possible), wanted)
    return max(1, min(wanted, possible))


def _descriptors(settings: Config) -> int:
    """How many sockets the process may have for its clients and upstreams; it asks for as many as it may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = (
        settings.tcp.connections
        + SOCKETS_PER_QUERY * max(each.forward.in_flight for each in config.blocks(settings))
        + OWN_DESCRIPTORS
    )
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft - OWN_DESCRIPTORS
