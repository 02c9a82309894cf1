"""Packets that no client would send, over real sockets: the server answers them, or not, and goes on."""

from __future__ import annotations

import random
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.rcode
import pytest
from serving import EXAMPLE, Serving

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20261122
PACKETS = 100_000
WINDOW = 50
"""Packets on their way at a time: so few that the kernel drops none, at either end."""
CONNECTIONS = 300

GOOD = dns.message.make_query("alpaca-prod.default.svc.cluster.local", "A", use_edns=0, id=0xFFFF).to_wire()
GOOD_ANSWER = bytes((10, 96, 78, 232))

DB = "02 6462 04 73686f70 03 737663 07 636c7573746572 05 6c6f63616c 00"
WEB = "03 776562 04 73686f70 03 737663 07 636c7573746572 05 6c6f63616c 00"
ZONE = "07 636c7573746572 05 6c6f63616c 00"
REVERSE = "02 3230 01 33 03 323434 02 3130 07 696e2d61646472 04 61727061 00"
COOKIE_AND_PADDING = "000a 0008 0102030405060708 000c 0006 000000000000"
SOA = "c00c 0006 0001 00000000 0018 c00c c00c 00000001 00000002 00000003 00000004 00000005"
TSIG = "03 6b6579 00 00fa 00ff 00000000 0017 03 736861 00 000012345678 012c 0002 abcd 1234 0000 0000"

QUERIES = [
    f"1234 0100 0001 0000 0000 0000 {DB} 0001 0001",
    f"1234 0120 0001 0000 0000 0001 {DB} 0001 0001 00 0029 04d0 00008000 0016 {COOKIE_AND_PADDING}",
    f"1234 0100 0001 0000 0000 0000 {WEB} 0021 0001",
    f"1234 0100 0001 0000 0000 0001 {REVERSE} 000c 0001 00 0029 0200 00000000 0000",
    f"1234 0000 0001 0000 0001 0000 {ZONE} 00fb 0001 {SOA}",  # IXFR
    f"1234 0000 0001 0000 0000 0001 {ZONE} 0006 0001 {TSIG}",
    "1234 0100 0002 0000 0000 0000 01 61 00 0001 0001 c00c 001c 0001",  # two questions
]
SEEDS = list(map(bytes.fromhex, QUERIES))


def mutated(chance: random.Random) -> bytes:
    """A packet that was a query once."""
    packet = bytearray(chance.choice(SEEDS))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(packet) + 1) if packet else 0
        match chance.randrange(9):
            case 0:
                packet[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                packet[at : at + 1] = bytes((chance.choice((0, 1, 63, 64, 127, 128, 191, 192, 255)),))
            case 2:
                del packet[at:]
            case 3:
                packet[at:at] = chance.randbytes(chance.choice((1, 2, 4, 60, 300)))
            case 4:
                del packet[at : at + chance.randrange(1, 9)]
            case 5:  # the counts in the header
                count = 4 + 2 * chance.randrange(4)
                packet[count : count + 2] = struct.pack("!H", chance.choice((0, 1, 2, 255, 65535)))
            case 6:  # the flags
                packet[2:4] = chance.randbytes(2)
            case 7:  # another packet's end
                packet[at:] = chance.choice(SEEDS)[at:]
            case 8:  # a compression pointer
                packet[at : at + 2] = struct.pack("!H", 0xC000 | chance.randrange(len(packet) + 2))
    return bytes(packet)


@pytest.fixture
def server(serve: Callable[..., Serving]) -> Serving:
    """What it must do in the end is looked after by `serve`: no traceback in the log, and exit code 0."""
    return serve("--manifests", EXAMPLE)


def is_good(reply: bytes) -> bool:
    return reply[:2] == GOOD[:2] and GOOD_ANSWER in reply


class TestDatagrams:
    def test_the_server_goes_on(self, server: Serving) -> None:
        """A good query after every few bad ones is answered each time; then all before it have been dealt with."""
        chance = random.Random(SEED)
        replies = 0
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect(("127.0.0.1", server.port))
            for _ in range(PACKETS // WINDOW):
                window = [self.numbered(number, mutated(chance)) for number in range(WINDOW)]
                for packet in window:
                    client.send(packet)
                client.send(GOOD)
                while not is_good(reply := client.recv(65535)):
                    replies += 1
                    self.check(reply, window[int.from_bytes(reply[:2], "big")], thoroughly=replies % 20 == 0)
        assert PACKETS // 2 < replies < PACKETS
        assert server.answers("db.shop.svc.cluster.local") == ["10.244.3.10", "10.244.3.11"]
        assert server.stop() == 0
        assert len(server.log.splitlines()) < 20, "a line for each packet would let anybody fill the disk"

    def numbered(self, number: int, packet: bytes) -> bytes:
        return struct.pack("!H", number)[: len(packet)] + packet[2:]

    def check(self, reply: bytes, query: bytes, *, thoroughly: bool) -> None:
        assert len(reply) >= 12
        assert reply[2] & 0x80, "a reply says that it is one"
        assert len(reply) <= 1232
        assert not query[2:3] or query[2] < 0x80, "a response is never answered"
        if thoroughly:
            as_query = reply[:2] + bytes((reply[2] & 0x87,)) + reply[3:]  # the judge has views of its own on UPDATE
            try:
                message = dns.message.from_wire(as_query)
            except dns.exception.DNSException as error:
                pytest.fail(f"{error!r}: {reply.hex()} to {query.hex()}")
            assert message.rcode() != dns.rcode.SERVFAIL, f"{message} to {query.hex()}"


class TestStreams:
    def test_the_server_goes_on(self, server: Serving) -> None:
        """Whatever a client does to its own connection, the next one is served."""
        chance = random.Random(SEED)
        for number in range(CONNECTIONS):
            with (
                socket.create_connection(("127.0.0.1", server.port), timeout=5) as client,
                suppress(BrokenPipeError, ConnectionResetError),  # it may have closed before we have said all
            ):
                for _ in range(chance.randrange(1, 20)):
                    client.sendall(self.segment(chance))
                if number % 3 == 0:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif number % 3 == 1:
                    with suppress(OSError):  # "not connected" any more
                        client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
            if number % 10 == 0:
                assert self.answered(server)
        assert self.answered(server)
        assert server.stop() == 0

    def segment(self, chance: random.Random) -> bytes:
        message = mutated(chance)
        match chance.randrange(4):
            case 0:
                return chance.randbytes(chance.randrange(1, 40))
            case 1:
                return struct.pack("!H", chance.choice((0, 1, 11, len(message) + 1, 65535))) + message
            case _:
                return struct.pack("!H", len(message)) + message

    def answered(self, server: Serving) -> bool:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(struct.pack("!H", len(GOOD)) + GOOD)
            with client.makefile("rb") as stream:
                (length,) = struct.unpack("!H", stream.read(2))
                return is_good(stream.read(length))
