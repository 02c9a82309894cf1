"""What the key of a server block means: `[SCHEME://]ZONE[:PORT]`, where a network stands for its reverse zones."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from msgspec import Struct

from clusterdns import names
from clusterdns.corefile.words import CorefileError, Fault, Place, shown
from clusterdns.names import Name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterdns.corefile.grammar import Corefile, ServerBlock

Scheme: TypeAlias = Literal["dns", "tls", "https", "grpc", "quic", "https3"]

DNS_PORT = 53
_DEFAULT_PORTS: dict[Scheme, int] = {"dns": DNS_PORT, "tls": 853, "https": 443, "grpc": 443, "quic": 853, "https3": 443}


class ServedZone(Struct, frozen=True):
    zone: Name
    port: int
    """0 for one that the system chooses."""
    scheme: Scheme
    place: Place

    def __str__(self) -> str:
        return f"{self.scheme}://{names.to_text(self.zone)}:{self.port}"


def zones(text: str) -> tuple[Name, ...]:
    """The zones of a key, without regard to its scheme and port: plugins take lists of zones that are written like
    this. Raises ValueError.
    """
    return _parsed(text)[0]


def served_zones(corefile: Corefile, port: int = DNS_PORT) -> tuple[tuple[ServedZone, ...], ...]:
    """What each server block serves, in the order of the blocks.

    port: of keys that name none, and no other scheme.

    Raises CorefileError, with a fault for each key that means nothing, and for each that another has taken: the same
    zone with the same scheme and port, on the same address or on all of them.
    """
    faults: list[Fault] = []
    served: list[tuple[ServedZone, ...]] = []
    taken: dict[tuple[Scheme, Name, int], dict[str, Place]] = {}
    for block in corefile.blocks:
        found: list[ServedZone] = []
        for key in block.keys:
            try:
                reverse, own_port, scheme = _parsed(key.text, port)
            except ValueError as error:
                faults.append(Fault(key.place, f"{key.text!r}: {error}"))
                continue
            found += [ServedZone(zone, own_port, scheme, key.place) for zone in reverse]
        addresses = set(_bound(block)) or {""}
        # What is not in a view is the business of a later block.
        has_view = any(directive.name == "view" for directive in block.directives)
        for each in found:
            others = taken.setdefault((each.scheme, each.zone, each.port), {})
            clash = others.keys() if "" in addresses else others.keys() & {*addresses, ""}
            if clash:
                faults.append(Fault(each.place, f"{each} is served already: {others[min(clash)]}"))
            for address in addresses if not has_view else ():
                others.setdefault(address, each.place)
        served.append(tuple(found))
    if faults:
        raise CorefileError(faults, corefile.files, corefile.patterns)
    return tuple(served)


def _bound(block: ServerBlock) -> Iterator[str]:
    """The addresses and interfaces that a block's `bind` names."""
    for directive in block.directives:
        if directive.name == "bind":
            for word in directive.arguments:
                packed = names.address(word.text)
                yield names.address_text(packed) if packed else word.text


def _parsed(text: str, dns_port: int = DNS_PORT) -> tuple[tuple[Name, ...], int, Scheme]:
    """The zones, the port and the scheme of a key. Raises ValueError."""
    before, separator, rest = text.rpartition("://")
    scheme = _scheme(before) if separator else "dns"
    zone, port = _zone_and_port(rest, dns_port if scheme == "dns" else _DEFAULT_PORTS[scheme])
    if not zone:
        raise ValueError("expected a zone, such as example.org, 10.0.0.0/8 or . for all")
    address, slash, _ = zone.partition("/")
    if slash and names.address(address):
        return tuple(_reverse_zones(zone)), port, scheme
    return (names.from_text(zone),), port, scheme


def _scheme(text: str) -> Scheme:
    for scheme in get_args(Scheme):
        if text == scheme:
            return scheme  # type: ignore[no-any-return]
    raise ValueError(f"expected one of {', '.join(each + '://' for each in get_args(Scheme))}, not {shown(text)}://")


def _zone_and_port(text: str, default: int) -> tuple[str, int]:
    zone, colon, port = text.rpartition(":")
    # The colons of an IPv6 network are no separators: its length stands behind the last one.
    if not colon or "/" in port:
        return text, default
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(
            f"expected a port from 0 to 65535 behind the last colon, not {shown(port) if port else 'nothing'}"
        )
    if ":" in zone and "/" not in zone:
        raise ValueError("expected one colon, between a zone and its port")
    return zone, int(port)


def _reverse_zones(text: str) -> list[Name]:
    """The reverse zones of a network, none of them larger than it. Raises ValueError."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError("expected a network, such as 10.0.0.0/8 or fd00::/8") from error
    if network.prefixlen <= network.max_prefixlen - (8 if network.version == 4 else 4):
        return names.reverse_zones(str(network))
    # Such a network is a part of the smallest zone there is; CoreDNS takes the name of each of its addresses as a zone.
    return [names.reverse(address.packed) for address in network]
