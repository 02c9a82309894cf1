r"""The data of a record from its words: a table of the forms that types have.

What is no form here is written by its bytes, as any type may be (`\# 4 c0000201`, RFC 3597 section 5).
"""

from __future__ import annotations

import base64
import calendar
import ipaddress
import re
import struct
from collections.abc import Callable, Sequence
from struct import pack
from typing import TypeAlias

from msgspec import Struct

from clusterdns.names import LONGEST_LABEL, LONGEST_NAME, Name
from clusterdns.presentation import type_number
from clusterdns.records import Type
from clusterdns.zones.text import NotARecord, seconds, unquoted, unsigned

NameOf: TypeAlias = Callable[[str], Name]
"""From a name's text, which may be relative to an origin, to the name."""


def read_data(rtype: int, words: Sequence[str], name_of: NameOf) -> bytes:
    """The data of a record of this type; no name in it is compressed. Raises ValueError."""
    if words and words[0] == "\\#":
        data = _unknown(words[1:])
        if rtype in _SHAPES and not _has_shape(data, *_SHAPES[rtype]):
            raise NotARecord("the data is not what the type says")
        return data
    form = _FORMS.get(rtype)
    if form is None:
        raise NotARecord(r"the data of this type has to be written as \# LENGTH HEX")
    single = [each for each in form if not isinstance(each, _Rest)]
    if len(words) < len(single) or (len(words) > len(single) and len(single) == len(form)):
        raise NotARecord(f"{len(single)} words of data expected, not {len(words)}")
    found = b""
    try:
        for at, field in enumerate(form):
            found += field.read(words[at:], name_of) if isinstance(field, _Rest) else field(words[at], name_of)
    except (struct.error, OverflowError) as error:
        raise NotARecord(f"{' '.join(words)[:60]}: a number, or something's size, is out of bounds") from error
    if len(found) > 0xFFFF:
        raise NotARecord("more than 65535 bytes of data")
    return found


def _unknown(words: Sequence[str]) -> bytes:
    data = bytes.fromhex("".join(words[1:]))
    if not words or (words[0].lstrip("0") or "0") != str(len(data)):
        raise NotARecord("the data has not the length that is said")
    return data


_SHAPES = {Type.A: (4, 0, 0), Type.NS: (0, 1, 0), Type.CNAME: (0, 1, 0), Type.SOA: (0, 2, 20), Type.PTR: (0, 1, 0),
           15: (2, 1, 0), Type.AAAA: (16, 0, 0), Type.SRV: (6, 1, 0), 39: (0, 1, 0)}  # fmt: skip
"""Of the types whose data is read again: bytes, names, and bytes behind them. 15 is MX, 39 is DNAME."""


def _has_shape(data: bytes, before: int, names: int, after: int) -> bool:
    at = before
    for _ in range(names):
        start = at
        while at < len(data) and 0 < data[at] <= LONGEST_LABEL:
            at += 1 + data[at]
        at += 1
        if at > len(data) or data[at - 1] or at - start > LONGEST_NAME:
            return False
    return len(data) == at + after


# Fields, of one word each

_Field: TypeAlias = Callable[[str, NameOf], bytes]


def _number(size: int) -> _Field:
    return lambda word, _: unsigned(word, size)


_8, _16, _32 = _number(1), _number(2), _number(4)


def _name(word: str, name_of: NameOf) -> bytes:
    return name_of(word)


def _seconds(word: str, _: NameOf) -> bytes:
    return pack("!I", seconds(word))


def _ipv4(word: str, _: NameOf) -> bytes:
    return ipaddress.IPv4Address(word).packed


def _ipv6(word: str, _: NameOf) -> bytes:
    return ipaddress.IPv6Address(word).packed


def _string(word: str, _: NameOf) -> bytes:
    return _counted(unquoted(word))


def _counted(raw: bytes) -> bytes:
    if len(raw) > 0xFF:
        raise NotARecord(f"a string of {len(raw)} bytes: 255 are the most")
    return bytes((len(raw),)) + raw


def _type(word: str, _: NameOf) -> bytes:
    return pack("!H", type_number(word))


def _algorithm(word: str, _: NameOf) -> bytes:
    """By its number, or by its mnemonic (IANA, DNS security algorithm numbers)."""
    return bytes((_ALGORITHMS[word.upper()],)) if word.upper() in _ALGORITHMS else unsigned(word, 1)


_ALGORITHMS = {"RSAMD5": 1, "DH": 2, "DSA": 3, "RSASHA1": 5, "DSA-NSEC3-SHA1": 6, "RSASHA1-NSEC3-SHA1": 7,
               "RSASHA256": 8, "RSASHA512": 10, "ECC-GOST": 12, "ECDSAP256SHA256": 13, "ECDSAP384SHA384": 14,
               "ED25519": 15, "ED448": 16, "INDIRECT": 252, "PRIVATEDNS": 253, "PRIVATEOID": 254}  # fmt: skip


def _certificate(word: str, _: NameOf) -> bytes:
    return pack("!H", _CERTIFICATES[word.upper()]) if word.upper() in _CERTIFICATES else unsigned(word, 2)


_CERTIFICATES = {"PKIX": 1, "SPKI": 2, "PGP": 3, "IPKIX": 4, "ISPKI": 5, "IPGP": 6, "ACPKIX": 7, "IACPKIX": 8,
                 "URI": 253, "OID": 254}  # fmt: skip


def _moment(word: str, _: NameOf) -> bytes:
    """Seconds since 1970, or `YYYYMMDDHHmmSS` (RFC 4034 section 3.2)."""
    if len(word) != 14 or not word.isdecimal():
        return unsigned(word, 4)
    parts = tuple(int(word[start:end]) for start, end in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14)))
    return pack("!I", calendar.timegm((*parts, 0, 0, 0)) & 0xFFFFFFFF)


def _salt(word: str, _: NameOf) -> bytes:
    return _counted(b"" if word == "-" else bytes.fromhex(word))


def _hash(word: str, _: NameOf) -> bytes:
    """In the alphabet of RFC 4648 section 7."""
    padded = word.upper() + "=" * (-len(word) % 8)
    return _counted(base64.b32hexdecode(padded))


def _eui(size: int) -> _Field:
    """RFC 7043: `00-00-5e-00-53-2a`."""

    def read(word: str, _: NameOf) -> bytes:
        found = bytes.fromhex(word.replace("-", ""))
        if len(found) != size:
            raise NotARecord(f"{word!r} has {len(found)} bytes, not {size}")
        return found

    return read


def _locator(word: str, _: NameOf) -> bytes:
    """64 bits, as the half of an IPv6 address (RFC 6742): `2001:db8:1940:0`."""
    groups = [int(each, 16) for each in word.split(":")]
    if len(groups) != 4:
        raise NotARecord(f"{word!r} has {len(groups)} groups of digits, not 4")
    return pack("!4H", *groups)


def _tag(word: str, _: NameOf) -> bytes:
    if not (word.isascii() and word.isalnum()):
        raise NotARecord(f"{word!r} is no tag of letters and digits")
    return _counted(word.encode())


def _whole(word: str, _: NameOf) -> bytes:
    """A string that takes what is left of the data."""
    return unquoted(word)


# Fields, of all the words that are left


class _Rest(Struct, frozen=True):
    read: Callable[[Sequence[str], NameOf], bytes]


def _strings(words: Sequence[str], _: NameOf) -> bytes:
    if not words:
        raise NotARecord("no text")
    return b"".join([_counted(each) for word in words for each in _pieces(unquoted(word))])


def _pieces(raw: bytes) -> list[bytes]:
    """A character string has 255 bytes at most; what is longer is several."""
    return [raw[at : at + 255] for at in range(0, len(raw), 255)] or [b""]


def _hexadecimal(words: Sequence[str], _: NameOf) -> bytes:
    return bytes.fromhex("".join(words))


def _base64(words: Sequence[str], _: NameOf) -> bytes:
    return base64.b64decode("".join(words), validate=True)


def _types(words: Sequence[str], _: NameOf) -> bytes:
    """The bit map of RFC 4034 section 4.1.2."""
    windows: dict[int, bytearray] = {}
    for number in sorted(map(type_number, words)):
        bits = windows.setdefault(number >> 8, bytearray())
        at = (number & 0xFF) >> 3
        bits.extend(bytes(at + 1 - len(bits)))
        bits[at] |= 0x80 >> (number & 7)
    return b"".join([bytes((window, len(bits))) + bits for window, bits in windows.items()])


def _location(words: Sequence[str], _: NameOf) -> bytes:
    """RFC 1876 section 3."""
    text = " ".join(words)
    found = _LOCATION.fullmatch(text)
    if found is None:
        raise NotARecord(f"{text!r} is no location")
    latitude = _arc(found["latitude"], 90, found["ns"].upper() == "S")
    longitude = _arc(found["longitude"], 180, found["ew"].upper() == "W")
    altitude = round(float(found["altitude"]) * 100) + 10_000_000
    sizes = [found[each] or default for each, default in (("size", "1"), ("across", "10000"), ("up", "10"))]
    return pack("!B3B3I", 0, *map(_power, sizes), latitude, longitude, altitude)


_ARC = r"\d+(?: \d+(?: \d+(?:\.\d+)?)?)?"
_LENGTH = r"\d+(?:\.\d+)?"
_LOCATION = re.compile(
    rf"(?P<latitude>{_ARC}) (?P<ns>[NS]) (?P<longitude>{_ARC}) (?P<ew>[EW]) (?P<altitude>-?{_LENGTH})m?"
    rf"(?: (?P<size>{_LENGTH})m?(?: (?P<across>{_LENGTH})m?(?: (?P<up>{_LENGTH})m?)?)?)?",
    re.ASCII | re.IGNORECASE,
)


def _arc(text: str, most: int, is_negative: bool) -> int:  # noqa: FBT001 - south and west
    degrees, minutes, seconds_ = [float(each) for each in (*text.split(), "0", "0")[:3]]
    thousandths = round(((degrees * 60 + minutes) * 60 + seconds_) * 1000)
    if minutes >= 60 or seconds_ >= 60 or thousandths > most * 3_600_000:
        raise NotARecord(f"{text!r} is no angle of at most {most} degrees")
    return (1 << 31) + (-thousandths if is_negative else thousandths)


def _power(metres: str) -> int:
    """Centimetres as a digit and a power of ten."""
    centimetres, power = round(float(metres) * 100), 0
    while centimetres > 9:
        centimetres, power = centimetres // 10, power + 1
    if power > 9:
        raise NotARecord(f"{metres} m are too many")
    return centimetres << 4 | power


def _prefixes(words: Sequence[str], _: NameOf) -> bytes:
    """RFC 3123: `!1:192.0.2.0/24`."""
    found = b""
    for word in words:
        family, _colon, rest = word.removeprefix("!").partition(":")
        address, _slash, bits = rest.partition("/")
        packed = (_ipv6 if family == "2" else _ipv4)(address, _no_name).rstrip(b"\0")
        if family not in ("1", "2") or not bits.isdecimal() or int(bits) > (128 if family == "2" else 32):
            raise NotARecord(f"{word!r} is no prefix")
        found += unsigned(family, 2) + bytes((int(bits), word.startswith("!") << 7 | len(packed))) + packed
    return found


def _no_name(text: str) -> Name:
    raise NotARecord(f"{text!r}: no name is expected")


def _nothing(_word: str, _: NameOf) -> bytes:
    return b""


def _gateway(words: Sequence[str], name_of: NameOf) -> bytes:
    """IPSECKEY: precedence, type of gateway, algorithm, gateway, key (RFC 4025)."""
    if len(words) < 4:
        raise NotARecord(f"at least 4 words of data expected, not {len(words)}")
    precedence, kind, algorithm, gateway, *key = words
    forms: dict[str, _Field] = {"0": _nothing, "1": _ipv4, "2": _ipv6, "3": _name}
    if kind not in forms:
        raise NotARecord(f"{kind!r} is no type of gateway")
    numbers = b"".join([unsigned(each, 1) for each in (precedence, kind, algorithm)])
    return numbers + forms[kind](gateway, name_of) + _base64(key, name_of)


def _host_identity(words: Sequence[str], name_of: NameOf) -> bytes:
    """HIP: algorithm, tag, key, servers (RFC 8005)."""
    if len(words) < 3:
        raise NotARecord(f"at least 3 words of data expected, not {len(words)}")
    algorithm, tag, key, *servers = words
    tagged, keyed = bytes.fromhex(tag), _base64([key], name_of)
    head = bytes((len(tagged),)) + unsigned(algorithm, 1) + pack("!H", len(keyed))
    return head + tagged + keyed + b"".join(map(name_of, servers))


# Service bindings (RFC 9460)

_KEYS = {"mandatory": 0, "alpn": 1, "no-default-alpn": 2, "port": 3, "ipv4hint": 4, "ech": 5, "ipv6hint": 6,
         "dohpath": 7, "ohttp": 8}  # fmt: skip


def _parameters(words: Sequence[str], name_of: NameOf) -> bytes:
    found: dict[int, bytes] = {}
    for word in words:
        name, _equals, value = word.partition("=")
        key = _key(name)
        if key in found:
            raise NotARecord(f"{name} twice")
        found[key] = _parameter(key, value, name_of)
    return b"".join([pack("!HH", key, len(found[key])) + found[key] for key in sorted(found)])


def _key(name: str) -> int:
    if name in _KEYS:
        return _KEYS[name]
    if not re.fullmatch(r"key\d{1,5}", name, re.ASCII) or int(name[3:]) > 0xFFFF:
        raise NotARecord(f"{name!r} is no key of a service binding")
    return int(name[3:])


def _parameter(key: int, value: str, name_of: NameOf) -> bytes:
    match key:
        case 0:
            return b"".join(sorted(pack("!H", _key(each)) for each in value.strip('"').split(",")))
        case 1:
            return b"".join([_counted(each) for each in _comma_separated(unquoted(value))])
        case 2 | 8 if value:
            raise NotARecord("no-default-alpn and ohttp have no value")
        case 3:
            return unsigned(unquoted(value).decode(), 2)
        case 4 | 6:
            form = _ipv4 if key == 4 else _ipv6
            return b"".join([form(each, name_of) for each in unquoted(value).decode().split(",")])
        case 5:
            return _base64([unquoted(value).decode()], name_of)
    return unquoted(value)


def _comma_separated(raw: bytes) -> list[bytes]:
    r"""RFC 9460 appendix A.1: `\,` is a comma, and `\\` a backslash."""
    found = [each.replace(b"\\,", b",").replace(b"\\\\", b"\\") for each in re.findall(rb"(?:[^,\\]|\\.)+", raw)]
    if not found:
        raise NotARecord("an empty list")
    return found


# What types are made of

_ONE_NAME: tuple[_Field, ...] = (_name,)
_SERVICE = (_16, _name, _Rest(_parameters))
_KEY = (_16, _8, _algorithm, _Rest(_base64))
_DIGEST = (_16, _algorithm, _8, _Rest(_hexadecimal))
_ASSOCIATION = (_8, _8, _8, _Rest(_hexadecimal))
_SIGNATURE = (_type, _algorithm, _8, _seconds, _moment, _moment, _16, _name, _Rest(_base64))
_TEXT = (_Rest(_strings),)

_FORMS: dict[int, tuple[_Field | _Rest, ...]] = {
    Type.A: (_ipv4,),
    Type.NS: _ONE_NAME,
    3: _ONE_NAME,  # MD
    4: _ONE_NAME,  # MF
    Type.CNAME: _ONE_NAME,
    Type.SOA: (_name, _name, _32, _seconds, _seconds, _seconds, _seconds),
    7: _ONE_NAME,  # MB
    8: _ONE_NAME,  # MG
    9: _ONE_NAME,  # MR
    Type.PTR: _ONE_NAME,
    Type.HINFO: (_string, _string),
    14: (_name, _name),  # MINFO
    15: (_16, _name),  # MX
    Type.TXT: _TEXT,
    17: (_name, _name),  # RP
    18: (_16, _name),  # AFSDB
    19: (_string,),  # X25
    20: _TEXT,  # ISDN
    21: (_16, _name),  # RT
    24: _SIGNATURE,  # SIG
    25: _KEY,  # KEY
    26: (_16, _name, _name),  # PX
    Type.AAAA: (_ipv6,),
    29: (_Rest(_location),),  # LOC
    Type.SRV: (_16, _16, _16, _name),
    35: (_16, _16, _string, _string, _string, _name),  # NAPTR
    36: (_16, _name),  # KX
    37: (_certificate, _16, _algorithm, _Rest(_base64)),  # CERT
    39: _ONE_NAME,  # DNAME
    42: (_Rest(_prefixes),),  # APL
    Type.DS: _DIGEST,
    44: (_8, _8, _Rest(_hexadecimal)),  # SSHFP
    45: (_Rest(_gateway),),  # IPSECKEY
    46: _SIGNATURE,  # RRSIG
    47: (_name, _Rest(_types)),  # NSEC
    Type.DNSKEY: _KEY,
    49: (_Rest(_base64),),  # DHCID
    50: (_8, _8, _16, _salt, _hash, _Rest(_types)),  # NSEC3
    51: (_8, _8, _16, _salt),  # NSEC3PARAM
    52: _ASSOCIATION,  # TLSA
    53: _ASSOCIATION,  # SMIMEA
    55: (_Rest(_host_identity),),  # HIP
    59: _DIGEST,  # CDS
    60: _KEY,  # CDNSKEY
    61: (_Rest(_base64),),  # OPENPGPKEY
    62: (_32, _16, _Rest(_types)),  # CSYNC
    63: (_32, _8, _8, _Rest(_hexadecimal)),  # ZONEMD
    64: _SERVICE,  # SVCB
    65: _SERVICE,  # HTTPS
    99: _TEXT,  # SPF
    104: (_16, _locator),  # NID
    105: (_16, _ipv4),  # L32
    106: (_16, _locator),  # L64
    107: (_16, _name),  # LP
    108: (_eui(6),),  # EUI48
    109: (_eui(8),),  # EUI64
    256: (_16, _16, _whole),  # URI
    257: (_8, _tag, _whole),  # CAA
    258: _TEXT,  # AVC
    32769: _DIGEST,  # DLV
}

LOWERED = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 17, 18, 21, 24, 26, 33, 35, 36, 39, 46})
"""The types whose names are signed in lower case (RFC 4034 section 6.2, RFC 6840 section 5.1)."""
