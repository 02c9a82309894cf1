"""A server that goes: it says so, and answers until those who ask have heard of it."""

from __future__ import annotations

import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import dns.message
import pytest
from serving import EXAMPLE, Serving, eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "alpaca-prod.default.svc.cluster.local"
ADDRESS = ["10.96.78.232"]
QUERY = dns.message.make_query(NAME, "A").to_wire()


class Instance:
    """A server with pages, and a lameduck of so many seconds."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.http = free_port()
        self.server = Serving(
            folder / f"log-{self.http}",
            *("--manifests", EXAMPLE, "--lameduck", seconds, "--http", f"127.0.0.1:{self.http}"),
        )

    def page(self, name: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/{name}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def go(self) -> float:
        """Tell it to end; when that was."""
        self.server.process.terminate()
        return time.monotonic()

    def end(self) -> float:
        """Wait for its end; when that was."""
        assert self.server.process.wait(10) == 0
        return time.monotonic()


@pytest.fixture
def instances(tmp_path: Path) -> Iterator[list[Instance]]:
    started: list[Instance] = []
    yield started
    for each in started:
        each.server.kill()
        assert "Traceback" not in each.server.log


def test_it_answers_and_says_that_it_is_not_to_be_asked(instances: list[Instance], tmp_path: Path) -> None:
    it = Instance(tmp_path, 1)
    instances.append(it)
    assert it.page("ready") == (200, "OK")
    with socket.create_connection(("127.0.0.1", it.server.port), timeout=5) as before:
        gone = it.go()
        eventually(lambda: it.page("ready") == (503, "terminating"), "terminating", 0.5)
        assert it.page("health") == (200, "OK")
        assert it.server.answers(NAME) == ADDRESS
        with socket.create_connection(("127.0.0.1", it.server.port), timeout=5) as during:
            for each in (before, during):
                each.sendall(struct.pack("!H", len(QUERY)) + QUERY)
                assert each.recv(4096)[2:4] == QUERY[:2]
        assert it.end() - gone > 0.9


def test_a_second_signal_ends_it_at_once(instances: list[Instance], tmp_path: Path) -> None:
    it = Instance(tmp_path, 60)
    instances.append(it)
    it.go()
    eventually(lambda: "going: " in it.server.log, "going")
    it.go()
    assert it.server.process.wait(5) == 0


def test_while_it_is_asked_it_stays_somewhat_longer(instances: list[Instance], tmp_path: Path) -> None:
    it = Instance(tmp_path, 0.3)
    instances.append(it)
    gone = it.go()
    while time.monotonic() - gone < 1.5:
        assert it.server.answers(NAME) == ADDRESS
    assert it.end() - gone > 1.5


def test_nothing_is_lost_while_instances_are_replaced(instances: list[Instance], tmp_path: Path) -> None:
    """The client has a list of those that are ready, as kube-proxy has; it is a moment behind."""
    instances += [Instance(tmp_path, 0.5), Instance(tmp_path, 0.5)]
    ready: list[Instance] = list(instances)
    lost, asked, is_over = [], [], threading.Event()

    def look() -> None:
        while not is_over.wait(0.1):
            ready[:] = [each for each in instances if each.page("ready")[0] == 200]

    def ask() -> None:
        while not is_over.wait(0.001):
            it = ready[len(asked) % len(ready)]
            asked.append(it)
            with socket.socket(type=socket.SOCK_DGRAM) as client:
                client.settimeout(2)
                client.connect(("127.0.0.1", it.server.port))
                try:
                    client.send(QUERY)
                    client.recv(4096)
                except OSError as error:
                    lost.append(error)

    threads = [threading.Thread(target=each) for each in (look, ask)]
    for thread in threads:
        thread.start()
    try:
        for old in list(instances):
            new = Instance(tmp_path, 0.5)
            instances.append(new)
            eventually(lambda new=new: new in ready, "ready")
            old.go()
            old.end()
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert lost == []
    assert {*instances} == {*asked}
    assert len(asked) > 500
