"""A list of all objects of a kind as it comes in, held against what the watches had told.

A list is long, and mostly says again what is known. So what it brings is told as it comes, as far as it is told at all;
once it is complete, only those remain that have vanished.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from clusterdns.objects import Key, KubernetesObject


class Listing:
    """known: what the watches have told. since: the version that they came to; empty if that is lost.

    tells_all: whether also what is known is told; such as before the first list is complete, and after one that broke
    off, since nobody has said then what vanished.
    """

    def __init__(self, known: Mapping[Key, KubernetesObject], since: str, *, tells_all: bool) -> None:
        self.objects: dict[Key, KubernetesObject] = {}
        """All that has come in."""
        self.tells_all = tells_all
        self._known = known
        self._since = since
        self._met = 0
        """How many of the known objects have come in, or fewer."""
        self._news: set[Key] = set()
        self._missed: dict[Key, None] = {}

    def add(self, new: KubernetesObject, version: Callable[[], str]) -> bool:
        """Take in an object that the list has; whether it is to be told. version: its own, if that is of interest."""
        key = new.key
        known = self._known.get(key)
        self._met += known is not None and key not in self.objects
        self.objects[key] = new
        if known is new:
            return self.tells_all
        if self._since and not self._is_news(key, version()):
            self._missed[key] = None
        return True

    def change(self, new: KubernetesObject, version: str) -> None:
        """Take in what has changed while the list comes."""
        self.objects[new.key] = new
        if self._is_news(new.key, version):
            self._missed.pop(new.key, None)

    def remove(self, key: Key) -> None:
        """Something has gone while the list comes."""
        self.objects.pop(key, None)
        self._met = 0  # it may have been one of those

    @cached_property
    def vanished(self) -> AbstractSet[Key]:
        """Of the known ones, those that a list does not have that is complete."""
        # To look for them takes milliseconds; mostly the count tells that there are none.
        return self._known.keys() - self.objects.keys() if self._met < len(self._known) else frozenset()

    def missed(self) -> list[Key]:
        """What the watches should have told, and have not."""
        return [*self._missed, *self.vanished] if self._since else []

    def _is_news(self, key: Key, version: str) -> bool:
        """Whether an object has changed since the last watch ended, so that none has missed it."""
        if version.isdigit() and self._since.isdigit() and int(version) > int(self._since):
            self._news.add(key)
        return key in self._news
