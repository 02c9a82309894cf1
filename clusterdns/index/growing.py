"""The names that one thing brings along by itself: a zone its own, a namespace and a service theirs in each zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.nodes import (
    Apex,
    EmptyNonTerminal,
    EndpointName,
    ExposedService,
    Nameserver,
    PortName,
    SchemaVersion,
    ServiceName,
    ZonalName,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.names import Address, Name
    from clusterdns.nodes import Node, Zone
    from clusterdns.objects import EndpointSlice, Key, Service


UNDERSCORE = b"_"
"""How the labels begin that are no host's (RFC 1123 section 2.1, RFC 8552)."""


def names_of_zone(zone: Zone) -> Iterator[Node]:
    """The nodes that a zone has whatever is in the cluster; those of a reverse zone are its apex and nameserver."""
    yield Apex(name=zone.name, zone=zone)
    yield EmptyNonTerminal(name=next(names.ancestors(zone.mname)), zone=zone)
    yield Nameserver(name=zone.mname, zone=zone)
    if zone.is_reverse or zone.external is not None:
        return
    for label in ("svc", "pod"):
        yield EmptyNonTerminal(name=names.below(label, parent=zone.name), zone=zone, lacks="namespace")
    yield SchemaVersion(name=names.below("dns-version", parent=zone.name), zone=zone)


def name_of_namespace(namespace: str, zone: Zone) -> Name | None:
    """The name that a namespace's services are below; None if it has none in the zone."""
    if zone.external is None:
        return names.services_of(namespace, zone.name)
    # The zone's own names come before those of a namespace that is called like them.
    return None if namespace == zone.external.apex else names.possibly_below(namespace, parent=zone.name)


def name_of_service(key: Key, zone: Zone) -> Name | None:
    namespace, service = key
    if zone.external is None:
        return names.service(service, namespace, zone.name)
    parent = name_of_namespace(namespace, zone)
    return parent and names.possibly_below(service, parent=parent)


def node_of_service(
    name: Name, zone: Zone, service: Service, slices: tuple[EndpointSlice, ...], at_nodes: tuple[Address, ...]
) -> ServiceName | ExposedService | None:
    """What a service is in a zone; None in an external one, if the service is not to be seen from there.

    at_nodes: where nodes are reached from outside.
    """
    if zone.external is None:
        return ServiceName(name=name, zone=zone, service=service, slices=slices)
    addresses, hosts = [], []
    for text in service.external_hosts:
        address = names.address(text)
        if address is not None:
            addresses.append(address)
        elif (host := names.possible(text)) not in (None, names.ROOT):
            hosts.append(host)
    if addresses or hosts:
        return ExposedService(name=name, zone=zone, service=service, addresses=tuple(addresses), hosts=tuple(hosts))
    if zone.external.node_ports and service.has_node_ports and at_nodes:
        return ExposedService(name=name, zone=zone, service=service, addresses=at_nodes, hosts=(), is_at_nodes=True)
    if zone.external.headless and service.is_headless:
        return ServiceName(name=name, zone=zone, service=service, slices=slices)
    return None


def below_service(service: ServiceName | ExposedService, topology_zones: Iterable[str]) -> dict[Name, Node]:
    """The nodes below a service: its named ports, its ready endpoints, and where they run."""
    return underscored(service, topology_zones) | endpoints(service)


def underscored(service: ServiceName | ExposedService, topology_zones: Iterable[str]) -> dict[Name, Node]:
    """Of these, those whose label below the service begins with an underscore: ports, and where endpoints run.

    topology_zones: all those of the cluster: a headless service without an endpoint there has the name nevertheless.
    """
    found: dict[Name, Node] = {}
    if isinstance(service, ServiceName) and service.zone.zonal and service.service.is_headless:
        found |= {node.name: node for node in _topology_zones(service, topology_zones)}
    if isinstance(service, ExposedService) or not service.is_missing:
        found |= {node.name: node for node in _ports(service)}
    return found


def endpoints(service: ServiceName | ExposedService) -> dict[Name, Node]:
    """The others: one for each name that ready endpoints have, of which there may be hundreds."""
    if isinstance(service, ExposedService) or service.is_missing:
        return {}
    addresses: dict[Name, dict[Address, None]] = {}
    for endpoint in service.ready_endpoints():
        if endpoint.name is not None:
            addresses.setdefault(endpoint.name, {})[endpoint.address] = None
    return {
        name: EndpointName(name=name, zone=service.zone, service=service, addresses=tuple(held))
        for name, held in addresses.items()
        if not name.startswith(UNDERSCORE, 1)
    }


def _topology_zones(service: ServiceName, topology_zones: Iterable[str]) -> Iterator[Node]:
    for topology_zone in topology_zones:
        name = names.possibly_below(topology_zone, "_zone", parent=service.name)
        if name is not None:
            yield EmptyNonTerminal(name=next(names.ancestors(name)), zone=service.zone, lacks="topology zone")
            yield ZonalName(name=name, zone=service.zone, service=service, topology_zone=topology_zone)


def _ports(service: ServiceName | ExposedService) -> Iterator[Node]:
    for port, protocol in dict.fromkeys(service.named_ports()):
        name = names.possibly_below(f"_{port}", f"_{protocol}", parent=service.name)
        if name is not None:
            yield EmptyNonTerminal(name=next(names.ancestors(name)), zone=service.zone, lacks="port")
            yield PortName(name=name, zone=service.zone, service=service, port=port, protocol=protocol)
