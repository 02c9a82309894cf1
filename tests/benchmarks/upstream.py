"""An upstream that answers every question with one address: for an hour, or for no time at all below `uncached`.

python tests/benchmarks/upstream.py PORT
"""

from __future__ import annotations

import socket
import struct
import sys

HEADER = 12
UNCACHED = b"\x08uncached"


def reply(query: bytes) -> bytes:
    """The question, and an A record at a pointer to it. Whatever stands behind the question is left out."""
    end = query.index(0, HEADER) + 5
    question = query[HEADER:end]
    ttl = 0 if UNCACHED in question else 3600
    record = struct.pack("!HHHIH4B", 0xC00C, 1, 1, ttl, 4, 192, 0, 2, 1)
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + question + record


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        udp.bind(("127.0.0.1", int(sys.argv[1])))
        while True:
            query, client = udp.recvfrom(4096)
            udp.sendto(reply(query), client)


if __name__ == "__main__":
    main()
