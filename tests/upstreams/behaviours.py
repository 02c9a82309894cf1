"""What an upstream may do with a query: the truth, and each of the ways in which upstreams lie, err and fail.

A behaviour takes a query and gives what to say; some are made of others: `in_turn(wrong_id, later(honest))`.
"""

from __future__ import annotations

import random
import struct
import zlib
from itertools import count
from typing import TYPE_CHECKING

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from tests.upstreams.faulty import Say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.upstreams.faulty import Behaviour, Query

LIE = "203.0.113.66"
"""No answer that is to be believed has this address."""

SOA = "{zone} {ttl} IN SOA ns.{zone} hostmaster.{zone} 1 7200 1800 86400 {minimum}"


def address_of(name: str) -> str:
    """The one true address of a name: another for each, so that a mix-up shows."""
    number = zlib.crc32(name.rstrip(".").lower().encode())
    return f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}"


def honest(query: Query) -> Iterator[Say]:
    """An A record of 30 seconds for each name; no records of other types."""
    yield Say(_address_reply(query, address_of(query.name)) if query.rtype == "A" else _no_data(query))


def _address_reply(query: Query, address: str) -> bytes:
    flags = 0x8180 | int.from_bytes(query.packet[2:4]) & 0x0110
    end = query.packet.index(0, 12) + 5
    data = bytes(map(int, address.split(".")))
    header = query.packet[:2] + struct.pack("!5H", flags, 1, 1, 0, 0)
    return header + query.packet[12:end] + struct.pack("!HHHIH", 0xC00C, 1, 1, 30, 4) + data


def _no_data(query: Query) -> bytes:
    return _said(query, authority=SOA.format(zone="example.", ttl=30, minimum=30))


def says(answer: str = "", *, authority: str = "", additional: str = "", rcode: str = "NOERROR") -> Behaviour:
    """Zone text, in which {name} is the name asked for and {number} the number of the query, from 1."""
    numbers = count(1)

    def behaviour(query: Query) -> Iterator[Say]:
        known = {"name": query.name, "number": next(numbers)}
        texts = [each.format(**known) for each in (answer, authority, additional)]
        yield Say(_said(query, *texts, rcode=rcode))

    return behaviour


def _said(query: Query, answer: str = "", authority: str = "", additional: str = "", rcode: str = "NOERROR") -> bytes:
    reply = dns.message.make_response(query.message, recursion_available=True)
    reply.set_rcode(dns.rcode.from_text(rcode))
    for section, text in zip(reply.sections[1:], (answer, authority, additional), strict=True):
        for line in filter(None, map(str.strip, text.splitlines())):
            owner, ttl, rclass, rtype, data = line.split(maxsplit=4)
            section.append(dns.rrset.from_text(owner, int(ttl), rclass, rtype, data))
    return reply.to_wire(max_size=65535)


def fails(rcode: str) -> Behaviour:
    return says(rcode=rcode)


def silent(_query: Query) -> Iterator[Say]:
    yield from ()


def wrong_id(query: Query) -> Iterator[Say]:
    lie = _address_reply(query, LIE)
    yield Say((query.id ^ 0x5555).to_bytes(2) + lie[2:])


def wrong_question(query: Query) -> Iterator[Say]:
    """The right ID, an answer to another question of the same length."""
    lie = bytearray(_address_reply(query, LIE))
    lie[13] = ord("a") if lie[13] != ord("a") else ord("b")
    yield Say(bytes(lie))


def wrong_type(query: Query) -> Iterator[Say]:
    lie = bytearray(_address_reply(query, LIE))
    lie[query.packet.index(0, 12) + 2] = 2
    yield Say(bytes(lie))


def without_question(query: Query) -> Iterator[Say]:
    lie = _address_reply(query, LIE)
    end = query.packet.index(0, 12) + 5
    name = query.packet[12 : end - 4]
    yield Say(lie[:4] + bytes(2) + lie[6:12] + name + lie[end + 2 :])


def wrong_port(query: Query) -> Iterator[Say]:
    yield Say(_address_reply(query, LIE), source="port")


def wrong_address(query: Query) -> Iterator[Say]:
    yield Say(_address_reply(query, LIE), source="address")


def in_lower_case(query: Query) -> Iterator[Say]:
    """A lie to a question that was not spelled so."""
    name = query.packet.index(0, 12)
    lie = _address_reply(query, LIE)
    yield Say(lie[:12] + lie[12:name].lower() + lie[name:])


def not_a_response(query: Query) -> Iterator[Say]:
    """QR is 0: the packet is a query itself."""
    lie = _address_reply(query, LIE)
    yield Say(lie[:2] + bytes([lie[2] & 0x7F]) + lie[3:])


def another_opcode(query: Query) -> Iterator[Say]:
    lie = _address_reply(query, LIE)
    yield Say(lie[:2] + bytes([lie[2] | 0x20]) + lie[3:])


def garbage(query: Query) -> Iterator[Say]:
    """Behind an ID that is right."""
    yield Say(query.packet[:2] + bytes(range(200, 256)) * 3)


def shorter_than_a_header(query: Query) -> Iterator[Say]:
    yield Say(query.packet[:2] + b"\x81\x80")


def cut_off(query: Query) -> Iterator[Say]:
    """In the midst of the answer's record."""
    yield Say(_address_reply(query, LIE)[:-7])


def pointer_loop(query: Query) -> Iterator[Say]:
    lie = bytearray(_address_reply(query, LIE))
    owner = query.packet.index(0, 12) + 5
    lie[owner : owner + 2] = struct.pack("!H", 0xC000 | owner)
    yield Say(bytes(lie))


def more_records_than_there_are(query: Query) -> Iterator[Say]:
    lie = _address_reply(query, LIE)
    yield Say(lie[:6] + struct.pack("!H", 999) + lie[8:])


def damages(behaviour: Behaviour, seed: int) -> Behaviour:
    """Some octets behind the question are other ones, or missing."""

    def damaged(query: Query) -> Iterator[Say]:
        rng = random.Random(seed)
        start = query.packet.index(0, 12) + 5
        for say in behaviour(query):
            packet = bytearray(say.packet)
            for _ in range(rng.randint(1, 4)):
                packet[rng.randrange(start, len(packet))] = rng.randrange(256)
            yield say._replace(packet=bytes(packet[: rng.choice((len(packet), rng.randint(start, len(packet))))]))

    return damaged


def truncated(query: Query) -> Iterator[Say]:
    """TC and nothing else over UDP; the truth over connections."""
    if query.transport != "udp":
        return honest(query)
    end = query.packet.index(0, 12) + 5
    flags = 0x8380 | int.from_bytes(query.packet[2:4]) & 0x0110
    return iter([Say(query.packet[:2] + struct.pack("!5H", flags, 1, 0, 0, 0) + query.packet[12:end])])


def no_edns(query: Query) -> Iterator[Say]:
    """FORMERR to whoever sends an OPT record, as servers older than EDNS do."""
    if query.message.edns < 0:
        return honest(query)
    end = query.packet.index(0, 12) + 5
    flags = 0x8181 | int.from_bytes(query.packet[2:4]) & 0x0100
    return iter([Say(query.packet[:2] + struct.pack("!5H", flags, 1, 0, 0, 0) + query.packet[12:end])])


def later(behaviour: Behaviour, seconds: float = 0.02) -> Behaviour:
    return lambda query: [each._replace(after=each.after + seconds) for each in behaviour(query)]


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """All of them for each query."""
    return lambda query: [say for behaviour in behaviours for say in behaviour(query)]


def and_close(behaviour: Behaviour) -> Behaviour:
    """The connection, behind the answer."""
    return lambda query: [each._replace(close=True) for each in behaviour(query)]


def closes_at_once(_query: Query) -> Iterator[Say]:
    """A connection, in the place of an answer."""
    yield Say(b"", close=True)


def out_of_order(behaviour: Behaviour, seconds: float = 0.3) -> Behaviour:
    """Every second query waits, so that later ones overtake it."""
    numbers = count()

    def varying(query: Query) -> Iterable[Say]:
        return later(behaviour, seconds if next(numbers) % 2 == 0 else 0)(query)

    return varying


class ByLabel:
    """For each name the behaviour of its first label; the truth of all others."""

    def __init__(self, behaviours: Mapping[str, Behaviour] | None = None) -> None:
        self._behaviours = dict(behaviours or {})
        self._numbers = count()

    def __call__(self, query: Query) -> Iterable[Say]:
        return self._behaviours.get(query.name.split(".")[0].lower(), honest)(query)

    def teach(self, behaviour: Behaviour) -> str:
        """A name that has it, and that nobody has asked for."""
        label = f"taught-{next(self._numbers)}"
        self._behaviours[label] = behaviour
        return f"{label}.example"

    def change(self, name: str, behaviour: Behaviour) -> None:
        self._behaviours[name.split(".", maxsplit=1)[0]] = behaviour


LIES: dict[str, Behaviour] = {
    "another-opcode": another_opcode,
    "cut-off": cut_off,
    "garbage": garbage,
    "more-records-than-there-are": more_records_than_there_are,
    "not-a-response": not_a_response,
    "pointer-loop": pointer_loop,
    "shorter-than-a-header": shorter_than_a_header,
    "without-question": without_question,
    "wrong-address": wrong_address,
    "wrong-id": wrong_id,
    "wrong-port": wrong_port,
    "wrong-question": wrong_question,
    "wrong-type": wrong_type,
}
"""By labels; nothing in any of them may reach a client."""
