"""What is done to replies, and what is said without being looked up."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, get_args

from clusterdns.around.header import Flag
from clusterdns.corefile.words import shown

if TYPE_CHECKING:
    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading
    from clusterdns.corefile.settings import Settings


def header(reading: Reading, _: Surroundings) -> Settings:
    """[query|response] set|clear FLAG...; of one flag the last line counts."""
    reading.nothing()
    said: dict[str, dict[str, bool]] = {"query": {}, "response": {}}
    for line in reading.lines():
        words = [line.keyword.lower(), *[word.lower() for word in line.words]]
        which = words.pop(0) if words[0] in said else "response"
        if len(words) < 2:
            line.fault("expected set or clear, and flags")
        elif action := line.one_of(words[0], ("set", "clear")):
            flags = [line.one_of(word, get_args(Flag)) for word in words[1:]]
            said[which] |= {flag: action == "set" for flag in flags if flag}
    if not [*reading.lines()]:
        reading.fault("expected a block of set and clear, and flags")
    queries, replies = said.values()
    return {
        "header.set": [flag for flag, is_set in replies.items() if is_set],
        "header.clear": [flag for flag, is_set in replies.items() if not is_set],
        "header.query-set": [flag for flag, is_set in queries.items() if is_set],
        "header.query-clear": [flag for flag, is_set in queries.items() if not is_set],
    }


def loadbalance(reading: Reading, _: Surroundings) -> Settings:
    """The cluster's own records rotate in any case."""
    if reading.words and reading.words[0] != "round_robin":
        reading.unsupported(shown(reading.words[0]))
    else:
        reading.count("round_robin", 0, 1)
    preferred: list[str] = []
    for line in reading.lines():
        if line.keyword != "prefer":
            line.unsupported()
            continue
        for word in line.words if line.count("networks", 1) else ():
            try:
                preferred.append(str(ipaddress.ip_network(word, strict=False)))
            except ValueError:
                line.fault(f"expected a network such as 192.0.2.0/24, not {shown(word)}")
    return {"cache.rotate": True, **({"prefer": preferred} if preferred else {})}


def local(reading: Reading, _: Surroundings) -> Settings:
    reading.nothing()
    reading.no_lines()
    return {"local": True}


def whoami(reading: Reading, _: Surroundings) -> Settings:
    reading.nothing()
    return {"whoami": True}
