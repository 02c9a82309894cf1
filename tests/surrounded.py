"""Questions to a responder with something around it, and a responder that knows a few records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from dns.rrset import RRset

    from clusterdns.respond import Client, Reaction, Respond

CLIENT = ("192.0.2.7", 5353)


def replied(packet: bytes | None, query: dns.message.Message) -> dns.message.Message:
    """The reply, which is one to this query."""
    assert packet is not None, f"silence for {query}"
    reply = dns.message.from_wire(packet)
    assert query.is_response(reply)
    assert reply.question == query.question
    assert reply.question[0].name.to_text() == query.question[0].name.to_text(), "the client's letter case"
    return reply


def ask(respond: Respond, name: str, rtype: str = "A", *, client: Client = CLIENT, **edns: Any) -> dns.message.Message:
    query = dns.message.make_query(name, rtype, **edns)
    reaction = respond(query.to_wire(), client)
    assert isinstance(reaction, bytes | None), "a reply to come"
    return replied(reaction, query)


async def ask_later(respond: Respond, name: str, rtype: str = "A", **edns: Any) -> dns.message.Message:
    query = dns.message.make_query(name, rtype, **edns)
    reaction = respond(query.to_wire(), CLIENT)
    assert not isinstance(reaction, bytes | None), "a reply at once"
    return replied(await reaction, query)


def lines(rrsets: Iterable[RRset]) -> list[str]:
    """The records of a section as a zone file has them, in their order."""
    return [f"{each.name} {each.ttl} {rrset}" for each in rrsets for rrset in _data(each)]


def _data(rrset: RRset) -> Iterable[str]:
    rtype = dns.rdatatype.to_text(rrset.rdtype)
    return [f"{rtype} {each.to_text()}" for each in rrset]


def extended_errors(reply: dns.message.Message) -> list[int]:
    return [int(each.code) for each in reply.options if isinstance(each, dns.edns.EDEOption)]


class Upstream:
    """Answers from records that are given as text, at once or later, and remembers what it was asked.

    Records of a name that is asked for, and those that its aliases lead to, are answered in their order.
    """

    def __init__(
        self,
        answer: Sequence[str] = (),
        authority: Sequence[str] = (),
        additional: Sequence[str] = (),
        *,
        rcode: str = "NOERROR",
    ) -> None:
        self.asked: list[str] = []
        self._sections = [
            [dns.rrset.from_text(*_words(line)) for line in each] for each in (answer, authority, additional)
        ]
        self._rcode = dns.rcode.from_text(rcode)

    def at_once(self, packet: bytes, _: Client) -> Reaction:
        query = dns.message.from_wire(packet)
        question = query.question[0]
        self.asked.append(f"{question.name} {dns.rdatatype.to_text(question.rdtype)}")
        reply = dns.message.make_response(query, recursion_available=True)
        reply.set_rcode(self._rcode)
        reply.answer, reply.authority, reply.additional = self._sections
        return reply.to_wire(max_size=65535)

    def later(self, packet: bytes, client: Client) -> Coroutine[Any, Any, bytes | None]:
        async def reply() -> bytes | None:
            found = self.at_once(packet, client)
            assert isinstance(found, bytes)
            return found

        return reply()


def _words(line: str) -> tuple[dns.name.Name, int, str, str, str]:
    owner, ttl, rtype, data = line.split(maxsplit=3)
    return dns.name.from_text(owner), int(ttl), "IN", rtype, data
