"""Services, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.kubectl.ages import age

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clusterdns.objects import Service

HEADER = ("NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE")
WIDE_HEADER = (*HEADER, "SELECTOR")

NONE = "<none>"
PENDING = "<pending>"
UNKNOWN = "<unknown>"

WIDEST_INGRESS = 16
"""Of what a load balancer says, unless it may be wide."""


def row(service: Service, now: float, *, wide: bool = False) -> tuple[str, ...]:
    """now: seconds since the epoch."""
    spec = service.spec
    cells = (
        service.metadata.name,
        spec.type,
        (spec.cluster_ips or (spec.cluster_ip,))[0] or NONE,
        _external(service, wide=wide),
        _ports(service),
        age(service.created, now),
    )
    return (*cells, _selector(spec.selector or {})) if wide else cells


def _external(service: Service, *, wide: bool) -> str:
    given = service.spec.external_ips or ()
    match service.spec.type:
        case "ClusterIP" | "NodePort":
            return ",".join(given) or NONE
        case "LoadBalancer":
            ingress = _ingress(service, wide=wide)
            return ",".join((*((ingress,) if ingress else ()), *given)) or PENDING
        case "ExternalName":
            return service.spec.external_name
        case _:
            return UNKNOWN


def _ingress(service: Service, *, wide: bool) -> str:
    balancer = service.status.load_balancer if service.status else None
    text = ",".join(sorted({each.ip or each.hostname for each in (balancer.ingress if balancer else None) or ()}))
    return text if wide or len(text) <= WIDEST_INGRESS else f"{text[: WIDEST_INGRESS - 3]}..."


def _ports(service: Service) -> str:
    return ",".join(f"{_numbers(each.port, each.node_port)}/{each.protocol}" for each in service.ports) or NONE


def _numbers(port: int, node_port: int) -> str:
    return f"{port}:{node_port}" if node_port else str(port)


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) or NONE
