"""The zones that a plugin answers for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.names import Name


def forward_and_reverse(zones: Sequence[Name]) -> tuple[list[Name], list[Name]]:
    reverse = [zone for zone in zones if zone.endswith((names.IN_ADDR, names.IP6))]
    return [zone for zone in zones if zone not in reverse], reverse


def widest(zones: Sequence[Name]) -> list[Name]:
    """Those that do not lie within another one."""
    return [zone for zone in zones if not any(outer in zones for outer in names.ancestors(zone))]
