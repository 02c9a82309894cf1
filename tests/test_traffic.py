"""What is asked and answered, counted: real responders, packets as they come, and a clock that is handed in."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from clusterdns import origins
from clusterdns.around.named import named
from clusterdns.origins import Origin, Trail
from clusterdns.respond import responder
from clusterdns.traffic import MOST_KEYS, SIZE_BOUNDS, TIMED, Place, Tally, Traffic
from clusterdns.wire import Dialect
from tests.cluster import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from clusterdns.respond import Client, Reaction, Respond

PLACE = Place("127.0.0.1", 53, is_tls=False, is_stream=False, zone=".")
CLIENT = ("192.0.2.1", 5353)

CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: demo}
spec: {clusterIP: None, selector: {app: db}}
"""

WEB = "web.demo.svc.cluster.local"


class Counting:
    """A responder whose queries are counted; a second goes by between two looks at the clock, unless it is said."""

    def __init__(self, respond: Callable[[Trail], Respond], times: Iterable[float] | None = None) -> None:
        self.trail = Trail(iter(times or count()).__next__)
        self.traffic = Traffic()
        self._respond = self.traffic.counted(respond(self.trail), PLACE, self.trail)

    @property
    def tally(self) -> Tally:
        return self.traffic.tallies[PLACE]

    def ask(self, name: str, rtype: str = "A", **options: Any) -> dns.message.Message:
        reply = self.send(dns.message.make_query(name, rtype, **options).to_wire())
        assert isinstance(reply, bytes)
        return dns.message.from_wire(reply)

    def send(self, packet: bytes) -> Reaction:
        return self._respond(packet, CLIENT)


def of_cluster(trail: Trail) -> Respond:
    return responder(Server(CLUSTER, pods="insecure").index, Dialect(), stream=False, trail=trail)


def saying(*replies: Reaction, origin: Origin = origins.FORWARD) -> Callable[[Trail], Respond]:
    """One reply after the other."""
    remaining = iter(replies)

    def made(trail: Trail) -> Respond:
        def respond(_packet: bytes, _client: Client) -> Reaction:
            trail.begin(origin)
            return next(remaining)

        return respond

    return made


@pytest.fixture
def counting() -> Counting:
    return Counting(of_cluster)


class TestQueries:
    def test_by_type(self, counting: Counting) -> None:
        for rtype in ("A", "A", "AAAA", "SRV", "HTTPS", "ANY", "TYPE65280", "HINFO"):
            counting.ask(WEB, rtype)
        expected = {"A": 2, "AAAA": 1, "SRV": 1, "HTTPS": 1, "ANY": 1, "other": 2}
        assert counting.tally.totals().requests == expected

    def test_with_the_do_bit(self, counting: Counting) -> None:
        for options in ({}, {"use_edns": 0}, {"want_dnssec": True}, {"want_dnssec": True, "payload": 4096}):
            counting.ask(WEB, **options)
        assert counting.tally.totals().dnssec_ok == 2

    def test_whose_bits_stand_elsewhere(self, counting: Counting) -> None:
        """The same byte of a query without EDNS belongs to no flags."""
        query = dns.message.make_query(WEB, "A")
        query.additional = [dns.rrset.from_text("a.example.", 0x8000, "IN", "A", "192.0.2.1")]
        counting.send(query.to_wire())
        assert counting.tally.totals().dnssec_ok == 0

    def test_that_nobody_can_read(self, counting: Counting) -> None:
        counting.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\x3fcut off")
        totals = counting.tally.totals()
        assert (totals.requests, totals.responses) == ({"other": 1}, {("FORMERR", ""): 1})

    def test_by_size(self, counting: Counting) -> None:
        asked, replied = [], []
        for name in (WEB, "x" * 50 + "." + WEB):
            packet = dns.message.make_query(name, "A").to_wire()
            reply = counting.send(packet)
            assert isinstance(reply, bytes)
            asked.append(len(packet))
            replied.append(len(reply))
        totals = counting.tally.totals()
        for buckets, sizes in ((totals.request_sizes, asked), (totals.response_sizes, replied)):
            assert buckets.sum == sum(sizes)
            expected = [sum(size <= bound for size in sizes) for bound in (*SIZE_BOUNDS, 1 << 16)]
            assert list(accumulate(buckets.counts)) == expected

    def test_that_get_no_answer(self, counting: Counting) -> None:
        response = dns.message.make_query(WEB, "A")
        response.flags |= dns.flags.QR
        assert counting.send(response.to_wire()) is None
        assert counting.tally.unanswered == 1
        assert not counting.tally.totals().requests


class TestAnswers:
    def test_by_rcode_and_part(self, counting: Counting) -> None:
        for name in (WEB, WEB, "none.demo.svc.cluster.local", "www.example"):
            counting.ask(name)
        counting.ask(WEB, use_edns=1)
        counting.send(b"\0\1\x28\0\0\1\0\0\0\0\0\0\1x\0\0\1\0\1")  # an UPDATE
        assert counting.tally.totals().responses == {
            ("NOERROR", "kubernetes"): 2,
            ("NXDOMAIN", "kubernetes"): 1,
            ("REFUSED", ""): 1,
            ("BADVERS", ""): 1,
            ("NOTIMP", ""): 1,
        }

    def test_by_the_way_they_came(self, counting: Counting) -> None:
        """Made once, found by what it means the second time, and by how it looks from then on."""
        for _ in range(5):
            counting.ask(WEB, use_edns=0)
        assert counting.tally.totals().ways["fast"] >= 3
        assert counting.tally.totals().ways.total() == 5

    def test_of_what_stands_around(self) -> None:
        reply = dns.message.make_response(dns.message.make_query(WEB, "A")).to_wire()

        def surrounded(trail: Trail) -> Respond:
            inner = of_cluster(trail)
            return named(
                "template", lambda packet, client: reply if b"web" in packet else inner(packet, client), inner, trail
            )

        counting = Counting(surrounded)
        counting.ask(WEB)
        counting.ask("none.demo.svc.cluster.local")
        totals = counting.tally.totals()
        assert totals.responses == {("NOERROR", "template"): 1, ("NXDOMAIN", "kubernetes"): 1}
        assert totals.ways["around"] == 1

    def test_that_took_another_question(self) -> None:
        """It is the client's that counts, as when AAAA records are made of A records."""

        def surrounded(trail: Trail) -> Respond:
            inner = of_cluster(trail)
            asked = dns.message.make_query(WEB, "A").to_wire()
            return named("dns64", lambda _packet, client: inner(asked, client), inner, trail)

        counting = Counting(surrounded)
        for _ in range(4):
            counting.send(dns.message.make_query(WEB, "AAAA", want_dnssec=True).to_wire())
        totals = counting.tally.totals()
        assert totals.ways["fast"] > 0
        assert (totals.requests, totals.dnssec_ok) == ({"AAAA": 4}, 4)
        assert totals.responses == {("NOERROR", "kubernetes"): 4}

    def test_of_nothing_that_stands_around(self) -> None:
        trail = Trail()
        respond = of_cluster(trail)
        assert named("acl", respond, respond, trail) is respond

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("www.google.com.demo.svc.cluster.local", "service"),
            ("none.demo.svc.cluster.local", "service"),
            ("www.google.com.svc.cluster.local", "namespace"),
            ("www.google.com.cluster.local", "name"),
            ("none.web.demo.svc.cluster.local", "endpoint"),
            ("db.demo.svc.cluster.local", "endpoint"),
            ("_none._tcp.web.demo.svc.cluster.local", "port"),
            ("none.demo.pod.cluster.local", "pod"),
            ("10-0-0-1.none.pod.cluster.local", "namespace"),
            ("9.9.9.10.in-addr.arpa", "address"),
        ],
    )
    def test_of_names_that_are_missing(self, counting: Counting, name: str, reason: str) -> None:
        for _ in range(4):
            assert counting.ask(name).rcode() == dns.rcode.NXDOMAIN
        assert counting.tally.totals().missing == {reason: 4}

    def test_of_types_that_are_missing(self, counting: Counting) -> None:
        counting.ask(WEB, "AAAA")
        assert not counting.tally.totals().missing


class TestDurations:
    def test_each_is_in_its_bucket(self) -> None:
        """0.25 ms is in the first one; what took 100 s is in the last."""
        took = [0.0001, 0.00025, 0.0003, 0.004, 100]
        reply = dns.message.make_response(dns.message.make_query(WEB, "A")).to_wire()
        counting = Counting(saying(*[reply] * len(took)), [moment for each in took for moment in (0.0, each)])
        for _ in took:
            counting.ask(WEB)
        durations = counting.tally.durations()
        expected = [sum(each <= bound for each in took) for bound in (*durations.bounds, 1000)]
        assert list(accumulate(durations.counts)) == expected
        assert durations.sum == pytest.approx(sum(took))

    def test_one_of_many_ready_made_answers_stands_for_the_others(self) -> None:
        counting = Counting(of_cluster)
        for _ in range(2):
            counting.ask(WEB)
        before = counting.tally.durations().sum
        for _ in range(4 * TIMED):
            assert counting.ask(WEB)
        durations = counting.tally.durations()
        assert durations.sum - before == pytest.approx(4 * TIMED, abs=1)
        assert sum(durations.counts) == 4 * TIMED + 2

    def test_there_are_sixteen_bounds(self) -> None:
        bounds = Counting(of_cluster).tally.durations().bounds
        assert (bounds[0], bounds[-1], len(bounds)) == (0.00025, 8.192, 16)


class TestRepliesToCome:
    async def test_are_counted_when_they_come(self) -> None:
        reply = dns.message.make_response(dns.message.make_query(WEB, "A")).to_wire()
        come = asyncio.Event()

        async def late() -> bytes:
            await come.wait()
            counting.trail.origin = origins.LATE_FORWARD
            return reply

        counting = Counting(saying(late()), times=[0, 2])
        reaction = counting.send(dns.message.make_query(WEB, "A").to_wire())
        assert asyncio.iscoroutine(reaction)
        task = asyncio.create_task(reaction)
        await asyncio.sleep(0)
        assert counting.tally.waiting == 1
        assert not counting.tally.totals().requests
        counting.trail.origin = origins.CACHE  # of another query
        come.set()
        assert await task == reply
        totals = counting.tally.totals()
        assert counting.tally.waiting == 0
        assert (totals.responses, totals.ways) == ({("NOERROR", "forward"): 1}, {"late": 1})
        assert counting.tally.durations().sum == 2

    async def test_that_do_not_come(self) -> None:
        async def silence() -> None:
            pass

        counting = Counting(saying(silence()))
        reaction = counting.send(dns.message.make_query(WEB, "A").to_wire())
        assert asyncio.iscoroutine(reaction)
        assert await reaction is None
        assert (counting.tally.waiting, counting.tally.unanswered) == (0, 1)


class TestManyQueries:
    def test_that_differ_in_their_options(self, counting: Counting) -> None:
        """Each client's cookie is another one."""
        for number in range(10):
            cookie = dns.edns.GenericOption(10, number.to_bytes(8, "big"))
            padding = dns.edns.GenericOption(12, bytes(100))
            for _ in range(3):
                counting.ask(WEB, use_edns=0, options=[cookie])
                counting.ask(WEB, use_edns=0, options=[cookie, padding])
        assert counting.tally.totals().requests == {"A": 60}

    def test_of_all_sorts_take_no_more_room(self) -> None:
        """Whatever an attacker varies, it is added up in time, and nothing is lost."""
        asked = MOST_KEYS * 5
        counting = Counting(saying(*(bytes(12) + bytes(number % 1000) for number in range(1, asked + 1))))
        for number in range(asked):
            counting.send(bytes(12) + b"\1x\0" + number.to_bytes(2, "big") + bytes(9))
            assert len(counting.tally.counts) <= MOST_KEYS
        assert counting.tally.totals().requests.total() == asked

    def test_are_the_same_whenever_somebody_looks(self, counting: Counting) -> None:
        for number in range(20):
            counting.ask(WEB)
            assert counting.tally.totals().requests == Counter(A=number + 1)


def test_another_configuration_goes_on_counting() -> None:
    traffic, trail = Traffic(), Trail()
    packet = dns.message.make_query(WEB, "A").to_wire()
    for _ in range(2):
        traffic.counted(of_cluster(trail), PLACE, trail)(packet, CLIENT)
    assert traffic.tallies[PLACE].totals().requests == {"A": 2}
