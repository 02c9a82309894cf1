"""Names and records as zone files have them, held against dnspython's reading of the same text."""

from __future__ import annotations

import dns.name
import dns.rdata
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns import names
from clusterdns.around.message import Message, read_message
from clusterdns.around.zone_text import record_from_text
from clusterdns.queries import QR
from clusterdns.zones.text import NotARecord, name_from_text, name_text


@st.composite
def wire_names(draw) -> bytes:
    labels = draw(st.lists(st.binary(min_size=1, max_size=63), max_size=3))
    return b"".join([bytes((len(each),)) + each for each in labels]) + names.ROOT


class TestNames:
    @given(wire_names())
    def test_of_a_name_is_that_name(self, name) -> None:
        assert name_from_text(name_text(name)) == name

    @given(wire_names())
    def test_of_a_name_is_what_others_understand(self, name) -> None:
        assert dns.name.from_text(name_text(name)).to_wire() == name

    def test_the_last_dot_may_be_left_out(self) -> None:
        assert name_from_text("www.Example.org") == name_from_text("www.Example.org.") == b"\3www\7Example\3org\0"

    @pytest.mark.parametrize("text", ["", "..", "a..b", ".a", "x" * 64, "abcdefg." * 33, "\\256.a"])
    def test_faults(self, text) -> None:
        with pytest.raises(NotARecord):
            name_from_text(text)


def written(text: str) -> dns.rrset.RRset:
    """The record as dnspython reads it out of a message."""
    message = Message(QR, [record_from_text(text)], [], [])
    packet = message.to(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\1x\0\0\1\0\1", 14, 65535)
    assert read_message(packet) == message
    (rrset,) = dns.message.from_wire(packet).answer
    return rrset


class TestRecords:
    @pytest.mark.parametrize(
        ("rtype", "data"),
        [
            ("A", "192.0.2.1"),
            ("AAAA", "2001:db8::1"),
            ("NS", "ns.x."),
            ("CNAME", "WWW.x."),
            ("PTR", "."),
            ("DNAME", "y."),
            ("MX", "10 mail.x."),
            ("SRV", "0 5 5060 sip.x."),
            ("SOA", "ns.x. admin.x. 1 60 120 86400 3600"),
            ("SOA", "ns.x. admin.x. 4294967295 1h 2m 1d 1w"),
            ("TXT", '"v=spf1 -all"'),
            ("TXT", r'one "two; three" "four\" \\ \200"'),
            ("TXT", '""'),
            ("HINFO", '"ANY obsoleted" "See RFC 8482"'),
            ("CAA", '0 issue "ca.example.net; policy=ev"'),
            ("TYPE65280", r"\# 4 0a000001"),
            ("A", r"\# 4 0a 00 00 01"),
        ],
    )
    def test_are_what_others_understand(self, rtype, data) -> None:
        found = written(f"x. 60 IN {rtype} {data}")
        assert found == dns.rrset.from_text("x.", 60, "IN", rtype, data)
        assert found.ttl == 60

    @pytest.mark.parametrize(
        ("text", "ttl", "rdclass"),
        [
            ("x A 192.0.2.1", 3600, "IN"),
            ("x. IN A 192.0.2.1", 3600, "IN"),
            ("x. 60 A 192.0.2.1", 60, "IN"),
            ("x. IN 60 A 192.0.2.1", 60, "IN"),
            ("x. 60 CH A 192.0.2.1", 60, "CH"),
            ("x. 1h30m IN a 192.0.2.1", 5400, "IN"),
            ("x. 60 IN A ( 192.0.2.1 ) ; a comment", 60, "IN"),
            ("\tx.  60\tin   A 192.0.2.1\n", 60, "IN"),
        ],
    )
    def test_ttl_and_class_may_be_left_out(self, text, ttl, rdclass) -> None:
        record = record_from_text(text)
        assert (record.owner, record.ttl) == (b"\1x\0", ttl)
        assert record.rclass == dns.rdataclass.from_text(rdclass)

    def test_long_text_is_several_strings(self) -> None:
        assert record_from_text(f'x TXT "{"a" * 300}"').before == b"\xff" + b"a" * 255 + b"\x2d" + b"a" * 45

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("", "needs a name, a type and data"),
            ("x.", "needs a name, a type and data"),
            ("x. 60 IN", "no type"),
            ("x. 60 IN WHAT 1", "'WHAT' is no record type"),
            ("x. A 192.0.2", "192.0.2"),
            ("x. A 192.0.2.1 2", "1 words of data expected, not 2"),
            ("x. AAAA 192.0.2.1", "192.0.2.1"),
            ("x. MX mail.x.", "2 words of data expected, not 1"),
            ("x. MX 65536 mail.x.", "'65536' is no number of 16 bits"),
            ("x. SRV 0 0 http a.", "'http' is no number of 16 bits"),
            ("x. SOA a. b. 1 2 3 4", "7 words of data expected, not 6"),
            ("x. SOA a. b. 4294967296 2 3 4 5", "no number of 32 bits"),
            ("x. TXT", "no text"),
            ('x. TXT "a', "quotation mark"),
            ("x. SOA ( a. b. 1 2 3 4 5", "parenthesis"),
            ("x. SOA a. b. 1 2 3 4 5 )", "parenthesis"),
            ("x. 9999999999 A 192.0.2.1", "more seconds"),
            ("a..b A 192.0.2.1", "a label has 1 to 63 bytes"),
            (r"x. A \# 4 00", "length"),
            (r"x. A \# four 00", "four"),
            ("x. TYPE65280 abc", "has to be written as"),
            (f'x. TXT "{"a" * 5000}"', "longer than 4096 characters"),
        ],
    )
    def test_faults_say_what(self, text, what) -> None:
        with pytest.raises(NotARecord) as caught:
            record_from_text(text)
        assert what in str(caught.value)

    @given(st.text(alphabet='x. 60INATXTSOA()";\\#\t0123456789', max_size=60))
    def test_whatever_comes_is_a_record_or_a_fault(self, text) -> None:
        try:
            record_from_text(text)
        except NotARecord:
            return
