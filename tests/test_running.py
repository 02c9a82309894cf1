"""What runs, as the settings change: here from within, for what no client can see."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from clusterdns.app.running import Running
from clusterdns.config import Block, Config, Forward, Hosts
from clusterdns.server import CannotListen
from tests.apiserver import ApiServer, until
from tests.followed import namespace, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

NOWHERE = Forward(upstreams=("127.0.0.1:9", "tls://127.0.0.1:9"), try_seconds=0.1, seconds=0.1)
SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: demo}, spec: {clusterIP: 10.96.0.7}}"


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    (tmp_path / "web.yaml").write_text(SERVICE)
    (tmp_path / "hosts").write_text("192.0.2.7 nas.example\n")
    block = Block(names=("example",), listen=("127.0.0.1:0",), cluster=False, forward=NOWHERE)
    return Config(
        manifests=(str(tmp_path / "web.yaml"),),
        listen=("127.0.0.1:0",),
        forward=NOWHERE,
        hosts=Hosts((str(tmp_path / "hosts"),)),
        blocks=(block,),
    )


@asynccontextmanager
async def running(settings: Config) -> AsyncIterator[Running]:
    made = Running(settings, asyncio.Event())
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@contextmanager
def without_collector() -> Iterator[None]:
    """Whatever goes, goes because nobody refers to it any more."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def test_what_was_replaced_goes_once_all_is_answered(settings: Config) -> None:
    """The collector looks at what has lived long once in a blue moon; a reload a minute must not add up till then."""
    with without_collector():
        async with running(settings) as it:
            before = [weakref.ref(each) for each in it.answering]
            before += [weakref.ref(each.index) for each in it.answering]
            await it.become(replace(settings, ttl=7, blocks=(replace(settings.blocks[0], ttl=7),)))
            await until(lambda: not any(each() for each in before))


async def test_what_has_not_changed_stays(settings: Config) -> None:
    async with running(settings) as it:
        indexes = [each.index for each in it.answering]
        caches = [each.cache for each in it.answering]
        await it.become(replace(settings, any=True))
        assert [each.index for each in it.answering] == indexes
        assert [each.cache for each in it.answering] == caches


async def test_a_source_that_was_opened_in_vain_is_closed(settings: Config) -> None:
    """Its connections would be open still: aiohttp warns of that, and here a warning is an error."""
    async with ApiServer(bookmark_interval=0.1) as api, running(settings) as it:
        api.put(namespace("demo"), service("web"))
        source = it.source
        cluster = replace(settings, manifests=(), api_server=api.url)
        with pytest.raises(CannotListen):
            await it.become(replace(cluster, listen=("192.0.2.1:53",)))
        assert it.source is source
        await it.become(cluster)
        await until(lambda: it.answering[0].index.is_synced)
