"""DNS cookies (RFC 7873), made as all servers of one address can make and check them (RFC 9018).

A server cookie is a hash of the client's cookie, the time and the client's address, with a secret: nothing is kept of
whom it was given to. Whoever shows one receives what is sent to the address that it comes from.
"""

from __future__ import annotations

from struct import pack, unpack_from
from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.around.siphash import KEY_BYTES, siphash
from clusterdns.queries import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLIENT_BYTES = 8
SERVER_BYTES = range(8, 33)
"""What RFC 7873 section 4 allows; ours have 16."""

VERSION = 1

OLDEST_SECONDS = 3600
"""A server cookie that is older is no good any more (RFC 9018 section 4.3, as the next two)."""

FROM_THE_FUTURE_SECONDS = 300

RENEWED_AFTER_SECONDS = 1800

MOST_REMEMBERED = 10_000
"""Cookies whose answer is remembered: a client shows the same one again and again, and a hash takes a while."""

REMEMBERED_SECONDS = 300.0


class NotASecret(ValueError):
    """The text is no secret; the message says what is expected."""


def secret(text: str) -> bytes:
    """A secret from its text. Raises NotASecret."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != KEY_BYTES or len(text) != 2 * KEY_BYTES:
        raise NotASecret(f"expected {2 * KEY_BYTES} hexadecimal digits")
    return found


class ServerCookies:
    """Makes them with the first secret, and takes those of all.

    now: seconds since 1970.
    """

    def __init__(self, secrets: Sequence[bytes], now: Callable[[], float]) -> None:
        self._secrets = tuple(secrets)
        self._now = now
        self._remembered: dict[tuple[str, bytes], tuple[bytes, bool]] = {}
        self._forget_at = float("-inf")

    def answer(self, address: str, cookie: bytes) -> tuple[bytes, bool]:
        """The whole cookie that a client gets which has shown this one, and whether that proves its address.

        Raises FormatError.
        """
        now = self._now()
        if now >= self._forget_at or len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
            self._forget_at = now + REMEMBERED_SECONDS
        found = self._remembered.get((address, cookie))
        if found is None:
            found = self._remembered[address, cookie] = self._answer(address, cookie, int(now))
        return found

    def _answer(self, address: str, cookie: bytes, now: int) -> tuple[bytes, bool]:
        of_client, of_server = cookie[:CLIENT_BYTES], cookie[CLIENT_BYTES:]
        if len(of_client) < CLIENT_BYTES or (of_server and len(of_server) not in SERVER_BYTES):
            raise FormatError(f"a cookie of {len(cookie)} bytes")
        packed = names.address(address.partition("%")[0]) or b""
        made_with = self._made_with(of_client, of_server, packed)
        age = 0
        if made_with is not None:
            (made_at,) = unpack_from("!I", of_server, 4)
            age = ((now - made_at + 0x80000000) & 0xFFFFFFFF) - 0x80000000  # RFC 1982: it goes on past 2106
        proves = made_with is not None and -FROM_THE_FUTURE_SECONDS <= age <= OLDEST_SECONDS
        if proves and made_with == 0 and age <= RENEWED_AFTER_SECONDS:
            return cookie, True
        head = pack("!B3xI", VERSION, now & 0xFFFFFFFF)
        return of_client + head + siphash(self._secrets[0], of_client + head + packed), proves

    def _made_with(self, of_client: bytes, of_server: bytes, packed: bytes) -> int | None:
        """The number of the secret that it was made with, if it is one of ours."""
        if len(of_server) != 16 or of_server[0] != VERSION:
            return None
        message = of_client + of_server[:8] + packed
        for number, each in enumerate(self._secrets):
            if siphash(each, message) == of_server[8:]:
                return number
        return None
