"""How many processors this process may use: those that it may run on, or fewer if its control groups have a quota."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def wanted(workers: int | Literal["auto"]) -> int:
    """As many as are set, or one for each processor."""
    return usable() if workers == "auto" else workers


def usable(groups: Path = GROUPS, own_groups: Path = OWN_GROUPS) -> int:
    """At least one; a part of a processor does not count."""
    mask = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(mask, *_quotas(groups, own_groups), mask)))


def _quotas(groups: Path, own_groups: Path) -> Iterator[float]:
    """In processors; those of the groups around ours hold for us too."""
    for line in _text(own_groups).splitlines():
        _number, controllers, path = line.split(":", 2)
        root = groups / controllers if controllers else groups
        if not controllers or "cpu" in controllers.split(","):
            # In a container the path may be that of the host, but what stands at the root is ours.
            inner = root / path.lstrip("/")
            for each in (inner, *inner.parents):
                if each == root or root in each.parents:
                    yield from _quota(each)


def _quota(group: Path) -> Iterator[float]:
    """As version 2 of control groups has it (cpu.max), or version 1."""
    quota, _, period = _text(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
    if quota.strip().isdigit() and period.strip().isdigit() and int(period):
        yield int(quota) / int(period)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
