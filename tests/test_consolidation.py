"""Warnings and errors that are alike are counted, and told as one."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from clusterdns.consolidation import Consolidating, Consolidation

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 0.05


class Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


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
