"""Upstreams that hang, vanish and come back: every query is answered, with what was known if need be."""

from __future__ import annotations

import signal
import socket
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import pytest
from forwarding import (
    CLUSTER_ADDRESS,
    CLUSTER_NAME,
    EDE_STALE_ANSWER,
    EDE_STALE_NXDOMAIN,
    IMPATIENT,
    ask_all,
    at,
    data,
    expect_failure,
    expect_truth,
    extended_errors,
    forwarding,
    names,
)
from serving import DEADLINE, Serving, eventually

from tests.upstreams import Faulty, Load, Unbound, address_of, ask, over_udp
from tests.upstreams.behaviours import ByLabel, fails, honest, later, says, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Serve = Callable[..., Serving]

STALE_TTL = 30


@pytest.fixture
def upstream() -> Iterator[Faulty]:
    with Faulty(honest) as started:
        yield started


@pytest.fixture
def second() -> Iterator[Faulty]:
    with Faulty(honest) as started:
        yield started


def sockets(server: Serving) -> int:
    """That the process holds open."""
    descriptors = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return sum(each.readlink().name.startswith("socket:") for each in descriptors if each.is_symlink())


class TestSilence:
    def test_the_next_upstream_is_asked_as_well(
        self, upstream: Faulty, second: Faulty, serve: Serve, tmp_path: Path
    ) -> None:
        upstream.behaviour = silent
        server = forwarding(serve, tmp_path, upstream, second, policy="sequential", **IMPATIENT)
        for name, reply in ask_all(server, names(100)).items():
            expect_truth(reply, name)

    def test_who_has_gone_is_left_out_until_he_is_back(
        self, upstream: Faulty, second: Faulty, serve: Serve, tmp_path: Path
    ) -> None:
        server = forwarding(serve, tmp_path, upstream, second, policy="sequential")

        def first_asked() -> Faulty:
            (name,) = names(1)
            expect_truth(ask(at(server), name), name)
            return upstream if upstream.asked_for(name) else second

        assert first_asked() is upstream
        upstream.stop()
        assert [first_asked() for _ in range(20)] == [second] * 20
        upstream.start()
        eventually(lambda: first_asked() is upstream, "it is asked again")

    def test_when_nobody_speaks_every_query_is_told_so(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = silent
        server = forwarding(serve, tmp_path, upstream, **IMPATIENT)
        before = sockets(server)
        for reply in ask_all(server, names(300)).values():
            expect_failure(reply)
        eventually(lambda: sockets(server) <= before + 1, "no socket is left behind but that of a probe")
        upstream.behaviour = honest
        eventually(lambda: not ask(at(server), names(1)[0]).rcode(), "answers")

    def test_too_many_waiting_are_refused_at_once(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = silent
        server = forwarding(serve, tmp_path, upstream, in_flight=20, **IMPATIENT)
        replies = list(ask_all(server, names(60)).values())
        rcodes = [dns.rcode.to_text(each.rcode()) for each in replies]
        assert sorted(rcodes) == ["REFUSED"] * 40 + ["SERVFAIL"] * 20
        assert ask(at(server), CLUSTER_NAME).rcode() == dns.rcode.NOERROR
        upstream.behaviour = honest
        eventually(lambda: not ask(at(server), names(1)[0]).rcode(), "answers")

    def test_cluster_names_keep_their_speed(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        """While 1,000 queries hang; in CPU time, since the machine has other things to do as well."""
        upstream.behaviour = silent
        server = forwarding(serve, tmp_path, upstream, in_flight=2000, try_seconds=30, seconds=60)
        cluster = [dns.message.make_query(CLUSTER_NAME, "A").to_wire()] * 5000

        def nanoseconds() -> int:
            before = cpu_nanoseconds(server.process.pid)
            replies = over_udp(at(server), cluster)
            assert [data(dns.message.from_wire(each or b"")) for each in replies[::500]] == [[CLUSTER_ADDRESS]] * 10
            assert None not in replies
            return cpu_nanoseconds(server.process.pid) - before

        alone = nanoseconds()
        hanging = [dns.message.make_query(each, "A").to_wire() for each in names(1000)]
        assert over_udp(at(server), hanging, window=50, seconds=0.01) == [None] * 1000
        eventually(lambda: len(upstream.queries) >= 1000, "they hang")
        assert nanoseconds() < 3 * alone


def cpu_nanoseconds(pid: int) -> int:
    """What a process of one thread has had so far (proc_pid_schedstat(5))."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


class TestStaleAnswers:
    """RFC 8767."""

    SHORT = staticmethod(says("{name} 1 IN A 192.0.2.7"))
    NOTHING = staticmethod(
        says(rcode="NXDOMAIN", authority="example. 1 IN SOA ns.example. hostmaster.example. 1 7200 1800 86400 1")
    )

    def expect_stale(self, server: Serving, name: str) -> None:
        reply = ask(at(server), name, use_edns=0)
        assert data(reply) == ["192.0.2.7"]
        assert 0 < reply.answer[0].ttl <= STALE_TTL
        assert extended_errors(reply) == [EDE_STALE_ANSWER]

    def test_are_better_than_silence_and_failures(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = taught = ByLabel()
        server = forwarding(serve, tmp_path, upstream, **IMPATIENT)
        failing = {taught.teach(self.SHORT): behaviour for behaviour in (silent, fails("SERVFAIL"), fails("REFUSED"))}
        for name, behaviour in failing.items():
            assert not extended_errors(ask(at(server), name, use_edns=0))
            taught.change(name, behaviour)
        for name in failing:
            eventually(lambda: extended_errors(ask(at(server), name, use_edns=0)), "stale")  # noqa: B023
        for name in failing:
            self.expect_stale(server, name)
            taught.change(name, honest)
        for name in failing:
            eventually(lambda: data(ask(at(server), name)) == [address_of(name)], "fresh again")  # noqa: B023

    def test_are_better_than_an_upstream_that_has_gone_where_they_are_allowed(
        self, upstream: Faulty, serve: Serve, tmp_path: Path
    ) -> None:
        upstream.behaviour = ByLabel({"www": self.SHORT, "none": self.NOTHING})
        server = forwarding(serve, tmp_path / "stale", upstream, **IMPATIENT)
        strict = forwarding(serve, tmp_path / "fresh", upstream, cache={"stale-seconds": 0}, **IMPATIENT)
        for each in (server, strict):
            assert data(ask(at(each), "www.example")) == ["192.0.2.7"]
            assert ask(at(each), "none.example").rcode() == dns.rcode.NXDOMAIN
        upstream.stop()
        eventually(lambda: extended_errors(ask(at(server), "www.example", use_edns=0)), "stale")
        self.expect_stale(server, "www.example")
        reply = ask(at(server), "none.example", use_edns=0)
        assert reply.rcode() == dns.rcode.NXDOMAIN
        assert extended_errors(reply) == [EDE_STALE_NXDOMAIN]
        for name in ("www.example", "none.example"):
            eventually(lambda: ask(at(strict), name).rcode() == dns.rcode.SERVFAIL, "its time is over")  # noqa: B023
            expect_failure(ask(at(strict), name, use_edns=0))


class TestOutages:
    """Of real resolvers, under some hundred queries a second."""

    ZONE = ("load.example. 30 IN A 192.0.2.9",)
    QUERIES = 80

    @pytest.fixture
    @staticmethod
    def pair(tmp_path: Path) -> Iterator[tuple[Unbound, Unbound]]:
        data = TestOutages.ZONE
        zones = {"load.example.": "redirect"}
        with (
            Unbound(tmp_path / "a", data=data, local_zones=zones) as one,
            Unbound(tmp_path / "b", data=data, local_zones=zones) as other,
        ):
            yield one, other

    def trouble(self, upstream: Unbound, way: str, load: Load) -> None:
        """Until it is over; so many queries go by before, meanwhile and behind."""
        load.go_on(self.QUERIES)
        for _ in range(2):
            match way:
                case "killed":
                    upstream.kill()
                case "stopped":
                    upstream.pause()
                case "restarted":
                    upstream.restart()
            load.go_on(self.QUERIES)
        upstream.resume()
        upstream.start()
        load.go_on(self.QUERIES)

    def run(self, server: Serving, upstream: Unbound, way: str) -> Load:
        ask(at(server), "first.load.example")
        before = sockets(server)
        with Load(at(server), (f"n{number}.load.example" for number in count()), rate=600) as load:
            self.trouble(upstream, way, load)
        assert not load.unanswered()
        for each in load.exchanges:
            assert each.message.question[0].name.to_text(omit_final_dot=True) == each.name
            assert data(each.message) in ([], ["192.0.2.9"])
        eventually(lambda: sockets(server) <= before, "no socket is left behind")
        return load

    @pytest.mark.parametrize("way", ["killed", "stopped", "restarted"])
    def test_of_one_of_two_go_unnoticed(
        self, pair: tuple[Unbound, Unbound], serve: Serve, tmp_path: Path, way: str
    ) -> None:
        server = forwarding(serve, tmp_path, *pair, try_seconds=0.2, seconds=4)
        load = self.run(server, pair[0], way)
        assert {each.message.rcode() for each in load.exchanges} == {dns.rcode.NOERROR}

    @pytest.mark.parametrize("way", ["killed", "stopped"])
    def test_of_the_only_one_are_told(
        self, pair: tuple[Unbound, Unbound], serve: Serve, tmp_path: Path, way: str
    ) -> None:
        server = forwarding(serve, tmp_path, pair[0], **IMPATIENT)
        load = self.run(server, pair[0], way)
        rcodes = {each.message.rcode() for each in load.exchanges}
        assert dns.rcode.NOERROR in rcodes
        assert rcodes <= {dns.rcode.NOERROR, dns.rcode.SERVFAIL}
        eventually(lambda: not ask(at(server), f"{names(1)[0]}.load.example").rcode(), "it is back")


class TestTheEnd:
    """SIGTERM while queries wait."""

    def test_an_upstream_that_answers_in_time_is_waited_for(
        self, upstream: Faulty, serve: Serve, tmp_path: Path
    ) -> None:
        upstream.behaviour = later(honest, 0.3)
        server = forwarding(serve, tmp_path, upstream)
        reply = self.asked_at_the_end(server, upstream)
        assert reply.rcode() == dns.rcode.NOERROR

    def test_one_that_does_not_is_not(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = silent
        server = forwarding(serve, tmp_path, upstream)
        reply = self.asked_at_the_end(server, upstream)
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert extended_errors(reply)

    def asked_at_the_end(self, server: Serving, upstream: Faulty) -> dns.message.Message:
        """The reply to a query that the upstream has when the signal comes."""
        query = dns.message.make_query("last.example", "A", use_edns=0)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect(at(server))
            client.send(query.to_wire())
            eventually(lambda: upstream.asked_for("last.example"), "the upstream has it")
            server.process.send_signal(signal.SIGTERM)
            reply = dns.message.from_wire(client.recv(4096))
        assert query.is_response(reply)
        assert server.process.wait(DEADLINE) == 0
        return reply
