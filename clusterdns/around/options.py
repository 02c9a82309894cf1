"""EDNS options of a question, changed on their way to the upstreams (RFC 6891 section 6.1.2).

What a client is told of options stays its own business: an upstream's are not relayed.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import pack, unpack_from
from typing import Literal, TypeAlias

from msgspec import Struct

from clusterdns.around.networks import client_address
from clusterdns.around.renaming import NotARule
from clusterdns.queries import HEADER, Query
from clusterdns.records import Type
from clusterdns.respond import Client
from clusterdns.zones.text import name_text

NSID, SUBNET = 3, 8

UDP_SIZE = 4096
"""Bytes; for questions that came without EDNS. The client's own limit holds for the reply."""

Action: TypeAlias = Literal["set", "append", "replace", "unset"]
"""`set` changes an option or adds it, `append` adds it unless it is there, `replace` changes it if it is, and `unset`
takes it out."""

Kind: TypeAlias = Literal["local", "nsid", "subnet"]

_OPT = 11
"""The bytes of an OPT record without options."""


class EdnsRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag="edns0"):
    kind: Kind
    action: Action
    code: int = 0
    """Of a `local` option."""
    data: str = ""
    """Of a `local` option: a text, bytes as 0x…, or one of {qname}, {qtype}, {client_ip}, {client_port}, {protocol}."""
    ipv4_bits: int = 0
    """Of `subnet`: how much of a client's address upstreams are told (RFC 7871)."""
    ipv6_bits: int = 0
    stop: bool = True

    @property
    def number(self) -> int:
        return {"local": self.code, "nsid": NSID, "subnet": SUBNET}[self.kind]


class Asker(Struct, frozen=True):
    query: Query
    client: Client
    stream: bool


Options: TypeAlias = list[tuple[int, bytes]]

Edit: TypeAlias = Callable[[Options, Asker], bool]
"""Follows a rule, and says whether there was anything to do."""


def edit(rule: EdnsRule) -> Edit:
    """Raises NotARule."""
    if not 0 < rule.number <= 0xFFFF:
        raise NotARule(f"{rule.number} is no code of an option")
    data_of = _data_of(rule)

    def follow(options: Options, asker: Asker) -> bool:
        at = next((at for at, (code, _) in enumerate(options) if code == rule.number), None)
        if rule.action == "unset":
            options[:] = [each for each in options if each[0] != rule.number]
            return at is not None
        if (at is None and rule.action == "replace") or (at is not None and rule.action == "append"):
            return False
        option = rule.number, data_of(asker)
        if at is None:
            options.append(option)
        else:
            options[at] = option
        return True

    return follow


def _data_of(rule: EdnsRule) -> Callable[[Asker], bytes]:
    match rule.kind:
        case "nsid":
            return lambda _: b""
        case "subnet":
            if not (0 <= rule.ipv4_bits <= 32 and 0 <= rule.ipv6_bits <= 128):
                raise NotARule(f"{rule.ipv4_bits} and {rule.ipv6_bits}: expected 0 to 32 bits and 0 to 128")
            return lambda asker: _subnet(asker.client, rule.ipv4_bits, rule.ipv6_bits)
    if rule.data.startswith("{") and rule.data.endswith("}"):
        if rule.data not in VARIABLES:
            raise NotARule(f"{rule.data}: expected one of {', '.join(VARIABLES)}")
        return VARIABLES[rule.data]
    try:
        data = bytes.fromhex(rule.data[2:]) if rule.data.startswith("0x") else rule.data.encode()
    except ValueError as error:
        raise NotARule(f"{rule.data} are no bytes") from error
    return lambda _: data


def _subnet(client: Client, ipv4_bits: int, ipv6_bits: int) -> bytes:
    """RFC 7871 section 6: as many bytes of the address as its bits take, and no bit behind them."""
    address = client_address(str(client[0]))
    family, bits = (1, ipv4_bits) if address.version == 4 else (2, ipv6_bits)
    behind = address.max_prefixlen - bits
    masked = (int(address) >> behind << behind).to_bytes(address.max_prefixlen // 8, "big")
    return pack("!HBB", family, bits, 0) + masked[: -(-bits // 8)]


VARIABLES: dict[str, Callable[[Asker], bytes]] = {
    "{qname}": lambda asker: name_text(asker.query.question.name).encode(),
    "{qtype}": lambda asker: pack("!H", asker.query.question.qtype),
    "{client_ip}": lambda asker: client_address(str(asker.client[0])).packed,
    "{client_port}": lambda asker: pack("!H", asker.client[1]),
    "{protocol}": lambda asker: b"tcp" if asker.stream else b"udp",
}


# Packets


def read_options(packet: bytes, query: Query) -> Options | None:
    """The options of a query; None if there is more behind its question than they."""
    at = query.name_end + 5
    if query.edns is None:
        return [] if at == len(packet) else None
    if packet[6:HEADER] != b"\0\0\0\0\0\1" or packet[at : at + 3] != pack("!BH", 0, Type.OPT):
        return None
    at += _OPT
    found = []
    while at < len(packet):
        code, length = unpack_from("!HH", packet, at)
        found.append((code, packet[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def with_options(packet: bytes, query: Query, options: Options) -> bytes:
    """The query with these, and none of its own."""
    at = query.name_end + 5
    written = b"".join([pack("!HH", code, len(data)) + data for code, data in options])
    head = packet[at : at + _OPT - 2] if query.edns else pack("!BHHI", 0, Type.OPT, UDP_SIZE, 0)
    return packet[:10] + b"\0\1" + packet[HEADER:at] + head + pack("!H", len(written)) + written
