"""A zone with every type of record and every shape of name, made of a seed; and the questions that it answers."""

from __future__ import annotations

import base64
import random
import string
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    Part: TypeAlias = Callable[[Random, int], Iterator[tuple[Any, ...]]]
    """Gives an owner, its records, and any number of questions."""

ORIGIN = "types.example."

ELSEWHERE = """
$ORIGIN elsewhere.example.
@ 3600 IN SOA ns hostmaster 1 7200 1800 86400 60
@ 3600 IN NS ns
ns 3600 IN A 192.0.2.54
www 300 IN A 192.0.2.80
"""
"""Another zone, which some aliases lead to."""

SIGNED_WRONGLY = f"bogus.{ORIGIN}"

TTLS = (0, 1, 5, 30, 300, 3600, 86400, 604800, 2147483647)

LONG_TTLS = TTLS[4:]
"""Of what is made of several records: when one of these has expired, a resolver may put others beside it."""


class Asked(NamedTuple):
    """A question; `shape` says what it is about: "referral" is below a delegation, to servers that are nowhere."""

    name: str
    rtype: str
    shape: str


class Zone(NamedTuple):
    origin: str
    text: str
    asked: list[Asked]


def every_type(seed: int, owners: int = 16) -> Zone:
    """As many owners for each type and shape of name; about 100 questions for each of them."""
    rng = random.Random(seed)
    lines: list[str] = [f"$ORIGIN {ORIGIN}"]
    asked: list[Asked] = []
    for part in PARTS:
        for owner, records, *questions in part(rng, owners):
            ttl = rng.choice(LONG_TTLS if part in (_chains, _trees) else TTLS)
            lines += [f"{owner} {ttl} IN {each}" for each in records]
            asked += questions
    asked += [Asked(f"none-{n}.{rng.choice(('', 'a.', 'b.c.'))}{ORIGIN}", "A", "missing") for n in range(owners * 4)]
    return Zone(ORIGIN, "\n".join(lines) + "\n", asked)


def signed_wrongly(signed: str) -> str:
    """A signed zone in which one record is not what was signed."""
    changed = signed.replace("192.0.2.111", "192.0.2.222")
    assert changed != signed
    return changed


def _absolute(owner: str) -> str:
    return ORIGIN if owner == "@" else f"{owner}.{ORIGIN}"


def _apex(_rng: Random, _owners: int) -> Iterator[tuple[Any, ...]]:
    yield "@", ["SOA ns hostmaster 2026010101 7200 1800 86400 60"], Asked(ORIGIN, "SOA", "apex")
    yield "@", ["NS ns", "NS NS2"], Asked(ORIGIN, "NS", "apex"), Asked(ORIGIN, "A", "no data")
    yield "@", ["MX 10 mail"], Asked(ORIGIN, "MX", "apex"), Asked(ORIGIN, "DNSKEY", "apex")
    yield "bogus", ["A 192.0.2.111"]
    for host in ("ns", "ns2", "mail"):
        yield host, ["A 192.0.2.53", "AAAA 2001:db8::53"], Asked(_absolute(host), "AAAA", "host")


def _types(rng: Random, owners: int) -> Iterator[tuple[Any, ...]]:
    for rtype, make in TYPES.items():
        for number in range(owners):
            owner = f"{rtype.lower()}-{number}"
            data = dict.fromkeys(make(rng) for _ in range(rng.choice((1, 1, 2, 3))))
            missing = "TXT" if rtype != "TXT" else "A"
            yield (
                owner,
                [f"{rtype} {each}" for each in data],
                Asked(_absolute(owner), rtype, "type"),
                Asked(_absolute(owner), missing, "no data"),
            )


def _chains(rng: Random, owners: int) -> Iterator[tuple[Any, ...]]:
    ends = {
        "a-0": "chain",
        "mx-0": "chain to no data",
        "nowhere": "chain to nothing",
        "www.elsewhere.example.": "chain to another zone",
        "x.dname-0": "chain through a tree",
    }
    for number in range(owners):
        links = [f"link-{number}-{each}" for each in range(rng.randint(1, 7))]
        end, shape = rng.choice(list(ends.items()))
        for link, target in zip(links, [*links[1:], end], strict=True):
            yield link, [f"CNAME {target}"], Asked(_absolute(link), "A", shape), Asked(_absolute(link), "CNAME", "type")


def _wildcards(rng: Random, owners: int) -> Iterator[tuple[Any, ...]]:
    for number in range(owners):
        base = f"wild-{number}"
        data = rng.choice((f"A {_ipv4(rng)}", f"TXT {_strings(rng)}", "CNAME a-0", f"MX 1 mail.{base}"))
        names = [f"{rng.choice(('x', 'y.z', '*', 'a.*.b'))}.{base}.{ORIGIN}" for _ in range(2)]
        yield (
            f"*.{base}",
            [data],
            *[Asked(name, rtype, "wildcard") for name in names for rtype in ("A", data.split()[0])],
            Asked(_absolute(base), "A", "empty non-terminal"),
        )


def _empty_non_terminals(rng: Random, owners: int) -> Iterator[tuple[Any, ...]]:
    for number in range(owners):
        path = [f"ent-{number}", *[rng.choice("abc") for _ in range(rng.randint(1, 4))]]
        names = [".".join(reversed(path[:length])) for length in range(1, len(path))]
        leaf = ".".join(["leaf", *reversed(path)])
        yield leaf, [f"A {_ipv4(rng)}"], *[Asked(_absolute(each), "A", "empty non-terminal") for each in names]


def _delegations(rng: Random, owners: int) -> Iterator[tuple[Any, ...]]:
    for number in range(owners):
        child = f"child-{number}"
        names = [_absolute(child), f"www.{_absolute(child)}", f"a.b.{_absolute(child)}"]
        yield child, [f"NS ns.{child}", "NS ns"], *[Asked(each, "A", "referral") for each in names]
        yield f"ns.{child}", [f"A {_ipv4(rng)}"]


def _trees(rng: Random, owners: int) -> Iterator[tuple[Any, ...]]:
    for number in range(owners):
        tree = f"dname-{number}"
        names = [f"{label}.{tree}.{ORIGIN}" for label in ("x", "y", "none", "deep.down")]
        questions = [Asked(each, rng.choice(("A", "TXT")), "tree") for each in names]
        yield tree, [f"DNAME target-{number}"], *questions, Asked(_absolute(tree), "DNAME", "tree")
        yield f"x.target-{number}", [f"A {_ipv4(rng)}"]
        yield f"y.target-{number}", [f"TXT {_strings(rng)}"]


def _large(rng: Random, owners: int) -> Iterator[tuple[Any, ...]]:
    """From about 500 bytes, where sizes begin to matter, to almost the 65,535 of a message."""
    for number in range(owners):
        for rtype, make, most in (("A", _ipv4, 3500), ("AAAA", _ipv6, 2000), ("TXT", _long_strings, 220)):
            records = int(most ** ((number + 1) / owners) * 0.9) + 10
            owner = f"large-{rtype.lower()}-{number}"
            data = dict.fromkeys(make(rng) for _ in range(records))
            yield owner, [f"{rtype} {each}" for each in data], Asked(_absolute(owner), rtype, "large")


def _odd_names(rng: Random, owners: int) -> Iterator[tuple[Any, ...]]:
    labels = [r"a\.dot", r"a\032space", r"\000", r"\255\254", "x" * 63, "_under_score", "-", "UPPER", r"\"quote", r"\@"]
    labels += ["".join(rng.choice(string.ascii_letters) for _ in range(12)) for _ in range(owners)]
    labels.append(".".join(["z" * 49] * 4 + ["y" * (253 - len(ORIGIN) - 200)]))
    for label in labels:
        absolute = f"{label}.odd.{ORIGIN}" if len(label) < 200 else f"{label}.{ORIGIN}"
        yield absolute, [f"A {_ipv4(rng)}"], Asked(absolute, "A", "odd name"), Asked(absolute, "AAAA", "no data")


def _ipv4(rng: Random) -> str:
    return f"198.18.{rng.randint(0, 255)}.{rng.randint(1, 254)}"


def _ipv6(rng: Random) -> str:
    return f"2001:db8:{rng.randint(0, 0xFFFF):x}::{rng.randint(1, 0xFFFF):x}"


def _host(rng: Random) -> str:
    return rng.choice(("mail", "ns", "a-1", "elsewhere.example.", "a.B.c.elsewhere.EXAMPLE."))


def _hex(rng: Random, octets: int) -> str:
    return rng.randbytes(octets).hex()


def _base64(rng: Random, octets: int) -> str:
    return base64.b64encode(rng.randbytes(octets)).decode()


def _string(rng: Random, longest: int = 40) -> str:
    return '"' + "".join(rng.choice(string.ascii_letters + string.digits + " ;=.") for _ in range(longest)) + '"'


def _strings(rng: Random) -> str:
    return " ".join(_string(rng, rng.randint(0, 255)) for _ in range(rng.choice((1, 1, 2, 4))))


def _long_strings(rng: Random) -> str:
    return _string(rng, 255)


def _number(rng: Random, octets: int = 2) -> int:
    return rng.randint(0, 256**octets - 1)


def _location(rng: Random) -> str:
    latitude, longitude = (f"{rng.randint(0, most)} {rng.randint(0, 59)} {rng.randint(0, 59)}" for most in (89, 179))
    return f"{latitude}.{rng.randint(0, 999):03} N {longitude}.000 E {rng.randint(0, 4000)}m 1m 10000m 10m"


def _service_binding(rng: Random) -> str:
    return rng.choice((
        "0 alias.elsewhere.example.",
        "1 . alpn=h2,h3 port=8443",
        f"2 mail ipv4hint={_ipv4(rng)} ipv6hint={_ipv6(rng)} key65400={_hex(rng, 4)}",
        f"3 . mandatory=alpn alpn=h2 key65500={_string(rng)}",
    ))  # fmt: skip


def _unknown(rng: Random) -> str:
    octets = rng.choice((0, 1, 16, 200))
    return f"\\# {octets} {_hex(rng, octets)}"


TYPES: dict[str, Callable[[Random], str]] = {
    "A": _ipv4,
    "AAAA": _ipv6,
    "AFSDB": lambda rng: f"1 {_host(rng)}",
    "APL": lambda rng: f"1:{_ipv4(rng)}/24 !2:{_ipv6(rng)}/64",
    "CAA": lambda rng: f"{rng.choice((0, 128))} issue {_string(rng)}",
    "CDNSKEY": lambda rng: f"257 3 13 {_base64(rng, 64)}",
    "CDS": lambda rng: f"{_number(rng)} 13 2 {_hex(rng, 32)}",
    "CERT": lambda rng: f"PGP {_number(rng)} 0 {_base64(rng, 80)}",
    "CSYNC": lambda rng: f"{_number(rng, 4)} 3 A NS AAAA",
    "DHCID": lambda rng: _base64(rng, 35),
    "EUI48": lambda rng: "-".join(_hex(rng, 1) for _ in range(6)),
    "EUI64": lambda rng: "-".join(_hex(rng, 1) for _ in range(8)),
    "HINFO": lambda rng: f"{_string(rng, 8)} {_string(rng, 8)}",
    "HTTPS": _service_binding,
    "IPSECKEY": lambda rng: f"10 1 2 {_ipv4(rng)} {_base64(rng, 60)}",
    "KX": lambda rng: f"{_number(rng)} {_host(rng)}",
    "L32": lambda rng: f"{_number(rng)} {_ipv4(rng)}",
    "L64": lambda rng: f"{_number(rng)} 2001:0db8:{_number(rng):04x}:{_number(rng):04x}",
    "LOC": _location,
    "LP": lambda rng: f"{_number(rng)} {_host(rng)}",
    "MX": lambda rng: f"{_number(rng)} {_host(rng)}",
    "NAPTR": lambda rng: f'{_number(rng)} {_number(rng)} "s" "SIP+D2U" "!^.*$!sip:info@example!" {_host(rng)}',
    "NID": lambda rng: f"{_number(rng)} {_number(rng):04x}:{_number(rng):04x}:{_number(rng):04x}:{_number(rng):04x}",
    "OPENPGPKEY": lambda rng: _base64(rng, 300),
    "PTR": _host,
    "RP": lambda rng: f"{_host(rng)} {_host(rng)}",
    "SMIMEA": lambda rng: f"3 1 1 {_hex(rng, 32)}",
    "SRV": lambda rng: f"{_number(rng)} {_number(rng)} {_number(rng)} {_host(rng)}",
    "SSHFP": lambda rng: f"4 2 {_hex(rng, 32)}",
    "SVCB": _service_binding,
    "TLSA": lambda rng: f"3 1 1 {_hex(rng, 32)}",
    "TXT": _strings,
    "URI": lambda rng: f"{_number(rng)} {_number(rng)} {_string(rng)}",
    "TYPE731": _unknown,
    "TYPE65280": _unknown,
    "TYPE65534": _unknown,
}  # fmt: skip
"""The data of a record of each type. Those that point to names point inside, outside, and in mixed letters."""

PARTS: tuple[Part, ...] = (
    _apex, _types, _chains, _wildcards, _empty_non_terminals, _delegations, _trees, _large, _odd_names,
)  # fmt: skip
