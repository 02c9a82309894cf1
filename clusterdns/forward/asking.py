"""One question on its way: one upstream after the other, until one answers or the time is over."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import names
from clusterdns.forward.datagrams import NO_SOCKET
from clusterdns.forward.upstream import Asked, Try
from clusterdns.presentation import type_text
from clusterdns.records import Rcode, Reason, ReasonCode
from clusterdns.responses import Response, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clusterdns.forward.upstream import Upstream

log = logging.getLogger("clusterdns.forward")

ROUNDS = 2
"""How often each upstream is tried that fails at once, as one does that is just being restarted."""

ROUND_PAUSE_SECONDS = 0.2

MOST_TRIES = 2
"""At one time: each has a socket."""

UNWILLING = frozenset({Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED})
"""Another upstream may do better, as it does for the C library's resolver."""


class Patience(Struct, frozen=True):
    """In seconds."""

    try_seconds: float = 1.5
    """Until the next upstream is asked as well; the one before may still answer."""
    seconds: float = 4.5
    """Until we give up: less than the 5 s after which most clients do."""


class Asking:
    """A question to these upstreams, the first one first.

    done: is given the response, later and in any case: SERVFAIL with the reason if nobody answers.
    failover: response codes at which the next upstream is asked, beside those of the UNWILLING.
    most_tries: how many upstreams are tried that do not answer; 0 for any number.
    """

    def __init__(
        self,
        asked: Asked,
        upstreams: Sequence[Upstream],
        patience: Patience,
        done: Callable[[Asking, Response], None],
        *,
        failover: frozenset[int] = frozenset(),
        most_tries: int = 0,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._asked = asked
        self._upstreams = upstreams
        self._patience = patience
        self._sends_on = UNWILLING | failover
        self._most_tries = most_tries
        self._tries: list[Try] = []
        self._turn = 0
        self._complaints: dict[str, str] = {}
        self._unwilling: Response | None = None
        self._done = done
        self._is_over = False
        seconds = patience.seconds
        if upstreams and all(each.is_down for each in upstreams):
            seconds = min(seconds, patience.try_seconds * 2)  # they were tried long enough by others
        self._end = loop.call_later(seconds, self.give_up)
        self._next: asyncio.TimerHandle = self._end
        self._try_next()

    def give_up(self, why: str = "") -> None:
        """Answer with what there is: the refusal of an upstream, or that nobody answered."""
        if self._is_over:
            return
        for each in self._tries:
            self._complain(each.upstream, "silent")
        complaints = why or ", ".join(f"{who}: {what}" for who, what in self._complaints.items())
        if not why and self._unwilling is None:
            self._tell(complaints)
        reason = Reason(f"no upstream answered ({complaints})", ReasonCode.NO_REACHABLE_AUTHORITY)
        self._finish(self._unwilling or failure(self._asked.question.name, reason))

    def _tell(self, complaints: str) -> None:
        question = self._asked.question
        fields = {
            "name": names.to_text(question.name),
            "type": type_text(question.qtype),
            "upstream": ", ".join(sorted(map(str, self._upstreams))),
            "error": complaints,
        }
        log.error("no upstream answered %(name)s %(type)s: %(error)s", fields)

    def _try_next(self) -> None:
        upstream = self._upstreams[self._turn % len(self._upstreams)]
        self._turn += 1
        self._next = self._loop.call_later(self._patience.try_seconds, self._is_late, upstream)
        if len(self._tries) == MOST_TRIES:
            self._tries.pop(0).close()
        one = Try(upstream, self._asked, self._take, self._drop)
        self._tries.append(one)
        one.start()

    def _is_late(self, upstream: Upstream) -> None:
        self._complain(upstream, "silent")
        if self._may_try_again:
            self._try_next()

    @property
    def _may_try_again(self) -> bool:
        return not self._most_tries or self._turn < self._most_tries

    def _take(self, one: Try, response: Response) -> None:
        if self._is_over:
            return
        self._tries.remove(one)
        one.upstream.failures = 0
        one.upstream.tally.note_response(response.rcode, self._loop.time() - one.started)
        is_unwilling = response.rcode in self._sends_on or response.is_truncated
        if is_unwilling and self._turn < len(self._upstreams):
            self._unwilling = response
            self._next.cancel()
            self._try_next()
        elif is_unwilling and self._tries:
            self._unwilling = response  # somebody else may still answer
        else:
            self._finish(response)

    def _drop(self, one: Try, why: str) -> None:
        if self._is_over:
            return
        self._tries.remove(one)
        self._complain(one.upstream, why)
        if self._turn < len(self._upstreams) and self._may_try_again:
            self._next.cancel()
            self._try_next()
        elif self._tries:
            pass
        elif not self._may_try_again:
            self.give_up()
        elif self._unwilling is None and self._turn < ROUNDS * len(self._upstreams) and not one.upstream.is_looping:
            self._next.cancel()
            self._next = self._loop.call_later(ROUND_PAUSE_SECONDS, self._try_next)
        else:
            self.give_up()

    def _complain(self, upstream: Upstream, why: str) -> None:
        if str(upstream) not in self._complaints and why != NO_SOCKET:
            upstream.failures += 1
            upstream.tally.failed += 1
        self._complaints[str(upstream)] = why

    def _finish(self, response: Response) -> None:
        self._is_over = True
        self._next.cancel()
        self._end.cancel()
        for each in self._tries:
            each.close()
        self._tries.clear()
        self._done(self, response)
