"""Where the admin socket is: a Unix socket, or a port that this machine alone can reach."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.forward import host_and_port

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTOMATIC = "auto"
"""The first of the usual places where a socket can be made."""

NOWHERE = "none"


OF_THE_MACHINE = Path("/run/clusterdns/admin.sock")


class Place(Struct, frozen=True):
    """A path, or else an address and a port."""

    path: Path | None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Place | None:
    """`/run/clusterdns/admin.sock`, `127.0.0.1:9154`; None for `auto` and `none`. Raises ValueError."""
    if text in (AUTOMATIC, NOWHERE):
        return None
    if "/" in text:
        return Place(Path(text))
    expected = "expected a path, a port of a loopback address such as 127.0.0.1:9154, auto, or none"
    try:
        host, port = host_and_port(text, 0)
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ValueError(expected) from None
    if not is_loopback:
        raise ValueError(f"others could reach it: {expected}")
    if not port:
        raise ValueError(expected)
    return Place(None, host, port)


def usual_places(environment: Mapping[str, str]) -> list[Place]:
    """The user's own, and the machine's."""
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    own = [Path(runtime) / "clusterdns.sock"] if runtime.startswith("/") else []
    return [Place(each) for each in (*own, OF_THE_MACHINE)]
