"""config/host: each example is read as the program reads it that it is for."""

from __future__ import annotations

import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from clusterdns import config, names
from clusterdns.resolv_conf import ResolvConf, for_pod, parse
from tests.e2e.serving import program

HOST = Path(__file__).parents[1] / "config" / "host"
EXAMPLES = sorted(path.name for path in HOST.iterdir() if path.suffix != ".md")
README = (HOST / "README.md").read_text()

DEFAULT = config.Config()
(LISTEN,) = map(config.listen_address, DEFAULT.listen)
(ZONE,) = DEFAULT.zone


def text(name: str) -> str:
    return (HOST / name).read_text()


def sections(name: str) -> dict[str, dict[str, str]]:
    """A file in the form that systemd and NetworkManager share, in which no key may stand twice."""
    parser = ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"), strict=True)
    parser.optionxform = str  # systemd tells Upper from lower
    parser.read_string(text(name))
    return {section: dict(parser[section]) for section in parser.sections()}


def settings(name: str) -> dict[str, list[str]]:
    """A dnsmasq file: options by name, each of which may stand several times."""
    found: dict[str, list[str]] = {}
    for line in text(name).splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
class TestEachExample:
    def test_its_first_line_says_where_it_goes(self, name: str) -> None:
        where = text(name).splitlines()[0]
        assert re.fullmatch(r"# /etc/[\w./-]+", where)
        assert re.search(rf"\| `{re.escape(name)}` \| `{where.removeprefix('# ')}` \|", README)

    def test_its_second_line_says_what_it_does(self, name: str) -> None:
        assert re.fullmatch(r"# \S.+", text(name).splitlines()[1])


def test_the_readme_names_no_other_file() -> None:
    assert sorted(re.findall(r"\| `([\w.-]+)` \| `/etc", README)) == EXAMPLES


class TestSystemdResolved:
    def test_it_asks_where_clusterdns_listens(self) -> None:
        host, port = LISTEN
        assert sections("systemd-resolved.conf") == {"Resolve": {"DNS": f"{host}:{port}", "Domains": f"~{ZONE}"}}


class TestNetworkManager:
    def test_it_runs_dnsmasq(self) -> None:
        assert sections("networkmanager.conf") == {"main": {"dns": "dnsmasq"}}

    def test_dnsmasq_asks_where_clusterdns_listens(self) -> None:
        host, port = LISTEN
        assert settings("dnsmasq.conf") == {
            "server": [f"/{ZONE}/{host}#{port}"],
            "rev-server": [f"{DEFAULT.service_cidr[0]},{host}#{port}"],
            "rebind-domain-ok": [f"/{ZONE}/"],
        }

    def test_dnsmasq_takes_it(self) -> None:
        command = [program("dnsmasq"), "--test", f"--conf-file={HOST / 'dnsmasq.conf'}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        assert ran.returncode == 0, ran.stderr


class TestResolvConf:
    def test_it_is_a_pods_but_for_ndots(self) -> None:
        """Other names than the cluster's are the rule on a host, and with ndots 5 each would be searched for first."""
        pod = for_pod("default", ZONE, ["127.0.0.1"], ResolvConf())
        assert parse(text("resolv.conf")) == ResolvConf(pod.nameservers, pod.search)

    def test_clusterdns_listens_there(self) -> None:
        (address,) = parse(text("resolv.conf")).nameservers
        read = config.read(HOST / "clusterdns.yaml")
        assert (address, 53) in map(config.listen_address, read.listen)


class TestMacOS:
    def test_it_asks_where_clusterdns_listens(self) -> None:
        lines = [line.split() for line in text("macos-resolver").splitlines() if not line.startswith("#")]
        host, port = LISTEN
        assert lines == [["nameserver", host], ["port", str(port)]]

    def test_its_name_is_the_zone(self) -> None:
        """macOS takes the file's name for the domain."""
        where = Path(text("macos-resolver").splitlines()[0].removeprefix("# "))
        assert names.from_text(where.name) == names.from_text(ZONE)


class TestConfiguration:
    def test_it_can_be(self) -> None:
        config.check(config.read(HOST / "clusterdns.yaml"))

    def test_it_listens_where_the_others_ask(self) -> None:
        read = config.read(HOST / "clusterdns.yaml")
        assert set(DEFAULT.listen) <= set(read.listen)

    def test_nothing_goes_round(self) -> None:
        forward = config.read(HOST / "clusterdns.yaml").forward
        assert (forward.upstreams, forward.resolv_conf, forward.zones) == ((), "", ())


class TestUnit:
    def test_it_reads_the_configuration_from_where_that_goes(self) -> None:
        where = text("clusterdns.yaml").splitlines()[0].removeprefix("# ")
        start = sections("clusterdns.service")["Service"]["ExecStart"]
        assert start == f"/usr/local/bin/clusterdns serve --config {where}"

    def test_it_has_the_right_to_port_53_and_no_other(self) -> None:
        service = sections("clusterdns.service")["Service"]
        assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
        assert service["DynamicUser"] == service["NoNewPrivileges"] == "yes"

    def test_systemd_takes_it(self, tmp_path: Path) -> None:
        unit = tmp_path / "clusterdns.service"
        unit.write_text(text("clusterdns.service").replace("/usr/local/bin/clusterdns", sys.executable))
        command = [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(unit)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
