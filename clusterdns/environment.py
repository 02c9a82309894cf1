"""The environment variables by which a process in a pod finds services, as the kubelet makes them.

Source of the rules: the kubelet's pkg/kubelet/envvars and getServiceEnvVarMap. Names may meet, such as FOO_SERVICE_PORT
of a service foo and of one that is called foo-service: then the kubelet takes the one or the other, as chance has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.objects import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.objects import Service

MASTER = ("default", "kubernetes")
"""The Service of the API server, which every pod finds."""


class Variable(Struct, frozen=True):
    name: str
    value: str
    service: Key


def environment(services: Iterable[Service], namespace: str, *, links: bool = True) -> list[Variable]:
    """What a pod of the namespace finds, by the names of the services; of variables with one name the last counts.

    links: the pod's `enableServiceLinks`; without them it finds the API server alone.
    """
    found: dict[str, Service] = {}
    for each in services:
        if not each.cluster_ips:
            continue
        if each.key == MASTER:
            found.setdefault(each.metadata.name, each)
        elif each.metadata.namespace == namespace and links:
            found[each.metadata.name] = each
    return [
        Variable(name, value, found[service].key) for service in sorted(found) for name, value in _of(found[service])
    ]


def _of(service: Service) -> Iterator[tuple[str, str]]:
    prefix, address = _capitals(service.metadata.name), service.cluster_ips[0]
    yield f"{prefix}_SERVICE_HOST", address
    host = f"[{address}]" if ":" in address else address
    for each in service.ports[:1]:
        yield f"{prefix}_SERVICE_PORT", str(each.port)
    for each in service.ports:
        if each.name:
            yield f"{prefix}_SERVICE_PORT_{_capitals(each.name)}", str(each.port)
    for number, each in enumerate(service.ports):
        protocol = each.protocol.lower()
        url = f"{protocol}://{host}:{each.port}"
        if not number:
            yield f"{prefix}_PORT", url
        link = f"{prefix}_PORT_{each.port}_{each.protocol.upper()}"
        yield link, url
        yield f"{link}_PROTO", protocol
        yield f"{link}_PORT", str(each.port)
        yield f"{link}_ADDR", address


def _capitals(name: str) -> str:
    return name.upper().replace("-", "_")
