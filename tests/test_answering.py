"""A block at work: what its settings make of the machine that it runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from clusterdns import names
from clusterdns.app import answering
from clusterdns.app.answering import Answering
from clusterdns.config import Config

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
