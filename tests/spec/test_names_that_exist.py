"""Which names exist without records, and which do not exist (RFC 8020)."""

from __future__ import annotations

import pytest

from clusterdns.objects import Namespace, Service
from tests.cluster import Server, expect_no_data, expect_nothing

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Namespace
metadata: {name: bare}
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
ports: [{name: pg, port: 5432}]
endpoints: [{addresses: [10.244.0.1], hostname: db-0}]
---
kind: Service
metadata: {name: orphan, namespace: unlisted}
spec: {clusterIP: 10.96.0.11}
"""


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(CLUSTER, pods="insecure")


class TestEmptyNonTerminals:
    """A name with names below it exists."""

    @pytest.mark.parametrize("rtype", ["A", "AAAA", "SRV", "TXT", "ANY"])
    @pytest.mark.parametrize(
        "name",
        [
            "svc",
            "pod",
            "dns",
            "shop.svc",
            "bare.svc",
            "shop.pod",
            "bare.pod",
            "_tcp.cart.shop.svc",
            "_tcp.db.shop.svc",
            "unlisted.svc",
        ],
    )
    def test_no_data(self, server: Server, name: str, rtype: str) -> None:
        expect_no_data(server, f"{name}.cluster.local", rtype)

    def test_the_apex(self, server: Server) -> None:
        expect_no_data(server, "cluster.local", "A")


class TestNamesThatDoNotExist:
    @pytest.mark.parametrize("rtype", ["A", "AAAA", "SRV", "ANY"])
    @pytest.mark.parametrize(
        "name",
        [
            "nobody.shop.svc",
            "cart.nowhere.svc",
            "nowhere.svc",
            "unlisted.pod",
            "x.cluster.local.shop.svc",
            "cart.shop",
            "shop",
            "cart",
            "www.example.com",
            "kubernetes.default.svc.cluster.local.shop.svc",
            "db-9.db.shop.svc",
            "x.db-0.db.shop.svc",
            "_udp.cart.shop.svc",
            "_http._udp.cart.shop.svc",
            "_ftp._tcp.cart.shop.svc",
            "x._http._tcp.cart.shop.svc",
            "a.b.c.d.e.f.shop.svc",
            "x.dns",
            "x.ns.dns",
            "services.svc.shop",
            "svc.svc",
        ],
    )
    def test_nxdomain(self, server: Server, name: str, rtype: str) -> None:
        expect_nothing(server, f"{name}.cluster.local", rtype)

    @pytest.mark.parametrize(
        "name",
        [
            "*",
            "*.svc",
            "*.shop.svc",
            "cart.*.svc",
            "*.*.svc",
            "*.cart.shop.svc",
            "*.db.shop.svc",
            "_*._tcp.cart.shop.svc",
            "*._tcp.cart.shop.svc",
            "_http.*.cart.shop.svc",
            "any.shop.svc",
            "cart.any.svc",
            "*.shop.pod",
        ],
    )
    def test_there_are_no_wildcards(self, server: Server, name: str) -> None:
        for rtype in ("A", "SRV"):
            expect_nothing(server, f"{name}.cluster.local", rtype)

    def test_remembered_for_all_names_below_one(self, server: Server) -> None:
        """The reply that is kept with the closest name that exists fits each of them, whatever its length."""
        for length in (1, 63, 5, 40):
            expect_nothing(server, f"{'x' * length}.shop.svc.cluster.local")
            expect_nothing(server, f"{'x' * length}.{'y' * length}.shop.svc.cluster.local")
        longest = ".".join(["x" * 63, "x" * 63, "x" * 63, "x" * 36])
        expect_nothing(server, f"{longest}.shop.svc.cluster.local")

    def test_only_until_it_comes(self) -> None:
        server = Server(CLUSTER)
        expect_nothing(server, "late.shop.svc.cluster.local")
        server.put("{kind: Service, metadata: {name: late, namespace: shop}, spec: {clusterIP: 10.96.0.12}}")
        expect_no_data(server, "late.shop.svc.cluster.local", "AAAA")


class TestNamespaces:
    def test_exist_with_their_object(self) -> None:
        server = Server(pods="insecure")
        expect_nothing(server, "shop.svc.cluster.local")
        server.put("{kind: Namespace, metadata: {name: shop}}")
        expect_no_data(server, "shop.svc.cluster.local")
        expect_no_data(server, "shop.pod.cluster.local")
        server.gone(Namespace, "shop")
        expect_nothing(server, "shop.svc.cluster.local")
        expect_nothing(server, "shop.pod.cluster.local")

    def test_exist_while_a_service_is_below_them(self) -> None:
        server = Server(CLUSTER)
        expect_no_data(server, "unlisted.svc.cluster.local")
        server.gone(Service, "orphan", "unlisted")
        expect_nothing(server, "unlisted.svc.cluster.local")

    def test_go_when_a_new_list_lacks_them(self) -> None:
        server = Server(CLUSTER)
        expect_no_data(server, "bare.svc.cluster.local")
        server.listed(Namespace, "{kind: Namespace, metadata: {name: shop}}")
        expect_nothing(server, "bare.svc.cluster.local")
