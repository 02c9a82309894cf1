"""The session of "Kubernetes: Up & Running" on service discovery, line by line: in a cluster, and without one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import yaml
from serving import COMMAND, Serving, dig, eventually, program, run

from tests.apiserver import Process, kubeconfig
from tests.followed import namespace, slice_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from watching import Watching

ALPACA = {"app": "alpaca", "env": "prod", "ver": "1"}
BANDICOOT = {"app": "bandicoot", "env": "prod", "ver": "2"}
PORT = {"protocol": "TCP", "port": 8080, "targetPort": 8080}
ALPACA_PROD = "alpaca-prod.default.svc.cluster.local"
NODES = [
    {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-{number}"},
        "status": {"addresses": [{"type": "InternalIP", "address": f"192.0.2.1{number}"}]},
    }
    for number in range(2)
]
HEADER = "NAME  ENDPOINTS  NOT READY  AGE"


class World(Protocol):
    """Where the objects are."""

    @property
    def origin(self) -> tuple[object, ...]:
        """What names it at the command line."""

    def expose(self, name: str, cluster_ip: str, labels: dict[str, str], **spec: Any) -> None:
        """A Service as `kubectl expose deployment NAME` makes it; again, as `kubectl edit` changes it."""

    def scale(self, name: str, labels: dict[str, str], pods: dict[str, bool]) -> None:
        """These pods are behind the Service and no others: by address, whether they are ready."""

    def delete(self, name: str) -> None:
        """The Service, and what is behind it."""


class InACluster:
    def __init__(self, api: Process, folder: Path) -> None:
        self._api = api
        self.origin = ("--kubeconfig", kubeconfig(folder / "kubeconfig", api.url))
        api.call("put", namespace("default"), *NODES)

    def expose(self, name: str, cluster_ip: str, labels: dict[str, str], **spec: Any) -> None:
        self._api.call("put", exposed(name, cluster_ip, labels, **spec))

    def scale(self, name: str, labels: dict[str, str], pods: dict[str, bool]) -> None:
        del labels
        endpoints = [{"addresses": [each], "conditions": {"ready": is_ready}} for each, is_ready in pods.items()]
        ports = [{"name": "", "port": 8080, "protocol": "TCP"}]
        self._api.call("put", slice_of(name, namespace="default", endpoints=endpoints, ports=ports))

    def delete(self, name: str) -> None:
        for kind, each in (("EndpointSlice", f"{name}-1"), ("Service", name)):
            self._api.call("delete", {"kind": kind, "metadata": {"name": each, "namespace": "default"}})


class InManifests:
    def __init__(self, folder: Path) -> None:
        self._folder = folder / "manifests"
        self._folder.mkdir()
        self._write("nodes", NODES)
        self.origin = ("--manifests", self._folder)

    def expose(self, name: str, cluster_ip: str, labels: dict[str, str], **spec: Any) -> None:
        self._write(name, [exposed(name, cluster_ip, labels, **spec)])

    def scale(self, name: str, labels: dict[str, str], pods: dict[str, bool]) -> None:
        self._write(
            f"{name}-pods",
            [
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": f"{name}-{number}", "namespace": "default", "labels": labels},
                    "spec": {"containers": [{"name": "main", "ports": [{"containerPort": 8080}]}]},
                    "status": {
                        "phase": "Running",
                        "podIP": address,
                        "conditions": [{"type": "Ready", "status": str(is_ready)}],
                    },
                }
                for number, (address, is_ready) in enumerate(pods.items())
            ],
        )

    def delete(self, name: str) -> None:
        for each in (name, f"{name}-pods"):
            (self._folder / f"{each}.yaml").unlink()

    def _write(self, name: str, objects: Sequence[dict[str, Any]]) -> None:
        written = self._folder / f".{name}"
        written.write_text(yaml.safe_dump_all(objects))
        written.replace(self._folder / f"{name}.yaml")


def exposed(name: str, cluster_ip: str, labels: dict[str, str], **changed: Any) -> dict[str, Any]:
    spec = {"type": "ClusterIP", "clusterIP": cluster_ip, "ports": [PORT], "selector": labels, **changed}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default", "labels": labels}}
    return {**made, "spec": spec, "status": spec.pop("status", {"loadBalancer": {}})}


@pytest.fixture(params=["a cluster", "manifests"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "manifests":
        yield InManifests(tmp_path)
        return
    with Process() as api:
        yield InACluster(api, tmp_path)


def test_the_session(
    world: World, serve: Callable[..., Serving], watch: Callable[..., Watching], tmp_path: Path
) -> None:
    # kubectl create deployment alpaca-prod, scale --replicas 3, expose; and the same for bandicoot-prod
    world.expose("alpaca-prod", "10.115.245.13", ALPACA)
    world.scale("alpaca-prod", ALPACA, {"10.112.1.54": True, "10.112.2.84": True, "10.112.2.85": True})
    world.expose("bandicoot-prod", "10.115.242.3", BANDICOOT)
    world.scale("bandicoot-prod", BANDICOOT, {"10.112.0.32": True, "10.112.1.55": True})
    admin = ("--admin", str(tmp_path / "admin.sock"))
    server = serve(*world.origin, *admin, "--external-zone", "example.org")
    server.until(ALPACA_PROD, ["10.115.245.13"])

    # kubectl get services -o wide
    assert table("services", "-o", "wide", *admin) == [
        "NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE  SELECTOR",
        "alpaca-prod  ClusterIP  10.115.245.13  <none>  8080/TCP  AGE  app=alpaca,env=prod,ver=1",
        "bandicoot-prod  ClusterIP  10.115.242.3  <none>  8080/TCP  AGE  app=bandicoot,env=prod,ver=2",
    ]

    # dig and nslookup: the whole name, and the short ones of the pod's search list
    found = dig("@127.0.0.1", "-p", server.port, ALPACA_PROD)
    assert (found.status, found.answer) == ("NOERROR", [f"{ALPACA_PROD}. 30 IN A 10.115.245.13"])
    for name, domain in (
        (f"{ALPACA_PROD}.", "."),
        ("alpaca-prod", "default.svc.cluster.local"),
        ("alpaca-prod.default", "svc.cluster.local"),
        ("alpaca-prod.default.svc", "cluster.local"),
    ):
        ran = run(
            program("nslookup"), f"-port={server.port}", "-ndots=5", f"-domain={domain}", "-type=A", name, "127.0.0.1"
        )
        assert f"Name:\t{ALPACA_PROD}\nAddress: 10.115.245.13\n" in ran.stdout, ran.stdout
    assert dig("@127.0.0.1", "-p", server.port, "-x", "10.115.245.13").answer == [
        f"13.245.115.10.in-addr.arpa. 30 IN PTR {ALPACA_PROD}."
    ]

    # kubectl get endpoints alpaca-prod --watch: a readiness probe fails, and comes back; then the deployment is scaled
    watching = watch("endpoints", "alpaca-prod", "--watch", *admin)
    lines = [HEADER, "alpaca-prod  10.112.1.54:8080,10.112.2.84:8080,10.112.2.85:8080  <none>  AGE"]
    eventually(lambda: plain(watching.lines) == lines, f"{lines}")
    world.scale("alpaca-prod", ALPACA, {"10.112.1.54": False, "10.112.2.84": True, "10.112.2.85": True})
    lines += ["alpaca-prod  10.112.2.84:8080,10.112.2.85:8080  10.112.1.54:8080  AGE"]
    eventually(lambda: plain(watching.lines) == lines, f"{lines}")
    world.scale("alpaca-prod", ALPACA, {"10.112.1.54": True, "10.112.2.84": True, "10.112.2.85": True})
    lines += [lines[1]]
    eventually(lambda: plain(watching.lines) == lines, f"{lines}")
    world.scale("alpaca-prod", ALPACA, {"10.112.1.54": True})
    lines += ["alpaca-prod  10.112.1.54:8080  <none>  AGE"]
    eventually(lambda: plain(watching.lines) == lines, f"{lines}")
    assert server.answers(ALPACA_PROD) == ["10.115.245.13"]  # whatever is behind it

    # What a process of a pod finds in its environment
    ran = run(*COMMAND, "env", *admin)
    assert {
        "ALPACA_PROD_SERVICE_HOST=10.115.245.13",
        "ALPACA_PROD_SERVICE_PORT=8080",
        "ALPACA_PROD_PORT=tcp://10.115.245.13:8080",
        "ALPACA_PROD_PORT_8080_TCP=tcp://10.115.245.13:8080",
        "ALPACA_PROD_PORT_8080_TCP_ADDR=10.115.245.13",
        "ALPACA_PROD_PORT_8080_TCP_PORT=8080",
        "ALPACA_PROD_PORT_8080_TCP_PROTO=tcp",
        "BANDICOOT_PROD_SERVICE_HOST=10.115.242.3",
    } <= set(ran.stdout.splitlines())

    # kubectl edit service alpaca-prod: type: NodePort; then LoadBalancer, whose address comes with time
    with_node_port = {"ports": [{**PORT, "nodePort": 32711}]}
    world.expose("alpaca-prod", "10.115.245.13", ALPACA, type="NodePort", **with_node_port)
    shows("alpaca-prod  NodePort  10.115.245.13  <none>  8080:32711/TCP  AGE", *admin)
    server.until("alpaca-prod.default.example.org", ["192.0.2.10", "192.0.2.11"])
    assert server.answers("alpaca-prod.default.example.org", "SRV") == ["0 50 32711 alpaca-prod.default.example.org."]
    world.expose("alpaca-prod", "10.115.245.13", ALPACA, type="LoadBalancer", **with_node_port)
    shows("alpaca-prod  LoadBalancer  10.115.245.13  <pending>  8080:32711/TCP  AGE", *admin)
    given = {"loadBalancer": {"ingress": [{"ip": "104.196.248.204"}]}}
    world.expose("alpaca-prod", "10.115.245.13", ALPACA, type="LoadBalancer", status=given, **with_node_port)
    shows("alpaca-prod  LoadBalancer  10.115.245.13  104.196.248.204  8080:32711/TCP  AGE", *admin)
    server.until("alpaca-prod.default.example.org", ["104.196.248.204"])

    # A service without a selector, and a headless one
    world.expose("my-database", "", {}, type="ExternalName", externalName="database.company.com", ports=[])
    server.until("my-database.default.svc.cluster.local", ["database.company.com."], "CNAME")
    world.expose("alpaca-pods", "None", ALPACA)
    world.scale("alpaca-pods", ALPACA, {"10.112.1.54": True, "10.112.2.84": False})
    server.until("alpaca-pods.default.svc.cluster.local", ["10.112.1.54"])

    # kubectl delete services,deployments -l app
    for name in ("alpaca-prod", "bandicoot-prod"):
        world.delete(name)
    server.until(ALPACA_PROD, ["NXDOMAIN"])
    server.until("bandicoot-prod.default.svc.cluster.local", ["NXDOMAIN"])
    gone = dig("@127.0.0.1", "-p", server.port, "-x", "10.115.245.13")
    assert gone.status == "NXDOMAIN"


def table(*arguments: object) -> list[str]:
    """What a command prints."""
    return plain(run(*COMMAND, *arguments).stdout.splitlines())


def plain(lines: Iterable[str]) -> list[str]:
    """Two spaces or more are two, and how old something is nobody knows: manifests do not say it."""
    return [re.sub(r"  (<unknown>|\d+s)(?=  |$)", "  AGE", re.sub("  +", "  ", each)) for each in lines]


def shows(row: str, *admin: object) -> None:
    eventually(lambda: row in table("services", "alpaca-prod", *admin), row)
