"""Explains without a server: reads once what one would follow."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from clusterdns import config, explain
from clusterdns.app.answering import Answering
from clusterdns.app.explaining import data_of, explained, pods_in
from clusterdns.app.front import Front
from clusterdns.app.listeners import Listeners, first_quietly
from clusterdns.app.running import build_source
from clusterdns.server import Limits
from clusterdns.sources.manifests import Manifests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from clusterdns.config import Config
    from clusterdns.events import Event
    from clusterdns.explain import PodFacts, Story, Wanted
    from clusterdns.sources.cluster import Cluster

READ_SECONDS = 30.0
"""How long a cluster may take to tell what it has."""


class NotRead(Exception):
    """A cluster has not told what it has."""


class Given(Struct, frozen=True, kw_only=True):
    """What settings are made of; what is empty is as the file has it, or as it is by default."""

    file: Path | None = None
    manifests: tuple[str, ...] = ()
    kubeconfig: str = ""
    context: str = ""
    zone: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    """`none` for nobody."""

    def settings(self) -> Config:
        """Raises BadConfig."""
        found = config.read(self.file) if self.file else config.Config()
        changes: dict[str, object] = {
            "manifests": self.manifests, "kubeconfig": self.kubeconfig, "context": self.context, "zone": self.zone,
        }  # fmt: skip
        if "none" in self.upstream:
            changes["forward"] = replace(found.forward, upstreams=(), zones=(), resolv_conf="")
        elif self.upstream:
            changes["forward"] = replace(found.forward, upstreams=self.upstream)
        found = replace(found, **{name: value for name, value in changes.items() if value})
        config.check(found)
        return found


@asynccontextmanager
async def rehearsed(settings: Config) -> AsyncGenerator[Callable[[Wanted], Awaitable[Story]], None]:
    """What explains as a server with these settings would, had it read now what there is.

    Nothing is probed for that: who is ready is as manifests say it.

    Raises what serving would, and NotRead.
    """
    answering = [Answering(each, settings, most_waiting=100) for each in config.blocks(settings)]
    for each in answering:
        await each.open()
    source = build_source(replace(settings, probes=False))
    indexes = [each.index for each in answering if each.block.cluster]
    synced = asyncio.Event()

    def apply(events: Iterable[Event]) -> None:
        for index in indexes:
            index.apply(events)
        if all(each.is_synced for each in indexes):
            synced.set()

    async def follow() -> None:
        async for events in source.changes():
            apply(events)

    apply(await source.open())
    following = asyncio.create_task(follow())
    limits = Limits(connections=0, idle_seconds=0)
    prepared = Listeners(lambda _: None).prepared(answering, limits, Front(settings), counts=False)
    for each in answering:
        each.start([])

    async def pods(namespace: str) -> tuple[PodFacts, ...] | None:
        if isinstance(source, Manifests):
            return await pods_in(indexes[0], namespace, {}, has_labels=True) if indexes else None
        from clusterdns.sources.cluster import Lost, Refused, Unreadable  # noqa: PLC0415

        with suppress(Refused, *Unreadable, *Lost):
            told = await source.pods_in(namespace)
            return None if told is None else tuple(explain.facts_of_pod(*each) for each in told)
        return None

    async def story(wanted: Wanted) -> Story:
        return await explained(wanted, answering, first_quietly(prepared), data_of(source), pods)

    try:
        await _read(synced, source)
        yield story
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        for each in answering:
            each.stop()


async def _read(synced: asyncio.Event, source: Manifests | Cluster) -> None:
    """Wait until all is read. Raises NotRead."""
    deadline = time.monotonic() + READ_SECONDS
    while not synced.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(synced.wait(), 0.5)
        troubles = [each.trouble for each in data_of(source) if each.trouble]
        if not synced.is_set() and (troubles or time.monotonic() > deadline):
            raise NotRead(troubles[0] if troubles else f"nothing was heard within {READ_SECONDS:g} s")
