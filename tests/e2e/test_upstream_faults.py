"""Upstreams that lie, err, hang, vanish and come back: every query is answered, and never with what is not true."""

from __future__ import annotations

import time
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import pytest
from forwarding import CLUSTER_ADDRESS, CLUSTER_NAME, at, data, extended_errors, forwarding, kept
from serving import Serving, eventually

from tests.upstreams import LIE, LIES, Faulty, Load, Unbound, address_of, ask, over_udp
from tests.upstreams.behaviours import (
    ByLabel,
    and_close,
    closes_at_once,
    damages,
    fails,
    honest,
    in_lower_case,
    in_turn,
    later,
    no_edns,
    out_of_order,
    says,
    silent,
    truncated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Serve = Callable[..., Serving]

EDE_STALE_ANSWER, EDE_STALE_NXDOMAIN, EDE_NO_REACHABLE_AUTHORITY = 3, 19, 22
STALE_TTL = 30
IMPATIENT = {"try_seconds": 0.3, "seconds": 1.0}
"""So that a test of silence does not last."""


@pytest.fixture
def upstream() -> Iterator[Faulty]:
    with Faulty(honest) as started:
        yield started


@pytest.fixture
def second() -> Iterator[Faulty]:
    with Faulty(honest) as started:
        yield started


@pytest.fixture(scope="module")
def taught() -> ByLabel:
    """What `knowing` knows."""
    return ByLabel()


@pytest.fixture(scope="module")
def knowing(taught: ByLabel) -> Iterator[Faulty]:
    """An upstream for more tests than one: its faults are those of names."""
    with Faulty(taught) as started:
        yield started


@pytest.fixture(scope="module")
def server(knowing: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with kept(folder := tmp_path_factory.mktemp("server")) as serve:
        yield forwarding(serve, folder, knowing, **IMPATIENT)


def ask_all(server: Serving, names: list[str], seconds: float = 10) -> dict[str, dns.message.Message]:
    """All at once; each is answered."""
    queries = [dns.message.make_query(each, "A", use_edns=0) for each in names]
    packets = over_udp(at(server), [each.to_wire() for each in queries], window=len(names), seconds=seconds)
    replies = {}
    for query, packet in zip(queries, packets, strict=True):
        assert packet is not None, f"silence for {query.question[0].name}"
        reply = replies[query.question[0].name.to_text(omit_final_dot=True)] = dns.message.from_wire(packet)
        assert query.is_response(reply)
    return replies


def names(number: int, zone: str = "example") -> list[str]:
    """Some that nobody has asked for."""
    return [f"n{next(_numbers)}.{zone}" for _ in range(number)]


_numbers = count()


def expect_truth(reply: dns.message.Message, name: str) -> None:
    assert reply.rcode() == dns.rcode.NOERROR, reply
    assert data(reply) == [address_of(name)]


def expect_failure(reply: dns.message.Message) -> None:
    assert reply.rcode() == dns.rcode.SERVFAIL, reply
    assert not reply.answer
    assert EDE_NO_REACHABLE_AUTHORITY in extended_errors(reply)


def sockets(server: Serving) -> int:
    """That the process holds open."""
    descriptors = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return sum(each.readlink().name.startswith("socket:") for each in descriptors if each.is_symlink())


class TestLies:
    NAMES = tuple(f"{each}.example" for each in LIES)
    OVER_STREAMS = tuple(f"{each}.example" for each in LIES if each not in ("wrong-port", "wrong-address"))

    def test_the_truth_behind_a_lie_is_taken(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = ByLabel({label: in_turn(lie, later(honest, 0.1)) for label, lie in LIES.items()})
        server = forwarding(serve, tmp_path, upstream)
        for name, reply in ask_all(server, list(self.NAMES)).items():
            expect_truth(reply, name)

    def test_a_lie_alone_is_no_answer(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = ByLabel(LIES)
        server = forwarding(serve, tmp_path, upstream, **IMPATIENT)
        for reply in ask_all(server, list(self.NAMES)).values():
            expect_failure(reply)
        assert {each.name for each in upstream.queries} >= {f"{each}." for each in self.NAMES}

    def test_nor_is_it_over_a_connection(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = ByLabel(LIES)
        server = forwarding(serve, tmp_path, upstream, force_tcp=True, **IMPATIENT)
        for reply in ask_all(server, list(self.OVER_STREAMS)).values():
            expect_failure(reply)
        expect_truth(ask(at(server), "www.example"), "www.example")

    def test_letters_in_random_case_have_to_come_back(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        """So that a liar who saw nothing of the query has more to guess."""
        upstream.behaviour = in_turn(in_lower_case, later(honest, 0.1))
        server = forwarding(serve, tmp_path, upstream, random_letter_case=True)
        name = "a-name-with-many-letters.example"
        expect_truth(ask(at(server), name), name)
        assert upstream.asked_for(name)[0].name not in (f"{name}.", f"{name}.".upper())

    def test_damaged_packets_do_no_damage(self, taught: ByLabel, server: Serving) -> None:
        """Some of them still are well-formed, and relayed as they are: data is upstream's own."""
        damaged = [taught.teach(damages(honest, seed)) for seed in range(200)]
        queries = [dns.message.make_query(each, "A").to_wire() for each in damaged]
        for query, reply in zip(queries, over_udp(at(server), queries, window=len(queries)), strict=True):
            assert reply is not None
            assert reply[12 : len(query)] == query[12:]
        (name,) = names(1)
        expect_truth(ask(at(server), name), name)

    def test_an_answer_that_comes_twice_is_taken_once(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = in_turn(honest, honest, later(says("{name} 30 IN A " + LIE)))
        server = forwarding(serve, tmp_path, upstream)
        for name, reply in ask_all(server, names(50)).items():
            expect_truth(reply, name)


class TestQueries:
    """What can be guessed of them, and what is passed on."""

    def test_ports_and_ids_are_random(self, knowing: Faulty, server: Serving) -> None:
        """RFC 5452 section 9.2."""
        asked = {f"{each}." for each in names(300)}
        ask_all(server, sorted(asked))
        queries = [each for each in knowing.queries if each.name in asked]
        assert len(queries) == len(asked)
        for secret in ([each.client[1] for each in queries], [each.id for each in queries]):
            assert len(set(secret)) > 250
            steps = [after - before for before, after in pairwise(secret)]
            assert max(map(steps.count, steps)) < 20
            assert max(secret) - min(secret) > 10_000

    @pytest.mark.parametrize("flags", [0, dns.flags.CD, dns.flags.AD])
    @pytest.mark.parametrize("dnssec", [False, True])
    def test_edns_and_flags(self, knowing: Faulty, server: Serving, flags: int, *, dnssec: bool) -> None:
        (name,) = names(1)
        ask(at(server), name, flags=dns.flags.RD | flags, want_dnssec=dnssec)
        (query,) = knowing.asked_for(name)
        assert "RD" in query.flags
        assert ("DO" in query.flags) == dnssec
        assert ("CD" in query.flags) == bool(flags & dns.flags.CD)
        assert (query.message.edns, query.message.payload) == (0, 1232)
        assert not query.message.options

    def test_identical_questions_are_asked_once(self, knowing: Faulty, taught: ByLabel, server: Serving) -> None:
        """As long as the answer is under way; whatever letters they are in. What asks for signatures is another one."""
        name = taught.teach(later(honest, 0.2))
        for dnssec in (False, True):
            queries = [dns.message.make_query(each, "A", want_dnssec=dnssec) for each in (name, name.upper())]
            replies = over_udp(at(server), [each.to_wire() for each in queries * 40], window=80)
            assert None not in replies
        assert ["DO" in each.flags for each in knowing.asked_for(name)] == [False, True]


class TestTruncation:
    def test_the_whole_is_fetched_over_tcp(self, knowing: Faulty, taught: ByLabel, server: Serving) -> None:
        for name, reply in ask_all(server, [taught.teach(truncated) for _ in range(50)]).items():
            expect_truth(reply, name)
            assert not reply.flags & dns.flags.TC
            assert [each.transport for each in knowing.asked_for(name)] == ["udp", "tcp"]

    def test_without_tcp_nothing_is_taken_for_whole(self, serve: Serve, tmp_path: Path) -> None:
        with Faulty(truncated, tcp=False) as upstream:
            server = forwarding(serve, tmp_path, upstream, **IMPATIENT)
            for reply in ask_all(server, names(20)).values():
                assert reply.rcode() == dns.rcode.SERVFAIL or reply.flags & dns.flags.TC
                assert not reply.answer


class TestErrors:
    RCODES = ("SERVFAIL", "REFUSED", "NOTIMP")

    @pytest.mark.parametrize("rcode", RCODES)
    def test_are_told_if_nobody_knows_better(self, taught: ByLabel, server: Serving, rcode: str) -> None:
        assert dns.rcode.to_text(ask(at(server), taught.teach(fails(rcode))).rcode()) == rcode

    def test_but_another_upstream_may(
        self, knowing: Faulty, taught: ByLabel, second: Faulty, serve: Serve, tmp_path: Path
    ) -> None:
        server = forwarding(serve, tmp_path, knowing, second, policy="sequential")
        failing = {taught.teach(fails(rcode)): rcode for rcode in self.RCODES for _ in range(10)}
        for name, reply in ask_all(server, list(failing)).items():
            expect_truth(reply, name)
            assert knowing.asked_for(name), failing[name]

    def test_upstreams_that_do_not_know_edns(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = no_edns
        server = forwarding(serve, tmp_path, upstream)
        for name, reply in ask_all(server, names(50)).items():
            expect_truth(reply, name)
            assert reply.edns == 0


class TestConnections:
    """To an upstream that is asked over TCP."""

    def test_one_is_enough(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        server = forwarding(serve, tmp_path, upstream, force_tcp=True)
        for name in names(30):
            expect_truth(ask(at(server), name), name)
        assert {each.transport for each in upstream.queries} == {"tcp"}
        assert upstream.connections == 1

    def test_answers_may_overtake_each_other(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = out_of_order(honest, 0.3)
        server = forwarding(serve, tmp_path, upstream, force_tcp=True)
        for name, reply in ask_all(server, names(60)).items():
            expect_truth(reply, name)
        assert upstream.connections < 10

    def test_an_upstream_may_close_behind_each_answer(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        upstream.behaviour = and_close(honest)
        server = forwarding(serve, tmp_path, upstream, force_tcp=True)
        for name in names(30):
            expect_truth(ask(at(server), name), name)

    def test_an_upstream_may_close_what_is_idle(self, serve: Serve, tmp_path: Path) -> None:
        with Faulty(honest, idle_seconds=0.1) as upstream:
            server = forwarding(serve, tmp_path, upstream, force_tcp=True)
            for number in range(1, 4):
                eventually(lambda: upstream.open_connections == 0, "closed")
                (name,) = names(1)
                expect_truth(ask(at(server), name), name)
                assert upstream.connections >= number

    def test_an_upstream_that_closes_in_place_of_an_answer(
        self, upstream: Faulty, serve: Serve, tmp_path: Path
    ) -> None:
        upstream.behaviour = closes_at_once
        server = forwarding(serve, tmp_path, upstream, force_tcp=True, **IMPATIENT)
        for reply in ask_all(server, names(30)).values():
            expect_failure(reply)


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
        """While 1,000 queries hang; by the best of some rounds, since the machine has other things to do as well."""
        upstream.behaviour = silent
        server = forwarding(serve, tmp_path, upstream, try_seconds=30, seconds=60)
        cluster = [dns.message.make_query(CLUSTER_NAME, "A").to_wire()] * 1000

        def seconds() -> float:
            started = time.perf_counter()
            replies = over_udp(at(server), cluster)
            took = time.perf_counter() - started
            assert [data(dns.message.from_wire(each or b"")) for each in replies[::100]] == [[CLUSTER_ADDRESS]] * 10
            assert None not in replies
            return took

        alone = min(seconds() for _ in range(5))
        hanging = [dns.message.make_query(each, "A").to_wire() for each in names(1000)]
        assert over_udp(at(server), hanging, window=50, seconds=0.01) == [None] * 1000
        eventually(lambda: len(upstream.queries) >= 1000, "they hang")
        assert min(seconds() for _ in range(5)) < 3 * alone


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

    def test_are_better_than_silence_and_failures(self, taught: ByLabel, server: Serving) -> None:
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
            expect_failure(ask(at(strict), name, use_edns=0))


class TestOutages:
    """Of real resolvers, under some hundred queries a second."""

    ZONE = ("load.example. 30 IN A 192.0.2.9",)
    QUERIES = 120

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
