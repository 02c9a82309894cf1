"""Question and index -> Answer: every rule of the cluster's names stands here, and nothing else does.

The rules are those of the Kubernetes DNS-Based Service Discovery specification, version 1.1.0 ("the specification"
below). Names for the outside of the cluster follow them too, with the addresses that lead in from there. A node of the
index says what a name is; `_records` says which records that kind of name has.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.nodes import (
    AddressName,
    Apex,
    EmptyNonTerminal,
    EndpointName,
    ExposedService,
    HostAddress,
    HostName,
    Nameserver,
    Nothing,
    PodName,
    PodNamespace,
    PortName,
    SchemaVersion,
    ServiceName,
    ZonalName,
)
from clusterdns.records import Answer, Lacking, Question, Rcode, Reason, ReasonCode, Record, Srv, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.index import Index
    from clusterdns.names import Address, Name
    from clusterdns.nodes import External, Node, ReadyEndpoint, Zone

SCHEMA_VERSION = b"1.1.0"
SCHEMA_VERSION_TTL = 28800
LONGEST_CHAIN = 8

_ADDRESS_TYPES = {Type.A: 4, Type.AAAA: 16}


def answer(question: Question, node: Node, index: Index) -> Answer:
    """What there is to say to a question whose name is the node's.

    The answer is settled unless the index is still being filled, or other names had a part in it.
    """
    match node:
        case Nothing():
            return _no_such_name(node, _reason_for_nothing(node), index)
        case ServiceName() if node.service.is_external_name:
            return _alias(question, node, index)
        case ExposedService() if node.is_alias and question.qtype in (*_ADDRESS_TYPES, Type.CNAME):
            return _alias(question, node, index)
        case ServiceName() if node.is_missing:
            return _no_such_name(node, _reason_for_not_ready(node), index)
    if question.qtype == Type.ANY and not isinstance(node, EmptyNonTerminal):
        return Answer(records=(Record(node.name, Type.HINFO, node.zone.ttl, (b"RFC8482", b"")),))
    records = tuple(_records(node, question.qtype, index))
    if not records:
        settled = not isinstance(node, Nameserver)
        reason = _reason_for_no_data(node, question.qtype)
        # A hosts file is no zone: there is no SOA record to tell how long nothing is nothing.
        authority = () if isinstance(node, HostName | HostAddress) else (_soa(node.zone),)
        return Answer(authority=authority, settled=settled, reason=reason)
    additional = () if question.qtype not in (Type.SRV, Type.NS) else tuple(_addresses_of_targets(records, index))
    settled = not (isinstance(node, Apex | Nameserver) or _leads_out(node))
    return Answer(records=records, additional=additional, settled=settled)


def every_record(node: Node, index: Index) -> Iterator[Record]:
    """What a name has, whatever the type, as a copy of its zone holds it: all but the SOA record.

    An alias has its CNAME record and no other there, since copies of a zone may have no others beside it (RFC 1034
    section 3.6.2).
    """
    match node:
        case ServiceName() | ExposedService() if node.is_alias:
            target = _target(node)
            if target is not None:
                yield Record(node.name, Type.CNAME, node.zone.ttl, target)
        case ServiceName() if node.is_missing:
            return
        case _:
            for rtype in (Type.NS, Type.A, Type.AAAA, Type.SRV, Type.TXT):
                yield from _records(node, rtype, index)


def _records(node: Node, qtype: int, index: Index) -> Iterable[Record]:
    """The records of a name, by what the name is and the type that is asked for."""
    match node, qtype:
        case ServiceName(), Type.A | Type.AAAA:
            return _address_records(node, _addresses_of_service(node), qtype)
        case ServiceName() | ExposedService(), Type.SRV:
            return _srv_records(node.name, _targets(node), node.zone)
        case PortName(), Type.SRV:
            return _srv_records(node.name, _targets(node.service, (node.port, node.protocol)), node.zone)
        case EndpointName(), Type.SRV if node.zone.external is not None:
            targets = (each for each in _targets(node.service) if each[1] == node.name)
            return _srv_records(node.name, targets, node.zone)
        case ExposedService() | EndpointName(), Type.A | Type.AAAA:
            return _address_records(node, node.addresses, qtype)
        case ZonalName(), Type.A | Type.AAAA:
            return _address_records(node, (each.address for each in _endpoints_there(node)), qtype)
        case ZonalName(), Type.SRV:
            return _srv_records(node.name, _targets_of_endpoints(_endpoints_there(node)), node.zone)
        case PodName(), Type.A | Type.AAAA:
            return _address_records(node, (node.address,), qtype)
        case HostName(), Type.A | Type.AAAA:
            return _address_records(node, node.addresses, qtype)
        case AddressName(), Type.PTR:
            return _ptr_records(node)
        case HostAddress(), Type.PTR:
            return (Record(node.name, Type.PTR, node.zone.ttl, name) for name in node.names)
        case Apex(), Type.SOA:
            return (_soa(node.zone, ttl=node.zone.ttl),)
        case Apex(), Type.NS:
            return (Record(node.name, Type.NS, node.zone.ttl, each) for each in _nameservers(node.zone, index))
        case Nameserver(), Type.A | Type.AAAA:
            return _address_records(node, _addresses_of_nameservers(node.zone, index), qtype)
        case SchemaVersion(), Type.TXT:
            return (Record(node.name, Type.TXT, SCHEMA_VERSION_TTL, (SCHEMA_VERSION,)),)
        case _:
            return ()


# Addresses (specification, sections 2.3.1 and 2.4.1)


def _address_records(node: Node, addresses: Iterable[Address], qtype: int) -> Iterator[Record]:
    rtype = Type(qtype)
    for address in dict.fromkeys(addresses):
        if len(address) == _ADDRESS_TYPES[rtype]:
            yield Record(node.name, rtype, node.zone.ttl, address)


def _addresses_of_service(node: ServiceName) -> Iterable[Address]:
    """ClusterIPs whatever the endpoints do; of a headless service, the ready endpoints."""
    if node.service.is_headless:
        return (endpoint.address for endpoint in node.ready_endpoints())
    return filter(None, map(names.address, node.service.cluster_ips))


# Ports (specification, sections 2.3.2 and 2.4.2)


def _srv_records(owner: Name, targets: Iterable[tuple[int, Name]], zone: Zone) -> Iterator[Record]:
    """The weights share 100 among the pairs of address and port behind the answer; equal records are merged."""
    pairs = list(targets)
    weight = max(1, 100 // len(pairs)) if pairs else 0
    for port, target in dict.fromkeys(pairs):
        yield Record(owner, Type.SRV, zone.ttl, Srv(weight, port, target))


def _targets(
    service: ServiceName | ExposedService, wanted: tuple[str, str] | None = None
) -> Iterator[tuple[int, Name]]:
    """Each port, or each ready endpoint and port of a headless service; `wanted` is a name and a protocol."""
    if isinstance(service, ServiceName) and service.service.is_headless:
        yield from _targets_of_endpoints(service.ready_endpoints(), wanted)
        return
    for target in _hosts_of_service(service):
        for number, name, protocol in service.ports():
            if wanted in (None, (name, protocol)):
                yield number, target


def _targets_of_endpoints(
    endpoints: Iterable[ReadyEndpoint], wanted: tuple[str, str] | None = None
) -> Iterator[tuple[int, Name]]:
    for endpoint in endpoints:
        for each in endpoint.ports:
            if each.port and endpoint.name and wanted in (None, (each.name, each.protocol or "TCP")):
                yield each.port, endpoint.name


def _endpoints_there(node: ZonalName) -> Iterator[ReadyEndpoint]:
    return (each for each in node.service.ready_endpoints() if each.topology_zone == node.topology_zone)


def _hosts_of_service(service: ServiceName | ExposedService) -> Iterator[Name]:
    """Its name, once for each of its addresses, and the host names that lead to it."""
    if isinstance(service, ServiceName):
        return (service.name for _ in _addresses_of_service(service))
    return chain((service.name for _ in service.addresses), service.hosts)


def _leads_out(node: Node) -> bool:
    """Whether host names are its targets, which may come to be, or cease to be, names of ours."""
    service = node.service if isinstance(node, PortName) else node
    return isinstance(service, ExposedService) and bool(service.hosts)


def _addresses_of_targets(records: Iterable[Record], index: Index) -> Iterator[Record]:
    """What the asker of an SRV or NS record will ask for next."""
    targets = dict.fromkeys(each.data.target if isinstance(each.data, Srv) else each.data for each in records)
    for target in targets:
        found = index.find(target)  # type: ignore[arg-type]
        if found is not None and not isinstance(found, Nothing):
            yield from chain(_records(found, Type.A, index), _records(found, Type.AAAA, index))


# Aliases (specification, section 2.5)


def _alias(question: Question, node: ServiceName | ExposedService, index: Index) -> Answer:
    """The CNAME of an ExternalName service, or of one whose load balancer has a name; for addresses also what it leads
    to, as far as that is ours to know.
    """
    records: list[Record] = []
    while True:
        target = _target(node)
        if target is None:
            reason = Reason(
                f"externalName of Service {_called(node)} is no host name: {node.service.spec.external_name!r}"
            )
            return Answer(records=tuple(records), authority=(_soa(node.zone),), settled=not records, reason=reason)
        records.append(Record(node.name, Type.CNAME, node.zone.ttl, target))
        if question.qtype not in _ADDRESS_TYPES:
            return Answer(records=tuple(records))
        found = index.find(target)
        if found is None:
            return Answer(records=tuple(records), settled=len(records) == 1, onward=target)
        if not (isinstance(found, ServiceName | ExposedService) and found.is_alias):
            end = answer(Question(target, question.qtype), found, index)
            if end.rcode == Rcode.SERVFAIL:
                return end
            every = (*records, *end.records)
            return Answer(rcode=end.rcode, records=every, authority=end.authority, settled=False, reason=end.reason)
        if any(target == each.owner for each in records) or len(records) == LONGEST_CHAIN:
            reason = Reason(f"the alias of Service {_called(node)} leads in a circle, or on over too many names")
            return Answer(records=tuple(records), settled=False, reason=reason)
        node = found


def _target(node: ServiceName | ExposedService) -> Name | None:
    return node.hosts[0] if isinstance(node, ExposedService) else _external_name(node)


def _external_name(node: ServiceName) -> Name | None:
    """The target; an address or nothing at all is none, though the API takes both."""
    text = node.service.spec.external_name.removesuffix(".")
    if not text or names.address(text):
        return None
    try:
        return names.from_text(text)
    except names.NotAName:
        return None


# Reverse names (specification, sections 2.3.3 and 2.4.3)


def _ptr_records(node: AddressName) -> Iterator[Record]:
    """A ClusterIP leads to its service, as an address outside of the cluster does; an endpoint's address to one name
    below each service that has it.
    """
    for exposed in node.external_of:
        yield Record(node.name, Type.PTR, node.zone.ttl, exposed.name)
    if node.cluster_ip_of is not None:
        yield Record(node.name, Type.PTR, node.zone.ttl, node.cluster_ip_of.name)
        return
    for service in node.endpoint_of:
        target = next((name for address, name in pointed_at(service, node.zone) if address == node.address), None)
        if target is not None:
            yield Record(node.name, Type.PTR, node.zone.ttl, target)


def pointed_at(service: ServiceName, zone: Zone) -> Iterator[tuple[Address, Name]]:
    """The addresses of a service's endpoints, and the names that they lead to in that reverse zone; if there are
    several, to the first.
    """
    for endpoint in service.ready_endpoints():
        if endpoint.name and (endpoint.has_hostname or not zone.ptr_hostname_only):
            yield endpoint.address, endpoint.name


# The zone's own records


def _soa(zone: Zone, *, ttl: int | None = None) -> Record:
    """With a negative answer the record lives as long as the answer does (RFC 2308 section 3)."""
    return Record(zone.name, Type.SOA, zone.negative_ttl if ttl is None else ttl, zone.soa())


def _nameservers(zone: Zone, index: Index) -> Iterable[Name]:
    """The names of the DNS Services where there are some; of a headless one, those of its endpoints.

    Those outside of the cluster know no such names.
    """
    services = index.dns_services() if zone.external is None else []
    names_of_services = [name for each in services for name in _names_of_nameserver(each)]
    return dict.fromkeys(names_of_services or [zone.mname])


def _names_of_nameserver(service: ServiceName) -> Iterable[Name]:
    if not service.service.is_headless:
        return (service.name,)
    return (each.name for each in service.ready_endpoints() if each.name)


def _addresses_of_nameservers(zone: Zone, index: Index) -> Iterable[Address]:
    services = index.dns_services()
    if zone.external is None:
        return [address for each in services for address in _addresses_of_service(each)] or index.own_addresses
    if not services:
        return index.own_addresses
    return [address for each in services for address in _addresses_outside(each, zone.external)]


def _addresses_outside(service: ServiceName, external: External) -> Iterable[Address]:
    if external.headless and service.service.is_headless:
        return _addresses_of_service(service)
    return filter(None, map(names.address, service.service.external_hosts))


# What there is not, and why


def _no_such_name(node: Node, reason: Reason | None, index: Index) -> Answer:
    """NXDOMAIN, unless the name may yet come: a client must not remember that something is missing while we fill up."""
    if not index.is_synced:
        reason = Reason("the cluster's objects are not all read yet", ReasonCode.NOT_READY)
        return Answer(rcode=Rcode.SERVFAIL, authoritative=False, settled=False, reason=reason)
    return Answer(rcode=Rcode.NXDOMAIN, authority=(_soa(node.zone),), reason=reason)


def _called(node: ServiceName | ExposedService) -> str:
    return "/".join(node.service.key)


def _reason_for_nothing(node: Nothing) -> Reason | None:
    match node.encloser:
        case PodNamespace(namespace=namespace):
            return Reason(f"no such address of a pod in namespace {namespace}")
        case EmptyNonTerminal(lacks="Service") as namespace:
            label = names.labels(namespace.name)[0].decode("ascii", "replace")
            return _lacking("Service", f"namespace {label}", namespace)
        case EmptyNonTerminal(lacks=lacks) as parent if lacks:
            return _lacking(lacks, names.to_text(parent.name), parent)
        case ServiceName() as service:
            return Reason(f"Service {_called(service)} has no port and no ready endpoint of this name")
        case ExposedService() as service:
            return Reason(f"Service {_called(service)} has no port of this name")
        case Apex(zone=zone) if zone.external is not None and not zone.is_reverse:
            return _lacking("namespace", names.to_text(zone.name), node.encloser)
        case Apex(zone=zone) if zone.is_reverse:
            return Reason("no Service and no ready endpoint has this address")
        case _:
            return None


def _lacking(what: str, where: str, parent: Node) -> Lacking:
    text = f"no {what} of this name in {where}"
    return Lacking(text, parent=parent.name, before=f"no {what} '", after=f"' in {where}")


def _reason_for_not_ready(node: ServiceName) -> Reason:
    addresses: dict[str, set[str]] = {}
    for each in node.slices:
        family = addresses.setdefault(each.address_type, set())
        family.update(endpoint.addresses[0] for endpoint in each.endpoints or () if endpoint.addresses)
    count = max(map(len, addresses.values()), default=0)  # a dual-stack endpoint is one, with an address of each family
    have = {0: "no endpoints", 1: "1 endpoint, not ready"}.get(count, f"{count} endpoints, none ready")
    return Reason(f"Service {_called(node)} has {have}")


def _reason_for_no_data(node: Node, qtype: int) -> Reason | None:
    if qtype not in _ADDRESS_TYPES:
        return None
    family = "IPv4" if qtype == Type.A else "IPv6"
    match node:
        case ServiceName():
            return Reason(f"Service {_called(node)} has no {family} address")
        case ExposedService():
            return Reason(f"Service {_called(node)} has no external {family} address")
        case HostName():
            return Reason(f"the hosts file has no {family} address for this name")
        case _:
            return None
