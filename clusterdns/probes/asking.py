"""Asks one probe, once: whatever happens is an outcome."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from clusterdns.probes.probe import GrpcHealth, HttpGet, NoPort, Outcome, TcpSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.probes.http_get import HttpGets
    from clusterdns.probes.probe import Probe, Request


def prepare() -> None:
    """Load what probes take, which is a third of a second's work: whoever needs none need not wait for it."""
    from clusterdns.probes import grpc_health, http_get  # noqa: F401, PLC0415


class Asking:
    """Asks; `addresses` resolves host names."""

    def __init__(self, addresses: Callable[[str], tuple[str, ...]]) -> None:
        self._addresses = addresses
        self._http: HttpGets | None = None

    async def outcome(self, probe: Probe) -> Outcome:
        try:
            async with asyncio.timeout(probe.timeout):
                return await self._asked(probe.request)
        except TimeoutError:
            return Outcome(is_success=False, text=f"no answer within {probe.timeout} s")
        except Exception as error:  # noqa: BLE001 - whatever a server does, it must not end ours
            return Outcome(is_success=False, text=_reason(error))

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
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
