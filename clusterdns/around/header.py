"""Flags of the header, set or cleared in queries before they are answered, and in replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from clusterdns.around.reactions import worked_on
from clusterdns.queries import AA, RA, RD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from clusterdns.respond import Client, Reaction, Respond

Flag: TypeAlias = Literal["aa", "ra", "rd"]

_BITS: dict[Flag, int] = {"aa": AA, "ra": RA, "rd": RD}


class Flags(Struct, frozen=True, kw_only=True):
    """Those that are cleared first, and those that are set then."""

    cleared: tuple[Flag, ...] = ()
    raised: tuple[Flag, ...] = ()


def flagged(respond: Respond, of_queries: Flags, of_replies: Flags) -> Respond:
    """The responder, whose queries and replies have their flags as they shall be."""
    prepare, finish = _changing(of_queries), _changing(of_replies)

    def with_flags(packet: bytes, client: Client) -> Reaction:
        return worked_on(respond(prepare(packet), client), finish)

    return respond if of_queries == of_replies == Flags() else with_flags


def _changing(flags: Flags) -> Callable[[bytes], bytes]:
    kept, added = 0xFFFF & ~_bits(flags.cleared), _bits(flags.raised)

    def changed(packet: bytes) -> bytes:
        found = int.from_bytes(packet[2:4], "big")
        return packet[:2] + (found & kept | added).to_bytes(2, "big") + packet[4:]

    def unchanged(packet: bytes) -> bytes:
        return packet

    return unchanged if flags == Flags() else changed


def _bits(flags: Iterable[Flag]) -> int:
    return sum({_BITS[each] for each in flags})
