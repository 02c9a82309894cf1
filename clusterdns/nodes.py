"""What a name can be: the kinds of nodes in the tree of names, and the zones that they stand in.

A node says who has a name; which records follow from that is answer.py's business. Nodes are never edited: a change in
the cluster replaces them, and with a node go the replies that were encoded for it. So whoever reads sees the old answer
or the new one, and a remembered reply can not outlive what it was made of. (`replies` and `nothing` are memory: they do
change, but nothing that they say does.)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from clusterdns import names
from clusterdns.names import Address, Name
from clusterdns.objects import EndpointPort, EndpointSlice, Service
from clusterdns.origins import HOSTS, KUBERNETES, Origin
from clusterdns.records import Soa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterdns.objects import Endpoint

Pods = Literal["disabled", "insecure", "verified"]


class External(Struct, frozen=True):
    """How a zone shows services to the outside of the cluster."""

    apex: str = "dns"
    """The label below which the zone's own names stand."""
    headless: bool = False
    """Whether headless services are shown too, with the addresses of their endpoints."""
    node_ports: bool = False
    """Whether services of type NodePort are shown, with the addresses of the cluster's nodes."""


class Zone(Struct, eq=False, kw_only=True):
    """A zone that we answer for, and how its names and records are made. Times are seconds."""

    name: Name
    mname: Name
    rname: Name
    is_reverse: bool = False
    ttl: int = 30
    negative_ttl: int = 5
    pods: Pods = "disabled"
    endpoint_pod_names: bool = False
    falls_through: bool = False
    """Whether a name that is missing is the business of whoever is asked next."""
    falls_through_below: tuple[Name, ...] = ()
    """The parts of the zone of which that is so, if it is not of all."""
    ignore_empty_service: bool = False
    """Whether a ClusterIP service without a ready endpoint is missing, as a headless one always is."""
    ptr_hostname_only: bool = False
    """Whether only endpoints with a hostname of their own have PTR records."""
    zonal: bool = False
    """Whether headless services have names for their endpoints in each topology zone."""
    external: External | None = None
    """If its names are for the outside: `<service>.<namespace>.<zone>`."""
    serial: int = 0
    """The one thing that changes: it grows with each change of the index."""

    def soa(self) -> Soa:
        return Soa(self.mname, self.rname, self.serial, self.negative_ttl)

    def hands_on(self, name: Name) -> bool:
        """Whether a name of the zone, if it is missing, is the business of whoever is asked next."""
        return self.falls_through or (bool(self.falls_through_below) and name.endswith(self.falls_through_below))


class Reply(Protocol):
    """A reply that was encoded once, and is written for each query of the same form."""

    @property
    def size(self) -> int:
        """Bytes that it holds."""

    def to(self, packet: bytes, name_end: int) -> bytes:
        """The reply to this query, whose question's name ends with the byte at `name_end`."""


NO_REPLIES: Mapping[bytes, Reply] = MappingProxyType({})
"""Most names are never asked for."""


class Node(Struct, eq=False, kw_only=True):
    """A name of a zone.

    `replies` remembers encoded replies by the form of the query: everything in its packet but the ID and the name. The
    node only carries them, so that they go when it goes.
    """

    name: Name
    zone: Zone
    replies: Mapping[bytes, Reply] = NO_REPLIES
    nothing: Nothing | None = None
    """What is said of names below that do not exist; made when first asked for."""
    origin: Origin = KUBERNETES
    """For whoever counts answers."""
    generation: int = 0
    """Of the reply that it remembered last."""

    def forget_replies(self) -> None:
        if isinstance(self.replies, dict):
            self.replies.clear()


class Apex(Node, eq=False, kw_only=True):
    """The zone's own name. Below that of a reverse zone the names are addresses: they are read, not kept."""

    unlisted: Nothing | None = None
    """What is said of such names that nobody has."""


class EmptyNonTerminal(Node, eq=False, kw_only=True):
    """A name that has no records, but names below it (RFC 8499 section 7; RFC 8020)."""

    lacks: str = ""
    """What a name that is missing below it would have been, in words."""


class PodNamespace(EmptyNonTerminal, eq=False, kw_only=True):
    """`<namespace>.pod.<zone>`, whose names are addresses: they are read, not kept."""

    namespace: str
    unlisted: Nothing | None = None
    """What is said of those that are not there."""


class SchemaVersion(Node, eq=False, kw_only=True):
    """`dns-version.<zone>`: which version of the specification the names follow."""


class Nameserver(Node, eq=False, kw_only=True):
    """`ns.dns.<zone>`, or `ns1.<apex>.<external zone>`: ourselves."""


class ReadyEndpoint(Struct, frozen=True):
    """An address that a service sends its traffic to."""

    name: Name | None
    """Its name below the service; None if there can be none."""
    address: Address
    ports: tuple[EndpointPort, ...]
    has_hostname: bool
    """Whether its name is one that it was given."""
    topology_zone: str
    """Where it runs; empty if nobody said."""


class ServiceName(Node, eq=False, kw_only=True):
    """`<service>.<namespace>.svc.<zone>`"""

    service: Service
    slices: tuple[EndpointSlice, ...] = ()

    @property
    def is_alias(self) -> bool:
        return self.service.is_external_name

    @property
    def is_missing(self) -> bool:
        """Whether the service is there, but its name is not, for want of a ready endpoint."""
        depends = self.service.is_headless or (self.zone.ignore_empty_service and not self.service.is_external_name)
        return depends and not any(self.ready_endpoints())

    def ready_endpoints(self) -> Iterator[ReadyEndpoint]:
        """The ready ones, in the order of the slices; an address may come again in another slice with other ports."""
        for each in () if self.service.is_external_name else self.slices:
            for endpoint in each.endpoints or ():
                for text in endpoint.addresses if endpoint.is_ready else ():
                    address = names.address(text)
                    if address is not None:
                        name = names.possibly_below(self._hostname(endpoint, text), parent=self.name)
                        has_hostname, topology_zone = bool(endpoint.hostname), endpoint.zone or ""
                        yield ReadyEndpoint(name, address, each.ports or (), has_hostname, topology_zone)

    def ports(self) -> Iterator[tuple[int, str, str]]:
        """Number, name and protocol of each port of the service's own."""
        yield from ((port.port, port.name, port.protocol) for port in self.service.ports)

    def named_ports(self) -> Iterator[tuple[str, str]]:
        """Name and protocol of each port that has a name; a headless service has those of its ready endpoints."""
        if self.service.is_headless:
            for endpoint in self.ready_endpoints():
                yield from ((port.name, port.protocol or "TCP") for port in endpoint.ports if port.name and port.port)
        elif not self.service.is_external_name:
            yield from ((port.name, port.protocol) for port in self.service.ports if port.name)

    def _hostname(self, endpoint: Endpoint, address: str) -> str:
        if endpoint.hostname:
            return endpoint.hostname
        if self.zone.endpoint_pod_names and endpoint.target_ref and names.is_kubernetes_label(endpoint.target_ref.name):
            return endpoint.target_ref.name
        return names.dashed(address)


class ExposedService(Node, eq=False, kw_only=True):
    """`<service>.<namespace>.<external zone>` of a service that is reached from outside the cluster."""

    service: Service
    addresses: tuple[Address, ...]
    hosts: tuple[Name, ...]
    """What its load balancers are called that have names in place of addresses."""
    is_at_nodes: bool = False
    """Whether the addresses are the nodes', which lead to it by its node ports."""

    @property
    def is_alias(self) -> bool:
        """A name can not be an alias and have addresses (RFC 1034 section 3.6.2); addresses are nearer."""
        return bool(self.hosts) and not self.addresses

    def ports(self) -> Iterator[tuple[int, str, str]]:
        """Number, name and protocol of each port as it is reached from outside."""
        for port in self.service.ports:
            number = port.node_port if self.is_at_nodes else port.port
            if number:
                yield number, port.name, port.protocol

    def named_ports(self) -> Iterator[tuple[str, str]]:
        """Name and protocol of each port that has a name."""
        yield from ((name, protocol) for _, name, protocol in self.ports() if name)


class PortName(Node, eq=False, kw_only=True):
    """`_<port>._<protocol>.<service>…`"""

    service: ServiceName | ExposedService
    port: str
    protocol: str


class EndpointName(Node, eq=False, kw_only=True):
    """`<hostname>.<service>…`, with the addresses of the ready endpoints of that name."""

    service: ServiceName
    addresses: tuple[Address, ...]


class ZonalName(Node, eq=False, kw_only=True):
    """`<topology zone>._zone.<headless service>…`: the ready endpoints there, of which there may be none."""

    service: ServiceName
    topology_zone: str


class PodName(Node, eq=False, kw_only=True):
    """`<dashed address>.<namespace>.pod.<zone>`"""

    address: Address


class AddressName(Node, eq=False, kw_only=True):
    """`<reversed address>.in-addr.arpa`, or ip6: the service with that ClusterIP, or those with that endpoint; or those
    that have the address outside of the cluster.
    """

    address: Address
    cluster_ip_of: ServiceName | None = None
    endpoint_of: tuple[ServiceName, ...] = ()
    external_of: tuple[ExposedService, ...] = ()


class HostName(Node, eq=False, kw_only=True, gc=False):
    """A name of a hosts file, inside or outside of our zones. Its zone is none: it lends the lifetime of records."""

    addresses: tuple[Address, ...]
    origin: Origin = HOSTS


class HostAddress(Node, eq=False, kw_only=True):
    """`<reversed address>.in-addr.arpa`, or ip6, of an address in a hosts file; its zone is as a HostName's."""

    address: Address
    names: tuple[Name, ...]
    origin: Origin = HOSTS


class Nothing(Node, eq=False, kw_only=True):
    """A name that does not exist. `name` is that of the closest encloser (RFC 4592 section 3.3.1)."""

    encloser: Node
