"""Who holds an address: the reverse side of the index."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterdns.names import Address
    from clusterdns.objects import Key


class Holders:
    """A map from addresses to the keys of the objects that hold them, the first holder first.

    It also knows whether any address begins with given digits, for the empty non-terminals of the reverse zones. The
    order that this needs is made when it is first asked for, and kept up from then on.
    """

    def __init__(self) -> None:
        self._keys: dict[Address, tuple[Key, ...]] = {}
        self._ordered: dict[int, list[Address]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, address: Address) -> tuple[Key, ...]:
        return self._keys.get(address, ())

    def held(self) -> dict[Address, tuple[Key, ...]]:
        """All addresses that are held by now."""
        return dict(self._keys)

    def add(self, addresses: Iterable[Address], key: Key) -> None:
        """Note that the object holds these addresses too."""
        keys, alone = self._keys, (key,)  # its addresses share the tuple: there are tens of thousands
        for address in addresses:
            held = keys.setdefault(address, alone)
            if held is alone:
                if (ordered := self._ordered.get(len(address))) is not None:
                    insort(ordered, address)
            elif key not in held:
                keys[address] = (*held, key)

    def remove(self, address: Address, key: Key) -> None:
        left = tuple(each for each in self._keys.get(address, ()) if each != key)
        if left:
            self._keys[address] = left
        elif self._keys.pop(address, None) and (ordered := self._ordered.get(len(address))) is not None:
            del ordered[bisect_left(ordered, address)]

    def any_below(self, length: int, digits: str) -> bool:
        """Whether an address of that many bytes begins with these hexadecimal digits."""
        ordered = self._ordered.get(length)
        if ordered is None:
            ordered = self._ordered[length] = sorted(each for each in self._keys if len(each) == length)
        at = bisect_left(ordered, bytes.fromhex(digits.ljust(2 * length, "0")))
        return at < len(ordered) and ordered[at].hex().startswith(digits)
