"""A block at work: what its settings make of the machine that it runs on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from clusterdns import names
from clusterdns.app import answering, following, indexes
from clusterdns.app.answering import Answering
from clusterdns.config import Config
from clusterdns.objects import Host

if TYPE_CHECKING:
    from pathlib import Path


class TestHostDomains:
    """The kubelet puts the host's domains behind the cluster's, whoever the upstreams are."""

    @pytest.mark.parametrize(
        ("autopath", "resolv_conf", "expected"),
        [(True, "", ["corp.example", "lan"]), (False, "", []), (False, "FILE", ["corp.example", "lan"])],
    )
    async def test_are_known(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        autopath: bool,
        resolv_conf: str,
        expected: list[str],
    ) -> None:
        file = tmp_path / "resolv.conf"
        file.write_text("search corp.example lan\nnameserver 192.0.2.9\n")
        monkeypatch.setattr(answering, "RESOLV_CONF", str(file))
        forward = {"upstreams": ["192.0.2.1"], "resolv-conf": resolv_conf.replace("FILE", str(file))}
        settings = msgspec.convert({"autopath": autopath, "pods": "verified", "forward": forward}, Config)
        made = Answering(settings, settings, 10)
        await made.open()
        made.start([])
        try:
            assert made.resolver.searching.host_domains == tuple(map(names.from_text, expected))
            assert [str(upstream) for _, upstream in made.forwarder.upstreams] == ["192.0.2.1:53"]
        finally:
            made.stop()


class TestReloads:
    """What was learned from upstreams is kept, unless others might be asked now."""

    @pytest.mark.parametrize(
        ("changed", "keeps"),
        [
            ({"ttl": 60}, True),
            ({"udp-size": 512}, True),
            ({"forward": {"upstreams": ["192.0.2.2"]}}, False),
            ({"cache": {"entries": 10}}, False),
            ({"zone-files": [{"file": "FOLDER/db", "zones": ["a.example"]}]}, False),
            ({"zone-folders": [{"folder": "FOLDER"}]}, False),
        ],
        ids=str,
    )
    def test_the_cache(self, changed: dict[str, object], keeps: bool) -> None:
        settings = {"forward": {"upstreams": ["192.0.2.1"]}}
        before, after = (msgspec.convert(each, Config) for each in (settings, settings | changed))
        former = Answering(before, before, 10)
        assert (Answering(after, after, 10, former).cache is former.cache) == keeps


class TestFollowing:
    async def test_goes_on_after_a_fault_that_nobody_foresaw(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "hosts").write_text("192.0.2.7 nas.example\n")
        settings = msgspec.convert(
            {"hosts": {"files": [str(tmp_path / "hosts")]}, "forward": {"upstreams": ["192.0.2.1"], "resolv-conf": ""}},
            Config,
        )
        monkeypatch.setattr(following, "PAUSE_SECONDS", 0.01)
        made = Answering(settings, settings, 10)
        await made.open()
        look, faults = made.hosts._reread, iter([ZeroDivisionError("one"), MemoryError("two")])

        async def fail(file: Any) -> bool:
            for fault in faults:
                raise fault
            return await look(file)

        monkeypatch.setattr(made.hosts, "_reread", fail)
        made.take_in()
        made.start([])
        (tmp_path / "hosts").write_text("192.0.2.77 nas.example\n192.0.2.8 new.example\n")
        try:
            async with asyncio.timeout(30):
                while made.index.count(Host) != 2:  # noqa: ASYNC110 - a change sets no event
                    await asyncio.sleep(0.01)
        finally:
            made.stop()
        assert made.trail.faults == 2
        said = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
        ending = "following hosts files: ZeroDivisionError('one'); going on with it"
        assert said[0] == f"a fault in the program, please report it: {ending}"

    async def test_asks_for_the_addresses_of_the_host_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[object] = []
        monkeypatch.setattr("socket.getaddrinfo", lambda *given, **_: asked.append(given) or [])
        indexes._host_addresses.cache_clear()
        settings = msgspec.convert({"listen": ["0.0.0.0:0", "[::]:0"], "forward": {"resolv-conf": ""}}, Config)
        for _ in range(3):
            Answering(settings, settings, 10)
        indexes._host_addresses.cache_clear()
        assert len(asked) == 1
