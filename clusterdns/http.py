"""What operators and probes ask over HTTP: /health, /ready and /metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import web

from clusterdns.server import CannotListen, address_text, why

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

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
        self._runners: list[web.AppRunner] = []

    async def start(self, *addresses: tuple[str, int], paths: Collection[str] = ()) -> None:
        """The pages on each of the addresses; only those of these paths, if there are any. Raises CannotListen."""
        pages = {"/health": self._health, "/ready": self._ready, "/metrics": self._show_metrics}
        app = web.Application()
        app.add_routes([web.get(path, pages[path]) for path in paths or pages])
        runner = web.AppRunner(app, access_log=None)
        self._runners.append(runner)
        await runner.setup()
        for host, port in addresses:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                text = f"cannot listen on {address_text(host, port)}: {why(error, port)}"
                if host == "::" and ("0.0.0.0", port) in addresses:
                    log.warning("%s; IPv4 has to do", text)
                    continue
                await self.stop()
                raise CannotListen(text) from error

    async def stop(self) -> None:
        for each in self._runners:
            await each.cleanup()

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
