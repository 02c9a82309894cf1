"""A server that goes: it says so, and answers until those who ask have heard of it."""

from __future__ import annotations

import socket
import struct
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import dns.message
import pytest
from balanced import Backend, Clients, Rates
from serving import EXAMPLE, Serving, eventually, free_port, needs_ipv6

from clusterdns.app.listeners import OVERTIME_SECONDS
from clusterdns.server import address_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "alpaca-prod.default.svc.cluster.local"
ADDRESS = ["10.96.78.232"]
QUERY = dns.message.make_query(NAME, "A").to_wire()


class Instance:
    """A server with pages, and a lameduck of so many seconds."""

    def __init__(self, folder: Path, seconds: float, address: str = "127.0.0.1") -> None:
        port = free_port()
        self.http = address_text(address, port)
        self.server = Serving(
            folder / f"log-{port}", *("--manifests", EXAMPLE, "--lameduck", seconds, "--http", self.http)
        )

    @property
    def backend(self) -> Backend:
        return Backend(self.server.addresses[0], self.http)

    def page(self, name: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.http}/{name}", timeout=5) as reply:
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
    """Each in turn, as `kubectl rollout restart` does it. Nobody asks twice."""
    clients = Clients(NAME, Rates(udp=800, fresh=150, kept=400), connections=4)
    instances += [Instance(tmp_path, 0.5), Instance(tmp_path, 0.5)]
    for each in instances:
        clients.add(each.backend)
    with clients.asking():
        for old in list(instances):
            new = Instance(tmp_path, 0.5)
            instances.append(new)
            clients.add(new.backend)
            eventually(lambda new=new: new.backend in clients.ready, "ready")
            old.go()
            old.end()
            clients.remove(old.backend)
    assert clients.lost == []
    assert min(clients.asked.values()) > 100


def test_clients_over_tcp_are_let_go(instances: list[Instance], tmp_path: Path) -> None:
    """Once they are answered: what they ask next is for another server. Whoever asks all the time is not waited for."""
    it = Instance(tmp_path, 1)
    instances.append(it)
    address, message = ("127.0.0.1", it.server.port), struct.pack("!H", len(QUERY)) + QUERY
    with socket.create_connection(address, timeout=5) as calm, socket.create_connection(address, timeout=5) as busy:
        calm.sendall(message)
        assert calm.recv(4096)[2:4] == QUERY[:2]
        gone = it.go()
        assert calm.recv(4096) == b""
        assert it.page("ready") == (503, "terminating")
        answers = 0
        while True:
            busy.sendall(message)
            if not (answer := busy.recv(4096)):
                break
            answers += 1
            assert answer[2:4] == QUERY[:2]
    assert answers > 100
    assert it.end() - gone < OVERTIME_SECONDS


@needs_ipv6
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_pages_go_on_to_the_end(instances: list[Instance], tmp_path: Path, address: str) -> None:
    it = Instance(tmp_path, 60, address)
    instances.append(it)
    it.go()
    eventually(lambda: it.page("ready") == (503, "terminating"), "terminating")
    assert it.page("metrics")[0] == 200
    it.go()
    it.end()
