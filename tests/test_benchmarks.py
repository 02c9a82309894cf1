"""The benchmark's own arithmetic, and that each server takes the settings that are written for it."""

from __future__ import annotations

import shutil
import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.budgets import Budget, budgets, verdicts
from tests.benchmarks.measuring import Run, Steady, write
from tests.benchmarks.report import Results, Start, matrix, queries, remarks, starts
from tests.benchmarks.rivals import RIVALS, Rival, Site, compiled
from tests.benchmarks.running import Failed, ask, free_port, is_right, serving
from tests.benchmarks.workloads import WORKLOADS, Question, found, make_cluster, objects

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER = make_cluster(20, 100)
TOLD = [each for each in RIVALS if not (each.is_live or each.is_floor)]


def run(cost: float, p999: float | None = None) -> Run:
    """One that costs so many microseconds a query."""
    steady = None if p999 is None else Steady(1000.0, 0, 0.1, 0.2, p999)
    return Run(cost, 1e6, 0, 2.0, frozenset({"NOERROR"}), steady)


@pytest.fixture
def results() -> Results:
    made = Results()
    for number, (floor, a, edns) in enumerate([(4.0, 8.0, 9.0), (8.0, 12.0, 18.0), (5.0, 10.0, 10.0)]):
        made.floors[number] = floor
        made.runs["clusterdns", "A"][number] = run(a)
        made.runs["clusterdns", "A, EDNS"][number] = run(edns)
        made.runs["CoreDNS, cache 30", "A"][number] = run(3 * a)
    made.runs["clusterdns", "mix"][0] = run(9.0, p999=5.5)
    made.starts["clusterdns"].append(Start(1.5, 90.0, 100.0))
    return made


class TestResults:
    def test_a_ratio_is_the_median_of_those_within_a_round(self, results: Results) -> None:
        assert results.over_floor("clusterdns", "A") == 2.0
        assert results.ratio(("clusterdns", "A, EDNS"), ("clusterdns", "A")) == 1.125

    def test_what_was_not_measured_is_none(self, results: Results) -> None:
        assert results.cost("NSD", "A") is None
        assert results.p999("clusterdns", "A") is None

    def test_tables_have_a_row_for_what_was_measured(self, results: Results) -> None:
        results.absent["NSD"] = "no nsd is installed"
        results.faults["unbound: it ended"] = None
        assert "| A | clusterdns | 10.00 | 8.00 to 12.00 | 2.00 | 500,000 | 0 |  |  |  |  |" in queries(results)
        assert (
            "| mix | clusterdns | 9.00 | 9.00 to 9.00 | 2.25 | 500,000 | 0 | 1,000 | 0.10 | 0.20 | 5.50 |"
            in queries(results)
        )
        assert matrix(results).splitlines()[2:] == [
            "| A | 10.0 | 30.0 |",
            "| A, EDNS | 10.0 | – |",
            "| mix | 9.0 | – |",
        ]
        assert "| clusterdns |  | 1.50 s | 90 MiB | 100 MiB |" in starts(results)
        assert remarks(results) == "Not measured: NSD (no nsd is installed).\n\n**Wrong:** unbound: it ended."


class TestBudgets:
    def test_are_kept_missed_or_not_measured(self, results: Results) -> None:
        verdict = {each.what: each.verdict for each in budgets(results, growth=1.2)}
        assert verdict["cluster A, over the floor"] == "kept"
        assert verdict["CoreDNS with cache 30, over ours, A"] == "**missed**"
        assert verdict["CoreDNS with kubeadm's newest Corefile, over ours, A"].startswith("not measured")
        assert verdict["A in a large cluster over a small one"] == "**missed**"
        assert verdict["p99.9 at half the load, mix"] == "**missed**"
        assert verdict["start to ready"] == "kept"

    def test_at_the_limit_is_kept(self) -> None:
        assert Budget("", 2, 2.0).verdict == Budget("", 2, 2.0, is_least=True).verdict == "kept"

    def test_are_a_table(self) -> None:
        text = verdicts([Budget("a", 3.5, 4.0, is_least=True), Budget("b", 5, None, "ms")])
        kept, unknown = text.splitlines()[2:]
        assert kept == "| a | least 3.5 × | 4.00 × | kept |"
        assert unknown.startswith("| b | most 5 ms |  | not measured, since")

    def test_coredns_is_the_limit_of_memory_where_it_is_measured(self, results: Results) -> None:
        results.starts["CoreDNS, cache 30"].append(Start(3.0, 80.0, 90.0))
        verdict = {each.what: each.verdict for each in budgets(results, growth=None)}
        assert verdict["peak memory"] == "kept"
        assert verdict["peak memory, CoreDNS's being the limit"] == "**missed**"


class TestServers:
    @pytest.mark.parametrize("rival", TOLD, ids=lambda each: each.name)
    def test_answer_each_workload_rightly(self, tmp_path: Path, rival: Rival) -> None:
        """With the settings that are written for them."""
        path = rival.path()
        if path is None:
            pytest.skip(f"no {rival.program} is installed")
        site = Site(tmp_path, free_port(), free_port(), CLUSTER, "")
        command = [path, *rival.command(site)[1:]]
        with serving(command, site.port, [0], tmp_path / "log", found(CLUSTER)) as running:
            for workload in WORKLOADS:
                if not (workload.forwards or workload.tcp):
                    question = workload.ask(CLUSTER, Random(1))
                    assert is_right(ask(site.port, question, edns=workload.edns), question), workload.name
            assert running.cpu() >= 0
            assert running.peak_memory() > 1
            assert running.memory() > 1

    def test_one_that_does_not_start_says_why(self, tmp_path: Path) -> None:
        with (
            pytest.raises(Failed, match=r"ended with 3 to a\.test A .*: out of luck"),
            serving(
                ["sh", "-c", "echo out of luck; exit 3"], free_port(), [0], tmp_path / "log", [Question("a.test", "A")]
            ),
        ):
            pass


class TestTheClientThatTimes:
    @pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
    def test_tells_what_was_sent_answered_and_how_long_it_took(self, tmp_path: Path) -> None:
        asked = write(WORKLOADS[0], [WORKLOADS[0].ask(CLUSTER, Random(1)) for _ in range(9)], tmp_path)
        port = free_port()
        with serving([str(compiled("echo.c", tmp_path)), str(port)], port, [0], tmp_path / "log", []):
            while not ask(port, Question("a.test", "A"), timeout=0.1):
                pass
            command = [str(compiled("latency.c", tmp_path)), str(port), "500", "0.4", str(asked.for_latency)]
            sent, answered, *times = map(int, subprocess.check_output(command, text=True).split())
        assert sent == answered == 200
        assert len(times) == 4
        assert times == sorted(times)

    @pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
    def test_counts_what_is_lost(self, tmp_path: Path) -> None:
        asked = write(WORKLOADS[0], [WORKLOADS[0].ask(CLUSTER, Random(1))], tmp_path)
        command = [str(compiled("latency.c", tmp_path)), str(free_port()), "100", "0.1", str(asked.for_latency)]
        answered = int(subprocess.check_output(command, text=True).split()[1])
        assert answered == 0


def test_the_cluster_is_told_to_the_api_server_whole() -> None:
    kinds = [each["kind"] for each in objects(CLUSTER)]
    assert kinds.count("Service") == kinds.count("EndpointSlice") == 21
    assert sum(len(each["endpoints"]) for each in objects(CLUSTER) if each["kind"] == "EndpointSlice") == 350
