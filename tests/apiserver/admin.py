"""The server's Python API over HTTP, for a test in another process: POST /METHOD with its arguments as JSON."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer

METHODS = (
    *("put", "delete", "compact", "snapshot", "restore"),
    *("fail", "slow", "truncate", "hush", "speak", "heal", "cut", "end_streams", "expire", "inject", "configure"),
    *("listen", "refuse", "kill", "stop_politely", "rotate", "watching"),
)
OF_ACCESS = ("accept", "revoke", "deny", "allow")


def application(api: ApiServer) -> web.Application:
    async def call(request: web.Request) -> web.Response:
        name = request.match_info["method"]
        if name not in (*METHODS, *OF_ACCESS, "asked"):
            raise web.HTTPNotFound
        given: dict[str, Any] = await request.json() if request.can_read_body else {}
        method = getattr(api.access if name in OF_ACCESS else api, name)
        result = method(*given.pop("arguments", ()), **given)
        if inspect.isawaitable(result):
            result = await result
        if name == "asked":
            result = [asdict(each) for each in result]
        return web.json_response(result, dumps=lambda value: json.dumps(value, ensure_ascii=False))

    made = web.Application()
    made.router.add_post("/{method}", call)
    return made
