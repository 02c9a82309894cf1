"""Settings by their paths, as the YAML file has them, on their way into a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from clusterdns.config import Block, Config
from clusterdns.names import labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clusterdns.names import Name

Settings: TypeAlias = dict[str, Any]
"""`{"ttl": 30, "cache.entries": 9984}`: what a server block says, as text, numbers, lists."""

UNSAID: Settings = {
    "cluster": False,
    "fallthrough": [],
    "udp-size": 4096,
    "search": "client",
    "forward.resolv-conf": "",
    "cache.entries": 0,
    "hosts.fallthrough": ["."],
}
"""What a server block does that says nothing, where that is not our own default.

Without `bufsize` CoreDNS sends whatever its clients take; 4096 is the most that we do. Without `forward` and `cache`
nothing is forwarded, and nothing remembered.
"""

_SHARED = frozenset(
    name.replace("_", "-") for name in set(Config.__struct_fields__).difference(Block.__struct_fields__)
)


def is_shared(path: str) -> bool:
    """Whether a setting is one of the whole configuration."""
    return path.partition(".")[0] in _SHARED


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`{"cache.ttl": …}` as `{"cache": {"ttl": …}}`."""
    made: dict[str, Any] = {}
    for path, value in settings.items():
        *groups, name = path.split(".")
        within = made
        for group in groups:
            within = within.setdefault(group, {})
        within[name] = value
    return made


def zone_text(zone: Name) -> str:
    """A zone as the configuration has it: without the last dot, as people write it."""
    return ".".join([label.decode() for label in labels(zone)]) or "."


def zone_texts(zones: Iterable[Name]) -> list[str]:
    return [zone_text(zone) for zone in zones]


def shown_settings(settings: Mapping[str, Any]) -> list[str]:
    """`ttl 30`, `zone cluster.local, example.org`: those that say something."""
    return [f"{path} {_shown_value(value)}" for path, value in settings.items() if value not in ([], "", None)]


def _shown_value(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_shown_value, value))
        case dict():
            return " ".join(f"{name}={_shown_value(each)}" for name, each in value.items() if each)
        case float():
            return f"{value:g}"
        case _:
            return str(value)
