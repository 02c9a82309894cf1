"""What operators and probes ask over HTTP."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from serving import free_port

from clusterdns.http import Views
from clusterdns.server import CannotListen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


PAGES = ("/health", "/ready", "/metrics")
ANYWHERE = ("127.0.0.1", 0)


@asynccontextmanager
async def shown(missing: list[str], metrics: bytes = b"") -> AsyncIterator[aiohttp.ClientSession]:
    views = Views(lambda: missing, lambda: metrics)
    await views.open({ANYWHERE: PAGES})
    ((host, port),) = views.addresses
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


async def test_pages_come_and_go() -> None:
    """Those that were shown go on until they are told to end; each address may have its own."""
    views = Views(list, bytes)
    first, second = (("127.0.0.1", free_port()) for _ in range(2))

    async def shown() -> list[list[int]]:
        return [[await status(address, path) for path in PAGES] for address in (first, second)]

    await views.open({first: ("/ready",)})
    assert await shown() == [[0, 0, 0], [404, 200, 404]][::-1]
    await views.open({second: ("/health", "/metrics")})
    assert await shown() == [[404, 200, 404], [200, 404, 200]]
    await views.open({first: ("/health",)})
    assert await shown() == [[200, 200, 404], [200, 404, 200]]
    await views.close_others({first: ("/health",)})
    assert await shown() == [[200, 404, 404], [0, 0, 0]]
    await views.stop()
    assert await shown() == [[0, 0, 0], [0, 0, 0]]


async def status(address: tuple[str, int], path: str) -> int:
    """0 if nobody listens there."""
    host, port = address
    try:
        async with aiohttp.ClientSession() as client, client.get(f"http://{host}:{port}{path}") as reply:
            return reply.status
    except aiohttp.ClientConnectionError:
        return 0


async def test_nothing_is_to_be_changed() -> None:
    async with shown([]) as client, client.post("/ready") as reply:
        assert reply.status == 405


async def test_a_port_that_is_taken_is_said() -> None:
    first, second = (Views(list, bytes) for _ in range(2))
    await first.open({ANYWHERE: PAGES})
    ((host, port),) = first.addresses
    with pytest.raises(CannotListen, match=f"cannot listen on {host}:{port}: the port is in use"):
        await second.open({(host, port): PAGES})
    assert not second.addresses
    await first.stop()
