"""What the options of a Corefile's `kubernetes` do to the answers, before an API server that speaks plain HTTP."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import pytest
from forwarding import data
from serving import COMMAND, ENVIRONMENT, REPOSITORY, eventually, free_port

from tests.apiserver import Process
from tests.followed import headless, namespace, service, slice_of
from tests.upstreams import Faulty, ask
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[[str], "CoreDns"]

UPSTREAM = "192.0.2.1"
"""What the upstream says of each name."""


@pytest.fixture(scope="module")
def api() -> Iterator[Process]:
    with Process() as started:
        started.call("put", *(namespace(each) for each in ("shop", "data")))
        started.call("put", service("cart", "shop", clusterIP="10.96.7.7"), headless("db", "data"))
        started.call("put", slice_of("cart", "10.0.1.1", namespace="shop"))
        endpoints = [{"addresses": [f"10.0.2.{n}"], "zone": f"eu-1{zone}"} for n, zone in ((1, "a"), (2, "b"))]
        started.call("put", slice_of("db", namespace="data", endpoints=endpoints))
        yield started


@pytest.fixture(scope="module")
def upstream() -> Iterator[Faulty]:
    with Faulty(says(f"{{name}} 60 IN A {UPSTREAM}")) as started:
        yield started


class CoreDns:
    """A process that was started as CoreDNS is."""

    def __init__(self, folder: Path, corefile: str) -> None:
        self.port = free_port()
        file = folder / f"Corefile-{self.port}"
        file.write_text(corefile.replace("PORT", str(self.port)))
        self._log = folder / f"log-{self.port}"
        with self._log.open("wb") as stderr:
            command = [*COMMAND, "-conf", str(file)]
            self.process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stderr=stderr)
        eventually(lambda: "ready after" in self.log or self.process.poll() is not None, "ready")
        assert self.process.poll() is None, self.log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def asked(self, name: str, rtype: str = "A") -> dns.message.Message:
        reply = ask(("127.0.0.1", self.port), name, rtype)
        assert [each.to_text() for each in ask(("127.0.0.1", self.port), name, rtype, tcp=True).authority] == [
            each.to_text() for each in reply.authority
        ]
        return reply

    def says(self, name: str, rtype: str = "A") -> list[str] | str:
        """The data of the answer, or the rcode."""
        reply = self.asked(name, rtype)
        return sorted(data(reply)) if reply.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(reply.rcode())

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(10) == 0
        assert "Traceback" not in self.log


@pytest.fixture(scope="module")
def start(api: Process, upstream: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a server with this Corefile; API and UPSTREAM in it are where these are."""
    folder = tmp_path_factory.mktemp("corefiles")
    started: list[CoreDns] = []

    def start(corefile: str) -> CoreDns:
        started.append(CoreDns(folder, corefile.replace("API", api.url).replace("UPSTREAM", str(upstream))))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture(scope="module")
def partial(start: Start) -> CoreDns:
    return start(
        ".:PORT {\n  kubernetes cluster.local in-addr.arpa {\n    endpoint API\n"
        "    fallthrough pod.cluster.local old.cluster.local gone.svc.cluster.local\n  }\n  forward . UPSTREAM\n}\n"
    )


class TestAPartFallsThrough:
    """`fallthrough` may name zones within the zone, whether or not there is anything at their names."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("cart.shop.svc.cluster.local", ["10.96.7.7"]),
            ("nobody.shop.svc.cluster.local", "NXDOMAIN"),
            ("www.cluster.local", "NXDOMAIN"),
            ("old.cluster.local", [UPSTREAM]),
            ("www.old.cluster.local", [UPSTREAM]),
            ("wwwold.cluster.local", "NXDOMAIN"),
            ("10-0-0-1.shop.pod.cluster.local", [UPSTREAM]),
            ("pod.cluster.local", []),
            ("web.gone.svc.cluster.local", [UPSTREAM]),
            ("web.never.svc.cluster.local", "NXDOMAIN"),
            ("1.2.0.192.in-addr.arpa", "NXDOMAIN"),
        ],
    )
    def test_and_no_other(self, partial: CoreDns, name: str, expected: list[str] | str) -> None:
        assert partial.says("nosuch.cluster.local") == "NXDOMAIN"
        assert partial.says(name) == expected
        assert partial.says(name) == expected, "again"


@pytest.fixture(scope="module")
def newest(start: Start) -> CoreDns:
    return start(
        "cluster.local:PORT 10.0.0.0/8:PORT {\n  bind 127.0.0.1\n  kubernetes {\n    endpoint API\n    ttl 900\n"
        "    zonal\n    ptr_hostname_only\n    apiserver_qps 5.5\n    startup_timeout 2s\n  }\n}\n"
    )


class TestOptionsOfTheNewest:
    def test_zonal(self, newest: CoreDns) -> None:
        assert newest.says("db.data.svc.cluster.local") == ["10.0.2.1", "10.0.2.2"]
        assert newest.says("eu-1a._zone.db.data.svc.cluster.local") == ["10.0.2.1"]
        assert newest.says("eu-1c._zone.db.data.svc.cluster.local") == "NXDOMAIN"

    def test_ptr_hostname_only(self, newest: CoreDns) -> None:
        assert newest.says("7.7.96.10.in-addr.arpa", "PTR") == ["cart.shop.svc.cluster.local."]
        assert newest.says("1.1.0.10.in-addr.arpa", "PTR") == "NXDOMAIN"

    @pytest.mark.parametrize("zone", ["cluster.local", "10.in-addr.arpa"])
    def test_a_missing_name_is_missing_for_300_seconds_at_most(self, newest: CoreDns, zone: str) -> None:
        (soa,) = newest.asked(f"x.y.{zone}").authority
        assert soa.to_text().startswith(f"{zone}. 300 IN SOA ns.dns.{zone}. hostmaster.{zone}. ")
        assert soa[0].minimum == 300
        assert newest.says(f"ns.dns.{zone}") == ["127.0.0.1"]
