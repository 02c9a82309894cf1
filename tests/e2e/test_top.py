"""`clusterdns top`, with a server that is asked meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import dns.exception
import pytest
from serving import COMMAND, ENVIRONMENT, EXAMPLE, REPOSITORY, Serving, eventually, run

from clusterdns import admin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: asking-0, namespace: shop}
status: {phase: Running, podIP: 127.0.0.1}
"""


class Looking:
    def __init__(self, folder: Path, *arguments: str) -> None:
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "top", "--interval", "0.1", *arguments], cwd=REPOSITORY, env=ENVIRONMENT, stdout=output
            )

    @property
    def text(self) -> str:
        return self._output.read_text()

    @property
    def last(self) -> dict[str, Any]:
        lines = self.text.splitlines(keepends=True)
        return json.loads(next(each for each in reversed(lines) if each.endswith("\n")))


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("admin") / "admin.sock"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, socket: Path) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "pod.yaml").write_text(POD)
    started = Serving(
        folder / "log",
        "--manifests",
        EXAMPLE,
        "--manifests",
        folder / "pod.yaml",
        "--pods",
        "verified",
        "--admin",
        socket,
    )
    try:
        yield started
        assert started.stop() == 0
        assert "Traceback" not in started.log, started.log
    finally:
        started.kill()


@pytest.fixture
def look(tmp_path: Path, socket: Path) -> Iterator[Callable[..., Looking]]:
    started: list[Looking] = []

    def start(*arguments: str, at: Path = socket) -> Looking:
        (tmp_path / str(len(started))).mkdir()
        started.append(Looking(tmp_path / str(len(started)), "--admin", str(at), *arguments))
        eventually(lambda: started[-1].text, "the first report")
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def test_who_asks_what(server: Serving, look: Callable[..., Looking]) -> None:
    server.answers("alpaca-prod.default.svc.cluster.local")
    looking = look("--json")
    for _ in range(3):
        server.answers("web.shop.svc.cluster.local", "AAAA")
    server.answers("www.example.com.shop.svc.cluster.local")
    server.answers("www.example.com.svc.cluster.local")
    server.answers("www.example.com")
    eventually(lambda: looking.last["queries"] == 6, "six queries")
    report = looking.last
    assert report["names"][0] == {"what": "web.shop.svc.cluster.local.", "queries": 3}
    assert "alpaca" not in looking.text  # that was before somebody looked
    assert report["clients"] == [{"address": "127.0.0.1", "queries": 6, "pod": "shop/asking-0"}]
    assert {each["what"]: each["queries"] for each in report["outcomes"]} == {"NOERROR": 3, "NXDOMAIN": 2, "REFUSED": 1}
    assert (report["in_vain"], report["meant"]) == (2, [{"what": "www.example.com.", "queries": 2}])


def test_two_look_and_each_sees_what_comes_after_it(server: Serving, look: Callable[..., Looking]) -> None:
    first = look("--json")
    server.answers("db.shop.svc.cluster.local")
    second = look("--json")
    server.answers("db.shop.svc.cluster.local")
    eventually(lambda: (first.last["queries"], second.last["queries"]) == (2, 1), "two and one")
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(10) == 130
    server.answers("db.shop.svc.cluster.local")
    eventually(lambda: second.last["queries"] == 2, "two")


def test_tables(server: Serving, look: Callable[..., Looking]) -> None:
    looking = look()
    server.answers("cart.shop.svc.cluster.local")
    server.answers("nothing.shop.svc.cluster.local")
    eventually(lambda: "2 queries in" in looking.text, "two queries")
    tables = "2 queries in" + looking.text.partition("2 queries in")[2].partition(" queries in")[0]
    assert " a second; 50 % in vain\n\nCLIENT      QUERIES   POD\n127.0.0.1   2         shop/asking-0\n\n" in tables
    assert "NAME                              QUERIES\ncart.shop.svc.cluster.local.      1\n" in tables
    assert "IN VAIN    QUERIES\nnothing.   1\n" in tables


def test_it_ends_after_so_many(server: Serving, socket: Path) -> None:
    ran = run(*COMMAND, "top", "--admin", socket, "--interval", "0.1", "--times", "2")
    assert (ran.returncode, ran.stdout.count("0 queries in ")) == (0, 2)


@pytest.mark.parametrize("query", [{"interval": "0"}, {"interval": "x"}, {"rows": "0"}, {"rows": "nan"}])
async def test_what_can_not_be(server: Serving, socket: Path, query: dict[str, str]) -> None:
    ((name, value),) = query.items()
    with pytest.raises(admin.Refused, match=f"^{name}: '{value}': expected a number from "):
        [line async for line in admin.ask(admin.Place(socket), "/top", query)]


def test_a_server_of_several_processes(
    serve: Callable[..., Serving], tmp_path: Path, look: Callable[..., Looking]
) -> None:
    """What its workers count is added up, and one that takes the place of another counts too."""
    where = tmp_path / "admin.sock"
    server = serve("--manifests", EXAMPLE, "--workers", "2", "--admin", where)
    first, second = look("--json", at=where), look("--json", at=where)
    for _ in range(40):  # each from a port of its own, by which the system chooses the worker
        server.answers("web.shop.svc.cluster.local")
    eventually(lambda: (first.last["queries"], second.last["queries"]) == (40, 40), "forty queries")
    assert first.last["names"] == [{"what": "web.shop.svc.cluster.local.", "queries": 40}]
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(10) == 130
    workers = [int(each) for each in re.findall(r"\d+", server.log.partition("2 workers:")[2].splitlines()[0])]
    for each in workers:
        os.kill(each, signal.SIGKILL)
    eventually(lambda: server.log.count("another takes its place") == 2, "others in their place")

    def asked() -> bool:
        with contextlib.suppress(dns.exception.Timeout):  # what was on its way to one that was killed
            server.answers("cart.shop.svc.cluster.local")
        counts = {each["what"]: each["queries"] for each in first.last["names"]}
        return counts.get("cart.shop.svc.cluster.local.", 0) > 20

    eventually(asked, "what the new ones are asked", 30)


def test_no_server() -> None:
    ran = run(*COMMAND, "top", "--admin", "/nowhere/at/all.sock")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith("clusterdns: no server to ask: /nowhere/at/all.sock: there is no such socket")
