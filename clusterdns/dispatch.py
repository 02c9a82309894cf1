"""Which block a query is for: the one with the longest zone that the question's name is in.

A zone may have several blocks, each but the last for a view: the first whose view the query is in has the say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from clusterdns import wire
from clusterdns.names import LONGEST_LABEL, LONGEST_NAME, ROOT
from clusterdns.queries import HEADER, FormatError, read_query
from clusterdns.respond import NOT_OURS, Client, Respond
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clusterdns.names import Name
    from clusterdns.respond import Reaction


Holds: TypeAlias = Callable[[bytes, Client], bool]
"""Whether a query is in a view."""


class View(Struct, frozen=True):
    """A block's part in a zone."""

    respond: Respond
    holds: Holds | None = None
    """None: it takes all queries."""


def viewed(blocks: Mapping[Name, Sequence[View]], refusing: Respond | None = None) -> Respond:
    """What answers on an address: by zone, its blocks in their order.

    Where none of them takes a query, the next shorter zone may.

    refusing: what answers those that nobody takes, if it is not just `refuse`.
    """
    if all(each[0].holds is None for each in blocks.values()):
        return dispatcher({zone: each[0].respond for zone, each in blocks.items()}, refusing)

    def respond(packet: bytes, client: Client) -> Reaction:
        for zone in _enclosing(packet):
            for each in blocks.get(zone, ()):
                if each.holds is None or each.holds(packet, client):
                    return each.respond(packet, client)
        return (refusing or refuse)(packet, client)

    return respond


def _enclosing(packet: bytes) -> Iterator[Name]:
    """The question's name, as far as it is one, and what it lies in; the root last."""
    name = packet[HEADER : packet.find(0, HEADER) + 1].lower()
    start = 0
    while start < min(len(name), LONGEST_NAME):
        yield name[start:]
        if not name[start] or name[start] > LONGEST_LABEL:
            return
        start += 1 + name[start]


def dispatcher(blocks: Mapping[Name, Respond], refusing: Respond | None = None) -> Respond:
    """What answers on an address: by zone, what answers its queries.

    refusing: what answers those that are in none of them, if it is not just `refuse`.
    """
    if list(blocks) == [ROOT]:
        return blocks[ROOT]
    block_of = blocks.get

    def respond(packet: bytes, client: Client) -> Reaction:
        # As _enclosing has it, but on the way of every query.
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
        return (refusing or refuse)(packet, client)

    return respond


def refuse(packet: bytes, _client: Client) -> bytes | None:
    """The reply to a query that is in no zone of the configuration."""
    try:
        query = read_query(packet)
    except FormatError:
        return wire.write_error(packet)
    if query.is_response:
        return None
    return wire.encode(query, NOT_OURS, None, Dialect()).to(packet, query.name_end)
