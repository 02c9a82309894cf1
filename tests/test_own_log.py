"""The program's own log: its forms, its levels, and that each message is one line."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from clusterdns import own_log

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("clusterdns.forward")


class Stream(io.StringIO):
    def __init__(self, *, is_terminal: bool = False) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Stream:
    stream = Stream()
    monkeypatch.setattr(own_log, "sys", SimpleNamespace(stderr=stream))
    return stream


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Stream:
    stream = Stream(is_terminal=True)
    monkeypatch.setattr(own_log, "sys", SimpleNamespace(stderr=stream))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


@pytest.fixture
def as_json(stderr: Stream) -> Iterator[Stream]:
    with own_log.told("json", "debug"):
        yield stderr


def fail(text: str) -> None:
    raise ValueError(text)


class TestJson:
    def test_a_line_is_an_object_with_the_fields_of_its_message(self, as_json: Stream) -> None:
        log.warning(
            "%(source)s: %(error)s, %(wait).1f s", {"source": "pods", "error": "no", "wait": 1.23456, "code": 7}
        )
        (found,) = as_json.objects
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
        assert list(found) == ["level", "message", "logger", "source", "error", "wait", "code"]
        assert found == {
            "level": "warning",
            "message": "pods: no, 1.2 s",
            "logger": "clusterdns.forward",
            "source": "pods",
            "error": "no",
            "wait": 1.235,
            "code": 7,
        }

    def test_no_field_takes_the_place_of_what_each_line_has(self, as_json: Stream) -> None:
        log.info("%(level)s", {"level": "mine", "time": "never"})
        (found,) = as_json.objects
        assert (found["level"], found["message"]) == ("info", "mine")
        assert found["time"] != "never"

    def test_an_exception_stays_in_its_line(self, as_json: Stream) -> None:
        try:
            fail("one\ntwo")
        except ValueError:
            log.debug("the fault\nin full", exc_info=True)
        (found,) = as_json.objects
        assert found["message"] == "the fault\nin full"
        assert found["exception"].endswith("ValueError: one\ntwo")

    @pytest.mark.parametrize("text", ["\x00\x1b[31m", '"}\n{"level":"error"}', "ü…", "x" * 100_000])
    def test_nothing_in_a_message_breaks_its_line(self, text: str, as_json: Stream) -> None:
        log.error("%(error)s", {"error": text})
        (found,) = as_json.objects
        assert found["message"][:2000] == text[:2000]
        assert len(as_json.lines[0]) < 20_000

    def test_a_message_that_can_not_be_made_is_told_too(self, as_json: Stream) -> None:
        record = logging.makeLogRecord({"name": "library", "msg": "%d", "args": ("no number",), "levelname": "ERROR"})
        (handler,) = [each for each in logging.getLogger().handlers if isinstance(each, own_log._Lines)]
        handler.handle(record)
        (found,) = as_json.objects
        assert found["level"] == "error"
        assert "%d" in found["message"]

    def test_no_secret_is_in_it(self, as_json: Stream) -> None:
        try:
            fail("Authorization: Bearer s3cret-t0ken")
        except ValueError:
            log.exception("%(error)s", {"error": "https://a:s3cret-t0ken@b", "header": "Bearer s3cret-t0ken"})
        assert "s3cret" not in as_json.getvalue()


class TestText:
    def test_a_line_has_a_time_a_level_and_a_message(self, stderr: Stream) -> None:
        with own_log.told("text", "info"):
            log.warning("%(file)s: %(error)s", {"file": "hosts", "error": "gone"})
        (line,) = stderr.lines
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING hosts: gone", line)

    def test_what_would_end_the_line_or_order_a_terminal_is_shown(self, stderr: Stream) -> None:
        with own_log.told("text", "info"):
            log.error("%s", "one\ntwo\r\x1b[2J\x9b")
        (line,) = stderr.lines
        assert line.endswith(r"ERROR one\ntwo\r\x1b[2J\x9b")

    def test_coredns_has_it_without_the_time_on_standard_output(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stdout = Stream()
        monkeypatch.setattr(own_log, "sys", SimpleNamespace(stdout=stdout, stderr=stdout))
        with own_log.told("coredns", "info"):
            log.info("%(file)s is read", {"file": "Corefile"})
        assert stdout.lines == ["[INFO] Corefile is read"]


class TestAuto:
    def test_is_text_on_a_terminal_with_a_colour_for_the_level(self, terminal: Stream) -> None:
        with own_log.told("auto", "info"):
            log.info("well")
            log.error("not well")
        well, not_well = terminal.lines
        assert well.endswith(" INFO well")
        assert not_well.endswith(" \x1b[31mERROR\x1b[0m not well")

    @pytest.mark.parametrize("setting", [("NO_COLOR", "1"), ("TERM", "dumb")])
    def test_has_no_colour_where_it_is_not_wanted(
        self, setting: tuple[str, str], terminal: Stream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(*setting)
        with own_log.told("auto", "info"):
            log.error("not well")
        assert terminal.getvalue().endswith(" ERROR not well\n")

    def test_is_json_elsewhere(self, stderr: Stream) -> None:
        with own_log.told("auto", "info"):
            log.info("well")
        assert stderr.objects[0]["message"] == "well"


class TestLevels:
    def test_can_be_changed_while_it_is_written_as_the_form_can(self, stderr: Stream) -> None:
        with own_log.told("text", "warning"):
            log.info("one")
            own_log.change("json", "debug")
            log.debug("two")
        (found,) = stderr.objects
        assert found["message"] == "two"

    def test_libraries_are_heard_from_warnings_on(self, stderr: Stream) -> None:
        with own_log.told("json", "debug"):
            for name in ("aiohttp.access", "kubernetes.aio.client.rest", "asyncio"):
                logging.getLogger(name).info("a body with a token")
                logging.getLogger(name).warning("trouble")
        assert [each["message"] for each in stderr.objects] == ["trouble"] * 3

    def test_all_is_as_it_was_at_the_end(self, stderr: Stream) -> None:
        before = logging.getLogger("clusterdns").level, logging.getLogger().level
        with own_log.told("text", "error"):
            pass
        assert (logging.getLogger("clusterdns").level, logging.getLogger().level) == before
        log.error("nobody hears it")
        assert stderr.lines == []


def test_nobody_waits_for_whoever_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with open(writer, "w") as stream:  # noqa: PTH123
        monkeypatch.setattr(own_log, "sys", SimpleNamespace(stderr=stream))
        with own_log.told("text", "info"):
            for number in range(2000):
                log.info("line %d %s", number, "x" * 100)
            some = os.read(reader, 1 << 20).decode()
            log.info("the next one")
        found = os.read(reader, 1 << 20).decode().splitlines()
    os.close(reader)
    assert all(line.endswith("x") for line in some.splitlines())
    written = len(some.splitlines())
    assert re.search(rf"WARNING {2000 - written} lines of this log were dropped", found[0])
    assert found[1].endswith("INFO the next one")
