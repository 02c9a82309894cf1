"""The names that are kept, in the one dictionary that readers look into.

A name of a hosts file comes before a name of the cluster. The cluster's node then stands behind it, is kept up like any
other, and comes back when the hosts file lets go of the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.nodes import HostAddress, HostName, PodNamespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.names import Name
    from clusterdns.nodes import Node


class Tree:
    def __init__(self) -> None:
        self.nodes: dict[Name, Node] = {}
        """Readers keep hold of this very dictionary: it is changed, and never replaced."""
        self._behind: dict[Name, Node] = {}
        """The cluster's nodes of names that a hosts file has taken."""

    def in_cluster(self, name: Name) -> Node | None:
        """The node that the name has, or would have, without any hosts file."""
        node = self.nodes.get(name)
        if isinstance(node, HostName):
            return self._behind.get(name)
        return None if isinstance(node, HostAddress) else node

    def place(self, node: Node) -> None:
        """Give a name its node; that of a hosts file stays before it."""
        (self._behind if self._is_taken(node.name) else self.nodes)[node.name] = node

    def remove(self, name: Name) -> None:
        """Take a node away, if there is one; that of a hosts file stays."""
        node = (self._behind if self._is_taken(name) else self.nodes).pop(name, None)
        if node is not None:
            node.nothing = None  # the circle of the two: the collector does not look at frozen objects
        if isinstance(node, PodNamespace):
            node.unlisted = None

    def remove_all(self, names: Iterable[Name]) -> None:
        for name in names:
            self.remove(name)

    def take(self, host: HostName) -> None:
        """Put a name of a hosts file before what else has that name."""
        before = self.nodes.get(host.name)
        if before is not None and not isinstance(before, HostName):
            self._behind[host.name] = before
        self.nodes[host.name] = host

    def give_back(self, name: Name) -> None:
        """The hosts file has let go of the name."""
        behind = self._behind.pop(name, None)
        if behind is None:
            del self.nodes[name]
        else:
            self.nodes[name] = behind

    def carriers(self) -> Iterator[Node]:
        """All nodes that may carry replies. The tree may change meanwhile: what comes then may be left out."""
        for kept in (self.nodes, self._behind):
            for name in list(kept):
                node = kept.get(name)
                for each in (node, node.nothing, getattr(node, "unlisted", None)) if node else ():
                    if each is not None:
                        yield each

    def _is_taken(self, name: Name) -> bool:
        return isinstance(self.nodes.get(name), HostName)
