"""Words that rules are made of, and whether they make a rule that can be followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.around.rewrite_rules import NotSupported
from clusterdns.corefile.words import shown
from clusterdns.presentation import type_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.corefile.reading import Reading

RCODES = {
    "NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5, "YXDOMAIN": 6, "YXRRSET": 7,
    "NXRRSET": 8, "NOTAUTH": 9, "NOTZONE": 10,
}  # fmt: skip


def nobody(_packet: bytes, _client: object) -> None:
    """Answers nothing: a rule can be made ready around it."""


def can_be_followed(reading: Reading, make_ready: Callable[[], object]) -> bool:
    """Whether a rule can be made ready; why not is noted, for the line that it stands in."""
    try:
        make_ready()
    except NotSupported:
        reading.unsupported(shown(" ".join(reading.words)))
        return False
    except ValueError as error:
        # It is the first rule of one: the number says nothing that the line does not.
        reading.fault(str(error).partition(" 1: ")[2].removeprefix("policy 1: ") or str(error))
        return False
    return True


def record_type(reading: Reading, word: str) -> int:
    """The number of a type; 0 if it is none."""
    try:
        return type_number(word)
    except ValueError as error:
        reading.fault(str(error))
        return 0


def rcode_number(reading: Reading, word: str) -> int | None:
    """The number of a response code, None if it is none."""
    if word.isascii() and word.isdigit() and len(word) <= 4 and int(word) <= 23:
        return int(word)
    if word.upper() in RCODES:
        return RCODES[word.upper()]
    reading.fault(f"expected a response code such as NXDOMAIN, not {shown(word)}")
    return None
