"""Names for the outside of the cluster: `<service>.<namespace>.<external zone>`.

The specification does not have them. They are those of CoreDNS's k8s_external, with its SRV records and its apex; but
here a name is no alias if it has addresses, and one that nobody has does not exist.
"""

from __future__ import annotations

import dns.edns
import dns.rdatatype
import pytest

from clusterdns.objects import Namespace, Service
from tests.cluster import Server, expect, expect_no_data, expect_nothing, external_zone

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Namespace
metadata: {name: kube-system}
---
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, externalIPs: [203.0.113.53, "2001:db8::53"]}
---
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.20
  ports: [{name: http, port: 80}, {name: https, port: 443}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.20}, {ip: "2001:db8::20"}]}}
---
kind: Service
metadata: {name: mixed, namespace: shop}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.21
  externalIPs: [203.0.113.21]
  ports: [{name: dns, port: 53, protocol: UDP}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.21}, {ip: 203.0.113.22}]}}
---
kind: Service
metadata: {name: bucket, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.23, ports: [{name: https, port: 443}]}
status: {loadBalancer: {ingress: [{hostname: lb-23.cloud.example}]}}
---
kind: Service
metadata: {name: both, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.24, externalIPs: [203.0.113.24], ports: [{name: https, port: 443}]}
status: {loadBalancer: {ingress: [{hostname: lb-24.cloud.example}]}}
---
kind: Service
metadata: {name: loop, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.25}
status: {loadBalancer: {ingress: [{hostname: loop.shop.example.org}]}}
---
kind: Service
metadata: {name: front, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.26, ports: [{name: http, port: 80}]}
status: {loadBalancer: {ingress: [{hostname: Web.Shop.Example.Org}]}}
---
kind: Service
metadata: {name: waiting, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.27, ports: [{name: http, port: 80}]}
status: {loadBalancer: {}}
---
kind: Service
metadata: {name: shown, namespace: shop}
spec: {clusterIP: None, externalIPs: [203.0.113.28]}
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, ports: [{name: pg, port: 5432}]}
---
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: pg, port: 5432, protocol: TCP}]
endpoints:
  - {addresses: [10.244.0.1], hostname: db-0}
  - {addresses: [10.244.0.2]}
  - {addresses: [10.244.0.3], conditions: {ready: false}}
"""

ZONES = (external_zone("example.org"), external_zone("example.net"))
REVERSE = (external_zone("113.0.203.in-addr.arpa"), external_zone("ip6.arpa"))


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(CLUSTER, external_zones=(*ZONES, *REVERSE))


@pytest.fixture(scope="module")
def with_headless() -> Server:
    return Server(CLUSTER, external_zones=(external_zone("example.org", headless=True),))


def no_data(server: Server, name: str, rtype: str = "A") -> None:
    expect_no_data(server, name, rtype, zone="example.org")


def nothing(server: Server, name: str, rtype: str = "A") -> None:
    expect_nothing(server, name, rtype, zone="example.org")


class TestAddresses:
    @pytest.mark.parametrize(
        ("question", "data"),
        [
            ("web.shop.example.org A", ["203.0.113.20"]),
            ("web.shop.example.org AAAA", ["2001:db8::20"]),
            ("web.shop.example.net A", ["203.0.113.20"]),
            ("mixed.shop.example.org A", ["203.0.113.21", "203.0.113.22"]),
            ("shown.shop.example.org A", ["203.0.113.28"]),
        ],
    )
    def test_are_the_load_balancers_and_the_external_ones(self, server: Server, question: str, data: list[str]) -> None:
        name, rtype = question.split()
        for _ in range(2):  # the second reply is one that was encoded before
            expect(server.ask(name, rtype), "\n".join(f"{name}. 5 IN {rtype} {each}" for each in data))

    def test_another_family_is_no_data(self, server: Server) -> None:
        no_data(server, "mixed.shop.example.org", "AAAA")
        no_data(server, "web.shop.example.org", "TXT")

    def test_the_cluster_s_own_names_stay_as_they_are(self, server: Server) -> None:
        expect(server.ask("web.shop.svc.cluster.local"), "web.shop.svc.cluster.local. IN A 10.96.0.20")

    @pytest.mark.parametrize("name", ["waiting", "db", "nobody", "10-244-0-1.db", "x.web", "_http._tcp.waiting"])
    def test_a_service_without_any_is_not_there(self, server: Server, name: str) -> None:
        nothing(server, f"{name}.shop.example.org")

    def test_neither_is_a_namespace_that_is_not_there(self, server: Server) -> None:
        nothing(server, "nowhere.example.org")
        nothing(server, "web.nowhere.example.org")

    def test_a_namespace_has_no_records(self, server: Server) -> None:
        no_data(server, "shop.example.org")
        no_data(server, "shop.example.org", "SOA")

    @pytest.mark.parametrize(
        ("question", "reason"),
        [
            ("nowhere.example.org A", "no namespace 'nowhere' in example.org."),
            ("waiting.shop.example.org A", "no exposed Service 'waiting' in shop.example.org."),
            ("x.web.shop.example.org A", "Service shop/web has no port of this name"),
            ("mixed.shop.example.org AAAA", "Service shop/mixed has no external IPv6 address"),
        ],
    )
    def test_why_there_are_none_is_said(self, server: Server, question: str, reason: str) -> None:
        name, rtype = question.split()
        (option,) = server.ask(name, rtype, use_edns=0).options
        assert isinstance(option, dns.edns.EDEOption)
        assert option.text == reason


class TestPorts:
    def test_of_a_service(self, server: Server) -> None:
        """The weights share 100 among the addresses and ports behind the answer, as CoreDNS has it."""
        expect(
            server.ask("web.shop.example.org", "SRV"),
            """
            web.shop.example.org. 5 IN SRV 0 25 80 web.shop.example.org.
            web.shop.example.org. 5 IN SRV 0 25 443 web.shop.example.org.
            """,
            additional="""
            web.shop.example.org. 5 IN A 203.0.113.20
            web.shop.example.org. 5 IN AAAA 2001:db8::20
            """,
        )

    def test_by_name(self, server: Server) -> None:
        expect(
            server.ask("_dns._udp.mixed.shop.example.org", "SRV"),
            "_dns._udp.mixed.shop.example.org. 5 IN SRV 0 50 53 mixed.shop.example.org.",
            additional="""
            mixed.shop.example.org. 5 IN A 203.0.113.21
            mixed.shop.example.org. 5 IN A 203.0.113.22
            """,
        )
        no_data(server, "_udp.mixed.shop.example.org", "SRV")
        nothing(server, "_dns._tcp.mixed.shop.example.org", "SRV")

    def test_of_a_load_balancer_with_a_name_lead_to_that_name(self, server: Server) -> None:
        for name in ("bucket.shop.example.org", "_https._tcp.bucket.shop.example.org"):
            expect(server.ask(name, "SRV"), f"{name}. 5 IN SRV 0 100 443 lb-23.cloud.example.")

    def test_lead_to_addresses_and_names_alike(self, server: Server) -> None:
        expect(
            server.ask("both.shop.example.org", "SRV"),
            """
            both.shop.example.org. 5 IN SRV 0 50 443 both.shop.example.org.
            both.shop.example.org. 5 IN SRV 0 50 443 lb-24.cloud.example.
            """,
            additional="both.shop.example.org. 5 IN A 203.0.113.24",
        )

    def test_a_service_without_any_has_no_srv_records(self, server: Server) -> None:
        no_data(server, "shown.shop.example.org", "SRV")


class TestAliases:
    @pytest.mark.parametrize("rtype", ["A", "AAAA", "CNAME"])
    def test_a_load_balancer_with_a_name(self, server: Server, rtype: str) -> None:
        expect(
            server.ask("bucket.shop.example.org", rtype),
            "bucket.shop.example.org. 5 IN CNAME lb-23.cloud.example.",
        )

    def test_have_no_other_records(self, server: Server) -> None:
        no_data(server, "bucket.shop.example.org", "TXT")

    def test_an_address_goes_before_a_name(self, server: Server) -> None:
        expect(server.ask("both.shop.example.org"), "both.shop.example.org. 5 IN A 203.0.113.24")
        no_data(server, "both.shop.example.org", "AAAA")

    def test_are_followed_to_names_of_ours(self, server: Server) -> None:
        expect(
            server.ask("front.shop.example.org"),
            """
            front.shop.example.org. 5 IN CNAME web.shop.example.org.
            web.shop.example.org. 5 IN A 203.0.113.20
            """,
        )
        expect(
            server.ask("front.shop.example.org", "SRV"),
            "front.shop.example.org. 5 IN SRV 0 100 80 web.shop.example.org.",
            additional="""
            web.shop.example.org. 5 IN A 203.0.113.20
            web.shop.example.org. 5 IN AAAA 2001:db8::20
            """,
        )

    def test_a_circle_ends(self, server: Server) -> None:
        expect(server.ask("loop.shop.example.org"), "loop.shop.example.org. 5 IN CNAME loop.shop.example.org.")


class TestHeadlessServices:
    def test_are_shown_where_that_is_wanted(self, with_headless: Server) -> None:
        expect(
            with_headless.ask("db.shop.example.org"),
            """
            db.shop.example.org. 5 IN A 10.244.0.1
            db.shop.example.org. 5 IN A 10.244.0.2
            """,
        )

    @pytest.mark.parametrize("owner", ["db.shop.example.org", "_pg._tcp.db.shop.example.org"])
    def test_have_a_port_for_each_ready_endpoint(self, with_headless: Server, owner: str) -> None:
        expect(
            with_headless.ask(owner, "SRV"),
            f"""
            {owner}. 5 IN SRV 0 50 5432 db-0.db.shop.example.org.
            {owner}. 5 IN SRV 0 50 5432 10-244-0-2.db.shop.example.org.
            """,
            additional="""
            db-0.db.shop.example.org. 5 IN A 10.244.0.1
            10-244-0-2.db.shop.example.org. 5 IN A 10.244.0.2
            """,
        )

    def test_their_endpoints_have_ports_too(self, with_headless: Server) -> None:
        name = "db-0.db.shop.example.org"
        expect(with_headless.ask(name), f"{name}. 5 IN A 10.244.0.1")
        expect(
            with_headless.ask(name, "SRV"),
            f"{name}. 5 IN SRV 0 100 5432 {name}.",
            additional=f"{name}. 5 IN A 10.244.0.1",
        )

    def test_an_external_address_goes_before_the_endpoints(self, with_headless: Server) -> None:
        expect(with_headless.ask("shown.shop.example.org"), "shown.shop.example.org. 5 IN A 203.0.113.28")

    def test_an_endpoint_that_is_not_ready_is_not_there(self, with_headless: Server) -> None:
        nothing(with_headless, "10-244-0-3.db.shop.example.org")


class TestApex:
    def test_has_an_soa_record(self, server: Server) -> None:
        expect(server.ask("example.org", "SOA"), server.soa("example.org"))
        no_data(server, "example.org", "TXT")

    def test_has_a_name_server_with_the_addresses_of_the_dns_service(self, server: Server) -> None:
        expect(
            server.ask("example.org", "NS"),
            "example.org. 5 IN NS ns1.dns.example.org.",
            additional="""
            ns1.dns.example.org. 5 IN A 203.0.113.53
            ns1.dns.example.org. 5 IN AAAA 2001:db8::53
            """,
        )
        expect(server.ask("ns1.dns.example.org"), "ns1.dns.example.org. 5 IN A 203.0.113.53")
        no_data(server, "ns1.dns.example.org", "NS")

    def test_without_that_service_they_are_our_own(self) -> None:
        server = Server(external_zones=ZONES, own_addresses=["198.51.100.1"])
        expect(server.ask("ns1.dns.example.org"), "ns1.dns.example.org. 5 IN A 198.51.100.1")
        no_data(server, "ns1.dns.example.org", "AAAA")

    def test_the_names_of_its_own_are_few(self, server: Server) -> None:
        no_data(server, "dns.example.org")
        nothing(server, "ns2.dns.example.org")
        nothing(server, "x.ns1.dns.example.org")
        for name in ("svc.example.org", "pod.example.org", "dns-version.example.org"):
            nothing(server, name)

    def test_a_namespace_called_like_them_is_not_there(self, server: Server) -> None:
        server.put("{kind: Namespace, metadata: {name: dns}}")
        server.put("{kind: Service, metadata: {name: ns1, namespace: dns}, spec: {externalIPs: [203.0.113.9]}}")
        expect(server.ask("ns1.dns.example.org"), "ns1.dns.example.org. 5 IN A 203.0.113.53")
        server.gone(Service, "ns1", "dns")
        server.gone(Namespace, "dns")
        no_data(server, "dns.example.org")

    def test_its_serial_grows_with_the_cluster(self, server: Server) -> None:
        before = server.soa("example.org")
        server.put("{kind: Namespace, metadata: {name: new}}")
        assert server.soa("example.org") != before


class TestReverseNames:
    @pytest.mark.parametrize(
        ("below", "zone", "target"),
        [
            ("20", "113.0.203.in-addr.arpa", "web.shop.example.org"),
            ("28", "113.0.203.in-addr.arpa", "shown.shop.example.org"),
            (f"0.2.{'0.' * 22}8.b.d.0.1.0.0.2", "ip6.arpa", "web.shop.example.org"),
        ],
    )
    def test_lead_to_the_primary_external_zone(self, server: Server, below: str, zone: str, target: str) -> None:
        name = f"{below}.{zone}"
        expect(server.ask(name, "PTR"), f"{name}. 5 IN PTR {target}.")
        expect_no_data(server, name, "A", zone=zone)

    def test_a_cluster_ip_is_found_as_ever(self, server: Server) -> None:
        name = "20.0.96.10.in-addr.arpa"
        expect(server.ask(name, "PTR"), f"{name}. IN PTR web.shop.svc.cluster.local.")

    def test_no_external_address_is_found_in_a_zone_of_the_cluster(self) -> None:
        server = Server(CLUSTER, external_zones=ZONES)
        expect_nothing(server, "20.113.0.203.in-addr.arpa", "PTR", zone="in-addr.arpa")

    def test_no_address_of_the_cluster_is_found_in_an_external_zone(self) -> None:
        zones = (*ZONES, external_zone("in-addr.arpa"))
        server = Server(CLUSTER, reverse_zones=(), external_zones=zones)
        expect_nothing(server, "20.0.96.10.in-addr.arpa", "PTR", zone="in-addr.arpa")
        expect_nothing(server, "0.96.10.in-addr.arpa", "PTR", zone="in-addr.arpa")

    def test_a_zone_can_be_both(self) -> None:
        """What is outside goes first, and the apex is the external zone's."""
        server = Server(CLUSTER, external_zones=(*ZONES, external_zone("in-addr.arpa")))
        for name, record in (
            ("20.113.0.203.in-addr.arpa", "5 IN PTR web.shop.example.org."),
            ("20.0.96.10.in-addr.arpa", "30 IN PTR web.shop.svc.cluster.local."),
        ):
            expect(server.ask(name, "PTR"), f"{name}. {record}")
        expect(server.ask("in-addr.arpa", "SOA"), server.soa("in-addr.arpa"))
        assert " ns1.dns.in-addr.arpa. " in server.soa("in-addr.arpa")

    def test_there_are_names_above_them(self, server: Server) -> None:
        expect_no_data(server, "113.0.203.in-addr.arpa", "A", zone="113.0.203.in-addr.arpa")
        expect_no_data(server, "8.b.d.0.1.0.0.2.ip6.arpa", "PTR", zone="ip6.arpa")

    def test_their_zone_has_a_name_server_too(self, server: Server) -> None:
        name = "ns1.dns.113.0.203.in-addr.arpa"
        expect(server.ask(name), f"{name}. 5 IN A 203.0.113.53")
        expect_nothing(server, "x.dns.113.0.203.in-addr.arpa", zone="113.0.203.in-addr.arpa")

    def test_a_load_balancer_s_name_has_none(self, server: Server) -> None:
        expect_nothing(server, "23.113.0.203.in-addr.arpa", "PTR", zone="113.0.203.in-addr.arpa")


WEB = "web.shop.example.org"


def web(**changes: str) -> str:
    spec = ", ".join(f"{name}: {value}" for name, value in {"clusterIP": "10.96.0.20", **changes}.items())
    return f"{{kind: Service, metadata: {{name: web, namespace: shop}}, spec: {{{spec}}}}}"


class TestChanges:
    @pytest.fixture
    def server(self) -> Server:
        return Server(f"{{kind: Namespace, metadata: {{name: shop}}}}\n---\n{web()}", external_zones=(*ZONES, *REVERSE))

    def pointer(self, server: Server, last: int) -> list[str]:
        reply = server.ask(f"{last}.113.0.203.in-addr.arpa", "PTR")
        return [each.to_text() for rrset in reply.answer for each in rrset]

    def test_of_nothing_but_the_addresses_outside(self, server: Server) -> None:
        nothing(server, WEB)
        server.put(web(externalIPs="[203.0.113.1]"))
        expect(server.ask(WEB), f"{WEB}. 5 IN A 203.0.113.1")
        assert self.pointer(server, 1) == [f"{WEB}."]
        server.put(web(externalIPs="[203.0.113.2]"))
        expect(server.ask(WEB), f"{WEB}. 5 IN A 203.0.113.2")
        assert (self.pointer(server, 1), self.pointer(server, 2)) == ([], [f"{WEB}."])
        server.put(web())
        nothing(server, WEB)
        assert self.pointer(server, 2) == []

    def test_of_the_load_balancer(self, server: Server) -> None:
        status = "status: {loadBalancer: {ingress: [%s]}}"
        server.put(f"{web()[:-1]}, {status % '{hostname: lb.cloud.example}'}}}")
        expect(server.ask(WEB), f"{WEB}. 5 IN CNAME lb.cloud.example.")
        server.put(f"{web()[:-1]}, {status % '{ip: 203.0.113.5}'}}}")
        expect(server.ask(WEB), f"{WEB}. 5 IN A 203.0.113.5")

    def test_of_ports(self, server: Server) -> None:
        server.put(web(externalIPs="[203.0.113.1]", ports="[{name: a, port: 1}]"))
        assert server.ask(f"_a._tcp.{WEB}", "SRV").answer
        server.put(web(externalIPs="[203.0.113.1]", ports="[{name: b, port: 1}]"))
        nothing(server, f"_a._tcp.{WEB}", "SRV")

    def test_two_services_may_have_an_address(self, server: Server) -> None:
        server.put(web(externalIPs="[203.0.113.1]"))
        server.put(web(externalIPs="[203.0.113.1]").replace("name: web", "name: api"))
        assert sorted(self.pointer(server, 1)) == ["api.shop.example.org.", f"{WEB}."]
        server.gone(Service, "web", "shop")
        assert self.pointer(server, 1) == ["api.shop.example.org."]

    def test_of_the_namespace(self, server: Server) -> None:
        """A service's names are there while it is, its namespace's while either is."""
        server.put(web(externalIPs="[203.0.113.1]"))
        server.gone(Namespace, "shop")
        no_data(server, "shop.example.org")
        server.gone(Service, "web", "shop")
        nothing(server, "shop.example.org")


class TestZonesWithinZones:
    def test_an_external_zone_below_the_cluster_domain(self) -> None:
        server = Server(CLUSTER, external_zones=[external_zone("out.cluster.local")])
        expect(server.ask("web.shop.out.cluster.local"), "web.shop.out.cluster.local. 5 IN A 203.0.113.20")
        expect(server.ask("web.shop.svc.cluster.local"), "web.shop.svc.cluster.local. IN A 10.96.0.20")
        expect_nothing(server, "web.out.cluster.local", zone="out.cluster.local")

    def test_the_cluster_domain_below_an_external_zone(self) -> None:
        """A namespace that is called like the cluster's domain does not take its place, or take it away."""
        server = Server(CLUSTER, zones=["kube.example.org"], external_zones=[external_zone("example.org")])
        server.put("{kind: Namespace, metadata: {name: kube}}")
        server.gone(Namespace, "kube")
        expect(server.ask("web.shop.svc.kube.example.org"), "web.shop.svc.kube.example.org. IN A 10.96.0.20")
        expect(server.ask("web.shop.example.org"), "web.shop.example.org. 5 IN A 203.0.113.20")
        assert server.ask("kube.example.org", "SOA").answer[0].rdtype == dns.rdatatype.SOA
