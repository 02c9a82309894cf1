"""Upstreams that lie, err and cut off: every query is answered, and never with what is not true."""

from __future__ import annotations

import socket
from itertools import pairwise
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import pytest
from forwarding import (
    IMPATIENT,
    ask_all,
    at,
    expect_failure,
    expect_truth,
    forwarding,
    kept,
    names,
)
from serving import Serving, eventually

from tests.upstreams import LIE, LIES, Faulty, ask, over_udp
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
    truncated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Serve = Callable[..., Serving]


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

    @pytest.fixture
    @staticmethod
    def patient(knowing: Faulty, serve: Serve, tmp_path: Path) -> Serving:
        """It asks nobody a second time for what is slow."""
        return forwarding(serve, tmp_path, knowing)

    def test_ports_and_ids_are_random(self, knowing: Faulty, patient: Serving) -> None:
        """RFC 5452 section 9.2."""
        asked = {f"{each}." for each in names(300)}
        ask_all(patient, sorted(asked))
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

    def test_identical_questions_are_asked_once(self, knowing: Faulty, taught: ByLabel, patient: Serving) -> None:
        """As long as the answer is under way; whatever letters they are in. What asks for signatures is another one."""
        name = taught.teach(later(honest, 0.4))
        for dnssec in (False, True):
            queries = [dns.message.make_query(each, "A", want_dnssec=dnssec) for each in (name, name.upper())]
            replies = over_udp(at(patient), [each.to_wire() for each in queries * 40], window=80)
            assert None not in replies
        assert ["DO" in each.flags for each in knowing.asked_for(name)] == [False, True]

    def test_a_client_that_goes_takes_nobody_with_it(self, knowing: Faulty, taught: ByLabel, patient: Serving) -> None:
        """Several wait for one answer; the first of them has closed its connection when it comes."""
        name = taught.teach(later(honest, 0.4))
        query = dns.message.make_query(name, "A").to_wire()
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect(at(patient))
            with socket.create_connection(at(patient)) as impatient:
                impatient.sendall(len(query).to_bytes(2) + query)
                eventually(lambda: knowing.asked_for(name), "it is on its way")
                client.send(query)
                expect_truth(ask(at(patient), "another.example"), "another.example")  # so that was taken in as well
            client.send(query)
            for _ in range(2):
                expect_truth(dns.message.from_wire(client.recv(4096)), name)
        assert len(knowing.asked_for(name)) == 1


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
