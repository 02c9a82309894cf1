"""The pods of a namespace, with what a server does not keep of them: read once, for whoever wants to know why.

It takes the right to list pods, which a server has only where pods are followed; people mostly have it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct, field

from clusterdns.objects import Pod

if TYPE_CHECKING:
    from clusterdns.sources.cluster.connection import Connection

PAGE = 500
"""Pods that are asked for at once."""

MOST_PAGES = 20
"""Of a namespace: of so many pods nobody waits for the rest."""

SECONDS = 10.0
"""How long the API server may be silent."""


class _Condition(Struct, rename="camel"):
    type: str
    status: str
    last_transition_time: datetime | None = None
    message: str | None = None


class _Waiting(Struct):
    reason: str | None = None


class _State(Struct):
    waiting: _Waiting | None = None


class _Container(Struct):
    name: str
    state: _State | None = None


class _Status(Struct, rename="camel"):
    conditions: list[_Condition] | None = None
    container_statuses: list[_Container] | None = None


class _Body(Struct):
    status: _Status | None = None


class _Metadata(Struct, frozen=True):
    continue_: str = field(name="continue", default="")


class _List(Struct):
    metadata: _Metadata = _Metadata()
    items: list[Raw] | None = None


async def pods_in(connection: Connection, namespace: str) -> list[tuple[Pod, str, float | None]] | None:
    """Each with why it is not ready, in words, and since when (seconds since the epoch); None if there are too many:
    what a part of them tells may be wrong of all.

    Raises Refused, NoCredentials, and any of Unreadable and of Lost.
    """
    path, query = f"/api/v1/namespaces/{namespace}/pods", {"limit": str(PAGE)}
    found: list[Raw] = []
    for _ in range(MOST_PAGES):
        async with connection.get(path, query, lambda: SECONDS) as body:
            page = msgspec.json.decode(b"".join([piece async for piece in body]), type=_List)
        found += page.items or ()
        if not page.metadata.continue_:
            return list(map(_told, found))
        query["continue"] = page.metadata.continue_
    return None


def _told(raw: Raw) -> tuple[Pod, str, float | None]:
    body = msgspec.json.decode(raw, type=_Body)
    return msgspec.json.decode(raw, type=Pod), *_why_not_ready(body.status or _Status())


def _why_not_ready(status: _Status) -> tuple[str, float | None]:
    conditions = {each.type: each for each in status.conditions or []}
    ready = conditions.get("Ready")
    if ready is not None and ready.status == "True":
        return "", None
    since = ready.last_transition_time.timestamp() if ready and ready.last_transition_time else None
    waiting = [
        f"container {each.name}: {each.state.waiting.reason}"
        for each in status.container_statuses or []
        if each.state and each.state.waiting and each.state.waiting.reason
    ]
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and scheduled.status != "True" and scheduled.message:
        return scheduled.message, since
    return ", ".join(waiting) or (ready.message if ready and ready.message else ""), since
