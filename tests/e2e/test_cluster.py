"""The real server, asked by dig about the cluster of an API server that comes, goes and fails."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import dns.message
import dns.query
import dns.rdatatype
import msgspec
import pytest
from serving import COMMAND, ENVIRONMENT, REPOSITORY, Serving, dig, eventually, free_port, program, run

from clusterdns import names
from clusterdns.events import Listed
from clusterdns.records import Type
from tests.apiserver import Process, credential_plugin, kubeconfig
from tests.cluster import ALL, make_index
from tests.followed import asked_of, headless, namespace, said, service, slice_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from clusterdns.index import Index

    Serve = Callable[..., Serving]

ZONE = "svc.cluster.local"
WEB = f"web.demo.{ZONE}"
DB = f"db.demo.{ZONE}"
SECRET = "s3cret-t0ken"


def fill(api: Process) -> None:
    api.call("put", namespace("demo"), service("web", clusterIP="10.96.7.7"), headless("db"))
    api.call("put", slice_of("db", "10.0.1.1", "10.0.1.2"))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the API server keeps its objects, as the real one does in etcd."""
    return tmp_path_factory.mktemp("etcd") / "state.json"


@pytest.fixture(scope="module")
def process(state: Path) -> Iterator[Process]:
    with Process("--state", state, "--bookmark-interval", 1) as started:
        fill(started)
        yield started


@pytest.fixture(scope="module")
def backup(process: Process) -> Any:
    return process.call("snapshot")


@pytest.fixture
def api(process: Process, backup: Any) -> Iterator[Process]:
    """As it was at first, whatever the test before did to it."""
    if process.process.poll() is not None:
        process.start()
    process.call("heal")
    process.call("restore", backup)
    yield process
    if process.process.poll() is None:
        process.resume()


@pytest.fixture
def server(api: Process, serve: Serve) -> Serving:
    return synced(serve("--api-server", api.url))


def synced(server: Serving) -> Serving:
    eventually(lambda: "ready after" in server.log, "ready")
    return server


def dug(server: Serving, name: str, rtype: str = "A") -> list[str]:
    """The data of the answer, sorted; its status if there is none."""
    found = dig("@127.0.0.1", "-p", server.port, name, rtype)
    return [each.split(" ", 4)[4] for each in found.answer] or [found.status]


def until_dug(server: Serving, name: str, *expected: str, rtype: str = "A") -> None:
    server.until(name, expected, rtype)
    assert dug(server, name, rtype) == list(expected)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def truth(api: Process) -> Index:
    """An index that was told at once what the API server holds."""
    kinds = {"namespaces": 0, "services": 1, "endpointslices": 2}
    stored = api.call("snapshot")["objects"]
    index = make_index()
    for resource, number in kinds.items():
        index.apply([Listed(ALL[number], tuple(msgspec.convert(each, ALL[number]) for each in stored[resource]))])
    return index


def differences(server: Serving, api: Process) -> list[str]:
    """The questions that are answered otherwise than what the API server holds would have them."""
    index = truth(api)
    different = []
    for (name, rtype), (rcode, records, _) in said(index, list(asked_of(index))).items():
        query = dns.message.make_query(names.to_text(name), rtype.name)
        reply = dns.query.udp(query, "127.0.0.1", port=server.port, timeout=5)
        found = {str(data) for each in reply.answer for data in each}
        expected = {text(each.data, each.rtype) for each in records}
        if (reply.rcode(), found) != (rcode, expected):
            different.append(f"{names.to_text(name)} {rtype.name}: {reply.rcode()} {found}, not {rcode} {expected}")
    return different


def text(data: Any, rtype: int) -> str:
    match rtype:
        case Type.A | Type.AAAA:
            return names.address_text(data)
        case Type.SRV:
            return f"{data.priority} {data.weight} {data.port} {names.to_text(data.target)}"
        case _:
            return names.to_text(data)


class TestTheStart:
    def test_nothing_is_said_of_names_that_may_be_there(self, api: Process, serve: Serve) -> None:
        api.call("hush", "services")
        port = free_port()
        server = serve("--api-server", api.url, "--http", f"127.0.0.1:{port}")
        eventually(lambda: get(port, "/ready") == (503, "Service: not listed yet"), "all but Services")
        assert get(port, "/health") == (200, "OK")
        found = run(program("dig"), "@127.0.0.1", "-p", server.port, WEB).stdout
        assert "status: SERVFAIL" in found
        assert "EDE: 14 (Not Ready)" in found
        assert dug(server, "www.example.com") == ["REFUSED"]
        assert dug(server, "cluster.local", "SOA")[0].startswith("ns.dns.cluster.local. ")
        api.call("speak", "services")
        eventually(lambda: get(port, "/ready") == (200, "OK"), "ready")
        assert dug(server, WEB) == ["10.96.7.7"]
        assert dug(server, f"none.demo.{ZONE}") == ["NXDOMAIN"]

    def test_a_missing_right_is_named(self, api: Process, serve: Serve) -> None:
        api.call("deny", "endpointslices")
        port = free_port()
        server = serve("--api-server", api.url, "--http", f"127.0.0.1:{port}")
        until_dug(server, WEB, "10.96.7.7")
        status, why = get(port, "/ready")
        assert status == 503
        assert why.startswith("EndpointSlice: not listed yet")
        assert "the right to list and watch endpointslices.discovery.k8s.io is missing" in server.log
        assert dug(server, DB) == ["SERVFAIL"]
        api.call("allow", "endpointslices")
        until_dug(server, DB, "10.0.1.1", "10.0.1.2")
        assert get(port, "/ready") == (200, "OK")

    def test_the_api_server_may_come_later(self, api: Process, serve: Serve) -> None:
        api.kill()
        server = serve("--api-server", api.url)
        assert dug(server, WEB) == ["SERVFAIL"]
        api.start()
        until_dug(server, WEB, "10.96.7.7")
        synced(server)


class TestChanges:
    def test_objects_come_change_and_go(self, api: Process, server: Serving) -> None:
        assert dug(server, f"new.demo.{ZONE}") == ["NXDOMAIN"]
        api.call("put", service("new", clusterIP="10.96.7.8"))
        until_dug(server, f"new.demo.{ZONE}", "10.96.7.8")
        api.call("put", service("new", type="ExternalName", externalName="www.example.com"))
        until_dug(server, f"new.demo.{ZONE}", "www.example.com.")
        api.call("delete", service("new"))
        until_dug(server, f"new.demo.{ZONE}", "NXDOMAIN")

    def test_endpoints_become_ready_and_cease_to_be(self, api: Process, server: Serving) -> None:
        assert dug(server, DB) == ["10.0.1.1", "10.0.1.2"]
        api.call("put", slice_of("db", "10.0.1.1", "10.0.1.3"))
        until_dug(server, DB, "10.0.1.1", "10.0.1.3")
        until_dug(server, "3.1.0.10.in-addr.arpa", f"10-0-1-3.{DB}.", rtype="PTR")
        api.call("put", slice_of("db", "10.0.1.1", ready=False))
        until_dug(server, DB, "NXDOMAIN")
        assert dug(server, "3.1.0.10.in-addr.arpa", "PTR") == ["NXDOMAIN"]
        api.call("delete", slice_of("db"))
        assert dug(server, DB) == ["NXDOMAIN"]
        api.call("put", slice_of("db", "10.0.1.9"))
        until_dug(server, DB, "10.0.1.9")


class TestWhileTheApiServerIsAway:
    def test_killed_and_restarted(self, api: Process, server: Serving, state: Path) -> None:
        """It has forgotten its history; and while it was away, a Service has gone."""
        kept = api.call("snapshot")
        api.kill()
        kept["objects"]["services"] = [
            each for each in kept["objects"]["services"] if each["metadata"]["name"] != "web"
        ]
        kept["version"] += 10
        state.write_text(json.dumps(kept))
        eventually(lambda: "going on with what is known" in server.log, "noticed")
        assert dug(server, WEB) == ["10.96.7.7"]
        assert dug(server, DB) == ["10.0.1.1", "10.0.1.2"]
        api.start()
        until_dug(server, WEB, "NXDOMAIN")
        api.call("put", service("late", clusterIP="10.96.7.9"))
        until_dug(server, f"late.demo.{ZONE}", "10.96.7.9")
        eventually(lambda: not differences(server, api), "the truth")

    def test_paused(self, api: Process, server: Serving) -> None:
        api.pause()
        for _ in range(5):
            assert dug(server, WEB) == ["10.96.7.7"]
        api.resume()
        api.call("put", service("late", clusterIP="10.96.7.9"))
        until_dug(server, f"late.demo.{ZONE}", "10.96.7.9")

    def test_restored_from_a_backup(self, api: Process, server: Serving) -> None:
        backup = api.call("snapshot")
        api.call("put", service("lost", clusterIP="10.96.7.9"))
        api.call("delete", headless("db"))
        until_dug(server, DB, "NXDOMAIN")
        api.call("restore", backup)
        until_dug(server, DB, "10.0.1.1", "10.0.1.2")
        until_dug(server, f"lost.demo.{ZONE}", "NXDOMAIN")
        assert not differences(server, api)

    def test_a_storm(self, api: Process, server: Serving) -> None:
        """Afterwards every answer is what the API server's objects say."""
        choose = random.Random(3)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            for _ in range(5):
                name = f"s{choose.randrange(20)}"
                some = [f"10.1.0.{each}" for each in choose.sample(range(30), 3)]
                api.call("put", choose.choice([headless, service])(f"{name}-{choose.randrange(2)}"))
                api.call("put", slice_of(f"{name}-1", *some, ready=choose.random() < 0.8))
            match choose.randrange(9):
                case 0:
                    api.call("cut", in_line=choose.random() < 0.5)
                case 1:
                    api.call("expire")
                case 2:
                    api.call("compact")
                    api.call("end_streams")
                case 3:
                    api.call("inject")
                case 4:
                    api.call("fail", choose.choice([429, 500, 503]), times=3)
                case 5:
                    api.kill()
                    api.start()
                case 6:
                    api.pause()
                    time.sleep(0.2)
                    api.resume()
        api.call("heal")
        eventually(lambda: not differences(server, api), "the truth", 15)


class TestTheSnapshot:
    @pytest.fixture
    def snapshot(self, api: Process, serve: Serve, tmp_path: Path) -> Path:
        """One that a server left behind."""
        path = tmp_path / "known" / "snapshot"
        path.parent.mkdir()
        assert synced(serve("--api-server", api.url, "--snapshot", path)).stop() == 0
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        return path

    def test_a_start_without_an_api_server_serves_what_was_known(
        self, api: Process, serve: Serve, snapshot: Path
    ) -> None:
        api.kill()
        server = serve("--api-server", api.url, "--snapshot", snapshot)
        assert dug(server, WEB) == ["10.96.7.7"]
        assert dug(server, DB) == ["10.0.1.1", "10.0.1.2"]
        assert f"serving the snapshot {snapshot}" in server.log
        api.start()
        api.call("put", slice_of("db", "10.0.1.8"))
        api.call("delete", service("web"))
        until_dug(server, WEB, "NXDOMAIN")
        until_dug(server, DB, "10.0.1.8")

    def test_it_outlives_a_kill(self, api: Process, serve: Serve, snapshot: Path) -> None:
        server = synced(serve("--api-server", api.url, "--snapshot", snapshot))
        server.process.kill()
        server.process.wait()
        server.process.returncode = 0  # as it was meant
        api.kill()
        assert dug(serve("--api-server", api.url, "--snapshot", snapshot), WEB) == ["10.96.7.7"]

    def test_a_broken_one_is_a_warning(self, api: Process, serve: Serve, tmp_path: Path) -> None:
        path = tmp_path / "snapshot"
        path.write_bytes(b"\x86\xa6format\x01")
        server = synced(serve("--api-server", api.url, "--snapshot", path))
        assert f"WARNING {path}: this snapshot is of no use" in server.log
        assert dug(server, WEB) == ["10.96.7.7"]
        assert server.stop() == 0
        assert path.stat().st_size > 100

    def test_a_place_that_can_not_be_written_is_a_warning(self, api: Process, serve: Serve, tmp_path: Path) -> None:
        server = synced(serve("--api-server", api.url, "--snapshot", tmp_path / "none" / "snapshot"))
        assert dug(server, WEB) == ["10.96.7.7"]
        assert server.stop() == 0
        assert "the snapshot can not be written, what it held before stays: No such file or directory" in server.log


class TestTheEnd:
    def test_in_peace(self, server: Serving) -> None:
        assert server.stop(signal.SIGTERM) == 0
        assert server.log.endswith(" INFO stopped\n")

    @pytest.mark.parametrize("how", ["kill", "pause"])
    def test_while_the_api_server_is_away(self, api: Process, serve: Serve, how: str) -> None:
        getattr(api, how)()
        server = serve("--api-server", api.url)
        assert dug(server, WEB) == ["SERVFAIL"]
        assert server.stop() == 0

    def test_nothing_is_left_behind(self, api: Process, server: Serving) -> None:
        eventually(lambda: api.call("watching") == 3, "all is watched")
        assert server.stop() == 0
        eventually(lambda: api.call("watching") == 0, "no watch is left")


class TestCredentials:
    """Over TLS, with a token or a certificate; none of it is ever in the log."""

    @pytest.fixture(scope="class")
    @staticmethod
    def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
        pki = tmp_path_factory.mktemp("pki")
        with Process("--tls", pki, "--token", SECRET, "--bookmark-interval", 1) as started:
            fill(started)
            yield started

    @pytest.fixture
    def guarded(self, process: Process) -> Process:
        process.call("accept", SECRET)
        return process

    def test_a_token_file_that_is_rotated(self, guarded: Process, serve: Serve, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text(f"{SECRET}\n")
        path = kubeconfig(tmp_path / "config", guarded.url, ca=guarded.ca, token_file=token)
        server = synced(serve("--kubeconfig", path))
        guarded.call("revoke", SECRET)
        guarded.call("cut")
        eventually(lambda: "401 Unauthorized" in server.log, "refused")
        assert dug(server, WEB) == ["10.96.7.7"]
        guarded.call("accept", "an0ther-s3cret")
        token.write_text("an0ther-s3cret\n")
        guarded.call("put", service("late", clusterIP="10.96.7.9"))
        until_dug(server, f"late.demo.{ZONE}", "10.96.7.9")
        assert server.stop() == 0
        assert SECRET not in server.log
        assert "an0ther-s3cret" not in server.log

    def test_a_certificate_in_another_context(self, guarded: Process, serve: Serve, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1")
        kubeconfig(path, guarded.url, context="real", ca=guarded.ca, certificate=guarded.client, embed=True)
        server = synced(serve("--kubeconfig", path, "--context", "real"))
        assert dug(server, WEB) == ["10.96.7.7"]
        assert server.stop() == 0
        assert "PRIVATE KEY" not in server.log

    def test_a_program_that_gives_a_token(self, guarded: Process, serve: Serve, tmp_path: Path) -> None:
        plugin = credential_plugin(tmp_path, token=SECRET)
        path = kubeconfig(tmp_path / "config", guarded.url, ca=guarded.ca, plugin=plugin)
        server = synced(serve("--kubeconfig", path))
        assert server.stop() == 0
        assert SECRET not in server.log

    def test_of_a_corefile(self, guarded: Process, tmp_path: Path) -> None:
        """`tls CERT KEY CACERT` beside an endpoint; a broken file is told of, and changes nothing."""
        port = free_port()
        assert guarded.client
        certificate, key = tmp_path / "certificate", tmp_path / "key"
        shutil.copy(guarded.client.certificate, certificate)
        shutil.copy(guarded.client.key, key)
        (tmp_path / "Corefile").write_text(
            f".:{port} {{\nbind 127.0.0.1\nkubernetes cluster.local {{\n"
            f"endpoint {guarded.url}\ntls {certificate} {key} {guarded.ca}\n}}\n}}\n"
        )
        log = tmp_path / "log"
        with log.open("wb") as stderr:
            command = [*COMMAND, "-conf", str(tmp_path / "Corefile")]
            process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stderr=stderr)
        try:
            eventually(lambda: "ready after" in log.read_text(), "ready")
            assert dig("@127.0.0.1", "-p", port, WEB).answer == [f"{WEB}. 5 IN A 10.96.7.7"]
            key.write_text("none")
            eventually(lambda: f"api-key: {key}: expected a private key in PEM" in log.read_text(), "told")
            assert dig("@127.0.0.1", "-p", port, WEB).answer == [f"{WEB}. 5 IN A 10.96.7.7"]
        finally:
            process.terminate()
            assert process.wait(10) == 0

    def test_an_authority_that_is_not_trusted(self, guarded: Process, serve: Serve, tmp_path: Path) -> None:
        asked = len(guarded.call("asked"))
        path = kubeconfig(tmp_path / "config", guarded.url, token=SECRET)
        server = serve("--kubeconfig", path)
        eventually(lambda: "certificate verify failed" in server.log, "refused")
        assert dug(server, WEB) == ["SERVFAIL"]
        assert len(guarded.call("asked")) == asked


class TestWrongUse:
    """One line, exit code 2, no secret."""

    @pytest.mark.parametrize(
        ("content", "context", "expected"),
        [
            (None, None, "no such file"),
            (f"users: [{{token: {SECRET}", None, ""),
            ('{"current-context": "a", "contexts": [], "clusters": [], "users": []}', "other", "other"),
        ],
    )
    def test_of_a_kubeconfig(self, tmp_path: Path, content: str | None, context: str | None, expected: str) -> None:
        path = tmp_path / "config"
        if content is not None:
            path.write_text(content)
        more = ["--context", context] if context else []
        ended = self.serve("--kubeconfig", path, *more)
        assert (ended.returncode, ended.stdout) == (2, "")
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"clusterdns: {path}: ")
        assert expected in line
        assert SECRET not in line

    def test_of_nothing_at_all(self) -> None:
        ended = self.serve()
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert "give --manifests PATH or --kubeconfig FILE, or run in a pod" in line

    @staticmethod
    def serve(*arguments: object) -> Any:
        return run(*COMMAND, "serve", "--listen", "127.0.0.1:0", "--http", "none", *arguments)
