"""What operators and probes ask over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from serving import free_port, has_ipv6

from clusterdns.http import Views
from clusterdns.server import CannotListen
from tests.test_server import DEADLINE, open_sockets, until

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


@pytest.mark.parametrize(("missing", "status"), [([], 200), (["services: not listed yet"], 503)])
async def test_head_is_the_page_without_its_text(missing: list[str], status: int) -> None:
    async with shown(missing) as client, client.head("/ready") as reply:
        assert (reply.status, await reply.read()) == (status, b"")


class TestAPortThatIsTaken:
    async def test_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        first, second = (Views(list, bytes) for _ in range(2))
        await first.open({ANYWHERE: PAGES})
        ((host, port),) = first.addresses
        why = f"cannot listen on {host}:{port}: the port is in use"
        with pytest.raises(CannotListen, match=why):
            await second.open({(host, port): PAGES})
        assert not second.addresses
        await second.open({(host, port): PAGES}, dispensable=[(host, port)])
        assert not second.addresses
        assert caplog.messages == [f"{why}; /health, /ready and /metrics are not shown"]
        await first.stop()
        await second.stop()

    async def test_is_taken_once_it_is_free(self) -> None:
        """With the next reload."""
        first, second = (Views(list, bytes) for _ in range(2))
        await first.open({ANYWHERE: PAGES})
        (address,) = first.addresses
        await second.open({address: PAGES}, dispensable=[address])
        await first.stop()
        await second.open({address: PAGES}, dispensable=[address])
        assert await status(address, "/ready") == 200
        await second.stop()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
async def test_pages_over_ipv6() -> None:
    views = Views(list, bytes)
    await views.open({("::1", 0): PAGES})
    ((_, port),) = views.addresses
    async with aiohttp.ClientSession() as client, client.get(f"http://[::1]:{port}/ready") as reply:
        assert reply.status == 200
    await views.stop()


class TestGuestsWhoStay:
    """Whoever opens connections and leaves them, or writes a byte now and then, takes nothing from anybody."""

    SAID = (b"", b"GET /ready HTTP/1.1\r\nX: ", b"GET /metrics HTTP/1.1\r\n\r\n")

    async def test_give_way(self) -> None:
        views = Views(list, lambda: bytes(10_000_000), most_guests=5)
        await views.open({ANYWHERE: PAGES})
        (address,) = views.addresses
        before = len(open_sockets())
        guests = [await asyncio.open_connection(*address) for _ in range(60)]
        for number, (_, writer) in enumerate(guests):
            writer.write(self.SAID[number % 3])
        assert await status(address, "/ready") == 200
        await until(lambda: len(open_sockets()) - before - len(guests) <= 5)
        for _, writer in guests:
            writer.close()
        async with asyncio.timeout(DEADLINE):
            await views.stop()
