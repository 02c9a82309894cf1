"""The resolvers that pods have, with a kubelet's resolv.conf: what they find, and how many questions it takes them."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from forwarding import forwarding, kept
from serving import REPOSITORY, Namespace, Serving, dig, eventually, program

from tests.upstreams import Nsd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Serve = Callable[..., Serving]

NAMESERVER, POD, STRANGER = "10.96.0.10", "10.244.1.7", "10.244.1.8"
SERVICE_ADDRESS, EXTERNAL_ADDRESS = "10.96.78.232", "192.0.2.1"

RESOLV_CONF = f"""
search default.svc.cluster.local svc.cluster.local cluster.local
nameserver {NAMESERVER}
options ndots:5
"""
"""As the kubelet writes it for a pod of namespace default."""

MANIFEST = f"""
{{apiVersion: v1, kind: Service, metadata: {{name: alpaca-prod, namespace: default}},
 spec: {{clusterIP: {SERVICE_ADDRESS}, ports: [{{port: 8080}}]}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{name: shell, namespace: default}},
 spec: {{containers: []}}, status: {{phase: Running, podIP: {POD}, podIPs: [{{ip: {POD}}}]}}}}
"""

EXTERNAL_ZONE = f"""
$ORIGIN example.
@ 300 IN SOA ns hostmaster 1 7200 1800 86400 60
@ 300 IN NS ns
ns 300 IN A 192.0.2.53
www 300 IN A {EXTERNAL_ADDRESS}
"""

NAMES = {
    "alpaca-prod": SERVICE_ADDRESS,
    "alpaca-prod.default": SERVICE_ADDRESS,
    "alpaca-prod.default.svc.cluster.local": SERVICE_ADDRESS,
    "www.example": EXTERNAL_ADDRESS,
}

GETADDRINFO = r"""
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(int argc, char **argv) {
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
    int fault = getaddrinfo(argv[1], 0, &hints, &found);
    if (fault) return fprintf(stderr, "%s\n", gai_strerror(fault)), 1;
    for (; found; found = found->ai_next) {
        char text[64] = "";
        if (found->ai_family == AF_INET)
            inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, sizeof text);
        puts(text);
    }
}
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """A pod's network, as far as names go: who asks the nameserver from in there has the pod's address."""
    folder = tmp_path_factory.mktemp("network")
    namespace = Namespace(folder, RESOLV_CONF, addresses=[f"{each}/32" for each in (NAMESERVER, POD, STRANGER)])
    route = ("route", "replace", "local", NAMESERVER, "dev", "lo", "table", "local", "src", POD)
    try:
        assert namespace.run(program("ip"), *route).returncode == 0
        with Nsd(folder / "nsd", {"example.": EXTERNAL_ZONE}, address="127.0.0.2", port=53, prefix=namespace.prefix):
            yield namespace
    finally:
        namespace.close()


class Wire:
    """What goes to the nameserver."""

    def __init__(self, network: Namespace, folder: Path) -> None:
        self._network = network
        self._seen = folder / "seen"
        self._marks = count()
        command = [*network.prefix, sys.executable, str(REPOSITORY / "tests" / "upstreams" / "sniffer.py"), NAMESERVER]
        with self._seen.open("wb") as seen:
            self._process = subprocess.Popen(command, stdout=seen)
        eventually(self._lines, "a view of the wire")

    def _lines(self) -> list[str]:
        return self._seen.read_text().splitlines()

    def questions(self, ask: Callable[[], None]) -> list[str]:
        """Those that it takes, as `name type`."""
        first = self._mark() + 1
        ask()
        mark = self._mark()
        return self._lines()[first:mark]

    def _mark(self) -> int:
        """The line of a question of our own; everything that was on the wire until now stands above it."""
        mark = f"mark-{next(self._marks)}.cluster.local"
        dig(f"@{NAMESERVER}", mark, prefix=self._network.prefix)
        eventually(lambda: f"{mark} A" in self._lines(), "the mark is seen")
        return self._lines().index(f"{mark} A")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def wire(network: Namespace, tmp_path: Path) -> Iterator[Wire]:
    started = Wire(network, tmp_path)
    try:
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def musl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that resolves a name with musl's getaddrinfo, as programs in Alpine's images do."""
    folder = tmp_path_factory.mktemp("musl")
    (folder / "resolve.c").write_text(GETADDRINFO)
    command = [program("musl-gcc"), "-static", "-o", folder / "resolve", folder / "resolve.c"]
    subprocess.run(command, check=True)
    return folder / "resolve"


def resolve(network: Namespace, resolver: str, name: str, musl: Path, expected: str) -> None:
    """With a real resolver; it finds what is expected."""
    match resolver:
        case "glibc":
            ran = network.run(program("getent"), "ahosts", name)
        case "musl":
            ran = network.run(musl, name)
        case _:
            kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"  # in Go, which brings a resolver of its own
            environment = ("env", "GODEBUG=netdns=go", "KUBECONFIG=/dev/null")
            ran = network.run(*environment, kubectl, "--server", f"http://{name}:8080", "get", "--raw", "/")
    said = ran.stdout + ran.stderr  # nobody listens there, and kubectl says so: at which address is what matters
    assert expected in said, said


def serving(network: Namespace, serve: Serve, folder: Path, *, autopath: bool) -> Serving:
    (folder / "cluster.yaml").write_text(MANIFEST)
    settings = {"pods": "verified", "search": "client", "autopath": autopath}
    listen = (f"{NAMESERVER}:53",)
    arguments = ("--manifests", folder / "cluster.yaml")
    return forwarding(
        serve, folder, "127.0.0.2", settings=settings, arguments=arguments, listen=listen, prefix=network.prefix
    )


class TestResolvers:
    RESOLVERS = ("glibc", "musl", "go")

    def test_find_everything_and_external_names_in_one_round_trip(
        self, network: Namespace, wire: Wire, musl: Path, serve: Serve, tmp_path: Path
    ) -> None:
        """The table shows the questions that each name took, with the search list left to the client or done here."""
        taken: dict[tuple[str, str], list[int]] = {}
        for autopath in (False, True):
            server = serving(network, serve, tmp_path, autopath=autopath)
            for resolver in self.RESOLVERS:
                for name, address in NAMES.items():
                    questions = wire.questions(lambda: resolve(network, resolver, name, musl, address))  # noqa: B023
                    taken.setdefault((resolver, name), []).append(len(questions))
            assert server.stop() == 0
        print(f"\n{'questions':44}client  server")
        for (resolver, name), numbers in taken.items():
            print(f"{resolver:6}{name:38}{numbers[0]:6}{numbers[1]:8}")
        for (_, name), (without, with_autopath) in taken.items():
            if name == "www.example":
                assert without == 4 * with_autopath, "the same types for each name of the search list"
            else:
                assert with_autopath <= without


class TestAutopath:
    @pytest.fixture(scope="class", autouse=True)
    @staticmethod
    def server(network: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
        with kept(folder := tmp_path_factory.mktemp("autopath")) as serve:
            yield serving(network, serve, folder, autopath=True)

    def dig(self, network: Namespace, source: str, *arguments: str) -> tuple[str, list[str]]:
        dug = dig("-b", source, f"@{NAMESERVER}", *arguments, prefix=network.prefix)
        return dug.status, [" ".join(each.split()[3:]) for each in dug.answer]

    def test_a_and_aaaa_decide_alike(self, network: Namespace) -> None:
        """Else a client would put the halves of two different names together."""
        name = "www.example.default.svc.cluster.local"
        assert self.dig(network, POD, name, "A") == ("NOERROR", [f"A {EXTERNAL_ADDRESS}", "CNAME www.example."])
        assert self.dig(network, POD, name, "AAAA") == ("NOERROR", ["CNAME www.example."])

    def test_a_name_that_is_nowhere(self, network: Namespace) -> None:
        assert self.dig(network, POD, "none.example.default.svc.cluster.local")[0] == "NXDOMAIN"

    @pytest.mark.parametrize("source", [STRANGER, NAMESERVER])
    def test_is_for_pods_alone(self, network: Namespace, source: str) -> None:
        assert self.dig(network, source, "www.example.default.svc.cluster.local") == ("NXDOMAIN", [])

    def test_is_for_pods_of_that_namespace(self, network: Namespace) -> None:
        assert self.dig(network, POD, "www.example.kube-system.svc.cluster.local") == ("NXDOMAIN", [])
