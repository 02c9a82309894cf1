"""config/host at work: a host of its own, its resolv.conf, a dnsmasq, and clusterdns behind both."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from serving import EXAMPLE, REPOSITORY, Namespace, Serving, eventually, program

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = REPOSITORY / "config" / "host"
DNSMASQ = "127.0.0.53"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    folder = tmp_path_factory.mktemp("host")
    settings = (HOST / "clusterdns.yaml").read_text().replace("/etc/clusterdns/manifests", str(EXAMPLE))
    (folder / "clusterdns.yaml").write_text(settings)
    # Root, but with no more rights than the unit gives.
    rights = ("setpriv", "--no-new-privs", "--bounding-set", "-all,+net_bind_service", "--inh-caps", "-all")
    namespace = Namespace(folder, (HOST / "resolv.conf").read_text())
    try:
        listen = ["127.0.0.1:53", "127.0.0.1:1053"]
        prefix = (*namespace.prefix, program(rights[0]), *rights[1:])
        server = Serving(folder / "log", "--config", folder / "clusterdns.yaml", listen=listen, prefix=prefix)
        yield namespace
        assert server.stop() == 0, server.log
    finally:
        namespace.close()


class TestResolvConf:
    @pytest.mark.parametrize("name", ["alpaca-prod", "alpaca-prod.default", "alpaca-prod.default.svc.cluster.local"])
    def test_programs_find_services(self, host: Namespace, name: str) -> None:
        assert host.run(program("getent"), "ahosts", name).stdout.split()[0] == "10.96.78.232"

    def test_other_names_are_not_found(self, host: Namespace) -> None:
        """They are refused, until an upstream is named."""
        assert host.run(program("getent"), "ahosts", "www.example.com").returncode == 2


class TestDnsmasq:
    """As NetworkManager runs it."""

    @pytest.fixture(scope="class")
    @staticmethod
    def dnsmasq(host: Namespace) -> Iterator[None]:
        options = (
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--user=root",
            "--pid-file",
        )
        rebind = "--stop-dns-rebind"  # as on a careful host
        command = [*host.prefix, program("dnsmasq"), *options, rebind, f"--listen-address={DNSMASQ}"]
        running = subprocess.Popen([*command, f"--conf-file={HOST / 'dnsmasq.conf'}"], stderr=subprocess.PIPE)
        try:
            dig = (program("dig"), "+tries=1", "+timeout=1", f"@{DNSMASQ}", "version.bind", "CH", "TXT")
            eventually(lambda: running.poll() is not None or host.run(*dig).returncode == 0, "dnsmasq")
            assert running.poll() is None, running.communicate()[1]
            yield
        finally:
            running.kill()
            running.communicate()

    @pytest.mark.usefixtures("dnsmasq")
    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            (("alpaca-prod.default.svc.cluster.local",), ["10.96.78.232"]),
            (("-x", "10.96.78.232"), ["alpaca-prod.default.svc.cluster.local."]),
            (("www.example.com",), []),
        ],
    )
    def test_it_asks_clusterdns_for_the_clusters_names_alone(
        self, host: Namespace, question: tuple[str, ...], expected: list[str]
    ) -> None:
        assert host.run(program("dig"), "+short", f"@{DNSMASQ}", *question).stdout.splitlines() == expected
