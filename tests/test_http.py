"""What operators and probes ask over HTTP."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from clusterdns.http import Views
from clusterdns.server import CannotListen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def shown(missing: list[str], metrics: bytes = b"") -> AsyncIterator[aiohttp.ClientSession]:
    views = Views(lambda: missing, lambda: metrics)
    await views.start(("127.0.0.1", 0))
    host, port = views._runners[0].addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
            yield client
    finally:
        await views.stop()


async def test_health_is_that_somebody_answers() -> None:
    async with shown(["everything"]) as client, client.get("/health") as reply:
        assert (reply.status, await reply.text()) == (200, "OK")


class TestReady:
    async def test_once_nothing_is_missing(self) -> None:
        missing = ["Service: not listed yet", "Namespace: not listed yet"]
        async with shown(missing) as client:
            async with client.get("/ready") as reply:
                assert (reply.status, await reply.text()) == (503, "\n".join(missing))
            missing.clear()
            async with client.get("/ready") as reply:
                assert (reply.status, await reply.text()) == (200, "OK")


async def test_metrics_are_text() -> None:
    async with shown([], b"clusterdns_objects 1\n") as client, client.get("/metrics") as reply:
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert await reply.read() == b"clusterdns_objects 1\n"


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics/", "/ready/../etc/passwd"])
async def test_nothing_else_is_there(path: str) -> None:
    async with shown([]) as client, client.get(path) as reply:
        assert reply.status == 404


async def test_a_page_may_stand_alone() -> None:
    views = Views(list, bytes)
    await views.start(("127.0.0.1", 0), paths=("/ready",))
    await views.start(("127.0.0.1", 0), paths=("/health", "/metrics"))
    found = []
    async with aiohttp.ClientSession() as client:
        for runner in views._runners:
            host, port = runner.addresses[0][:2]
            for path in ("/health", "/ready", "/metrics"):
                async with client.get(f"http://{host}:{port}{path}") as reply:
                    found.append(reply.status)
    await views.stop()
    assert found == [404, 200, 404, 200, 404, 200]


async def test_nothing_is_to_be_changed() -> None:
    async with shown([]) as client, client.post("/ready") as reply:
        assert reply.status == 405


async def test_a_port_that_is_taken_is_said() -> None:
    first, second = (Views(list, bytes) for _ in range(2))
    await first.start(("127.0.0.1", 0))
    host, port = first._runners[0].addresses[0][:2]
    with pytest.raises(CannotListen, match=f"cannot listen on {host}:{port}: the port is in use"):
        await second.start((host, port))
    await first.stop()
