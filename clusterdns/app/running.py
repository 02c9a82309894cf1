"""All blocks, their source and their sockets, as the settings have them now."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from clusterdns import __version__, config, own_log
from clusterdns.app import certificates, front, network_files
from clusterdns.app.admin import Admin
from clusterdns.app.answering import Answering
from clusterdns.app.explaining import Inquiry, by_worker, explained, inquiry, page, pods_in
from clusterdns.app.indexes import kinds
from clusterdns.app.listeners import Listeners
from clusterdns.app.top import Top
from clusterdns.consolidation import Consolidating
from clusterdns.events import Listed, Put
from clusterdns.line_writer import LineWriter
from clusterdns.objects import EndpointSlice, Pod, Service
from clusterdns.server import GOODBYE_SECONDS, Limits
from clusterdns.sources.manifests import Manifests
from clusterdns.sources.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from clusterdns.app.listeners import Prepared
    from clusterdns.app.top import Looking
    from clusterdns.config import Block, Config, Listening
    from clusterdns.events import Event
    from clusterdns.explain import PodFacts, Story, Wanted
    from clusterdns.http import Views
    from clusterdns.index import Index
    from clusterdns.objects import Key, Object
    from clusterdns.popularity import Tally
    from clusterdns.probes import Readiness
    from clusterdns.sources.cluster import Cluster
    from clusterdns.workers import Fed

    Source: TypeAlias = Manifests | Cluster | Fed

log = logging.getLogger("clusterdns")

SOCKETS_PER_QUERY = 2
"""That waits for an upstream: the second is for the few of which one upstream did not answer in time."""

LONGEST_QUERY = 4096
"""Bytes, over TCP: as much as is read of a datagram."""

OWN_DESCRIPTORS = 150
"""Files and sockets beside the clients' connections: manifests, probes, an API server, listeners, libraries."""


class Running:
    """Everything that runs, as the settings have it.

    listeners: makes them, told where the lines of the query log go.
    source, behind: those that the settings name unless given.
    shows: whether pages are shown, and a snapshot is kept: with workers one process does so for all.
    """

    def __init__(
        self,
        settings: Config,
        stop: asyncio.Event,
        listeners: Callable[[Callable[[str], None]], Listeners] = Listeners,
        *,
        source: Source | None = None,
        behind: front.Front | None = None,
        shows: bool = True,
    ) -> None:
        self.settings = settings
        self.fault = ""
        """Why the configuration that was read last is not in effect."""
        self.reloads = 0
        self.reloads_failed = 0
        self.faults = 0
        """What went wrong that nobody waited for."""
        self.is_leaving = False
        """Whether whoever can ask another server should."""
        self.answering: list[Answering] = []
        self.source: Source = build_source(settings) if source is None else source
        self._stop = stop
        self._started = time.monotonic()
        self.listeners = listeners(self._write)
        self._shows = shows
        self._views: Views | None = None
        self._top = Top(self)
        self._admin = Admin(self, {"/top": self._top.reports, "/explain": page(self.explain)})
        self._snapshot = contextlib.AsyncExitStack()
        self._snapshot_of: object = None
        self._front = front.Front(settings) if behind is None else behind
        self._read = certificates.fingerprints(read_at_start(settings))
        self._following: asyncio.Task[None] | None = None
        self._lines: LineWriter | None = None
        self._consolidating = Consolidating(())
        self._consolidates: object = None

    async def start(self) -> None:
        settings = self.settings
        self._tell_as(settings)
        certificates.check_api_server(settings)
        answering = [Answering(each, settings, _possible_in_flight(settings)) for each in config.blocks(settings)]
        for each in answering:
            await each.open()
        self.answering = answering
        indexes = _of_cluster(answering)
        await self._keep_snapshot(settings)
        told = await self.source.open()
        for index in indexes:
            index.apply(told)
        prepared = self._prepared(answering, settings, self._front)
        await self._open_pages(settings)
        await self.listeners.take(prepared)
        self._open_admin(settings)
        self._take_over(answering)
        _settle(indexes, self._started)
        self._following = asyncio.create_task(self._follow(self.source))
        await self.listeners.drop(prepared)
        fields = {"version": __version__, "seconds": time.monotonic() - self._started}
        log.info("clusterdns %(version)s, answering after %(seconds).2f s", fields)

    def forked(
        self, stop: asyncio.Event, listeners: Callable[[Callable[[str], None]], Listeners], source: Source
    ) -> Running:
        """The same in a process of its own: what is known is known there too, and goes on as that source says."""
        made = Running(self.settings, stop, listeners, source=source, behind=self._front, shows=False)
        made.answering, made._read = self.answering, self._read
        return made

    async def go_on(self) -> None:
        """Answer, in a fork. Raises CannotListen."""
        self._tell_as(self.settings)
        prepared = self._prepared(self.answering, self.settings, self._front)
        await self.listeners.take(prepared)
        for each in self.answering:
            each.take_up()
            each.start(self.listeners.plain())
        self._following = asyncio.create_task(self._follow(self.source))

    def _prepared(
        self, answering: Sequence[Answering], settings: Config, behind: front.Front
    ) -> dict[Listening, Prepared]:
        return self.listeners.prepared(answering, _limits(settings), behind, counts=_shows_metrics(settings))

    async def become(self, settings: Config) -> None:
        """Do as these settings say, without losing a query; if they can not be, nothing is changed.

        Raises what starting with them would.
        """
        found = certificates.fingerprints(read_at_start(settings))
        if settings == self.settings and found == self._read:
            return
        certificates.check_api_server(settings)
        former = {_called(each.block): each for each in self.answering}
        most_waiting = _possible_in_flight(settings)
        answering = [
            Answering(each, settings, most_waiting, former.pop(_called(each), None)) for each in config.blocks(settings)
        ]
        for each in answering:
            await each.open()
        behind = front.Front(settings, self._front)
        prepared = self._prepared(answering, settings, behind)
        source = build_source(settings) if origin(settings) != origin(self.settings) else None
        try:
            told = await source.open() if source is not None else self.known()
            fresh = [each.index for each in answering if each.block.cluster and (each.is_new or source is not None)]
            for index in fresh:
                await _fill(index, told)
            await self._open_pages(settings)
            self._open_admin(settings)
            # From here on the loop has no turn until all is in place: neither a query nor an event may fall between.
            await self.listeners.take(prepared)
        except BaseException:
            await self._close_pages(self.settings)
            await self._admin.close_others(self.settings.admin)
            if source is not None and not isinstance(source, Manifests):
                await source.close()
            raise
        for index in fresh:
            index.apply(told if source is not None else self.known())
        self._read, self._front = found, behind
        before, self.settings = self.answering, settings
        self._take_over(answering)
        self._tell_as(settings)
        for each in before:
            each.rest()
            asyncio.get_running_loop().call_later(each.block.forward.seconds + 1, each.stop)
        if source is not None:
            await self._follow_instead(source)
            self._admin.tell(told)
        elif not isinstance(self.source, Manifests):
            await self.source.renew()
        await self.listeners.drop(prepared)
        await self._close_pages(settings)
        await self._admin.close_others(settings.admin)
        await self._keep_snapshot(settings)

    def known(self) -> list[Event]:
        """All that the source has told, a Listed for each kind."""
        indexes = _of_cluster(self.answering)
        return [
            Listed(kind, _objects(indexes, kind))
            for kind in kinds(self.settings)
            if indexes and indexes[0].has_listed(kind)
        ]

    async def _open_pages(self, settings: Config) -> None:
        """Listen where pages shall be shown. Raises CannotListen."""
        if self._shows and (pages := config.pages(settings)):
            if self._views is None:
                from clusterdns.app.views import build_views  # noqa: PLC0415 - it takes half a second

                self._views = build_views(self)
            await self._views.open(pages, config.dispensable_pages(settings))

    def _open_admin(self, settings: Config) -> None:
        """Listen where commands ask; of several processes one does. Raises CannotListen."""
        if self._shows:
            self._admin.open(settings.admin)

    async def _close_pages(self, settings: Config) -> None:
        """Show pages where these settings say, and nowhere else."""
        if self._views is not None:
            await self._views.close_others(config.pages(settings))

    async def _keep_snapshot(self, settings: Config) -> None:
        """Keep what is known where these settings say."""
        indexes = _of_cluster(self.answering)
        is_kept = bool(self._shows and settings.snapshot and indexes)
        wanted = (settings.snapshot, kinds(settings)) if is_kept else None
        if wanted != self._snapshot_of:
            self._snapshot_of = wanted
            await self._snapshot.aclose()
            if wanted is not None:
                snapshot = Snapshot(Path(settings.snapshot), kinds(settings), _Known(self))
                await self._snapshot.enter_async_context(snapshot.kept())

    async def explain(self, wanted: Wanted) -> Story:
        """Why a name is answered as it is. Raises ValueError if workers do so, and none of them says why."""
        about = inquiry(wanted, self.source)
        crew = self.listeners.crew
        return await (self.explain_here(about) if crew is None else by_worker(crew, about))

    async def explain_here(self, about: Inquiry) -> Story:
        """The same, where queries are answered in this process."""
        pods = partial(self._pods, about.failing)
        return await explained(about.wanted, self.answering, self.listeners.quietly, about.data, pods)

    def counted(self, looking: Looking) -> Tally:
        """What was asked in this process since somebody looks, or looked before."""
        return self._top.counted(looking)

    async def _pods(self, failing: Mapping[Key, Readiness], namespace: str) -> tuple[PodFacts, ...] | None:
        """Those of a namespace, if pods are followed."""
        is_manifests = bool(self.settings.manifests)
        indexes = _of_cluster(self.answering)
        if not indexes or not (is_manifests or Pod in kinds(self.settings)):
            return None
        return await pods_in(indexes[0], namespace, failing, has_labels=is_manifests)

    async def linger(self, at_once: asyncio.Event) -> None:
        """Say that we go, and answer until those who ask have heard of it, or until `at_once`."""
        seconds = self.settings.lameduck_seconds
        if not seconds:
            return
        self.is_leaving = True
        log.info("going: queries are answered for %g s more", seconds)
        await self.listeners.linger(seconds, at_once)

    async def stop(self, patience: float = GOODBYE_SECONDS) -> None:
        """Answer what was asked, and end. patience: as Server.stop has it."""
        if self._following:
            self._following.cancel()
        for each in self.answering:
            each.rest()
        await self.listeners.stop(self._hurry, patience)
        self._hurry()
        if self._lines:
            self._lines.close()
        self._consolidate(Consolidating(()))
        if self._views is not None:
            await self._views.stop()
        await self._admin.stop()
        await self._snapshot.aclose()
        if self._following:
            with contextlib.suppress(asyncio.CancelledError):
                await self._following

    def _hurry(self) -> None:
        for each in self.answering:
            each.stop()

    def _take_over(self, answering: list[Answering]) -> None:
        self.answering = answering
        self.listeners.begin(answering)

    def _tell_as(self, settings: Config) -> None:
        """Write the log as these settings say."""
        own_log.change(settings.log_format, settings.log_level)
        wanted = settings.log_consolidate, settings.log_repeat_seconds
        if wanted != self._consolidates:
            self._consolidates = wanted
            self._consolidate(Consolidating(*wanted))

    def _consolidate(self, consolidating: Consolidating) -> None:
        """Tell warnings and errors together in this way from now on."""
        former, self._consolidating = self._consolidating, consolidating
        for handler in logging.getLogger().handlers:
            handler.removeFilter(former)
            handler.addFilter(consolidating)
        former.close()

    def note_fault(self) -> None:
        self.faults += 1

    def tell_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """One line for what nobody waited for; the traceback is for whoever turns debugging on."""
        self.note_fault()
        fields = {"where": context["message"], "fault": context.get("exception")}
        log.error("a fault in the program, please report it: %(where)s: %(fault)r", fields)
        log.debug("the fault in full", exc_info=context.get("exception"))

    def _write(self, line: str) -> None:
        """Write a line about a query to standard output, as CoreDNS does."""
        if self._lines is None:
            self._lines = LineWriter(sys.stdout.fileno(), _dropped, shared=not self._shows)
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
                self.listeners.note_events(events)
                self._admin.tell(events)
                if not were_synced:
                    _settle(indexes, self._started)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._stop.set()
            raise


def _dropped(count: int, seconds: float) -> str:
    return f"[WARNING] {count} query log lines dropped in {seconds:.0f} s"


class _Known:
    """What is known of the cluster, in all indexes together."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @property
    def _indexes(self) -> list[Index]:
        return _of_cluster(self._running.answering)

    @property
    def is_synced(self) -> bool:
        return bool(self._indexes) and all(each.is_synced for each in self._indexes)

    @property
    def serial(self) -> int:
        return sum(each.serial for each in self._indexes)

    def objects(self, kind: type[Object]) -> tuple[Object, ...]:
        return _objects(self._indexes, kind)

    def apply(self, events: Iterable[Event]) -> None:
        for index in self._indexes:
            index.apply(events)


def _called(block: Block) -> tuple[object, ...]:
    """What a block is known by, when its settings change."""
    return block.names, block.listen, block.view


def _of_cluster(answering: Sequence[Answering]) -> list[Index]:
    return [each.index for each in answering if each.block.cluster]


def _objects(indexes: Sequence[Index], kind: type[Object]) -> tuple[Object, ...]:
    """All objects of the kind, in whichever index they are: each has those of the namespaces that it serves."""
    if len(indexes) == 1:
        return indexes[0].objects(kind)
    return tuple({each.key: each for index in indexes for each in index.objects(kind)}.values())


def _namespaces(settings: Config) -> frozenset[str]:
    """Those that any block serves; none: all."""
    served = [each.namespaces for each in config.blocks(settings) if each.cluster]
    return frozenset(name for each in served for name in each) if all(served) else frozenset()


def read_at_start(settings: Config) -> tuple[Path, ...]:
    """Files beside the configuration's own, whose change is one of the configuration."""
    return (*certificates.files(settings), *network_files.files(settings), *front.files(settings))


def origin(settings: Config) -> tuple[object, ...]:
    """The settings that a source is made of."""
    return (
        any(each.cluster for each in config.blocks(settings)), settings.manifests, settings.probes, settings.kubeconfig,
        settings.context, settings.api_server, settings.api_certificate,
        settings.api_key, settings.api_authority, _namespaces(settings), settings.namespace_labels,
        settings.labels, settings.endpoints, settings.service_cidr, kinds(settings),
    )  # fmt: skip


async def _fill(index: Index, told: Iterable[Event]) -> None:
    """Put these objects into an index that nobody asks yet, and let queries be answered in between."""
    objects = [each for event in told if isinstance(event, Listed) for each in event.objects]
    for start in range(0, len(objects), SLICE):
        index.apply([Put(each) for each in objects[start : start + SLICE]])
        await asyncio.sleep(0)


SLICE = 500
"""Objects put into an index before the loop gets its turn."""


def _settle(indexes: Sequence[Index], started: float) -> None:
    """Once all is read: it stays, so the collector need not look through it again and again."""
    if all(each.is_synced for each in indexes):
        gc.freeze()  # without looking for garbage first: there is too little to be worth a tenth of a second
        counts = (indexes[0].count(Service), indexes[0].count(EndpointSlice)) if indexes else (0, 0)
        fields = {"seconds": time.monotonic() - started, "services": counts[0], "endpoint_slices": counts[1]}
        log.info("ready after %(seconds).2f s: %(services)d Services, %(endpoint_slices)d EndpointSlices", fields)


def build_source(settings: Config) -> Manifests | Cluster:
    """Manifests if there are any, or no block asks for a cluster; else a cluster."""
    if settings.manifests or not any(each.cluster for each in config.blocks(settings)):
        paths = [Path(path) for path in settings.manifests]
        return Manifests(paths, settings.service_cidr, probes=settings.probes)
    from clusterdns.sources.cluster import Access, Cluster, Patience, Selection  # noqa: PLC0415 - it takes half a second

    selection = Selection(
        kinds=kinds(settings),
        namespaces=_namespaces(settings),
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


def _shows_metrics(settings: Config) -> bool:
    return any("/metrics" in paths for paths in config.pages(settings).values())


def _limits(settings: Config) -> Limits:
    return Limits(
        connections=_possible_connections(settings),
        connections_per_client=settings.tcp.connections_per_client,
        idle_seconds=settings.tcp.idle_seconds,
        longest_query=LONGEST_QUERY,
        awaited_replies=settings.tcp.in_flight,
    )


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
        fields = {"setting": setting, "possible": max(1, possible), "wanted": wanted}
        log.warning("%(setting)s: %(possible)d of %(wanted)d, since this process may open few files", fields)
    return max(1, min(wanted, possible))


def _descriptors(settings: Config) -> int:
    """How many sockets the process may have for its clients and upstreams; it asks for as many as it may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    own = OWN_DESCRIPTORS + config.MOST_GUESTS * len(config.pages(settings))
    wanted = (
        settings.tcp.connections
        + SOCKETS_PER_QUERY * max(each.forward.in_flight for each in config.blocks(settings))
        + own
    )
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft - own
