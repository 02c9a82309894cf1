"""Sets of networks, for rules that are about some clients."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Networks:
    """Addresses and networks of either family: to look one up takes a step for each length of prefix that there is.

    Raises ValueError for what is neither.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._of: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        """By the version of IP, and by how many bits of an address are not the network's."""
        for text in texts:
            network = ipaddress.ip_network(text, strict=False)
            hosts = network.max_prefixlen - network.prefixlen
            self._of[network.version, hosts].add(int(network.network_address) >> hosts)

    def hold(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        number, version = int(address), address.version
        return any(each == version and number >> hosts in found for (each, hosts), found in self._of.items())


def client_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of a client, as IPv4 if it is one. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address
