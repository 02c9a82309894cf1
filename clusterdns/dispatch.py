"""Which block a query is for: the one with the longest zone that the question's name is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import wire
from clusterdns.names import LONGEST_LABEL, LONGEST_NAME, ROOT
from clusterdns.queries import HEADER, FormatError, read_query
from clusterdns.respond import NOT_OURS
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clusterdns.names import Name
    from clusterdns.respond import Client, Reaction, Respond


def dispatcher(blocks: Mapping[Name, Respond]) -> Respond:
    """What answers on an address: by zone, what answers its queries. A query that is in none of them is refused."""
    if list(blocks) == [ROOT]:
        return blocks[ROOT]
    block_of = blocks.get

    def respond(packet: bytes, client: Client) -> Reaction:
        name_end = packet.find(0, HEADER)
        name = packet[HEADER : name_end + 1].lower()
        start = 0
        while start < min(len(name), LONGEST_NAME):
            block = block_of(name[start:])
            if block is not None:
                return block(packet, client)
            if not name[start] or name[start] > LONGEST_LABEL:
                break
            start += 1 + name[start]
        return _refuse(packet)

    return respond


def _refuse(packet: bytes) -> bytes | None:
    try:
        query = read_query(packet)
    except FormatError:
        return wire.write_error(packet)
    if query.is_response:
        return None
    return wire.encode(query, NOT_OURS, None, Dialect()).to(packet, query.name_end)
