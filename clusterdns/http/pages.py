"""What operators and probes ask over HTTP: /health, /ready and /metrics."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web

from clusterdns.server import CannotListen, Listener, bind_stream

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Collection, Mapping

    _Page: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]

log = logging.getLogger("clusterdns")

GOODBYE_SECONDS = 1.0
"""What a guest gets at the end to read the rest of a page."""


class Views:
    """The pages.

    missing: what keeps us from being ready, in words; empty when nothing does.
    metrics: the metrics in the text format of Prometheus.
    fault: why the configuration that was read last is not in effect, in words; empty if it is.
    gather: is awaited before the metrics are shown.
    most_guests: connections at each address.
    """

    def __init__(
        self,
        missing: Callable[[], list[str]],
        metrics: Callable[[], bytes],
        fault: Callable[[], str] = str,
        *,
        gather: Callable[[], Awaitable[object]] | None = None,
        most_guests: int = 30,
    ) -> None:
        self._gather = gather
        self._most_guests = most_guests
        self._fault = fault
        self._missing = missing
        self._metrics = metrics
        self._pages: dict[tuple[str, int], Collection[str]] = {}
        self._sites: dict[tuple[str, int], _Site] = {}

    async def open(
        self, pages: Mapping[tuple[str, int], Collection[str]], dispensable: Collection[tuple[str, int]] = ()
    ) -> None:
        """Show these pages, by address, as well as those of before; all of them or nothing. Raises CannotListen.

        dispensable: addresses that somebody else may have; then nothing is shown there.
        """
        made: dict[tuple[str, int], _Site] = {}
        for address in pages.keys() - self._sites.keys():
            try:
                tcp = bind_stream(*address)
            except CannotListen as error:
                if address in dispensable:
                    log.warning("%s; /health, /ready and /metrics are not shown", error)
                    continue
                if address[0] == "::" and ("0.0.0.0", address[1]) in pages:
                    log.warning("%s; IPv4 has to do", error)
                    continue
                for each in made.values():
                    await each.close()
                raise
            made[address] = _Site(tcp, self._runner(address), self._most_guests)
            await made[address].open()
        self._sites |= made
        self._pages = {address: (*self._pages.get(address, ()), *pages.get(address, ())) for address in self._sites}

    async def close_others(self, pages: Mapping[tuple[str, int], Collection[str]]) -> None:
        """Show no other pages than these."""
        self._pages = dict(pages)
        for address in self._sites.keys() - pages.keys():
            await self._sites.pop(address).close()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where pages are shown, as it is bound."""
        return [each.address for each in self._sites.values()]

    def _runner(self, address: tuple[str, int]) -> web.AppRunner:
        app = web.Application()
        for path, page in (("/health", self._health), ("/ready", self._ready), ("/metrics", self._show_metrics)):
            app.router.add_get(path, partial(self._show, address, path, page))
        return web.AppRunner(app, access_log=None, shutdown_timeout=GOODBYE_SECONDS)

    async def _show(self, address: tuple[str, int], path: str, page: _Page, request: web.Request) -> web.Response:
        if path not in self._pages.get(address, ()):
            raise web.HTTPNotFound
        return await page(request)

    async def stop(self) -> None:
        await self.close_others({})

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(text="OK")

    async def _ready(self, _request: web.Request) -> web.Response:
        missing = self._missing()
        lines = missing or ["OK"]
        if fault := self._fault():
            lines.append(f"the configuration of before is in effect: {fault}")
        return web.Response(text="\n".join(lines), status=503 if missing else 200)

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        if self._gather is not None:
            await self._gather()
        return web.Response(body=self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


class _Site:
    """What is shown at one address. Its guests are few, and must not take from DNS: neither time nor descriptors."""

    def __init__(self, tcp: socket.socket, runner: web.AppRunner, most_guests: int) -> None:
        self._tcp = tcp
        self._most_guests = most_guests
        self._runner = runner
        self._listener: Listener | None = None

    @property
    def address(self) -> tuple[str, int]:
        """As it is bound."""
        host, port = self._tcp.getsockname()[:2]
        return host, port

    async def open(self) -> None:
        await self._runner.setup()
        self._listener = Listener(asyncio.get_running_loop(), self._tcp, self._connect)

    async def close(self) -> None:
        if self._listener is not None:
            await self._listener.close()
        await self._runner.cleanup()

    def _connect(self) -> asyncio.Protocol:
        """Whoever has been here for longest gives way: a probe is over in no time, and a scraper comes back."""
        server = self._runner.server
        assert server is not None  # noqa: S101 - it is set up
        for each in server.connections[: 1 - self._most_guests]:
            if each.transport is not None:
                each.transport.abort()
        return server()
