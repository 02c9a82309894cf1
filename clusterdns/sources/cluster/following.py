"""Follows one kind of object: listed, then watched, without end and without a gap.

    list  ->  watch  ->  watch  ->  …          each watch resumes at the version that the last one came to
     ^          |
     +----------+   the version has expired, lies in the future, or was lost: everything is listed anew, and what
                    vanished in the gap goes

An API server fails in many ways (tests/test_following.py has a test for each). The rules here are: what is known goes
on being served; no failure is final; nobody is asked in a tight loop; and a stream that says nothing, not even its
bookmarks, is not believed to have nothing to say.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import aclosing
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import replace

from clusterdns.events import Event, Gone, Listed, Put
from clusterdns.objects import (
    EXCLUDED_LABEL,
    SERVICE_NAME_LABEL,
    EndpointSlice,
    Key,
    KubernetesObject,
    Namespace,
    Node,
    Pod,
    Service,
)
from clusterdns.sources import NoCredentials
from clusterdns.sources.cluster.connection import Lost, Refused, Unreadable
from clusterdns.sources.cluster.listing import Listing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    from clusterdns.objects import EndpointPort, ServicePort
    from clusterdns.sources.cluster.connection import Connection

log = logging.getLogger("clusterdns.cluster")

Ports = TypeVar("Ports", "tuple[ServicePort, ...] | None", "tuple[EndpointPort, ...] | None")

FORBIDDEN = 403
GONE = 410
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
PAGE = 500
SPARE_PATIENCE = 10
"""So many times longer than for others it takes until the right to something spare is tried again."""
BATCH = 20
"""Objects that are decoded and handed on before queries get their turn."""


class Resource(Struct, frozen=True):
    """A kind of object as the API names it."""

    kind: type[KubernetesObject]
    path: str
    name: str
    """As rights are written: `services`, `endpointslices.discovery.k8s.io`."""
    is_spare: bool = False
    """Whether the names go on without it where the right to it is missing."""

    def within(self, namespace: str) -> Resource:
        version, _, plural = self.path.rpartition("/")
        return replace(self, path=f"{version}/namespaces/{namespace}/{plural}")


RESOURCES = (
    Resource(Namespace, "/api/v1/namespaces", "namespaces"),
    Resource(Service, "/api/v1/services", "services"),
    Resource(EndpointSlice, "/apis/discovery.k8s.io/v1/endpointslices", "endpointslices.discovery.k8s.io"),
    Resource(Pod, "/api/v1/pods", "pods"),
    Resource(Node, "/api/v1/nodes", "nodes", is_spare=True),
)


class Patience(Struct, frozen=True):
    """How long to wait for what. Seconds."""

    silence: float = 90.0
    """A watch that says nothing for longer is replaced: bookmarks come about once a minute."""
    answer: float = 30.0
    """The same while a list comes in."""
    watch: float = 480.0
    """How long a watch may last; between half of it and all, so that not all clients come back at once."""
    first_retry: float = 0.2
    last_retry: float = 30.0
    steady: float = 1.0
    """A watch that has gone on for so long was well, however long it was waited for."""
    steady_list: float = 10.0
    """The same if everything has to be listed after it, which costs an API server more than to go on."""
    relist: float = 1800.0
    """The watchdog: so long after a list everything is listed again, and compared with what the watches have told."""


class Health(Struct):
    """What there is to know of a watch from outside; times are of time.monotonic()."""

    resource: str
    heard_at: float | None = None
    """When the API server last said anything, if only that there is nothing new."""
    listed_at: float | None = None
    restarts: int = 0
    differences: int = 0
    """What the watchdog has found that the watches had not told."""
    trouble: str = ""
    """Why nothing is heard; empty while all is well."""


class Heard(Struct, frozen=True):
    """A batch of events, and how old they are."""

    events: list[Event]
    at: float | None = None
    """When the bytes came that changed something; of time.monotonic(). None for what is part of a list."""
    triggers: tuple[tuple[Key, float], ...] = ()
    """Services whose endpoints changed, and when what changed them happened; of time.time()."""


class _Line(Struct):
    type: str
    object: Raw


class _Metadata(Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = field(name="continue", default="")
    annotations: dict[str, str] | None = None


class _Body(Struct):
    """What all of the API server's JSON has in common: an object's, a list's, a Status's."""

    metadata: _Metadata = field(default_factory=_Metadata)
    items: list[Raw] | None = None
    code: int = 0
    message: str = ""


class _Unsupported(Exception):
    """The API server can not stream a list."""


class Following:
    """One kind of object."""

    def __init__(
        self, resource: Resource, connection: Connection, patience: Patience, selectors: Mapping[str, str]
    ) -> None:
        self.health = Health(resource.name)
        self._resource = resource
        self._connection = connection
        self._patience = patience
        self._selectors = dict(selectors)
        self._known: dict[Key, KubernetesObject] = {}
        self._listing: Listing | None = None
        """What has come in of a list that is not complete yet."""
        self._version = ""
        """Where to resume; empty if everything has to be listed."""
        self._watching_since: float | None = None
        """When the watch of this step began; None while there is none, such as during a list."""
        self._is_apart = True
        """Whether who follows may know what is not known here: before the first list, and since one that broke off."""
        self._is_doubtful = False
        """Whether the connection was lost, so that the API server may have come back with an older state."""
        self._streams_lists = True
        self._line = msgspec.json.Decoder(_Line)
        self._body = msgspec.json.Decoder(_Body)
        self._object = msgspec.json.Decoder(resource.kind)

    async def batches(self) -> AsyncGenerator[Heard, None]:
        """What the API server says, for ever."""
        failures, patience = 0, self._patience.first_retry
        while True:
            wait, self._watching_since = 0.0, None
            try:
                async with aclosing(self._next_step()) as batches:
                    async for batch in batches:
                        yield batch
            except _Unsupported as error:
                log.info("%s: %s; listing page by page", self._resource.name, error)
                self._streams_lists = False
            except (Refused, NoCredentials, MemoryError, *Unreadable, *Lost) as error:
                # All is well once a watch has gone on for longer than it was waited for, or for a moment that is long
                # enough. That a list came in is not: a server that gives lists and nothing else would be asked for
                # them all the time.
                steady = self._patience.steady_list if _expires(error) else self._patience.steady
                failures = 1 if self._watched() > min(patience, steady) else failures + 1
                wait = self._delay(failures, error)
                patience = max(wait, self._patience.first_retry)
                if self._resource.is_spare and isinstance(error, Refused) and error.code == FORBIDDEN:
                    yield Heard([Listed(self._resource.kind, tuple(self._known.values()))])
                    wait = self._patience.last_retry * SPARE_PATIENCE
                await self._fail(error, wait)
            self.health.restarts += 1
            await asyncio.sleep(wait)

    def _next_step(self) -> AsyncGenerator[Heard, None]:
        listed_at = self.health.listed_at
        is_watchdog_due = listed_at is not None and time.monotonic() - listed_at > self._patience.relist
        if not self._version or is_watchdog_due:
            return self._stream(from_the_beginning=True) if self._streams_lists else self._pages()
        if self._is_doubtful:
            return self._verify()
        return self._stream()

    def _watched(self) -> float:
        """For how many seconds this step has been watching."""
        return 0.0 if self._watching_since is None else time.monotonic() - self._watching_since

    # Failures

    def _delay(self, failures: int, error: Exception) -> float:
        """Exponential, and jittered, so that clients who failed together do not come back together."""
        if _expires(error) and failures == 1:
            return 0.0
        longest = min(self._patience.last_retry, self._patience.first_retry * 2 ** min(failures - 1, 16))
        wait = random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, keeps no secret
        return max(wait, error.retry_after or 0.0) if isinstance(error, Refused) else wait

    async def _fail(self, error: Exception, wait: float) -> None:
        """Decide what the failure means for the next step, and say so once."""
        name, trouble = self._resource.name, " ".join(str(error).split()) or type(error).__name__
        match error:
            case Refused(code=410):
                log.info("%s: the watch has expired, listing again", name)
                self._version = ""
                return
            case Refused(code=401):
                await self._connection.renew()
            case Refused(code=403):
                trouble = f"the right to list and watch {name} is missing: {error.message}"
            case Refused(code=500 | 504) | msgspec.DecodeError() | RecursionError():
                self._version = ""  # such as a version that is no number, or lies in the future
            case MemoryError():
                trouble = "there is no memory left for what the API server says"
            case Refused():
                pass
            case _:
                self._is_doubtful = self._streams_lists = True
                # Certificates are rotated too: a connection that can not be made is made with fresh ones.
                await self._connection.renew_if_rotated()
        self.health.trouble = trouble = self._connection.redacted(trouble)
        fields = {"source": name, "error": trouble, "wait": wait}
        log.warning("%(source)s: %(error)s; going on with what is known, trying again in %(wait).1f s", fields)

    def _hear(self) -> float:
        if self.health.trouble:
            log.info("%(source)s: the API server answers again", {"source": self._resource.name})
            self.health.trouble = ""
        self.health.heard_at = time.monotonic()
        return self.health.heard_at

    # Lists and watches

    async def _stream(self, *, from_the_beginning: bool = False) -> AsyncGenerator[Heard, None]:
        """A watch from the known version on; or from the beginning: first everything that there is."""
        seconds = random.uniform(self._patience.watch / 2, self._patience.watch)  # noqa: S311
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": f"{max(1, seconds):.0f}"}
        self._listing = None
        if from_the_beginning:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "resourceVersion": ""}
            self._begin_list()
        else:
            query["resourceVersion"] = self._version
        rest = b""
        try:
            async with self._get(query) as body:
                self._watching_since = None if from_the_beginning else time.monotonic()
                async for piece in body:
                    at = self._hear()
                    *lines, rest = (rest + piece).split(b"\n")
                    for start in range(0, len(lines), BATCH):
                        yield self._read(lines[start : start + BATCH], at)
                        await asyncio.sleep(0)
        except Refused as error:
            if self._is_listing and error.code in (400, 422):
                raise _Unsupported("the API server does not stream lists") from None
            raise
        except TimeoutError:
            if self._is_listing:
                raise _Unsupported("the API server did not complete a streamed list") from None
            self._version = ""  # a version from the future brings silence as well: only a list tells
            raise TimeoutError(f"nothing was heard for {self._patience.silence:.0f} s, not even a bookmark") from None
        if rest or self._is_listing:
            raise EOFError("the watch was cut off")
        if self._watched() < self._patience.first_retry:
            raise EOFError("the watch ended as soon as it began")

    @property
    def _is_listing(self) -> bool:
        """Whether a list comes in."""
        return self._listing is not None

    def _read(self, lines: Iterable[bytes], at: float) -> Heard:
        """The events in whole lines of a watch."""
        was_listing, events = self._is_listing, list[Event]()
        try:
            triggers = self._understand(lines, events)
        except Exception:
            self._is_apart |= bool(events)  # they are known here, and will not be told
            raise
        return Heard(events, None if was_listing else at, tuple(triggers))

    def _understand(self, lines: Iterable[bytes], events: list[Event]) -> list[tuple[Key, float]]:
        """Add what the lines say to the events; which services' endpoints changed, and when."""
        triggers: list[tuple[Key, float]] = []
        for raw in lines:
            line = self._line.decode(raw)
            if self._is_listing and line.type == "ADDED":
                events += self._listed(line.object)  # the short way for the tens of thousands of a list
                continue
            body = self._body.decode(line.object)
            if line.type == "ERROR":
                self._version = ""
                raise Refused(body.code, body.message)
            version = body.metadata.resource_version
            if line.type in ("ADDED", "MODIFIED"):
                new = self._decoded(line.object)
                events.append(Put(new))
                if self._listing is None:
                    self._known[new.key] = new
                    triggers += _triggers(new, body.metadata)
                else:
                    self._listing.change(new, version)
            elif line.type == "DELETED":
                key = self._object.decode(line.object).key
                events.append(Gone(self._resource.kind, key))
                if self._listing is None:
                    self._known.pop(key, None)
                else:
                    self._listing.remove(key)
            if self._listing is None:
                self._version = version or self._version
            elif (body.metadata.annotations or {}).get(INITIAL_EVENTS_END) == "true":
                events += self._complete(version)
            elif line.type == "BOOKMARK":
                raise _Unsupported("the API server does not tell where a streamed list ends")
        return triggers

    async def _pages(self) -> AsyncGenerator[Heard, None]:
        """Everything, page by page, from a server that can not stream it."""
        self._begin_list()
        query = {"limit": str(PAGE)}
        while True:
            page = await self._page(query)
            self._hear()
            items = page.items or []
            for start in range(0, len(items), BATCH):
                yield Heard([event for each in items[start : start + BATCH] for event in self._listed(each)])
                await asyncio.sleep(0)
            if not page.metadata.continue_:
                break
            query["continue"] = page.metadata.continue_
        yield Heard(self._complete(page.metadata.resource_version))

    def _begin_list(self) -> None:
        self._listing = Listing(self._known, self._version, tells_all=self._is_apart)
        self._is_apart = True

    def _listed(self, raw: Raw) -> list[Event]:
        """Take in an object of a list; what there is to tell of it."""
        assert self._listing is not None  # noqa: S101 - only those ask that have begun a list
        new = self._decoded(raw)
        is_told = self._listing.add(new, lambda: self._body.decode(raw).metadata.resource_version)
        return [Put(new)] if is_told else []

    def _decoded(self, raw: Raw) -> KubernetesObject:
        """The object; the very one that is known if nothing about it has changed, so that whoever follows sees it, and
        keeps it, at once: a list of everything mostly says again what is known.
        """
        new = _lean(self._object.decode(raw))
        known = self._known.get(new.key)
        return known if known is not None and known == new else new

    async def _verify(self) -> AsyncGenerator[Heard, None]:
        """After a lost connection: a server that was restored from a backup is behind us, and would say nothing."""
        now = (await self._page({"limit": "1"})).metadata.resource_version
        self._hear()
        yield Heard([])
        self._is_doubtful = False
        if not (now.isdigit() and self._version.isdigit() and int(now) >= int(self._version)):
            fields = {"source": self._resource.name, "version": now, "ours": self._version}
            text = "%(source)s: the API server is at version %(version)s, behind our %(ours)s: listing again"
            log.warning(text, fields)
            self._version = ""

    async def _page(self, query: Mapping[str, str]) -> _Body:
        async with self._get(query, self._patience.answer) as body:
            return self._body.decode(b"".join([piece async for piece in body]))

    def _get(
        self, query: Mapping[str, str], silence: float | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """An answer that may be silent for so long; unless it is said, for as long as a list or a watch may be."""

        def limit() -> float:
            return silence or (self._patience.silence if self._listing is None else self._patience.answer)

        return self._connection.get(self._resource.path, {**query, **self._selectors}, limit)

    def _complete(self, version: str) -> list[Event]:
        """The list is complete. If nothing was wrong with the watches, it has nothing to add to what they have told.

        What has changed was told as it came in, so of tens of thousands of objects only those remain that vanished.
        """
        listing = self._listing
        assert listing is not None  # noqa: S101 - only those ask that have begun a list
        self._report(listing.missed())
        self._known, self._listing, self._version, self._is_doubtful = listing.objects, None, version, False
        self._is_apart = False
        self.health.listed_at = self._watching_since = time.monotonic()
        kind = self._resource.kind
        if listing.tells_all:
            return [Listed(kind, tuple(listing.objects.values()))]
        return [Gone(kind, each) for each in listing.vanished]

    def _report(self, different: list[Key]) -> None:
        if different:
            self.health.differences += len(different)
            some = ", ".join("/".join(key) for key in different[:5])
            fields = {"source": self._resource.name, "objects": len(different), "some": some}
            text = "%(source)s: the new list differs from what the watches had told in %(objects)d objects: %(some)s"
            log.warning(text, fields)


def _expires(error: Exception) -> bool:
    """Whether everything has to be listed: the version where the watch would go on is kept no more."""
    return isinstance(error, Refused) and error.code == GONE


def _lean(new: KubernetesObject) -> KubernetesObject:
    """The object without its labels, most of which have done their work, at the API server; and what tens of thousands
    have alike, all have in common.
    """
    metadata, labels = new.metadata, new.metadata.labels
    if labels and not isinstance(new, Namespace):
        wanted = _WANTED_LABELS.get(type(new))
        labels = {k: v for k, v in labels.items() if k == wanted} or None
    metadata = replace(metadata, namespace=intern(metadata.namespace), labels=labels)
    match new:
        case EndpointSlice(address_type=address_type, ports=ports):
            return replace(new, metadata=metadata, address_type=intern(address_type), ports=_common(ports))
        case Service(spec=spec):
            return replace(
                new, metadata=metadata, spec=replace(spec, type=intern(spec.type), ports=_common(spec.ports))
            )
        case _:
            return replace(new, metadata=metadata)


@lru_cache(maxsize=1000)
def _common(ports: Ports) -> Ports:
    """The first of those that are equal."""
    return ports


_WANTED_LABELS = {EndpointSlice: SERVICE_NAME_LABEL, Node: EXCLUDED_LABEL}


def _triggers(new: KubernetesObject, metadata: _Metadata) -> list[tuple[Key, float]]:
    stamp = (metadata.annotations or {}).get(TRIGGER)
    if not (stamp and isinstance(new, EndpointSlice)):
        return []
    try:
        return [(new.service_key, datetime.fromisoformat(stamp).timestamp())]
    except ValueError:
        return []
