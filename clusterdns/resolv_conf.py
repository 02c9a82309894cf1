"""resolv.conf as a value: read as glibc reads it, written as the kubelet has it for a pod.

resolv.conf(5) says what may stand in the file. Where it is silent, what glibc does counts (resolv/res_init.c, 2.26 and
later), since that is what most programs on a host go by.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST_NDOTS = 15
MOST_SECONDS = 30
MOST_ATTEMPTS = 5

POD_NDOTS = 5
"""What the kubelet sets: so many dots has the longest name that is completed, `_port._tcp.service.namespace.svc`, and
one more."""

# The kubelet's limits (pkg/apis/core/validation): glibc takes three servers, and older resolvers live with the others.
MOST_NAMESERVERS = 3
MOST_DOMAINS = 32
MOST_CHARACTERS = 2048
LONGEST_DOMAIN = 253

_BLANKS = " \t"


class ResolvConf(Struct, frozen=True):
    """What a resolver is told."""

    nameservers: tuple[str, ...] = ()
    """Addresses, all of them; glibc asks the first three. An IPv6 address may have a zone id: `fe80::1%eth0`. Where
    there are none, resolvers ask 127.0.0.1."""
    search: tuple[str, ...] = ()
    """Domains as they are written. Where there are none, glibc takes the host's own."""
    ndots: int = 1
    timeout: int = 5
    """Seconds that one server has for one try; resolvers take 0 for 1."""
    attempts: int = 2
    """How often each server is asked."""
    options: tuple[str, ...] = ()
    """All other options, as they are written."""

    def to_text(self) -> str:
        """The file; what is as it would be anyway is left out."""
        numbers = (("ndots", self.ndots, 1), ("timeout", self.timeout, 5), ("attempts", self.attempts, 2))
        options = [f"{name}:{value}" for name, value, default in numbers if value != default]
        lines = [
            *([" ".join(("search", *self.search))] if self.search else []),
            *[f"nameserver {each}" for each in self.nameservers],
            *([" ".join(("options", *options, *self.options))] if options or self.options else []),
        ]
        return "".join([f"{line}\n" for line in lines])


def parse(text: str) -> ResolvConf:
    """What a file says to glibc. A line that it makes nothing of says nothing."""
    nameservers: list[str] = []
    search: tuple[str, ...] = ()
    numbers = {"ndots": 1, "timeout": 5, "attempts": 2}
    options: list[str] = []
    for line in text.split("\n"):
        keyword, *words = _words(line)
        match keyword:
            case "nameserver" if words and (address := nameserver(words[0])):
                nameservers.append(address)
            case "search" if words:
                search = tuple(words)
            case "domain" if words:
                search = (words[0],)
            case "options":
                for word in words:
                    name, colon, value = word.partition(":")
                    if colon and name in numbers:
                        numbers[name] = _number(value, _MOST[name])
                    else:
                        options.append(word)
    return ResolvConf(tuple(nameservers), search, options=tuple(options), **numbers)


def for_pod(namespace: str, zone: str, nameservers: Sequence[str], host: ResolvConf) -> ResolvConf:
    """What the kubelet writes for a pod of that namespace with the DNS policy ClusterFirst.

    nameservers: the cluster DNS. host: the node's own file, whose search domains come last; nothing else of it matters.
    """
    zone = zone.removesuffix(".")
    host_domains = [each.removesuffix(".") for each in host.search if each != "."]
    domains = dict.fromkeys((f"{namespace}.svc.{zone}", f"svc.{zone}", zone, *host_domains))
    search = tuple(_within_limits(domains))
    return ResolvConf(tuple(nameservers[:MOST_NAMESERVERS]), search, ndots=POD_NDOTS)


def nameserver(text: str) -> str | None:
    """The address of a nameserver line in its usual form, None if it is none."""
    address, percent, zone_id = text.partition("%")
    try:
        if ":" in address and re.fullmatch(r"[\w.-]*", zone_id, re.ASCII):
            return f"{ipaddress.IPv6Address(address)}{percent}{zone_id}"
        return str(ipaddress.IPv4Address(_inet_aton(text)))
    except ValueError:
        return None


def _words(line: str) -> list[str]:
    """The keyword and what follows it; the keyword is empty if there is none, or if it does not start the line."""
    if not line or line[0] in _BLANKS + "#;":
        return [""]
    return [each for each in re.split(r"[ \t]+", line) if each]


_MOST = {"ndots": MOST_NDOTS, "timeout": MOST_SECONDS, "attempts": MOST_ATTEMPTS}


def _number(text: str, most: int) -> int:
    """As C's atoi has it: the digits that it begins with, 0 if there are none; of less than 0, there is no use."""
    digits = re.match(r"[+]?(\d+)", text, re.ASCII)
    return min(int(digits[1][:9]), most) if digits else 0


def _inet_aton(text: str) -> int:
    """inet_aton(3): one to four numbers as C writes them, the last of which fills what is left. Raises ValueError."""
    numbers = [_c_number(each) for each in text.split(".")]
    *octets, rest = numbers
    if len(numbers) > 4 or any(each > 255 for each in octets) or rest >= 256 ** (5 - len(numbers)):
        raise ValueError(f"{text!r} is no IPv4 address")
    return sum(octet << 24 - 8 * place for place, octet in enumerate(octets)) + rest


def _c_number(text: str) -> int:
    """Decimal, octal behind a 0, hexadecimal behind 0x. Raises ValueError."""
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9}", text):
        raise ValueError(f"{text!r} is no number")
    return int(text, 16 if text[1:2] in ("x", "X") else 8 if text.startswith("0") else 10)


def _within_limits(domains: Iterable[str]) -> Iterator[str]:
    """As many domains as the kubelet lets pass."""
    characters = -1
    for domain in [each for each in list(domains)[:MOST_DOMAINS] if len(each) <= LONGEST_DOMAIN]:
        characters += 1 + len(domain)
        if characters > MOST_CHARACTERS:
            return
        yield domain
