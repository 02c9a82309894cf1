"""What a server does when its machine has no more to give: disk, descriptors, memory, network, and the right time."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.query
import pytest
from serving import COMMAND, DEADLINE, ENVIRONMENT, EXAMPLE, REPOSITORY, Serving, eventually, free_port, program, run

from tests.apiserver import Process
from tests.followed import namespace, service, slice_of
from tests.upstreams import Faulty, address_of
from tests.upstreams.behaviours import honest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Serve = Callable[..., Serving]

WEB = "web.demo.svc.cluster.local"
ALPACA = "alpaca-prod.default.svc.cluster.local"
DAY = 86_400


@pytest.fixture
def api() -> Iterator[Process]:
    with Process("--bookmark-interval", 1) as started:
        started.call("put", namespace("demo"), service("web", clusterIP="10.96.7.7"))
        yield started


def descriptors(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def settled(process: int) -> int:
    """How many descriptors it has, once all is open that a start opens, such as who watches files."""
    seen: list[int] = []

    def is_settled() -> bool:
        seen.append(descriptors(process))
        return len(seen) > 150 and len(set(seen[-100:])) == 1

    eventually(is_settled, "the same descriptors for a while")
    return seen[-1]


def fill_up(file: Path) -> None:
    with file.open("wb", buffering=0) as waste:
        while True:
            waste.write(bytes(4096))


@pytest.fixture
def upstream() -> Iterator[int]:
    port = free_port()
    source = REPOSITORY / "tests" / "benchmarks" / "upstream.py"
    with subprocess.Popen([program("python3"), source, str(port)]) as process:
        try:
            yield port
        finally:
            process.kill()


def ready(server: Serving) -> Serving:
    eventually(lambda: "ready after" in server.log, "ready")
    return server


class TestADiskThatIsFull:
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        """A small one."""
        folder = tmp_path / "disk"
        folder.mkdir()
        mounted = run(program("mount"), "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)
        if mounted.returncode:
            pytest.skip(f"no disk to be had here: {mounted.stderr.strip()}")
        yield folder
        run(program("umount"), "--lazy", folder)

    def test_leaves_the_snapshot_as_it_was_and_the_server_serving(self, api: Process, serve: Serve, disk: Path) -> None:
        arguments = "--api-server", api.url, "--snapshot", disk / "snapshot"
        assert ready(serve(*arguments)).stop() == 0
        before = (disk / "snapshot").read_bytes()
        server = ready(serve(*arguments))
        api.call("put", service("new", clusterIP="10.96.7.8"))
        server.until("new.demo.svc.cluster.local", ["10.96.7.8"])
        with pytest.raises(OSError, match="No space left"):
            fill_up(disk / "waste")
        assert server.stop() == 0
        warning = "the snapshot can not be written, what it held before stays: No space left on device"
        assert server.log.count(warning) == 1
        assert (disk / "snapshot").read_bytes() == before
        (disk / "waste").unlink()
        server = ready(serve(*arguments))
        api.call("put", service("newer", clusterIP="10.96.7.9"))
        server.until("newer.demo.svc.cluster.local", ["10.96.7.9"])
        assert server.stop() == 0
        api.kill()
        assert serve(*arguments).answers("newer.demo.svc.cluster.local") == ["10.96.7.9"]

    def test_has_the_snapshot_again_once_there_is_room(self, api: Process, serve: Serve, disk: Path) -> None:
        """The server goes on meanwhile, and writes with the next change."""
        server = ready(serve("--api-server", api.url, "--snapshot", disk / "snapshot"))
        with pytest.raises(OSError, match="No space left"):
            fill_up(disk / "waste")
        api.call("put", service("new", clusterIP="10.96.7.8"))
        eventually(lambda: "the snapshot can not be written" in server.log, "a warning", 30)
        (disk / "waste").unlink()
        api.call("put", service("newer", clusterIP="10.96.7.9"))
        path = disk / "snapshot"
        eventually(lambda: path.exists() and b"newer" in path.read_bytes(), "the snapshot", 30)
        assert server.answers("newer.demo.svc.cluster.local") == ["10.96.7.9"]


class TestDescriptorsThatAreUsedUp:
    def exhaust(self, server: Serving, used: int) -> None:
        """More clients than it may have descriptors, and then none."""
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 8, used + 8))
        with ExitStack() as stack:
            for _ in range(60):
                client = stack.enter_context(socket.socket())
                client.settimeout(2)
                client.connect(("127.0.0.1", server.port))
            for _ in range(20):
                assert server.answers(ALPACA) == ["10.96.78.232"]
        eventually(lambda: over_tcp(server), "a connection")
        assert not [line for line in server.log.splitlines() if "Traceback" in line or "please report" in line]
        assert len(server.log) < 10_000, "it fills the log"

    def test_datagrams_are_answered_and_connections_again_later(self, serve: Serve) -> None:
        server = ready(serve("--manifests", EXAMPLE))
        self.exhaust(server, settled(server.process.pid))

    def test_from_the_first_moment_on(self, serve: Serve) -> None:
        """What is imported late needs a descriptor too."""
        server = serve("--manifests", EXAMPLE)
        self.exhaust(server, descriptors(server.process.pid))


def over_tcp(server: Serving) -> bool:
    query = dns.message.make_query(ALPACA, "A")
    try:
        return bool(dns.query.tcp(query, "127.0.0.1", port=server.port, timeout=1).answer)
    except (OSError, EOFError, dns.exception.Timeout):
        return False


class TestMemoryThatHasALimit:
    def test_a_cache_that_fills_stays_within_its_bounds(self, serve: Serve, upstream: int, tmp_path: Path) -> None:
        """10,000 names that nobody has asked before; a process that may not have 48 MiB more than it began with."""
        configuration = tmp_path / "clusterdns.yaml"
        configuration.write_text("cache: {entries: 5000, bytes: 2000000}\n")
        server = serve("--config", configuration, "--manifests", EXAMPLE, "--upstream", f"127.0.0.1:{upstream}")
        process = server.process.pid
        begun = int(Path(f"/proc/{process}/statm").read_text().split()[0]) * resource.getpagesize()
        limit = begun + (48 << 20)
        resource.prlimit(process, resource.RLIMIT_AS, (limit, limit))
        query = dns.message.make_query("h00000.example.test", "A").to_wire()
        at = query.index(b"h00000")
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", server.port))
            client.settimeout(DEADLINE)
            for start in range(0, 10_000, 50):
                for number in range(start, start + 50):
                    client.send(number.to_bytes(2, "big") + query[2:at] + b"h%05d" % number + query[at + 6 :])
                heard = [client.recv(4096) for _ in range(50)]
                assert {each[:2] for each in heard} == {each.to_bytes(2, "big") for each in range(start, start + 50)}
        assert server.answers(ALPACA) == ["10.96.78.232"]
        assert "MemoryError" not in server.log

    def test_that_is_reached_is_told_in_a_line(self, api: Process, tmp_path: Path) -> None:
        """What the API server says has no room then: what is known goes on. Where half of a change may be known, it is
        better to begin anew: the server ends.
        """
        log, port = tmp_path / "log", free_port()
        command = [*COMMAND, "serve", "--api-server", api.url, "--listen", f"127.0.0.1:{port}", "--http", "none"]
        with log.open("wb") as output, subprocess.Popen(command, stderr=output, env=ENVIRONMENT) as server:
            try:
                eventually(lambda: "ready after" in log.read_text(), "ready")
                begun = int(Path(f"/proc/{server.pid}/statm").read_text().split()[0]) * resource.getpagesize()
                resource.prlimit(server.pid, resource.RLIMIT_AS, (begun + (24 << 20),) * 2)
                for batch in range(200):
                    addresses = [f"10.{batch}.{each // 100}.{each % 100}" for each in range(1000)]
                    slices = (slice_of(f"s{each}", *addresses[each::10], suffix=str(batch)) for each in range(10))
                    api.call("put", *slices)
                    if "there is no memory left" in log.read_text():
                        break
                if server.poll() is None:
                    dig = program("dig"), "@127.0.0.1", "-p", str(port), "+short", WEB
                    assert run(*dig).stdout == "10.96.7.7\n" or server.wait(DEADLINE)
            finally:
                server.kill()
        assert server.wait() in (-signal.SIGKILL, 70)
        assert "there is no memory left" in log.read_text()
        assert "Traceback" not in log.read_text()


class TestAClockThatJumps:
    """By a day, forwards and back: certificates, snapshots and people see it; nothing that is measured does."""

    CLOCK = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <time.h>
    int clock_gettime(clockid_t clock, struct timespec *at) {
        static int (*real)(clockid_t, struct timespec *);
        if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
        int failed = real(clock, at);
        FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("JUMP"), "r") : NULL;
        long seconds = 0;
        if (file) { if (fscanf(file, "%ld", &seconds) == 1) at->tv_sec += seconds; fclose(file); }
        return failed;
    }
    """

    @pytest.mark.parametrize("seconds", [DAY, -DAY])
    def test_answers_and_their_times_go_on(
        self, api: Process, upstream: int, serve: Serve, tmp_path: Path, seconds: int
    ) -> None:
        (tmp_path / "clock.c").write_text(self.CLOCK)
        library, jump = tmp_path / "clock.so", tmp_path / "jump"
        built = run(program("cc"), "-shared", "-fPIC", "-o", library, tmp_path / "clock.c", "-ldl")
        assert built.returncode == 0, built.stderr
        jump.write_text("0")
        prefix = ("env", f"LD_PRELOAD={library}", f"JUMP={jump}")
        server = ready(serve("--api-server", api.url, "--upstream", f"127.0.0.1:{upstream}", prefix=prefix))
        first, serial = remembered(server), soa_serial(server)
        jump.write_text(str(seconds))
        assert server.answers(WEB) == ["10.96.7.7"]
        assert first - 60 < remembered(server) <= first
        api.call("put", service("new", clusterIP="10.96.7.8"))
        server.until("new.demo.svc.cluster.local", ["10.96.7.8"])
        jumped = soa_serial(server)
        assert jumped > serial
        assert (jumped > serial + DAY / 2) == (seconds > 0), "it is never behind the clock, so it shows the jump"
        jump.write_text("0")
        api.call("delete", service("new"))
        server.until("new.demo.svc.cluster.local", ["NXDOMAIN"])
        assert soa_serial(server) > serial


def remembered(server: Serving) -> int:
    """The TTL of a name of others."""
    query = dns.message.make_query("www.example.test", "A")
    reply = dns.query.udp(query, "127.0.0.1", port=server.port, timeout=DEADLINE, ignore_unexpected=True)
    return int(reply.answer[0].ttl)


def soa_serial(server: Serving) -> int:
    query = dns.message.make_query("cluster.local", "SOA")
    reply = dns.query.udp(query, "127.0.0.1", port=server.port, timeout=DEADLINE)
    return int(reply.answer[0][0].serial)


class TestANetworkThatIsCut:
    """Between the server, in a namespace of its own, and the API server."""

    HERE, THERE = "10.199.7.1", "10.199.7.2"

    @pytest.fixture
    def cable(self, tmp_path: Path) -> Iterator[tuple[str, ...]]:
        """What runs a command at the other end."""
        ip, name = program("ip"), f"cdns{os.getpid() % 10_000}"
        if os.geteuid() or run(ip, "netns", "add", name).returncode:
            pytest.skip("no network namespace to be had here")
        inside = (ip, "netns", "exec", name)
        try:
            steps = [
                (ip, "link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name),
                (ip, "address", "add", f"{self.HERE}/30", "dev", f"{name}a"),
                (ip, "link", "set", f"{name}a", "up"),
                (*inside, ip, "address", "add", f"{self.THERE}/30", "dev", f"{name}b"),
                (*inside, ip, "link", "set", f"{name}b", "up"),
                (*inside, ip, "link", "set", "lo", "up"),
            ]
            for step in steps:
                done = run(*step)
                if done.returncode:
                    pytest.skip(f"no network to be had here: {done.stderr.strip()}")
            yield (f"{name}a", *inside)
        finally:
            run(ip, "netns", "delete", name)

    def test_what_is_known_goes_on_and_what_changed_comes_once_it_is_healed(
        self, serve: Serve, cable: tuple[str, ...], tmp_path: Path
    ) -> None:
        device, *inside = cable
        with Process("--host", self.HERE, "--bookmark-interval", 1) as api:
            api.call("put", namespace("demo"), service("web", clusterIP="10.96.7.7"))
            server = ready(serve("--api-server", api.url, listen=(f"{self.THERE}:0",), prefix=inside))
            server.until(WEB, ["10.96.7.7"])
            run(program("ip"), "link", "set", device, "down")
            api.call("put", service("web", clusterIP="10.96.7.9"))
            query = ("dig", f"@{self.THERE}", "-p", server.port, "+short", "+tries=1", "+timeout=2", WEB)
            for _ in range(5):
                assert run(*inside, *query).stdout == "10.96.7.7\n"
            run(program("ip"), "link", "set", device, "up")
            server.until(WEB, ["10.96.7.9"], seconds=60)
            api.call("put", service("new", clusterIP="10.96.7.10"))
            server.until("new.demo.svc.cluster.local", ["10.96.7.10"])

    def test_an_upstream_that_is_cut_off_is_asked_again_once_it_is_healed(
        self, serve: Serve, cable: tuple[str, ...], tmp_path: Path
    ) -> None:
        device, *inside = cable
        with Faulty(honest, address=self.HERE) as upstream:
            arguments = ("--manifests", EXAMPLE, "--upstream", str(upstream))
            server = serve(*arguments, listen=(f"{self.THERE}:0",), prefix=inside)
            dig = (*inside, "dig", f"@{self.THERE}", "-p", server.port, "+tries=1", "+timeout=8")
            assert address_of("one.example.com") in run(*dig, "one.example.com").stdout
            run(program("ip"), "link", "set", device, "down")
            failed = run(*dig, "two.example.com").stdout
            assert "SERVFAIL" in failed
            assert address_of("one.example.com") in run(*dig, "one.example.com").stdout, "it is remembered"
            assert "10.96.78.232" in run(*dig, ALPACA).stdout
            run(program("ip"), "link", "set", device, "up")
            eventually(lambda: address_of("two.example.com") in run(*dig, "two.example.com").stdout, "an answer", 30)
