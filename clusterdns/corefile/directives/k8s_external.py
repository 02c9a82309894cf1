"""`k8s_external`: names for the outside of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import config, names
from clusterdns.corefile.directives.authority import forward_and_reverse, widest
from clusterdns.corefile.settings import Settings, zone_text, zone_texts
from clusterdns.corefile.words import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading
    from clusterdns.names import Name

TTL = 5
"""Seconds, of what is found and of what is not, if the Corefile does not say."""

APEX = "dns"


def k8s_external(reading: Reading, around: Surroundings) -> Settings:
    zones = reading.zones(reading.words) if reading.words else around.zones
    settings: Settings = {
        "external-zone": zone_texts(_served(reading, zones)),
        "external.ttl": TTL,
        "external.negative-ttl": TTL,
        "external.apex": APEX,
        "external.headless": False,
        "external.node-ports": False,
        "external.fallthrough": [],
    }
    for line in reading.lines():
        settings.update(_option(line))
    return settings


def _served(reading: Reading, zones: Sequence[Name]) -> list[Name]:
    """Those that can be served, the first one that is no reverse zone before the others."""
    forward, reverse = forward_and_reverse(zones)
    possible = []
    for zone in forward:
        try:
            possible.append(config.forward_zone(zone_text(zone)))
        except ValueError as error:
            reading.unsupported(f"{zone_text(zone)}: {error}")
    served = widest(possible)
    for zone in possible:
        if zone not in served:
            reading.unsupported(f"{zone_text(zone)} within another of its zones")
    if reverse and not forward:
        reading.unsupported("reverse zones alone")
    return [*served, *widest(reverse)] if served else []


def _option(line: Reading) -> Settings:
    words = line.words
    match line.keyword:
        case "apex":
            if not line.count("a label such as dns", 1):
                return {}
            line.only_first()
            if not names.is_kubernetes_label(words[0].lower()):
                line.unsupported(f"{shown(words[0])} in the place of one label")
                return {}
            return {"external.apex": words[0].lower()}
        case "ttl":
            ttl = line.number(words[0], "seconds", 0, 3600) if line.count("seconds from 0 to 3600", 1) else None
            line.only_first()
            return {} if ttl is None else {"external.ttl": ttl, "external.negative-ttl": ttl}
        case "headless":
            return {"external.headless": True} if line.nothing() else {}
        case "fallthrough":
            return {"external.fallthrough": zone_texts(line.zones(words) if words else (names.ROOT,))}
        case _:
            line.unsupported()
            return {}
