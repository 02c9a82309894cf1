"""hosts(5) files as a source: what is read, what is complained of, what is seen to change."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from clusterdns import names
from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import Host
from clusterdns.sources.hosts import MOST_WARNINGS, SLICE, Hosts, HostsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from clusterdns.events import Event

DEADLINE = 20.0

Found = dict[str, list[str]]


def found(hosts: tuple[Host, ...]) -> Found:
    """The addresses of each name, as people write them."""
    return {names.to_text(each.name): [*map(names.address_text, each.addresses)] for each in hosts}


async def read(*lines: str) -> Found:
    (event,) = await Hosts([], lines).open()
    assert isinstance(event, Listed)
    assert event.kind is Host
    return found(event.objects)


class TestLines:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("192.0.2.1 nas", {"nas.": ["192.0.2.1"]}),
            ("192.0.2.1\tnas.local  nas\t\t", {"nas.local.": ["192.0.2.1"], "nas.": ["192.0.2.1"]}),
            ("  192.0.2.1 nas  ", {"nas.": ["192.0.2.1"]}),
            ("192.0.2.1 nas\r\n", {"nas.": ["192.0.2.1"]}),
            ("192.0.2.1 nas # the old one", {"nas.": ["192.0.2.1"]}),
            ("192.0.2.1 nas#the old one", {"nas.": ["192.0.2.1"]}),
            ("# 192.0.2.1 nas", {}),
            ("", {}),
            ("   \t ", {}),
            ("2001:db8::1 nas", {"nas.": ["2001:db8::1"]}),
            ("2001:DB8:0::0001 nas", {"nas.": ["2001:db8::1"]}),
            ("fe80::1%lo0 localhost", {"localhost.": ["fe80::1"]}),
            ("127.0.0.1 localhost", {"localhost.": ["127.0.0.1"]}),
            ("0.0.0.0 ads.example", {"ads.example.": ["0.0.0.0"]}),
            ("192.0.2.1 NAS.Example.ORG", {"nas.example.org.": ["192.0.2.1"]}),
            ("192.0.2.1 nas nas NAS", {"nas.": ["192.0.2.1"]}),
            ("192.0.2.1 nas.example.org.", {"nas.example.org.": ["192.0.2.1"]}),
            ("192.0.2.1 my_nas -x- 1", {"my_nas.": ["192.0.2.1"], "-x-.": ["192.0.2.1"], "1.": ["192.0.2.1"]}),
            (f"192.0.2.1 {'x' * 63}.y", {f"{'x' * 63}.y.": ["192.0.2.1"]}),
        ],
    )  # fmt: skip
    async def test_mean(self, line: str, expected: Found) -> None:
        assert await read(line) == expected

    async def test_of_one_name_are_taken_together(self) -> None:
        lines = ("192.0.2.1 nas", "192.0.2.2 other", "192.0.2.3 NAS", "2001:db8::1 nas", "192.0.2.1 nas")
        assert await read(*lines) == {"nas.": ["192.0.2.1", "192.0.2.3", "2001:db8::1"], "other.": ["192.0.2.2"]}

    async def test_stay_in_their_order(self) -> None:
        assert list(await read("192.0.2.2 b c", "192.0.2.1 a")) == ["b.", "c.", "a."]

    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            ("nas 192.0.2.1", "'nas 192.0.2.1': expected ADDRESS NAME [ALIAS...]"),
            ("192.0.2.1", "'192.0.2.1': expected ADDRESS NAME [ALIAS...]"),
            ("192.0.2.1 # nas", "'192.0.2.1 # nas': expected ADDRESS NAME [ALIAS...]"),
            ("192.0.2.256 nas", "'192.0.2.256 nas': expected ADDRESS NAME [ALIAS...]"),
            ("192.0.2.1/24 nas", "'192.0.2.1/24 nas': expected ADDRESS NAME [ALIAS...]"),
            ("||ads.example^", "'||ads.example^': expected ADDRESS NAME [ALIAS...]"),
            ("192.0.2.1 a..b", "'a..b' is no host name"),
            ("192.0.2.1 .", "'.' is no host name"),
            ("192.0.2.1 *.example.org", "'*.example.org' is no host name"),
            ("192.0.2.1 bücher.example", "'bücher.example' is no host name"),
            (f"192.0.2.1 {'x' * 64}", f"'{'x' * 60}...' is no host name"),
            ("192.0.2.1 " + "x." * 128, f"'{'x.' * 30}...' is no host name"),
            ("192.0.2.1 nas\0", r"'nas\x00' is no host name"),
        ],
    )
    async def test_that_are_none_are_faults_in_the_configuration(self, line: str, fault: str) -> None:
        with pytest.raises(HostsError) as caught:
            await read("192.0.2.1 nas", line)
        assert caught.value.faults == [f"hosts.entries:2: {fault}"]

    async def test_every_fault_is_told_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(HostsError) as caught:
            await Hosts([tmp_path / "none", tmp_path], ["x", "192.0.2.1 a..b", "192.0.2.1 nas"]).open()
        assert caught.value.faults == [
            f"{tmp_path / 'none'}: cannot be read: No such file or directory",
            f"{tmp_path}: cannot be read: Is a directory",
            "hosts.entries:1: 'x': expected ADDRESS NAME [ALIAS...]",
            "hosts.entries:2: 'a..b' is no host name",
        ]
        assert str(caught.value) == "\n".join(caught.value.faults)


class TestFiles:
    async def test_come_before_the_lines(self, tmp_path: Path) -> None:
        (tmp_path / "one").write_text("192.0.2.1 nas\n")
        (tmp_path / "two").write_text("192.0.2.2 nas\n192.0.2.3 two")
        (event,) = await Hosts([tmp_path / "one", tmp_path / "two"], ["192.0.2.4 nas"]).open()
        expected = {"nas.": ["192.0.2.1", "192.0.2.2", "192.0.2.4"], "two.": ["192.0.2.3"]}
        assert found(event.objects) == expected

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("begin", ["", "\N{ZERO WIDTH NO-BREAK SPACE}"])
    async def test_are_those_of_any_system(self, tmp_path: Path, begin: str, end: str) -> None:
        path = tmp_path / "hosts"
        path.write_bytes((begin + end.join(["192.0.2.1 nas", "", "# café", "192.0.2.2 other", ""])).encode())
        (event,) = await Hosts([path]).open()
        assert found(event.objects) == {"nas.": ["192.0.2.1"], "other.": ["192.0.2.2"]}

    async def test_what_is_wrong_in_them_is_passed_over(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "hosts"
        path.write_bytes(b"192.0.2.1 nas a..b other\nnonsense\n192.0.2.2 caf\xe9\n192.0.2.3 last\n")
        (event,) = await Hosts([path]).open()
        assert found(event.objects) == {"nas.": ["192.0.2.1"], "other.": ["192.0.2.1"], "last.": ["192.0.2.3"]}
        assert warnings(caplog) == [
            f"{path}:1: 'a..b' is no host name; passed over",
            f"{path}:2: 'nonsense': expected ADDRESS NAME [ALIAS...]; passed over",
            f"{path}:3: 'caf\N{REPLACEMENT CHARACTER}' is no host name; passed over",
        ]

    async def test_of_another_kind_do_not_fill_the_log(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "hosts"
        path.write_text("||ads.example^\n" * 1000)
        await Hosts([path]).open()
        assert len(warnings(caplog)) == MOST_WARNINGS + 1
        assert warnings(caplog)[-1] == f"{path}: {1000 - MOST_WARNINGS} more lines like these; passed over"

    async def test_that_are_large_let_others_have_their_turn(self, tmp_path: Path) -> None:
        path, lines = tmp_path / "hosts", 20 * SLICE
        path.write_text("".join(f"0.0.0.0 ads-{number}.example\n" for number in range(lines)))
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        (event,) = await Hosts([path]).open()
        task.cancel()
        assert len(event.objects) == lines
        assert turns >= lines // SLICE


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


class Followed:
    """The names as they are known to whoever listens."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.batches: list[list[Event]] = []
        self.news = asyncio.Event()

    def apply(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Listed(_, hosts):
                    self.known = found(hosts)
                case Put(host):
                    self.known.update(found((host,)))
                case Gone(_, (_, name)):
                    del self.known[name]
        self.batches.append(events)
        self.news.set()

    async def until(self, expected: Found) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.known != expected:
                self.news.clear()
                await self.news.wait()

    @staticmethod
    async def hears(caplog: pytest.LogCaptureFixture, text: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while text not in caplog.text:  # noqa: ASYNC110 - a log wakes nobody
                await asyncio.sleep(0.02)


@asynccontextmanager
async def followed(*paths: Path) -> AsyncGenerator[Followed, None]:
    hosts, known = Hosts(paths, ["192.0.2.99 fixed"]), Followed()
    known.apply(await hosts.open())

    async def follow() -> None:
        async with aclosing(hosts.changes()) as changes:
            async for events in changes:
                known.apply(events)

    task = asyncio.create_task(follow())
    try:
        yield known
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


FIXED = {"fixed.": ["192.0.2.99"]}
NAS, OTHER = {"nas.": ["192.0.2.1"]}, {"other.": ["192.0.2.2"]}


def write(path: Path, text: str) -> None:
    path.write_text(text)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def rename(path: Path, text: str) -> None:
    """As editors do it, and this server's neighbours."""
    aside = path.with_name("aside")
    aside.write_text(text)
    aside.replace(path)


def rename_alike(path: Path, text: str) -> None:
    """Of the same size and time: only the file is another one."""
    before = path.stat()
    aside = path.with_name("aside")
    aside.write_text(text.ljust(before.st_size))
    os.utime(aside, ns=(before.st_atime_ns, before.st_mtime_ns))
    aside.replace(path)


def relink(path: Path, text: str) -> None:
    """As a ConfigMap is mounted: `hosts -> ..data/hosts`, and `..data` is swapped."""
    folder = path.parent / "..2026"
    folder.mkdir()
    (folder / "hosts").write_text(text)
    aside = path.parent / "..data_tmp"
    aside.symlink_to(folder.name)
    aside.replace(path.parent / "..data")


class TestChanges:
    @pytest.mark.parametrize(
        ("change", "text", "expected"),
        [
            (write, "192.0.2.2 other\n", OTHER),
            (append, "192.0.2.2 other\n", NAS | OTHER),
            (rename, "192.0.2.2 other\n", OTHER),
            (rename_alike, "192.0.2.3 nas\n", {"nas.": ["192.0.2.3"]}),
            (relink, "192.0.2.2 other\n", OTHER),
            (write, "", {}),
        ],
    )
    async def test_are_seen(
        self, tmp_path: Path, change: Callable[[Path, str], None], text: str, expected: Found
    ) -> None:
        (tmp_path / "..2025").mkdir()
        (tmp_path / "..data").symlink_to("..2025")
        path = tmp_path / "hosts"
        (tmp_path / "..2025" / "hosts").write_text("192.0.2.1 nas\n")
        if change is relink:
            path.symlink_to("..data/hosts")
        else:
            path.write_text("192.0.2.1 nas\n")
        async with followed(path) as known:
            assert known.known == NAS | FIXED
            change(path, text)
            await known.until(expected | FIXED)

    async def test_are_told_as_differences(self, tmp_path: Path) -> None:
        path = tmp_path / "hosts"
        path.write_text("192.0.2.1 nas\n192.0.2.2 other gone\n")
        async with followed(path) as known:
            write(path, "192.0.2.2 other\n192.0.2.1 nas\n192.0.2.3 nas new\n")
            await known.until({"nas.": ["192.0.2.1", "192.0.2.3"], "new.": ["192.0.2.3"]} | OTHER | FIXED)
            events = [each for batch in known.batches[1:] for each in batch]
            assert [type(each) for each in events] == [Put, Put, Gone]

    async def test_of_many_names_come_in_slices(self, tmp_path: Path) -> None:
        path = tmp_path / "hosts"
        path.write_text("")
        async with followed(path) as known:
            rename(path, "".join(f"0.0.0.0 ads-{number}.example\n" for number in range(5 * SLICE)))
            await known.until(FIXED | {f"ads-{number}.example.": ["0.0.0.0"] for number in range(5 * SLICE)})
            assert max(map(len, known.batches[1:])) <= SLICE

    async def test_that_change_nothing_are_not_told(self, tmp_path: Path) -> None:
        path, second = tmp_path / "hosts", tmp_path / "second"
        path.write_text("192.0.2.1 nas\n")
        second.write_text("")
        async with followed(path, second) as known:
            write(path, "# nothing new\n192.0.2.1   nas\n")
            write(second, "192.0.2.2 other\n")
            await known.until(NAS | OTHER | FIXED)
            assert sum(len(batch) for batch in known.batches[1:]) == 1

    async def test_of_a_file_that_can_not_be_read_wait(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """What it said last still holds, also while other files change."""
        caplog.set_level(logging.INFO)
        path, second = tmp_path / "hosts", tmp_path / "second"
        path.write_text("192.0.2.1 nas\n")
        second.write_text("")
        async with followed(path, second) as known:
            path.unlink()
            await known.hears(caplog, "No such file or directory")
            write(second, "192.0.2.2 other\n")
            await known.until(NAS | OTHER | FIXED)
            assert warnings(caplog) == [
                f"{path}: cannot be read: No such file or directory; what was read before stays"
            ]
            write(path, "192.0.2.3 nas\n")
            await known.until({"nas.": ["192.0.2.3"]} | OTHER | FIXED)
            assert f"{path} is read again" in caplog.text

    async def test_faults_are_told_when_they_are_new(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "hosts"
        path.write_text("nonsense\n")
        async with followed(path) as known:
            append(path, "192.0.2.1 nas\n")
            await known.until(NAS | FIXED)
            append(path, "more\n192.0.2.2 other\n")
            await known.until(NAS | OTHER | FIXED)
        first = f"{path}:1: 'nonsense': expected ADDRESS NAME [ALIAS...]; passed over"
        assert warnings(caplog) == [first, f"{path}:3: 'more': expected ADDRESS NAME [ALIAS...]; passed over"]
