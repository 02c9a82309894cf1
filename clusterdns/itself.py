"""Questions that the server asks itself: an alias may lead to what another block, a template or a rewrite answers.

They go the way of a client's query, and on its behalf, so that whoever may not ask for a name is not led to it either.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from clusterdns.queries import HEADER, RD, Edns, FormatError, write_query
from clusterdns.responses import read_response

if TYPE_CHECKING:
    from clusterdns.records import Question
    from clusterdns.responses import Response, Terms

Client: TypeAlias = tuple[Any, ...]
"""A socket address."""

Respond: TypeAlias = Callable[[bytes, Client], bytes | Coroutine[Any, Any, bytes | None] | None]
"""What answers queries, as a stream takes the replies: whole."""

DEEPEST = 8
"""Of a client's query, so many questions may be asked one for the sake of the other."""

_under_way: ContextVar[frozenset[Question]] = ContextVar("_under_way", default=frozenset())
"""What is being asked for the query that is answered just now: none of it is asked again, since that would not end."""


class Itself:
    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    async def ask(self, question: Question, terms: Terms, client: Client) -> Response | None:
        """What is said to the question; None if nothing is, or if the answer waits for that very question."""
        under_way = _under_way.get()
        if question in under_way or len(under_way) >= DEEPEST:
            return None
        packet = write_query(0, question.name, question, RD, Edns(1232, dnssec_ok=terms.dnssec_ok))
        _under_way.set(under_way | {question})
        try:
            reaction = self._respond(packet, client)
            reply = await reaction if isinstance(reaction, Coroutine) else reaction
        finally:
            _under_way.set(under_way)
        if reply is None or len(reply) < HEADER + len(question.name) + 4:
            return None
        try:
            return read_response(reply, question)
        except FormatError:
            return None
