"""The endpoints of services: put together as the older API has them, and as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.kubectl.ages import age
from clusterdns.objects import DatedMetadata, EndpointAddress, Endpoints, EndpointSubset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.objects import Endpoint, EndpointPort, EndpointSlice, Key, Service

HEADER = ("NAME", "ENDPOINTS", "NOT READY", "AGE")

NONE = "<none>"

MOST = 3
"""Endpoints that a row shows unless it may be wide."""


def gathered(key: Key, service: Service | None, slices: Iterable[EndpointSlice]) -> Endpoints:
    """The endpoints of a service, those with the same ports together; a service that nobody wrote may have some."""
    ready: dict[tuple[EndpointPort, ...], dict[str, EndpointAddress]] = {}
    waiting: dict[tuple[EndpointPort, ...], dict[str, EndpointAddress]] = {}
    for slice_ in slices:
        if slice_.address_type == "FQDN":
            continue
        ports = tuple(sorted(slice_.ports or (), key=lambda each: (each.name or "", each.port or 0)))
        for endpoint in slice_.endpoints or ():
            for address in _addresses(endpoint):
                (ready if endpoint.is_ready else waiting).setdefault(ports, {})[address.ip] = address
    subsets = tuple(
        EndpointSubset(_in_order(ready.get(ports, {})), _in_order(waiting.get(ports, {})), ports)
        for ports in sorted(
            {**ready, **waiting}, key=lambda ports: [(each.name or "", each.port or 0) for each in ports]
        )
    )
    namespace, name = key
    created = service.metadata.creation_timestamp if service else None
    return Endpoints(DatedMetadata(name=name, namespace=namespace, creation_timestamp=created), subsets or None)


def row(endpoints: Endpoints, now: float, *, wide: bool = False) -> tuple[str, ...]:
    """now: seconds since the epoch. wide: all endpoints are shown."""
    subsets = endpoints.subsets or ()
    return (
        endpoints.metadata.name,
        _shown([text for each in subsets for text in _texts(each.addresses or (), each.ports or ())], wide=wide),
        _shown(
            [text for each in subsets for text in _texts(each.not_ready_addresses or (), each.ports or ())], wide=wide
        ),
        age(endpoints.created, now),
    )


def _addresses(endpoint: Endpoint) -> Iterator[EndpointAddress]:
    for text in endpoint.addresses:
        yield EndpointAddress(text, endpoint.hostname, endpoint.target_ref)


def _in_order(addresses: dict[str, EndpointAddress]) -> tuple[EndpointAddress, ...] | None:
    return tuple(addresses[each] for each in sorted(addresses)) or None


def _texts(addresses: Iterable[EndpointAddress], ports: Iterable[EndpointPort]) -> Iterator[str]:
    """A headless service may have no ports."""
    numbers = [each.port for each in ports]
    for number in numbers:
        yield from (f"[{each.ip}]:{number}" if ":" in each.ip else f"{each.ip}:{number}" for each in addresses)
    if not numbers:
        yield from (each.ip for each in addresses)


def _shown(texts: list[str], *, wide: bool) -> str:
    if wide or len(texts) <= MOST:
        return ",".join(texts) or NONE
    return f"{','.join(texts[:MOST])} + {len(texts) - MOST} more..."
