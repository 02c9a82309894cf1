"""Lines that nobody waits for."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from clusterdns import line_writer
from clusterdns.line_writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for each in ends:
        os.close(each)


def lost(count: int, _seconds: float) -> str:
    return f"{count} lost"


async def read(descriptor: int, size: int = 1 << 20) -> str:
    return (await asyncio.to_thread(os.read, descriptor, size)).decode()


async def test_lines_are_written_in_their_order(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], lost)
    for each in ("one", "two", "three"):
        writer.write(each)
    assert await read(pipe[0]) == "one\ntwo\nthree\n"
    writer.write("four")
    assert await read(pipe[0]) == "four\n"
    writer.close()


async def test_the_last_lines_are_written_at_the_end(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], lost)
    writer.write("last")
    writer.close()
    assert await read(pipe[0]) == "last\n"


async def test_while_nobody_reads_the_loop_goes_on_and_what_is_lost_is_told(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_writer, "TELL_SECONDS", 0.2)
    writer = LineWriter(pipe[1], lost, most=100)
    line = "x" * 999
    started = time.monotonic()
    while writer.dropped < 1000:  # a pipe holds 64 KiB
        writer.write(line)
        await asyncio.sleep(0)
    assert time.monotonic() - started < 5
    dropped, found = writer.dropped, ""
    while f"\n{dropped} lost\n" not in found:
        found += await read(pipe[0])
    assert found.count("lost") == 1
    assert 100 <= found.count(line) <= 300
    writer.close()


async def test_a_reader_that_is_gone_is_no_fault() -> None:
    receiver, sender = os.pipe()
    os.close(receiver)
    writer = LineWriter(sender, lost)
    writer.write("one")
    writer.close()
    os.close(sender)


async def test_the_end_does_not_wait_for_ever(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer, "END_SECONDS", 0.05)
    writer = LineWriter(pipe[1], lost)
    writer.write("x" * 200_000)
    writer.close()
    found = 0
    while found < 200_001:
        found += len(await read(pipe[0]))
