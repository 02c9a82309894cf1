"""What is known, on disk: written as a whole, and read only if it is whole."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
import pytest

from clusterdns.events import Gone, Listed
from clusterdns.objects import EndpointSlice, Namespace, Node, Pod, Service
from clusterdns.sources.snapshot import Snapshot
from tests.apiserver import until
from tests.cluster import ALL, make_index, of_kind
from tests.followed import headless, namespace, pod, service, slice_of

if TYPE_CHECKING:
    from pathlib import Path

    from clusterdns.index import Index

KINDS = {each.__name__: each for each in ALL}
MANIFESTS = (
    namespace("demo"),
    service("web", clusterIP="10.96.0.7", clusterIPs=["10.96.0.7", "fd00::7"]),
    headless("db"),
    service("out", type="ExternalName", externalName="www.example.com."),
    slice_of("db", "10.0.1.1", "10.0.1.2", ready=None),
    slice_of("db", suffix="2", endpoints=None, ports=None),
    pod("one", "10.0.3.1"),
)
OBJECTS = [msgspec.convert(each, KINDS[each["kind"]]) for each in MANIFESTS]


def filled() -> Index:
    index = make_index()
    index.apply([Listed(kind, of_kind(kind, OBJECTS)) for kind in ALL])
    return index


def at(path: Path, index: Index | None = None) -> Snapshot:
    return Snapshot(path, ALL, index or filled())


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def content(path: Path) -> bytes:
    return path.read_bytes()


def beside(path: Path) -> list[str]:
    return [each.name for each in path.parent.iterdir()]


def is_another(path: Path, than: int | None = None) -> int | None:
    """Which file it is, if it is there and not that one."""
    number = path.stat().st_ino if path.exists() else None
    return None if number == than else number


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshot"


class TestWhatIsWritten:
    async def test_comes_back(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        index = filled()
        await at(path, index).write()
        again = make_index()
        again.apply(at(path, again).read())
        assert again.is_synced
        for kind in ALL:
            assert set(map(repr, again.objects(kind))) == set(map(repr, index.objects(kind)))
        (said,) = warnings(caplog)
        assert said.startswith(f"serving the snapshot {path}, 0 s old")

    async def test_is_told_kind_by_kind(self, path: Path) -> None:
        await at(path).write()
        assert [each.kind for each in at(path).read()] == [Namespace, Service, EndpointSlice, Pod, Node]

    async def test_replaces_what_was_there_and_leaves_nothing_else(self, path: Path) -> None:
        put(path, b"old")
        await at(path).write()
        await at(path).write()
        assert beside(path) == [path.name]

    async def test_stays_as_it_was_when_the_disk_is_full(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        await at(path).write()
        before = content(path)

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        await at(path, make_index()).write()
        assert content(path) == before
        assert beside(path) == [path.name]
        assert warnings(caplog) == [
            f"{path}: the snapshot can not be written, what it held before stays: No space left on device"
        ]

    async def test_nowhere_is_a_warning(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "none" / "snapshot"
        await at(path).write()
        assert warnings(caplog) == [
            f"{path}: the snapshot can not be written, what it held before stays: No such file or directory"
        ]


class TestWhatCanNotBeRead:
    def test_nothing_is_there_yet(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert at(path).read() == []
        assert not caplog.records

    @pytest.mark.parametrize(
        "garbage", [b"", b"garbage", b"\x00", b"\xc1", b"{}", msgspec.msgpack.encode({"format": 1})]
    )
    def test_it_is_none(self, path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
        put(path, garbage)
        assert at(path).read() == []
        (said,) = warnings(caplog)
        assert said.startswith(f"{path}: this snapshot is of no use, and is not served: ")

    async def test_it_is_cut_off_anywhere(self, path: Path) -> None:
        await at(path).write()
        whole = content(path)
        for length in range(0, len(whole), 11):
            put(path, whole[:length])
            assert at(path).read() == []

    async def test_it_is_of_another_format(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        await at(path).write()
        put(path, msgspec.msgpack.encode(msgspec.msgpack.decode(content(path)) | {"format": 99}))
        assert at(path).read() == []
        assert warnings(caplog) == [f"{path}: a snapshot of format 99, which is not read; it is not served"]

    def test_it_is_a_folder(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert at(tmp_path).read() == []
        assert len(warnings(caplog)) == 1


class TestWhileItIsKept:
    async def test_it_begins_with_the_file_and_ends_with_what_is_known(self, path: Path) -> None:
        await at(path).write()
        index = make_index()
        async with Snapshot(path, ALL, index).kept():
            assert index.is_synced
            index.apply([Gone(Service, ("demo", "web"))])
        again = make_index()
        again.apply(at(path).read())
        assert ("demo", "web") not in [each.key for each in again.objects(Service)]

    async def test_it_is_written_as_it_changes(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("clusterdns.sources.snapshot.SECONDS", 0.02)
        index = make_index()
        async with Snapshot(path, ALL, index).kept():
            index.apply([Listed(kind, of_kind(kind, OBJECTS)) for kind in ALL])
            await until(lambda: is_another(path))
            first = is_another(path)
            index.apply([Gone(Service, ("demo", "web"))])
            await until(lambda: is_another(path, first))

    async def test_not_before_everything_is_known(self, path: Path) -> None:
        """Half of a cluster would be served as the whole of it."""
        index = make_index()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(Snapshot(path, ALL, index).kept())
            index.apply([Listed(Namespace, ())])
        assert not is_another(path)

    async def test_kinds_that_are_not_followed_are_left_out(self, path: Path) -> None:
        """They would never be brought up to date."""
        await at(path).write()
        kinds = (Namespace, Service)
        assert [each.kind for each in Snapshot(path, kinds, make_index()).read()] == [Namespace, Service]

    async def test_kinds_that_were_not_followed_when_it_was_written_stay_unknown(self, path: Path) -> None:
        """That none are in the file does not say that there are none."""
        index = make_index(awaited=(Namespace, Service))
        index.apply([Listed(kind, of_kind(kind, OBJECTS)) for kind in (Namespace, Service)])
        await Snapshot(path, (Namespace, Service), index).write()
        again = make_index()
        again.apply(at(path).read())
        assert again.awaited == ["EndpointSlice"]
