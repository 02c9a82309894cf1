"""The cluster's nodes, as they are reached from outside: each of them leads to all Services of type NodePort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.names import Address
    from clusterdns.objects import Node

FAMILIES = (4, 16)
"""By the bytes of an address."""


def outer_addresses(nodes: Iterable[Node]) -> tuple[Address, ...]:
    """Those of the nodes that are ready; of all if none is, for then it is rather the news of them that is wrong.

    Of each family the external ones, if any node has such a one: whoever is outside of the cluster does not reach the
    internal ones of the others. Without any, those who ask are in the same network.
    """
    possible = [each for each in nodes if not each.is_excluded]
    wanted = [each for each in possible if each.is_ready] or possible
    outer, inner = (list(_addresses(wanted, kind)) for kind in ("ExternalIP", "InternalIP"))
    found = [
        [each for each in outer if len(each) == length] or [each for each in inner if len(each) == length]
        for length in FAMILIES
    ]
    return tuple(sorted({address for family in found for address in family}))


def _addresses(nodes: Iterable[Node], kind: str) -> Iterator[Address]:
    return filter(None, (names.address(text) for each in nodes for text in each.addresses(kind)))
