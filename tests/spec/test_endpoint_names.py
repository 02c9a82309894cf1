"""The hostname of an endpoint: its own; its pod's, where that is wished for; else its address."""

from __future__ import annotations

import pytest

from tests.cluster import Server, expect, expect_nothing

SLICE = """
kind: Service
metadata: {{name: db, namespace: data}}
spec: {{clusterIP: None}}
---
kind: EndpointSlice
metadata: {{name: db-1, namespace: data, labels: {{kubernetes.io/service-name: db}}}}
addressType: {family}
ports: [{{name: pg, port: 5432}}]
endpoints: [{endpoint}]
"""
V4, V6 = "10.244.0.1", "fd00:244::1"
POD = "targetRef: {kind: Pod, name: %s}"


@pytest.mark.parametrize(
    ("pod_names", "address", "more", "hostname"),
    [
        (False, V4, "", "10-244-0-1"),
        (False, V4, "hostname: own", "own"),
        (False, V4, "hostname: Own", "own"),
        (False, V4, 'hostname: ""', "10-244-0-1"),
        (False, V4, "hostname: null", "10-244-0-1"),
        (False, V4, POD % "db-x7k2p", "10-244-0-1"),
        (True, V4, POD % "db-x7k2p", "db-x7k2p"),
        (True, V4, f"hostname: own, {POD % 'db-x7k2p'}", "own"),
        (True, V4, POD % ("p" * 63), "p" * 63),
        (True, V4, POD % ("p" * 64), "10-244-0-1"),
        (True, V4, POD % "with.dots", "10-244-0-1"),
        (True, V4, "targetRef: null", "10-244-0-1"),
        (True, V4, "targetRef: {kind: Pod}", "10-244-0-1"),
        (False, V6, "", "fd00-244--1"),
        (False, "fd00:244::", "", "fd00-244--0"),
        (False, "::1", "", "--1"),
        (True, V6, POD % "db-x7k2p", "db-x7k2p"),
    ],
)
class TestHostname:
    @pytest.fixture
    def server(self, pod_names: bool, address: str, more: str) -> Server:
        endpoint = f'{{addresses: ["{address}"], {more}}}'
        family = "IPv6" if ":" in address else "IPv4"
        return Server(SLICE.format(family=family, endpoint=endpoint), endpoint_pod_names=pod_names)

    def test_is_the_name_of_the_address(self, server: Server, address: str, hostname: str) -> None:
        name, rtype = f"{hostname}.db.data.svc.cluster.local", "AAAA" if ":" in address else "A"
        expect(server.ask(name, rtype), f"{name}. IN {rtype} {address}")

    def test_is_the_target_of_ports(self, server: Server, hostname: str) -> None:
        (found,) = server.ask("_pg._tcp.db.data.svc.cluster.local", "SRV").answer
        assert [each.target.to_text() for each in found] == [f"{hostname}.db.data.svc.cluster.local."]

    def test_is_the_only_name(self, server: Server, hostname: str) -> None:
        for other in {"own", "db-x7k2p", "10-244-0-1", "fd00-244--1", "fd00-244--"} - {hostname}:
            expect_nothing(server, f"{other}.db.data.svc.cluster.local")


class TestNamesThatDnsCanNotSay:
    def test_the_address_is_there_without_its_name(self) -> None:
        """As one of the service's addresses, but not as a target."""
        server = Server(SLICE.format(family="IPv4", endpoint=f"{{addresses: [{V4}], hostname: {'h' * 64}}}"))
        expect(server.ask("db.data.svc.cluster.local"), f"db.data.svc.cluster.local. IN A {V4}")
        assert not server.ask("db.data.svc.cluster.local", "SRV").answer
        assert not server.ask("1.0.244.10.in-addr.arpa", "PTR").answer
