"""The addresses of this machine's network interfaces, as the kernel tells them (rtnetlink(7))."""

from __future__ import annotations

import socket
from struct import Struct, unpack_from
from typing import TYPE_CHECKING

from clusterdns import names

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = Struct("=IHHII")
"""Length, type, flags, sequence, port."""
_ADDRESS = Struct("=BBBBI")
"""Family, prefix length, flags, scope, index of the interface."""

_GET, _NEW, _DONE = 22, 20, 3
_REQUEST_DUMP = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_OF_THE_LINK = 253
"""The scope of addresses that mean something on their link alone."""


def addresses(name: str) -> list[str] | None:
    """Those of an interface, without those that are its link's own; None if there is no such interface.

    Raises OSError if the kernel does not tell.
    """
    try:
        index = socket.if_nametoindex(name)
    except (OSError, ValueError):
        return None
    return [names.address_text(packed) for each, packed in _all() if each == index]


def _all() -> Iterator[tuple[int, bytes]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        request = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        netlink.send(_HEADER.pack(_HEADER.size + len(request), _GET, _REQUEST_DUMP, 1, 0) + request)
        while True:
            packet = netlink.recv(1 << 16)
            at = 0
            while at < len(packet):
                length, kind, *_ = _HEADER.unpack_from(packet, at)
                if kind == _NEW:
                    yield from _read(packet[at + _HEADER.size : at + length])
                elif length < _HEADER.size or kind <= _DONE:
                    return
                at += length + 3 & ~3


def _read(message: bytes) -> Iterator[tuple[int, bytes]]:
    _, _, _, scope, index = _ADDRESS.unpack_from(message)
    found: dict[int, bytes] = {}
    at = _ADDRESS.size
    while at + 4 <= len(message):
        length, kind = unpack_from("=HH", message, at)
        found[kind] = message[at + 4 : at + length]
        at += max(length, 4) + 3 & ~3
    # On a link between two, IFA_ADDRESS is the other end's.
    packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if packed and scope != _OF_THE_LINK:
        yield index, packed
