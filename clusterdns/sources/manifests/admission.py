"""Admits an object as an API server would: refuses what is no valid one, and gives the rest in canonical form.

Only as far as DNS depends on it: a name that is no name, a port out of range or an address in a second spelling would
become a wrong answer later, or none, where nobody can tell any more which file it came from.

Source of the rules: the API server's pkg/apis/core/validation and pkg/apis/discovery/validation.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from clusterdns import names
from clusterdns.objects import HEADLESS, Endpoints, EndpointSlice, Namespace, Node, Pod, Service

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterdns.objects import Endpoint, EndpointAddress, EndpointPort, EndpointSubset, ServicePort

Admissible: TypeAlias = Namespace | Service | Endpoints | EndpointSlice | Pod | Node


class Refused(Exception):
    """A field, written as `.spec.ports[0].port`, and what is wrong with it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


def admitted(decoded: Admissible) -> Admissible:
    """The object with its namespace, its names checked, its addresses as `ipaddress` writes them. Raises Refused."""
    metadata = decoded.metadata
    namespace = "" if isinstance(decoded, Namespace | Node) else metadata.namespace or "default"
    _label(".metadata.namespace", namespace or None)
    if isinstance(decoded, Pod | EndpointSlice | Node):
        _subdomain(".metadata.name", metadata.name)
    else:
        _label(".metadata.name", metadata.name)
    decoded = replace(decoded, metadata=replace(metadata, namespace=namespace))
    match decoded:
        case Service():
            return _admitted_service(decoded)
        case Endpoints():
            subsets = (_admitted_subset(f".subsets[{i}]", each) for i, each in enumerate(decoded.subsets or ()))
            return replace(decoded, subsets=tuple(subsets))
        case EndpointSlice():
            return _admitted_slice(decoded)
        case Pod():
            return _admitted_pod(decoded)
        case Node():
            return _admitted_node(decoded)
    return decoded


def _admitted_service(service: Service) -> Service:
    ports = tuple(replace(each, protocol=each.protocol or "TCP") for each in service.ports)
    spec = replace(service.spec, type=service.spec.type or "ClusterIP", ports=ports or None)
    service = replace(service, spec=spec)
    _one_of(".spec.type", spec.type, ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"))
    _one_of(".spec.ipFamilyPolicy", spec.ip_family_policy, (None, "SingleStack", "PreferDualStack", "RequireDualStack"))
    for index, family in enumerate(spec.ip_families or ()):
        _one_of(f".spec.ipFamilies[{index}]", family, ("IPv4", "IPv6"))
    _ports(".spec.ports", service.ports)
    for index, address in enumerate(spec.external_ips or ()):
        _address(f".spec.externalIPs[{index}]", address)
    if service.is_external_name:
        labels = spec.external_name.removesuffix(".").lower().split(".")
        if spec.external_name and (len(spec.external_name) > 253 or not all(map(names.is_kubernetes_label, labels))):
            raise Refused(".spec.externalName", f"{spec.external_name!r} is no host name")
        return service
    first = _cluster_ip(".spec.clusterIP", spec.cluster_ip) if spec.cluster_ip else ""
    every = tuple(_cluster_ip(f".spec.clusterIPs[{i}]", each) for i, each in enumerate(spec.cluster_ips or ()))
    if first and every and first != every[0]:
        raise Refused(".spec.clusterIP", f"is {first}, but the first of clusterIPs is {every[0]}")
    if len(every) > 2 or len({":" in each for each in every}) != len(every) or (len(every) > 1 and HEADLESS in every):
        raise Refused(".spec.clusterIPs", "holds one address, or one of IPv4 and one of IPv6, or None")
    every = every or ((first,) if first else ())
    return replace(service, spec=replace(spec, cluster_ip=every[0] if every else "", cluster_ips=every))


def _admitted_subset(field: str, subset: EndpointSubset) -> EndpointSubset:
    _ports(f"{field}.ports", subset.ports or ())
    return replace(
        subset,
        addresses=_endpoint_addresses(f"{field}.addresses", subset.addresses or ()),
        not_ready_addresses=_endpoint_addresses(f"{field}.notReadyAddresses", subset.not_ready_addresses or ()),
    )


def _endpoint_addresses(field: str, addresses: Iterable[EndpointAddress]) -> tuple[EndpointAddress, ...]:
    checked = []
    for index, each in enumerate(addresses):
        _label(f"{field}[{index}].hostname", each.hostname or None)
        checked.append(replace(each, ip=_address(f"{field}[{index}].ip", each.ip)))
    return tuple(checked)


def _admitted_slice(given: EndpointSlice) -> EndpointSlice:
    _one_of(".addressType", given.address_type, ("IPv4", "IPv6", "FQDN"))
    _ports(".ports", given.ports or ())
    if given.address_type == "FQDN":
        return given
    endpoints = (
        _admitted_endpoint(f".endpoints[{index}]", each, given.address_type)
        for index, each in enumerate(given.endpoints or ())
    )
    return replace(given, endpoints=tuple(endpoints))


def _admitted_endpoint(field: str, endpoint: Endpoint, family: str) -> Endpoint:
    _label(f"{field}.hostname", endpoint.hostname or None)
    if not endpoint.addresses:
        raise Refused(f"{field}.addresses", "holds at least one address")
    if family == "IPv4" and all(map(names.is_ipv4, endpoint.addresses)):
        return endpoint  # the short way is for the tens of thousands of those that a cluster has
    addresses = tuple(_address(f"{field}.addresses[{i}]", each, family) for i, each in enumerate(endpoint.addresses))
    return replace(endpoint, addresses=addresses)


def _admitted_pod(pod: Pod) -> Pod:
    _label(".spec.hostname", pod.spec.hostname or None)
    status = pod.status
    pod_ip = _address(".status.podIP", status.pod_ip) if status.pod_ip else ""
    pod_ips = tuple(
        replace(each, ip=_address(f".status.podIPs[{index}].ip", each.ip))
        for index, each in enumerate(status.pod_ips or ())
    )
    return replace(pod, status=replace(status, pod_ip=pod_ip, pod_ips=pod_ips))


def _admitted_node(node: Node) -> Node:
    addresses = tuple(
        replace(each, address=_address(f".status.addresses[{index}].address", each.address))
        if each.type in ("InternalIP", "ExternalIP")
        else each
        for index, each in enumerate(node.status.addresses or ())
    )
    return replace(node, status=replace(node.status, addresses=addresses or None))


def _ports(field: str, ports: Iterable[ServicePort | EndpointPort]) -> None:
    for index, port in enumerate(ports):
        _label(f"{field}[{index}].name", port.name or None)
        _one_of(f"{field}[{index}].protocol", port.protocol, (None, "", "TCP", "UDP", "SCTP"))
        if port.port is not None and not 0 < port.port < 65536:
            raise Refused(f"{field}[{index}].port", f"{port.port} is not between 1 and 65535")


def _label(field: str, text: str | None) -> None:
    if text is not None and not names.is_kubernetes_label(text):
        raise Refused(field, f"{text!r} is no name: 1 to 63 of a-z, 0-9 and '-', no '-' at the ends")


def _subdomain(field: str, text: str) -> None:
    if len(text) > 253 or not all(names.is_kubernetes_label(part) for part in text.split(".")):
        raise Refused(field, f"{text!r} is no name: 1 to 253 of a-z, 0-9, '-' and '.', neither '-' nor '.' at the ends")


def _cluster_ip(field: str, text: str) -> str:
    return text if text == HEADLESS else _address(field, text)


def _address(field: str, text: str, family: str = "IPv4 or IPv6") -> str:
    """The address in its canonical form: an index compares text."""
    if "IPv4" in family and names.is_ipv4(text):
        return text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    # A scope (fe80::1%eth0) means something on one machine only.
    if address is None or "%" in text or f"IPv{address.version}" not in family:
        raise Refused(field, f"{text!r} is no {family} address")
    return str(address)


def _one_of(field: str, value: str | None, values: tuple[str | None, ...]) -> None:
    if value not in values:
        raise Refused(field, f"{value!r} is none of {', '.join(each for each in values if each)}")
