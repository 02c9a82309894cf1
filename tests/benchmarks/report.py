"""What was measured, as tables in Markdown."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.benchmarks.measuring import Run

FLOOR = "echo"


class Start(NamedTuple):
    """Until a server was ready, in seconds; its memory then, and the most that it ever had, in MiB."""

    seconds: float
    memory: float
    peak: float


class Results:
    """All runs, by server and workload, one a round."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], dict[int, Run]] = defaultdict(dict)
        self.starts: dict[str, list[Start]] = defaultdict(list)
        self.floors: dict[int, float] = {}
        """What the echo costs, by round."""
        self.faults: dict[str, None] = {}
        """What went wrong, once each."""
        self.absent: dict[str, str] = {}
        """Servers that are not installed, and what would have to be."""

    @property
    def servers(self) -> list[str]:
        return list(dict.fromkeys(server for server, _ in self.runs))

    @property
    def workloads(self) -> list[str]:
        return list(dict.fromkeys(workload for _, workload in self.runs))

    def cost(self, server: str, workload: str) -> float | None:
        """The median of the rounds, in microseconds; None if it was not measured."""
        runs = self.runs.get((server, workload))
        return median(each.cost for each in runs.values()) if runs else None

    def ratio(self, one: tuple[str, str], other: tuple[str, str]) -> float | None:
        """What the one costs, in units of the other: the median of the ratios within each round."""
        ones, others = self.runs.get(one, {}), self.runs.get(other, {})
        ratios = [each.cost / others[number].cost for number, each in ones.items() if number in others]
        return median(ratios) if ratios else None

    def over_floor(self, server: str, workload: str) -> float | None:
        """The same, in units of what the echo costs in the same round."""
        runs = self.runs.get((server, workload), {})
        ratios = [each.cost / self.floors[number] for number, each in runs.items() if number in self.floors]
        return median(ratios) if ratios else None

    def p999(self, server: str, workload: str) -> float | None:
        """Milliseconds at half the load, the median of the rounds."""
        found = [each.steady.p999 for each in self.runs.get((server, workload), {}).values() if each.steady]
        return median(found) if found else None


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Text to the left, figures to the right: the first two columns are text."""
    return "\n".join(
        ["| " + " | ".join(titles) + " |", "|---|---" + "|--:" * (len(titles) - 2) + "|", *map(_row, rows)]
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def matrix(results: Results) -> str:
    """The CPU time of an answer in microseconds: workloads below each other, servers side by side."""
    lines = ["| CPU µs/query | " + " | ".join(results.servers) + " |", "|---" + "|--:" * len(results.servers) + "|"]
    for workload in results.workloads:
        costs = [results.cost(server, workload) for server in results.servers]
        lines.append(_row([workload, *("–" if each is None else f"{each:.1f}" for each in costs)]))
    return "\n".join(lines)


def queries(results: Results) -> str:
    """Each server's figures for each workload."""
    titles = ("workload", "server", "CPU µs/query", "least to most", "× floor", "queries/s", "lost")
    titles += ("asked/s", "p50 ms", "p99 ms", "p99.9 ms")
    return table(titles, _query_rows(results))


def _query_rows(results: Results) -> Iterator[list[str]]:
    for workload in results.workloads:
        for server in results.servers:
            runs = list(results.runs.get((server, workload), {}).values())
            if not runs:
                continue
            costs = [each.cost for each in runs]
            steady = [each.steady for each in runs if each.steady]
            lost = sum(each.lost for each in runs) + sum(each.lost for each in steady)
            latencies = zip(*((each.rate, each.p50, each.p99, each.p999) for each in steady), strict=True)
            rate, *times = [median(column) for column in latencies] or [None] * 4
            yield [
                workload,
                server,
                f"{median(costs):.2f}",
                f"{min(costs):.2f} to {max(costs):.2f}",
                _shown(results.over_floor(server, workload)),
                f"{median(each.rate for each in runs):,.0f}",
                f"{lost:.0f}",
                "" if rate is None else f"{rate:,.0f}",
                *(_shown(each) for each in times),
            ]


def starts(results: Results) -> str:
    titles = ("server", "", "start to ready", "memory then", "peak memory")
    rows = []
    for server, found in results.starts.items():
        seconds, memory, peak = (median(column) for column in zip(*found, strict=True))
        rows.append([server, "", f"{seconds:.2f} s", f"{memory:.0f} MiB", f"{peak:.0f} MiB"])
    return table(titles, rows)


def remarks(results: Results) -> str:
    lines = [f"Not measured: {server} ({why})." for server, why in results.absent.items()]
    return "\n\n".join([*lines, *(f"**Wrong:** {fault}." for fault in results.faults)])


def _shown(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.2f}"
