"""Addresses of IPv4 hosts for clients that have IPv6 only: AAAA records made of A records (RFC 6147).

Where a name has no AAAA record it is asked for its A records, and each of these becomes the address that a NAT64 knows
it by (RFC 6052 section 2.2). Aliases on the way stay as they are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from clusterdns import wire
from clusterdns.around.message import Message, has_question, read_message
from clusterdns.queries import AA, AD, HEADER, FormatError, read_plain_query
from clusterdns.records import CLASS_IN, Rcode, Type

if TYPE_CHECKING:
    from clusterdns.queries import Query
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

UNSAID_SECONDS = 600
"""Where no SOA record says how long the AAAA records are missing (RFC 6147 section 5.1.7)."""

Coming: TypeAlias = Coroutine[Any, Any, bytes | None]
"""A reply that is still to come."""

_ADDRESS_IN_IPV6 = b"\0\x1c\0\x01"


class Translation(Struct, frozen=True):
    prefix: str
    """The NAT64's: 32 to 96 bits, whole bytes."""
    translate_all: bool = False
    """Whether names that do have AAAA records are translated too."""
    allow_ipv4: bool = False
    """Whether clients that ask over IPv4 are given such addresses."""


class NotAPrefix(ValueError):
    """A prefix that no address can be embedded in."""


def prefix_bytes(text: str) -> bytes:
    """Raises NotAPrefix."""
    try:
        network = ipaddress.IPv6Network(text, strict=False)
    except ValueError as error:
        raise NotAPrefix(f"{text!r} is no IPv6 network") from error
    if network.prefixlen % 8 or not 32 <= network.prefixlen <= 96:
        raise NotAPrefix(f"{text}: a prefix has 32, 40, 48 … 96 bits")
    return network.network_address.packed[: network.prefixlen // 8]


def embedded(prefix: bytes, address: bytes) -> bytes:
    """An IPv4 address within the prefix; the byte behind the first 64 bits stays zero (RFC 6052 section 2.2)."""
    found = prefix + address
    if len(prefix) <= 8:
        found = found[:8] + b"\0" + found[8:]
    return found.ljust(16, b"\0")


def translating(respond: Respond, given: Translation, dialect: Dialect, *, stream: bool) -> Respond:
    """The responder, with AAAA records for what has only A records. Raises NotAPrefix."""
    prefix = prefix_bytes(given.prefix)

    def translated(packet: bytes, client: Client) -> Reaction:
        name_end = packet.find(0, HEADER)
        if packet[name_end + 1 : name_end + 5] != _ADDRESS_IN_IPV6 or not (given.allow_ipv4 or _is_over_ipv6(client)):
            return respond(packet, client)
        query = read_plain_query(packet)
        if query is None or (query.question.qtype, query.question.qclass) != (Type.AAAA, CLASS_IN):
            return respond(packet, client)
        reaction = respond(packet, client)
        if isinstance(reaction, Coroutine):
            return _later(packet, query, client, reaction)
        return _answered(packet, query, client, reaction)

    async def _later(packet: bytes, query: Query, client: Client, coming: Coming) -> bytes | None:
        reaction = _answered(packet, query, client, await coming)
        return await reaction if isinstance(reaction, Coroutine) else reaction

    def _answered(packet: bytes, query: Query, client: Client, reply: bytes | None) -> Reaction:
        """That reply, or what the A records of the name become."""
        missing_for = _missing_for(reply, translate_all=given.translate_all)
        if missing_for is None:
            return reply
        at = query.name_end + 1
        asked = packet[:at] + Type.A.to_bytes(2, "big") + packet[at + 2 :]
        reaction = respond(asked, client)
        if isinstance(reaction, Coroutine):
            return _translated_later(packet, query, missing_for, reaction)
        return _translated(packet, query, missing_for, reaction)

    async def _translated_later(packet: bytes, query: Query, missing_for: int, coming: Coming) -> bytes | None:
        return _translated(packet, query, missing_for, await coming)

    def _translated(packet: bytes, query: Query, missing_for: int, reply: bytes | None) -> bytes | None:
        message = _read(reply)
        if message is None:
            return reply
        message.flags &= ~(AA | AD)  # nobody has said or signed this but we
        for record in message.answer:
            if record.rtype == Type.A and record.rclass == CLASS_IN:
                record.rtype, record.before = Type.AAAA, embedded(prefix, record.before)
                record.ttl = min(record.ttl, missing_for)
        return message.to(packet, query.name_end, wire.LARGEST if stream else wire.udp_space(query, dialect))

    return translated


def _is_over_ipv6(client: Client) -> bool:
    address = str(client[0])
    return ":" in address and not address.lower().startswith("::ffff:")


def _missing_for(reply: bytes | None, *, translate_all: bool) -> int | None:
    """For how many seconds AAAA records are missing; None if they are not, or the whole name is."""
    message = _read(reply)
    if message is None or message.flags & 0xF == Rcode.NXDOMAIN:
        return None
    if any(each.rtype == Type.AAAA for each in message.answer) and not translate_all:
        return None
    return min([each.ttl for each in message.authority if each.rtype == Type.SOA], default=UNSAID_SECONDS)


def _read(reply: bytes | None) -> Message | None:
    if reply is None or not has_question(reply):
        return None
    try:
        return read_message(reply)
    except FormatError:
        return None
