"""A query for a whole zone, and what is said to it: one message after the other, as the client reads them.

Other queries have their turn twice a millisecond. A client that does not read what it is sent is cut off, and so is one
that takes too long over all: what the zone was when it began is kept for as long as that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from clusterdns import names, wire
from clusterdns.origins import LATE_TRANSFER, TRANSFER
from clusterdns.queries import FormatError, read_plain_query
from clusterdns.records import Answer, Rcode, Reason, ReasonCode, Type
from clusterdns.server import StreamClient
from clusterdns.transfers.contents import Contents
from clusterdns.transfers.messages import Packing, is_newer, known_serial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clusterdns.origins import Trail
    from clusterdns.queries import Query
    from clusterdns.records import Record
    from clusterdns.respond import Client, Reaction, Respond
    from clusterdns.transfers.contents import Batches
    from clusterdns.transfers.rules import Rules
    from clusterdns.wire import Dialect

log = logging.getLogger("clusterdns")

TURN_SECONDS = 0.0005
"""How long a block's transfers may work together before queries have their turn."""

ContentsOf: TypeAlias = Callable[[bytes], Contents | Answer]
"""From the name of a zone to what is in it, or to why it is not to be had."""


class Within(Struct, frozen=True):
    """What transfers may take of us."""

    at_once: int = 10
    seconds: float = 600.0
    """Of one."""


def transferring(respond: Respond, transfers: Respond) -> Respond:
    """The responder, whose queries for whole zones the other one answers."""

    def or_transfer(packet: bytes, client: Client) -> Reaction:
        if _AXFR in packet or _IXFR in packet:
            query = read_plain_query(packet)
            if query is not None and query.question.qtype in (Type.AXFR, Type.IXFR):
                return transfers(packet, client)
        return respond(packet, client)

    return or_transfer


_AXFR, _IXFR = b"\0\0\xfc\0\1", b"\0\0\xfb\0\1"
"""The end of a name, the type, and class IN."""


class Transfers:
    """The zones of one block, for those who may have them."""

    def __init__(self, rules: Rules, contents_of: ContentsOf, within: Within, dialect: Dialect, trail: Trail) -> None:
        self._rules = rules
        self._contents_of = contents_of
        self._within = within
        self._dialect = dialect
        self._trail = trail
        self._running = 0

    def respond(self, packet: bytes, client: Client) -> Reaction:
        """The answer to a query for a zone. Over streams alone (RFC 5936 section 4.2)."""
        self._trail.begin(TRANSFER)
        query = read_plain_query(packet)
        if query is None:
            return None
        found = self._found(packet, query, client)
        if isinstance(found, Answer):
            return wire.encode(query, found, None, self._dialect, stream=True).to(packet, query.name_end)
        assert isinstance(client, StreamClient)  # noqa: S101 - others were refused
        self._running += 1
        packing = Packing(packet, query, self._dialect)
        return self._send(packing, found.soa, found.take(), client)

    def _found(self, packet: bytes, query: Query, client: Client) -> Contents | Answer:
        """What is to be sent in messages; or all that there is to say."""
        zone = query.question.name
        if not isinstance(client, StreamClient) or not self._rules.allow(zone, client[0]):
            return _NOT_FOR_THEM
        found = self._contents_of(zone)
        if isinstance(found, Answer):
            return found
        if query.question.qtype == Type.IXFR:
            try:
                known = known_serial(packet)
            except FormatError:
                return Answer(rcode=Rcode.FORMERR, authoritative=False)
            if not is_newer(found.serial, known):
                return Answer(records=(found.soa,))
        return found if self._running < self._within.at_once else _TOO_MANY

    async def _send(self, packing: Packing, soa: Record, batches: Batches, client: StreamClient) -> bytes | None:
        """All messages but the last, which is the reply; None if the client is gone, or is cut off."""
        clock = asyncio.get_running_loop().time
        started, count = clock(), 0
        whom = f"zone {names.to_text(soa.owner)} to {client[0]}"
        turn = started + TURN_SECONDS / self._running
        try:
            async with asyncio.timeout(self._within.seconds):
                for record in _with_pauses(chain([(soa,)], batches, [(soa,)])):
                    if record is not None:
                        count += 1
                        message = packing.add(record)
                        if message is not None:
                            await client.send(message)
                    if clock() > turn:
                        await asyncio.sleep(0)
                        turn = clock() + TURN_SECONDS / self._running
        except (ConnectionError, TimeoutError) as error:
            log.warning("%s: broken off after %d records: %s", whom, count, str(error) or "it takes too long")
            client.cut()
            return None
        except BaseException:
            client.cut()  # it has a part of the zone, and waits for the rest
            raise
        finally:
            self._running -= 1
        log.info("%s: %d records in %.2f s", whom, count, clock() - started)
        self._trail.origin = LATE_TRANSFER
        return packing.message()


def _with_pauses(batches: Iterable[Sequence[Record]]) -> Iterator[Record | None]:
    """The records, and None behind each batch: one that is empty may have taken long to come."""
    for batch in batches:
        yield from batch
        yield None


_NOT_FOR_THEM = Answer(
    rcode=Rcode.REFUSED,
    authoritative=False,
    reason=Reason("the zone is not transferred to this client", ReasonCode.PROHIBITED),
)
_TOO_MANY = Answer(
    rcode=Rcode.SERVFAIL,
    authoritative=False,
    reason=Reason("too many zones are being transferred just now"),
)
