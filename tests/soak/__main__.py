"""Keeps a server under load while its cluster changes and all around it fails, and tells at the end whether it is well.

Names that nothing happens to have to be answered rightly at every moment, and none of their queries lost. At the end
all is healed: then every answer has to be what the cluster says, memory and descriptors have to be what they were, and
the log must hold no fault of the program. The same seed brings the same changes and faults in the same order.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random, randrange

from tests.soak.faults import Faults
from tests.soak.load import Load, Seen, differences
from tests.soak.sampling import Sampling
from tests.soak.setting import Setting
from tests.soak.world import World

HEALED_WITHIN = 60.0  # seconds until every answer is right again
ENOUGH = 0.5  # of the changes that are asked for
SPARE = 3  # descriptors more than at the start: connections that are kept for the next question
IDLE = 15.0  # seconds until idle connections are gone


class Soak:
    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self._args = args
        self._folder = folder
        self._seen = Seen()
        self._failures: list[str] = []
        self._random = Random(args.seed)

    async def run(self) -> bool:
        """Whether the server is well."""
        args, seen = self._args, self._seen
        world = World(Random(self._random.random()))
        with Setting(self._folder, world, args.workers) as setting:
            sampling = Sampling(setting)
            faults = Faults(setting, world, seen, Random(self._random.random()), workers=args.workers)
            load = Load(setting.port, world, seen, Random(self._random.random()), args.rate)
            at_start = sampling.sample()
            lasting = [load.over_udp(), load.over_tcp(), faults.change(args.changes), sampling.go_on(args.every)]
            begun = time.monotonic()
            tasks = [asyncio.create_task(each) for each in lasting]
            failing = asyncio.create_task(faults.happen())
            try:
                await self._wait(setting, sampling, [*tasks, failing])
            except asyncio.CancelledError:
                say("interrupted: this is what was seen so far")
            for each in (failing, *tasks[2:]):
                await _ended(each)
            self._check_changes(time.monotonic() - begun)
            self._failures += [f"the API server has another {each}" for each in world.differences(setting.stored())[:5]]
            await self._check_answers(setting, world)
            for each in tasks[:2]:
                await _ended(each)
            await self._check_descriptors(sampling, at_start.descriptors)
            self._check_lost(faults.excused)
            if not sampling.is_flat():
                before, after = sampling.growth()
                self._failures.append(f"memory grew from {before:.1f} to {after:.1f} MiB")
            if setting.server.poll() is not None:
                self._failures.append(f"the server ended with {setting.server.returncode}")
            self._failures += [f"the log says: {each[:300]}" for each in setting.faults_told()[:5]]
            self._failures += [f"wrong: {each}" for each in seen.wrong]
            self._tell(sampling)
        return not self._failures

    async def _wait(self, setting: Setting, sampling: Sampling, tasks: list[asyncio.Task[None]]) -> None:
        """Until the time is over. A client, or whoever makes faults, that ends before is a fault of the soak's own."""
        begun = time.monotonic()
        while (left := begun + self._args.minutes * 60 - time.monotonic()) > 0:
            done, _ = await asyncio.wait(tasks, timeout=min(left, 10), return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
            if setting.server.poll() is not None:
                return
            last, counts, seconds = sampling.samples[-1], self._seen.counts, time.monotonic() - begun
            say(
                f"{seconds:4.0f} s: {counts['over UDP']:,} queries over UDP, {counts['over TCP']:,} over TCP,"
                f" {counts['changes']:,} changes, {len(self._seen.lost)} lost, {counts['wrong']} wrong,"
                f" {last.memory:.1f} MiB, {last.descriptors} descriptors"
            )

    def _check_changes(self, seconds: float) -> None:
        reached = self._seen.counts["changes"] / seconds
        if reached < ENOUGH * self._args.changes:
            self._failures.append(f"only {reached:.1f} changes a second in place of {self._args.changes:g}")

    async def _check_answers(self, setting: Setting, world: World) -> None:
        """All of them, until they are right or the time for that is over."""
        end, found = time.monotonic() + HEALED_WITHIN, ["nothing was asked"]
        truths = world.truths()
        while found and time.monotonic() < end and setting.server.poll() is None:
            try:
                async with asyncio.timeout(20):
                    found = await differences(setting.port, truths)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                found = [repr(error)]
            await asyncio.sleep(0.5 if found else 0)
        say(f"of {len(truths):,} answers at the end {len(truths) - len(found):,} are the truth")
        self._failures += [f"at the end: {each}" for each in found[:10]]

    async def _check_descriptors(self, sampling: Sampling, at_start: int) -> None:
        end = time.monotonic() + IDLE
        while (now := sampling.sample().descriptors) > at_start + SPARE and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        if now > at_start + SPARE:
            self._failures.append(f"{at_start} descriptors at the start, {now} at the end")

    def _check_lost(self, excused: list[tuple[float, float]]) -> None:
        lost = [(at, what) for at, what in self._seen.lost if not any(low <= at <= high for low, high in excused)]
        self._seen.counts["lost"] = len(lost)
        self._seen.counts["lost with a worker that was killed"] = len(self._seen.lost) - len(lost)
        self._failures += [f"lost: {what}" for _, what in lost[:10]]

    def _tell(self, sampling: Sampling) -> None:
        print(f"\nseed {self._args.seed}, {self._args.minutes:g} minutes, {self._args.workers} answering\n")
        print("| what | how often |\n|---|--:|")
        for what, count in sorted(self._seen.counts.items()):
            print(f"| {what} | {count:,} |")
        before, after = sampling.growth()
        first, last = sampling.samples[0], sampling.samples[-1]
        print(
            f"\nmemory {first.memory:.1f} MiB at the start, {before:.1f} in the second quarter, {after:.1f} in the last"
        )
        print(f"       {sampling.curve()}")
        print(f"descriptors {first.descriptors} at the start, {last.descriptors} at the end\n")
        for each in self._failures:
            print(f"**Wrong:** {each}")
        print("not well" if self._failures else "well")


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def say(text: str) -> None:
    print(f"soak: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--minutes", type=float, default=5, metavar="N", help="how long (%(default)s)")
    add("--seed", type=int, default=None, metavar="N", help="of what happens (any)")
    add("--rate", type=float, default=500, metavar="N", help="queries a second over UDP (%(default)s)")
    add("--changes", type=float, default=30, metavar="N", help="changes a second, about (%(default)s)")
    add("--workers", type=int, default=1, metavar="N", help="processes that answer (%(default)s)")
    add("--every", type=float, default=1, metavar="SECONDS", help="between two looks at the memory (%(default)s)")
    args = parser.parse_args()
    if args.seed is None:
        args.seed = randrange(1_000_000)
    if not (0 < args.minutes <= 24 * 60 and args.rate > 0 and args.changes > 0 and args.workers > 0 and args.every > 0):
        parser.error("all of them are more than 0, and minutes at most a day's")
    return args


async def main() -> int:
    args = arguments()
    folder = Path(tempfile.mkdtemp(prefix="clusterdns-soak-"))
    say(f"seed {args.seed}; logs in {folder}")
    task = asyncio.create_task(Soak(args, folder).run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    if not await task:
        say(f"logs are kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
