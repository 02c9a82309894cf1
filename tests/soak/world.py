"""What there is in the cluster, and so what every answer has to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

ZONE = "svc.cluster.local."
NAMESPACES = 5


@dataclass
class Service:
    """One as it is now. Headless ones have no address of their own."""

    number: int
    is_headless: bool
    endpoints: frozenset[str]

    @property
    def namespace(self) -> str:
        return f"team-{self.number % NAMESPACES}"

    @property
    def name(self) -> str:
        return f"s{self.number:04}"

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.{ZONE}"

    @property
    def address(self) -> str:
        return str(IPv4Address("10.96.0.1") + self.number)

    def manifests(self) -> list[dict[str, Any]]:
        """The Service, and its EndpointSlice."""
        metadata = {"name": self.name, "namespace": self.namespace}
        port = {"name": "http", "protocol": "TCP", "port": 80}
        spec = {"clusterIP": "None" if self.is_headless else self.address, "ports": [port]}
        labels = {"kubernetes.io/service-name": self.name}
        endpoints = [{"addresses": [each], "conditions": {"ready": True}} for each in sorted(self.endpoints)]
        return [
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec},
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**metadata, "labels": labels},
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            },
        ]


@dataclass(frozen=True)
class Truth:
    """What a question deserves: the text of its records, none of them if the name is missing."""

    name: str
    rtype: str
    records: frozenset[str]
    exists: bool = True


@dataclass
class World:
    """Services that stay as they are, and others that come, change and go."""

    random: Random
    still: list[Service] = field(default_factory=list)
    moving: dict[int, Service] = field(default_factory=dict)
    most_moving: int = 300

    def __post_init__(self) -> None:
        self.still = [self._made(number) for number in range(200)]

    def _made(self, number: int) -> Service:
        is_headless = number % 5 == 0
        count = self.random.randint(1, 40 if is_headless else 5)
        hosts = self.random.sample(range(250), count)
        return Service(
            number, is_headless, frozenset(f"10.{128 + number // 250}.{number % 250}.{each}" for each in hosts)
        )

    def namespaces(self) -> list[dict[str, Any]]:
        names = [f"team-{number}" for number in range(NAMESPACES)]
        return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in names]

    def change(self) -> tuple[str, list[dict[str, Any]]]:
        """Something new: what to do with which objects, `put` or `delete`."""
        number = 1000 + self.random.randrange(self.most_moving)
        if number in self.moving and self.random.random() < 0.3:
            return "delete", self.moving.pop(number).manifests()
        self.moving[number] = self._made(number)
        return "put", self.moving[number].manifests()

    def truths_of_still(self) -> list[Truth]:
        """What has to be so at every moment."""
        return [truth for each in self.still for truth in truths(each)] + [
            Truth(f"missing-{number}.team-{number % NAMESPACES}.{ZONE}", rtype, frozenset(), exists=False)
            for number in range(50)
            for rtype in ("A", "AAAA")
        ]

    def truths(self) -> list[Truth]:
        """What has to be so once all that has changed is known."""
        gone = [Service(number, False, frozenset()) for number in range(1000, 1000 + self.most_moving)]
        return [
            *self.truths_of_still(),
            *(truth for each in self.moving.values() for truth in truths(each)),
            *(Truth(each.host, "A", frozenset(), exists=False) for each in gone if each.number not in self.moving),
        ]


def truths(service: Service) -> list[Truth]:
    here = service.endpoints if service.is_headless else {service.address}
    found = [Truth(service.host, "A", frozenset(here)), Truth(service.host, "AAAA", frozenset())]
    srv = f"_http._tcp.{service.host}"
    if service.is_headless:
        share = max(1, 100 // len(here))
        targets = [f"{each.replace('.', '-')}.{service.host}" for each in here]
        found.append(Truth(srv, "SRV", frozenset(f"0 {share} 8080 {each}" for each in targets)))
        found += [Truth(name, "A", frozenset({each})) for name, each in zip(targets, here, strict=True)]
        return found
    reverse = IPv4Address(service.address).reverse_pointer + "."
    found.append(Truth(srv, "SRV", frozenset({f"0 100 80 {service.host}"})))
    found.append(Truth(reverse, "PTR", frozenset({service.host})))
    return found
