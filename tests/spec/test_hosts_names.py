"""Names of hosts files: what they answer, and what they leave alone. RFC 1035, RFC 6761 section 6.3, RFC 8482."""

from __future__ import annotations

import asyncio

import dns.rcode
import pytest

from clusterdns import names
from clusterdns.answer import answer
from clusterdns.objects import Host, Service
from clusterdns.records import Question, Type
from clusterdns.sources.hosts import Hosts
from tests.cluster import Server, addresses, expect, expect_no_data, expect_nothing, make_index

HOSTS = """
127.0.0.1      localhost
::1            localhost ip6-localhost
192.0.2.10     nas.example.org nas backup.example.org
192.0.2.11     nas.example.org
2001:db8::10   nas.example.org
192.0.2.20     Printer.Example.ORG
192.0.2.30     taken.shop.svc.cluster.local
192.0.2.31     db-0.db.shop.svc.cluster.local
192.0.2.32     fresh.shop.svc.cluster.local
10.96.0.10     gateway.example.org
198.51.100.1   outside.example.org
0.0.0.0        ads.example.net tracker.example.net
"""
CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10}
---
kind: Service
metadata: {name: taken, namespace: shop}
spec: {clusterIP: 10.96.0.11, ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None}
---
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: pg, port: 5432}]
endpoints: [{addresses: [10.244.0.1], hostname: db-0}, {addresses: [10.244.0.2], hostname: db-1}]
---
kind: Service
metadata: {name: storage, namespace: shop}
spec: {type: ExternalName, externalName: nas.example.org}
---
kind: Service
metadata: {name: elsewhere, namespace: shop}
spec: {type: ExternalName, externalName: www.example.net}
---
kind: Service
metadata: {name: missing, namespace: shop}
spec: {type: ExternalName, externalName: fresh.shop.svc.cluster.local}
"""
TAKEN = "taken.shop.svc.cluster.local"


def tell(server: Server, lines: str) -> None:
    """Have these lines, and no others."""
    server.index.apply(asyncio.run(Hosts([], lines.splitlines()).open()))


@pytest.fixture(scope="module")
def server() -> Server:
    server = Server(CLUSTER)
    tell(server, HOSTS)
    return server


class TestAddresses:
    @pytest.mark.parametrize(
        ("name", "rtype", "data"),
        [
            ("localhost", "A", ["127.0.0.1"]),
            ("localhost", "AAAA", ["::1"]),
            ("nas", "A", ["192.0.2.10"]),
            ("nas.example.org", "A", ["192.0.2.10", "192.0.2.11"]),
            ("nas.example.org", "AAAA", ["2001:db8::10"]),
            ("backup.example.org", "A", ["192.0.2.10"]),
            ("printer.example.org", "A", ["192.0.2.20"]),
            ("PRINTER.example.org", "A", ["192.0.2.20"]),
            ("fresh.shop.svc.cluster.local", "A", ["192.0.2.32"]),
            ("tracker.example.net", "A", ["0.0.0.0"]),
        ],
    )
    def test_are_those_of_the_file(self, server: Server, name: str, rtype: str, data: list[str]) -> None:
        expect(server.ask(name, rtype), "\n".join(f"{name}. IN {rtype} {each}" for each in data))

    def test_rotate(self, server: Server) -> None:
        firsts = {addresses(server.ask("nas.example.org"))[0] for _ in range(4)}
        assert firsts == {"192.0.2.10", "192.0.2.11"}

    @pytest.mark.parametrize(
        ("name", "rtype"),
        [("ip6-localhost", "A"), ("nas", "AAAA"), ("nas", "MX"), ("nas", "PTR"), ("nas", "SOA"), ("nas", "HTTPS")],
    )
    def test_of_another_kind_are_no_data(self, server: Server, name: str, rtype: str) -> None:
        """Without an SOA record: a hosts file is no zone."""
        expect(server.ask(name, rtype))

    def test_say_why_there_are_none(self, server: Server) -> None:
        (option,) = server.ask("nas", "AAAA", use_edns=0).options
        assert option.text == "the hosts file has no IPv6 address for this name"

    def test_any_is_answered_minimally(self, server: Server) -> None:
        expect(server.ask("nas", "ANY"), 'nas. IN HINFO "RFC8482" ""')

    @pytest.mark.parametrize(
        ("name", "rtype"), [("nas", Type.A), ("nas", Type.ANY), ("10.2.0.192.in-addr.arpa", Type.PTR)]
    )
    def test_live_as_long_as_is_set(self, name: str, rtype: Type) -> None:
        index = make_index(hosts_ttl=3600)
        index.apply(asyncio.run(Hosts([], HOSTS.splitlines()).open()))
        question = Question(names.from_text(name), rtype)
        records = answer(question, index.find(question.name), index).records
        assert {each.ttl for each in records} == {3600}


class TestOtherNames:
    @pytest.mark.parametrize("name", ["x.nas.example.org", "x.nas", "example.org", "x.localhost", "org"])
    def test_around_a_host_are_not_ours(self, server: Server, name: str) -> None:
        assert dns.rcode.to_text(server.ask(name).rcode()) == "REFUSED"

    @pytest.mark.parametrize("name", [f"x.{TAKEN}", "x.fresh.shop.svc.cluster.local", "nobody.shop.svc.cluster.local"])
    def test_in_our_zones_are_those_of_the_cluster(self, server: Server, name: str) -> None:
        for _ in range(2):
            expect_nothing(server, name)

    def test_that_do_not_exist_do_not_hide_a_host(self) -> None:
        """What was said of the names below a namespace is remembered for all of them."""
        server = Server(CLUSTER)
        expect_nothing(server, "fresh.shop.svc.cluster.local")
        tell(server, HOSTS)
        expect(server.ask("fresh.shop.svc.cluster.local"), "fresh.shop.svc.cluster.local. IN A 192.0.2.32")
        tell(server, "")
        expect_nothing(server, "fresh.shop.svc.cluster.local")


class TestBeforeTheCluster:
    def test_a_host_hides_a_service(self, server: Server) -> None:
        expect(server.ask(TAKEN), f"{TAKEN}. IN A 192.0.2.30")
        expect(server.ask(TAKEN, "SRV"))

    def test_what_is_below_the_service_stays(self, server: Server) -> None:
        name = f"_http._tcp.{TAKEN}"
        expect(server.ask(name, "SRV"), f"{name}. IN SRV 0 100 80 {TAKEN}.", additional=f"{TAKEN}. IN A 192.0.2.30")

    def test_the_service_comes_back(self) -> None:
        server = Server(CLUSTER)
        for _ in range(2):
            expect(server.ask(TAKEN), f"{TAKEN}. IN A 10.96.0.11")
            tell(server, HOSTS)
            expect(server.ask(TAKEN), f"{TAKEN}. IN A 192.0.2.30")
            tell(server, "")
        expect(server.ask(TAKEN), f"{TAKEN}. IN A 10.96.0.11")

    def test_the_service_comes_back_as_it_is_by_then(self) -> None:
        server = Server(CLUSTER)
        tell(server, HOSTS)
        server.put("{kind: Service, metadata: {name: taken, namespace: shop}, spec: {clusterIP: 10.96.0.99}}")
        expect(server.ask(TAKEN), f"{TAKEN}. IN A 192.0.2.30")
        tell(server, "")
        expect(server.ask(TAKEN), f"{TAKEN}. IN A 10.96.0.99")
        tell(server, HOSTS)
        server.gone(Service, "taken", "shop")
        expect(server.ask(TAKEN), f"{TAKEN}. IN A 192.0.2.30")
        tell(server, "")
        expect_nothing(server, TAKEN)

    def test_a_service_may_come_later(self) -> None:
        server = Server(CLUSTER)
        tell(server, "192.0.2.32 fresh.shop.svc.cluster.local")
        server.put("{kind: Service, metadata: {name: fresh, namespace: shop}, spec: {clusterIP: 10.96.0.50}}")
        expect(server.ask("fresh.shop.svc.cluster.local"), "fresh.shop.svc.cluster.local. IN A 192.0.2.32")
        tell(server, "")
        expect(server.ask("fresh.shop.svc.cluster.local"), "fresh.shop.svc.cluster.local. IN A 10.96.0.50")

    def test_a_zone_lives_on_below_its_hidden_apex(self) -> None:
        server = Server(CLUSTER)
        tell(server, "192.0.2.1 cluster.local")
        expect(server.ask("cluster.local"), "cluster.local. IN A 192.0.2.1")
        expect(server.ask("cart.shop.svc.cluster.local"), "cart.shop.svc.cluster.local. IN A 10.96.0.10")
        tell(server, "")
        expect_no_data(server, "cluster.local")

    @pytest.mark.parametrize("asked", ["db-0.db.shop.svc.cluster.local", "db.shop.svc.cluster.local"])
    def test_targets_of_srv_records_have_the_host_s_address(self, asked: str) -> None:
        """Whatever was asked, and remembered, before the hosts file changed."""
        server, name = Server(CLUSTER), "_pg._tcp.db.shop.svc.cluster.local"
        for address, lines in (("10.244.0.1", ""), ("192.0.2.31", HOSTS), ("10.244.0.1", "")):
            tell(server, lines)
            server.ask(asked)
            expect(
                server.ask(name, "SRV"),
                f"{name}. IN SRV 0 50 5432 db-0.db.shop.svc.cluster.local.\n"
                f"{name}. IN SRV 0 50 5432 db-1.db.shop.svc.cluster.local.",
                additional=f"db-0.db.shop.svc.cluster.local. IN A {address}\n"
                "db-1.db.shop.svc.cluster.local. IN A 10.244.0.2",
            )

    def test_hosts_are_there_before_the_cluster_is(self) -> None:
        server = Server(listed=())
        tell(server, HOSTS)
        expect(server.ask(TAKEN), f"{TAKEN}. IN A 192.0.2.30")
        assert not server.index.is_synced


class TestReverseNames:
    def pointers(self, server: Server, name: str) -> list[str]:
        reply = server.ask(name, "PTR")
        return [each.target.to_text() for rrset in reply.answer for each in rrset]

    def test_lead_to_each_name_of_the_address(self, server: Server) -> None:
        found = self.pointers(server, "10.2.0.192.in-addr.arpa")
        at = found.index("nas.example.org.")
        assert found[at:] + found[:at] == ["nas.example.org.", "nas.", "backup.example.org."]

    def test_of_ipv6(self, server: Server) -> None:
        name = "1." + "0." * 31 + "ip6.arpa"
        expect(server.ask(name, "PTR"), f"{name}. IN PTR localhost.\n{name}. IN PTR ip6-localhost.")

    def test_come_before_those_of_the_cluster(self) -> None:
        server, name = Server(CLUSTER), "10.0.96.10.in-addr.arpa"
        for _ in range(2):
            expect(server.ask(name, "PTR"), f"{name}. IN PTR cart.shop.svc.cluster.local.")
            tell(server, HOSTS)
            expect(server.ask(name, "PTR"), f"{name}. IN PTR gateway.example.org.")
            tell(server, "")
        server.gone(Service, "cart", "shop")
        expect_nothing(server, name, "PTR", zone="in-addr.arpa")

    def test_follow_each_change(self) -> None:
        server, name = Server(CLUSTER), "1.100.51.198.in-addr.arpa"
        for lines, expected in (
            ("198.51.100.1 a", {"a."}),
            ("198.51.100.1 a b", {"a.", "b."}),
            ("198.51.100.1 b", {"b."}),
            ("198.51.100.2 a\n198.51.100.1 b c", {"b.", "c."}),
        ):
            tell(server, lines)
            assert set(self.pointers(server, name)) == expected
        tell(server, "198.51.100.2 b c")
        expect_nothing(server, name, "PTR", zone="in-addr.arpa")

    def test_are_served_outside_of_our_reverse_zones(self) -> None:
        server, name = Server(CLUSTER, reverse_zones=["96.10.in-addr.arpa"]), "1.100.51.198.in-addr.arpa"
        assert dns.rcode.to_text(server.ask(name, "PTR").rcode()) == "REFUSED"
        tell(server, HOSTS)
        expect(server.ask(name, "PTR"), f"{name}. IN PTR outside.example.org.")
        expect(server.ask(name, "TXT"))
        for other in ("2.100.51.198.in-addr.arpa", "100.51.198.in-addr.arpa", f"x.{name}"):
            assert dns.rcode.to_text(server.ask(other, "PTR").rcode()) == "REFUSED"

    def test_of_no_address_at_all_lead_nowhere(self, server: Server) -> None:
        """0.0.0.0 is what block lists write."""
        expect_nothing(server, "0.0.0.0.in-addr.arpa", "PTR", zone="in-addr.arpa")

    def test_of_the_cluster_stay(self, server: Server) -> None:
        expect(server.ask("11.0.96.10.in-addr.arpa", "PTR"), f"11.0.96.10.in-addr.arpa. IN PTR {TAKEN}.")


class TestAliases:
    """An ExternalName whose target is a host."""

    def test_are_followed(self, server: Server) -> None:
        name = "storage.shop.svc.cluster.local"
        expect(
            server.ask(name),
            f"{name}. IN CNAME nas.example.org.\nnas.example.org. IN A 192.0.2.10\nnas.example.org. IN A 192.0.2.11",
        )
        expect(server.ask(name, "AAAA"), f"{name}. IN CNAME nas.example.org.\nnas.example.org. IN AAAA 2001:db8::10")
        expect(server.ask(name, "TXT"), f"{name}. IN CNAME nas.example.org.")

    def test_to_another_family_are_no_data_without_soa(self, server: Server) -> None:
        name = "missing.shop.svc.cluster.local"
        expect(server.ask(name, "AAAA"), f"{name}. IN CNAME fresh.shop.svc.cluster.local.")

    def test_follow_each_change_of_the_target(self) -> None:
        server, name = Server(CLUSTER), "elsewhere.shop.svc.cluster.local"
        alias = f"{name}. IN CNAME www.example.net."
        for _ in range(2):
            expect(server.ask(name), alias)
            tell(server, "198.51.100.7 www.example.net")
            expect(server.ask(name), f"{alias}\nwww.example.net. IN A 198.51.100.7")
            tell(server, "198.51.100.8 www.example.net")
            expect(server.ask(name), f"{alias}\nwww.example.net. IN A 198.51.100.8")
            tell(server, "")


def test_objects_are_told_as_they_came(server: Server) -> None:
    assert ("", "printer.example.org.") in {each.key for each in server.index.objects(Host)}
