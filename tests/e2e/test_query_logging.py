"""Queries that a real server writes down, on its standard output."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import dns.message
import pytest
from serving import COMMAND, ENVIRONMENT, REPOSITORY, dig, eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COREFILE = """
.:{port} {{
    bind 127.0.0.1
    prometheus 127.0.0.1:{http}
    log . {{
        class denial error
    }}
    log example.org "{{type}} {{name}} over {{proto}} at {{local}}"
    template ANY ANY nothing.example {{
        rcode NXDOMAIN
    }}
    hosts {{
        192.0.2.1 a.example b.other.example
        fallthrough
    }}
}}
other.example:{port} {{
    bind 127.0.0.1
    log . "other {{name}} {{>id}} {{rcode}}"
    hosts {{
        192.0.2.1 a.other.example
    }}
}}
"""


class Logging:
    """A server whose standard output is read only when somebody asks for it."""

    def __init__(self, folder: Path) -> None:
        self.port, self.http = free_port(), free_port()
        file = folder / "Corefile"
        file.write_text(COREFILE.format(port=self.port, http=self.http))
        self.stderr = folder / "stderr"
        with self.stderr.open("wb") as stderr:
            command = [*COMMAND, "-conf", str(file)]
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=stderr
            )
        assert self.process.stdout
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = ""
        eventually(lambda: "listening on" in self.stderr.read_text(), "listening")

    def read(self) -> str:
        assert self.process.stdout
        self.said += (self.process.stdout.read() or b"").decode()
        return self.said

    def dig(self, *arguments: str) -> str:
        return dig("@127.0.0.1", "-p", self.port, *arguments).status

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=5) as page:
            found = re.search(rf"^{name} (\S+)$", page.read().decode(), re.MULTILINE)
        assert found
        return float(found[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logging]:
    started = Logging(tmp_path_factory.mktemp("logging"))
    yield started
    started.process.kill()
    started.process.wait()
    assert started.process.stdout
    started.process.stdout.close()


class TestACorefile:
    def test_writes_what_coredns_writes(self, server: Logging) -> None:
        assert server.dig("a.example", "+noedns") == "NOERROR"  # of class success, which the first rule leaves out
        assert server.dig("missing.example.org", "+noedns") == "SERVFAIL"
        line = (
            r'\[INFO\] 127\.0\.0\.1:\d+ - \d+ "A IN missing\.example\.org\. udp 37 false 512" '
            r"SERVFAIL qr,rd 37 0\.\d{3,9}s\n"
        )
        eventually(lambda: re.fullmatch(line, server.read()), f"a line in the common format: {server.said}")
        server.said = ""

    def test_has_the_rules_of_the_block_that_answers(self, server: Logging) -> None:
        assert server.dig("A.Other.Example", "+tcp", "+qid=4711") == "NOERROR"
        eventually(lambda: server.read() == "[INFO] other a.other.example. 4711 NOERROR\n", "a line of the other block")
        server.said = ""

    def test_is_not_held_up_by_whoever_does_not_read(self, server: Logging) -> None:
        query = dns.message.make_query("x.example.org", "A", use_edns=False).to_wire()
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect(("127.0.0.1", server.port))
            for _ in range(150):
                for _ in range(100):
                    client.send(query)
                for _ in range(100):
                    assert client.recv(4096)[:2] == query[:2]
        assert server.metric("clusterdns_query_log_dropped_total") > 1000
        eventually(lambda: len(server.read().splitlines()) > 10_000, "the lines that waited")


def test_our_own_format_is_an_object_a_line(tmp_path: Path) -> None:
    (tmp_path / "clusterdns.yaml").write_text(
        "query-log: [{zones: [cluster.local], classes: [denial]}]\nmanifests: [config/example]\n"
        f"listen: ['127.0.0.1:{(port := free_port())}']\nforward: {{resolv-conf: ''}}\n"
    )
    with (tmp_path / "log").open("wb") as stderr:
        command = [*COMMAND, "serve", "--config", str(tmp_path / "clusterdns.yaml")]
        process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=stderr)
    try:
        eventually(lambda: "listening on" in (tmp_path / "log").read_text(), "listening")
        for name in ("alpaca-prod.default.svc.cluster.local", "nothing.default.svc.cluster.local", "example.org"):
            dig("@127.0.0.1", "-p", port, name)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=10)
    (line,) = said.splitlines()  # the end waits for it
    found = json.loads(line)
    assert found["name"] == "nothing.default.svc.cluster.local."
    assert (found["client"], found["rcode"], found["outcome"]) == ("127.0.0.1", "NXDOMAIN", "denial")
