"""A zone signed by BIND's tools."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

from tests.e2e.serving import program

if TYPE_CHECKING:
    from pathlib import Path


class Signed(NamedTuple):
    """text: with DNSKEY, RRSIG and NSEC records. trust_anchor: the DS record that vouches for it."""

    text: str
    trust_anchor: str


def signed(folder: Path, origin: str, text: str) -> Signed:
    """By one key of algorithm 13, which signs keys and data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "unsigned").write_text(text)
    keys = [program("dnssec-keygen"), "-q", "-a", "ECDSAP256SHA256", "-K", folder, origin]
    signer = [program("dnssec-signzone"), "-q", "-S", "-K", folder, "-d", folder, "-x", "-z", "-O", "full"]
    for command in (keys, [*signer, "-o", origin, "-f", folder / "signed", folder / "unsigned"]):
        subprocess.run(command, check=True, capture_output=True)
    (anchor,) = folder.glob("dsset-*")
    return Signed((folder / "signed").read_text(), anchor.read_text())
