"""What is promised of speed, memory and start, as ratios within one run: kept or missed."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.report import Results

OURS = "clusterdns"
MOST_MEMORY = 139e6 / (1 << 20)
"""What CoreDNS 1.14 takes for 10,000 Services and 50,000 endpoints, as it was once measured: 139 MB; here in MiB."""


class Budget(NamedTuple):
    what: str
    limit: float
    measured: float | None
    unit: str = "×"
    is_least: bool = False
    """Whether it is a least, not a most."""

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured, since that was not asked for or is not installed"
        return "kept" if (self.measured >= self.limit) == self.is_least or self.measured == self.limit else "**missed**"


def budgets(results: Results, growth: float | None) -> Iterator[Budget]:
    """growth: what a query costs in a large cluster, in units of what it costs in a small one."""

    def ours(workload: str, other: str) -> float | None:
        return results.ratio((OURS, workload), (OURS, other))

    yield Budget("cluster A, over the floor", 2.6, results.over_floor(OURS, "A"))
    yield Budget("CoreDNS with cache 30, over ours, A", 3.5, _rival(results, "CoreDNS, cache 30"), is_least=True)
    newest = _rival(results, "CoreDNS, newest Corefile")
    yield Budget("CoreDNS with kubeadm's newest Corefile, over ours, A", 7, newest, is_least=True)
    yield Budget("NXDOMAIN over a hit", 1.2, ours("NXDOMAIN", "A"))
    yield Budget("NODATA over a hit", 1.2, ours("AAAA, no data", "A"))
    yield Budget("EDNS over plain, A", 1.25, ours("A, EDNS", "A"))
    yield Budget("EDNS over plain, mix", 1.25, ours("mix, EDNS", "mix"))
    yield Budget("cached external over a hit", 2, ours("cached external", "A"))
    yield Budget("A in a large cluster over a small one", 1.15, growth)
    for workload in ("mix", "A, 100 changes/s", "mix, 100 changes/s", "mix, all listed anew"):
        yield Budget(f"p99.9 at half the load, {workload}", 5, results.p999(OURS, workload), "ms")
    memory, theirs = _median_start(results, OURS, "peak"), _median_start(results, "CoreDNS, cache 30", "peak")
    yield Budget("peak memory", MOST_MEMORY, memory, "MiB")
    if theirs is not None:
        yield Budget("peak memory, CoreDNS's being the limit", theirs, memory, "MiB")
    yield Budget("start to ready", 2, _median_start(results, OURS, "seconds"), "s")


def _median_start(results: Results, server: str, figure: str) -> float | None:
    found = results.starts.get(server)
    return median(getattr(each, figure) for each in found) if found else None


def _rival(results: Results, server: str) -> float | None:
    return results.ratio((server, "A"), (OURS, "A"))


def verdicts(found: list[Budget]) -> str:
    rows = [
        [
            each.what,
            f"{'least' if each.is_least else 'most'} {each.limit:.4g} {each.unit}",
            "" if each.measured is None else f"{each.measured:.2f} {each.unit}",
            each.verdict,
        ]
        for each in found
    ]
    return table(("budget", "limit", "measured", "verdict"), rows)
