"""Whatever is in the cluster and whatever is asked: the reply can be read, answers the question, and fits."""

from __future__ import annotations

from typing import Any

import dns.flags
import dns.message
import dns.rdatatype
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterdns.events import Listed, Put
from clusterdns.objects import EndpointSlice, Service
from clusterdns.respond import responder
from clusterdns.wire import Dialect
from tests.test_index import ALL, made, new_index, objects, questions

LARGE = 120

CROWD = [
    made(Service, "crowd", "a", spec={"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}),
    made(
        EndpointSlice,
        "crowd",
        "a",
        metadata={"labels": {"kubernetes.io/service-name": "crowd"}},
        addressType="IPv4",
        endpoints=[{"addresses": [f"10.77.0.{number}"]} for number in range(LARGE)],
        ports=[{"name": "http", "port": 80}],
    ),
]
"""A service whose answers do not fit into a datagram."""

ASKED = [*questions(), *((f"{name}crowd.a.svc.cluster.local", t) for name in ("", "_http._tcp.") for t in ("A", "SRV"))]
SIZES = st.one_of(st.none(), st.sampled_from([0, 511, 512, 1231, 1232, 1400, 4096, 65535]))

Records = set[tuple[Any, ...]]


def asked(question: tuple[str, str], payload: int | None, *, dnssec: bool) -> dns.message.Message:
    name, rtype = question
    if payload is None:
        return dns.message.make_query(name, rtype)
    return dns.message.make_query(name, rtype, use_edns=0, payload=payload, want_dnssec=dnssec)


def records(reply: dns.message.Message) -> Records:
    return {(each.name, each.rdtype, each.ttl, data) for each in reply.answer for data in each}


class TestReplies:
    @settings(max_examples=60)
    @given(st.lists(objects(), max_size=15), st.lists(st.sampled_from(ASKED), max_size=30), SIZES, st.booleans())
    def test_can_be_read_answer_the_question_and_fit(
        self, given_objects: list[Any], some: list[tuple[str, str]], payload: int | None, dnssec: bool
    ) -> None:
        index = new_index()
        index.apply([Listed(kind, ()) for kind in ALL])
        index.apply([Put(each) for each in [*CROWD, *given_objects]])
        over_udp, over_tcp = (responder(index, Dialect(), stream=stream) for stream in (False, True))
        room = 512 if payload is None else min(max(payload, 512), 1232)
        for question in [*some, *ASKED[-4:]]:
            query = asked(question, payload, dnssec=dnssec)
            short, long = over_udp(query.to_wire()), over_tcp(query.to_wire())
            assert isinstance(short, bytes)
            assert isinstance(long, bytes)
            assert len(short) <= room
            udp, tcp = dns.message.from_wire(short), dns.message.from_wire(long)
            for reply in (udp, tcp):
                assert query.is_response(reply)
                assert reply.question == query.question
                assert (reply.opt is not None) == (payload is not None)
            assert udp.rcode() == tcp.rcode()
            assert not tcp.flags & dns.flags.TC
            assert records(udp) <= records(tcp)
            assert bool(udp.flags & dns.flags.TC) == (records(udp) < records(tcp) or udp.authority != tcp.authority)

    def test_of_a_crowd_are_cut_short(self) -> None:
        """Or the tests above would say little."""
        index = new_index()
        index.apply([Put(each) for each in CROWD])
        query = dns.message.make_query("crowd.a.svc.cluster.local", "A")
        reply = responder(index, Dialect(), stream=False)(query.to_wire())
        assert isinstance(reply, bytes)
        found = dns.message.from_wire(reply)
        assert found.flags & dns.flags.TC
        assert 0 < len(records(found)) < LARGE
