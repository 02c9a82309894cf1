"""Compares clusterdns with the DNS servers that are installed, and with a C loop that only echoes, in one run.

One core is the server's; dnsperf, the API server and the upstream have another. Each round measures the echo first, and
then all servers, so that a machine that grows slow in between slows all of them; tables show medians of the rounds, and
ratios are those within a round. Each server starts anew in each round, is asked a sample whose answers are checked, and
sees each question once unmeasured. Where other virtual machines took the processors while answers were timed, they are
timed again, and the calmest of three runs counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import report
from tests.benchmarks.budgets import budgets, verdicts
from tests.benchmarks.feed import Feed, feed
from tests.benchmarks.measuring import Asked, Run, measure, write
from tests.benchmarks.report import Results, Start
from tests.benchmarks.rivals import OURS, RIVALS, WORKERS, Rival, Site
from tests.benchmarks.running import Failed, Running, ask, cpu_times, free_port, is_right, process, serving
from tests.benchmarks.workloads import WORKLOADS, Cluster, Question, Workload, found, make_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

QUESTIONS = 20_000  # in each workload's file, which is read again and again
TURNS = 3  # of asking the clusters of different sizes, of which the median counts
SAMPLE = 50  # questions of each workload whose answers are checked before it is measured


class Bench(NamedTuple):
    """What one round after the other is measured with."""

    args: argparse.Namespace
    folder: Path
    cores: Sequence[int]
    """The clients', and the server's."""
    upstream: int
    results: Results
    random: Random

    def ask_all(self, rival: Rival, cluster: Cluster, feed: Feed, asked: Sequence[Asked], number: int) -> None:
        """One round of one server. A workload that fails is noted, and the others are measured. Raises Failed."""
        with self.started(rival, cluster, feed, self.cores[-1:]) as target:
            memory = target.memory()
            for each in asked[:1] if rival.is_floor else asked:
                if rival.is_floor or _can(rival, each.workload):
                    about = f"{rival.name}, {each.workload.name}"
                    self.attempt(about, partial(self._ask, rival, target, feed, each, number))
            if not rival.is_floor:
                start = Start(target.ready_in, memory, max(target.peak_memory(), target.memory()))
                self.results.starts[rival.name].append(start)

    def attempt(self, what: str, measured: Callable[[], None]) -> None:
        """What fails is noted, and what comes after it is measured nevertheless."""
        try:
            measured()
        except Failed as failure:
            self.results.faults[f"{what}: {failure}"] = None

    def measure(self, target: Running, asked: Asked, *, steady: bool = False) -> Run:
        """Raises Failed."""
        seconds, outstanding = self.args.seconds, self.args.outstanding
        return measure(target, asked, seconds=seconds, outstanding=outstanding, steady=steady, folder=self.folder)

    @contextmanager
    def started(self, rival: Rival, cluster: Cluster, feed: Feed, cores: Sequence[int]) -> Iterator[Running]:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        site = Site(folder, free_port(), self.upstream, cluster, feed.url)
        command = rival.command(site)
        command[0] = shutil.which(command[0]) or rival.path() or command[0]
        ready = [] if rival.is_floor else found(cluster)
        with serving(command, site.port, cores, folder / "log", ready) as target:
            yield target

    def _ask(self, rival: Rival, target: Running, feed: Feed, asked: Asked, number: int) -> None:
        workload, args = asked.workload, self.args
        say(f"round {number + 1} of {args.rounds}: {rival.name}, {workload.name}")
        about = f"{rival.name} answers {workload.name}"
        with feed.meanwhile(workload.meanwhile):
            if not rival.is_floor:
                for question in self.random.sample(asked.questions, SAMPLE):
                    if not is_right(reply := ask(target.port, question, edns=workload.edns), question):
                        told = f"such as {question.name} {question.type}: {reply.hex()[:80] or 'nothing'}"
                        self.results.faults.setdefault(f"{about} wrongly or not at all, {told}", None)
                        break
            run = self.measure(target, asked, steady=not rival.is_floor)
        if rival.is_floor:
            self.results.floors[number] = run.cost
        elif unexpected := run.rcodes - asked.rcodes:
            self.results.faults.setdefault(f"{about} with {', '.join(sorted(unexpected))}", None)
        self.results.runs[rival.name, workload.name][number] = run


def _can(rival: Rival, workload: Workload) -> bool:
    is_live = rival.is_live or not workload.meanwhile
    return is_live and (rival.forwards or not workload.forwards) and (rival.speaks_tcp or not workload.tcp)


def rounds(bench: Bench) -> None:
    """All servers and workloads, again and again."""
    args = bench.args
    cluster = make_cluster(args.services, args.endpoints)
    rivals = [each for each in RIVALS if each.is_floor or each.name in (args.server or [each.name])]
    for each in rivals:
        if each.path() is None:
            bench.results.absent[each.name] = f"no {each.program} is installed"
    asked = _written(bench, cluster, args.workload)
    say(f"an API server is given {args.services:,} Services, {args.endpoints:,} endpoints and {args.pods:,} pods")
    with feed(cluster, args.pods) as source:
        for number in range(args.rounds):
            for rival in rivals:
                if rival.path() is not None:
                    bench.attempt(rival.name, partial(bench.ask_all, rival, cluster, source, asked, number))


class Size(NamedTuple):
    """One round in a cluster of so many services: what an A query costs in microseconds, and how it was to start."""

    services: int
    cost: float
    start: Start


def sizes(bench: Bench) -> list[list[Size]]:
    """By round: clusters of each size. All run, and are asked in turns, so that a slow moment is one of all of them."""
    args, measured = bench.args, list[list[Size]]()
    with ExitStack() as stack:
        made = []
        for services in args.sizes:
            cluster = make_cluster(services, services * 5)
            made.append((services, cluster, stack.enter_context(feed(cluster)), *_written(bench, cluster, ["A"])))
        for number in range(args.rounds if made else 0):
            with ExitStack() as round_:
                running = []
                for services, cluster, source, asked in made:
                    say(f"round {number + 1} of {args.rounds}: clusterdns, A, {services:,} Services")
                    target = round_.enter_context(bench.started(OURS, cluster, source, bench.cores[-1:]))
                    running.append((services, target, target.memory(), asked))
                turns = [[bench.measure(target, asked).cost for _, target, _, asked in running] for _ in range(TURNS)]
                costs = [median(each) for each in zip(*turns, strict=True)]
                measured.append(
                    [
                        Size(services, cost, Start(target.ready_in, memory, target.peak_memory()))
                        for (services, target, memory, _), cost in zip(running, costs, strict=True)
                    ]
                )
    return measured


def growth(grown: list[list[Size]]) -> float | None:
    """What a query costs in the largest cluster, in units of the smallest: the median of the rounds."""
    ratios = [each[-1].cost / each[0].cost for each in grown if len(each) > 1]
    return median(ratios) if ratios else None


def workers(bench: Bench) -> list[list[str]]:
    """One process against two workers, both on all cores, which they share with who asks."""
    cluster = make_cluster(bench.args.services, bench.args.endpoints)
    (asked,) = _written(bench, cluster, ["mix"])
    rows = []
    with feed(cluster) as source:
        for rival, name in ((OURS, "1"), (WORKERS, "2")):
            say(f"clusterdns with {name} answering")
            with bench.started(rival, cluster, source, bench.cores) as target:
                run = bench.measure(target, asked)
                memory = target.memory()
            rows.append([name, "mix", f"{run.cost:.2f}", f"{run.rate:,.0f}", f"{run.lost:.0f}", f"{memory:.0f} MiB"])
    return rows


def _written(bench: Bench, cluster: Cluster, names: Sequence[str] | None) -> list[Asked]:
    chosen = [each for each in WORKLOADS if each.name in (names or [each.name])]
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    return [write(each, [each.ask(cluster, bench.random) for _ in range(QUESTIONS)], folder) for each in chosen]


class Machine:
    """The machine, and how busy it was with other things since this was made."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores = cores
        self._load = os.getloadavg()[0]
        self._times = cpu_times()
        model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        self.name = f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"

    def told(self) -> str:
        spent = [now - then for now, then in zip(cpu_times(), self._times, strict=True)]
        busy = sum(spent[:8]) - spent[3] - spent[4]  # all but idle and iowait, proc(5)
        return (
            f"{self.name}, {platform.python_implementation()} {platform.python_version()}; the server on core"
            f" {self._cores[-1]}, who asks on core {self._cores[0]}; load average before {self._load:.2f}, after"
            f" {os.getloadavg()[0]:.2f}; {spent[7] / max(busy, 1):.0%} of the busy time was stolen by other machines."
        )


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--services", type=int, default=10_000, metavar="N", help="a tenth of them headless (%(default)s)")
    add("--endpoints", type=int, default=50_000, metavar="N", help="of all services together (%(default)s)")
    add("--pods", type=int, default=150_000, metavar="N", help="that the API server has besides (%(default)s)")
    add(
        "--sizes",
        type=_sizes,
        default=(100, 1000, 10_000),
        metavar="N,N,…",
        help="services, for growth (100,1000,10000)",
    )
    add("--rounds", type=int, default=3, metavar="N", help="to take the median of (%(default)s)")
    add("--seconds", type=int, default=2, metavar="N", help="length of one measurement (%(default)s)")
    add("--outstanding", type=int, default=100, metavar="N", help="queries that dnsperf keeps in flight (%(default)s)")
    add("--quick", action="store_true", help="one round of one second, without sizes and workers")
    add("--server", action="append", choices=[e.name for e in RIVALS], help="only this one and echo; repeatable")
    add("--workload", action="append", choices=[e.name for e in WORKLOADS], help="only this one; repeatable")
    add("--output", type=Path, metavar="FILE", help="write the tables there too")
    add("--plot", type=Path, metavar="FILE.svg", help="draw the figures there")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.sizes, args.pods = 1, 1, (), 0
    if args.services < 10 or args.endpoints < args.services or any(each < 10 for each in args.sizes):
        parser.error("there must be 10 services or more, and an endpoint or more for each")
    if min(args.rounds, args.seconds, args.outstanding) < 1:
        parser.error("--rounds, --seconds and --outstanding are 1 or more")
    for each in (args.output, args.plot):
        if each and not each.absolute().parent.is_dir():
            parser.error(f"{each}: there is no such folder")
    return args


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(",") if each)


@contextmanager
def upstream(folder: Path) -> Iterator[int]:
    """The port of an upstream, on the core of who asks."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("upstream.py")), str(port)]
    with process(command, sorted(os.sched_getaffinity(0)), folder / "upstream.log"):
        while not ask(port, Question("www.example.test", "A"), timeout=0.1):
            pass
        yield port


def main() -> int:
    args = arguments()
    for tool, packages in (("cc", "gcc libc6-dev"), ("dnsperf", "dnsperf")):
        if not shutil.which(tool):
            say(f"{tool} is not installed (Debian: apt-get install {packages})")
            return 2
    if args.plot:
        try:
            from tests.benchmarks import plot
        except ImportError:
            say("--plot needs matplotlib: pip install 'clusterdns[bench]'")
            return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # an exception, so that what was started is ended
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        say("there is only one core: who asks and who answers take turns on it, and the figures say little")
    machine, results = Machine(cores), Results()
    grown: list[list[Size]] = []
    shared: list[list[str]] = []
    os.sched_setaffinity(0, cores[:1])  # dnsperf, the API server and the upstream inherit it
    with tempfile.TemporaryDirectory(prefix="clusterdns-bench-") as name, upstream(Path(name)) as port:
        bench = Bench(args, Path(name), cores, port, results, Random(1))
        bench.attempt("the servers", partial(rounds, bench))
        if not (args.server or args.workload):
            bench.attempt("sizes", lambda: grown.extend(sizes(bench)))
        if not (args.server or args.workload or args.quick):
            bench.attempt("workers", lambda: shared.extend(workers(bench)))
    text = "\n\n".join(filter(None, tables(args, machine, results, grown, shared)))
    print(text)
    if args.output:
        args.output.write_text(text + "\n")
    if args.plot:
        plot.draw(results, machine.name, args.plot)
    return 1 if results.faults else 0


def tables(
    args: argparse.Namespace,
    machine: Machine,
    results: Results,
    grown: list[list[Size]],
    shared: list[list[str]],
) -> Iterator[str]:
    yield (
        f"{args.services:,} Services, {args.endpoints:,} endpoints, {args.pods:,} pods, which are not"
        f" asked for where pod names are not verified; medians of {args.rounds} rounds of"
        f" {args.seconds} s, {args.outstanding} queries in flight; times of answers at half the load.\n{machine.told()}"
    )
    yield report.matrix(results)
    yield report.queries(results)
    yield report.starts(results)
    if grown:
        rows = []
        for column in zip(*grown, strict=True):
            costs, begun = [each.cost for each in column], [each.start for each in column]
            rows.append([
                f"{column[0].services:,}", "A", f"{median(costs):.2f}", f"{median(s.seconds for s in begun):.2f} s",
                f"{median(s.memory for s in begun):.0f} MiB", f"{median(s.peak for s in begun):.0f} MiB",
            ])  # fmt: skip
        titles = ("Services", "workload", "CPU µs/query", "start to ready", "memory then", "peak memory")
        yield report.table(titles, rows)
    if shared:
        yield "Both processors are shared with who asks:"
        titles = ("processes that answer", "workload", "CPU µs/query", "queries/s", "lost", "memory (PSS)")
        yield report.table(titles, shared)
    yield verdicts(list(budgets(results, growth(grown))))
    yield report.remarks(results)


if __name__ == "__main__":
    sys.exit(main())
