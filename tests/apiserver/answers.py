"""From a request to its answer, with all that may be wrong with either."""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
import struct
import time
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING
from uuid import uuid4

from aiohttp import web

from tests.apiserver import options
from tests.apiserver.listing import make_list
from tests.apiserver.shapes import RESOURCES, Resource, discovery, go_json
from tests.apiserver.statuses import Failure, method_not_allowed, not_found
from tests.apiserver.watching import Fate, Watch, WatchList

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apiserver.access import Access
    from tests.apiserver.faults import Faults
    from tests.apiserver.store import Store

GZIP_THRESHOLD = 128 * 1024
CHUNKED_FROM = 2048
"""A shorter body fits into Go's buffer, and gets a Content-Length."""
PIECE = 32 * 1024


async def until(condition: Callable[[], object], what: str = "", seconds: float = 10.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        await asyncio.sleep(0.005)


@dataclass
class Asked:
    """One request for a resource. kind: get, list, watch or watchlist; status: 0 until it is answered."""

    resource: str
    kind: str
    namespace: str
    query: dict[str, str]
    user_agent: str
    authorization: str
    path: str
    status: int = 0
    when: float = field(default_factory=time.monotonic)


@dataclass
class Settings:
    """They hold for those who ask from now on.

    watchlist: what becomes of sendInitialEvents=true. bookmark_interval, last_bookmarks: seconds from one bookmark to
    the next, and from the last ones to the end. longest_watch: an end to watches that is sooner than what they ask for.
    """

    watchlist: WatchList = WatchList.SERVED
    bookmark_interval: float = 60.0
    last_bookmarks: tuple[float, ...] = (2.0, 1.0)
    longest_watch: float | None = None


class Answers:
    """busy: the connections that wait for an answer, or for more of it.

    is_ending: nobody listens any more, so that a connection is not kept for another request.
    """

    def __init__(self, store: Store, access: Access, faults: Faults, settings: Settings) -> None:
        self.requests: list[Asked] = []
        self.watches: dict[Watch, web.Request] = {}
        self.busy: set[asyncio.BaseTransport] = set()
        self.is_ending = False
        self._store = store
        self._access = access
        self._faults = faults
        self._settings = settings
        self._flow = {"X-Kubernetes-Pf-Flowschema-Uid": str(uuid4()), "X-Kubernetes-Pf-Prioritylevel-Uid": str(uuid4())}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        self.busy.add(transport)
        try:
            response = await self._answer(request)
        except Failure as failure:
            flow = {} if failure.code == 401 else self._flow
            headers = {"Content-Type": failure.content_type, **failure.headers, **flow}
            response = web.Response(status=failure.code, body=failure.body, headers=headers)
        finally:
            self.busy.discard(transport)
        if self.is_ending:
            response.force_close()
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        if request.path == "/version":
            version = {"major": "1", "minor": "36", "gitVersion": "v1.36.0", "platform": "linux/amd64"}
            return web.Response(body=go_json(version), headers={"Content-Type": "application/json"})
        if known := discovery(request.path):
            return web.Response(body=go_json(known), headers={"Content-Type": "application/json"})
        resource, namespace, name = _route(request.path)
        kind = "get" if name else "watch" if options.is_true(request.query.get("watch", "")) else "list"
        asked = Asked(
            resource.name,
            "watchlist" if kind == "watch" and "sendInitialEvents" in request.query else kind,
            namespace,
            dict(request.query),
            request.headers.get("User-Agent", ""),
            request.headers.get("Authorization", ""),
            request.path_qs,
        )
        self.requests.append(asked)
        try:
            await self._let_in(request, kind, resource, namespace)
            if name:
                response: web.StreamResponse = self._get(resource, namespace, name)
            elif kind == "list":
                response = await self._list(request, resource, namespace)
            else:
                watch = self._open(request, resource, namespace)
                asked.status = 200
                response = await self._watch(request, watch)
        except Failure as failure:
            asked.status = failure.code
            raise
        asked.status = response.status
        return response

    async def _let_in(self, request: web.Request, verb: str, resource: Resource, namespace: str) -> None:
        await asyncio.sleep(self._faults.delay(resource.name))
        if verb != "watch":
            await until(lambda: not self._faults.is_silent(resource.name), seconds=inf)
        if failure := self._faults.take_refusal(resource.name, verb):
            raise failure
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        user = self._access.user(request.headers.get("Authorization", ""), certificate)
        self._access.check(user, verb, resource, namespace)
        if request.method != "GET":
            raise method_not_allowed()

    def _open(self, request: web.Request, resource: Resource, namespace: str) -> Watch:
        asked = options.read(request.query)
        if self._settings.watchlist == WatchList.IGNORED:
            asked = asked._replace(initial_events=None, match="")
        options.check(asked, has_watch_lists=self._settings.watchlist == WatchList.SERVED)
        # The real one draws the end of those who do not ask for one.
        timeout = asked.timeout or random.uniform(1800, 3600)
        return Watch(
            self._store,
            resource,
            namespace,
            asked,
            timeout=min(timeout, self._settings.longest_watch or timeout),
            bookmark_interval=self._settings.bookmark_interval,
            last_bookmarks=self._settings.last_bookmarks,
        )

    def _get(self, resource: Resource, namespace: str, name: str) -> web.Response:
        for each in self._store.at(resource, self._store.version):
            if (each.namespace, each.data["metadata"]["name"]) == (namespace, name):
                headers = {"Content-Type": "application/json", **self._flow}
                return web.Response(body=each.json_with_kind + b"\n", headers=headers)
        raise not_found(resource, name)

    async def _list(self, request: web.Request, resource: Resource, namespace: str) -> web.StreamResponse:
        asked = options.read(request.query)
        options.check(asked, has_watch_lists=self._settings.watchlist == WatchList.SERVED)
        parts = make_list(self._store, resource, namespace, asked).parts
        headers = {"Content-Type": "application/json"}
        pause = self._faults.item_delay(resource.name)
        body = b"".join(parts)
        if len(body) > GZIP_THRESHOLD and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            body = gzip.compress(body, 1)
            parts = [body]
        is_truncated = self._faults.take_truncation(resource.name)
        if len(body) < CHUNKED_FROM and not (pause or is_truncated):
            return web.Response(body=body, headers=headers | self._flow)
        response = web.StreamResponse(headers=headers | self._flow)
        response.enable_chunked_encoding()
        await response.prepare(request)
        if is_truncated:
            await response.write(body[: len(body) // 2])
            await _cut(request)
        for piece in parts if pause else (body[at : at + PIECE] for at in range(0, len(body), PIECE)):
            await asyncio.sleep(pause)
            await response.write(piece)
        return response

    async def _watch(self, request: web.Request, watch: Watch) -> web.StreamResponse:
        watch.is_silent = self._faults.is_silent(watch.resource.name)
        response = web.StreamResponse(headers={"Content-Type": "application/json", **self._flow})
        response.enable_chunked_encoding()
        self.watches[watch] = request
        try:
            await response.prepare(request)
            fate = await watch.run(response.write)
            if fate is Fate.CUT_IN_LINE:
                line = watch.bookmark()
                await response.write(line[: len(line) // 2])
        finally:
            watch.close()
            self.watches.pop(watch, None)
        if fate is not Fate.END:
            await _cut(request, reset=fate is Fate.RESET)
        return response


async def _cut(request: web.Request, *, reset: bool = False) -> None:
    """Close the connection as it is; that cancels whoever answers it."""
    transport = request.transport
    if transport is not None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    await asyncio.Event().wait()


async def as_go_does(_request: web.Request, response: web.StreamResponse) -> None:
    """The headers of the real one, in their order."""
    given = dict(response.headers)
    del given["Server"]
    ends = {name: given.pop(name) for name in ("Date", "Content-Length", "Transfer-Encoding") if name in given}
    begins = {"Audit-Id": str(uuid4()), "Cache-Control": "no-cache, private", "Content-Type": given.pop("Content-Type")}
    response.headers.clear()
    response.headers.update(begins | dict(sorted(given.items())) | ends)


def _route(path: str) -> tuple[Resource, str, str]:
    """The resource of a path, the namespace if there is one, and the name of a single object."""
    for resource in RESOURCES.values():
        if not path.startswith(f"{resource.prefix}/"):
            continue
        match path.removeprefix(f"{resource.prefix}/").split("/"):
            case [name] if name == resource.name:
                return resource, "", ""
            case ["namespaces", namespace, name] if name == resource.name and resource.is_namespaced:
                return resource, namespace, ""
            case ["namespaces", namespace, name, single] if name == resource.name and resource.is_namespaced:
                return resource, namespace, single
            case ["namespaces", single] if resource.name == "namespaces":
                return resource, "", single
    raise not_found()
