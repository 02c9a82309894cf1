"""Which server this is, for those who ask in class CH (RFC 4892)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import wire
from clusterdns.around.message import Message, resource
from clusterdns.names import from_text
from clusterdns.queries import HEADER, QR, RA, read_plain_query
from clusterdns.records import Type
from clusterdns.responses import terms
from clusterdns.zones.text import CLASSES

if TYPE_CHECKING:
    from clusterdns.queries import Query
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.wire import Dialect

LONGEST_TEXT = 255
"""Bytes of a text; what is longer is cut, as CoreDNS does."""

_TEXT_OF_CHAOS = b"\0\x10\0\x03"


class Identity(Struct, frozen=True):
    version: str
    authors: Sequence[str]
    hostname: str


def telling_identity(respond: Respond, identity: Identity, dialect: Dialect, *, stream: bool) -> Respond:
    """The responder, behind what knows the server's version, authors and host."""
    versions, hosts = [identity.version], [identity.hostname]
    texts = {
        from_text("version.bind"): versions,
        from_text("version.server"): versions,
        from_text("authors.bind"): sorted(set(identity.authors)),
        from_text("hostname.bind"): hosts,
        from_text("id.server"): hosts,
    }

    def telling(packet: bytes, client: Client) -> Reaction:
        name_end = packet.find(0, HEADER)
        if packet[name_end + 1 : name_end + 5] != _TEXT_OF_CHAOS:
            return respond(packet, client)
        query = read_plain_query(packet)
        if query is None or query.question.name not in texts:
            return respond(packet, client)
        return _told(packet, query, texts[query.question.name])

    def _told(packet: bytes, query: Query, found: Sequence[str]) -> bytes:
        asked = terms(query, dialect, 0)
        answer = [resource(query.question.name, Type.TXT, CLASSES["CH"], 0, _string(each)) for each in found]
        message = Message(QR | RA * dialect.recursion_available | asked.echoed, answer, [], [], asked.opt)
        return message.to(packet, query.name_end, wire.LARGEST if stream else wire.udp_space(query, dialect))

    return telling


def _string(text: str) -> bytes:
    encoded = text.encode()[:LONGEST_TEXT]
    return bytes((len(encoded),)) + encoded
