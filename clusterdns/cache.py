"""Responses kept for their TTL, and past it for when nobody answers; the clock is handed in.

Only what came from elsewhere is kept here: a cluster's names never are, since the index has their replies ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachetools import LRUCache
from msgspec import Struct

from clusterdns.names import ROOT, Name, ancestors
from clusterdns.records import Rcode
from clusterdns.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable


WEIGHT, WEIGHT_OF_RECORD = 800, 95
"""Bytes that an entry takes beside the bytes of its records, about; those are there twice, as they came and as aged."""

UNWILLING_SECONDS = 1.0
"""How long REFUSED and the like are remembered: RFC 9520 section 3.2 asks for no less."""

ALWAYS, NEVER = -1, -2
"""In place of a serial: a name that is never ours, and a response that has to be looked at each time."""


class CacheLimits(Struct, frozen=True):
    """Times are seconds. `ttl` and `negative_ttl` are the lowest and highest that a response may live for."""

    entries: int = 10_000
    bytes: int = 32 << 20
    ttl: tuple[int, int] = (0, 3600)
    negative_ttl: tuple[int, int] = (0, 1800)
    failure_seconds: float = 5
    """RFC 2308 section 7.1 allows five minutes; whoever mends an upstream does not want to wait for these."""
    stale_seconds: float = 86400
    """How long past its TTL a response may be given when nobody answers (RFC 8767 section 4)."""
    stale_after_seconds: float = 1.8
    """How long a client waits for a fresh one; 0: it gets the stale one at once, and the cache is refreshed behind."""
    stale_ttl: int = 30
    prefetch_hits: int = 3
    """Hits in its lifetime that make a response popular: it is asked for again before it expires. 0: none is."""
    prefetch_gap_seconds: float = 0
    """A longer time without a hit makes it unpopular, but being asked for again does not. 0: hits count for one
    lifetime."""
    prefetch_share: float = 0.1
    """The last part of its lifetime, in which it is asked for again."""
    keep_ttl: bool = False
    """Whether TTLs do not count down."""
    rotate: bool = False
    """Whether the addresses in an answer change places each time that it is given."""
    zones: frozenset[Name] = frozenset({ROOT})
    """Nothing else is kept, nor are its TTLs bounded."""
    except_success: frozenset[Name] = frozenset()
    """Zones of which only absences are kept."""
    except_denial: frozenset[Name] = frozenset()
    """Zones of which neither absences nor failures are kept."""


class Counts(Struct, eq=False):
    """What became of the queries for names of others. They go on being counted here when the cache is another one."""

    hits: int = 0
    denial_hits: int = 0
    """Of these, those that were told that there is nothing."""
    misses: int = 0
    evictions: int = 0
    """Entries that had to make room before their time."""
    denial_evictions: int = 0
    stale: int = 0
    prefetched: int = 0
    rejected: int = 0
    """Queries that were not let in, since too many waited."""


class Entry(Struct, eq=False):
    """A response in its time. Times are those of the cache's clock."""

    response: Response
    stored_at: float
    expires_at: float
    is_denial: bool
    refresh_at: float
    """From then on it is not simply given: its hits are looked at, or it may have to be asked for again."""
    prefetch_at: float
    """From then on it is asked for again if it is popular."""
    hits: int = 0
    hit_at: float = 0.0
    """When the last of them was, before `refresh_at` about."""
    retry_at: float = 0.0
    """After it could not be had again: when to try next. Until then it may be given although it is stale."""
    vouched_for: int = ALWAYS
    """The serial of the index that was last seen to have nothing to say to the name; ALWAYS, NEVER."""

    def hit(self, now: float, longest_gap: float) -> None:
        if longest_gap and now - self.hit_at >= longest_gap:
            self.hits = 0
        self.hits += 1
        self.hit_at = now

    @property
    def weight(self) -> int:
        return WEIGHT + 2 * len(self.response) + WEIGHT_OF_RECORD * len(self.response.ttls)


class _LeastRecentlyUsed(LRUCache[bytes, Entry]):
    """Bounded in bytes by itself; a missing key is no exception to us."""

    def __init__(self, most_bytes: int, counts: Counts) -> None:
        super().__init__(most_bytes, getsizeof=lambda entry: entry.weight)
        self.denials = 0
        self._counts = counts

    def __missing__(self, key: bytes) -> None:  # type: ignore[override]
        return None

    def __setitem__(self, key: bytes, entry: Entry) -> None:
        if key in self:
            del self[key]
        super().__setitem__(key, entry)
        self.denials += entry.is_denial

    def __delitem__(self, key: bytes) -> None:
        self.denials -= self[key].is_denial
        super().__delitem__(key)

    def popitem(self) -> tuple[bytes, Entry]:
        key, entry = super().popitem()
        self._counts.evictions += 1
        self._counts.denial_evictions += entry.is_denial
        return key, entry


class Cache:
    def __init__(self, limits: CacheLimits, clock: Callable[[], float], counts: Counts | None = None) -> None:
        self.clock = clock
        self.limits = limits
        self.counts = counts or Counts()
        self._kept = _LeastRecentlyUsed(limits.bytes, self.counts)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def denials(self) -> int:
        """Of the entries, those that say that there is nothing."""
        return self._kept.denials

    @property
    def size(self) -> int:
        """Bytes that all entries take together, about."""
        return int(self._kept.currsize)

    def recall(self, key: bytes, now: float) -> Entry | None:
        """What is known of a question, fresh or stale; None if there is nothing that could be given in any case."""
        entry: Entry | None = self._kept[key]
        if entry is None or now < entry.expires_at:
            return entry
        if entry.response.is_failure or now >= entry.expires_at + self.limits.stale_seconds:
            del self._kept[key]
            return None
        return entry

    def keep(self, key: bytes, response: Response, now: float, *, vouched_for: int = ALWAYS) -> Response:
        """Take in a response, if it may be kept at all. Returns it with its TTLs within their bounds."""
        limits = self.limits
        if limits.rotate:
            response = response.rotating()
        if not _within(response.name, limits.zones):
            return response
        bounds = limits.ttl if response.is_data else limits.negative_ttl
        response = response.with_ttls(*bounds)
        lifetime = self._lifetime(response)
        if lifetime <= 0 or _within(
            response.name, limits.except_denial if response.is_denial else limits.except_success
        ):
            return response
        known: Entry | None = self._kept[key]
        if known is not None and response.is_failure and not known.response.is_failure:
            return response  # what was known may yet be given stale
        if response.leads_to is not None:
            vouched_for = NEVER  # it may lead to a name of ours
        prefetch_at = refresh_at = now + lifetime
        hits = 0
        if limits.prefetch_hits and not response.is_failure:
            prefetch_at = refresh_at = now + lifetime * (1 - limits.prefetch_share)
            if limits.prefetch_gap_seconds > 0:
                hits = known.hits if known is not None else 0
                refresh_at = now if limits.prefetch_gap_seconds < lifetime else refresh_at
        kept = response.not_authoritative()
        entry = Entry(
            kept.timeless() if limits.keep_ttl else kept,
            now,
            now + lifetime,
            response.is_denial,
            refresh_at,
            prefetch_at,
            hits=hits,
            hit_at=now,
            vouched_for=vouched_for,
        )
        if entry.weight <= limits.bytes:
            self._kept[key] = entry
        while len(self._kept) > limits.entries:
            self._kept.popitem()
        return response

    def clear(self) -> None:
        self._kept = _LeastRecentlyUsed(self.limits.bytes, self.counts)

    def _lifetime(self, response: Response) -> float:
        """Seconds; 0 for what must not be kept."""
        if response.is_truncated:
            return 0
        if response.rcode == Rcode.SERVFAIL:
            longest = self.limits.failure_seconds
            return longest if response.negative_ttl is None else min(longest, response.negative_ttl)
        if response.is_failure:
            return min(self.limits.failure_seconds, UNWILLING_SECONDS)
        says_something = response.is_data or response.leads_to or response.negative_ttl is not None
        return response.lowest_ttl or 0 if says_something else 0


def _within(name: Name, zones: frozenset[Name]) -> bool:
    if not zones or ROOT in zones:
        return bool(zones)
    return name in zones or any(each in zones for each in ancestors(name))
