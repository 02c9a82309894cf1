"""A server process of its own, and the programs that people ask it with."""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import dns.message
import dns.query
import dns.rcode
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "config" / "example"
COMMAND = (sys.executable, "-m", "clusterdns")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "CLUSTERDNS_LOG_FORMAT": "text"}
ENVIRONMENT["CLUSTERDNS_ADMIN"] = "none"  # the usual place is one for the whole machine
ENVIRONMENT.pop("KUBERNETES_SERVICE_HOST", None)  # where the tests run in a pod, it is not that cluster that is meant

DEADLINE = 10.0
"""Seconds for what takes one or two on a busy machine."""


def eventually(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class Serving:
    """A server, on ports that were free."""

    def __init__(
        self,
        log: Path,
        *arguments: object,
        listen: Sequence[str] = ("127.0.0.1:0",),
        prefix: Sequence[str] = (),
        forwards: bool | None = None,
    ) -> None:
        listens = [text for each in listen for text in ("--listen", each)]
        command = [*prefix, *COMMAND, "serve", *map(str, arguments), *listens]
        if forwards is None:
            forwards = not {"--upstream", "--config"}.isdisjoint(map(str, arguments))
        if not forwards:
            command += ["--upstream", "none"]  # what the machine's own resolver says is no business of a test
        if not _says_where_pages_are(list(map(str, arguments))):
            command += ["--http", "none"]  # there is one port for it on this machine
        self._log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stderr=stderr)
        try:
            eventually(lambda: self.process.poll() is not None or len(self._listening()) == len(listen), "listening")
        except BaseException:
            self.kill()
            raise
        assert self.process.poll() is None, self.log
        self.addresses = self._listening()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def port(self) -> int:
        return self.addresses[0][1]

    def _listening(self) -> list[tuple[str, int]]:
        found = re.findall(r"listening on \[?([0-9a-f.:]+?)\]?:(\d+), (?:UDP and TCP|TLS)\n", self.log)
        return [(host, int(port)) for host, port in found]

    def answers(self, name: str, rtype: str = "A") -> list[str]:
        """The data of the answer's records, sorted; the rcode if it is not NOERROR."""
        query = dns.message.make_query(name, rtype)
        reply = dns.query.udp(query, self.addresses[0][0], port=self.port, timeout=5)
        if reply.rcode():
            return [dns.rcode.to_text(reply.rcode())]
        return sorted(str(data) for each in reply.answer for data in each)

    def until(self, name: str, expected: Sequence[str], rtype: str = "A", seconds: float = DEADLINE) -> None:
        eventually(lambda: self.answers(name, rtype) == list(expected), f"{name} {rtype}: {expected}", seconds)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as users do; it is over after that, either way."""
        self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _says_where_pages_are(arguments: Sequence[str]) -> bool:
    if not {"--http", "--corefile", "-conf"}.isdisjoint(arguments):
        return True
    files = [Path(value) for option, value in itertools.pairwise(arguments) if option == "--config"]
    return any("http" in each.read_text(errors="replace") for each in files if each.is_file())


def _own_ports() -> Iterator[int]:
    """Those of this test process alone, in turn: a server that is killed and started again finds its port free."""
    given_to_all = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    end = max(int(given_to_all.split()[0]), 20_000)
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    own = list(range(10_000, end))[int(worker.removeprefix("gw")) :: int(workers)]
    random.shuffle(own)
    return itertools.cycle(own)


_ports = _own_ports()


def free_port() -> int:
    """A port that nobody holds over UDP or TCP, and that no other test is given."""
    for port in _ports:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("ports never end")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tcp:
            tcp.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/bin:/sbin:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class Dug(NamedTuple):
    """What dig has printed; records are in the order of their text, with one space between their fields."""

    status: str
    flags: str
    edns: str
    answer: list[str]
    authority: list[str]
    additional: list[str]


def dig(*arguments: object, prefix: Sequence[object] = ()) -> Dug:
    ran = run(*prefix, program("dig"), "+tries=1", "+timeout=5", *arguments)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return read_dig(ran.stdout)


def read_dig(text: str) -> Dug:
    def first(pattern: str) -> str:
        found = re.search(pattern, text)
        return found[1] if found else ""

    def section(title: str) -> list[str]:
        lines = first(rf";; {title} SECTION:\n((?:[^;\n].*\n)*)").splitlines()
        return sorted(" ".join(line.split()) for line in lines)

    return Dug(
        first(r"status: (\w+)"),
        first(r"flags: ([\w ]*);"),
        first(r"; EDNS: (.*)"),
        section("ANSWER"),
        section("AUTHORITY"),
        section("ADDITIONAL"),
    )


class Namespace:
    """A network of its own, with a loopback interface and an /etc/resolv.conf: for port 53 and more addresses."""

    def __init__(self, folder: Path, resolv_conf: str, addresses: Sequence[str] = ()) -> None:
        tools = {name: program(name) for name in ("unshare", "nsenter", "ip", "mount", "sleep", "sh")}
        if os.geteuid() != 0:
            pytest.skip("a network namespace takes root")
        (folder / "resolv.conf").write_text(resolv_conf)
        steps = [
            f"{tools['ip']} link set lo up",
            *[f"{tools['ip']} address add {each} dev lo" for each in addresses],
            f"{tools['mount']} --bind {folder}/resolv.conf /etc/resolv.conf",
            f"touch {folder}/ready",
            f"exec {tools['sleep']} 600",
        ]
        command = [tools["unshare"], "--net", "--mount", tools["sh"], "-c", " && ".join(steps)]
        with (folder / "unshare").open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        eventually(lambda: (folder / "ready").exists() or self._process.poll() is not None, "a namespace")
        if self._process.poll() is not None:
            pytest.skip(f"no namespace to be had here: {(folder / 'unshare').read_text().strip()}")
        self.prefix = (tools["nsenter"], "--net", "--mount", "--target", str(self._process.pid), "--")

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        return run(*self.prefix, *command)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
