"""Who holds a connection, the one that has been idle for longest first, and who has to give way to whom."""

from __future__ import annotations

import socket
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Connection = TypeVar("Connection")

NETWORK_BYTES = 8
"""Of an IPv6 address, those that a client does not choose itself: a /64 is one link."""


class Holding(Generic[Connection]):
    """Connections in the order of their last queries, all together and by client.

    What is done with each is a step or two, however many there are: in a flood of clients it is done for each of them.
    """

    def __init__(self) -> None:
        self._all: OrderedDict[Connection, bytes] = OrderedDict()
        self._of: dict[bytes, OrderedDict[Connection, None]] = {}
        """By client."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._all)

    def add(self, connection: Connection, address: str) -> None:
        client = client_of(address)
        self._all[connection] = client
        self._of.setdefault(client, OrderedDict())[connection] = None

    def note_query(self, connection: Connection) -> None:
        """It is the one that has been idle for the shortest time now."""
        client = self._all.get(connection)
        if client is not None:
            self._all.move_to_end(connection)
            self._of[client].move_to_end(connection)

    def remove(self, connection: Connection) -> None:
        client = self._all.pop(connection, None)
        if client is not None:
            own = self._of[client]
            del own[connection]
            if not own:
                del self._of[client]

    def excess(self, address: str, most: int, most_of_client: int) -> list[Connection]:
        """Those that have to give way to that client's new one, its own before those of others."""
        own = self._of[client_of(address)]
        found = list(islice(own, max(0, len(own) - most_of_client)))
        too_many = len(self._all) - most
        if too_many > len(found):
            found += [each for each in islice(self._all, too_many) if each not in found]
        return found


def client_of(address: str) -> bytes:
    """What counts as one client: an IPv4 address, or the network of an IPv6 address."""
    text = address.partition("%")[0]
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)[:NETWORK_BYTES]
        return socket.inet_pton(socket.AF_INET, text)
    except OSError:
        return b""
