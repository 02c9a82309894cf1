"""Which part of a server gives an answer, for whoever counts answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.origins import Origin
from clusterdns.queries import HEADER
from clusterdns.respond import LONGEST_FORM

if TYPE_CHECKING:
    from clusterdns.origins import Trail
    from clusterdns.respond import Client, Reaction, Respond


def named(part: str, outer: Respond, inner: Respond, trail: Trail) -> Respond:
    """The outer responder, whose own replies come from that part; of those of the inner one it says so itself."""
    if outer is inner:
        return outer
    origin = Origin(part, "around")

    def naming(packet: bytes, client: Client) -> Reaction:
        trail.begin(origin)
        reaction = outer(packet, client)
        if trail.origin.way == "fast":  # perhaps of another query, if the inner responder was asked another one
            end = packet.find(0, HEADER) + 1
            trail.form = packet[2:HEADER] + packet[end : end + LONGEST_FORM]
        return reaction

    return naming
