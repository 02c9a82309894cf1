"""Section 2.5: the records of an ExternalName Service."""

from __future__ import annotations

import dns.flags
import dns.rcode
import pytest

from tests.cluster import Server, addresses, expect, expect_no_data, expect_nothing, sets, zone_text


def external(name: str, target: str) -> str:
    spec = f'{{type: ExternalName, externalName: "{target}", ports: [{{name: http, port: 80}}]}}'
    return f"---\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"


CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10}
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None}
---
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.1]}, {addresses: [10.244.0.2]}, {addresses: [10.244.0.3]}]
---
kind: EndpointSlice
metadata: {name: mail-1, namespace: shop, labels: {kubernetes.io/service-name: mail}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.9], hostname: m}]
""" + "".join(
    external(name, target)
    for name, target in {
        "mail": "mail.example.com",
        "dotted": "mail.example.com.",
        "loud": "Mail.Example.COM",
        "single": "host",
        "address": "192.0.2.1",
        "dotted-address": "192.0.2.1.",
        "six": "2001:db8::1",
        "nothing": "",
        "root": ".",
        "broken": "a..b",
        "long": "x" * 64 + ".example.com",
        "inner": "cart.shop.svc.cluster.local",
        "spread": "db.shop.svc.cluster.local",
        "chain": "inner.shop.svc.cluster.local.",
        "to-mail": "mail.shop.svc.cluster.local",
        "to-address": "address.shop.svc.cluster.local",
        "missing": "nobody.shop.svc.cluster.local",
        "self": "self.shop.svc.cluster.local",
        "ping": "pong.shop.svc.cluster.local",
        "pong": "ping.shop.svc.cluster.local",
        **{f"hop-{number}": f"hop-{number + 1}.shop.svc.cluster.local" for number in range(1, 9)},
        "hop-9": "cart.shop.svc.cluster.local",
    }.items()
)


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(CLUSTER)


class TestTheAlias:
    @pytest.mark.parametrize("rtype", ["A", "AAAA", "CNAME", "SRV", "TXT"])
    @pytest.mark.parametrize("name", ["mail", "dotted", "loud"])
    def test_is_the_answer_to_every_type(self, server: Server, name: str, rtype: str) -> None:
        """A trailing dot in externalName is kept out of the data."""
        owner = f"{name}.shop.svc.cluster.local"
        expect(server.ask(owner, rtype), f"{owner}. IN CNAME mail.example.com.")

    def test_may_lead_to_a_single_label(self, server: Server) -> None:
        expect(server.ask("single.shop.svc.cluster.local"), "single.shop.svc.cluster.local. IN CNAME host.")

    @pytest.mark.parametrize("name", ["address", "dotted-address", "six", "nothing", "root", "broken", "long"])
    @pytest.mark.parametrize("rtype", ["A", "CNAME"])
    def test_is_none_where_the_target_is_no_host_name(self, server: Server, name: str, rtype: str) -> None:
        expect_no_data(server, f"{name}.shop.svc.cluster.local", rtype)

    @pytest.mark.parametrize("name", ["_tcp.mail", "_http._tcp.mail", "m.mail", "10-244-0-9.mail"])
    def test_has_no_ports_and_no_endpoints(self, server: Server, name: str) -> None:
        expect_nothing(server, f"{name}.shop.svc.cluster.local", "SRV")

    def test_has_no_reverse_name(self, server: Server) -> None:
        expect_nothing(server, "9.0.244.10.in-addr.arpa", "PTR", zone="in-addr.arpa")

    def test_follows_an_edit(self) -> None:
        """As the end-to-end tests of Kubernetes do it: another target, and then another type."""
        server, name = Server(CLUSTER), "mail.shop.svc.cluster.local"
        server.ask(name)
        server.put(external("mail", "other.example.net"))
        expect(server.ask(name), f"{name}. IN CNAME other.example.net.")
        server.put("{kind: Service, metadata: {name: mail, namespace: shop}, spec: {clusterIP: 10.96.0.50}}")
        expect(server.ask(name), f"{name}. IN A 10.96.0.50")
        expect_no_data(server, name, "CNAME")


class TestTheTarget:
    def test_in_the_cluster_is_appended(self, server: Server) -> None:
        expect(
            server.ask("inner.shop.svc.cluster.local"),
            """
inner.shop.svc.cluster.local. IN CNAME cart.shop.svc.cluster.local.
cart.shop.svc.cluster.local. IN A 10.96.0.10
""",
        )

    def test_is_appended_over_several_aliases_in_their_order(self, server: Server) -> None:
        reply = server.ask("chain.shop.svc.cluster.local")
        expect(
            reply,
            """
chain.shop.svc.cluster.local. IN CNAME inner.shop.svc.cluster.local.
inner.shop.svc.cluster.local. IN CNAME cart.shop.svc.cluster.local.
cart.shop.svc.cluster.local. IN A 10.96.0.10
""",
        )
        assert [rrset.name.labels[0] for rrset in reply.answer] == [b"chain", b"inner", b"cart"]

    @pytest.mark.parametrize("rtype", ["CNAME", "SRV", "TXT"])
    def test_is_appended_for_addresses_only(self, server: Server, rtype: str) -> None:
        name = "inner.shop.svc.cluster.local"
        expect(server.ask(name, rtype), f"{name}. IN CNAME cart.shop.svc.cluster.local.")

    def test_outside_ends_the_chain(self, server: Server) -> None:
        expect(
            server.ask("to-mail.shop.svc.cluster.local"),
            """
to-mail.shop.svc.cluster.local. IN CNAME mail.shop.svc.cluster.local.
mail.shop.svc.cluster.local. IN CNAME mail.example.com.
""",
        )

    def test_without_the_family_is_no_data_behind_the_alias(self, server: Server) -> None:
        expect(
            server.ask("inner.shop.svc.cluster.local", "AAAA"),
            "inner.shop.svc.cluster.local. IN CNAME cart.shop.svc.cluster.local.",
            authority=server.soa(),
        )

    def test_without_a_host_name_is_no_data_behind_the_alias(self, server: Server) -> None:
        expect(
            server.ask("to-address.shop.svc.cluster.local"),
            "to-address.shop.svc.cluster.local. IN CNAME address.shop.svc.cluster.local.",
            authority=server.soa(),
        )

    def test_that_does_not_exist_is_nxdomain_behind_the_alias(self, server: Server) -> None:
        """RFC 6604: the code is that of the last name."""
        expect(
            server.ask("missing.shop.svc.cluster.local"),
            "missing.shop.svc.cluster.local. IN CNAME nobody.shop.svc.cluster.local.",
            rcode="NXDOMAIN",
            authority=server.soa(),
        )

    def test_is_always_as_it_is_now(self) -> None:
        """The alias is remembered with its own service only, so nothing of the target may be remembered with it."""
        server, name = Server(CLUSTER), "missing.shop.svc.cluster.local"
        server.ask(name)
        server.put("{kind: Service, metadata: {name: nobody, namespace: shop}, spec: {clusterIP: 10.96.0.60}}")
        alias = f"{name}. IN CNAME nobody.shop.svc.cluster.local."
        expect(server.ask(name), f"{alias}\nnobody.shop.svc.cluster.local. IN A 10.96.0.60")
        server.put("{kind: Service, metadata: {name: nobody, namespace: shop}, spec: {clusterIP: 10.96.0.61}}")
        expect(server.ask(name), f"{alias}\nnobody.shop.svc.cluster.local. IN A 10.96.0.61")

    def test_rotates(self, server: Server) -> None:
        firsts = {addresses(server.ask("spread.shop.svc.cluster.local"))[0] for _ in range(12)}
        assert firsts == {"10.244.0.1", "10.244.0.2", "10.244.0.3"}


class TestCircles:
    @pytest.mark.parametrize(("name", "aliases"), [("self", 1), ("ping", 2), ("pong", 2)])
    def test_end(self, server: Server, name: str, aliases: int) -> None:
        reply = server.ask(f"{name}.shop.svc.cluster.local", use_edns=0)
        assert dns.rcode.to_text(reply.rcode()) == "NOERROR"
        assert len(reply.answer) == aliases
        assert "leads in a circle" in reply.options[0].text

    def test_chains_end_after_eight_names(self, server: Server) -> None:
        assert len(server.ask("hop-1.shop.svc.cluster.local").answer) == 8
        assert addresses(server.ask("hop-1.shop.svc.cluster.local")) == []
        reply = server.ask("hop-2.shop.svc.cluster.local")
        assert len(reply.answer) == 9
        assert addresses(reply) == ["10.96.0.10"]
        assert len(server.ask("hop-3.shop.svc.cluster.local").answer) == 8
        assert addresses(server.ask("hop-3.shop.svc.cluster.local")) == ["10.96.0.10"]
        assert reply.flags & dns.flags.AA
        assert sets(reply.authority) == zone_text("")
