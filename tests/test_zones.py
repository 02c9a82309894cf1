"""Zone files as values: their text becomes records, and these say what there is to say to a question."""

from __future__ import annotations

import random
import time

import dns.name
import dns.rdata
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns import names
from clusterdns.presentation import type_number, type_text
from clusterdns.records import Answer, Question, Record
from clusterdns.zones import MasterFileError, ServedZone, ServedZones, make_zone, master_file, read_records
from clusterdns.zones.data import read_data
from clusterdns.zones.text import entries, name_from_text, name_text
from clusterdns.zones.zone import NotAZone, lookup
from tests.upstreams.zones import TYPES

ORIGIN = names.from_text("example.org")


def records(text: str, files: dict[str, str] | None = None) -> list[Record]:
    def read(name: str, _includer: str) -> tuple[str, str]:
        if name not in (files or {}):
            raise FileNotFoundError(2, "No such file or directory")
        return name, (files or {})[name]

    return read_records("db", text, ORIGIN, read)


def lines(found: list[Record]) -> list[str]:
    """As dnspython writes them, relative to the origin."""
    return [
        f"{name_text(each.owner).removesuffix('example.org.').rstrip('.') or '@'} {each.ttl} {type_text(each.rtype)} "
        + dns.rdata.from_wire(1, each.rtype, each.data, 0, len(each.data), dns.name.from_text("example.org")).to_text()
        for each in found
    ]


class TestMasterFiles:
    """RFC 1035 section 5, RFC 2308 section 4."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("www 60 IN A 192.0.2.1", ["www 60 A 192.0.2.1"]),
            ("www.example.org. 60 IN A 192.0.2.1", ["www 60 A 192.0.2.1"]),
            ("WWW 60 in a 192.0.2.1", ["www 60 A 192.0.2.1"]),
            ("@ IN 60 A 192.0.2.1", ["@ 60 A 192.0.2.1"]),
            (
                "a 60 A 192.0.2.1\n  A 192.0.2.2\n\tTXT x ; a comment\n",
                ["a 60 A 192.0.2.1", "a 60 A 192.0.2.2", 'a 60 TXT "x"'],
            ),
            (
                "$TTL 1h\na A 192.0.2.1\nb 60 A 192.0.2.1\nc A 192.0.2.1",
                ["a 3600 A 192.0.2.1", "b 60 A 192.0.2.1", "c 3600 A 192.0.2.1"],
            ),
            ("a 1d2h A 192.0.2.1", ["a 93600 A 192.0.2.1"]),
            ("a A 192.0.2.1", ["a 3600 A 192.0.2.1"]),
            ("@ SOA ns admin 1 2 3 4 77\na A 192.0.2.1", ["@ 77 SOA ns admin 1 2 3 4 77", "a 77 A 192.0.2.1"]),
            ("@ 9 SOA ns admin ( 1 ; serial\n 2h 3m\n 4w 5 )\n", ["@ 9 SOA ns admin 1 7200 180 2419200 5"]),
            (
                "$ORIGIN sub\na 1 MX 10 @\n$ORIGIN example.net.\n\t1 MX 10 b",
                ["a.sub 1 MX 10 sub", "a.sub 1 MX 10 b.example.net."],
            ),
            ('a 1 TXT one "two; (three)" "a \\"quote\\"" \\101', ['a 1 TXT "one" "two; (three)" "a \\"quote\\"" "e"']),
            ("a\\.b 1 TXT x", ['a\\.b 1 TXT "x"']),
            ("* 1 A 192.0.2.1", ["* 1 A 192.0.2.1"]),
            ("a 1 TYPE65280 \\# 3 aa bbcc", ["a 1 TYPE65280 \\# 3 aabbcc"]),
            ("a 1 A \\# 4 c0000201", ["a 1 A 192.0.2.1"]),
            (
                "x 1 A 192.0.2.9\n$INCLUDE more sub\n  1 A 192.0.2.2",
                ["x 1 A 192.0.2.9", "m.sub 1 A 192.0.2.1", "x 1 A 192.0.2.2"],
            ),
            (
                "$GENERATE 8-12/2 h-${0,3} 1 A 10.0.0.$",
                ["h-008 1 A 10.0.0.8", "h-010 1 A 10.0.0.10", "h-012 1 A 10.0.0.12"],
            ),
            ("$GENERATE 1-2 $ 1 PTR h-${15,2,x}.example.org.", ["1 1 PTR h-10", "2 1 PTR h-11"]),
            ("\r\na 1 A 192.0.2.1\r\n", ["a 1 A 192.0.2.1"]),
            ("", []),
        ],
    )
    def test_become_records(self, text: str, expected: list[str]) -> None:
        assert lines(records(text, {"more": "m 1 A 192.0.2.1\n"})) == expected

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("\n\nwww A 192.0.2", "db:3: Expected 4 octets in '192.0.2'"),
            ("  A 192.0.2.1", "db:1: there is no record before this one to have the owner of"),
            ("www", "db:1: no type"),
            ("www CH TXT x", "db:1: there are only records of class IN here, not CH"),
            ("www WHAT x", "db:1: 'WHAT' is no record type: expected one such as A, SRV or TYPE65280"),
            ("a..b A 192.0.2.1", "db:1: a label has 1 to 63 bytes, not 0: 'a..b'"),
            ("a MX mail", "db:1: 2 words of data expected, not 1"),
            ('a TXT (\n"b"\n', "db:1: a parenthesis without its other one"),
            ('a 1 A 192.0.2.1\na TXT "b\n', "db:2: a quotation mark without its other one"),
            ("a TXT b\\\n", "db:1: a backslash before nothing"),
            ("$ORIGIN", "db:1: $ORIGIN: expected $ORIGIN NAME, $TTL TTL, $INCLUDE FILE [ORIGIN] or $GENERATE"),
            ("$TTL soon", "db:1: 'soon' is no number of seconds"),
            ("$INCLUDE nowhere", "db:1: nowhere: No such file or directory"),
            ("$INCLUDE bad", "bad:2: 'WHAT' is no record type: expected one such as A, SRV or TYPE65280"),
            ("$INCLUDE self", "self:1: more than 16 files that include one another"),
            ("$GENERATE 1-999999999 a$ A 192.0.2.1", "db:1: 1-999999999: more than 65536 records"),
            ("$GENERATE 5 a$ A 192.0.2.1", "db:1: '5' is no range such as 1-9 or 0-100/10"),
            ("$INCLUDE wide", "wide:1000: more than 1000 files are included"),
            ('$INCLUDE "\\255"', 'db:1: "\\255": No such file or directory'),
            (f"$TTL {'9' * 5000}", f"db:1: '{'9' * 40}' is no number of seconds"),
            (f"@ SOA ns admin {'9' * 5000} 2 3 4 5", f"db:1: '{'9' * 40}' is no number of 32 bits"),
            (f"{'a' * 5000} A 192.0.2.1", f"db:1: '{'a' * 40}'… is longer than 255 bytes"),
            ("$\x1b[31m", "db:1: $\\x1b[31m: expected $ORIGIN NAME, $TTL TTL, $INCLUDE FILE [ORIGIN] or $GENERATE"),
        ],
    )
    def test_faults_have_their_place(self, text: str, fault: str) -> None:
        with pytest.raises(MasterFileError) as caught:
            records(text, {"bad": "\na WHAT x\n", "self": "$INCLUDE self\n", "wide": "$INCLUDE no\n" * 2000, "no": ""})
        assert str(caught.value) == fault

    @pytest.mark.parametrize("text", [f"a {'1' * 60}x A 192.0.2.1", f"a {'1h' * 30000}x A 192.0.2.1", "a" * 10**6])
    def test_no_word_takes_long(self, text: str) -> None:
        """Nobody else has a turn while a pattern is matched: a TTL of 40 digits once stopped the server for ever."""
        started = time.process_time()
        with pytest.raises(MasterFileError):
            records(text)
        assert time.process_time() - started < 5

    def test_all_that_is_generated_has_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(master_file, "MOST_GENERATED_IN_ALL", 1000)
        with pytest.raises(MasterFileError, match=r"db:2: more than 1000 records of all \$GENERATE"):
            records("$GENERATE 1-999 a$ A 192.0.2.1\n" * 2)

    @given(st.text(alphabet='ax. 60INATXTMSO$RG{}-,()";\\#\t\n0123456789', max_size=60))
    def test_whatever_comes_is_records_or_a_fault(self, text: str) -> None:
        try:
            records(text)
        except MasterFileError:
            return


class TestData:
    """Each type's text, held against dnspython's reading of it."""

    @pytest.mark.parametrize("rtype", [each for each in TYPES if not each.startswith("TYPE")])
    def test_is_what_others_understand(self, rtype: str) -> None:
        rng = random.Random(rtype)
        origin = dns.name.from_text("example.org")
        for _ in range(20):
            text = TYPES[rtype](rng)
            words = [word for *_, found in entries(text) for word in found]
            ours = read_data(type_number(rtype), words, lambda name: name_from_text(name, ORIGIN))
            assert ours == dns.rdata.from_text("IN", rtype, text, origin).to_wire(origin=origin), text

    @pytest.mark.parametrize(
        ("rtype", "text"),
        [
            ("LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"),
            ("LOC", "42 21 54 N 71 06 18 W -24m 30m"),
            ("LOC", "0 S 0 W 0"),
            ("HTTPS", '1 . alpn="h2,h3" ipv4hint=192.0.2.1,192.0.2.2 port=8443'),
            ("SVCB", '16 foo mandatory=alpn,ipv4hint ipv4hint=192.0.2.1 alpn="f\\\\\\\\oo\\\\,bar,h2"'),
            (
                "SVCB",
                "1 foo key667=hello\\210qoo",
            ),
            ("SVCB", "0 foo"),
            ("CAA", '0 issue "ca.example; account=1"'),
            ("NSEC", "next A MX RRSIG NSEC TYPE1234"),
            ("NSEC3", "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG"),
            ("NSEC3PARAM", "1 0 12 -"),
            ("RRSIG", "A 5 3 86400 20030322173103 20030220173103 2642 example.com. aaaa"),
            ("DS", "60485 ECDSAP256SHA256 1 2BB183AF5F22588179A53B0A98631FAD1A292118"),
            ("APL", "1:192.168.32.0/21 !1:192.168.38.0/28 2:FF00:0:0:0:0:0:0:0/8"),
            ("IPSECKEY", "10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
            ("IPSECKEY", "10 3 2 mygateway.example.com. AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
            ("HIP", "2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p rvs.example.com."),
            ("CERT", "PKIX 1 RSASHA256 aaaa"),
            ("X25", "311061700956"),
            ("ISDN", "150862028003217 004"),
            ("EUI64", "00-00-5e-ef-10-00-00-2a"),
            ("L64", "10 2001:0db8:1140:1000"),
        ],
    )
    def test_of_odd_forms(self, rtype: str, text: str) -> None:
        origin = dns.name.from_text("example.org")
        words = [word for *_, found in entries(text) for word in found]
        ours = read_data(type_number(rtype), words, lambda name: name_from_text(name, ORIGIN))
        assert ours == dns.rdata.from_text("IN", rtype, text, origin).to_wire(origin=origin)

    @pytest.mark.parametrize(
        ("rtype", "text"),
        [
            ("A", "192.0.2.1 2"), ("AAAA", "1.2.3.4"), ("SRV", "1 2 65536 a"), ("LOC", "91 N 0 E 0m"), ("LOC", "x"),
            ("HTTPS", "1 . port=x"), ("HTTPS", "1 . what=1"), ("HTTPS", "1 . alpn=a alpn=b"), ("DS", "1 WHAT 1 aa"),
            ("NSEC3", "1 0 1 zz 2t7b"), ("RRSIG", "A 5 3 60 2003 20030220173103 1 a a"), ("APL", "3:1.2.3.4/8"),
            ("EUI48", "00-00"), ("L64", "10 1:2:3"), ("HIP", "2"), ("IPSECKEY", "1 9 1 . aaaa"), ("DNSKEY", "1 3 8 !"),
            ("NID", "1 12345:0:0:0"), ("NID", "1 -1:0:0:0"), ("LOC", "0 N 0 E -200000m"), ("LOC", "0 N 0 E 99999999m"),
            ("LOC", f"0 N 0 E 1{400 * '0'}m"), ("HIP", f"2 20 {100000 * 'A'}"),
            ("MX", r"\# 1 00"), ("CNAME", r"\# 0"), ("TXT", '"' + 300 * "a" + '" ' + 66000 * '"" '),
        ],
    )  # fmt: skip
    def test_of_wrong_forms(self, rtype: str, text: str) -> None:
        with pytest.raises(MasterFileError):
            records(f"a 1 {rtype} {text}")


ZONE = make_zone(
    ORIGIN,
    records(
        """
$TTL 300
@ 600 SOA ns admin 7 7200 1800 86400 60
@ NS ns
@ MX 10 mail
ns A 192.0.2.53
mail A 192.0.2.25
mail AAAA 2001:db8::25
www CNAME web
web A 192.0.2.1
web A 192.0.2.2
out CNAME www.example.net.
dead CNAME nothing
deep.down.below A 192.0.2.3
*.wild A 192.0.2.4
*.wild MX 10 mail
x.wild TXT "not a wildcard"
*.alias CNAME web
child NS ns.child
child NS ns.example.net.
ns.child A 192.0.2.54
into CNAME www.child
tree DNAME example.net.
inner DNAME wild
_sip._tcp SRV 0 5 5060 web
other.example.com. A 192.0.2.99
"""
    ),
)


def shown(answer: Answer) -> list[str]:
    """What is not NOERROR and authoritative; then the records, behind the name of their section."""
    sections = (("", answer.records), ("authority: ", answer.authority), ("additional: ", answer.additional))
    status = [f"rcode {answer.rcode}"] if answer.rcode else []
    status += ["" if answer.authoritative else "not authoritative"]
    status += [f"onward: {name_text(answer.onward)}"] if answer.onward else []
    return [*filter(None, status), *[title + line for title, found in sections for line in lines(list(found))]]


NS = "authority: @ 300 NS ns"
SOA = "authority: @ 60 SOA ns admin 7 7200 1800 86400 60"
MAIL = ("additional: mail 300 A 192.0.2.25", "additional: mail 300 AAAA 2001:db8::25")
WEB = ("web 300 A 192.0.2.1", "web 300 A 192.0.2.2")
CHILD = (
    "authority: child 300 NS ns.child",
    "authority: child 300 NS ns.example.net.",
    "additional: ns.child 300 A 192.0.2.54",
)


class TestLookup:
    """RFC 1034 section 4.3.2."""

    @pytest.mark.parametrize(
        ("name", "rtype", "expected"),
        [
            ("web", "A", [*WEB, NS]),
            ("web", "AAAA", [SOA]),
            ("nothing", "A", ["rcode 3", SOA]),
            ("below.nothing", "A", ["rcode 3", SOA]),
            ("", "NS", ["@ 300 NS ns", "additional: ns 300 A 192.0.2.53"]),
            ("", "SOA", ["@ 600 SOA ns admin 7 7200 1800 86400 60", NS]),
            ("", "MX", ["@ 300 MX 10 mail", NS, *MAIL]),
            ("_sip._tcp", "SRV", ["_sip._tcp 300 SRV 0 5 5060 web", NS, *[f"additional: {each}" for each in WEB]]),
            ("mail", "ANY", ["mail 300 A 192.0.2.25", "mail 300 AAAA 2001:db8::25", NS]),
            # Empty non-terminals
            ("down.below", "A", [SOA]),
            ("below", "A", [SOA]),
            ("x.below", "A", ["rcode 3", SOA]),
            # Aliases
            ("www", "A", ["www 300 CNAME web", *WEB, NS]),
            ("www", "CNAME", ["www 300 CNAME web", NS]),
            ("www", "TXT", ["www 300 CNAME web", SOA]),
            ("dead", "A", ["rcode 3", "dead 300 CNAME nothing", SOA]),
            ("out", "A", ["onward: www.example.net.", "out 300 CNAME www.example.net.", NS]),
            # Wildcards
            ("a.wild", "A", ["a.wild 300 A 192.0.2.4", NS]),
            ("a.b.wild", "A", ["a.b.wild 300 A 192.0.2.4", NS]),
            ("a.wild", "TXT", [SOA]),
            ("a.wild", "MX", ["a.wild 300 MX 10 mail", NS, *MAIL]),
            ("x.wild", "A", [SOA]),
            ("a.x.wild", "A", ["rcode 3", SOA]),
            ("*.wild", "A", ["*.wild 300 A 192.0.2.4", NS]),
            ("wild", "A", [SOA]),
            ("a.alias", "A", ["a.alias 300 CNAME web", *WEB, NS]),
            # Delegations
            ("child", "A", ["not authoritative", *CHILD]),
            ("a.b.child", "A", ["not authoritative", *CHILD]),
            ("ns.child", "A", ["not authoritative", *CHILD]),
            ("child", "DS", [SOA]),
            ("into", "A", ["into 300 CNAME www.child", *CHILD]),
            # Trees
            ("tree", "DNAME", ["tree 300 DNAME example.net.", NS]),
            ("tree", "A", [SOA]),
            (
                "a.b.tree",
                "A",
                ["onward: a.b.example.net.", "tree 300 DNAME example.net.", "a.b.tree 300 CNAME a.b.example.net.", NS],
            ),
            (
                "x.inner",
                "TXT",
                ["inner 300 DNAME wild", "x.inner 300 CNAME x.wild", 'x.wild 300 TXT "not a wildcard"', NS],
            ),
            ("x.tree", "CNAME", ["tree 300 DNAME example.net.", "x.tree 300 CNAME x.example.net."]),
        ],
    )
    def test_what_a_zone_says(self, name: str, rtype: str, expected: list[str]) -> None:
        question = Question(names.from_text(f"{name}.example.org" if name else "example.org"), type_number(rtype))
        assert shown(lookup(ZONE, question, dnssec_ok=False)) == expected

    def test_a_name_that_a_tree_makes_too_long(self) -> None:
        zone = make_zone(ORIGIN, records("@ SOA a b 1 2 3 4 5\nt DNAME a-much-longer-name-than-the-one-before"))
        long = names.from_text(".".join(["a" * 63] * 3 + ["b" * 40, "t.example.org"]))
        assert shown(lookup(zone, Question(long, 1), dnssec_ok=False))[0] == "rcode 6"

    def test_what_is_not_in_the_zone_is_left_out(self) -> None:
        assert ZONE.outside == 1

    def test_a_record_that_comes_twice_is_one(self) -> None:
        zone = make_zone(ORIGIN, records("@ SOA a b 1 2 3 4 5\na 60 A 192.0.2.1\na 30 A 192.0.2.2\na 60 A 192.0.2.1"))
        found = lookup(zone, Question(names.from_text("a.example.org"), 1), dnssec_ok=False)
        assert lines(list(found.records)) == ["a 60 A 192.0.2.1", "a 60 A 192.0.2.2"], "of one TTL"

    def test_a_zone_needs_a_soa_record(self) -> None:
        with pytest.raises(NotAZone):
            make_zone(ORIGIN, records("a A 192.0.2.1"))

    def test_any_soa_record_will_do(self) -> None:
        """So it is with CoreDNS, where a file is read for the zone of a server block."""
        zone = make_zone(names.ROOT, records("@ SOA a b 1 2 3 4 5\na A 192.0.2.1"))
        assert shown(lookup(zone, Question(names.from_text("no.example"), 1), dnssec_ok=False))[0] == "rcode 3"


class TestServedZones:
    def served(self, *zones: tuple[str, str | None], fall_through: str = "") -> ServedZones:
        served = ServedZones()
        through = frozenset([names.from_text(fall_through)] if fall_through else [])
        served.put(
            ServedZone(name, make_zone(name, records(text)) if text is not None else None, through)
            for name, text in [(names.from_text(zone), text) for zone, text in zones]
        )
        return served

    def says(self, served: ServedZones, name: str, rtype: str = "A") -> str:
        answer = served.answer(Question(names.from_text(name), type_number(rtype)), dnssec_ok=False)
        return "nothing" if answer is None else ", ".join(shown(answer)[:1])

    OUTER = "@ SOA a b 1 2 3 4 5\na.sub A 192.0.2.1\n*.wild A 192.0.2.3\nhost A 192.0.2.4"
    INNER = "@ SOA a b 1 2 3 4 5\na.sub A 192.0.2.2"

    def test_the_longest_zone_decides(self) -> None:
        served = self.served(("example.org", self.OUTER), ("sub.example.org", self.INNER))
        assert self.says(served, "a.sub.example.org") == "a.sub 5 A 192.0.2.2"
        assert self.says(served, "b.sub.example.org") == "rcode 3"
        assert self.says(served, "example.net") == "nothing"

    @pytest.mark.parametrize(
        ("name", "rtype", "expected"),
        [
            ("host.example.org", "A", "host 5 A 192.0.2.4"),
            ("none.example.org", "A", "nothing"),
            ("sub.example.org", "A", "nothing"),
            ("x.wild.example.org", "TXT", "nothing"),
            ("host.example.org", "TXT", SOA.replace("60 SOA ns admin 7 7200 1800 86400 60", "5 SOA a b 1 2 3 4 5")),
        ],
    )
    def test_what_is_missing_falls_through(self, name: str, rtype: str, expected: str) -> None:
        """What has other types does not."""
        assert self.says(self.served(("example.org", self.OUTER), fall_through="."), name, rtype) == expected

    def test_only_where_it_shall(self) -> None:
        served = self.served(("example.org", self.OUTER), fall_through="branch.example.org")
        assert self.says(served, "x.branch.example.org") == "nothing"
        assert self.says(served, "x.example.org") == "rcode 3"

    def test_ttls_within_bounds(self) -> None:
        served = ServedZones()
        served.put([ServedZone(ORIGIN, make_zone(ORIGIN, records(self.OUTER)), ttl=(10, 20), negative_ttl=(2, 3))])
        assert self.says(served, "host.example.org") == "host 10 A 192.0.2.4"
        assert self.says(served, "host.example.org", "TXT") == "authority: @ 3 SOA a b 1 2 3 4 5"

    def test_a_file_that_could_not_be_read(self) -> None:
        assert self.says(self.served(("example.org", None)), "host.example.org") == "rcode 2"

    def test_new_zones_take_the_place_of_all(self) -> None:
        served = self.served(("example.org", self.OUTER))
        assert self.says(served, "host.example.org") == "host 5 A 192.0.2.4"
        served.put([])
        assert self.says(served, "host.example.org") == "nothing"
