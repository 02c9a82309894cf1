"""Several processes in the place of one: what they share, and what each of them does.

The parent has the source, the pages and the snapshot; it keeps an index for those that it forks, and answers nobody. A
worker is the same server with other ends: its events come from the parent, and its addresses are shared.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from clusterdns import config, processors
from clusterdns.app.explaining import Inquiry
from clusterdns.app.listeners import OVERTIME_SECONDS, Listeners, is_spare
from clusterdns.app.running import Running, origin
from clusterdns.app.top import Looking
from clusterdns.server import GOODBYE_SECONDS, CannotListen, Reservation
from clusterdns.sources.hosts import HostsError
from clusterdns.sources.zone_files import ZoneFileError
from clusterdns.workers import (
    Ask,
    Become,
    Changed,
    Crew,
    Failed,
    Fed,
    Inquire,
    Leave,
    Linger,
    Link,
    Listening,
    Said,
    Told,
    changed,
    decoded,
    encoded,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence

    from clusterdns.app.answering import Answering
    from clusterdns.app.listeners import Prepared
    from clusterdns.config import Config
    from clusterdns.events import Event
    from clusterdns.workers import Outside

log = logging.getLogger("clusterdns")

LISTING_SECONDS = 3.0
"""For the source to list everything before workers are forked: what they know by then they share."""

LISTING_LOOK_SECONDS = 0.02


def manned(settings: Config, stop: asyncio.Event, outside: Outside) -> Running:
    """All that runs, as the settings have it, in several processes."""
    made: list[Manned] = []

    def listeners(write: Callable[[str], None]) -> Manned:
        made.append(Manned(write, outside))
        return made[0]

    running = Running(settings, stop, listeners)
    made[0].running = running
    return running


class Manned(Listeners):
    """Addresses on which workers answer.

    outside: has forks done where no loop runs.
    """

    running: Running
    """What the workers are forks of."""

    def __init__(self, write: Callable[[str], None], outside: Outside) -> None:
        super().__init__(write)
        self.crew: Crew = Crew(outside, self._work)
        self._loop = asyncio.get_running_loop()
        self._reserved: dict[config.Listening, Reservation] = {}
        self._settings: Config | None = None
        """Those that the workers have."""
        self._told: set[config.Listening] = set()
        """Where it is known to all that we listen."""
        self._knew_all = True
        """Whether everything had been listed when the workers were forked."""

    async def take(self, prepared: dict[config.Listening, Prepared]) -> None:
        """See that what is new can be listened on. Raises CannotListen."""
        made: dict[config.Listening, Reservation] = {}
        for where in filter(lambda each: each not in self._reserved, prepared):
            try:
                made[where] = Reservation(where.host, where.port, stream_only=where.is_tls)
            except CannotListen as error:
                if not is_spare(where, prepared):
                    for each in made.values():
                        each.close()
                    raise
                log.warning("%s; IPv4 has to do", error)
        self._reserved |= made
        self.bound = {where: self._reserved[where].address for where in prepared if where in self._reserved}

    def begin(self, answering: Sequence[Answering]) -> None:
        for each in answering:
            each.take_in()

    def note_events(self, events: Sequence[Event]) -> None:
        self.crew.tell(encoded(changed(events)))
        if not self._knew_all and self._knows_all():
            self._knew_all = True
            log.info("everything is listed: the workers are replaced by such as share it")
            self.crew.do(self._renew())

    async def drop(self, kept: Iterable[config.Listening]) -> None:
        """Have workers answer as the settings say now, on these addresses and no others."""
        del kept  # the same as we have taken
        settings, former = self.running.settings, self._settings
        self._settings = settings
        if former is None:
            await self._know()
            await self._get_ready()
        elif origin(former) != origin(settings):
            await self._renew()
        else:
            content = msgspec.msgpack.encode(_Settings(settings, tuple(self.bound.items())))
            message = Become(msgspec.Raw(content))
            await self.crew.renew(await self.crew.tell_settings(encoded(message)))
        fault = await self.crew.become(processors.wanted(settings.workers))
        if former is None:
            if fault:
                raise CannotListen(fault)
            log.info("%d workers: %s", self.crew.size, ", ".join(map(str, self.crew.processes)))
        self.tell(where for where in self.bound if where not in self._told)
        self._told = set(self.bound)
        for where in self._reserved.keys() - self.bound.keys():
            self._reserved.pop(where).close()

    async def linger(self, seconds: float, at_once: asyncio.Event) -> None:
        await self.crew.linger(encoded(Linger()), at_once, seconds + 2 * OVERTIME_SECONDS)

    async def stop(self, hurry: Callable[[], None], patience: float = GOODBYE_SECONDS) -> None:
        await self.crew.stop(patience)
        for each in self._reserved.values():
            each.close()
        hurry()

    def _knows_all(self) -> bool:
        return all(each.index.is_synced for each in self.running.answering if each.block.cluster)

    async def _renew(self) -> None:
        await self._get_ready()
        await self.crew.renew()

    async def _get_ready(self) -> None:
        """For forks."""
        self._knew_all = self._knows_all()
        for each in self.running.answering:
            await each.make_ready()

    async def _know(self) -> None:
        """Wait until everything is listed, if it comes soon."""
        for _ in range(int(LISTING_SECONDS / LISTING_LOOK_SECONDS)):
            if self._knows_all():
                break
            await asyncio.sleep(LISTING_LOOK_SECONDS)

    def _work(self, number: int, end: socket.socket) -> int:
        """What a worker does: in a process of its own, to its end."""
        _speak_as(number)
        inherited = asyncio.all_tasks(self._loop)

        async def work() -> None:
            await _Working(self.running, self.bound, end, inherited).work()

        asyncio.run(work())
        return 0


class _Settings(msgspec.Struct, frozen=True):
    """What workers have to know of a new configuration."""

    settings: config.Config
    bound: tuple[tuple[config.Listening, tuple[str, int]], ...]


class _Working:
    """A worker at work.

    end: of its link to the parent.
    inherited: the tasks of the parent, which must stay as they are for as long as we are.
    """

    def __init__(
        self,
        parent: Running,
        bound: Mapping[config.Listening, tuple[str, int]],
        end: socket.socket,
        inherited: Collection[object],
    ) -> None:
        self._inherited = inherited
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._patience = GOODBYE_SECONDS
        self._source = Fed(self._answer)
        self._running = parent.forked(self._stop, partial(Listeners, shared=bound), self._source)
        self._link = Link(asyncio.get_running_loop(), end, self._hear, self._stop.set)
        self._tasks: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._running.tell_fault)
        loop.add_signal_handler(signal.SIGTERM, lambda: self._link.send(encoded(Leave())))
        try:
            await self._try(self._running.go_on())
            await self._stop.wait()
        finally:
            await self._running.stop(self._patience)
            self._answer(Ask(reads=True))
            self._link.close()

    def _hear(self, raw: bytes) -> None:
        match decoded(raw):
            case Changed() | Ask() as message:
                self._source.put(message)
            case Become(content):
                new = msgspec.msgpack.decode(content, type=_Settings)
                self._running.listeners.shared = dict(new.bound)
                self._do(self._try(self._running.become(new.settings)))
            case Linger():
                self._do(self._linger())
            case Inquire(number, about):
                self._do(self._say(number, about))
            case Leave(patience):
                self._patience = patience
                self._at_once.set()
                self._stop.set()
            case _:
                pass

    def _answer(self, ask: Ask) -> None:
        told = None
        if ask.reads and config.pages(self._running.settings):
            from clusterdns.app.views import read  # noqa: PLC0415 - the parent has it, if it shows pages

            told = read(self._running)
        self._link.send(encoded(Told(told)))

    async def _try(self, attempt: Coroutine[object, object, None]) -> None:
        """Tell the parent what comes of it."""
        try:
            await attempt
        except (CannotListen, HostsError, ZoneFileError, config.BadConfig) as error:
            self._link.send(encoded(Failed("; ".join(str(error).splitlines()))))
        except Exception as error:
            self._link.send(encoded(Failed(f"a fault in the program, please report it: {error!r}")))
            log.debug("the fault in full", exc_info=True)
        else:
            self._link.send(encoded(Listening()))

    async def _say(self, number: int, about: bytes) -> None:
        said = b""
        try:
            said = msgspec.msgpack.encode(await self._said(about))
        finally:
            self._link.send(encoded(Said(number, said)))

    async def _said(self, about: bytes) -> object:
        asked = msgspec.msgpack.decode(about, type=Inquiry | Looking)
        if isinstance(asked, Looking):
            return self._running.counted(asked)
        return await self._running.explain_here(asked)

    async def _linger(self) -> None:
        await self._running.linger(self._at_once)
        self._stop.set()

    def _do(self, what: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _AsWorker(logging.Filter):
    """Has a worker say which one it is, and only what the parent does not say as well."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or record.name in ("clusterdns.hosts", "clusterdns.zones"):
            return False
        if not hasattr(record, "worker"):  # one that is told again has it
            record.worker = self._number
            record.msg = f"worker {self._number}: {record.msg}"
            if isinstance(record.args, dict):
                record.args = {"worker": self._number, **record.args}
        return True


def _speak_as(number: int) -> None:
    for handler in logging.getLogger().handlers:
        handler.filters.clear()
        handler.addFilter(_AsWorker(number))
