"""The cluster as a source: what is heard of each kind, as one stream of batches."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.durations import Durations
from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import EndpointSlice, KubernetesObject, Namespace, Node, Object, Pod, Service
from clusterdns.redaction import redacted
from clusterdns.sources.cluster import details
from clusterdns.sources.cluster.connection import Access, Connection
from clusterdns.sources.cluster.following import RESOURCES, Following, Patience

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from clusterdns.events import Event
    from clusterdns.sources.cluster.following import Health, Heard, Resource

log = logging.getLogger("clusterdns.cluster")

BACKLOG = 8
"""Batches that were heard and are not applied yet; the API server is made to wait then."""


class Selection(Struct, frozen=True):
    """Which part of the cluster is served."""

    kinds: tuple[type[KubernetesObject], ...] = (Namespace, Service, EndpointSlice)
    namespaces: frozenset[str] = frozenset()
    """Only these, unless empty."""
    namespace_labels: str = ""
    """A label selector of Namespaces."""
    labels: str = ""
    """A label selector of Services, their EndpointSlices, and Pods."""

    def selectors(self, kind: type[KubernetesObject]) -> dict[str, str]:
        """What the API server is asked to leave out."""
        labels = self.namespace_labels if kind is Namespace else "" if kind is Node else self.labels
        fields = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown" if kind is Pod else ""
        return {k: v for k, v in (("labelSelector", labels), ("fieldSelector", fields)) if v}

    def resources(self) -> list[Resource]:
        """What is asked for: of a single namespace only that, since there may be the right to no more."""
        found = [each for each in RESOURCES if each.kind in self.kinds]
        if len(self.namespaces) == 1 and Namespace not in self.kinds:
            (namespace,) = self.namespaces
            return [each if each.kind is Node else each.within(namespace) for each in found]
        return found

    def admit(self, events: Iterable[Event]) -> list[Event]:
        """Those events that speak of a selected namespace."""
        if not self.namespaces:
            return list(events)
        admitted: list[Event] = []
        for event in events:
            match event:
                case Listed(kind, objects):
                    admitted.append(Listed(kind, tuple(each for each in objects if self._has(kind, each.key))))
                case Put(new) if self._has(type(new), new.key):
                    admitted.append(event)
                case Gone(kind, key) if self._has(kind, key):
                    admitted.append(event)
        return admitted

    def _has(self, kind: type[Object], key: tuple[str, str]) -> bool:
        namespace, name = key
        return kind is Node or (name if kind is Namespace else namespace) in self.namespaces


class Cluster:
    """The source that follows a Kubernetes API."""

    def __init__(self, access: Access, selection: Selection, patience: Patience) -> None:
        self._connection = Connection(access)
        self._selection = selection
        self._following = [
            Following(each, self._connection, patience, selection.selectors(each.kind))
            for each in selection.resources()
        ]
        self.propagation = Durations(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
        """From the bytes of a change to the changed answer."""
        self.programming = Durations(*(0.001 * 2**power for power in range(20)))
        """From the moment that made a service's endpoints change to the changed answer."""

    @property
    def health(self) -> list[Health]:
        return [each.health for each in self._following]

    async def open(self) -> list[Event]:
        """See that there are credentials; nothing is known yet. Raises NoCredentials."""
        log.info("following the API server at %(address)s", {"address": redacted(await self._connection.open())})
        return []

    async def close(self) -> None:
        """Give up what was opened, if nothing was followed."""
        await self._connection.close()

    async def renew(self) -> None:
        """Take other credentials for the next request, if there are others; what is being answered goes on."""
        await self._connection.renew_if_rotated()

    async def pods_in(self, namespace: str) -> list[tuple[Pod, str, float | None]] | None:
        """The pods of a namespace as they are now, with the reasons why they are not ready, and since when; None if
        there are too many.

        Raises Refused, NoCredentials, and any of Unreadable and of Lost.
        """
        return await details.pods_in(self._connection, namespace)

    async def changes(self) -> AsyncGenerator[list[Event], None]:
        """Batches of events, without end: what there is, then what changes."""
        heard: asyncio.Queue[Heard | Exception] = asyncio.Queue(BACKLOG)

        async def follow(following: Following) -> None:
            try:
                async for each in following.batches():
                    await heard.put(each)
            except Exception as fault:  # noqa: BLE001 - raised again below, where somebody waits
                await heard.put(fault)

        tasks = [asyncio.create_task(follow(each)) for each in self._following]
        try:
            while True:
                batch = await heard.get()
                if isinstance(batch, Exception):
                    raise batch
                yield self._selection.admit(batch.events)
                self._observe(batch)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._connection.close()

    def _observe(self, batch: Heard) -> None:
        """The batch was applied, since we were asked for the next one."""
        if batch.events and batch.at is not None:
            self.propagation.observe(time.monotonic() - batch.at)
        for _, moment in batch.triggers:
            self.programming.observe(max(0.0, time.time() - moment))
