"""What is remembered of upstream's answers, how long, and what is not."""

from __future__ import annotations

import random
import re
import time
from itertools import repeat
from typing import TYPE_CHECKING
from urllib.request import urlopen

import dns.flags
import dns.message
import dns.rcode
import pytest
from forwarding import at, data, forwarding, kept
from serving import EXAMPLE, Serving, eventually, free_port

from tests.upstreams import Faulty, Load, ask, over_udp
from tests.upstreams.behaviours import ByLabel, fails, honest, says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.upstreams import Query, Say

    Serve = Callable[..., Serving]

HOUR = 3600


def soa(ttl: int, minimum: int) -> str:
    return f"example. {ttl} IN SOA ns.example. hostmaster.example. 1 7200 1800 86400 {minimum}"


@pytest.fixture(scope="module")
def taught() -> ByLabel:
    """What upstream knows."""
    return ByLabel()


@pytest.fixture(scope="module")
def upstream(taught: ByLabel) -> Iterator[Faulty]:
    with Faulty(taught) as started:
        yield started


@pytest.fixture(scope="module")
def server(upstream: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """With all defaults."""
    with kept(folder := tmp_path_factory.mktemp("server")) as serve:
        yield forwarding(serve, folder, upstream)


@pytest.fixture(scope="module")
def forgetful(upstream: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """What has expired is gone."""
    with kept(folder := tmp_path_factory.mktemp("forgetful")) as serve:
        cache = {"stale-seconds": 0, "prefetch-hits": 0, "failure-seconds": 1}
        yield forwarding(serve, folder, upstream, cache=cache)


def times_asked(upstream: Faulty, name: str, rtype: str = "A") -> int:
    return len(upstream.asked_for(name, rtype))


class TestTimeToLive:
    def test_counts_down_and_nothing_outlives_it(self, upstream: Faulty, taught: ByLabel, forgetful: Serving) -> None:
        """Not by a second; and it is not asked for again before. Each answer says which of upstream's it is."""
        ttl = 2
        name = taught.teach(says(f"{{name}} {ttl} IN A 192.0.2.{{number}}"))
        with Load(at(forgetful), repeat(name), rate=50) as load:
            load.go_on(50 * 2 * ttl + 15)
        assert not load.unanswered()
        seen = set()
        for each in load.exchanges:
            (address,) = data(each.message)
            number = int(address.split(".")[3])
            age = each.sent - upstream.asked_for(name)[number - 1].at
            left = each.message.answer[0].ttl
            seen.add((number, left))
            assert age < ttl + 0.5
            assert left <= ttl
            assert left + age < ttl + 1.5, "the TTL does not count down"
        assert {left for _, left in seen} == {ttl, ttl - 1}
        assert {number for number, _ in seen} >= {1, 2}
        lasted = load.exchanges[-1].sent - load.exchanges[0].sent
        assert times_asked(upstream, name) <= 1 + lasted / ttl

    @pytest.mark.parametrize(("said", "expected"), [(300, 300), (86400, HOUR), (0x7FFFFFFF, HOUR)])
    def test_of_an_hour_is_enough(
        self, upstream: Faulty, taught: ByLabel, server: Serving, said: int, expected: int
    ) -> None:
        name = taught.teach(says(f"{{name}} {said} IN A 192.0.2.1"))
        for _ in range(2):
            assert expected - 5 <= ask(at(server), name).answer[0].ttl <= expected
        assert times_asked(upstream, name) == 1

    def test_has_bounds_that_can_be_set(self, upstream: Faulty, taught: ByLabel, serve: Serve, tmp_path: Path) -> None:
        server = forwarding(serve, tmp_path, upstream, cache={"ttl": [60, 86400]})
        for said, expected in ((10, 60), (300, 300), (86400, 86400), (604800, 86400)):
            name = taught.teach(says(f"{{name}} {said} IN A 192.0.2.1"))
            for _ in range(2):
                assert expected - 5 <= ask(at(server), name).answer[0].ttl <= expected
            assert times_asked(upstream, name) == 1

    @pytest.mark.parametrize("said", [0, 0x80000000, 0xFFFFFFFF])
    def test_of_nothing_is_not_remembered(self, upstream: Faulty, taught: ByLabel, server: Serving, said: int) -> None:
        """One with its highest bit set is none at all (RFC 2181 section 8)."""
        name = taught.teach(with_ttl(said))
        for number in range(1, 4):
            assert ask(at(server), name).answer[0].ttl == 0
            assert times_asked(upstream, name) == number

    def test_the_lowest_of_an_answer_counts(self, taught: ByLabel, forgetful: Serving) -> None:
        """A chain is forgotten with its first link."""
        chain = "{name} 300 IN CNAME a.example.\na.example. 1 IN CNAME b.example.\nb.example. 300 IN A 192.0.2.{number}"
        name = taught.teach(says(chain))
        assert data(ask(at(forgetful), name))[-1] == "192.0.2.1"
        eventually(lambda: data(ask(at(forgetful), name))[-1] == "192.0.2.2", "asked again", seconds=3)


def with_ttl(ttl: int) -> Callable[[Query], Iterator[Say]]:
    """An answer that dnspython itself would not write."""

    def behaviour(query: Query) -> Iterator[Say]:
        for say in honest(query):
            yield say._replace(packet=say.packet[:-10] + ttl.to_bytes(4) + say.packet[-6:])

    return behaviour


class TestAbsence:
    """RFC 2308 section 5: by the SOA record, the lower of its TTL and its last field."""

    @pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
    def test_is_remembered(self, upstream: Faulty, taught: ByLabel, server: Serving, rcode: str) -> None:
        for ttl, minimum in ((40, HOUR), (HOUR, 40)):
            name = taught.teach(says(rcode=rcode, authority=soa(ttl, minimum)))
            for _ in range(2):
                reply = ask(at(server), name)
                assert dns.rcode.to_text(reply.rcode()) == rcode
                assert 35 <= reply.authority[0].ttl <= 40
            assert times_asked(upstream, name) == 1

    def test_is_forgotten(self, taught: ByLabel, forgetful: Serving) -> None:
        absent = [taught.teach(says(rcode=rcode, authority=soa(HOUR, 1))) for rcode in ("NXDOMAIN", "NOERROR")]
        for name in absent:
            assert not data(ask(at(forgetful), name))
            taught.change(name, honest)
        for name in absent:
            eventually(lambda: data(ask(at(forgetful), name)), "it is there now", seconds=3)  # noqa: B023

    @pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
    def test_without_a_soa_record_is_not_remembered(
        self, upstream: Faulty, taught: ByLabel, server: Serving, rcode: str
    ) -> None:
        name = taught.teach(says(rcode=rcode))
        for number in range(1, 4):
            assert dns.rcode.to_text(ask(at(server), name).rcode()) == rcode
            assert times_asked(upstream, name) == number

    def test_a_referral_is_none(self, upstream: Faulty, taught: ByLabel, server: Serving) -> None:
        name = taught.teach(says(authority="{name} 300 IN NS ns.{name}"))
        for number in range(1, 3):
            reply = ask(at(server), name)
            assert [rrset.rdtype.name for rrset in reply.authority] == ["NS"]
            assert times_asked(upstream, name) == number


class TestFailures:
    def test_are_remembered_for_a_moment(self, upstream: Faulty, taught: ByLabel, forgetful: Serving) -> None:
        """RFC 9520: so that an upstream in trouble is spared."""
        name = taught.teach(fails("SERVFAIL"))
        started = time.monotonic()
        assert ask(at(forgetful), name).rcode() == dns.rcode.SERVFAIL
        taught.change(name, honest)
        assert ask(at(forgetful), name).rcode() == dns.rcode.SERVFAIL
        assert times_asked(upstream, name) == 1
        eventually(lambda: not ask(at(forgetful), name).rcode(), "it is asked for again", seconds=4)
        assert time.monotonic() - started >= 1

    @pytest.mark.parametrize("rcode", ["REFUSED", "FORMERR", "NOTIMP"])
    def test_others_are_for_a_second(self, taught: ByLabel, server: Serving, rcode: str) -> None:
        name = taught.teach(fails(rcode))
        assert ask(at(server), name).rcode() != dns.rcode.NOERROR
        taught.change(name, honest)
        eventually(lambda: not ask(at(server), name).rcode(), "it is asked for again", seconds=3)


class TestWhatIsTheSameQuestion:
    def test_letter_case_does_not_matter(self, upstream: Faulty, server: Serving) -> None:
        for name in ("letters.example", "LETTERS.example", "lEtTeRs.EXAMPLE"):
            assert ask(at(server), name).question[0].name.to_text(omit_final_dot=True) == name
        assert times_asked(upstream, "letters.example") == 1

    def test_nor_does_the_transport_or_the_size(self, upstream: Faulty, server: Serving) -> None:
        ask(at(server), "transports.example", tcp=True)
        ask(at(server), "transports.example", use_edns=0, payload=4096)
        ask(at(server), "transports.example")
        assert times_asked(upstream, "transports.example") == 1

    def test_type_do_and_cd_do(self, upstream: Faulty, server: Serving) -> None:
        for _ in range(2):
            for rtype in ("A", "AAAA"):
                for flags in (dns.flags.RD, dns.flags.RD | dns.flags.CD):
                    for dnssec in (False, True):
                        reply = ask(at(server), "four.example", rtype, flags=flags, want_dnssec=dnssec)
                        assert bool(reply.flags & dns.flags.CD) == bool(flags & dns.flags.CD)
        for rtype in ("A", "AAAA"):
            asked = [("CD" in each.flags, "DO" in each.flags) for each in upstream.asked_for("four.example", rtype)]
            assert sorted(asked) == [(False, False), (False, True), (True, False), (True, True)]


class TestPopularNames:
    """By default, those that were asked for three times in their time to live."""

    def test_are_asked_for_again_in_time(self, upstream: Faulty, taught: ByLabel, server: Serving) -> None:
        """So that nobody has to wait for them. Others are not."""
        popular, rare = (taught.teach(says("{name} 2 IN A 192.0.2.{number}")) for _ in range(2))
        ask(at(server), rare)
        eventually(lambda: data(ask(at(server), popular)) == ["192.0.2.2"], "it stays fresh")
        first, second = upstream.asked_for(popular)
        assert 1 < second.at - first.at < 2, "behind most of its time, and before the end of it"
        assert times_asked(upstream, rare) == 1


class TestBounds:
    def metric(self, port: int, name: str) -> float:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            found = re.search(rf"^{name}(?:{{.*}})? ([0-9.e+]+)$", page.read().decode(), re.MULTILINE)
        assert found, f"there is no {name}"
        return float(found[1])

    @pytest.mark.parametrize("limits", [{"entries": 150}, {"bytes": 200_000}])
    def test_memory_has_an_end(
        self, upstream: Faulty, taught: ByLabel, serve: Serve, tmp_path: Path, *, limits: dict[str, int]
    ) -> None:
        """Under names that are never asked for again, with answers of all sizes."""
        texts = "\n".join(f'{{name}} 300 IN TXT "{number:0200}"' for number in range(4))
        big = taught.teach(says(texts)).split(".")[0]
        port = free_port()
        server = forwarding(
            serve, tmp_path, upstream, cache=limits, arguments=("--manifests", EXAMPLE, "--http", f"127.0.0.1:{port}")
        )
        rng = random.Random(4)
        queries = []
        for number in range(600):
            label = rng.choice((big, "small"))
            query = dns.message.make_query(f"{label}.n{number}.example", "TXT" if label == big else "A")
            queries.append(query.to_wire())
        highest = {"entries": 0.0, "bytes": 0.0}
        for start in range(0, len(queries), 100):
            assert None not in over_udp(at(server), queries[start : start + 100])
            now = {measure: self.metric(port, f"clusterdns_cache_{measure}") for measure in highest}
            highest = {measure: max(most, now[measure]) for measure, most in highest.items()}
        for measure, limit in limits.items():
            assert highest[measure] <= limit
        assert any(highest[measure] > 0.8 * limit for measure, limit in limits.items()), "it was never full"

    def test_what_was_used_last_stays(self, upstream: Faulty, serve: Serve, tmp_path: Path) -> None:
        server = forwarding(serve, tmp_path, upstream, cache={"entries": 50})
        ask(at(server), "often.example")
        for number in range(200):
            ask(at(server), f"m{number}.example")
            if number % 10 == 0:
                ask(at(server), "often.example")
        assert times_asked(upstream, "often.example") == 1
        ask(at(server), "m0.example")
        assert times_asked(upstream, "m0.example") == 2
