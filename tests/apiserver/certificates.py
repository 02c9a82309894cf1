"""Certificates made on the spot, by the openssl command (3.0 or newer)."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CONFIG = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
extendedKeyUsage = {usage}
{more}
"""


class Certificate(NamedTuple):
    certificate: Path
    key: Path


class Authority:
    """Signs certificates, and keeps everything in one folder; `ca` is what clients are to trust."""

    def __init__(self, folder: Path, name: str = "kubernetes") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._own = Certificate(folder / "ca.crt", folder / "ca.key")
        self._make(self._own, f"/CN={name}", "authority")
        self._number = 0

    @property
    def ca(self) -> Path:
        return self._own.certificate

    def server(
        self, names: Sequence[str] = ("IP:127.0.0.1", "DNS:localhost", "DNS:kubernetes.default.svc")
    ) -> Certificate:
        more = f"subjectAltName = {','.join(names)}"
        return self._issue("/CN=kube-apiserver", usage="serverAuth", more=more)

    def client(self, user: str, groups: Sequence[str] = ()) -> Certificate:
        subject = "".join(f"/O={each}" for each in groups) + f"/CN={user}"
        return self._issue(subject, usage="clientAuth")

    def context(self, certificate: Certificate) -> ssl.SSLContext:
        """For a server; it asks for a client certificate of this authority, and takes none for an answer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _issue(self, subject: str, *, usage: str, more: str = "") -> Certificate:
        self._number += 1
        stem = f"{self._number}-{usage}"
        issued = Certificate(self._folder / f"{stem}.crt", self._folder / f"{stem}.key")
        self._make(issued, subject, "leaf", usage=usage, more=more)
        return issued

    def _make(
        self, into: Certificate, subject: str, section: str, *, usage: str = "serverAuth", more: str = ""
    ) -> None:
        config = into.key.with_suffix(".cnf")
        config.write_text(_CONFIG.format(usage=usage, more=more))
        command = ["openssl", "req", "-x509", "-config", str(config), "-extensions", section, "-days", "30", "-nodes"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", subject]
        command += ["-out", str(into.certificate), "-keyout", str(into.key)]
        if section == "leaf":
            command += ["-CA", str(self._own.certificate), "-CAkey", str(self._own.key)]
        subprocess.run(command, check=True, capture_output=True)
