"""The small parts around a responder: sparing of ANY, minimal answers, the server's identifier."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import pytest

from clusterdns.around.any_type import sparing_of_any
from clusterdns.around.chaos import Identity, telling_identity
from clusterdns.around.minimal import minimal
from clusterdns.around.nsid import identified
from clusterdns.wire import Dialect
from tests.cluster import Server
from tests.surrounded import CLIENT, Upstream, ask, ask_later, extended_errors, lines

NOT_QUERIES = [b"", b"\x12\x34", bytes(12), bytes(30), b"\x12\x34\x81" + bytes(14)]


class TestAny:
    """RFC 8482 section 4.2."""

    UPSTREAM = Upstream(["a.x 5 A 192.0.2.1"])

    @pytest.mark.parametrize("edns", [{}, {"use_edns": 0}])
    def test_one_record_for_any_type(self, edns) -> None:
        reply = ask(sparing_of_any(self.UPSTREAM.at_once, Dialect(), stream=False), "A.x", "ANY", **edns)
        assert lines(reply.answer) == ['A.x. 8482 HINFO "ANY obsoleted" "See RFC 8482"']
        assert reply.edns == edns.get("use_edns", -1)

    @pytest.mark.parametrize(("rtype", "rdclass"), [("A", "IN"), ("ANY", "CH"), ("TYPE65280", "IN")])
    def test_other_questions_go_on(self, rtype, rdclass) -> None:
        reply = ask(sparing_of_any(self.UPSTREAM.at_once, Dialect(), stream=False), "a.x", rtype, rdclass=rdclass)
        assert lines(reply.answer) == ["a.x. 5 A 192.0.2.1"]

    @pytest.mark.parametrize("packet", [*NOT_QUERIES, dns.message.make_query("a.x", "ANY", use_edns=1, id=1).to_wire()])
    def test_what_is_no_query_goes_on(self, packet) -> None:
        server = Server()
        assert sparing_of_any(server.datagram, Dialect(), stream=False)(packet, CLIENT) == server.datagram(packet)


class TestIdentity:
    """RFC 4892."""

    UPSTREAM = Upstream(["a.x 5 A 192.0.2.1"])
    IDENTITY = Identity("v1.2", ["you", "me"], "dns-1")

    def ask(self, name, rtype="TXT", rdclass="CH", *, respond=UPSTREAM.at_once, identity=IDENTITY, **edns):
        return ask(telling_identity(respond, identity, Dialect(), stream=False), name, rtype, rdclass=rdclass, **edns)

    @pytest.mark.parametrize(
        ("name", "texts"),
        [
            ("version.bind", ["v1.2"]),
            ("VERSION.server", ["v1.2"]),
            ("hostname.bind", ["dns-1"]),
            ("id.server", ["dns-1"]),
            ("authors.bind", ["me", "you"]),
        ],
    )
    @pytest.mark.parametrize("edns", [{}, {"use_edns": 0}])
    def test_is_told_in_class_ch(self, name, texts, edns) -> None:
        (rrset,) = self.ask(name, **edns).answer
        assert (rrset.ttl, dns.rdataclass.to_text(rrset.rdclass)) == (0, "CH")
        assert [each.to_text() for each in rrset] == [f'"{text}"' for text in texts]

    @pytest.mark.parametrize(
        ("name", "rtype", "rdclass"),
        [("version.bind", "TXT", "IN"), ("version.bind", "A", "CH"), ("other.bind", "TXT", "CH"), ("a.x", "A", "IN")],
    )
    def test_other_questions_go_on(self, name, rtype, rdclass) -> None:
        assert lines(self.ask(name, rtype, rdclass).answer) == ["a.x. 5 A 192.0.2.1"]

    def test_what_else_is_in_class_ch_is_refused(self) -> None:
        assert self.ask("other.bind", respond=Server().datagram).rcode() == dns.rcode.REFUSED

    def test_long_texts_are_cut(self) -> None:
        (rrset,) = self.ask("version.bind", identity=Identity("v" * 300, [], "")).answer
        assert rrset[0].strings == (b"v" * 255,)

    @pytest.mark.parametrize("packet", NOT_QUERIES)
    def test_what_is_no_query_goes_on(self, packet) -> None:
        server = Server()
        told = telling_identity(server.datagram, self.IDENTITY, Dialect(), stream=False)
        assert told(packet, CLIENT) == server.datagram(packet)


class TestMinimal:
    WHOLE = Upstream(["a.x 5 MX 1 b.x."], ["x 5 NS ns.x."], ["b.x 5 A 192.0.2.1"])

    @pytest.mark.parametrize("edns", [{}, {"use_edns": 0}, {"use_edns": 0, "want_dnssec": True}])
    def test_answers_are_nothing_but_answers(self, edns) -> None:
        reply = ask(minimal(self.WHOLE.at_once), "a.x", "MX", **edns)
        assert lines(reply.answer) == ["a.x. 5 MX 1 b.x."]
        assert (reply.authority, reply.additional) == ([], [])
        assert reply.edns == edns.get("use_edns", -1)

    async def test_also_those_to_come(self) -> None:
        reply = await ask_later(minimal(self.WHOLE.later), "a.x", "MX")
        assert (len(reply.answer), reply.authority, reply.additional) == (1, [], [])

    @pytest.mark.parametrize(
        "upstream",
        [
            Upstream([], ["x 5 SOA a.x. b.x. 1 2 3 4 5"], rcode="NXDOMAIN"),
            Upstream([], ["x 5 SOA a.x. b.x. 1 2 3 4 5"]),
            Upstream([], ["x 5 NS ns.x."], ["ns.x 5 A 192.0.2.1"]),
            Upstream(["a.x 5 CNAME b.x."], ["x 5 SOA a.x. b.x. 1 2 3 4 5"], rcode="NXDOMAIN"),
        ],
    )
    def test_absences_and_referrals_stay(self, upstream) -> None:
        packet = dns.message.make_query("a.x", "A").to_wire()
        assert minimal(upstream.at_once)(packet, CLIENT) == upstream.at_once(packet, CLIENT)

    @pytest.mark.parametrize("packet", NOT_QUERIES)
    def test_what_is_no_query_stays(self, packet) -> None:
        server = Server()
        assert minimal(server.datagram)(packet, CLIENT) == server.datagram(packet)


class TestIdentifier:
    """RFC 5001."""

    ASKING = {"use_edns": 0, "options": [dns.edns.GenericOption(dns.edns.NSID, b"")]}  # noqa: RUF012
    UPSTREAM = Upstream(["a.x 5 A 192.0.2.1"])

    @staticmethod
    def identifiers(reply) -> list[bytes]:
        return [each.to_wire() for each in reply.options if each.otype == dns.edns.NSID]

    def respond(self, respond=UPSTREAM.at_once, *, stream=False):
        return identified(respond, "dns-1", Dialect(), stream=stream)

    def test_for_those_who_ask(self) -> None:
        reply = ask(self.respond(), "a.x", **self.ASKING)
        assert self.identifiers(reply) == [b"dns-1"]
        assert lines(reply.answer) == ["a.x. 5 A 192.0.2.1"]

    def test_beside_other_options(self) -> None:
        cookie = dns.edns.GenericOption(dns.edns.COOKIE, b"12345678")
        reply = ask(self.respond(Server().datagram), "a.x", use_edns=0, options=[cookie, *self.ASKING["options"]])
        assert self.identifiers(reply) == [b"dns-1"]
        assert len(extended_errors(reply)) == 1

    @pytest.mark.parametrize(
        "edns",
        [{}, {"use_edns": 0}, {"use_edns": 0, "options": [dns.edns.GenericOption(dns.edns.COOKIE, b"12345678")]}],
    )
    def test_not_for_others(self, edns) -> None:
        packet = dns.message.make_query("a.x", "A", **edns).to_wire()
        assert self.respond()(packet, CLIENT) == self.UPSTREAM.at_once(packet, CLIENT)

    def test_within_the_size_that_the_client_takes(self) -> None:
        upstream = Upstream([f"a.x 5 TXT {'x' * 200} {each}" for each in range(9)])
        query = dns.message.make_query("a.x", "TXT", payload=600, **self.ASKING)
        packet = self.respond(upstream.at_once)(query.to_wire(), CLIENT)
        reply = dns.message.from_wire(packet)
        assert len(packet) <= 600
        assert reply.flags & dns.flags.TC
        assert self.identifiers(reply) == [b"dns-1"]
        assert len(ask(self.respond(upstream.at_once, stream=True), "a.x", "TXT", **self.ASKING).answer[0]) == 9

    async def test_in_replies_to_come(self) -> None:
        assert self.identifiers(await ask_later(self.respond(self.UPSTREAM.later), "a.x", **self.ASKING)) == [b"dns-1"]

    @pytest.mark.parametrize("packet", NOT_QUERIES)
    def test_what_is_no_query_stays(self, packet) -> None:
        server = Server()
        assert self.respond(server.datagram)(packet, CLIENT) == server.datagram(packet)

    @pytest.mark.parametrize("identifier", ["", "x" * 129])
    def test_faults(self, identifier) -> None:
        with pytest.raises(ValueError, match="nsid: an identifier has 1 to 128 bytes"):
            identified(self.UPSTREAM.at_once, identifier, Dialect(), stream=False)
