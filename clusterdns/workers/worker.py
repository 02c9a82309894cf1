"""A worker as its parent sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from clusterdns.workers.fork import fork
from clusterdns.workers.link import Link
from clusterdns.workers.messages import Failed, Inquire, Leave, Listening, Said, Told, decoded, encoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.metrics import Reading


class Worker:
    """One process, from its fork to its end. Made where no loop runs. Raises OSError.

    work: what it does, told its number and its end of the link.
    wants_to_go: is called when somebody else has told it to end.
    """

    def __init__(
        self,
        number: int,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[int, socket.socket], int],
        wants_to_go: Callable[[Worker], None],
    ) -> None:
        self.number = number
        self.since = time.monotonic()
        self.settled: asyncio.Future[str] = loop.create_future()
        """Why it does not do what it was told; empty once it does."""
        self.gone: asyncio.Future[str] = loop.create_future()
        """How it has ended."""
        self.reading: Reading | None = None
        """The numbers that it told last."""
        self.read = asyncio.Event()
        """Set when it has told them since they were asked for."""
        self.unheard = 0
        """How often it was asked whether it is there since it last answered."""
        self._loop = loop
        self._inquiries: dict[int, asyncio.Future[bytes]] = {}
        self._inquired = 0
        self._is_listening = False
        self._wants_to_go = wants_to_go
        ours, its = socket.socketpair()
        try:
            self.process = fork(lambda: work(number, its), (its.fileno(),))
        except OSError:
            ours.close()
            raise
        finally:
            its.close()
        self._link = Link(loop, ours, self._hear, self.kill)

    @property
    def backlog(self) -> int:
        """Bytes that it has not taken yet."""
        return self._link.backlog

    @property
    def is_ready(self) -> bool:
        """Whether it answers queries."""
        return self._is_listening and not self.gone.done()

    def settle(self, message: bytes) -> None:
        """Tell it what to do from now on."""
        if not self.settled.done():
            self.settled.set_result("it was told something else meanwhile")
        self.settled = self._loop.create_future()
        self.send(message)

    def send(self, message: bytes) -> None:
        self._link.send(message)

    async def inquire(self, about: bytes) -> bytes:
        """What it says about that; empty if it says nothing, or ends."""
        self._inquired = number = self._inquired + 1
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._inquiries[number] = answer
        self.send(encoded(Inquire(number, about)))
        try:
            return await answer
        finally:
            del self._inquiries[number]

    def kill(self) -> None:
        """End it, if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)

    def reap(self) -> bool:
        """Whether it has ended."""
        if self.gone.done():
            return False
        number, status = os.waitpid(self.process, os.WNOHANG)
        if not number:
            return False
        self._link.drop()
        code = os.waitstatus_to_exitcode(status)
        self.gone.set_result(f"exit code {code}" if code >= 0 else signal.Signals(-code).name)
        if not self.settled.done():
            self.settled.set_result("it has ended")
        self.read.set()
        for number in self._inquiries:
            self._note_said(number, b"")
        return True

    def _hear(self, raw: bytes) -> None:
        match decoded(raw):
            case Listening():
                self._is_listening = True
                self._settle("")
            case Failed(why):
                self._settle(why)
            case Told(reading):
                self.unheard = 0
                if reading is not None:
                    self.reading = reading
                    self.read.set()
            case Said(number, answer):
                self._note_said(number, answer)
            case Leave():
                self._wants_to_go(self)
            case _:
                pass

    def _note_said(self, number: int, answer: bytes) -> None:
        waiting = self._inquiries.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _settle(self, fault: str) -> None:
        if not self.settled.done():
            self.settled.set_result(fault)
