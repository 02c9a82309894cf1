"""`<topology zone>._zone.<headless service>`: the endpoints that run there, and no others."""

from __future__ import annotations

import pytest

from clusterdns.objects import EndpointSlice, Service
from tests.cluster import Server, expect, expect_no_data, expect_nothing

CLUSTER = """
kind: Namespace
metadata: {name: data}
---
kind: Service
metadata: {name: db, namespace: data}
spec: {clusterIP: None}
---
kind: EndpointSlice
metadata: {name: db-1, namespace: data, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: pg, port: 5432}, {name: stats, port: 9187}]
endpoints:
- {addresses: [10.244.0.1], zone: eu-1a, hostname: db-0}
- {addresses: [10.244.0.2], zone: eu-1b}
- {addresses: [10.244.0.3], zone: eu-1b}
- {addresses: [10.244.0.4], zone: eu-1d, conditions: {ready: false}}
- {addresses: [10.244.0.5]}
---
kind: EndpointSlice
metadata: {name: db-2, namespace: data, labels: {kubernetes.io/service-name: db}}
addressType: IPv6
ports: [{name: pg, port: 5432}]
endpoints:
- {addresses: ["fd00:244::1"], zone: eu-1a, hostname: db-0}
---
kind: Service
metadata: {name: web, namespace: data}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
kind: EndpointSlice
metadata: {name: web-1, namespace: data, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints:
- {addresses: [10.244.1.1], zone: eu-1a}
- {addresses: [10.244.1.2], zone: eu-1c}
---
kind: Service
metadata: {name: idle, namespace: data}
spec: {clusterIP: None}
"""
DB = "db.data.svc.cluster.local"
ELSEWHERE = """
kind: EndpointSlice
metadata: {name: idle-1, namespace: data, labels: {kubernetes.io/service-name: idle}}
addressType: IPv4
ports: []
endpoints: [{addresses: [10.244.2.1], zone: eu-2a}]
"""


@pytest.fixture
def server() -> Server:
    return Server(CLUSTER, zonal=True)


class TestNames:
    def test_have_the_addresses_of_the_zone(self, server: Server) -> None:
        expect(server.ask(f"eu-1a._zone.{DB}"), f"eu-1a._zone.{DB}. IN A 10.244.0.1")
        expect(server.ask(f"eu-1a._zone.{DB}", "AAAA"), f"eu-1a._zone.{DB}. IN AAAA fd00:244::1")
        both = f"eu-1b._zone.{DB}. IN A 10.244.0.2\neu-1b._zone.{DB}. IN A 10.244.0.3"
        expect(server.ask(f"eu-1b._zone.{DB}"), both)

    def test_have_its_ports(self, server: Server) -> None:
        expect(
            server.ask(f"eu-1a._zone.{DB}", "SRV"),
            f"""
eu-1a._zone.{DB}. IN SRV 0 33 5432 db-0.{DB}.
eu-1a._zone.{DB}. IN SRV 0 33 9187 db-0.{DB}.
""",
            additional=f"db-0.{DB}. IN A 10.244.0.1\ndb-0.{DB}. IN AAAA fd00:244::1",
        )

    @pytest.mark.parametrize("rtype", ["A", "AAAA", "SRV", "TXT"])
    def test_are_there_for_each_zone_of_the_cluster(self, server: Server, rtype: str) -> None:
        """So that nobody is there can be told from a name that nobody knows."""
        expect_no_data(server, f"eu-1c._zone.{DB}", rtype)
        expect_no_data(server, "eu-1c._zone.idle.data.svc.cluster.local", rtype)
        expect_no_data(server, f"_zone.{DB}", rtype)

    @pytest.mark.parametrize(
        "name",
        [
            f"eu-1d._zone.{DB}",
            f"db._zone.{DB}",
            f"x.eu-1a._zone.{DB}",
            "eu-1a._zone.web.data.svc.cluster.local",
            "eu-1a._zone.nobody.data.svc.cluster.local",
            "eu-1a._zone.data.svc.cluster.local",
        ],
    )
    def test_are_there_for_no_other(self, server: Server, name: str) -> None:
        """eu-1d has no endpoint that is ready; a ClusterIP is in no zone."""
        expect_nothing(server, name)
        expect_nothing(server, name, "TXT")

    def test_are_not_there_unless_wished_for(self) -> None:
        expect_nothing(Server(CLUSTER), f"eu-1a._zone.{DB}")


class TestChanges:
    def test_a_zone_that_is_new(self, server: Server) -> None:
        expect_nothing(server, f"eu-2a._zone.{DB}")
        server.put(ELSEWHERE)
        expect_no_data(server, f"eu-2a._zone.{DB}")
        name = "eu-2a._zone.idle.data.svc.cluster.local"
        expect(server.ask(name), f"{name}. IN A 10.244.2.1")

    def test_a_zone_that_has_been_left(self, server: Server) -> None:
        server.gone(EndpointSlice, "web-1", "data")
        expect_no_data(server, f"eu-1c._zone.{DB}")

    def test_a_service_that_goes(self, server: Server) -> None:
        expect(server.ask(f"eu-1a._zone.{DB}"), f"eu-1a._zone.{DB}. IN A 10.244.0.1")
        server.gone(Service, "db", "data")
        expect_nothing(server, f"eu-1a._zone.{DB}")
