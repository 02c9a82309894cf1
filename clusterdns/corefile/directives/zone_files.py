"""`file` and `auto`: zones out of files in the format of RFC 1035, and out of folders of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clusterdns import names
from clusterdns.around.renaming import by_pattern
from clusterdns.corefile.settings import Settings, zone_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading


def file(readings: Sequence[Reading], around: Surroundings) -> Settings:
    files = [_zone_file(reading, around) for reading in readings if reading.count("DBFILE [ZONES...]", 1)]
    for reading in readings:
        reading.understood(" ".join(reading.words))
    return {"zone-files": files}


def _zone_file(reading: Reading, around: Surroundings) -> dict[str, Any]:
    path, *words = reading.words
    fallthrough: Sequence[names.Name] = ()
    followed = True
    for line in reading.lines():
        match line.keyword:
            case "reload":
                if line.count("a duration", 1, 1):
                    # Files are followed as they change, whatever the interval; 0 is never.
                    followed = line.duration(line.words[0]) != 0
            case "reload_by_mtime":
                line.nothing()
            case "fallthrough":
                fallthrough = line.zones(line.words) if line.words else (names.ROOT,)
            case "upstream":
                line.warn("it does nothing here, nor in CoreDNS since 1.5")
            case _:
                line.unsupported()
    return {
        "file": around.path(path),
        "zones": zone_texts(reading.zones(words) if words else around.zones),
        "fallthrough": zone_texts(fallthrough),
        # CoreDNS looks for the file again, unless it is told to look only once.
        "needed": not followed,
        "followed": followed,
    }


def auto(readings: Sequence[Reading], around: Surroundings) -> Settings:
    folders = [each for reading in readings if (each := _zone_folder(reading, around))]
    for reading in readings:
        reading.understood(*reading.words)
    return {"zone-folders": folders}


def _zone_folder(reading: Reading, around: Surroundings) -> dict[str, Any] | None:
    zones = reading.zones(reading.words) if reading.words else around.zones
    found: dict[str, Any] = {"zones": zone_texts(zones), "followed": True}
    for line in reading.lines():
        match line.keyword:
            case "directory" if len(line.words) in (1, 3):
                found["folder"] = around.path(line.words[0])
                found |= dict(zip(("pattern", "origin"), line.words[1:], strict=False))
            case "directory":
                line.fault("expected DIR, or DIR REGEXP ORIGIN_TEMPLATE")
            case "reload":
                if line.count("a duration", 1, 1):
                    found["followed"] = line.duration(line.words[0]) != 0
            case "upstream":
                line.warn("it does nothing here, nor in CoreDNS since 1.5")
            case _:
                line.unsupported()
    if "folder" not in found:
        reading.fault("expected a directory in its block")
        return None
    try:
        by_pattern(found.get("pattern", ""), found.get("origin", ""))
    except ValueError as error:
        reading.fault(str(error))
        return None
    return found
