"""The zone's own records: SOA, NS and what the nameserver's name leads to."""

from __future__ import annotations

import dns.flags
import pytest

from clusterdns.objects import Service
from tests.cluster import Server, expect, expect_no_data

DNS_SERVICE = """
kind: Namespace
metadata: {name: kube-system}
---
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, "fd00:96::a"], ports: [{name: dns, port: 53, protocol: UDP}]}
"""


def serial(server: Server, zone: str = "cluster.local") -> int:
    ((soa,),) = server.ask(zone, "SOA").answer
    return int(soa.serial)


class TestSoa:
    @pytest.mark.parametrize("zone", ["cluster.local", "in-addr.arpa", "ip6.arpa"])
    def test_stands_at_the_apex(self, zone: str) -> None:
        """The names in it are in the zone itself; the minimum is the TTL of negative answers."""
        server = Server(negative_ttl=7, ttl=40)
        expect(
            server.ask(zone, "SOA"),
            f"{zone}. 40 IN SOA ns.dns.{zone}. hostmaster.{zone}. {serial(server)} 7200 1800 86400 7",
        )

    @pytest.mark.parametrize("zone", ["cluster.local", "in-addr.arpa", "ip6.arpa"])
    def test_names_a_server_that_has_an_address(self, zone: str) -> None:
        server = Server(own_addresses=["192.0.2.1"])
        expect(server.ask(f"ns.dns.{zone}"), f"ns.dns.{zone}. IN A 192.0.2.1")
        expect_no_data(server, f"dns.{zone}", zone=zone)

    def test_is_nowhere_else(self) -> None:
        expect_no_data(Server(), "svc.cluster.local", "SOA")

    def test_its_serial_grows_with_each_change(self) -> None:
        server = Server(DNS_SERVICE)
        seen = [serial(server)]
        for change in (
            lambda: server.put("{kind: Namespace, metadata: {name: shop}}"),
            lambda: server.put("{kind: Service, metadata: {name: a, namespace: shop}, spec: {clusterIP: 10.96.0.1}}"),
            lambda: server.put("{kind: Service, metadata: {name: a, namespace: shop}, spec: {clusterIP: 10.96.0.2}}"),
            lambda: server.gone(Service, "a", "shop"),
            lambda: server.listed(Service),
        ):
            change()
            seen.append(serial(server))
        assert seen == sorted(set(seen))
        assert serial(server, "in-addr.arpa") == seen[-1]

    def test_its_serial_stays_without_a_change(self) -> None:
        server = Server(DNS_SERVICE)
        before = serial(server)
        server.put(DNS_SERVICE)
        server.gone(Service, "nobody", "nowhere")
        server.listed(Service, DNS_SERVICE)
        assert serial(server) == before

    @pytest.mark.parametrize("name", ["nobody.svc.cluster.local", "svc.cluster.local", "ns.dns.cluster.local"])
    def test_its_serial_in_negative_answers_is_the_newest(self, name: str) -> None:
        """Though these are remembered."""
        server = Server()
        for number in range(3):
            server.put(f"{{kind: Namespace, metadata: {{name: new-{number}}}}}")
            ((soa,),) = server.ask(name, "TXT").authority
            assert soa.serial == serial(server)


class TestNameservers:
    def test_the_dns_service(self) -> None:
        expect(
            Server(DNS_SERVICE).ask("cluster.local", "NS"),
            "cluster.local. IN NS kube-dns.kube-system.svc.cluster.local.",
            additional="""
kube-dns.kube-system.svc.cluster.local. IN A 10.96.0.10
kube-dns.kube-system.svc.cluster.local. IN AAAA fd00:96::a
""",
        )

    def test_has_its_addresses_at_its_name_in_the_zone_as_well(self) -> None:
        server = Server(DNS_SERVICE, own_addresses=["192.0.2.1"])
        expect(server.ask("ns.dns.cluster.local"), "ns.dns.cluster.local. IN A 10.96.0.10")
        expect(server.ask("ns.dns.cluster.local", "AAAA"), "ns.dns.cluster.local. IN AAAA fd00:96::a")
        expect_no_data(server, "ns.dns.cluster.local", "TXT")

    def test_without_the_service_it_is_the_addresses_listened_on(self) -> None:
        server = Server(own_addresses=["192.0.2.1", "192.0.2.2"])
        both = "ns.dns.cluster.local. IN A 192.0.2.1\nns.dns.cluster.local. IN A 192.0.2.2"
        expect(server.ask("cluster.local", "NS"), "cluster.local. IN NS ns.dns.cluster.local.", additional=both)
        expect(server.ask("ns.dns.cluster.local"), both)
        expect_no_data(server, "ns.dns.cluster.local", "AAAA")

    def test_the_reverse_zones_have_it_too(self) -> None:
        reply = Server(DNS_SERVICE).ask("in-addr.arpa", "NS")
        assert [rrset.to_text() for rrset in reply.answer] == [
            "in-addr.arpa. 30 IN NS kube-dns.kube-system.svc.cluster.local."
        ]
        assert reply.flags & dns.flags.AA

    def test_follow_the_service(self) -> None:
        """Also where there was nothing to say before."""
        server = Server()
        expect_no_data(server, "ns.dns.cluster.local")
        expect(server.ask("cluster.local", "NS"), "cluster.local. IN NS ns.dns.cluster.local.")
        server.put(DNS_SERVICE)
        expect(server.ask("ns.dns.cluster.local"), "ns.dns.cluster.local. IN A 10.96.0.10")
        assert "kube-dns" in server.ask("cluster.local", "NS").answer[0].to_text()
        server.gone(Service, "kube-dns", "kube-system")
        expect_no_data(server, "ns.dns.cluster.local")


OTHER_SERVICES = """
kind: Service
metadata: {name: dns-default, namespace: openshift-dns}
spec: {clusterIP: 172.30.0.10}
---
kind: EndpointSlice
metadata: {name: dns-default-1, namespace: openshift-dns, labels: {kubernetes.io/service-name: dns-default}}
addressType: IPv4
endpoints: [{addresses: [10.128.0.2]}, {addresses: [10.128.0.3]}]
---
kind: Service
metadata: {name: pods, namespace: openshift-dns}
spec: {clusterIP: None}
---
kind: EndpointSlice
metadata: {name: pods-1, namespace: openshift-dns, labels: {kubernetes.io/service-name: pods}}
addressType: IPv4
endpoints: [{addresses: [10.128.0.3], hostname: dns-a}]
---
kind: Service
metadata: {name: stranger, namespace: openshift-dns}
spec: {clusterIP: 172.30.0.11}
---
kind: EndpointSlice
metadata: {name: stranger-1, namespace: openshift-dns, labels: {kubernetes.io/service-name: stranger}}
addressType: IPv4
endpoints: [{addresses: [10.128.0.9]}]
"""


class TestServicesOfOtherNames:
    def test_are_those_that_lead_here(self) -> None:
        """A headless one has the names of its endpoints."""
        server = Server(OTHER_SERVICES, own_addresses=["10.128.0.3"])
        expect(
            server.ask("cluster.local", "NS"),
            """
cluster.local. IN NS dns-default.openshift-dns.svc.cluster.local.
cluster.local. IN NS dns-a.pods.openshift-dns.svc.cluster.local.
""",
            additional="""
dns-default.openshift-dns.svc.cluster.local. IN A 172.30.0.10
dns-a.pods.openshift-dns.svc.cluster.local. IN A 10.128.0.3
""",
        )
        both = "ns.dns.cluster.local. IN A 172.30.0.10\nns.dns.cluster.local. IN A 10.128.0.3"
        expect(server.ask("ns.dns.cluster.local"), both)

    def test_come_behind_the_one_of_the_name(self) -> None:
        server = Server(OTHER_SERVICES + "---" + DNS_SERVICE, own_addresses=["10.128.0.3"])
        expect(server.ask("ns.dns.cluster.local"), "ns.dns.cluster.local. IN A 10.96.0.10")

    def test_of_none_are_the_addresses_listened_on(self) -> None:
        server = Server(OTHER_SERVICES, own_addresses=["10.128.0.7"])
        expect(server.ask("ns.dns.cluster.local"), "ns.dns.cluster.local. IN A 10.128.0.7")
