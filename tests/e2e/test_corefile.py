"""Started as CoreDNS is, with its Corefile, before an API server that speaks plain HTTP."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import dns.rcode
import pytest
from forwarding import data
from serving import COMMAND, ENVIRONMENT, REPOSITORY, dig, eventually, free_port, run

from tests.apiserver import Process
from tests.followed import headless, namespace, service, slice_of
from tests.upstreams import Faulty, ask
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WEB = "web.demo.svc.cluster.local"

KUBEADM = """
.:{port} {{
    errors
    health 127.0.0.1:{health} {{
       lameduck 5s
    }}
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
       endpoint {api}
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus 127.0.0.1:{metrics}
    forward . {upstream} {{
       max_concurrent 1000
    }}
    cache 30 {{
       disable success cluster.local
       disable denial cluster.local
    }}
    loop
    reload
    loadbalance
    {more}
}}
{blocks}
"""
"""As kubeadm writes it, but for its ports and where things are."""


@pytest.fixture(scope="module")
def api() -> Iterator[Process]:
    with Process() as started:
        started.call("put", namespace("demo"), service("web", clusterIP="10.96.7.7"), headless("db"))
        started.call("put", slice_of("db", "10.0.1.1", "10.0.1.2"))
        yield started


@pytest.fixture(scope="module")
def upstream() -> Iterator[Faulty]:
    with Faulty(says("{name} 300 IN A 192.0.2.1")) as started:
        yield started


class CoreDns:
    """A process that was started as CoreDNS is."""

    def __init__(self, folder: Path, api: Process, upstream: Faulty, more: str = "", blocks: str = "") -> None:
        self.file = folder / "Corefile"
        self._values = {
            "api": api.url,
            "upstream": upstream,
            **{name: free_port() for name in ("port", "health", "ready", "metrics")},
        }
        self.port = self._values["port"]
        self.write(more, blocks)
        self._log = folder / "log"
        with self._log.open("wb") as stderr:
            command = [*COMMAND, "-conf", str(self.file)]
            self.process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stderr=stderr)

    def write(self, more: str = "", blocks: str = "") -> None:
        blocks = blocks.replace("PORT", str(self._values["port"]))
        self.file.write_text(KUBEADM.format(**self._values, more=more, blocks=blocks))

    @property
    def log(self) -> str:
        return self._log.read_text()

    def page(self, which: str, name: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._values[which]}/{name}", timeout=5) as response:
            return str(response.read().decode())

    def status(self, which: str, name: str) -> int:
        try:
            self.page(which, name)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        return 200

    def ready(self) -> CoreDns:
        eventually(lambda: "ready after" in self.log, f"ready: {self.log}")
        return self

    def dig(self, *arguments: object) -> list[str]:
        return dig("@127.0.0.1", "-p", self.port, *arguments).answer

    def end(self) -> None:
        """At once, which takes two signals: its lameduck is 5 seconds long."""
        self.process.terminate()
        eventually(lambda: self.process.poll() is not None or "going: " in self.log, "going")
        self.process.terminate()
        assert self.process.wait(4) == 0
        assert "Traceback" not in self.log


@pytest.fixture
def coredns(api: Process, upstream: Faulty, tmp_path: Path) -> Iterator[Callable[..., CoreDns]]:
    started: list[CoreDns] = []

    def start(more: str = "", blocks: str = "") -> CoreDns:
        started.append(CoreDns(tmp_path, api, upstream, more, blocks))
        return started[-1].ready()

    yield start
    for each in started:
        each.end()


class TestKubeadm:
    def test_its_corefile_starts_it(self, coredns: Callable[..., CoreDns]) -> None:
        it = coredns()
        assert it.dig(WEB) == [f"{WEB}. 30 IN A 10.96.7.7"]
        assert len(it.dig("db.demo.svc.cluster.local")) == 2
        assert it.dig("10-1-2-3.demo.pod.cluster.local") == ["10-1-2-3.demo.pod.cluster.local. 30 IN A 10.1.2.3"]
        assert it.dig("-x", "10.96.7.7") == [f"7.7.96.10.in-addr.arpa. 30 IN PTR {WEB}."]
        assert it.dig("www.example.org") == ["www.example.org. 30 IN A 192.0.2.1"], "the cache's ceiling"
        assert ask(("127.0.0.1", it.port), f"nosuch.{WEB}").rcode() == dns.rcode.NXDOMAIN
        assert it.page("health", "health") == "OK"
        assert it.page("ready", "ready") == "OK"
        assert "coredns_" in it.page("metrics", "metrics")

    def test_each_page_has_a_port_of_its_own(self, coredns: Callable[..., CoreDns]) -> None:
        it = coredns()
        names = ("health", "ready", "metrics")
        assert {(port, name): it.status(port, name) for port in names for name in names} == {
            (port, name): 200 if port == name else 404 for port in names for name in names
        }

    def test_without_ttl_it_is_coredns_s(self, coredns: Callable[..., CoreDns]) -> None:
        it = coredns()
        it.file.write_text(it.file.read_text().replace("ttl 30", ""))
        eventually(lambda: it.dig(WEB) == [f"{WEB}. 5 IN A 10.96.7.7"], "5 s")


class TestWhatPeopleAdd:
    def test_stub_domains(self, coredns: Callable[..., CoreDns], tmp_path: Path) -> None:
        with Faulty(says("{name} 300 IN A 192.0.2.2")) as other:
            it = coredns(blocks=f"corp.example:PORT {{\n  errors\n  cache 30\n  forward . {other}\n}}\n")
            assert it.dig("www.corp.example") == ["www.corp.example. 30 IN A 192.0.2.2"]
            assert it.dig("www.example.org") == ["www.example.org. 30 IN A 192.0.2.1"]

    def test_hosts(self, coredns: Callable[..., CoreDns]) -> None:
        it = coredns("hosts {\n  192.0.2.9 nas.example.org\n  fallthrough\n}")
        assert data(ask(("127.0.0.1", it.port), "nas.example.org")) == ["192.0.2.9"]
        assert data(ask(("127.0.0.1", it.port), "www.example.org")) == ["192.0.2.1"]

    def test_rewrite(self, coredns: Callable[..., CoreDns]) -> None:
        it = coredns(f"rewrite name db.example.org {WEB}")
        assert it.dig("db.example.org") == ["db.example.org. 30 IN A 10.96.7.7"]

    def test_rewrite_of_options(self, coredns: Callable[..., CoreDns], upstream: Faulty) -> None:
        """The upstream is told of them, the client is not."""
        it = coredns("rewrite continue edns0 subnet set 24 56\nrewrite edns0 local set 0xffee {client_ip}")
        name = f"options-{it.port}.example.org"
        reply = ask(("127.0.0.1", it.port), name)
        assert (data(reply), reply.edns) == (["192.0.2.1"], -1)
        (asked,) = upstream.asked_for(name)
        options = {int(each.otype): each.to_wire() for each in asked.message.options}
        assert options == {8: bytes((0, 1, 24, 0, 127, 0, 0)), 0xFFEE: bytes((127, 0, 0, 1))}

    def test_template(self, coredns: Callable[..., CoreDns]) -> None:
        it = coredns(
            "template IN A ip.example {\n"
            "  match ^ip-(?P<d>[0-9]+)[.]ip[.]example[.]$\n"
            '  answer "{{ .Name }} 60 IN A 10.0.0.{{ .Group.d }}"\n'
            "  fallthrough\n}"
        )
        assert data(ask(("127.0.0.1", it.port), "ip-7.ip.example")) == ["10.0.0.7"]

    def test_acl(self, coredns: Callable[..., CoreDns]) -> None:
        it = coredns("acl example.org {\n  block net 127.0.0.0/8\n}")
        assert ask(("127.0.0.1", it.port), "www.example.org").rcode() == dns.rcode.REFUSED
        assert it.dig(WEB) == [f"{WEB}. 30 IN A 10.96.7.7"]

    def test_an_edit(self, coredns: Callable[..., CoreDns]) -> None:
        it = coredns()
        it.write("hosts {\n  192.0.2.9 nas.example.org\n  fallthrough\n}")
        eventually(lambda: data(ask(("127.0.0.1", it.port), "nas.example.org")) == ["192.0.2.9"], "the hosts")
        it.write("host {\n}")
        eventually(lambda: "is not changed" in it.log, "told of")
        assert data(ask(("127.0.0.1", it.port), "nas.example.org")) == ["192.0.2.9"]


class TestCheck:
    def test_what_was_understood(self, tmp_path: Path) -> None:
        file = tmp_path / "Corefile"
        file.write_text(".:53 {\n  kubernetes cluster.local {\n    pods insecure\n  }\n  forward . 192.0.2.1\n}\n")
        ran = run(*COMMAND, "check", "--corefile", file)
        assert ran.returncode == 0
        assert f"{file}:2: kubernetes" in ran.stdout
        assert "192.0.2.1" in ran.stdout

    def test_as_yaml_it_is_a_configuration(self, tmp_path: Path) -> None:
        file = tmp_path / "Corefile"
        file.write_text(".:53 {\n  kubernetes cluster.local\n  forward . 192.0.2.1\n}\n")
        written = tmp_path / "clusterdns.yaml"
        written.write_text(run(*COMMAND, "check", "--corefile", file, "--as", "yaml").stdout)
        again = run(*COMMAND, "check", "--config", written)
        assert (again.returncode, again.stdout) == (0, written.read_text())

    def test_every_fault_has_its_line(self, tmp_path: Path) -> None:
        file = tmp_path / "Corefile"
        file.write_text(".:53 {\n  kubernets cluster.local\n  forward .\n  bufsize x\n}\n")
        ran = run(*COMMAND, "check", "--corefile", file)
        assert ran.returncode == 2
        assert [line.split(": ")[1] for line in ran.stderr.splitlines()] == [f"{file}:{line}" for line in (2, 3, 4)]

    def test_lenient(self, tmp_path: Path) -> None:
        file = tmp_path / "Corefile"
        file.write_text(".:53 {\n  dnssec\n  forward . 192.0.2.1\n}\n")
        assert run(*COMMAND, "check", "--corefile", file).returncode == 2
        ran = run(*COMMAND, "check", "--corefile", file, "--corefile-lenient")
        assert ran.returncode == 0
        assert f"{file}:2: dnssec" in ran.stderr
