"""DNS cookies (RFC 7873, RFC 9018): told to those who send one, and never given back as they came.

A cookie makes each client's query another one. So it is taken out of the query before anybody answers that, and the
whole cookie is put into the reply: what is remembered of queries without cookies serves those with them too.
"""

from __future__ import annotations

from struct import pack, unpack_from
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import wire
from clusterdns.around.message import end_of_question_name, has_question, read_message
from clusterdns.around.reactions import worked_on
from clusterdns.around.server_cookies import CLIENT_BYTES
from clusterdns.names import LONGEST_LABEL
from clusterdns.queries import CD, HEADER, OPCODE, QR, RD, FormatError, read_query
from clusterdns.records import Answer, Rcode, Type
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from clusterdns.around.server_cookies import ServerCookies
    from clusterdns.respond import Client, Reaction, Respond

COOKIE = 10
"""The option's code (RFC 7873 section 4)."""

_OPT = b"\0" + pack("!H", Type.OPT)
_OPT_RECORD = 11
"""The bytes of an OPT record without options."""

_ONE_QUESTION = b"\0\1\0\0\0\0\0\1"
_NO_QUESTION = b"\0\0\0\0\0\0\0\1"
"""What is counted in a query that has an OPT record and no other."""


def telling_cookies(
    respond: Respond, cookies: ServerCookies, *, stream: bool, unproven: Respond, proven: Respond
) -> Respond:
    """What answers each query, and those that bring a cookie with one.

    unproven: for those that bring a cookie which proves nothing, such as a new client's; without the cookie.
    proven: for those whose cookie proves that they are where they say.
    """

    def tell(packet: bytes, client: Client) -> Reaction:
        """What is malformed for others, as a lone cookie is, goes to them all the same: they may not even answer it."""
        if packet[10:12] == b"\0\0" or (packet[-2:] == b"\0\0" and packet[-_OPT_RECORD:-8] == _OPT):
            return respond(packet, client)
        brought = _brought(packet)
        if brought is None:
            return respond(packet, client)
        try:
            cookie, proves = cookies.answer(client[0], brought.cookie)
        except FormatError:
            return respond(packet[:HEADER], client)  # as malformed as the packet is, and answered like it
        option = pack("!HH", COOKIE, len(cookie)) + cookie
        reaction = (proven if proves else unproven)(brought.packet, client)
        if brought.is_alone:
            is_wrong = not proves and len(brought.cookie) > CLIENT_BYTES
            rcode = Rcode.BADCOOKIE if is_wrong else Rcode.NOERROR
            return worked_on(reaction, lambda _: _lone_reply(packet, option, rcode))
        size = wire.LARGEST if stream else brought.udp_size
        if isinstance(reaction, bytes):
            return _with_option(reaction, option, size)
        return worked_on(reaction, lambda reply: _with_option(reply, option, size))

    return tell


def refused_for_cookie(packet: bytes) -> bytes | None:
    """BADCOOKIE, to whom a new cookie is told with it: whoever really asked comes again with that."""
    try:
        query = read_query(packet)
    except FormatError:
        return wire.write_error(packet)
    if query.is_response:
        return None
    refused = Answer(rcode=Rcode.BADCOOKIE, authoritative=False)
    return wire.encode(query, refused, None, Dialect()).to(packet, query.name_end)


class _Brought(Struct):
    cookie: bytes
    packet: bytes
    """The query without it."""
    udp_size: int
    is_alone: bool
    """Whether nothing is asked but for the cookie (RFC 7873 section 5.4)."""


def _brought(packet: bytes) -> _Brought | None:
    """The first cookie of a query whose OPT record ends it, as they all do; None if there is none, or no query."""
    counts = packet[4:HEADER]
    if counts == _ONE_QUESTION:
        at = _end_of_question(packet)
    elif counts == _NO_QUESTION and not packet[2] & (QR | OPCODE) >> 8:
        at = HEADER
    else:
        return None
    if packet[at : at + 3] != _OPT or len(packet) < at + _OPT_RECORD:
        return None
    (udp_size,) = unpack_from("!H", packet, at + 3)
    (length,) = unpack_from("!H", packet, at + _OPT_RECORD - 2)
    start = at + _OPT_RECORD
    if start + length != len(packet):
        return None
    found = None
    others = b""
    while start + 4 <= len(packet):
        code, length = unpack_from("!HH", packet, start)
        end = start + 4 + length
        if code != COOKIE:
            others += packet[start:end]
        elif found is None:
            found = packet[start + 4 : end]
        start = end
    if found is None or start != len(packet):
        return None
    stripped = packet[: at + _OPT_RECORD - 2] + pack("!H", len(others)) + others
    return _Brought(found, stripped, udp_size, at == HEADER)


def _end_of_question(packet: bytes) -> int:
    """Where the first byte behind the question stands; the packet's end if there is none."""
    at, end = HEADER, len(packet)
    while at < end and (length := packet[at]):
        if length > LONGEST_LABEL:
            return end
        at += 1 + length
    return at + 5


def _lone_reply(packet: bytes, option: bytes, rcode: Rcode) -> bytes:
    (flags,) = unpack_from("!H", packet, 2)
    head = pack("!H", QR | flags & (RD | CD) | rcode & 0xF) + _NO_QUESTION
    opt = _OPT + pack("!HIH", Dialect().udp_size, rcode >> 4 << 24, len(option))
    return packet[:2] + head + opt + option


def _with_option(reply: bytes, option: bytes, size: int) -> bytes:
    """The reply with the option in its OPT record, if it has one, in no more bytes than the client and we take."""
    at = _place_of_opt(reply)
    if at is None:
        return reply
    udp_size, length = unpack_from("!H4xH", reply, at + 3)
    with_option = reply[: at + 9] + pack("!H", length + len(option)) + reply[at + _OPT_RECORD :] + option
    space = size if size == wire.LARGEST else min(max(size, wire.SMALLEST_UDP), udp_size)
    if len(with_option) <= space:
        return with_option
    try:
        message = read_message(with_option)
    except FormatError:
        return reply
    return message.to(with_option, end_of_question_name(reply), space)


def _place_of_opt(reply: bytes) -> int | None:
    """Where the OPT record begins, the last one; what looks like one in its options does not end where that does."""
    if not has_question(reply):
        return None
    at = len(reply)
    while (at := reply.rfind(_OPT, HEADER, at + 2)) >= 0:
        if at + _OPT_RECORD <= len(reply) and at + _OPT_RECORD + unpack_from("!H", reply, at + 9)[0] == len(reply):
            return at
    return None
