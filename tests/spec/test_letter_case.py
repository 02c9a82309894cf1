"""Letter case: it does not matter in a question, and comes back as it was asked (0x20)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cluster import Server, addresses

SERVER = Server(
    """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 80}]}
""",
    pods="insecure",
)


def mixed(text: str) -> st.SearchStrategy[str]:
    return st.tuples(*(st.sampled_from((each.lower(), each.upper())) for each in text)).map("".join)


class TestQuestionsInMixedCase:
    @given(mixed("cart.shop.svc.cluster.local."))
    def test_are_answered_in_it(self, name: str) -> None:
        reply = SERVER.ask(name)
        assert addresses(reply) == ["10.96.0.10"]
        assert [rrset.name.to_text() for rrset in reply.question + reply.answer] == [name, name]

    @given(mixed("nobody.shop.svc."), mixed("cluster.local."))
    def test_are_denied_in_it(self, name: str, zone: str) -> None:
        reply = SERVER.ask(name + zone)
        assert reply.rcode() == 3
        assert reply.question[0].name.to_text() == name + zone
        assert reply.authority[0].name.to_text() == zone

    @given(mixed("_http._tcp.cart.shop.svc.cluster.local."))
    def test_about_ports(self, name: str) -> None:
        reply = SERVER.ask(name, "SRV")
        assert reply.answer[0].name.to_text() == name
        assert reply.answer[0][0].target.to_text() == "cart.shop.svc.cluster.local."
        assert reply.additional[0].name.to_text() == name.partition(".")[2].partition(".")[2]

    @pytest.mark.parametrize("name", ["10.0.96.10.IN-ADDR.arpa.", "10.0.96.10.in-addr.ARPA."])
    def test_about_addresses(self, name: str) -> None:
        reply = SERVER.ask(name, "PTR")
        assert reply.answer[0].name.to_text() == name
        assert reply.answer[0][0].target.to_text() == "cart.shop.svc.cluster.local."

    @given(mixed("10-0-0-1.shop.pod.cluster.local."))
    def test_about_pods(self, name: str) -> None:
        reply = SERVER.ask(name)
        assert addresses(reply) == ["10.0.0.1"]
        assert reply.answer[0].name.to_text() == name
