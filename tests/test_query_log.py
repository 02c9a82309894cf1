"""Queries as lines of text: which of them, and in which words."""

from __future__ import annotations

import json
import re
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import pytest

from clusterdns.around import query_log
from clusterdns.around.log_line import Pod, Surroundings, format_of, kubernetes_labels
from clusterdns.around.query_log import NotALogRule, Rule
from clusterdns.corefile.directives.watching import COMBINED_LOG_FORMAT, COMMON_LOG_FORMAT
from clusterdns.names import from_text
from tests.surrounded import CLIENT, Upstream

CLUSTER = from_text("cluster.local")
SOA = "example. 30 SOA ns.example. root.example. 1 2 3 4 5"


class Logged:
    """A responder whose queries are written down, and the lines."""

    def __init__(self, *rules: Rule, upstream: Upstream | None = None, **around: Any) -> None:
        self.lines: list[str] = []
        self.time = 0.0
        surroundings = Surroundings(
            write=self.lines.append, clock=self._clock, now=lambda: 1763924669.25, zones=(CLUSTER,), **around
        )
        self.upstream = upstream or Upstream(["a.example. 30 A 192.0.2.1"])
        self.respond = query_log.logged(self.upstream.at_once, rules, surroundings)

    def _clock(self) -> float:
        self.time += 0.25
        return self.time

    def ask(self, name: str, rtype: str = "A", client: tuple[str, int] = CLIENT, **more: Any) -> str:
        """The line about a query, or nothing."""
        self.lines.clear()
        query = dns.message.make_query(name, rtype, id=29008, **more)
        reaction = self.respond(query.to_wire(), client)
        assert isinstance(reaction, bytes)
        assert dns.message.from_wire(reaction).id == 29008
        return "".join(self.lines)


def text(form: str) -> Rule:
    return Rule(format=form)


class TestTheFormatsOfCoreDns:
    @pytest.mark.parametrize(
        ("form", "line"),
        [
            (
                COMMON_LOG_FORMAT,
                '[INFO] 192.0.2.7:5353 - 29008 "A IN a.example. udp 27 false 512" NOERROR qr,rd,ra 43 0.25s',
            ),
            (
                COMBINED_LOG_FORMAT,
                '[INFO] 192.0.2.7:5353 - 29008 "A IN a.example. udp 27 false 512" NOERROR qr,rd,ra 43 0.25s "0"',
            ),
            ("{proto} Request: {name} {type} {>id}", "[INFO] udp Request: a.example. A 29008"),
            ("{local} 100% {odd} {/kubernetes/service} {>ID}", "[INFO] 127.0.0.53 100% {odd} - {>ID}"),
            ("no placeholder", "[INFO] no placeholder"),
        ],
    )
    def test_a_line(self, form: str, line: str) -> None:
        assert Logged(text(form), local="127.0.0.53").ask("a.example.") == line

    def test_letter_case_is_lowered_and_odd_bytes_are_escaped(self) -> None:
        assert Logged(text("{name}")).ask("A.ex\\010ample\\%s.") == "[INFO] a.ex\\010ample\\037s."

    @pytest.mark.parametrize(
        ("edns", "expected"),
        [
            ({}, "false 512"),
            ({"use_edns": 0, "payload": 1232}, "false 1232"),
            ({"use_edns": 0, "payload": 4096, "want_dnssec": True}, "true 4096"),
            ({"use_edns": 0, "payload": 100}, "false 512"),
        ],
    )
    def test_edns(self, edns: dict[str, Any], expected: str) -> None:
        assert Logged(text("{>do} {>bufsize}")).ask("a.example.", **edns) == f"[INFO] {expected}"

    def test_opcode(self) -> None:
        query = dns.message.make_query("a.example.", "A")
        query.set_opcode(dns.opcode.NOTIFY)
        logged = Logged(text("{>opcode}"))
        logged.respond(query.to_wire(), CLIENT)
        assert logged.lines == ["[INFO] 4"]

    def test_over_tcp(self) -> None:
        found = Logged(text("{proto} {>bufsize} {remote}:{port}"), stream=True).ask("a.example.", client=("::1", 7))
        assert found == "[INFO] tcp 65535 [::1]:7"

    def test_a_type_without_a_name(self) -> None:
        assert Logged(text("{type} {class}")).ask("a.example.", "TYPE65280") == "[INFO] TYPE65280 IN"

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("cart.shop.svc.cluster.local", {"kind": "svc", "namespace": "shop", "service": "cart"}),
            (
                "db-0.db.shop.svc.cluster.local",
                {"kind": "svc", "namespace": "shop", "service": "db", "endpoint": "db-0"},
            ),
            (
                "_http._tcp.cart.shop.svc.cluster.local",
                {"kind": "svc", "namespace": "shop", "service": "cart", "port-name": "http", "protocol": "tcp"},
            ),
            ("10-0-0-1.shop.pod.cluster.local", {"kind": "pod", "namespace": "shop", "service": "10-0-0-1"}),
            ("shop.svc.cluster.local", {}),
            ("a.b.c.cart.shop.svc.cluster.local", {}),
            ("cluster.local", {}),
            ("cart.shop.svc.example.org", {}),
            ("cart.shop.svc.xcluster.local", {}),
        ],
    )
    def test_what_a_name_of_the_cluster_is_about(self, name: str, expected: dict[str, str]) -> None:
        assert kubernetes_labels(from_text(name), [CLUSTER]) == {f"kubernetes/{k}": v for k, v in expected.items()}

    def test_whose_pod_asks(self) -> None:
        form = "{/kubernetes/client-namespace}/{/kubernetes/client-pod-name} asks for {/kubernetes/service}"
        found = Logged(text(form), pod=lambda address: Pod("shop", "cart-0") if address == CLIENT[0] else None)
        assert found.ask("db.shop.svc.cluster.local") == "[INFO] shop/cart-0 asks for db"
        assert found.ask("db.shop.svc.cluster.local", client=("192.0.2.9", 1)) == "[INFO] -/- asks for db"

    @pytest.mark.parametrize("label", ["kubernetes/service", "kubernetes/namespace"])
    def test_a_line_is_one_line_whatever_is_asked_for(self, label: str) -> None:
        line = Logged(text(f"{{/{label}}}")).ask("a\\010b\\027.a\\010b\\027.svc.cluster.local.")
        assert line == "[INFO] a\\010b\\027"


class TestOurFormat:
    def test_an_object_a_line(self) -> None:
        found = Logged(Rule(), pod=lambda _: Pod("shop", "cart-0"))
        assert json.loads(found.ask('a"b.example.', "AAAA")) == {
            "time": "2025-11-23T19:04:29.250Z", "client": "192.0.2.7", "port": 5353, "namespace": "shop",
            "pod": "cart-0", "protocol": "udp", "id": 29008, "name": "a\\034b.example.", "type": "AAAA", "size": 29,
            "rcode": "NOERROR", "flags": "qr,rd,ra", "answers": 1, "reply-size": 47, "outcome": "success",
            "ms": 250.0,
        }  # fmt: skip

    def test_silence(self) -> None:
        lines: list[str] = []
        respond = query_log.logged(lambda *_: None, [Rule()], Surroundings(lines.append, lambda: 0.0, lambda: 0.0))
        assert respond(dns.message.make_query("a.example.", "A").to_wire(), CLIENT) is None
        found = json.loads(lines[0])
        assert (found["rcode"], found["outcome"]) == (None, "error")
        assert "reply-size" not in found


OUTCOMES = {
    "success": [
        Upstream(["a.example. 30 A 192.0.2.1"]),
        Upstream(["a.example. 30 CNAME b.example."], [SOA]),
        Upstream(authority=["a.example. 30 NS ns.a.example."]),
        Upstream(),
    ],
    "denial": [
        Upstream(rcode="NXDOMAIN", authority=[SOA]),
        Upstream(rcode="NXDOMAIN"),
        Upstream(authority=[SOA]),
        Upstream(authority=["example. 30 NS ns.example.", SOA]),
    ],
    "error": [Upstream(rcode=each) for each in ("SERVFAIL", "REFUSED", "NOTIMP", "FORMERR")],
}


class TestClasses:
    @pytest.mark.parametrize(
        ("outcome", "upstream"),
        [pytest.param(each, one, id=f"{each}-{n}") for each, all_ in OUTCOMES.items() for n, one in enumerate(all_)],
    )
    def test_what_came_of_a_query(self, outcome: Any, upstream: Upstream) -> None:
        assert Logged(Rule(classes=(outcome,)), upstream=upstream).ask("a.example.")
        others = {"success", "denial", "error"} - {outcome}
        assert not Logged(Rule(classes=tuple(sorted(others))), upstream=upstream).ask("a.example.")
        assert Logged(Rule(classes=("all",)), upstream=upstream).ask("a.example.")

    def test_what_is_slow_is_written_in_any_case(self) -> None:
        assert Logged(Rule(classes=("error",), slower_than=0.2)).ask("a.example.")
        assert not Logged(Rule(classes=("error",), slower_than=0.3)).ask("a.example.")

    def test_a_reply_that_is_cut_off_is_no_fault_of_ours(self) -> None:
        query = dns.message.make_query("a.example.", "A").to_wire()
        cut = query[:2] + b"\x81\x80\0\1\0\0\0\1\0\0" + query[12:] + b"\xc0"
        lines: list[str] = []
        respond = query_log.logged(lambda *_: cut, [Rule()], Surroundings(lines.append, lambda: 0.0, lambda: 0.0))
        assert respond(query, CLIENT) == cut
        assert len(lines) == 1


class TestWhichRuleDecides:
    def test_the_first_that_is_about_the_name(self) -> None:
        found = Logged(
            Rule(zones=("org.",), format="org"),
            Rule(zones=("EXAMPLE",), classes=("error",), format="example"),
            Rule(zones=("a.example", "net"), format="never, for a.example"),
        )
        assert found.ask("x.org.") == "[INFO] org"
        assert found.ask("org.") == "[INFO] org"
        assert found.ask("a.example.") == ""
        assert found.ask("net.") == "[INFO] never, for a.example"
        assert found.ask("xorg.") == ""

    def test_by_the_network_of_the_client(self) -> None:
        found = Logged(Rule(clients=("192.0.2.0/28", "2001:db8::/32"), format="near"), Rule(format="far"))
        for client, line in {
            "192.0.2.7": "near",
            "192.0.2.16": "far",
            "::ffff:192.0.2.7": "near",
            "2001:db8::1%eth0": "near",
            "no address": "far",
        }.items():
            for _ in range(2):
                assert found.ask("a.example.", client=(client, 1)) == f"[INFO] {line}"

    def test_by_the_namespace_of_the_pod(self) -> None:
        pods = {"192.0.2.7": Pod("shop", "cart-0"), "192.0.2.8": Pod("bank", "safe-0")}
        found = Logged(Rule(namespaces=("shop",), format="shop"), pod=pods.get)
        assert [found.ask("a.example.", client=(each, 1)) for each in (*pods, "192.0.2.9")] == ["[INFO] shop", "", ""]

    def test_one_of_so_many(self) -> None:
        found = Logged(Rule(sample=3, format="x"))
        assert [bool(found.ask("a.example.")) for _ in range(9)] == [False, False, True] * 3

    def test_without_rules_nothing_stands_around_the_responder(self) -> None:
        upstream = Upstream()
        assert query_log.logged(upstream.at_once, (), Surroundings(print, float, float)) == upstream.at_once

    @pytest.mark.parametrize(
        ("rule", "reason"),
        [
            (Rule(sample=0), "rule 1: sample 0: expected 1 or more"),
            (Rule(clients=("here",)), "rule 1: 'here' does not appear to be an IPv4 or IPv6 network"),
            (Rule(zones=("a..b",)), "rule 1: a label has 1 to 63 bytes, not 0"),
            (Rule(zones=()), "rule 1: expected at least one zone, and one class"),
            (Rule(format=""), "rule 1: expected a format"),
        ],
    )
    def test_what_can_not_be_followed(self, rule: Rule, reason: str) -> None:
        with pytest.raises(NotALogRule, match=f"^{re.escape(reason)}"):
            query_log.check([rule])


class TestPackets:
    async def test_a_reply_that_comes_later(self) -> None:
        lines: list[str] = []
        upstream = Upstream(["a.example. 30 A 192.0.2.1"])
        times = iter((1.0, 3.5))
        around = Surroundings(lines.append, lambda: next(times), float)
        respond = query_log.logged(upstream.later, [text("{duration}")], around)
        reaction = respond(dns.message.make_query("a.example.", "A").to_wire(), CLIENT)
        assert not isinstance(reaction, bytes | None)
        assert lines == []
        assert await reaction
        assert lines == ["[INFO] 2.5s"]

    @pytest.mark.parametrize(
        "packet",
        [
            b"",
            b"\0" * 11,
            b"\0" * 12,
            dns.message.make_response(dns.message.make_query("a.example.", "A")).to_wire(),
            dns.message.make_query("a.example.", "A", use_edns=1).to_wire(),
        ],
        ids=["nothing", "cut off", "no question", "a response", "EDNS 1"],
    )
    def test_what_is_no_query_has_no_line(self, packet: bytes) -> None:
        lines: list[str] = []
        respond = query_log.logged(lambda *_: b"reply", [Rule()], Surroundings(lines.append, float, float))
        assert respond(packet, CLIENT) == b"reply"
        assert lines == []

    def test_what_is_remembered_is_bounded(self) -> None:
        found = Logged(text("{name}"))
        for number in range(query_log.MOST_ASKED + 2):
            assert found.ask(f"{number}.example.") == f"[INFO] {number}.example."


def test_every_placeholder_of_coredns_is_known() -> None:
    known = "type name class proto remote local size port duration rcode rsize >rflags >bufsize >do >id >opcode"
    template = " ".join(f"{{{each}}}" for each in known.split(" "))
    line = Logged(text(template)).ask("a.example.")
    assert "{" not in line
    assert format_of("json")
