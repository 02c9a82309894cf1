"""Whether upstreams can be asked: those that failed are tried again, and those that lead back to us are found out.

One probe serves for both: a question for a name that nobody else asks for. Any response shows that the upstream is
there; if the question itself comes in at our own door, then what we ask it is what it asks us.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.forward.upstream import Asked, Try
from clusterdns.queries import RD
from clusterdns.records import Question, Type

if TYPE_CHECKING:
    from clusterdns.forward.upstream import Upstream
    from clusterdns.names import Name
    from clusterdns.responses import Response

log = logging.getLogger("clusterdns.forward")

PROBE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 30.0
MOST_PROBES = 1000
"""Names of probes that are remembered: their questions may come back late."""


class Prober:
    def __init__(self) -> None:
        self._probes: dict[Name, tuple[Upstream, Name]] = {}
        """By the name of the question: who was asked, and for which zone."""
        self._returned: set[Name] = set()
        self._checks: dict[Upstream, asyncio.Task[None]] = {}

    def check(self, upstream: Upstream, zone: Name) -> None:
        """Probe an upstream of the zone until it answers, unless that is being done; it is left out meanwhile."""
        if upstream not in self._checks:
            task = asyncio.get_running_loop().create_task(self._check(upstream, zone))
            self._checks[upstream] = task
            task.add_done_callback(lambda _: self._checks.pop(upstream, None))

    def forget(self, upstream: Upstream) -> None:
        task = self._checks.get(upstream)
        if task is not None:
            task.cancel()

    def caught(self, question: Question) -> bool:
        """Whether a question that came in is one that we have sent out."""
        probe = self._probes.get(question.name) if question.qtype == Type.HINFO else None
        if probe is None:
            return False
        upstream, zone = probe
        self._returned.add(question.name)
        if not upstream.is_looping:
            upstream.is_looping = True
            text = "loop: what is asked of upstream %(upstream)s comes back to this server; it is left out"
            log.error(text, {"upstream": upstream})
            self.check(upstream, zone)  # it may have answered before the question came back
        return True

    async def _check(self, upstream: Upstream, zone: Name) -> None:
        manner = upstream.manner
        pause = manner.probe_seconds
        longest_pause = max(pause, LONGEST_PAUSE_SECONDS)
        said = False
        while True:
            name = names.below(str(secrets.randbits(63)), str(secrets.randbits(63)), parent=manner.probe_domain or zone)
            complaint = await self._probe(upstream, zone, name)
            upstream.tally.probes_failed += bool(complaint)
            if name in self._returned:
                pause = longest_pause
            elif not complaint:
                if upstream.is_looping or said:
                    log.warning("upstream %(upstream)s is back", {"upstream": upstream})
                upstream.is_looping = False
                upstream.failures = 0
                return
            elif not said and upstream.is_down:
                said = True
                text = "upstream %(upstream)s does not answer: %(error)s; it is left out until it does"
                log.warning(text, {"upstream": upstream, "error": complaint})
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - only so that not all come at once
            pause = min(2 * pause, longest_pause)

    async def _probe(self, upstream: Upstream, zone: Name, name: Name) -> str:
        """Why there is no response; empty if there is one."""
        self._probes[name] = upstream, zone
        if len(self._probes) > MOST_PROBES:
            oldest = next(iter(self._probes))
            del self._probes[oldest]
            self._returned.discard(oldest)
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def answered(_one: Try, _response: Response) -> None:
            if not done.done():
                done.set_result("")

        def failed(_one: Try, why: str) -> None:
            if not done.done():
                done.set_result(why)

        flags = RD if upstream.manner.probe_recursive else 0
        one = Try(upstream, Asked(Question(name, Type.HINFO), flags), answered, failed)
        one.start()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await done
        except TimeoutError:
            return "silent"
        finally:
            one.close()
