"""Where an upstream is: `192.0.2.1`, `[2001:db8::1]:5353`, `tls://192.0.2.1#dns.example.org`."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from clusterdns import names


class UpstreamAddress(Struct, frozen=True):
    host: str
    """An IPv4 or IPv6 address, the latter with its scope (`fe80::1%eth0`) if it needs one."""
    port: int
    tls: bool = False
    server_name: str = ""
    """Of the certificate; the address itself must stand in it if none is given."""

    def __str__(self) -> str:
        scheme = "tls://" if self.tls else ""
        name = f"#{self.server_name}" if self.server_name else ""
        return (
            f"{scheme}[{self.host}]:{self.port}{name}" if ":" in self.host else f"{scheme}{self.host}:{self.port}{name}"
        )


def parse(text: str) -> UpstreamAddress:
    """Raises ValueError, which says what was expected."""
    rest, _, server_name = text.partition("#")
    scheme, separator, address = rest.rpartition("://")
    if separator and scheme not in ("tls", "dns"):
        raise ValueError("expected tls:// or dns://, or neither")
    tls = scheme == "tls"
    if "#" in text and not tls:
        raise ValueError("a server name is for tls://")
    if "#" in text and names.possible(server_name) in (None, names.ROOT):
        raise ValueError(f"{server_name!r} is no host name")
    host, port = host_and_port(address, 853 if tls else 53, "ADDRESS, ADDRESS:PORT or tls://ADDRESS#NAME")
    if port == 0:
        raise ValueError("expected a port from 1 to 65535 behind the last colon")
    return UpstreamAddress(host, port, tls, server_name)


def host_and_port(
    text: str, default: int, expected: str = "ADDRESS:PORT, such as 127.0.0.1:1053 or [::1]:1053"
) -> tuple[str, int]:
    """`192.0.2.1:5353`, `[2001:db8::1]:53`, or an address alone for the default port. Raises ValueError."""
    host, separator, port = text.rpartition(":")
    if not separator or (":" in host and not host.endswith("]")):
        host, port = text, str(default)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise ValueError(f"expected {expected}") from error
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("expected a port from 0 to 65535 behind the last colon")
    return host, int(port)
