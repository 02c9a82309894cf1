"""What is in a whole zone: what its names are answered with, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rdatatype
import dns.reversename
import pytest

from clusterdns import names
from clusterdns.events import Gone, Put
from clusterdns.objects import Host, Namespace, Service
from clusterdns.records import LONGEST_TTL, Answer, Rcode, Record, Type
from clusterdns.transfers import NotARule, Rule, Rules, contents_of
from clusterdns.transfers.messages import FULL, is_newer
from clusterdns.zones import ServedZone, ServedZones, make_zone, read_records
from tests.cluster import Server, external_zone
from tests.transferred import lines, messages, taken, zone_of

if TYPE_CHECKING:
    from tests.transferred import Line

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Namespace
metadata: {name: kube-system}
---
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, externalIPs: [203.0.113.53], ports: [{name: dns, port: 53, protocol: UDP}, {port: 80}]}
---
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.20
  clusterIPs: [10.96.0.20, "fd00:10:96::20"]
  externalIPs: [203.0.113.20, "2001:db8::20"]
  ports: [{name: http, port: 80}, {name: https, port: 443}]
---
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.1]}, {addresses: [10.244.0.2], conditions: {ready: false}}]
ports: [{name: http, port: 8080}]
---
kind: EndpointSlice
metadata: {name: web-2, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
endpoints: [{addresses: ["fd00:10:244::1"]}]
ports: [{name: http, port: 8080}]
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}
---
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints:
- {addresses: [10.244.0.5], hostname: db-0, zone: eu-1a}
- {addresses: [10.244.0.6], hostname: db-0}
- {addresses: [10.244.0.1], zone: eu-1b}
- {addresses: [203.0.113.20]}
- {addresses: [10.96.0.20]}
ports: [{name: sql, port: 5432}, {name: admin, port: 8080, protocol: UDP}]
---
kind: EndpointSlice
metadata: {name: db-2, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.1], hostname: again}]
ports: [{name: more, port: 5433}]
---
kind: EndpointSlice
metadata: {name: stray-1, namespace: shop, labels: {kubernetes.io/service-name: nobody}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.9]}]
---
kind: Service
metadata: {name: silent, namespace: shop}
spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}
---
kind: Service
metadata: {name: empty, namespace: shop}
spec: {clusterIP: 10.96.0.30, ports: [{port: 80}]}
---
kind: Service
metadata: {name: twin, namespace: shop}
spec: {clusterIP: 10.96.0.30, ports: [{port: 80}]}
---
kind: Service
metadata: {name: elsewhere, namespace: shop}
spec: {type: ExternalName, externalName: www.example.com.}
---
kind: Service
metadata: {name: kuard, namespace: shop}
spec: {type: NodePort, clusterIP: 10.96.0.60, ports: [{name: http, port: 8080, nodePort: 32711}]}
---
kind: Node
metadata: {name: one}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: InternalIP, address: "2001:db8:1::1"}]}
---
kind: Service
metadata: {name: nowhere, namespace: shop}
spec: {type: ExternalName, externalName: 192.0.2.1}
---
kind: Service
metadata: {name: bucket, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.23, ports: [{name: https, port: 443}]}
status: {loadBalancer: {ingress: [{hostname: lb-23.cloud.example}]}}
---
kind: Service
metadata: {name: lost, namespace: gone}
spec: {clusterIP: 10.96.0.40, ports: [{name: http, port: 80}]}
---
kind: Namespace
metadata: {name: lan}
---
kind: Service
metadata: {name: svc, namespace: lan}
spec: {clusterIP: 10.96.0.50, externalIPs: [203.0.113.50], ports: [{name: http, port: 80}]}
---
kind: Pod
metadata: {name: web-0, namespace: shop}
status: {phase: Running, podIPs: [{ip: 10.244.0.1}, {ip: "fd00:10:244::"}]}
---
kind: Pod
metadata: {name: over, namespace: shop}
status: {phase: Succeeded, podIPs: [{ip: 10.244.0.77}]}
---
kind: Pod
metadata: {name: lost, namespace: gone}
status: {phase: Running, podIPs: [{ip: 10.244.0.78}]}
"""

FORMS = {
    "as it is": {},
    "verified pods": {"pods": "verified"},
    "topology zones": {"zonal": True},
    "no empty services": {"ignore_empty_service": True},
    "pointers to hostnames": {"ptr_hostname_only": True},
    "pod names": {"endpoint_pod_names": True},
}
TYPES = ("A", "AAAA", "SRV", "PTR", "TXT", "NS", "CNAME", "SOA")
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|[0-9a-f]+:[0-9a-f:]+:[0-9a-f]*")
ZONES = (
    "cluster.local", "other.test", "example.org", "lan.example.org",
    "in-addr.arpa", "244.10.in-addr.arpa", "ip6.arpa", "113.0.203.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa",
)  # fmt: skip


def made(**settings: object) -> Server:
    """With zones within zones, and a reverse zone for the outside in one for the inside."""
    return Server(
        CLUSTER,
        zones=("cluster.local", "other.test", "lan.example.org"),
        reverse_zones=("in-addr.arpa", "244.10.in-addr.arpa", "ip6.arpa"),
        external_zones=[
            external_zone(each, headless=each == "example.org", node_ports=each == "example.org")
            for each in ("example.org", "113.0.203.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa")
        ],
        own_addresses=("192.0.2.53",),
        **settings,
    )


def census(server: Server) -> set[str]:
    """All names that there may be something to say about: the index's once all is grown, pods' and addresses'."""
    for service in server.index.objects(Service):
        namespace, name = service.key
        for parent in ("svc.cluster.local", "svc.other.test", "svc.lan.example.org", "example.org"):
            server.ask(f"grow.{name}.{namespace}.{parent}")
    found = {names.to_text(each) for each in server.index.nodes}
    for address in set(ADDRESS.findall(CLUSTER)):
        found.add(str(dns.reversename.from_address(address)))
        dashed = names.dashed(address)
        found |= {f"{dashed}.{each}.pod.{zone}." for each in ("shop", "gone") for zone in ZONES[:4]}
    return found


def answered(server: Server) -> dict[str, list[Line]]:
    """What queries find, by the zone that it is in; of a name that is an alias, the alias."""
    found: dict[str, list[Line]] = {each: [] for each in ZONES}
    for name in census(server):
        zone = max((each for each in ZONES if f".{name}".endswith(f".{each}.")), key=len)
        of_name = []
        for rtype in TYPES:
            for rrset in server.ask(name, rtype, stream=True).answer:
                if str(rrset.name) == name and dns.rdatatype.to_text(rrset.rdtype) == rtype:
                    of_name += [(name, rrset.ttl, rtype, str(each)) for each in rrset]
        aliases = [each for each in of_name if each[2] == "CNAME"]
        found[zone] += aliases or [each for each in of_name if each[2] != "SOA"]
    return {zone: sorted(each) for zone, each in found.items()}


class TestClusterZones:
    @pytest.mark.parametrize("settings", FORMS.values(), ids=FORMS)
    def test_hold_what_queries_find_and_nothing_else(self, settings: dict[str, object]) -> None:
        server = made(**settings)
        expected = answered(server)
        for zone in ZONES:
            assert zone_of(zone, server.index) == expected[zone], zone
            assert expected[zone], "there is something in each zone"

    def test_as_text(self) -> None:
        server = Server(CLUSTER, pods="verified")
        for name in ("kube-dns", "web", "db", "twin", "bucket", "lost", "svc", "kuard"):
            for namespace in ("shop", "kube-system", "gone", "lan"):
                server.gone(Service, name, namespace)
        assert zone_of("cluster.local", server.index) == sorted([
            ("cluster.local.", 30, "NS", "ns.dns.cluster.local."),
            ("dns-version.cluster.local.", 28800, "TXT", '"1.1.0"'),
            ("empty.shop.svc.cluster.local.", 30, "A", "10.96.0.30"),
            ("empty.shop.svc.cluster.local.", 30, "SRV", "0 100 80 empty.shop.svc.cluster.local."),
            ("elsewhere.shop.svc.cluster.local.", 30, "CNAME", "www.example.com."),
            ("10-244-0-1.shop.pod.cluster.local.", 30, "A", "10.244.0.1"),
            ("fd00-10-244--0.shop.pod.cluster.local.", 30, "AAAA", "fd00:10:244::"),
        ])  # fmt: skip

    def test_an_alias_has_nothing_beside_it(self) -> None:
        """A query for SRV finds some, but no copy of a zone may have them (RFC 1034 section 3.6.2)."""
        server = made()
        found = [each[2] for each in zone_of("example.org", server.index) if each[0] == "bucket.shop.example.org."]
        assert found == ["CNAME"]
        assert server.ask("bucket.shop.example.org", "SRV").answer

    def test_names_of_hosts_files_are_no_part_of_it(self) -> None:
        server = made()
        before = zone_of("cluster.local", server.index)
        web, apex = names.from_text("web.shop.svc.cluster.local"), names.from_text("cluster.local")
        server.index.apply(
            [Put(Host(each, (b"\xc0\0\2\1",))) for each in (web, apex, names.from_text("a.cluster.local"))]
        )
        assert zone_of("cluster.local", server.index) == before

    def test_a_zone_that_is_not_all_read_is_not_given_away(self) -> None:
        server = Server(CLUSTER, listed=(Namespace, Service))
        found = contents_of(names.from_text("cluster.local"), server.index, ServedZones())
        assert isinstance(found, Answer)
        assert found.rcode == Rcode.SERVFAIL

    @pytest.mark.parametrize("name", ["svc.cluster.local", "local", "web.shop.svc.cluster.local", "example.com", "."])
    def test_a_name_that_is_no_zone(self, name: str) -> None:
        found = contents_of(names.from_text(name), made().index, ServedZones())
        assert isinstance(found, Answer)
        assert found.rcode == Rcode.NOTAUTH

    @pytest.mark.parametrize("zone", ZONES)
    def test_is_of_one_moment(self, zone: str) -> None:
        """Whatever changes while it is read: objects that go, come and change."""
        server = made(pods="verified", zonal=True)
        expected = zone_of(zone, server.index)
        contents, _ = taken(zone, server.index)
        batches = contents.take()
        found = list(next(batches))
        for each in server.index.objects(Service):
            server.index.apply([Gone(Service, each.key)])
        server.put(CLUSTER.replace("10.", "11.").replace("203.0", "198.51"))
        server.index.apply([Gone(Namespace, ("", "shop"))])
        for batch in batches:
            found += batch
        records = [contents.soa, *found, contents.soa]
        assert sorted(lines(messages(zone, records), zone)[1:-1]) == expected
        assert zone_of(zone, server.index) != expected or zone == "ip6.arpa"
        assert contents.serial < server.index.serial


FILE = r"""
$TTL 300
@ IN SOA ns hostmaster 7 3600 600 86400 60
@ IN SOA ns hostmaster 8 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
* TXT "wild"
sub NS ns.sub
sub DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub A 192.0.2.2
below.sub TXT "occluded"
alias CNAME www.example.com.
mail MX 10 Mail
www 5000 A 192.0.2.3
www A 192.0.2.4
odd TYPE65280 \# 3 010203
outside.example.com. A 192.0.2.5
"""


class TestZoneFiles:
    @staticmethod
    def zones(ttl: tuple[int, int] = (0, LONGEST_TTL), text: str = FILE) -> ServedZones:
        apex = names.from_text("example.org")
        zones = ServedZones()
        data = make_zone(apex, read_records("db", text, apex, lambda *_: ("", "")))
        zones.put([ServedZone(apex, data, ttl=ttl), ServedZone(names.from_text("unread.example"), None)])
        return zones

    def test_are_given_as_they_stand(self) -> None:
        zones = self.zones()
        assert zone_of("example.org", Server().index, zones) == sorted([
            ("example.org.", 300, "NS", "ns.example.org."),
            ("ns.example.org.", 300, "A", "192.0.2.1"),
            ("*.example.org.", 300, "TXT", '"wild"'),
            ("sub.example.org.", 300, "NS", "ns.sub.example.org."),
            ("sub.example.org.", 300, "DS", f"1 8 2 {'0' * 64}"),
            ("ns.sub.example.org.", 300, "A", "192.0.2.2"),
            ("below.sub.example.org.", 300, "TXT", '"occluded"'),
            ("alias.example.org.", 300, "CNAME", "www.example.com."),
            ("mail.example.org.", 300, "MX", "10 mail.example.org."),
            ("www.example.org.", 5000, "A", "192.0.2.3"),
            ("www.example.org.", 5000, "A", "192.0.2.4"),
            ("odd.example.org.", 300, "TYPE65280", r"\# 3 010203"),
        ])  # fmt: skip
        contents, _ = taken("example.org", Server().index, zones)
        assert contents.serial == 7

    def test_have_the_lifetimes_that_queries_find(self) -> None:
        zones = self.zones((400, 1000))
        found = zone_of("example.org", Server().index, zones)
        assert {each[1] for each in found} == {400, 1000}
        contents, _ = taken("example.org", Server().index, zones)
        assert contents.soa.ttl == 400

    @pytest.mark.parametrize("zone", ["unread.example", "example.org"])
    def test_that_can_not_be(self, zone: str) -> None:
        """One that was not read yet; one whose SOA record is of another name, as CoreDNS lets it be."""
        zones = self.zones(text=FILE.replace("@ IN SOA", "elsewhere IN SOA"))
        found = contents_of(names.from_text(zone), Server().index, zones)
        assert isinstance(found, Answer)
        assert found.rcode == Rcode.SERVFAIL


class TestMessages:
    """RFC 5936 section 2.2."""

    APEX = "example.org"

    def records(self, count: int, size: int = 1) -> list[Record]:
        below = [names.from_text(f"a{number}.b{number % 7}.{self.APEX}") for number in range(count)]
        data = tuple(b"x" * 255 for _ in range(size))
        return [Record(each, Type.TXT, 60, data) for each in below]

    def test_are_full_and_whole(self) -> None:
        records = self.records(1000)
        packets = list(messages(self.APEX, records))
        assert all(FULL - 300 < len(each) <= FULL for each in packets[:-1])
        assert [each[0] for each in lines(packets, self.APEX)] == [names.to_text(each.owner) for each in records]

    @pytest.mark.parametrize("rtype", [Type.NS, Type.CNAME, Type.PTR])
    def test_names_are_pointed_at_wherever_they_stand(self, rtype: Type) -> None:
        """Across the whole of a message, and never beyond what a pointer can lead to."""
        owners = [each.owner for each in self.records(3000)]
        records = [Record(owner, rtype, 60, target) for owner, target in zip(owners, reversed(owners), strict=True)]
        packets = list(messages(self.APEX, records))
        found = lines(packets, self.APEX)
        assert [each[0] for each in found] == list(map(names.to_text, owners))
        assert [each[3] for each in found] == list(map(names.to_text, reversed(owners)))
        assert sum(map(len, packets)) < 3000 * 30

    def test_nothing_is_pointed_at_that_a_pointer_can_not_lead_to(self) -> None:
        owners = [names.from_text(f"{'x' * 60}.b{number}.{self.APEX}") for number in range(2000)]
        records = [Record(each, Type.CNAME, 60, b"\1y" + each[61:]) for each in owners]
        assert [each[0] for each in lines(messages(self.APEX, records), self.APEX)] == list(map(names.to_text, owners))

    def test_a_record_that_takes_more_than_a_message_has_one_of_its_own(self) -> None:
        small, large = self.records(3), self.records(2, size=200)
        packets = list(messages(self.APEX, [*small, *large, *small]))
        assert len(packets) == 4
        assert max(map(len, packets)) > 200 * 256
        assert len(lines(packets, self.APEX)) == 8

    def test_a_record_that_no_message_can_hold_is_left_out(self) -> None:
        small, huge = self.records(3), self.records(4, size=255)
        huge = [Record(each.owner, Type.TXT, 60, (*each.data, b"y" * 254)) for each in huge]  # type: ignore[misc]
        found = lines(messages(self.APEX, [*small, huge[3], *small]), self.APEX)
        assert len(found) == 6

    def test_letter_case_and_edns_come_back_in_the_first(self) -> None:
        first, *others = messages("ExAmPlE.oRg", self.records(500), edns=0)
        message = dns.message.from_wire(first, xfr=True)
        assert message.question[0].name.to_text() == "ExAmPlE.oRg."
        assert message.edns == 0
        assert message.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD
        assert all(dns.message.from_wire(each, xfr=True).edns == -1 for each in others)

    @pytest.mark.parametrize(
        ("serial", "known", "newer"),
        [
            (2, 1, True),
            (1, 1, False),
            (1, 2, False),
            (0, 0xFFFFFFFF, True),
            (0xFFFFFFFF, 0, False),
            (1 << 31, 0, False),
        ],
    )
    def test_serials_go_round(self, serial: int, known: int, newer: bool) -> None:
        assert is_newer(serial, known) == newer


class TestRules:
    RULES = Rules([
        Rule(to=("192.0.2.0/24", "2001:db8::1")),
        Rule(zones=("cluster.local", "Example.ORG."), to=("198.51.100.7",)),
        Rule(zones=("open.example.org",), to=("203.0.113.1", "*")),
        Rule(zones=("example.org",), to=("*",)),
    ])  # fmt: skip

    @pytest.mark.parametrize(
        ("zone", "client", "allowed"),
        [
            ("in-addr.arpa", "192.0.2.9", True),
            ("in-addr.arpa", "::ffff:192.0.2.9", True),
            ("in-addr.arpa", "2001:db8::1", True),
            ("in-addr.arpa", "2001:db8::2", False),
            ("cluster.local", "192.0.2.9", False),
            ("cluster.local", "198.51.100.7", True),
            ("a.example.org", "198.51.100.7", True),
            ("a.example.org", "203.0.113.9", False),
            ("open.example.org", "203.0.113.9", True),
            ("cluster.local", "nobody", False),
        ],
    )
    def test_the_longest_zone_decides(self, zone: str, client: str, allowed: bool) -> None:
        assert self.RULES.allow(names.from_text(zone), client) == allowed

    def test_nobody_is_allowed_without(self) -> None:
        assert not Rules([]).allow(names.from_text("cluster.local"), "127.0.0.1")

    @pytest.mark.parametrize(
        ("rule", "fault"),
        [
            (Rule(to=("here",)), "rule 1: 'here' does not appear to be an IPv4 or IPv6 network"),
            (Rule(to=()), "rule 1: expected at least one network, and one zone"),
            (Rule(to=("*",), zones=()), "rule 1: expected at least one network, and one zone"),
            (Rule(to=("*",), zones=("a..b",)), "rule 1: a label has 1 to 63 bytes, not 0: ''"),
        ],
    )
    def test_that_can_not_be_followed(self, rule: Rule, fault: str) -> None:
        with pytest.raises(NotARule, match=f"^{re.escape(fault)}"):
            Rules([rule])
