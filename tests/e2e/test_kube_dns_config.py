"""Started with kube-dns's ConfigMap, mounted as the kubelet mounts it, and changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from serving import EXAMPLE, Serving, eventually

from tests.upstreams import Faulty
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[Faulty, Faulty]]:
    with Faulty(says("{name} 300 IN A 192.0.2.1")) as one, Faulty(says("{name} 300 IN A 192.0.2.2")) as other:
        yield one, other


def mount(folder: Path, version: str, **data: object) -> None:
    """The kubelet turns a link, so that all keys change at once."""
    folder.mkdir(exist_ok=True)
    (folder / version).mkdir()
    for key, value in data.items():
        (folder / version / key).write_text(json.dumps(value))
        if not (folder / key).is_symlink():
            (folder / key).symlink_to(f"..data/{key}")
    (folder / "..new").symlink_to(version)
    (folder / "..new").rename(folder / "..data")


def test_it_serves_and_follows_it(tmp_path: Path, upstreams: tuple[Faulty, Faulty]) -> None:
    one, other = map(str, upstreams)
    folder = tmp_path / "kube-dns"
    mount(folder, "..1", stubDomains={"acme.local": [other]}, upstreamNameservers=[one])
    server = Serving(tmp_path / "log", "--manifests", EXAMPLE, "--kube-dns-config", folder, forwards=True)
    try:
        assert server.answers("alpaca-prod.default.svc.cluster.local") == ["10.96.78.232"]
        assert server.answers("www.acme.local") == ["192.0.2.2"]
        assert server.answers("www.example.org") == ["192.0.2.1"]

        mount(folder, "..2", stubDomains={"other.local": [other]}, upstreamNameservers=[one])
        server.until("www.acme.local", ["192.0.2.1"])
        assert server.answers("www.other.local") == ["192.0.2.2"]

        mount(folder, "..3", stubDomains={"other.local": "nobody"})
        eventually(lambda: "the configuration is not changed: " in server.log, "a fault")
        assert f"{folder}/stubDomains: expected JSON such as" in server.log
        assert server.answers("www.other.local") == ["192.0.2.2"]
        assert server.stop() == 0
    finally:
        server.kill()
