"""The objects of one kind, as they were told.

Whoever owns them hands over, with each change, what is to be told of it. If they kept that, they and their owner would
refer to each other, and an index that was replaced would stay until the garbage collector finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from clusterdns.objects import Object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clusterdns.objects import Key

T = TypeVar("T", bound=Object)


class Kept(Protocol):
    """The objects of one kind. What changes them says whether it has changed anything."""

    @property
    def objects(self) -> Mapping[Key, Any]: ...

    def __len__(self) -> int: ...

    def put(self, new: Any, replace: Callable[..., None]) -> bool: ...

    def remove(self, key: Key, replace: Callable[..., None]) -> bool: ...

    def swap(self, objects: Iterable[Any], replace: Callable[..., None]) -> bool: ...


class Table(Generic[T]):
    """The objects of one kind; `replace` is told of each that is new, changed or gone, as (old, new)."""

    def __init__(self) -> None:
        self.objects: dict[Key, T] = {}

    def __len__(self) -> int:
        return len(self.objects)

    def put(self, new: T, replace: Callable[[T | None, T | None], None]) -> bool:
        """Take in an object; False if it is known as it is."""
        old = self.objects.get(new.key)
        if old is new or old == new:
            return False
        self.objects[new.key] = new
        replace(old, new)
        return True

    def remove(self, key: Key, replace: Callable[[T | None, T | None], None]) -> bool:
        old = self.objects.pop(key, None)
        if old is None:
            return False
        replace(old, None)
        return True

    def swap(self, objects: Iterable[T], replace: Callable[[T | None, T | None], None]) -> bool:
        """Have these objects and no others; those that are known as they are keep their nodes.

        Most are the very ones that are known, and keys take longer to make than all else here.
        """
        told = tuple(objects)
        known_ones, told_ones = set(map(id, self.objects.values())), set(map(id, told))
        if known_ones == told_ones:
            return False
        fresh = {each.key: each for each in told if id(each) not in known_ones}
        missing = [key for key, each in self.objects.items() if id(each) not in told_ones and key not in fresh]
        gone = [self.remove(key, replace) for key in missing]
        new = [self.put(each, replace) for each in fresh.values()]
        return any(gone) or any(new)
