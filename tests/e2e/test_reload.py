"""The configuration as it changes: read, checked, built aside, and put in place without a query lost."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.message
import dns.rcode
import pytest
import yaml
from forwarding import CLUSTER_ADDRESS, CLUSTER_NAME, at, data
from serving import COMMAND, ENVIRONMENT, EXAMPLE, REPOSITORY, Serving, eventually, free_port

from tests.apiserver import Process
from tests.followed import namespace, service
from tests.upstreams import Faulty, Load, ask
from tests.upstreams.behaviours import says, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Serve = Callable[..., Serving]

ONE, TWO = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def upstreams() -> Iterator[tuple[Faulty, Faulty]]:
    with Faulty(says(f"{{name}} 300 IN A {ONE}")) as one, Faulty(says(f"{{name}} 300 IN A {TWO}")) as two:
        yield one, two


class Configured:
    """A server whose file can be written again."""

    def __init__(self, serve: Serve, folder: Path, **settings: Any) -> None:
        self.file = folder / "clusterdns.yaml"
        self.http = f"127.0.0.1:{free_port()}"
        self._given = {"manifests": [str(EXAMPLE)], "forward": {"resolv-conf": ""}, "http": [self.http], **settings}
        self.write()
        self.server = serve("--config", self.file)

    def write(self, **settings: Any) -> None:
        """As it was given, but for these settings."""
        written = self.file.with_suffix(".new")
        written.write_text(yaml.safe_dump(self._given | settings))
        written.replace(self.file)

    def reload(self, **settings: Any) -> None:
        """Write it, and tell the server."""
        read = self.server.log.count("the configuration is")
        self.write(**settings)
        self.server.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.server.log.count("the configuration is") > read, "it is read")

    def page(self, name: str) -> str:
        with urllib.request.urlopen(f"http://{self.http}/{name}") as response:
            return str(response.read().decode())


@pytest.fixture
def configured(serve: Serve, tmp_path: Path) -> Callable[..., Configured]:
    return lambda **settings: Configured(serve, tmp_path, **settings)


def ttl(server: Serving) -> int:
    return ask(at(server), CLUSTER_NAME).answer[0].ttl


class TestWhatChanges:
    def test_on_sighup(self, configured: Callable[..., Configured]) -> None:
        it = configured()
        assert ttl(it.server) == 30
        it.reload(ttl=7)
        assert ttl(it.server) == 7

    def test_when_the_file_changes(self, configured: Callable[..., Configured]) -> None:
        it = configured()
        it.write(ttl=8)
        eventually(lambda: ttl(it.server) == 8, "the new TTL")

    def test_upstreams(self, configured: Callable[..., Configured], upstreams: tuple[Faulty, Faulty]) -> None:
        one, two = upstreams
        it = configured(forward={"upstreams": [str(one)]})
        assert data(ask(at(it.server), "www.example")) == [ONE]
        it.reload(forward={"upstreams": [str(two)]})
        assert data(ask(at(it.server), "www.example")) == [TWO]

    def test_the_cache_lives_on(self, configured: Callable[..., Configured], upstreams: tuple[Faulty, Faulty]) -> None:
        one, _ = upstreams
        it = configured(forward={"upstreams": [str(one)]})
        ask(at(it.server), "www.example")
        it.reload(ttl=9, forward={"upstreams": [str(one)]})
        assert data(ask(at(it.server), "www.example")) == [ONE]
        assert len(one.asked_for("www.example")) == 1

    def test_manifests(self, configured: Callable[..., Configured], tmp_path: Path) -> None:
        it = configured()
        other = tmp_path / "other.yaml"
        other.write_text(
            "{apiVersion: v1, kind: Service, metadata: {name: new, namespace: x}, spec: {clusterIP: 10.96.0.77}}"
        )
        it.reload(manifests=[str(other)])
        assert data(ask(at(it.server), "new.x.svc.cluster.local")) == ["10.96.0.77"]
        assert not data(ask(at(it.server), CLUSTER_NAME))
        other.write_text(
            "{apiVersion: v1, kind: Service, metadata: {name: new, namespace: x}, spec: {clusterIP: 10.96.0.78}}"
        )
        it.server.until("new.x.svc.cluster.local", ["10.96.0.78"])

    def test_rules(self, configured: Callable[..., Configured]) -> None:
        it = configured()
        rule = {"type": "name", "name": "db.example.org.", "replacement": f"{CLUSTER_NAME}."}
        it.reload(rewrite=[rule])
        assert data(ask(at(it.server), "db.example.org")) == [CLUSTER_ADDRESS]
        it.reload()
        assert not data(ask(at(it.server), "db.example.org"))

    def test_hosts(self, configured: Callable[..., Configured]) -> None:
        it = configured(hosts={"entries": ["192.0.2.7 nas.example"]})
        assert data(ask(at(it.server), "nas.example")) == ["192.0.2.7"]
        it.reload(hosts={"entries": ["192.0.2.8 other.example"]})
        assert not data(ask(at(it.server), "nas.example"))
        assert data(ask(at(it.server), "other.example")) == ["192.0.2.8"]

    def test_a_block_on_another_address(self, configured: Callable[..., Configured]) -> None:
        it = configured()
        port = free_port()
        block = {"names": ["."], "listen": [f"127.0.0.1:{port}"], "ttl": 3, "forward": {"resolv-conf": ""}}
        it.reload(blocks=[block])
        assert ask(("127.0.0.1", port), CLUSTER_NAME).answer[0].ttl == 3
        assert ttl(it.server) == 30
        it.reload()
        with pytest.raises(OSError, match=r"refused|timed out"):
            ask(("127.0.0.1", port), CLUSTER_NAME, tcp=True)

    def test_pages(self, configured: Callable[..., Configured]) -> None:
        it = configured()
        assert it.page("ready") == "OK"
        before, it.http = it.http, f"127.0.0.1:{free_port()}"
        it.reload(http=[it.http])
        assert it.page("ready") == "OK"
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"http://{before}/ready")
        it.reload(http=[], **{"http-health": [it.http]})
        assert it.page("health") == "OK"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            it.page("ready")
        it.reload(http=[])
        with pytest.raises(OSError, match="refused"):
            it.page("health")

    def test_limits_of_connections(self, configured: Callable[..., Configured]) -> None:
        """Those that are open already count by the new ones."""
        it = configured()
        with socket.create_connection(at(it.server)) as client:
            client.settimeout(10)
            it.reload(tcp={"idle-seconds": 0.1})
            assert client.recv(1) == b""

    def test_where_the_cluster_is_kept(self, configured: Callable[..., Configured], tmp_path: Path) -> None:
        """From manifests to an API server and its snapshot, which is written at the end if not before."""
        it = configured()
        first, second = tmp_path / "first", tmp_path / "second"
        with Process() as api:
            api.call("put", namespace("demo"), service("web", clusterIP="10.96.7.7"))
            cluster = {"manifests": [], "api-server": api.url}
            it.reload(**cluster, snapshot=str(first))
            it.server.until("web.demo.svc.cluster.local", ["10.96.7.7"])
            eventually(lambda: it.page("ready") == "OK", "all is listed")
            assert 'clusterdns_watch_age_seconds{resource="services"}' in it.page("metrics")
            it.reload(**cluster, snapshot=str(second))
            assert first.exists()
            assert data(ask(at(it.server), "web.demo.svc.cluster.local")) == ["10.96.7.7"]
            it.reload(**cluster)
            assert second.exists()
        assert "Traceback" not in it.server.log


class TestCorefiles:
    """A Corefile and what it imports, as a ConfigMap has them."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "custom").mkdir()
        self.port = free_port()
        (tmp_path / "Corefile").write_text(
            f".:{self.port} {{\nbind 127.0.0.1\nimport custom/*.override\n}}\nimport custom/*.server\n"
        )
        return tmp_path

    @pytest.fixture
    def log(self, folder: Path) -> Iterator[Path]:
        log = folder / "log"
        with log.open("wb") as stderr:
            command = [*COMMAND, "-conf", str(folder / "Corefile")]
            process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stderr=stderr)
        try:
            eventually(lambda: "listening" in log.read_text(), "it listens")
            yield log
            process.terminate()
            assert process.wait(10) == 0
            assert "Traceback" not in log.read_text()
        finally:
            process.kill()
            process.wait()

    def found(self, name: str) -> list[str]:
        return data(ask(("127.0.0.1", self.port), name))

    def test_what_comes_to_match_an_import(self, folder: Path, log: Path) -> None:
        """It comes, it is wrong, it is mended, and it goes."""
        override = folder / "custom" / "a.override"
        assert not self.found("a.example")
        override.write_text("hosts {\n192.0.2.7 a.example\n}\n")
        eventually(lambda: self.found("a.example") == ["192.0.2.7"], "the new file")
        server = folder / "custom" / "b.server"
        server.write_text(f"b.example:{self.port} {{\nbind 127.0.0.1\nhosts {{\n192.0.2.8 x\n")
        eventually(lambda: f"{server}:3: expected a }}" in log.read_text(), "it is told of")
        assert self.found("a.example") == ["192.0.2.7"]
        server.write_text(f"b.example:{self.port} {{\nbind 127.0.0.1\nhosts {{\n192.0.2.8 x.b.example\n}}\n}}\n")
        eventually(lambda: self.found("x.b.example") == ["192.0.2.8"], "the mended file")
        override.unlink()
        eventually(lambda: not self.found("a.example"), "it is gone")
        assert self.found("x.b.example") == ["192.0.2.8"]


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("settings", "why"),
        [
            ({"ttl": -1}, "ttl: -1 is not between 0 and 3600"),
            ({"tttl": 1}, "tttl: there is no such setting"),
            ({"manifests": ["/nowhere"]}, "/nowhere"),
            ({"hosts": {"files": ["/nowhere"]}}, "/nowhere"),
            ({"blocks": [{"names": ["x"], "listen": ["192.0.2.1:53"]}]}, "this machine has no such address"),
            ({"http": ["192.0.2.1:80"]}, "cannot listen on 192.0.2.1:80: this machine has no such address"),
        ],
        ids=["a value", "a name", "manifests", "hosts", "an address", "an address of pages"],
    )
    def test_changes_nothing(self, configured: Callable[..., Configured], settings: dict[str, Any], why: str) -> None:
        it = configured(ttl=9)
        it.reload(**settings)
        assert ttl(it.server) == 9
        assert why in it.server.log
        assert why in it.page("ready")
        assert "coredns_reload_failed_total 1.0" in it.page("metrics")
        it.reload(ttl=10)
        assert ttl(it.server) == 10
        assert it.page("ready") == "OK"

    def test_a_file_that_is_gone(self, configured: Callable[..., Configured]) -> None:
        it = configured()
        it.file.unlink()
        eventually(lambda: "is not changed" in it.server.log, "it is told of")
        assert ttl(it.server) == 30
        it.write(ttl=11)
        eventually(lambda: ttl(it.server) == 11, "the new TTL")


def test_what_is_new_is_whole_before_it_answers(configured: Callable[..., Configured], tmp_path: Path) -> None:
    """An address goes away, and with it a query that waits: the names are there on the other one all the time."""
    manifest = tmp_path / "cart.yaml"
    text = "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: x}, spec: {clusterIP: 10.96.0.%d}}"
    manifest.write_text(text % 77)
    port = free_port()
    with Faulty(silent) as upstream:
        elsewhere = {"upstreams": [str(upstream)]}
        block = {"listen": [f"127.0.0.1:{port}"], "forward": elsewhere}
        it = configured(manifests=[str(manifest)])
        it.reload(blocks=[block])
        with socket.socket(type=socket.SOCK_DGRAM) as waiting:
            waiting.sendto(dns.message.make_query("www.example", "A").to_wire(), ("127.0.0.1", port))
            eventually(lambda: upstream.asked_for("www.example"), "it is asked")
            with Load(at(it.server), cycle(["cart.x.svc.cluster.local"]), rate=1000) as load:
                load.go_on(50)
                it.write(ttl=7, blocks=[])
                it.server.process.send_signal(signal.SIGHUP)
                eventually(lambda: load.exchanges and load.exchanges[-1].message.answer[0].ttl == 7, "the new TTL")
                manifest.write_text(text % 78)
                eventually(lambda: data(load.exchanges[-1].message) == ["10.96.0.78"], "the new address")
    assert {each.message.rcode() for each in load.exchanges} == {dns.rcode.NOERROR}
    assert not load.unanswered()


def test_no_query_is_lost(configured: Callable[..., Configured], upstreams: tuple[Faulty, Faulty]) -> None:
    """Reloads one after the other while names of ours and of others are asked for; nothing is left behind."""
    one, _ = upstreams
    forward = {"upstreams": [str(one)]}
    it = configured(forward=forward)
    questions = [CLUSTER_NAME, *(f"h{number}.example" for number in range(50))]
    for name in questions:
        ask(at(it.server), name)
    files = len(list(Path(f"/proc/{it.server.process.pid}/fd").iterdir()))
    with Load(at(it.server), cycle(questions), rate=300) as load:
        for number in range(30):
            it.reload(ttl=5 + number, forward=forward)
            load.go_on(10)
    assert len(load.exchanges) > 300
    assert not load.unanswered()
    assert not re.search("Traceback|fault", it.server.log)
    eventually(
        lambda: len(list(Path(f"/proc/{it.server.process.pid}/fd").iterdir())) <= files + 3, "descriptors", seconds=15
    )
