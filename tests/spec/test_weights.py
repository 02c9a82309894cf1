"""The weights of SRV records: 100, shared among the pairs of address and port behind the answer."""

from __future__ import annotations

import pytest

from tests.cluster import Server

CLUSTER_IP = """
kind: Service
metadata: {{name: s, namespace: n}}
spec: {{clusterIP: 10.96.0.1, clusterIPs: [{addresses}], ports: [{ports}]}}
"""
HEADLESS = """
kind: Service
metadata: {{name: s, namespace: n}}
spec: {{clusterIP: None}}
---
kind: EndpointSlice
metadata: {{name: s-1, namespace: n, labels: {{kubernetes.io/service-name: s}}}}
addressType: IPv4
ports: [{ports}]
endpoints: [{endpoints}]
"""


def ports(count: int) -> str:
    return ", ".join(f"{{name: p{each}, port: {each + 1}}}" for each in range(count))


def weights(server: Server, name: str = "s") -> tuple[int, set[int]]:
    (found,) = server.ask(f"{name}.n.svc.cluster.local", "SRV", stream=True).answer
    return len(found), {each.weight for each in found}


class TestClusterIp:
    @pytest.mark.parametrize(
        ("families", "count", "records", "weight"),
        [(1, 1, 1, 100), (1, 2, 2, 50), (1, 3, 3, 33), (1, 7, 7, 14), (2, 1, 1, 50), (2, 3, 3, 16), (1, 120, 120, 1)],
    )
    def test_weight(self, families: int, count: int, records: int, weight: int) -> None:
        addresses = ", ".join(["10.96.0.1", '"fd00::1"'][:families])
        server = Server(CLUSTER_IP.format(addresses=addresses, ports=ports(count)))
        assert weights(server) == (records, {weight})
        assert weights(server, "_p0._tcp.s") == (1, {100 // families})


class TestHeadless:
    @pytest.mark.parametrize(
        ("endpoints", "count", "weight"), [(1, 1, 100), (3, 1, 33), (3, 2, 16), (100, 1, 1), (101, 1, 1), (150, 2, 1)]
    )
    def test_weight(self, endpoints: int, count: int, weight: int) -> None:
        given = ", ".join(f"{{addresses: [10.0.0.{each}]}}" for each in range(endpoints))
        server = Server(HEADLESS.format(endpoints=given, ports=ports(count)))
        assert weights(server) == (endpoints * count, {weight})
        assert weights(server, "_p0._tcp.s") == (endpoints, {max(1, 100 // endpoints)})
