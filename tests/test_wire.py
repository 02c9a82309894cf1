"""Values <-> bytes: what is malformed, what is cut short, and how names are written once."""

from __future__ import annotations

import random
from itertools import pairwise
from struct import pack, unpack_from

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns import names, queries
from clusterdns.queries import FormatError
from clusterdns.wire import Dialect
from tests.cluster import Server, addresses, expect

NAME = "cart.shop.svc.cluster.local"
QUESTION = names.from_text(NAME) + b"\0\1\0\1"
OPT = b"\0\0\x29" + pack("!HIH", 1232, 0, 0)
TXT = b"\xc0\x0c" + pack("!HHIH", 16, 1, 0, 2) + b"\1x"
PTR_LOOP = b"\xc0\x2f" + pack("!HHIH", 16, 1, 0, 2) + b"\1x"


def endpoints(count: int) -> str:
    return ", ".join(f"{{addresses: [10.244.{each // 250}.{each % 250 + 1}]}}" for each in range(count))


CLUSTER = (
    """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, "fd00:96::a"], ports: [{name: http, port: 80}]}
"""
    + "".join(
        f"""---
kind: Service
metadata: {{name: of-{count}, namespace: shop}}
spec: {{clusterIP: None}}
---
kind: EndpointSlice
metadata: {{name: of-{count}, namespace: shop, labels: {{kubernetes.io/service-name: of-{count}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{endpoints(count)}]
"""
        for count in (2, 27, 28, 29, 30, 60, 1000)
    )
    + """---
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: of-60.shop.svc.cluster.local}
"""
)
SERVER = Server(CLUSTER)


def packet(  # a query that is as wrong as is wished for
    body: bytes = QUESTION, counts: tuple[int, int, int, int] = (1, 0, 0, 0), *, flags: int = 0x0100
) -> bytes:
    return pack("!HHHHHH", 0xBEEF, flags, *counts) + body


def opt(
    *, owner: bytes = b"\0", options: bytes = b"", length: int | None = None, size: int = 1232, ttl: int = 0
) -> bytes:
    return owner + pack("!HHIH", 41, size, ttl, len(options) if length is None else length) + options


def circle() -> bytes:
    """Two pointers that lead to each other: the one is read as a part of a label, the other stands behind it.

    The bytes of the one are text as UTF-8 has it, which takes an offset that is beyond 640.
    """
    filler = b"\0" + pack("!HHIH", 65280, 1, 0, 700) + bytes(700)
    start = 12 + len(QUESTION) + len(filler) + 1
    start += (0x80 - start) % 256
    filler = b"\0" + pack("!HHIH", 65280, 1, 0, 700 + start - 12 - len(QUESTION) - len(filler))
    filler += bytes(start - 12 - len(QUESTION) - len(filler))
    inner = b"\1a" + pack("!H", 0xC000 | start)
    return filler + bytes([len(inner)]) + inner + pack("!H", 0xC000 | start + 1) + TXT[2:]


def as_query(reply: bytes) -> bytes:
    """The reply without its opcode: dnspython has its own ideas of what an UPDATE may ask for."""
    return reply[:2] + bytes([reply[2] & 0x87]) + reply[3:]


ADDITIONAL = (1, 0, 0, 1)
MALFORMED = {
    "no question": packet(b"", (0, 0, 0, 0)),
    "no question, but bytes": packet(counts=(0, 0, 0, 0)),
    "a lone cookie query": packet(opt(options=pack("!HH", 10, 8) + bytes(8)), (0, 0, 0, 1)),
    "two questions": packet(QUESTION * 2, (2, 0, 0, 0)),
    "two questions said, one there": packet(counts=(2, 0, 0, 0)),
    "65535 questions": packet(counts=(65535, 0, 0, 0)),
    "no name": packet(b""),
    "a name without an end": packet(b"\4cart"),
    "a label without an end": packet(b"\x3fcart"),
    "a name without a type": packet(QUESTION[:-4]),
    "half a type": packet(QUESTION[:-3]),
    "no class": packet(QUESTION[:-2]),
    "half a class": packet(QUESTION[:-1]),
    "a label of 64 bytes": packet(b"\x40" + b"x" * 64 + b"\0\0\1\0\1"),
    "a label of type 10": packet(b"\x80" + b"x" * 128 + b"\0\0\1\0\1"),
    "a bit label": packet(b"\x41\x01\x80\0\0\1\0\1"),
    "a name of 256 bytes": packet((b"\x3f" + b"x" * 63) * 3 + b"\x3e" + b"x" * 62 + b"\0\0\1\0\1"),
    "a pointer to itself": packet(b"\xc0\x0c\0\1\0\1"),
    "a pointer into the header": packet(b"\xc0\x00\0\1\0\1"),
    "a pointer behind a label": packet(b"\4cart\xc0\x0c\0\1\0\1"),
    "a pointer forward": packet(b"\xc0\x12\0\1\0\1\0"),
    "a pointer out of the packet": packet(b"\xff\xff\0\1\0\1"),
    "bytes behind the question": packet(QUESTION + b"\0"),
    "bytes behind the OPT record": packet(QUESTION + OPT + b"\0", ADDITIONAL),
    "an OPT record that is not counted": packet(QUESTION + OPT),
    "an OPT record that is not there": packet(counts=ADDITIONAL),
    "half an OPT record": packet(QUESTION + OPT[:5], ADDITIONAL),
    "an OPT record without its length": packet(QUESTION + OPT[:9], ADDITIONAL),
    "an OPT record longer than the packet": packet(QUESTION + opt(length=4), ADDITIONAL),
    "two OPT records": packet(QUESTION + OPT * 2, (1, 0, 0, 2)),
    "two OPT records and a TXT record": packet(QUESTION + OPT + TXT + OPT, (1, 0, 0, 3)),
    "an OPT record among the answers": packet(QUESTION + OPT, (1, 1, 0, 0)),
    "an OPT record as authority": packet(QUESTION + OPT, (1, 0, 1, 0)),
    "an OPT record with an owner": packet(QUESTION + opt(owner=b"\1x\0"), ADDITIONAL),
    "an OPT record whose owner is a pointer": packet(QUESTION + opt(owner=b"\xc0\x0c"), ADDITIONAL),
    "an option without its length": packet(QUESTION + opt(options=b"\0\x0a\0"), ADDITIONAL),
    "an option of one byte": packet(QUESTION + opt(options=b"\0"), ADDITIONAL),
    "an option longer than its record": packet(QUESTION + opt(options=pack("!HH", 10, 9) + bytes(8)), ADDITIONAL),
    "a second option longer than its record": packet(
        QUESTION + opt(options=pack("!HH", 3, 0) + pack("!HH", 10, 1)), ADDITIONAL
    ),
    "a record that is not there": packet(QUESTION + TXT, (1, 0, 0, 2)),
    "a record that is cut off": packet(QUESTION + TXT[:-1], ADDITIONAL),
    "bytes behind a record": packet(QUESTION + TXT + b"\0", ADDITIONAL),
    "a record whose name is a pointer to itself": packet(QUESTION + PTR_LOOP, ADDITIONAL),
    "a record whose name is a pointer forward": packet(QUESTION + b"\xc1\0" + TXT[2:], ADDITIONAL),
    "records whose names lead in a circle": packet(QUESTION + circle(), (1, 0, 0, 2)),
    "more records than any query has": packet(QUESTION + TXT * 9, (1, 0, 0, 9)),
    "65535 records": packet(QUESTION + TXT * 2, (1, 65535, 65535, 65535)),
}


class TestMalformed:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
    def test_formerr(self, malformed: bytes, stream: bool) -> None:
        """With the ID and RD of the query and nothing else, whatever was asked before."""
        SERVER.ask(NAME, stream=stream)
        SERVER.ask(NAME, stream=stream, use_edns=0)
        reply = (SERVER.stream if stream else SERVER.datagram)(malformed)
        assert reply == b"\xbe\xef\x81\x01" + bytes(8)
        with pytest.raises(FormatError):
            queries.read_query(malformed)

    @pytest.mark.parametrize("length", [0, 1])
    def test_silence_without_an_id(self, length: int) -> None:
        assert SERVER.datagram(packet()[:length]) is None

    @pytest.mark.parametrize("length", range(2, 12))
    def test_formerr_to_a_short_header(self, length: int) -> None:
        reply = dns.message.from_wire(SERVER.datagram(packet()[:length]))
        assert (reply.id, reply.rcode()) == (0xBEEF, dns.rcode.FORMERR)

    @pytest.mark.parametrize("length", range(12, 12 + len(QUESTION) + len(OPT)))
    def test_formerr_to_a_packet_that_is_cut_off_anywhere(self, length: int) -> None:
        assert SERVER.datagram(packet(QUESTION + OPT, ADDITIONAL)[:length]) == b"\xbe\xef\x81\x01" + bytes(8)

    @pytest.mark.parametrize("malformed", [*MALFORMED.values(), packet()], ids=[*MALFORMED, "nothing"])
    def test_a_response_is_never_answered(self, malformed: bytes) -> None:
        for flags in (0x80, 0x81, 0xA0, 0xFF):
            assert SERVER.datagram(malformed[:2] + bytes([flags]) + malformed[3:]) is None

    @pytest.mark.parametrize("length", range(3, 12))
    def test_nor_a_short_one(self, length: int) -> None:
        assert SERVER.datagram(b"\xbe\xef\x80".ljust(length, b"\0")) is None

    @pytest.mark.parametrize("kind", [b"tcp", b"t", b"u", b"udp", b"\0"])
    def test_no_bytes_behind_the_question_reach_the_replies_of_a_stream(self, kind: bytes) -> None:
        """They are long, and a datagram's sender may not be who it says."""
        name = "of-1000.shop.svc.cluster.local"
        for form in ({}, {"use_edns": 0, "payload": 1232}):
            query = dns.message.make_query(name, "A", **form).to_wire()
            for respond in (SERVER.stream, SERVER.datagram):
                respond(query)
            for respond in (SERVER.stream, SERVER.datagram):
                assert len(respond(query + kind)) == 12


class TestRareRecords:
    """A query with more than a question and an OPT record is answered all the same."""

    @pytest.mark.parametrize(
        ("records", "counts"),
        [
            (TXT, (1, 0, 0, 1)),
            (TXT, (1, 1, 0, 0)),
            (TXT, (1, 0, 1, 0)),
            (TXT * 8, (1, 2, 2, 4)),
            (b"\0" + pack("!HHIH", 65280, 255, 0, 3) + b"\xff\0\xc0", (1, 0, 0, 1)),
        ],
    )
    def test_are_skipped(self, records: bytes, counts: tuple[int, int, int, int]) -> None:
        reply = dns.message.from_wire(SERVER.datagram(packet(QUESTION + records, counts)))
        assert addresses(reply) == ["10.96.0.10"]
        assert reply.opt is None

    @pytest.mark.parametrize("body", [TXT + OPT, OPT + TXT])
    def test_leave_the_opt_record_in_force(self, body: bytes) -> None:
        reply = dns.message.from_wire(SERVER.datagram(packet(QUESTION + body, (1, 0, 0, 2))))
        assert addresses(reply) == ["10.96.0.10"]
        assert reply.payload == 1232

    @pytest.mark.parametrize("edns", [-1, 0])
    def test_a_transaction_signature(self, edns: int) -> None:
        query = dns.message.make_query(NAME, "A", use_edns=edns)
        query.use_tsig(dns.tsigkeyring.from_text({"key.": "c2VjcmV0"}))
        reply = dns.message.from_wire(SERVER.datagram(query.to_wire()))
        assert addresses(reply) == ["10.96.0.10"]

    def test_the_soa_record_of_an_incremental_transfer(self) -> None:
        query = dns.message.make_query("cluster.local", "IXFR")
        query.authority.append(dns.rrset.from_text("cluster.local.", 0, "IN", "SOA", "a. b. 1 2 3 4 5"))
        expect(SERVER.asked(query), rcode="REFUSED")


class TestRefusals:
    @pytest.mark.parametrize("name", [NAME, "www.example.com", "nobody.shop.svc.cluster.local"])
    @pytest.mark.parametrize("rdclass", ["CH", "HS", "ANY", "NONE", "CLASS2"])
    def test_other_classes(self, name: str, rdclass: str) -> None:
        expect(SERVER.asked(dns.message.make_query(name, "A", rdclass)), rcode="REFUSED")

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("rtype", ["AXFR", "IXFR"])
    @pytest.mark.parametrize("name", ["cluster.local", NAME])
    def test_transfers(self, name: str, rtype: str, stream: bool) -> None:
        expect(SERVER.ask(name, rtype, stream=stream), rcode="REFUSED")

    @pytest.mark.parametrize("opcode", range(1, 16))
    def test_other_opcodes(self, opcode: int) -> None:
        for body, counts in ((QUESTION, (1, 0, 0, 0)), (b"", (0, 0, 0, 0)), (QUESTION + OPT, ADDITIONAL)):
            reply = SERVER.datagram(packet(body, counts, flags=opcode << 11 | 0x100))
            assert reply[:4] == pack("!HH", 0xBEEF, 0x8100 | opcode << 11 | dns.rcode.NOTIMP)
            message = dns.message.from_wire(as_query(reply))
            assert len(message.question) == counts[0]
            assert (message.answer, message.opt is None) == ([], body != QUESTION + OPT)

    @pytest.mark.parametrize("version", [1, 2, 255])
    @pytest.mark.parametrize("name", [NAME, "nobody.shop.svc.cluster.local", "www.example.com"])
    def test_newer_edns(self, name: str, version: int) -> None:
        reply = SERVER.ask(name, use_edns=version)
        assert reply.rcode() == dns.rcode.BADVERS
        assert (reply.edns, reply.payload) == (0, 1232)
        assert not reply.answer
        assert not reply.authority


class TestEdns:
    @pytest.mark.parametrize("name", [NAME, "nobody.shop.svc.cluster.local", "www.example.com"])
    def test_is_there_if_the_client_has_it(self, name: str) -> None:
        assert SERVER.ask(name).opt is None
        reply = SERVER.ask(name, use_edns=0, payload=4096)
        assert (reply.edns, reply.payload) == (0, 1232)

    @pytest.mark.parametrize("flags", [0x8000, 0x0000, 0xFFFF, 0x7FFF, 0x4000, 0x0001])
    @pytest.mark.parametrize("name", [NAME, "nobody.shop.svc.cluster.local", "www.example.com"])
    def test_copies_do_and_no_other_flag(self, name: str, flags: int) -> None:
        assert SERVER.ask(name, use_edns=0, ednsflags=flags).ednsflags == flags & 0x8000

    @pytest.mark.parametrize(
        "options",
        [
            [dns.edns.CookieOption(b"8 bytes!", b"")],
            [dns.edns.CookieOption(b"8 bytes!", b"of the server's.")],
            [dns.edns.ECSOption("192.0.2.0", 24)],
            [dns.edns.GenericOption(12, bytes(300))],
            [dns.edns.GenericOption(65001, b"")],
            [dns.edns.NSIDOption(b""), dns.edns.GenericOption(8, b"nonsense")],
        ],
    )
    def test_ignores_options(self, options: list[dns.edns.Option]) -> None:
        reply = SERVER.ask(NAME, use_edns=0, options=options)
        assert addresses(reply) == ["10.96.0.10"]
        assert reply.options == ()


class TestTruncation:
    @pytest.mark.parametrize(
        ("count", "edns", "shown"),
        [
            (2, None, 2),
            (28, None, 28),
            (29, None, 29),
            (30, None, 29),
            (60, None, 29),
            (1000, None, 29),
            (30, 0, 28),
            (30, 511, 28),
            (30, 512, 28),
            (28, 512, 28),
            (29, 512, 28),
            (60, 1232, 60),
            (1000, 1232, 73),
            (1000, 4096, 73),
            (1000, 65535, 73),
        ],
    )
    def test_whole_records_as_far_as_they_fit(self, count: int, edns: int | None, shown: int) -> None:
        form = {} if edns is None else {"use_edns": 0, "payload": edns}
        name = f"of-{count}.shop.svc.cluster.local"
        reply = SERVER.ask(name, **form)
        assert len(addresses(reply)) == shown
        assert bool(reply.flags & dns.flags.TC) == (shown < count)
        assert not reply.authority
        assert (reply.opt is None) == (edns is None)

    @pytest.mark.parametrize("udp_size", [512, 1232, 1400, 4096])
    @pytest.mark.parametrize("payload", [512, 600, 1231, 1232, 1233, 1500, 4096, 65535])
    @pytest.mark.parametrize("rtype", ["A", "SRV"])
    def test_within_the_smaller_size_and_no_smaller_than_it_must(self, udp_size: int, payload: int, rtype: str) -> None:
        server = Server(CLUSTER, dialect=Dialect(udp_size=udp_size))
        query = dns.message.make_query("of-1000.shop.svc.cluster.local", rtype, use_edns=0, payload=payload)
        reply, limit = server.datagram(query.to_wire()), min(udp_size, payload)
        slack = 16 if rtype == "A" else limit // 8  # of a set whose records differ in size, the same number each time
        assert limit - slack < len(reply) <= limit

    def test_a_stream_has_everything(self) -> None:
        reply = SERVER.ask("of-1000.shop.svc.cluster.local", stream=True, use_edns=0, payload=512)
        assert len(set(addresses(reply))) == 1000
        assert not reply.flags & dns.flags.TC

    def test_a_stream_has_its_limit_too(self) -> None:
        given = ", ".join(f"{{addresses: [10.{a}.{b}.1]}}" for a in range(40) for b in range(125))
        server = Server(
            f"""
kind: Service
metadata: {{name: huge, namespace: shop}}
spec: {{clusterIP: None}}
---
kind: EndpointSlice
metadata: {{name: huge, namespace: shop, labels: {{kubernetes.io/service-name: huge}}}}
addressType: IPv4
endpoints: [{given}]
"""
        )
        packet = server.stream(dns.message.make_query("huge.shop.svc.cluster.local", "A").to_wire())
        reply = dns.message.from_wire(packet)
        assert 65535 - 16 < len(packet) <= 65535
        assert reply.flags & dns.flags.TC

    @pytest.mark.parametrize("name", ["of-60", "alias"])
    def test_the_kept_subset_varies(self, name: str) -> None:
        """Every address is in some of the answers."""
        seen = {each for _ in range(60) for each in addresses(SERVER.ask(f"{name}.shop.svc.cluster.local"))}
        assert len(seen) == 60

    def test_an_alias_is_not_cut_from_what_it_leads_to(self) -> None:
        reply = SERVER.ask("alias.shop.svc.cluster.local")
        assert [rrset.rdtype.name for rrset in reply.answer] == ["CNAME", "A"]
        assert len(reply.answer[1]) > 15
        assert reply.flags & dns.flags.TC

    def test_additional_records_are_left_out_without_a_word(self) -> None:
        """RFC 2181 section 9: TC is for what was asked for."""
        name = "_http._tcp.of-27.shop.svc.cluster.local"
        server = Server(CLUSTER, dialect=Dialect(udp_size=4096))
        sizes = {}
        for payload in (1800, 1900, 2000, 4096):
            reply = server.ask(name, "SRV", use_edns=0, payload=payload)
            assert not reply.flags & dns.flags.TC
            assert len(reply.answer[0]) == 27
            sizes[payload] = len(reply.additional)
        assert sizes[1800] < sizes[1900] < sizes[2000] < sizes[4096] == 27

    @given(
        st.sampled_from(["of-30", "of-60", "alias"]),
        st.sampled_from(["A", "AAAA", "SRV"]),
        st.integers(0, 5000),
    )
    def test_a_datagram_says_nothing_that_a_stream_does_not(self, name: str, rtype: str, payload: int) -> None:
        query = dns.message.make_query(f"{name}.shop.svc.cluster.local", rtype, use_edns=0, payload=payload)
        part, whole = SERVER.asked(query), SERVER.asked(query, stream=True)
        assert part.rcode() == whole.rcode()
        for few, many in zip(part.sections, whole.sections, strict=True):
            for rrset in few:
                (same,) = (each for each in many if each.name == rrset.name and each.rdtype == rrset.rdtype)
                assert set(rrset) <= set(same)
                assert rrset.ttl == same.ttl
        if not part.flags & dns.flags.TC:
            assert part.answer == whole.answer


class TestCompression:
    """Every name that ends as the question does is a pointer into it, but for the targets of SRV records."""

    @pytest.mark.parametrize(
        ("name", "rtype", "size"),
        [
            (NAME, "A", 2 + 10 + 4),
            (NAME, "AAAA", 2 + 10 + 16),
            (NAME, "SRV", (2 + 10 + 6 + len(NAME) + 2) + (2 + 10 + 4) + (2 + 10 + 16)),
            ("_http._tcp." + NAME, "SRV", (2 + 10 + 6 + len(NAME) + 2) + (2 + 10 + 4) + (2 + 10 + 16)),
            ("cluster.local", "NS", 2 + 10 + len("\2ns\3dns") + 2),
            ("cluster.local", "SOA", 2 + 10 + len("\2ns\3dns") + 2 + len("\12hostmaster") + 2 + 20),
            ("nobody.svc.cluster.local", "A", 2 + 10 + len("\2ns\3dns") + 2 + len("\12hostmaster") + 2 + 20),
            ("1.in-addr.arpa", "A", 2 + 10 + len("\2ns\3dns") + 2 + len("\12hostmaster") + 2 + 20),
        ],
    )
    def test_size(self, name: str, rtype: str, size: int) -> None:
        query = dns.message.make_query(name, rtype).to_wire()
        assert len(SERVER.datagram(query)) == len(query) + size
        assert SERVER.asked(dns.message.from_wire(query))

    @given(
        st.lists(st.integers(1, 63), min_size=1, max_size=3),
        st.sampled_from(["", "shop.svc.", "svc.", "cart.shop.svc."]),
    )
    def test_a_remembered_denial_fits_names_of_any_length(self, lengths: list[int], rest: str) -> None:
        labels = ".".join("y" * each for each in lengths)
        reply = SERVER.ask(f"{labels}.{rest}cluster.local")
        expect(reply, rcode="NXDOMAIN", authority=SERVER.soa())
        assert reply.authority[0][0].mname == dns.name.from_text("ns.dns.cluster.local")


class TestAnyQuery:
    """Each reply is one that dnspython reads, and that answers the question."""

    LABELS = st.sampled_from(
        [
            "cart",
            "of-60",
            "of-30",
            "alias",
            "shop",
            "svc",
            "pod",
            "_http",
            "_tcp",
            "10-244-0-1",
            "*",
            "dns",
            "ns",
            "x" * 63,
        ]
    )
    SUFFIXES = st.sampled_from(
        ["", "shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "10.in-addr.arpa", "org"]
    )

    @given(
        st.lists(LABELS, max_size=2),
        SUFFIXES,
        st.one_of(st.sampled_from([1, 2, 5, 6, 12, 13, 16, 28, 33, 41, 255, 252]), st.integers(1, 65535)),
        st.sampled_from([1, 1, 1, 3, 255]),
        st.integers(0, 0x7FF).map(lambda flags: flags & ~0x0F),
        st.one_of(st.none(), st.tuples(st.integers(0, 1), st.integers(0, 65535), st.integers(0, 65535))),
        st.booleans(),
    )
    def test_is_answered(  # noqa: PLR0917
        self,
        labels: list[str],
        suffix: str,
        rtype: int,
        rclass: int,
        flags: int,
        edns: tuple[int, int, int] | None,
        stream: bool,
    ) -> None:
        name = names.below(*labels, parent=names.from_text(suffix))
        body = name + pack("!HH", rtype, rclass)
        if edns is not None:
            version, size, ednsflags = edns
            body += opt(size=size, ttl=version << 16 | ednsflags)
        query = packet(body, (1, 0, 0, int(edns is not None)), flags=flags)
        for _ in range(2):
            reply = (SERVER.stream if stream else SERVER.datagram)(query)
            message = dns.message.from_wire(reply)
            assert reply[:2] == query[:2]
            assert reply[12 : 12 + len(name) + 4] == query[12 : 12 + len(name) + 4]
            (sent,) = unpack_from("!H", reply, 2)
            assert sent & 0x8110 == flags & 0x0110 | 0x8000
            assert (message.opt is None) == (edns is None)
            limit = 65535 if stream else 512 if edns is None else min(max(edns[1], 512), 1232)
            assert len(reply) <= limit
            for owner, following in pairwise(message.answer):
                assert owner.rdtype.name == "CNAME"
                assert following.name == owner[0].target


class TestNoisyPackets:
    """Whatever comes, a reply or silence follows, and never an exception."""

    SEED = 20261122

    def seeds(self) -> list[bytes]:
        whole = [
            dns.message.make_query(name, rtype, **form).to_wire()
            for name in (
                NAME,
                "of-30.shop.svc.cluster.local",
                "nobody.shop.svc.cluster.local",
                "10.0.96.10.in-addr.arpa",
            )
            for rtype in ("A", "SRV", "PTR", "ANY")
            for form in ({}, {"use_edns": 0}, {"use_edns": 0, "options": [dns.edns.CookieOption(b"8 bytes!", b"")]})
        ]
        return [*whole, *(each for each in MALFORMED.values() if len(each) < 500)]

    @staticmethod
    def disturbed(chance: random.Random, whole: bytes) -> bytes:
        noisy = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            at = chance.randrange(len(noisy) + 1)
            match chance.randrange(5):
                case 0:
                    del noisy[at:]
                case 1:
                    noisy[at:at] = chance.randbytes(chance.choice((1, 2, 4, 16)))
                case 2:
                    del noisy[at : at + chance.choice((1, 2, 4))]
                case _:
                    noisy[at : at + 1] = bytes(
                        [chance.choice((0, 1, 0x29, 0x3F, 0x40, 0xC0, 0xFF, chance.randrange(256)))]
                    )
        return bytes(noisy)

    def answered(self, noisy: bytes) -> bool:
        reply = SERVER.datagram(noisy)
        if reply is None:
            assert len(noisy) < 2 or noisy[2:3] >= b"\x80"
            return False
        assert reply[:2] == noisy[:2]
        assert reply[2] >= 0x80
        assert 12 <= len(reply) <= 1232
        return True

    def test_disturbed_queries(self) -> None:
        chance, seeds = random.Random(self.SEED), self.seeds()
        count = sum(self.answered(self.disturbed(chance, chance.choice(seeds))) for _ in range(100_000))
        assert 50_000 < count < 100_000

    def test_disturbed_queries_with_more_records(self) -> None:
        chance = random.Random(self.SEED)
        signed = dns.message.make_query(NAME, "A", use_edns=0)
        signed.use_tsig(dns.tsigkeyring.from_text({"key.": "c2VjcmV0"}))
        seeds = [signed.to_wire(), packet(QUESTION + TXT + OPT + TXT, (1, 1, 1, 1))]
        for rtype, data in RARE_DATA:
            record = b"\xc0\x0c" + pack("!HHIH", rtype, 1, 0, len(data)) + data
            seeds.append(packet(QUESTION + record + OPT, (1, 0, 0, 2)))
        for _ in range(8_000):
            self.answered(self.disturbed(chance, chance.choice(seeds)))

    def test_noise(self) -> None:
        chance = random.Random(self.SEED)
        for _ in range(5_000):
            self.answered(chance.randbytes(chance.randrange(80)))

    def test_every_reply_to_a_disturbed_query_can_be_read(self) -> None:
        chance, seeds = random.Random(self.SEED), self.seeds()
        for _ in range(3_000):
            reply = SERVER.datagram(self.disturbed(chance, chance.choice(seeds)))
            if reply is not None and len(reply) > 12:
                dns.message.from_wire(as_query(reply), one_rr_per_rrset=True)


RARE_DATA = [
    (1, bytes(4)),
    (2, b"\xc0\x0c"),
    (5, b"\1x\xc0\x0c"),
    (6, b"\xc0\x0c\xc0\x0c" + bytes(20)),
    (12, b"\xc0\x0c"),
    (15, b"\0\1\xc0\x0c"),
    (16, b"\3abc\0"),
    (28, bytes(16)),
    (33, bytes(6) + b"\xc0\x0c"),
    (35, bytes(4) + b"\1s\1S\0\xc0\x0c"),
    (43, bytes(4) + bytes(20)),
    (46, bytes(18) + b"\0" + bytes(8)),
    (47, b"\xc0\x0c\0\1\x40"),
    (48, bytes(4) + b"key"),
    (52, b"\3\1\1" + bytes(32)),
    (64, b"\0\1\0\0\1\0\3\2h2"),
    (65, b"\0\1\0\0\4\0\4\x7f\0\0\1"),
    (257, b"\0\5issueca"),
    (29, b"\0\x12\x16\x13" + bytes(12)),
    (13, b"\1a\1b"),
    (44, b"\1\1" + bytes(20)),
]
