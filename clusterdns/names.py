"""The grammar of names: domain names, cluster names and reverse names, both ways.

A `Name` is a domain name as a question carries it: each label behind its length, the root's zero at the end (RFC 1035
section 3.1), in lower case, never compressed. So the bytes of a question, lowered, are the key of the index, a parent
is the rest behind the first label, and a child is its label in front. Nothing else in the program splits text at dots.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Name: TypeAlias = bytes
Address: TypeAlias = bytes
"""An IP address in network order: 4 bytes or 16."""

ROOT: Name = b"\0"
LONGEST_NAME = 255
LONGEST_LABEL = 63

_KUBERNETES_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class NotAName(ValueError):
    """The text is no domain name: an empty or overlong label, or more than 255 bytes in all."""


def from_text(text: str) -> Name:
    """`www.example.com`, with or without the last dot, as a Name. Raises NotAName."""
    if text in ("", "."):
        return ROOT
    return below(*text.removesuffix(".").split("."), parent=ROOT)


def below(*labels: str, parent: Name) -> Name:
    """The name of these labels in front of the parent's. Raises NotAName."""
    name = b"".join([label(text) for text in labels]) + parent
    if len(name) > LONGEST_NAME:
        raise NotAName(f"{'.'.join(labels)!r} is longer than 255 bytes")
    return name


def possible(text: str) -> Name | None:
    """The text as a Name, or None if it is none."""
    try:
        return from_text(text)
    except NotAName:
        return None


def possibly_below(*labels: str, parent: Name) -> Name | None:
    """The same, or None: Kubernetes may hold what DNS can not say."""
    try:
        return below(*labels, parent=parent)
    except NotAName:
        return None


@lru_cache(maxsize=1024)  # "svc", namespaces and ports come again and again
def label(text: str) -> bytes:
    """One label behind its length, in lower case. Raises NotAName."""
    encoded = text.encode().lower()
    if not 0 < len(encoded) <= LONGEST_LABEL:
        raise NotAName(f"a label has 1 to 63 bytes, not {len(encoded)}: {text!r}")
    return bytes((len(encoded),)) + encoded


def to_text(name: Name) -> str:
    r"""The Name as people write it, with the last dot; odd bytes as \DDD (RFC 4343 section 2.1)."""
    return "".join([_escaped(each) + "." for each in labels(name)]) or "."


def _escaped(raw: bytes) -> str:
    return "".join([chr(byte) if byte in _PLAIN else f"\\{byte:03d}" for byte in raw])


def labels(name: Name) -> list[bytes]:
    """The labels in their order, without the root's."""
    found, start = [], 0
    while length := name[start]:
        found.append(name[start + 1 : start + 1 + length])
        start += 1 + length
    return found


def ancestors(name: Name) -> Iterator[Name]:
    """The parent, its parent, and so on, the root last."""
    while name[0]:
        name = name[1 + name[0] :]
        yield name


def is_kubernetes_label(text: str) -> bool:
    """Whether Kubernetes takes the text as the name of a Service, a Namespace or a port (RFC 1123)."""
    return _KUBERNETES_LABEL.fullmatch(text) is not None


# Cluster names: <service>.<namespace>.svc.<zone> and what stands in front of it.


def service(name: str, namespace: str, zone: Name) -> Name | None:
    parent = services_of(namespace, zone)
    return None if parent is None else possibly_below(name, parent=parent)


@lru_cache(maxsize=1024)  # most namespaces have many services
def services_of(namespace: str, zone: Name) -> Name | None:
    """What the names of a namespace's services are below."""
    return possibly_below(namespace, "svc", parent=zone)


def dashed(address: str) -> str:
    """An address as the label of an endpoint that has no hostname: `10-244-1-7`, `fd00--7`.

    A label may not end in a dash, so a last `::` gets the zero that it stands for.
    """
    text = address.replace(".", "-").replace(":", "-")
    return text + "0" if text.endswith("-") else text


def undashed(text: str) -> Address | None:
    """The address that a pod's label stands for, or None if it stands for none."""
    if not _DASHED.issuperset(text):
        return None
    return address(text.replace("-", ".")) or address(text.replace("-", ":"))


_DASHED = frozenset("0123456789abcdef-")


# Addresses, and their names under in-addr.arpa (RFC 1035 section 3.5) and ip6.arpa (RFC 3596 section 2.5).

IN_ADDR = from_text("in-addr.arpa")
IP6 = from_text("ip6.arpa")


_OCTET = {str(octet): octet for octet in range(256)}


def is_ipv4(text: str) -> bool:
    """Whether it is an IPv4 address as it is written: four numbers, none with a zero before it."""
    octets = text.split(".")
    return len(octets) == 4 and _OCTET.keys() >= {*octets}


def address(text: str) -> Address | None:
    """An address from its text, None if it is none."""
    try:
        first, second, third, fourth = text.split(".")
        return bytes((_OCTET[first], _OCTET[second], _OCTET[third], _OCTET[fourth]))
    except (ValueError, KeyError):
        pass  # no IPv4 address, then; the short way is for the tens of thousands of those that a cluster has
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        return None


def address_text(packed: Address) -> str:
    return str(ipaddress.ip_address(packed))


def reverse(packed: Address) -> Name:
    """The name at which an address has its PTR records."""
    if len(packed) == 4:
        return b"".join([b"%c%d" % (len(str(octet)), octet) for octet in reversed(packed)]) + IN_ADDR
    return b"".join([b"\x01%c" % ord(nibble) for nibble in reversed(packed.hex())]) + IP6


def reversed_digits(name: Name) -> tuple[int, str] | None:
    """What a reverse name says: the address's length in bytes, and its leading hexadecimal digits.

    `244.10.in-addr.arpa` gives (4, "0af4"); a whole address has 8 digits or 32. None for any other name.
    """
    if name.endswith(IN_ADDR):
        octets = labels(name)[-3::-1]
        if len(octets) <= 4 and all(octet in _HEX_OF_OCTET for octet in octets):
            return 4, "".join([_HEX_OF_OCTET[octet] for octet in octets])
    elif name.endswith(IP6):
        nibbles = labels(name)[-3::-1]
        if len(nibbles) <= 32 and all(len(nibble) == 1 and nibble in b"0123456789abcdef" for nibble in nibbles):
            return 16, b"".join(nibbles).decode()
    return None


_HEX_OF_OCTET = {b"%d" % octet: f"{octet:02x}" for octet in range(256)}


def reverse_zones(network: str) -> list[Name]:
    """The reverse zones that hold a network: `10.96.0.0/12` gives 16, one for each second octet. Raises ValueError."""
    net = ipaddress.ip_network(network)
    step = 8 if net.version == 4 else 4
    # A zone as small as one address would have no names below it, so the last octet or nibble is left to them.
    aligned = min(-(-net.prefixlen // step) * step, net.max_prefixlen - step)
    if aligned < net.prefixlen:
        net = net.supernet(new_prefix=aligned)
    digits = aligned // step
    return [
        reverse(subnet.network_address.packed)[-_tail(subnet.network_address.packed, digits) :]
        for subnet in net.subnets(new_prefix=aligned)
    ]


def _tail(packed: Address, digits: int) -> int:
    """How many bytes of an address's reverse name its first octets or nibbles and the suffix take."""
    if len(packed) == 4:
        return len(IN_ADDR) + sum(1 + len(str(octet)) for octet in packed[:digits])
    return len(IP6) + 2 * digits
