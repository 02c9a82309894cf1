"""What operators see: health, readiness, metrics and logs; and what goes without saying here, but not in CoreDNS."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from clusterdns import __version__
from clusterdns.around import patterns
from clusterdns.corefile.directives.listening import endpoints
from clusterdns.corefile.settings import Settings, zone_texts
from clusterdns.corefile.words import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading

CLASSES = ("success", "denial", "error", "all")
COMMON_LOG_FORMAT = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} '
    "{duration}"
)
COMBINED_LOG_FORMAT = COMMON_LOG_FORMAT + ' "{>opcode}"'
LEVELS = ("warning", "error", "info", "debug")


def health(reading: Reading, _: Surroundings) -> Settings:
    settings: Settings = {"http-health": _address(reading, ":8080")}
    for line in reading.lines():
        if line.keyword != "lameduck":
            line.unsupported()
        elif line.count("a duration", 1, 1) and (seconds := line.duration(line.words[0])) is not None:
            settings["lameduck-seconds"] = seconds
    return settings


def ready(reading: Reading, _: Surroundings) -> Settings:
    for line in reading.lines():
        if line.keyword != "monitor":
            line.unsupported()
        elif line.count("until-ready or continuously", 1, 1):
            line.one_of(line.words[0], ("until-ready", "continuously"))
    return {"http-ready": _address(reading, ":8181")}


def prometheus(reading: Reading, _: Surroundings) -> Settings:
    reading.no_lines()
    return {"http-metrics": _address(reading, "localhost:9153")}


def _address(reading: Reading, default: str) -> list[str]:
    if not reading.count("at most one address", 0, 1):
        return []
    return endpoints(reading, reading.words[0] if reading.words else default)


def errors(reading: Reading, _: Surroundings) -> Settings:
    """Errors are logged in any case."""
    reading.nothing()
    consolidated: list[dict[str, Any]] = []
    for line in reading.lines():
        match line.keyword:
            case "consolidate":
                if line.count("DURATION REGEXP [LEVEL] [show_first]", 2, 4):
                    consolidated += _consolidated(line)
            case "stacktrace" | "panicRecoveryStacktrace":
                line.nothing()
            case _:
                line.unsupported()
    return {"log-consolidate": consolidated} if consolidated else {}


def _consolidated(line: Reading) -> Iterator[dict[str, Any]]:
    seconds, pattern, (*words,) = line.duration(line.words[0], 0.001), line.words[1], line.words[2:]
    shows_first = words[-1:] == ["show_first"]
    if shows_first:
        words.pop()
    try:
        patterns.pattern(pattern)
    except ValueError as error:
        line.fault(str(error))
        return
    level = line.one_of(words[0], LEVELS) if words else "error"
    if len(words) > 1:
        line.fault(f"expected show_first, not {shown(words[1])}")
    elif seconds and level:
        yield {"pattern": pattern, "seconds": seconds, "level": level, "show-first": shows_first}


def log(readings: Sequence[Reading], around: Surroundings) -> Settings:
    logged = [_logged(reading, around) for reading in readings]
    for reading in readings:
        reading.understood(*(["zones and format: " + " ".join(reading.words)] if reading.words else []))
    return {"query-log": logged}


def _logged(reading: Reading, around: Surroundings) -> dict[str, Any]:
    words = list(reading.words)
    form = words.pop() if len(words) > 1 and "{" in words[-1] else "{common}"
    form = form.replace("{common}", COMMON_LOG_FORMAT).replace("{combined}", COMBINED_LOG_FORMAT)
    classes: list[str] = []
    slower_than: float | None = None
    for line in reading.lines():
        if line.keyword == "minDuration" and line.count("a duration", 1, 1):
            slower_than = line.duration(line.words[0])
        elif line.keyword != "class":
            line.unsupported()
        elif line.count("success, denial, error or all", 1):
            classes += [each for word in line.words if (each := line.one_of(word, CLASSES))]
    zones = reading.zones(words) if words else around.zones
    return {
        "zones": zone_texts(zones),
        "format": form,
        "classes": list(dict.fromkeys(classes)) or ["all"],
        "slower-than": slower_than,
    }


def loop(reading: Reading, _: Surroundings) -> Settings:
    """Loops are looked for in any case."""
    reading.nothing()
    return {}


def reload(reading: Reading, _: Surroundings) -> Settings:
    """Files are followed as they change, whatever the interval."""
    if reading.count("[INTERVAL [JITTER]]", 0, 2) and reading.words[:1] != ("off",):
        for word, least in zip(reading.words, (2, 1), strict=False):
            reading.duration(word, least)
    return {}


def any_type(reading: Reading, _: Surroundings) -> Settings:
    reading.nothing()
    return {"any": True}


def minimal(reading: Reading, _: Surroundings) -> Settings:
    reading.nothing()
    return {"minimal": True}


def nsid(reading: Reading, _: Surroundings) -> Settings:
    return {"nsid": " ".join(reading.words) or platform.node()}


def chaos(reading: Reading, _: Surroundings) -> Settings:
    version, *authors = reading.words or (f"clusterdns-{__version__}",)
    return {"chaos.version": version, **({"chaos.authors": authors} if authors else {})}


def ignored(readings: Sequence[Reading], _: Surroundings) -> Settings:
    """What is CoreDNS's own: its Go runtime, its tracing, its plugins' talk with one another."""
    for reading in readings:
        reading.warn("it does nothing here")
        reading.understood()
    return {}
