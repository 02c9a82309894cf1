"""Whose pod asks: which namespace a client's address belongs to, and when that is too uncertain to build on.

Addresses go from pod to pod, and we hear of it later than the pods. So an address that another namespace had a moment
ago belongs to nobody for now.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.names import Address

REUSE_SECONDS = 30.0
"""For so long an address counts as the former holder's too."""

MOST_DEPARTURES = 20_000
"""How many are remembered. When more pods go within that time, every address is uncertain until it is over."""

_Holder: TypeAlias = tuple[str, bool]
"""A pod's namespace, and whether it is on the host's network."""


class PodAddresses:
    """The running pods' namespaces by address. Times are the clock's, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[Address, tuple[_Holder, ...]] = {}
        self._left: dict[Address, dict[str, float]] = {}
        """When pods of a namespace were last known to have an address that they do not have any more."""
        self._departures: deque[tuple[float, Address, str]] = deque()
        self._uncertain_until = float("-inf")

    def __len__(self) -> int:
        """How many addresses are held, or remembered."""
        return len(self._held) + len(self._left)

    def is_held(self, address: Address, namespace: str) -> bool:
        """Whether a pod of the namespace has the address."""
        return any(each == namespace for each, _ in self._held.get(address, ()))

    def held(self) -> dict[Address, tuple[_Holder, ...]]:
        """All addresses that running pods have by now."""
        return dict(self._held)

    def namespace_of(self, address: Address) -> str | None:
        """The namespace whose pods have the address, and nobody else has or had until just now."""
        held = self._held.get(address)
        if held is None or self._clock() < self._uncertain_until:
            return None
        namespace, _ = held[0]
        for each, is_on_host in held:
            if is_on_host or each != namespace:
                return None
        left = self._left.get(address)
        if left is not None:
            earliest = self._clock() - REUSE_SECONDS
            for each, at in left.items():
                if each != namespace and at > earliest:
                    return None
        return namespace

    def add(self, address: Address, namespace: str, *, is_on_host: bool) -> None:
        """A running pod has the address."""
        alone = _alone(namespace, is_on_host)
        held = self._held.get(address)
        self._held[address] = alone if held is None else held + alone

    def remove(self, address: Address, namespace: str, *, is_on_host: bool) -> None:
        """A pod that was added has it no longer, or runs no longer."""
        held = list(self._held[address])
        held.remove((namespace, is_on_host))
        if held:
            self._held[address] = _alone(*held[0]) if len(held) == 1 else tuple(held)
        else:
            del self._held[address]

    def note_departure(self, address: Address, namespace: str) -> None:
        """A pod of the namespace had the address until now."""
        now = self._clock()
        self._forget(now)
        if len(self._departures) == MOST_DEPARTURES:
            self._departures.clear()
            self._left.clear()
            self._uncertain_until = now + REUSE_SECONDS
        self._departures.append((now, address, namespace))
        self._left.setdefault(address, {})[namespace] = now

    def _forget(self, now: float) -> None:
        """Forget the departures that are long enough ago."""
        while self._departures and self._departures[0][0] <= now - REUSE_SECONDS:
            at, address, namespace = self._departures.popleft()
            left = self._left.get(address, {})
            if left.get(namespace) == at:  # else there was a later one
                del left[namespace]
                if not left:
                    del self._left[address]


@lru_cache(maxsize=1024)
def _alone(namespace: str, is_on_host: bool) -> tuple[_Holder]:  # noqa: FBT001 - the cache takes it as it comes
    """The holder by itself. The addresses of a namespace share it, and there are tens of thousands."""
    return ((namespace, is_on_host),)
