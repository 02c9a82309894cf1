"""The upstreams of these tests are what they are meant to be: the judges, judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.upstreams import LIES, SOA, Nsd, Query, difference, every_type, over_tcp
from tests.upstreams.behaviours import honest, says
from tests.upstreams.zones import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dns.message import Message

QUERY = dns.message.make_query("a-name.example", "A", use_edns=0)


def asked() -> Query:
    return Query(QUERY.to_wire(), ("127.0.0.1", 1), "udp")


class TestLies:
    def test_the_truth_is_believed(self) -> None:
        (said,) = honest(asked())
        assert QUERY.is_response(dns.message.from_wire(said.packet))

    @pytest.mark.parametrize("lie", LIES)
    def test_no_lie_is(self, lie: str) -> None:
        """By its content, for dnspython; or by where it comes from."""
        (said,) = LIES[lie](asked())
        try:
            believed = QUERY.is_response(dns.message.from_wire(said.packet))
        except (dns.exception.DNSException, ValueError):
            believed = False
        believed = believed and said.packet[:2] == QUERY.to_wire()[:2] and bool(said.packet[2] & 0x80)
        assert not believed or said.source


class TestDifferences:
    ANSWER = "a-name.example. 300 IN A 192.0.2.1\na-name.example. 300 IN A 192.0.2.2"
    AUTHORITY = SOA.format(zone="example.", ttl=60, minimum=60)

    def reply(self, change: Callable[[Message], object] = lambda _: None) -> bytes:
        (said,) = says(self.ANSWER, authority=self.AUTHORITY)(asked())
        reply = dns.message.from_wire(said.packet)
        change(reply)
        return reply.to_wire()

    @pytest.mark.parametrize(
        "change",
        [
            lambda reply: setattr(reply, "id", reply.id ^ 1),
            lambda reply: setattr(reply.answer[0], "ttl", 7),
            lambda reply: reply.answer[0].update(reply.answer[0].to_rdataset()),
            lambda reply: reply.use_edns(False),
            lambda reply: setattr(reply, "flags", reply.flags ^ dns.flags.RA),
        ],
        ids=["ID", "TTL", "order", "OPT", "RA"],
    )
    def test_what_may_differ(self, change: Callable[[Message], object]) -> None:
        assert not difference(self.reply(), self.reply(change))

    @pytest.mark.parametrize(
        "change",
        [
            lambda reply: reply.set_rcode(dns.rcode.NXDOMAIN),
            lambda reply: setattr(reply, "flags", reply.flags ^ dns.flags.TC),
            lambda reply: setattr(reply, "flags", reply.flags ^ dns.flags.AD),
            lambda reply: reply.answer[0].remove(reply.answer[0][1]),
            lambda reply: reply.authority.clear(),
            lambda reply: reply.additional.extend(reply.answer),
            lambda reply: reply.answer.extend(reply.authority),
        ],
        ids=["rcode", "TC", "AD", "a record less", "no authority", "more additional", "another section"],
    )
    def test_what_may_not(self, change: Callable[[Message], object]) -> None:
        assert difference(self.reply(), self.reply(change))


def test_nsd_has_every_type_of_the_zone(tmp_path: Path) -> None:
    zone = every_type(1, 2)
    questions = {each.rtype: each for each in zone.asked if each.shape == "type"}
    assert set(questions) == set(TYPES) | {"CNAME"}
    queries = [dns.message.make_query(each.name, each.rtype).to_wire() for each in questions.values()]
    with Nsd(tmp_path, {zone.origin: zone.text}) as nsd:
        for question, packet in zip(questions.values(), over_tcp((nsd.address, nsd.port), queries), strict=True):
            assert packet is not None
            reply = dns.message.from_wire(packet)
            assert reply.answer, question
            assert reply.flags & dns.flags.AA
