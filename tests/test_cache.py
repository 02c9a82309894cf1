"""The cache, with a clock that is turned by hand."""

from __future__ import annotations

import pytest

from clusterdns import names
from clusterdns.cache import NEVER, Cache, CacheLimits
from clusterdns.queries import AA, QR, TC
from clusterdns.records import Rcode, Reason
from clusterdns.responses import Response, failure


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def data(ttl: int, *, size: int = 16, **changed: object) -> Response:
    """A response with one record whose TTL stands at its beginning."""
    body = ttl.to_bytes(4, "big").ljust(size, b"\0")
    fields = {"flags": QR, "counts": (1, 0, 0), "body": body, "ttls": ((0, ttl),), "is_data": True}
    return Response(names.from_text("www.example"), **fields | changed)


def absence(ttl: int | None, rcode: int = Rcode.NXDOMAIN) -> Response:
    return data(600, flags=QR | rcode, counts=(0, 1, 0), is_data=False, negative_ttl=ttl)


def remembers(cache: Cache, key: bytes = b"k") -> bool:
    """Whether the cache has something fresh."""
    entry = cache.recall(key, cache.clock())
    return entry is not None and cache.clock() < entry.expires_at


class TestLifetime:
    @pytest.mark.parametrize(
        ("response", "seconds"),
        [
            (data(60), 60),
            (data(10_000), 3600),
            (absence(60), 60),
            (absence(60, Rcode.NOERROR), 60),
            (absence(10_000), 600),
            (data(60, flags=QR | Rcode.SERVFAIL, is_data=False), 5),
            (failure(names.from_text("www.example"), Reason("nobody answers")), 1),
            (data(60, flags=QR | Rcode.REFUSED, is_data=False), 1),
            (data(60, flags=QR | Rcode.FORMERR, is_data=False), 1),
        ],
        ids=["TTL", "ceiling", "NXDOMAIN", "NODATA", "TTL of an absence", "SERVFAIL", "nobody", "REFUSED", "FORMERR"],
    )
    def test_until_it_is_over_and_no_longer(self, clock: Clock, response: Response, seconds: int) -> None:
        cache = Cache(CacheLimits(), clock)
        cache.keep(b"k", response, clock.now)
        clock.now += seconds - 0.001
        assert remembers(cache)
        clock.now += 0.001
        assert not remembers(cache)

    @pytest.mark.parametrize(
        "response",
        [
            data(0),
            absence(0),
            absence(None),
            absence(None, Rcode.NOERROR),
            data(60, flags=QR | TC),
        ],
        ids=["TTL 0", "SOA 0", "no SOA", "a referral", "TC"],
    )
    def test_what_is_not_kept(self, clock: Clock, response: Response) -> None:
        cache = Cache(CacheLimits(), clock)
        cache.keep(b"k", response, clock.now)
        assert len(cache) == 0

    def test_a_floor(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(ttl=(10, 3600), negative_ttl=(3, 1800)), clock)
        assert cache.keep(b"k", data(0), clock.now).lowest_ttl == 10
        assert cache.keep(b"n", absence(1), clock.now).lowest_ttl == 3
        clock.now += 9
        assert remembers(cache)
        assert not remembers(cache, b"n")

    def test_a_later_response_takes_the_place(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(), clock)
        cache.keep(b"k", data(5), clock.now)
        cache.keep(b"k", data(60), clock.now)
        clock.now += 59
        assert remembers(cache)
        assert len(cache) == 1


class TestZones:
    """`www.example` is asked for."""

    @pytest.mark.parametrize(
        ("limits", "kept"),
        [
            ({"zones": {"example"}}, "DNF"),
            ({"zones": {"www.example"}}, "DNF"),
            ({"zones": {"w.example", "a.www.example"}}, ""),
            ({"except_success": {"example"}}, "NF"),
            ({"except_denial": {"example"}}, "D"),
            ({"except_denial": {"."}, "except_success": {"www.example"}}, ""),
        ],
    )
    def test_what_is_kept(self, clock: Clock, limits: dict[str, set[str]], kept: str) -> None:
        cache = Cache(
            CacheLimits(**{each: frozenset(map(names.from_text, zones)) for each, zones in limits.items()}), clock
        )
        cache.keep(b"D", data(60), clock.now)
        cache.keep(b"N", absence(60), clock.now)
        cache.keep(b"F", data(60, flags=QR | Rcode.SERVFAIL, is_data=False), clock.now)
        assert "".join(each for each in "DNF" if remembers(cache, each.encode())) == kept

    def test_outside_of_them_no_ttl_is_changed(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(ttl=(0, 30), zones=frozenset({names.from_text("other")})), clock)
        assert cache.keep(b"k", data(60), clock.now).lowest_ttl == 60


class TestStaleness:
    def test_it_is_there_for_a_day(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(stale_seconds=86400), clock)
        cache.keep(b"k", data(60), clock.now)
        clock.now += 60 + 86399
        assert cache.recall(b"k", clock.now) is not None
        clock.now += 1
        assert cache.recall(b"k", clock.now) is None
        assert len(cache) == 0

    def test_or_not_at_all(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(stale_seconds=0), clock)
        cache.keep(b"k", data(60), clock.now)
        clock.now += 60
        assert cache.recall(b"k", clock.now) is None

    def test_a_failure_does_not_grow_stale(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(), clock)
        cache.keep(b"k", data(60, flags=QR | Rcode.SERVFAIL, is_data=False), clock.now)
        clock.now += 5
        assert cache.recall(b"k", clock.now) is None

    def test_a_failure_does_not_drive_out_what_may_be_given_stale(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(), clock)
        cache.keep(b"k", data(60), clock.now)
        clock.now += 100
        cache.keep(b"k", data(60, flags=QR | Rcode.SERVFAIL, is_data=False), clock.now)
        entry = cache.recall(b"k", clock.now)
        assert entry is not None
        assert entry.response.rcode == Rcode.NOERROR


class TestBounds:
    def test_entries(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(entries=10), clock)
        for number in range(100):
            cache.keep(b"%d" % number, data(60), clock.now)
            assert len(cache) <= 10
        assert cache.counts.evictions == 90
        assert [number for number in range(100) if remembers(cache, b"%d" % number)] == list(range(90, 100))

    def test_bytes(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(bytes=100_000), clock)
        for number in range(1000):
            cache.keep(b"%d" % number, data(60, size=1000), clock.now)
            assert cache.size <= 100_000
        assert len(cache) == 100_000 // (800 + 2 * 1000 + 95)

    def test_what_had_to_make_room_is_counted(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(bytes=10_000), clock)
        for number in range(50):
            cache.keep(b"%d" % number, data(60), clock.now)
        assert cache.counts.evictions == 50 - len(cache) > 0

    def test_what_says_that_there_is_nothing_is_counted_apart(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(entries=3), clock)
        for key, response in (
            *((b"a", data(60)), (b"b", absence(60)), (b"c", absence(60))),
            *((b"b", absence(60)), (b"b", data(60)), (b"b", absence(60))),
        ):
            cache.keep(key, response, clock.now)
        assert (len(cache), cache.denials) == (3, 2)
        for key in (b"d", b"e", b"f"):
            cache.keep(key, data(60), clock.now)
        assert (len(cache), cache.denials) == (3, 0)
        assert (cache.counts.evictions, cache.counts.denial_evictions) == (3, 2)

    def test_what_is_taken_out_at_once_had_to_make_no_room(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(), clock)
        cache.keep(b"k", absence(60), clock.now)
        cache.clear()
        assert (len(cache), cache.denials, cache.counts.evictions) == (0, 0, 0)

    def test_what_is_too_old_is_counted_no_more(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(stale_seconds=0), clock)
        cache.keep(b"k", absence(60), clock.now)
        clock.now += 61
        cache.recall(b"k", clock.now)
        assert (len(cache), cache.denials) == (0, 0)

    def test_what_is_larger_than_all_is_not_kept(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(bytes=10_000), clock)
        cache.keep(b"k", data(60), clock.now)
        cache.keep(b"l", data(60, size=20_000), clock.now)
        assert remembers(cache)
        assert not remembers(cache, b"l")

    @pytest.mark.parametrize("limits", [CacheLimits(entries=0), CacheLimits(bytes=0)], ids=["entries", "bytes"])
    def test_nothing_at_all(self, clock: Clock, limits: CacheLimits) -> None:
        cache = Cache(limits, clock)
        cache.keep(b"k", data(60), clock.now)
        assert not remembers(cache)

    def test_what_was_used_least_recently_goes_first(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(entries=3), clock)
        for key in (b"a", b"b", b"c"):
            cache.keep(key, data(60), clock.now)
        assert remembers(cache, b"a")
        cache.keep(b"d", data(60), clock.now)
        assert [key for key in (b"a", b"b", b"c", b"d") if remembers(cache, key)] == [b"a", b"c", b"d"]


class TestWhatIsNotSimplyGiven:
    def test_the_last_tenth_of_a_lifetime(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(prefetch_hits=3, prefetch_share=0.1), clock)
        cache.keep(b"k", data(100), clock.now)
        entry = cache.recall(b"k", clock.now)
        assert entry is not None
        assert entry.refresh_at == pytest.approx(clock.now + 90)

    def test_unless_nothing_is_asked_for_early(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(prefetch_hits=0), clock)
        cache.keep(b"k", data(100), clock.now)
        entry = cache.recall(b"k", clock.now)
        assert entry is not None
        assert entry.refresh_at == entry.expires_at

    def test_hits_with_gaps_between_them_do_not_add_up(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(prefetch_hits=3, prefetch_gap_seconds=10), clock)
        cache.keep(b"k", data(100), clock.now)
        entry = cache.recall(b"k", clock.now)
        assert entry is not None
        assert entry.refresh_at == clock.now, "each hit is looked at"
        for seconds, hits in ((9, 1), (9.9, 2), (10, 1), (1, 2)):
            clock.now += seconds
            entry.hit(clock.now, 10)
            assert entry.hits == hits

    def test_what_is_popular_stays_so_when_it_is_asked_for_again(self, clock: Clock) -> None:
        cache = Cache(CacheLimits(prefetch_hits=3, prefetch_gap_seconds=60), clock)
        for hits in (0, 5):
            cache.keep(b"k", data(30), clock.now)
            entry = cache.recall(b"k", clock.now)
            assert entry is not None
            assert (entry.hits, entry.refresh_at) == (hits, pytest.approx(clock.now + 27))
            entry.hits = 5

    def test_an_alias_that_leads_nowhere_yet(self, clock: Clock) -> None:
        """It may lead to a name of ours."""
        cache = Cache(CacheLimits(), clock)
        cache.keep(b"k", data(60, is_data=False, leads_to=names.ROOT, negative_ttl=60), clock.now)
        entry = cache.recall(b"k", clock.now)
        assert entry is not None
        assert entry.vouched_for == NEVER


def test_what_is_remembered_is_not_authoritative(clock: Clock) -> None:
    """RFC 1034 section 6.2. Whoever asked first gets it as it came."""
    cache = Cache(CacheLimits(), clock)
    assert cache.keep(b"k", data(60, flags=QR | AA), clock.now).flags & AA
    entry = cache.recall(b"k", clock.now)
    assert entry is not None
    assert not entry.response.flags & AA
