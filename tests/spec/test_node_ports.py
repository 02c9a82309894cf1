"""Services of type NodePort, seen from outside of the cluster: at the addresses of its nodes, by their node ports.

Which addresses those are is as external-dns has it: the external ones, or else the internal ones.
"""

from __future__ import annotations

import pytest

from clusterdns.objects import EXCLUDED_LABEL, Node
from tests.cluster import Server, expect, expect_no_data, expect_nothing, external_zone

SERVICES = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  clusterIP: 10.96.0.20
  ports: [{name: http, port: 80, nodePort: 30080}, {name: dns, protocol: UDP, port: 53, nodePort: 30053}]
---
kind: Service
metadata: {name: balanced, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.21, ports: [{name: http, port: 80, nodePort: 30081}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.20}]}}
---
kind: Service
metadata: {name: waiting, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.22, ports: [{name: http, port: 80, nodePort: 30082}]}
---
kind: Service
metadata: {name: also, namespace: shop}
spec: {type: NodePort, externalIPs: [203.0.113.30], ports: [{name: http, port: 80, nodePort: 30083}]}
---
kind: Service
metadata: {name: inner, namespace: shop}
spec: {clusterIP: 10.96.0.24, ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: not-yet, namespace: shop}
spec: {type: NodePort, clusterIP: 10.96.0.25, ports: [{name: http, port: 80}]}
"""

WEB = "web.shop.example.org"


def node(name: str, *addresses: str, ready: str = "True", labels: str = "") -> str:
    """addresses: such as `ExternalIP 203.0.113.1`."""
    given = ", ".join('{{type: {}, address: "{}"}}'.format(*each.split()) for each in addresses)
    conditions = f'[{{type: MemoryPressure, status: Unknown}}, {{type: Ready, status: "{ready}"}}]'
    return (
        f"---\nkind: Node\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n"
        f"status: {{addresses: [{given}], conditions: {conditions}}}\n"
    )


ONE = node("one", "InternalIP 192.0.2.1", "Hostname one")
TWO = node("two", "InternalIP 192.0.2.2", "InternalIP 2001:db8::2")
EXCLUDED = f"{EXCLUDED_LABEL}: ''"


def served(nodes: str, *, node_ports: bool = True) -> Server:
    return Server(SERVICES + nodes, external_zones=(external_zone("example.org", node_ports=node_ports),))


def found(server: Server, rtype: str = "A", name: str = WEB) -> list[str]:
    return sorted(str(data) for each in server.ask(name, rtype).answer for data in each)


class TestAddresses:
    @pytest.mark.parametrize(
        ("nodes", "ipv4", "ipv6"),
        [
            (ONE + TWO, ["192.0.2.1", "192.0.2.2"], ["2001:db8::2"]),
            (node("one", "InternalIP 10.0.0.1", "ExternalIP 203.0.113.1"), ["203.0.113.1"], []),
            # An internal address is of no use to those who reach the others from outside.
            (ONE + node("two", "InternalIP 192.0.2.2", "ExternalIP 203.0.113.2"), ["203.0.113.2"], []),
            # That is so of each family.
            (TWO + node("one", "ExternalIP 203.0.113.1"), ["203.0.113.1"], ["2001:db8::2"]),
            (ONE + node("two", "InternalIP 192.0.2.2", ready="False"), ["192.0.2.1"], []),
            (ONE + node("two", "InternalIP 192.0.2.2", ready="Unknown"), ["192.0.2.1"], []),
            (ONE + node("two", "InternalIP 192.0.2.2", labels=EXCLUDED), ["192.0.2.1"], []),
            # If none is ready, it is the news of them that is wrong.
            (node("one", "InternalIP 192.0.2.1", ready="Unknown"), ["192.0.2.1"], []),
            (ONE + node("two", "InternalIP 192.0.2.1"), ["192.0.2.1"], []),
        ],
    )
    def test_are_those_of_the_nodes(self, nodes: str, ipv4: list[str], ipv6: list[str]) -> None:
        server = served(nodes)
        assert (found(server), found(server, "AAAA")) == (ipv4, ipv6)

    @pytest.mark.parametrize(
        "nodes", ["", node("one", "Hostname one"), node("one", "InternalIP 192.0.2.1", labels=EXCLUDED)]
    )
    def test_without_any_the_service_is_not_there(self, nodes: str) -> None:
        expect_nothing(served(nodes), WEB, zone="example.org")

    def test_nor_is_it_where_that_is_not_wanted(self) -> None:
        expect_nothing(served(ONE, node_ports=False), WEB, zone="example.org")

    def test_of_a_load_balancer_or_external_ones_come_before_the_nodes(self) -> None:
        server = served(ONE)
        assert found(server, name="balanced.shop.example.org") == ["203.0.113.20"]
        assert found(server, name="also.shop.example.org") == ["203.0.113.30"]
        assert [each.split()[2] for each in found(server, "SRV", "_http._tcp.also.shop.example.org")] == ["80"]

    @pytest.mark.parametrize("name", ["waiting", "inner", "not-yet"])
    def test_others_are_not_there(self, name: str) -> None:
        expect_nothing(served(ONE), f"{name}.shop.example.org", zone="example.org")

    def test_no_address_of_a_node_leads_to_a_service(self) -> None:
        zones = (external_zone("example.org", node_ports=True), external_zone("2.0.192.in-addr.arpa"))
        server = Server(SERVICES + ONE, external_zones=zones)
        expect_nothing(server, "1.2.0.192.in-addr.arpa", "PTR", zone="2.0.192.in-addr.arpa")


class TestPorts:
    def test_are_the_node_ports(self) -> None:
        expect(
            served(ONE).ask(f"_http._tcp.{WEB}", "SRV"),
            f"_http._tcp.{WEB}. 5 IN SRV 0 100 30080 {WEB}.",
            additional=f"{WEB}. 5 IN A 192.0.2.1",
        )

    def test_of_the_service_are_all_of_them(self) -> None:
        expect(
            served(ONE).ask(WEB, "SRV"),
            f"{WEB}. 5 IN SRV 0 50 30080 {WEB}.\n{WEB}. 5 IN SRV 0 50 30053 {WEB}.",
            additional=f"{WEB}. 5 IN A 192.0.2.1",
        )

    def test_another_port_is_not_there(self) -> None:
        expect_nothing(served(ONE), f"_https._tcp.{WEB}", "SRV", zone="example.org")
        expect_no_data(served(ONE), f"_tcp.{WEB}", "SRV", zone="example.org")


class TestChanges:
    def test_of_nodes_are_followed(self) -> None:
        server = served(ONE)
        assert found(server) == ["192.0.2.1"]
        server.put(TWO)
        assert found(server) == ["192.0.2.1", "192.0.2.2"]
        assert len(server.ask(f"_http._tcp.{WEB}", "SRV").additional) == 2
        server.put(node("one", "InternalIP 192.0.2.1", ready="False"))
        assert found(server) == ["192.0.2.2"]
        server.gone(Node, "two")
        assert found(server) == ["192.0.2.1"]  # it is not ready, but there is no other
        server.listed(Node)
        expect_nothing(server, WEB, zone="example.org")

    def test_that_move_nothing_leave_what_is_remembered(self) -> None:
        server = served(ONE)
        server.ask(WEB)
        before, serial = server.index.nodes, server.index.serial
        kept = [node for node in before.values() if node.replies]
        server.put(ONE.replace("status: Unknown", "status: 'False'"))
        assert (server.index.serial, [node for node in server.index.nodes.values() if node.replies]) == (serial, kept)
