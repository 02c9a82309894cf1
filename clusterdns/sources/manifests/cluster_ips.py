"""Gives a cluster IP to each Service that a manifest left without one, as the API server's allocator would.

But without a memory: an address follows from the service's namespace and name alone, so that it is the same after a
restart, on another machine and whatever the order of the files. Only where two services fall on one address does the
later one in the order of the keys move on to the next.

Sources of the rules: the Kubernetes documentation on Services, "IPv4/IPv6 dual-stack" and "Service ClusterIP
allocation"; the API server's registry/core/service.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from clusterdns import names
from clusterdns.objects import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clusterdns.objects import Service

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Fault(Struct, frozen=True):
    """What is wrong, and with which services."""

    services: tuple[Key, ...]
    reason: str


class NotAllocated(Exception):
    """Some services cannot have the addresses that they ask for; `faults` holds one entry for each reason."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.reason for fault in faults))
        self.faults = tuple(faults)


def allocate(services: Iterable[Service], cidrs: Sequence[str]) -> list[Service]:
    """The services in the order of their keys, with `clusterIP`, `clusterIPs` and `ipFamilies` filled in.

    ExternalName and headless services stay as they are. The first of the `cidrs` is the primary family's. An address
    that a service claims, inside the ranges or not, is never given to another. Raises NotAllocated with every fault,
    and ValueError as `ranges` does.
    """
    allocator = _Allocator({_family(network): network for network in ranges(cidrs)})
    ordered = sorted(services, key=lambda service: service.key)
    for service in ordered:
        allocator.claim(service)
    allocated = [allocator.filled(service) if _has_addresses(service) else service for service in ordered]
    if allocator.faults:
        raise NotAllocated(allocator.faults)
    return allocated


def ranges(cidrs: Sequence[str]) -> list[Network]:
    """The service CIDRs as networks. Raises ValueError unless they are one, or two of different families."""
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
    if not 1 <= len(networks) <= 2 or len({network.version for network in networks}) != len(networks):
        given = ", ".join(cidrs) or "none"
        raise ValueError(f"there is one service CIDR, or one for IPv4 and one for IPv6; not {given}")
    return networks


class _Allocator:
    def __init__(self, networks: dict[str, Network]) -> None:
        self.networks = networks
        self.holders: dict[names.Address | None, Key] = {}
        self.faults: list[Fault] = []

    def claim(self, service: Service) -> None:
        """Notes the addresses that the service brings along."""
        for text in service.cluster_ips:
            holder = self.holders.setdefault(names.address(text), service.key)
            if holder != service.key:
                reason = f"Services {_text(holder)} and {_text(service.key)} both claim {text}"
                self.faults.append(Fault((holder, service.key), reason))

    def filled(self, service: Service) -> Service:
        try:
            families = self.families(service)
            missing = families[len(service.cluster_ips) :]
            addresses = (*service.cluster_ips, *[self.free(family, service.key) for family in missing])
        except _Refused as refused:
            self.faults.append(Fault((service.key,), f"Service {_text(service.key)} {refused}"))
            return service
        spec = replace(service.spec, cluster_ip=addresses[0], cluster_ips=addresses, ip_families=families)
        return replace(service, spec=spec)

    def families(self, service: Service) -> tuple[str, ...]:
        """The families that the service shall have, in the order of its addresses. Raises _Refused."""
        spec, claimed = service.spec, ["IPv4" if names.is_ipv4(text) else "IPv6" for text in service.cluster_ips]
        policy = spec.ip_family_policy or "SingleStack"
        families = list(spec.ip_families or claimed or list(self.networks)[:1])
        if claimed[: len(families)] != families[: len(claimed)]:
            raise _Refused(f"has clusterIPs of other families than its ipFamilies {', '.join(families)}")
        families += claimed[len(families) :]
        if policy == "SingleStack" and len(families) > max(1, len(claimed)):
            raise _Refused("has two ipFamilies: its ipFamilyPolicy must be PreferDualStack or RequireDualStack")
        if policy != "SingleStack" and len(families) == 1:
            other = "IPv6" if families[0] == "IPv4" else "IPv4"
            if policy == "RequireDualStack" or other in self.networks:
                families.append(other)
        return tuple(families)

    def free(self, family: str, key: Key) -> str:
        """An address that nobody holds, now held by the service. Raises _Refused."""
        if family not in self.networks:
            raise _Refused(f"wants an {family} address: add a second --service-cidr, one of {family}")
        network = self.networks[family]
        for address in _candidates(network, _text(key)):
            if address.packed not in self.holders:
                self.holders[address.packed] = key
                return str(address)
        raise _Refused(f"gets no address: {network} is full")


class _Refused(Exception):
    """The service cannot have what it asks for; the message goes on after its name."""


def _candidates(network: Network, seed: str) -> Iterator[Address]:
    """Every address that the network has to give, in the order in which the service of this name tries them.

    The lower band comes last, because people choose static addresses from it. Its size is the API server's:
    min(max(16, size / 16), 256), or nothing in a small network.
    """
    size = network.num_addresses
    last = size - 2 if network.version == 4 else size - 1  # IPv4 has a broadcast address
    band = min(max(16, size // 16), 256) if size > 16 else 1
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest())
    for low, high in ((band, last), (1, min(band - 1, last))):
        count = high - low + 1
        for step in range(count):
            yield network[low + (start + step) % count]


def _has_addresses(service: Service) -> bool:
    return not service.is_external_name and not service.is_headless


def _family(value: Network) -> str:
    return f"IPv{value.version}"


def _text(key: Key) -> str:
    return "/".join(key)
