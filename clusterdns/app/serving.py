"""From the first configuration to the last signal."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 - asyncio imports it with the first thread, when no descriptor may be left
import contextlib
import gc
import logging
import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import config, processors
from clusterdns.app.following import following
from clusterdns.app.running import Running, read_at_start
from clusterdns.config import Config
from clusterdns.corefile import CorefileError, Disk
from clusterdns.server import CannotListen
from clusterdns.sources import NoCredentials
from clusterdns.sources.hosts import HostsError
from clusterdns.sources.manifests import ManifestError
from clusterdns.sources.zone_files import ZoneFileError
from clusterdns.stamps import POLL_SECONDS, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from clusterdns.stamps import Stamp
    from clusterdns.workers import Outside

log = logging.getLogger("clusterdns")

_FAULTS = (ManifestError, HostsError, ZoneFileError, NoCredentials, CannotListen)
"""Of what the settings lead to."""


_NOT_CHANGED = "the configuration is not changed: %(error)s"


class Loaded(Struct, frozen=True):
    """A configuration as it was read, and the files that it was read from."""

    settings: Config
    files: tuple[Path, ...] = ()
    patterns: tuple[Path, ...] = ()
    """What files were looked for by: a new one may be a part of it."""


def run(load: Callable[[], Loaded], pid_file: Path | None = None) -> None:
    """Serve, as below, in a loop of its own; between two of its turns is where processes are forked."""
    waiting: list[Callable[[], None]] = []

    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        def outside(act: Callable[[], None]) -> None:
            waiting.append(act)
            loop.stop()

        serving = loop.create_task(serve(load, pid_file, outside))
        serving.add_done_callback(lambda _: loop.stop())
        while not serving.done():
            loop.run_forever()
            while waiting:
                waiting.pop(0)()
        serving.result()


async def serve(load: Callable[[], Loaded], pid_file: Path | None, outside: Outside) -> None:
    """Serve until SIGTERM or SIGINT, and for as long after it as is set; a second one ends that.

    On SIGHUP, or when a file of the configuration changes, serve as it says then.

    outside: does something where no loop runs, soon.
    Raises ManifestError, HostsError, ZoneFileError, NoCredentials, BadConfig and CannotListen before the first answer.
    """
    stop = asyncio.Event()
    at_once = asyncio.Event()
    again = asyncio.Event()

    def end() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, again.set)

    gc.set_threshold(50_000, 20, 100)  # what is read stays: looking through it often, while it grows, finds nothing
    loaded = load()
    files = _Files()
    files.take(_watched(loaded), loaded.patterns)
    running = _running(loaded.settings, stop, outside)
    loop.set_exception_handler(running.tell_fault)
    try:
        await running.start()
        if pid_file:
            _write_pid(pid_file)
        tasks = [
            asyncio.create_task(following("the configuration", partial(files.watch, again), running.note_fault)),
            asyncio.create_task(_reload(running, load, files, again)),
        ]
        await stop.wait()
        for task in tasks:
            task.cancel()
        await running.linger(at_once)
    finally:
        await running.stop()
        if pid_file:
            _forget_pid(pid_file)
    log.info("stopped")


def _running(settings: Config, stop: asyncio.Event, outside: Outside) -> Running:
    if processors.wanted(settings.workers) == 1:
        return Running(settings, stop)
    from clusterdns.app.manned import manned  # noqa: PLC0415 - most servers are one process

    return manned(settings, stop, outside)


def _write_pid(file: Path) -> None:
    """Raises BadConfig."""
    try:
        file.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise config.BadConfig(f"--pid-file: {file}: {error.strerror}") from error


def _forget_pid(file: Path) -> None:
    with contextlib.suppress(OSError):  # it may never have been written
        file.unlink()


async def _reload(running: Running, load: Callable[[], Loaded], files: _Files, again: asyncio.Event) -> None:
    """Do as the configuration says each time that it may say something else; one that is bad changes nothing."""
    while True:
        await again.wait()
        again.clear()
        try:
            loaded = _loaded(load, files)
            files.take(_watched(loaded), loaded.patterns)
            await running.become(loaded.settings)
        except (*_FAULTS, config.BadConfig, CorefileError) as error:
            running.reloads_failed += 1
            running.fault = "; ".join(str(error).splitlines())
            log.error(_NOT_CHANGED, {"error": running.fault})  # noqa: TRY400 - one line
        except Exception as error:
            running.reloads_failed += 1
            running.fault = f"a fault in the program, please report it: {error!r}"
            log.error(_NOT_CHANGED, {"error": running.fault})  # noqa: TRY400 - one line
            log.debug("the fault in full", exc_info=True)
        else:
            running.fault = ""
            running.reloads += 1
            log.info("the configuration is read")
            if running.listeners.crew is None and processors.wanted(loaded.settings.workers) > 1:
                log.warning("workers: the one process that answers goes on alone until it is started again")


def _loaded(load: Callable[[], Loaded], files: _Files) -> Loaded:
    """What the files say; those of a Corefile that is no good are looked at too, since they may be what is mended."""
    try:
        return load()
    except CorefileError as error:
        files.add(error.files, error.patterns)
        raise


def _watched(loaded: Loaded) -> tuple[Path, ...]:
    return (*loaded.files, *read_at_start(loaded.settings))


class _Files:
    """The files of the configuration as they were last looked at; links are followed, as a ConfigMap has them."""

    def __init__(self) -> None:
        self._known: dict[Path, Stamp | None] = {}
        self._matches: dict[Path, Sequence[Path]] = {}

    def take(self, files: Iterable[Path], patterns: Iterable[Path]) -> None:
        """Look at these from now on, and at what matches these patterns."""
        known, matches = self._known, self._matches
        self._known, self._matches = {}, {}
        for file in files:
            self._known[file] = known.get(file) or stamp(file)
        for pattern in patterns:
            self._matches[pattern] = matches[pattern] if pattern in matches else Disk().matching(pattern)

    def add(self, files: Iterable[Path], patterns: Iterable[Path]) -> None:
        """Look at these, too."""
        self.take([*self._known, *files], [*self._matches, *patterns])

    async def watch(self, changed: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            known = {each: stamp(each) for each in self._known}
            matches = {each: Disk().matching(each) for each in self._matches}
            if (known, matches) != (self._known, self._matches):
                self._known, self._matches = known, matches
                changed.set()
