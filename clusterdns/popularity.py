"""Who asks what, counted while somebody looks: names, clients, types, outcomes, what was slow, what was tried in vain.

On a query's way stands one number in a dictionary, by the query without its ID, its client and its outcome; all else is
worked out when somebody takes what was counted. Several processes may count: what each has is added up.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from clusterdns import names
from clusterdns.around.log_line import read_asked
from clusterdns.names import Name
from clusterdns.presentation import rcode_text
from clusterdns.records import Rcode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

MOST_KEYS = 20_000
"""Numbers that are kept until they are added up."""

MOST_NAMED = 10_000
"""Names, and clients, that are told apart: those asked least make room for others."""

OTHER = "?"
"""The name in a query that nobody can read."""

SILENCE = "no reply"

T = TypeVar("T")


class Count(Struct, frozen=True):
    what: str
    queries: int


class Client(Struct, frozen=True):
    address: str
    queries: int
    pod: str = ""
    """`namespace/name`, where pods are followed."""


class Slow(Struct, frozen=True):
    """A name that others had to be asked for."""

    name: str
    queries: int
    mean_ms: float
    longest_ms: float


class Report(Struct, frozen=True):
    """All since it began to be counted; the first are the most, or the slowest."""

    seconds: float
    queries: int
    per_second: float
    """Since the report before."""
    in_vain: int
    """Queries for names of the cluster that do not exist, as search lists make them."""
    names: tuple[Count, ...]
    clients: tuple[Client, ...]
    types: tuple[Count, ...]
    outcomes: tuple[Count, ...]
    meant: tuple[Count, ...]
    """The names that were looked for in vain, without what a search list puts behind them."""
    slow: tuple[Slow, ...]


class Waited(Struct):
    """How often a reply was waited for, in seconds."""

    queries: int = 0
    together: float = 0.0
    longest: float = 0.0

    def add(self, other: Waited) -> None:
        self.queries += other.queries
        self.together += other.together
        self.longest = max(self.longest, other.longest)


class Tally(Struct):
    """Numbers of queries, by what they were for and what came of them."""

    queries: int = 0
    in_vain: int = 0
    names: dict[str, int] = {}
    clients: dict[str, int] = {}
    types: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    vain: dict[Name, int] = {}
    slow: dict[str, Waited] = {}
    """By name."""

    def add(self, other: Tally) -> None:
        self.queries += other.queries
        self.in_vain += other.in_vain
        _add(self.types, other.types)
        _add(self.outcomes, other.outcomes)
        for ours, theirs in ((self.names, other.names), (self.clients, other.clients)):
            _add(ours, theirs)
            _make_room(ours)
        _add(self.vain, other.vain)
        _make_room(self.vain)
        for name, waited in other.slow.items():
            if name in self.slow or len(self.slow) < MOST_NAMED:
                self.slow.setdefault(name, Waited()).add(waited)


class Counting:
    """What queries are for, as they come.

    zones: the cluster's.
    """

    def __init__(self, zones: Sequence[Name]) -> None:
        self._zones = tuple(zones)
        self._counts: Counter[tuple[bytes, str, int]] = Counter()
        self._waited: dict[bytes, Waited] = {}
        """By query."""
        self._tally = Tally()

    def note(self, packet: bytes, client: str, reply: bytes | None) -> None:
        self._counts[packet[2:], client, reply[3] & 0xF if reply else -1] += 1
        if len(self._counts) > MOST_KEYS:
            self._add_up()

    def note_slow(self, packet: bytes, seconds: float) -> None:
        """One whose reply was waited for; it is noted besides."""
        waited = self._waited.get(packet[2:])
        if waited is not None:
            waited.add(Waited(1, seconds, seconds))
        elif len(self._waited) < MOST_NAMED:
            self._waited[packet[2:]] = Waited(1, seconds, seconds)

    def taken(self) -> Tally:
        """What was counted since it was taken before."""
        self._add_up()
        tally, self._tally = self._tally, Tally()
        return tally

    def _add_up(self) -> None:
        tally = Tally()
        for (query, client, rcode), count in self._counts.items():
            name, text, rtype = _named(query)
            outcome = SILENCE if rcode < 0 else rcode_text(rcode)
            tally.queries += count
            for counts, what in (
                (tally.names, text),
                (tally.clients, client),
                (tally.types, rtype),
                (tally.outcomes, outcome),
            ):
                counts[what] = counts.get(what, 0) + count
            if rcode == Rcode.NXDOMAIN and name is not None and name.endswith(self._zones):
                tally.in_vain += count
                tally.vain[name] = tally.vain.get(name, 0) + count
        for query, waited in self._waited.items():
            tally.slow.setdefault(_named(query)[1], Waited()).add(waited)
        self._counts.clear()
        self._waited.clear()
        self._tally.add(tally)


class Popularity:
    """All that was counted since it began. Times are the clock's, in seconds.

    zones: the cluster's.
    """

    def __init__(self, zones: Sequence[Name], clock: Callable[[], float]) -> None:
        self._zones = tuple(zones)
        self._clock = clock
        self._began = self._reported = clock()
        self._at_report = 0
        self._tally = Tally()

    def add(self, tally: Tally) -> None:
        self._tally.add(tally)

    def report(self, rows: int, namespaces: Collection[str], pod: Callable[[str], str]) -> Report:
        """What there is so far, with so many rows of each.

        namespaces: those that there are, as search lists have them. pod: which one has an address, as Client has it.
        """
        tally = self._tally
        now = self._clock()
        since, fresh = now - self._reported, tally.queries - self._at_report
        self._reported, self._at_report = now, tally.queries
        meant: Counter[str] = Counter()
        for name, count in tally.vain.items():
            meant[names.to_text(self._meant(name, namespaces))] += count
        return Report(
            seconds=round(now - self._began, 3),
            queries=tally.queries,
            per_second=round(fresh / since, 1) if since > 0 else 0.0,
            in_vain=tally.in_vain,
            names=_first(tally.names, rows),
            clients=tuple(Client(each.what, each.queries, pod(each.what)) for each in _first(tally.clients, rows)),
            types=_first(tally.types, rows),
            outcomes=_first(tally.outcomes, rows),
            meant=_first(meant, rows),
            slow=_slowest(tally.slow, rows),
        )

    def _meant(self, name: Name, namespaces: Collection[str]) -> Name:
        """The name without the domain of a search list that it has at its end."""
        zone = next(each for each in self._zones if name.endswith(each))
        rest = name[: -len(zone)]
        labels = names.labels(rest + names.ROOT)
        if len(labels) > 1 and labels[-1] == b"svc":
            rest = rest[: -len(b"\3svc")]
            if len(labels) > 2 and labels[-2].decode("ascii", "replace") in namespaces:
                rest = rest[: -len(labels[-2]) - 1]
        return rest + names.ROOT


def _named(query: bytes) -> tuple[Name | None, str, str]:
    """The name that a query without its ID is for, both ways, and its type."""
    asked = read_asked(b"\0\0" + query, stream=True)
    return (None, OTHER, OTHER) if asked is None else (asked.name, asked.name_text.lower(), asked.type_text)


def _first(counts: dict[str, int], rows: int) -> tuple[Count, ...]:
    return tuple(Count(what, count) for what, count in Counter(counts).most_common(rows))


def _slowest(slow: dict[str, Waited], rows: int) -> tuple[Slow, ...]:
    found = [
        Slow(name, each.queries, round(1000 * each.together / each.queries, 1), round(1000 * each.longest, 1))
        for name, each in slow.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.mean_ms, each.name))[:rows])


def _add(counts: dict[T, int], others: dict[T, int]) -> None:
    for what, count in others.items():
        counts[what] = counts.get(what, 0) + count


def _make_room(counts: dict[T, int]) -> None:
    if len(counts) > MOST_NAMED:
        kept = Counter(counts).most_common(MOST_NAMED // 2)
        counts.clear()
        counts.update(kept)
