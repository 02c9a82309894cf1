"""`cache`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.corefile.settings import Settings, zone_texts
from clusterdns.corefile.words import shown
from clusterdns.records import LONGEST_TTL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading

CAPACITY = 9984
LEAST_CAPACITY = 1024
SHARDS = 256
"""CoreDNS rounds what it is told down to as many entries a shard, four at least."""

TTLS = {"success": 3600, "denial": 1800}
LOWEST_TTL = 5
FAILURE_SECONDS = 5.0
LONGEST_FAILURE = 300
LONGEST_STALE = 7 * 86400
STALE_SECONDS = 3600
STALE_TTL = 0
VERIFY_SECONDS = 1.8
"""How long a client waits for a fresh response unless it is said; CoreDNS lets it wait as long as it does itself."""
PREFETCH_GAP_SECONDS = 60.0


class _Kind:
    """How responses of one kind are kept."""

    def __init__(self, ttl: int) -> None:
        self.capacity = CAPACITY
        self.ttl = ttl
        self.lowest = LOWEST_TTL

    @property
    def bounds(self) -> list[int]:
        """The lowest TTL and the highest, which wins."""
        return [min(self.lowest, self.ttl), self.ttl]


def cache(reading: Reading, around: Surroundings) -> Settings:
    words = list(reading.words)
    kinds = {name: _Kind(ttl) for name, ttl in TTLS.items()}
    if words and words[0].lstrip("+-").isdigit():
        ttl = reading.number(words.pop(0), "a TTL in seconds", 1)
        for kind in kinds.values():
            kind.ttl = kind.ttl if ttl is None else ttl
    zones = reading.zones(words) if words else around.zones
    settings: Settings = {
        "cache.entries": 0,
        "cache.failure-seconds": FAILURE_SECONDS,
        "cache.stale-seconds": 0,
        "cache.prefetch-hits": 0,
        "cache.zones": zone_texts(around.not_all(zones)),
    }
    for line in reading.lines():
        settings.update(_option(line, kinds))
    success, denial = kinds["success"], kinds["denial"]
    return {
        **settings,
        "cache.entries": success.capacity + denial.capacity,
        "cache.ttl": success.bounds,
        "cache.negative-ttl": denial.bounds,
    }


def _option(line: Reading, kinds: Mapping[str, _Kind]) -> Settings:
    words = line.words
    match line.keyword:
        case "success" | "denial":
            if line.count("CAPACITY [TTL [MINTTL]]", 1, 3):
                _bounds(line, kinds[line.keyword])
        case "prefetch":
            if line.count("AMOUNT [DURATION [PERCENTAGE%]]", 1, 3):
                return _prefetch(line)
        case "serve_stale":
            if line.count("[DURATION [immediate|verify [TIMEOUT]]]", 0, 3):
                return _stale(line)
        case "servfail":
            if line.count("a duration", 1, 1):
                return _failure(line)
        case "disable":
            kind = line.one_of(words[0], tuple(TTLS)) if line.count("success or denial, and zones", 1) else None
            if kind:
                zones = line.zones(words[1:]) if words[1:] else (names.ROOT,)
                return {f"cache.except-{kind}": zone_texts(zones)}
        case "keepttl":
            if line.nothing():
                return {"cache.keep-ttl": True}
        case _:
            line.unsupported()
    return {}


def _bounds(line: Reading, kind: _Kind) -> None:
    capacity = line.number(line.words[0], "a capacity", 0)
    if capacity is not None:
        kind.capacity = max(LEAST_CAPACITY, capacity // SHARDS * SHARDS)
    for word, attribute, what, least in zip(
        line.words[1:], ("ttl", "lowest"), ("a TTL in seconds", "a lowest TTL in seconds"), (1, 0), strict=False
    ):
        if (seconds := line.number(word, what, least, LONGEST_TTL)) is not None:
            setattr(kind, attribute, seconds)


def _prefetch(line: Reading) -> Settings:
    settings: Settings = {"cache.prefetch-gap-seconds": PREFETCH_GAP_SECONDS}
    if (hits := line.number(line.words[0], "an amount", 0, 1_000_000)) is not None:
        settings["cache.prefetch-hits"] = hits
    if len(line.words) > 1 and (seconds := line.duration(line.words[1], most=LONGEST_STALE)) is not None:
        settings["cache.prefetch-gap-seconds"] = seconds
    if len(line.words) > 2:
        percentage = line.words[2]
        if not percentage.endswith("%"):
            line.fault(f"expected a percentage from 10% to 90%, not {shown(percentage)}")
        elif (share := line.number(percentage.removesuffix("%"), "a percentage", 10, 90)) is not None:
            settings["cache.prefetch-percent"] = share
    return settings


def _stale(line: Reading) -> Settings:
    seconds = line.duration(line.words[0]) if line.words else STALE_SECONDS
    mode = line.one_of(line.words[1].lower(), ("immediate", "verify")) if len(line.words) > 1 else "immediate"
    wait: float | None = VERIFY_SECONDS if mode == "verify" else 0.0
    if len(line.words) > 2 and mode == "verify":
        wait = line.duration(line.words[2], 0.001, 60)
    elif len(line.words) > 2:
        line.fault(f"expected nothing behind {shown(line.words[1])}, not {shown(line.words[2])}")
    if seconds is None:
        return {}
    if seconds > LONGEST_STALE:
        line.warn(f"responses are kept for {LONGEST_STALE // 86400} days at most")
    return {
        "cache.stale-seconds": int(min(seconds, LONGEST_STALE)),
        "cache.stale-after-seconds": wait,
        "cache.stale-ttl": STALE_TTL,
    }


def _failure(line: Reading) -> Settings:
    seconds = line.duration(line.words[0], most=LONGEST_FAILURE)
    return {} if seconds is None else {"cache.failure-seconds": seconds}
