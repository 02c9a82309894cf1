"""The probes of containers as manifests have them: what the API server would refuse, and what to ask of the rest.

Sources of the rules: the API server's pkg/apis/core/validation and its defaults; the kubelet's pkg/probe.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clusterdns import names
from clusterdns.probes import GrpcHealth, HttpGet, NoPort, Probe, TcpSocket, is_address, with_port
from clusterdns.sources.manifests.admission import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.objects import ContainerPort
    from clusterdns.probes import Request


class _Header(Struct, frozen=True):
    name: str
    value: str = ""


class _HttpGet(Struct, frozen=True, rename="camel"):
    port: int | str
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: tuple[_Header, ...] = ()


class _TcpSocket(Struct, frozen=True):
    port: int | str
    host: str = ""


class _Grpc(Struct, frozen=True):
    port: int
    service: str = ""


class ContainerProbe(Struct, frozen=True, rename="camel"):
    """Zero is as good as absent, as the API has it."""

    http_get: _HttpGet | None = None
    tcp_socket: _TcpSocket | None = None
    grpc: _Grpc | None = None
    exec: dict[str, Any] | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 0
    timeout_seconds: int = 0
    success_threshold: int = 0
    failure_threshold: int = 0

    @property
    def host(self) -> str:
        """Where it goes, if that is not to the pod."""
        action = self.http_get or self.tcp_socket
        return action.host if action else ""

    def probe(self, host: str, port: int | None, ports: Sequence[ContainerPort]) -> Probe:
        """The probe of a container with these ports that is reached at `host`, all of it at `port` if there is one."""
        return Probe(
            self._request(host, port, ports),
            self.initial_delay_seconds,
            self.period_seconds or 10,
            self.timeout_seconds or 1,
            self.success_threshold or 1,
            self.failure_threshold or 3,
        )

    def _request(self, host: str, port: int | None, ports: Sequence[ContainerPort]) -> Request:
        if self.grpc:
            return GrpcHealth(host, port or self.grpc.port, self.grpc.service)
        action = self.http_get or self.tcp_socket
        assert action is not None  # noqa: S101 - admitted
        if action.host:
            host, port = action.host, None
        number = port or _number(action.port, ports)
        if number is None:
            return NoPort(str(action.port))
        if isinstance(action, _TcpSocket):
            return TcpSocket(host, number)
        path = action.path if action.path.startswith("/") else f"/{action.path}"
        headers = tuple((each.name, each.value) for each in action.http_headers)
        return HttpGet(f"{action.scheme.lower()}://{with_port(host, number)}{path}", headers)


def _number(port: int | str, ports: Sequence[ContainerPort]) -> int | None:
    """The number of a container's port; None if the container has no port of that name."""
    if isinstance(port, int):
        return port
    return next((each.container_port for each in ports if each.name == port), None)


def check(field: str, probe: ContainerProbe | None, most_successes: int = 0) -> None:
    """Raises Refused."""
    if probe is None:
        return
    actions = [each for each in (probe.http_get, probe.tcp_socket, probe.grpc, probe.exec) if each is not None]
    if len(actions) != 1:
        raise Refused(field, "expected one of httpGet, tcpSocket, grpc and exec")
    for name in ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"):
        number: int = getattr(probe, re.sub("([A-Z])", r"_\1", name).lower())
        if not 0 <= number < 1 << 31:
            raise Refused(f"{field}.{name}", f"{number} is not between 0 and {(1 << 31) - 1}")
    if most_successes and probe.success_threshold > most_successes:
        raise Refused(f"{field}.successThreshold", "is 1 for a startupProbe")
    if probe.exec is not None:
        return
    action, of = next(
        (action, name)
        for name, action in (("httpGet", probe.http_get), ("tcpSocket", probe.tcp_socket), ("grpc", probe.grpc))
        if action is not None
    )
    if not (_PORT_NAME.fullmatch(action.port) if isinstance(action.port, str) else 0 < action.port < 65536):
        raise Refused(f"{field}.{of}.port", f"{action.port!r} is no port: 1 to 65535, or the name of one")
    if not isinstance(action, _Grpc) and action.host and not is_host(action.host):
        raise Refused(f"{field}.{of}.host", f"{action.host!r} is no address and no host name")
    if isinstance(action, _HttpGet):
        _check_http(f"{field}.httpGet", action)


def _check_http(field: str, action: _HttpGet) -> None:
    """Raises Refused."""
    if action.scheme not in ("HTTP", "HTTPS"):
        raise Refused(f"{field}.scheme", f"{action.scheme!r} is none of HTTP, HTTPS")
    for index, header in enumerate(action.http_headers):
        if not _HEADER_NAME.fullmatch(header.name):
            raise Refused(f"{field}.httpHeaders[{index}].name", f"{header.name!r} is no name of a header")


_HEADER_NAME = re.compile(r"[-A-Za-z0-9]+")
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")


def is_host(text: str) -> bool:
    """Whether it is an address or a host name."""
    labels = text.lower().removesuffix(".").split(".")
    # One that ends in a number was meant as an address.
    is_name = len(text) <= 253 and all(map(names.is_kubernetes_label, labels)) and not labels[-1].isdecimal()
    return is_name or is_address(text)
