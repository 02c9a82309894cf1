"""What can not be served: exit code 2, and a line on stderr that names where and what."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from serving import COMMAND, EXAMPLE, Serving, program, run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

HERE = ("--listen", "127.0.0.1:0", "--http", "none")
SERVE = (*COMMAND, "serve", "--manifests", EXAMPLE, *HERE)


def complaints(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines on stderr, but for the log of what went well and for how to call the program."""
    assert ran.returncode == 2, ran
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    beside = r"\d{4}-\d\d-\d\d .* INFO .*|Usage: .*|Try .* for help\.|"
    return [line for line in ran.stderr.splitlines() if not re.fullmatch(beside, line)]


def complaint(*command: object) -> str:
    (line,) = complaints(run(*command))
    return line


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipes") / "pipe"
    os.mkfifo(path)
    return path


class TestPipesThatNobodyWritesTo:
    """They would be waited for, and for ever."""

    @pytest.mark.parametrize("option", ["--config", "--hosts", "--manifests"])
    def test_are_no_files(self, option: str, pipe: Path) -> None:
        said = complaint(*COMMAND, "serve", *HERE, option, pipe)
        assert str(pipe) in said
        assert said.endswith("it is no regular file")

    def test_are_no_certificates(self, pipe: Path) -> None:
        tls = ("--listen", "tls://127.0.0.1:0", "--tls-certificate", pipe, "--tls-key", pipe)
        expected = f"clusterdns: tls.certificate: {pipe}: it is no regular file"
        assert complaint(*COMMAND, "serve", "--manifests", EXAMPLE, *tls) == expected

    @pytest.mark.parametrize("way", ["/dev/stdin < {file}", "<(cat {file})", "/dev/null --ttl 7"])
    def test_are_not_those_that_the_shell_hands_over(self, way: str, tmp_path: Path) -> None:
        file = tmp_path / "clusterdns.yaml"
        file.write_text("ttl: 7\n")
        ran = run(program("bash"), "-c", f"{' '.join(COMMAND)} check --config {way.format(file=file)}")
        assert ran.returncode == 0, ran.stderr
        assert "\nttl: 7\n" in ran.stdout


class TestOptions:
    EXPECTED = "expected ADDRESS:PORT, such as 127.0.0.1:1053 or [::1]:1053"
    EXPECTED_PORT = "expected a port from 0 to 65535 behind the last colon"

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ("--listen localhost:5353", "clusterdns: listen: 'localhost:5353': " + EXPECTED),
            ("--listen 127.0.0.1:dns", "clusterdns: listen: '127.0.0.1:dns': " + EXPECTED_PORT),
            ("--zone cluster..local", "clusterdns: zone: 'cluster..local': "),
            ("--zone 10.96.0.0/33", "clusterdns: reverse-zone: '10.96.0.0/33': "),
            ("--service-cidr 10.96.0.0/33", "clusterdns: service-cidr: '10.96.0.0/33': "),
            ("--service-cidr 10.0.0.0/16 --service-cidr 10.1.0.0/16", "clusterdns: service-cidr: "),
            ("--ttl 3601", "clusterdns: ttl: 3601 is not between 0 and 3600"),
            ("--ttl soon", "Error: Invalid value for '--ttl': 'soon' is not a valid integer."),
            ("--pods maybe", "Error: Invalid value for '--pods': 'maybe' is not one of 'disabled', 'insecure',"),
            ("--fast", "Error: No such option"),
            ("--listen", "Error: Option '--listen' requires an argument."),
            ("now", "Error: Got unexpected extra argument (now)"),
        ],
    )
    def test_it_is_refused(self, options: str, expected: str) -> None:
        assert complaint(*SERVE, *options.split()).startswith(expected)

    def test_an_unknown_command(self) -> None:
        assert complaint(*COMMAND, "sreve").startswith("Error: No such command 'sreve'.")

    def test_every_fault_is_named(self) -> None:
        ran = run(*SERVE, "--ttl", 9999, "--negative-ttl", 9999, "--listen", "nowhere", "--zone", "a..b")
        assert [line.split(":")[1].strip() for line in complaints(ran)] == ["ttl", "negative-ttl", "listen", "zone"]


class TestManifests:
    def refused(self, folder: Path, **texts: str) -> list[str]:
        """The complaints about manifests of these names and texts, in which `{folder}` stands for the folder."""
        for name, text in texts.items():
            (folder / f"{name}.yaml").write_text(text)
        ran = run(*COMMAND, "serve", "--manifests", folder, *HERE)
        return [line.replace(str(folder), "{folder}") for line in complaints(ran)]

    SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {clusterIP: %s}\n"

    def test_none_are_given(self) -> None:
        line = complaint(*COMMAND, "serve", *HERE)
        assert line.startswith("clusterdns: nothing to serve: give --manifests PATH or --kubeconfig FILE")

    def test_the_path_is_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "nowhere"
        line = complaint(*COMMAND, "serve", "--manifests", path, *HERE)
        assert line == f"clusterdns: {path}: cannot be read: No such file or directory"

    def test_no_yaml(self, tmp_path: Path) -> None:
        (line,) = self.refused(tmp_path, cart="apiVersion: v1\nkind: [Service\nmetadata: {}\n")
        assert line.startswith("clusterdns: {folder}/cart.yaml:3: is no YAML: ")

    def test_an_object_stands_twice(self, tmp_path: Path) -> None:
        (line,) = self.refused(tmp_path, a=self.SERVICE % "10.96.0.1", b="\n" + self.SERVICE % "10.96.0.2")
        assert line.startswith("clusterdns: {folder}/b.yaml:2: Service shop/cart")
        assert "{folder}/a.yaml:1" in line

    def test_no_address(self, tmp_path: Path) -> None:
        (line,) = self.refused(tmp_path, cart=self.SERVICE % "10.96.0.256")
        assert line == (
            "clusterdns: {folder}/cart.yaml:4: Service shop/cart: spec.clusterIP: "
            "'10.96.0.256' is no IPv4 or IPv6 address"
        )

    def test_every_fault_is_named(self, tmp_path: Path) -> None:
        lines = self.refused(tmp_path, a=self.SERVICE % "one", b="kind: [", c=self.SERVICE % "10.96.0.1", d="- 1\n")
        assert [re.match(r"clusterdns: \{folder\}/(\w)\.yaml:\d+: ", line)[1] for line in lines] == ["a", "b", "d"]  # type: ignore[index]


class TestConfig:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("ttll: 30\n", ": ttll: there is no such setting"),
            ("tcp: {conections: 5}\n", ": tcp.conections: there is no such setting"),
            ("ttl: soon\n", ": ttl: expected a whole number, not text"),
            ("listen: [\n", ":2: "),
            ("- listen\n", ": the file: expected settings by name, not a list"),
        ],
    )
    def test_it_is_refused(self, tmp_path: Path, text: str, expected: str) -> None:
        file = tmp_path / "clusterdns.yaml"
        file.write_text(text)
        line = complaint(*SERVE, "--config", file)
        assert line.startswith(f"clusterdns: {file}{expected}")

    def test_it_is_missing(self, tmp_path: Path) -> None:
        line = complaint(*SERVE, "--config", tmp_path / "nowhere.yaml")
        assert line == f"clusterdns: {tmp_path}/nowhere.yaml: No such file or directory"

    @pytest.mark.parametrize(("option", "expected"), [("--config", ""), ("--corefile", ":1: expected a file")])
    def test_it_is_not_for_us(self, option: str, expected: str) -> None:
        line = complaint(*_as_nobody(), *COMMAND, "serve", option, "/etc/shadow")
        assert line == f"clusterdns: /etc/shadow{expected}: Permission denied"


class TestSockets:
    @pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["UDP", "TCP"])
    def test_the_port_is_in_use(self, kind: int) -> None:
        with socket.socket(type=kind) as taken:
            taken.bind(("127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                taken.listen()
            where = f"127.0.0.1:{taken.getsockname()[1]}"
            line = complaint(*SERVE, "--listen", where)
        assert line == f"clusterdns: cannot listen on {where}: the port is in use"

    def test_a_second_server_on_the_same_port(self, serve: Callable[..., Serving]) -> None:
        """The first one goes on."""
        first = serve("--manifests", EXAMPLE)
        where = f"127.0.0.1:{first.port}"
        assert complaint(*SERVE, "--listen", where) == f"clusterdns: cannot listen on {where}: the port is in use"
        assert complaint(*SERVE, "--listen", f"0.0.0.0:{first.port}").endswith(": the port is in use")
        assert first.answers("alpaca-prod.default.svc.cluster.local") == ["10.96.78.232"]

    def test_this_machine_has_no_such_address(self) -> None:
        """192.0.2.0/24 is for documents: nobody has it."""
        line = complaint(*SERVE, "--listen", "192.0.2.1:5353")
        assert line == "clusterdns: cannot listen on 192.0.2.1:5353: this machine has no such address"

    def test_no_permission(self) -> None:
        """Port 53 without rights, as whoever starts it by hand for the first time."""
        line = complaint(*_without_rights(), *SERVE, "--listen", "127.0.0.1:53")
        assert line == (
            "clusterdns: cannot listen on 127.0.0.1:53: no permission for port 53 "
            "(a port below 1024 takes root, or the capability NET_BIND_SERVICE)"
        )


def _as_nobody() -> tuple[str, ...]:
    """What makes a command one of nobody's, unless we are nobody in particular ourselves."""
    if os.geteuid() != 0:
        return ()
    drop = ("--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
    prefix = (program("setpriv"), *drop)
    if run(*prefix, *COMMAND, "--version").returncode:
        pytest.skip(f"nobody may not run {sys.executable}")
    return prefix


def _without_rights() -> tuple[str, ...]:
    """The same, where port 53 takes rights."""
    prefix = _as_nobody()
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 53:
        # In a container anybody may listen on any port; in a network of its own nobody may.
        prefix = (program("unshare"), "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *prefix)
        ran = run(*prefix, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start")
        if ran.returncode or int(ran.stdout) <= 53:
            pytest.skip(f"here anybody may listen on port 53; {ran.stderr.strip()}")
    return prefix
