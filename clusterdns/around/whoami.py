"""Who asks, told to whoever asks for a name that nobody answers for: to see what address a server gets to see."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

from clusterdns import names, wire
from clusterdns.around.message import Message, Resource
from clusterdns.names import LONGEST_NAME, ROOT
from clusterdns.queries import AA, HEADER, QR, read_plain_query
from clusterdns.records import CLASS_IN, Type
from clusterdns.responses import terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.names import Name
    from clusterdns.queries import Query
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

_SRV = 33


def telling_clients(
    respond: Respond, is_answered_for: Callable[[Name], bool], dialect: Dialect, *, stream: bool
) -> Respond:
    """The responder, which is asked only for names that somebody answers for."""

    def told(packet: bytes, client: Client) -> Reaction:
        query = read_plain_query(packet)
        if query is None or query.question.qclass != CLASS_IN or is_answered_for(query.question.name):
            return respond(packet, client)
        asked = terms(query, dialect, wire.LARGEST if stream else wire.udp_space(query, dialect))
        message = Message(QR | AA | asked.echoed, [], [], _of_client(packet, query, client, stream=stream), asked.opt)
        return message.to(packet, query.name_end, asked.space)

    return told


def _of_client(packet: bytes, query: Query, client: Client, *, stream: bool) -> list[Resource]:
    """The client's address, and its port as that of a service; both live for no time at all."""
    name = packet[HEADER : query.name_end + 1]
    address = names.address(str(client[0]).partition("%")[0]) or b""
    rtype = Type.A if len(address) == 4 else Type.AAAA
    found = [Resource(name, rtype, CLASS_IN, 0, address)] if address else []
    service = names.label("_tcp" if stream else "_udp") + name
    if len(client) > 1 and len(service) <= LONGEST_NAME:
        found.append(Resource(service, _SRV, CLASS_IN, 0, pack("!HHH", 0, 0, client[1]), (ROOT,)))
    return found
