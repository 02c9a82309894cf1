"""Which block a query is for."""

from __future__ import annotations

from typing import ClassVar

import dns.message
import dns.rcode
import pytest

from clusterdns import names
from clusterdns.dispatch import View, dispatcher, viewed

NOBODY = ("", 0)


def saying(text: bytes):
    return lambda _packet, _client: text


BLOCKS = {names.from_text(zone): saying(zone.encode()) for zone in ("example", "corp.example", "10.in-addr.arpa")}


class TestTheLongestZone:
    @pytest.mark.parametrize(
        ("name", "zone"),
        [
            ("example", b"example"),
            ("www.example", b"example"),
            ("WWW.Example", b"example"),
            ("corp.example", b"corp.example"),
            ("a.b.corp.example", b"corp.example"),
            ("notcorp.example", b"example"),
            ("1.0.0.10.in-addr.arpa", b"10.in-addr.arpa"),
        ],
    )
    def test_decides(self, name: str, zone: bytes) -> None:
        assert dispatcher(BLOCKS)(dns.message.make_query(name, "A").to_wire(), NOBODY) == zone

    def test_the_root_takes_the_rest(self) -> None:
        respond = dispatcher({**BLOCKS, names.ROOT: saying(b"root")})
        for name in (".", "org", "example.org"):
            assert respond(dns.message.make_query(name, "A").to_wire(), NOBODY) == b"root"
        assert respond(dns.message.make_query("a.example", "A").to_wire(), NOBODY) == b"example"

    def test_one_block_for_everything_is_asked_directly(self) -> None:
        block = saying(b"all")
        assert dispatcher({names.ROOT: block}) is block


class TestViews:
    """Several blocks for a zone; the port stands for what they ask for."""

    BLOCKS: ClassVar = {
        names.from_text("example"): [
            View(saying(b"one"), lambda _packet, client: client[1] == 1),
            View(saying(b"two"), lambda _packet, client: client[1] <= 2),
            View(saying(b"rest")),
        ],
        names.from_text("corp.example"): [View(saying(b"corp"), lambda _packet, client: client[1] == 1)],
        names.from_text("10.in-addr.arpa"): [View(saying(b"ten"), lambda _packet, client: client[1] == 1)],
    }

    @pytest.mark.parametrize(
        ("name", "port", "block"),
        [
            ("a.example", 1, b"one"),
            ("a.example", 2, b"two"),
            ("a.example", 3, b"rest"),
            ("Corp.example", 1, b"corp"),
            ("corp.example", 2, b"two"),
            ("corp.example", 3, b"rest"),
            ("1.0.0.10.in-addr.arpa", 1, b"ten"),
        ],
    )
    def test_the_first_that_holds_decides_then_the_next_shorter_zone(self, name: str, port: int, block: bytes) -> None:
        packet = dns.message.make_query(name, "A").to_wire()
        assert viewed(self.BLOCKS)(packet, ("192.0.2.7", port)) == block

    def test_what_is_in_none_is_refused(self) -> None:
        query = dns.message.make_query("1.0.0.10.in-addr.arpa", "A")
        reply = dns.message.from_wire(viewed(self.BLOCKS)(query.to_wire(), ("192.0.2.7", 2)))
        assert reply.rcode() == dns.rcode.REFUSED

    def test_without_views_nothing_is_asked_for(self) -> None:
        block = saying(b"all")
        assert viewed({names.ROOT: [View(block)]}) is block


class TestNobodysNames:
    def test_are_refused(self) -> None:
        query = dns.message.make_query("www.example.org", "A", use_edns=0)
        reply = dns.message.from_wire(dispatcher(BLOCKS)(query.to_wire(), NOBODY))
        assert query.is_response(reply)
        assert reply.rcode() == dns.rcode.REFUSED
        assert "none of the zones" in str(reply.options[0])

    @pytest.mark.parametrize("packet", [b"", b"\0", b"\0" * 11, b"\x12\x34\x01\0\0\1" + bytes(6) + b"\x3f"])
    def test_packets_that_are_none(self, packet: bytes) -> None:
        reply = dispatcher(BLOCKS)(packet, NOBODY)
        assert reply is None or reply[:2] == packet[:2]

    def test_responses_are_not_answered(self) -> None:
        packet = dns.message.make_response(dns.message.make_query("www.example.org", "A")).to_wire()
        assert dispatcher(BLOCKS)(packet, NOBODY) is None
