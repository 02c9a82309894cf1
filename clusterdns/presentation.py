r"""Records as people write them: the format of zone files (RFC 1035 section 5.1), `\#` for what is unknown (RFC 3597).

Whatever a server sends has a text, and that is printable: data that is not what its type says is shown as bytes.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from dnslib import QTYPE, RCODE, RDMAP, BimapError, DNSBuffer, DNSError, DNSLabel
from dnslib import BufferError as DataError

from clusterdns.names import LONGEST_LABEL, LONGEST_NAME
from clusterdns.records import Rcode, ReasonCode, Type

if TYPE_CHECKING:
    from collections.abc import Iterator

_STRINGS = frozenset({Type.HINFO, Type.TXT, 99})
"""The types whose data is character strings; 99 is SPF (RFC 7208 section 14.1)."""

_OF_THE_FORM = {39: "CNAME", 53: "TLSA", 59: "DS", 60: "DNSKEY", 64: "HTTPS"}
"""DNAME, SMIMEA, CDS, CDNSKEY and SVCB: dnslib knows their forms by other names."""

_UNAMBIGUOUS = {
    35: r'[^"]*"[^"\\]*" "[^"\\]*" "[^"]*" [^"]*',
    46: r"[A-Z].*",
    64: r'[^"();]*',
    65: r'[^"();]*',
    257: r'\d+ [A-Za-z0-9]+ "[^"\\]*"',
}
"""How the text of NAPTR, RRSIG, SVCB, HTTPS and CAA looks if nothing is in it that dnslib should have escaped."""

_MISNAMED = {
    3: "MD", 4: "MF", 7: "MB", 8: "MG", 9: "MR", 14: "MINFO", 19: "X25", 20: "ISDN", 21: "RT", 26: "PX", 53: "SMIMEA",
    55: "HIP", 104: "NID", 105: "L32", 106: "L64", 107: "LP", 258: "AVC",
}  # fmt: skip
"""What dnslib has no name for, or a wrong one: it takes 53 for HIP."""


def type_text(number: int) -> str:
    """`A`, `AAAA`, `TYPE65280`."""
    return _MISNAMED.get(number) or str(QTYPE.forward.get(number, f"TYPE{number}"))


def type_number(text: str) -> int:
    """The type of that mnemonic, in any letter case, or of `TYPE<number>`. Raises ValueError."""
    unnamed = re.fullmatch(r"TYPE(\d{1,5})", text.upper(), re.ASCII)
    number = int(unnamed[1]) if unnamed else _NUMBERS.get(text.upper(), 0)
    if 0 < number <= 0xFFFF:
        return number
    raise ValueError(f"{text!r} is no record type: expected one such as A, SRV or TYPE65280")


def known_types() -> tuple[int, ...]:
    """Those that have a name here."""
    return tuple(sorted(_NUMBERS.values()))


_NUMBERS: dict[str, int] = {name: number for number, name in (QTYPE.forward | _MISNAMED).items()}


def rcode_text(number: int) -> str:
    """`NXDOMAIN`, `RCODE12`."""
    if number in _RCODES:
        return _RCODES[number]
    return str(RCODE.forward.get(number, f"RCODE{number}"))


def rcode_number(text: str) -> int:
    """The number of a response code of four bits, such as NXDOMAIN. Raises ValueError."""
    for number in range(16):
        if text.upper() in (rcode_text(number), str(number)):
            return number
    raise ValueError("expected a response code such as NXDOMAIN")


_RCODES = {each.value: each.name for each in Rcode}


def data_text(rtype: int, data: bytes) -> str:
    """What stands behind the type in a zone file. No name in `data` may be compressed: it is shown as bytes then."""
    try:
        text = _strings(data) if rtype in _STRINGS else _known(rtype, data)
    except (DNSError, DataError, BimapError, ValueError, LookupError, OverflowError, OSError, struct.error):
        text = ""
    return text if text.isascii() and text.isprintable() and text else _unknown(data)


def extended_errors(options: bytes) -> Iterator[str]:
    """Each Extended DNS Error (RFC 8914) among whole options of an OPT record: `EDE 3 (Stale Answer): …`."""
    at = 0
    while at + 6 <= len(options):
        option, length, code = struct.unpack_from("!HHH", options, at)
        if option == 15 and length >= 2:
            text = options[at + 6 : at + 4 + length].rstrip(b"\0").decode(errors="replace")
            known = f" ({_REASONS[code]})" if code in _REASONS else ""
            yield f"EDE {code}{known}" + (f": {_printable(text)}" if text else "")
        at += 4 + length


_REASONS = {each.value: each.name.replace("_", " ").title() for each in ReasonCode}


def _printable(text: str) -> str:
    return "".join([each if each.isprintable() else f"\\u{ord(each):04x}" for each in text])


def _unknown(data: bytes) -> str:
    return f"\\# {len(data)} {data.hex()}".rstrip()


def _strings(data: bytes) -> str:
    found, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise ValueError("a string is cut off")
        found.append('"' + "".join([_escaped(byte) for byte in data[at + 1 : end]]) + '"')
        at = end
    return " ".join(found)


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return f"\\{byte:c}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03d}"


def _known(rtype: int, data: bytes) -> str:
    """As dnslib has it; empty if it does not know the type. Raises whatever it raises."""
    form = RDMAP.get(_OF_THE_FORM.get(rtype) or type_text(rtype))
    if form is None:
        return ""
    buffer = _Data(data)
    text = str(form.parse(buffer, len(data)).toZone())
    is_whole = not buffer.remaining() and not text.endswith(" ")
    return text if is_whole and re.fullmatch(_UNAMBIGUOUS.get(rtype, ".*"), text) else ""


class _Data(DNSBuffer):  # type: ignore[misc]  # dnslib ships no types
    """dnslib's buffer, but names are read in bounded time: it would follow pointers in circles."""

    def decode_name(self, last: int = -1) -> DNSLabel:  # noqa: ARG002 - dnslib's signature
        labels: list[bytes] = []
        space = LONGEST_NAME
        while True:
            (length,) = self.unpack("!B")
            space -= 1 + length
            if length > LONGEST_LABEL or space < 0:
                raise DataError("a name that is compressed, or too long")
            if not length:
                return DNSLabel(labels)
            labels.append(self.get(length))
            if not _SPECIAL.isdisjoint(labels[-1]):
                raise DataError("a name that dnslib has no unambiguous text for")


_SPECIAL = frozenset(b'."\\;()@$')
"""What has a meaning in a zone file, and is not escaped by dnslib."""


LONGEST_MESSAGE = 1000
"""Characters: a word may be as long as its file."""


def on_one_line(text: str) -> str:
    """A message with what can not be printed written as escapes: a file may hold line ends where it has words, and what
    a terminal would take for orders.
    """
    cut = text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}..."
    return cut if cut.isprintable() else "".join([each if each.isprintable() else repr(each)[1:-1] for each in cut])
