"""Probes whatever is watched, each in its own time, and tells what becomes of its readiness."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from clusterdns.probes.asking import Asking, NotAsked
from clusterdns.probes.course import Course, begun
from clusterdns.probes.probe import Readiness, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clusterdns.probes.probe import Checks, Outcome, Probe

log = logging.getLogger("clusterdns.manifests")

AT_ONCE = 100
"""Probes that wait for an answer at the same time; each takes a file descriptor."""
PATIENT = 10
"""Seconds of a timeout beyond which a probe is a patient one..."""
PATIENT_AT_ONCE = 50
"""...of which so many wait at the same time: hours of patience with servers that hang must not hold up the others."""
FIRST_A_SECOND = 500
"""How many are asked for the first time within a second. A kubelet spreads them over a whole period, but it knows from
before who was ready."""


class _Followed(Struct):
    watched: Watched
    courses: dict[int, Course] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    readiness: Readiness | None = None


class Probing:
    """Probes from `take` to `stop`. `tell` is called as soon as a readiness is known, and when it changes."""

    def __init__(self, addresses: Callable[[str], tuple[str, ...]], tell: Callable[[tuple[str, str]], None]) -> None:
        self._asking = Asking(addresses)
        self._tell = tell
        self._room = asyncio.Semaphore(AT_ONCE)
        self._room_for_patient = asyncio.Semaphore(PATIENT_AT_ONCE)
        self._turn = asyncio.Lock()
        """For one to begin in each turn of the loop: many that are due together must not hold up an answer."""
        self._followed: dict[tuple[str, str], _Followed] = {}
        self._wanting = ""
        """Why the last probe could not be made, if so."""

    def take(self, watched: Mapping[tuple[str, str], Watched]) -> None:
        """Probe these from now on, and no others. What is probed as before goes on as it is."""
        for key in self._followed.keys() - watched.keys():
            self._leave(self._followed.pop(key))
        fresh = [key for key in watched if not self._goes_on(key, watched[key])]
        for key in fresh:
            former = self._followed.get(key)
            followed = _Followed(watched[key], readiness=former.readiness if former else None)
            if former:
                self._leave(former)
            self._followed[key] = followed
            spread = len(fresh) / FIRST_A_SECOND
            for index, checks in enumerate(followed.watched.checks):
                is_ready = followed.readiness.is_ready if followed.readiness else followed.watched.is_ready
                course = self._begun(checks, spread, is_ready=is_ready)
                followed.courses[index] = course
                followed.tasks.append(asyncio.create_task(self._follow(key, followed, index)))

    def readiness(self, key: tuple[str, str]) -> Readiness | None:
        """What its probes have come to; None as long as they have not."""
        followed = self._followed.get(key)
        return followed.readiness if followed else None

    async def stop(self) -> None:
        tasks = [task for each in self._followed.values() for task in each.tasks]
        self.take({})
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._asking.close()

    def _goes_on(self, key: tuple[str, str], watched: Watched) -> bool:
        followed = self._followed.get(key)
        return followed is not None and followed.watched.checks == watched.checks

    @staticmethod
    def _leave(followed: _Followed) -> None:
        for task in followed.tasks:
            task.cancel()

    @staticmethod
    def _begun(checks: Checks, spread: float, *, is_ready: bool) -> Course:
        first = checks.readiness if is_ready or checks.startup is None else checks.startup
        jitter = random.uniform(0, min(spread, first.period if first else 0))  # noqa: S311 - no secret
        return begun(checks, time.monotonic(), jitter=jitter, is_ready=is_ready)

    async def _follow(self, key: tuple[str, str], followed: _Followed, index: int) -> None:
        course = followed.courses[index]
        while (probe := course.probe) is not None:
            await asyncio.sleep(max(0.0, course.due - time.monotonic()))
            try:
                outcome = await self._outcome(probe)
            except NotAsked as error:
                self._note_wanting(str(error))
                course = course.unasked(probe, time.monotonic())
                followed.courses[index] = course
                continue
            self._wanting = ""
            course = course.after(probe, is_success=outcome.is_success, now=time.monotonic())
            followed.courses[index] = course
            if course.is_decided:
                self._note(key, followed, probe, outcome)

    async def _outcome(self, probe: Probe) -> Outcome:
        """What the probe says, once there is room for it. Raises NotAsked."""
        is_patient = probe.timeout > PATIENT
        async with self._room_for_patient if is_patient else contextlib.nullcontext(), self._room:
            async with self._turn:
                await asyncio.sleep(0)
            return await self._asking.outcome(probe)

    def _note_wanting(self, reason: str) -> None:
        if reason != self._wanting:
            log.warning("pods are left as they are while probes can not be made: %(error)s", {"error": reason})
        self._wanting = reason

    def _note(self, key: tuple[str, str], followed: _Followed, probe: Probe, outcome: Outcome) -> None:
        """Keep what the containers have come to together, and tell it if that is new."""
        before = followed.readiness
        undecided = [each for each in followed.courses.values() if not each.is_decided]
        is_ready = all(each.is_ready for each in followed.courses.values())
        if before is None and undecided and outcome.is_success:
            return  # the others are still to tell
        if before is not None and before.is_ready == is_ready:
            if outcome.is_success == is_ready:
                followed.readiness = replace(before, probe=str(probe.request), outcome=outcome.text)
            return
        followed.readiness = Readiness(is_ready, time.time(), str(probe.request), outcome.text)
        fields = {
            "target": followed.watched.called,
            "readiness": "ready" if is_ready else "not ready",
            "probe": probe.request,
            "outcome": outcome.text,
        }
        log.info("%(target)s is %(readiness)s: %(probe)s: %(outcome)s", fields)
        self._tell(key)
