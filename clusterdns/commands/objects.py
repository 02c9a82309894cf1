"""Where a command has the objects from: manifests, a cluster, or a running server."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from clusterdns import admin
from clusterdns.admin.lines import Reader
from clusterdns.app import reading
from clusterdns.commands.endings import NobodyToAsk, WrongUse
from clusterdns.events import Listed, within
from clusterdns.sources import NoCredentials
from clusterdns.sources.manifests import ManifestError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from clusterdns.events import Event
    from clusterdns.objects import KubernetesObject
    from clusterdns.sources.cluster import Cluster

LOOK_SECONDS = 0.1
"""How soon it is seen that a cluster gives no answer."""


class Origin(NamedTuple):
    """A running server, unless there are manifests or a kubeconfig."""

    manifests: tuple[str, ...] = ()
    kubeconfig: str = ""
    context: str = ""
    server: str = admin.AUTOMATIC
    """Where its admin socket is."""

    def places(self) -> list[admin.Place]:
        """Where a server may be. Raises WrongUse and NobodyToAsk."""
        if self.server == admin.NOWHERE:
            raise NobodyToAsk("no server to ask: --admin is none")
        try:
            place = admin.parse(self.server)
        except ValueError as error:
            raise WrongUse(f"--admin: {self.server!r}: {error}") from None
        return [place] if place is not None else admin.usual_places(os.environ)


class Wanted(NamedTuple):
    """What a command is about."""

    kinds: tuple[type[KubernetesObject], ...]
    namespaces: frozenset[str] = frozenset()
    """None: all."""


def with_origin(command: Callable[..., None]) -> Callable[..., None]:
    """The options that an Origin is made of; the command is called with their values."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def with_server(command: Callable[..., None]) -> Callable[..., None]:
    """The option for those that only a server can answer."""
    given: Callable[..., None] = _SERVER(command)
    return given


def of_server(server: str) -> Origin:
    return Origin(server=server)


_SERVER: Callable[[Any], Any] = click.option(
    "--admin",
    default=admin.AUTOMATIC,
    envvar="CLUSTERDNS_ADMIN",
    metavar="PATH|ADDRESS:PORT",
    help="The admin socket of the server to ask.  [default: where serve has it]",
)

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--manifests",
        multiple=True,
        metavar="PATH",
        help="Read this file or folder of manifests, in place of asking a running server. Repeatable.",
    ),
    click.option("--kubeconfig", default="", metavar="FILE", help="Ask the cluster that this file leads to."),
    click.option("--context", default="", metavar="NAME", help="The context of that file.  [default: its current one]"),
    _SERVER,
)


def made_of(manifests: tuple[str, ...], kubeconfig: str, context: str, server: str) -> Origin:
    """Raises WrongUse."""
    if manifests and kubeconfig:
        raise WrongUse("--manifests and --kubeconfig: objects come from one of them")
    if context and not kubeconfig:
        raise WrongUse("--context: it takes --kubeconfig")
    return Origin(manifests, kubeconfig, context, server)


async def followed(origin: Origin, wanted: Wanted, *, watch: bool) -> AsyncGenerator[list[Event], None]:
    """All that there is, in one batch; with `watch` what changes then, without end. Raises WrongUse and NobodyToAsk."""
    if origin.manifests:
        batches = _of_manifests(origin)
    elif origin.kubeconfig:
        batches = _of_cluster(origin, wanted)
    else:
        batches = _of_server(origin, wanted, watch=watch)
    async with aclosing(batches):
        async for events in batches:
            yield list(within(events, wanted.namespaces)) if wanted.namespaces else events
            if not watch:
                return


async def _of_manifests(origin: Origin) -> AsyncGenerator[list[Event], None]:
    source = reading.manifests(origin.manifests)
    try:
        with _silence():
            yield await source.open()
    except ManifestError as error:
        raise WrongUse("\nclusterdns: ".join(error.faults)) from None
    async with aclosing(source.changes()) as changes:
        async for events in changes:
            yield events


async def _of_cluster(origin: Origin, wanted: Wanted) -> AsyncGenerator[list[Event], None]:
    source = reading.cluster(origin.kubeconfig, origin.context, wanted.kinds, wanted.namespaces)
    try:
        await source.open()
    except NoCredentials as error:
        raise WrongUse(str(error)) from None
    async with aclosing(source.changes()) as changes:
        with _silence():
            told: list[Event] = []
            awaited = set(wanted.kinds)
            while awaited:
                events = await _next(source, changes)
                told += events
                awaited -= {each.kind for each in events if isinstance(each, Listed)}
        yield told
        async for events in changes:
            yield events


async def _next(source: Cluster, changes: AsyncGenerator[list[Event], None]) -> list[Event]:
    """The next batch; a source would wait for ever for a cluster that gives none. Raises NobodyToAsk."""
    batch = asyncio.ensure_future(anext(changes))
    try:
        while not batch.done():
            await asyncio.wait({batch}, timeout=LOOK_SECONDS)
            troubles = [each.trouble for each in source.health if each.trouble]
            if troubles and not batch.done():
                raise NobodyToAsk(f"the API server gives no answer: {troubles[0]}")
        return batch.result()
    finally:
        if batch.cancel():
            await asyncio.wait({batch})


async def _of_server(origin: Origin, wanted: Wanted, *, watch: bool) -> AsyncGenerator[list[Event], None]:
    query = {"kinds": ",".join(each.__name__ for each in wanted.kinds)}
    if wanted.namespaces:
        query["namespace"] = ",".join(sorted(wanted.namespaces))
    if watch:
        query["watch"] = "1"
    reader = Reader()
    told: list[Event] | None = []
    awaited = set(wanted.kinds)
    async with aclosing(answer(origin, "/objects", query)) as lines:
        async for line in lines:
            try:
                event = reader.read(line)
            except ValueError as error:
                raise NobodyToAsk(f"the server says what can not be read: {error}") from None
            if event is None:
                continue
            if told is None:
                yield [event]
                continue
            told.append(event)
            awaited -= {event.kind} if isinstance(event, Listed) else set()
            if not awaited:
                yield told
                told = None
    if awaited:
        unknown = " and ".join(sorted(each.__name__ for each in awaited))
        raise NobodyToAsk(f"the server has not read every {unknown} yet")
    raise NobodyToAsk("the server has ended")


async def answer(origin: Origin, path: str, query: dict[str, str]) -> AsyncGenerator[bytes, None]:
    """The lines that the first server says that is there. Raises WrongUse and NobodyToAsk."""
    troubles: list[str] = []
    for place in origin.places():
        is_there = False
        try:
            async with aclosing(admin.ask(place, path, query)) as lines:
                async for line in lines:
                    is_there = True
                    yield line
        except admin.Refused as error:
            raise WrongUse(str(error)) from None
        except admin.NoServer as error:
            if is_there:
                raise NobodyToAsk(str(error)) from None
            troubles.append(str(error))
        else:
            return
    hint = "give --manifests PATH, --kubeconfig FILE, or where --admin of the server is"
    raise NobodyToAsk(f"no server to ask: {'; '.join(troubles)}: {hint}")


@contextmanager
def _silence() -> Iterator[None]:
    """What goes wrong while all is read is said once, at the end; what does later is for the log."""
    log, nobody = logging.getLogger("clusterdns"), logging.NullHandler()
    log.addHandler(nobody)
    try:
        yield
    finally:
        log.removeHandler(nobody)
