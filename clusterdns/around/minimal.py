"""Positive answers without what nobody asked for: their authority and additional sections are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import wire
from clusterdns.around.message import end_of_question_name, has_question, read_message
from clusterdns.around.reactions import worked_on
from clusterdns.queries import HEADER, FormatError

if TYPE_CHECKING:
    from clusterdns.respond import Client, Reaction, Respond


def minimal(respond: Respond) -> Respond:
    """The responder, whose positive answers are nothing but answers. Absences and referrals stay as they are."""

    def shortened(packet: bytes, client: Client) -> Reaction:
        reaction = respond(packet, client)
        if isinstance(reaction, bytes) and _is_minimal(packet, reaction):
            return reaction
        return worked_on(reaction, lambda reply: _shortened(packet, reply))

    return shortened


def _is_minimal(packet: bytes, reply: bytes) -> bool:
    """Whether there is no answer, or nothing but answers and the OPT record that an OPT record was asked with."""
    return reply[6:8] == b"\0\0" or reply[8:HEADER] == b"\0\0" + packet[10:HEADER]


def _shortened(packet: bytes, reply: bytes) -> bytes:
    if _is_minimal(packet, reply) or not has_question(reply) or reply[3] & 0xF:
        return reply
    try:
        message = read_message(reply)
    except FormatError:
        return reply
    message.authority, message.additional = [], []
    return message.to(reply, end_of_question_name(reply), max(len(reply), wire.SMALLEST_UDP))
