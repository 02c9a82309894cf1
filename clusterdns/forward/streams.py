"""Queries over TCP and TLS (RFC 7766): connections are kept, pipelined, and replaced when they have grown stale."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.forward.address import UpstreamAddress

PIPELINE = 64
"""Queries on one connection before another is opened."""

MOST_STREAMS = 8
"""Connections to one upstream."""

KEPT_SECONDS = 10.0
"""How long a connection is kept for the next query."""

CONNECT_SECONDS = 4.0

MOST_WRONG = 100
"""Messages on one connection that answer no question which is waited for."""


class Pending:
    """A query on its way over a stream; `take` and `fail` are as in Datagram."""

    def __init__(self, query: bytes, take: Callable[[bytes], bool], fail: Callable[[str], None]) -> None:
        self.query = query
        self.take = take
        self.fail = fail
        self.has_moved = False
        """Whether it was on another connection before, which was lost."""
        self.stream: Stream | None = None
        self.id = b""
        self.sent_at = 0.0

    def close(self) -> None:
        """There is no more need for a response."""
        if self.stream is not None:
            self.stream.forget(self)
            self.stream = None


class Streams:
    """The connections to one upstream."""

    def __init__(
        self, address: UpstreamAddress, tls: ssl.SSLContext | None, kept_seconds: float = KEPT_SECONDS
    ) -> None:
        self._address = address
        self._tls = tls
        self._kept_seconds = kept_seconds
        self._open: list[Stream] = []

    def ask(self, query: bytes, take: Callable[[bytes], bool], fail: Callable[[str], None]) -> Pending:
        pending = Pending(query, take, fail)
        self._send(pending)
        return pending

    def close(self) -> None:
        for stream in list(self._open):
            stream.abort("it is not needed")

    def _send(self, pending: Pending) -> None:
        usable = [each for each in self._open if each.is_usable]
        stream = min(usable, key=lambda each: each.load, default=None)
        if stream is None or (stream.load >= PIPELINE and len(usable) < MOST_STREAMS):
            stream = Stream(self._lost, self._kept_seconds)
            self._open.append(stream)
            stream.connect(self._address, self._tls)
        stream.send(pending)

    def _lost(self, stream: Stream, why: str, left: list[Pending]) -> None:
        """A kept connection may end at any time; what was asked over it is asked once more, over a new one."""
        self._open.remove(stream)
        for pending in left:
            if stream.was_of_use and not pending.has_moved:
                pending.has_moved = True
                self._send(pending)
            else:
                pending.fail(why)


class Stream(asyncio.Protocol):
    """One connection."""

    def __init__(self, lost: Callable[[Stream, str, list[Pending]], None], kept_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._kept_seconds = kept_seconds
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: dict[bytes, Pending] = {}
        self._received = bytearray()
        self._idle: asyncio.TimerHandle | None = None
        self._is_over = False
        self._is_stale = False
        self._last_read = 0.0
        self._wrong = 0
        self.was_of_use = False
        """Whether it has brought a response."""

    @property
    def is_usable(self) -> bool:
        return not (self._is_over or self._is_stale)

    @property
    def load(self) -> int:
        return len(self._waiting)

    def connect(self, address: UpstreamAddress, tls: ssl.SSLContext | None) -> None:
        self._connecting = self._loop.create_task(self._connect(address, tls))

    async def _connect(self, address: UpstreamAddress, tls: ssl.SSLContext | None) -> None:
        name = (address.server_name or address.host) if tls else None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._loop.create_connection(
                    lambda: self, address.host, address.port, ssl=tls, server_hostname=name
                )
        except ssl.SSLCertVerificationError as error:
            self._end(f"its certificate is not right: {error.verify_message}")
        except ssl.SSLError as error:
            self._end(f"no TLS: {error.reason or error}")
        except TimeoutError:
            self._end("no connection in time")
        except OSError as error:
            self._end((error.strerror or str(error)).lower())

    def send(self, pending: Pending) -> None:
        pending.stream = self
        pending.sent_at = self._loop.time()
        while not pending.id or pending.id in self._waiting:
            pending.id = secrets.token_bytes(2)
        self._waiting[pending.id] = pending
        if self._idle:
            self._idle.cancel()
            self._idle = None
        if self._transport is not None:
            self._write(pending)

    def forget(self, pending: Pending) -> None:
        """Nobody waits for this response any more; if nothing has come since it was asked, the connection is stale."""
        if self._waiting.pop(pending.id, None) is not None and self._last_read <= pending.sent_at:
            self._is_stale = True
        self._rest()

    def abort(self, why: str) -> None:
        if self._connecting:
            self._connecting.cancel()
        if self._transport:
            self._transport.abort()
        self._end(why)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream has
        self._transport = transport
        for pending in self._waiting.values():
            self._write(pending)
        self._rest()

    def data_received(self, data: bytes) -> None:
        self._last_read = self._loop.time()
        received = self._received
        received += data
        at = 0
        while len(received) >= at + 2:
            end = at + 2 + int.from_bytes(received[at : at + 2], "big")
            if len(received) < end:
                break
            packet = bytes(received[at + 2 : end])
            at = end
            pending = self._waiting.get(packet[:2])
            if pending is not None and pending.take(packet):
                self.was_of_use = True
                self._waiting.pop(pending.id, None)
                pending.stream = None
            else:
                self._wrong += 1  # or late: its asker had no more patience
        del received[:at]
        if self._wrong > MOST_WRONG:
            self.abort("sent responses to other questions")
            return
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end((getattr(exc, "strerror", None) or "the connection was closed").lower())

    def _write(self, pending: Pending) -> None:
        assert self._transport is not None  # noqa: S101
        self._transport.write(len(pending.query).to_bytes(2, "big") + pending.id + pending.query[2:])

    def _rest(self) -> None:
        """Once nothing is waited for: keep the connection for a while, unless it is stale."""
        if self._waiting or self._is_over:
            return
        if self._is_stale:
            self.abort("it has grown stale")
        elif self._idle is None:
            self._idle = self._loop.call_later(self._kept_seconds, self.abort, "it is not needed")

    def _end(self, why: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._idle:
            self._idle.cancel()
        left, self._waiting = list(self._waiting.values()), {}
        self._lost(self, why, left)
