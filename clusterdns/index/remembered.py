"""Which encoded replies are remembered: nodes carry them, and the oldest go where there would be too many.

The clients of a cluster ask in a handful of forms, so that what they ask again and again stays; who asks for all that
there is, or in forms of their own, fills no more memory than there is for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clusterdns.nodes import Node, Reply

MOST_BYTES = 10 << 20
"""What all of them may take together, about."""

MOST_FORMS = 12
"""How many a node has; clients use a handful, only an attacker uses more."""

MOST_SHARED = 1000
"""How many forms are known to have been met before, so that nodes share them."""

OVERHEAD = 300
"""Bytes of what stands around a reply: the structure that writes it, and its places in tables."""


class RememberedReplies:
    """Those of all nodes of an index, over UDP and TCP."""

    def __init__(self) -> None:
        self.bytes = 0
        """What they take, about; also those of nodes that have gone, until their turn comes."""
        self._in_turn: deque[tuple[dict[bytes, Reply], bytes, int]] = deque()
        """The oldest first: where each is, under which form, and how much it takes."""
        self._forms: dict[bytes, bytes] = {}

    def remember(self, node: Node, form: bytes, reply: Reply) -> None:
        """Let the node carry the reply from now on, to queries of that form."""
        if not isinstance(node.replies, dict):
            node.replies = {}
        replies = node.replies
        if len(replies) >= MOST_FORMS:
            replies.clear()
        if len(self._forms) >= MOST_SHARED:
            self._forms.clear()
        form = self._forms.setdefault(form, form)
        replies[form] = reply
        taken = reply.size + OVERHEAD
        self._in_turn.append((replies, form, taken))
        self.bytes += taken
        while self.bytes > MOST_BYTES:
            former, its_form, its_bytes = self._in_turn.popleft()
            former.pop(its_form, None)
            self.bytes -= its_bytes
