"""Conditions on queries, as CoreDNS's documentation of its view plugin has them."""

from __future__ import annotations

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns.around.expressions import (
    NotAnExpression,
    Where,
    asks_for_own_address,
    condition,
    holding,
)

UDP = Where("127.0.0.1", 53, stream=False)
TCP = Where("127.0.0.1", 53, stream=True)
CLIENT = ("192.0.2.7", 5353)


def holds(text: str, name: str = "WWW.example.org", rtype: str = "A", *, client=CLIENT, where=UDP, **more) -> bool:
    packet = dns.message.make_query(name, rtype, id=7, **more).to_wire()
    return holding([condition(text)], where)(packet, client)


class TestWhatCanBeAsked:
    @pytest.mark.parametrize(
        "text",
        [
            "name() == 'www.example.org.'",
            "type() == 'A'",
            "class() == 'IN'",
            "client_ip() == '192.0.2.7'",
            "port() == '5353'",
            "proto() == 'udp'",
            "server_ip() == '127.0.0.1'",
            "server_port() == '53'",
            "id() == 7",
            "opcode() == 0",
            "size() == 33",
            "bufsize() == 512",
            "do() == false",
            "!do()",
            "incidr(client_ip(), '192.0.2.0/24')",
            "not incidr(client_ip(), '10.0.0.0/8')",
            "!incidr(client_ip(), '2001:db8::/32')",
        ],
    )
    def test_of_a_query(self, text: str) -> None:
        assert holds(text)
        assert not holds(f"not ({text})")

    def test_of_edns(self) -> None:
        assert holds("do() && bufsize() == 1400", want_dnssec=True, payload=1400)

    def test_of_a_stream(self) -> None:
        assert holds("proto() == 'tcp'", where=TCP)

    @pytest.mark.parametrize("client", [("2001:db8::7", 53, 0, 0), ("2001:db8::7%eth0", 53, 0, 2)])
    def test_of_an_ipv6_client(self, client) -> None:
        assert holds("incidr(client_ip(), '2001:db8::/32')", client=client)
        assert holds("incidr('[2001:db8::7]', '2001:db8::/32')")

    def test_of_an_ipv4_client_of_an_ipv6_socket(self) -> None:
        assert holds("incidr(client_ip(), '192.0.2.0/24')", client=("::ffff:192.0.2.7", 53, 0, 0))

    def test_unknown_types_and_odd_names(self) -> None:
        assert holds("type() == 'TYPE65280'", rtype="TYPE65280")
        assert holds(r"name() == 'a\\.b.'", name="a\\.b.")


class TestOperators:
    @pytest.mark.parametrize(
        "text",
        [
            "true", "!false", "not false", "true || false", "false or true", "true && true", "true and not false",
            "true || false && false", "!(true && false)", "(true)", "1 < 2", "2 > 1", "1 <= 1", "1 >= 1", "1 != 2",
            "'a' < 'b'", "'a' != 'b'", "'abc' contains 'b'", "'abc' startsWith 'ab'", "'abc' endsWith 'bc'",
            "type() in ['A', 'AAAA']", "type() not in ['MX']", "not (type() in ['MX'])", "!(1 in [])", "1 in [2, 1]",
            "name() matches '^www[.]'", "not (name() matches '^abc')", "not false == true",
            "name() matches 'example\\\\.org\\\\.$'", 'name() matches "^w+[.]"', "name() matches `\\.org\\.$`",
            "(type() == 'A' && name() == 'example.com') || client_ip() == '192.0.2.7'",
            "'\\x41\\u0042\\t' == 'AB\t'",
        ],
    )  # fmt: skip
    def test_mean_what_they_say(self, text: str) -> None:
        assert holds(text)

    def test_all_conditions_have_to_hold(self) -> None:
        packet = dns.message.make_query("a.x", "A").to_wire()
        conditions = [condition("type() == 'A'"), condition("name() == 'a.x.'")]
        assert holding(conditions, UDP)(packet, CLIENT)
        assert not holding([*conditions, condition("do()")], UDP)(packet, CLIENT)

    def test_what_has_no_value_does_not_hold(self) -> None:
        assert not holds("!incidr(name(), '10.0.0.0/8')")
        assert not holds("incidr('10.0.0.1', client_ip())")

    @pytest.mark.parametrize("packet", [b"", bytes(12), b"\x12\x34\1\0\0\1\0\0\0\0\0\0\1x\0\0\1"])
    def test_nor_what_is_no_query(self, packet: bytes) -> None:
        assert not holding([condition("true")], UDP)(packet, CLIENT)


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("", "expected a value, not the end"),
            ("name()", "expected a condition, not a value of type string"),
            ("name() == 1", "== does not go with string and int"),
            ("1 && true", "&& does not go with int and bool"),
            ("!1", "not does not go with int"),
            ("do() < true", "< does not go with bool and bool"),
            ("type() in 'A'", "in does not go with string and string"),
            ("type() in [1]", "in does not go with string and list of int"),
            ("1 in [1, 'a']", "a list of int and string"),
            ("name() matches name()", "matches takes a pattern that is written there"),
            ("name() matches '('", "a parenthesis without its other one"),
            (
                "incidr(client_ip(), '10.0.0.0/33')",
                "incidr: '10.0.0.0/33' does not appear to be an IPv4 or IPv6 network",
            ),
            ("incidr(client_ip(), '10.0.0.0')", "is no network such as 10.0.0.0/8"),
            ("incidr(client_ip())", "incidr: expected an address and a network"),
            ("type(1) == 'A'", "type: expected no arguments"),
            ("metadata('a/b') == 'x'", "metadata(): expected incidr, bufsize, class"),
            ("name == 'a.'", "expected (, not =="),
            ("type() == A", "expected (, not the end"),
            ("(true", "expected ), not the end"),
            ("true)", "expected an operator or the end, not )"),
            ("true true", "expected an operator or the end, not true"),
            ("true &&", "expected a value, not the end"),
            ("[1 2]", "expected ,, not 2"),
            ("'a", "is not understood"),
            ("1 + 1 == 2", "is not understood"),
            (r"'\d' == 'd'", r"\d stands for nothing"),
            ("(" * 60 + "true" + ")" * 60, "more than 50 parts within one another"),
            ("true" + " || true" * 1000, "longer than 4096 characters"),
        ],
    )
    def test_say_what(self, text: str, what: str) -> None:
        with pytest.raises(NotAnExpression) as caught:
            condition(text)
        assert what in str(caught.value)

    @given(st.text(alphabet="a()'\"[],|&!=<> 1trueinotmatches\\", max_size=40))
    def test_whatever_comes_is_a_condition_or_a_fault(self, text: str) -> None:
        try:
            condition(text)
        except NotAnExpression:
            return


def test_what_depends_on_the_address_that_was_asked() -> None:
    assert asks_for_own_address("server_ip() == '192.0.2.1'")
    assert not asks_for_own_address("name() == 'server_ip.'")
