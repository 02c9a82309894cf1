"""What a directive takes from the server block that it stands in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import names
from clusterdns.names import Name

if TYPE_CHECKING:
    from collections.abc import Sequence


class Surroundings(Struct, frozen=True):
    zones: tuple[Name, ...]
    """Of the server block: most plugins are about these unless they are told otherwise."""
    root: str = ""
    """Where relative paths begin, from `root`."""

    def path(self, text: str) -> str:
        return str(Path(self.root) / text) if self.root else text

    def not_all(self, zones: Sequence[Name]) -> tuple[Name, ...]:
        """These zones, or none at all if they hold all the names that come here."""
        if all(within(zone, zones) for zone in self.zones):
            return ()
        return tuple(zones)


def within(zone: Name, outer: Sequence[Name]) -> bool:
    """Whether a zone is one of these or lies below one."""
    return zone in outer or any(above in outer for above in names.ancestors(zone))
