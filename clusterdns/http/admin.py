"""The admin socket's pages: each answers with lines, as they come, for as long as somebody reads them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import hdrs, web

if TYPE_CHECKING:
    import socket

Page: TypeAlias = Callable[[Mapping[str, str]], AsyncGenerator[bytes, None]]
"""From the query of a URL to the lines of the answer. Raises ValueError before the first, if it can not be."""

GOODBYE_SECONDS = 0.2
"""For those who are still reading when the server ends."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", None})


async def serve(socket_: socket.socket, pages: Mapping[str, Page]) -> web.AppRunner:
    """Answer on the socket, which listens already, until the runner is cleaned up."""
    app = web.Application(middlewares=[_only_by_its_own_name])
    for path, page in pages.items():
        app.router.add_get(path, partial(_show, page))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=GOODBYE_SECONDS)
    await runner.setup()
    await web.SockSite(runner, socket_).start()
    return runner


@web.middleware
async def _only_by_its_own_name(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A page in a browser may have a name that leads here, and must not read what is said here."""
    if request.url.host not in LOOPBACK:
        raise web.HTTPForbidden(text="this is asked as localhost\n")
    return await handler(request)


async def _show(page: Page, request: web.Request) -> web.StreamResponse:
    async with aclosing(page(request.query)) as lines:
        try:
            first = await anext(lines, b"")
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "application/x-ndjson"})
        with suppress(ConnectionResetError):  # whoever has read enough goes
            await response.prepare(request)
            if first:
                await response.write(first)
            async for line in lines:
                await response.write(line)
    return response
