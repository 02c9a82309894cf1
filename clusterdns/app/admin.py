"""What the admin socket shows, for as long as somebody looks: until then it is a socket that listens, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Protocol

from clusterdns.admin.lines import KINDS, encoded
from clusterdns.app.admin_socket import opened
from clusterdns.events import within
from clusterdns.objects import EndpointSlice, Service

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from clusterdns.app.admin_socket import AdminSocket
    from clusterdns.events import Event
    from clusterdns.http import Page
    from clusterdns.objects import KubernetesObject

log = logging.getLogger("clusterdns")

AT_ONCE = 200
"""Lines that are made before queries get their turn."""

MOST_BEHIND = 1000
"""Batches that a reader may be behind; one who is slower is sent away, and may come again."""


class Running(Protocol):
    """Who is asked."""

    def known(self) -> list[Event]:
        """All that the source has told, a Listed for each kind."""


class Admin:
    """pages: those beside the objects, by path."""

    def __init__(self, running: Running, pages: Mapping[str, Page]) -> None:
        self._running = running
        self._pages = {"/objects": self._objects, **pages}
        self._doors: dict[str, _Door] = {}
        """By setting."""
        self._hearers: set[asyncio.Queue[Sequence[Event]]] = set()

    def open(self, setting: str) -> None:
        """Listen there, as well as where it was before. Raises CannotListen."""
        if setting not in self._doors:
            socket_ = opened(setting)
            if socket_ is not None:
                self._doors[setting] = _Door(socket_, self._pages)
                log.info("admin: %s", socket_.place)

    async def close_others(self, setting: str) -> None:
        """Listen there alone."""
        for each in [each for each in self._doors if each != setting]:
            await self._doors.pop(each).close()

    async def stop(self) -> None:
        for each in self._doors.values():
            await each.close()
        self._doors.clear()

    def tell(self, events: Sequence[Event]) -> None:
        """Tell those who look what the source has said."""
        for each in tuple(self._hearers):
            try:
                each.put_nowait(events)
            except asyncio.QueueFull:
                self._hearers.discard(each)

    async def _objects(self, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """What there is, and with `watch` what becomes of it."""
        kinds = _kinds(query.get("kinds", ""))
        namespaces = frozenset(query["namespace"].split(",")) if "namespace" in query else None
        heard: asyncio.Queue[Sequence[Event]] = asyncio.Queue(MOST_BEHIND)
        if "watch" in query:
            self._hearers.add(heard)
        try:
            events: Sequence[Event] = self._running.known()
            while True:
                told = within(events, namespaces) if namespaces else events
                for number, line in enumerate(encoded(told, kinds), 1):
                    yield line
                    if not number % AT_ONCE:
                        await asyncio.sleep(0)
                if heard.empty() and heard not in self._hearers:
                    break
                events = await heard.get()
        finally:
            self._hearers.discard(heard)


def _kinds(text: str) -> frozenset[type[KubernetesObject]]:
    if not text:
        return frozenset({Service, EndpointSlice})
    unknown = [each for each in text.split(",") if each not in KINDS]
    if unknown:
        raise ValueError(f"kinds: {', '.join(unknown)}: expected some of {', '.join(KINDS)}")
    return frozenset(KINDS[each] for each in text.split(","))


class _Door:
    """A socket that listens; what answers behind it is loaded when somebody knocks."""

    def __init__(self, socket_: AdminSocket, pages: Mapping[str, Page]) -> None:
        self._socket = socket_
        self._pages = pages
        self._runner: Any = None
        self._opening: asyncio.Task[None] | None = None
        asyncio.get_running_loop().add_reader(socket_.listening, self._knock)

    def _knock(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.listening)
        self._opening = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        # It takes a third of a second, in which queries are answered.
        http = await asyncio.to_thread(_load)
        self._runner = await http.serve(self._socket.listening, self._pages)

    async def close(self) -> None:
        if self._opening is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._opening
            if self._runner is not None:
                await self._runner.cleanup()
        else:
            asyncio.get_running_loop().remove_reader(self._socket.listening)
        self._socket.forget()


def _load() -> Any:
    from clusterdns import http  # noqa: PLC0415

    return http
