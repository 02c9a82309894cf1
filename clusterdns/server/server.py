"""The sockets of one list of addresses, from the first query to the last answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clusterdns.server.binding import CannotListen, bind, bind_stream
from clusterdns.server.datagrams import Datagrams
from clusterdns.server.encryption import Encrypted
from clusterdns.server.holding import Holding
from clusterdns.server.replies import Promises
from clusterdns.server.streams import Connection, Listener
from clusterdns.server.turns import Turns

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Sequence

    from clusterdns.server.replies import Client, Respond, ToCome
    from clusterdns.server.streams import Limits

MESSAGES = 64
"""Of all streams, answered before the loop gets its turn, and with it the datagrams: about as many as of those."""

BEGUN = 8
"""Of the replies to come, begun before the loop gets its turn: that takes as long as the messages do."""

HANDSHAKES = 4
"""Steps of TLS handshakes, taken before the loop gets its turn: some of them take a millisecond."""

GOODBYE_SECONDS = 0.5
"""What clients get at the stop to read their last answers."""


class Server:
    """The sockets of one list of addresses.

    tls: what TLS is spoken with (RFC 7858), on TCP alone; None for plain UDP and TCP.
    """

    def __init__(self, over_udp: Respond, over_tcp: Respond, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._over_udp = over_udp
        self._over_tcp = over_tcp
        self._limits = limits
        self._tls = tls
        self._connections: Holding[Connection] = Holding()
        self._datagrams: list[Datagrams] = []
        self._listeners: list[Listener] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_leaving = False
        self._note: Callable[[], None] = lambda: None

    async def start(self, addresses: Sequence[tuple[str, int]], *, shared: bool = False) -> list[tuple[str, int]]:
        """Listen on all of these addresses, or on none of them; port 0 takes a free one.

        shared: whether other processes may listen there as well.
        Returns the addresses as they are bound. Raises CannotListen.
        """
        loop = asyncio.get_running_loop()
        self._turns = Turns(loop, MESSAGES)
        self._handshakes = Turns(loop, HANDSHAKES)
        self._to_come = Promises(Turns(loop, BEGUN))
        datagrams: list[socket.socket] = []
        streams: list[socket.socket] = []
        try:
            for host, port in addresses:
                if self._tls:
                    streams.append(bind_stream(host, port, shared=shared))
                else:
                    udp, tcp = bind(host, port, shared=shared)
                    datagrams.append(udp)
                    streams.append(tcp)
        except CannotListen:
            for each in (*datagrams, *streams):
                each.close()
            raise
        self._datagrams += [Datagrams(loop, each, self._over_udp, self._to_come) for each in datagrams]
        self._listeners += [Listener(loop, each, self._connect) for each in streams]
        self._sweeper = loop.call_later(1, self._sweep)
        return [each.getsockname()[:2] for each in streams]

    def swap(
        self,
        over_udp: Respond,
        over_tcp: Respond,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Let these answer from now on, on connections that are open too; replies to come are those of before.

        limits: as they were unless given.
        tls: for the connections that are yet to come; as it was unless given.
        """
        self._over_udp, self._over_tcp = over_udp, over_tcp
        self._limits, self._tls = limits or self._limits, tls or self._tls
        for datagrams in self._datagrams:
            datagrams.respond = over_udp
        for connection in self._connections:
            connection.limits = self._limits

    def leave(self, note: Callable[[], None]) -> None:
        """Answer as before, but let go of connections: each ends when its client has nothing to ask for a moment.

        note: is called for each datagram and each new connection from now on.
        """

        def noting(packet: bytes, client: Client) -> bytes | ToCome | None:
            note()
            return respond(packet, client)

        respond, self._note = self._over_udp, note
        self._is_leaving = True
        self.swap(noting, self._over_tcp)
        for connection in list(self._connections):
            connection.leave()

    async def stop(self, *, hurry: Callable[[], None] = lambda: None, patience: float = GOODBYE_SECONDS) -> None:
        """Close every socket once what was asked is answered; a client that is slow to read it gets a moment.

        hurry: is called when replies have been waited for long enough; they must be there soon after that.
        patience: how long that is, in seconds.
        """
        if self._sweeper:
            self._sweeper.cancel()
        self._is_leaving = True
        for listener in self._listeners:
            await listener.close()
        for connection in list(self._connections):
            connection.leave()
        await self._let_go(GOODBYE_SECONDS / 2)
        for connection in list(self._connections):
            connection.end_with_an_answer()
        await self._let_go(GOODBYE_SECONDS / 2)
        await self._to_come.kept(patience)
        for datagrams in self._datagrams:
            datagrams.finish()
        hurry()
        if await self._to_come.kept(GOODBYE_SECONDS):
            await self._let_go(GOODBYE_SECONDS)
        for datagrams in self._datagrams:
            datagrams.close()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)

    async def _let_go(self, seconds: float) -> None:
        """Wait until all connections are gone, or so long."""
        patience = asyncio.get_running_loop().time() + seconds
        while self._connections and asyncio.get_running_loop().time() < patience:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.01)

    def _connect(self) -> asyncio.BaseProtocol:
        connection = Connection(self._respond_over_tcp, self._limits, self._connections, self._turns, self._to_come)
        if self._is_leaving:
            self._note()
            connection.leave()
        return Encrypted(connection, self._tls, self._handshakes) if self._tls else connection

    def _respond_over_tcp(self, packet: bytes, client: Client) -> bytes | ToCome | None:
        """By whoever answers now: a connection may be on its way to us while that changes."""
        return self._over_tcp(packet, client)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._limits.idle_seconds
        for connection in [each for each in self._connections if each.last_query < oldest and not each.awaited]:
            connection.close()
        self._sweeper = loop.call_later(1, self._sweep)
