"""Which encoded replies are remembered: nodes carry them, and all are forgotten where there would be too many.

They are forgotten a few at a time, so that nobody waits for it, and those in use come back at once. With a node that
goes, its replies go; so all that is counted here is what has come since they were last forgotten.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clusterdns.nodes import Node, Reply

MOST_BYTES = 10 << 20
"""What all of them may take together, about: every name of 10,000 Services in three forms."""

MOST_FORMS = 12
"""How many a node has; clients use a handful, only an attacker uses more."""

MOST_SHARED = 1000
"""How many forms are known to have been met before, so that nodes share them."""

OVERHEAD = 300
"""Bytes of what stands around a reply: the structure that writes it, and its place in a table."""

AT_A_TIME = 16
"""Nodes that forget with each reply that is remembered."""


class RememberedReplies:
    """Those of all nodes of an index, over UDP and TCP. carriers: gives the nodes that there are."""

    def __init__(self, carriers: Callable[[], Iterator[Node]]) -> None:
        self._carriers = carriers
        self._forgetting: Iterator[Node] = iter(())
        self._bytes = 0
        self._forms: dict[bytes, bytes] = {}

    def remember(self, node: Node, form: bytes, reply: Reply) -> None:
        """Let the node carry the reply from now on, to queries of that form."""
        for each in islice(self._forgetting, AT_A_TIME):
            each.forget_replies()
        if not isinstance(node.replies, dict):
            node.replies = {}
        if len(node.replies) >= MOST_FORMS:
            node.replies.clear()
        if len(self._forms) >= MOST_SHARED:
            self._forms.clear()
        node.replies[self._forms.setdefault(form, form)] = reply
        self._bytes += reply.size + OVERHEAD
        if self._bytes > MOST_BYTES:
            self._bytes, self._forgetting = 0, self._carriers()
