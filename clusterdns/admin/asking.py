"""Asks a running server: one request, whose answer is read line by line as it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from clusterdns.admin.place import Place

CONNECT_SECONDS = 5.0

LONGEST_LINE = 64 << 20
"""Bytes. A slice has at most a thousand endpoints; this is only so that there is an end."""


class NoServer(Exception):
    """Nobody answers there; the message says where, and why."""


class Refused(Exception):
    """The server answers, but not that; the message is its own."""


async def ask(place: Place, path: str, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
    """The lines of the answer, until the server ends it. Raises NoServer and Refused."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await _connected(place)
    except TimeoutError:
        raise NoServer(f"{place}: nobody answers") from None
    except OSError as error:
        raise NoServer(f"{place}: {_why(error)}") from None
    try:
        # HTTP/1.0: the answer comes as it is, and ends with the connection.
        writer.write(f"GET {path}?{urlencode(query)} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        try:
            status = await _status(reader)
            if status != 200:
                reason = (await reader.read(1000)).decode(errors="replace").strip()
                raise Refused(reason or f"{place}: the server says {status}")
            while line := await reader.readline():
                yield line
        except (OSError, ValueError, IndexError) as error:
            raise NoServer(f"{place}: the answer broke off: {error}") from None
    finally:
        writer.close()


async def _connected(place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if place.path is not None:
        return await asyncio.open_unix_connection(place.path, limit=LONGEST_LINE)
    return await asyncio.open_connection(place.host, place.port, limit=LONGEST_LINE)


async def _status(reader: asyncio.StreamReader) -> int:
    """That of the answer, whose headers are read then. Raises ValueError and IndexError for what is no HTTP."""
    status = int((await reader.readline()).split()[1])
    while (await reader.readline()).strip():
        pass
    return status


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such socket"
        case ConnectionRefusedError():
            return "nobody listens there"
        case _:
            return (error.strerror or str(error)).lower()
