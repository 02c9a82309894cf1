"""The course that the probes of a container take: which one is next, when, and what its outcome leads to.

Nothing is asked here, and the clock is handed in: outcomes in, a new course out.

Source of the rules: the kubelet's prober/worker.go.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from clusterdns.probes.probe import Checks, Probe


class Course(Struct, frozen=True):
    checks: Checks
    began: float
    due: float
    """When the next probe is to be asked."""
    is_started: bool
    is_ready: bool
    is_decided: bool = False
    """Whether a probe has had its say yet."""
    last: bool = False
    """What the probe said last..."""
    times: int = 0
    """...and how often in a row."""

    @property
    def probe(self) -> Probe | None:
        """The next one; None if there is nothing left to ask."""
        return self.checks.readiness if self.is_started else self.checks.startup

    def unasked(self, probe: Probe, now: float) -> Course:
        """The course if its probe could not be made: nothing is known by that."""
        return replace(self, due=max(self.due + probe.period, now))

    def after(self, probe: Probe, *, is_success: bool, now: float) -> Course:
        """The course after this outcome of its probe."""
        times = self.times + 1 if self.last == is_success else 1
        # As a ticker does: a probe that took longer than its period is followed by the next one at once.
        due = max(self.due + probe.period, now)
        course = replace(self, last=is_success, times=times, due=due)
        if times < (probe.success_threshold if is_success else probe.failure_threshold):
            # It began as not ready, and a failure is a reason why that is so.
            return course if is_success or self.is_ready else replace(course, is_decided=True)
        if self.is_started:
            return replace(course, is_ready=is_success, is_decided=True)
        if not is_success:
            return replace(course, is_ready=False, is_decided=True)
        readiness = self.checks.readiness
        if readiness is None:
            return replace(course, is_started=True, is_ready=True, is_decided=True)
        return replace(course, is_started=True, times=0, due=max(now, self.began + readiness.initial_delay))


def begun(checks: Checks, now: float, *, jitter: float, is_ready: bool) -> Course:
    """The course of a container that has just started; or, if it is ready, of one that was there before us."""
    is_started = is_ready or checks.startup is None
    first = checks.readiness if is_started else checks.startup
    return Course(checks, now, now + jitter + (first.initial_delay if first else 0), is_started, is_ready)
