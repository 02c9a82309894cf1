"""Who may import what: the code held to pyproject.toml and to the design. import-linter checks the directions."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "clusterdns"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}

DOORS = {
    "aiohttp": ("http", "probes.http_get", "sources.cluster"),
    "cachetools": ("cache",),
    "click": ("cli", "commands"),
    "dnslib": ("presentation",),
    "grpclib": ("probes.grpc_health",),
    "kubernetes": ("sources.cluster",),
    "prometheus_client": ("metrics",),
    "rich": ("cli",),
    "watchfiles": ("sources.manifests",),
    "yaml": ("sources.manifests",),
}
"""Every outside package has one door: a module, or the folder of one idea. kubernetes.aio speaks through aiohttp."""

EVERYWHERE = {"msgspec"}

PURE = (
    "admin.lines", "answer", "around", "cache", "durations", "environment", "events", "explain", "index", "kubectl",
    "names", "nodes", "objects", "origins", "popularity", "presentation", "probes.course", "probes.probe", "queries",
    "records", "resolv_conf", "responses", "search", "sources.manifests.admission", "sources.manifests.cluster_ips",
    "sources.manifests.container_probes", "sources.manifests.endpoint_slices", "sources.manifests.upkeep",
    "sources.manifests.whole", "traffic", "wire",
)  # fmt: skip
IMPURE = {"asyncio", "logging", "os", "select", "selectors", "signal", "socket", "subprocess", "threading", "time"}

NAMES_THAT_SAY_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc", "errors", "exceptions", "base"}


def imports(path: Path) -> Iterator[str]:
    """What a module imports, wherever in it: `asyncio`, `clusterdns.names`, …"""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in aliases if module.startswith("clusterdns"))


def packages(path: Path) -> set[str]:
    return {each.partition(".")[0] for each in imports(path)}


def outside(path: Path) -> set[str]:
    return packages(path) - sys.stdlib_module_names - {"clusterdns"}


def is_within(module: str, door: str) -> bool:
    return f"{module}.".startswith(f"{door}.")


@pytest.mark.parametrize("module", MODULES)
class TestEachModule:
    def test_outside_packages_come_in_by_their_doors(self, module: str) -> None:
        for package in outside(MODULES[module]) - EVERYWHERE:
            assert package in DOORS, f"{package} has no door yet"
            assert any(is_within(module, door) for door in DOORS[package]), f"{package} is not imported here"

    def test_its_name_says_something(self, module: str) -> None:
        assert NAMES_THAT_SAY_NOTHING.isdisjoint(module.split("."))

    def test_its_imports_are_absolute(self, module: str) -> None:
        nodes = ast.walk(ast.parse(MODULES[module].read_text()))
        assert not [node.lineno for node in nodes if isinstance(node, ast.ImportFrom) and node.level]

    def test_it_begins_with_what_it_is_for(self, module: str) -> None:
        assert ast.get_docstring(ast.parse(MODULES[module].read_text()))


@pytest.mark.parametrize("module", [each for each in MODULES if any(is_within(each, pure) for pure in PURE)])
def test_the_core_is_pure(module: str) -> None:
    """Values in, values out: no loop, no socket, no clock, no log."""
    assert not packages(MODULES[module]) & IMPURE


def test_the_server_imports_nothing_of_ours() -> None:
    parts = [each for each in MODULES if is_within(each, "server")]
    ours = {each for part in parts for each in imports(MODULES[part]) if each.startswith("clusterdns")}
    assert not [each for each in ours if not is_within(each, "clusterdns.server")]


def test_only_the_top_knows_the_configuration() -> None:
    """Nothing below `config` imports it: each part is handed plain values."""
    knowing = {module for module, path in MODULES.items() if "clusterdns.config" in set(imports(path))}
    assert not [
        each for each in knowing if not any(is_within(each, top) for top in ("cli", "app", "corefile", "kube_dns"))
    ]


class TestDependencies:
    DISTRIBUTIONS: ClassVar = {"yaml": "pyyaml", "prometheus_client": "prometheus-client"}

    @pytest.fixture(scope="class")
    @staticmethod
    def declared() -> set[str]:
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        return {re.match(r"[\w.-]+", each)[0].lower() for each in project["dependencies"]}  # type: ignore[index]

    @pytest.fixture(scope="class")
    @staticmethod
    def imported() -> set[str]:
        names = set().union(*map(outside, MODULES.values()))
        return {TestDependencies.DISTRIBUTIONS.get(name, name) for name in names}

    def test_what_is_imported_is_declared(self, declared: set[str], imported: set[str]) -> None:
        assert imported - declared == set()

    def test_what_is_declared_is_imported(self, declared: set[str], imported: set[str]) -> None:
        assert declared - imported == set()

    def test_every_folder_is_packaged(self) -> None:
        tool = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
        folders = {path.parent.relative_to(REPOSITORY) for path in MODULES.values()}
        assert set(tool["packages"]) == {".".join(each.parts) for each in folders}

    def test_the_judge_shares_no_code_with_the_server(self) -> None:
        """dnspython stays in the tests."""
        assert not [module for module, path in MODULES.items() if "dns" in packages(path)]
