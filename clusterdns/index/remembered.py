"""Which encoded replies are remembered: nodes carry them, and forget them where there would be too many.

What is remembered belongs to a generation. Once one has taken its share of memory, the next begins, and nodes that have
learned nothing since the one before forget: a few at a time, so that nobody waits for it. With a node that goes its
replies go, which need not be counted here.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clusterdns.nodes import Node, Reply

MOST_BYTES = 8 << 20
"""What those of a generation may take, about: every name of 10,000 Services in two forms. There are two at a time."""

MOST_FORMS = 12
"""How many a node has; clients use a handful, only an attacker uses more."""

MOST_SHARED = 1000
"""How many forms are known to have been met before, so that nodes share them."""

OVERHEAD = 300
"""Bytes of what stands around a reply: the structure that writes it, and its place in a table."""

PLACE = 60
"""The same of one more form of a reply that is there."""

AT_A_TIME = 16
"""Nodes that are looked at with each reply that is remembered."""


class RememberedReplies:
    """Those of all nodes of an index, over UDP and TCP. carriers: gives the nodes that there are."""

    def __init__(self, carriers: Callable[[], Iterator[Node]]) -> None:
        self._carriers = carriers
        self._generation = 0
        self._bytes = 0
        """Of this generation."""
        self._looked_through: Iterator[Node] = iter(())
        self._forms: dict[bytes, bytes] = {}

    def remember(self, node: Node, form: bytes, reply: Reply) -> None:
        """Let the node carry the reply from now on, to queries of that form."""
        for each in islice(self._looked_through, AT_A_TIME):
            if each.generation < self._generation - 1:
                each.forget_replies()
        if not isinstance(node.replies, dict):
            node.replies = {}
        if len(node.replies) >= MOST_FORMS:
            node.replies.clear()
        if len(self._forms) >= MOST_SHARED:
            self._forms.clear()
        is_carried = any(each is reply for each in node.replies.values())
        node.replies[self._forms.setdefault(form, form)] = reply
        node.generation = self._generation
        self._bytes += PLACE if is_carried else reply.size + OVERHEAD
        if self._bytes > MOST_BYTES:
            self._generation, self._bytes, self._looked_through = self._generation + 1, 0, self._carriers()
