"""The files by which clients find the server and make themselves known."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apiserver.certificates import Certificate


def kubeconfig(
    path: Path,
    url: str,
    *,
    context: str = "test",
    ca: Path | None = None,
    insecure: bool = False,
    token: str | None = None,
    token_file: Path | None = None,
    certificate: Certificate | None = None,
    plugin: dict[str, Any] | None = None,
    embed: bool = False,
) -> Path:
    """Write a kubeconfig, in JSON, which is YAML too; in a file that is there already, add a context to those it has.

    embed: write the content of certificates (…-data) in place of their paths. The first context is the current one.
    """

    def file(name: str, of: Path) -> dict[str, str]:
        return {f"{name}-data": b64encode(of.read_bytes()).decode()} if embed else {name: str(of)}

    cluster: dict[str, Any] = {"server": url}
    if ca:
        cluster |= file("certificate-authority", ca)
    if insecure:
        cluster["insecure-skip-tls-verify"] = True
    user: dict[str, Any] = {}
    if token:
        user["token"] = token
    if token_file:
        user["tokenFile"] = str(token_file)
    if certificate:
        user |= file("client-certificate", certificate.certificate) | file("client-key", certificate.key)
    if plugin:
        user["exec"] = plugin
    empty = {"apiVersion": "v1", "kind": "Config", "current-context": context}
    config = json.loads(path.read_text()) if path.exists() else empty
    added = {"cluster": cluster, "context": {"cluster": context, "user": context}, "user": user}
    for kind, value in added.items():
        config.setdefault(f"{kind}s", []).append({"name": context, kind: value})
    path.write_text(json.dumps(config, indent=2))
    return path


def credential_plugin(
    folder: Path, *, token: str | None = None, certificate: Certificate | None = None
) -> dict[str, Any]:
    """The `exec` section of a program that prints these credentials; call it again with others to renew them."""
    version = "client.authentication.k8s.io/v1"
    status: dict[str, str] = {"token": token} if token else {}
    if certificate:
        status["clientCertificateData"] = certificate.certificate.read_text()
        status["clientKeyData"] = certificate.key.read_text()
    credential = folder / "credential.json"
    credential.write_text(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))
    return {"apiVersion": version, "command": "cat", "args": [str(credential)], "interactiveMode": "Never"}


def service_account(
    folder: Path, url: str, *, token: str, ca: Path | None = None, namespace: str = "kube-system"
) -> dict[str, str]:
    """Write what a pod finds in /var/run/secrets/kubernetes.io/serviceaccount; the environment comes back."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(token)
    (folder / "namespace").write_text(namespace)
    if ca:
        (folder / "ca.crt").write_bytes(ca.read_bytes())
    address = urlsplit(url)
    return {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}
