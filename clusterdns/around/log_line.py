"""A query and its reply as a line of text, in the formats of CoreDNS's plugin log, and in one of our own.

A format is text with placeholders, `{name}` or `{>id}`; what is no placeholder stands as it is. `json` is an object a
line, with all of them and a few more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from clusterdns import names
from clusterdns.names import Name
from clusterdns.presentation import rcode_text, type_text
from clusterdns.queries import HEADER, FormatError, read_query
from clusterdns.respond import Client
from clusterdns.wire import LARGEST, SMALLEST_UDP

if TYPE_CHECKING:
    from collections.abc import Iterable


JSON = "json"

NOTHING = "-"
"""What stands for a value that there is not."""

MOST_ASKED = 5000
"""How many queries are remembered by what is written of them."""

LONGEST_ASKED = 512
"""Bytes of such a query."""

_FLAGS = (
    ("qr", 0x8000),
    ("aa", 0x400),
    ("tc", 0x200),
    ("rd", 0x100),
    ("ra", 0x80),
    ("z", 0x40),
    ("ad", 0x20),
    ("cd", 0x10),
)
_CLASSES = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}


class Pod(Struct, frozen=True):
    """Who asks, where pods are followed."""

    namespace: str
    name: str = ""


class Asked(Struct, frozen=True):
    """A query, but for its ID, as the line has it."""

    name: Name
    name_text: str
    type_text: str
    class_text: str
    size: int
    bufsize: int
    dnssec_ok: bool
    opcode: int
    in_json: str
    """The name and the type, as members of a JSON object."""


class Surroundings(Struct, frozen=True):
    """What is known beside a query and its reply."""

    write: Callable[[str], None]
    """Takes a line."""
    clock: Callable[[], float]
    """Seconds, to tell how long something took."""
    now: Callable[[], float]
    """Seconds since the epoch."""
    pod: Callable[[str], Pod | None] = lambda _: None
    """Which pod has an address."""
    zones: tuple[Name, ...] = ()
    """The cluster's."""
    local: str = ""
    """The address that is listened on."""
    stream: bool = False
    """Whether it is over TCP."""


class Exchange(Struct):
    """A query and what came of it."""

    asked: Asked
    packet: bytes
    client: Client
    reply: bytes | None
    seconds: float
    kind: str
    """`success`, `denial` or `error`."""
    around: Surroundings

    @property
    def protocol(self) -> str:
        return "tcp" if self.around.stream else "udp"

    @property
    def number(self) -> int:
        """The query's ID."""
        return int.from_bytes(self.packet[:2], "big")


Format: TypeAlias = Callable[[Exchange], str]


def read_asked(packet: bytes, *, stream: bool) -> Asked | None:
    """What is written of a query; None if it is not one that is answered by its name. The EDNS size is at least 512."""
    try:
        query = read_query(packet)
    except FormatError:
        return None
    if query.is_response or (query.edns and query.edns.version):
        return None
    name, question = names.to_text(query.question.name), query.question
    bufsize = LARGEST if stream else max(SMALLEST_UDP, query.edns.udp_size if query.edns else 0)
    rtype = type_text(question.qtype)
    return Asked(
        name=question.name,
        name_text=name,
        type_text=rtype,
        class_text=_CLASSES.get(question.qclass, f"CLASS{question.qclass}"),
        size=len(packet),
        bufsize=bufsize,
        dnssec_ok=bool(query.edns and query.edns.dnssec_ok),
        opcode=query.opcode,
        in_json=f'"name":{json.dumps(name)},"type":{json.dumps(rtype)}',
    )


def format_of(text: str) -> Format:
    """What makes lines of that format."""
    if text == JSON:
        return _as_json
    pieces = _PLACEHOLDER.split(text)
    fields = [_field(each) for each in pieces[1::2]]
    template = "%s".join(each.replace("%", "%%") for each in pieces[::2])

    def line(exchange: Exchange) -> str:
        return template % tuple([field(exchange) for field in fields])

    return line


def _field(placeholder: str) -> Format:
    if placeholder in _FIELDS:
        return _FIELDS[placeholder]
    label = placeholder[2:-1]
    return lambda exchange: _metadata(exchange).get(label) or NOTHING


def _address(text: str) -> str:
    return f"[{text}]" if ":" in text else text


def _flags(reply: bytes | None) -> str:
    if reply is None:
        return NOTHING
    flags = int.from_bytes(reply[2:4], "big")
    return _FLAG_TEXTS.get(flags & 0x87F0) or _flag_text(flags & 0x87F0)


_FLAG_TEXTS: dict[int, str] = {}
"""Those that were seen; there are at most 512."""


def _flag_text(flags: int) -> str:
    text = ",".join(name for name, bit in _FLAGS if flags & bit)
    _FLAG_TEXTS[flags] = text
    return text


def _rcode(reply: bytes | None) -> str:
    return rcode_text(reply[3] & 0xF if reply else 0)


def _duration(seconds: float) -> str:
    return f"{seconds:.9f}".rstrip("0").removesuffix(".") + "s"


_FIELDS: dict[str, Format] = {
    "{type}": lambda it: it.asked.type_text,
    "{name}": lambda it: it.asked.name_text,
    "{class}": lambda it: it.asked.class_text,
    "{proto}": lambda it: it.protocol,
    "{size}": lambda it: str(it.asked.size),
    "{remote}": lambda it: _address(it.client[0]),
    "{port}": lambda it: str(it.client[1]),
    "{local}": lambda it: _address(it.around.local),
    "{>id}": lambda it: str(it.number),
    "{>opcode}": lambda it: str(it.asked.opcode),
    "{>do}": lambda it: "true" if it.asked.dnssec_ok else "false",
    "{>bufsize}": lambda it: str(it.asked.bufsize),
    "{rcode}": lambda it: _rcode(it.reply),
    "{rsize}": lambda it: str(len(it.reply or b"")),
    "{duration}": lambda it: _duration(it.seconds),
    "{>rflags}": lambda it: _flags(it.reply),
}
_PLACEHOLDER = re.compile("(" + "|".join([re.escape(each) for each in _FIELDS]) + r"|\{/[^}]*\})")


def _metadata(exchange: Exchange) -> dict[str, str]:
    """What CoreDNS's plugin kubernetes tells of a query, by its labels."""
    found = kubernetes_labels(exchange.asked.name, exchange.around.zones)
    pod = exchange.around.pod(exchange.client[0])
    if pod is not None:
        found |= {"kubernetes/client-namespace": pod.namespace, "kubernetes/client-pod-name": pod.name}
    return found


def kubernetes_labels(name: Name, zones: Iterable[Name]) -> dict[str, str]:
    """What a name of the cluster is about: kind, namespace, service, endpoint, port and protocol."""
    zone = next((each for each in zones if name.endswith(each) and each in (name, *names.ancestors(name))), None)
    if zone is None:
        return {}
    # As a name's text has them: a label may hold line ends, and orders for a terminal.
    labels = names.to_text(name[: -len(zone)] + names.ROOT).removesuffix(".").split(".")
    match labels:
        case [*more, service, namespace, "svc" | "pod" as kind]:
            found = {"kind": kind, "namespace": namespace, "service": service}
        case _:
            return {}
    match more:
        case [endpoint]:
            found["endpoint"] = endpoint
        case [port, protocol]:
            found |= {"port-name": port.removeprefix("_"), "protocol": protocol.removeprefix("_")}
        case [_, *_]:
            return {}
    return {f"kubernetes/{label}": value for label, value in found.items()}


def _as_json(exchange: Exchange) -> str:
    asked, reply = exchange.asked, exchange.reply
    pod = exchange.around.pod(exchange.client[0])
    time = datetime.fromtimestamp(exchange.around.now(), UTC).isoformat(timespec="milliseconds")
    whose = "" if pod is None else f'"namespace":"{pod.namespace}","pod":"{pod.name}",'
    came = (
        '"rcode":null,'
        if reply is None
        else f'"rcode":"{_rcode(reply)}","flags":"{_flags(reply)}","answers":{int.from_bytes(reply[6:8], "big")},'
        f'"reply-size":{len(reply)},'
    )
    return (
        f'{{"time":"{time[:-6]}Z","client":"{exchange.client[0]}","port":{exchange.client[1]},{whose}'
        f'"protocol":"{exchange.protocol}","id":{exchange.number},{asked.in_json},"size":{asked.size},'
        f'{came}"outcome":"{exchange.kind}","ms":{exchange.seconds * 1000:.3f}}}'
    )


def kind_of(reply: bytes | None) -> str:
    """What a reply comes to: an answer or a referral, the news that there is none, or a failure."""
    if reply is None:
        return "error"
    rcode = reply[3] & 0xF
    if rcode == 3:
        return "denial"
    if rcode:
        return "error"
    return "success" if reply[6:8] != b"\0\0" or not _has_soa(reply) else "denial"


def _has_soa(reply: bytes) -> bool:
    """Whether there is a SOA record in the authority section of a reply without answers."""
    try:
        at = reply.index(0, HEADER) + 5
        for _ in range(int.from_bytes(reply[8:10], "big")):
            while 0 < reply[at] < 0xC0:
                at += 1 + reply[at]
            at += 2 if reply[at] >= 0xC0 else 1
            if reply[at : at + 2] == b"\0\6":
                return True
            at += 10 + int.from_bytes(reply[at + 8 : at + 10], "big")
    except (IndexError, ValueError):
        pass  # cut off by an upstream
    return False
