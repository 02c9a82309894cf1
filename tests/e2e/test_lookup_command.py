"""`clusterdns lookup` and `clusterdns resolv-conf`, as people call them, with a real server behind."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from serving import COMMAND, free_port, needs_ipv6, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from serving import Serving


def look_up(server: Serving, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run(*COMMAND, "lookup", *arguments, "--server", f"127.0.0.1:{server.port}")


def without_times(text: str, server: Serving) -> str:
    return re.sub(r", \d+\.\d ms, ", ", … ms, ", text.replace(str(server.port), "1053"))


class TestLookup:
    def test_a_service_of_the_namespace(self, example: Serving) -> None:
        ran = look_up(example, "alpaca-prod")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert without_times(ran.stdout, example) == (
            "alpaca-prod.default.svc.cluster.local. A: NOERROR, … ms, 127.0.0.1:1053 over UDP\n"
            "  alpaca-prod.default.svc.cluster.local. 30 IN A 10.96.78.232\n"
            "alpaca-prod.default.svc.cluster.local. AAAA: NODATA (TTL 5), … ms, 127.0.0.1:1053 over UDP\n"
            "  EDE 0 (Other): Service default/alpaca-prod has no IPv6 address\n"
        )

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            ("alpaca-prod.default --namespace shop", "alpaca-prod.default.svc.cluster.local. 30 IN A 10.96.78.232"),
            ("web AAAA --namespace shop", "web.shop.svc.cluster.local. 30 IN AAAA fd00:10:96::20"),
            (
                "_postgres._tcp.db SRV --namespace shop",
                "_postgres._tcp.db.shop.svc.cluster.local. 30 IN SRV 0 50 5432 db-1.db.shop.svc.cluster.local.",
            ),
            ("10.96.78.232", "232.78.96.10.in-addr.arpa. 30 IN PTR alpaca-prod.default.svc.cluster.local."),
            ("dns-version.cluster.local. TXT", 'dns-version.cluster.local. 28800 IN TXT "1.1.0"'),
            ("alpaca-prod ANY", 'alpaca-prod.default.svc.cluster.local. 30 IN HINFO "RFC8482" ""'),
        ],
    )
    def test_what_is_there(self, example: Serving, arguments: str, found: str) -> None:
        ran = look_up(example, *arguments.split())
        assert ran.returncode == 0, ran
        assert f"  {found}" in ran.stdout.splitlines()

    def test_what_is_not_there(self, example: Serving) -> None:
        ran = look_up(example, "alpaca", "A", "--namespace", "shop", "--json")
        assert ran.returncode == 1
        told = json.loads(ran.stdout)
        assert told["found"] is False
        tried = [each["name"] for each in told["tried"]]
        assert tried[:3] == ["alpaca.shop.svc.cluster.local.", "alpaca.svc.cluster.local.", "alpaca.cluster.local."]
        assert tried[3:] == ["alpaca."]
        assert {each["rcode"] for each in told["tried"][:3]} == {"NXDOMAIN"}

    def test_nobody_is_there(self) -> None:
        port = free_port()
        ran = run(*COMMAND, "lookup", "alpaca-prod.", "--server", f"127.0.0.1:{port}")
        assert ran.returncode == 3
        assert ran.stderr == f"clusterdns: no server answered: 127.0.0.1:{port}: connection refused\n"

    @needs_ipv6
    def test_over_ipv6(self, example: Serving) -> None:
        address, port = example.addresses[1]
        ran = run(*COMMAND, "lookup", "alpaca-prod", "A", "--server", f"[{address}]:{port}")
        assert ran.returncode == 0, ran
        assert f"[::1]:{port} over UDP" in ran.stdout


class TestResolvConf:
    def test_the_file_of_a_pod(self) -> None:
        ran = run(*COMMAND, "resolv-conf", "--namespace", "shop", "--nameserver", "10.0.0.53")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout == (
            "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.0.0.53\noptions ndots:5\n"
        )

    def test_of_another_zone_on_a_node_with_domains_of_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "resolv.conf").write_text("domain corp.test\nnameserver 192.0.2.1\n")
        ran = run(*COMMAND, "resolv-conf", "--zone", "cluster.test", "--host-resolv-conf", tmp_path / "resolv.conf")
        assert ran.stdout == (
            "search default.svc.cluster.test svc.cluster.test cluster.test corp.test\n"
            "nameserver 10.96.0.10\n"
            "options ndots:5\n"
        )

    def test_whatever_the_nodes_file_holds(self, tmp_path: Path) -> None:
        (tmp_path / "resolv.conf").write_bytes(b"search \xff corp.test\n\0\n")
        ran = run(*COMMAND, "resolv-conf", "--host-resolv-conf", tmp_path / "resolv.conf")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith(
            "search default.svc.cluster.local svc.cluster.local cluster.local \ufffd corp.test\n"
        )

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ("--nameserver dns", "--nameserver: 'dns': expected an address, such as 10.96.0.10 or fd00:10:96::a"),
            ("--namespace a.b", "--namespace: 'a.b': expected the name of a namespace, such as default"),
            ("--zone a..b", "--zone: 'a..b': expected a name such as cluster.local"),
            ("--host-resolv-conf /nowhere", "/nowhere: No such file or directory"),
            ("--host-resolv-conf /", "/: Is a directory"),
        ],
    )
    def test_wrong_use(self, arguments: str, told: str) -> None:
        ran = run(*COMMAND, "resolv-conf", *arguments.split())
        assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", f"clusterdns: {told}\n")
