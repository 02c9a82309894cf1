"""Questions that the server asks itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import dns.message
import dns.rrset
import pytest

from clusterdns import names
from clusterdns.itself import DEEPEST, Itself
from clusterdns.queries import read_query
from clusterdns.records import Question, Type
from clusterdns.responses import terms
from clusterdns.wire import LARGEST, Dialect

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.responses import Response

CLIENT = ("192.0.2.7", 1234)
WWW = Question(names.from_text("www.example.org"), Type.A)


def terms_of(**edns: Any) -> Any:
    query = dns.message.make_query("a.example.org", "A", **edns)
    return terms(read_query(query.to_wire()), Dialect(), LARGEST)


TERMS = terms_of()


def reply(packet: bytes) -> bytes:
    made = dns.message.make_response(dns.message.from_wire(packet))
    name = made.question[0].name
    made.answer = [dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.1")]
    return made.to_wire()


async def test_it_is_asked_for_the_client() -> None:
    asked = []

    def respond(packet: bytes, client: tuple[Any, ...]) -> bytes:
        asked.append((dns.message.from_wire(packet), client))
        return reply(packet)

    found = await Itself(respond).ask(WWW, terms_of(want_dnssec=True), CLIENT)
    ((query, client),) = asked
    assert (str(query.question[0]), client) == ("www.example.org. IN A", CLIENT)
    assert query.ednsflags & dns.flags.DO
    assert found is not None
    assert found.records()[0][0].data == b"\xc0\0\2\1"


@pytest.mark.parametrize("said", [None, b"", b"\0" * 12, b"\0" * 40])
async def test_what_is_no_reply_is_nothing(said: bytes | None) -> None:
    assert await Itself(lambda _packet, _client: said).ask(WWW, TERMS, CLIENT) is None


def asking_on(next_of: Callable[[Question], Question]) -> tuple[Itself, list[Question]]:
    """A server that asks itself another question before it answers one."""
    asked: list[Question] = []

    def respond(packet: bytes, client: tuple[Any, ...]) -> Any:
        question = read_query(packet).question
        asked.append(question)

        async def later() -> bytes:
            await asyncio.sleep(0)
            await itself.ask(next_of(question), TERMS, client)
            return reply(packet)

        return later()

    itself = Itself(respond)
    return itself, asked


async def test_nothing_is_asked_for_its_own_sake() -> None:
    itself, asked = asking_on(lambda question: question)
    assert await itself.ask(WWW, TERMS, CLIENT) is not None
    assert asked == [WWW]


async def test_it_goes_so_deep_and_no_deeper() -> None:
    itself, asked = asking_on(lambda question: Question(names.below("x", parent=question.name), Type.A))
    assert await itself.ask(WWW, TERMS, CLIENT) is not None
    assert len(asked) == DEEPEST


async def test_clients_do_not_hinder_each_other() -> None:
    itself, asked = asking_on(lambda question: question)
    found: list[Response | None] = await asyncio.gather(*(itself.ask(WWW, TERMS, CLIENT) for _ in range(3)))
    assert None not in found
    assert len(asked) == 3
    assert await itself.ask(WWW, TERMS, CLIENT) is not None
