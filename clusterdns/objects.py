"""The Kubernetes objects that DNS is made of, with only the fields that DNS needs; and the names of hosts files.

The shapes and field names are the API's (core/v1, discovery.k8s.io/v1), so that a reader of `kubectl get -o yaml` feels
at home; msgspec decodes them from JSON bytes and from plain values, skipping everything that is not named here. An
array that an API server sends as `null` is an empty one. All are frozen: a changed object is a new object.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct, field

from clusterdns import names
from clusterdns.names import Address, Name

if TYPE_CHECKING:
    from collections.abc import Iterator

Key: TypeAlias = tuple[str, str]
"""Namespace and name of an object; the namespace of a Namespace, a Node and a Host is empty."""

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
EXCLUDED_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
HEADLESS = "None"


class _Part(Struct, frozen=True, rename="camel", gc=False):
    """A piece of an object. It holds nothing that could point back at it, so the garbage collector need not know it."""


class Metadata(_Part, frozen=True):
    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class DatedMetadata(Metadata, frozen=True):
    """That of the kinds of which there are few: a hundred thousand pods would pay for a date that nobody asks for."""

    creation_timestamp: datetime | None = None


class _Object(Struct, frozen=True, rename="camel", gc=False):
    metadata: Metadata

    @property
    def key(self) -> Key:
        return self.metadata.namespace, self.metadata.name

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels or {}

    @property
    def created(self) -> float | None:
        """Seconds since the epoch; None if that is not kept, or nobody said it."""
        when = self.metadata.creation_timestamp if isinstance(self.metadata, DatedMetadata) else None
        return None if when is None else when.timestamp()


class Namespace(_Object, frozen=True):
    metadata: DatedMetadata


class ServicePort(_Part, frozen=True):
    port: int
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str | None = None
    node_port: int = 0


class ServiceSpec(_Part, frozen=True):
    type: str = "ClusterIP"
    cluster_ip: str = field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] | None = field(name="clusterIPs", default=None)
    external_name: str = ""
    external_ips: tuple[str, ...] | None = field(name="externalIPs", default=None)
    ports: tuple[ServicePort, ...] | None = None
    selector: dict[str, str] | None = None
    ip_families: tuple[str, ...] | None = None
    ip_family_policy: str | None = None
    publish_not_ready_addresses: bool = False


class LoadBalancerIngress(_Part, frozen=True):
    """Where a load balancer is reached: most say an address, some a host name."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(_Part, frozen=True):
    ingress: tuple[LoadBalancerIngress, ...] | None = None


class ServiceStatus(_Part, frozen=True):
    load_balancer: LoadBalancerStatus | None = None


class Service(_Object, frozen=True):
    metadata: DatedMetadata
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus | None = None

    @property
    def is_external_name(self) -> bool:
        return self.spec.type == "ExternalName"

    @property
    def is_headless(self) -> bool:
        return self.spec.cluster_ip == HEADLESS and not self.is_external_name

    @property
    def cluster_ips(self) -> tuple[str, ...]:
        """The addresses of the service, the primary one first; none if it is headless or external."""
        if self.is_external_name or self.is_headless:
            return ()
        return self.spec.cluster_ips or ((self.spec.cluster_ip,) if self.spec.cluster_ip else ())

    @property
    def ports(self) -> tuple[ServicePort, ...]:
        return self.spec.ports or ()

    @property
    def has_node_ports(self) -> bool:
        """Whether nodes are all that leads to it from outside: a load balancer would know which of them are well."""
        return self.spec.type == "NodePort" and any(each.node_port for each in self.ports)

    @property
    def external_hosts(self) -> tuple[str, ...]:
        """Addresses and host names that lead to the service from outside the cluster, each once."""
        balancer = self.status.load_balancer if self.status else None
        ingress = (balancer.ingress if balancer else None) or ()
        return tuple(
            dict.fromkeys(filter(None, (*(self.spec.external_ips or ()), *(e.ip or e.hostname for e in ingress))))
        )


class Conditions(_Part, frozen=True):
    ready: bool | None = None


class ObjectReference(_Part, frozen=True):
    name: str = ""


class Endpoint(_Part, frozen=True):
    addresses: tuple[str, ...]
    conditions: Conditions | None = None
    hostname: str | None = None
    target_ref: ObjectReference | None = None
    zone: str | None = None

    @property
    def is_ready(self) -> bool:
        """A condition that is absent or null counts as ready (discovery.k8s.io/v1, EndpointConditions)."""
        return self.conditions is None or self.conditions.ready is not False


class EndpointPort(_Part, frozen=True):
    port: int | None = None
    name: str | None = None
    protocol: str | None = None


class EndpointSlice(_Object, frozen=True):
    address_type: str
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None

    @property
    def service_key(self) -> Key:
        return self.metadata.namespace, self.labels.get(SERVICE_NAME_LABEL, "")


class EndpointAddress(_Part, frozen=True):
    ip: str
    hostname: str | None = None
    target_ref: ObjectReference | None = None


class EndpointSubset(_Part, frozen=True):
    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class Endpoints(_Object, frozen=True):
    """The older form of endpoints (core/v1). Only manifests bring them: a cluster mirrors them into EndpointSlices."""

    subsets: tuple[EndpointSubset, ...] | None = None


class ContainerPort(_Part, frozen=True):
    container_port: int
    name: str = ""
    protocol: str = "TCP"


class Container(_Part, frozen=True):
    ports: tuple[ContainerPort, ...] | None = None
    restart_policy: str | None = None


class PodSpec(_Part, frozen=True):
    hostname: str = ""
    subdomain: str = ""
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    host_network: bool = False


class PodIP(_Part, frozen=True):
    """One of `podIPs`, and of `hostIPs`, whose shape is the same."""

    ip: str


class PodCondition(_Part, frozen=True):
    type: str
    status: str


class PodStatus(_Part, frozen=True):
    phase: str = ""
    pod_ip: str = field(name="podIP", default="")
    pod_ips: tuple[PodIP, ...] | None = field(name="podIPs", default=None)
    host_ip: str = field(name="hostIP", default="")
    host_ips: tuple[PodIP, ...] | None = field(name="hostIPs", default=None)
    conditions: tuple[PodCondition, ...] | None = None


class Pod(_Object, frozen=True):
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The pod's addresses, the primary one first."""
        if self.status.pod_ips:
            return tuple(each.ip for each in self.status.pod_ips)
        return (self.status.pod_ip,) if self.status.pod_ip else ()

    @property
    def is_on_host_network(self) -> bool:
        """Whether its addresses are those of its node, which other pods and the node itself have as well."""
        hosts = {self.status.host_ip, *(each.ip for each in self.status.host_ips or ())}
        return self.spec.host_network or not hosts.isdisjoint(self.addresses)

    @property
    def is_over(self) -> bool:
        """Whether its containers have ended for good; its address may be another pod's by now."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def is_running(self) -> bool:
        return not self.is_over and self.status.phase != "Unknown" and self.metadata.deletion_timestamp is None

    @property
    def is_ready(self) -> bool:
        return any(each.type == "Ready" and each.status == "True" for each in self.status.conditions or ())


class NodeAddress(_Part, frozen=True):
    type: str
    address: str


class NodeCondition(PodCondition, frozen=True):
    """The same shape as a pod's."""


class NodeStatus(_Part, frozen=True):
    addresses: tuple[NodeAddress, ...] | None = None
    conditions: tuple[NodeCondition, ...] | None = None


class Node(_Object, frozen=True):
    """A machine of the cluster."""

    status: NodeStatus = NodeStatus()

    @property
    def is_ready(self) -> bool:
        """One of a manifest that says nothing of it is ready."""
        return all(each.status == "True" for each in self.status.conditions or () if each.type == "Ready")

    @property
    def is_excluded(self) -> bool:
        """Whether nothing from outside the cluster shall be sent there."""
        return EXCLUDED_LABEL in self.labels or self.metadata.deletion_timestamp is not None

    def addresses(self, kind: str) -> Iterator[str]:
        """Those of a type such as ExternalIP."""
        return (each.address for each in self.status.addresses or () if each.type == kind)


class Host(Struct, frozen=True, gc=False):
    """A name of hosts(5) files, with all its addresses in the order of the files.

    There may be a hundred thousand of them, so a name is held as the index will have it, and nowhere else.
    """

    name: Name
    addresses: tuple[Address, ...]

    @property
    def key(self) -> Key:
        return "", names.to_text(self.name)


KubernetesObject: TypeAlias = Namespace | Service | EndpointSlice | Pod | Node

Object: TypeAlias = KubernetesObject | Host
"""What a source may speak of."""
