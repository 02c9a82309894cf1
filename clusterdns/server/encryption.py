"""TLS (RFC 7858): between a TCP connection and whoever reads and writes there.

Not asyncio's own TLS: that keeps a quarter of a megabyte for each connection, and does not show a client to us, to be
counted and to give way, before its handshake is over.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clusterdns.server import leftovers

if TYPE_CHECKING:
    from clusterdns.server.turns import Turns

log = logging.getLogger("clusterdns.server")

HANDSHAKE_SECONDS = 5.0
"""For a client that is far away and slow. Whoever has said nothing sensible by then is cut off."""

PIECE = 16 << 10
"""The most that one TLS record holds."""


_PIECE = memoryview(bytearray(PIECE))
"""Where all connections read to, one after the other."""


class Encrypted(asyncio.BufferedProtocol, asyncio.Transport):
    """A protocol to the TCP transport, and a transport to the protocol within, to which it hands what it decrypts.

    The protocol within is told of the connection at once, and has nothing to read before the handshake is over.
    """

    _transport: asyncio.Transport

    def __init__(self, within: asyncio.Protocol, context: ssl.SSLContext, handshakes: Turns) -> None:
        super().__init__()
        self._within = within
        self._handshakes = handshakes
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_shaken = False
        self._is_ended = False
        self._is_over = False
        self._late: asyncio.TimerHandle | None = None

    # What TCP tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream server makes
        self._transport = transport
        self._late = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, transport.abort)
        self._within.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._within.connection_lost(exc)
        self._within = asyncio.Protocol()  # which goes by itself, as this does then
        leftovers.clear(self._transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return _PIECE

    def buffer_updated(self, nbytes: int) -> None:
        if self._is_over:
            return
        self._incoming.write(_PIECE[:nbytes])
        if self._is_shaken or self._handshakes.take():
            self._read()
        else:
            self._transport.pause_reading()
            self._handshakes.wait(self._go_on)

    def _go_on(self) -> None:
        """Shake hands, now that it is our turn: it takes many times what an answer does."""
        if self.is_closing():
            return
        if self._handshakes.take():
            self._transport.resume_reading()
            self._read()
        else:
            self._handshakes.wait(self._go_on)

    def _read(self) -> None:
        try:
            if not self._is_shaken:
                self._tls.do_handshake()
                self._is_shaken = True
                self._stop_waiting()
            while not self.is_closing():
                piece = self._tls.read(PIECE)
                if not piece:
                    self.eof_received()  # said in TLS
                    break
                self._within.data_received(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            fields = {"client": (self.get_extra_info("peername") or ("a client",))[0], "error": error.reason or error}
            log.warning("TLS with %(client)s failed: %(error)s", fields)
            self._flush()  # the client is told what is wrong
            self._transport.close()
        self._flush()

    def eof_received(self) -> bool:
        if self._is_ended:
            return True
        self._is_ended = True
        if self._is_shaken and self._within.eof_received():
            return True
        self.close()
        return False

    def pause_writing(self) -> None:
        self._within.pause_writing()

    def resume_writing(self) -> None:
        self._within.resume_writing()

    # What the protocol within asks of us.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._tls.write(data)
        self._flush()

    def close(self) -> None:
        """Say so in TLS, then close; nobody waits for the client to say it too."""
        if not self.is_closing():
            self._end()
            self._transport.close()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Say no more, and listen no more either: TLS may have ended, and what still comes can not be read."""
        self._end()
        self._transport.write_eof()

    def _end(self) -> None:
        if self._is_shaken and not self._is_over:
            self._is_over = True
            with suppress(ssl.SSLError):  # that the client has not said it
                self._tls.unwrap()
            self._flush()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def _flush(self) -> None:
        if self._outgoing.pending and not self._transport.is_closing():
            self._transport.write(self._outgoing.read())

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
