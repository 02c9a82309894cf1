"""The objects of one kind, as they were told."""

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

    def put(self, new: Any) -> bool: ...

    def remove(self, key: Key) -> bool: ...

    def swap(self, objects: Iterable[Any]) -> bool: ...


class Table(Generic[T]):
    """The objects of one kind; tells its owner of each that is new, changed or gone, as (old, new)."""

    def __init__(self, replace: Callable[[T | None, T | None], None]) -> None:
        self.objects: dict[Key, T] = {}
        self._replace = replace

    def __len__(self) -> int:
        return len(self.objects)

    def put(self, new: T) -> bool:
        """Take in an object; False if it is known as it is."""
        old = self.objects.get(new.key)
        if old is new or old == new:
            return False
        self.objects[new.key] = new
        self._replace(old, new)
        return True

    def remove(self, key: Key) -> bool:
        old = self.objects.pop(key, None)
        if old is None:
            return False
        self._replace(old, None)
        return True

    def swap(self, objects: Iterable[T]) -> bool:
        """Have these objects and no others; those that are known as they are keep their nodes."""
        fresh = {each.key: each for each in objects}
        gone = [self.remove(key) for key in self.objects.keys() - fresh.keys()]
        new = [self.put(each) for each in fresh.values()]
        return any(gone) or any(new)
