"""Prints the questions that go to port 53 of an address over UDP, one a line; run by itself, in some network."""

from __future__ import annotations

import socket
import struct
import sys

IPV4 = 0x0800
TYPES = {1: "A", 5: "CNAME", 28: "AAAA"}


def main() -> None:
    to = socket.inet_aton(sys.argv[1])
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV4)) as wire:
        wire.bind(("lo", 0))
        print("listening", flush=True)
        while True:
            packet, (_, _, direction, *_) = wire.recvfrom(65535)
            if direction == socket.PACKET_HOST:  # a loopback interface shows each packet on its way out as well
                show(packet, to)


def show(packet: bytes, to: bytes) -> None:
    udp = 4 * (packet[0] & 0x0F)
    if packet[9] != socket.IPPROTO_UDP or packet[16:20] != to or struct.unpack_from("!H", packet, udp + 2) != (53,):
        return
    labels, position = [], udp + 8 + 12
    while length := packet[position]:
        labels.append(packet[position + 1 : position + 1 + length].decode(errors="replace"))
        position += 1 + length
    (rtype,) = struct.unpack_from("!H", packet, position + 1)
    print(".".join(labels), TYPES.get(rtype, rtype), flush=True)


if __name__ == "__main__":
    main()
