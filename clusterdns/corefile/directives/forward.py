"""`forward`, as often as it stands in a server block.

In a Corefile the first `forward` that a name fits decides, here the one with the longest zone. So each zone at which
another one may decide is given to the one that does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clusterdns import names
from clusterdns.config import is_file
from clusterdns.corefile.directives.surroundings import within
from clusterdns.corefile.reading import Reading
from clusterdns.corefile.settings import Settings, shown_settings, zone_text, zone_texts
from clusterdns.corefile.words import shown
from clusterdns.forward import Policy, parse_address
from clusterdns.names import ROOT, Name
from clusterdns.presentation import rcode_number, rcode_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings

MOST_UPSTREAMS = 15
"""Of one `forward`, as in CoreDNS."""

UNBOUNDED = 4_000
"""Queries in flight without `max_concurrent`, where CoreDNS has no bound: ten times what installers write."""

MOST_IN_FLIGHT = 100_000

MAX_FAILURES, PROBE_SECONDS, KEPT_SECONDS = 2, 0.5, 10.0
LEAST_PAUSE, LONGEST_PAUSE = 0.01, 3600.0

POLICIES: dict[str, Policy] = {"random": "random", "round_robin": "round-robin", "sequential": "sequential"}

ASKED_ANYWAY = frozenset({"SERVFAIL", "REFUSED", "NOTIMP"})
"""What sends a query on to the next upstream without being told to."""

NOT_IMPLEMENTED = "NOTIMPL"
"""What CoreDNS's documents call NOTIMP."""


class Route(Struct, frozen=True, eq=False):
    """One `forward`."""

    zone: Name
    excepted: tuple[Name, ...]
    upstreams: list[str]
    """Addresses, and files that they are read from."""
    own: Settings
    """What each `forward` may have for itself: the rest of a zone's settings."""
    manner: Settings
    """What is settled for all upstreams of a server block."""
    next_rcodes: tuple[str, ...]
    """The response codes at which the next `forward` is asked."""
    next_on_no_data: bool
    reading: Reading

    def leads_on(self) -> bool:
        return bool(self.next_rcodes) or self.next_on_no_data


def forward(readings: Sequence[Reading], around: Surroundings) -> Settings:
    routes = [route for reading in readings if (route := _route(reading, around))]
    if not routes:
        return {}
    manner = _manner(routes)
    return {**manner, **_deciding(routes, manner)}


def _deciding(routes: Sequence[Route], manner: Settings) -> Settings:
    """Who decides at each zone where that may change, the widest zone first: noted where it does change."""
    settings: Settings = {
        "forward.upstreams": [],
        "forward.resolv-conf": "",
        "forward.except": [],
        "forward.alternatives": [],
    }
    stubs: list[dict[str, Any]] = []
    deciding: dict[Name, tuple[Route, ...]] = {}
    zones = {ROOT, *(route.zone for route in routes), *(zone for route in routes for zone in route.excepted)}
    for zone in sorted(zones, key=lambda zone: (len(names.labels(zone)), zone)):
        chain = _chain([each for each in routes if within(zone, (each.zone,)) and not within(zone, each.excepted)])
        above = next((each for each in names.ancestors(zone) if each in deciding), None)
        deciding[zone] = chain
        if above is not None and deciding[above] == chain:
            continue
        if not chain:
            settings["forward.except"] += zone_texts((zone,)) if above is not None else []
        elif zone == ROOT:
            settings |= _of_root(chain)
        else:
            own = {name: value for name, value in chain[0].own.items() if manner[f"forward.{name}"] != value}
            stub = {"zone": zone_text(zone), "upstreams": chain[0].upstreams, **own}
            stubs.append({**stub, **({"alternatives": _alternatives(chain)} if len(chain) > 1 else {})})
    for route in routes:
        if not any(route in chain for chain in deciding.values()):
            route.reading.warn("it does nothing: what stands before it takes all its names")
    return {**settings, "forward.zones": stubs}


def _chain(routes: Sequence[Route]) -> tuple[Route, ...]:
    """The first of these, and those that are asked after it."""
    end = next((number for number, each in enumerate(routes, 1) if not each.leads_on()), len(routes))
    return tuple(routes[:end])


def _of_root(chain: Sequence[Route]) -> Settings:
    upstreams = chain[0].upstreams
    is_one_file = len(upstreams) == 1 and is_file(upstreams[0])
    return {
        "forward.upstreams": [] if is_one_file else upstreams,
        "forward.resolv-conf": upstreams[0] if is_one_file else "",
        "forward.alternatives": _alternatives(chain),
    }


def _alternatives(chain: Sequence[Route]) -> list[dict[str, Any]]:
    return [
        {"upstreams": after.upstreams, "rcodes": list(before.next_rcodes), "no-data": before.next_on_no_data}
        for before, after in pairwise(chain)
    ]


def _manner(routes: Sequence[Route]) -> Settings:
    """How all of them are asked, which is one thing for a server block."""
    widest = next((each for each in routes if each.zone == ROOT), routes[0])
    settings: Settings = {f"forward.{name}": value for name, value in widest.own.items()}
    for path, default in (
        ("forward.tls-ca", ""),
        ("forward.tls-certificate", ""),
        ("forward.tls-key", ""),
        ("forward.failover", []),
        ("forward.most-tries", 0),
        ("forward.max-failures", MAX_FAILURES),
        ("forward.fail-fast", False),
        ("forward.probe-seconds", PROBE_SECONDS),
        ("forward.probe-recursive", True),
        ("forward.probe-domain", ""),
        ("forward.kept-seconds", KEPT_SECONDS),
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
    own: Settings = {"policy": "random", "force-tcp": False}
    excepted: list[Name] = []
    next_rcodes: list[str] = []
    next_on_no_data = False
    server_name = ""
    for line in reading.lines():
        if line.keyword == "except":
            if line.count("zones", 1):
                excepted += line.zones(line.words)
        elif line.keyword == "tls_servername":
            server_name = line.words[0] if line.count("a name", 1, 1) else ""
        elif line.keyword in ("policy", "force_tcp"):
            own.update(_own_option(line))
        elif line.keyword == "next":
            next_rcodes += _rcodes(line)
        elif line.keyword == "next_on_nodata":
            next_on_no_data = line.nothing()
        else:
            manner.update(_option(line, around))
    read = [word if is_file(word) else _upstream(reading, word, server_name) for word in reading.words[1:]]
    upstreams = [each for each in read if each]
    if len(upstreams) > MOST_UPSTREAMS:
        reading.fault(f"expected at most {MOST_UPSTREAMS} upstreams, not {len(upstreams)}")
    if not zones or not upstreams:
        return None
    route = Route(
        _or_root(zones[0], around),
        tuple([_or_root(zone, around) for zone in excepted]),
        upstreams,
        own,
        manner,
        tuple(next_rcodes),
        next_on_no_data,
        reading,
    )
    reading.understood(
        f"{zone_text(zones[0])} to {', '.join(upstreams)}",
        *([f"except {', '.join(zone_texts(excepted))}"] if excepted else []),
        *shown_settings(own),
        *shown_settings({path.removeprefix("forward."): value for path, value in manner.items()}),
        *([f"next forward at {', '.join(next_rcodes)}"] if next_rcodes else []),
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


def _own_option(line: Reading) -> Settings:
    if line.keyword == "force_tcp":
        return {"force-tcp": True} if line.nothing() else {}
    if not line.count("random, round_robin or sequential", 1, 1):
        return {}
    policy = line.one_of(line.words[0], tuple(POLICIES))
    return {"policy": POLICIES[policy]} if policy else {}


def _rcodes(line: Reading) -> list[str]:
    """The response codes of a line, in capitals."""
    found: list[str] = []
    for word in line.words if line.count("response codes", 1) else ():
        text = "NOTIMP" if word.upper() == NOT_IMPLEMENTED else word.upper()
        try:
            found.append(rcode_text(rcode_number(text)))
        except ValueError as error:
            line.fault(f"{shown(word)}: {error}")
    return found


def _health_check(line: Reading) -> Settings:
    """DURATION [no_rec] [domain NAME]"""
    settings: Settings = {}
    seconds = line.duration(line.words[0], most=LONGEST_PAUSE)
    if seconds is not None:
        settings["forward.probe-seconds"] = max(seconds, LEAST_PAUSE)
    words = iter(line.words[1:])
    for word in words:
        if word == "no_rec":
            settings["forward.probe-recursive"] = False
        elif word == "domain" and (domain := next(words, "")) and names.possible(domain):
            settings["forward.probe-domain"] = zone_text(names.from_text(domain))
        else:
            line.fault(f"expected DURATION [no_rec] [domain NAME], not {shown(' '.join(line.words))}")
    return settings


def _option(line: Reading, around: Surroundings) -> Settings:
    words = line.words
    match line.keyword:
        case "prefer_udp" if line.nothing():
            pass  # as it is anyway
        case "max_concurrent" if line.count("a number", 1, 1):
            number = line.number(words[0], "a number", 0)
            return {"forward.in-flight": min(number, MOST_IN_FLIGHT)} if number else {}
        case "tls" if line.count("[CERT KEY] [CA]", 0, 3):
            return _tls([around.path(word) for word in words])
        case "failover":
            rcodes = _rcodes(line)
            if "NOERROR" in rcodes:
                line.fault("expected response codes other than NOERROR")
            elif others := [each for each in rcodes if each not in ASKED_ANYWAY]:
                return {"forward.failover": others}
        case "health_check" if line.count("DURATION [no_rec] [domain NAME]", 1, 4):
            return _health_check(line)
        case "expire" if line.count("a duration", 1, 1):
            seconds = line.duration(words[0], most=LONGEST_PAUSE)
            return {} if seconds is None else {"forward.kept-seconds": seconds}
        case "max_fails" if line.count("a number", 1, 1):
            number = line.number(words[0], "a number", 0, 1_000_000)
            return {} if number is None else {"forward.max-failures": number}
        case "max_connect_attempts" if line.count("a number", 1, 1):
            number = line.number(words[0], "a number", 0, 1000)
            return {} if number is None else {"forward.most-tries": number}
        case "failfast_all_unhealthy_upstreams" if line.nothing():
            return {"forward.fail-fast": True}
        case "max_age" if line.count("a duration", 1, 1):
            line.duration(words[0])
            line.warn("it does nothing here: connections are kept while they are of use")
        case "max_idle_conns" if line.count("a number", 1, 1):
            line.number(words[0], "a number", 0)
            line.warn("it does nothing here: an upstream has eight connections at most")
        case (
            "prefer_udp" | "max_concurrent" | "tls" | "health_check" | "expire" | "max_fails" | "max_connect_attempts"
            | "failfast_all_unhealthy_upstreams" | "max_age" | "max_idle_conns"
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
