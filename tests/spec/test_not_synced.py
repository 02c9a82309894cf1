"""A zone that is not read yet: what exists is answered, what may yet come is not denied."""

from __future__ import annotations

from itertools import permutations

import dns.flags
import dns.rcode
import pytest

from clusterdns.objects import EndpointSlice, Namespace, Pod, Service
from tests.cluster import KINDS, Server, expect, expect_no_data, expect_nothing

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10}
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None}
"""
AWAITED = (Namespace, Service, EndpointSlice)


class TestBeforeTheEnd:
    @pytest.fixture
    def server(self) -> Server:
        return Server(CLUSTER, listed=[Namespace, Service], pods="insecure")

    def test_what_exists_is_answered(self, server: Server) -> None:
        expect(server.ask("cart.shop.svc.cluster.local"), "cart.shop.svc.cluster.local. IN A 10.96.0.10")
        expect_no_data(server, "cart.shop.svc.cluster.local", "AAAA")
        expect_no_data(server, "shop.svc.cluster.local")
        expect_no_data(server, "cluster.local")

    @pytest.mark.parametrize(
        ("name", "rtype"),
        [
            ("nobody.shop.svc.cluster.local", "A"),
            ("cart.nowhere.svc.cluster.local", "A"),
            ("db.shop.svc.cluster.local", "A"),
            ("db-0.db.shop.svc.cluster.local", "A"),
            ("_http._tcp.cart.shop.svc.cluster.local", "SRV"),
            ("10-0-0-1.nowhere.pod.cluster.local", "A"),
            ("1.0.244.10.in-addr.arpa", "PTR"),
            ("nonsense.cluster.local", "A"),
        ],
    )
    def test_what_would_be_nxdomain_is_servfail(self, server: Server, name: str, rtype: str) -> None:
        reply = server.ask(name, rtype, use_edns=0)
        assert dns.rcode.to_text(reply.rcode()) == "SERVFAIL"
        assert not any([reply.answer, reply.authority, reply.additional, reply.flags & dns.flags.AA])
        (reason,) = reply.options
        assert (reason.code, reason.text) == (14, "the cluster's objects are not all read yet")

    def test_nothing_of_it_is_remembered(self, server: Server) -> None:
        for _ in range(2):
            assert server.ask("nobody.shop.svc.cluster.local").rcode() == dns.rcode.SERVFAIL
            assert server.ask("db.shop.svc.cluster.local").rcode() == dns.rcode.SERVFAIL
        server.listed(EndpointSlice)
        expect_nothing(server, "nobody.shop.svc.cluster.local")
        expect_nothing(server, "db.shop.svc.cluster.local")


class TestTheEnd:
    @pytest.mark.parametrize("order", [*permutations(AWAITED)])
    def test_is_when_all_that_is_awaited_was_listed(self, order: tuple[type, ...]) -> None:
        """In any order, and as often as the sources like; an empty list is a list."""
        server = Server(listed=())
        for kind in order:
            assert not server.index.is_synced
            assert server.ask("nobody.shop.svc.cluster.local").rcode() == dns.rcode.SERVFAIL
            server.listed(kind)
            server.listed(kind)
        assert server.index.is_synced
        expect_nothing(server, "nobody.shop.svc.cluster.local")

    def test_is_not_brought_by_single_objects(self) -> None:
        server = Server(listed=())
        server.put(CLUSTER)
        server.listed(Pod)
        assert not server.index.is_synced
        expect(server.ask("cart.shop.svc.cluster.local"), "cart.shop.svc.cluster.local. IN A 10.96.0.10")

    def test_is_for_good(self) -> None:
        server = Server(CLUSTER)
        for kind in KINDS.values():
            server.listed(kind)
        assert server.index.is_synced
        expect_nothing(server, "cart.shop.svc.cluster.local")
