"""What is known, on disk: a server that starts while the API server is away has the last known state to serve."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from clusterdns.contents import content as content_of
from clusterdns.events import Listed
from clusterdns.objects import EndpointSlice, Namespace, Node, Pod, Service

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable
    from pathlib import Path

    from clusterdns.events import Event
    from clusterdns.objects import Object

log = logging.getLogger("clusterdns.snapshot")

FORMAT = 1

SECONDS = 30.0
"""How old what the file holds may get."""


class _Content(Struct):
    format: int
    written: float
    """Seconds since the epoch."""
    namespaces: tuple[Namespace, ...] | None
    """None for a kind that was not followed: of that nothing is known, not even that there are none."""
    services: tuple[Service, ...] | None
    slices: tuple[EndpointSlice, ...] | None
    pods: tuple[Pod, ...] | None
    nodes: tuple[Node, ...] | None = None


class Known(Protocol):
    """What an index tells of itself, and takes."""

    @property
    def is_synced(self) -> bool: ...

    @property
    def serial(self) -> int: ...

    def objects(self, kind: type[Object]) -> tuple[Object, ...]: ...

    def apply(self, events: Iterable[Event]) -> None: ...


class Snapshot:
    """One file. That it can not be read or written is a warning, never a reason not to serve.

    kinds: those that are followed; whatever else an older file holds would never be brought up to date.
    """

    def __init__(self, path: Path, kinds: Collection[type[Object]], known: Known) -> None:
        self._path = path
        self._kinds = kinds
        self._known = known
        self._written: int | None = None
        """The serial of what the file holds."""

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[None, None]:
        """Begin with what the file holds, unless all is known; and keep it up: again and again, and at the end."""
        if not self._known.is_synced:
            self._known.apply(self.read())
            self._written = self._known.serial
        done = asyncio.Event()
        keeping = asyncio.create_task(self._keep(done))
        try:
            yield
        finally:
            done.set()
            await keeping

    async def _keep(self, done: asyncio.Event) -> None:
        is_last = False
        while not is_last:
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), SECONDS)
            is_last = done.is_set()
            if self._known.is_synced and self._known.serial != self._written:
                await self.write()

    def read(self) -> list[Event]:
        """What was known when the file was written; nothing if there is none, or none that can be read."""
        try:
            content = msgspec.msgpack.decode(content_of(self._path), type=_Content)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError, RecursionError) as error:
            fields = {"file": self._path, "error": error}
            log.warning("%(file)s: this snapshot is of no use, and is not served: %(error)s", fields)
            return []
        if content.format != FORMAT:
            unread = {"file": str(self._path), "format": content.format}
            log.warning("%(file)s: a snapshot of format %(format)d, which is not read; it is not served", unread)
            return []
        age = time.time() - content.written
        served = {"file": str(self._path), "age": age}
        log.warning("serving the snapshot %(file)s, %(age).0f s old, until the API server has told more", served)
        objects: tuple[tuple[type[Object], tuple[Object, ...] | None], ...] = (
            (Namespace, content.namespaces),
            (Service, content.services),
            (EndpointSlice, content.slices),
            (Pod, content.pods),
            (Node, content.nodes),
        )
        return [Listed(kind, these) for kind, these in objects if kind in self._kinds and these is not None]

    async def write(self) -> None:
        """Replace the file as a whole, or leave it as it is."""
        serial = self._known.serial
        kinds = (Namespace, Service, EndpointSlice, Pod, Node)
        parts = [self._known.objects(kind) if kind in self._kinds else None for kind in kinds]
        try:
            await asyncio.to_thread(self._replace, (FORMAT, time.time(), *parts))
            self._written = serial
        except OSError as error:
            fields: dict[str, object] = {"file": self._path, "error": error.strerror or error}
            log.warning("%(file)s: the snapshot can not be written, what it held before stays: %(error)s", fields)

    def _replace(self, content: tuple[object, ...]) -> None:
        aside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with aside.open("wb") as file:
                file.write(msgspec.msgpack.encode(dict(zip(_Content.__struct_fields__, content, strict=True))))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._path)
        finally:
            aside.unlink(missing_ok=True)
