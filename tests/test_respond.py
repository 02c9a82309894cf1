"""One packet in, one packet out: the fast way says what the slow way says, byte for byte."""

from __future__ import annotations

import dns.message
import pytest

from clusterdns import names
from clusterdns.index import Index
from clusterdns.index.remembered import MOST_FORMS
from clusterdns.respond import responder
from clusterdns.wire import Dialect
from tests.cluster import Server, addresses, expect

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None}
---
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints: [{addresses: [10.244.0.1], hostname: db-0}]
---
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: mail.example.com}
"""
QUESTIONS = [
    ("cart.shop.svc.cluster.local", "A"),
    ("cart.shop.svc.cluster.local", "AAAA"),
    ("cart.shop.svc.cluster.local", "SRV"),
    ("cart.shop.svc.cluster.local", "ANY"),
    ("_http._tcp.cart.shop.svc.cluster.local", "SRV"),
    ("db.shop.svc.cluster.local", "A"),
    ("db-0.db.shop.svc.cluster.local", "A"),
    ("x.db.shop.svc.cluster.local", "A"),
    ("alias.shop.svc.cluster.local", "A"),
    ("svc.cluster.local", "A"),
    ("nobody.shop.svc.cluster.local", "A"),
    ("www.example.com.shop.svc.cluster.local", "AAAA"),
    ("dns-version.cluster.local", "TXT"),
    ("10.0.96.10.in-addr.arpa", "PTR"),
    ("1.0.244.10.in-addr.arpa", "PTR"),
]
FORMS = [{}, {"use_edns": 0}, {"use_edns": 0, "want_dnssec": True}, {"use_edns": 0, "payload": 512}, {"flags": 0}]


class TestTheFastWay:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("form", FORMS, ids=str)
    @pytest.mark.parametrize(("name", "rtype"), QUESTIONS)
    def test_says_what_the_slow_way_says(self, name: str, rtype: str, form: dict[str, object], stream: bool) -> None:
        server, packet = Server(CLUSTER), dns.message.make_query(name, rtype, **form).to_wire()
        respond = server.stream if stream else server.datagram
        slow = respond(packet)
        assert [respond(packet) for _ in range(3)] == [slow] * 3
        assert respond(b"\x12\x34" + packet[2:]) == b"\x12\x34" + slow[2:]

    @pytest.mark.parametrize(("name", "rtype"), QUESTIONS)
    def test_does_not_ask_the_index(self, name: str, rtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """All that comes again is answered from what was encoded."""
        server, packet = Server(CLUSTER), dns.message.make_query(name, rtype).to_wire()
        slow = server.datagram(packet)
        monkeypatch.setattr(Index, "find", None)
        assert server.datagram(packet) == slow

    def test_of_missing_names_serves_all_of_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Most queries of a cluster are for names that do not exist (ndots:5)."""
        server = Server(CLUSTER)
        server.ask("x.shop.svc.cluster.local")
        monkeypatch.setattr(Index, "find", None)
        for name in ("y", "www.example.com", "a.b.c.d"):
            expect(server.ask(f"{name}.shop.svc.cluster.local"), rcode="NXDOMAIN", authority=SOA)

    def test_knows_datagrams_from_streams(self) -> None:
        given = ", ".join(f"{{addresses: [10.0.1.{each}]}}" for each in range(200))
        for first in ("datagram", "stream"):
            server = Server(CLUSTER.replace("{addresses: [10.244.0.1], hostname: db-0}", given))
            getattr(server, first)(dns.message.make_query("db.shop.svc.cluster.local", "A").to_wire())
            assert len(addresses(server.ask("db.shop.svc.cluster.local"))) < 200
            assert len(addresses(server.ask("db.shop.svc.cluster.local", stream=True))) == 200

    def test_does_not_mind_zero_bytes_in_names(self) -> None:
        server = Server(CLUSTER)
        server.ask("cart.shop.svc.cluster.local")
        for label in (b"\0", b"cart\0", b"\0cart", b"a\4cart\4shop\3svc\7cluster\5local\0"):
            name = bytes([len(label)]) + label + names.from_text("shop.svc.cluster.local")
            query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1"
            for _ in range(2):
                reply = server.datagram(query)
                assert dns.message.from_wire(reply).rcode() == 3
                assert reply[12 : 12 + len(name)] == name

    def test_does_not_take_names_that_are_too_long(self) -> None:
        """Though all that it looks at is how they end."""
        server = Server(CLUSTER)
        server.ask("nobody.shop.svc.cluster.local")
        name = (b"\x3f" + b"x" * 63) * 4 + names.from_text("shop.svc.cluster.local")
        assert server.datagram(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1") == b"\x12\x34\x81\1" + bytes(8)

    def test_remembers_a_handful_of_forms(self) -> None:
        server = Server(CLUSTER)
        node = server.index.nodes[names.from_text("cart.shop.svc.cluster.local")]
        for size in range(512, 512 + 3 * MOST_FORMS):
            server.ask("cart.shop.svc.cluster.local", use_edns=0, payload=size)
            assert 1 <= len(node.replies) <= MOST_FORMS

    def test_two_dialects_are_two_servers(self) -> None:
        """What is remembered is in the dialect that it was asked in: an index is for one."""
        index = Server(CLUSTER).index
        respond = responder(index, Dialect(recursion_available=True), stream=False)
        reply = dns.message.from_wire(respond(dns.message.make_query("cart.shop.svc.cluster.local", "A").to_wire()))
        assert addresses(reply) == ["10.96.0.10"]


SOA = Server(CLUSTER).soa()
