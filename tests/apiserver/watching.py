"""One open watch: the lines that are due, when the next one will be, and how it ends."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

from tests.apiserver import selectors
from tests.apiserver.shapes import Resource, go_json
from tests.apiserver.statuses import expired_watch
from tests.apiserver.store import Event, Expired, Store, Stored

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.apiserver.options import Options


class WatchList(StrEnum):
    """What becomes of sendInitialEvents=true."""

    SERVED = "served"
    FORBIDDEN = "forbidden"
    """By a server whose feature gate is off: 422."""
    IGNORED = "ignored"
    """By a server that does not know it; an ordinary watch begins."""


class Fate(Enum):
    """How a stream ends."""

    END = "cleanly"
    CUT = "without the last chunk"
    CUT_IN_LINE = "without the last chunk, in the midst of a line"
    RESET = "with a TCP reset"


class Watch:
    """bookmark_interval: seconds between two bookmarks.

    last_bookmarks: and how long before the end come two more.
    """

    def __init__(
        self,
        store: Store,
        resource: Resource,
        namespace: str,
        options: Options,
        *,
        timeout: float,
        bookmark_interval: float,
        last_bookmarks: Sequence[float] = (2.0, 1.0),
    ) -> None:
        self.resource = resource
        self.fate: Fate | None = None
        self.is_silent = False
        self._store = store
        self._options = options
        self._matches = selectors.matcher(resource, namespace, options.labels, options.fields)
        self._lines: deque[bytes] = deque()
        self._woken = asyncio.Event()
        self._after = options.version or 0
        self._initial_end: int | None = None
        self._interval = bookmark_interval
        self._begin()
        clock = asyncio.get_running_loop().time()
        self._deadline = clock + timeout
        self._bookmarks: deque[float] = deque()
        if options.bookmarks and self.fate is None:
            before_end = (self._deadline - each for each in sorted(last_bookmarks, reverse=True))
            self._bookmarks.extend(each for each in before_end if each > clock)
            self._next_bookmark(clock)
        self._unsubscribe = store.subscribe(resource, self._offer) if self.fate is None else lambda: None

    def _begin(self) -> None:
        options, store = self._options, self._store
        if options.initial_events or not options.version:
            for each in store.at(self.resource, store.version):
                if self._matches(each):
                    self._add("ADDED", each.json_with_kind)
            if options.initial_events and options.bookmarks:
                self._initial_end = options.version or store.version
            self._after = store.version
            return
        try:
            for event in store.since(self.resource, self._after):
                self._offer(event)
        except Expired as expired:
            self.expire(self._after, expired.oldest)

    def close(self) -> None:
        self._unsubscribe()

    def end(self, fate: Fate) -> None:
        self.fate = fate
        self.wake()

    def wake(self) -> None:
        self._woken.set()

    def inject(self, line: bytes) -> None:
        """Send this, whatever it is."""
        self._lines.append(line)
        self.wake()

    def expire(self, version: int, oldest: int) -> None:
        """Say that it is too old, and end."""
        self._add("ERROR", go_json(expired_watch(version, oldest)))
        self.end(Fate.END)

    def bookmark(self, *, ends_initial_events: bool = False) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(self._store.version)}
        if ends_initial_events:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        kind = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        return line("BOOKMARK", go_json(kind | {"metadata": metadata} | self.resource.empty))

    async def run(self, write: Callable[[bytes], Awaitable[object]]) -> Fate:
        """Write what is due, until it ends: a line a time, as the chunks are."""
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            if not self.is_silent:
                self._add_bookmarks(loop.time())
                while self._lines:
                    await write(self._lines.popleft())
            if self.fate is not None:
                return self.fate
            if not self.is_silent and loop.time() >= self._deadline:
                return Fate.END
            due = min([self._deadline, *list(self._bookmarks)[:1]])
            try:
                async with asyncio.timeout(None if self.is_silent else max(0.0, due - loop.time())):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _add_bookmarks(self, clock: float) -> None:
        if self._initial_end is not None and self._store.version >= self._initial_end:
            self._initial_end = None
            self._lines.append(self.bookmark(ends_initial_events=True))
        # There is nothing to say of a version that has not come yet.
        is_future = self._store.version < (self._options.version or 0)
        while self._bookmarks and self._bookmarks[0] <= clock:
            self._bookmarks.popleft()
            self._next_bookmark(clock)
            if not is_future:
                self._lines.append(self.bookmark())

    def _next_bookmark(self, clock: float) -> None:
        due = clock + self._interval
        if due < (self._bookmarks[0] if self._bookmarks else self._deadline):
            self._bookmarks.appendleft(due)

    def _offer(self, event: Event) -> None:
        """To a watch with selectors, what begins to match is added, and what ceases to is deleted."""
        if event.version <= self._after:
            return
        is_now = event.type != "DELETED" and self._matches(event.now)
        was_before = event.before is not None and self._matches(event.before)
        if is_now:
            self._add("MODIFIED" if was_before else "ADDED", event.now.json_with_kind)
        elif was_before:
            gone: Stored = event.now if event.type == "DELETED" else event.before.at(event.version)
            self._add("DELETED", gone.json_with_kind)

    def _add(self, kind: str, object_: bytes) -> None:
        self.inject(line(kind, object_))


def line(kind: str, object_: bytes) -> bytes:
    """An event as a watch has it."""
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), object_)
