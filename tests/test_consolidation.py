"""Warnings and errors that are alike are counted, and told as one."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

import pytest

from clusterdns.consolidation import MOST_KINDS, Consolidating, Consolidation

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 0.05


class Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        message = re.sub(r"times in \d+ s\)$", "times)", record.getMessage())
        self.lines.append(f"{record.levelname} {message}")


@pytest.fixture
def told() -> Iterator[Told]:
    logger = logging.getLogger("clusterdns")
    handler = Told()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


async def count(told: Told, expected: int) -> None:
    async with asyncio.timeout(5):
        while len(told.lines) < expected:  # noqa: ASYNC110 - what is told sets no event
            await asyncio.sleep(0.01)


log = logging.getLogger("clusterdns")


async def test_alike_ones_are_told_as_one(told: Told) -> None:
    told.addFilter(Consolidating([Consolidation(pattern="timeout$", seconds=SECONDS, level="warning")]))
    for number in range(5):
        log.error("upstream %d: timeout", number)
    log.error("another thing")
    log.info("an info about a timeout")
    assert told.lines == ["ERROR another thing", "INFO an info about a timeout"]
    await count(told, 3)
    assert told.lines[2:] == ["WARNING 5 errors like 'timeout$' occurred in last 0.05s"]


async def test_the_first_one_can_be_told_as_it_is(told: Told) -> None:
    told.addFilter(Consolidating([Consolidation(pattern="timeout", seconds=SECONDS, show_first=True)]))
    log.error("timeout 1")
    log.error("timeout 2")
    assert told.lines == ["ERROR timeout 1"]
    await count(told, 2)
    assert told.lines[1:] == ["ERROR 1 errors like 'timeout' occurred in last 0.05s"]
    log.error("timeout 3")
    assert told.lines[2:] == ["ERROR timeout 3"]


async def test_the_first_pattern_that_fits_decides_and_the_end_tells_what_was_kept_back(told: Told) -> None:
    given = [Consolidation(pattern="^a", seconds=60), Consolidation(pattern="a$", seconds=60, level="info")]
    consolidating = Consolidating(given)
    told.addFilter(consolidating)
    for each in ("aa", "ba", "ab"):
        log.warning("%s", each)
    assert told.lines == []
    consolidating.close()
    assert told.lines == [
        "ERROR 2 errors like '^a' occurred in last 60s",
        "INFO 1 errors like 'a$' occurred in last 60s",
    ]


def test_without_a_loop_everything_is_told(told: Told) -> None:
    told.addFilter(Consolidating([Consolidation(pattern="a", seconds=60)]))
    log.error("a")
    assert told.lines == ["ERROR a"]


class TestWhatComesAgain:
    """As it is for all that no pattern fits."""

    async def test_is_told_at_once_and_then_once_in_a_while_with_what_came_last(self, told: Told) -> None:
        told.addFilter(Consolidating((), SECONDS))
        for number in range(413):
            log.warning("%(source)s: %(error)s", {"source": "pods", "error": f"try {number}"})
        assert told.lines == ["WARNING pods: try 0"]
        await count(told, 2)
        assert told.lines[1:] == ["WARNING pods: try 412 (412 times)"]
        assert told.records[1].args is not None
        assert told.records[1].args["times"] == 412  # type: ignore[call-overload,index]

    async def test_goes_on_for_as_long_as_it_comes(self, told: Told) -> None:
        told.addFilter(Consolidating((), SECONDS))
        for expected in range(1, 4):
            while len(told.lines) < expected:
                log.error("the disk is full")
                await asyncio.sleep(0.001)
        assert told.lines[0] == "ERROR the disk is full"
        assert all(line.startswith("ERROR the disk is full (") for line in told.lines[1:3])

    async def test_is_new_once_it_has_not_come_for_a_while(self, told: Told) -> None:
        told.addFilter(consolidating := Consolidating((), SECONDS))
        log.error("a")
        async with asyncio.timeout(5):
            while consolidating.kept:  # noqa: ASYNC110 - what is forgotten sets no event
                await asyncio.sleep(0.01)
        log.error("a")
        assert told.lines == ["ERROR a", "ERROR a"]

    async def test_is_another_error_where_it_is_about_another_thing(self, told: Told) -> None:
        told.addFilter(Consolidating((), 60))
        for source, error in (("pods", "x 1"), ("services", "x 1"), ("pods", "x 2"), ("pods", "y")):
            log.warning("%(source)s: %(error)s", {"source": source, "error": error})
        log.error("%(source)s: %(error)s", {"source": "pods", "error": "x"})
        log.warning("%s", "one line")
        log.warning("%s", "another line")
        log.info("well")
        log.info("well")
        expected = [
            "WARNING pods: x 1",
            "WARNING services: x 1",
            "WARNING pods: y",
            "ERROR pods: x",
            "WARNING one line",
        ]
        assert told.lines == [*expected, "WARNING another line", "INFO well", "INFO well"]

    async def test_of_a_library_is_the_same_whatever_its_numbers_are(self, told: Told) -> None:
        library = logging.getLogger("some.library")
        library.addHandler(told)
        told.addFilter(consolidating := Consolidating((), 60))
        for number in range(3):
            library.warning(f"<Task 0x7f{number}> took {number}.5 s 100%")
        consolidating.close()
        library.removeHandler(told)
        assert told.lines == [
            "WARNING <Task 0x7f0> took 0.5 s 100%",
            "WARNING <Task 0x7f2> took 2.5 s 100% (2 times)",
        ]

    async def test_is_told_at_the_end(self, told: Told) -> None:
        told.addFilter(consolidating := Consolidating((), 60))
        for _ in range(3):
            log.error("a")
        consolidating.close()
        assert told.lines == ["ERROR a", "ERROR a (2 times)"]

    async def test_gives_way_to_what_the_configuration_says_of_it(self, told: Told) -> None:
        told.addFilter(consolidating := Consolidating([Consolidation(pattern="^a", seconds=60, show_first=True)], 60))
        for each in ("a", "a", "b", "b"):
            log.error("%s", each)
        consolidating.close()
        expected = ["ERROR a", "ERROR b", "ERROR 1 errors like '^a' occurred in last 60s", "ERROR b (1 times)"]
        assert told.lines == expected

    async def test_takes_no_more_than_so_much_memory(self, told: Told) -> None:
        told.addFilter(consolidating := Consolidating((), 60))
        for number in range(3 * MOST_KINDS):
            log.error("%s", number)
            log.error("%s", number)
        assert consolidating.kept == MOST_KINDS + 1
        assert len(told.lines) == MOST_KINDS + 1
        consolidating.close()
        assert len(told.lines) == 2 * MOST_KINDS + 2
        assert told.lines[-1] == "ERROR 2999 (3999 times)"  # all the others

    async def test_is_told_each_time_if_that_is_wanted(self, told: Told) -> None:
        told.addFilter(Consolidating(()))
        log.error("a")
        log.error("a")
        assert told.lines == ["ERROR a", "ERROR a"]
