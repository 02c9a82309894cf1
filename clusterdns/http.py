"""What operators and probes ask over HTTP: /health, /ready and /metrics."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web

from clusterdns.server import CannotListen, address_text, why

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    _Page: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]

log = logging.getLogger("clusterdns")


class Views:
    """The pages.

    missing: what keeps us from being ready, in words; empty when nothing does.
    metrics: the metrics in the text format of Prometheus.
    fault: why the configuration that was read last is not in effect, in words; empty if it is.
    """

    def __init__(
        self, missing: Callable[[], list[str]], metrics: Callable[[], bytes], fault: Callable[[], str] = str
    ) -> None:
        self._fault = fault
        self._missing = missing
        self._metrics = metrics
        self._pages: dict[tuple[str, int], Collection[str]] = {}
        self._runners: dict[tuple[str, int], web.AppRunner] = {}

    async def open(self, pages: Mapping[tuple[str, int], Collection[str]]) -> None:
        """Show these pages, by address, as well as those of before; all of them or nothing. Raises CannotListen."""
        made: dict[tuple[str, int], web.AppRunner] = {}
        for address in pages.keys() - self._runners.keys():
            host, port = address
            made[address] = runner = self._runner(address)
            await runner.setup()
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                text = f"cannot listen on {address_text(host, port)}: {why(error, port)}"
                if host == "::" and ("0.0.0.0", port) in pages:
                    log.warning("%s; IPv4 has to do", text)
                    continue
                for each in made.values():
                    await each.cleanup()
                raise CannotListen(text) from error
        self._runners |= made
        self._pages = {address: (*self._pages.get(address, ()), *pages.get(address, ())) for address in self._runners}

    async def close_others(self, pages: Mapping[tuple[str, int], Collection[str]]) -> None:
        """Show no other pages than these."""
        self._pages = dict(pages)
        for address in self._runners.keys() - pages.keys():
            await self._runners.pop(address).cleanup()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where pages are shown, as it is bound."""
        return [bound[:2] for each in self._runners.values() for bound in each.addresses]

    def _runner(self, address: tuple[str, int]) -> web.AppRunner:
        app = web.Application()
        for path, page in (("/health", self._health), ("/ready", self._ready), ("/metrics", self._show_metrics)):
            app.router.add_get(path, partial(self._show, address, path, page))
        return web.AppRunner(app, access_log=None)

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
        return web.Response(body=self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
