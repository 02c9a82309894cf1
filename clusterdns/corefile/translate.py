"""A Corefile becomes our configuration: its server blocks are read one by one, and what they say is put together.

What a Corefile does not say is as CoreDNS has it, so that a cluster that changes its server keeps its answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from clusterdns import config, names
from clusterdns.config import Config
from clusterdns.corefile.directives import GONE, OFTEN, ONCE, Surroundings, within
from clusterdns.corefile.directives.listening import EVERYWHERE, address_and_port
from clusterdns.corefile.keys import DNS_PORT, served_zones
from clusterdns.corefile.reading import Findings, Reading
from clusterdns.corefile.settings import UNSAID, Settings, is_shared, nested, shown_settings, zone_texts
from clusterdns.corefile.words import CorefileError, Fault, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from clusterdns.corefile.grammar import Corefile, Directive, ServerBlock
    from clusterdns.corefile.keys import Scheme, ServedZone

SCHEMES: tuple[Scheme, ...] = ("dns", "tls")


class Translation(Struct, frozen=True):
    config: Config
    warnings: tuple[Fault, ...]
    """What is passed over, or does nothing here."""
    understood: tuple[str, ...]
    """A line for each directive: its place, its name, and what it has become."""


def translate(corefile: Corefile, *, lenient: bool = False, port: int = DNS_PORT) -> Translation:
    """The configuration that a Corefile stands for.

    lenient: what is not supported is passed over with a warning.
    port: of the zones that name none.

    Raises CorefileError, with every fault that was found.
    """
    findings = Findings(lenient=lenient)
    served: Sequence[Sequence[ServedZone]] = [()] * len(corefile.blocks)
    try:
        served = served_zones(corefile, port)
    except CorefileError as error:
        findings.faults += error.faults
    blocks: list[Settings] = []
    shared = _Shared(findings)
    for block, zones in zip(corefile.blocks, served, strict=True):
        settings = _block(block, zones, findings)
        shared.take({path: settings.pop(path) for path in [*settings] if is_shared(path)}, block)
        blocks += _listening(settings, zones, findings)
    if not blocks and not findings.faults:
        findings.fault(Place(corefile.files[0], 1), "expected a server block, such as .:53 { ... }")
    if findings.faults:
        raise CorefileError(_in_order(findings.faults, corefile), corefile.files, corefile.patterns)
    made = _config([nested(each) for each in blocks], nested(shared.settings))
    try:
        config.check(made)
    except config.BadConfig as error:
        faults = [Fault(corefile.blocks[0].place, line) for line in str(error).splitlines()]
        raise CorefileError(faults, corefile.files, corefile.patterns) from error
    return Translation(made, _in_order(findings.warnings, corefile), tuple(dict.fromkeys(findings.understood)))


def _in_order(found: Sequence[Fault], corefile: Corefile) -> tuple[Fault, ...]:
    """File by file, as they were read, and line by line; what is imported twice is told once."""
    files = {file: number for number, file in enumerate(corefile.files)}
    return tuple(sorted(dict.fromkeys(found), key=lambda fault: (files[fault.place.file], fault.place.line)))


def _config(blocks: Sequence[dict[str, Any]], shared: dict[str, Any]) -> Config:
    first, *others = blocks
    return msgspec.convert({"http": [], **first, **shared, "blocks": others}, config.Config)


_GROWING = ("http-health", "http-ready", "http-metrics", "log-consolidate")
"""Settings to which each server block may add."""


class _Shared:
    """What all server blocks have in common."""

    def __init__(self, findings: Findings) -> None:
        self.settings: Settings = {}
        self._places: dict[str, Place] = {}
        self._findings = findings

    def take(self, settings: Settings, block: ServerBlock) -> None:
        """Some lists grow; of anything else there is one."""
        for path, value in settings.items():
            if path in _GROWING:
                known = self.settings.setdefault(path, [])
                known += [each for each in value if each not in known]
            elif path == "lameduck-seconds":
                self.settings[path] = max(value, self.settings.get(path, 0.0))
            elif self.settings.setdefault(path, value) != value:
                self._findings.unsupported(
                    block.place, f"another {path} than the server block at {self._places[path]} has"
                )
            self._places.setdefault(path, block.place)


def _block(block: ServerBlock, zones: Sequence[ServedZone], findings: Findings) -> Settings:
    """What a server block says, with what it leaves unsaid."""
    around = Surroundings(tuple(dict.fromkeys(each.zone for each in zones)), _root(block))
    settings = dict(UNSAID)
    sayers: dict[str, Reading] = {}
    for name, directives in _by_name(block).items():
        readings = [Reading(each, findings) for each in directives]
        if name in OFTEN:
            said = OFTEN[name](readings, around)
        elif name in ONCE:
            for again in readings[1:]:
                again.fault(f"expected one in a server block, not another than at {readings[0].place}")
            said = ONCE[name](readings[0], around)
            readings[0].understood(
                *shown_settings({path.removeprefix(f"{name}."): each for path, each in said.items()})
            )
        else:
            for reading in readings:
                reading.unsupported(GONE.get(name, ""))
            continue
        settings |= said
        sayers.update(dict.fromkeys(said, readings[0]))
    settings["unserved"] = _unserved({each.name for each in block.directives})
    _settle(settings, around, sayers)
    return settings


_WITHOUT_A_SAY = frozenset(
    {"bind", "debug", "health", "multisocket", "pprof", "ready", "reload", "root", "timeouts", "tls"}
)
"""Directives that no query passes through."""


def _unserved(directives: AbstractSet[str]) -> str:
    """What CoreDNS says where none of its plugins has the answer.

    SERVFAIL says the last of them, whichever that is; but without any, or behind zone files, REFUSED is said.
    """
    ends_with_files = not directives.isdisjoint(("file", "auto")) and directives.isdisjoint(("loop", "forward"))
    return "refused" if directives <= _WITHOUT_A_SAY or ends_with_files else "servfail"


def _by_name(block: ServerBlock) -> dict[str, list[Directive]]:
    """The directives of a name together: their order in the file means nothing, but for those of one name."""
    found: dict[str, list[Directive]] = {}
    for directive in block.directives:
        found.setdefault(directive.name, []).append(directive)
    return found


def _root(block: ServerBlock) -> str:
    return next((each.arguments[0].text for each in block.directives if each.name == "root" and each.arguments), "")


def _settle(settings: Settings, around: Surroundings, sayers: Mapping[str, Reading]) -> None:
    """What one directive means for another."""
    zones = [names.from_text(zone) for zone in (*settings.get("zone", ()), *settings.get("reverse-zone", ()))]
    if settings.get("external-zone") and not settings["cluster"]:
        sayers["external-zone"].warn("it does nothing without kubernetes")
        settings["external-zone"] = []
    external = [names.from_text(zone) for zone in settings.get("external-zone", ())][:1]
    if settings["cache.entries"]:
        # All names go through CoreDNS's cache alike: even what it does not keep comes out of it with TTLs within its
        # bounds.
        for ttl, bounds, zone in (
            ("ttl", "cache.ttl", zones[:1]),
            ("negative-ttl", "cache.negative-ttl", zones[:1]),
            ("hosts.ttl", "cache.ttl", around.zones[:1]),
            ("external.ttl", "cache.ttl", external),
            ("external.negative-ttl", "cache.negative-ttl", external),
        ):
            if ttl in settings and zone and _goes_through_cache(settings, zone[0]):
                settings[ttl] = _bounded(settings[ttl], settings[bounds])
        for template in settings.get("template", ()):
            if all(_goes_through_cache(settings, names.from_text(each)) for each in template["zones"]):
                template["ttl"], template["negative-ttl"] = settings["cache.ttl"], settings["cache.negative-ttl"]
        for file in (*settings.get("zone-files", ()), *settings.get("zone-folders", ())):
            if all(_goes_through_cache(settings, names.from_text(each)) for each in file["zones"]):
                file["ttl"], file["negative-ttl"] = settings["cache.ttl"], settings["cache.negative-ttl"]
        for rule in settings.get("rewrite", ()):
            if rule["type"] == "ttl" and not settings["cache.zones"]:
                rule["lowest"] = _bounded(rule["lowest"], settings["cache.ttl"])
                rule["highest"] = _bounded(rule["highest"], settings["cache.ttl"])
    if settings.get("autopath") and settings.get("pods") != "verified":
        sayers["autopath"].warn("it does nothing without kubernetes and pods verified")
        settings["autopath"] = False


def _goes_through_cache(settings: Mapping[str, Any], zone: names.Name) -> bool:
    """Whether CoreDNS's cache is about the names of a zone."""
    return within(zone, list(map(names.from_text, settings["cache.zones"])) or [names.ROOT])


def _bounded(ttl: int, bounds: Sequence[int]) -> int:
    lowest, highest = bounds
    return min(max(ttl, lowest), highest)


def _listening(settings: Settings, zones: Sequence[ServedZone], findings: Findings) -> Iterator[Settings]:
    """A block for each port: the zones of one server block may have several."""
    hosts = settings.pop("bind", EVERYWHERE)
    ports: dict[tuple[Scheme, int], list[ServedZone]] = {}
    for zone in zones:
        if zone.scheme in SCHEMES:
            ports.setdefault((zone.scheme, zone.port), []).append(zone)
        else:
            findings.unsupported(zone.place, f"{zone.scheme}://")
    for (scheme, port), served in ports.items():
        prefix = config.TLS if scheme == "tls" else ""
        if prefix and not settings.get("tls.certificate"):
            findings.fault(served[0].place, "tls://: expected the directive tls CERT KEY in its server block")
        yield {
            "names": zone_texts(dict.fromkeys(each.zone for each in served)),
            **settings,
            "listen": [f"{prefix}{address_and_port(host, port)}" for host in hosts],
        }
