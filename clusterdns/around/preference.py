"""Addresses in networks that are preferred stand before the others of an answer: most clients take the first."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from clusterdns import wire
from clusterdns.around.message import end_of_question_name, has_question, read_message
from clusterdns.around.networks import Networks
from clusterdns.around.reactions import worked_on
from clusterdns.queries import FormatError
from clusterdns.records import CLASS_IN, Type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.around.message import Resource
    from clusterdns.respond import Client, Reaction, Respond

_ADDRESSES = {(Type.A, 4), (Type.AAAA, 16)}
"""Types, and how many bytes their data has."""


def preferring(respond: Respond, preferred: Sequence[str]) -> Respond:
    """The responder, in whose answers the addresses of these networks come first. Raises ValueError."""
    networks = Networks(preferred)

    def is_preferred(record: Resource) -> bool:
        return networks.hold(ipaddress.ip_address(record.before))

    def in_order(reply: bytes) -> bytes:
        if reply[6:8] in (b"\0\0", b"\0\1") or not has_question(reply):
            return reply
        try:
            message = read_message(reply)
        except FormatError:
            return reply
        addresses = [each for each in message.answer if _is_address(each)]
        others = [each for each in message.answer if not _is_address(each)]
        message.answer = [*others, *sorted(addresses, key=lambda each: not is_preferred(each))]
        return message.to(reply, end_of_question_name(reply), max(len(reply), wire.SMALLEST_UDP))

    def with_preference(packet: bytes, client: Client) -> Reaction:
        return worked_on(respond(packet, client), in_order)

    return with_preference if preferred else respond


def _is_address(record: Resource) -> bool:
    return record.rclass == CLASS_IN and (record.rtype, len(record.before)) in _ADDRESSES
