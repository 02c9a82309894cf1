"""Upstreams are tried again until they answer, ever more seldom; and those that lead back to us are found out."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from clusterdns import names
from clusterdns.forward import Manner, health, parse_address
from clusterdns.forward.health import Prober
from clusterdns.forward.upstream import Upstream
from clusterdns.records import Question, Type
from tests.apiserver import until
from tests.upstreams import Faulty
from tests.upstreams.behaviours import honest, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSE_SECONDS = 0.005
"""The first of them."""


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with Faulty(honest) as started:
        yield started


@pytest.fixture
def upstream(faulty: Faulty) -> Upstream:
    return Upstream(parse_address(f"{faulty.address}:{faulty.port}"), Manner(probe_seconds=PAUSE_SECONDS))


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a hundredth of what they are."""
    for name in ("PROBE_SECONDS", "LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(health, name, getattr(health, name) / 100)


def probed(faulty: Faulty) -> list[Question]:
    return [Question(names.from_text(each.name), Type.HINFO) for each in faulty.queries]


class TestFailures:
    async def test_one_that_answers_is_asked_once(self, faulty: Faulty, upstream: Upstream) -> None:
        upstream.failures = 5
        prober = Prober()
        prober.check(upstream, names.ROOT)
        prober.check(upstream, names.ROOT)
        await until(lambda: not upstream.failures)
        assert len(faulty.queries) == 1
        assert not upstream.is_down

    async def test_one_that_does_not_is_asked_ever_more_seldom(self, faulty: Faulty, upstream: Upstream) -> None:
        faulty.behaviour = silent
        upstream.failures = 5
        prober = Prober()
        prober.check(upstream, names.ROOT)
        await until(lambda: len(faulty.queries) == 6)
        pauses = [after.at - before.at for before, after in pairwise(faulty.queries)]
        assert upstream.is_down
        assert pauses[4] > health.PROBE_SECONDS + 8 * 0.75 * PAUSE_SECONDS  # a busy machine can only make it longer
        assert upstream.tally.probes_failed == 5
        faulty.behaviour = honest
        await until(lambda: not upstream.failures)

    async def test_each_probe_has_another_name_below_the_zone(self, faulty: Faulty, upstream: Upstream) -> None:
        faulty.behaviour = silent
        prober = Prober()
        prober.check(upstream, names.from_text("corp.example"))
        await until(lambda: len(faulty.queries) == 4)
        assert len({each.name for each in faulty.queries}) == 4
        assert all(each.name.endswith(".corp.example.") for each in faulty.queries)
        prober.forget(upstream)


class TestLoops:
    async def test_a_probe_that_comes_back(self, faulty: Faulty, upstream: Upstream) -> None:
        faulty.behaviour = silent
        prober = Prober()
        prober.check(upstream, names.ROOT)
        await until(lambda: faulty.queries)
        assert prober.caught(probed(faulty)[0])
        assert upstream.is_looping
        faulty.behaviour = honest
        await until(lambda: not upstream.is_looping)

    async def test_one_that_comes_back_late(self, faulty: Faulty, upstream: Upstream) -> None:
        """The upstream has answered it meanwhile, and nobody probes any more."""
        prober = Prober()
        prober.check(upstream, names.ROOT)
        await until(lambda: faulty.queries)
        await asyncio.sleep(0.05)
        assert prober.caught(probed(faulty)[0])
        assert upstream.is_looping
        await until(lambda: not upstream.is_looping)

    async def test_other_questions_are_no_probes(self, faulty: Faulty, upstream: Upstream) -> None:
        prober = Prober()
        prober.check(upstream, names.ROOT)
        await until(lambda: faulty.queries)
        probe = probed(faulty)[0]
        assert not prober.caught(Question(probe.name, Type.A))
        assert not prober.caught(Question(names.from_text("www.example"), Type.HINFO))
        assert not upstream.is_looping
