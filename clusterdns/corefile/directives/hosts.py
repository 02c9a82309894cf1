"""`hosts`: a file, and lines of the same form in the Corefile itself."""

from __future__ import annotations

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
    """The line as it is, if it is one of a hosts file."""
    if names.address(line.keyword) is None:
        if line.keyword[:1].isdigit() or ":" in line.keyword:
            line.fault("expected ADDRESS NAME [ALIAS...]")
        else:
            line.unsupported()
        return []
    if not line.count("ADDRESS NAME [ALIAS...]", 1):
        return []
    for word in line.words:
        if "*" in word:
            line.unsupported(shown(word))
            return []
        if names.possible(word) in (None, names.ROOT):
            line.fault(f"{shown(word)} is no host name")
            return []
    return [" ".join((line.keyword, *line.words))]
