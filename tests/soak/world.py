"""What there is in the cluster, and so what every answer has to be."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

ZONE = "svc.cluster.local."
NAMESPACES = 5
LATEST = 60.0  # seconds: what was so before that may be said no more


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
    rcode: str = "NOERROR"


@dataclass
class World:
    """Services that stay as they are, and others that come, change and go."""

    random: Random
    clock: Callable[[], float] = time.monotonic
    still: list[Service] = field(default_factory=list)
    moving: dict[int, Service] = field(default_factory=dict)
    coming: set[int] = field(default_factory=set)
    """Namespaces that are there now, and have nothing in them."""
    most_moving: int = 300

    def __post_init__(self) -> None:
        self.still = [self._made(number) for number in range(200)]
        self._course: dict[str, list[tuple[float, Truth]]] = {}
        """By name: what its A records came to be, and when."""

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

    def change(self, count: int) -> dict[str, list[dict[str, Any]]]:
        """So many Services that come, change or go, and now and then a Namespace: the objects to `put` or `delete`."""
        changes = [self._change(number) for number in self.random.sample(range(1000, 1000 + self.most_moving), count)]
        if self.random.random() < count / 20:
            changes.append(self._change_namespace(self.random.randrange(NAMESPACES)))
        made: dict[str, list[dict[str, Any]]] = {}
        for what, manifests in changes:
            made.setdefault(what, []).extend(manifests)
        return made

    def _change(self, number: int) -> tuple[str, list[dict[str, Any]]]:
        if number in self.moving and self.random.random() < 0.3:
            gone = self.moving.pop(number)
            self._note(_missing(gone.host))
            return "delete", gone.manifests()
        self.moving[number] = self._made(number)
        self._note(truths(self.moving[number])[0])
        return "put", self.moving[number].manifests()

    def _change_namespace(self, number: int) -> tuple[str, list[dict[str, Any]]]:
        self.coming ^= {number}
        self._note(_of_namespace(number, exists=number in self.coming))
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"coming-{number}"}}
        return "put" if number in self.coming else "delete", [manifest]

    def _note(self, truth: Truth) -> None:
        course, now = self._course.setdefault(truth.name, [(float("-inf"), _missing(truth.name))]), self.clock()
        while len(course) > 1 and course[1][0] < now - LATEST:
            del course[0]
        course.append((now, truth))

    def possible(self, name: str, asked_at: float) -> list[Truth]:
        """What may be said of a name that changes: what was so LATEST seconds before it was asked, or later."""
        course = self._course.get(name, [(float("-inf"), _missing(name))])
        first = max(at for at, (since, _) in enumerate(course) if at == 0 or since <= asked_at - LATEST)
        return [truth for _, truth in course[first:]]

    def moving_name(self, random: Random) -> str:
        """The name of something that changes, whether or not it is there now."""
        if random.random() < 0.1:
            return _of_namespace(random.randrange(NAMESPACES), exists=False).name
        return Service(1000 + random.randrange(self.most_moving), False, frozenset()).host

    def differences(self, stored: dict[str, list[dict[str, Any]]]) -> list[str]:
        """In what the API server's objects are others than those of here."""
        services = [*self.still, *self.moving.values()]
        expected = {(each.namespace, each.name): sorted(each.endpoints) for each in services}
        found = {
            (each["metadata"]["namespace"], each["metadata"]["labels"]["kubernetes.io/service-name"]): sorted(
                address for endpoint in each["endpoints"] for address in endpoint["addresses"]
            )
            for each in stored["endpointslices"]
        }
        here = {(each["metadata"]["namespace"], each["metadata"]["name"]) for each in stored["services"]}
        namespaces = {each["metadata"]["name"] for each in stored["namespaces"]}
        told = [f"{'/'.join(key)}" for key in expected.keys() | found if expected.get(key) != found.get(key)]
        told += ["/".join(key) for key in expected.keys() ^ here]
        return told + [f"coming-{n}" for n in range(NAMESPACES) if (n in self.coming) != (f"coming-{n}" in namespaces)]

    def truths_of_still(self) -> list[Truth]:
        """What has to be so at every moment."""
        return [truth for each in self.still for truth in truths(each)] + [
            Truth(f"missing-{number}.team-{number % NAMESPACES}.{ZONE}", rtype, frozenset(), "NXDOMAIN")
            for number in range(50)
            for rtype in ("A", "AAAA")
        ]

    def truths(self) -> list[Truth]:
        """What has to be so once all that has changed is known."""
        gone = [Service(number, False, frozenset()) for number in range(1000, 1000 + self.most_moving)]
        return [
            *self.truths_of_still(),
            *(truth for each in self.moving.values() for truth in truths(each)),
            *(_missing(each.host) for each in gone if each.number not in self.moving),
            *(_of_namespace(number, exists=number in self.coming) for number in range(NAMESPACES)),
        ]


def _missing(name: str) -> Truth:
    return Truth(name, "A", frozenset(), "NXDOMAIN")


def _of_namespace(number: int, *, exists: bool) -> Truth:
    return Truth(f"coming-{number}.{ZONE}", "A", frozenset(), "NOERROR" if exists else "NXDOMAIN")


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
