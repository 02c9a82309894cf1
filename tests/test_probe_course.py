"""When a container is probed next, and what its probes come to: the kubelet's rules, with the clock handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from clusterdns.probes.course import begun
from clusterdns.probes.probe import Checks, Probe, TcpSocket

if TYPE_CHECKING:
    from clusterdns.probes.course import Course

SOMEWHERE = TcpSocket("127.0.0.1", 1)
PROBE = Probe(SOMEWHERE)


def readiness(**timing: int) -> Checks:
    return Checks(None, replace(PROBE, **timing))


def steps(course: Course, outcomes: str, took: float = 0.0) -> list[Course]:
    """The courses after these outcomes, + and -, of probes that are asked as soon as they are due."""
    found = []
    for each in outcomes:
        assert course.probe is not None
        course = course.after(course.probe, is_success=each == "+", now=course.due + took)
        found.append(course)
    return found


def ready(courses: list[Course]) -> str:
    return "".join("+" if each.is_ready else "-" for each in courses)


class TestThresholds:
    @pytest.mark.parametrize(
        ("success", "failure", "outcomes", "expected"),
        [
            (1, 3, "+", "+"),
            (1, 3, "-+", "-+"),
            (1, 3, "+--+--+", "+++++++"),
            (1, 3, "+---", "+++-"),
            (1, 3, "+---+", "+++-+"),
            (1, 3, "+-----+-", "+++---++"),
            (1, 1, "+-+-", "+-+-"),
            (2, 1, "+", "-"),
            (2, 1, "++", "-+"),
            (2, 1, "+-+-+", "-----"),
            (2, 2, "++-+-++--+", "-+++++++--"),
            (3, 1, "++-+++", "-----+"),
        ],
    )
    def test_a_container_that_has_just_started(self, success: int, failure: int, outcomes: str, expected: str) -> None:
        checks = readiness(success_threshold=success, failure_threshold=failure)
        assert ready(steps(begun(checks, 0, jitter=0, is_ready=False), outcomes)) == expected

    @pytest.mark.parametrize(
        ("failure", "outcomes", "expected"), [(3, "--+", "+++"), (3, "---", "++-"), (1, "-+", "-+"), (2, "--+", "+-+")]
    )
    def test_one_that_was_ready_before_us(self, failure: int, outcomes: str, expected: str) -> None:
        """As when a kubelet is started again."""
        checks = readiness(failure_threshold=failure)
        assert ready(steps(begun(checks, 0, jitter=0, is_ready=True), outcomes)) == expected

    @pytest.mark.parametrize(
        ("is_ready", "outcomes", "expected"),
        [
            (False, "-", [True]),
            (False, "++-", [False, True, True]),
            (True, "--+", [False, False, False]),
            (True, "---", [False, False, True]),
        ],
    )
    def test_it_is_decided_with_a_threshold_or_with_a_reason_for_what_it_was(
        self, is_ready: bool, outcomes: str, expected: list[bool]
    ) -> None:
        courses = steps(begun(readiness(success_threshold=2), 0, jitter=0, is_ready=is_ready), outcomes)
        assert [each.is_decided for each in courses] == expected


class TestTimes:
    @pytest.mark.parametrize(
        ("timing", "jitter", "took", "due"),
        [
            ({}, 0, 0, [0, 10, 20, 30]),
            ({"period": 3}, 2, 0, [2, 5, 8, 11]),
            ({"initial_delay": 5}, 0, 0, [5, 15, 25, 35]),
            ({"initial_delay": 5, "period": 1}, 0.5, 0, [5.5, 6.5, 7.5, 8.5]),
            ({"period": 2}, 0, 1.5, [0, 2, 4, 6]),
            ({"period": 2}, 0, 3, [0, 3, 6, 9]),  # what takes longer than its period is asked again at once
        ],
    )
    def test_probes_are_a_period_apart(
        self, timing: dict[str, Any], jitter: float, took: float, due: list[float]
    ) -> None:
        course = begun(readiness(**timing), 100, jitter=jitter, is_ready=False)
        found = [course, *steps(course, "+-+", took)]
        assert [each.due - 100 for each in found] == due


class TestStartup:
    STARTUP = replace(PROBE, period=1)

    def test_readiness_begins_after_it(self) -> None:
        course = begun(Checks(self.STARTUP, PROBE), 0, jitter=0, is_ready=False)
        courses = steps(course, "--+-+")
        assert [each.probe for each in (course, *courses)] == [*[self.STARTUP] * 3, *[PROBE] * 3]
        assert ready(courses) == "----+"
        assert [each.due for each in (course, *courses)] == [0, 1, 2, 2, 12, 22]

    def test_readiness_has_an_initial_delay_of_its_own(self) -> None:
        checks = Checks(self.STARTUP, replace(PROBE, initial_delay=7))
        assert [each.due for each in steps(begun(checks, 0, jitter=0, is_ready=False), "-++")] == [1, 7, 17]

    def test_outcomes_before_it_do_not_count(self) -> None:
        checks = Checks(self.STARTUP, replace(PROBE, success_threshold=2))
        assert ready(steps(begun(checks, 0, jitter=0, is_ready=False), "+++")) == "--+"

    def test_without_readiness_the_container_is_ready_with_it(self) -> None:
        courses = steps(begun(Checks(self.STARTUP, None), 0, jitter=0, is_ready=False), "-+")
        assert ready(courses) == "-+"
        assert courses[-1].probe is None

    def test_it_is_asked_again_for_ever(self) -> None:
        """A kubelet would start the container again; that it is not ready is all that there is to say here."""
        courses = steps(begun(Checks(self.STARTUP, PROBE), 0, jitter=0, is_ready=False), "-----+")
        assert [each.probe is self.STARTUP for each in courses] == [*[True] * 5, False]
        assert all(each.is_decided for each in courses)

    def test_it_is_passed_over_in_what_was_ready_before_us(self) -> None:
        assert begun(Checks(self.STARTUP, PROBE), 0, jitter=0, is_ready=True).probe is PROBE
