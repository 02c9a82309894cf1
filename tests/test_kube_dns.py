"""kube-dns's ConfigMap, and others that hold a Corefile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from clusterdns import config_map, kube_dns
from clusterdns.cli import main
from clusterdns.config import BadConfig, Config, StubZone
from clusterdns.config_map import NotAConfigMap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

DOCUMENTED = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-dns
  namespace: kube-system
data:
  stubDomains: |
    {"acme.local": ["1.2.3.4"], "my.cluster.local": ["[2001:db8::1]:5353", "192.0.2.1:53", "2001:db8::2"]}
  upstreamNameservers: |
    ["8.8.8.8", "8.8.4.4"]
"""
"""As the documentation of Kubernetes has it."""


@pytest.fixture(params=["manifest", "JSON", "folder", "mounted"])
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """A ConfigMap with these data, in each form that it may have."""

    def given(**data: str) -> Path:
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-dns"}, "data": data}
        path = tmp_path / "kube-dns"
        match request.param:
            case "manifest":
                path.write_text(yaml.safe_dump(manifest))
            case "JSON":
                path.write_text(json.dumps(manifest, indent=4))
            case "folder":
                path.mkdir()
                for key, value in data.items():
                    (path / key).write_text(value)
            case "mounted":  # as the kubelet does it
                (path / "..2026_11_23").mkdir(parents=True)
                (path / "..data").symlink_to("..2026_11_23")
                for key, value in data.items():
                    (path / "..data" / key).write_text(value)
                    (path / key).symlink_to(f"..data/{key}")
        return path

    return given


def told(path: Path) -> list[str]:
    """The faults, without the path and what separates it from a key."""
    with pytest.raises(BadConfig) as caught:
        kube_dns.read(path, ("cluster.local",))
    return [line.removeprefix(str(path)).lstrip(":/ ") for line in str(caught.value).splitlines()]


class TestEachForm:
    def test_is_read(self, given: Callable[..., Path]) -> None:
        data = yaml.safe_load(DOCUMENTED.replace("my.cluster.local", "corp.example"))["data"]
        found = kube_dns.read(given(**data), ("cluster.local",))
        assert found.upstreams == ("8.8.8.8", "8.8.4.4")
        assert found.stub_zones == (
            StubZone("acme.local", ("1.2.3.4",)),
            StubZone("corp.example", ("[2001:db8::1]:5353", "192.0.2.1:53", "2001:db8::2")),
        )
        assert len(found.understood) == 3
        assert found.warnings == ()

    def test_what_it_does_not_say_is_as_it_was(self, given: Callable[..., Path]) -> None:
        found = kube_dns.read(given(), ("cluster.local",))
        assert found.on(Config(ttl=7)) == Config(ttl=7)

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            ({"stubDomains": "{"}, ["stubDomains: is no JSON: Input data was truncated"]),
            (
                {"stubDomains": "{“acme.local”: [“1.2.3.4”]}"},
                ["stubDomains: is no JSON: JSON is malformed: object keys must be strings (byte 1)"],
            ),
            (
                {"stubDomains": '{"acme.local": "1.2.3.4"}', "upstreamNameservers": '"8.8.8.8"'},
                [
                    'stubDomains: expected JSON such as {"acme.local": ["192.0.2.53"]}',
                    'upstreamNameservers: expected JSON such as ["192.0.2.53"]',
                ],
            ),
            (
                {"stubDomains": '{"a..b": ["1.2.3.4"], ".": ["1.2.3.4"], "c": [], "d": ["ns.example", "1.2.3.4:0"]}'},
                [
                    "stubDomains: 'a..b': a label has 1 to 63 bytes, not 0: ''",
                    "stubDomains: '.': the upstreams of all names are those of upstreamNameservers",
                    "stubDomains: c: expected at least one address",
                    "stubDomains: d: 'ns.example': expected ADDRESS, ADDRESS:PORT or tls://ADDRESS#NAME",
                    "stubDomains: d: '1.2.3.4:0': expected a port from 1 to 65535 behind the last colon",
                ],
            ),
            (
                {"stubDomains": '{"Cluster.local": ["1.2.3.4"], "my.cluster.local": ["1.2.3.4"]}'},
                [
                    "stubDomains: Cluster.local: the names of the cluster's zone are answered here",
                    "stubDomains: my.cluster.local: the names of the cluster's zone are answered here",
                ],
            ),
            (
                {"upstreamNameservers": '["tls://1.2.3.4", "1.2.3.4#5353", "999.1.1.1"]'},
                [
                    "upstreamNameservers: 'tls://1.2.3.4': expected ADDRESS or ADDRESS:PORT",
                    "upstreamNameservers: '1.2.3.4#5353': expected ADDRESS or ADDRESS:PORT",
                    "upstreamNameservers: '999.1.1.1': expected ADDRESS, ADDRESS:PORT or tls://ADDRESS#NAME",
                ],
            ),
            (
                {"upstreamNameservers": '["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]'},
                ["upstreamNameservers: expected at most 3 addresses, not 4"],
            ),
            (
                {"federations": "myfederation=federation.test"},
                ["federations: not supported: Kubernetes has no federated services any more"],
            ),
        ],
    )
    def test_what_can_not_be(self, given: Callable[..., Path], data: dict[str, str], expected: list[str]) -> None:
        assert told(given(**data)) == expected

    def test_what_nobody_knows_is_told(self, given: Callable[..., Path]) -> None:
        (warning,) = kube_dns.read(given(stubdomains="{}", stubDomains="{}", federations="{}"), ()).warnings
        assert warning.endswith("stubdomains: kube-dns has no such key; it does nothing")


class TestWhatIsNoConfigMap:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("kind: Service\n", "no manifest of a ConfigMap: its kind is Service"),
            ("{", "no manifest of a ConfigMap: "),
            ("- a\n", "no manifest of a ConfigMap: Expected `object`, got `array`"),
            ("kind: ConfigMap\ndata: {stubDomains: {acme.local: [1.2.3.4]}}", "no manifest of a ConfigMap: "),
            ("", "no manifest of a ConfigMap: "),
        ],
    )
    def test_is_told_in_a_line(self, tmp_path: Path, text: str, reason: str) -> None:
        (tmp_path / "x.yaml").write_text(text)
        (line,) = told(tmp_path / "x.yaml")
        assert line.startswith(reason)

    def test_nor_is_nothing(self, tmp_path: Path) -> None:
        assert told(tmp_path / "nowhere") == ["No such file or directory"]


def check(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


class TestTheCommand:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        (tmp_path / "kube-dns.yaml").write_text(DOCUMENTED.replace("my.cluster.local", "corp.example"))
        return tmp_path / "kube-dns.yaml"

    def test_shows_what_it_means(self, file: Path) -> None:
        result = check("--kube-dns-config", file)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.splitlines() == [
            f"{file}: stubDomains: forward.zones acme.local 1.2.3.4",
            f"{file}: stubDomains: forward.zones corp.example [2001:db8::1]:5353, 192.0.2.1:53, 2001:db8::2",
            f"{file}: upstreamNameservers: forward.upstreams 8.8.8.8, 8.8.4.4",
        ]

    def settings(self, *arguments: object) -> dict[str, Any]:
        result = check("--as", "yaml", *arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        found: dict[str, Any] = yaml.safe_load(result.stdout)
        return found

    def test_stands_in_the_place_of_kube_dns(self, file: Path) -> None:
        found = self.settings("--kube-dns-config", file)
        assert {name: found[name] for name in ("listen", "ttl", "pods", "search")} == {
            "listen": ["0.0.0.0:53", "[::]:53"], "ttl": 30, "pods": "insecure", "search": "client",
        }  # fmt: skip
        assert found["forward"]["resolv-conf"] == "/etc/resolv.conf"

    def test_goes_together_with_settings_of_ours(self, file: Path, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").write_text("ttl: 7\nforward: {policy: sequential, upstreams: [192.0.2.9]}\n")
        found = self.settings("--kube-dns-config", file, "--config", tmp_path / "c.yaml")
        assert (found["ttl"], found["listen"], found["pods"]) == (7, ["127.0.0.1:1053"], "disabled")
        assert (found["forward"]["policy"], found["forward"]["upstreams"]) == ("sequential", ["8.8.8.8", "8.8.4.4"])

    def test_but_not_with_a_corefile(self, file: Path) -> None:
        result = check("--kube-dns-config", file, "--corefile", file)
        assert result.exit_code == 2
        assert result.stderr == "clusterdns: --corefile and --kube-dns-config: settings come from one of them\n"

    def test_tells_all_faults(self, tmp_path: Path) -> None:
        (tmp_path / "stubDomains").write_text("{")
        (tmp_path / "upstreamNameservers").write_text('["x"]')
        result = check("--kube-dns-config", tmp_path)
        assert result.exit_code == 2
        assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [
            str(tmp_path / "stubDomains"),
            str(tmp_path / "upstreamNameservers"),
        ]


KUBECTL = """\
apiVersion: v1
data:
  Corefile: |
    .:53 {
        errors
        forward . 192.0.2.1
    }
kind: ConfigMap
metadata:
  name: coredns
  namespace: kube-system
"""
"""As `kubectl get configmap coredns -o yaml` prints it."""


class TestACorefileInAConfigMap:
    def test_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "coredns.yaml").write_text(KUBECTL)
        result = check("--corefile", tmp_path / "coredns.yaml")
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"{tmp_path}/coredns.yaml:6: forward: " in result.stdout

    def test_faults_have_the_line_of_the_manifest(self, tmp_path: Path) -> None:
        (tmp_path / "coredns.yaml").write_text(KUBECTL.replace("errors", "nonsense"))
        result = check("--corefile", tmp_path / "coredns.yaml")
        assert result.stderr == f"clusterdns: {tmp_path}/coredns.yaml:5: nonsense: not supported\n"

    def test_text_on_one_line_has_the_lines_of_the_corefile(self) -> None:
        text = json.dumps(yaml.safe_load(KUBECTL), indent=2)
        assert config_map.looks_so(text)
        assert config_map.in_place(text, "Corefile").startswith(".:53 {\n")

    def test_another_configmap_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "x.yaml").write_text(DOCUMENTED)
        result = check("--corefile", tmp_path / "x.yaml")
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert "the ConfigMap has no data under Corefile: it has stubDomains, upstreamNameservers" in line

    def test_an_empty_one_is_told(self) -> None:
        with pytest.raises(NotAConfigMap, match=r"it has none$"):
            config_map.in_place("kind: ConfigMap\n", "Corefile")

    @pytest.mark.parametrize(
        "text", [".:53 {\n}\n", "# kind: ConfigMap\n.:53 {\n}\n", "kind: Deployment\n", "kind: ConfigMapList\n"]
    )
    def test_what_does_not_look_so_is_a_corefile(self, text: str) -> None:
        assert not config_map.looks_so(text)
