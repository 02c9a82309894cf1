"""The names that one thing brings along by itself: a zone its own, a service those of its ports and its endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.nodes import Apex, EmptyNonTerminal, EndpointName, Nameserver, PortName, SchemaVersion, ZonalName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.names import Address, Name
    from clusterdns.nodes import Node, ServiceName, Zone


def names_of_zone(zone: Zone) -> Iterator[Node]:
    """The nodes that a zone has whatever is in the cluster; those of a reverse zone are its apex and nameserver."""
    yield Apex(name=zone.name, zone=zone)
    yield EmptyNonTerminal(name=names.below("dns", parent=zone.name), zone=zone)
    yield Nameserver(name=names.below("ns", "dns", parent=zone.name), zone=zone)
    if zone.is_reverse:
        return
    for label in ("svc", "pod"):
        yield EmptyNonTerminal(name=names.below(label, parent=zone.name), zone=zone, lacks="namespace")
    yield SchemaVersion(name=names.below("dns-version", parent=zone.name), zone=zone)


def below_service(service: ServiceName, topology_zones: Iterable[str] = ()) -> dict[Name, Node]:
    """The nodes below a service: its named ports, its ready endpoints, and where they run.

    topology_zones: all those of the cluster: a headless service without an endpoint there has the name nevertheless.
    """
    found: dict[Name, Node] = {}
    if service.zone.zonal and service.service.is_headless:
        found |= {node.name: node for node in _topology_zones(service, topology_zones)}
    if service.is_missing:
        return found
    found |= {node.name: node for node in _ports(service)}
    addresses: dict[Name, dict[Address, None]] = {}
    for endpoint in service.ready_endpoints():
        if endpoint.name is not None:
            addresses.setdefault(endpoint.name, {})[endpoint.address] = None
    for name, held in addresses.items():
        found[name] = EndpointName(name=name, zone=service.zone, addresses=tuple(held))
    return found


def _topology_zones(service: ServiceName, topology_zones: Iterable[str]) -> Iterator[Node]:
    for topology_zone in topology_zones:
        name = names.possibly_below(topology_zone, "_zone", parent=service.name)
        if name is not None:
            yield EmptyNonTerminal(name=next(names.ancestors(name)), zone=service.zone, lacks="topology zone")
            yield ZonalName(name=name, zone=service.zone, service=service, topology_zone=topology_zone)


def _ports(service: ServiceName) -> Iterator[Node]:
    for port, protocol in dict.fromkeys(service.named_ports()):
        name = names.possibly_below(f"_{port}", f"_{protocol}", parent=service.name)
        if name is not None:
            yield EmptyNonTerminal(name=next(names.ancestors(name)), zone=service.zone, lacks="port")
            yield PortName(name=name, zone=service.zone, service=service, port=port, protocol=protocol)
