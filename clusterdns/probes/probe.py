"""A probe as a value: what is asked, how often, and what came of it. Times are seconds."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

from msgspec import Struct


class HttpGet(Struct, frozen=True):
    url: str
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"GET {self.url}"


class TcpSocket(Struct, frozen=True):
    host: str
    port: int

    def __str__(self) -> str:
        return f"TCP {with_port(self.host, self.port)}"


class GrpcHealth(Struct, frozen=True):
    """`grpc.health.v1.Health/Check` of a service; an empty one is the server as a whole."""

    host: str
    port: int
    service: str = ""

    def __str__(self) -> str:
        return f"gRPC health {with_port(self.host, self.port)}{f' {self.service}' if self.service else ''}"


class NoPort(Struct, frozen=True):
    """What can not be asked: the container has no port of the name that its probe gives."""

    name: str

    def __str__(self) -> str:
        return f"port {self.name}"


Request: TypeAlias = HttpGet | TcpSocket | GrpcHealth | NoPort


class Probe(Struct, frozen=True):
    """The defaults are the API server's."""

    request: Request
    initial_delay: int = 0
    period: int = 10
    timeout: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3


class Checks(Struct, frozen=True):
    """The probes of one container: until the first has succeeded, the second is not asked."""

    startup: Probe | None
    readiness: Probe | None


class Watched(Struct, frozen=True):
    """What is ready as soon as all its containers are."""

    called: str
    """For people: `Pod shop/cart-0`."""
    checks: tuple[Checks, ...]
    is_ready: bool
    """What it is taken for until its probes have told."""


class Outcome(Struct, frozen=True):
    is_success: bool
    text: str
    """`503`, `connection refused`."""


class Readiness(Struct, frozen=True):
    """What the probes have come to, and which of them last decided it."""

    is_ready: bool
    since: float
    """Seconds since 1970."""
    probe: str
    """`GET http://127.0.0.1:8080/ready`"""
    outcome: str
    """What it said: `503`."""


def is_address(host: str) -> bool:
    """Whether it is an address, and of no machine's own scope (fe80::1%eth0)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
