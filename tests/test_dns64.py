"""AAAA records made of A records (RFC 6147), in the cases of CoreDNS's plugin dns64."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.rcode
import pytest

from clusterdns.around.dns64 import NotAPrefix, Translation, embedded, prefix_bytes, translating
from clusterdns.wire import Dialect
from tests.surrounded import CLIENT, Upstream, ask, ask_later, lines

if TYPE_CHECKING:
    from clusterdns.respond import Client, Reaction, Respond

CLIENT6 = ("2001:db8::7", 5353, 0, 0)
SOA = "x 70 SOA foo.x. bar.x. 1 1 1 1 1"
ADDRESSES = Upstream(["a.x 5000 A 192.0.2.42", "a.x 5000 A 192.0.2.43"])
NO_DATA = Upstream([], [SOA])


class Both:
    """One upstream for AAAA, and one for A."""

    def __init__(self, of_aaaa: Upstream, of_a: Upstream = ADDRESSES) -> None:
        self._of_aaaa, self._of_a = of_aaaa, of_a

    def _upstream(self, packet: bytes) -> Upstream:
        return self._of_aaaa if dns.message.from_wire(packet).question[0].rdtype == 28 else self._of_a

    def at_once(self, packet: bytes, client: Client) -> Reaction:
        return self._upstream(packet).at_once(packet, client)

    def later(self, packet: bytes, client: Client) -> Reaction:
        return self._upstream(packet).later(packet, client)


def translated(respond: Respond, *, stream: bool = False, **given: Any) -> Respond:
    return translating(respond, Translation("64:ff9b::/96", **given), Dialect(), stream=stream)


def answer(of_aaaa: Upstream, of_a: Upstream = ADDRESSES, client: Client = CLIENT6, **given: Any) -> list[str]:
    return lines(ask(translated(Both(of_aaaa, of_a).at_once, **given), "a.x", "AAAA", client=client).answer)


class TestAddresses:
    """RFC 6052 section 2.2."""

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("64:ff9b::/96", "64:ff9b::4040:4040"),
            ("64:ff9b::/64", "64:ff9b::40:4040:4000:0"),
            ("64:ff9b::/56", "64:ff9b:0:40:40:4040::"),
            ("64::/32", "64:0:4040:4040::"),
            ("2001:db8:122:300::1/40", "2001:db8:140:4040:40::"),
        ],
    )
    def test_within_a_prefix(self, prefix: str, expected: str) -> None:
        found = embedded(prefix_bytes(prefix), ipaddress.ip_address("64.64.64.64").packed)
        assert ipaddress.ip_address(found) == ipaddress.ip_address(expected)

    @pytest.mark.parametrize("prefix", ["", "x", "10.0.0.0/8", "64::/33", "64::/24", "64::/104"])
    def test_what_is_no_prefix(self, prefix: str) -> None:
        with pytest.raises(NotAPrefix):
            prefix_bytes(prefix)


class TestTranslation:
    def test_of_what_has_no_aaaa_record(self) -> None:
        """The TTL is that of the absence, if that is lower (RFC 6147 section 5.1.7)."""
        assert answer(NO_DATA) == ["a.x. 70 AAAA 64:ff9b::c000:22a", "a.x. 70 AAAA 64:ff9b::c000:22b"]

    def test_ttl_without_a_soa_record(self) -> None:
        refused = Upstream([], rcode="REFUSED")
        assert answer(refused) == ["a.x. 600 AAAA 64:ff9b::c000:22a", "a.x. 600 AAAA 64:ff9b::c000:22b"]
        assert answer(refused, Upstream(["a.x 60 A 192.0.2.42"])) == ["a.x. 60 AAAA 64:ff9b::c000:22a"]

    def test_what_has_one_stays(self) -> None:
        assert answer(Upstream(["a.x 60 AAAA ::1"])) == ["a.x. 60 AAAA ::1"]

    def test_unless_all_are_translated(self) -> None:
        assert answer(Upstream(["a.x 60 AAAA ::1"]), translate_all=True)[0] == "a.x. 600 AAAA 64:ff9b::c000:22a"

    def test_a_name_that_is_missing_stays_so(self) -> None:
        upstream = Upstream([], [SOA], rcode="NXDOMAIN")
        reply = ask(translated(Both(upstream).at_once), "a.x", "AAAA", client=CLIENT6)
        assert (reply.rcode(), lines(reply.answer)) == (dns.rcode.NXDOMAIN, [])

    def test_a_name_without_any_address(self) -> None:
        reply = ask(translated(Both(NO_DATA, NO_DATA).at_once), "a.x", "AAAA", client=CLIENT6)
        assert (reply.rcode(), lines(reply.answer)) == (dns.rcode.NOERROR, [])
        assert [each.split()[2] for each in lines(reply.authority)] == ["SOA"]

    def test_a_failure_stays_one(self) -> None:
        reply = ask(translated(Both(NO_DATA, Upstream(rcode="SERVFAIL")).at_once), "a.x", "AAAA", client=CLIENT6)
        assert reply.rcode() == dns.rcode.SERVFAIL

    def test_aliases_and_other_sections_stay(self) -> None:
        upstream = Upstream(["a.x 9 CNAME b.x.", "b.x 60 A 192.0.2.1"], ["x 5 NS ns.x."], ["ns.x 5 A 192.0.2.1"])
        reply = ask(translated(Both(NO_DATA, upstream).at_once), "a.x", "AAAA", client=CLIENT6)
        assert lines(reply.answer) == ["a.x. 9 CNAME b.x.", "b.x. 60 AAAA 64:ff9b::c000:201"]
        assert lines(reply.authority) == ["x. 5 NS ns.x."]
        assert lines(reply.additional) == ["ns.x. 5 A 192.0.2.1"]

    @pytest.mark.parametrize("client", [CLIENT, ("::ffff:192.0.2.7", 5353, 0, 0)])
    def test_is_for_clients_with_ipv6(self, client: Client) -> None:
        assert answer(NO_DATA, client=client) == []
        assert len(answer(NO_DATA, client=client, allow_ipv4=True)) == 2

    @pytest.mark.parametrize("rtype", ["A", "TXT", "ANY"])
    def test_other_questions_go_on(self, rtype: str) -> None:
        respond = Both(NO_DATA).at_once
        packet = dns.message.make_query("a.x", rtype).to_wire()
        assert translated(respond)(packet, CLIENT6) == respond(packet, CLIENT6)

    async def test_replies_to_come(self) -> None:
        reply = await ask_later(translated(Both(NO_DATA).later, allow_ipv4=True), "a.x", "AAAA")
        assert lines(reply.answer) == ["a.x. 70 AAAA 64:ff9b::c000:22a", "a.x. 70 AAAA 64:ff9b::c000:22b"]

    def test_within_the_size_that_the_client_takes(self) -> None:
        many = Upstream([f"a.x 5 A 192.0.2.{each}" for each in range(60)])
        reply = ask(translated(Both(NO_DATA, many).at_once), "a.x", "AAAA", client=CLIENT6)
        assert reply.flags & dns.flags.TC
        whole = ask(translated(Both(NO_DATA, many).at_once, stream=True), "a.x", "AAAA", client=CLIENT6)
        assert len(whole.answer[0]) == 60

    @pytest.mark.parametrize("packet", [b"", b"\x12\x34", bytes(12), b"\x12\x34\1\0\0\1\0\0\0\0\0\0\1x\0\0\x1c\0\1\0"])
    def test_what_is_no_query_goes_on(self, packet: bytes) -> None:
        assert translated(lambda packet, _: packet)(packet, CLIENT6) == packet
