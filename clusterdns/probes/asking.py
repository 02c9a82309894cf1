"""Asks one probe, once: whatever its server does is an outcome."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import ssl
from typing import TYPE_CHECKING

from clusterdns.probes.probe import GrpcHealth, HttpGet, NoPort, Outcome, TcpSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.probes.http_get import HttpGets
    from clusterdns.probes.probe import Probe, Request


LONGEST_TEXT = 200
"""Characters of what an outcome says: a server may send any number, and they are kept, logged and shown."""
_OUR_OWN = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))
"""What is wanting on this machine, and tells nothing of the server."""


class NotAsked(Exception):
    """A probe that could not be made, for want of something here."""


def prepare() -> None:
    """Load what probes take, which is a third of a second's work: whoever needs none need not wait for it."""
    from clusterdns.probes import grpc_health, http_get  # noqa: F401, PLC0415


class Asking:
    """Asks; `addresses` resolves host names."""

    def __init__(self, addresses: Callable[[str], tuple[str, ...]]) -> None:
        self._addresses = addresses
        self._http: HttpGets | None = None

    async def outcome(self, probe: Probe) -> Outcome:
        """Raises NotAsked."""
        try:
            async with asyncio.timeout(probe.timeout):
                found = await self._asked(probe.request)
        except TimeoutError:
            return Outcome(is_success=False, text=f"no answer within {probe.timeout} s")
        except Exception as error:  # noqa: BLE001 - whatever a server does, it must not end ours
            if isinstance(error, OSError) and error.errno in _OUR_OWN:
                raise NotAsked(_reason(error)) from None
            return Outcome(is_success=False, text=_line(_reason(error)))
        return Outcome(found.is_success, _line(found.text))

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def _asked(self, request: Request) -> Outcome:
        match request:
            case HttpGet():
                if self._http is None:
                    from clusterdns.probes.http_get import HttpGets  # noqa: PLC0415 - see prepare

                    self._http = HttpGets(self._addresses)
                return await self._http.outcome(request)
            case TcpSocket():
                return await _connected(self._address(request.host), request.port)
            case GrpcHealth():
                from clusterdns.probes import grpc_health  # noqa: PLC0415 - see prepare

                return await grpc_health.outcome(request, self._address(request.host))
            case NoPort():
                return Outcome(is_success=False, text="the container has no port of this name")

    def _address(self, host: str) -> str:
        """Raises OSError."""
        found = self._addresses(host)
        if not found:
            raise OSError(None, "its address is not known")
        return found[0]


async def _connected(address: str, port: int) -> Outcome:
    """Raises OSError."""
    _, writer = await asyncio.open_connection(address, port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Outcome(is_success=True, text="connected")


def _reason(error: Exception) -> str:
    for each in (error.__cause__, error):
        if isinstance(each, ssl.SSLError):
            return f"TLS: {(getattr(each, 'reason', '') or 'it failed').lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _line(text: str) -> str:
    """The beginning, as one line that gives no orders to a terminal."""
    words = " ".join(text[: 2 * LONGEST_TEXT].split())
    shown = "".join([each if each.isprintable() else "?" for each in words])
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[: LONGEST_TEXT - 1]}…"
