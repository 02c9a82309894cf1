"""Responses of upstreams: read without knowing their records, relayed as they are. dnspython is the judge."""

from __future__ import annotations

from struct import pack

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clusterdns import names
from clusterdns.queries import FormatError, read_query
from clusterdns.records import Question, Reason, ReasonCode, Type
from clusterdns.responses import Response, failure, read_response, terms
from clusterdns.wire import LARGEST, Dialect, udp_space

DIALECT = Dialect(recursion_available=True)


def query(name: str = "www.example.", rtype: str = "A", **edns: object) -> dns.message.Message:
    return dns.message.make_query(name, rtype, **edns)


def upstream(
    asked: dns.message.Message, answer: str = "", authority: str = "", additional: str = "", *, rcode: str = "NOERROR"
) -> dns.message.Message:
    """What an upstream says; records are lines of a zone file."""
    reply = dns.message.make_response(asked, recursion_available=True)
    reply.set_rcode(dns.rcode.from_text(rcode))
    for section, text in ((reply.answer, answer), (reply.authority, authority), (reply.additional, additional)):
        for line in filter(None, map(str.strip, text.splitlines())):
            owner, ttl, _, rtype, data = line.split(maxsplit=4)
            section.append(dns.rrset.from_text(owner, int(ttl), "IN", rtype, data))
    return reply


def received(reply: dns.message.Message) -> Response:
    question = reply.question[0]
    return read_response(reply.to_wire(max_size=65535), Question(names.from_text(str(question.name)), question.rdtype))


def relayed(
    response: Response, asked: dns.message.Message, *, age: int = 0, stream: bool = False, dialect: Dialect = DIALECT
) -> dns.message.Message:
    packet = asked.to_wire()
    read = read_query(packet)
    space = LARGEST if stream else udp_space(read, dialect)
    written = response.to(packet, read.name_end, terms(read, dialect, space), age)
    assert len(written) <= space
    found = dns.message.from_wire(written)
    assert asked.is_response(found)
    return found


MANY_TYPES = """
    www.example. 300 IN CNAME web.example.
    web.example. 60 IN A 192.0.2.1
    web.example. 60 IN A 192.0.2.2
    web.example. 90 IN MX 10 mail.example.
    web.example. 90 IN TXT "a" "b c"
    web.example. 90 IN SRV 0 5 443 web.example.
    web.example. 90 IN CAA 0 issue "ca.example"
    web.example. 90 IN TYPE65280 \\# 4 0a000001
    web.example. 90 IN NAPTR 10 10 "U" "SIP" "!^.*$!sip:x@example!" .
    web.example. 90 IN HTTPS 1 . alpn=h2
"""


class TestRelaying:
    def test_everything_is_as_it_came_but_the_id(self) -> None:
        asked = query(rtype="ANY", use_edns=0)
        reply = upstream(
            asked, MANY_TYPES, "example. 60 IN NS ns.example.", "ns.example. 60 IN AAAA 2001:db8::1", rcode="NXDOMAIN"
        )
        reply.flags |= dns.flags.AA
        again = query("wWw.eXample.", "ANY", use_edns=0)
        found = relayed(received(reply), again)
        assert found.id == again.id
        sent = dns.message.from_wire(reply.to_wire())
        for ours, theirs in zip(found.sections[1:], sent.sections[1:], strict=True):
            assert [str(each).lower() for each in ours] == [str(each).lower() for each in theirs]
        assert (found.flags, found.rcode()) == (reply.flags, reply.rcode())
        assert str(found.question[0].name) == "wWw.eXample."

    @pytest.mark.parametrize(
        ("flag", "comes_back"),
        [(dns.flags.RD, True), (dns.flags.CD, True), (dns.flags.AD, False)],
        ids=["RD", "CD", "AD"],
    )
    def test_flags_of_the_query(self, flag: int, comes_back: bool) -> None:
        response = received(upstream(query()))
        for sent in (0, flag):
            asked = query()
            asked.flags = sent
            assert bool(relayed(response, asked).flags & flag) == (comes_back and bool(sent))

    @pytest.mark.parametrize(("ad", "do", "expected"), [(0, False, 0), (1, False, 1), (0, True, 1), (1, True, 1)])
    def test_ad_is_for_those_who_ask_for_it(self, ad: int, do: bool, expected: int) -> None:
        """RFC 6840 section 5.8."""
        reply = upstream(query())
        reply.flags |= dns.flags.AD
        asked = query(want_dnssec=do)
        asked.flags |= dns.flags.AD * ad
        assert bool(relayed(received(reply), asked).flags & dns.flags.AD) == bool(expected)

    def test_an_opt_record_is_for_those_who_sent_one(self) -> None:
        with_edns = received(upstream(query(use_edns=0)))
        without = received(upstream(query()))
        assert relayed(with_edns, query()).opt is None
        assert relayed(without, query(use_edns=0)).payload == 1232

    def test_other_options_stay_between_the_upstream_and_us(self) -> None:
        asked = query(use_edns=0)
        reply = upstream(asked)
        reason = dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "no signature")
        reply.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.NSID, b"up1"), reason])
        assert list(relayed(received(reply), asked).options) == [reason]
        silent = Dialect(extended_errors=False)
        assert list(relayed(received(reply), asked, dialect=silent).options) == []

    def test_an_opt_record_before_other_records(self) -> None:
        """Those behind it may be left out: they are additional."""
        asked = query()
        head = pack("!HHHHHH", asked.id, 0x8180, 1, 1, 0, 2)
        question = b"\3www\7example\0\0\1\0\1"
        a = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4"
        opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
        response = read_response(head + question + a + opt + a, Question(names.from_text("www.example"), Type.A))
        found = relayed(response, asked)
        assert [str(each[0]) for each in found.answer] == ["1.2.3.4"]
        assert not found.additional


class TestTimes:
    def test_ttls_count_down(self) -> None:
        asked = query()
        response = received(upstream(asked, "www.example. 300 IN CNAME w.example.\nw.example. 60 IN A 192.0.2.1"))
        for age in (0, 1, 1, 59, 60, 100):
            found = relayed(response, asked, age=age)
            assert [each.ttl for each in found.answer] == [300 - age, max(0, 60 - age)]

    def test_a_ttl_of_more_than_31_bits_is_0(self) -> None:
        """RFC 2181 section 8."""
        packet = bytearray(upstream(query(), "www.example. 1 IN A 192.0.2.1").to_wire())
        packet[-10:-6] = b"\x80\0\0\1"
        response = read_response(bytes(packet), Question(names.from_text("www.example"), Type.A))
        assert response.lowest_ttl == 0
        assert relayed(response, query()).answer[0].ttl == 0

    def test_bounds(self) -> None:
        asked = query()
        response = received(upstream(asked, "www.example. 300 IN CNAME w.example.\nw.example. 2 IN A 192.0.2.1"))
        found = relayed(response.with_ttls(5, 30), asked)
        assert [each.ttl for each in found.answer] == [30, 5]

    SOA = "example. 600 IN SOA ns.example. h.example. 1 7200 1800 86400 "

    @pytest.mark.parametrize(("minimum", "expected"), [(60, 60), (3600, 600), (0, 0)])
    def test_an_absence_lives_as_the_soa_record_says(self, minimum: int, expected: int) -> None:
        """RFC 2308 section 5: the lower of its TTL and its last field."""
        asked = query()
        response = received(upstream(asked, authority=f"{self.SOA}{minimum}", rcode="NXDOMAIN"))
        assert response.negative_ttl == expected
        assert relayed(response.with_ttls(0, 1800), asked).authority[0].ttl == expected

    def test_without_a_soa_record_nothing_is_said(self) -> None:
        assert received(upstream(query(), rcode="NXDOMAIN")).negative_ttl is None
        assert received(upstream(query(), authority="example. 60 IN NS ns.example.")).negative_ttl is None


class TestSize:
    @pytest.mark.parametrize(("edns", "largest"), [({}, 512), ({"use_edns": 0, "payload": 900}, 900),
                                                   ({"use_edns": 0, "payload": 4096}, 1232)])  # fmt: skip
    def test_whole_records_as_far_as_they_fit(self, edns: dict[str, int], largest: int) -> None:
        asked = query(**edns)
        lines = "\n".join(f"www.example. 60 IN A 192.0.2.{number}" for number in range(200))
        response = received(upstream(asked, lines))
        cut = relayed(response, asked)
        assert cut.flags & dns.flags.TC
        assert largest - 16 <= len(cut.to_wire()) <= largest
        whole = relayed(response, asked, stream=True)
        assert not whole.flags & dns.flags.TC
        assert len(whole.answer[0]) == 200
        assert set(cut.answer[0]) < set(whole.answer[0])

    def test_additional_records_may_be_missing(self) -> None:
        """RFC 2181 section 9."""
        asked = query()
        more = "\n".join(f"n{number}.example. 60 IN A 192.0.2.1" for number in range(40))
        found = relayed(received(upstream(asked, "www.example. 60 IN A 192.0.2.1", additional=more)), asked)
        assert not found.flags & dns.flags.TC
        assert len(found.answer) == 1
        assert 0 < len(found.additional) < 40

    def test_a_long_reason_gives_way(self) -> None:
        asked = query("a." * 120 + "example.", use_edns=0, payload=512)
        name = names.from_text("a." * 120 + "example.")
        response = failure(name, Reason("x" * 1000, ReasonCode.NO_REACHABLE_AUTHORITY))
        assert relayed(response, asked).rcode() == dns.rcode.SERVFAIL


class TestRecords:
    def test_names_are_whole(self) -> None:
        answer = """
            www.example. 300 IN CNAME Web.example.
            web.example. 60 IN MX 10 mail.example.
            web.example. 60 IN A 192.0.2.1
        """
        soa = "example. 60 IN SOA ns.example. host.example. 1 2 3 4 5"
        found, authority = received(upstream(query(), answer, soa)).records()
        web = names.from_text("web.example")
        assert [(each.owner, each.data) for each in found] == [
            (names.from_text("www.example"), web),
            (web, b"\0\x0a" + names.from_text("mail.example")),
            (web, bytes((192, 0, 2, 1))),
        ]
        numbers = pack("!IIIII", 1, 2, 3, 4, 5)
        assert authority[0].data == names.from_text("ns.example") + names.from_text("host.example") + numbers

    def test_ttls_are_those_of_now(self) -> None:
        found, _ = received(upstream(query(), "www.example. 60 IN A 192.0.2.1")).records(age=61)
        assert [each.ttl for each in found] == [0]

    @pytest.mark.parametrize(
        "pointer",
        [b"\xc0\x29", b"\xc0\xff", b"\xc0\x00", b"\x3f", b"\xc0"],
        ids=["itself", "ahead", "header", "cut", "half"],
    )
    def test_what_can_not_be_read_is_an_error(self, pointer: bytes) -> None:
        question = Question(names.from_text("www.example"), Type.A)
        head = pack("!HHHHHH", 1, 0x8180, 1, 1, 0, 0) + question.name + b"\0\1\0\1"
        record = b"\xc0\x0c\0\5\0\1\0\0\0\x3c" + pack("!H", len(pointer)) + pointer
        with pytest.raises(FormatError):
            read_response(head + record, question).records()

    def test_a_long_chain_of_pointers_costs_little(self) -> None:
        """Each leads back by two bytes, and there are thousands: the walk ends before long."""
        question = Question(names.from_text("www.example"), Type.A)
        head = pack("!HHHHHH", 1, 0x8180, 1, 40, 0, 0) + question.name + b"\0\1\0\1"
        chain = b"".join(pack("!H", 0xC000 | max(12, at)) for at in range(27, 8000, 2))
        body = b"\xc0\x0c\xff\0\0\1\0\0\0\x3c" + pack("!H", len(chain)) + chain
        record = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2" + pack("!H", 0xC000 | 7000)
        with pytest.raises(FormatError):
            read_response(head + body + record * 39, question)

    def test_so_do_thousands_of_aliases(self) -> None:
        question = Question(names.from_text("a." * 120 + "example"), Type.A)
        head = pack("!HHHHHH", 1, 0x8180, 1, 4000, 0, 0) + question.name + b"\0\1\0\1"
        with pytest.raises(FormatError, match="4000 aliases"):
            read_response(head + b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0e" * 4000, question)

    def test_and_thousands_of_other_records_are_not_followed(self) -> None:
        lines = "\n".join(f"www.example. 60 IN TXT {number}" for number in range(1100))
        response = received(upstream(query(rtype="TXT"), lines))
        with pytest.raises(FormatError, match="1100 records"):
            response.records()

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ("www.example. 60 IN CNAME a.example.", "a.example"),
            ("a.example. 60 IN CNAME b.example.\nwww.example. 60 IN CNAME A.example.", "b.example"),
            ("www.example. 60 IN CNAME a.example.\na.example. 60 IN CNAME www.example.", "www.example"),
            ("other.example. 60 IN CNAME a.example.", "www.example"),
        ],
        ids=["one", "in any order", "in a circle", "from elsewhere"],
    )
    def test_where_aliases_lead(self, answer: str, expected: str) -> None:
        assert received(upstream(query(), answer)).leads_to == names.from_text(expected)

    @pytest.mark.parametrize(
        "answer",
        ["", "www.example. 60 IN A 192.0.2.1", "www.example. 60 IN CNAME w.example.\nw.example. 60 IN A 192.0.2.1"],
    )
    def test_nowhere(self, answer: str) -> None:
        assert received(upstream(query(), answer)).leads_to is None


class TestWhatIsNoResponse:
    QUESTION = Question(names.from_text("www.example"), Type.A)

    @pytest.mark.parametrize("cut", range(1, 16))
    def test_cut_off(self, cut: int) -> None:
        packet = upstream(query(), "www.example. 60 IN A 192.0.2.1").to_wire()
        with pytest.raises(FormatError):
            read_response(packet[:-cut], self.QUESTION)

    def test_bytes_behind_the_end(self) -> None:
        with pytest.raises(FormatError):
            read_response(upstream(query()).to_wire() + b"\0", self.QUESTION)

    def test_an_opt_record_among_the_answers(self) -> None:
        packet = bytearray(upstream(query(use_edns=0)).to_wire())
        packet[6:12] = b"\0\1\0\0\0\0"
        with pytest.raises(FormatError):
            read_response(bytes(packet), self.QUESTION)

    @settings(max_examples=500, deadline=None)
    @given(st.binary(max_size=120), st.tuples(*[st.integers(0, 4)] * 3))
    @example(b"\0\0\x29\0\0\0\0\0\0\0\2\0\x0f", (0, 0, 1))
    def test_whatever_comes(self, body: bytes, counts: tuple[int, int, int]) -> None:
        """It is refused in one way, or read and relayed."""
        packet = pack("!HHHHHH", 1, 0x8180, 1, *counts) + self.QUESTION.name + b"\0\1\0\1" + body
        try:
            response = read_response(packet, self.QUESTION)
        except FormatError:
            return
        asked = query(use_edns=0).to_wire()
        read = read_query(asked)
        for space in (512, 60, LARGEST):
            assert response.to(asked, read.name_end, terms(read, DIALECT, space), 1)[:2] == asked[:2]
        try:
            response.records()
        except FormatError:
            return
