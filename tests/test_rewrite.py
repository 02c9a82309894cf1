"""Questions rewritten, and the replies put back: as CoreDNS's documentation of its rewrite plugin has it."""

from __future__ import annotations

from typing import ClassVar

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns.around.message import read_message
from clusterdns.around.options import EdnsRule
from clusterdns.around.renaming import NotARule
from clusterdns.around.rewrite import MOST_NAMES, MOST_REPLIES, relayed_options, rewriting
from clusterdns.around.rewrite_rules import (
    AnswerRule,
    ClassRule,
    CnameRule,
    NameRule,
    NotSupported,
    RcodeRule,
    TtlRule,
    TypeRule,
)
from clusterdns.wire import Dialect
from tests.cluster import Server, expect
from tests.surrounded import CLIENT, Upstream, ask, ask_later, extended_errors, lines

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
ports: [{name: http, port: 80}]
endpoints: [{addresses: [10.244.0.1], hostname: db-0}]
---
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: cart.shop.svc.cluster.local}
"""

CONSUL = NameRule(
    match="regex",
    name=r"(.*)-(us-west-1)\.coredns\.rocks",
    replacement="{1}.service.{2}.consul",
    answers=(
        AnswerRule(part="name", pattern=r"(.*)\.service\.(us-west-1)\.consul", replacement="{1}-{2}.coredns.rocks"),
    ),
)


def exact(name: str, replacement: str, **more) -> NameRule:
    return NameRule(name=name, replacement=replacement, **more)


def suffix(name: str, replacement: str, **more) -> NameRule:
    return NameRule(match="suffix", name=name, replacement=replacement, **more)


def regex(name: str, replacement: str, **more) -> NameRule:
    return NameRule(match="regex", name=name, replacement=replacement, **more)


def rewritten(respond, *rules, stream: bool = False):
    return rewriting(respond, rules, Dialect(), stream=stream)


def asked(name: str, *rules, rtype: str = "A") -> list[str]:
    """What the responder behind the rules is asked; the second time it comes from what is remembered."""
    upstream = Upstream()
    respond = rewritten(upstream.at_once, *rules)
    for each in (name, name.upper()):
        ask(respond, each, rtype)
    first, second = upstream.asked
    assert first.lower() == second.lower()
    return first.split()


class TestNamesOfQuestions:
    @pytest.mark.parametrize(
        ("rule", "name", "expected"),
        [
            (exact("example.net", "example.org"), "example.net.", "example.org."),
            (exact("example.net.", "EXAMPLE.org."), "example.net.", "example.org."),
            (exact("example.net", "example.org"), "www.example.net.", "www.example.net."),
            (NameRule(match="prefix", name="foo", replacement="bar"), "foo.example.com.", "bar.example.com."),
            (NameRule(match="prefix", name="foo.", replacement="bar."), "foo.example.com.", "bar.example.com."),
            (NameRule(match="prefix", name="foo", replacement="bar"), "foot.example.com.", "foot.example.com."),
            (NameRule(match="prefix", name="foo", replacement="bar"), "coredns.foo.", "coredns.foo."),
            (suffix("com", "org"), "foo.example.com.", "foo.example.org."),
            (suffix(".com", ".org"), "foo.example.com.", "foo.example.org."),
            (suffix(".schmoogle.com.", ".google.com."), "www.schmoogle.com.", "www.google.com."),
            (suffix(".schmoogle.com.", ".google.com."), "schmoogle.com.", "schmoogle.com."),
            (suffix("com", "org"), "com.coredns.", "com.coredns."),
            (suffix(".in.coredns.rocks", "nginx.coredns.rocks"), "a.in.coredns.rocks.", "anginx.coredns.rocks."),
            (
                NameRule(match="substring", name="us-west-1.example.org", replacement="us-west-1.consul"),
                "ftp.us-west-1.example.org.",
                "ftp.us-west-1.consul.",
            ),
            (NameRule(match="substring", name="a", replacement="b"), "a.a.x.a.", "b.b.x.b."),
            (NameRule(match="substring", name="service", replacement="svc"), "services.coredns.", "services.coredns."),
            (CONSUL, "ftp-us-west-1.coredns.rocks.", "ftp.service.us-west-1.consul."),
            (CONSUL, "ftp-us-west-2.coredns.rocks.", "ftp-us-west-2.coredns.rocks."),
            (regex(r"(core)\.(dns)\.(rocks)", "{2}.{1}.{3}"), "core.dns.rocks.", "dns.core.rocks."),
            (regex(r"^(?P<a>\w+)\.x\.$", "{0}y"), "b.x.", "b.x.y."),
            (regex(r"(a)?b\.x", "{1}c.x"), "b.x.", "c.x."),
            (regex(r"^\*\.x\.$", "any.x"), "*.x.", "any.x."),
            (regex(r"srv1.coredns.rocks", "10"), "srv1.coredns.rocks.", "10."),
        ],
    )  # fmt: skip
    def test_become(self, rule, name, expected) -> None:
        assert asked(name, rule) == [expected, "A"]

    def test_stop_at_the_first_that_matches(self) -> None:
        assert asked("a.x", exact("a.x", "b.x"), exact("b.x", "c.x"))[0] == "b.x."

    def test_go_on_where_the_rule_says_so(self) -> None:
        assert asked("a.x", exact("a.x", "b.x", stop=False), exact("b.x", "c.x"))[0] == "c.x."

    @pytest.mark.parametrize("replacement", ["example..org", "x" * 64, f"{'abcdefg.' * 40}x"])
    def test_that_can_not_be_are_failures(self, replacement) -> None:
        upstream = Upstream()
        respond = rewritten(upstream.at_once, exact("example.org", replacement))
        for _ in range(2):
            reply = ask(respond, "example.org", use_edns=0)
            assert reply.rcode() == dns.rcode.SERVFAIL
            assert extended_errors(reply) == [0]
        assert upstream.asked == []


class TestNamesOfAnswers:
    SRV = ("my.cluster.local 5 SRV 0 100 100 srv1.my.cluster.local.",)
    SRV_ADDRESS = ("srv1.my.cluster.local 5 A 10.0.0.1",)
    UK: ClassVar = {"match": "regex", "name": r"(.*)\.domain\.uk", "replacement": "{1}.cluster.local"}
    SWAP = ("domain.uk", "cluster.local")
    NAMES = AnswerRule(part="name", pattern=r"(.*)\.cluster\.local", replacement="{1}.domain.uk")
    VALUES = AnswerRule(part="value", pattern=r"(.*)\.cluster\.local", replacement="{1}.domain.uk")

    @pytest.mark.parametrize(
        ("rule", "owner", "target", "address"),
        [
            (NameRule(**UK), "my.cluster.local.", "srv1.my.cluster.local.", "srv1.my.cluster.local."),
            (NameRule(**UK, answers=(NAMES,)), "my.domain.uk.", "srv1.my.cluster.local.", "srv1.my.domain.uk."),
            (NameRule(**UK, answers=(VALUES,)), "my.cluster.local.", "srv1.my.domain.uk.", "srv1.my.cluster.local."),
            (NameRule(**UK, answers=(NAMES, VALUES)), "my.domain.uk.", "srv1.my.domain.uk.", "srv1.my.domain.uk."),
            (NameRule(**UK, auto=True), "my.domain.uk.", "srv1.my.domain.uk.", "srv1.my.domain.uk."),
            (suffix("uk", "local"), "my.cluster.local.", "srv1.my.cluster.local.", "srv1.my.cluster.local."),
            (suffix(*SWAP, auto=True), "my.domain.uk.", "srv1.my.domain.uk.", "srv1.my.domain.uk."),
            (exact("my.domain.uk", "my.cluster.local"), "my.domain.uk.", "srv1.my.domain.uk.", "srv1.my.domain.uk."),
        ],
    )  # fmt: skip
    def test_are_put_back_where_the_rule_says_so(self, rule, owner, target, address) -> None:
        reply = ask(rewritten(Upstream(self.SRV, (), self.SRV_ADDRESS).at_once, rule), "my.domain.uk", "SRV")
        assert lines(reply.answer) == [f"{owner} 5 SRV 0 100 100 {target}"]
        assert lines(reply.additional) == [f"{address} 5 A 10.0.0.1"]

    def test_as_the_documentation_has_it(self) -> None:
        upstream = Upstream([f"ftp.service.us-west-1.consul 0 A 10.{each}.{each}.{each}" for each in (10, 20, 30)])
        reply = ask(rewritten(upstream.at_once, CONSUL), "ftp-us-west-1.coredns.rocks")
        assert lines(reply.answer) == [f"ftp-us-west-1.coredns.rocks. 0 A 10.{n}.{n}.{n}" for n in (10, 20, 30)]

    @pytest.mark.parametrize(
        "data",
        [
            "CNAME {}",
            "NS {}",
            "PTR {}",
            "DNAME {}",
            "MX 10 {}",
            "SRV 1 2 3 {}",
            'NAPTR 1 2 "S" "SIP+D2T" "" {}',
            "SOA {} host.b.x. 1 2 3 4 5",
        ],
    )
    def test_values_are_where_the_data_leads_to(self, data) -> None:
        reply = ask(rewritten(Upstream([f"b.x 9 {data.format('y.b.x.')}"]).at_once, exact("a.x", "b.x")), "a.x")
        assert lines(reply.answer) == [f"a.x. 9 {data.format('y.a.x.')}"]

    @pytest.mark.parametrize("data", ['TXT "b.x."', "A 10.0.0.1", "SOA ns.y. b.x. 1 2 3 4 5", "TYPE65280 \\# 1 62"])
    def test_other_data_stays(self, data) -> None:
        reply = ask(rewritten(Upstream([f"b.x 9 {data}"]).at_once, exact("a.x", "b.x")), "a.x")
        assert lines(reply.answer) == [f"a.x. 9 {data}"]

    def test_what_was_rewritten_twice_is_undone_the_last_first(self) -> None:
        rules = [suffix("one.x", "two.x", auto=True, stop=False), suffix("two.x", "three.x", auto=True)]
        upstream = Upstream(["a.three.x 5 CNAME b.three.x.", "b.three.x 5 A 10.0.0.1"])
        reply = ask(rewritten(upstream.at_once, *rules), "a.one.x")
        assert upstream.asked == ["a.three.x. A"]
        assert lines(reply.answer) == ["a.one.x. 5 CNAME b.one.x.", "b.one.x. 5 A 10.0.0.1"]

    def test_names_that_only_look_alike_stay(self) -> None:
        upstream = Upstream(["b.x 5 CNAME notb.x.", "notb.x 5 A 10.0.0.1"])
        reply = ask(rewritten(upstream.at_once, exact("a.x", "b.x")), "a.x")
        assert lines(reply.answer) == ["a.x. 5 CNAME notb.x.", "notb.x. 5 A 10.0.0.1"]

    def test_letter_case_comes_back(self) -> None:
        reply = ask(rewritten(Upstream(["b.x 5 PTR Host.Example.ORG."]).at_once, exact("a.x", "b.x")), "A.x", "PTR")
        assert lines(reply.answer) == ["A.x. 5 PTR Host.Example.ORG."]

    def test_a_name_that_gets_too_long_on_its_way_back_is_a_failure(self) -> None:
        long = ".".join(["x" * 60] * 3)
        rule = exact(f"{'y' * 60}.{'y' * 60}.x", "b.x")
        reply = ask(rewritten(Upstream([f"{long}.b.x 5 A 10.0.0.1"]).at_once, rule), rule.name)
        assert reply.rcode() == dns.rcode.SERVFAIL


class TestAClusterBehind:
    SHOP = suffix("shop.example.com", "shop.svc.cluster.local", auto=True)

    def ask(self, name: str, rtype: str = "A", **edns):
        return ask(rewritten(Server(CLUSTER).datagram, self.SHOP), name, rtype, **edns)

    def test_answers_under_the_other_name(self) -> None:
        expect(self.ask("cart.shop.example.com"), "cart.shop.example.com. IN A 10.96.0.10")

    def test_services_lead_to_names_that_can_be_asked_for(self) -> None:
        expect(
            self.ask("_http._tcp.db.shop.example.com", "SRV"),
            "_http._tcp.db.shop.example.com. IN SRV 0 100 80 db-0.db.shop.example.com.",
            additional="db-0.db.shop.example.com. IN A 10.244.0.1",
        )

    def test_aliases(self) -> None:
        expect(
            self.ask("alias.shop.example.com"),
            """
            alias.shop.example.com. IN CNAME cart.shop.example.com.
            cart.shop.example.com. IN A 10.96.0.10
            """,
        )

    @pytest.mark.parametrize("edns", [{}, {"use_edns": 0}])
    def test_what_does_not_exist_does_not(self, edns) -> None:
        reply = self.ask("nobody.shop.example.com", **edns)
        assert reply.rcode() == dns.rcode.NXDOMAIN
        assert [each.name.to_text() for each in reply.authority] == ["cluster.local."]
        assert reply.edns == edns.get("use_edns", -1)

    def test_names_that_no_rule_wants_are_answered_as_without_rules(self) -> None:
        server = Server(CLUSTER)
        respond = rewritten(server.datagram, self.SHOP)
        for name in ("cart.shop.svc.cluster.local", "nobody.shop.svc.cluster.local", "example.com", "."):
            packet = dns.message.make_query(name, "A", id=7).to_wire()
            assert [respond(packet, CLIENT) for _ in range(3)] == [server.datagram(packet)] * 3

    @pytest.mark.parametrize("packet", [b"", b"\x12\x34", bytes(12), bytes(17), b"\x12\x34\x81" + bytes(14)])
    def test_what_is_no_query_goes_past(self, packet) -> None:
        server = Server(CLUSTER)
        assert rewritten(server.datagram, exact(".", "a.x"))(packet, CLIENT) == server.datagram(packet)

    async def test_a_reply_to_come_is_worked_on(self) -> None:
        upstream = Upstream(["b.x 5 A 10.0.0.1"])
        reply = await ask_later(rewritten(upstream.later, exact("a.x", "b.x")), "a.x")
        assert lines(reply.answer) == ["a.x. 5 A 10.0.0.1"]

    def test_silence_stays_silence(self) -> None:
        respond = rewritten(lambda *_: None, exact("a.x", "b.x"))
        assert respond(dns.message.make_query("a.x", "A").to_wire(), CLIENT) is None


class TestSizes:
    """Names that get longer on their way back may not fit any more."""

    LONG = f"{'y' * 60}.{'y' * 60}.x"
    RECORDS = tuple(f"h{each}.b.x 5 A 10.0.0.{each}" for each in range(30))

    @pytest.mark.parametrize(("edns", "limit"), [({}, 512), ({"use_edns": 0, "payload": 700}, 700)])
    def test_as_many_whole_records_as_fit(self, edns, limit) -> None:
        respond = rewritten(Upstream(self.RECORDS).at_once, exact(self.LONG, "b.x"))
        query = dns.message.make_query(self.LONG, "A", **edns)
        packet = respond(query.to_wire(), CLIENT)
        reply = dns.message.from_wire(packet)
        assert len(packet) <= limit
        assert reply.flags & dns.flags.TC
        assert 0 < len(reply.answer) < 30
        assert reply.edns == edns.get("use_edns", -1)

    def test_streams_take_all(self) -> None:
        respond = rewritten(Upstream(self.RECORDS).at_once, exact(self.LONG, "b.x"), stream=True)
        reply = ask(respond, self.LONG)
        assert len(reply.answer) == 30
        assert not reply.flags & dns.flags.TC

    def test_additional_records_that_are_left_out_are_no_truncation(self) -> None:
        """RFC 2181 section 9."""
        respond = rewritten(Upstream((), (), self.RECORDS).at_once, exact(self.LONG, "b.x"))
        assert not ask(respond, self.LONG).flags & dns.flags.TC


class TestTtls:
    RECORDS = Upstream(["b.x 5 A 10.0.0.1", "b.x 5 A 10.0.0.2"], ["x 500 NS ns.x."])

    @pytest.mark.parametrize(
        ("lowest", "highest", "expected"), [(15, 15, {15}), (30, 300, {30, 300}), (0, 100, {5, 100}), (0, 0, {0})]
    )
    def test_are_kept_within_bounds(self, lowest, highest, expected) -> None:
        rule = TtlRule(match="suffix", name=".x", lowest=lowest, highest=highest)
        reply = ask(rewritten(self.RECORDS.at_once, rule), "b.x", use_edns=0)
        assert {each.ttl for each in (*reply.answer, *reply.authority)} == expected
        assert reply.edns == 0

    @pytest.mark.parametrize(
        ("match", "name", "matches"),
        [
            ("exact", "b.x", True),
            ("exact", "x", False),
            ("prefix", "b", True),
            ("substring", "b.x", True),
            ("regex", r"(.*)\.x", True),
            ("regex", r"(.*)\.y", False),
        ],
    )
    def test_of_names_that_match(self, match, name, matches) -> None:
        rule = TtlRule(match=match, name=name, lowest=7, highest=7)
        reply = ask(rewritten(self.RECORDS.at_once, rule), "b.x")
        assert reply.answer[0].ttl == (7 if matches else 5)


class TestTypesClassesAndRcodes:
    def test_types(self) -> None:
        rule = TypeRule(rtype=dns.rdatatype.ANY, replacement=dns.rdatatype.HINFO)
        assert asked("a.x", rule, rtype="ANY") == ["a.x.", "HINFO"]
        assert asked("a.x", rule, rtype="A") == ["a.x.", "A"]

    def test_one_type_of_a_name_is_not_taken_for_another(self) -> None:
        upstream = Upstream()
        respond = rewritten(upstream.at_once, TypeRule(rtype=dns.rdatatype.HTTPS, replacement=dns.rdatatype.A))
        for rtype in ("TYPE97", "HTTPS", "TYPE97"):
            ask(respond, "a.x", rtype)
        assert upstream.asked == ["a.x. TYPE97", "a.x. A", "a.x. TYPE97"]

    def test_classes(self) -> None:
        server = Server(CLUSTER)
        respond = rewritten(server.datagram, ClassRule(rclass=dns.rdataclass.CH, replacement=dns.rdataclass.IN))
        reply = ask(respond, "cart.shop.svc.cluster.local", rdclass="CH")
        assert lines(reply.answer) == ["cart.shop.svc.cluster.local. 30 A 10.96.0.10"]

    @pytest.mark.parametrize("edns", [{}, {"use_edns": 0}])
    def test_rcodes(self, edns) -> None:
        rule = RcodeRule(match="regex", name=r".*\.x\.$", rcode=dns.rcode.SERVFAIL, replacement=dns.rcode.NOERROR)
        for rcode, expected in [("SERVFAIL", dns.rcode.NOERROR), ("NXDOMAIN", dns.rcode.NXDOMAIN)]:
            assert ask(rewritten(Upstream(rcode=rcode).at_once, rule), "a.x", **edns).rcode() == expected


class TestWhatIsRemembered:
    def test_is_bounded(self) -> None:
        respond = rewritten(Server().datagram, suffix("x", "y"))
        for number in range(MOST_NAMES + 2):
            respond(dns.message.make_query(f"a{number}.z", "A").to_wire(), CLIENT)
        for number in range(MOST_REPLIES + 2):
            ask(respond, f"a{number}.x")
        kept = [each.cell_contents for each in respond.__closure__ if hasattr(each.cell_contents, "plans")]
        assert 0 < len(kept[0].plans) <= MOST_NAMES
        assert 0 < len(kept[0].undone) <= MOST_REPLIES

    def test_replies_are_put_back_alike_each_time(self) -> None:
        respond = rewritten(Server(CLUSTER).datagram, TestAClusterBehind.SHOP)
        for name in ("cart.shop.example.com", "CART.shop.example.com", "cart.shop.example.COM"):
            for edns in ({}, {"use_edns": 0}, {"flags": 0}):
                reply = ask(respond, name, **edns)
                assert lines(reply.answer) == [f"{name}. 30 A 10.96.0.10"]
                assert reply.edns == edns.get("use_edns", -1)
                assert bool(reply.flags & dns.flags.RD) == (edns.get("flags") != 0)

    def test_replies_that_change_are_put_back_anew(self) -> None:
        server = Server(CLUSTER)
        respond = rewritten(server.datagram, TestAClusterBehind.SHOP)
        for address in ("10.96.0.10", "10.96.0.11", "10.96.0.10"):
            server.put(
                f"""
                kind: Service
                metadata: {{name: cart, namespace: shop}}
                spec: {{clusterIP: {address}}}
                """
            )
            assert lines(ask(respond, "cart.shop.example.com").answer) == [f"cart.shop.example.com. 30 A {address}"]

    def test_zero_bytes_in_names_are_not_their_end(self) -> None:
        asked = []
        respond = rewritten(lambda packet, _: asked.append(packet), suffix("b.x", "c.x"))
        for last in (b"\1a\1x\0", b"\1b\1x\0", b"\1a\1x\0"):
            respond(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + b"\2\0a" + last + b"\0\1\0\1", CLIENT)
        assert [packet[15:20] for packet in asked] == [b"\1a\1x\0", b"\1c\1x\0", b"\1a\1x\0"]


class TestOptions:
    """EDNS options on their way to the upstreams."""

    CLIENT6 = ("2001:db8:1:2:3::7", 5353, 0, 0)

    def passed_on(self, *rules, name="a.x", client=CLIENT, stream=False, **edns) -> list[tuple[int, bytes]] | None:
        """The options that the question goes on with; None if it goes on without EDNS."""
        passed = []

        def upstream(packet, client):
            passed.append(dns.message.from_wire(packet))
            return Upstream([f"{name} 5 A 192.0.2.1"]).at_once(packet, client)

        respond = rewriting(upstream, rules, Dialect(), stream=stream)
        reply = ask(respond, name, client=client, **edns)
        assert lines(reply.answer) == [f"{name}. 5 A 192.0.2.1"]
        assert reply.edns == edns.get("use_edns", -1), "the client's EDNS is its own"
        (query,) = passed
        return [(int(each.otype), each.to_wire()) for each in query.options] if query.edns == 0 else None

    def local(self, action, data="", code=0xFFEE, **more) -> EdnsRule:
        return EdnsRule(kind="local", action=action, code=code, data=data, **more)

    @pytest.mark.parametrize(
        ("action", "before", "after"),
        [
            ("set", [], [b"new"]),
            ("set", [b"old"], [b"new"]),
            ("append", [], [b"new"]),
            ("append", [b"old"], [b"old"]),
            ("replace", [], []),
            ("replace", [b"old"], [b"new"]),
            ("unset", [], []),
            ("unset", [b"old"], []),
        ],
    )
    def test_actions(self, action, before, after) -> None:
        options = [dns.edns.GenericOption(0xFFEE, each) for each in before]
        found = self.passed_on(self.local(action, "new"), use_edns=0, options=options)
        assert found == [(0xFFEE, each) for each in after]

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            ("abcd", b"abcd"),
            ("0x61626364", b"abcd"),
            ("{qname}", b"a.x."),
            ("{qtype}", b"\0\1"),
            ("{client_ip}", bytes((192, 0, 2, 7))),
            ("{client_port}", (5353).to_bytes(2, "big")),
            ("{protocol}", b"udp"),
        ],
    )
    def test_data(self, data, expected) -> None:
        assert self.passed_on(self.local("set", data)) == [(0xFFEE, expected)]

    def test_over_tcp(self) -> None:
        assert self.passed_on(self.local("set", "{protocol}"), stream=True) == [(0xFFEE, b"tcp")]

    @pytest.mark.parametrize(
        ("client", "expected"),
        [
            (CLIENT, b"\0\1\x18\0\xc0\0\2"),
            (CLIENT6, b"\0\2\x38\0\x20\1\x0d\xb8\0\1\0"),
            (("::ffff:192.0.2.7", 5353, 0, 0), b"\0\1\x18\0\xc0\0\2"),
        ],
    )
    def test_subnet(self, client, expected) -> None:
        rule = EdnsRule(kind="subnet", action="set", ipv4_bits=24, ipv6_bits=56)
        assert self.passed_on(rule, client=client) == [(8, expected)]

    def test_name_server_identifier(self) -> None:
        assert self.passed_on(EdnsRule(kind="nsid", action="set")) == [(3, b"")]

    def test_the_first_that_does_something_is_the_last(self) -> None:
        rules = [self.local("replace", "a", 1), self.local("set", "b", 2), self.local("set", "c", 3)]
        assert self.passed_on(*rules) == [(2, b"b")]
        going_on = [self.local("set", "b", 2, stop=False), self.local("set", "c", 3)]
        assert self.passed_on(*going_on) == [(2, b"b"), (3, b"c")]

    def test_others_stay(self) -> None:
        cookie = dns.edns.GenericOption(dns.edns.COOKIE, b"12345678")
        found = self.passed_on(self.local("set", "a"), use_edns=0, options=[cookie])
        assert found == [(10, b"12345678"), (0xFFEE, b"a")]

    def test_are_those_that_upstreams_are_told(self) -> None:
        rules = [self.local("set"), EdnsRule(kind="subnet", action="set"), exact("a", "b")]
        assert relayed_options(rules) == {0xFFEE, 8}


class TestAliases:
    """Led elsewhere, with what is there."""

    class World:
        RECORDS: ClassVar = {
            "www.x.": ["www.x 5 CNAME cdn.y.", "cdn.y 5 A 192.0.2.1"],
            "far.x.": ["far.x 5 CNAME www.x.", "www.x 5 CNAME cdn.y.", "cdn.y 5 A 192.0.2.1"],
            "other.y.": ["other.y 5 A 192.0.2.2"],
            "cdn.z.": ["cdn.z 5 CNAME other.y.", "other.y 5 A 192.0.2.2"],
        }

        def at_once(self, packet, client):
            name = dns.message.from_wire(packet).question[0].name.to_text()
            return Upstream(
                self.RECORDS.get(name, []), rcode="NOERROR" if name in self.RECORDS else "NXDOMAIN"
            ).at_once(packet, client)

        def later(self, packet, client):
            async def reply():
                return self.at_once(packet, client)

            return reply()

    OTHER = ("other.y. 5 A 192.0.2.2",)
    CDN = ("cdn.z. 5 CNAME other.y.", *OTHER)

    @pytest.mark.parametrize(
        ("rule", "name", "expected"),
        [
            (("cdn.y", "other.y"), "www.x", ["www.x. 5 CNAME other.y.", *OTHER]),
            (("cdn.y.", "other.y."), "far.x", ["far.x. 5 CNAME www.x.", "www.x. 5 CNAME other.y.", *OTHER]),
            (("cdn.y", "cdn.z"), "www.x", ["www.x. 5 CNAME cdn.z.", *CDN]),
            (("y", "z", "suffix"), "www.x", ["www.x. 5 CNAME cdn.z.", *CDN]),
            (("(.*)dn.y", "{1}dn.z", "regex"), "www.x", ["www.x. 5 CNAME cdn.z.", *CDN]),
            (("cdn.y", "none.y"), "www.x", ["www.x. 5 CNAME none.y."]),
            (("no.y", "other.y"), "www.x", ["www.x. 5 CNAME cdn.y.", "cdn.y. 5 A 192.0.2.1"]),
            (("cdn.y", "other.y"), "other.y", ["other.y. 5 A 192.0.2.2"]),
        ],
    )
    async def test_lead_where_the_rule_says(self, rule, name, expected) -> None:
        target, replacement, *match = rule
        made = CnameRule(target=target, replacement=replacement, match=match[0] if match else "exact")
        assert lines(ask(rewritten(self.World().at_once, made), name).answer) == expected
        assert lines((await ask_later(rewritten(self.World().later, made), name)).answer) == expected

    def test_what_is_no_name(self) -> None:
        rule = CnameRule(match="regex", target="(.*)", replacement="a..b")
        assert ask(rewritten(self.World().at_once, rule), "www.x").rcode() == dns.rcode.SERVFAIL


class TestFaults:
    @pytest.mark.parametrize(
        ("rule", "error", "what"),
        [
            (regex("(.*).x", "{1}.{2}.x"), NotARule, "rewrite rule 2: '{1}.{2}.x' uses group 2, but '(.*).x' has 1"),
            (regex("(", "x"), NotARule, "rewrite rule 2: a parenthesis without its other one, in '('"),
            (NameRule(match="fuzzy", name="a", replacement="b"), NotARule, "'fuzzy' is no way to match a name"),
            (
                regex("a", "b", auto=True, answers=(AnswerRule(part="name", pattern="b", replacement="a"),)),
                NotARule,
                "either automatically or by patterns",
            ),
            (TtlRule(name="a", lowest=2, highest=1), NotARule, "2-1 is no range of TTLs"),
            (EdnsRule(kind="local", action="set", code=0), NotARule, "rewrite rule 2: 0 is no code of an option"),
            (EdnsRule(kind="local", action="set", code=1, data="{x}"), NotARule, "{x}: expected one of {qname}"),
            (EdnsRule(kind="local", action="set", code=1, data="0xabc"), NotARule, "0xabc are no bytes"),
            (EdnsRule(kind="subnet", action="set", ipv4_bits=33), NotARule, "33 and 0: expected 0 to 32 bits"),
            (CnameRule(match="regex", target="(", replacement="x"), NotARule, "a parenthesis without its other one"),
            (RcodeRule(name="a", rcode=16, replacement=0), NotSupported, "rcodes 0 to 15"),
            (TypeRule(rtype=1, replacement=65536), NotARule, "1, 65536: a type is a number from 0 to 65535"),
            (ClassRule(rclass=-1, replacement=1), NotARule, "-1, 1: a class is a number from 0 to 65535"),
        ],
    )
    def test_say_what_and_where(self, rule, error, what) -> None:
        with pytest.raises(error) as caught:
            rewritten(Server().datagram, exact("a", "b"), rule)
        assert what in str(caught.value)


class TestTakingApart:
    @pytest.mark.parametrize("cut", [13, 20, 30, 40, 45, -1])
    def test_what_is_cut_off_is_a_fault(self, cut) -> None:
        """And no exception of another kind; the client hears of it as SERVFAIL."""
        whole = Upstream(["b.x 5 MX 10 mail.b.x.", "b.x 5 A 10.0.0.1"]).at_once
        respond = rewritten(lambda packet, client: whole(packet, client)[:cut], exact("a.x", "b.x"))
        assert ask(respond, "a.x").rcode() == dns.rcode.SERVFAIL

    @given(st.binary(max_size=80))
    def test_whatever_comes_back(self, rest) -> None:
        head = b"\x12\x34\x81\x80\0\1\0\2\0\1\0\1\1b\1x\0\0\1\0\1"
        respond = rewritten(lambda *_: head + rest, exact("a.x", "b.x"))
        reply = respond(dns.message.make_query("a.x", "A").to_wire(), CLIENT)
        assert len(reply) >= 12
        read_message(reply)
