"""Who has a name in the hosts files, and which names they give an address.

There may be a hundred thousand of them, as of a block list: a name costs its node and little more.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from clusterdns import names
from clusterdns.nodes import HostAddress, HostName
from clusterdns.objects import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from clusterdns.names import Address, Name
    from clusterdns.nodes import Zone
    from clusterdns.objects import Key

    _Replace: TypeAlias = Callable[[Name, HostName | None, HostName | None], None]

MOST_POINTERS = 64
"""How many names an address leads to at most: a block list gives one address a hundred thousand."""


class HostNames:
    """The names of hosts files; `replace` is told of each that is new, changed or gone, as (name, old, new).

    zone: whose TTL the records have.
    reverse: whether addresses lead to names.
    """

    def __init__(self, zone: Zone, *, reverse: bool) -> None:
        self._zone = zone
        self._points = reverse
        self._nodes: dict[Name, HostName] = {}
        self._names: dict[Address, Name | dict[Name, None]] = {}
        """Most addresses have a single name, and that one stands there by itself."""

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def objects(self) -> dict[Key, Host]:
        """What was told, by key."""
        hosts = (Host(each.name, each.addresses) for each in self._nodes.values())
        return {each.key: each for each in hosts}

    def put(self, new: Host, replace: _Replace) -> bool:
        """Take in a host; False if it is known as it is."""
        old = self._nodes.get(new.name)
        if old is not None and old.addresses == new.addresses:
            return False
        node = HostName(name=new.name, zone=self._zone, addresses=new.addresses)
        self._nodes[new.name] = node
        self._point(new.name, old.addresses if old else (), new.addresses)
        replace(new.name, old, node)
        return True

    def remove(self, key: Key, replace: _Replace) -> bool:
        _, text = key
        return self._remove(names.possible(text) or names.ROOT, replace)

    def swap(self, objects: Iterable[Host], replace: _Replace) -> bool:
        """Have these hosts and no others; those that are known as they are keep their nodes."""
        fresh = {each.name: each for each in objects}
        gone = [self._remove(name, replace) for name in self._nodes.keys() - fresh.keys()]
        new = [self.put(each, replace) for each in fresh.values()]
        return any(gone) or any(new)

    def reverse(self, name: Name) -> HostAddress | None:
        """The node of a reverse name, if a hosts file has its address."""
        match names.reversed_digits(name):
            case (length, digits) if len(digits) == 2 * length:
                address = bytes.fromhex(digits)
                held = self._names.get(address)
                if held is not None:
                    pointers = tuple(islice(held, MOST_POINTERS)) if isinstance(held, dict) else (held,)
                    return HostAddress(name=name, zone=self._zone, address=address, names=pointers)
        return None

    def _remove(self, name: Name, replace: _Replace) -> bool:
        old = self._nodes.pop(name, None)
        if old is None:
            return False
        self._point(name, old.addresses, ())
        replace(name, old, None)
        return True

    def _point(self, name: Name, old: tuple[Address, ...], new: tuple[Address, ...]) -> None:
        """The new addresses lead to the name in the place of the old ones; 0.0.0.0 and :: lead nowhere."""
        if not self._points:
            return
        for address in old:
            if address not in new and any(address):
                held = self._names[address]
                if isinstance(held, dict):
                    del held[name]
                if not isinstance(held, dict) or not held:
                    del self._names[address]
        for address in new:
            if address not in old and any(address):
                held = self._names.setdefault(address, name)
                if isinstance(held, dict):
                    held[name] = None
                elif held != name:
                    self._names[address] = {held: None, name: None}
