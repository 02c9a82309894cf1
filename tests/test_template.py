"""Replies made from templates: the examples of CoreDNS's documentation, and what Go's templates can not do here."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest

from clusterdns.around.go_template import CanNotBeFilledIn, Data, Groups, NotATemplate, read_template
from clusterdns.around.template import MOST_NAMES, MOST_REPLIES, NotAReply, Template, templating
from clusterdns.records import Reason
from clusterdns.wire import Dialect
from tests.cluster import Server, expect
from tests.surrounded import CLIENT, Upstream, ask, ask_later, extended_errors, lines

A, AAAA, ANY, MX, NS, PTR, SOA, TXT, CNAME = (
    dns.rdatatype.from_text(each) for each in ("A", "AAAA", "ANY", "MX", "NS", "PTR", "SOA", "TXT", "CNAME")
)
NXDOMAIN, SERVFAIL = int(dns.rcode.NXDOMAIN), int(dns.rcode.SERVFAIL)
EVERYTHING = (".",)

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10}
"""


def templated(*templates: Template, respond=None, stream: bool = False):
    return templating(respond or Upstream(["x. 9 A 192.0.2.99"]).at_once, templates, Dialect(), stream=stream)


def passed_on(reply) -> bool:
    return lines(reply.answer) == ["x. 9 A 192.0.2.99"]


class TestDocumentedExamples:
    def test_everything_to_nxdomain(self) -> None:
        respond = templated(Template(qclass=255, qtype=ANY, rcode=NXDOMAIN))
        for rtype, rdclass in [("A", "IN"), ("MX", "IN"), ("TXT", "CH")]:
            expect(ask(respond, "whatever.example", rtype, rdclass=rdclass), rcode="NXDOMAIN")

    def test_soa_and_ns_of_a_dynamic_domain(self) -> None:
        domain, soa = ("engineering.coredns.io.",), "ns.x. engineering.coredns.io. (1 60 120 86400 3600)"
        apex = r"^engineering\.coredns\.io\.$"
        respond = templated(
            Template(
                qtype=SOA,
                zones=domain,
                patterns=(apex,),
                answer=("{{ .Zone }} 3600 IN SOA ns1.{{ .Zone }} admin.{{ .Zone }} (1 60 120 86400 3600)",),
                fall_through=EVERYTHING,
            ),
            Template(qtype=SOA, zones=domain, authority=(f"{{{{ .Zone }}}} 3600 IN SOA {soa}",)),
            Template(
                qtype=NS,
                zones=domain,
                patterns=(apex,),
                answer=("{{ .Zone }} 900 IN NS ns1.{{ .Zone }}", "{{ .Zone }} 900 IN NS ns2.{{ .Zone }}"),
                fall_through=EVERYTHING,
            ),
            Template(qtype=NS, zones=domain, authority=(f"{{{{ .Zone }}}} 3600 IN SOA {soa}",)),
        )
        expect(
            ask(respond, "engineering.coredns.io", "SOA"),
            "engineering.coredns.io. 3600 IN SOA "
            "ns1.engineering.coredns.io. admin.engineering.coredns.io. 1 60 120 86400 3600",
        )
        expect(
            ask(respond, "engineering.coredns.io", "NS"),
            """
            engineering.coredns.io. 900 IN NS ns1.engineering.coredns.io.
            engineering.coredns.io. 900 IN NS ns2.engineering.coredns.io.
            """,
        )
        for rtype in ("SOA", "NS"):
            reply = ask(respond, "below.engineering.coredns.io", rtype)
            record = "engineering.coredns.io. 3600 IN SOA ns.x. engineering.coredns.io. 1 60 120 86400 3600"
            expect(reply, authority=record)
        assert passed_on(ask(respond, "engineering.coredns.io", "A"))
        assert passed_on(ask(respond, "coredns.io", "SOA"))

    @pytest.mark.parametrize("rdclass", ["IN", "CH"])
    def test_invalid_as_nxdomain(self, rdclass) -> None:
        respond = templated(
            Template(
                qclass=255,
                qtype=ANY,
                zones=("invalid",),
                rcode=NXDOMAIN,
                authority=("invalid. 60 {{ .Class }} SOA ns.invalid. hostmaster.invalid. (1 60 60 60 60)",),
                reason=Reason("Blocked according to RFC2606", 21),
            )
        )
        reply = ask(respond, "www.invalid", rdclass=rdclass, use_edns=0)
        assert reply.rcode() == NXDOMAIN
        assert lines(reply.authority) == ["invalid. 60 SOA ns.invalid. hostmaster.invalid. 1 60 60 60 60"]
        assert reply.authority[0].rdclass == dns.rdataclass.from_text(rdclass)
        assert extended_errors(reply) == [21]
        assert ask(respond, "www.invalid", rdclass=rdclass).edns == -1
        assert passed_on(ask(respond, "notinvalid"))

    def test_search_domain_completions(self) -> None:
        respond = templated(
            Template(
                qtype=ANY,
                zones=("example.com",),
                patterns=(r"example\.com\.(dc1\.example\.com\.)$",),
                rcode=NXDOMAIN,
                authority=(
                    "{{ index .Match 1 }} 60 IN SOA ns.{{ index .Match 1 }} a.{{ index .Match 1 }} (1 60 60 60 60)",
                ),
                fall_through=EVERYTHING,
            )
        )
        reply = ask(respond, "www.example.com.dc1.example.com")
        record = "dc1.example.com. 60 IN SOA ns.dc1.example.com. a.dc1.example.com. 1 60 60 60 60"
        expect(reply, rcode="NXDOMAIN", authority=record)
        assert passed_on(ask(respond, "www.dc1.example.com"))

    ADDRESSES = (
        Template(
            qtype=A,
            zones=("example",),
            patterns=(r"(^|[.])ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$",),
            answer=("{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}",),
            fall_through=EVERYTHING,
        ),
        Template(
            qtype=PTR,
            zones=("in-addr.arpa",),
            patterns=(r"^(?P<d>[0-9]*)[.](?P<c>[0-9]*)[.](?P<b>[0-9]*)[.](?P<a>[0-9]*)[.]in-addr[.]arpa[.]$",),
            answer=("{{ .Name }} 60 IN PTR ip-{{ .Group.a }}-{{ .Group.b }}-{{ .Group.c }}-{{ .Group.d }}.example.",),
        ),
    )

    @pytest.mark.parametrize(
        ("name", "rtype", "expected"),
        [
            ("ip-10-95-12-8.example", "A", "ip-10-95-12-8.example. 60 IN A 10.95.12.8"),
            ("any.ip-10-95-12-8.example", "A", "any.ip-10-95-12-8.example. 60 IN A 10.95.12.8"),
            ("8.12.95.10.in-addr.arpa", "PTR", "8.12.95.10.in-addr.arpa. 60 IN PTR ip-10-95-12-8.example."),
        ],
    )
    def test_addresses_and_their_names(self, name, rtype, expected) -> None:
        expect(ask(templated(*self.ADDRESSES), name, rtype), expected)

    def test_addresses_that_are_none_are_failures(self) -> None:
        reply = ask(templated(*self.ADDRESSES), "ip-10-95-12-999.example", use_edns=0)
        assert reply.rcode() == SERVFAIL
        assert extended_errors(reply) == [0]

    def test_hexadecimal_addresses(self) -> None:
        respond = templated(
            Template(
                qtype=A,
                zones=("example",),
                patterns=("^ip0a(?P<b>[a-f0-9]{2})(?P<c>[a-f0-9]{2})(?P<d>[a-f0-9]{2})[.]example[.]$",),
                answer=("{{ .Name }} A 10." + ".".join([f"{{{{ parseInt .Group.{each} 16 8 }}}}" for each in "bcd"]),),
                fall_through=EVERYTHING,
            )
        )
        expect(ask(respond, "ip0a7b0cff.example"), "ip0a7b0cff.example. 3600 IN A 10.123.12.255")

    def test_several_patterns(self) -> None:
        respond = templated(
            Template(
                qtype=A,
                zones=("example",),
                patterns=(r"^ip-(?P<a>10)-(?P<b>[0-9]*)[.]dc[.]example[.]$", r"^(?P<a>[0-9]*)[.](?P<b>[0-9]*)[.]ext"),
                answer=("{{ .Name }} 60 IN A {{ .Group.a}}.{{ .Group.b }}.0.1",),
            )
        )
        expect(ask(respond, "ip-10-2.dc.example"), "ip-10-2.dc.example. 60 IN A 10.2.0.1")
        expect(ask(respond, "3.4.ext.example"), "3.4.ext.example. 60 IN A 3.4.0.1")

    def test_all_sections(self) -> None:
        respond = templated(
            Template(
                qtype=MX,
                zones=("example",),
                patterns=("^ip-10-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$",),
                answer=("{{ .Name }} 60 IN MX 10 {{ .Name }}",),
                authority=("example. 60 IN NS ns0.example.",),
                additional=(
                    "{{ .Name }} 60 IN A 10.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}",
                    "ns0.example. 60 IN A 203.0.113.8",
                ),
            )
        )
        expect(
            ask(respond, "ip-10-1-2-3.example", "MX"),
            "ip-10-1-2-3.example. 60 IN MX 10 ip-10-1-2-3.example.",
            authority="example. 60 IN NS ns0.example.",
            additional="ip-10-1-2-3.example. 60 IN A 10.1.2.3\nns0.example. 60 IN A 203.0.113.8",
        )


class TestWhichTemplate:
    NO_AAAA = Template(qtype=AAAA)

    def test_none_for_other_types(self) -> None:
        respond = templated(self.NO_AAAA)
        for _ in range(2):
            expect(ask(respond, "www.example.org", "AAAA"))
            assert passed_on(ask(respond, "www.example.org", "A"))

    def test_a_question_for_any_type_takes_all(self) -> None:
        template = Template(qtype=A, answer=("{{ .Name }} 5 {{ .Class }} {{ .Type }} 192.0.2.1",))
        expect(ask(templated(template), "a.x", "ANY"), "a.x. 5 IN A 192.0.2.1")

    def test_a_pattern_that_does_not_match_ends_the_search(self) -> None:
        respond = templated(Template(qtype=A, patterns=("^a",), rcode=NXDOMAIN))
        assert ask(respond, "b.x").rcode() == SERVFAIL

    @pytest.mark.parametrize(("name", "falls"), [("b.x", True), ("b.y", False), ("x", True)])
    def test_names_fall_through_in_the_zones_that_are_said(self, name, falls) -> None:
        reply = ask(templated(Template(qtype=A, patterns=("^a",), fall_through=("x",))), name)
        assert passed_on(reply) if falls else reply.rcode() == SERVFAIL

    def test_the_longest_zone_fits(self) -> None:
        template = Template(qtype=TXT, zones=("x", "a.x."), answer=('{{ .Name }} TXT "{{ .Zone }}"',))
        assert lines(ask(templated(template), "b.a.x", "TXT").answer) == ['b.a.x. 3600 TXT "a.x."']

    def test_a_failure_can_be_asked_for(self) -> None:
        reply = ask(templated(Template(qtype=A, rcode=SERVFAIL, answer=("x. A 192.0.2.1",))), "a.x")
        assert (reply.rcode(), reply.answer) == (SERVFAIL, [])


class TestAliases:
    FOOGLE = Template(
        qtype=ANY, zones=("foogle.com",), patterns=(r"^foogle\.com\.$",), answer=("foogle.com 60 IN CNAME google.com",)
    )

    def test_are_followed(self) -> None:
        upstream = Upstream(["google.com 5 A 192.0.2.1"])
        reply = ask(templated(self.FOOGLE, respond=upstream.at_once), "foogle.com")
        assert lines(reply.answer) == ["foogle.com. 60 CNAME google.com.", "google.com. 5 A 192.0.2.1"]
        assert upstream.asked == ["google.com. A"]

    async def test_are_followed_to_replies_to_come(self) -> None:
        upstream = Upstream(["google.com 5 A 192.0.2.1"])
        reply = await ask_later(templated(self.FOOGLE, respond=upstream.later), "foogle.com")
        assert lines(reply.answer) == ["foogle.com. 60 CNAME google.com.", "google.com. 5 A 192.0.2.1"]

    def test_are_followed_into_the_cluster(self) -> None:
        template = Template(qtype=A, zones=("x",), answer=("{{ .Name }} CNAME cart.shop.svc.cluster.local.",))
        reply = ask(templated(template, respond=Server(CLUSTER).datagram), "a.x")
        assert lines(reply.answer) == [
            "a.x. 3600 CNAME cart.shop.svc.cluster.local.",
            "cart.shop.svc.cluster.local. 30 A 10.96.0.10",
        ]

    def test_are_not_followed_for_other_types(self) -> None:
        upstream = Upstream()
        ask(templated(self.FOOGLE, respond=upstream.at_once), "foogle.com", "MX")
        assert upstream.asked == []

    def test_that_lead_in_a_circle_end(self) -> None:
        respond = templated(Template(qtype=A, answer=("{{ .Name }} CNAME a.{{ .Name }}",)))
        assert 1 < len(ask(respond, "x", use_edns=0).answer) < 12

    def test_that_stand_side_by_side_do_not_multiply(self) -> None:
        """Three that each lead to three more came to 9,841 records, a second of work."""
        three = tuple(f"{{{{ .Name }}}} CNAME {each}.{{{{ .Name }}}}" for each in "abc")
        reply = ask(templated(Template(qtype=A, answer=three), stream=True), "x")
        assert 9 < len(reply.answer) < 100

    def test_that_lead_to_nothing_stand_alone(self) -> None:
        reply = ask(templated(self.FOOGLE, respond=lambda *_: None), "foogle.com")
        assert lines(reply.answer) == ["foogle.com. 60 CNAME google.com."]


class TestReplies:
    TEMPLATE = Template(qtype=A, zones=("x",), answer=("{{ .Name }} 60 IN A 192.0.2.1",))

    @pytest.mark.parametrize("edns", [{}, {"use_edns": 0}, {"use_edns": 0, "want_dnssec": True}, {"flags": 0}])
    def test_are_the_same_each_time(self, edns) -> None:
        respond = templated(self.TEMPLATE)
        for name in ("a.x", "b.x", "A.x", "a.X"):
            reply = ask(respond, name, **edns)
            assert lines(reply.answer) == [f"{name}. 60 A 192.0.2.1"]
            assert reply.flags & dns.flags.AA
            assert bool(reply.flags & dns.flags.RD) == (edns.get("flags") != 0)
            assert reply.edns == edns.get("use_edns", -1)

    def test_are_each_client_s_own(self) -> None:
        respond = templated(Template(qtype=TXT, answer=('{{ .Name }} TXT "{{ .Remote }}"',)))
        for client in ("192.0.2.1", "2001:db8::1"):
            assert lines(ask(respond, "a.x", "TXT", client=(client, 1)).answer) == [f'a.x. 3600 TXT "{client}"']

    @pytest.mark.parametrize(("stream", "edns", "shown"), [(False, {}, 1), (False, {"use_edns": 0}, 3), (True, {}, 9)])
    def test_are_cut_where_they_have_to_be(self, stream, edns, shown) -> None:
        answer = tuple(f'{{{{ .Name }}}} TXT "{each}{"x" * 250}"' for each in range(9))
        query = dns.message.make_query("a.x", "TXT", **edns)
        respond = templated(Template(qtype=TXT, answer=answer), stream=stream)
        for _ in range(2):
            reply = dns.message.from_wire(respond(query.to_wire(), CLIENT))
            assert len(lines(reply.answer)) >= shown
            assert bool(reply.flags & dns.flags.TC) == (not stream)
            assert len(reply.to_wire()) <= (65535 if stream else 1232 if edns else 512)

    def test_what_is_no_query_goes_past(self) -> None:
        server = Server(CLUSTER)
        respond = templated(Template(qclass=255, qtype=ANY, rcode=NXDOMAIN), respond=server.datagram)
        notify = dns.message.make_query("a.x", "SOA")
        notify.set_opcode(dns.opcode.NOTIFY)
        version = dns.message.make_query("a.x", "SOA", use_edns=1)
        for packet in (b"", bytes(12), b"\x12\x34\x81" + bytes(14), notify.to_wire(), version.to_wire()):
            assert respond(packet, CLIENT) == server.datagram(packet)

    def test_what_is_remembered_is_bounded(self) -> None:
        respond = templated(self.TEMPLATE, respond=Server().datagram)
        for number in range(MOST_REPLIES + 2):
            ask(respond, f"a{number}.x")
        for number in range(MOST_NAMES + 2):
            respond(dns.message.make_query(f"a{number}.y", "A").to_wire(), CLIENT)
        (kept,) = [each.cell_contents for each in respond.__closure__ if hasattr(each.cell_contents, "written")]
        assert 0 < len(kept.written) <= MOST_REPLIES
        assert 0 < len(kept.unwanted) <= MOST_NAMES

    def test_zero_bytes_in_names_are_not_their_end(self) -> None:
        respond = templated(self.TEMPLATE, respond=lambda *_: b"passed on")
        header, tail = b"\x12\x34\1\0\0\1\0\0\0\0\0\0", b"\0\1\0\1"
        for _ in range(2):
            assert respond(header + b"\2\0a\1y\0" + tail, CLIENT) == b"passed on"
            assert respond(header + b"\2\0a\1x\0" + tail, CLIENT) != b"passed on"


DATA = Data(
    zone="x.",
    name="a.b.x.",
    qclass="IN",
    qtype="A",
    remote="192.0.2.1",
    match=("a.b", "a", "ff"),
    groups={"0": "a.b", "1": "a", "2": "ff", "one": "a"},
)
GROUPS = Groups(frozenset({"one", "other"}), 2)


class TestGoTemplates:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("plain } text {", "plain } text {"),
            ("{{.Name}} {{ .Class }} {{ .Type }}", "a.b.x. IN A"),
            ("{{ .Zone }}{{ .Remote }}", "x.192.0.2.1"),
            ("{{ .Match }}", "[a.b a ff]"),
            ("{{ index .Match 0 }}-{{ index .Match 1 }}", "a.b-a"),
            ("{{ .Group.one }}", "a"),
            ("{{ .Group.other }}", "<no value>"),
            ('{{ index .Group "one" }}{{ index .Group "1" }}', "aa"),
            ('{{ parseInt (index .Match 2) 16 8 }} {{ parseInt "12" 10 64 }}', "255 12"),
            ('[{{ .Meta "kubernetes/client-namespace" }}]', "[]"),
            ("{{ .Question.Name }}", "a.b.x."),
            ("a {{- .Zone -}} b", "ax.b"),
            ("a {{/* }} not */}} b", "a  b"),
            ('{{ "a\\"b" }}{{ `c}}d` }}', 'a"bc}}d'),
        ],
    )  # fmt: skip
    def test_are_filled_in(self, text, expected) -> None:
        assert read_template(text, GROUPS)(DATA) == expected

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("{{ .Name ", "{{ without }}"),
            ("{{ }}", "something is missing, in {{  }}"),
            ("{{ .Nmae }}", ".Nmae is not known, in {{ .Nmae }}"),
            ("{{ . }}", ". is not known"),
            ("{{ .Message.Id }}", ".Message.Id is not known"),
            ("{{ .Group.two }}", "no pattern has a group of the name two"),
            ("{{ index .Match 3 }}", "no pattern has a group 3"),
            ("{{ index .Match }}", "2 arguments expected"),
            ("{{ index .Name 1 }}", "only .Match and .Group have an index"),
            ("{{ parseInt .Name 10 }}", "3 arguments expected"),
            ("{{ if .Name }}x{{ end }}", "if is not known"),
            ("{{ .Name | printf }}", "| is not expected"),
            ("{{ $x := .Name }}", "$ is not known"),
            ("{{ (index .Match 1 }}", "a parenthesis"),
            ("{{ .Name .Zone }}", ".Zone is not expected"),
            ("x" * 5000, "more than 4096 characters"),
        ],
    )
    def test_faults_say_what(self, text, what) -> None:
        with pytest.raises(NotATemplate) as caught:
            read_template(text, GROUPS)
        assert what in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [
            "{{ parseInt .Name 10 8 }}",
            '{{ parseInt "256" 10 8 }}',
            '{{ parseInt "1_0" 10 8 }}',
            '{{ parseInt "-1" 10 8 }}',
            '{{ parseInt "1" 99 8 }}',
            '{{ parseInt "1" 10 -1 }}',
            '{{ parseInt "1" "10" 8 }}',
            '{{ index .Match "one" }}',
            "{{ index .Match (index .Match 0) }}",
            "{{ .Name }}" * 300,
        ],
    )  # fmt: skip
    def test_may_ask_for_what_is_not_there(self, text) -> None:
        with pytest.raises(CanNotBeFilledIn):
            read_template(text, GROUPS)(Data(DATA.zone, "a" * 20, "", "", "", DATA.match, DATA.groups))


class TestFaults:
    @pytest.mark.parametrize(
        ("template", "what"),
        [
            (Template(qtype=A, patterns=("(",)), "template 2: a parenthesis without its other one, in '('"),
            (Template(qtype=A, answer=("{{ .Group.a }}",)), "template 2: no pattern has a group of the name a"),
            (Template(qtype=A, zones=("a..b",)), "template 2: a label has 1 to 63 bytes"),
            (Template(qtype=A, fall_through=("x" * 64,)), "template 2: a label has 1 to 63 bytes"),
            (Template(qtype=A, rcode=16), "template 2: 16 is no rcode"),
            (Template(qtype=-1), "template 2: class 1, type -1: these are numbers from 0 to 65535"),
            (Template(qtype=A, qclass=65536), "template 2: class 65536, type 1: these are numbers from 0 to 65535"),
            (Template(qtype=A, ttl=(-1, 5)), "template 2: -1 to 5 is no range of TTLs"),
            (Template(qtype=A, negative_ttl=(6, 5)), "template 2: 6 to 5 is no range of TTLs"),
            (Template(qtype=A, reason=Reason("x", 65536)), "template 2: 65536 is no code of a reason"),
            (Template(qtype=A, answer=("{{ " + "(" * 900,)), "template 2: {{ without }}"),
            (Template(qtype=A, answer=("{{" + "(" * 900 + "}}",)), "more than 50 parentheses within one another"),
        ],
    )
    def test_say_what_and_where(self, template, what) -> None:
        with pytest.raises(NotAReply) as caught:
            templated(Template(qtype=A), template)
        assert what in str(caught.value)
