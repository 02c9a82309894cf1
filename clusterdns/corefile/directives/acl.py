"""`acl`: who may ask what. Each `acl` of a server block is one rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec

from clusterdns.around.acl import Action, Policy, Rule, guarding
from clusterdns.corefile.directives.rule_words import can_be_followed, nobody, record_type
from clusterdns.corefile.settings import Settings, zone_texts
from clusterdns.corefile.words import shown
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading

SECTIONS = ("type", "net", "file")


def acl(readings: Sequence[Reading], around: Surroundings) -> Settings:
    rules: list[Rule] = []
    for reading in readings:
        zones = reading.zones(reading.words) if reading.words else around.zones
        policies = [policy for line in reading.lines() if (policy := _policy(line, around))]
        rules.append(Rule(policies=tuple(policies), zones=tuple(zone_texts(zones))))
        reading.understood(*[" ".join((line.keyword, *line.words)) for line in reading.lines()])
    return {"acl": [msgspec.to_builtins(rule) for rule in rules]}


def _policy(line: Reading, around: Surroundings) -> Policy | None:
    actions: tuple[Action, ...] = get_args(Action)
    if line.keyword.lower() not in actions:
        line.fault(f"expected one of {', '.join(actions)}")
        return None
    action = next(each for each in actions if each == line.keyword.lower())
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for word in line.words:
        if word.lower() in SECTIONS:
            current = sections.setdefault(word.lower(), [])
        elif current is None:
            line.fault(f"expected type, net or file, not {shown(word)}")
            return None
        else:
            current.append(word)
    for section, found in sections.items():
        if not found:
            line.fault(f"expected something behind {section}")
    types = [] if "*" in sections.get("type", []) else [record_type(line, word) for word in sections.get("type", [])]
    networks = [] if "*" in sections.get("net", []) else sections.get("net", [])
    files = [] if "*" in sections.get("net", []) else list(map(around.path, sections.get("file", [])))
    policy = Policy(action=action, types=tuple(types), networks=tuple(networks), files=tuple(files))
    rule = Rule(policies=(policy,))
    return policy if can_be_followed(line, lambda: guarding(nobody, [rule], Dialect(), stream=False)) else None
