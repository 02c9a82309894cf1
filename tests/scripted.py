"""A name server that says what it is told to, over UDP and TCP, and remembers what it was asked."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from serving import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Asked(NamedTuple):
    name: str
    rtype: str
    transport: str


class Scripted:
    """Listens on a port of 127.0.0.1, the same one over UDP and TCP, until the `with` block ends.

    script: gives the packets that answer a query: none, one or several.
    """

    def __init__(self, script: Callable[[dns.message.Message, Asked], Iterable[bytes]], *, tcp: bool = True) -> None:
        self.asked: list[Asked] = []
        self.queries: list[bytes] = []
        self._script = script
        self._has_tcp = tcp
        self._connections: set[socket.socket] = set()
        self._open = threading.Lock()
        """Held while connections come, go and are cut."""
        self._end = ExitStack()

    def __enter__(self) -> Self:
        self._tcp = self._end.enter_context(socket.create_server(("127.0.0.1", free_port())))
        self.port = self._tcp.getsockname()[1]
        self._udp = self._end.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        self._udp.bind(("127.0.0.1", self.port))
        if not self._has_tcp:
            self._tcp.close()
        serving = [self._serve_udp, *([self._serve_tcp] if self._has_tcp else [])]
        self._threads = [threading.Thread(target=each) for each in serving]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.sendto(b"", ("127.0.0.1", self.port))
        if self._has_tcp:
            self._tcp.shutdown(socket.SHUT_RD)
            with self._open, suppress(OSError):  # its client may have gone by itself
                for each in self._connections:
                    each.shutdown(socket.SHUT_RD)
        for each in self._threads:
            each.join()
        self._end.close()

    def _packets(self, packet: bytes, transport: str) -> Iterable[bytes]:
        query = dns.message.from_wire(packet)
        (question,) = query.question
        asked = Asked(question.name.to_text(), dns.rdatatype.to_text(question.rdtype), transport)
        self.asked.append(asked)
        self.queries.append(packet)
        return self._script(query, asked)

    def _serve_udp(self) -> None:
        while True:
            packet, client = self._udp.recvfrom(4096)
            if not packet:
                return
            for each in self._packets(packet, "UDP"):
                self._udp.sendto(each, client)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with self._open:
                self._connections.add(connection)
            with connection, connection.makefile("rwb") as stream:
                while len(length := stream.read(2)) == 2:
                    packet = stream.read(int.from_bytes(length, "big"))
                    for each in self._packets(packet, "TCP"):
                        stream.write(struct.pack("!H", len(each)) + each)
                    stream.flush()
                with self._open:
                    self._connections.discard(connection)


def reply(query: dns.message.Message, *answer: str, rcode: str = "NOERROR", flags: str = "") -> bytes:
    """A reply with these records, each as a line of a zone file; `@` stands for the name that was asked for."""
    message = dns.message.make_response(query, recursion_available=True)
    message.set_rcode(dns.rcode.from_text(rcode))
    message.flags |= dns.flags.from_text(flags)
    for line in answer:
        owner, ttl, rtype, data = line.split(maxsplit=3)
        name = query.question[0].name if owner == "@" else dns.name.from_text(owner)
        message.answer.append(dns.rrset.from_text(name, int(ttl), "IN", rtype, data))
    return message.to_wire()
