"""Which upstreams a name goes to, and in which order."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from clusterdns import names
from clusterdns.forward.address import UpstreamAddress
from clusterdns.forward.asking import Asking, Patience
from clusterdns.forward.health import Prober
from clusterdns.forward.upstream import Manner, Upstream
from clusterdns.names import Name
from clusterdns.records import Reason, ReasonCode
from clusterdns.responses import failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from clusterdns.forward.upstream import Asked
    from clusterdns.records import Question
    from clusterdns.responses import Response

Policy: TypeAlias = Literal["random", "round-robin", "sequential"]


class Route(Struct, frozen=True):
    """Where the names of a zone are asked for; the route of the longest zone that a name is in is its own."""

    zone: Name
    upstreams: tuple[UpstreamAddress, ...]
    policy: Policy = "random"
    excepted: frozenset[Name] = frozenset()
    """Zones within it that are not forwarded."""
    manner: Manner = Manner()


class _Way:
    """A route as it stands."""

    def __init__(self, route: Route, upstreams: list[Upstream]) -> None:
        self.route = route
        self.upstreams = upstreams
        self._turn = 0

    def order(self) -> list[Upstream]:
        """All upstreams that may be asked: those that answer in the order of the policy, then those that failed."""
        usable = [each for each in self.upstreams if not each.is_looping]
        match self.route.policy:
            case "random":
                random.shuffle(usable)
            case "round-robin":
                self._turn += 1
                turn = self._turn % max(1, len(usable))
                usable = usable[turn:] + usable[:turn]
        return sorted(usable, key=lambda each: each.is_down)


class Forwarder:
    """Asks upstream. It is used within a running loop, from `start` to `stop`."""

    def __init__(self, routes: Iterable[Route], patience: Patience) -> None:
        self._patience = patience
        self._is_over = False
        self._prober = Prober()
        self._ways: dict[Name, _Way] = {}
        self._askings: dict[Asking, None] = {}
        for route in routes:
            upstreams = [Upstream(each, route.manner) for each in dict.fromkeys(route.upstreams)]
            self._ways[route.zone] = _Way(route, upstreams)

    def start(self) -> None:
        for way in self._ways.values():
            for upstream in way.upstreams:
                self._prober.check(upstream, way.route.zone)

    def stop(self) -> None:
        """Whoever still waits is told that nobody answered, and whoever comes now is told at once."""
        self._is_over = True
        for asking in list(self._askings):
            asking.give_up("this server stops")
        for _, upstream in self.upstreams:
            self._retire(upstream)

    @property
    def upstreams(self) -> list[tuple[Name, Upstream]]:
        """All of them, each with the zone that it is asked about."""
        return [(zone, each) for zone, way in self._ways.items() for each in way.upstreams]

    def put(self, route: Route) -> None:
        """Take a route in place of the zone's former one; an upstream that is in both goes on as it is."""
        way = self._ways.get(route.zone)
        known = {each.address: each for each in way.upstreams} if way and way.route.manner == route.manner else {}
        fresh = [known.get(each) or Upstream(each, route.manner) for each in dict.fromkeys(route.upstreams)]
        for upstream in way.upstreams if way else ():
            if upstream not in fresh:
                self._retire(upstream)
        self._ways[route.zone] = _Way(route, fresh)
        for upstream in fresh:
            self._prober.check(upstream, route.zone)

    def serves(self, name: Name) -> bool:
        """Whether there is anybody to ask for the name."""
        return self._way(name) is not None

    def caught(self, question: Question) -> bool:
        """Whether the question is one of our own that has come back to us: it must not go out again."""
        return self._prober.caught(question)

    def ask(self, asked: Asked, done: Callable[[Response], None]) -> None:
        """Ask, and hand over the response in bounded time: SERVFAIL with the reason if nobody answers."""
        way = self._way(asked.question.name)
        upstreams = way.order() if way and not self._is_over else []
        if way is None or not upstreams:
            nobody = failure(asked.question.name, Reason(self._why_nobody(way), ReasonCode.NO_REACHABLE_AUTHORITY))
            asyncio.get_running_loop().call_soon(done, nobody)
            return

        def over(asking: Asking, response: Response) -> None:
            self._askings.pop(asking, None)
            self._check_failed(way, upstreams)
            done(response)

        self._askings[Asking(asked, upstreams, self._patience, over)] = None

    def _why_nobody(self, way: _Way | None) -> str:
        if self._is_over:
            return "this server stops"
        return "every upstream leads back to this server" if way else "there is no upstream"

    def _check_failed(self, way: _Way, upstreams: Iterable[Upstream]) -> None:
        for each in upstreams:
            if each.failures and each in way.upstreams:
                self._prober.check(each, way.route.zone)

    def _way(self, name: Name) -> _Way | None:
        way = self._ways.get(name)
        for ancestor in names.ancestors(name) if way is None else ():
            way = self._ways.get(ancestor)
            if way is not None:
                break
        if way is None or not way.upstreams:
            return None
        excepted = way.route.excepted
        if excepted and (name in excepted or any(each in excepted for each in names.ancestors(name))):
            return None
        return way

    def _retire(self, upstream: Upstream) -> None:
        self._prober.forget(upstream)
        upstream.close()
