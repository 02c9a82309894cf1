"""Who has this name, who has this address: the cluster as a tree of names, kept up by events.

One writer applies events; readers look names up. The nodes of zones, namespaces and services are made when an event
comes; those below a service and those of addresses are many and seldom asked for, so they are grown from the objects
when first asked for, and dropped when an object behind them changes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from clusterdns import names
from clusterdns.addresses import Holders
from clusterdns.events import Gone, Listed, Put
from clusterdns.nodes import (
    AddressName,
    Apex,
    EmptyNonTerminal,
    EndpointName,
    Nameserver,
    Node,
    Nothing,
    PodName,
    PodNamespace,
    PortName,
    SchemaVersion,
    ServiceName,
)
from clusterdns.objects import EndpointSlice, Namespace, Pod, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from clusterdns.events import Event
    from clusterdns.names import Address, Name
    from clusterdns.nodes import Zone
    from clusterdns.objects import Key, Object

_SERIALS = 1 << 32

T = TypeVar("T", bound="Object")


class _Table(Generic[T]):
    """The objects of one kind; tells its owner of each that is new, changed or gone, as (old, new)."""

    def __init__(self, replace: Callable[[T | None, T | None], None]) -> None:
        self.objects: dict[Key, T] = {}
        self._replace = replace

    def put(self, new: T) -> bool:
        """Take in an object; False if it is known as it is."""
        old = self.objects.get(new.key)
        if old is new or old == new:
            return False
        self.objects[new.key] = new
        self._replace(old, new)
        return True

    def remove(self, key: Key) -> bool:
        old = self.objects.pop(key, None)
        if old is None:
            return False
        self._replace(old, None)
        return True

    def swap(self, objects: Iterable[T]) -> bool:
        """Have these objects and no others; those that are known as they are keep their nodes."""
        fresh = {each.key: each for each in objects}
        gone = [self.remove(key) for key in self.objects.keys() - fresh.keys()]
        new = [self.put(each) for each in fresh.values()]
        return any(gone) or any(new)


class Index:
    """The tree of names.

    zones: forward zones, the primary one first: PTR records point into it.
    awaited: the kinds that must have been listed before a missing name is known to be missing.
    selects_namespaces: whether services of a Namespace that is not listed are not served.
    dns_service: namespace and name of the Service that fronts this server, for NS records.
    own_addresses: where this server listens, for the NS records of a cluster without such a Service.
    clock: seconds since the epoch, for serials that grow over restarts.
    """

    def __init__(
        self,
        zones: Sequence[Zone],
        reverse_zones: Sequence[Zone] = (),
        *,
        awaited: Iterable[type[Object]] = (Namespace, Service, EndpointSlice),
        selects_namespaces: bool = False,
        dns_service: Key = ("kube-system", "kube-dns"),
        own_addresses: Sequence[Address] = (),
        clock: Callable[[], float] = lambda: 0,
    ) -> None:
        self.nodes: dict[Name, Node] = {}
        """Readers keep hold of this very dictionary: it is changed, and never replaced."""
        self.zones = tuple(zones)
        self.own_addresses = tuple(own_addresses)
        self._selects_namespaces = selects_namespaces
        self._dns_service = dns_service
        self._reverse_zones = tuple(reverse_zones)
        self._awaited = set(awaited)
        self._clock = clock
        self._serial = 0

        self._namespaces = _Table[Namespace](self._replace_namespace)
        self._services = _Table[Service](self._replace_service)
        self._slices = _Table[EndpointSlice](self._replace_slice)
        self._pods = _Table[Pod](self._replace_pod)
        self._tables: dict[type[Object], _Table[Any]] = {
            Namespace: self._namespaces,
            Service: self._services,
            EndpointSlice: self._slices,
            Pod: self._pods,
        }
        self._services_in: Counter[str] = Counter()
        self._slices_of: dict[Key, tuple[EndpointSlice, ...]] = {}
        self._cluster_ips = Holders()
        self._endpoints = Holders()
        self._pods_at: dict[tuple[str, Address], frozenset[Key]] = {}
        self._grown: dict[Name, tuple[Name, ...]] = {}
        """By service: the names below it, once they are grown."""
        self._mentioned_at: dict[Name, set[Name]] = {}
        """By service, whether or not it exists: the reverse names that depend on it, once they are asked for."""
        self._reversed: dict[Address, Name] = {}

        self._plant()
        self._advance_serial()

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

    def objects(self, kind: type[Object]) -> tuple[Object, ...]:
        """All objects of the kind."""
        return tuple(self._tables[kind].objects.values())

    def find(self, name: Name) -> Node | None:
        """The node of a name: a Nothing if the name does not exist in its zone, None if it is in none of our zones."""
        node = self.nodes.get(name)
        if node is not None:
            return node
        for ancestor in names.ancestors(name):
            encloser = self.nodes.get(ancestor)
            if encloser is not None:
                return self._below(encloser, name)
        return None

    def forget_replies(self) -> None:
        """Forget the encoded replies of all names."""
        for node in self.nodes.values():
            for each in (node, node.nothing, getattr(node, "unlisted", None)):
                if each is not None:
                    each.replies.clear()

    def dns_service(self) -> ServiceName | None:
        """The Service that fronts this server, if there is one."""
        return next(self._primary_nodes((self._dns_service,)), None)

    # Names that are not kept

    def _below(self, encloser: Node, name: Name) -> Node:
        """The node of a name that has none yet, below its closest encloser so far."""
        match encloser:
            case ServiceName() if encloser.name not in self._grown:
                self._grow(encloser)
                return self.find(name) or _nothing(encloser)
            case PodNamespace():
                return self._pod(encloser, name) or _unlisted(encloser)
            case Apex() if encloser.zone.is_reverse:
                return self._address(encloser, name) or _unlisted(encloser)
            case _:
                # Whoever finds a `nothing` looks no further, so it is set only here, where all names below are kept.
                if encloser.nothing is None:
                    encloser.nothing = _nothing(encloser)
                return encloser.nothing

    def _grow(self, service: ServiceName) -> None:
        """Make the nodes below a service: its named ports and its ready endpoints."""
        self._grown[service.name] = ()
        if service.is_missing:
            return
        grown: dict[Name, Node] = {}
        for port, protocol in dict.fromkeys(service.named_ports()):
            self._grow_port(grown, service, port, protocol)
        addresses: dict[Name, dict[Address, None]] = {}
        for endpoint in service.ready_endpoints():
            if endpoint.name is not None:
                addresses.setdefault(endpoint.name, {})[endpoint.address] = None
        for name, held in addresses.items():
            grown[name] = EndpointName(name=name, zone=service.zone, addresses=tuple(held))
        self.nodes.update(grown)
        self._grown[service.name] = tuple(grown)

    @staticmethod
    def _grow_port(grown: dict[Name, Node], service: ServiceName, port: str, protocol: str) -> None:
        name = names.possibly_below(f"_{port}", f"_{protocol}", parent=service.name)
        if name is not None:
            parent = next(names.ancestors(name))
            grown[parent] = EmptyNonTerminal(name=parent, zone=service.zone, lacks="port")
            grown[name] = PortName(name=name, zone=service.zone, service=service, port=port, protocol=protocol)

    def _pod(self, parent: PodNamespace, name: Name) -> Node | None:
        label, *more = names.labels(name[: -len(parent.name)] + names.ROOT)
        address = None if more else names.undashed(label.decode("ascii", "replace"))
        if address is None or ("", parent.namespace) not in self._namespaces.objects:
            return None
        if parent.zone.pods == "verified" and (parent.namespace, address) not in self._pods_at:
            return None
        return PodName(name=name, zone=parent.zone, address=address)

    def _address(self, apex: Node, name: Name) -> Node | None:
        match names.reversed_digits(name):
            case (length, digits) if len(digits) < 2 * length:
                if self._cluster_ips.any_below(length, digits) or self._endpoints.any_below(length, digits):
                    return EmptyNonTerminal(name=name, zone=apex.zone)
            case (_, digits):
                return self._holder(apex, name, bytes.fromhex(digits))
        return None

    def _holder(self, apex: Node, name: Name, address: Address) -> Node | None:
        """Keep the node of an address for as long as nothing changes about its holders."""
        owners = self._cluster_ips.get(address)
        owner = next(self._primary_nodes(owners), None)
        slices = [self._slices.objects[key] for key in self._endpoints.get(address)] if owner is None else []
        services = dict.fromkeys(each.service_key for each in slices)
        endpoint_of = tuple(self._primary_nodes(services))
        if owner is None and not endpoint_of:
            return None
        node = AddressName(name=name, zone=apex.zone, address=address, cluster_ip_of=owner, endpoint_of=endpoint_of)
        self.nodes[name] = node
        self._reversed[address] = name
        for service in filter(None, map(self._primary_name, (*owners, *services))):
            self._mentioned_at.setdefault(service, set()).add(name)
        return node

    def _primary_nodes(self, keys: Iterable[Key]) -> Iterator[ServiceName]:
        for key in keys:
            node = self.nodes.get(self._primary_name(key))
            if isinstance(node, ServiceName) and not (node.service.is_external_name or node.is_missing):
                yield node

    def _primary_name(self, key: Key) -> Name:
        """What a service is called in the primary zone; empty if it has no name."""
        namespace, name = key
        return names.service(name, namespace, self.zones[0].name) or b""

    # Writing

    def apply(self, events: Iterable[Event]) -> None:
        """Apply a batch; its changes become visible together, because nothing reads meanwhile."""
        changed = False
        for event in events:
            match event:
                case Listed(kind, objects):
                    changed |= self._tables[kind].swap(objects) or kind in self._awaited
                    self._awaited.discard(kind)
                case Put(new):
                    changed |= self._tables[type(new)].put(new)
                case Gone(kind, key):
                    changed |= self._tables[kind].remove(key)
        if changed:
            self._advance_serial()

    def _advance_serial(self) -> None:
        """One more for each change, and never behind the clock, so that it grows over restarts as well (RFC 1982)."""
        self._serial = max(self._serial + 1, int(self._clock()))
        for zone in (*self.zones, *self._reverse_zones):
            zone.serial = self._serial % _SERIALS

    def _plant(self) -> None:
        """Make the names that every zone has."""
        for zone in self._reverse_zones:
            self.nodes[zone.name] = Apex(name=zone.name, zone=zone)
        for zone in self.zones:
            self.nodes[zone.name] = Apex(name=zone.name, zone=zone)
            for label, lacks in (("svc", "namespace"), ("pod", "namespace"), ("dns", "")):
                name = names.below(label, parent=zone.name)
                self.nodes[name] = EmptyNonTerminal(name=name, zone=zone, lacks=lacks)
            name = names.below("ns", "dns", parent=zone.name)
            self.nodes[name] = Nameserver(name=name, zone=zone)
            name = names.below("dns-version", parent=zone.name)
            self.nodes[name] = SchemaVersion(name=name, zone=zone)

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
        for zone in self.zones:
            name = names.possibly_below(namespace, "svc", parent=zone.name)
            if name is None:
                continue
            if not (exists or (self._services_in[namespace] and not self._selects_namespaces)):
                self._drop(name)
            elif name not in self.nodes:
                self.nodes[name] = EmptyNonTerminal(name=name, zone=zone, lacks="Service")
            name = names.below(namespace, "pod", parent=zone.name)
            if not exists or zone.pods == "disabled":
                self._drop(name)
            elif name not in self.nodes:
                self.nodes[name] = PodNamespace(name=name, zone=zone, namespace=namespace)

    def _replace_service(self, old: Service | None, new: Service | None) -> None:
        namespace, _ = key = _either(old, new).key
        self._move(self._cluster_ips, key, old.cluster_ips if old else (), new.cluster_ips if new else ())
        if old is None or new is None:
            self._services_in[namespace] += 1 if new else -1
            if not self._services_in[namespace]:
                del self._services_in[namespace]
            self._renew_namespace(namespace)
        self._renew_service(key)

    def _replace_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        key = _either(old, new).key
        self._move(self._endpoints, key, _ready_addresses(old) if old else (), _ready_addresses(new) if new else ())
        for service in dict.fromkeys(each.service_key for each in (old, new) if each):
            slices = tuple(each for each in self._slices_of.pop(service, ()) if each is not old)
            if new and new.service_key == service:
                slices = (*slices, new)
            if slices:
                self._slices_of[service] = slices
            self._renew_service(service)

    def _renew_service(self, key: Key) -> None:
        """Replace a service's nodes; what was grown from them goes."""
        namespace, service_name = key
        service = self._services.objects.get(key)
        if self._selects_namespaces and ("", namespace) not in self._namespaces.objects:
            service = None
        for zone in self.zones:
            name = names.service(service_name, namespace, zone.name)
            if name is None:
                continue
            if not self._is_for(key, self.nodes.get(name)):
                continue
            for made in (*self._grown.pop(name, ()), *self._mentioned_at.pop(name, ())):
                self.nodes.pop(made, None)
            self._drop(name)
            if service is not None:
                slices = self._slices_of.get(key, ())
                self.nodes[name] = ServiceName(name=name, zone=zone, service=service, slices=slices)

    @staticmethod
    def _is_for(key: Key, node: Node | None) -> bool:
        """Whether a name is free for the service; the label of a slice may spell another service's name in capitals."""
        return node is None or (isinstance(node, ServiceName) and node.service.key == key)

    def _drop(self, name: Name) -> None:
        """Remove a node, and its circle with its Nothing: the collector does not look at frozen objects."""
        node = self.nodes.pop(name, None)
        if node is not None:
            node.nothing = None
        if isinstance(node, PodNamespace):
            node.unlisted = None

    def _replace_pod(self, old: Pod | None, new: Pod | None) -> None:
        for pod in filter(None, (old, new)):
            for address in set(filter(None, map(names.address, pod.addresses if pod.is_running else ()))):
                at = pod.metadata.namespace, address
                holders = self._pods_at.pop(at, frozenset()) ^ {pod.key}
                if holders:
                    self._pods_at[at] = holders

    def _move(self, holders: Holders, key: Key, old: Iterable[str], new: Iterable[str]) -> None:
        """The object holds the new addresses in place of the old ones; what was said of those that changed goes."""
        was, now = set(map(names.address, old)), set(map(names.address, new))
        for change, addresses in ((holders.remove, was - now), (holders.add, now - was)):
            for address in filter(None, addresses):
                change(address, key)
                self.nodes.pop(self._reversed.pop(address, b""), None)


def _either(old: T | None, new: T | None) -> T:
    either = new or old
    assert either is not None  # noqa: S101 - an object that never was is not replaced
    return either


def _ready_addresses(slice_: EndpointSlice) -> Iterator[str]:
    return (address for each in slice_.endpoints or () if each.is_ready for address in each.addresses)


def _unlisted(encloser: Apex | PodNamespace) -> Nothing:
    if encloser.unlisted is None:
        encloser.unlisted = _nothing(encloser)
    return encloser.unlisted


def _nothing(encloser: Node) -> Nothing:
    return Nothing(name=encloser.name, zone=encloser.zone, encloser=encloser)
