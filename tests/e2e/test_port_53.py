"""Port 53 without root: with the one capability that the manifests and the systemd unit give it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from serving import COMMAND, EXAMPLE, Namespace, Serving, dig, program, run

if TYPE_CHECKING:
    from collections.abc import Iterator

NET_BIND_SERVICE = 1 << 10
"""Its bit (capabilities(7))."""

NOBODY = 65532


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """One where ports below 1024 take rights."""
    namespace = Namespace(tmp_path_factory.mktemp("network"), "nameserver 127.0.0.1\n")
    try:
        namespace.run("sh", "-c", "echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start")
        if int(namespace.run("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start").stdout) <= 53:
            pytest.skip("here anybody may listen on port 53")
        yield namespace
    finally:
        namespace.close()


def test_with_net_bind_service_alone(network: Namespace, tmp_path: Path) -> None:
    rights = [f"--{each}=-all,+net_bind_service" for each in ("inh-caps", "ambient-caps", "bounding-set")]
    ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs")
    prefix = (*network.prefix, program("setpriv"), *ids, *rights)
    if run(*prefix, *COMMAND, "--version").returncode:
        pytest.skip("nobody may not run the interpreter")
    server = Serving(tmp_path / "log", "--manifests", EXAMPLE, listen=["127.0.0.1:53"], prefix=prefix)
    try:
        status = dict(
            line.split(":\t")
            for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert set(status["Uid"].split()) == {str(NOBODY)}
        assert {int(status[each], 16) for each in ("CapEff", "CapPrm", "CapBnd")} == {NET_BIND_SERVICE}
        for transport in ("+notcp", "+tcp"):
            found = dig("@127.0.0.1", transport, "alpaca-prod.default.svc.cluster.local", prefix=network.prefix)
            assert found.answer == ["alpaca-prod.default.svc.cluster.local. 30 IN A 10.96.78.232"]
    finally:
        assert server.stop() == 0, server.log
