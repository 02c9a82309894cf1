"""Makes the EndpointSlices that kube-controller-manager would make: from Pods, and from Endpoints objects.

What a controller has written already, as a dump of a cluster brings it, is not computed again. Hand-written slices and
computed ones add up.

Sources of the rules: Kubernetes' endpointslice and endpointslicemirroring controllers, and the labels and annotations
that the Kubernetes documentation lists for them.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from clusterdns.objects import (
    SERVICE_NAME_LABEL,
    Conditions,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Key,
    Metadata,
    ObjectReference,
    Pod,
    Service,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from clusterdns.objects import EndpointAddress, Endpoints, ServicePort

MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
SKIP_MIRROR_LABEL = "endpointslice.kubernetes.io/skip-mirror"
SLICE_CONTROLLER = "endpointslice-controller.k8s.io"
MIRRORING_CONTROLLER = "endpointslicemirroring-controller.k8s.io"

_Ports: TypeAlias = tuple[EndpointPort, ...]
_Member: TypeAlias = tuple[str, _Ports, Endpoint, Key | None]
"""An endpoint, its address family, the ports that it has, and the pod that it is: slices are grouped by the second and
the third."""


class Made(Struct, frozen=True):
    """A slice that was made, and what of."""

    slice: EndpointSlice
    service: Service
    pods: tuple[Key | None, ...]
    """For each endpoint the pod that it is, if it is one."""

    def with_pods(self, slice_: EndpointSlice, pods: Mapping[Key, Pod]) -> EndpointSlice:
        """The slice as it is when these pods are ready, or are not, and the others stay as they are."""
        endpoints = tuple(
            endpoint
            if key is None or key not in pods
            else replace(endpoint, conditions=_conditions(self.service, pods[key]))
            for endpoint, key in zip(slice_.endpoints or (), self.pods, strict=True)
        )
        return replace(slice_, endpoints=endpoints)


def made_slices(
    services: Iterable[Service],
    slices: Sequence[EndpointSlice],
    endpoints: Iterable[Endpoints],
    pods: Iterable[Pod],
    *,
    backends: Mapping[Key, Sequence[Pod]] | None = None,
    ports: Mapping[Key, int] | None = None,
) -> list[Made]:
    """What is to be made beside the given slices, in the order of the services' keys.

    `backends` are pods that a service has without selecting them; `ports` are those of pods that have one for all.
    """
    written: dict[Key, set[str]] = defaultdict(set)
    for each in slices:
        written[each.service_key].add(each.labels.get(MANAGED_BY_LABEL, ""))
    mirrored = {each.key: each for each in endpoints if each.labels.get(SKIP_MIRROR_LABEL) != "true"}
    selectable = _ByLabel(pods)
    taken = {each.key for each in slices}
    made: list[Made] = []
    for service in sorted(services, key=lambda service: service.key):
        managers = written[service.key]
        if SLICE_CONTROLLER in managers:
            continue
        if backends and service.key in backends:
            made += _slices(service, _from_pods(service, backends[service.key], ports or {}), taken)
        elif service.key not in mirrored:
            made += _slices(service, _from_pods(service, selectable.selected(service), ports or {}), taken)
        elif MIRRORING_CONTROLLER not in managers:
            made += _slices(service, _from_endpoints(mirrored[service.key]), taken)
    return made


def _slices(service: Service, members: Iterable[_Member], taken: set[Key]) -> Iterator[Made]:
    """One slice for each family and each set of ports, under a name that is not taken yet."""
    grouped: dict[tuple[str, _Ports], list[tuple[Endpoint, Key | None]]] = defaultdict(list)
    for family, ports, endpoint, pod in members:
        grouped[family, ports].append((endpoint, pod))
    namespace, name = service.key
    for (family, ports), group in grouped.items():
        number = 1
        while (key := (namespace, f"{name}-{family.lower()}-{number}")) in taken:
            number += 1
        taken.add(key)
        metadata = Metadata(name=key[1], namespace=namespace, labels={SERVICE_NAME_LABEL: name})
        endpoints, pods = zip(*group, strict=True)
        yield Made(EndpointSlice(metadata, address_type=family, endpoints=endpoints, ports=ports), service, pods)


# From Pods.


class _ByLabel:
    """The Pods that can be endpoints, by each of their labels: a selector need not look at every Pod there is."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        self._pods: dict[tuple[str, str, str], list[Pod]] = defaultdict(list)
        for pod in sorted(pods, key=lambda pod: pod.key):
            if pod.addresses and not pod.is_over:
                for label, value in pod.labels.items():
                    self._pods[pod.metadata.namespace, label, value].append(pod)

    def selected(self, service: Service) -> Iterator[Pod]:
        selector = service.spec.selector
        if service.is_external_name or not selector:
            return iter(())
        namespace = service.metadata.namespace
        fewest = min((self._pods.get((namespace, *pair), []) for pair in selector.items()), key=len)
        return (pod for pod in fewest if selector.items() <= pod.labels.items())


def _from_pods(service: Service, pods: Iterable[Pod], own_ports: Mapping[Key, int]) -> Iterator[_Member]:
    for pod in pods:
        for family, addresses in _addresses(pod, service).items():
            yield (
                family,
                _ports(service.ports, pod, own_ports.get(pod.key)),
                Endpoint(
                    addresses=tuple(addresses),
                    conditions=_conditions(service, pod),
                    # Anything else would let a pod speak under the name of another service.
                    hostname=(pod.spec.subdomain == service.metadata.name and pod.spec.hostname) or None,
                    # What has no labels was not selected: it is a backend that is no pod.
                    target_ref=ObjectReference(pod.metadata.name) if pod.labels else None,
                ),
                pod.key,
            )


def _conditions(service: Service, pod: Pod) -> Conditions:
    is_terminating = pod.metadata.deletion_timestamp is not None
    return Conditions(ready=service.spec.publish_not_ready_addresses or (pod.is_ready and not is_terminating))


def _addresses(pod: Pod, service: Service) -> dict[str, list[str]]:
    """The pod's addresses in the service's families, by family."""
    by_family: dict[str, list[str]] = defaultdict(list)
    for address in pod.addresses:
        by_family[_family(address)].append(address)
    families = service.spec.ip_families or [_family(address) for address in service.cluster_ips]
    if not families:
        # A headless service that nobody defaulted. A pod's first address is of its cluster's primary family.
        is_single = (service.spec.ip_family_policy or "SingleStack") == "SingleStack"
        families = list(by_family)[:1] if is_single else list(by_family)
    return {family: by_family[family] for family in families if family in by_family}


def _ports(ports: Sequence[ServicePort], pod: Pod, own: int | None) -> _Ports:
    resolved = ((each, own or _target(each, pod)) for each in ports)
    return tuple(
        EndpointPort(port=number, name=each.name, protocol=each.protocol)
        for each, number in resolved
        if number is not None
    )


def _target(port: ServicePort, pod: Pod) -> int | None:
    """The pod's number for the port; None if the port is named and the pod has no such name."""
    if not isinstance(port.target_port, str):
        return port.target_port or port.port
    if not port.target_port:
        return port.port
    # An init container that is always restarted is a sidecar.
    sidecars = [each for each in pod.spec.init_containers or () if each.restart_policy == "Always"]
    for container in (*(pod.spec.containers or ()), *sidecars):
        for each in container.ports or ():
            if (each.name, each.protocol) == (port.target_port, port.protocol):
                return each.container_port
    return None


# From Endpoints.


def _from_endpoints(endpoints: Endpoints) -> Iterator[_Member]:
    for subset in endpoints.subsets or ():
        for address in subset.addresses or ():
            yield _family(address.ip), subset.ports or (), _mirrored(address, is_ready=True), None
        for address in subset.not_ready_addresses or ():
            yield _family(address.ip), subset.ports or (), _mirrored(address, is_ready=False), None


def _mirrored(address: EndpointAddress, *, is_ready: bool) -> Endpoint:
    return Endpoint((address.ip,), Conditions(ready=is_ready), address.hostname, address.target_ref)


def _family(address: str) -> str:
    return f"IPv{ipaddress.ip_address(address).version}"
