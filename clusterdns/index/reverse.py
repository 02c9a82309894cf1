"""Who has this address: the names below in-addr.arpa and ip6.arpa.

They are as many as the endpoints, and seldom asked for: a node is made from the objects when it is, and dropped when
something changes about who has the address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.index.addresses import Holders
from clusterdns.index.growing import name_of_service
from clusterdns.nodes import AddressName, EmptyNonTerminal, ExposedService, ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from clusterdns.index.tree import Tree
    from clusterdns.names import Address, Name
    from clusterdns.nodes import HostAddress, Node, Zone
    from clusterdns.objects import EndpointSlice, Key


class ReverseNames:
    """The reverse names that are kept, and what they follow from.

    primary: the zone that PTR records point into, if there is one. external: the same of the outside of the cluster.
    slices: all EndpointSlices, as they are told.
    """

    def __init__(
        self,
        tree: Tree,
        *,
        zones: Sequence[Zone],
        external_zones: Sequence[Zone],
        primary: Zone | None,
        external: Zone | None,
        slices: Mapping[Key, EndpointSlice],
    ) -> None:
        self.cluster_ips = Holders()
        self.endpoints = Holders()
        self.external_addresses = Holders()
        self._tree = tree
        self._zones = zones
        self._external_zones = external_zones
        self._primary = primary
        self._external = external
        self._slices = slices
        self._names: dict[Address, Name] = {}
        self._mentioned_at: dict[Name, set[Name]] = {}
        """By service, whether or not it exists: the reverse names that depend on it, once they are asked for."""

    def find(self, apex: Node, name: Name) -> Node | None:
        """The node of a name below that of a reverse zone, if anybody has the address, or one that begins like it."""
        match names.reversed_digits(name):
            case (length, digits) if len(digits) < 2 * length:
                if any(each.any_below(length, digits) for each in self._holders_in(name)):
                    return EmptyNonTerminal(name=name, zone=apex.zone)
            case (_, digits):
                address = bytes.fromhex(digits)
                return self._outside(name, address) or self._inside(name, address)
        return None

    def keep(self, node: AddressName | HostAddress) -> None:
        """Keep the node for as long as nothing changes about who has its address."""
        self._tree.place(node)
        self._names[node.address] = node.name

    def services(self, keys: Iterable[Key]) -> Iterator[ServiceName]:
        """Those that exist in the primary zone."""
        for service in self._names_of(keys, self._primary):
            node = self._tree.in_cluster(service)
            if isinstance(node, ServiceName) and not (node.service.is_external_name or node.is_missing):
                yield node

    def services_at(self, addresses: Iterable[Address]) -> Iterator[ServiceName]:
        """Those that have an endpoint at one of the addresses."""
        return self.services(self._services_at(addresses))

    def move(self, holders: Holders, key: Key, old: Iterable[str], new: Iterable[str]) -> None:
        """The object holds the new addresses in place of the old ones; what was said of those that changed goes."""
        was, now = (set(filter(None, map(names.address, each))) for each in (old, new))
        left, come = was - now, now - was
        for address in left:
            holders.remove(address, key)
        holders.add(come, key)
        if self._names:
            for address in left | come:
                self.forget(address)

    def forget(self, address: Address) -> None:
        """Something has changed about who has the address."""
        name = self._names.pop(address, None)
        if name is not None:
            self._tree.remove(name)

    def forget_service(self, name: Name) -> None:
        """Something has changed about the service that has, or would have, this name."""
        self._tree.remove_all(self._mentioned_at.pop(name, ()))

    def _holders_in(self, name: Name) -> Iterator[Holders]:
        """Whose addresses are looked up at a reverse name."""
        if _zone_of(name, self._external_zones):
            yield self.external_addresses
        if _zone_of(name, self._zones):
            yield from (self.cluster_ips, self.endpoints)

    def _outside(self, name: Name, address: Address) -> Node | None:
        """The services that have the address outside of the cluster."""
        zone = _zone_of(name, self._external_zones)
        if zone is None:
            return None
        services = self._mention(name, self.external_addresses.get(address), self._external)
        nodes = tuple(node for node in map(self._tree.in_cluster, services) if isinstance(node, ExposedService))
        if not nodes:
            return None
        node = AddressName(name=name, zone=zone, address=address, external_of=nodes)
        self.keep(node)
        return node

    def _inside(self, name: Name, address: Address) -> Node | None:
        """The service whose ClusterIP it is, or those that have an endpoint there."""
        zone = _zone_of(name, self._zones)
        if zone is None:
            return None
        owners = self.cluster_ips.get(address)
        owner = next(self.services(owners), None)
        services = self._services_at([address]) if owner is None else {}
        endpoint_of = tuple(self.services(services))
        if zone.ptr_hostname_only:
            endpoint_of = tuple(each for each in endpoint_of if _has_hostname(each, address))
        if owner is None and not endpoint_of:
            return None
        self._mention(name, (*owners, *services), self._primary)
        node = AddressName(name=name, zone=zone, address=address, cluster_ip_of=owner, endpoint_of=endpoint_of)
        self.keep(node)
        return node

    def _services_at(self, addresses: Iterable[Address]) -> dict[Key, None]:
        slices = (key for address in addresses for key in self.endpoints.get(address))
        return dict.fromkeys(self._slices[key].service_key for key in slices)

    def _mention(self, name: Name, keys: Iterable[Key], zone: Zone | None) -> list[Name]:
        """Note that the reverse name depends on the services; gives their names."""
        services = list(self._names_of(keys, zone))
        for service in services:
            self._mentioned_at.setdefault(service, set()).add(name)
        return services

    @staticmethod
    def _names_of(keys: Iterable[Key], zone: Zone | None) -> Iterator[Name]:
        return filter(None, (name_of_service(key, zone) for key in keys)) if zone else iter(())


def _zone_of(name: Name, zones: Iterable[Zone]) -> Zone | None:
    """The zone of these that a name is in."""
    return next((zone for zone in zones if name.endswith(zone.name)), None)


def _has_hostname(service: ServiceName, address: Address) -> bool:
    return any(each.address == address and each.has_hostname for each in service.ready_endpoints())
