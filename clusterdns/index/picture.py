"""What an index knows at one moment, for whoever takes long to look at it.

Objects are never edited, so their tables are all that is to be copied: a millisecond for ten thousand services. What
follows from the objects is made from the copies bit by bit, while the index goes on changing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import names
from clusterdns.index.growing import below_service, name_of_service, node_of_service
from clusterdns.names import Address, Name
from clusterdns.nodes import ExposedService, Node, PodName, ServiceName, Zone
from clusterdns.objects import EndpointSlice, Key, Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Picture(Struct, frozen=True, kw_only=True):
    """All that the names of a zone follow from."""

    zone: Zone
    inner: tuple[Name, ...]
    """The zones within the zone, whose names are not its own."""
    taken: frozenset[Name]
    """Names that zones have of themselves, which no service can have."""
    services: dict[Key, Service]
    slices: dict[Key, tuple[EndpointSlice, ...]]
    """By service."""
    topology_zones: tuple[str, ...]
    at_nodes: tuple[Address, ...]
    """Where nodes are reached from outside."""
    pods: dict[Address, tuple[tuple[str, bool], ...]]
    """By address, the namespaces whose pods have it, and whether on the host's network; none, unless the zone has names
    for just those pods."""
    namespaces: frozenset[str]
    """Those that exist."""
    cluster_ips: dict[Address, tuple[Key, ...]]
    external_addresses: dict[Address, tuple[Key, ...]]
    primary: Zone | None
    """What names of the cluster the reverse zones lead to."""
    external: Zone | None
    """The same of the outside of the cluster."""
    reverse_zones: tuple[Zone, ...]
    external_reverse_zones: tuple[Zone, ...]

    def holds(self, name: Name) -> bool:
        """Whether a name is the zone's own."""
        return name.endswith(self.zone.name) and not (self.inner and name.endswith(self.inner))

    def nodes(self) -> Iterator[Sequence[Node]]:
        """Those of a forward zone, but for its own; a service's come together, and some come empty."""
        for key in self.services:
            node = self.service(key, self.zone)
            if node is None:
                yield ()
                continue
            found = (node, *below_service(node, self.topology_zones).values())
            yield found if not self.inner else [each for each in found if self.holds(each.name)]
        for address, holders in self.pods.items():
            yield list(self._pods(address, self.namespaces.intersection([namespace for namespace, _ in holders])))

    def service(self, key: Key, zone: Zone) -> ServiceName | ExposedService | None:
        service, name = self.services.get(key), name_of_service(key, zone)
        if service is None or name is None or name in self.taken:
            return None
        return node_of_service(name, zone, service, self.slices.get(key, ()), self.at_nodes)

    def _pods(self, address: Address, namespaces: Iterable[str]) -> Iterator[Node]:
        """The names of an address, each as people would write it: one may be written in many ways."""
        label = names.dashed(names.address_text(address))
        for namespace in namespaces:
            name = names.possibly_below(label, namespace, "pod", parent=self.zone.name)
            if name is not None and self.holds(name):
                yield PodName(name=name, zone=self.zone, address=address)

    # Reverse zones

    def pointing_out(self, address: Address, name: Name) -> tuple[Zone | None, list[ExposedService]]:
        """The services that have the address outside of the cluster, and the zone whose reverse name then says so."""
        zone = _zone_of(name, self.external_reverse_zones)
        if zone is None or self.external is None or address not in self.external_addresses:
            return None, []
        nodes = (self.service(key, self.external) for key in self.external_addresses[address])
        return zone, [node for node in nodes if isinstance(node, ExposedService)]

    def owner(self, address: Address) -> ServiceName | None:
        """The service whose ClusterIP the address is."""
        for key in self.cluster_ips.get(address, ()):
            node = self.reached(key)
            if node is not None:
                return node
        return None

    def reached(self, key: Key) -> ServiceName | None:
        """A service that reverse names may lead to."""
        node = self.service(key, self.primary) if self.primary else None
        return node if isinstance(node, ServiceName) and not (node.is_alias or node.is_missing) else None

    def reverse_zone(self, name: Name) -> Zone | None:
        """The zone of the cluster that a reverse name is in."""
        return _zone_of(name, self.reverse_zones)


def _zone_of(name: Name, zones: Sequence[Zone]) -> Zone | None:
    return next((zone for zone in zones if name.endswith(zone.name)), None)
