"""Response rate limiting: how many responses a second go where, and what comes in place of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.rcode
import pytest

from clusterdns.around.rate_limit import MOST_ACCOUNTS, MOST_CLIENTS, Limiter, NotALimit, RateLimit, truncated
from tests.surrounded import Upstream

if TYPE_CHECKING:
    from clusterdns.respond import Respond

ANSWER = Upstream(["www.example.org. 60 A 192.0.2.80"])
NXDOMAIN = Upstream(rcode="NXDOMAIN")
REFUSED = Upstream(rcode="REFUSED")
SERVFAIL = Upstream(rcode="SERVFAIL")
VICTIM = "192.0.2.7"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Limited:
    """A responder within limits, and the time."""

    def __init__(self, upstream: Upstream = ANSWER, **settings: Any) -> None:
        self.clock = Clock()
        self.limiter = Limiter(RateLimit(**{"slip": 0, **settings}), self.clock)
        self._responds = {upstream: self.limiter.limited(upstream.at_once, truncated)}

    def of(self, upstream: Upstream) -> Respond:
        if upstream not in self._responds:
            self._responds[upstream] = self.limiter.limited(upstream.at_once, truncated)
        return self._responds[upstream]

    def ask(self, times: int, client: str = VICTIM, upstream: Upstream = ANSWER) -> str:
        """What comes back each time: an answer, something truncated, or nothing."""
        packet = dns.message.make_query("www.example.org", "A").to_wire()
        return "".join([self._sign(self.of(upstream)(packet, (client, 53))) for _ in range(times)])

    @staticmethod
    def _sign(reply: Any) -> str:
        if reply is None:
            return "-"
        return "t" if dns.message.from_wire(reply).flags & dns.flags.TC else "a"


class TestHowMany:
    def test_a_second_s_worth_at_once(self) -> None:
        assert Limited(answers=5).ask(8) == "aaaaa---"

    def test_as_many_a_second_for_ever(self) -> None:
        limited = Limited(answers=5)
        for _ in range(100):
            limited.clock.now += 0.2
            assert limited.ask(1) == "a"

    def test_whoever_goes_on_asking_too_much_gets_nothing(self) -> None:
        limited = Limited(answers=5)
        limited.ask(10)
        for _ in range(100):
            limited.clock.now += 0.19
            assert limited.ask(1) == "-"

    def test_whoever_rests_gets_as_much_as_at_first(self) -> None:
        limited = Limited(answers=5, window_seconds=2)
        limited.ask(1000)
        limited.clock.now += 1.9
        assert limited.ask(1) == "-"
        limited.clock.now += 3.2
        assert limited.ask(6) == "aaaaa-"

    def test_without_a_limit_there_is_none(self) -> None:
        assert Limited(nxdomains=1, errors=1).ask(100) == "a" * 100


class TestWhatIsCounted:
    @pytest.mark.parametrize(
        ("setting", "upstream"),
        [("answers", ANSWER), ("nxdomains", NXDOMAIN), ("errors", REFUSED), ("errors", SERVFAIL)],
    )
    def test_each_kind_by_itself(self, setting: str, upstream: Upstream) -> None:
        limited = Limited(**{setting: 2})
        assert limited.ask(3, upstream=upstream) == "aa-"
        for other in {ANSWER, NXDOMAIN, REFUSED} - {upstream, *({REFUSED} if setting == "errors" else ())}:
            assert limited.ask(3, upstream=other) == "aaa"

    def test_all_together(self) -> None:
        limited = Limited(all=3)
        assert [limited.ask(1, upstream=each) for each in (ANSWER, NXDOMAIN, REFUSED, ANSWER)] == ["a", "a", "a", "-"]

    def test_what_is_too_much_of_all_is_not_asked_for(self) -> None:
        upstream = Upstream()
        Limited(upstream, all=3).ask(10, upstream=upstream)
        assert len(upstream.asked) == 3

    async def test_replies_to_come_too(self) -> None:
        limiter = Limiter(RateLimit(answers=2, slip=0), Clock())
        respond = limiter.limited(ANSWER.later, truncated)
        packet = dns.message.make_query("www.example.org", "A").to_wire()
        replies = [await respond(packet, (VICTIM, 53)) for _ in range(3)]  # type: ignore[misc]
        assert [reply is not None for reply in replies] == [True, True, False]


class TestWhoIsCounted:
    @pytest.mark.parametrize(
        ("other", "are_one"),
        [
            ("192.0.2.200", True),
            ("192.0.3.7", False),
            ("2001:db8::7", False),
            ("::c000:207", False),
        ],
    )
    def test_a_network(self, other: str, are_one: bool) -> None:
        limited = Limited(answers=1)
        limited.ask(1)
        assert limited.ask(1, other) == ("-" if are_one else "a")

    @pytest.mark.parametrize(("other", "are_one"), [("2001:db8:0:ff::1", True), ("2001:db8:0:100::1", False)])
    def test_a_network_of_ipv6(self, other: str, are_one: bool) -> None:
        limited = Limited(answers=1)
        limited.ask(1, "2001:db8::7%eth0")
        assert limited.ask(1, other) == ("-" if are_one else "a")

    def test_of_another_size(self) -> None:
        limited = Limited(answers=1, ipv4_prefix=32)
        limited.ask(1)
        assert limited.ask(1, "192.0.2.8") == "a"

    @pytest.mark.parametrize(("client", "replies"), [("192.0.2.7", "aaa"), ("192.0.2.8", "a--"), ("fd00::1", "aaa")])
    def test_some_are_exempt(self, client: str, replies: str) -> None:
        assert Limited(answers=1, exempt=("192.0.2.7", "fd00::/8")).ask(3, client) == replies


class TestInstead:
    @pytest.mark.parametrize(("slip", "replies"), [(0, "a------"), (1, "atttttt"), (2, "a-t-t-t"), (3, "a--t--t")])
    def test_now_and_then_something_truncated(self, slip: int, replies: str) -> None:
        assert Limited(answers=1, slip=slip).ask(7) == replies

    @pytest.mark.parametrize("edns", [{}, {"use_edns": 0, "payload": 1232}])
    def test_it_says_nothing_else(self, edns: dict[str, int]) -> None:
        query = dns.message.make_query("www.Example.org", "A", **edns)
        packet = truncated(query.to_wire())
        assert packet is not None
        reply = dns.message.from_wire(packet)
        assert query.is_response(reply)
        assert (reply.rcode(), reply.answer, reply.authority, reply.additional) == (dns.rcode.NOERROR, [], [], [])
        assert (reply.edns >= 0) == bool(edns)
        assert len(packet) <= len(query.to_wire())

    def test_it_is_counted(self) -> None:
        limited = Limited(answers=1, slip=2)
        limited.ask(5)
        assert (limited.limiter.dropped, limited.limiter.slipped) == (4, 2)

    @pytest.mark.parametrize(
        "packet", [b"", b"x" * 11, bytes(12), bytes.fromhex("00078000000100000000000001610000010001")]
    )
    def test_what_is_no_query_gets_nothing(self, packet: bytes) -> None:
        assert truncated(packet) is None


class TestMemory:
    def test_it_is_bounded(self) -> None:
        limited = Limited(answers=1, ipv4_prefix=32)
        respond, packet = limited.of(ANSWER), dns.message.make_query("www.example.org", "A").to_wire()
        limiter = limited.limiter
        fixed = limiter.limited(lambda _packet, _client: b"\0\0\0\0", truncated)
        for number in range(2 * MOST_ACCOUNTS):
            fixed(packet, (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 53))
        assert len(limiter._accounts) + len(limiter._former) <= MOST_ACCOUNTS
        assert len(limiter._networks) <= MOST_CLIENTS
        assert respond(packet, ("192.0.2.1", 53)) is not None

    def test_whoever_asks_is_not_forgotten(self) -> None:
        """However many others there are."""
        limited = Limited(answers=1, ipv4_prefix=32)
        limited.ask(20)
        fixed = limited.limiter.limited(lambda _packet, _client: b"\0\0\0\0", truncated)
        for number in range(MOST_ACCOUNTS):
            fixed(b"", (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 53))
            if number % (MOST_ACCOUNTS // 10) == 0:
                assert limited.ask(1) == "-"


class TestChecking:
    @pytest.mark.parametrize(
        ("settings", "fault"),
        [
            ({"answers": -1}, "answers: -1 is not between 0 and 1000000"),
            ({"window_seconds": 0}, "window-seconds: 0 is not between 1 and 3600"),
            ({"slip": 11}, "slip: 11 is not between 0 and 10"),
            ({"ipv4_prefix": 33}, "ipv4-prefix: 33 is not between 1 and 32"),
            ({"ipv6_prefix": 0}, "ipv6-prefix: 0 is not between 1 and 128"),
            ({"exempt": ("10.0.0.0/33",)}, "exempt: '10.0.0.0/33' does not appear to be an IPv4 or IPv6 network"),
        ],
    )
    def test_what_can_not_be(self, settings: dict[str, Any], fault: str) -> None:
        with pytest.raises(NotALimit) as caught:
            Limiter(RateLimit(**settings), Clock())
        assert str(caught.value) == fault
