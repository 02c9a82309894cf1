"""Names for the outside of a cluster, asked by dig: of manifests, and with the Corefile that CoreDNS would have."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from serving import COMMAND, ENVIRONMENT, REPOSITORY, Serving, dig, eventually, free_port, run

from tests.apiserver import Process, kubeconfig
from tests.followed import headless, namespace, service, slice_of
from tests.upstreams import Faulty
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MANIFEST = """
kind: Service
apiVersion: v1
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, ports: [{name: http, port: 80}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.20}]}}
---
kind: Service
apiVersion: v1
metadata: {name: mail, namespace: shop}
spec: {externalIPs: [203.0.113.25, "2001:db8::25"], ports: [{name: smtp, port: 25}]}
"""


NODE_PORT = """
kind: Service
apiVersion: v1
metadata: {name: kuard, namespace: shop}
spec: {type: NodePort, ports: [{name: http, port: 8080, nodePort: 32711}]}
"""
NODES = """
kind: NodeList
apiVersion: v1
items:
- {metadata: {name: one}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: Hostname, address: one}]}}
- {metadata: {name: two}, status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}}
"""


class TestManifests:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("manifests")
        (folder / "shop.yaml").write_text(MANIFEST)
        (folder / "nodes.yaml").write_text(NODES)
        (folder / "web.yaml").write_text(NODE_PORT)
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def serving(cls, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
        zones = ("--external-zone", "example.org", "--external-zone", "203.0.113.0/24")
        serving = Serving(tmp_path_factory.mktemp("log") / "log", "--manifests", folder, *zones)
        yield serving
        assert serving.stop() == 0

    @pytest.mark.parametrize(
        ("question", "answer"),
        [
            ("web.shop.example.org A", ["web.shop.example.org. 5 IN A 203.0.113.20"]),
            ("mail.shop.example.org AAAA", ["mail.shop.example.org. 5 IN AAAA 2001:db8::25"]),
            ("_smtp._tcp.mail.shop.example.org SRV", [
                "_smtp._tcp.mail.shop.example.org. 5 IN SRV 0 50 25 mail.shop.example.org.",
            ]),
            ("-x 203.0.113.20", ["20.113.0.203.in-addr.arpa. 5 IN PTR web.shop.example.org."]),
            ("kuard.shop.example.org A", [f"kuard.shop.example.org. 5 IN A 192.0.2.{n}" for n in (1, 2)]),
            ("_http._tcp.kuard.shop.example.org SRV", [
                "_http._tcp.kuard.shop.example.org. 5 IN SRV 0 50 32711 kuard.shop.example.org.",
            ]),
            ("example.org NS", ["example.org. 5 IN NS ns1.dns.example.org."]),
            ("ns1.dns.example.org A", ["ns1.dns.example.org. 5 IN A 127.0.0.1"]),
        ],
    )  # fmt: skip
    def test_have_names_for_the_outside(self, serving: Serving, question: str, answer: list[str]) -> None:
        assert dig("@127.0.0.1", "-p", serving.port, *question.split()).answer == answer

    def test_a_node_that_comes(self, serving: Serving, folder: Path) -> None:
        another = (
            "kind: Node\napiVersion: v1\nmetadata: {name: three}\nstatus: {addresses: [{type: %s, address: %s}]}\n"
        )
        (folder / "three.yaml").write_text(another % ("ExternalIP", "203.0.113.3"))
        serving.until("kuard.shop.example.org", ["203.0.113.3"])
        (folder / "three.yaml").unlink()
        serving.until("kuard.shop.example.org", ["192.0.2.1", "192.0.2.2"])

    def test_a_node_that_can_not_be(self, tmp_path: Path) -> None:
        (tmp_path / "nodes.yaml").write_text(NODES.replace("192.0.2.2", "192.0.2"))
        ended = run(*COMMAND, "services", "--manifests", tmp_path)
        fault = "Node two: status.addresses[0].address: '192.0.2' is no IPv4 or IPv6 address"
        assert (ended.returncode, ended.stderr) == (2, f"clusterdns: {tmp_path}/nodes.yaml:6: {fault}\n")

    def test_a_name_that_is_not_there(self, serving: Serving) -> None:
        reply = dig("@127.0.0.1", "-p", serving.port, "kubernetes.default.example.org")
        assert reply.status == "NXDOMAIN"
        assert [each.split()[0] for each in reply.authority] == ["example.org."]

    def test_a_load_balancer_that_moves(self, serving: Serving, folder: Path) -> None:
        (folder / "shop.yaml").write_text(MANIFEST.replace("113.20", "113.21"))
        serving.until("web.shop.example.org", ["203.0.113.21"])
        assert serving.answers("21.113.0.203.in-addr.arpa", "PTR") == ["web.shop.example.org."]
        (folder / "shop.yaml").write_text(MANIFEST)
        serving.until("web.shop.example.org", ["203.0.113.20"])

    def test_no_address_is_a_fault(self, tmp_path: Path) -> None:
        (tmp_path / "web.yaml").write_text(MANIFEST.replace("203.0.113.25", "mail.example.com"))
        ended = run(
            *COMMAND,
            "serve",
            "--manifests",
            tmp_path,
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            "none",
            "--http",
            "none",
        )
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        fault = "Service shop/mail: spec.externalIPs[0]: 'mail.example.com' is no IPv4 or IPv6 address"
        assert line == f"clusterdns: {tmp_path}/web.yaml:11: {fault}"


COREFILE = """
.:{port} {{
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa {{
        endpoint {api}
        fallthrough in-addr.arpa
    }}
    k8s_external example.org 113.0.203.in-addr.arpa {{
        apex ns
        ttl 7
        headless
        fallthrough example.org
    }}
    forward . {upstream}
}}
"""


def balanced(*ingress: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {**service("web", clusterIP="10.96.7.7", type="LoadBalancer", **spec)} | {
        "status": {"loadBalancer": {"ingress": list(ingress)} if ingress else {}}
    }


class TestCorefile:
    @pytest.fixture(scope="class")
    @classmethod
    def api(cls) -> Iterator[Process]:
        with Process() as started:
            started.call("put", namespace("demo"), balanced({"ip": "203.0.113.7"}), headless("db"))
            started.call("put", slice_of("db", "10.0.1.1", "10.0.1.2"))
            yield started

    @pytest.fixture(scope="class")
    @classmethod
    def port(cls, api: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
        folder, port = tmp_path_factory.mktemp("corefile"), free_port()
        with Faulty(says("{name} 300 IN A 192.0.2.1")) as upstream, (folder / "log").open("wb") as log:
            (folder / "Corefile").write_text(COREFILE.format(port=port, api=api.url, upstream=upstream))
            command = [*COMMAND, "-conf", str(folder / "Corefile")]
            process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stderr=log)
            try:
                eventually(lambda: "ready after" in (folder / "log").read_text(), "ready")
                yield port
            finally:
                process.terminate()
                assert process.wait(10) == 0
            assert "Traceback" not in (folder / "log").read_text()

    def ask(self, port: int, *question: str) -> list[str]:
        return sorted(dig("@127.0.0.1", "-p", port, *question).answer)

    @pytest.mark.parametrize(
        ("question", "answer"),
        [
            ("web.demo.example.org A", ["web.demo.example.org. 7 IN A 203.0.113.7"]),
            ("web.demo.svc.cluster.local A", ["web.demo.svc.cluster.local. 5 IN A 10.96.7.7"]),
            ("web.demo.example.org SRV", ["web.demo.example.org. 7 IN SRV 0 100 80 web.demo.example.org."]),
            ("db.demo.example.org A", [f"db.demo.example.org. 7 IN A 10.0.1.{n}" for n in (1, 2)]),
            ("10-0-1-1.db.demo.example.org A", ["10-0-1-1.db.demo.example.org. 7 IN A 10.0.1.1"]),
            ("-x 203.0.113.7", ["7.113.0.203.in-addr.arpa. 7 IN PTR web.demo.example.org."]),
            ("-x 10.96.7.7", ["7.7.96.10.in-addr.arpa. 5 IN PTR web.demo.svc.cluster.local."]),
            ("ns1.ns.example.org A", ["ns1.ns.example.org. 7 IN A 127.0.0.1"]),
        ],
    )
    def test_says_what_there_is(self, port: int, question: str, answer: list[str]) -> None:
        assert self.ask(port, *question.split()) == answer

    def test_what_is_missing_falls_through(self, port: int) -> None:
        for name in ("www.example.org", "nobody.demo.example.org"):
            assert self.ask(port, name) == [f"{name}. 300 IN A 192.0.2.1"]
        reply = dig("@127.0.0.1", "-p", port, "-x", "203.0.113.8")
        assert reply.status == "NXDOMAIN", "not below example.org"

    def test_follows_the_status_of_a_service(self, port: int, api: Process) -> None:
        """Nothing but its load balancer changes; one that has a name in place of an address is followed upstream."""
        name = "web.demo.example.org"
        try:
            api.call("put", balanced({"hostname": "lb.cloud.example"}))
            followed = ["lb.cloud.example. 300 IN A 192.0.2.1", f"{name}. 7 IN CNAME lb.cloud.example."]
            eventually(lambda: self.ask(port, name) == followed, "the name of the load balancer")
            api.call("put", balanced(externalIPs=["203.0.113.9"]))
            eventually(lambda: self.ask(port, name) == [f"{name}. 7 IN A 203.0.113.9"], "the external address")
        finally:
            api.call("put", balanced({"ip": "203.0.113.7"}))
            eventually(lambda: self.ask(port, name) == [f"{name}. 7 IN A 203.0.113.7"], "the first address")


def node(name: str, address: str, ready: str = "True") -> dict[str, Any]:
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "conditions": [{"type": "Ready", "status": ready}],
    }
    return {"kind": "Node", "metadata": {"name": name}, "status": status}


class TestNodesOfACluster:
    NAME = "kuard.demo.example.org"

    @pytest.fixture
    @staticmethod
    def api() -> Iterator[Process]:
        ports = [{"name": "http", "port": 8080, "protocol": "TCP", "nodePort": 32711}]
        with Process("--bookmark-interval", 1) as started:
            kuard = service("kuard", type="NodePort", clusterIP="10.96.7.8", ports=ports)
            started.call("put", namespace("demo"), kuard, node("one", "192.0.2.1"), node("two", "192.0.2.2"))
            yield started

    @staticmethod
    def asked(api: Process) -> set[str]:
        return {each["path"].partition("?")[0].rpartition("/")[2] for each in api.call("asked")}

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_are_followed(self, api: Process, serve: Callable[..., Serving], tmp_path: Path, workers: str) -> None:
        config = kubeconfig(tmp_path / "kubeconfig", api.url)
        zone = ("--external-zone", "example.org", "--workers", workers)
        server = serve("--kubeconfig", config, *zone, "--snapshot", tmp_path / "snapshot")
        every = ["192.0.2.1", "192.0.2.2"]
        for _ in range(10):  # whichever worker it is that answers
            server.until(self.NAME, every)
        assert server.answers(f"_http._tcp.{self.NAME}", "SRV") == [f"0 50 32711 {self.NAME}."]
        api.call("put", node("two", "192.0.2.2", ready="Unknown"))
        for _ in range(10):
            server.until(self.NAME, ["192.0.2.1"])
        api.call("put", node("two", "192.0.2.2"), node("three", "192.0.2.3"))
        server.until(self.NAME, [*every, "192.0.2.3"])
        api.call("delete", {"kind": "Node", "metadata": {"name": "three"}})
        server.until(self.NAME, every)
        assert server.stop() == 0
        api.kill()
        again = serve("--kubeconfig", config, *zone, "--snapshot", tmp_path / "snapshot")
        again.until(self.NAME, every)

    @pytest.mark.parametrize("more", [(), ("--external-zone", "example.org")])
    def test_are_asked_for_only_where_they_are_shown(
        self, api: Process, serve: Callable[..., Serving], tmp_path: Path, more: tuple[str, ...]
    ) -> None:
        server = serve("--kubeconfig", kubeconfig(tmp_path / "kubeconfig", api.url), *more)
        server.until("kuard.demo.svc.cluster.local", ["10.96.7.8"])
        if more:
            server.until(self.NAME, ["192.0.2.1", "192.0.2.2"])
        assert self.asked(api) == {"namespaces", "services", "endpointslices", *(["nodes"] if more else [])}

    def test_without_the_right_to_read_them_other_names_go_on(
        self, api: Process, serve: Callable[..., Serving], tmp_path: Path
    ) -> None:
        api.call("deny", "nodes")
        api.call("put", balanced({"ip": "203.0.113.7"}))
        server = serve("--kubeconfig", kubeconfig(tmp_path / "kubeconfig", api.url), "--external-zone", "example.org")
        server.until("web.demo.example.org", ["203.0.113.7"])
        server.until(self.NAME, ["NXDOMAIN"])
        eventually(lambda: "the right to list and watch nodes is missing" in server.log, "why")
        assert server.log.count("the right to list and watch nodes is missing") == 1
