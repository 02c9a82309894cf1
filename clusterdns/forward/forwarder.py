"""Which upstreams a name goes to, and in which order."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from clusterdns import names
from clusterdns.forward.address import UpstreamAddress
from clusterdns.forward.asking import Asking, Patience
from clusterdns.forward.health import Prober
from clusterdns.forward.upstream import Manner, Tally, Upstream
from clusterdns.names import Name
from clusterdns.records import Rcode, Reason, ReasonCode
from clusterdns.responses import failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clusterdns.forward.upstream import Asked
    from clusterdns.records import Question
    from clusterdns.responses import Response

log = logging.getLogger("clusterdns.forward")

Policy: TypeAlias = Literal["random", "round-robin", "sequential"]


class Route(Struct, frozen=True):
    """Where the names of a zone are asked for; the route of the longest zone that a name is in is its own."""

    zone: Name
    upstreams: tuple[UpstreamAddress, ...]
    policy: Policy = "random"
    excepted: frozenset[Name] = frozenset()
    """Zones within it that are not forwarded, except for what is in the zone of another route."""
    manner: Manner = Manner()
    failover: frozenset[int] = frozenset()
    """Response codes at which the next upstream is asked, beside SERVFAIL and the like."""
    most_tries: int = 0
    """How many upstreams are tried for a question that do not answer. 0: any number."""
    fails_fast: bool = False
    """Whether nobody is asked while all upstreams are known to have failed."""
    after: Route | None = None
    """Is taken for a question as well, in the place of this route's response, if that has one of `after_rcodes`..."""
    after_rcodes: frozenset[int] = frozenset()
    after_no_data: bool = False
    """...or no answer at all."""

    def leads_on(self, response: Response) -> bool:
        has_no_data = response.rcode == Rcode.NOERROR and not response.counts[0]
        return response.rcode in self.after_rcodes or (self.after_no_data and has_no_data)


class _Way:
    """A route as it stands."""

    def __init__(self, route: Route, known: Mapping[UpstreamAddress, Upstream], tallies: Tallies) -> None:
        self.route = route
        self.upstreams = [
            known.get(each) or Upstream(each, route.manner, tallies.of(route.zone, each))
            for each in dict.fromkeys(route.upstreams)
        ]
        self.after = None if route.after is None else _Way(route.after, known, tallies)
        self._turn = 0

    def all_upstreams(self) -> list[Upstream]:
        """These, and those of the ways after it."""
        return [*self.upstreams, *(self.after.all_upstreams() if self.after else ())]

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


class Tallies:
    """What became of the questions of one block. They go on being counted here when its forwarder is another one."""

    def __init__(self) -> None:
        self.despairs = 0
        """Questions that were asked although no upstream of theirs seemed to be there."""
        self._of: dict[tuple[Name, UpstreamAddress], Tally] = {}

    def of(self, zone: Name, address: UpstreamAddress) -> Tally:
        return self._of.setdefault((zone, address), Tally())


class Forwarder:
    """Asks upstream. It is used within a running loop, from `start` to `stop`."""

    def __init__(self, routes: Iterable[Route], patience: Patience, tallies: Tallies | None = None) -> None:
        self.tallies = tallies or Tallies()
        self._patience = patience
        self._is_over = False
        self._prober = Prober()
        self._ways: dict[Name, _Way] = {}
        self._askings: dict[Asking, None] = {}
        for route in routes:
            self._ways[route.zone] = _Way(route, {}, self.tallies)

    def start(self) -> None:
        for zone, upstream in self.upstreams:
            self._prober.check(upstream, zone)

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
        return [(zone, each) for zone, way in self._ways.items() for each in way.all_upstreams()]

    def put(self, route: Route) -> None:
        """Take a route in place of the zone's former one; an upstream that is in both goes on as it is."""
        way = self._ways.get(route.zone)
        before = way.all_upstreams() if way else []
        known = {each.address: each for each in before} if way and way.route.manner == route.manner else {}
        self._ways[route.zone] = _Way(route, known, self.tallies)
        fresh = self._ways[route.zone].all_upstreams()
        for upstream in before:
            if upstream not in fresh:
                self._retire(upstream)
        for upstream in fresh:
            self._prober.check(upstream, route.zone)

    def serves(self, name: Name) -> bool:
        """Whether there is anybody to ask for the name."""
        return self._way(name) is not None

    def upstreams_of(self, name: Name) -> list[Upstream]:
        """Who may be asked for the name."""
        way = self._way(name)
        return way.all_upstreams() if way else []

    def caught(self, question: Question) -> bool:
        """Whether the question is one of our own that has come back to us: it must not go out again."""
        return self._prober.caught(question)

    def ask(self, asked: Asked, done: Callable[[Response], None]) -> None:
        """Ask, and hand over the response in bounded time: SERVFAIL with the reason if nobody answers."""
        self._ask_along(self._way(asked.question.name), asked, done)

    def _ask_along(self, way: _Way | None, asked: Asked, done: Callable[[Response], None]) -> None:
        upstreams = way.order() if way and not self._is_over else []
        if way is None or not upstreams or (way.route.fails_fast and all(each.is_down for each in upstreams)):
            self._tell_nobody(way, asked)
            nobody = failure(asked.question.name, Reason(self._why_nobody(way), ReasonCode.NO_REACHABLE_AUTHORITY))
            asyncio.get_running_loop().call_soon(done, nobody)
            return
        self.tallies.despairs += upstreams[0].is_down

        def over(asking: Asking, response: Response) -> None:
            self._askings.pop(asking, None)
            self._check_failed(way, upstreams)
            if way.after is not None and way.route.leads_on(response):
                self._ask_along(way.after, asked, done)
            else:
                done(response)

        route = way.route
        asking = Asking(asked, upstreams, self._patience, over, failover=route.failover, most_tries=route.most_tries)
        self._askings[asking] = None

    def _tell_nobody(self, way: _Way | None, asked: Asked) -> None:
        if not self._is_over and way is not None:
            fields = {
                "name": names.to_text(asked.question.name),
                "zone": names.to_text(way.route.zone),
                "error": self._why_nobody(way),
            }
            log.error("nobody was asked for %(name)s, of the upstreams of %(zone)s: %(error)s", fields)

    def _why_nobody(self, way: _Way | None) -> str:
        if self._is_over:
            return "this server stops"
        if way is None:
            return "there is no upstream"
        if any(each.is_down and not each.is_looping for each in way.upstreams):
            return "no upstream answered when it was asked last"
        return "every upstream leads back to this server"

    def _check_failed(self, way: _Way, upstreams: Iterable[Upstream]) -> None:
        for each in upstreams:
            if each.failures and each in way.upstreams:
                self._prober.check(each, way.route.zone)

    def _way(self, name: Name) -> _Way | None:
        way, skipped = self._ways.get(name), [name]
        for ancestor in names.ancestors(name) if way is None else ():
            skipped.append(ancestor)
            way = self._ways.get(ancestor)
            if way is not None:
                break
        if way is None or not way.upstreams or not way.route.excepted.isdisjoint(skipped):
            return None
        return way

    def _retire(self, upstream: Upstream) -> None:
        self._prober.forget(upstream)
        upstream.close()
