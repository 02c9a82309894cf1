"""What was measured, as a picture: the CPU time of an answer, by workload and server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "clusterdns"  # the same figures give the same file
from matplotlib import pyplot as plt  # noqa: E402 - only once it is told to draw to a file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.report import Results


def draw(results: Results, machine: str, path: Path) -> None:
    """Bars, one a server, in groups, one a workload; as SVG. Some servers take a hundred times what others do."""
    workloads, servers = results.workloads, results.servers
    figure, axes = plt.subplots(figsize=(10, 0.5 + 0.16 * len(workloads) * (len(servers) + 1)))
    height = 1 / (len(servers) + 1)
    for number, server in enumerate(servers):
        costs = [(at, results.cost(server, each)) for at, each in enumerate(workloads)]
        known = [(at + number * height, cost) for at, cost in costs if cost is not None]
        bars = axes.barh([at for at, _ in known], [cost for _, cost in known], height, label=server)
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=7)
    axes.set_yticks([at + height * (len(servers) - 1) / 2 for at in range(len(workloads))], workloads)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("CPU time of an answered query, µs (shorter is better)")
    axes.set_title(machine, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
