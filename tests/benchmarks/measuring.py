"""What one server makes of one workload: dnsperf asks as fast as it can, then latency.c at half of that rate."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.rivals import compiled
from tests.benchmarks.running import Failed, cpu_times, packet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.benchmarks.running import Running
    from tests.benchmarks.workloads import Question, Workload

RCODES = {0: "NOERROR", 3: "NXDOMAIN"}
CONNECTIONS = 8  # over TCP
BUFFER = "1024"  # KiB: a hundred long replies at once have room before they are read, as far as the system allows
WARMING = 5  # seconds at most, until each name was asked once
UNDISTURBED = 0.015  # seconds of a run that other machines may take: the system counts hundredths
CALMEST_OF = 3


class Steady(NamedTuple):
    """How long answers take at a steady rate; milliseconds."""

    rate: float
    lost: int
    p50: float
    p99: float
    p999: float


class Run(NamedTuple):
    """One run of dnsperf, and the CPU time that the server used meanwhile; seconds."""

    cpu: float
    answered: float
    lost: float
    seconds: float
    rcodes: frozenset[str]
    steady: Steady | None = None

    @property
    def cost(self) -> float:
        """CPU time for each answered query, in microseconds."""
        return self.cpu / self.answered * 1e6 if self.answered else float("nan")

    @property
    def rate(self) -> float:
        """Answered queries a second."""
        return self.answered / self.seconds


class Asked(NamedTuple):
    """A workload's questions, in the files of those who ask them."""

    workload: Workload
    questions: Sequence[Question]
    for_dnsperf: Path
    for_latency: Path

    @property
    def rcodes(self) -> frozenset[str]:
        """Those that are deserved, as dnsperf names them."""
        return frozenset(RCODES[each.rcode] for each in self.questions)


def write(workload: Workload, questions: Sequence[Question], folder: Path) -> Asked:
    name = re.sub(r"\W+", "-", workload.name)
    asked = Asked(workload, questions, folder / f"{name}.dnsperf", folder / f"{name}.queries")
    asked.for_dnsperf.write_text("".join(f"{each.name} {each.type}\n" for each in questions))
    packets = [packet(each, edns=workload.edns) for each in questions]
    asked.for_latency.write_bytes(b"".join(len(each).to_bytes(2, "big") + each for each in packets))
    return asked


def measure(target: Running, asked: Asked, *, seconds: int, outstanding: int, steady: bool, folder: Path) -> Run:
    """Raises Failed."""
    options = ["-q", str(outstanding)]
    options += ["-e"] if asked.workload.edns else []
    options += ["-m", "tcp", "-c", str(CONNECTIONS)] if asked.workload.tcp else []
    dnsperf(target, asked.for_dnsperf, "-n", "1", "-l", str(WARMING), *options)  # every name once, unmeasured
    run = dnsperf(target, asked.for_dnsperf, "-l", str(seconds), *options)
    if not (steady and asked.workload.is_steady):
        return run
    return run._replace(steady=ask_steadily(target, asked.for_latency, run.rate / 2, seconds, folder))


def dnsperf(target: Running, queries: Path, *options: str) -> Run:
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(target.port), "-d", str(queries), "-T", "1", "-W", "-b", BUFFER]
    command += options
    before = target.cpu()
    done = _finished(command)
    cpu = target.cpu() - before
    labels = ("Queries completed", "Queries lost", "Run time (s)")
    found = [re.search(rf"{re.escape(label)}: +(\S+)", done) for label in labels]
    if not all(found):
        raise Failed(f"dnsperf says nothing that could be understood: {' '.join(done[-400:].split())}")
    answered, lost, seconds = (float(each[1]) for each in found if each)
    rcodes = re.findall(r"([A-Z]+) \d+ \(", done)  # Response codes: NOERROR 70 (70.00%), NXDOMAIN 30 (30.00%)
    return Run(cpu, answered, lost, seconds, frozenset(rcodes))


def ask_steadily(target: Running, queries: Path, rate: float, seconds: int, folder: Path) -> Steady:
    """A run of which other machines took nothing, or else, of CALMEST_OF, the one of which they took the least."""
    runs: list[tuple[float, Steady]] = []
    while not runs or (runs[-1][0] > UNDISTURBED and len(runs) < CALMEST_OF):
        before = stolen()
        run = _ask_once(target, queries, rate, seconds, folder)
        runs.append((stolen() - before, run))
    return min(runs, key=lambda each: each[0])[1]


def stolen() -> float:
    """Seconds that the processors were with other virtual machines when this one wanted them (proc(5))."""
    return cpu_times()[7] / os.sysconf("SC_CLK_TCK")


def _ask_once(target: Running, queries: Path, rate: float, seconds: int, folder: Path) -> Steady:
    command = [str(compiled("latency.c", folder)), str(target.port), f"{rate:.0f}", str(seconds), str(queries)]
    sent, answered, p50, p99, p999, _longest = map(float, _finished(command).split())
    return Steady(rate, int(sent - answered), p50 / 1000, p99 / 1000, p999 / 1000)


def _finished(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = " ".join((done.stdout[-200:] + done.stderr[-200:]).split())
        raise Failed(f"{command[0]} ended with {done.returncode}: {told}")
    return done.stdout
