"""What parent and workers say to each other, and what they make of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client import Metric

from clusterdns import config, processors
from clusterdns.corefile import CorefileError, Disk, read, translate
from clusterdns.events import Gone, Listed, Put
from clusterdns.metrics import Sum
from clusterdns.metrics.adding import reading
from clusterdns.objects import EndpointSlice, Namespace, Pod, Service
from clusterdns.server import CannotListen, Limits, Reservation, Server
from clusterdns.workers import Ask, Changed, Fed, Link, changed, decoded, encoded
from clusterdns.workers.fork import fork
from tests.followed import headless, pod, service, slice_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterdns.events import Event

REPOSITORY = Path(__file__).parents[1]
COREFILES = sorted((REPOSITORY / "tests" / "data" / "corefiles").rglob("*orefile"))

WEB = msgspec.convert(service("web", clusterIP="10.96.0.1", labels={"a": "b"}), Service)
DB = msgspec.convert(headless("db"), Service)
SLICE = msgspec.convert(slice_of("db", "10.0.0.1", "10.0.0.2"), EndpointSlice)
POD = msgspec.convert(pod("db-0", "10.0.0.1"), Pod)
DEMO = msgspec.convert({"metadata": {"name": "demo"}}, Namespace)


class TestEvents:
    @pytest.mark.parametrize(
        "events",
        [
            [],
            [Put(WEB), Put(DB), Put(SLICE), Put(POD), Put(DEMO)],
            [Gone(Service, ("demo", "web")), Gone(Namespace, ("", "demo"))],
            [Put(WEB), Gone(Service, WEB.key), Put(WEB)],
            [Listed(Service, (WEB, DB)), Listed(EndpointSlice, (SLICE,)), Listed(Pod, ())],
        ],
    )
    async def test_they_arrive_as_they_were_sent(self, events: list[Event]) -> None:
        answered: list[Ask] = []
        source = Fed(answered.append)
        message = decoded(encoded(changed(events)))
        assert isinstance(message, Changed)
        source.put(message)
        changes = source.changes()
        assert await anext(changes) == events
        await changes.aclose()

    async def test_what_was_said_before_a_question_is_applied_when_it_is_answered(self) -> None:
        applied: list[list[Event]] = []
        known_at_the_answer: list[int] = []
        source = Fed(lambda _: known_at_the_answer.append(len(applied)))
        for number in (1, 2, 3):
            source.put(changed([Put(WEB)] * number))
        source.put(Ask(reads=False))
        source.put(changed([]))
        async for batch in source.changes():
            if not batch:
                break
            applied.append(batch)
        assert known_at_the_answer == [3]


class TestLink:
    @pytest.fixture
    def ends(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        one, other = socket.socketpair()
        with one, other:
            yield one, other

    async def test_messages_of_any_length_in_their_order(self, ends: tuple[socket.socket, socket.socket]) -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        one = Link(loop, ends[0], heard.put_nowait, lambda: None)
        other = Link(loop, ends[1], heard.put_nowait, lambda: None)
        messages = [b"", b"a", b"b" * 100_000, b"", b"c" * 3_000_000, b"d"]
        for each in messages:
            one.send(each)
        assert one.backlog > 2_000_000
        assert [await asyncio.wait_for(heard.get(), 10) for _ in messages] == messages
        assert one.backlog == 0
        other.send(b"back")
        assert await asyncio.wait_for(heard.get(), 10) == b"back"
        one.drop()
        other.drop()

    async def test_the_end_of_the_other_is_told_once(self, ends: tuple[socket.socket, socket.socket]) -> None:
        lost = asyncio.Event()
        link = Link(asyncio.get_running_loop(), ends[0], lambda _: None, lost.set)
        ends[1].close()
        await asyncio.wait_for(lost.wait(), 10)
        link.send(b"into nothing")
        link.close()

    async def test_what_waits_is_sent_at_the_end(self, ends: tuple[socket.socket, socket.socket]) -> None:
        link = Link(asyncio.get_running_loop(), ends[0], lambda _: None, lambda: None)
        received = bytearray()

        def read() -> None:
            while piece := ends[1].recv(1 << 20):
                received.extend(piece)

        reading = asyncio.create_task(asyncio.to_thread(read))
        link.send(b"x" * 2_000_000)
        await asyncio.to_thread(lambda: None)
        link.close()
        await asyncio.wait_for(reading, 10)
        assert received[4:] == b"x" * 2_000_000


class TestFork:
    @pytest.fixture(autouse=True)
    def _unfrozen(self) -> Iterator[None]:
        yield
        gc.unfreeze()

    def test_the_other_process_has_nothing_open_but_what_it_is_given(self) -> None:
        """And what was open is closed nowhere else."""
        ours, its = socket.socketpair()
        with ours, its, Path(__file__).open("rb") as open_before:

            def work() -> int:
                its.sendall(open_before.read(1) or b"nothing")
                signals = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
                return 7 if signals == [signal.SIG_IGN, signal.SIG_DFL] else 1

            number = fork(work, (its.fileno(),))
            assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 7
            assert ours.recv(100) == b"nothing"
            assert open_before.read(1) == b'"'

    def test_a_fault_in_it_is_its_own(self) -> None:
        def work() -> int:
            raise LookupError

        assert os.waitstatus_to_exitcode(os.waitpid(fork(work, ()), 0)[1]) == 70


class TestReservation:
    def test_it_keeps_others_out(self) -> None:
        held = Reservation("127.0.0.1", 0)
        with pytest.raises(CannotListen, match="the port is in use"):
            Reservation(*held.address)
        held.close()
        Reservation(*held.address).close()

    async def test_it_takes_no_query_from_those_who_share_it(self) -> None:
        held = Reservation("127.0.0.1", 0)
        server = Server(lambda packet, _: packet, lambda packet, _: packet, Limits())
        assert await server.start([held.address], shared=True) == [held.address]
        loop = asyncio.get_running_loop()
        for _ in range(50):
            with socket.socket(type=socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.connect(held.address)
                await loop.sock_sendall(client, b"echo")
                assert await asyncio.wait_for(loop.sock_recv(client, 100), 10) == b"echo"
        await server.stop()
        held.close()


class TestSum:
    def families(self, **numbers: float) -> Iterator[Metric]:
        for name, number in numbers.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            metric = Metric(name.removesuffix("_total"), "Text.", kind)
            metric.add_sample(name, {"a": "b"}, number)
            yield metric

    def numbers(self, whole: Sum) -> dict[str, float]:
        return {sample.name: sample.value for family in whole.families() for sample in family.samples}

    def test_what_counts_is_added(self) -> None:
        whole = Sum()
        for one in (1, 2):
            given = {"clusterdns_objects": one, "clusterdns_upstream_usable": one, "process_open_fds": one}
            whole.add(reading(self.families(x_total=one, **given)))
        assert self.numbers(whole) == {
            "x_total": 3,
            "clusterdns_objects": 2,
            "clusterdns_upstream_usable": 1,
            "process_open_fds": 3,
        }

    def test_what_lasts_is_what_was_counted(self) -> None:
        past = Sum()
        past.add_lasting(reading(self.families(x_total=2, process_open_fds=9)))
        whole = Sum()
        whole.add(past.reading())
        whole.add(reading(self.families(x_total=1, process_open_fds=4)))
        assert self.numbers(whole) == {"x_total": 3, "process_open_fds": 4}


def known_configurations() -> Iterator[object]:
    yield pytest.param(config.Config(), id="default")
    yield pytest.param(config.read(REPOSITORY / "config" / "clusterdns.yaml"), id="clusterdns.yaml")
    for path in COREFILES:
        with contextlib.suppress(CorefileError, config.BadConfig):
            yield pytest.param(translate(read(path, Disk(), {}), lenient=True, port=53).config, id=path.name)


@pytest.mark.parametrize("settings", [*known_configurations()])
def test_settings_are_the_same_for_those_who_are_told_them(settings: config.Config) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settings), type=config.Config) == settings


def test_there_are_such_corefiles() -> None:
    assert len(COREFILES) > 10


class TestProcessors:
    @pytest.mark.parametrize(
        ("groups", "own", "expected"),
        [
            ({}, "0::/", 64),
            ({"cpu.max": "max 100000\n"}, "0::/", 64),
            ({"cpu.max": "200000 100000\n"}, "0::/", 2),
            ({"cpu.max": "250000 100000\n"}, "0::/", 2),
            ({"cpu.max": "50000 100000\n"}, "0::/", 1),
            ({"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, "0::/a/b", 3),
            ({"a/cpu.max": "300000 100000\n", "c/cpu.max": "100000 100000\n"}, "0::/a/b", 3),
            ({"cpu.max": "300000 100000\n"}, "0::/of/the/host", 3),
            ({"cpu,cpuacct/a/cpu.cfs_quota_us": "400000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"},
             "5:memory:/m\n4:cpu,cpuacct:/a\n", 4),
            ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "4:cpu:/\n", 64),
        ],
    )  # fmt: skip
    def test_as_many_as_the_quota_leaves(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: dict[str, str], own: str, expected: int
    ) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
        for name, text in groups.items():
            (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "groups" / name).write_text(text)
        (tmp_path / "own").write_text(own)
        assert processors.usable(tmp_path / "groups", tmp_path / "own") == expected

    def test_what_is_set_is_what_is_wanted(self) -> None:
        assert processors.wanted(3) == 3
        assert processors.wanted("auto") == processors.usable() >= 1
