"""Section 2.3: the records of a Service with a ClusterIP."""

from __future__ import annotations

import pytest

from clusterdns.objects import EndpointSlice, Namespace, Service
from tests.cluster import Server, expect, expect_no_data, expect_nothing

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  ports: [{name: http, port: 80, targetPort: 8080}, {name: metrics, port: 9090}, {name: dns, port: 53, protocol: UDP}]
---
kind: EndpointSlice
metadata: {name: cart-1, namespace: shop, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
- {addresses: [10.244.0.1], hostname: first}
- {addresses: [10.244.0.2]}
- {addresses: [10.244.0.3], hostname: third, conditions: {ready: false}}
---
kind: Service
metadata: {name: dual, namespace: shop}
spec:
  clusterIP: 10.96.0.11
  clusterIPs: [10.96.0.11, "fd00:96::11"]
  ports: [{name: http, port: 80}]
---
kind: Service
metadata: {name: six, namespace: shop}
spec: {clusterIP: "fd00:96::12", ports: [{port: 80}]}
---
kind: Service
metadata: {name: load, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.13, ports: [{name: https, port: 443, nodePort: 30443}]}
---
kind: Service
metadata: {name: portless, namespace: shop}
spec: {clusterIP: 10.96.0.14}
---
kind: Service
metadata: {name: 3scale, namespace: shop}
spec: {type: NodePort, clusterIP: 10.96.0.15}
---
kind: Service
metadata: {name: pending, namespace: shop}
spec: {}
---
kind: Service
metadata: {name: twice, namespace: shop}
spec: {clusterIP: 10.96.0.16, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}
"""


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(CLUSTER)


class TestAddresses:
    """Section 2.3.1."""

    @pytest.mark.parametrize(
        ("name", "rtype", "data"),
        [
            ("cart", "A", ["10.96.0.10"]),
            ("dual", "A", ["10.96.0.11"]),
            ("dual", "AAAA", ["fd00:96::11"]),
            ("six", "AAAA", ["fd00:96::12"]),
            ("load", "A", ["10.96.0.13"]),
            ("portless", "A", ["10.96.0.14"]),
            ("3scale", "A", ["10.96.0.15"]),
        ],
    )
    def test_every_cluster_ip_of_the_family(self, server: Server, name: str, rtype: str, data: list[str]) -> None:
        owner = f"{name}.shop.svc.cluster.local"
        expect(server.ask(owner, rtype), "\n".join(f"{owner}. IN {rtype} {each}" for each in data))

    @pytest.mark.parametrize(
        ("name", "rtype"),
        [
            ("cart", "AAAA"),
            ("six", "A"),
            ("cart", "TXT"),
            ("cart", "CNAME"),
            ("cart", "TYPE65280"),
            ("portless", "SRV"),
            ("pending", "A"),
            ("pending", "SRV"),
        ],
    )
    def test_a_type_that_it_lacks_is_no_data(self, server: Server, name: str, rtype: str) -> None:
        expect_no_data(server, f"{name}.shop.svc.cluster.local", rtype)

    def test_the_endpoints_do_not_matter(self) -> None:
        server = Server(CLUSTER)
        before = server.ask("cart.shop.svc.cluster.local").answer
        server.gone(EndpointSlice, "cart-1", "shop")
        assert server.ask("cart.shop.svc.cluster.local").answer == before

    def test_a_service_that_is_gone_is_gone(self) -> None:
        server = Server(CLUSTER)
        server.ask("cart.shop.svc.cluster.local")
        server.gone(Service, "cart", "shop")
        expect_nothing(server, "cart.shop.svc.cluster.local")

    def test_a_service_that_comes_back_has_its_new_address(self) -> None:
        server = Server(CLUSTER)
        server.gone(Service, "cart", "shop")
        expect_nothing(server, "cart.shop.svc.cluster.local")
        server.put("{kind: Service, metadata: {name: cart, namespace: shop}, spec: {clusterIP: 10.96.0.99}}")
        expect(server.ask("cart.shop.svc.cluster.local"), "cart.shop.svc.cluster.local. IN A 10.96.0.99")

    def test_a_service_lives_on_without_its_namespace_object(self) -> None:
        """The namespace watch may be ahead of the others."""
        server = Server(CLUSTER)
        server.gone(Namespace, "shop")
        expect(server.ask("cart.shop.svc.cluster.local"), "cart.shop.svc.cluster.local. IN A 10.96.0.10")
        expect_no_data(server, "shop.svc.cluster.local")


class TestNamedEndpoints:
    """`<hostname>.<svc>`, which clusters have come to rely on for these services as well."""

    @pytest.mark.parametrize(("hostname", "address"), [("first", "10.244.0.1"), ("10-244-0-2", "10.244.0.2")])
    def test_a_ready_endpoint(self, server: Server, hostname: str, address: str) -> None:
        owner = f"{hostname}.cart.shop.svc.cluster.local"
        expect(server.ask(owner), f"{owner}. IN A {address}")
        expect_no_data(server, owner, "AAAA")
        expect_no_data(server, owner, "SRV")

    @pytest.mark.parametrize("hostname", ["third", "10-244-0-1", "10-244-0-3", "fourth"])
    def test_no_other(self, server: Server, hostname: str) -> None:
        expect_nothing(server, f"{hostname}.cart.shop.svc.cluster.local")


class TestPorts:
    """Section 2.3.2."""

    def test_a_named_port(self, server: Server) -> None:
        expect(
            server.ask("_http._tcp.cart.shop.svc.cluster.local", "SRV"),
            "_http._tcp.cart.shop.svc.cluster.local. IN SRV 0 100 80 cart.shop.svc.cluster.local.",
            additional="cart.shop.svc.cluster.local. IN A 10.96.0.10",
        )

    def test_a_port_of_another_protocol(self, server: Server) -> None:
        expect(
            server.ask("_dns._udp.cart.shop.svc.cluster.local", "SRV"),
            "_dns._udp.cart.shop.svc.cluster.local. IN SRV 0 100 53 cart.shop.svc.cluster.local.",
            additional="cart.shop.svc.cluster.local. IN A 10.96.0.10",
        )

    def test_every_port_at_the_name_of_the_service(self, server: Server) -> None:
        expect(
            server.ask("cart.shop.svc.cluster.local", "SRV"),
            """
cart.shop.svc.cluster.local. IN SRV 0 33 80 cart.shop.svc.cluster.local.
cart.shop.svc.cluster.local. IN SRV 0 33 9090 cart.shop.svc.cluster.local.
cart.shop.svc.cluster.local. IN SRV 0 33 53 cart.shop.svc.cluster.local.
""",
            additional="cart.shop.svc.cluster.local. IN A 10.96.0.10",
        )

    def test_an_unnamed_port_is_there_as_well(self, server: Server) -> None:
        expect(
            server.ask("six.shop.svc.cluster.local", "SRV"),
            "six.shop.svc.cluster.local. IN SRV 0 100 80 six.shop.svc.cluster.local.",
            additional="six.shop.svc.cluster.local. IN AAAA fd00:96::12",
        )

    def test_two_families_share_the_weight_in_one_record(self, server: Server) -> None:
        expect(
            server.ask("_http._tcp.dual.shop.svc.cluster.local", "SRV"),
            "_http._tcp.dual.shop.svc.cluster.local. IN SRV 0 50 80 dual.shop.svc.cluster.local.",
            additional="""
dual.shop.svc.cluster.local. IN A 10.96.0.11
dual.shop.svc.cluster.local. IN AAAA fd00:96::11
""",
        )

    def test_two_protocols_at_one_number_share_one_record(self, server: Server) -> None:
        expect(
            server.ask("twice.shop.svc.cluster.local", "SRV"),
            "twice.shop.svc.cluster.local. IN SRV 0 50 53 twice.shop.svc.cluster.local.",
            additional="twice.shop.svc.cluster.local. IN A 10.96.0.16",
        )

    @pytest.mark.parametrize("name", ["_HTTP._TCP.cart", "_http._TCP.cart", "_Http._tcp.CART"])
    def test_letter_case_does_not_matter(self, server: Server, name: str) -> None:
        (found,) = server.ask(f"{name}.shop.svc.cluster.local", "SRV").answer
        assert [each.port for each in found] == [80]

    @pytest.mark.parametrize(
        "name",
        [
            "http._tcp.cart",
            "_http.tcp.cart",
            "http.tcp.cart",
            "_http._udp.cart",
            "_https._tcp.cart",
            "_80._tcp.cart",
            "_8080._tcp.cart",
            "_._tcp.cart",
            "_http._sctp.cart",
            "_sctp.cart",
            "_._tcp.six",
            "_tcp.six",
            "_tcp.portless",
            "_http._tcp.first.cart",
        ],
    )
    def test_no_other_name_has_ports(self, server: Server, name: str) -> None:
        """The underscores are required, and a port without a name is never named."""
        expect_nothing(server, f"{name}.shop.svc.cluster.local", "SRV")

    @pytest.mark.parametrize("rtype", ["A", "AAAA", "TXT"])
    def test_the_name_of_a_port_has_nothing_else(self, server: Server, rtype: str) -> None:
        expect_no_data(server, "_http._tcp.cart.shop.svc.cluster.local", rtype)


class TestReverseNames:
    """Section 2.3.3."""

    @pytest.mark.parametrize(
        ("reverse", "zone", "service"),
        [
            ("10.0.96.10.in-addr.arpa", "in-addr.arpa", "cart"),
            ("11.0.96.10.in-addr.arpa", "in-addr.arpa", "dual"),
            ("1.1.0.0." + "0." * 20 + "6.9.0.0.0.0.d.f.ip6.arpa", "ip6.arpa", "dual"),
        ],
    )
    def test_a_cluster_ip_leads_to_its_service(self, server: Server, reverse: str, zone: str, service: str) -> None:
        expect(server.ask(reverse, "PTR"), f"{reverse}. IN PTR {service}.shop.svc.cluster.local.")
        expect_no_data(server, reverse, "A", zone=zone)

    def test_only_while_it_has_it(self) -> None:
        server = Server(CLUSTER)
        server.ask("10.0.96.10.in-addr.arpa", "PTR")
        server.put("{kind: Service, metadata: {name: cart, namespace: shop}, spec: {clusterIP: 10.96.0.77}}")
        expect_nothing(server, "10.0.96.10.in-addr.arpa", "PTR", zone="in-addr.arpa")
        expect(
            server.ask("77.0.96.10.in-addr.arpa", "PTR"), "77.0.96.10.in-addr.arpa. IN PTR cart.shop.svc.cluster.local."
        )
