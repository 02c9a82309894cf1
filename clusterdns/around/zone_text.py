"""A record as people write it, as one that can be put into a message."""

from __future__ import annotations

from clusterdns.around.message import Resource, resource
from clusterdns.presentation import type_number
from clusterdns.records import CLASS_IN
from clusterdns.zones.data import read_data
from clusterdns.zones.text import CLASSES, NotARecord, entries, is_ttl, name_from_text, seconds

DEFAULT_TTL = 3600
"""Seconds; of a record that does not say."""

LONGEST_TEXT = 4096
"""Characters of a record's text."""


def record_from_text(text: str) -> Resource:
    """The record of one entry: `example. 60 IN MX 10 mail.example.` Raises NotARecord."""
    words = _words(text)
    if len(words) < 2:
        raise NotARecord(f"a record needs a name, a type and data: {text!r}")
    owner = name_from_text(words.pop(0))
    ttl, rclass = DEFAULT_TTL, CLASS_IN
    while words:
        word = words.pop(0)
        if is_ttl(word):
            ttl = seconds(word)
        elif word.upper() in CLASSES:
            rclass = CLASSES[word.upper()]
        else:
            try:
                rtype = type_number(word)
                return resource(owner, rtype, rclass, ttl, read_data(rtype, words, name_from_text))
            except (ValueError, OverflowError) as error:
                raise NotARecord(f"{error}, in {text!r}") from error
    raise NotARecord(f"no type in {text!r}")


def _words(text: str) -> list[str]:
    if len(text) > LONGEST_TEXT:
        raise NotARecord(f"longer than {LONGEST_TEXT} characters: {text[:40]!r}…")
    try:
        return [word for _, _, words in entries(text) for word in words]
    except NotARecord as error:
        raise NotARecord(f"{error.args[0]} in {text!r}") from error
