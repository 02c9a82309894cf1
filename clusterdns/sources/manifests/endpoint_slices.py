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

from clusterdns.objects import (
    SERVICE_NAME_LABEL,
    Conditions,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Metadata,
    ObjectReference,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from clusterdns.objects import EndpointAddress, Endpoints, Key, Pod, Service, ServicePort

MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
SKIP_MIRROR_LABEL = "endpointslice.kubernetes.io/skip-mirror"
SLICE_CONTROLLER = "endpointslice-controller.k8s.io"
MIRRORING_CONTROLLER = "endpointslicemirroring-controller.k8s.io"

_Ports: TypeAlias = tuple[EndpointPort, ...]
_Member: TypeAlias = tuple[str, _Ports, Endpoint]
"""An endpoint, its address family, and the ports that it has: slices are grouped by the last two."""


def endpoint_slices(
    services: Iterable[Service],
    slices: Sequence[EndpointSlice],
    endpoints: Iterable[Endpoints],
    pods: Iterable[Pod],
) -> list[EndpointSlice]:
    """The given slices, and behind them the made ones in the order of their services' keys."""
    written: dict[Key, set[str]] = defaultdict(set)
    for each in slices:
        written[each.service_key].add(each.labels.get(MANAGED_BY_LABEL, ""))
    mirrored = {each.key: each for each in endpoints if each.labels.get(SKIP_MIRROR_LABEL) != "true"}
    selectable = _ByLabel(pods)
    taken = {each.key for each in slices}
    made: list[EndpointSlice] = []
    for service in sorted(services, key=lambda service: service.key):
        managers = written[service.key]
        if SLICE_CONTROLLER in managers:
            continue
        if service.key not in mirrored:
            made += _slices(service.key, _from_pods(service, selectable), taken)
        elif MIRRORING_CONTROLLER not in managers:
            made += _slices(service.key, _from_endpoints(mirrored[service.key]), taken)
    return [*slices, *made]


def _slices(service: Key, members: Iterable[_Member], taken: set[Key]) -> Iterator[EndpointSlice]:
    """One slice for each family and each set of ports, under a name that is not taken yet."""
    grouped: dict[tuple[str, _Ports], list[Endpoint]] = defaultdict(list)
    for family, ports, endpoint in members:
        grouped[family, ports].append(endpoint)
    namespace, name = service
    for (family, ports), group in grouped.items():
        number = 1
        while (key := (namespace, f"{name}-{family.lower()}-{number}")) in taken:
            number += 1
        taken.add(key)
        metadata = Metadata(name=key[1], namespace=namespace, labels={SERVICE_NAME_LABEL: name})
        yield EndpointSlice(metadata, address_type=family, endpoints=tuple(group), ports=ports)


# From Pods.


class _ByLabel:
    """The Pods that can be endpoints, by each of their labels: a selector need not look at every Pod there is."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        self._pods: dict[tuple[str, str, str], list[Pod]] = defaultdict(list)
        for pod in sorted(pods, key=lambda pod: pod.key):
            if pod.addresses and not pod.is_over:
                for label, value in pod.labels.items():
                    self._pods[pod.metadata.namespace, label, value].append(pod)

    def matching(self, namespace: str, selector: Mapping[str, str]) -> Iterator[Pod]:
        fewest = min((self._pods.get((namespace, *pair), []) for pair in selector.items()), key=len)
        return (pod for pod in fewest if selector.items() <= pod.labels.items())


def _from_pods(service: Service, pods: _ByLabel) -> Iterator[_Member]:
    if service.is_external_name or not service.spec.selector:
        return
    for pod in pods.matching(service.metadata.namespace, service.spec.selector):
        is_terminating = pod.metadata.deletion_timestamp is not None
        is_ready = service.spec.publish_not_ready_addresses or (pod.is_ready and not is_terminating)
        for family, addresses in _addresses(pod, service).items():
            yield (
                family,
                _ports(service.ports, pod),
                Endpoint(
                    addresses=tuple(addresses),
                    conditions=Conditions(ready=is_ready),
                    # Anything else would let a pod speak under the name of another service.
                    hostname=(pod.spec.subdomain == service.metadata.name and pod.spec.hostname) or None,
                    target_ref=ObjectReference(pod.metadata.name),
                ),
            )


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


def _ports(ports: Sequence[ServicePort], pod: Pod) -> _Ports:
    resolved = ((each, _target(each, pod)) for each in ports)
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
            yield _family(address.ip), subset.ports or (), _mirrored(address, is_ready=True)
        for address in subset.not_ready_addresses or ():
            yield _family(address.ip), subset.ports or (), _mirrored(address, is_ready=False)


def _mirrored(address: EndpointAddress, *, is_ready: bool) -> Endpoint:
    return Endpoint((address.ip,), Conditions(ready=is_ready), address.hostname, address.target_ref)


def _family(address: str) -> str:
    return f"IPv{ipaddress.ip_address(address).version}"
