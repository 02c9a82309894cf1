"""Who may ask what: rules by address, by type and by zone, as CoreDNS's acl has them."""

from __future__ import annotations

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from clusterdns.around.acl import MOST_CLIENTS, MOST_QUESTIONS, NotAPolicy, Policy, Rule, guarding
from clusterdns.wire import Dialect
from tests.cluster import Server
from tests.surrounded import Upstream, ask, ask_later, extended_errors, lines, replied

A, AAAA = dns.rdatatype.A, dns.rdatatype.AAAA

UPSTREAM = Upstream(["www.example.org. 60 A 192.0.2.80"])

BLOCK_A = Rule(zones=("example.org",), policies=(Policy(action="block", types=(A,), networks=("192.168.0.0/16",)),))
ALLOW_THEM = Rule(policies=(Policy(action="allow", networks=("192.168.0.0/16",)), Policy(action="block")))
EXCEPT = Rule(
    policies=(
        Policy(action="allow", networks=("192.168.1.0/24",)),
        Policy(action="block", networks=("192.168.0.0/16",)),
    )
)
TWO_ZONES = (
    Rule(zones=("a.example.org",), policies=(Policy(action="block", networks=("192.168.1.0/24",)),)),
    Rule(zones=("b.example.org",), policies=(Policy(action="block", networks=("192.168.2.0/24",)),)),
)
SIX = "2001:db8:abcd:12::/64"


def guarded(*rules: Rule, respond=UPSTREAM.at_once, stream=False):
    return guarding(respond, rules, Dialect(), stream=stream)


def outcome(respond, client: str, name: str = "www.example.org", rtype: str = "A") -> str:
    """`allow`, `block`, `filter` or `drop`, by what comes back."""
    query = dns.message.make_query(name, rtype, use_edns=0)
    packet = respond(query.to_wire(), (client, 5353))
    if packet is None:
        return "drop"
    reply = replied(packet, query)
    if lines(reply.answer):
        return "allow"
    said = {(5, 15): "block", (0, 17): "filter"}
    (error,) = extended_errors(reply)
    return said[int(reply.rcode()), error]


def policy(action: str, *networks: str, types: tuple[int, ...] = ()) -> Rule:
    return Rule(zones=("example.org",), policies=(Policy(action=action, types=types, networks=networks),))


BLOCK_24, DROP_16 = policy("block", "192.168.1.0/24"), policy("drop", "192.168.0.0/16")


class TestActions:
    """The cases of CoreDNS's own table."""

    @pytest.mark.parametrize(
        ("rules", "client", "name", "rtype", "expected"),
        [
            ([BLOCK_A], "192.168.0.2", "www.example.org", "A", "block"),
            ([BLOCK_A], "192.167.0.2", "www.example.org", "A", "allow"),
            ([BLOCK_A], "192.168.0.2", "www.example.org", "AAAA", "allow"),
            ([BLOCK_A], "192.168.0.2", "www.example.net", "A", "allow"),
            ([policy("block", "192.168.0.0/16")], "192.168.0.2", "www.example.org", "AAAA", "block"),
            ([policy("block", types=(A,))], "10.1.0.2", "www.example.org", "A", "block"),
            ([policy("block", types=(A,))], "10.1.0.2", "www.example.org", "AAAA", "allow"),
            ([policy("block", types=(A,))], "2001:db8::1", "www.example.org", "A", "block"),
            ([policy("block", "192.168.1.2")], "192.168.1.2", "www.example.org", "A", "block"),
            ([policy("block", "192.168.1.2")], "192.168.1.3", "www.example.org", "A", "allow"),
            ([policy("filter", "192.168.0.0/16", types=(A,))], "192.168.0.2", "www.example.org", "A", "filter"),
            ([policy("filter", "192.168.0.0/16", types=(A,))], "192.167.0.2", "www.example.org", "A", "allow"),
            ([ALLOW_THEM], "192.168.0.2", "www.example.org", "A", "allow"),
            ([ALLOW_THEM], "10.1.0.2", "www.example.org", "A", "block"),
            ([ALLOW_THEM], "2001:db8::1", "www.example.org", "A", "block"),
            ([EXCEPT], "192.168.1.9", "www.example.org", "A", "allow"),
            ([EXCEPT], "192.168.2.9", "www.example.org", "A", "block"),
            ([EXCEPT], "10.0.0.1", "www.example.org", "A", "allow"),
            ([policy("drop", "192.168.0.0/16")], "192.168.0.2", "www.example.org", "A", "drop"),
            ([policy("drop", "192.168.0.0/16")], "192.168.0.2", "www.example.net", "A", "allow"),
            ([BLOCK_24, DROP_16], "192.168.1.2", "www.example.org", "A", "block"),
            ([DROP_16, BLOCK_24], "192.168.1.2", "www.example.org", "A", "drop"),
            (TWO_ZONES, "192.168.1.2", "a.example.org", "A", "block"),
            (TWO_ZONES, "192.168.1.2", "x.a.example.org", "A", "block"),
            (TWO_ZONES, "192.168.1.2", "xa.example.org", "A", "allow"),
            (TWO_ZONES, "192.168.1.2", "b.example.org", "A", "allow"),
            (TWO_ZONES, "192.168.2.2", "b.example.org", "A", "block"),
            ([policy("block", SIX)], "2001:db8:abcd:12::1230", "www.example.org", "A", "block"),
            ([policy("block", SIX)], "2001:db8:abcd:13::", "www.example.org", "A", "allow"),
            ([policy("block", "fe80::1")], "fe80::1%eth0", "www.example.org", "A", "block"),
            ([policy("block", "10.0.0.0/8")], "::ffff:10.1.2.3", "www.example.org", "A", "block"),
            ([policy("block", "0.0.0.0/0")], "2001:db8::1", "www.example.org", "A", "allow"),
            ([policy("block", "10.1.2.3/8")], "10.9.9.9", "www.example.org", "A", "block"),
        ],
    )  # fmt: skip
    def test_are_decided_by_the_first_that_fits(self, rules, client, name, rtype, expected) -> None:
        respond = guarded(*rules)
        assert [outcome(respond, client, name, rtype) for _ in range(3)] == [expected] * 3
        assert outcome(respond, client, name.upper(), rtype) == expected

    def test_an_address_that_can_not_be_read_is_blocked(self) -> None:
        assert outcome(guarded(policy("allow", "10.0.0.0/8")), "/run/dns.sock") == "block"

    def test_without_rules_all_is_allowed(self) -> None:
        assert outcome(guarded(), "10.0.0.1") == "allow"


class TestWhatIsRemembered:
    def test_of_one_client_is_not_said_to_another(self) -> None:
        respond = guarded(*TWO_ZONES)
        for _ in range(2):
            assert outcome(respond, "192.168.1.2", "a.example.org") == "block"
            assert outcome(respond, "192.168.2.2", "a.example.org") == "allow"

    def test_of_one_type_is_not_said_of_another(self) -> None:
        respond = guarded(policy("filter", types=(AAAA,)))
        for _ in range(2):
            assert outcome(respond, "10.0.0.1", rtype="AAAA") == "filter"
            assert outcome(respond, "10.0.0.1", rtype="A") == "allow"

    def test_is_bounded(self) -> None:
        respond = guarded(policy("block", "10.0.0.0/8", types=(A,)), respond=Server().datagram)
        for number in range(MOST_CLIENTS + 2):
            client = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            respond(b"", (client, 1))
        for number in range(MOST_QUESTIONS + 2):
            assert outcome(respond, "10.0.0.1", f"x{number}.example.org") == "block"
        held = next(each.cell_contents for each in respond.__closure__ if type(each.cell_contents).__name__ == "_Gate")
        assert len(held.clients) <= MOST_CLIENTS
        assert all(len(each._decided) <= MOST_QUESTIONS for each in held.clients.values())

    def test_does_not_take_zero_bytes_in_names_for_their_end(self) -> None:
        respond = guarded(Rule(zones=("b.example.org",), policies=(Policy(action="drop"),)))
        header, tail = b"\x12\x34\1\0\0\1\0\0\0\0\0\0", b"\0\1\0\1"
        allowed = header + b"\2\0a\1a\7example\3org\0" + tail
        dropped = header + b"\2\0a\1b\7example\3org\0" + tail
        for _ in range(2):
            assert respond(allowed, ("10.0.0.1", 1)) is not None
            assert respond(dropped, ("10.0.0.1", 1)) is None


class TestPackets:
    def test_what_is_no_query_is_not_refused(self) -> None:
        server = Server()
        respond = guarded(policy("block"), respond=server.datagram)
        assert respond(b"\x12\x34\1\0\0\1", ("10.0.0.1", 1)) == b"\x12\x34\x81\1" + bytes(8)
        response = dns.message.make_response(dns.message.make_query("www.example.org", "A"))
        assert respond(response.to_wire(), ("10.0.0.1", 1)) is None

    def test_a_decided_question_in_a_broken_packet_is_a_format_error(self) -> None:
        respond = guarded(policy("block"))
        packet = dns.message.make_query("www.example.org", "A").to_wire()
        assert outcome(respond, "10.0.0.1") == "block"
        assert respond(packet + b"x", ("10.0.0.1", 1))[3] & 0xF == dns.rcode.FORMERR
        assert respond(packet[:2] + b"\x81" + packet[3:], ("10.0.0.1", 1)) is None

    def test_extended_errors_are_for_those_who_take_them(self) -> None:
        reply = ask(guarded(policy("block")), "www.example.org")
        assert reply.rcode() == dns.rcode.REFUSED
        assert reply.edns == -1

    async def test_a_reply_to_come_is_handed_on(self) -> None:
        respond = guarded(policy("block", "10.0.0.0/8"), respond=UPSTREAM.later)
        assert lines((await ask_later(respond, "www.example.org")).answer) == ["www.example.org. 60 A 192.0.2.80"]


class TestFaults:
    @pytest.mark.parametrize(
        ("rule", "what"),
        [
            (Rule(policies=(Policy(action="deny"),)), "acl rule 2, policy 1: 'deny' is no action"),
            (
                Rule(policies=(Policy(action="allow"), Policy(action="block", networks=("::/129",)))),
                "rule 2, policy 2: '::",
            ),
            (policy("block", "example"), "rule 2, policy 1: 'example'"),
            (Rule(zones=("a..b",), policies=(Policy(action="block"),)), "rule 2, policy 1: a label has 1 to 63 bytes"),
        ],
    )
    def test_say_what_and_where(self, rule, what) -> None:
        with pytest.raises(NotAPolicy) as caught:
            guarded(policy("allow"), rule)
        assert what in str(caught.value)
