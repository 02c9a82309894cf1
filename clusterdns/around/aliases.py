"""A reply whose alias is led elsewhere: what stands before it stays, and what is there comes behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import wire
from clusterdns.around.message import Message, has_question, read_message
from clusterdns.names import Name
from clusterdns.queries import FormatError
from clusterdns.records import Type
from clusterdns.zones.text import name_from_text, name_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.around.renaming import Rename


class Turn(Struct, frozen=True):
    """A reply up to an alias, and where that leads now."""

    message: Message
    target: Name

    def taken(self, other: bytes | None, question: bytes, name_end: int) -> bytes | None:
        """The reply with what the other one, to the target's question, has found there."""
        try:
            found = read_message(other or b"")
        except FormatError:
            return other
        found.answer = [*self.message.answer, *found.answer]
        return found.to(question, name_end, wire.LARGEST)


def first_turn(reply: bytes | None, leads: Sequence[Rename]) -> Turn | None:
    """The first alias that one of these leads elsewhere. Raises NotARecord."""
    if reply is None or not has_question(reply):
        return None
    message = read_message(reply)
    for at, record in enumerate(message.answer):
        for lead in leads if record.rtype == Type.CNAME else ():
            target = lead(name_text(record.names[0]).lower())
            if target is not None:
                record.names = (name_from_text(target),)
                message.answer = message.answer[: at + 1]
                return Turn(message, record.names[0])
    return None
