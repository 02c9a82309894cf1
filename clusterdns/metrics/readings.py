"""Where the numbers are read, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from clusterdns.cache import Counts
from clusterdns.durations import Durations
from clusterdns.forward import Tally as UpstreamTally
from clusterdns.traffic import Tally


class Watch(Struct, frozen=True):
    """A watch as it stands; ages are in seconds, None before the first time."""

    resource: str
    age: float | None
    listed_age: float | None
    restarts: int
    differences: int


class Served(Struct, frozen=True):
    """What was asked and answered on one address, over one transport, for one zone of the configuration."""

    server: str
    """As CoreDNS writes it: `dns://:53`, `tls://[::1]:853`."""
    zone: str
    view: str
    proto: str
    family: str
    """`1` for IPv4, `2` for IPv6."""
    tally: Tally


class Part(Struct, frozen=True):
    """A part of the server that may answer for a zone of the configuration, by the name of CoreDNS's plugin for it."""

    server: str
    zone: str
    view: str
    name: str


class CacheState(Struct, frozen=True):
    """What was answered out of the cache of a block, and what waits for its upstreams."""

    block: str
    server: str
    view: str
    zones: str
    """Of which responses are kept, as CoreDNS writes them: with commas."""
    entries: int
    denials: int
    """Of the entries, those that say that there is nothing."""
    bytes: int
    waiting: int
    counts: Counts


class UpstreamState(Struct, frozen=True):
    """An upstream as it stands."""

    block: str
    upstream: str
    zone: str
    to: str
    """Address and port alone, as CoreDNS writes it."""
    is_usable: bool
    is_looping: bool
    tally: UpstreamTally


class Workers(Struct, frozen=True):
    """The processes that answer queries."""

    count: int
    restarts: int


class Readings(Struct, frozen=True):
    """Where the numbers are read."""

    objects: Callable[[], dict[str, int]]
    names: Callable[[], dict[str, int]] = dict
    """That stand ready to be answered, by block."""
    served: Callable[[], Sequence[Served]] = tuple
    parts: Callable[[], Sequence[Part]] = tuple
    caches: Callable[[], Sequence[CacheState]] = tuple
    upstreams: Callable[[], Sequence[UpstreamState]] = tuple
    despairs: Callable[[], int] = int
    """Questions that went to an upstream although all of them seemed to be down."""
    faults: Callable[[], int] = int
    reloads: Callable[[], int] = int
    reloads_failed: Callable[[], int] = int
    is_outdated: Callable[[], bool] = bool
    """Whether the configuration that was read last is not the one in effect."""
    log_lines_dropped: Callable[[], int] = int
    watches: Callable[[], Sequence[Watch]] = tuple
    propagation: Callable[[], Durations | None] = lambda: None
    programming: Callable[[], Durations | None] = lambda: None
    workers: Callable[[], Workers | None] = lambda: None
    """None if this process answers by itself."""
