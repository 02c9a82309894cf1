"""Several processes on the same addresses: one client of the API server, and none who dies is missed."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.message
import pytest
import yaml
from forwarding import CLUSTER_ADDRESS, CLUSTER_NAME, kept
from prometheus_client.parser import text_string_to_metric_families
from serving import COMMAND, ENVIRONMENT, EXAMPLE, REPOSITORY, Serving, eventually, free_port

from tests.apiserver import Process
from tests.followed import headless, namespace, service, slice_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Serve = Callable[..., Serving]

WEB, DB = "web.demo.svc.cluster.local", "db.demo.svc.cluster.local"
PATIENCE = 30.0
"""Seconds for what takes the parent some of its own: a worker is given five to answer."""
MANY = 40
"""Clients, each with a port of its own: that the kernel gives all of them to one of two workers does not happen."""


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Manned:
    """A server with workers."""

    def __init__(self, serve: Serve, folder: Path, *arguments: object, workers: object = 2, **settings: Any) -> None:
        self.http = f"127.0.0.1:{free_port()}"
        self.file = folder / f"{self.http}.yaml"
        self.settings = {"http": [self.http], "forward": {"resolv-conf": ""}, "workers": workers, **settings}
        self.write()
        self.server = serve("--config", self.file, *arguments)
        self.process = self.server.process.pid
        eventually(lambda: self.page("ready")[0] == 200, "ready")

    def write(self, **settings: Any) -> None:
        written = self.file.with_suffix(".new")
        written.write_text(yaml.safe_dump(self.settings | settings))
        written.replace(self.file)

    def reload(self, **settings: Any) -> None:
        read = self.server.log.count("the configuration is")
        self.write(**settings)
        os.kill(self.process, signal.SIGHUP)
        eventually(lambda: self.server.log.count("the configuration is") > read, "it is read")

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process}/task/{self.process}/children").read_text()
        return [each for each in map(int, children.split()) if is_alive(each)]

    def page(self, name: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.http}/{name}", timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        families = text_string_to_metric_families(self.page("metrics")[1])
        samples = [each for family in families for each in family.samples]
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())

    def asked(self, name: str, *, tcp: bool = False) -> set[str]:
        """What many clients are answered: the data of A records, sorted, or the response code."""
        return {asked(self.server.port, name, tcp=tcp) for _ in range(MANY)}

    def until(self, name: str, expected: str) -> None:
        """Until every worker answers that, over both transports."""
        eventually(lambda: self.asked(name) == {expected} == self.asked(name, tcp=True), f"{name}: {expected}")

    def until_replaced(self, gone: int) -> None:
        eventually(lambda: gone not in self.workers() and len(self.workers()) == 2, "another worker", PATIENCE)
        eventually(lambda: self.page("ready") == (200, "OK"), "ready", PATIENCE)

    @contextmanager
    def load(self) -> Iterator[list[str]]:
        """Clients that ask one after the other, each from a port of its own; what went wrong with them."""
        lost: list[str] = []
        is_over = threading.Event()

        def ask(tcp: bool) -> None:
            while not is_over.wait(0.001):
                found = asked(self.server.port, CLUSTER_NAME, tcp=tcp)
                if found != CLUSTER_ADDRESS:
                    lost.append(f"{'TCP' if tcp else 'UDP'}: {found}")

        threads = [threading.Thread(target=ask, args=(tcp,)) for tcp in (False, True)]
        for each in threads:
            each.start()
        try:
            yield lost
        finally:
            is_over.set()
            for each in threads:
                each.join()


def asked(port: int, name: str, *, tcp: bool = False) -> str:
    query = dns.message.make_query(name, "A").to_wire()
    with socket.socket(type=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(struct.pack("!H", len(query)) + query if tcp else query)
            reply = client.recv(65535)
        except OSError as error:
            return type(error).__name__
    if tcp and not reply:
        return "nothing"
    message = dns.message.from_wire(reply[2:] if tcp else reply)
    return " ".join(sorted(str(data) for each in message.answer for data in each)) or str(message.rcode())


@pytest.fixture
def manned(serve: Serve, tmp_path: Path) -> Callable[..., Manned]:
    return lambda *arguments, **settings: Manned(serve, tmp_path, *arguments, **settings)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manned]:
    folder = tmp_path_factory.mktemp("shared")
    with kept(folder) as serve:
        yield Manned(serve, folder, manifests=[str(EXAMPLE)])


@pytest.fixture
def example(shared: Manned) -> Iterator[Manned]:
    """With its own settings, and two workers."""
    yield shared
    shared.reload()
    eventually(lambda: len(shared.workers()) == 2 and shared.page("ready") == (200, "OK"), "as before", PATIENCE)


@pytest.fixture(scope="module")
def followed(api: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manned]:
    """A server with workers, and the only one that follows `api`."""
    folder = tmp_path_factory.mktemp("followed")
    entries = {"entries": [f"{CLUSTER_ADDRESS} {CLUSTER_NAME}"]}
    with kept(folder) as serve:
        yield Manned(serve, folder, hosts=entries, **{"api-server": api.url})


@pytest.fixture(scope="module")
def api() -> Iterator[Process]:
    with Process("--bookmark-interval", 1) as started:
        started.call("put", namespace("demo"), service("web", clusterIP="10.96.7.7"), headless("db"))
        started.call("put", slice_of("db", "10.0.1.1"))
        yield started


class TestOneClient:
    def test_the_api_server_sees_one_whatever_happens_to_workers(self, api: Process, followed: Manned) -> None:
        followed.until(WEB, "10.96.7.7")
        former = followed.workers()[0]
        os.kill(former, signal.SIGKILL)
        followed.until_replaced(former)
        followed.reload(ttl=9)
        followed.until(WEB, "10.96.7.7")
        for resource in ("services", "endpointslices", "namespaces"):
            assert len(api.call("asked", resource, "watchlist")) == 1

    def test_workers_are_told_what_changes(self, api: Process, followed: Manned) -> None:
        for address in ("10.96.7.8", "10.96.7.9"):
            api.call("put", service("web", clusterIP=address))
            followed.until(WEB, address)
        api.call("put", slice_of("db", "10.0.1.1", "10.0.1.2"))
        followed.until(DB, "10.0.1.1 10.0.1.2")
        api.call("delete", service("web"))
        followed.until(WEB, "3")
        api.call("put", service("web", clusterIP="10.96.7.7"))
        followed.until(WEB, "10.96.7.7")

    def test_they_start_while_it_is_away_and_share_what_it_says_later(
        self, manned: Callable[..., Manned], serve: Serve, tmp_path: Path
    ) -> None:
        with Process("--bookmark-interval", 1) as late:
            late.call("put", namespace("demo"), service("web", clusterIP="10.96.7.7"))
            late.pause()
            try:
                server = serve("--api-server", late.url, "--workers", 2)
                assert asked(server.port, WEB) == "2"
            finally:
                late.resume()
            eventually(lambda: "the workers are replaced by such as share it" in server.log, "shared", PATIENCE)
            eventually(lambda: {asked(server.port, WEB) for _ in range(MANY)} == {"10.96.7.7"}, "all know it", PATIENCE)


class TestAWorkerThatEnds:
    def test_killed_under_load_it_is_replaced_and_caught_up(self, api: Process, followed: Manned) -> None:
        restarts = followed.metric("clusterdns_worker_restarts_total")
        for number in range(2):
            with followed.load() as lost:
                former = followed.workers()[0]
                os.kill(former, signal.SIGKILL)
                api.call("put", service("web", clusterIP=f"10.96.8.{number}"))
                followed.until(WEB, f"10.96.8.{number}")
                followed.until_replaced(former)
                followed.until(WEB, f"10.96.8.{number}")
            assert len(lost) <= 2, lost  # what it was asked when it died: a query of each client, and not one more
        assert followed.metric("clusterdns_worker_restarts_total") == restarts + 2
        api.call("put", service("web", clusterIP="10.96.7.7"))

    def test_that_is_stopped_it_is_ended_and_replaced(self, example: Manned) -> None:
        stopped = example.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        eventually(lambda: "it does not keep up" in example.page("ready")[1], "not ready", PATIENCE)
        example.until_replaced(stopped)
        assert "does not answer, and is ended" in example.server.log
        example.until(CLUSTER_NAME, CLUSTER_ADDRESS)

    def test_told_to_end_it_is_replaced_first_so_that_nothing_is_lost(self, example: Manned) -> None:
        with example.load() as lost:
            for former in example.workers():
                os.kill(former, signal.SIGTERM)
                example.until_replaced(former)
        assert lost == []

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
    def test_signals_of_a_terminal_are_left_to_the_parent(self, example: Manned, number: int) -> None:
        before = example.workers()
        for each in before:
            os.kill(each, number)
        example.until(CLUSTER_NAME, CLUSTER_ADDRESS)
        assert example.workers() == before

    def test_that_ends_again_and_again_there_is_more_time_and_less_to_read(self, manned: Callable[..., Manned]) -> None:
        it = manned(manifests=[str(EXAMPLE)])

        def kill() -> bool:
            for each in it.workers():
                os.kill(each, signal.SIGKILL)
            return it.metric("clusterdns_worker_restarts_total") >= 8

        eventually(kill, "many restarts", 60)
        for number in (1, 2):
            said = re.findall(rf"worker {number} .*", it.server.log)
            assert len(said) == 2, said
            assert "ends again and again (SIGKILL)" in said[1]
        it.until(CLUSTER_NAME, CLUSTER_ADDRESS)

    def test_with_files_that_are_broken_by_now(self, manned: Callable[..., Manned], tmp_path: Path) -> None:
        """What a file said last goes on being served, by new workers too."""
        hosts = tmp_path / "hosts"
        hosts.write_text("192.0.2.7 nas.example\n")
        it = manned(manifests=[str(EXAMPLE)], hosts={"files": [str(hosts)]})
        hosts.write_text("192.0.2.8 nas.example\n")
        it.until("nas.example", "192.0.2.8")
        hosts.unlink()
        eventually(lambda: "what was read before stays" in it.server.log, "it is gone")
        former = it.workers()[0]
        os.kill(former, signal.SIGKILL)
        it.until_replaced(former)
        it.until("nas.example", "192.0.2.8")


class TestReload:
    def test_it_reaches_all_and_nothing_is_lost(self, example: Manned) -> None:
        workers = example.workers()
        with example.load() as lost:
            for number in range(3):
                example.reload(hosts={"entries": [f"192.0.2.{number} nas.example"]})
                assert example.asked("nas.example") == {f"192.0.2.{number}"}
                assert example.asked("nas.example", tcp=True) == {f"192.0.2.{number}"}
        assert lost == []
        assert example.workers() == workers

    def test_what_can_not_be_changes_nothing(self, example: Manned) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            block = {"names": ["x"], "listen": [f"127.0.0.1:{taken.getsockname()[1]}"], "cluster": False}
            example.reload(blocks=[block], hosts={"entries": ["192.0.2.1 nas.example"]})
        assert "the port is in use" in example.page("ready")[1]
        assert example.asked("nas.example") != {"192.0.2.1"}

    def test_other_addresses(self, example: Manned) -> None:
        port = free_port()
        block = {"names": ["x"], "listen": [f"127.0.0.1:{port}"], "cluster": False}
        example.reload(blocks=[block | {"hosts": {"entries": ["192.0.2.1 nas.x"]}, "forward": {"resolv-conf": ""}}])
        assert {asked(port, "nas.x") for _ in range(MANY)} == {"192.0.2.1"}
        example.reload()
        assert asked(port, "nas.x", tcp=True) == "ConnectionRefusedError"

    def test_another_source(self, example: Manned, tmp_path: Path) -> None:
        """New workers are forked, which share what it says."""
        new = tmp_path / "new.yaml"
        new.write_text(
            "{apiVersion: v1, kind: Service, metadata: {name: n, namespace: x}, spec: {clusterIP: 10.96.1.1}}"
        )
        before = example.workers()
        with example.load() as lost:
            example.reload(manifests=[str(EXAMPLE), str(new)])
            example.until("n.x.svc.cluster.local", "10.96.1.1")
        assert lost == []
        assert set(before).isdisjoint(example.workers())

    def test_more_workers_and_fewer(self, example: Manned) -> None:
        with example.load() as lost:
            for count in (4, 1, 3):
                example.reload(workers=count)
                assert len(example.workers()) == count
                assert example.metric("clusterdns_workers") == count
                example.until(CLUSTER_NAME, CLUSTER_ADDRESS)
        assert lost == []

    def test_one_process_stays_alone_until_it_starts_again(self, manned: Callable[..., Manned]) -> None:
        it = manned(manifests=[str(EXAMPLE)], workers=1)
        assert it.workers() == []
        it.reload(workers=2)
        eventually(lambda: "goes on alone until it is started again" in it.server.log, "it says so")
        assert it.workers() == []


class TestMetrics:
    def test_they_add_up_and_never_go_back(self, example: Manned) -> None:
        def requests() -> float:
            return example.metric("coredns_dns_requests_total", type="A")

        total = requests()
        rising = [total]
        for _ in range(3):
            assert example.asked(CLUSTER_NAME) == example.asked(CLUSTER_NAME, tcp=True) == {CLUSTER_ADDRESS}
            total += 2 * MANY
            eventually(lambda total=total: requests() == total, "all are counted")
            durations = example.metric("coredns_dns_request_duration_seconds_count")
            assert durations == example.metric("coredns_dns_requests_total")
            former = example.workers()[0]
            os.kill(former, signal.SIGKILL)
            while former in example.workers() or len(example.workers()) < 2:
                rising.append(requests())
        rising.append(requests())
        assert rising == sorted(rising)
        assert rising[-1] == total
        assert example.metric("clusterdns_objects", kind="Service") == 8
        assert example.metric("clusterdns_workers") == 2

    def test_nothing_is_said_of_workers_where_there_are_none(self, manned: Callable[..., Manned]) -> None:
        assert "clusterdns_worker" not in manned(manifests=[str(EXAMPLE)], workers=1).page("metrics")[1]


class TestTheEnd:
    def test_they_linger_as_one_process_does(self, manned: Callable[..., Manned]) -> None:
        it = manned(manifests=[str(EXAMPLE)], **{"lameduck-seconds": 1.0})
        workers = it.workers()
        os.kill(it.process, signal.SIGTERM)
        eventually(lambda: it.page("ready") == (503, "terminating"), "terminating")
        assert it.asked(CLUSTER_NAME) == it.asked(CLUSTER_NAME, tcp=True) == {CLUSTER_ADDRESS}
        assert it.server.process.wait(PATIENCE) == 0
        assert not any(map(is_alive, workers))

    def test_a_second_signal_ends_it_at_once(self, manned: Callable[..., Manned]) -> None:
        it = manned(manifests=[str(EXAMPLE)], **{"lameduck-seconds": 600.0})
        workers = it.workers()
        os.kill(it.process, signal.SIGTERM)
        eventually(lambda: "going: " in it.server.log, "going")
        os.kill(it.process, signal.SIGTERM)
        assert it.server.process.wait(PATIENCE) == 0
        assert not any(map(is_alive, workers))

    def test_when_all_are_told_at_once(self, manned: Callable[..., Manned]) -> None:
        """As a service manager tells a whole control group."""
        it = manned(manifests=[str(EXAMPLE)])
        workers = it.workers()
        for each in (*workers, it.process):
            os.kill(each, signal.SIGTERM)
        assert it.server.process.wait(PATIENCE) == 0
        assert not any(map(is_alive, workers))

    def test_a_worker_that_hangs_is_ended(self, manned: Callable[..., Manned]) -> None:
        it = manned(manifests=[str(EXAMPLE)])
        workers = it.workers()
        os.kill(workers[0], signal.SIGSTOP)
        os.kill(it.process, signal.SIGTERM)
        assert it.server.process.wait(PATIENCE) == 0
        assert not any(map(is_alive, workers))

    def test_without_its_parent_a_worker_ends_too(self, tmp_path: Path) -> None:
        server = Serving(tmp_path / "log", "--manifests", EXAMPLE, "--workers", 2)
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
        workers = list(map(int, children.split()))
        server.kill()
        assert len(workers) == 2
        eventually(lambda: not any(map(is_alive, workers)), "none is left", PATIENCE)
        assert asked(server.port, CLUSTER_NAME, tcp=True) == "ConnectionRefusedError"


class TestTheStart:
    def test_an_address_is_not_shared_with_another_server(self, example: Manned) -> None:
        for workers in (1, 2):
            listen = f"127.0.0.1:{example.server.port}"
            command = [*COMMAND, "serve", "--manifests", EXAMPLE, "--listen", listen, "--workers", str(workers)]
            ran = subprocess.run(
                command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            assert ran.returncode == 2
            assert ran.stderr.splitlines()[-1] == f"clusterdns: cannot listen on {listen}: the port is in use"

    def test_as_many_as_there_are_processors(self, manned: Callable[..., Manned]) -> None:
        it = manned(manifests=[str(EXAMPLE)], workers="auto")
        processors = len(os.sched_getaffinity(0))
        assert len(it.workers()) in range(processors + 1)  # there may be a quota, too
        assert asked(it.server.port, CLUSTER_NAME) == CLUSTER_ADDRESS

    def test_what_one_says_again_and_again_has_its_number_once(self, manned: Callable[..., Manned]) -> None:
        nobody = {"upstreams": [f"127.0.0.1:{free_port()}"]}
        numbers = itertools.count()
        it = manned(manifests=[str(EXAMPLE)], forward=nobody, **{"log-repeat-seconds": 1})

        def told() -> bool:
            asked(it.server.port, f"x{next(numbers)}.example.com")
            return " times in " in it.server.log

        eventually(told, "what came again")
        lines = [line for line in it.server.log.splitlines() if " times in " in line]
        assert [line.count("worker 1: ") + line.count("worker 2: ") for line in lines] == [1] * len(lines)

    def test_nobody_is_in_the_way_of_the_others(self, example: Manned) -> None:
        """Queries come in over the addresses of each worker."""
        time_before = {each: _cpu(each) for each in example.workers()}
        eventually(
            lambda: example.asked(CLUSTER_NAME) and all(_cpu(each) > before for each, before in time_before.items()),
            "each of them works",
        )


def _cpu(process: int) -> int:
    """In ticks of the clock, of which a second has a hundred."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
