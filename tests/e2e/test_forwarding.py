"""What upstream says, through the server: the same, be it NSD or unbound, over UDP or TCP, asked once or twice."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from forwarding import at, data, extended_errors, forwarding, kept
from serving import Serving, dig

from tests.upstreams import Nsd, Unbound, ask, difference, every_type, over_tcp, over_udp, signed
from tests.upstreams.zones import ELSEWHERE, SIGNED_WRONGLY, signed_wrongly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.upstreams import Asked, Zone

    Serve = Callable[..., Serving]

SEED = 4
OWNERS = 20
EDE_DNSSEC_BOGUS = 6
AUTHORITY = int(dns.flags.AA)
"""The server speaks with none of its own (RFC 1035 section 4.1.1), whatever upstream has."""

FULL = 1232
"""Bytes of the largest reply over UDP."""


@pytest.fixture(scope="module")
def zone() -> Zone:
    return every_type(SEED, OWNERS)


class Upstreams(NamedTuple):
    nsd: Nsd
    unbound: Unbound


@pytest.fixture(scope="module")
def upstreams(zone: Zone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstreams]:
    """NSD, which has the zone, and unbound, which asks it and validates."""
    folder = tmp_path_factory.mktemp("upstreams")
    text, trust_anchor = signed(folder / "keys", zone.origin, zone.text)
    zones = {zone.origin: signed_wrongly(text), "elsewhere.example.": ELSEWHERE}
    with (
        Nsd(folder / "nsd", zones) as nsd,
        Unbound(folder / "unbound", stubs=dict.fromkeys(zones, nsd), trust_anchor=trust_anchor) as unbound,
    ):
        yield Upstreams(nsd, unbound)


@pytest.fixture(scope="module")
def servers(upstreams: Upstreams, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Serving]]:
    """In front of each."""
    with kept(folder := tmp_path_factory.mktemp("servers")) as serve:
        yield {name: forwarding(serve, folder / name, upstream) for name, upstream in upstreams._asdict().items()}


def packets(asked: Sequence[Asked], **edns: Any) -> list[bytes]:
    return [dns.message.make_query(each.name, each.rtype, **edns).to_wire() for each in asked]


def truth(upstream: Nsd | Unbound, queries: list[bytes]) -> list[bytes]:
    """What it says to whoever does what is to be done: ask over UDP, and again over TCP what was truncated."""
    server = (upstream.address, upstream.port)
    replies = over_udp(server, queries)
    again = [number for number, reply in enumerate(replies) if reply is None or is_truncated(reply)]
    for number, reply in zip(again, over_tcp(server, [queries[each] for each in again]), strict=True):
        replies[number] = reply
    assert None not in replies
    return [each for each in replies if each is not None]


def is_truncated(reply: bytes) -> bool:
    return bool(reply[2] & 0x02)


def over_both(server: Serving, queries: list[bytes], transports: Sequence[str]) -> list[bytes]:
    """The reply to each query over its transport."""
    replies: dict[int, bytes | None] = {}
    for transport, ask_all in (("udp", over_udp), ("tcp", over_tcp)):
        numbers = [number for number, each in enumerate(transports) if each == transport]
        replies |= zip(numbers, ask_all(at(server), [queries[each] for each in numbers]), strict=True)
    silent = [number for number, reply in replies.items() if reply is None]
    assert not silent, f"silence for {len(silent)} of {len(queries)}"
    return [reply for _, reply in sorted(replies.items()) if reply is not None]


class TestRepliesAreRelayedAsTheyAre:
    @pytest.mark.parametrize("dnssec", [False, True], ids=["without DO", "with DO"])
    @pytest.mark.parametrize("name", ["nsd", "unbound"])
    def test_every_type_and_shape_of_name(
        self, zone: Zone, upstreams: Upstreams, servers: dict[str, Serving], name: str, *, dnssec: bool
    ) -> None:
        """Each question twice: over UDP and over TCP, half of them in the other order; the second time from memory."""
        upstream, server = getattr(upstreams, name), servers[name]
        asked = [each for each in zone.asked if name == "nsd" or each.shape != "referral"]
        assert len(asked) > 2000
        queries = packets(asked, use_edns=0, payload=FULL, want_dnssec=dnssec)
        rng = random.Random(SEED)
        first = [rng.choice(("udp", "tcp")) for _ in asked]
        second = ["udp" if each == "tcp" else "tcp" for each in first]
        upstream.restart()
        before = truth(upstream, queries)
        got = [over_both(server, queries, transports) for transports in (first, second)]
        # Of a few names unbound says now this, now that: it depends on what it was asked about their aliases' targets.
        possible = list(zip(before, truth(upstream, queries), strict=True))
        assert sum(bool(difference(*each)) for each in possible) < len(asked) / 100
        different = []
        for transports, replies in zip((first, second), got, strict=True):
            for question, transport, theirs, ours in zip(asked, transports, possible, replies, strict=True):
                if transport == "udp" and is_truncated(ours):
                    assert len(ours) <= FULL < len(theirs[0]), question
                elif all(found := [difference(each, ours, ignored=AUTHORITY) for each in theirs]):
                    different.append(f"{question.name} {question.rtype} ({question.shape}, {transport}): {found[0]}")
        assert not different, f"{len(different)} of {2 * len(asked)}:\n" + "\n".join(different[:20])

    def test_the_questions_letters_come_back(
        self, zone: Zone, upstreams: Upstreams, servers: dict[str, Serving]
    ) -> None:
        """Byte by byte, though the answer is remembered from another spelling."""
        rng = random.Random(SEED)
        server = servers["nsd"]
        plain = packets(rng.sample([each for each in zone.asked if each.shape != "referral"], 200))
        spelled = [_in_random_case(each, rng) for each in plain]
        assert plain != spelled
        for queries in (plain, spelled):
            for query, reply in zip(queries, over_udp(at(server), queries), strict=True):
                assert reply is not None
                assert reply[12 : len(query)] == query[12:]

    def test_there_is_an_opt_record_for_whoever_sends_one(
        self, upstreams: Upstreams, servers: dict[str, Serving]
    ) -> None:
        server = servers["nsd"]
        for _ in range(2):
            assert ask(at(server), "a-0.types.example", use_edns=False).edns == -1
            assert ask(at(server), "a-0.types.example", use_edns=0).edns == 0
            assert ask(at(server), "a-0.types.example", want_dnssec=True).ednsflags & dns.flags.DO

    def test_dig_sees_what_dig_sees(self, upstreams: Upstreams, servers: dict[str, Serving]) -> None:
        server = servers["unbound"]
        for question in ("mx-0.types.example MX", "type65280-1.types.example TYPE65280", "link-0-0.types.example A"):
            theirs, ours = (
                dig("@127.0.0.1", "-p", port, "+dnssec", "+nottlid", *question.split())
                for port in (upstreams.unbound.port, server.port)
            )
            assert ours == theirs


def _in_random_case(packet: bytes, rng: random.Random) -> bytes:
    name = bytes(octet ^ 0x20 if chr(octet).isalpha() and rng.random() < 0.5 else octet for octet in packet[12:-4])
    return packet[:12] + name + packet[-4:]


@pytest.fixture(scope="module")
def large(zone: Zone, upstreams: Upstreams) -> dict[Asked, bytes]:
    """What unbound says, in more bytes or less."""
    asked = [each for each in zone.asked if each.shape == "large"]
    return dict(zip(asked, truth(upstreams.unbound, packets(asked, use_edns=0, payload=FULL)), strict=True))


@pytest.fixture(scope="module")
def large_sections(large: dict[Asked, bytes]) -> dict[Asked, list[set[str]]]:
    return {question: answer_and_authority(packet) for question, packet in large.items()}


def answer_and_authority(packet: bytes) -> list[set[str]]:
    reply = dns.message.from_wire(packet)
    return [{f"{rrset.name} {each}" for rrset in section for each in rrset} for section in reply.sections[1:3]]


class TestSizes:
    @pytest.mark.parametrize("size", [None, 512, 800, 1232, 4096])
    def test_over_udp_as_much_as_fits(
        self,
        servers: dict[str, Serving],
        large: dict[Asked, bytes],
        large_sections: dict[Asked, list[set[str]]],
        size: int | None,
    ) -> None:
        """TC unless the answer and the authority section are whole."""
        limit, edns = (512, {}) if size is None else (min(size, FULL), {"use_edns": 0, "payload": size})
        replies = over_udp(at(servers["unbound"]), packets(list(large), **edns))
        cut = set()
        for (question, theirs), ours in zip(large.items(), replies, strict=True):
            assert ours is not None
            assert len(ours) <= limit, question
            assert not (is_truncated(ours) and len(theirs) <= limit), question
            cut.add(is_truncated(ours))
            for whole, shown in zip(large_sections[question], answer_and_authority(ours), strict=True):
                assert shown <= whole if is_truncated(ours) else shown == whole, question
        assert cut == {True, False}

    def test_the_whole_over_tcp(self, servers: dict[str, Serving], large: dict[Asked, bytes]) -> None:
        assert max(map(len, large.values())) > 50_000
        queries = packets(list(large), use_edns=0, payload=FULL)
        for _ in range(2):
            for theirs, ours in zip(large.values(), over_tcp(at(servers["unbound"]), queries), strict=True):
                assert ours is not None
                assert not difference(theirs, ours)


class TestWhatUpstreamHasValidated:
    def test_ad_is_for_whoever_understands_it(self, upstreams: Upstreams, servers: dict[str, Serving]) -> None:
        """RFC 6840 section 5.8: with AD or DO in the query."""
        server = servers["unbound"]
        for _ in range(2):
            for name in ("mx-1.types.example", "none.types.example"):
                for flags, dnssec in ((0, False), (dns.flags.AD, False), (0, True), (dns.flags.AD, True)):
                    replies = [
                        ask(each, name, "MX", flags=dns.flags.RD | flags, want_dnssec=dnssec, use_edns=0)
                        for each in (("127.0.0.1", upstreams.unbound.port), at(server))
                    ]
                    theirs, ours = (bool(each.flags & dns.flags.AD) for each in replies)
                    assert ours == theirs == (bool(flags) or dnssec)

    def test_wrong_signatures(self, upstreams: Upstreams, servers: dict[str, Serving]) -> None:
        """SERVFAIL, and why; but whoever checks by himself gets the record, and neither is taken for the other."""
        server = servers["unbound"]
        for _ in range(2):
            bogus = ask(at(server), SIGNED_WRONGLY, use_edns=0)
            assert bogus.rcode() == dns.rcode.SERVFAIL
            assert EDE_DNSSEC_BOGUS in extended_errors(bogus)
            unchecked = ask(at(server), SIGNED_WRONGLY, flags=dns.flags.RD | dns.flags.CD)
            assert data(unchecked) == ["192.0.2.222"]
            assert unchecked.flags & dns.flags.CD

    def test_signatures_are_for_whoever_asks_for_them(self, upstreams: Upstreams, servers: dict[str, Serving]) -> None:
        server = servers["unbound"]
        for _ in range(2):
            for dnssec in (True, False):
                reply = ask(at(server), "mx-2.types.example", "MX", want_dnssec=dnssec)
                types = {dns.rdatatype.to_text(rrset.rdtype) for rrset in reply.answer}
                assert types == ({"MX", "RRSIG"} if dnssec else {"MX"})
