"""The names that one thing brings along by itself: a zone its own, a service those of its ports and its endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.nodes import Apex, EmptyNonTerminal, EndpointName, Nameserver, PortName, SchemaVersion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterdns.names import Address, Name
    from clusterdns.nodes import Node, ServiceName, Zone


def names_of_zone(zone: Zone) -> Iterator[Node]:
    """The nodes that a zone has whatever is in the cluster; a reverse zone has its apex only."""
    yield Apex(name=zone.name, zone=zone)
    if zone.is_reverse:
        return
    for label, lacks in (("svc", "namespace"), ("pod", "namespace"), ("dns", "")):
        yield EmptyNonTerminal(name=names.below(label, parent=zone.name), zone=zone, lacks=lacks)
    yield Nameserver(name=names.below("ns", "dns", parent=zone.name), zone=zone)
    yield SchemaVersion(name=names.below("dns-version", parent=zone.name), zone=zone)


def below_service(service: ServiceName) -> dict[Name, Node]:
    """The nodes below a service: its named ports and its ready endpoints."""
    if service.is_missing:
        return {}
    found = {node.name: node for node in _ports(service)}
    addresses: dict[Name, dict[Address, None]] = {}
    for endpoint in service.ready_endpoints():
        if endpoint.name is not None:
            addresses.setdefault(endpoint.name, {})[endpoint.address] = None
    for name, held in addresses.items():
        found[name] = EndpointName(name=name, zone=service.zone, addresses=tuple(held))
    return found


def _ports(service: ServiceName) -> Iterator[Node]:
    for port, protocol in dict.fromkeys(service.named_ports()):
        name = names.possibly_below(f"_{port}", f"_{protocol}", parent=service.name)
        if name is not None:
            yield EmptyNonTerminal(name=next(names.ancestors(name)), zone=service.zone, lacks="port")
            yield PortName(name=name, zone=service.zone, service=service, port=port, protocol=protocol)
