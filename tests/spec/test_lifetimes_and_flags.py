"""How long answers live, the flags of their headers, ANY, and the reasons in words."""

from __future__ import annotations

import dns.flags
import dns.message
import pytest

from clusterdns.wire import Dialect
from tests.cluster import Server, expect

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
endpoints:
- {addresses: [10.244.0.1], conditions: {ready: false}}
- {addresses: [10.244.0.2], conditions: {ready: false}}
- {addresses: [10.244.0.3], conditions: {ready: false}}
---
kind: Service
metadata: {name: one, namespace: shop}
spec: {clusterIP: None}
---
kind: EndpointSlice
metadata: {name: one-1, namespace: shop, labels: {kubernetes.io/service-name: one}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.4], conditions: {ready: false}}]
---
kind: Service
metadata: {name: none, namespace: shop}
spec: {clusterIP: None}
---
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: 192.0.2.1}
---
kind: Service
metadata: {name: mail, namespace: shop}
spec: {type: ExternalName, externalName: mail.example.com}
"""
EXISTING, MISSING = "cart.shop.svc.cluster.local", "nobody.shop.svc.cluster.local"


class TestLifetimes:
    @pytest.mark.parametrize("ttl", [0, 1, 30, 3600])
    @pytest.mark.parametrize("negative_ttl", [0, 5, 3600])
    def test_are_set_apart(self, ttl: int, negative_ttl: int) -> None:
        server = Server(CLUSTER, ttl=ttl, negative_ttl=negative_ttl)
        expect(server.ask(EXISTING), f"{EXISTING}. {ttl} IN A 10.96.0.10")
        expect(server.ask(MISSING), rcode="NXDOMAIN", authority=server.soa(ttl=negative_ttl))
        expect(server.ask(EXISTING, "AAAA"), authority=server.soa(ttl=negative_ttl))
        assert server.soa().endswith(f" {negative_ttl}")

    def test_by_default(self) -> None:
        server = Server(CLUSTER)
        assert server.ask(EXISTING).answer[0].ttl == 30
        assert server.ask(MISSING).authority[0].ttl == 5


class TestFlags:
    @pytest.mark.parametrize("available", [False, True])
    @pytest.mark.parametrize(
        ("asked", "copied"),
        [("", ""), ("RD", "RD"), ("CD", "CD"), ("RD CD", "RD CD"), ("AD", ""), ("AA", ""), ("TC RA", "")],
    )
    @pytest.mark.parametrize("name", [EXISTING, MISSING, "cluster.local", "www.example.com"])
    def test_flags(self, name: str, asked: str, copied: str, available: bool) -> None:
        """RD and CD are copied, RA is said when there is someone to forward to, AA of whatever is ours."""
        server = Server(CLUSTER, dialect=Dialect(recursion_available=available))
        query = dns.message.make_query(name, "A", flags=dns.flags.from_text(asked))
        for _ in range(2):
            expected = {"QR", *copied.split(), *(["RA"] if available else []), *([] if "example" in name else ["AA"])}
            assert set(dns.flags.to_text(server.asked(query).flags).split()) == expected


class TestAny:
    """RFC 8482: one HINFO in place of everything."""

    @pytest.mark.parametrize(
        "name", [EXISTING, "cluster.local", "dns-version.cluster.local", "10.0.96.10.in-addr.arpa"]
    )
    def test_a_name_with_records(self, name: str) -> None:
        expect(Server(CLUSTER).ask(name, "ANY"), f'{name}. IN HINFO "RFC8482" ""')

    def test_an_alias_is_itself(self) -> None:
        """RFC 8482 section 4.3 leaves it to the server; resolvers may follow it."""
        name = "mail.shop.svc.cluster.local"
        expect(Server(CLUSTER).ask(name, "ANY"), f"{name}. IN CNAME mail.example.com.")

    def test_nobody(self) -> None:
        server = Server(CLUSTER)
        expect(server.ask(MISSING, "ANY"), rcode="NXDOMAIN", authority=server.soa())


class TestReasons:
    """Extended DNS Errors (RFC 8914), for clients that send EDNS."""

    @pytest.mark.parametrize(
        ("name", "rtype", "text"),
        [
            ("db", "A", "Service shop/db has 3 endpoints, none ready"),
            ("one", "A", "Service shop/one has 1 endpoint, not ready"),
            ("none", "SRV", "Service shop/none has no endpoints"),
            ("cart", "AAAA", "Service shop/cart has no IPv6 address"),
            ("nobody", "A", "no Service 'nobody' in namespace shop"),
            ("x.cart", "A", "Service shop/cart has no port and no ready endpoint of this name"),
            ("_ftp._tcp.cart", "SRV", "no port '_ftp' in _tcp.cart.shop.svc.cluster.local."),
            ("alias", "A", "externalName of Service shop/alias is no host name: '192.0.2.1'"),
        ],
    )
    def test_in_words(self, name: str, rtype: str, text: str) -> None:
        name = f"{name}.shop.svc.cluster.local"
        (reason,) = Server(CLUSTER).ask(name, rtype, use_edns=0).options
        assert (reason.code, reason.text) == (0, text)

    def test_of_a_missing_namespace(self) -> None:
        (reason,) = Server(CLUSTER).ask("cart.shpo.svc.cluster.local", use_edns=0).options
        assert reason.text == "no namespace 'shpo' in svc.cluster.local."

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("Nobody.Shop.svc.cluster.local", "no Service 'nobody' in namespace shop"),
            ("a.b.nobody.shop.svc.cluster.local", "no Service 'nobody' in namespace shop"),
            ("no\\027body.shop.svc.cluster.local", "no Service 'no?body' in namespace shop"),
            ("n\\195\\182.shop.svc.cluster.local", "no Service 'n??' in namespace shop"),
            ("other.shop.svc.cluster.local", "no Service 'other' in namespace shop"),
        ],
    )
    def test_names_that_share_a_reply_are_each_told_theirs(self, name: str, shown: str) -> None:
        server = Server(CLUSTER)
        for asked in ("first.shop.svc.cluster.local", name, name):
            (reason,) = server.ask(asked, use_edns=0).options
        assert reason.text == shown

    def test_a_name_that_leaves_no_room_goes_unnamed(self) -> None:
        namespace = "n" * 63
        server = Server(f"kind: Namespace\nmetadata: {{name: {namespace}}}")
        (reason,) = server.ask(f"nobody.{namespace}.svc.cluster.local", use_edns=0).options
        assert reason.text == f"no Service of this name in namespace {namespace}"

    def test_the_longest_name_leaves_room_for_it(self) -> None:
        """A reason must not be why an answer is cut."""
        name = ".".join(["a" * 63, "b" * 63, "c" * 60, "d" * 32, "shop.svc.cluster.local"])
        reply = Server(CLUSTER).ask(name, use_edns=0, payload=512)
        (reason,) = reply.options
        assert (reason.text, reply.flags & dns.flags.TC) == (f"no Service '{'d' * 32}' in namespace shop", 0)
        assert len(reply.to_wire()) <= 512

    def test_only_for_negative_answers(self) -> None:
        assert Server(CLUSTER).ask(EXISTING, use_edns=0).options == ()

    def test_only_with_edns(self) -> None:
        assert Server(CLUSTER).ask(MISSING).opt is None

    def test_not_if_they_are_switched_off(self) -> None:
        server = Server(CLUSTER, dialect=Dialect(extended_errors=False))
        assert server.ask(MISSING, use_edns=0).options == ()
