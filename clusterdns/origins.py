"""Who gave an answer: what a responder leaves behind for whoever counts.

A responder says it when it returns a reply, and not before: nothing else is answered between that and the look at it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Way: TypeAlias = Literal["fast", "slow", "late", "around"]
"""Ready-made; made for the query; made when others had answered; made by what stands around the responder."""


class Origin(Struct, frozen=True, eq=False):
    """Where an answer comes from. Each is one of the constants here, and compared as such."""

    part: str
    """By the name that CoreDNS's plugin for it has; empty for what says that a query can not be answered."""
    way: Way
    missing: str = ""
    """What is not there, if it is the news that a name does not exist."""


KUBERNETES = Origin("kubernetes", "fast")
HOSTS = Origin("hosts", "fast")
CACHE = Origin("cache", "fast")

NO_NAME = Origin("kubernetes", "fast", "name")
NO_NAMESPACE = Origin("kubernetes", "fast", "namespace")
NO_SERVICE = Origin("kubernetes", "fast", "service")
NO_ENDPOINT = Origin("kubernetes", "fast", "endpoint")
NO_PORT = Origin("kubernetes", "fast", "port")
NO_POD = Origin("kubernetes", "fast", "pod")
NO_ADDRESS = Origin("kubernetes", "fast", "address")

SERVER = Origin("", "slow")
FILE = Origin("file", "slow")
FORWARD = Origin("forward", "slow")
TRANSFER = Origin("transfer", "slow")

SLOWLY: Mapping[Origin, Origin] = MappingProxyType(
    {
        each: Origin(each.part, "slow", each.missing)
        for each in (
            *(KUBERNETES, HOSTS, CACHE),
            *(NO_NAME, NO_NAMESPACE, NO_SERVICE, NO_ENDPOINT, NO_PORT, NO_POD, NO_ADDRESS),
        )
    }
)
"""The same, made for the query."""

LATE_KUBERNETES = Origin("kubernetes", "late")
LATE_FILE = Origin("file", "late")
LATE_FORWARD = Origin("forward", "late")
LATE_AUTOPATH = Origin("autopath", "late")
LATE_TRANSFER = Origin("transfer", "late")


class Trail:
    """What the responders of one block leave behind.

    clock: seconds since any moment.
    """

    def __init__(self, clock: Callable[[], float] = float) -> None:
        self.origin = SERVER
        """Of the reply that was returned last."""
        self.form = b""
        """If it was ready-made: the query without its ID and its name."""
        self.started = 0.0
        """If it was not: when it was begun."""
        self.clock = clock
        self.faults = 0
        """Queries that a fault in the server has kept from being answered."""

    def begin(self, origin: Origin = SERVER) -> None:
        """A reply is begun that is not ready-made; where it comes from may yet turn out to be elsewhere."""
        self.origin = origin
        self.started = self.clock()
