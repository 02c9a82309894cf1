"""The parent's side: so many workers, whatever happens to each of them."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from clusterdns.metrics import Sum
from clusterdns.workers.messages import Ask, Leave, encoded
from clusterdns.workers.worker import Worker

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Coroutine, Iterable

    from clusterdns.metrics import Reading

Outside: TypeAlias = "Callable[[Callable[[], None]], None]"
"""Does something where no loop runs, soon."""

log = logging.getLogger("clusterdns")

BEAT_SECONDS = 1.0
"""How often workers are asked whether they are there."""

READ_BEATS = 5
"""Every so many times they are asked for their numbers too: one that dies takes no more of them with it."""

MOST_UNHEARD = 5
"""Times that a worker may be asked in vain. Times, not seconds: if it is the parent that slept, nobody is at fault."""

START_SECONDS = 30.0
"""For a worker to answer queries, or to do as new settings say."""

READING_SECONDS = 1.0
"""For a worker to tell its numbers; then those that it told before have to do."""

MOST_BACKLOG = 64 << 20
"""Bytes of events that a worker has not taken yet: a cluster of 10,000 Services is a third of that."""

LIVES_LONG_SECONDS = 10.0
"""A worker that ends earlier will do so again."""

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.2, 5.0
"""Before a worker is started that ends again and again."""

STOP_SECONDS = 5.0
"""For a worker to end, beside the patience that it is told to have."""


class Crew:
    """The workers, by their numbers, which begin with 1.

    outside: has forks done where no loop runs.
    work: what a worker does, told its number and its end of the link.
    """

    def __init__(self, outside: Outside, work: Callable[[int, socket.socket], int]) -> None:
        self.restarts = 0
        self._past = Sum()
        """What the workers that have ended had counted."""
        self._outside = outside
        self._work = work
        self._wanted = 0
        self._workers: dict[int, Worker] = {}
        self._living: set[Worker] = set()
        """With those that are about to end."""
        self._short_lives: dict[int, int] = {}
        """By number: how often its worker has ended soon, one after the other."""
        self._is_over = False
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        """Workers that answer."""
        return sum(each.is_ready for each in self._workers.values())

    @property
    def processes(self) -> list[int]:
        return [each.process for each in self._living]

    def missing(self) -> list[str]:
        """What keeps them from answering, in words."""
        if self._is_over:
            return []
        if not self._wanted:
            return ["workers: none yet"]
        absent = [n for n in range(1, self._wanted + 1) if n not in self._workers or not self._workers[n].is_ready]
        silent = [n for n, each in self._workers.items() if each.is_ready and each.unheard > 1]
        return [
            *(f"worker {number}: not answering yet" for number in absent),
            *(f"worker {number}: it does not keep up" for number in silent),
        ]

    # How many there are, and what they do; one after the other

    async def become(self, count: int) -> str:
        """Have so many; why one of those that were started does not answer, if one does not."""
        async with self._changing:
            return await self._become(count)

    async def renew(self, numbers: Iterable[int] | None = None) -> None:
        """Replace these, or all, by forks of the parent as it is now; each answers before the other goes."""
        async with self._changing:
            for number in list(self._workers if numbers is None else numbers):
                former = self._workers.get(number)
                if former is not None:  # else it is being replaced anyway
                    await self._settled(await self._hire(number))
                    await self._dismiss(former)

    async def tell_settings(self, message: bytes) -> list[int]:
        """Tell all to do as new settings say; the numbers of those that do not."""
        async with self._changing:
            told = dict(self._workers)
            for each in told.values():
                each.settle(message)
            faults = {number: await self._settled(each) for number, each in told.items()}
        for number, why in faults.items():
            if why:
                log.warning("worker %d does not do as the configuration says now: %s", number, why)
        return [number for number, why in faults.items() if why and self._workers.get(number) is told[number]]

    async def _become(self, count: int) -> str:
        if self._beating is None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)
            self._beating = asyncio.create_task(self._beat())
        self._wanted = count
        started = [await self._hire(number) for number in range(1, count + 1) if number not in self._workers]
        dismissed = [self._workers.pop(number) for number in list(self._workers) if number > count]
        faults = [await self._settled(each) for each in started]
        await asyncio.gather(*map(self._dismiss, dismissed))
        return next(filter(None, faults), "")

    def tell(self, message: bytes) -> None:
        """Tell all what the source says."""
        for each in self._living:
            each.send(message)
            if each.backlog > MOST_BACKLOG:
                log.warning("worker %d does not take what it is told, and is ended", each.number)
                each.kill()

    async def _hire(self, number: int) -> Worker:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Worker] = loop.create_future()

        def make() -> None:
            if self._is_over:
                made.cancel()
                return
            try:
                worker = Worker(number, loop, self._work, self._replace_willing)
            except OSError as error:
                made.set_exception(error)
                return
            self._workers[number] = worker
            self._living.add(worker)
            made.set_result(worker)

        self._outside(make)
        return await made

    async def _settled(self, worker: Worker) -> str:
        """Why it does not do what it was told; empty once it does."""
        settled = worker.settled
        await asyncio.wait((settled,), timeout=START_SECONDS)
        if settled.done():
            return settled.result()
        worker.kill()
        return "it does not answer"

    async def _dismiss(self, worker: Worker, patience: float = STOP_SECONDS) -> None:
        worker.send(encoded(Leave(patience)))
        await self._ended((worker,), patience + STOP_SECONDS)

    async def _ended(self, workers: Collection[Worker], seconds: float) -> None:
        """Wait for their end, and see to it if it takes longer."""
        waiting = [each.gone for each in workers]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=seconds)
            for each in workers:
                if each.gone in late:
                    log.warning("worker %d does not end by itself, and is ended", each.number)
                    each.kill()
            if late:
                await asyncio.wait(late)

    # What happens to them

    def _reap(self) -> None:
        for worker in list(self._living):
            if worker.reap():
                self._living.discard(worker)
                if worker.reading is not None:
                    self._past.add_lasting(worker.reading)
                if self._workers.get(worker.number) is worker:
                    del self._workers[worker.number]
                    if not self._is_over:
                        self.do(self._replace(worker))

    def do(self, what: Coroutine[object, object, None]) -> None:
        """Have this done, unless the end comes before."""
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _replace_willing(self, worker: Worker) -> None:
        """Somebody has told this worker to end: another takes its place first."""
        if not self._is_over and self._workers.get(worker.number) is worker:
            log.warning(
                "worker %d (process %d) was told to end: another takes its place", worker.number, worker.process
            )
            self.restarts += 1
            self.do(self.renew((worker.number,)))

    async def _replace(self, worker: Worker) -> None:
        number, how = worker.number, worker.gone.result()
        lived = time.monotonic() - worker.since
        short = self._short_lives[number] = self._short_lives.get(number, 0) + 1 if lived < LIVES_LONG_SECONDS else 0
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (short - 2), LAST_PAUSE_SECONDS) if short > 1 else 0.0
        if short <= 1:
            log.warning("worker %d (process %d) has ended (%s): another takes its place", number, worker.process, how)
        elif short == 2:
            most = f"{LAST_PAUSE_SECONDS:g} s"
            log.error("worker %d ends again and again (%s): there is more and more time, up to %s, between "
                      "two tries, of which nothing more is said", number, how, most)  # fmt: skip
        await asyncio.sleep(pause)
        while not self._is_over and number <= self._wanted and number not in self._workers:
            self.restarts += 1
            try:
                await self._hire(number)
            except OSError as error:
                log.error("worker %d can not be started: %s", number, error.strerror)  # noqa: TRY400 - one line
                await asyncio.sleep(LAST_PAUSE_SECONDS)

    async def _beat(self) -> None:
        """Ask all workers, again and again, whether they are there; whoever does not answer is ended."""
        beats = 0
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            beats += 1
            ask = encoded(Ask(beats % READ_BEATS == 0))
            for each in self._living:
                if each.unheard >= (MOST_UNHEARD if each.is_ready else START_SECONDS / BEAT_SECONDS):
                    log.warning("worker %d (process %d) does not answer, and is ended", each.number, each.process)
                    each.kill()
                each.unheard += 1
                each.send(ask)
            for number, each in self._workers.items():
                lives_long = time.monotonic() - each.since > LIVES_LONG_SECONDS
                if lives_long and self._short_lives.pop(number, 0) > 1:
                    log.info("worker %d does not end any more", number)

    # What they have counted

    async def read(self) -> None:
        """Ask all workers for their numbers; of one that does not tell them, those of before have to do."""
        asked = [each for each in self._living if each.is_ready]
        for each in asked:
            each.read.clear()
            each.send(encoded(Ask(reads=True)))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(each.read.wait() for each in asked)), READING_SECONDS)

    def readings(self) -> list[Reading]:
        """What all workers have told, those included that have ended."""
        return [self._past.reading(), *(each.reading for each in self._living if each.reading is not None)]

    # What one of them knows

    async def inquire(self, about: bytes) -> bytes:
        """What a worker says about that; empty if none does."""
        able = next((each for each in self._workers.values() if each.is_ready), None)
        return b"" if able is None else await able.inquire(about)

    async def inquire_all(self, about: bytes) -> list[bytes]:
        """What each worker says about that; empty from one that says nothing."""
        return await asyncio.gather(*(each.inquire(about) for each in self._living if each.is_ready))

    # Their end

    async def linger(self, message: bytes, at_once: asyncio.Event, seconds: float) -> None:
        """Have all go in their own time, but no later than so, and at once when that is wanted."""
        self._is_over = True
        for each in self._living:
            each.send(message)
        going = [asyncio.create_task(at_once.wait()), asyncio.create_task(self._all_gone())]
        await asyncio.wait(going, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in going:
            task.cancel()

    async def _all_gone(self) -> bool:
        if self._living:
            await asyncio.wait([each.gone for each in self._living])
        return True

    async def stop(self, patience: float) -> None:
        """Have all answer what they were asked, and end."""
        self._is_over = True
        if self._beating is not None:
            self._beating.cancel()
        for task in list(self._tasks):
            task.cancel()
        for each in self._living:
            each.send(encoded(Leave(patience)))
        await self._ended(list(self._living), patience + STOP_SECONDS)
