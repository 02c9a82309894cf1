"""Which zone has the say about a name, and whether it says something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from clusterdns.names import Name, ancestors
from clusterdns.records import LONGEST_TTL, Answer, Question, Rcode, Reason, ReasonCode, Record
from clusterdns.zones.zone import ZoneData, lookup

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ANSWERS = 10_000
"""How many answers are remembered; then all are forgotten."""


class ServedZone(Struct, frozen=True):
    name: Name
    data: ZoneData | None
    """None: it could not be read yet."""
    fall_through: frozenset[Name] = frozenset()
    """Names in these that have nothing are the business of whoever is asked next."""
    ttl: tuple[int, int] = (0, LONGEST_TTL)
    """Seconds, lowest and highest: each TTL is raised or lowered to these."""
    negative_ttl: tuple[int, int] = (0, LONGEST_TTL)
    """The same for what is missing."""


class ServedZones:
    """All of a block. They are put in place of one another as a whole."""

    def __init__(self) -> None:
        self._zones: dict[Name, ServedZone] = {}
        self._answers: dict[tuple[Name, int, bool], Answer | None] = {}

    def __bool__(self) -> bool:
        return bool(self._zones)

    def put(self, zones: Iterable[ServedZone]) -> None:
        self._zones = {each.name: each for each in zones}
        self._answers.clear()

    def serves(self, name: Name) -> bool:
        return self._zone_of(name) is not None

    def at(self, apex: Name) -> ServedZone | None:
        """The zone of that name."""
        return self._zones.get(apex)

    def answer(self, question: Question, *, dnssec_ok: bool) -> Answer | None:
        """What the longest zone that the name is in says; None if there is none, or it leaves the name to others."""
        key = (question.name, question.qtype, dnssec_ok)
        if key not in self._answers:
            if len(self._answers) >= MOST_ANSWERS:
                self._answers.clear()
            self._answers[key] = self._look_up(question, dnssec_ok=dnssec_ok)
        return self._answers[key]

    def _zone_of(self, name: Name) -> ServedZone | None:
        for each in (name, *ancestors(name)):
            if each in self._zones:
                return self._zones[each]
        return None

    def _look_up(self, question: Question, *, dnssec_ok: bool) -> Answer | None:
        zone = self._zone_of(question.name)
        if zone is None:
            return None
        if zone.data is None:
            return NOT_READ
        found = lookup(zone.data, question, dnssec_ok=dnssec_ok)
        says_nothing = not found.records and found.authoritative and not zone.data.nodes.get(question.name)
        if says_nothing and not zone.fall_through.isdisjoint((question.name, *ancestors(question.name))):
            return None
        return _bounded(found, *(zone.ttl if found.records or not found.authoritative else zone.negative_ttl))


def _bounded(answer: Answer, lowest: int, highest: int) -> Answer:
    if (lowest, highest) == (0, LONGEST_TTL):
        return answer
    records, authority, additional = [
        bounded(section, (lowest, highest)) for section in (answer.records, answer.authority, answer.additional)
    ]
    return replace(answer, records=records, authority=authority, additional=additional)


def bounded(records: Iterable[Record], ttl: tuple[int, int]) -> tuple[Record, ...]:
    """The records, with TTLs within these bounds, the lowest and the highest."""
    lowest, highest = ttl
    return tuple([replace(each, ttl=max(lowest, min(each.ttl, highest))) for each in records])


NOT_READ = Answer(
    rcode=Rcode.SERVFAIL,
    authoritative=False,
    reason=Reason("the zone's file could not be read", ReasonCode.NOT_READY),
)
