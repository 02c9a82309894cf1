"""SipHash-2-4 (Aumasson and Bernstein, 2012): a short keyed hash, which RFC 9018 makes server cookies with.

Python's own `hash` of bytes is SipHash-1-3, and its key is not ours to set.
"""

from __future__ import annotations

from struct import pack, unpack

KEY_BYTES = 16

_BITS = 0xFFFFFFFFFFFFFFFF
_BEGINNING = tuple(unpack(">4Q", b"somepseudorandomlygeneratedbytes"))


def siphash(key: bytes, message: bytes) -> bytes:
    """The hash of 8 bytes; the key has 16."""
    key0, key1 = unpack("<2Q", key)
    state = (_BEGINNING[0] ^ key0, _BEGINNING[1] ^ key1, _BEGINNING[2] ^ key0, _BEGINNING[3] ^ key1)
    whole, rest = divmod(len(message), 8)
    padded = message + bytes(7 - rest) + bytes((len(message) & 0xFF,))
    for word in unpack(f"<{whole + 1}Q", padded):
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3 ^ word, 2)
        state = v0 ^ word, v1, v2, v3
    v0, v1, v2, v3 = state
    v0, v1, v2, v3 = _rounds(v0, v1, v2 ^ 0xFF, v3, 4)
    return pack("<Q", v0 ^ v1 ^ v2 ^ v3)


def _rounds(v0: int, v1: int, v2: int, v3: int, count: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        v0 = (v0 + v1) & _BITS
        v1 = ((v1 << 13) & _BITS | v1 >> 51) ^ v0
        v0 = (v0 << 32) & _BITS | v0 >> 32
        v2 = (v2 + v3) & _BITS
        v3 = ((v3 << 16) & _BITS | v3 >> 48) ^ v2
        v0 = (v0 + v3) & _BITS
        v3 = ((v3 << 21) & _BITS | v3 >> 43) ^ v0
        v2 = (v2 + v1) & _BITS
        v1 = ((v1 << 17) & _BITS | v1 >> 47) ^ v2
        v2 = (v2 << 32) & _BITS | v2 >> 32
    return v0, v1, v2, v3
