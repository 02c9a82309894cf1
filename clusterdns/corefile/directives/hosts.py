"""`hosts`: a file, and lines of the same form in the Corefile itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.corefile.settings import Settings, zone_texts
from clusterdns.corefile.words import shown

if TYPE_CHECKING:
    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading

FILE = "/etc/hosts"
"""Is read unless another one is named, also where there are lines."""

TTL = 3600
"""Seconds."""

_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")


def hosts(reading: Reading, around: Surroundings) -> Settings:
    file, *words = reading.words or (FILE,)
    zones = reading.zones(words) if words else around.zones
    settings: Settings = {
        "hosts.files": [around.path(file)],
        "hosts.needed": False,
        "hosts.entries": [],
        "hosts.ttl": TTL,
        "hosts.zones": [] if names.ROOT in zones else zone_texts(zones),
        "hosts.reverse": True,
        "hosts.fallthrough": [],
    }
    for line in reading.lines():
        match line.keyword:
            case "ttl":
                if line.count("seconds", 1, 1) and (ttl := line.number(line.words[0], "seconds", 1, 65535)):
                    settings["hosts.ttl"] = ttl
            case "no_reverse":
                if line.nothing():
                    settings["hosts.reverse"] = False
            case "reload":
                if line.count("a duration", 1, 1):
                    line.duration(line.words[0])
            case "fallthrough":
                settings["hosts.fallthrough"] = zone_texts(line.zones(line.words) if line.words else (names.ROOT,))
            case _:
                settings["hosts.entries"] += _entry(line)
    return settings


def _entry(line: Reading) -> list[str]:
    """The line as it is, if it is one of a hosts file: CoreDNS passes over any other without a word."""
    if names.address(line.keyword) is None or not line.words:
        line.warn("it does nothing here, nor in CoreDNS: expected ADDRESS NAME [ALIAS...]")
        return []
    possible = [word for word in line.words if _is_host_name(line, word)]
    return [" ".join((line.keyword, *possible))] if possible else []


def _is_host_name(line: Reading, word: str) -> bool:
    if "*" in word:
        line.warn(f"{shown(word)} does nothing here: hosts has no wildcards, in CoreDNS neither")
        return False
    if _HOST_NAME.fullmatch(word) is None or names.possible(word) is None:
        line.warn(f"{shown(word)} does nothing here: it is no host name")
        return False
    return True
