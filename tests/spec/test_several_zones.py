"""Several cluster domains: each has every name, the first is where PTR records lead."""

from __future__ import annotations

import pytest

from tests.cluster import Server, expect, expect_nothing

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
endpoints: [{addresses: [10.244.0.1], hostname: db-0}]
"""
ZONES = ("cluster.local", "k8s.example.org", "flat")


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(CLUSTER, zones=ZONES, pods="insecure")


@pytest.mark.parametrize("zone", ZONES)
class TestEachZone:
    def test_has_the_names(self, server: Server, zone: str) -> None:
        expect(server.ask(f"cart.shop.svc.{zone}"), f"cart.shop.svc.{zone}. IN A 10.96.0.10")
        expect(server.ask(f"db-0.db.shop.svc.{zone}"), f"db-0.db.shop.svc.{zone}. IN A 10.244.0.1")
        expect(server.ask(f"10-0-0-1.shop.pod.{zone}"), f"10-0-0-1.shop.pod.{zone}. IN A 10.0.0.1")
        expect(server.ask(f"dns-version.{zone}", "TXT"), f'dns-version.{zone}. 28800 IN TXT "1.1.0"')

    def test_has_targets_within_itself(self, server: Server, zone: str) -> None:
        expect(
            server.ask(f"_http._tcp.cart.shop.svc.{zone}", "SRV"),
            f"_http._tcp.cart.shop.svc.{zone}. IN SRV 0 100 80 cart.shop.svc.{zone}.",
            additional=f"cart.shop.svc.{zone}. IN A 10.96.0.10",
        )

    def test_has_its_own_soa(self, server: Server, zone: str) -> None:
        expect_nothing(server, f"nobody.shop.svc.{zone}", zone=zone)
        assert f" ns.dns.{zone}. " in server.soa(zone)

    def test_follows_changes(self, zone: str) -> None:
        server = Server(CLUSTER, zones=ZONES)
        expect_nothing(server, f"new.shop.svc.{zone}", zone=zone)
        server.put("{kind: Service, metadata: {name: new, namespace: shop}, spec: {clusterIP: 10.96.0.11}}")
        expect(server.ask(f"new.shop.svc.{zone}"), f"new.shop.svc.{zone}. IN A 10.96.0.11")


class TestReverseNames:
    def test_lead_into_the_first_zone(self, server: Server) -> None:
        for name, target in (("10.0.96.10", "cart"), ("1.0.244.10", "db-0.db")):
            expect(
                server.ask(f"{name}.in-addr.arpa", "PTR"),
                f"{name}.in-addr.arpa. IN PTR {target}.shop.svc.cluster.local.",
            )


class TestOtherZones:
    @pytest.mark.parametrize(
        "name", ["cluster.localx", "xcluster.local", "local", ".", "example.org", "www.example.com"]
    )
    def test_are_refused(self, server: Server, name: str) -> None:
        expect(server.ask(name), rcode="REFUSED")

    def test_with_a_reason(self, server: Server) -> None:
        (reason,) = server.ask("www.example.com", use_edns=0).options
        assert (reason.code, reason.text) == (20, "the name is in none of the zones served here")
