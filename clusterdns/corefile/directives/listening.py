"""Where a server block listens, how large its replies are, and where relative paths begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.corefile import interfaces
from clusterdns.corefile.words import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading
    from clusterdns.corefile.settings import Settings

EVERYWHERE = ("0.0.0.0", "::")
"""As CoreDNS listens unless it is told otherwise."""

UDP_SIZE = 1232

LONGEST_IDLE = 86400.0
"""Seconds; CoreDNS takes a day at most as well."""


def bind(readings: Sequence[Reading], _: Surroundings) -> Settings:
    """The addresses; their ports are those of the server block's keys."""
    hosts: dict[str, None] = {}
    for reading in readings:
        excepted: set[str] = set()
        for line in reading.lines():
            if line.keyword == "except":
                excepted.update(_hosts(line))
            else:
                line.unsupported()
        if reading.count("addresses or interfaces", 1):
            found = [host for host in _hosts(reading) if host not in excepted]
            hosts.update(dict.fromkeys(found))
            reading.understood(", ".join(found))
    return {"bind": [*hosts]} if hosts else {}


def _hosts(reading: Reading) -> list[str]:
    found: list[str] = []
    for word in reading.words:
        if word == "localhost":
            found.append("127.0.0.1")
        elif names.address(word.partition("%")[0]) is not None:
            found.append(word)
        else:
            found += _of_interface(reading, word)
    return found


def _of_interface(reading: Reading, name: str) -> list[str]:
    try:
        found = interfaces.addresses(name)
    except OSError as error:
        reading.fault(
            f"the addresses of {shown(name)} can not be had from the kernel: {error.strerror}; give addresses"
        )
        return []
    if found is None:
        reading.fault(f"expected an address or an interface of this machine, not {shown(name)}")
    return found or []


def endpoints(reading: Reading, text: str) -> list[str]:
    """ADDRESS:PORT for each address that is meant: `:9153` is a port on all of them."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= 65535):
        reading.fault(f"expected ADDRESS:PORT or :PORT, not {shown(text)}")
        return []
    if host == "localhost":
        host = "127.0.0.1"
    if host and names.address(host) is None:
        reading.unsupported(f"the name {shown(host)} in the place of an address")
        return []
    return [address_and_port(each, int(port)) for each in ((host,) if host else EVERYWHERE)]


def address_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bufsize(reading: Reading, _: Surroundings) -> Settings:
    if not reading.count("bytes from 512 to 4096", 0, 1):
        return {}
    size = reading.number(reading.words[0], "bytes", 512, 4096) if reading.words else UDP_SIZE
    return {"udp-size": size} if size else {}


def timeouts(reading: Reading, _: Surroundings) -> Settings:
    """Of connections that clients have open."""
    settings: Settings = {}
    for line in reading.lines():
        if line.keyword not in ("read", "write", "idle"):
            line.unsupported()
        elif line.count("a duration", 1, 1) and (seconds := line.duration(line.words[0], 1, LONGEST_IDLE)) is not None:
            if line.keyword == "idle":
                settings["tcp.idle-seconds"] = seconds
            else:
                line.warn("it does nothing here: a connection that is idle is closed, whatever it waits for")
    return settings


def root(reading: Reading, _: Surroundings) -> Settings:
    """Its path is taken before all others are read."""
    reading.count("a path", 1, 1)
    return {}


CLIENTS = {
    "nocert": "none",
    "request": "none",
    "verify_if_given": "verified-if-given",
    "require_and_verify": "required",
}


def tls(reading: Reading, around: Surroundings) -> Settings:
    """For clients that come over TLS."""
    if not reading.count("CERT KEY [CA]", 2, 3):
        return {}
    certificate, key, *authority = [around.path(word) for word in reading.words]
    settings: Settings = {"tls.certificate": certificate, "tls.key": key}
    for line in reading.lines():
        settings.update(_tls_option(line))
    if settings.get("tls.client-certificates", "none") != "none" and authority:
        settings["tls.client-authority"] = authority[0]
    return settings


def _tls_option(line: Reading) -> Settings:
    match line.keyword:
        case "client_auth" if line.count("who has to have a certificate", 1, 1):
            wanted = line.one_of(line.words[0], (*CLIENTS, "require"))
            if wanted == "require":
                line.unsupported("require, which takes any certificate at all")
            elif wanted == "request":
                line.warn("it does nothing here: nobody would look at the certificate")
            return {"tls.client-certificates": CLIENTS[wanted]} if wanted in CLIENTS else {}
        case "keylog" if line.count("a file", 1, 1):
            line.warn("it does nothing here: keys are not told")
        case "client_auth" | "keylog":
            pass  # what is wrong with it is noted
        case _:
            line.unsupported()
    return {}
