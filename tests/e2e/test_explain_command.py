"""`clusterdns explain`, as people call it: with manifests, a cluster, a running server; and what dig shows of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from serving import COMMAND, EXAMPLE, Serving, dig, eventually, program, run

from tests.apiserver import Process, kubeconfig
from tests.followed import headless, namespace, pod, slice_of
from tests.upstreams import Faulty
from tests.upstreams.behaviours import fails, honest, silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from subprocess import CompletedProcess

    from tests.upstreams.faulty import Behaviour


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explain")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Faulty]:
    with Faulty(honest) as started:
        yield started


@pytest.fixture(scope="module")
def server(folder: Path, upstream: Faulty) -> Iterator[Serving]:
    """The example, with an upstream."""
    manifests = ("--manifests", EXAMPLE, "--upstream", f"{upstream.address}:{upstream.port}")
    serving = Serving(folder / "log", *manifests, "--search", "client", "--admin", folder / "admin.sock")
    try:
        yield serving
        assert serving.stop() == 0
        assert "Traceback" not in serving.log, serving.log
    finally:
        serving.kill()


def explain(*arguments: object) -> CompletedProcess[str]:
    return run(*COMMAND, "explain", *arguments)


class TestOfManifests:
    def told(self, *arguments: str) -> tuple[int, list[str]]:
        ran = explain(*arguments, "--manifests", EXAMPLE, "--upstream", "none")
        assert ran.stderr == ""
        return ran.returncode, ran.stdout.splitlines()

    def test_a_slip(self) -> None:
        code, (asked, cause, first, *_) = self.told("alpaca-prd")
        assert code == 1
        assert asked == "alpaca-prd A and AAAA, asked in namespace default: NXDOMAIN"
        assert cause == "  no Service 'alpaca-prd' in namespace default: did you mean alpaca-prod?"
        assert first == (
            "tried: alpaca-prd.default.svc.cluster.local. A     NXDOMAIN: no Service 'alpaca-prd' in namespace default"
        )

    def test_a_name_that_is_there(self) -> None:
        code, (asked, cause, *_, data) = self.told("alpaca-prod", "A")
        assert code == 0
        assert asked == "alpaca-prod A, asked in namespace default: NOERROR"
        assert cause == "  Service default/alpaca-prod exists, ClusterIP 10.96.78.232; 3 endpoints, 3 ready"
        assert data == "data:  manifests, as of 0 s ago"

    def test_for_programs(self) -> None:
        ran = explain("_postgre._tcp.db.shop", "SRV", "--json", "--manifests", EXAMPLE, "--upstream", "none")
        found = json.loads(ran.stdout)
        assert (ran.returncode, found["found"], found["cause"]["cause"]) == (1, False, "no-port")
        assert found["cause"]["suggestions"] == ["postgres"]


class TestOfARunningServer:
    def told(self, server: Serving, folder: Path, *arguments: str) -> str:
        del server
        ran = explain(*arguments, "--admin", folder / "admin.sock")
        assert ran.stderr == ""
        return ran.stdout

    def test_endpoints_by_its_clock(self, server: Serving, folder: Path) -> None:
        def cause() -> str:
            return self.told(server, folder, "db-2.db.shop.svc.cluster.local.").splitlines()[1]

        eventually(lambda: "pod db-2 not ready for at least" in cause(), "a second has passed")
        assert cause().startswith("  Service shop/db exists, headless; its endpoint pod db-2 not ready for at least ")

    def test_the_cache(self, server: Serving, folder: Path) -> None:
        dig("@127.0.0.1", "-p", server.port, "www.example.net")
        story = self.told(server, folder, "www.example.net", "A")
        assert "  www.example.net is none of our names; upstream 127.0.0." in story
        assert ", remembered for " in story

    @pytest.mark.parametrize(
        ("behaviour", "said"),
        [
            (fails("REFUSED"), ": REFUSED; it does not want to answer this server, or not for such names"),
            (fails("SERVFAIL"), ": SERVFAIL; it could not find out, such as for want of a server behind it"),
            (silent, ": no upstream answered ("),
        ],
    )
    def test_an_upstream_that_fails(
        self, server: Serving, folder: Path, upstream: Faulty, behaviour: Behaviour, said: str
    ) -> None:
        upstream.behaviour = behaviour
        try:
            story = self.told(server, folder, f"www.{len(said)}.example.org", "A")
        finally:
            upstream.behaviour = honest
        assert "for www." in story
        assert said in story

    def test_in_the_reply(self, server: Serving) -> None:
        ran = run(program("dig"), "@127.0.0.1", "-p", server.port, "Alpaca-Prd.default.svc.cluster.local")
        assert "; EDE: 0 (Other): (no Service 'alpaca-prd' in namespace default)" in ran.stdout

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["a..b"], "'a..b' is no name: "),
            (["a", "NOTYPE"], "'NOTYPE' is no record type: "),
            (["a", "-n", "A_B"], "'A_B' is no name of a namespace"),
            (["a", "--zone", "example.org"], "--zone: it takes --manifests or --kubeconfig"),
            (["a", "--manifests", "/nonexistent"], "/nonexistent: cannot be read: No such file or directory"),
            (["a", "--manifests", str(EXAMPLE), "--upstream", "what?"], "forward.upstreams: 'what?': "),
        ],
    )
    def test_wrong_use(self, arguments: list[str], complaint: str) -> None:
        ran = explain(*arguments)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.startswith(f"clusterdns: {complaint}")
        assert ran.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def of_workers(folder: Path, upstream: Faulty) -> Iterator[Path]:
    admin = folder / "workers.sock"
    settings = ("--manifests", EXAMPLE, "--upstream", f"{upstream.address}:{upstream.port}", "--workers", "2")
    serving = Serving(folder / "workers.log", *settings, "--admin", admin)
    try:
        yield admin
        assert serving.stop() == 0
        assert "Traceback" not in serving.log, serving.log
    finally:
        serving.kill()


class TestOfWorkers:
    """The parent answers no queries, and so asks one who does."""

    def test_a_name_of_the_cluster(self, of_workers: Path) -> None:
        ran = explain("alpaca-prd.default.svc.cluster.local.", "--admin", of_workers)
        _, cause, first, *_, data = ran.stdout.splitlines()
        assert cause == "  no Service 'alpaca-prd' in namespace default: did you mean alpaca-prod?"
        assert first.endswith("NXDOMAIN: no Service 'alpaca-prd' in namespace default")
        assert data.startswith("data:  manifests, as of ")

    def test_a_name_of_others(self, of_workers: Path, upstream: Faulty) -> None:
        ran = explain("www.example.net", "A", "--admin", of_workers)
        assert f"none of our names; upstream {upstream.address}:{upstream.port} has the answer\n" in ran.stdout
        assert ran.returncode == 0


@pytest.fixture(scope="module")
def config(folder: Path) -> Iterator[Path]:
    with Process() as api:
        waiting = pod("db-0", "10.0.1.1")
        waiting["metadata"]["labels"] = {"app": "db"}
        waiting["status"] = {
            "phase": "Running",
            "podIP": "10.0.1.1",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
        }
        slice_ = slice_of("db", "10.0.1.1")
        slice_["endpoints"] = [
            {
                "addresses": ["10.0.1.1"],
                "conditions": {"ready": False},
                "targetRef": {"kind": "Pod", "name": "db-0"},
            }
        ]
        unselected = headless("web")
        unselected["spec"]["selector"] = {"app": "bd"}
        api.call("put", namespace("demo"), headless("db"), slice_, unselected, waiting)
        yield kubeconfig(folder / "kubeconfig", api.url)


class TestOfACluster:
    def test_the_pods_tell_why(self, config: Path) -> None:
        story = explain("db.demo", "A", "--kubeconfig", config, "--upstream", "none").stdout
        assert "headless; 1 endpoint, not ready: pod db-0 not ready for " in story
        assert " d (container main: CrashLoopBackOff)\n" in story

    def test_a_selector_is_held_against_them(self, config: Path) -> None:
        story = explain("web.demo", "A", "--kubeconfig", config, "--upstream", "none").stdout
        assert "its selector app=bd matches none of 1 pod in namespace demo: did you mean app=db?" in story

    def test_one_that_is_not_there(self, folder: Path) -> None:
        config = kubeconfig(folder / "nowhere", "https://127.0.0.1:1")
        ran = explain("db.demo", "--kubeconfig", config, "--upstream", "none")
        assert (ran.returncode, ran.stdout) == (3, "")
        assert ran.stderr.startswith("clusterdns: the API server gives no answer: ")
