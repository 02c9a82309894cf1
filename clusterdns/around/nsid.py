"""The name server identifier, for those who ask for it (RFC 5001)."""

from __future__ import annotations

from struct import pack, unpack_from
from typing import TYPE_CHECKING

from clusterdns import wire
from clusterdns.around.message import has_question, read_message
from clusterdns.around.reactions import worked_on
from clusterdns.queries import HEADER, FormatError, read_query
from clusterdns.records import Type

if TYPE_CHECKING:
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

NSID = 3
"""The option's code (RFC 5001 section 2.3)."""

LONGEST_IDENTIFIER = 128
"""Bytes."""

_OPT_RECORD = 11
"""The bytes of an OPT record without options."""


def identified(respond: Respond, identifier: str, dialect: Dialect, *, stream: bool) -> Respond:
    """The responder, whose replies tell which server they come from. Raises ValueError."""
    encoded = identifier.encode()
    if not 0 < len(encoded) <= LONGEST_IDENTIFIER:
        raise ValueError(f"nsid: an identifier has 1 to {LONGEST_IDENTIFIER} bytes, not {len(encoded)}")
    option = pack("!HH", NSID, len(encoded)) + encoded

    def with_identifier(packet: bytes, client: Client) -> Reaction:
        reaction = respond(packet, client)
        if len(packet) <= packet.find(0, HEADER) + 5 + _OPT_RECORD or not _asks(packet):
            return reaction
        return worked_on(reaction, lambda reply: _with_option(packet, reply))

    def _with_option(packet: bytes, reply: bytes) -> bytes:
        try:
            if not has_question(reply):
                return reply
            query, message = read_query(packet), read_message(reply)
        except FormatError:
            return reply
        if message.opt:
            (length,) = unpack_from("!H", message.opt, _OPT_RECORD - 2)
            head, options = message.opt[: _OPT_RECORD - 2], message.opt[_OPT_RECORD:]
            message.opt = head + pack("!H", length + len(option)) + options + option
        return message.to(packet, query.name_end, wire.LARGEST if stream else wire.udp_space(query, dialect))

    return with_identifier


def _asks(packet: bytes) -> bool:
    """Whether the option is in the query's OPT record, if that stands right behind the question, as they all do."""
    try:
        at = read_query(packet).name_end + 5
    except FormatError:
        return False
    if packet[at : at + 3] != pack("!BH", 0, Type.OPT):
        return False
    at += _OPT_RECORD
    while at + 4 <= len(packet):
        code, length = unpack_from("!HH", packet, at)
        if code == NSID:
            return True
        at += 4 + length
    return False
