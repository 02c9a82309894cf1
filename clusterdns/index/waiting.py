"""Since when endpoints are not ready, by our own clock: the API does not say it of them.

Only those are kept that are not ready now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.objects import EndpointSlice, Key


class Since(Struct, frozen=True):
    at: float
    """Seconds since the epoch."""
    was_seen: bool
    """Whether the change was seen then; else it was so when it was first looked at."""


class Waiting:
    """clock: seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[Key, dict[str, Since]] = {}
        """By slice and address."""

    def replace(self, key: Key, new: EndpointSlice | None, *, is_news: bool) -> None:
        """is_news: whether what is not ready has come to be so just now."""
        addresses = [each.addresses for each in (new.endpoints if new else None) or () if not each.is_ready]
        before = self._since.pop(key, {})
        if addresses:
            since = Since(self._clock(), is_news)
            self._since[key] = {text: before.get(text, since) for each in addresses for text in each}

    def since(self, slice_: Key, address: str) -> Since | None:
        return self._since.get(slice_, {}).get(address)
