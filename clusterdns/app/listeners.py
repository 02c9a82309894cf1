"""The sockets of all blocks: a server on each address, for all the blocks that have it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from clusterdns import config, names
from clusterdns.app import certificates
from clusterdns.around import expressions
from clusterdns.config import Listening
from clusterdns.dispatch import View, refuse, viewed
from clusterdns.origins import Trail
from clusterdns.server import GOODBYE_SECONDS, CannotListen, Server, address_text
from clusterdns.traffic import DROPPED, Place, Traffic

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from clusterdns.app.answering import Answering
    from clusterdns.app.front import Front
    from clusterdns.dispatch import Holds
    from clusterdns.events import Event
    from clusterdns.names import Name
    from clusterdns.server import Client, Limits, Respond
    from clusterdns.workers import Crew

log = logging.getLogger("clusterdns")

QUIET_SECONDS = 0.5
"""Without a query, at the end, until nobody is taken to ask us any more."""

OVERTIME_SECONDS = 5.0
"""How much longer than it is told to this server answers, at most, while it is still asked."""


class Prepared(NamedTuple):
    """What shall answer on an address."""

    over_udp: Respond
    over_tcp: Respond
    quietly: Respond
    """The same as over TCP, but neither counted nor logged."""
    limits: Limits
    tls: ssl.SSLContext | None


class Listeners:
    """write: where the lines of the query log go.

    shared: the addresses, as they are bound, if other processes listen there too; none but these are listened on then.
    """

    def __init__(self, write: Callable[[str], None], shared: Mapping[Listening, tuple[str, int]] | None = None) -> None:
        self.servers: dict[Listening, Server] = {}
        self.shared = shared
        self.bound: dict[Listening, tuple[str, int]] = {}
        """Where we listen, as it is bound."""
        self._write = write
        self._prepared: dict[Listening, Prepared] = {}
        """What answers where."""
        self._looking: Callable[[Respond], Respond] | None = None
        self._is_leaving = False
        self.traffic = Traffic()
        self.crew: Crew | None = None
        """The processes that answer in the place of this one."""

    @property
    def quietly(self) -> Respond:
        """What clients are answered on the first address, for whoever wants to know it without being one."""
        return first_quietly(self._prepared)

    def bound_port(self, place: Place) -> int:
        """Its port, which may be set as 0, for any."""
        where = Listening(place.host, place.port, place.is_tls)
        return self.bound.get(where, (place.host, place.port))[1]

    def plain(self) -> list[tuple[str, int]]:
        """Where we listen over UDP and TCP, as it is bound."""
        return [bound for where, bound in self.bound.items() if not where.is_tls]

    def prepared(
        self, answering: Sequence[Answering], limits: Limits, front: Front, *, counts: bool
    ) -> dict[Listening, Prepared]:
        """What shall answer where. Raises BadConfig for certificates that are no good.

        counts: whether queries are counted.
        """

        def counted(respond: Respond, place: Place, trail: Trail) -> Respond:
            return self.traffic.counted(respond, place, trail) if counts else respond

        def dispatching(views: dict[Name, list[View]], place: Place, *, stream: bool) -> Respond:
            trail = Trail(time.monotonic)

            def refusing(packet: bytes, client: Client) -> bytes | None:
                trail.begin()
                return refuse(packet, client)

            respond = viewed(views, counted(front.telling(refusing, stream=stream), place, trail))
            return front.before(respond, stream=stream)

        over_udp: dict[Listening, dict[Name, list[View]]] = {}
        over_tcp: dict[Listening, dict[Name, list[View]]] = {}
        unlogged: dict[Listening, dict[Name, list[View]]] = {}
        tls: dict[Listening, ssl.SSLContext] = {}
        for each in answering:
            udp, tcp = each.responds(front)
            for where in map(config.listening, each.block.listen):
                if where.is_tls and where not in tls:
                    tls[where] = certificates.for_clients(each.block.tls)
                logged_udp = each.logged(udp, where.host, self._write, stream=False)
                logged_tcp = each.logged(tcp, where.host, self._write, stream=True)
                in_view = _holds(each, where, stream=True)
                for name in map(names.from_text, each.block.names):
                    zone, view, trail = names.to_text(name), each.block.view.name, each.trail
                    counted_udp = counted(logged_udp, _place(where, zone, view, stream=False), trail)
                    counted_tcp = counted(logged_tcp, _place(where, zone, view, stream=True), trail)
                    over_udp.setdefault(where, {}).setdefault(name, []).append(
                        View(counted_udp, _holds(each, where, stream=False))
                    )
                    over_tcp.setdefault(where, {}).setdefault(name, []).append(View(counted_tcp, in_view))
                    unlogged.setdefault(where, {}).setdefault(name, []).append(View(tcp, in_view))
        for each in answering:
            beside = unlogged[config.listening(each.block.listen[0])]
            is_alone = sum(map(len, beside.values())) == len(set(each.block.names))
            each.look_beyond(viewed(beside), is_alone=is_alone)
        return {
            where: Prepared(
                dispatching(over_udp[where], _place(where, DROPPED, stream=False), stream=False),
                dispatching(over_tcp[where], _place(where, DROPPED, stream=True), stream=True),
                viewed(unlogged[where]),
                limits,
                tls.get(where),
            )
            for where in over_udp
        }

    async def take(self, prepared: dict[Listening, Prepared]) -> None:
        """Listen on what is new, and let these answer everywhere; all of that, or nothing. Raises CannotListen.

        The loop gets no turn meanwhile, and addresses that are there no more go on until they are dropped.
        """
        made: dict[Listening, Server] = {}
        for where in prepared.keys() - self.servers.keys():
            if self.shared is not None and where not in self.shared:
                continue
            new = prepared[where]
            server = Server(new.over_udp, new.over_tcp, new.limits, new.tls)
            address = self.shared[where] if self.shared is not None else (where.host, where.port)
            try:
                (bound,) = await server.start([address], shared=self.shared is not None)
            except CannotListen as error:
                if is_spare(where, prepared):
                    log.warning("%s; IPv4 has to do", error)
                    continue
                for each in made:
                    del self.bound[each]
                await _stopped(made.values())
                raise
            made[where], self.bound[where] = server, bound
        self.servers |= made
        self._prepared |= prepared
        for where in prepared.keys() & self.servers.keys():
            if where not in made or self._looking is not None:
                self._swap(where)
        if self.shared is None:
            self.tell(filter(made.__contains__, prepared))

    def tell(self, new: Iterable[Listening]) -> None:
        """Say that queries are answered there from now on."""
        for where in new:
            text = address_text(*self.bound[where])
            fields = {"address": text, "protocols": "TLS" if where.is_tls else "UDP and TCP"}
            log.info("listening on %(address)s, %(protocols)s", fields)

    def begin(self, answering: Sequence[Answering]) -> None:
        """These answer now."""
        for each in answering:
            each.take_in()
            each.index.forget_replies()  # they may have been made for other settings
            each.start(self.plain())

    def note_events(self, events: Sequence[Event]) -> None:
        """The indexes have been told this: those who answer in this process need not hear of it."""

    def look(self, looking: Callable[[Respond], Respond] | None) -> None:
        """Let this stand around all that answers, until it is None."""
        self._looking = looking
        if not self._is_leaving:  # else who still asks is being looked at
            for where in self.servers:
                self._swap(where)

    def _swap(self, where: Listening) -> None:
        looking, new = self._looking or _as_it_is, self._prepared[where]
        self.servers[where].swap(looking(new.over_udp), looking(new.over_tcp), new.limits, new.tls)

    async def drop(self, kept: Iterable[Listening]) -> None:
        """Answer what was asked on other addresses, and listen there no more."""
        dropped = self.servers.keys() - set(kept)
        for where in dropped:
            del self.bound[where], self._prepared[where]
        await _stopped([self.servers.pop(where) for where in dropped])

    async def linger(self, seconds: float, at_once: asyncio.Event) -> None:
        """Answer until those who ask have heard that we go, or until `at_once`."""
        asked = _Latest()
        self._is_leaving = True
        for server in self.servers.values():
            server.leave(asked.note)
        end = time.monotonic() + seconds

        def rest() -> float:
            return min(max(end, asked.at + QUIET_SECONDS), end + OVERTIME_SECONDS) - time.monotonic()

        while not at_once.is_set() and (wait := rest()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(at_once.wait(), wait)

    async def stop(self, hurry: Callable[[], None], patience: float = GOODBYE_SECONDS) -> None:
        """Answer what was asked; `hurry` and `patience` as Server.stop has them."""
        await _stopped(self.servers.values(), hurry, patience)


class _Latest:
    """When something last happened."""

    def __init__(self) -> None:
        self.at = float("-inf")

    def note(self) -> None:
        self.at = time.monotonic()


def is_spare(where: Listening, wanted: Container[Listening]) -> bool:
    """Whether it is IPv6 beside IPv4 that will do: many a machine has none."""
    return where.host == "::" and replace(where, host="0.0.0.0") in wanted


def _as_it_is(respond: Respond) -> Respond:
    return respond


def first_quietly(prepared: dict[Listening, Prepared]) -> Respond:
    """What answers on the first address, neither counted nor logged."""
    return next((each.quietly for each in prepared.values()), refuse)


async def _stopped(
    servers: Iterable[Server], hurry: Callable[[], None] = lambda: None, patience: float = GOODBYE_SECONDS
) -> None:
    await asyncio.gather(*(each.stop(hurry=hurry, patience=patience) for each in servers))


def _place(where: Listening, zone: str, view: str = "", *, stream: bool) -> Place:
    return Place(where.host, where.port, where.is_tls, stream, zone, view)


def _holds(answering: Answering, where: Listening, *, stream: bool) -> Holds | None:
    """Whether a query that comes in there is in the block's view; None if it has none."""
    conditions = [expressions.condition(each) for each in answering.block.view.conditions]
    if not conditions:
        return None
    return expressions.holding(conditions, expressions.Where(where.host, where.port, stream))
