"""Names that are missing from hosts files, in zones that these have the last word on: SERVFAIL.

That is CoreDNS's word for it. Hosts files have no SOA record that could say how long a name is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import wire
from clusterdns.names import ROOT, Name, ancestors
from clusterdns.queries import HEADER, read_plain_query
from clusterdns.records import CLASS_IN, Answer, Rcode, Reason, Type

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

_MISSING = Answer(
    rcode=Rcode.SERVFAIL,
    authoritative=False,
    reason=Reason("the hosts files have no such name, and the last word on it"),
)

_PTR = b"\0\x0c"


class Claim(Struct, frozen=True):
    zones: frozenset[Name]
    falls_through: frozenset[Name]
    """Within the zones: whose names may be known elsewhere."""

    @property
    def is_void(self) -> bool:
        """Whether there is no name at all that it is about."""
        return self.zones <= self.falls_through or ROOT in self.falls_through

    def holds(self, name: Name) -> bool:
        above = (name, *ancestors(name))
        return not self.zones.isdisjoint(above) and self.falls_through.isdisjoint(above)


def closing(
    respond: Respond, claim: Claim, is_host: Callable[[Name], bool], dialect: Dialect, *, stream: bool
) -> Respond:
    """The responder, which is not asked for names that the claim holds and the hosts files do not have.

    PTR records are asked of it in any case: an address that the files do not have may be anybody's.
    """
    if claim.is_void:
        return respond

    def closed(packet: bytes, client: Client) -> Reaction:
        name_end = packet.find(0, HEADER)
        if packet[name_end + 1 : name_end + 3] == _PTR:
            return respond(packet, client)
        query = read_plain_query(packet)
        if query is None or query.question.qclass != CLASS_IN or query.question.qtype == Type.PTR:
            return respond(packet, client)
        if is_host(query.question.name) or not claim.holds(query.question.name):
            return respond(packet, client)
        return wire.encode(query, _MISSING, None, dialect, stream=stream).to(packet, query.name_end)

    return closed
