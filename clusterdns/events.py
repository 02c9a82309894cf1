"""All that a source can say: what there is, what is new or changed, what is gone.

A source hands over its events in batches; the events of one batch become visible together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from clusterdns.objects import Host, Key, Namespace, Node, Object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


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


def within(events: Iterable[Event], namespaces: frozenset[str]) -> Iterator[Event]:
    """What events say of these namespaces, and of what belongs to none."""
    for event in events:
        match event:
            case Listed(kind, objects):
                yield Listed(kind, tuple(each for each in objects if _is_within(each, namespaces)))
            case Put(new) if not _is_within(new, namespaces):
                continue
            case _:
                yield event


def _is_within(each: Object, namespaces: frozenset[str]) -> bool:
    if isinstance(each, Host | Node):
        return True
    return (each.metadata.name if isinstance(each, Namespace) else each.metadata.namespace) in namespaces
