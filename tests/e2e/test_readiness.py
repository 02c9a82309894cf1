"""A session without a cluster: what runs on this machine is exposed, probed, and seen in dig as it comes and goes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest
from serving import COMMAND, Serving, dig, eventually, free_port, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from watching import Watching

WEB = "web.shop.svc.cluster.local"
NXDOMAIN = ["NXDOMAIN"]

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: None
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
"""
POD = """\
---
apiVersion: v1
kind: Pod
metadata:
  name: NAME
  namespace: shop
  labels: {app: web}
  annotations: {clusterdns/address: "ADDRESS"}
spec:
  hostname: NAME
  subdomain: web
  containers:
  - name: main
    ports: [{name: http, containerPort: 8080}]
    readinessProbe:
      httpGet: {path: /ready, port: http}
      periodSeconds: 1
      failureThreshold: 1
"""
BACKENDS = """\
---
apiVersion: v1
kind: Service
metadata:
  name: db
  namespace: shop
  annotations:
    clusterdns/backends: "127.0.0.9:PORT, localhost:PORT"
    clusterdns/readiness-probe: |
      tcpSocket: {port: 5432}
      periodSeconds: 1
spec:
  clusterIP: None
  ports: [{name: pg, port: 5432}]
"""


class Backend:
    """A web server whose /ready is as it is told."""

    def __init__(self, host: str) -> None:
        self.status = 200
        self.asked = 0
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(backend.status if self.path == "/ready" else 404)
                self.end_headers()
                backend.asked += 1

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, free_port()), Handler)
        self.address = f"{host}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def become(self, status: int) -> None:
        """Be that from now on, and until the probe that saw it first is followed by another."""
        self.status = status
        since = self.asked
        eventually(lambda: self.asked >= since + 3, "it is probed")  # the first may have been answered as before

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def backends() -> Iterator[tuple[Backend, Backend]]:
    both = (Backend("127.0.0.1"), Backend("127.0.0.2"))
    yield both
    for each in both:
        each.close()


def pod(name: str, address: str) -> str:
    return POD.replace("NAME", name).replace("ADDRESS", address)


class TestASession:
    EVERY: ClassVar = ["127.0.0.1", "127.0.0.2"]

    def test_create_expose_scale_and_a_probe_that_fails_and_comes_back(
        self, tmp_path: Path, serve: Callable[..., Serving], backends: tuple[Backend, Backend]
    ) -> None:
        one, other = backends
        file = tmp_path / "web.yaml"
        file.write_text(SERVICE + pod("web-0", one.address))
        server = serve("--manifests", file)
        server.until(WEB, ["127.0.0.1"])
        file.write_text(SERVICE + pod("web-0", one.address) + pod("web-1", other.address))
        server.until(WEB, self.EVERY)
        at = ("@127.0.0.1", "-p", server.port)
        ports = [each.address.rpartition(":")[2] for each in backends]
        assert dig(*at, f"_http._tcp.{WEB}", "SRV").answer == sorted(
            f"_http._tcp.{WEB}. 30 IN SRV 0 50 {port} web-{number}.{WEB}." for number, port in enumerate(ports)
        )
        other.status = 503
        server.until(WEB, ["127.0.0.1"])
        gone = dig(*at, f"web-1.{WEB}")
        assert gone.status == "NXDOMAIN"
        one.status = 503
        server.until(WEB, NXDOMAIN)
        one.status = other.status = 200
        server.until(WEB, self.EVERY)
        assert f"Pod shop/web-1 is not ready: GET http://{other.address}/ready: 503" in server.log
        assert server.log.count(f"Pod shop/web-1 is ready: GET http://{other.address}/ready: 200") == 2
        # Published as it is not ready, it stays.
        file.write_text(SERVICE + "  publishNotReadyAddresses: true\n" + pod("web-1", other.address))
        server.until(WEB, ["127.0.0.2"])
        other.status = 404
        eventually(lambda: f"GET http://{other.address}/ready: 404" in server.log, "it fails")
        assert server.answers(WEB) == ["127.0.0.2"]

    def test_within_two_periods(
        self, tmp_path: Path, serve: Callable[..., Serving], backends: tuple[Backend, Backend]
    ) -> None:
        one, _ = backends
        (tmp_path / "web.yaml").write_text(SERVICE + pod("web-0", one.address))
        server = serve("--manifests", tmp_path)
        server.until(WEB, ["127.0.0.1"])
        for status, expected in ((503, NXDOMAIN), (200, ["127.0.0.1"])):
            one.become(status)
            assert server.answers(WEB) == expected

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_it_is_watched_and_explained(
        self,
        tmp_path: Path,
        serve: Callable[..., Serving],
        watch: Callable[..., Watching],
        backends: tuple[Backend, Backend],
        workers: str,
    ) -> None:
        """With workers, which have it of their parent."""
        manifests = tmp_path / "manifests"
        manifests.mkdir()
        for number, each in enumerate(backends):
            (manifests / f"web-{number}.yaml").write_text(pod(f"web-{number}", each.address))
        (manifests / "web.yaml").write_text(SERVICE)
        admin = ("--admin", str(tmp_path / "admin.sock"))
        server = serve("--manifests", manifests, "--workers", workers, *admin)
        server.until(WEB, self.EVERY)
        one, other = (each.address for each in backends)
        by_port = sorted((one, other), key=lambda address: int(address.rpartition(":")[2]))
        both, only = f"web  {','.join(by_port)}  <none>  <unknown>", f"web  {one}  {other}  <unknown>"
        watching = watch("endpoints", "web", "-n", "shop", "--watch", *admin)
        watching.until("NAME  ENDPOINTS  NOT READY  AGE", both)
        backends[1].status = 503
        watching.until("NAME  ENDPOINTS  NOT READY  AGE", both, only)
        for _ in range(20):  # whichever worker it is that answers
            server.until(WEB, ["127.0.0.1"])
        ran = run(*COMMAND, "explain", "web-1.web.shop", "A", *admin)
        cause = ran.stdout.splitlines()[1]
        assert cause.startswith("  Service shop/web exists, headless; its endpoint pod web-1 not ready for ")
        assert cause.endswith(f" s (GET http://{other}/ready: 503)")
        assert (ran.returncode, ran.stderr) == (1, "")
        backends[1].status = 200
        watching.until("NAME  ENDPOINTS  NOT READY  AGE", both, only, both)
        server.until(WEB, self.EVERY)

    def test_a_backend_that_ends_and_starts_again(self, tmp_path: Path, serve: Callable[..., Serving]) -> None:
        backend = Backend("127.0.0.3")
        (tmp_path / "web.yaml").write_text(SERVICE + pod("web-0", backend.address))
        server = serve("--manifests", tmp_path)
        server.until(WEB, ["127.0.0.3"])
        backend.close()
        server.until(WEB, NXDOMAIN)
        assert f"Pod shop/web-0 is not ready: GET http://{backend.address}/ready: connection refused" in server.log

    def test_backends_of_a_service_without_pods(self, tmp_path: Path, serve: Callable[..., Serving]) -> None:
        backend = Backend("127.0.0.9")
        port = backend.address.rpartition(":")[2]
        (tmp_path / "db.yaml").write_text(BACKENDS.replace("PORT", port))
        server = serve("--manifests", tmp_path)
        name = "db.shop.svc.cluster.local"
        server.until(name, ["127.0.0.9"])
        assert server.answers(f"_pg._tcp.{name}", "SRV") == [f"0 100 {port} 127-0-0-9.{name}."]
        expected = "backend localhost:PORT of Service shop/db is not ready: TCP localhost:PORT: connection refused"
        eventually(lambda: expected.replace("PORT", port) in server.log, "localhost is another address")
        backend.close()
        server.until(name, NXDOMAIN)

    def test_without_probes(self, tmp_path: Path, serve: Callable[..., Serving]) -> None:
        (tmp_path / "web.yaml").write_text(SERVICE + pod("web-0", f"127.0.0.1:{free_port()}"))
        server = serve("--manifests", tmp_path, "--no-probes")
        assert server.answers(WEB) == ["127.0.0.1"]

    def test_they_are_turned_off_and_on_while_it_runs(
        self, tmp_path: Path, serve: Callable[..., Serving], backends: tuple[Backend, Backend]
    ) -> None:
        one, _ = backends
        one.status = 500
        manifests, config = tmp_path / "web.yaml", tmp_path / "clusterdns.yaml"
        manifests.write_text(SERVICE + pod("web-0", one.address))
        text = f"manifests: [{manifests}]\nforward: {{resolv-conf: ''}}\nprobes: "
        config.write_text(f"{text}true\n")
        server = serve("--config", config)
        eventually(lambda: "Pod shop/web-0 is not ready" in server.log, "it is probed")
        assert server.answers(WEB) == NXDOMAIN
        config.write_text(f"{text}false\n")
        server.until(WEB, ["127.0.0.1"])
        config.write_text(f"{text}true\n")
        server.until(WEB, NXDOMAIN)


def test_a_probe_that_can_not_be_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(SERVICE + pod("web-0", "127.0.0.1:1").replace("periodSeconds: 1", "periodSeconds: -1"))
    ran = run(*COMMAND, "serve", "--manifests", file, "--listen", "127.0.0.1:0")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"clusterdns: {file}:24: Pod shop/web-0: spec.containers[0].readinessProbe.periodSeconds:"
        " -1 is not between 0 and 2147483647\n"
    )
