"""Who may have which zones: rules by zone, of which the longest decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.around.networks import Networks, client_address
from clusterdns.names import Name, NotAName, ancestors, from_text

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERYBODY = "*"


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Clients that may have zones as a whole."""

    to: tuple[str, ...]
    """Addresses or networks of clients; `*` is everybody."""
    zones: tuple[str, ...] = (".",)
    """It is about the zones in these. Where several rules are about a zone, that with the longest of these decides."""


class NotARule(ValueError):
    """A rule that can not be followed."""


class Rules:
    """Raises NotARule."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._of: dict[Name, Networks | None] = {}
        """By zone, who may have it; None is everybody."""
        for number, rule in enumerate(rules, 1):
            try:
                networks = None if EVERYBODY in rule.to else Networks(rule.to)
                zones = [from_text(each.lower()) for each in rule.zones]
            except (ValueError, NotAName) as error:
                raise NotARule(f"rule {number}: {error}") from error
            if not rule.to or not rule.zones:
                raise NotARule(f"rule {number}: expected at least one network, and one zone")
            for zone in zones:
                self._of.setdefault(zone, networks)

    def allow(self, zone: Name, client: str) -> bool:
        for each in (zone, *ancestors(zone)):
            if each in self._of:
                networks = self._of[each]
                try:
                    return networks is None or networks.hold(client_address(client))
                except ValueError:
                    return False
        return False
