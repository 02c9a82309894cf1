"""Which namespaces are there for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.reversename
import pytest

from clusterdns import names
from clusterdns.around.visibility import Places, Rule, showing
from clusterdns.wire import Dialect
from tests.cluster import Server
from tests.surrounded import Upstream, ask, lines, replied

if TYPE_CHECKING:
    from clusterdns.respond import Respond

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Namespace
metadata: {name: bank}
---
kind: Namespace
metadata: {name: platform}
---
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7], ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: vault, namespace: bank}
spec: {clusterIP: 10.96.0.8, clusterIPs: [10.96.0.8], ports: [{name: https, port: 443}]}
---
kind: Service
metadata: {name: metrics, namespace: platform}
spec: {clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9], ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: vault.bank.svc.cluster.local}
---
kind: Service
metadata: {name: other-alias, namespace: shop}
spec: {type: ExternalName, externalName: metrics.platform.svc.cluster.local}
---
kind: Pod
metadata: {name: teller, namespace: bank}
spec: {}
status: {phase: Running, podIP: 10.244.0.8, podIPs: [{ip: 10.244.0.8}]}
"""
PLACES = Places(
    frozenset({names.from_text("cluster.local")}), frozenset({names.from_text("example.org")}), external_apex=b"dns"
)
RULES = (Rule(clients=("shop",), see=("platform",)), Rule(clients=("platform",), see=("shop", "bank")))
SHOP, PLATFORM, BANK, NOBODY = [(f"10.244.1.{number}", 5353) for number in range(1, 5)]
NAMESPACES = {SHOP[0]: "shop", PLATFORM[0]: "platform", BANK[0]: "bank"}


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(CLUSTER, pods="verified")


def shown(respond: Respond, *rules: Rule, stream: bool = False) -> Respond:
    return showing(respond, rules or RULES, PLACES, NAMESPACES.get, Dialect(), stream=stream)


HIDDEN = [
    ("vault.bank.svc.cluster.local", "A"),
    ("VAULT.Bank.svc.cluster.LOCAL", "A"),
    ("vault.bank.svc.cluster.local", "SRV"),
    ("vault.bank.svc.cluster.local", "ANY"),
    ("_https._tcp.vault.bank.svc.cluster.local", "SRV"),
    ("bank.svc.cluster.local", "A"),
    ("bank.pod.cluster.local", "A"),
    ("10-244-0-8.bank.pod.cluster.local", "A"),
]
"""What shop does not see."""

SEEN = [
    ("web.shop.svc.cluster.local", "A"),
    ("_http._tcp.web.shop.svc.cluster.local", "SRV"),
    ("metrics.platform.svc.cluster.local", "A"),
    ("other-alias.shop.svc.cluster.local", "A"),
    ("nope.shop.svc.cluster.local", "A"),
    ("nope.nowhere.svc.cluster.local", "A"),
    ("cluster.local", "SOA"),
    ("svc.cluster.local", "A"),
    ("dns-version.cluster.local", "TXT"),
    ("bank.cluster.local", "A"),
    ("www.example.net", "A"),
]
"""What is the same for everybody."""


class TestNames:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(("name", "rtype"), HIDDEN)
    def test_a_hidden_one_is_as_one_of_a_namespace_that_is_not_there(
        self, server: Server, name: str, rtype: str, *, stream: bool
    ) -> None:
        respond = server.stream if stream else server.datagram
        for edns in ({"use_edns": False}, {"use_edns": 0}):
            reply = ask(shown(respond, stream=stream), name, rtype, client=SHOP, **edns)
            missing = ask(respond, name.replace("bank", "nope").replace("Bank", "Nope"), rtype, **edns)
            assert reply.rcode() == missing.rcode() == dns.rcode.NXDOMAIN
            assert (lines(reply.answer), lines(reply.authority)) == ([], lines(missing.authority))
            reasons = [each.to_text().replace("nope", "bank") for each in missing.options]
            assert [each.to_text() for each in reply.options] == reasons

    @pytest.mark.parametrize(("name", "rtype"), HIDDEN)
    @pytest.mark.parametrize("client", [PLATFORM, BANK, NOBODY])
    def test_for_others_it_is_there(self, server: Server, name: str, rtype: str, client: tuple[str, int]) -> None:
        reply = ask(shown(server.datagram), name, rtype, client=client)
        assert reply.rcode() == dns.rcode.NOERROR
        assert lines(reply.answer) == lines(ask(server.datagram, name, rtype).answer)

    @pytest.mark.parametrize(("name", "rtype"), SEEN)
    def test_all_else_is_as_it_was(self, server: Server, name: str, rtype: str) -> None:
        reply, expected = (ask(each, name, rtype, client=SHOP) for each in (shown(server.datagram), server.datagram))
        assert (reply.rcode(), lines(reply.answer)) == (expected.rcode(), lines(expected.answer))
        assert (lines(reply.authority), lines(reply.additional)) == (
            lines(expected.authority),
            lines(expected.additional),
        )

    def test_a_rule_without_clients_is_about_all(self, server: Server) -> None:
        respond = shown(server.datagram, Rule(see=("platform",)))
        for client, rcode in ((SHOP, "NXDOMAIN"), (BANK, "NOERROR"), (NOBODY, "NXDOMAIN")):
            assert dns.rcode.to_text(ask(respond, "vault.bank.svc.cluster.local", client=client).rcode()) == rcode

    def test_the_first_rule_decides(self, server: Server) -> None:
        respond = shown(server.datagram, Rule(clients=("shop",), see=("bank",)), Rule(see=()))
        assert lines(ask(respond, "vault.bank.svc.cluster.local", client=SHOP).answer)
        assert not lines(ask(respond, "metrics.platform.svc.cluster.local", client=SHOP).answer)

    @pytest.mark.parametrize(
        ("name", "rcode"),
        [
            ("vault.bank.example.org", "NXDOMAIN"),
            ("bank.example.org", "NXDOMAIN"),
            ("web.shop.example.org", "NOERROR"),
            ("ns1.dns.example.org", "NOERROR"),
            ("example.org", "NOERROR"),
        ],
    )
    def test_names_for_the_outside(self, name: str, rcode: str) -> None:
        def external(packet: bytes, _client: object) -> bytes:
            """NXDOMAIN for a namespace that can be none, anything else is there."""
            query = dns.message.from_wire(packet)
            reply = dns.message.make_response(query)
            reply.set_rcode(dns.rcode.NXDOMAIN if "____" in str(query.question[0].name) else dns.rcode.NOERROR)
            return reply.to_wire()

        assert dns.rcode.to_text(ask(shown(external), name, client=SHOP).rcode()) == rcode

    @pytest.mark.parametrize("packet", [b"", b"x" * 11, bytes(12), b"\0\1\0\0\0\1\0\0\0\0\0\0\x04bank"])
    def test_what_is_no_query_is_as_it_was(self, server: Server, packet: bytes) -> None:
        assert shown(server.datagram)(packet, SHOP) == server.datagram(packet, SHOP)

    async def test_replies_to_come_too(self) -> None:
        upstream = Upstream(["www.example.net. 60 CNAME vault.bank.svc.cluster.local."])
        query = dns.message.make_query("www.example.net", "A")
        reaction = shown(upstream.later)(query.to_wire(), SHOP)
        assert not isinstance(reaction, bytes | None)
        assert replied(await reaction, query).rcode() == dns.rcode.NXDOMAIN


class TestWhatLeadsThere:
    @pytest.mark.parametrize("rtype", ["A", "AAAA", "CNAME"])
    def test_an_alias_is_hidden_with_it(self, server: Server, rtype: str) -> None:
        reply = ask(shown(server.datagram), "alias.shop.svc.cluster.local", rtype, client=SHOP)
        assert (reply.rcode(), reply.answer, reply.additional) == (dns.rcode.NXDOMAIN, [], [])

    @pytest.mark.parametrize(
        ("address", "answer"),
        [("10.96.0.8", []), ("10.96.0.7", ["web.shop"]), ("10.96.0.9", ["metrics.platform"])],
    )
    def test_an_address(self, server: Server, address: str, answer: list[str]) -> None:
        name = dns.reversename.from_address(address).to_text()
        reply = ask(shown(server.datagram), name, "PTR", client=SHOP)
        assert lines(reply.answer) == [f"{name} 30 PTR {each}.svc.cluster.local." for each in answer]
        assert dns.rcode.to_text(reply.rcode()) == ("NOERROR" if answer else "NXDOMAIN")

    def test_of_an_address_in_several_namespaces_the_others_are_seen(self) -> None:
        upstream = Upstream(
            [
                "7.0.244.10.in-addr.arpa. 30 PTR a.vault.bank.svc.cluster.local.",
                "7.0.244.10.in-addr.arpa. 30 PTR a.web.shop.svc.cluster.local.",
            ]
        )
        reply = ask(shown(upstream.at_once), "7.0.244.10.in-addr.arpa", "PTR", client=SHOP)
        assert lines(reply.answer) == ["7.0.244.10.in-addr.arpa. 30 PTR a.web.shop.svc.cluster.local."]

    def test_additional_records(self) -> None:
        upstream = Upstream(
            ["cluster.local. 30 NS dns.bank.svc.cluster.local."],
            additional=["dns.bank.svc.cluster.local. 30 A 10.96.0.10", "ns.example.net. 30 A 192.0.2.1"],
        )
        reply = ask(shown(upstream.at_once), "cluster.local", "NS", client=SHOP)
        assert lines(reply.answer) == ["cluster.local. 30 NS dns.bank.svc.cluster.local."]
        assert lines(reply.additional) == ["ns.example.net. 30 A 192.0.2.1"]
