"""What is asked and answered, counted in passing and added up when somebody wants to know.

On a query's way stands one number in a dictionary, by what is at hand: the query without its ID and its name, how long
query and reply are, the last byte of the reply's flags, and where the reply comes from. What that says of types, sizes
and response codes is found out when the numbers are read, and when there are too many of them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from clusterdns.durations import Buckets, Durations
from clusterdns.origins import SERVER, Origin, Trail, Way
from clusterdns.presentation import rcode_text, type_text
from clusterdns.queries import HEADER
from clusterdns.records import Rcode

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from clusterdns.respond import Client, Reaction, Respond

    ToCome: TypeAlias = Coroutine[Any, Any, bytes | None]

DURATION_BOUNDS = tuple(0.00025 * 2**power for power in range(16))
"""Seconds. These bounds are CoreDNS's, and so are the next ones."""

SIZE_BOUNDS = (0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3)
"""Bytes."""

OTHER = "other"

KNOWN_TYPES = frozenset({
    "A", "AAAA", "MX", "SOA", "CNAME", "PTR", "TXT", "NS", "SRV", "DS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "HTTPS",
    "IXFR", "AXFR", "ANY",
})  # fmt: skip
"""The types that are told apart; all others are OTHER."""

TIMED = 16
"""One of so many queries is timed if its reply is ready-made, which takes a microsecond: looking at the clock for each
would take a good part of that. Whatever is not ready-made is timed each time."""

MOST_KEYS = 2000
"""Numbers that are kept until they are added up: clients have some hundreds, only an attacker has more."""

_TYPE = 10
"""Where in the form the question's type stands: behind what the header has behind the ID."""

_SEEN = 13
"""Bytes from there on: type, class, and the OPT record up to its flags, where all clients put it."""

_QUESTION = 4
_OPT = b"\0\0\x29"
_VERSION, _FLAGS = 10, 11

_Key: TypeAlias = tuple[bytes, int, int, int, Origin]


class Place(Struct, frozen=True):
    """Where queries come in, as it is set, and for which zone of the configuration."""

    host: str
    port: int
    is_tls: bool
    is_stream: bool
    zone: str
    """As CoreDNS writes it, with the last dot; DROPPED for a query that is in none."""
    view: str = ""


DROPPED = "dropped"
"""It has no dot at its end, so it can not be a zone."""


class Totals:
    """All that was counted so far."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        """By type."""
        self.dnssec_ok = 0
        self.responses: Counter[tuple[str, str]] = Counter()
        """By rcode, and by the part that they come from."""
        self.ways: Counter[Way] = Counter()
        self.missing: Counter[str] = Counter()
        """Names of ours that do not exist, by what they would have been."""
        self.request_sizes = Buckets(*SIZE_BOUNDS)
        self.response_sizes = Buckets(*SIZE_BOUNDS)

    def add(self, key: _Key, times: int) -> None:
        form, asked, replied, flags, origin = key
        seen = form[_TYPE : _TYPE + _SEEN]
        if replied == HEADER:  # nobody could read the question
            self.requests[OTHER] += times
        else:
            qtype = type_text(int.from_bytes(seen[:2], "big"))
            self.requests[qtype if qtype in KNOWN_TYPES else OTHER] += times
            self.dnssec_ok += times * _is_dnssec_ok(seen)
        rcode = flags & 0xF
        if origin is SERVER and not rcode and _version(seen):
            rcode = Rcode.BADVERS  # of which the flags have only the lower half
        self.responses[rcode_text(rcode), origin.part] += times
        self.ways[origin.way] += times
        if rcode == Rcode.NXDOMAIN and origin.part == "kubernetes":
            self.missing[origin.missing or "endpoint"] += times
        self.request_sizes.observe(asked, times)
        self.response_sizes.observe(replied, times)


def _is_dnssec_ok(seen: bytes) -> bool:
    return len(seen) == _SEEN and seen[_QUESTION : _QUESTION + 3] == _OPT and bool(seen[_FLAGS] & 0x80)


def _version(seen: bytes) -> int:
    """Of EDNS."""
    return seen[_VERSION] if len(seen) == _SEEN and seen[_QUESTION : _QUESTION + 3] == _OPT else 0


class Tally:
    """What is counted at one place."""

    def __init__(self) -> None:
        self.counts: dict[_Key, list[int]] = {}
        """What was counted since it was last added up: each number in a list of its own, where it can grow."""
        self._seconds = 0.0
        """All durations together; those of the first bucket are counted nowhere else."""
        self._slower = Durations(*DURATION_BOUNDS)
        """The durations of all other buckets."""
        self.waiting = 0
        """Queries whose reply is still to come."""
        self.unanswered = 0
        self._totals = Totals()

    def note(self, packet: bytes, reply: bytes, origin: Origin, seconds: float) -> None:
        """Count a query and its reply."""
        end = packet.find(0, HEADER) + 1
        form = packet[2:HEADER] + packet[end : end + _SEEN]
        key = (form, len(packet), len(reply), reply[3], origin)
        if key in self.counts:
            self.counts[key][0] += 1
        else:
            self.begin(key)
        self.note_duration(seconds)

    def begin(self, key: _Key) -> None:
        """Count something that was not met of late."""
        if len(self.counts) >= MOST_KEYS:
            self._add_up()
        self.counts[key] = [1]

    def note_duration(self, seconds: float, stands_for: int = 1) -> None:
        self._seconds += seconds * stands_for
        if seconds > DURATION_BOUNDS[0]:
            self._slower.observe(seconds)

    @property
    def is_idle(self) -> bool:
        """Whether nothing was ever counted."""
        return not (self.counts or self._totals.requests)

    def totals(self) -> Totals:
        self._add_up()
        return self._totals

    def durations(self) -> Durations:
        found = Durations(*DURATION_BOUNDS)
        found.add(self._slower)
        found.counts[0] = self.totals().requests.total() - sum(self._slower.counts)
        found.sum = self._seconds
        return found

    def _add_up(self) -> None:
        for key, (times,) in self.counts.items():
            self._totals.add(key, times)
        self.counts.clear()


class Traffic:
    """What is counted at all places. It goes on being counted when the configuration changes."""

    def __init__(self) -> None:
        self.tallies: dict[Place, Tally] = {}

    def counted(self, respond: Respond, place: Place, trail: Trail) -> Respond:
        """The responder, all of whose queries are counted.

        trail: where it says what its replies come from, and when it began with those that are not ready-made.
        """
        tally = self.tallies.setdefault(place, Tally())
        counts, clock, untimed = tally.counts, trail.clock, TIMED

        def counting(packet: bytes, client: Client) -> Reaction:
            nonlocal untimed
            untimed -= 1
            if untimed:
                reply = respond(packet, client)
            else:
                untimed = TIMED
                reply = timing(packet, client)
            if isinstance(reply, bytes):
                origin = trail.origin
                if origin.way != "fast":
                    tally.note(packet, reply, origin, clock() - trail.started)
                    return reply
                try:
                    counts[trail.form, len(packet), len(reply), reply[3], origin][0] += 1
                except KeyError:
                    tally.begin((trail.form, len(packet), len(reply), reply[3], origin))
                return reply
            if reply is None:
                tally.unanswered += 1
                return None
            return later(packet, reply, trail.started)

        def timing(packet: bytes, client: Client) -> Reaction:
            """Take the time of a reply if it is ready-made; it stands for those that come before the next."""
            started = clock()
            reply = respond(packet, client)
            if isinstance(reply, bytes) and trail.origin.way == "fast":
                tally.note_duration(clock() - started, TIMED)
            return reply

        async def later(packet: bytes, reply: ToCome, started: float) -> bytes | None:
            tally.waiting += 1
            try:
                found = await reply
            finally:
                tally.waiting -= 1
            if found is None:
                tally.unanswered += 1
                return None
            tally.note(packet, found, trail.origin, clock() - started)
            return found

        return counting
