"""Reverse names beyond the specification: what is not ours, what is in between, and who comes first."""

from __future__ import annotations

import pytest

from clusterdns.objects import EndpointSlice, Service
from tests.cluster import Server, expect, expect_no_data, expect_nothing

CLUSTER = """
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, "fd00:96::a"]}
---
kind: Service
metadata: {name: node, namespace: shop}
spec: {clusterIP: None}
---
kind: EndpointSlice
metadata: {name: node-1, namespace: shop, labels: {kubernetes.io/service-name: node}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1], hostname: n-1}, {addresses: [10.96.0.10], hostname: n-2}]
"""
SECOND = """
kind: Service
metadata: {name: second, namespace: shop}
spec: {clusterIP: None}
"""
SECOND_SLICE = """
kind: EndpointSlice
metadata: {name: second-1, namespace: shop, labels: {kubernetes.io/service-name: second}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}]
"""
FIRST = "1.2.0.192.in-addr.arpa. IN PTR n-1.node.shop.svc.cluster.local."
BOTH = f"{FIRST}\n1.2.0.192.in-addr.arpa. IN PTR 192-0-2-1.second.shop.svc.cluster.local."
IP6 = "a." + "0." * 23 + "6.9.0.0.0.0.d.f.ip6.arpa"


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(CLUSTER)


class TestHostnamesOnly:
    def test_other_endpoints_have_none(self) -> None:
        server = Server(f"{CLUSTER}---{SECOND}---{SECOND_SLICE}", ptr_hostname_only=True)
        expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), FIRST)
        server.gone(EndpointSlice, "node-1", "shop")
        expect_nothing(server, "1.2.0.192.in-addr.arpa", "PTR", zone="in-addr.arpa")

    def test_services_have_theirs(self) -> None:
        server = Server(CLUSTER, ptr_hostname_only=True)
        expect(server.ask(IP6, "PTR"), f"{IP6}. IN PTR cart.shop.svc.cluster.local.")


class TestWhatExists:
    def test_the_ends(self, server: Server) -> None:
        expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), FIRST)
        expect(server.ask(IP6, "PTR"), f"{IP6}. IN PTR cart.shop.svc.cluster.local.")

    def test_a_cluster_ip_comes_before_an_endpoint(self, server: Server) -> None:
        expect(
            server.ask("10.0.96.10.in-addr.arpa", "PTR"), "10.0.96.10.in-addr.arpa. IN PTR cart.shop.svc.cluster.local."
        )

    @pytest.mark.parametrize("name", ["0.96.10", "96.10", "10", "2.0.192", "192"])
    def test_what_is_in_between(self, server: Server, name: str) -> None:
        expect_no_data(server, f"{name}.in-addr.arpa", "PTR", zone="in-addr.arpa")

    @pytest.mark.parametrize("labels", range(2, 64, 6))
    def test_every_nibble(self, server: Server, labels: int) -> None:
        expect_no_data(server, IP6[labels:], "PTR", zone="ip6.arpa")

    @pytest.mark.parametrize(
        "name",
        [
            "11.0.96.10",
            "1.96.10",
            "97.10",
            "11",
            "010.0.96.10",
            "256.0.96.10",
            "x.0.96.10",
            "-1.0.96.10",
            "1.10.0.96.10",
            "x.10.0.96.10",
            "a",
        ],
    )
    def test_nothing_else(self, server: Server, name: str) -> None:
        expect_nothing(server, f"{name}.in-addr.arpa", "PTR", zone="in-addr.arpa")

    @pytest.mark.parametrize("name", ["b" + IP6[1:], f"0.{IP6}", "aa" + IP6[1:], "g" + IP6[1:], "1.ip6.arpa"])
    def test_no_other_nibbles(self, server: Server, name: str) -> None:
        expect_nothing(server, name, "PTR", zone="ip6.arpa")

    def test_what_was_asked_before_makes_no_difference(self, server: Server) -> None:
        for _ in range(2):
            expect_nothing(server, "x.1.2.0.192.in-addr.arpa", "PTR", zone="in-addr.arpa")
            expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), FIRST)


class TestOneRecordForEachService:
    @pytest.mark.parametrize("hostname", ["n-1", "n-9"])
    def test_though_it_has_the_address_twice(self, hostname: str) -> None:
        """Slices of several ports, or while an endpoint moves from one to another."""
        again = f"""
kind: EndpointSlice
metadata: {{name: node-2, namespace: shop, labels: {{kubernetes.io/service-name: node}}}}
addressType: IPv4
endpoints: [{{addresses: [192.0.2.1], hostname: {hostname}}}]
"""
        expect(Server(f"{CLUSTER}---{again}").ask("1.2.0.192.in-addr.arpa", "PTR"), FIRST)


class TestWhatIsNotOurs:
    def test_is_refused_without_a_forwarder(self) -> None:
        server = Server(CLUSTER, reverse_zones=["96.10.in-addr.arpa"])
        expect(
            server.ask("10.0.96.10.in-addr.arpa", "PTR"), "10.0.96.10.in-addr.arpa. IN PTR cart.shop.svc.cluster.local."
        )
        expect_nothing(server, "11.0.96.10.in-addr.arpa", "PTR", zone="96.10.in-addr.arpa")
        expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), rcode="REFUSED")
        expect(server.ask("in-addr.arpa", "SOA"), rcode="REFUSED")


class TestChanges:
    """An address's name is kept for as long as nothing changes about it, and no longer."""

    @pytest.mark.parametrize("order", [(SECOND, SECOND_SLICE), (SECOND_SLICE, SECOND)])
    def test_a_second_service_comes(self, order: tuple[str, str]) -> None:
        """Whichever of its objects is seen first: the watches know nothing of each other."""
        server = Server(CLUSTER)
        for manifest in order:
            expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), FIRST)
            server.put(manifest)
        expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), BOTH)

    def test_the_second_service_goes(self) -> None:
        for kind, name in ((Service, "second"), (EndpointSlice, "second-1")):
            server = Server(f"{CLUSTER}---{SECOND}---{SECOND_SLICE}")
            expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), BOTH)
            server.gone(kind, name, "shop")
            expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), FIRST)

    def test_an_alias_becomes_a_service(self) -> None:
        alias = (
            "{kind: Service, metadata: {name: second, namespace: shop}, spec: {type: ExternalName, externalName: x.y}}"
        )
        server = Server(f"{CLUSTER}---\n{alias}\n---{SECOND_SLICE}")
        expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), FIRST)
        server.put(SECOND)
        expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), BOTH)
        server.put(alias)
        expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), FIRST)

    def test_a_hostname_changes(self) -> None:
        server = Server(CLUSTER)
        server.ask("1.2.0.192.in-addr.arpa", "PTR")
        server.put(
            """
kind: EndpointSlice
metadata: {name: node-1, namespace: shop, labels: {kubernetes.io/service-name: node}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1], hostname: other}]
"""
        )
        expect(
            server.ask("1.2.0.192.in-addr.arpa", "PTR"),
            "1.2.0.192.in-addr.arpa. IN PTR other.node.shop.svc.cluster.local.",
        )

    def test_a_slice_goes_over_to_another_service(self) -> None:
        server = Server(f"{CLUSTER}---{SECOND}")
        expect(server.ask("1.2.0.192.in-addr.arpa", "PTR"), FIRST)
        server.put(SECOND_SLICE.replace("second-1", "node-1"))
        expect(
            server.ask("1.2.0.192.in-addr.arpa", "PTR"),
            "1.2.0.192.in-addr.arpa. IN PTR 192-0-2-1.second.shop.svc.cluster.local.",
        )

    def test_a_cluster_ip_is_taken_over(self) -> None:
        """Its endpoint's name was hidden behind it."""
        server = Server(CLUSTER)
        server.ask("10.0.96.10.in-addr.arpa", "PTR")
        server.gone(Service, "cart", "shop")
        expect(
            server.ask("10.0.96.10.in-addr.arpa", "PTR"),
            "10.0.96.10.in-addr.arpa. IN PTR n-2.node.shop.svc.cluster.local.",
        )
