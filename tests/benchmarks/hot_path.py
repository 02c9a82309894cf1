"""What an answered query costs in CPU time, beside the floor that the kernel sets.

    python tests/benchmarks/hot_path.py

One core is the server's, another is dnsperf's. Each round measures the floor first (echo.c, compiled on the spot) and
then every workload, so that a machine that grows slow in between slows both; the table shows medians of the rounds.
dnsperf is often the slower side: where the server's core is not busy, queries/s is dnsperf's figure, not the server's.
Each server starts anew in each round, is asked a sample whose answers are checked, and sees each file once unmeasured.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from workloads import NOERROR, NXDOMAIN, WORKLOADS, Question, Workload, make_cluster, write_manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

QUESTIONS = 20_000  # in each workload's file, which dnsperf reads again and again
SAMPLE = 50  # questions of each workload whose answers are checked before it is measured
PATIENCE = 120.0  # seconds from a server's start to its first answer

RCODES = {NOERROR: "NOERROR", NXDOMAIN: "NXDOMAIN"}
TYPES = {"A": 1, "PTR": 12, "AAAA": 28, "SRV": 33}


class Failed(Exception):
    """The benchmark cannot go on."""


class Server(NamedTuple):
    """A server under test. Its command is made from the temporary folder, where it may write, its port, and that of the
    upstream for all names but the cluster's.
    """

    name: str
    command: Callable[[Path, int, int], list[str]]
    is_floor: bool = False  # measured on the first workload only; it answers nothing that could be checked


def echo(folder: Path, port: int, _upstream: int) -> list[str]:
    program, source = folder / "echo", Path(__file__).with_name("echo.c")
    if not program.exists():
        built = subprocess.run(["cc", "-O2", "-o", program, source], capture_output=True, text=True, check=False)
        if built.returncode:
            raise Failed(f"cc cannot compile {source}:\n{built.stderr}")
    return [str(program), str(port)]


def clusterdns(folder: Path, port: int, upstream: int) -> list[str]:
    """As it is set up in a cluster, where clients complete short names themselves."""
    manifests = str(folder / "manifests")
    command = [sys.executable, "-m", "clusterdns", "serve", "--manifests", manifests, "--listen", f"127.0.0.1:{port}"]
    return [*command, "--upstream", f"127.0.0.1:{upstream}", "--search", "client"]


SERVERS = (
    Server("echo", echo, is_floor=True),
    Server("clusterdns", clusterdns),
)


class Running(NamedTuple):
    """A server's process, its port, and how many seconds it took to its first answer."""

    server: Server
    process: subprocess.Popen[bytes]
    port: int
    started_in: float

    def cpu(self) -> float:
        """The seconds of CPU time that it has used, all its threads together."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)

    def peak_memory(self) -> float:
        """In MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def upstream() -> Iterator[int]:
    """The port of an upstream, on dnsperf's core."""
    port = free_port()
    process = subprocess.Popen([sys.executable, Path(__file__).with_name("upstream.py"), str(port)])
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def running(server: Server, folder: Path, core: int, first: Question, upstream_port: int) -> Iterator[Running]:
    """The server on its core, from its first answer on; it has ended when the block is left, however it is left."""
    port = free_port()
    command, log, ours = (
        server.command(folder, port, upstream_port),
        folder / f"{server.name}.log",
        os.sched_getaffinity(0),
    )
    began = time.monotonic()
    with log.open("wb") as stderr:
        os.sched_setaffinity(0, {core})  # inherited: no thread of the server ever runs elsewhere
        try:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        finally:
            os.sched_setaffinity(0, ours)
    try:
        while not is_right(reply := ask(port, first, timeout=0.05), first, server):
            if process.poll() is not None or time.monotonic() > began + PATIENCE:
                state = "does not answer" if process.returncode is None else f"ended with {process.returncode}"
                raise Failed(f"{server.name} {state}; its last reply: {reply!r}\n{log.read_text()[-2000:]}")
            time.sleep(0.005)
        yield Running(server, process, port, time.monotonic() - began)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(port: int, question: Question, timeout: float = 1) -> bytes:
    """The reply; nothing if nobody listens yet, or nobody answers in time."""
    name = b"".join(bytes((len(label),)) + label.encode() for label in question.name.split(".")) + b"\0"
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + TYPES[question.type].to_bytes(2, "big") + b"\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout)
        udp.connect(("127.0.0.1", port))
        try:
            udp.send(query)
            return udp.recv(65535)
        except OSError:
            return b""


def is_right(reply: bytes, question: Question, server: Server) -> bool:
    if len(reply) < 12 or server.is_floor:
        return bool(reply)
    is_truncated, rcode, records = bool(reply[2] & 0x02), reply[3] & 0x0F, int.from_bytes(reply[6:8], "big")
    return rcode == question.rcode and (is_truncated or records == question.records)


class Run(NamedTuple):
    """One run of dnsperf, and the CPU time that the server used meanwhile."""

    cpu: float
    answered: float
    lost: float
    seconds: float
    latency: float
    rcodes: frozenset[str]

    @property
    def cost(self) -> float:
        """CPU time for each answered query, in microseconds."""
        return self.cpu / self.answered * 1e6 if self.answered else float("nan")


def dnsperf(target: Running, queries: Path, *options: str) -> Run:
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(target.port), "-d", str(queries), "-t", "1", "-W", *options]
    before = target.cpu()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    cpu = target.cpu() - before
    labels = ("Queries completed", "Queries lost", "Run time (s)", "Average Latency (s)")
    found = [re.search(rf"{re.escape(label)}: +(\S+)", done.stdout) for label in labels]
    if not all(found):
        raise Failed(f"dnsperf ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    answered, lost, seconds, latency = (float(each[1]) for each in found if each)
    rcodes = re.findall(r"([A-Z]+) \d+ \(", done.stdout)  # Response codes: NOERROR 70 (70.00%), NXDOMAIN 30 (30.00%)
    return Run(cpu, answered, lost, seconds, latency, frozenset(rcodes))


class Report:
    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
        self.ratios: dict[tuple[str, str], list[float]] = defaultdict(list)  # to the floor of the same round
        self.starts: dict[str, list[tuple[float, float]]] = defaultdict(list)  # seconds, MiB
        self.faults: set[str] = set()

    def markdown(self) -> str:
        titles = ("CPU µs/query", "least to most", "× floor", "queries/s", "core busy", "mean latency µs", "lost")
        lines = [f"| server | workload | {' | '.join(titles)} |", "|---|---" + "|--:" * len(titles) + "|"]
        for (server, workload), runs in self.runs.items():
            costs = [run.cost for run in runs]
            lines.append(
                f"| {server} | {workload} | {median(costs):.2f} | {min(costs):.2f} to {max(costs):.2f}"
                f" | {median(self.ratios[server, workload]):.2f}"
                f" | {median(run.answered / run.seconds for run in runs):,.0f}"
                f" | {median(run.cpu / run.seconds for run in runs):.0%}"
                f" | {median(run.latency for run in runs) * 1e6:.0f} | {sum(run.lost for run in runs):.0f} |"
            )
        lines += ["", "| server | start to first answer | peak memory |", "|---|--:|--:|"]
        for server, starts in self.starts.items():
            seconds, memory = (median(column) for column in zip(*starts, strict=True))
            lines.append(f"| {server} | {seconds:.2f} s | {memory:.0f} MiB |")
        return "\n".join([*lines, *(f"\n**Wrong:** {fault}." for fault in sorted(self.faults))])


def measure(args: argparse.Namespace, folder: Path, core: int) -> Report:
    random, cluster = Random(1), make_cluster(args.services, args.endpoints)
    (folder / "manifests").mkdir()
    write_manifests(cluster, folder / "manifests")
    first = Question(cluster.addressed[-1].host, "A")
    workloads = [each for each in WORKLOADS if each.name in (args.workload or [each.name])]
    servers = [each for each in SERVERS if each.is_floor or each.name in (args.server or [each.name])]
    questions = {each: [each.ask(cluster, random) for _ in range(QUESTIONS)] for each in workloads}
    report, floor = Report(), float("nan")

    def run(target: Running, workload: Workload) -> Run:
        queries = folder / f"{workload.name}.queries"
        if not queries.exists():
            queries.write_text("".join(f"{each.name} {each.type}\n" for each in questions[workload]))
        about = f"{target.server.name} answers {workload.name}"
        for question in random.sample(questions[workload], SAMPLE):
            if not is_right(ask(target.port, question), question, target.server):
                report.faults.add(f"{about} wrongly or not at all, such as {question.name} {question.type}")
                break
        options = ("-l", str(args.seconds), "-q", str(args.outstanding), *workload.dnsperf)
        dnsperf(target, queries, "-n", "1", *options)
        measured = dnsperf(target, queries, *options)
        unexpected = measured.rcodes - {RCODES[each.rcode] for each in questions[workload]}
        if unexpected and not target.server.is_floor:
            report.faults.add(f"{about} with {', '.join(sorted(unexpected))}")
        return measured

    with upstream() as port:
        for number in range(args.rounds):
            for server in servers:
                with running(server, folder, core, first, port) as target:
                    for workload in workloads[: 1 if server.is_floor else None]:
                        say(f"round {number + 1} of {args.rounds}: {server.name}, {workload.name}")
                        measured = run(target, workload)
                        floor = measured.cost if server.is_floor else floor
                        report.runs[server.name, workload.name].append(measured)
                        report.ratios[server.name, workload.name].append(measured.cost / floor)
                    report.starts[server.name].append((target.started_in, target.peak_memory()))
    return report


def machine(cores: Sequence[int], load: Sequence[float], times: Sequence[int]) -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    spent = [now - then for now, then in zip(cpu_times(), times, strict=True)]
    busy = sum(spent[:8]) - spent[3] - spent[4]  # all but idle and iowait, proc(5)
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores (server on core {cores[-1]},"
        f" dnsperf on core {cores[0]}), Linux {platform.release()},"
        f" {platform.python_implementation()} {platform.python_version()};"
        f" load average before {' '.join(f'{each:.2f}' for each in load)}, after {os.getloadavg()[0]:.2f};"
        f" {spent[7] / max(busy, 1):.0%} of the busy time stolen by other virtual machines."
    )


def cpu_times() -> list[int]:
    return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]


def say(text: str) -> None:
    print(f"hot_path: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--services", type=int, default=10_000, metavar="N", help="a tenth of them headless (%(default)s)")
    add("--endpoints", type=int, default=50_000, metavar="N", help="of all services together (%(default)s)")
    add("--rounds", type=int, default=3, metavar="N", help="to take the median of (%(default)s)")
    add("--seconds", type=int, default=3, metavar="N", help="length of one measurement (%(default)s)")
    add("--outstanding", type=int, default=100, metavar="N", help="queries that dnsperf keeps in flight (%(default)s)")
    add("--server", action="append", choices=[each.name for each in SERVERS], help="only this one and echo; repeatable")
    add("--workload", action="append", choices=[each.name for each in WORKLOADS], help="only this one; repeatable")
    args = parser.parse_args()
    if args.services < 10 or args.endpoints < args.services:
        parser.error("there must be 10 services or more, and an endpoint or more for each")
    if min(args.rounds, args.seconds, args.outstanding) < 1:
        parser.error("--rounds, --seconds and --outstanding are 1 or more")
    return args


def main() -> int:
    args = arguments()
    for tool, packages in (("cc", "gcc libc6-dev"), ("dnsperf", "dnsperf")):
        if not shutil.which(tool):
            say(f"{tool} is not installed (Debian: apt-get install {packages})")
            return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # an exception, so that what was started is ended
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    cores, load, times = sorted(os.sched_getaffinity(0)), os.getloadavg(), cpu_times()
    os.sched_setaffinity(0, cores[:1])  # dnsperf inherits it
    if len(cores) == 1:
        say("there is only one core: dnsperf and the server take turns on it, and the figures say little")
    try:
        with tempfile.TemporaryDirectory(prefix="clusterdns-hot-path-") as folder:
            report = measure(args, Path(folder), cores[-1])
    except Failed as failure:
        say(str(failure))
        return 1
    cluster = f"{args.services:,} Services, {args.endpoints:,} endpoints"
    print(f"{cluster}; medians of {args.rounds} rounds of {args.seconds} s, {args.outstanding} queries in flight.")
    print(f"{machine(cores, load, times)}\n\n{report.markdown()}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
