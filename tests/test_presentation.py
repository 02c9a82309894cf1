"""Records as text: what dnspython makes of it, and what is done with data that is not what it says."""

from __future__ import annotations

from struct import pack

import dns.rcode
import dns.rdata
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns import presentation
from clusterdns.records import ReasonCode

DIGEST = "ab" * 32

RECORDS = [
    ("A", "10.96.0.10"),
    ("AAAA", "fd00:10:96::a"),
    ("NS", "ns.dns.cluster.local."),
    ("CNAME", "."),
    ("DNAME", "example.com."),
    ("PTR", "10-244-1-7.cart.shop.svc.cluster.local."),
    ("SOA", "ns.dns.cluster.local. hostmaster.cluster.local. 1795389622 7200 1800 86400 5"),
    ("MX", "10 mail.example.com."),
    ("SRV", "0 50 5432 db-0.db.shop.svc.cluster.local."),
    ("TXT", '"1.1.0"'),
    ("TXT", r'"a \"b\"" "" "c\\d" "e\000\255f"'),
    ("SPF", '"v=spf1 -all"'),
    ("HINFO", '"RFC8482" ""'),
    ("RP", "admin.example.com. ."),
    ("LOC", "37 14 12.094 N 115 48 14.649 W 1381.00m"),
    ("NAPTR", r'10 20 "s" "SIP+D2U" "!^.*$!sip:info@example.com!" .'),
    ("DS", f"12345 8 2 {DIGEST}"),
    ("CDS", f"12345 8 2 {DIGEST}"),
    ("DNSKEY", "257 3 8 AwEAAaetidLzsKWUt4swWR8yu0wPHPiU"),
    ("CDNSKEY", "257 3 8 AwEAAaetidLzsKWUt4swWR8yu0wPHPiU"),
    ("RRSIG", "A 8 2 30 20300101000000 20200101000000 12345 example.com. AwEAAaetidLzsKWU"),
    ("NSEC", "b.example.com. A AAAA RRSIG NSEC"),
    ("SSHFP", f"1 2 {DIGEST}"),
    ("TLSA", f"3 1 1 {DIGEST}"),
    ("SMIMEA", f"3 1 1 {DIGEST}"),
    ("CAA", '0 issue "letsencrypt.org"'),
    ("HTTPS", "1 . alpn=h2,h3 port=8443 ipv4hint=10.0.0.1"),
    ("SVCB", "0 svc.example.com."),
    ("URI", '10 1 "https://example.com/"'),
    ("NSEC3", "1 0 10 ab 0123456789abcdefghijklmnopqrstuv A"),
    ("TYPE65280", r"\# 3 01ff00"),
    ("TYPE65280", r"\# 0"),
]


def record(rtype: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text("IN", rtype, text)


class TestData:
    @pytest.mark.parametrize(("rtype", "text"), RECORDS)
    def test_its_text_means_the_same_to_dnspython(self, rtype: str, text: str) -> None:
        data = record(rtype, text).to_wire()
        shown = presentation.data_text(dns.rdatatype.from_text(rtype), data)
        assert record(rtype, shown).to_wire() == data

    @pytest.mark.parametrize(("rtype", "text"), [each for each in RECORDS if each[0] not in ("URI", "NSEC3")])
    def test_it_is_written_as_people_do(self, rtype: str, text: str) -> None:
        """dnslib writes fewer quotation marks, and hexadecimal digits in capitals."""
        shown = presentation.data_text(dns.rdatatype.from_text(rtype), record(rtype, text).to_wire())
        assert shown.lower() == text.lower()

    @pytest.mark.parametrize(
        ("rtype", "data"),
        [
            ("A", b"\x0a\x60\0"),
            ("A", b"\x0a\x60\0\x0a\0"),
            ("AAAA", bytes(15)),
            ("CNAME", b"\1a"),
            ("CNAME", b"\1a\0\0"),
            ("CNAME", b""),
            ("MX", b"\0\x0a"),
            ("SRV", pack("!HHH", 0, 50, 80)),
            ("TXT", b"\5abc"),
            ("TXT", b""),
            ("SOA", b"\0\0" + bytes(19)),
            ("RRSIG", bytes(17)),
            ("LOC", bytes(15)),
            ("HTTPS", b"\0\1\0\0\1\0\5ab"),
            ("DNSKEY", b"\1\1\3\x08"),
        ],
    )
    def test_it_is_shown_as_bytes_if_it_is_not_what_its_type_says(self, rtype: str, data: bytes) -> None:
        number = dns.rdatatype.from_text(rtype)
        assert presentation.data_text(number, data) == rf"\# {len(data)} {data.hex()}".rstrip()

    @pytest.mark.parametrize(
        "name",
        [b"\xc0\0", b"\1a\xc0\0", b"\1a\xc0\1\0", b"\5\4abcd\xc0\5\1a\xc0\0", b"\x40a\0", b"\x3f" + bytes(62)],
        ids=["back", "back to itself", "back to a label", "in a circle of three", "an unknown form", "cut off"],
    )
    @pytest.mark.parametrize(
        ("rtype", "before"), [("CNAME", 0), ("MX", 2), ("SOA", 0), ("SRV", 6), ("RRSIG", 18), ("NSEC", 0)]
    )
    def test_no_pointer_is_followed(self, rtype: str, before: int, name: bytes) -> None:
        data = bytes(before) + name
        assert presentation.data_text(dns.rdatatype.from_text(rtype), data) == rf"\# {len(data)} {data.hex()}"

    @pytest.mark.parametrize("label", [b"a.b", b'"', b"\\", b";", b"(", b"@"])
    def test_a_name_that_could_be_taken_for_another_is_shown_as_bytes(self, label: bytes) -> None:
        data = bytes((len(label),)) + label + b"\0"
        assert presentation.data_text(dns.rdatatype.CNAME, data) == rf"\# {len(data)} {data.hex()}"

    @pytest.mark.parametrize(
        ("rtype", "data"),
        [
            ("CAA", b'\0\5issuea" "b'),
            ("CAA", b"\0\5issuea\\b"),
            ("CAA", b"\0\5is;uea"),
            ("NAPTR", b'\0\1\0\2\1"\0\0\0'),
            ("NAPTR", b"\0\1\0\2\0\1\\\0\0"),
            ("NAPTR", b'\0\1\0\2\0\0\1"\0'),
            ("SVCB", b'\0\1\1"\0'),
            ("HTTPS", b"\0\1\1;\0"),
            ("RRSIG", b"\xff\0" + bytes(16) + b"\0\1"),
        ],
    )
    def test_a_text_that_could_be_taken_for_another_is_shown_as_bytes(self, rtype: str, data: bytes) -> None:
        assert presentation.data_text(dns.rdatatype.from_text(rtype), data) == rf"\# {len(data)} {data.hex()}"

    @given(
        st.sampled_from([*map(int, presentation.known_types()), 65280]),
        st.binary(max_size=80) | st.binary(max_size=20).map(lambda data: b"\0\1\0\1\0\1" + data),
    )
    def test_whatever_it_is_its_text_is_printable_and_short(self, rtype: int, data: bytes) -> None:
        text = presentation.data_text(rtype, data)
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 80 + 12 * len(data) + 256 * 10 * (rtype == dns.rdatatype.NSEC)


class TestTypes:
    @pytest.mark.parametrize(
        ("text", "number"),
        [("A", 1), ("aaaa", 28), ("Https", 65), ("SMIMEA", 53), ("HIP", 55), ("TYPE1", 1), ("type65280", 65280)],
    )
    def test_by_name(self, text: str, number: int) -> None:
        assert presentation.type_number(text) == number == dns.rdatatype.from_text(text)

    @pytest.mark.parametrize(
        "text", ["", "X", "TYPE", "TYPE0", "TYPE65536", "TYPE-1", "TYPE1²", "1", "A A", "__class__"]
    )
    def test_no_other_text_is_one(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no record type"):
            presentation.type_number(text)

    @given(st.integers(1, 0xFFFF))
    def test_there_and_back(self, number: int) -> None:
        assert presentation.type_number(presentation.type_text(number)) == number

    def test_names_are_those_of_the_registry(self) -> None:
        known = {number: presentation.type_text(number) for number in presentation.known_types()}
        del known[38], known[32769]  # A6 and DLV: obsolete, and not known to dnspython in all versions
        assert {each: dns.rdatatype.to_text(each) for each in known} == known


class TestRcodes:
    @pytest.mark.parametrize("number", [*range(11), 16])
    def test_names_are_those_of_the_registry(self, number: int) -> None:
        assert presentation.rcode_text(number) == dns.rcode.to_text(dns.rcode.Rcode(number))

    def test_others_are_numbers(self) -> None:
        assert presentation.rcode_text(12) == "RCODE12"


class TestExtendedErrors:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (b"", []),
            (pack("!HHH", 15, 2, 0), ["EDE 0 (Other)"]),
            (pack("!HHH", 15, 7, 14) + b"later", ["EDE 14 (Not Ready): later"]),
            (pack("!HHH", 15, 3, 4711) + b"x", ["EDE 4711: x"]),
            (
                pack("!HHH", 15, 4, 0) + b"a\0" + pack("!HHH", 15, 3, 14) + b"b",
                ["EDE 0 (Other): a", "EDE 14 (Not Ready): b"],
            ),
            (pack("!HHH", 10, 2, 0) + pack("!HHH", 15, 2, 14), ["EDE 14 (Not Ready)"]),
            (pack("!HHH", 15, 2 + 7, 0) + "\x1b[31mé".encode()[:7], ["EDE 0 (Other): \\u001b[31mé"]),
            (pack("!HHH", 15, 3, 0) + b"\xff", ["EDE 0 (Other): \ufffd"]),
        ],
    )
    def test_each_in_words(self, options: bytes, expected: list[str]) -> None:
        assert [*presentation.extended_errors(options)] == expected

    @pytest.mark.parametrize("code", ReasonCode)
    def test_those_of_our_own_have_names(self, code: ReasonCode) -> None:
        (text,) = presentation.extended_errors(pack("!HHH", 15, 2, code))
        assert text == f"EDE {code} ({code.name.replace('_', ' ').title()})"
