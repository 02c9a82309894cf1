"""What is known, on disk: a server that starts while the API server is away has the last known state to serve."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from clusterdns.events import Listed
from clusterdns.objects import EndpointSlice, Namespace, Pod, Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clusterdns.events import Event
    from clusterdns.objects import Object

log = logging.getLogger("clusterdns.snapshot")

FORMAT = 1


class _Content(Struct):
    format: int
    written: float
    """Seconds since the epoch."""
    namespaces: tuple[Namespace, ...]
    services: tuple[Service, ...]
    slices: tuple[EndpointSlice, ...]
    pods: tuple[Pod, ...]


class Snapshot:
    """One file. A snapshot that can not be read or written is a warning, never a reason not to serve."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Event]:
        """What was known when the file was written; nothing if there is none, or none that can be read."""
        try:
            content = msgspec.msgpack.decode(self._path.read_bytes(), type=_Content)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            log.warning("%s: this snapshot is of no use: %s", self._path, error)
            return []
        if content.format != FORMAT:
            log.warning("%s: a snapshot of format %d, where %d is read", self._path, content.format, FORMAT)
            return []
        age = time.time() - content.written
        log.warning("serving the snapshot %s, %.0f s old, until the API server has told more", self._path, age)
        return [
            Listed(Namespace, content.namespaces),
            Listed(Service, content.services),
            Listed(EndpointSlice, content.slices),
            Listed(Pod, content.pods),
        ]

    async def write(self, objects: Callable[[type[Object]], tuple[Object, ...]]) -> None:
        """Replace the file as a whole, or leave it as it is."""
        parts = [objects(kind) for kind in (Namespace, Service, EndpointSlice, Pod)]
        try:
            await asyncio.to_thread(self._replace, (FORMAT, time.time(), *parts))
        except OSError as error:
            log.warning("%s: the snapshot can not be written: %s", self._path, error.strerror)

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
