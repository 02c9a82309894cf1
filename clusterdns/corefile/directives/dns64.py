"""`dns64`: AAAA records made of A records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.around.dns64 import NotAPrefix, prefix_bytes

if TYPE_CHECKING:
    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading
    from clusterdns.corefile.settings import Settings

PREFIX = "64:ff9b::/96"
"""The well-known one (RFC 6052 section 2.1)."""


def dns64(reading: Reading, _: Surroundings) -> Settings:
    settings: Settings = {"dns64.prefix": PREFIX}
    if reading.count("at most one prefix", 0, 1) and reading.words:
        settings["dns64.prefix"] = _prefix(reading)
    for line in reading.lines():
        match line.keyword:
            case "prefix":
                if line.count("a prefix", 1, 1):
                    settings["dns64.prefix"] = _prefix(line)
            case "translate_all" | "allow_ipv4":
                if line.nothing():
                    settings[f"dns64.{line.keyword.replace('_', '-')}"] = True
            case _:
                line.unsupported()
    return settings


def _prefix(reading: Reading) -> str:
    try:
        prefix_bytes(reading.words[0])
    except NotAPrefix as error:
        reading.fault(str(error))
        return PREFIX
    return reading.words[0]
