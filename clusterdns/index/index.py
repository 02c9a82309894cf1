"""Who has this name, who has this address: the cluster as a tree of names, kept up by events.

One writer applies events; readers look names up. The nodes of zones, namespaces and services are made when an event
comes; those below a service and those of addresses are many and seldom asked for, so they are grown from the objects
when first asked for, and dropped when an object behind them changes.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from clusterdns import names, origins
from clusterdns.events import Gone, Listed, Put, within
from clusterdns.index.clients import PodAddresses
from clusterdns.index.growing import (
    UNDERSCORE,
    endpoints,
    name_of_namespace,
    name_of_service,
    names_of_zone,
    node_of_service,
    underscored,
)
from clusterdns.index.hostnames import HostNames
from clusterdns.index.machines import outer_addresses
from clusterdns.index.picture import Picture
from clusterdns.index.remembered import RememberedReplies
from clusterdns.index.reverse import ReverseNames
from clusterdns.index.tables import Table
from clusterdns.index.tree import Tree
from clusterdns.index.waiting import Waiting
from clusterdns.nodes import (
    Apex,
    EmptyNonTerminal,
    ExposedService,
    HostName,
    Node,
    Nothing,
    PodName,
    PodNamespace,
    ServiceName,
    Zone,
)
from clusterdns.objects import EndpointSlice, Host, Namespace, Pod, Service
from clusterdns.objects import Node as Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from clusterdns.events import Event
    from clusterdns.index.tables import Kept
    from clusterdns.index.waiting import Since
    from clusterdns.names import Address, Name
    from clusterdns.objects import Key, Object
    from clusterdns.origins import Origin

_SERIALS = 1 << 32

_OF_SERVICES = (ServiceName, ExposedService)

T = TypeVar("T", bound="Object")


class Index:
    """The tree of names.

    zones: forward zones, the primary one first: PTR records point into it.
    external_zones: those for the outside of the cluster, forward and reverse; PTR records point into the first one.
    awaited: the kinds that must have been listed before a missing name is known to be missing.
    namespaces: what is in others is not served; none: all are.
    selects_namespaces: whether services of a Namespace that is not listed are not served.
    dns_service: namespace and name of the Service that fronts this server, for NS records.
    own_addresses: where this server listens: without such a Service, for those that have an endpoint there, and for the
        NS records of a cluster that has none of these either.
    hosts_ttl: of the records of hosts files, in seconds.
    hosts_reverse: whether the addresses in hosts files lead back to their names.
    clock: seconds since the epoch, for serials that grow over restarts, and for how long ago a pod went.
    """

    def __init__(
        self,
        zones: Sequence[Zone],
        reverse_zones: Sequence[Zone] = (),
        external_zones: Sequence[Zone] = (),
        *,
        awaited: Iterable[type[Object]] = (Namespace, Service, EndpointSlice),
        namespaces: frozenset[str] = frozenset(),
        selects_namespaces: bool = False,
        dns_service: Key = ("kube-system", "kube-dns"),
        own_addresses: Sequence[Address] = (),
        hosts_ttl: int = 30,
        hosts_reverse: bool = True,
        clock: Callable[[], float] = lambda: 0,
    ) -> None:
        self._tree = Tree()
        self.nodes = self._tree.nodes
        """Readers keep hold of this very dictionary: it is changed, and never replaced."""
        self.replies = RememberedReplies(self._tree.carriers)
        self.zones = tuple(zones)
        self._external_zones = tuple(zone for zone in external_zones if not zone.is_reverse)
        self._forward_zones = (*self.zones, *self._external_zones)
        self._zone_names = tuple(zone.name for zone in self._forward_zones)
        self.own_addresses = tuple(own_addresses)
        self._served_namespaces = namespaces
        self._selects_namespaces = selects_namespaces
        self._dns_service = dns_service
        self._reverse_zones = tuple(reverse_zones)
        self._external_reverse_zones = tuple(zone for zone in external_zones if zone.is_reverse)
        self._awaited = set(awaited)
        self._clock = clock
        self._serial = 0

        self._namespaces = Table[Namespace]()
        self._services = Table[Service]()
        self._slices = Table[EndpointSlice]()
        self._pods = Table[Pod]()
        self._machines = Table[Machine]()
        no_zone = Zone(name=names.ROOT, mname=names.ROOT, rname=names.ROOT, ttl=hosts_ttl)
        self._hosts = HostNames(no_zone, reverse=hosts_reverse)
        self._tables: dict[type[Object], Kept] = {
            Namespace: self._namespaces,
            Service: self._services,
            EndpointSlice: self._slices,
            Pod: self._pods,
            Machine: self._machines,
            Host: self._hosts,
        }
        self._reverse = ReverseNames(
            self._tree,
            zones=self._reverse_zones,
            external_zones=self._external_reverse_zones,
            primary=next(iter(self.zones), None),
            external=next(iter(self._external_zones), None),
            slices=self._slices.objects,
        )
        self._services_in: Counter[str] = Counter()
        self._slices_of: dict[Key, tuple[EndpointSlice, ...]] = {}
        self._waiting = Waiting(clock)
        self._pod_addresses = PodAddresses(clock)
        self._pod_at: dict[Address, str] = {}
        """By address: the name of the running pod that got it last."""
        self._underscored: dict[Name, tuple[Name, ...]] = {}
        self._endpoints: dict[Name, tuple[Name, ...]] = {}
        """By service: the names below it, once they are grown; who asks for ports seldom asks for endpoints."""
        self._topology_zones: dict[str, None] = {}
        """All that an endpoint has run in: one that is empty by now goes on being one."""
        self._aliases: set[Name] = set()
        """The names of ExternalName services."""
        self._are_targets_changed = False
        self._at_nodes: tuple[Address, ...] = ()
        self._are_nodes_changed = False

        for zone in self._every_zone():
            for node in names_of_zone(zone):
                self._tree.place(node)
        self._unsure = tuple(
            part
            for zone in self._forward_zones
            for part in zone.falls_through_below
            if self._tree.in_cluster(part) is None
        )
        """Parts of zones that may be there or not, and whose missing names fall through."""
        self._advance_serial()

    def _every_zone(self) -> Iterator[Zone]:
        """The later ones come before the earlier ones where they have the same name."""
        yield from (*self._reverse_zones, *self._external_reverse_zones, *self._external_zones, *self.zones)

    # Reading

    @property
    def is_synced(self) -> bool:
        """Whether a name that is not here is known not to exist."""
        return not self._awaited

    @property
    def serial(self) -> int:
        """It grows with each change."""
        return self._serial

    @property
    def awaited(self) -> list[str]:
        """The kinds that have not been listed yet."""
        return sorted(each.__name__ for each in self._awaited)

    def has_listed(self, kind: type[Object]) -> bool:
        """Whether all objects of the kind are known."""
        return kind not in self._awaited

    def objects(self, kind: type[Object]) -> tuple[Object, ...]:
        """All objects of the kind."""
        return tuple(self._tables[kind].objects.values())

    def count(self, kind: type[Object]) -> int:
        """How many objects of the kind there are."""
        return len(self._tables[kind])

    def unready_since(self, slice_: Key, address: str) -> Since | None:
        """Since when an endpoint is not ready, if it is not."""
        return self._waiting.since(slice_, address)

    def find(self, name: Name) -> Node | None:
        """The node of a name: a Nothing if the name does not exist in its zone, None if it is in none of our zones."""
        node = self.nodes.get(name)
        if node is not None:
            return node
        node = self._host_address(name) if self._hosts else None
        if node is not None:
            return node
        for ancestor in names.ancestors(name):
            encloser = self._tree.in_cluster(ancestor)
            if encloser is not None:
                return self._below(encloser, name)
        return None

    def has_host(self, name: Name) -> bool:
        """Whether a hosts file has the name."""
        return isinstance(self.nodes.get(name), HostName)

    def namespace_of_client(self, address: Address) -> str | None:
        """The namespace of the pod that has the address; None if that is not known, or not beyond doubt.

        It is in doubt on the host's network, and within clients.REUSE_SECONDS since another namespace had the address.
        """
        return self._pod_addresses.namespace_of(address)

    def pod_of_client(self, address: Address) -> Key | None:
        """Namespace and name of the pod that has the address; None where namespace_of_client says so."""
        namespace = self._pod_addresses.namespace_of(address)
        return None if namespace is None else (namespace, self._pod_at.get(address, ""))

    def forget_replies(self) -> None:
        """Forget the encoded replies of all names."""
        for each in self._tree.carriers():
            each.forget_replies()

    def dns_services(self) -> list[ServiceName]:
        """The Services that front this server: the one that is called so, or else those that lead to its addresses."""
        found = list(self._reverse.services([self._dns_service]))
        return found or list(self._reverse.services_at(self.own_addresses))

    def apex(self, name: Name) -> Apex | None:
        """The node of the zone of that name, if it is one of ours."""
        node = self._tree.in_cluster(name)
        return node if isinstance(node, Apex) else None

    def picture(self, zone: Zone) -> Picture:
        """What is known now of the names of a zone. Those of hosts files are no part of it."""
        namespaces, services = self._namespaces.objects, self._services.objects
        within = (each.name for each in self._every_zone())
        is_verified = zone.pods == "verified" and zone in self.zones
        return Picture(
            zone=zone,
            inner=tuple(each for each in within if each != zone.name and each.endswith(zone.name)),
            taken=frozenset(node.name for each in self._forward_zones for node in names_of_zone(each)),
            services={key: each for key, each in services.items() if ("", key[0]) in namespaces}
            if self._selects_namespaces
            else dict(services),
            slices=dict(self._slices_of),
            topology_zones=tuple(self._topology_zones),
            at_nodes=self._at_nodes,
            pods=self._pod_addresses.held() if is_verified else {},
            namespaces=frozenset(each for _, each in namespaces),
            cluster_ips=self._reverse.cluster_ips.held() if zone.is_reverse else {},
            external_addresses=self._reverse.external_addresses.held() if zone.is_reverse else {},
            primary=next(iter(self.zones), None),
            external=next(iter(self._external_zones), None),
            reverse_zones=self._reverse_zones,
            external_reverse_zones=self._external_reverse_zones,
        )

    # Names that are not kept

    def _below(self, encloser: Node, name: Name) -> Node:
        """The node of a name that has none yet, below its closest encloser so far."""
        match encloser:
            case ServiceName() | ExposedService() if self._grow(encloser, name):
                return self.find(name) or _nothing(encloser)
            case PodNamespace():
                return self._pod(encloser, name) or _unlisted(encloser)
            case Apex() if encloser.zone.is_reverse:
                return self._reverse.find(encloser, name) or _unlisted(encloser)
            case _ if any(part != encloser.name and part.endswith(encloser.name) for part in self._unsure):
                return _nothing(encloser)  # what is below it is not all of one kind, so none of it is remembered
            case _:
                # Whoever finds a `nothing` looks no further, so it is set only here, where all names below are kept.
                if encloser.nothing is None:
                    encloser.nothing = _nothing(encloser)
                return encloser.nothing

    def _grow(self, service: ServiceName | ExposedService, name: Name) -> bool:
        """Make nodes below a service: those of the name's sort, or else the others. False if all are there."""
        *_, label = names.labels(name[: -len(service.name)] + names.ROOT)
        sorts = [self._underscored, self._endpoints]
        for grown in sorts if label.startswith(UNDERSCORE) else reversed(sorts):
            if service.name not in grown:
                is_underscored = grown is self._underscored
                below = underscored(service, self._topology_zones) if is_underscored else endpoints(service)
                for node in below.values():
                    self._tree.place(node)
                grown[service.name] = tuple(below)
                return True
        return False

    def _remove_with_all_below(self, service: Name) -> None:
        self._tree.remove_all((*self._underscored.pop(service, ()), *self._endpoints.pop(service, ()), service))

    def _pod(self, parent: PodNamespace, name: Name) -> Node | None:
        label, *more = names.labels(name[: -len(parent.name)] + names.ROOT)
        address = None if more else names.undashed(label.decode("ascii", "replace"))
        if address is None or ("", parent.namespace) not in self._namespaces.objects:
            return None
        if parent.zone.pods == "verified" and not self._pod_addresses.is_held(address, parent.namespace):
            return None
        return PodName(name=name, zone=parent.zone, address=address)

    def _host_address(self, name: Name) -> Node | None:
        """A hosts file comes before the cluster here as well, and knows no zones."""
        node = self._hosts.reverse(name)
        if node is not None:
            self._reverse.keep(node)
        return node

    # Writing

    def apply(self, events: Iterable[Event]) -> None:
        """Apply a batch; its changes become visible together, because nothing reads meanwhile.

        What a node tells of itself every few seconds is no change, unless it is reached elsewhere.
        """
        changed = False
        for event in within(events, self._served_namespaces) if self._served_namespaces else events:
            match event:
                case Put(new):
                    is_new = self._tables[type(new)].put(new, self._replacing(type(new)))
                    changed |= is_new and type(new) is not Machine
                case Listed(kind, objects):
                    is_new = self._tables[kind].swap(objects, self._replacing(kind)) and kind is not Machine
                    changed |= is_new or kind in self._awaited
                    self._awaited.discard(kind)
                case Gone(kind, key):
                    changed |= self._tables[kind].remove(key, self._replacing(kind)) and kind is not Machine
        if self._are_targets_changed:
            self._forget_aliases()
            self._are_targets_changed = False
        if self._are_nodes_changed:
            changed |= self._renew_at_nodes()
            self._are_nodes_changed = False
        if changed:
            self._advance_serial()

    def _replacing(self, kind: type[Object]) -> Callable[..., None]:
        """What is told of changes to objects of that kind."""
        return partial(self._REPLACING[kind], self)

    def _advance_serial(self) -> None:
        """One more for each change, and never behind the clock, so that it grows over restarts as well (RFC 1982)."""
        self._serial = max(self._serial + 1, int(self._clock()))
        for zone in self._every_zone():
            zone.serial = self._serial % _SERIALS

    def _replace_namespace(self, old: Namespace | None, new: Namespace | None) -> None:
        if old is None or new is None:
            namespace = _either(old, new).metadata.name
            self._renew_namespace(namespace)
            if self._selects_namespaces:
                for key in [key for key in self._services.objects if key[0] == namespace]:
                    self._renew_service(key)

    def _renew_namespace(self, namespace: str) -> None:
        """A namespace's names exist while it does; `<namespace>.svc` also while a service is below it (RFC 8020)."""
        exists = ("", namespace) in self._namespaces.objects
        for zone in self._forward_zones:
            name = name_of_namespace(namespace, zone)
            if name is None:
                continue
            node = self._tree.in_cluster(name)
            if not (exists or (self._services_in[namespace] and not self._selects_namespaces)):
                if isinstance(node, EmptyNonTerminal):
                    self._tree.remove(name)
            elif node is None:
                lacks = "Service" if zone.external is None else "exposed Service"
                self._tree.place(EmptyNonTerminal(name=name, zone=zone, lacks=lacks))
        for zone in self.zones:
            name = names.possibly_below(namespace, "pod", parent=zone.name)
            if name is None:
                continue
            if not exists or zone.pods == "disabled":
                self._tree.remove(name)
            elif self._tree.in_cluster(name) is None:
                self._tree.place(PodNamespace(name=name, zone=zone, namespace=namespace))

    def _replace_service(self, old: Service | None, new: Service | None) -> None:
        namespace, _ = key = _either(old, new).key
        self._reverse.move(
            self._reverse.cluster_ips, key, old.cluster_ips if old else (), new.cluster_ips if new else ()
        )
        if self._external_reverse_zones:
            was, now = (each.external_hosts if each else () for each in (old, new))
            self._reverse.move(self._reverse.external_addresses, key, was, now)
        if old is None or new is None:
            self._count_service(namespace, 1 if new else -1)
        self._renew_service(key)

    def _count_service(self, namespace: str, change: int) -> None:
        """A namespace has a service more, or one less. Its names follow the first one and the last one."""
        before = self._services_in[namespace]
        self._services_in[namespace] = before + change
        if not before + change:
            del self._services_in[namespace]
        if not before or not before + change:
            self._renew_namespace(namespace)

    def _replace_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        key = _either(old, new).key
        was, now = (_ready_addresses(each) if each else () for each in (old, new))
        self._reverse.move(self._reverse.endpoints, key, was, now)
        self._waiting.replace(key, new, is_news=old is not None or self.is_synced)
        if new and any(zone.zonal for zone in self.zones):
            self._note_topology_zones(new)
        for service in dict.fromkeys(each.service_key for each in (old, new) if each):
            slices = tuple(each for each in self._slices_of.pop(service, ()) if each is not old)
            if new and new.service_key == service:
                slices = (*slices, new)
            if slices:
                self._slices_of[service] = slices
            self._renew_service(service)

    def _note_topology_zones(self, slice_: EndpointSlice) -> None:
        """With a new one, every headless service has one name more."""
        met = dict.fromkeys(each.zone for each in slice_.endpoints or () if each.zone and each.is_ready)
        fresh = [each for each in met if each not in self._topology_zones]
        self._topology_zones.update(dict.fromkeys(fresh))
        for name in [*self._underscored] if fresh else ():
            node = self._tree.in_cluster(name)
            if isinstance(node, ServiceName):
                self._renew_service(node.service.key)

    def _renew_service(self, key: Key) -> None:
        """Replace a service's nodes; what was grown from them goes."""
        namespace, _ = key
        service = self._services.objects.get(key)
        if self._selects_namespaces and ("", namespace) not in self._namespaces.objects:
            service = None
        slices = self._slices_of.get(key, ())
        for zone in self._forward_zones:
            name = name_of_service(key, zone)
            if name is None:
                continue
            former = self._tree.in_cluster(name)
            if former is not None:
                if not self._is_for(key, former):
                    continue
                self._remove_with_all_below(name)
                self._aliases.discard(name)
            self._reverse.forget_service(name)
            node = service and node_of_service(name, zone, service, slices, self._at_nodes)
            if node:
                self._tree.place(node)
                if node.is_alias:
                    self._aliases.add(name)

    @staticmethod
    def _is_for(key: Key, node: Node) -> bool:
        """Whether a name is the service's; the label of a slice may spell another service's name in capitals."""
        return isinstance(node, _OF_SERVICES) and node.service.key == key

    def _replace_pod(self, old: Pod | None, new: Pod | None) -> None:
        """A pod that is being deleted, or out of reach, may still have its addresses; one that is over has none."""
        was, now = (_addresses(pod) if pod else set() for pod in (old, new))
        if old and old.is_running:
            for address in was:
                self._pod_addresses.remove(address, old.metadata.namespace, is_on_host=old.is_on_host_network)
                if self._pod_at.get(address) == old.metadata.name:
                    del self._pod_at[address]
        if new and new.is_running:
            for address in now:
                self._pod_addresses.add(address, new.metadata.namespace, is_on_host=new.is_on_host_network)
                self._pod_at[address] = new.metadata.name
            was -= now
        if old and not old.is_over:
            for address in was:
                self._pod_addresses.note_departure(address, old.metadata.namespace)

    def _replace_machine(self, _old: Machine | None, _new: Machine | None) -> None:
        self._are_nodes_changed = True

    def _renew_at_nodes(self) -> bool:
        """Have what is reached at the nodes be where they are now; whether that is elsewhere."""
        at_nodes = outer_addresses(self._machines.objects.values())
        if at_nodes == self._at_nodes:
            return False
        self._at_nodes = at_nodes
        if any(zone.external and zone.external.node_ports for zone in self._external_zones):
            for key in [key for key, service in self._services.objects.items() if service.has_node_ports]:
                self._renew_service(key)
        return True

    def _replace_host(self, name: Name, old: HostName | None, new: HostName | None) -> None:
        if new is not None:
            self._tree.take(new)
        else:
            self._tree.give_back(name)
        for node in filter(None, (old, new)):
            for address in node.addresses:
                self._reverse.forget(address)
        self._forget_additional(name)
        self._are_targets_changed = True

    def _forget_additional(self, name: Name) -> None:
        """The SRV records of a service come with the addresses of its name, and of its endpoints' names."""
        for each in (name, *names.ancestors(name)) if name.endswith(self._zone_names) else ():
            node = self._tree.in_cluster(each)
            if isinstance(node, _OF_SERVICES):
                self._renew_service(node.service.key)

    def _forget_aliases(self) -> None:
        """An alias out of our zones is remembered; its target may have become a hosts file's, or ceased to be."""
        for name in self._aliases:
            node = self._tree.in_cluster(name)
            if node is not None:
                node.forget_replies()

    _REPLACING: ClassVar[dict[type[Object], Callable[..., None]]] = {
        Namespace: _replace_namespace,
        Service: _replace_service,
        EndpointSlice: _replace_slice,
        Pod: _replace_pod,
        Machine: _replace_machine,
        Host: _replace_host,
    }


def _either(old: T | None, new: T | None) -> T:
    either = new or old
    assert either is not None  # noqa: S101 - an object that never was is not replaced
    return either


def _addresses(pod: Pod) -> set[Address]:
    return set(filter(None, map(names.address, pod.addresses)))


def _ready_addresses(slice_: EndpointSlice) -> Iterator[str]:
    return (address for each in slice_.endpoints or () if each.is_ready for address in each.addresses)


def _unlisted(encloser: Apex | PodNamespace) -> Nothing:
    if encloser.unlisted is None:
        encloser.unlisted = _nothing(encloser)
    return encloser.unlisted


def _nothing(encloser: Node) -> Nothing:
    return Nothing(name=encloser.name, zone=encloser.zone, encloser=encloser, origin=_missing_below(encloser))


def _missing_below(encloser: Node) -> Origin:
    """What a name that is missing there would have been."""
    match encloser:
        case PodNamespace():
            return origins.NO_POD
        case EmptyNonTerminal(lacks=lacks):
            return _LACKING.get(lacks, origins.NO_NAME)
        case ServiceName():
            return origins.NO_ENDPOINT
        case Apex(zone=zone) if zone.is_reverse:
            return origins.NO_ADDRESS
        case _:
            return origins.NO_NAME


_LACKING = {"namespace": origins.NO_NAMESPACE, "Service": origins.NO_SERVICE, "port": origins.NO_PORT}
