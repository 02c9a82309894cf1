r"""Text as zone files have it (RFC 1035 section 5.1) <-> names and records.

A name's text ends with a dot, has odd bytes as `\DDD`, and a backslash before what would mean something else. Names
without the last dot are completed with the root. The types that templates are made of are known by their forms, every
other one by its bytes (`\# 4 c0000201`, RFC 3597 section 5).
"""

from __future__ import annotations

import ipaddress
import re
from struct import pack
from typing import TYPE_CHECKING

from clusterdns.around.message import Resource
from clusterdns.names import LONGEST_LABEL, LONGEST_NAME, ROOT, Name, labels
from clusterdns.presentation import type_number
from clusterdns.records import CLASS_IN, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_TTL = 3600
"""Seconds; of a record that does not say."""

LONGEST_TEXT = 4096
"""Characters of a record's text."""

CLASSES = {"IN": CLASS_IN, "CH": 3, "HS": 4, "NONE": 254, "ANY": 255}

MX, DNAME, SPF, CAA = 15, 39, 99, 257

_HIGHEST_TTL = 0x7FFFFFFF
_SPECIAL = frozenset(b""". '@;()"\\""")
_WORD = re.compile(
    r"""\s+|;.*|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<word>(?:[^\s;"()\\]|\\.)+)|(?P<brace>[()])""", re.ASCII
)
_ESCAPE = re.compile(r"\\(\d{3}|.)|([^\\])", re.DOTALL | re.ASCII)
_TTL = re.compile(r"(?:\d+[smhdw]?)+", re.ASCII | re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class NotARecord(ValueError):
    """The text is no record of a zone file, or one of a form that is not known here."""


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


def name_from_text(text: str) -> Name:
    """The name of a text, in its letter case. Raises NotARecord."""
    if text in (".", "@"):
        return ROOT
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
    if len(found) >= LONGEST_NAME:
        raise NotARecord(f"{text!r} is longer than 255 bytes")
    return found + ROOT


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


def record_from_text(text: str) -> Resource:
    """The record of one entry: `example. 60 IN MX 10 mail.example.` Raises NotARecord."""
    words = _words(text)
    if len(words) < 2:
        raise NotARecord(f"a record needs a name, a type and data: {text!r}")
    owner = name_from_text(words.pop(0))
    ttl, rclass = DEFAULT_TTL, CLASS_IN
    while words:
        word = words.pop(0)
        if _TTL.fullmatch(word):
            ttl = _number_of_seconds(word)
        elif word.upper() in CLASSES:
            rclass = CLASSES[word.upper()]
        else:
            try:
                rtype = type_number(word)
            except ValueError as error:
                raise NotARecord(f"{error}, in {text!r}") from error
            break
    else:
        raise NotARecord(f"no type in {text!r}")
    record = Resource(owner, rtype, rclass, ttl)
    try:
        _read_data(record, words)
    except (ValueError, OverflowError) as error:
        raise NotARecord(f"{error}, in {text!r}") from error
    return record


def _words(text: str) -> list[str]:
    if len(text) > LONGEST_TEXT:
        raise NotARecord(f"longer than {LONGEST_TEXT} characters: {text[:40]!r}…")
    found: list[str] = []
    at = depth = 0
    while at < len(text):
        token = _WORD.match(text, at)
        if token is None:
            raise NotARecord(f"a quotation mark without its other one in {text!r}")
        at = token.end()
        if token["brace"]:
            depth += 1 if token["brace"] == "(" else -1
            if depth not in (0, 1):
                break
        elif token.lastgroup:
            found.append(token[0])
    if depth:
        raise NotARecord(f"a parenthesis without its other one in {text!r}")
    return found


def _number_of_seconds(text: str) -> int:
    found = sum(int(count) * _SECONDS[unit.lower()] for count, unit in re.findall(r"(\d+)([a-zA-Z]?)", text))
    if found > _HIGHEST_TTL:
        raise NotARecord(f"{text} are more seconds than a TTL may have")
    return found


# Data


def _read_data(record: Resource, words: Sequence[str]) -> None:
    """Fill in the record's data. Raises ValueError."""
    if words and words[0] == "\\#":
        record.before = _unknown(words[1:])
        return
    form = _FORMS.get(record.rtype)
    if form is None:
        raise ValueError(r"the data of this type has to be written as \# LENGTH HEX")
    form(record, words)


def _unknown(words: Sequence[str]) -> bytes:
    data = bytes.fromhex("".join(words[1:]))
    if not words or len(data) != int(words[0]):
        raise ValueError("the data has not the length that is said")
    return data


def _one_name(record: Resource, words: Sequence[str]) -> None:
    (name,) = _counted(words, 1)
    record.names = (name_from_text(name),)


def _numbers_and_name(record: Resource, words: Sequence[str]) -> None:
    count = 3 if record.rtype == Type.SRV else 1
    *numbers, name = _counted(words, count + 1)
    record.before = b"".join([_uint16(each) for each in numbers])
    record.names = (name_from_text(name),)


def _soa(record: Resource, words: Sequence[str]) -> None:
    mname, rname, serial, *times = _counted(words, 7)
    record.names = (name_from_text(mname), name_from_text(rname))
    if not serial.isdecimal() or int(serial) >= 1 << 32:
        raise ValueError(f"{serial!r} is no serial number")
    record.after = pack("!5I", int(serial), *map(_seconds, times))


def _address(packed: Callable[[str], bytes]) -> Callable[[Resource, Sequence[str]], None]:
    def read(record: Resource, words: Sequence[str]) -> None:
        (address,) = _counted(words, 1)
        record.before = packed(address)

    return read


def _strings(record: Resource, words: Sequence[str]) -> None:
    if not words:
        raise ValueError("no text")
    record.before = b"".join([bytes((len(each),)) + each for word in words for each in _pieces(_unquoted(word))])


def _pieces(raw: bytes) -> list[bytes]:
    """A character string has 255 bytes at most; what is longer is several."""
    return [raw[at : at + 255] for at in range(0, len(raw), 255)] or [b""]


def _caa(record: Resource, words: Sequence[str]) -> None:
    flags, tag, value = _counted(words, 3)
    record.before = bytes((int(flags), len(tag))) + tag.encode() + _unquoted(value)


def _unquoted(word: str) -> bytes:
    if word.startswith('"'):
        word = word[1:-1]
    return b"".join([_byte(escaped) if escaped else plain.encode() for escaped, plain in _ESCAPE.findall(word)])


def _uint16(text: str) -> bytes:
    if not text.isdecimal() or int(text) > 0xFFFF:
        raise ValueError(f"{text!r} is no number of 16 bits")
    return pack("!H", int(text))


def _seconds(text: str) -> int:
    if not _TTL.fullmatch(text):
        raise ValueError(f"{text!r} is no number of seconds")
    return _number_of_seconds(text)


def _counted(words: Sequence[str], count: int) -> Sequence[str]:
    if len(words) != count:
        raise ValueError(f"{count} words of data expected, not {len(words)}")
    return words


_FORMS: dict[int, Callable[[Resource, Sequence[str]], None]] = {
    Type.A: _address(lambda text: ipaddress.IPv4Address(text).packed),
    Type.AAAA: _address(lambda text: ipaddress.IPv6Address(text).packed),
    Type.NS: _one_name,
    Type.CNAME: _one_name,
    Type.PTR: _one_name,
    DNAME: _one_name,
    MX: _numbers_and_name,
    Type.SRV: _numbers_and_name,
    Type.SOA: _soa,
    Type.TXT: _strings,
    SPF: _strings,
    Type.HINFO: _strings,
    CAA: _caa,
}
