"""All that a source can say: what there is, what is new or changed, what is gone.

A source hands over its events in batches; the events of one batch become visible together.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from clusterdns.objects import Key, Object


class Listed(Struct, frozen=True):
    """These are all the objects of the kind; whatever else was known of it is gone."""

    kind: type[Object]
    objects: tuple[Object, ...]


class Put(Struct, frozen=True):
    """The object is new, or replaces the one of the same kind and key."""

    object: Object


class Gone(Struct, frozen=True):
    kind: type[Object]
    key: Key


Event: TypeAlias = Listed | Put | Gone
