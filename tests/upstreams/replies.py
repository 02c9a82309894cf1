"""Whether two replies say the same, TTLs aside; first by their bytes, since most are alike, then by what they mean."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dns.rrset import RRset

HEADER = 12
OPT = 41
COMPARED = dns.flags.QR | dns.flags.AA | dns.flags.TC | dns.flags.RD | dns.flags.AD | dns.flags.CD | 0x0F

Section: TypeAlias = "set[tuple[object, ...]]"


def bare(packet: bytes) -> bytes:
    """A reply without its ID, its TTLs, the RA bit, and an OPT record at its end."""
    flags, questions, *counts = struct.unpack_from("!5H", packet, 2)
    position = HEADER
    for _ in range(questions):
        position = _name_end(packet, position) + 4
    stripped = bytearray(packet)
    stripped[:2] = bytes(2)
    struct.pack_into("!H", stripped, 2, flags & COMPARED)
    for _ in range(sum(counts)):
        start = position
        position = _name_end(packet, position)
        rtype, _, _, length = struct.unpack_from("!HHIH", packet, position)
        if rtype == OPT:
            struct.pack_into("!H", stripped, 10, counts[2] - 1)
            return bytes(stripped[:start])
        stripped[position + 4 : position + 8] = bytes(4)
        position += 10 + length
    return bytes(stripped)


def _name_end(packet: bytes, position: int) -> int:
    while (length := packet[position]) and length < 0xC0:
        position += 1 + length
    return position + (2 if length else 1)


def difference(expected: bytes, got: bytes, *, ignored: int = 0) -> str:
    """In words; empty if there is none. ignored: flags that may differ."""
    if bare(expected) == bare(got):
        return ""
    theirs, ours = dns.message.from_wire(expected), dns.message.from_wire(got)
    compared = COMPARED & ~0x0F & ~ignored
    if theirs.rcode() != ours.rcode():
        return f"{dns.rcode.to_text(ours.rcode())}, not {dns.rcode.to_text(theirs.rcode())}"
    if (theirs.flags ^ ours.flags) & compared:
        return f"flags {dns.flags.to_text(ours.flags)}, not {dns.flags.to_text(theirs.flags)}"
    if theirs.question != ours.question:
        return f"the question {ours.question}, not {theirs.question}"
    for title, theirs_section, ours_section in zip(
        ("answer", "authority", "additional"), theirs.sections[1:], ours.sections[1:], strict=True
    ):
        left, right = _records(theirs_section), _records(ours_section)
        if left != right:
            return f"{title}: {right - left or 'nothing'} in place of {left - right or 'nothing'}"
    return ""


def _records(section: Iterable[RRset]) -> Section:
    return {
        (rrset.name, dns.rdatatype.to_text(rrset.rdtype), rrset.covers, data) for rrset in section for data in rrset
    }
