"""Namespaces that are hidden from the pods of others, asked for from the addresses of pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from serving import Dug, Serving, dig

if TYPE_CHECKING:
    from collections.abc import Iterator

POD = """
---
apiVersion: v1
kind: Pod
metadata: {{name: pod, namespace: {namespace}}}
spec: {{containers: []}}
status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}]}}
"""
MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: vault, namespace: bank}
spec: {clusterIP: 10.96.0.8, ports: [{port: 443}]}
"""
SHOP, BANK, NOBODY = "127.0.0.21", "127.0.0.22", "127.0.0.23"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("visible")
    pods = POD.format(namespace="shop", address=SHOP) + POD.format(namespace="bank", address=BANK)
    (folder / "cluster.yaml").write_text(MANIFEST + pods)
    (folder / "clusterdns.yaml").write_text(
        "pods: verified\nvisibility: [{clients: [shop], see: []}]\nforward: {resolv-conf: ''}\n"
    )
    server = Serving(folder / "log", "--manifests", folder / "cluster.yaml", "--config", folder / "clusterdns.yaml")
    yield server
    assert server.stop() == 0, server.log


def asked(server: Serving, client: str, *question: str) -> Dug:
    return dig("@127.0.0.1", "-p", server.port, "-b", client, *question)


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize(
    ("client", "status"), [(SHOP, "NXDOMAIN"), (BANK, "NOERROR"), (NOBODY, "NOERROR")], ids=["shop", "bank", "nobody"]
)
@pytest.mark.parametrize("question", [("vault.bank.svc.cluster.local",), ("vault.bank",), ("-x", "10.96.0.8")])
def test_a_namespace_is_there_for_some(
    server: Serving, client: str, status: str, question: tuple[str, ...], transport: str
) -> None:
    found = asked(server, client, transport, *question)
    assert (found.status, bool(found.answer)) == (status, status == "NOERROR")


def test_one_s_own_is_there(server: Serving) -> None:
    assert asked(server, SHOP, "web.shop.svc.cluster.local").answer == ["web.shop.svc.cluster.local. 30 IN A 10.96.0.7"]
    assert asked(server, SHOP, "-x", "10.96.0.7").status == "NOERROR"
