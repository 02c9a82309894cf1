"""`template`: replies made of what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from clusterdns import names
from clusterdns.around.template import Template, templating
from clusterdns.corefile.directives.rule_words import can_be_followed, nobody, rcode_number, record_type
from clusterdns.corefile.settings import Settings, zone_texts
from clusterdns.corefile.words import shown
from clusterdns.records import Reason
from clusterdns.wire import Dialect
from clusterdns.zones.text import CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading


def template(readings: Sequence[Reading], around: Surroundings) -> Settings:
    made: list[Template] = []
    for reading in readings:
        found = _template(reading, around)
        if found and can_be_followed(
            reading,
            lambda found=found: templating(nobody, [found], Dialect(), stream=False),  # type: ignore[misc]
        ):
            made.append(found)
            lines = [" ".join((line.keyword, *line.words)) for line in reading.lines()]
            reading.understood(" ".join(reading.words), *lines)
    return {"template": [msgspec.to_builtins(each) for each in made]}


def _template(reading: Reading, around: Surroundings) -> Template | None:
    if not reading.count("CLASS TYPE [ZONE...]", 2):
        return None
    qclass, qtype, *words = reading.words
    if qclass.upper() not in CLASSES:
        reading.fault(f"expected a class, {', '.join(CLASSES)}, not {shown(qclass)}")
    zones = reading.zones(words) if words else around.zones
    texts: dict[str, list[str]] = {"match": [], "answer": [], "authority": [], "additional": []}
    rcode: int | None = 0
    reason: Reason | None = None
    fall_through: list[str] = []
    for line in reading.lines():
        if line.keyword in texts:
            if line.count("at least one text", 1):
                texts[line.keyword] += line.words
        elif line.keyword == "rcode":
            rcode = rcode_number(line, line.words[0]) if line.count("a response code", 1, 1) else None
        elif line.keyword == "ederror":
            code = line.number(line.words[0], "a code", 0, 0xFFFF) if line.count("CODE [REASON]", 1, 2) else None
            reason = Reason("".join(line.words[1:]), code) if code is not None else None
        elif line.keyword == "fallthrough":
            fall_through = zone_texts(line.zones(line.words) if line.words else (names.ROOT,))
        elif line.keyword == "upstream":
            line.warn("it does nothing here, nor in CoreDNS since 1.7")
        else:
            line.unsupported()
    return Template(
        qclass=CLASSES.get(qclass.upper(), 1),
        qtype=record_type(reading, qtype) or 255,
        zones=tuple(zone_texts(zones)),
        patterns=tuple(texts["match"]),
        answer=tuple(texts["answer"]),
        authority=tuple(texts["authority"]),
        additional=tuple(texts["additional"]),
        rcode=rcode or 0,
        reason=reason,
        fall_through=tuple(fall_through),
    )
