"""The addresses of host names, asked of the system again and again, without holding up the loop.

Each question has a thread of its own, which nobody waits for at the end: the system's resolver may take half a minute,
and can not be interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING

from clusterdns.probes.probe import is_address

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

log = logging.getLogger("clusterdns.manifests")

AT_ONCE = 8
"""Names that are asked for at the same time."""
AGAIN = 30.0
"""Seconds until a name is asked for again: what a record of ours lives for."""
AFTER_FAILURE = 5.0
"""The same if it had no address."""


class HostNames:
    """Resolves names for as long as they are wanted; `changed` is called when there is something new."""

    def __init__(self, changed: Callable[[], None], *, again: float = AGAIN) -> None:
        self._changed = changed
        self._again = again
        self._room = asyncio.Semaphore(AT_ONCE)
        self._found: dict[str, tuple[str, ...]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def found(self) -> Mapping[str, tuple[str, ...]]:
        """The addresses of each name that has some."""
        return self._found

    def addresses(self, host: str) -> tuple[str, ...]:
        """Those of a name, none if they are not known; an address is its own."""
        return (host,) if is_address(host) else self._found.get(host, ())

    def take(self, hosts: Collection[str]) -> None:
        """Resolve these from now on, and no others."""
        for host in self._tasks.keys() - hosts:
            self._tasks.pop(host).cancel()
            self._found.pop(host, None)
        for host in hosts - self._tasks.keys():
            self._tasks[host] = asyncio.create_task(self._follow(host))

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        self.take(())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, host: str) -> None:
        trouble = ""
        while True:
            async with self._room:
                reason = await self._look_up(host)
            if reason and reason != trouble:
                log.warning("host name %(host)s: %(error)s", {"host": host, "error": reason})
            trouble = reason
            await asyncio.sleep(min(AFTER_FAILURE, self._again) if reason else self._again)

    async def _look_up(self, host: str) -> str:
        """Notes the addresses; the reason if there are none to be had. What is only not answered stays as it was."""
        try:
            found = await _resolved(host)
        except OSError as error:
            if getattr(error, "errno", None) not in (socket.EAI_NONAME, socket.EAI_NODATA):
                return str(error.strerror)
            found, reason = (), "has no address"
        else:
            reason = ""
        if self._found.get(host, ()) != found:
            self._found[host] = found
            self._changed()
        return reason


async def _resolved(host: str) -> tuple[str, ...]:
    """The addresses of a name, those of IPv4 first. Raises OSError."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def settle(found: tuple[str, ...] | OSError) -> None:
        if answer.done():
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def ask() -> None:
        result: tuple[str, ...] | OSError
        try:
            every = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = {str(each[4][0]) for each in every if "%" not in str(each[4][0])}
            result = tuple(sorted(found, key=lambda address: (":" in address, address)))
        except OSError as error:
            result = error
        except UnicodeError:
            result = socket.gaierror(socket.EAI_NONAME, "is no host name")
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=ask, daemon=True).start()
    return await answer
