"""`forward`, as often as it stands in a server block.

In a Corefile the first `forward` that a name fits decides, here the one with the longest zone. So each zone at which
another one may decide is given to the one that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clusterdns import names
from clusterdns.corefile.directives.surroundings import within
from clusterdns.corefile.reading import Reading
from clusterdns.corefile.settings import Settings, shown_settings, zone_text, zone_texts
from clusterdns.corefile.words import shown
from clusterdns.forward import Policy, parse_address
from clusterdns.names import ROOT, Name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings

MOST_UPSTREAMS = 15
"""Of one `forward`, as in CoreDNS."""

UNBOUNDED = 4_000
"""Queries in flight without `max_concurrent`, where CoreDNS has no bound: ten times what installers write."""

MOST_IN_FLIGHT = 100_000

POLICIES: dict[str, Policy] = {"random": "random", "round_robin": "round-robin", "sequential": "sequential"}

ASKED_ANYWAY = ("SERVFAIL", "REFUSED", "NOTIMP", "NOTIMPL")
"""What sends a query on to the next upstream without being told to."""


class Route(Struct, frozen=True, eq=False):
    """One `forward`."""

    zone: Name
    excepted: tuple[Name, ...]
    upstreams: list[str]
    resolv_conf: str
    """A file that upstreams are read from. There are either these or those."""
    manner: Settings
    """What is settled for all upstreams of a server block."""
    reading: Reading


def forward(readings: Sequence[Reading], around: Surroundings) -> Settings:
    routes = [route for reading in readings if (route := _route(reading, around))]
    if not routes:
        return {}
    for route in routes[:-1]:
        for line in route.reading.lines():
            if line.keyword in ("next", "next_on_nodata"):
                line.unsupported()
    return {**_deciding(routes), **_manner(routes)}


def _deciding(routes: Sequence[Route]) -> Settings:
    """Who decides at each zone where that may change, the widest zone first: noted where it does change."""
    settings: Settings = {"forward.upstreams": [], "forward.resolv-conf": "", "forward.except": []}
    stubs: list[dict[str, Any]] = []
    deciding: dict[Name, Route | None] = {}
    zones = {ROOT, *(route.zone for route in routes), *(zone for route in routes for zone in route.excepted)}
    for zone in sorted(zones, key=lambda zone: (len(names.labels(zone)), zone)):
        first = next((r for r in routes if within(zone, (r.zone,)) and not within(zone, r.excepted)), None)
        above = next((each for each in names.ancestors(zone) if each in deciding), None)
        deciding[zone] = first
        if above is not None and deciding[above] is first:
            continue
        if first is None:
            settings["forward.except"] += zone_texts((zone,)) if above is not None else []
        elif zone == ROOT:
            settings["forward.upstreams"], settings["forward.resolv-conf"] = first.upstreams, first.resolv_conf
        elif first.resolv_conf:
            first.reading.unsupported(f"{first.resolv_conf} for {zone_text(zone)} only")
        elif any(each in deciding and deciding[each] is None and each != ROOT for each in names.ancestors(zone)):
            first.reading.unsupported(f"{zone_text(zone)} within a zone that is not forwarded")
        else:
            stubs.append({"zone": zone_text(zone), "upstreams": first.upstreams})
    for route in routes:
        if route not in deciding.values():
            route.reading.warn("it does nothing: what stands before it takes all its names")
    return {**settings, "forward.zones": stubs}


def _manner(routes: Sequence[Route]) -> Settings:
    """How all of them are asked, which is one thing for a server block."""
    settings: Settings = {}
    for path, default in (
        ("forward.policy", "random"),
        ("forward.force-tcp", False),
        ("forward.tls-ca", ""),
        ("forward.tls-certificate", ""),
        ("forward.tls-key", ""),
        ("forward.failover", []),
    ):
        settings[path] = routes[0].manner.get(path, default)
        for route in routes[1:]:
            if route.manner.get(path, default) != settings[path]:
                route.reading.unsupported(f"another {path.removeprefix('forward.')} than {routes[0].reading.place} has")
    bounds = [route.manner.get("forward.in-flight", UNBOUNDED) for route in routes]
    return {**settings, "forward.in-flight": min(sum(bounds), MOST_IN_FLIGHT)}


def _route(reading: Reading, around: Surroundings) -> Route | None:
    if not reading.count("FROM TO...", 2):
        return None
    zones = reading.zones(reading.words[:1])
    if len(zones) > 1:
        reading.warn(f"{reading.words[0]}: as in CoreDNS, only {zone_text(zones[0])} is forwarded")
    manner: Settings = {}
    excepted: list[Name] = []
    server_name = ""
    for line in reading.lines():
        if line.keyword == "except":
            if line.count("zones", 1):
                excepted += line.zones(line.words)
        elif line.keyword == "tls_servername":
            server_name = line.words[0] if line.count("a name", 1, 1) else ""
        else:
            manner.update(_option(line, around))
    files: list[str] = []
    upstreams: list[str] = []
    for word in reading.words[1:]:
        if "/" in word and "://" not in word:
            files.append(word)
        elif upstream := _upstream(reading, word, server_name):
            upstreams.append(upstream)
    if len(files) > 1 or (files and upstreams):
        reading.unsupported(f"{files[-1]} together with other upstreams")
    if len(upstreams) > MOST_UPSTREAMS:
        reading.fault(f"expected at most {MOST_UPSTREAMS} upstreams, not {len(upstreams)}")
    if not zones or not (files or upstreams):
        return None
    route = Route(
        _or_root(zones[0], around),
        tuple([_or_root(zone, around) for zone in excepted]),
        upstreams,
        files[0] if files and not upstreams else "",
        manner,
        reading,
    )
    reading.understood(
        f"{zone_text(zones[0])} to {', '.join(files + upstreams)}",
        *([f"except {', '.join(zone_texts(excepted))}"] if excepted else []),
        *shown_settings({path.removeprefix("forward."): value for path, value in manner.items()}),
    )
    return route


def _or_root(zone: Name, around: Surroundings) -> Name:
    """The root for a zone that all the names lie in that come to this server block."""
    return ROOT if all(within(each, (zone,)) for each in around.zones) else zone


def _upstream(reading: Reading, word: str, server_name: str) -> str | None:
    """`192.0.2.1:5353`, `tls://192.0.2.1:853#dns.example.org`."""
    scheme, separator, rest = word.rpartition("://")
    if separator and scheme not in ("dns", "tls"):
        reading.unsupported(f"{shown(word)}")
        return None
    address, percent, named = rest.partition("%")
    if scheme == "tls" and percent and not address.lower().startswith("fe80"):
        # CoreDNS has the name between the address and the port.
        name, colon, port = named.partition(":")
        rest = f"{f'[{address}]' if ':' in address and colon else address}{colon}{port}"
        server_name = server_name or name
    text = f"tls://{rest}{f'#{server_name}' if server_name else ''}" if scheme == "tls" else rest
    try:
        return str(parse_address(text))
    except ValueError as error:
        if names.possible(rest.partition(":")[0]) and not rest.replace(".", "").replace(":", "").isdigit():
            reading.unsupported(f"the name {shown(rest)} in the place of an address")
        else:
            reading.fault(f"{shown(word)}: {error}")
        return None


def _option(line: Reading, around: Surroundings) -> Settings:
    words = line.words
    match line.keyword:
        case "policy" if line.count("random, round_robin or sequential", 1, 1):
            policy = line.one_of(words[0], tuple(POLICIES))
            return {"forward.policy": POLICIES[policy]} if policy else {}
        case "force_tcp" if line.nothing():
            return {"forward.force-tcp": True}
        case "prefer_udp" if line.nothing():
            pass  # as it is anyway
        case "max_concurrent" if line.count("a number", 1, 1):
            number = line.number(words[0], "a number", 0)
            return {"forward.in-flight": min(number, MOST_IN_FLIGHT)} if number else {}
        case "tls" if line.count("[CERT KEY] [CA]", 0, 3):
            return _tls([around.path(word) for word in words])
        case "failover" if line.count("response codes", 1):
            others = [word for word in words if word.upper() not in ASKED_ANYWAY]
            if others:
                return {"forward.failover": [word.upper() for word in others]}
        case "health_check" if line.count("DURATION [no_rec] [domain NAME]", 1, 4):
            line.duration(words[0])
            line.warn("it does nothing here: upstreams that fail are asked in the background until they answer")
        case "expire" | "max_age" if line.count("a duration", 1, 1):
            line.duration(words[0])
            line.warn("it does nothing here: connections are kept while they are of use")
        case "max_fails" | "max_idle_conns" | "max_connect_attempts" if line.count("a number", 1, 1):
            line.number(words[0], "a number", 0)
            line.warn("it does nothing here")
        case "failfast_all_unhealthy_upstreams" | "next" | "next_on_nodata":
            if line.keyword.startswith("failfast"):
                line.warn("it does nothing here")
        case (
            "policy" | "force_tcp" | "prefer_udp" | "max_concurrent" | "tls" | "failover" | "health_check" | "expire"
            | "max_age" | "max_fails" | "max_idle_conns" | "max_connect_attempts"
        ):  # fmt: skip
            pass  # what is wrong with it is noted
        case _:
            line.unsupported()
    return {}


def _tls(files: Sequence[str]) -> Settings:
    paths = {
        0: (),
        1: ("forward.tls-ca",),
        2: ("forward.tls-certificate", "forward.tls-key"),
        3: ("forward.tls-certificate", "forward.tls-key", "forward.tls-ca"),
    }
    return dict(zip(paths[len(files)], files, strict=True))
