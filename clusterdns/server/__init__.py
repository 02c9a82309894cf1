"""UDP, TCP and TLS sockets: knows packets, not DNS.

All that it is told is a `Respond`: from the bytes of a packet to those of the reply, to a reply that is still to come,
or to None for silence. What can be answered at once is answered where it is read, without a task or a future; the other
replies go out as they become ready, on streams too (RFC 7766 section 6.2.1.1).
"""

from clusterdns.server.binding import CannotListen, Reservation, address_text, bind_stream
from clusterdns.server.replies import Client, Respond, StreamClient
from clusterdns.server.server import GOODBYE_SECONDS, Server
from clusterdns.server.streams import Limits, Listener

__all__ = [
    "GOODBYE_SECONDS",
    "CannotListen",
    "Client",
    "Limits",
    "Listener",
    "Reservation",
    "Respond",
    "Server",
    "StreamClient",
    "address_text",
    "bind_stream",
]
