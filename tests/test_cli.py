"""The commands, up to where they hand over to `app`; processes of their own are in e2e/test_wrong_use.py."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from clusterdns import __version__, app
from clusterdns.cli import main
from clusterdns.config import Config
from clusterdns.server import CannotListen
from clusterdns.sources.manifests import ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="clusterdns")


class TestHelp:
    def test_the_version(self) -> None:
        assert call("--version").output == f"clusterdns {__version__}\n"

    @pytest.mark.parametrize("option", ["-h", "--help"])
    def test_the_commands(self, option: str) -> None:
        result = call(option)
        assert result.exit_code == 0
        for command in (
            "serve +Answer queries until SIGTERM or Ctrl-C.",
            "explain +Say why",
            "lookup +Ask",
            "resolv-conf +Print",
        ):
            assert re.search(f"  {command}", result.output)

    def test_the_options(self) -> None:
        result = call("serve", "--help")
        assert result.exit_code == 0
        for option in (
            "--manifests PATH",
            "--listen ADDRESS:PORT",
            "--zone NAME",
            "--service-cidr CIDR",
            "--config FILE",
        ):
            assert option in result.output

    def test_the_example_stays_as_two_lines(self) -> None:
        output = call("serve", "--help").output
        assert "  clusterdns serve --manifests config/example\n" in output
        assert "  dig @127.0.0.1 -p 1053 alpaca-prod.default.svc.cluster.local\n" in output

    def test_the_defaults_that_it_names(self) -> None:
        """They stand in Config; the help repeats them."""
        output = " ".join(call("serve", "--help").output.split())
        defaults = Config()
        for each in (*defaults.listen, *defaults.zone, *defaults.service_cidr, defaults.pods, defaults.ttl):
            assert f"[default: {each}]" in output


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The settings of each call of app.run, which does nothing."""
    calls: list[Config] = []

    def run(load: Callable[[], app.Loaded], pid_file: Path | None) -> None:
        calls.append(load().settings)

    monkeypatch.setattr(app, "run", run)
    return calls


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ("", {}),
            ("--manifests b", {"manifests": ("a", "b")}),
            ("--listen 127.0.0.1:53", {"listen": ("127.0.0.1:53",)}),
            ("--listen 127.0.0.1:53 --listen [::1]:53", {"listen": ("127.0.0.1:53", "[::1]:53")}),
            ("--zone cluster.test", {"zone": ("cluster.test",)}),
            ("--zone 10.96.0.0/16", {"reverse_zone": ("10.96.0.0/16",)}),
            ("--zone x.test --zone 10.in-addr.arpa", {"zone": ("x.test",), "reverse_zone": ("10.in-addr.arpa",)}),
            ("--service-cidr 10.0.0.0/8", {"service_cidr": ("10.0.0.0/8",)}),
            ("--pods verified", {"pods": "verified"}),
            ("--endpoint-pod-names", {"endpoint_pod_names": True}),
            ("--ttl 0", {"ttl": 0}),
            ("--http 127.0.0.1:1 --http [::1]:2", {"http": ("127.0.0.1:1", "[::1]:2")}),
            ("--http none", {"http": ()}),
            ("--workers 3", {"workers": 3}),
            ("--workers auto", {"workers": "auto"}),
            ("--ttl 60 --negative-ttl 0", {"ttl": 60, "negative_ttl": 0}),
        ],
    )
    def test_they_are_settings(self, served: list[Config], options: str, expected: dict[str, Any]) -> None:
        result = call("serve", "--manifests", "a", *options.split())
        assert result.exit_code == 0, result.output
        assert served == [Config(**{"manifests": ("a",), **expected})]

    def test_they_override_the_file(self, served: list[Config], tmp_path: Path) -> None:
        file = tmp_path / "clusterdns.yaml"
        file.write_text("ttl: 60\nnegative-ttl: 60\nmanifests: [a]\nendpoint-pod-names: true\nlisten: ['[::1]:53']\n")
        call("serve", "--config", str(file), "--ttl", "0", "--no-endpoint-pod-names", "--listen", "127.0.0.1:53")
        assert served == [Config(manifests=("a",), ttl=0, negative_ttl=60, listen=("127.0.0.1:53",))]

    def test_the_environment_stands_between(
        self, served: list[Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "clusterdns.yaml"
        file.write_text("manifests: [a]\nttl: 60\nnegative-ttl: 60\nudp-size: 600\n")
        monkeypatch.setenv("CLUSTERDNS_CONFIG", str(file))
        monkeypatch.setenv("CLUSTERDNS_TTL", "20")
        monkeypatch.setenv("CLUSTERDNS_NEGATIVE_TTL", "20")
        monkeypatch.setenv("CLUSTERDNS_LISTEN", "127.0.0.1:53 [::1]:53")
        assert call("serve", "--negative-ttl", "3").exit_code == 0
        listen = ("127.0.0.1:53", "[::1]:53")
        assert served == [Config(manifests=("a",), ttl=20, negative_ttl=3, udp_size=600, listen=listen)]

    def test_manifests_may_stand_in_the_file_alone(self, served: list[Config], tmp_path: Path) -> None:
        (tmp_path / "clusterdns.yaml").write_text("manifests: [a, b]")
        assert call("serve", "--config", str(tmp_path / "clusterdns.yaml")).exit_code == 0
        assert served == [Config(manifests=("a", "b"))]

    @pytest.mark.parametrize(
        ("options", "fault"),
        [
            ("--ttl 9999", "ttl: 9999 is not between 0 and 3600"),
            ("--workers 0", "workers: 0 is not between 1 and 256"),
            ("--workers some", "workers: 'some': expected a whole number, or auto"),
            ("--workers -1", "workers: '-1': expected a whole number, or auto"),
        ],
    )
    def test_nothing_starts_with_a_setting_that_cannot_be(self, served: list[Config], options: str, fault: str) -> None:
        result = call("serve", "--manifests", "a", *options.split())
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"clusterdns: {fault}\n"
        assert not served


class TestWhatAppRaises:
    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (CannotListen("cannot listen on 127.0.0.1:53"), ["cannot listen on 127.0.0.1:53"]),
            (ManifestError(["a.yaml:1: is wrong", "b.yaml:2: too"]), ["a.yaml:1: is wrong", "b.yaml:2: too"]),
        ],
    )
    def test_it_is_told_in_a_line_each(
        self, monkeypatch: pytest.MonkeyPatch, error: Exception, told: list[str]
    ) -> None:
        def run(load: Callable[[], app.Loaded], pid_file: Path | None) -> None:
            raise error

        monkeypatch.setattr(app, "run", run)
        result = call("serve", "--manifests", "a")
        assert result.exit_code == 2
        assert result.stderr.splitlines() == [f"clusterdns: {line}" for line in told]
