"""Who asks what, counted while somebody looks: names, clients, types, outcomes, what was slow, what was tried in vain.

On a query's way stands one number in a dictionary, by the query without its ID, its client and its outcome; all else is
worked out when a report is made.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from clusterdns import names
from clusterdns.around.log_line import read_asked
from clusterdns.presentation import rcode_text
from clusterdns.records import Rcode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from clusterdns.names import Name

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


class Popularity:
    """Times are the clock's, in seconds.

    zones: the cluster's.
    """

    def __init__(self, zones: Sequence[Name], clock: Callable[[], float]) -> None:
        self._zones = tuple(zones)
        self._clock = clock
        self._began = self._reported = clock()
        self._counts: Counter[tuple[bytes, str, int]] = Counter()
        self._queries = self._in_vain = self._at_report = 0
        self._names: Counter[str] = Counter()
        self._clients: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._vain: Counter[Name] = Counter()
        self._slow: dict[bytes, list[float]] = {}
        """By query: how many, how long together, how long at most."""

    def note(self, packet: bytes, client: str, reply: bytes | None) -> None:
        self._counts[packet[2:], client, reply[3] & 0xF if reply else -1] += 1
        if len(self._counts) > MOST_KEYS:
            self._add_up()

    def note_slow(self, packet: bytes, seconds: float) -> None:
        """One whose reply was waited for; it is noted besides."""
        known = self._slow.get(packet[2:])
        if known is not None:
            known[:] = known[0] + 1, known[1] + seconds, max(known[2], seconds)
        elif len(self._slow) < MOST_NAMED:
            self._slow[packet[2:]] = [1, seconds, seconds]

    def report(self, rows: int, namespaces: Collection[str], pod: Callable[[str], str]) -> Report:
        """What there is so far, with so many rows of each.

        namespaces: those that there are, as search lists have them. pod: which one has an address, as Client has it.
        """
        self._add_up()
        now = self._clock()
        since, fresh = now - self._reported, self._queries - self._at_report
        self._reported, self._at_report = now, self._queries
        meant: Counter[str] = Counter()
        for name, count in self._vain.items():
            meant[names.to_text(self._meant(name, namespaces))] += count
        return Report(
            seconds=round(now - self._began, 3),
            queries=self._queries,
            per_second=round(fresh / since, 1) if since > 0 else 0.0,
            in_vain=self._in_vain,
            names=_first(self._names, rows),
            clients=tuple(Client(address, count, pod(address)) for address, count in self._clients.most_common(rows)),
            types=_first(self._types, rows),
            outcomes=_first(self._outcomes, rows),
            meant=_first(meant, rows),
            slow=self._slowest(rows),
        )

    def _slowest(self, rows: int) -> tuple[Slow, ...]:
        by_name: dict[str, list[float]] = {}
        for query, (count, together, longest) in self._slow.items():
            known = by_name.setdefault(_named(query)[1], [0, 0, 0])
            known[:] = known[0] + count, known[1] + together, max(known[2], longest)
        found = [
            Slow(name, int(count), round(1000 * together / count, 1), round(1000 * longest, 1))
            for name, (count, together, longest) in by_name.items()
        ]
        return tuple(sorted(found, key=lambda each: (-each.mean_ms, each.name))[:rows])

    def _add_up(self) -> None:
        for (query, client, rcode), count in self._counts.items():
            name, text, rtype = _named(query)
            self._queries += count
            self._names[text] += count
            self._clients[client] += count
            self._types[rtype] += count
            self._outcomes[SILENCE if rcode < 0 else rcode_text(rcode)] += count
            if rcode == Rcode.NXDOMAIN and name is not None and name.endswith(self._zones):
                self._in_vain += count
                self._vain[name] += count
        self._counts.clear()
        for each in (self._names, self._clients):
            _make_room(each)
        _make_room(self._vain)

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


def _first(counts: Counter[str], rows: int) -> tuple[Count, ...]:
    return tuple(Count(what, count) for what, count in counts.most_common(rows))


def _make_room(counts: Counter[T]) -> None:
    if len(counts) > MOST_NAMED:
        kept = counts.most_common(MOST_NAMED // 2)
        counts.clear()
        counts.update(dict(kept))
