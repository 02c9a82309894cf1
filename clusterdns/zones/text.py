r"""Text as zone files have it (RFC 1035 section 5.1) <-> words, names and numbers.

A name's text ends with a dot, has odd bytes as `\DDD`, and a backslash before what would mean something else. A name
without the last dot is completed with an origin.
"""

from __future__ import annotations

import re
from struct import pack
from typing import TYPE_CHECKING

from clusterdns.names import LONGEST_LABEL, LONGEST_NAME, ROOT, Name, labels
from clusterdns.records import CLASS_IN, LONGEST_TTL

if TYPE_CHECKING:
    from collections.abc import Iterator

CLASSES = {"IN": CLASS_IN, "CH": 3, "HS": 4, "NONE": 254, "ANY": 255}

_LONGEST_TEXT = 4 * LONGEST_NAME
"""Characters of a name whose bytes are all written as `\\DDD`."""

_SPECIAL = frozenset(b""". '@;()"\\""")
_TOKEN = re.compile(
    r"""(?P<blank>[^\S\n]+)|;[^\n]*|(?P<line>\n)|(?P<brace>[()])
    |(?P<quoted>"(?:[^"\\\n]++|\\.)*+")
    |(?P<word>(?:[^\s;"()\\]|\\.)(?:[^\s;"()\\]++|\\.|"(?:[^"\\\n]++|\\.)*+")*+)""",
    re.ASCII | re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(\d{3}|.)|([^\\])", re.DOTALL | re.ASCII)
# There is one way to divide such a text, and so its time grows with it alone.
_TTL = re.compile(r"(?:\d{1,10}[smhdw]){1,10}(?:\d{1,10})?|\d{1,10}", re.ASCII | re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class NotARecord(ValueError):
    """The text is no record of a zone file, or one of a form that is not known here."""


def entries(text: str) -> Iterator[tuple[int, bool, list[str]]]:
    """Each entry's line, counted from 1; whether it begins with a blank, for the owner of the last one; its words.

    Words in quotation marks keep them. Raises NotARecord, with the line as its second argument.
    """
    words: list[str] = []
    at, line, first, depth = 0, 1, 1, 0
    begins, is_indented = True, False
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            missing = "a quotation mark without its other one" if text[at] == '"' else "a backslash before nothing"
            raise NotARecord(missing, line)
        at = token.end()
        if token["line"]:
            line += 1
            if depth:
                continue
            if words:
                yield first, is_indented, words
            words, begins = [], True
            continue
        if begins:
            first, begins, is_indented = line, False, bool(token["blank"])
        if token["brace"]:
            depth += 1 if token["brace"] == "(" else -1
            if depth not in (0, 1):
                raise NotARecord("a parenthesis without its other one", line)
        elif token.lastgroup in ("word", "quoted"):
            words.append(token[0])
    if depth:
        raise NotARecord("a parenthesis without its other one", first)
    if words:
        yield first, is_indented, words


# Names


def name_text(name: Name) -> str:
    r"""The text of a name, in its letter case."""
    return "".join([_label_text(each) + "." for each in labels(name)]) or "."


def _label_text(raw: bytes) -> str:
    if raw.isalnum():
        return raw.decode()
    return "".join([_byte_text(byte) for byte in raw])


def _byte_text(byte: int) -> str:
    if byte in _SPECIAL:
        return f"\\{byte:c}"
    return chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03d}"


def name_from_text(text: str, origin: Name = ROOT) -> Name:
    """The name of a text, in its letter case. Raises NotARecord."""
    if text == "@":
        return origin
    if text == ".":
        return ROOT
    if len(text) > _LONGEST_TEXT:
        raise NotARecord(f"{text[:40]!r}… is longer than 255 bytes")
    found, label = b"", b""
    ended = False
    for escaped, plain in _ESCAPE.findall(text):
        ended = plain == "."
        if not ended:
            label += _byte(escaped) if escaped else plain.encode()
            continue
        found += _label(label, text)
        label = b""
    if not ended:
        found += _label(label, text)
    found += ROOT if ended else origin
    if len(found) > LONGEST_NAME:
        raise NotARecord(f"{text!r} is longer than 255 bytes")
    return found


def _label(raw: bytes, text: str) -> bytes:
    if not 0 < len(raw) <= LONGEST_LABEL:
        raise NotARecord(f"a label has 1 to 63 bytes, not {len(raw)}: {text!r}")
    return bytes((len(raw),)) + raw


def _byte(escaped: str) -> bytes:
    if len(escaped) == 1:
        return escaped.encode()
    if int(escaped) > 0xFF:
        raise NotARecord(f"\\{escaped} is no byte")
    return bytes((int(escaped),))


# Strings and numbers


def unquoted(word: str) -> bytes:
    """What a word stands for, with or without quotation marks."""
    if word.startswith('"'):
        word = word[1:-1]
    return b"".join([_byte(escaped) if escaped else plain.encode() for escaped, plain in _ESCAPE.findall(word)])


def is_ttl(word: str) -> bool:
    return _TTL.fullmatch(word) is not None


def seconds(text: str) -> int:
    """Of `3600` or `1h30m`. Raises NotARecord."""
    if not is_ttl(text):
        raise NotARecord(f"{text[:40]!r} is no number of seconds")
    found = sum(int(count) * _SECONDS[unit.lower()] for count, unit in re.findall(r"(\d+)([a-zA-Z]?)", text))
    if found > LONGEST_TTL:
        raise NotARecord(f"{text} are more seconds than a TTL may have")
    return found


def unsigned(text: str, size: int) -> bytes:
    """A number in so many bytes, 1, 2 or 4. Raises NotARecord."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 20) or int(text) >> 8 * size:
        raise NotARecord(f"{text[:40]!r} is no number of {8 * size} bits")
    return pack({1: "!B", 2: "!H", 4: "!I"}[size], int(text))
