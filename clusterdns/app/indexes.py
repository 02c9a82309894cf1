"""The index that a block's settings ask for: its zones, and what they are told of."""

from __future__ import annotations

import contextlib
import socket
import time
from functools import cache
from typing import TYPE_CHECKING

from clusterdns import config, names
from clusterdns.index import Index
from clusterdns.nodes import External, Zone
from clusterdns.objects import EndpointSlice, Namespace, Node, Pod, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterdns.config import Block, Config
    from clusterdns.names import Address, Name
    from clusterdns.objects import KubernetesObject


def build_index(block: Block, settings: Config) -> Index:
    """A block without the cluster has no names but those of hosts files."""
    reverse = [name for text in block.reverse_zone for name in config.reverse_zones(text)]
    zones = [_zone(block, names.from_text(text)) for text in block.zone]
    reverse_zones = [_zone(block, name, is_reverse=True) for name in dict.fromkeys(reverse)]
    return Index(
        zones if block.cluster else [],
        reverse_zones if block.cluster else [],
        _external_zones(block) if block.cluster else [],
        awaited=kinds(settings) if block.cluster else (),
        namespaces=frozenset(block.namespaces),
        selects_namespaces=bool(settings.namespace_labels),
        dns_service=config.service_key(settings.dns_service),
        own_addresses=tuple(_own_addresses(block)),
        hosts_ttl=block.hosts.ttl,
        hosts_reverse=block.hosts.reverse,
        clock=time.time,
    )


def origin(block: Block, settings: Config) -> tuple[object, ...]:
    """The settings that an index is made of."""
    return (
        block.cluster, block.zone, block.reverse_zone, block.fallthrough, block.ttl, block.negative_ttl, block.pods,
        block.endpoint_pod_names, block.ignore_empty_service, block.ptr_hostname_only, block.zonal, block.external_zone,
        block.external, block.namespaces, block.hosts.ttl, block.hosts.reverse, tuple(_own_addresses(block)),
        kinds(settings), settings.namespace_labels, settings.dns_service,
    )  # fmt: skip


def kinds(settings: Config) -> tuple[type[KubernetesObject], ...]:
    """What the names are made of."""
    endpoints = (EndpointSlice,) if settings.endpoints else ()
    pods = (Pod,) if any(each.pods == "verified" for each in config.blocks(settings)) else ()
    nodes = (Node,) if any(_shows_node_ports(each) for each in config.blocks(settings)) else ()
    return (Namespace, Service, *endpoints, *pods, *nodes)


def _shows_node_ports(block: Block) -> bool:
    return block.cluster and bool(block.external_zone) and block.external.node_ports


def _zone(block: Block, name: Name, *, is_reverse: bool = False) -> Zone:
    fallthrough = _fallthrough(block, name)
    return Zone(
        name=name,
        mname=names.below("ns", "dns", parent=name),
        rname=names.below("hostmaster", parent=name),
        is_reverse=is_reverse,
        falls_through=name.endswith(fallthrough),
        falls_through_below=tuple(each for each in fallthrough if each != name and each.endswith(name)),
        ttl=block.ttl,
        negative_ttl=block.negative_ttl,
        pods=block.pods,
        endpoint_pod_names=block.endpoint_pod_names,
        ignore_empty_service=block.ignore_empty_service,
        ptr_hostname_only=block.ptr_hostname_only,
        zonal=block.zonal,
    )


def _external_zones(block: Block) -> list[Zone]:
    return [_external_zone(block, name) for name in _external_names(block)]


def _external_names(block: Block) -> dict[Name, None]:
    """Those of the zones for the outside, each once."""
    return dict.fromkeys(name for text in block.external_zone for name in config.external_zones(text))


def _external_zone(block: Block, name: Name) -> Zone:
    given = block.external
    fallthrough = _fallthrough(block, name)
    return Zone(
        name=name,
        mname=names.below("ns1", given.apex, parent=name),
        rname=names.below("hostmaster", given.apex, parent=name),
        is_reverse=name.endswith((names.IN_ADDR, names.IP6)),
        falls_through=name.endswith(fallthrough),
        falls_through_below=tuple(each for each in fallthrough if each != name and each.endswith(name)),
        ttl=given.ttl,
        negative_ttl=given.negative_ttl,
        endpoint_pod_names=block.endpoint_pod_names,
        external=External(given.apex, given.headless, given.node_ports),
    )


def _fallthrough(block: Block, name: Name) -> tuple[Name, ...]:
    """Below what names a zone gives way to the upstreams: as the cluster's zones do, as those for the outside do, or,
    where they meet, as both do.
    """
    reverse = (zone for text in block.reverse_zone for zone in config.reverse_zones(text))
    inside = (*map(names.from_text, block.zone), *reverse)
    found: tuple[Name, ...] = (names.ROOT,)
    for zones, texts in ((inside, block.fallthrough), (_external_names(block), block.external.fallthrough)):
        if name.endswith(tuple(zones)):
            given = list(map(names.from_text, texts))
            # Of two names of which one is within the other, it is the inner one that is within both.
            both = [(one, other) for one in found for other in given if one.endswith(other) or other.endswith(one)]
            found = tuple(max(pair, key=len) for pair in both)
    return found


@cache
def _host_addresses() -> tuple[str, ...]:
    """What the host's own name leads to. That may take seconds, so it is asked once, when nobody waits for us yet."""
    with contextlib.suppress(OSError):
        return tuple(str(each[4][0]) for each in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_DGRAM))
    return ()


def _own_addresses(block: Block) -> Iterator[Address]:
    """Where we are reached; in place of a wildcard, what the host's own name leads to."""
    for given in map(config.listening, block.listen):
        hosts = [given.host]
        if given.host in ("0.0.0.0", "::"):
            hosts = [each for each in _host_addresses() if (":" in each) == (":" in given.host)] or hosts
        for each in hosts:
            address = names.address(each)
            if address is not None and any(address):
                yield address
