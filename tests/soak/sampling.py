"""Memory and descriptors of a server, as they were over the time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.running import mebibytes

if TYPE_CHECKING:
    from tests.soak.setting import Setting

WARM = 600.0
"""Seconds until the cache is full of names that were made up; in a shorter time nothing can be said of memory."""
MOST_GROWTH = 0.10  # of the memory
MOST_GROWTH_MIB = 6.0  # or so much, if that is more: what a few more replies remembered take


class Sample(NamedTuple):
    at: float
    """Seconds since the start."""
    memory: float
    """MiB, of all processes together, what they share counted once."""
    descriptors: int


class Sampling:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._begun = time.monotonic()
        self.samples: list[Sample] = []

    def sample(self) -> Sample:
        processes = self._setting.processes()
        memory = sum(mebibytes(each, "smaps_rollup", "Pss") for each in processes)
        descriptors = sum(_descriptors(each) for each in processes)
        self.samples.append(Sample(time.monotonic() - self._begun, memory, descriptors))
        return self.samples[-1]

    async def go_on(self, every: float) -> None:
        while True:
            self.sample()
            await asyncio.sleep(every)

    def growth(self) -> tuple[float, float]:
        """The memory in the second quarter of the time, and in the last: MiB, medians. The first is for warming up."""
        quarter = max(1, len(self.samples) // 4)
        second, last = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        return median(each.memory for each in second or last), median(each.memory for each in last)

    def is_flat(self) -> bool:
        if self.samples[-1].at < WARM:
            return True
        before, after = self.growth()
        return after - before <= max(MOST_GROWTH * before, MOST_GROWTH_MIB)

    def curve(self, width: int = 60) -> str:
        """The memory as a line of bars."""
        step = max(1, len(self.samples) // width)
        values = [each.memory for each in self.samples[::step]]
        least, most = min(values), max(values)
        return "".join("▁▂▃▄▅▆▇█"[round((each - least) / max(most - least, 0.1) * 7)] for each in values)


def _descriptors(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
