"""The log of a real server: where it goes to, how often it says the same, and what it never says."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import dns.message
import pytest
from serving import COMMAND, ENVIRONMENT, REPOSITORY, dig, eventually, free_port, run

from tests.apiserver import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PLAIN = {name: value for name, value in ENVIRONMENT.items() if name not in ("CLUSTERDNS_LOG_FORMAT", "NO_COLOR")}
"""Where nobody has said how the log shall be."""

EXAMPLE = "config/example"


class Running:
    """A server whose output goes to files."""

    def __init__(self, folder: Path, *arguments: object, environment: Mapping[str, str] = PLAIN) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as stdout, self._err.open("wb") as stderr:
            command = [*COMMAND, *map(str, arguments)]
            self.process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=stdout, stderr=stderr)

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.splitlines()]

    def until(self, text: str) -> None:
        eventually(lambda: text in self.stderr + self.stdout or self.process.poll() is not None, text)
        assert text in self.stderr + self.stdout, self.stderr

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()


def messages(found: list[dict[str, Any]], pattern: str) -> list[str]:
    return [each["message"] for each in found if re.search(pattern, each["message"])]


def test_on_a_terminal_it_is_text_with_coloured_levels(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "serve", "--manifests", str(tmp_path), "--listen", "127.0.0.1:0", "--upstream", "none"]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=PLAIN | {"TERM": "xterm"}, stderr=theirs)
    os.close(theirs)
    said = b""
    while b"answering after" not in said:
        said += os.read(ours, 4096)
    process.terminate()
    process.wait(10)
    os.close(ours)
    lines = said.decode().splitlines()
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    assert re.fullmatch(time + r" INFO 0 manifest files read: 0 objects", lines[0])
    assert re.fullmatch(time + r" \x1b\[33mWARNING\x1b\[0m no manifests in .*", lines[1])


def test_started_as_coredns_it_is_where_and_how_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "Corefile").write_text(f".:{free_port()} {{\n bind 127.0.0.1\n whoami\n log\n}}\n")
    server = Running(tmp_path, "-conf", tmp_path / "Corefile")
    try:
        server.until("answering after")
    finally:
        server.stop()
    assert server.stderr == ""
    assert re.search(r"^\[INFO\] listening on 127\.0\.0\.1:\d+, UDP and TCP$", server.stdout, re.MULTILINE)
    assert server.stdout.endswith("[INFO] stopped\n")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The log of a server with an upstream that is not there, and a client that sends rubbish."""
    folder, port, upstream = tmp_path_factory.mktemp("repeats"), free_port(), free_port()
    listen = ("--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{upstream}")
    server = Running(folder, "serve", "--manifests", EXAMPLE, "--search", "client", *listen)
    try:
        server.until("answering after")
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.connect(("127.0.0.1", port))
            for number in range(40):
                client.send(dns.message.make_query(f"n{number}.example.org", "A").to_wire())
            for _ in range(40):
                client.recv(4096)
            for _ in range(500):
                client.send(b"\0\1\1\0\0\1\0\0\0\0\0\0")
                client.recv(4096)
        server.until("does not answer")
    finally:
        server.stop()
    return server.objects


class TestWhatRepeats:
    def test_a_failed_query_is_told_at_once_and_all_of_them_at_the_end(self, said: list[dict[str, Any]]) -> None:
        first, *rest = messages(said, "no upstream answered")
        assert re.fullmatch(r"no upstream answered n\d+\.example\.org\. A: 127\.0\.0\.1:\d+: connection refused", first)
        assert len(rest) < 20
        times = sum(each.get("times", 1) for each in said if each["message"].startswith("no upstream answered"))
        assert times == 40

    def test_so_is_the_upstream(self, said: list[dict[str, Any]]) -> None:
        (found,) = messages(said, "^upstream ")
        assert re.fullmatch("upstream .* does not answer: connection refused; it is left out until it does", found)

    def test_so_are_malformed_queries(self, said: list[dict[str, Any]]) -> None:
        found = [each for each in said if each["message"].startswith("a malformed query from 127.0.0.1: ")]
        assert found[0]["client"] == "127.0.0.1"
        assert sum(each.get("times", 1) for each in found) == 500
        assert len(found) < 20

    def test_all_lines_have_a_time_and_a_level(self, said: list[dict[str, Any]]) -> None:
        assert {each["level"] for each in said} == {"info", "warning", "error"}
        assert all(re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{3}Z", each["time"]) for each in said)


def test_it_changes_with_the_configuration(tmp_path: Path) -> None:
    file, port = tmp_path / "clusterdns.yaml", free_port()
    rest = f"manifests: [config/example]\nlisten: ['127.0.0.1:{port}']\nforward: {{resolv-conf: ''}}\n"

    def ttl() -> str:
        return dig("@127.0.0.1", "-p", port, "alpaca-prod.default.svc.cluster.local").answer[0].split()[1]

    file.write_text("log-format: text\n" + rest)
    server = Running(tmp_path, "serve", "--config", file)
    try:
        server.until("INFO clusterdns")
        file.write_text("log-format: json\n" + rest)
        server.until('"message": "the configuration is read"')
        file.write_text("log-format: json\nlog-level: error\nttl: 7\n" + rest)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: ttl() == "7", "the configuration is read")
        file.write_text("log-format: json\nlog-level: error\nttl: 4711\n" + rest)
        server.until("ttl: 4711 is not between 0 and 3600")
    finally:
        server.stop()
    assert server.stderr.count("the configuration is read") == 1
    assert '"message": "stopped"' not in server.stderr


TOKEN = "s3cret-t0ken-0f-ours"
PASSWORD = "hunter2-hunter2"
BASIC = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
SECRETS = (TOKEN, PASSWORD, BASIC, base64.b64encode(TOKEN.encode()).decode())


class Echo(BaseHTTPRequestHandler):
    """An API server that says no, and quotes what it was asked; each time in another way."""

    def do_GET(self) -> None:
        said = str(dict(self.headers)) + " " + self.headers.get("Authorization", "").partition(" ")[2]
        self.server.asked += 1  # type: ignore[attr-defined]
        code = (401, 403, 500, 418)[self.server.asked % 4]  # type: ignore[attr-defined]
        body = said if code == 418 else json.dumps({"kind": "Status", "code": code, "message": said})
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.asked = 0  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class TestSecrets:
    def settings(self, kind: str, echo: str, folder: Path) -> tuple[object, ...]:
        path, url = folder / "kubeconfig", f"http://{echo}"
        match kind:
            case "token":
                return "--kubeconfig", kubeconfig(path, url, token=TOKEN)
            case "basic":
                kubeconfig(path, url)
                text = json.loads(path.read_text())
                text["users"][0]["user"] = {"username": "admin", "password": PASSWORD}
                path.write_text(json.dumps(text))
                return "--kubeconfig", path
            case "user in the URL of a kubeconfig":
                return "--kubeconfig", kubeconfig(path, f"http://admin:{PASSWORD}@{echo}")
            case _:
                return "--api-server", f"http://admin:{PASSWORD}@{echo}"

    @pytest.mark.parametrize("kind", ["token", "basic", "user in the URL of a kubeconfig", "user in the URL"])
    def test_that_the_api_server_quotes_are_told_nowhere(self, kind: str, echo: str, tmp_path: Path) -> None:
        given, http = self.settings(kind, echo, tmp_path), free_port()
        (tmp_path / "clusterdns.yaml").write_text("log-repeat-seconds: 0\n")
        given = (*given, "--config", tmp_path / "clusterdns.yaml")
        pages = ("--http", f"127.0.0.1:{http}", "--log-level", "debug", "--listen", "127.0.0.1:0", "--upstream", "none")
        server = Running(tmp_path, "serve", *given, *pages)
        shown = ""
        try:
            for code in ("401", "is missing", "500", "418"):
                server.until(f": {code}" if code.isdigit() else code)
            with pytest.raises(HTTPError) as refused:
                urlopen(f"http://127.0.0.1:{http}/ready", timeout=5)
            with refused.value:
                shown += refused.value.read().decode()
            with urlopen(f"http://127.0.0.1:{http}/metrics", timeout=5) as page:
                shown += page.read().decode()
        finally:
            server.stop()
        checked = run(*COMMAND, "check", *given)
        assert checked.returncode == 0
        assert "***" in server.stderr
        everything = shown + server.stderr + server.stdout + checked.stdout + checked.stderr
        assert [each for each in SECRETS if each in everything] == []
        assert server.objects

    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            (f"echo {TOKEN}; echo bearer {TOKEN} {BASIC} >&2; exit 3", "exec: process returned 3; "),
            (f"echo {TOKEN}", "exec: failed to decode process output; "),
            (f"""echo '{{"apiVersion": "{TOKEN}", "kind": "x", "status": {{}}}}'""", "exec: plugin api version; "),
        ],
    )
    def test_that_a_plugin_prints_are_told_nowhere(self, script: str, expected: str, tmp_path: Path) -> None:
        version = "client.authentication.k8s.io/v1"
        plugin = {"apiVersion": version, "command": "sh", "args": ["-c", script], "interactiveMode": "Never"}
        path = kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1", plugin=plugin)
        server = Running(tmp_path, "serve", "--kubeconfig", path, "--log-level", "debug", "--listen", "127.0.0.1:0")
        try:
            server.until(expected)
            server.until("trying again")
        finally:
            server.stop()
        assert [each for each in SECRETS if each in server.stderr + server.stdout] == []

    def test_that_stand_in_a_file_that_is_no_key_are_told_nowhere(self, tmp_path: Path) -> None:
        for name in ("certificate", "key"):
            (tmp_path / name).write_text(f"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n{TOKEN}\n")
        tls = ("--tls-certificate", tmp_path / "certificate", "--tls-key", tmp_path / "key")
        ran = run(*COMMAND, "serve", "--manifests", EXAMPLE, "--listen", "tls://127.0.0.1:0", *tls)
        assert ran.returncode == 2
        assert TOKEN not in ran.stderr + ran.stdout


def test_the_queries_of_a_client_can_be_written_down_from_now_on(tmp_path: Path) -> None:
    """On demand: without a restart."""
    file, port = tmp_path / "clusterdns.yaml", free_port()
    rest = f"manifests: [config/example]\nlisten: ['127.0.0.1:{port}']\nforward: {{resolv-conf: ''}}\n"
    file.write_text(rest)
    server = Running(tmp_path, "serve", "--config", file)
    try:
        server.until("answering after")
        dig("@127.0.0.1", "-p", port, "one.default.svc.cluster.local")
        file.write_text(rest + "query-log: [{clients: [127.0.0.1/32], classes: [denial]}]\n")
        server.until("the configuration is read")
        dig("@127.0.0.1", "-p", port, "two.default.svc.cluster.local")
    finally:
        server.stop()
    (line,) = server.stdout.splitlines()
    assert json.loads(line)["name"] == "two.default.svc.cluster.local."
