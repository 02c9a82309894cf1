"""A cluster of any size, made up, and what its clients ask: the manifests, and the questions with what they deserve."""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

ZONE = "svc.cluster.local"
NAMESPACES = 50
LARGE = 250
NOERROR, NXDOMAIN = 0, 3


class Service(NamedTuple):
    name: str
    namespace: str
    address: str | None  # None: headless
    endpoints: tuple[str, ...]

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.{ZONE}"


class Cluster(NamedTuple):
    addressed: tuple[Service, ...]
    headless: tuple[Service, ...]
    large: Service
    """Headless, with LARGE endpoints: more than a datagram holds."""

    @property
    def services(self) -> tuple[Service, ...]:
        return (*self.addressed, *self.headless, self.large)


def make_cluster(services: int, endpoints: int) -> Cluster:
    """Every tenth service is headless, and these get their endpoints first: five each, or more if there are plenty.

    With fewer than five for each service, the last ones have none.
    """
    share = max(5, -(-endpoints // services))
    left = iter(range(endpoints))

    def make(number: int) -> Service:
        address = str(IPv4Address("10.96.0.1") + number) if number % 10 else None
        pods = tuple(str(IPv4Address("10.128.0.1") + pod) for pod in islice(left, share))
        return Service(f"service-{number:05}", f"team-{number % NAMESPACES:02}", address, pods)

    headless = tuple(make(number) for number in range(0, services, 10))
    addressed = tuple(make(number) for number in range(services) if number % 10)
    pods = tuple(str(IPv4Address("10.192.0.1") + pod) for pod in range(LARGE))
    return Cluster(addressed, headless, Service("large", "team-00", None, pods))


def objects(cluster: Cluster) -> list[dict[str, Any]]:
    """The Namespaces, Services and EndpointSlices, as an API server has them."""
    names = dict.fromkeys(each.namespace for each in cluster.services)
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]
    return [*namespaces, *(each for service in cluster.services for each in manifests(service))]


def manifests(service: Service) -> list[dict[str, Any]]:
    name, namespace = service.name, service.namespace
    port = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}
    the_service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"clusterIP": service.address or "None", "ports": [port], "selector": {"app": name}},
    }
    its_endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-x7k2p", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "namespace": namespace, "name": f"{name}-{number}"},
            }
            for number, address in enumerate(service.endpoints)
        ],
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
    }
    return [the_service, its_endpoints] if service.endpoints else [the_service]


class Question(NamedTuple):
    """A question, and the answer that it deserves: its code, and how many records."""

    name: str
    type: str
    rcode: int = NOERROR
    records: int = 1


def ask_address(cluster: Cluster, random: Random) -> Question:
    return Question(random.choice(cluster.addressed).host, "A")


def ask_ipv6(cluster: Cluster, random: Random) -> Question:
    return Question(random.choice(cluster.addressed).host, "AAAA", records=0)


def ask_search_list(cluster: Cluster, random: Random) -> Question:
    """What a resolver with ndots:5 asks before it asks for what the program meant."""
    service = random.choice(cluster.addressed)
    searched = (
        f"www.example.com.{service.namespace}.{ZONE}",
        f"www.example.com.{ZONE}",
        f"{service.name}.{service.namespace}.{service.namespace}.{ZONE}",
        f"nosuch-{random.randrange(10_000)}.{service.namespace}.{ZONE}",
    )
    return Question(random.choice(searched), random.choice(("A", "AAAA")), NXDOMAIN, records=0)


def ask_port(cluster: Cluster, random: Random) -> Question:
    return Question(f"_http._tcp.{random.choice(cluster.addressed).host}", "SRV")


def ask_headless(cluster: Cluster, random: Random) -> Question:
    service = random.choice(cluster.headless)
    return Question(service.host, "A", records=len(service.endpoints))


def ask_large(cluster: Cluster, _random: Random) -> Question:
    return Question(cluster.large.host, "A", records=len(cluster.large.endpoints))


def ask_reverse(cluster: Cluster, random: Random) -> Question:
    return Question(IPv4Address(random.choice(cluster.addressed).address).reverse_pointer, "PTR")


def ask_cached(_cluster: Cluster, random: Random) -> Question:
    """A name of others, whose answer is remembered."""
    return Question(f"host-{random.randrange(5000)}.example.test", "A")


def ask_uncached(_cluster: Cluster, random: Random) -> Question:
    """One whose answer must not be: each query goes upstream."""
    return Question(f"host-{random.randrange(1_000_000)}.uncached.example.test", "A")


MIX = {ask_address: 45, ask_ipv6: 20, ask_search_list: 25, ask_headless: 5, ask_port: 3, ask_reverse: 2}


def ask_mix(cluster: Cluster, random: Random) -> Question:
    (ask,) = random.choices(list(MIX), weights=list(MIX.values()))
    return ask(cluster, random)


class Workload(NamedTuple):
    name: str
    ask: Callable[[Cluster, Random], Question]
    edns: bool = False
    tcp: bool = False
    """As a cache on each node asks: few connections, many queries on each before the first answer is there."""
    forwards: bool = False
    """Whether only servers can answer it that ask others."""
    meanwhile: str = ""
    """What happens in the cluster: `changes`, CHANGES of them each second, or `lists`, all is listed anew."""
    is_steady: bool = False
    """Whether it is asked at half the load too, to see how long answers take."""


CHANGES = 100

WORKLOADS = (
    Workload("A", ask_address, is_steady=True),
    Workload("A, EDNS", ask_address, edns=True),
    Workload("AAAA, no data", ask_ipv6),
    Workload("NXDOMAIN", ask_search_list),
    Workload("SRV", ask_port),
    Workload("PTR", ask_reverse),
    Workload("headless A", ask_headless),
    Workload("headless A, 250 endpoints, EDNS", ask_large, edns=True),
    Workload("headless A, 250 endpoints, TCP", ask_large, tcp=True),
    Workload("mix", ask_mix, is_steady=True),
    Workload("mix, EDNS", ask_mix, edns=True),
    Workload("mix, TCP pipelined", ask_mix, tcp=True),
    Workload("A, 100 changes/s", ask_address, meanwhile="changes", is_steady=True),
    Workload("mix, 100 changes/s", ask_mix, meanwhile="changes", is_steady=True),
    Workload("mix, all listed anew", ask_mix, meanwhile="lists", is_steady=True),
    Workload("cached external", ask_cached, forwards=True),
    Workload("uncached external", ask_uncached, forwards=True),
)


def pods(number: int) -> Iterator[dict[str, Any]]:
    """Running pods: what an API server has besides. Who need not know them does not ask for them."""
    for each in range(number):
        metadata = {"name": f"pod-{each:06}", "namespace": f"team-{each % NAMESPACES:02}", "labels": {"app": "pod"}}
        status = {"phase": "Running", "podIP": str(IPv4Address("10.128.0.1") + each)}
        spec = {"containers": [{"name": "main", "image": "example.org/main:1"}], "nodeName": "node-1"}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def found(cluster: Cluster) -> list[Question]:
    """What a server answers rightly once it knows the whole cluster, and not before."""
    last = cluster.headless[-1]
    return [
        Question(cluster.addressed[-1].host, "A"),
        Question(last.host, "A", records=len(last.endpoints)),
        Question(f"missing.{cluster.addressed[0].namespace}.{ZONE}", "A", NXDOMAIN, records=0),
    ]
