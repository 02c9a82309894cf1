"""A probe over HTTP, as a kubelet makes it: any certificate will do, and a new connection each time.

Source of the rules: the kubelet's pkg/probe/http.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from clusterdns import __version__
from clusterdns.probes.probe import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.probes.probe import HttpGet

USER_AGENT = f"kube-probe/1.37 clusterdns/{__version__}"
"""Servers tell probes by its beginning."""
MOST_BYTES = 32 << 10
"""Of what a server sends: each header and each chunk takes our time..."""
MOST_OF_BODY = 1 << 10
"""...and of a body, whose rest is not read: it may come a byte a chunk. A kubelet reads 10 KB."""
MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)


class HttpGets:
    """Asks over HTTP; `addresses` resolves host names."""

    def __init__(self, addresses: Callable[[str], tuple[str, ...]]) -> None:
        connector = _Connector(limit=0, force_close=True, ssl=False, resolver=_Known(addresses), use_dns_cache=False)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
            timeout=aiohttp.ClientTimeout(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def outcome(self, request: HttpGet) -> Outcome:
        """Raises OSError, ValueError and aiohttp.ClientError."""
        try:
            return await self._followed(request)
        except aiohttp.ClientResponseError as error:
            reason = error.message.strip().partition("\n")[0].rstrip(":").lower()
            return Outcome(is_success=False, text=f"no HTTP: {reason}")

    async def _followed(self, request: HttpGet) -> Outcome:
        headers = _headers(request)
        where = request.url
        for _ in range(MOST_REDIRECTS):
            async with self._session.get(where, headers=headers, allow_redirects=False) as response:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or not location:
                    await _read(response.content)
                    return Outcome(200 <= response.status < 400, str(response.status))
                given = type(response.url)(location)
                target = response.url.join(given)
                if target.host != response.url.host:
                    return Outcome(is_success=True, text=f"{response.status}, a redirect to another host: {target}")
                if given.host:  # a location that is relative leaves the host that was asked for
                    headers = [each for each in headers if each[0].lower() != "host"]
                where = str(target)
        return Outcome(is_success=False, text=f"stopped after {MOST_REDIRECTS} redirects")


def _headers(request: HttpGet) -> list[tuple[str, str]]:
    given = {name.lower(): value for name, value in request.headers}
    headers = [each for each in request.headers if each[0].lower() != "accept" or given["accept"]]
    defaults = (("User-Agent", USER_AGENT), ("Accept", "*/*"))
    return [*headers, *(each for each in defaults if each[0].lower() not in given)]


async def _read(content: aiohttp.StreamReader) -> None:
    left = MOST_OF_BODY
    while left > 0 and (read := await content.read(left)):
        left -= len(read)


class _Connector(aiohttp.TCPConnector):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory: functools.partial[Any] = functools.partial(_Bounded, loop=self._loop)


class _Bounded(ResponseHandler):
    """Takes so many bytes, and leaves the others where they are."""

    _left = MOST_BYTES

    def data_received(self, data: bytes) -> None:
        taken, self._left = data[: self._left], max(0, self._left - len(data))
        super().data_received(taken)
        if data and not self._left and isinstance(self.transport, asyncio.Transport):
            self.transport.pause_reading()


class _Known(AbstractResolver):
    """Host names as they were last resolved: no probe waits for the system's resolver."""

    def __init__(self, addresses: Callable[[str], tuple[str, ...]]) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, *_: Any, **__: Any) -> list[ResolveResult]:
        found = self._addresses(host)
        if not found:
            raise OSError(None, "its address is not known")
        return [
            ResolveResult(
                hostname=host,
                host=each,
                port=port,
                family=socket.AF_INET6 if ":" in each else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for each in found
        ]

    async def close(self) -> None:
        pass
