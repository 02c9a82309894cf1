"""What /metrics says after known queries, and what dashboards and alerts make of it."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import dns.message
import dns.rcode
import pytest
import yaml
from forwarding import kept
from prometheus_client.parser import text_string_to_metric_families
from serving import EXAMPLE, REPOSITORY, dig, eventually, free_port, has_ipv6, program, run

from tests.apiserver import Process
from tests.followed import headless, namespace, service, slice_of
from tests.upstreams import Faulty, ask
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from serving import Serving

    from tests.upstreams.faulty import Query, Say

MONITORING = REPOSITORY / "config" / "monitoring"
WEB, MISSING = "web.demo.svc.cluster.local", "www.example.com.demo.svc.cluster.local"

Labels = dict[str, str]


class Sample(NamedTuple):
    name: str
    labels: Labels
    value: float


def upstream() -> Callable[[Query], Iterator[Say]]:
    there = says("{name} 300 IN A 192.0.2.1")
    missing = says(authority="example. 300 IN SOA ns.example. h.example. 1 2 3 4 300", rcode="NXDOMAIN")
    refusing = says(rcode="REFUSED")

    def behaviour(query: Query) -> Iterator[Say]:
        chosen = refusing if "refused" in query.name else missing if "none" in query.name else there
        yield from chosen(query)

    return behaviour


class Monitored:
    """A server that follows an API server, forwards to one upstream, and has been asked what `asked` says."""

    def __init__(
        self, serve: Callable[..., Serving], folder: Path, api: Process, forwards_to: Faulty, **forward: Any
    ) -> None:
        self.http = f"127.0.0.1:{free_port()}"
        self.file = folder / "clusterdns.yaml"
        self.settings: dict[str, Any] = {
            "api-server": api.url,
            "forward": {"upstreams": [str(forwards_to)], **forward},
            "hosts": {"entries": ["192.0.2.9 nas.example"]},
            "template": [{"qtype": 1, "zones": ["made.example"], "answer": ["{{ .Name }} 60 IN A 192.0.2.8"]}],
            "acl": [{"zones": ["secret.example"], "policies": [{"action": "block"}]}],
            "http": [self.http],
        }
        self.write()
        self.upstream = str(forwards_to)
        listen = ["127.0.0.1:0", "[::1]:0"] if has_ipv6() else ["127.0.0.1:0"]
        self.server = serve("--config", self.file, listen=listen)
        eventually(lambda: "ready after" in self.server.log, "ready")

    def write(self, **settings: Any) -> None:
        self.file.write_text(yaml.safe_dump(self.settings | settings))

    @property
    def dns(self) -> str:
        return f"dns://127.0.0.1:{self.server.port}"

    def ask(self, name: str, rtype: str = "A", **options: Any) -> dns.message.Message:
        return ask(self.server.addresses[0], name, rtype, **options)

    def ready(self) -> tuple[int, str]:
        with urllib.request.urlopen(f"http://{self.http}/ready") as response:
            return response.status, response.read().decode()

    def samples(self) -> list[Sample]:
        with urllib.request.urlopen(f"http://{self.http}/metrics") as response:
            families = text_string_to_metric_families(response.read().decode())
        return [Sample(each.name, each.labels, each.value) for family in families for each in family.samples]


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    folder = tmp_path_factory.mktemp("monitored")
    with Process("--bookmark-interval", 1) as api, Faulty(upstream()) as forwards_to, kept(folder) as serve:
        api.call("put", namespace("demo"), service("web", clusterIP="10.96.7.7"), headless("db"))
        it = Monitored(serve, folder, api, forwards_to)
        ask_all(it)
        changed = {"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}}
        api.call("put", slice_of("db", "10.0.1.1", metadata=changed))
        eventually(lambda: value(it.samples(), "clusterdns_propagation_seconds_count") > 0, "a change is seen")
        yield it


def ask_all(it: Monitored) -> None:
    for _ in range(4):
        it.ask(WEB)
    it.ask(WEB, want_dnssec=True)
    it.ask(WEB, "AAAA", use_edns=0)
    it.ask(WEB, tcp=True)
    it.ask(WEB, "SVCB")
    it.ask(MISSING)
    it.ask("nas.example")
    it.ask("a.made.example")
    it.ask("a.secret.example")
    it.ask("www.example")
    it.ask("www.example")
    it.ask("www.example")
    it.ask("none.example")
    it.ask("none.example")
    it.ask("refused.example")
    if has_ipv6():
        dig("@::1", "-p", it.server.addresses[1][1], WEB, "PTR")


@pytest.fixture(scope="module")
def found(monitored: Monitored) -> list[Sample]:
    return monitored.samples()


def value(samples: Iterable[Sample], name: str, **labels: str) -> float:
    """The sum of all series with these labels."""
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


def by(samples: Iterable[Sample], name: str, labels: str, **given: str) -> dict[tuple[str, ...], float]:
    """What is not zero."""
    return {
        tuple(each.labels[label] for label in labels.split()): each.value
        for each in samples
        if each.name == name and given.items() <= each.labels.items() and each.value
    }


class TestUnderTheNamesOfCoreDNS:
    def test_queries(self, monitored: Monitored, found: list[Sample]) -> None:
        at = {"server": monitored.dns, "zone": ".", "view": ""}
        assert by(found, "coredns_dns_requests_total", "proto family type", **at) == {
            ("udp", "1", "A"): 15,
            ("udp", "1", "AAAA"): 1,
            ("udp", "1", "other"): 1,
            ("tcp", "1", "A"): 1,
        }
        assert value(found, "coredns_dns_do_requests_total", **at) == 1

    @pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
    def test_queries_over_ipv6(self, monitored: Monitored, found: list[Sample]) -> None:
        port = monitored.server.addresses[1][1]
        expected = {("udp", "2", "PTR"): 1}
        assert by(found, "coredns_dns_requests_total", "proto family type", server=f"dns://[::1]:{port}") == expected

    def test_responses(self, monitored: Monitored, found: list[Sample]) -> None:
        assert by(found, "coredns_dns_responses_total", "rcode plugin", server=monitored.dns, zone=".", view="") == {
            ("NOERROR", "kubernetes"): 8,
            ("NXDOMAIN", "kubernetes"): 1,
            ("NOERROR", "hosts"): 1,
            ("NOERROR", "template"): 1,
            ("REFUSED", "acl"): 1,
            ("NOERROR", "forward"): 1,
            ("NOERROR", "cache"): 2,
            ("NXDOMAIN", "forward"): 1,
            ("NXDOMAIN", "cache"): 1,
            ("REFUSED", "forward"): 1,
        }

    def test_sizes(self, monitored: Monitored, found: list[Sample]) -> None:
        query = dns.message.make_query(WEB, "A")
        at = {"server": monitored.dns, "zone": ".", "proto": "tcp"}
        assert value(found, "coredns_dns_request_size_bytes_sum", **at) == len(query.to_wire())
        reply = len(monitored.ask(WEB, tcp=True).to_wire())
        assert value(found, "coredns_dns_response_size_bytes_sum", **at) == pytest.approx(reply, abs=20)
        bounds = [each.labels["le"] for each in found if each.name == "coredns_dns_request_size_bytes_bucket"][:15]
        assert " ".join(bounds) == "0 100 200 300 400 511 1023 2047 4095 8291 16000 32000 48000 64000 +Inf"
        assert value(found, "coredns_dns_request_size_bytes_count", server=monitored.dns, proto="udp") == 17

    def test_durations(self, monitored: Monitored, found: list[Sample]) -> None:
        at = {"server": monitored.dns, "zone": ".", "view": ""}
        assert value(found, "coredns_dns_request_duration_seconds_count", **at) == 18
        assert 0 < value(found, "coredns_dns_request_duration_seconds_sum", **at) < 5
        buckets = [each for each in found if each.name == "coredns_dns_request_duration_seconds_bucket"]
        bounds = [float(each.labels["le"]) for each in buckets if at.items() <= each.labels.items()]
        assert bounds == [*(0.00025 * 2**power for power in range(16)), float("inf")]

    def test_the_cache(self, monitored: Monitored, found: list[Sample]) -> None:
        at = {"server": monitored.dns, "zones": ".", "view": ""}
        assert by(found, "coredns_cache_hits_total", "type", **at) == {("success",): 2, ("denial",): 1}
        assert by(found, "coredns_cache_entries", "type", **at) == {("success",): 1, ("denial",): 2}
        assert value(found, "coredns_cache_misses_total", **at) == 3
        assert value(found, "coredns_cache_requests_total", **at) == 6

    def test_upstreams(self, monitored: Monitored, found: list[Sample]) -> None:
        """Probes are not counted among the questions."""
        expected = {("NOERROR",): 1, ("NXDOMAIN",): 1, ("REFUSED",): 1}
        to = {"proxy_name": "forward", "to": monitored.upstream}
        assert by(found, "coredns_proxy_request_duration_seconds_count", "rcode", **to) == expected
        assert by(found, "coredns_forward_responses_total", "rcode", to=monitored.upstream) == expected
        assert value(found, "coredns_forward_requests_total", to=monitored.upstream) == 3

    def test_the_cluster(self, found: list[Sample]) -> None:
        name = "coredns_kubernetes_dns_programming_duration_seconds"
        assert value(found, f"{name}_count", service_kind="headless_with_selector") == 1
        bounds = [float(each.labels["le"]) for each in found if each.name == f"{name}_bucket"]
        assert bounds == [*(0.001 * 2**power for power in range(20)), float("inf")]

    def test_what_there_is_none_of_yet(self, monitored: Monitored, found: list[Sample]) -> None:
        """A rate can only be had of what began with zero."""
        zeros = [(each.name, each.labels.get("to")) for each in found if each.value == 0]
        for name in (
            "coredns_panics_total",
            "coredns_reload_failed_total",
            "coredns_forward_max_concurrent_rejects_total",
            "coredns_forward_healthcheck_broken_total",
        ):
            assert (name, None) in zeros
        assert ("coredns_proxy_healthcheck_failures_total", monitored.upstream) in zeros

    def test_there_is_nothing_of_what_can_not_happen(self, found: list[Sample]) -> None:
        assert not [each for each in found if each.labels.get("zone") == "dropped"]


class TestUnderNamesOfOurs:
    def test_answers(self, found: list[Sample]) -> None:
        ways = by(found, "clusterdns_answers_total", "way", zone=".")
        assert ways["late",] == 3
        assert ways["around",] == 2
        assert ways["fast",] >= 4
        assert sum(ways.values()) == 18 + has_ipv6()

    def test_names_that_are_missing(self, found: list[Sample]) -> None:
        assert by(found, "clusterdns_nxdomain_total", "zone reason") == {(".", "service"): 1}

    def test_nothing_is_in_flight(self, found: list[Sample]) -> None:
        assert value(found, "clusterdns_queries_in_flight") == 0

    def test_the_index(self, found: list[Sample]) -> None:
        assert by(found, "clusterdns_objects", "kind")["Service",] == 2
        assert value(found, "clusterdns_index_names", block=".") > 10

    def test_watches(self, found: list[Sample]) -> None:
        ages = [each for each in found if each.name == "clusterdns_watch_age_seconds"]
        assert len(ages) == 3
        assert all(0 <= each.value < 60 for each in ages)


# What dashboards and alerts ask for

KNOWN_QUERIES = {
    "kube-prometheus-stack": """
        coredns_dns_requests_total{} proto
        coredns_dns_requests_total{} type
        coredns_dns_requests_total{} zone
        coredns_dns_do_requests_total{}
        coredns_dns_request_size_bytes_bucket{proto="udp"} le proto
        coredns_dns_request_size_bytes_bucket{proto="tcp"} le proto
        coredns_dns_responses_total{} rcode
        coredns_dns_request_duration_seconds_bucket{} le
        coredns_dns_response_size_bytes_bucket{proto="udp"} le proto
        coredns_dns_response_size_bytes_bucket{proto="tcp"} le proto
        coredns_cache_entries{} type
        coredns_cache_hits_total{} type
        coredns_cache_misses_total{}
    """,
    "15762": """
        coredns_build_info{}
        process_cpu_seconds_total{}
        process_resident_memory_bytes{}
        coredns_dns_requests_total{proto="udp"} proto
        coredns_dns_requests_total{proto="tcp"} proto
        coredns_dns_request_size_bytes_sum{proto="udp"} proto
        coredns_dns_request_size_bytes_sum{proto="tcp"} proto
        coredns_dns_requests_total{} type
        coredns_dns_responses_total{} rcode
        coredns_forward_requests_total{}
        coredns_forward_responses_total{rcode="REFUSED"} rcode
        coredns_cache_hits_total{} type
        coredns_cache_misses_total{}
        coredns_cache_entries{} type
        coredns_dns_request_duration_seconds_bucket{} le
        coredns_dns_request_size_bytes_bucket{} le
        coredns_dns_response_size_bytes_bucket{} le
    """,
    "coredns-mixin": """
        coredns_build_info{}
        coredns_plugin_enabled{} server zone view name
        coredns_kubernetes_dns_programming_duration_seconds_bucket{} service_kind le
        coredns_dns_request_size_bytes_bucket{} server zone proto le
        coredns_dns_response_size_bytes_bucket{} server zone proto le
        coredns_dns_responses_total{} rcode
        coredns_forward_requests_total{} to
        coredns_forward_responses_total{} rcode
        coredns_dns_request_duration_seconds_bucket{} server zone le
        coredns_dns_responses_total{}
        coredns_forward_request_duration_seconds_bucket{} to le
        coredns_forward_responses_total{rcode="REFUSED"}
        coredns_proxy_request_duration_seconds_bucket{} to le
    """,
}
"""What these ask for, after whose traffic it is not zero: labels to choose by, and labels to sum by.

What only moves while an upstream is down is in TestOutage. There can be no `go_goroutines`, which coredns-mixin shows.
"""


@pytest.mark.parametrize(
    ("dashboard", "query"),
    [(name, line.strip()) for name, lines in KNOWN_QUERIES.items() for line in lines.strip().splitlines()],
)
def test_what_known_dashboards_ask_for_is_there(dashboard: str, query: str, found: list[Sample]) -> None:
    name, chosen, summed = re.fullmatch(r"(\w+){(.*?)}(.*)", query).groups()  # type: ignore[union-attr]
    labels = dict(re.findall(r'(\w+)="(.*?)"', chosen))
    series = [each for each in found if each.name == name and labels.items() <= each.labels.items()]
    assert sum(each.value for each in series) > 0, dashboard
    assert all(set(summed.split()) <= each.labels.keys() for each in series)


class TestPrometheusItself:
    """It is not asked for much, so that it need not run: promtool reads as it does."""

    def test_reads_the_metrics(self, monitored: Monitored) -> None:
        with urllib.request.urlopen(f"http://{monitored.http}/metrics") as response:
            text = response.read()
        checked = subprocess.run(
            [program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")

    def test_reads_the_alerts(self) -> None:
        checked = run(program("promtool"), "check", "rules", MONITORING / "alerts.yaml")
        assert checked.returncode == 0, checked.stderr
        assert f"SUCCESS: {len(rules())} rules found" in checked.stdout

    def test_reads_what_the_dashboard_asks_for(self, tmp_path: Path) -> None:
        queries = [
            {"record": f"panel:{number}", "expr": target["expr"].replace("$__rate_interval", "5m")}
            for number, panel in enumerate(dashboard()["panels"])
            for target in panel.get("targets", ())
        ]
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": queries}]}))
        checked = run(program("promtool"), "check", "rules", "--lint=none", tmp_path / "rules.yaml")
        assert checked.returncode == 0, checked.stderr


SCRAPED = {"job", "instance"}
"""The labels that Prometheus adds."""


def dashboard() -> Any:
    return json.loads((MONITORING / "dashboard.json").read_text())


def rules() -> list[Any]:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


EXPRESSIONS = [
    *((panel["title"], target["expr"]) for panel in dashboard()["panels"] for target in panel.get("targets", ())),
    *((rule["alert"], rule["expr"]) for rule in rules()),
    *((each["name"], each["definition"]) for each in dashboard()["templating"]["list"] if each["type"] == "query"),
]


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
class TestOurDashboardAndAlerts:
    def test_each_name_is_exported_with_its_labels(self, title: str, expression: str, found: list[Sample]) -> None:
        selected = re.findall(r"\b((?:coredns|clusterdns|process)_\w+)(?:{(.*?)})?", expression)
        assert selected, title
        known: set[str] = set()
        for name, chosen in selected:
            series = [each.labels.keys() for each in found if each.name == name]
            assert series, f"{title}: {name}"
            known |= set(chain.from_iterable(series))
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", chosen)) <= known | SCRAPED, title
        for labels in re.findall(r"\b(?:by|ignoring) \((.*?)\)", expression):
            assert {each.strip() for each in labels.split(",")} <= known | SCRAPED, title

    def test_brackets_are_closed(self, title: str, expression: str) -> None:
        without_strings = re.sub(r'"[^"]*"', "", expression)
        for opened, closed in ("()", "{}", "[]"):
            assert without_strings.count(opened) == without_strings.count(closed), title


class TestDashboard:
    def test_each_panel_stands_in_a_place_of_its_own(self) -> None:
        panels = dashboard()["panels"]
        assert len({each["id"] for each in panels}) == len(panels)
        taken: set[tuple[int, int]] = set()
        for each in panels:
            place = each["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, each["title"]
            taken |= cells

    def test_the_data_source_is_a_variable(self) -> None:
        text = (MONITORING / "dashboard.json").read_text()
        assert set(re.findall(r'"uid": "(.*?)"', text)) == {"clusterdns", "${datasource}"}
        variables = dashboard()["templating"]["list"]
        assert [(each["name"], each["type"]) for each in variables] == [
            ("datasource", "datasource"),
            ("job", "query"),
            ("instance", "query"),
        ]
        assert set(re.findall(r"\$(\w+)", text)) <= {"job", "instance", "__rate_interval", "__all"}

    def test_each_panel_has_what_grafana_needs(self) -> None:
        assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= dashboard().keys()
        for each in dashboard()["panels"]:
            assert each["type"] in {"row", "stat", "timeseries", "heatmap"}
            if each["type"] != "row":
                assert each["datasource"]["type"] == "prometheus"
                assert [target["refId"] for target in each["targets"]] == list("ABCD"[: len(each["targets"])])
                assert "unit" in each["fieldConfig"]["defaults"] or each["type"] == "heatmap"


class TestAlerts:
    @pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
    def test_each_says_how_bad_it_is_and_what_to_do(self, rule: Any) -> None:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "0m"))


class TestReload:
    def test_goes_on_counting(self, monitored: Monitored) -> None:
        """Whatever of a block is made anew: its responder, its cache, its upstreams."""
        names = (
            "coredns_dns_requests_total", "coredns_cache_hits_total", "coredns_cache_misses_total",
            "coredns_forward_requests_total", "clusterdns_answers_total", "clusterdns_nxdomain_total",
        )  # fmt: skip
        before = {each: value(monitored.samples(), each) for each in names}
        reloads = value(monitored.samples(), "clusterdns_reloads_total")
        forward = monitored.settings["forward"] | {"seconds": 3.0}
        monitored.write(ttl=9, forward=forward, cache={"entries": 500})
        eventually(lambda: value(monitored.samples(), "clusterdns_reloads_total") > reloads, "a reload")
        assert {each: value(monitored.samples(), each) for each in names} == before
        monitored.ask("www.example")
        monitored.ask(MISSING)
        after = {each: value(monitored.samples(), each) - before[each] for each in names}
        assert list(after.values()) == [2, 0, 1, 1, 2, 1]

    def test_a_bad_one_is_told_of(self, monitored: Monitored) -> None:
        assert value(monitored.samples(), "clusterdns_configuration_in_effect") == 1
        monitored.file.write_text("ttl: never")
        eventually(lambda: value(monitored.samples(), "coredns_reload_failed_total") == 1, "it is read")
        assert value(monitored.samples(), "clusterdns_configuration_in_effect") == 0
        monitored.write()
        eventually(lambda: value(monitored.samples(), "clusterdns_configuration_in_effect") == 1, "a good one")


class TestOutage:
    """An upstream that is there no more, and then no API server either: cluster names go on, so it stays ready."""

    @pytest.fixture(scope="class")
    @staticmethod
    def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sample]]:
        folder = tmp_path_factory.mktemp("outage")
        with Process() as api, Faulty(says("{name} 1 IN A 192.0.2.1")) as forwards_to, kept(folder) as serve:
            it = Monitored(serve, folder, api, forwards_to, seconds=0.4, **{"try-seconds": 0.2})
            it.ask("www.example")
            forwards_to.stop()
            for name in ("a.example", "b.example", "c.example"):
                assert it.ask(name).rcode() == dns.rcode.SERVFAIL
            eventually(lambda: it.ask("www.example").answer[0].ttl == 30, "a stale answer")
            eventually(lambda: value(it.samples(), "coredns_proxy_healthcheck_failures_total") > 0, "a failed probe")
            found = it.samples()
            assert it.ready() == (200, "OK")
            api.kill()
            eventually(lambda: "services: " in it.server.log, "the API server is missed")
            assert it.ready() == (200, "OK")
            assert it.ask(WEB).rcode() == dns.rcode.NXDOMAIN
            yield found

    @pytest.mark.parametrize(
        "name",
        [
            "clusterdns_upstream_failures_total",
            "clusterdns_cache_stale_total",
            "coredns_cache_served_stale_total",
            "coredns_proxy_healthcheck_failures_total",
            "coredns_forward_healthcheck_failures_total",
            "coredns_forward_healthcheck_broken_total",
        ],
    )
    def test_is_counted(self, name: str, found: list[Sample]) -> None:
        assert value(found, name) > 0

    def test_is_shown(self, found: list[Sample]) -> None:
        assert value(found, "clusterdns_upstream_usable") == 0
        assert value(found, "coredns_dns_responses_total", rcode="SERVFAIL", plugin="forward") == 3


HOSTS_OF_ONE = {"entries": ["192.0.2.9 a.one.example"]}


class TestSeveralBlocks:
    @pytest.fixture(scope="class")
    @staticmethod
    def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sample]]:
        folder = tmp_path_factory.mktemp("blocks")
        http = f"127.0.0.1:{free_port()}"
        file = folder / "clusterdns.yaml"
        hosts = {"listen": ["127.0.0.1:0"], "cluster": False, "names": ["one.example"]}
        file.write_text(
            yaml.safe_dump(
                {
                    "http": [http],
                    "manifests": [str(EXAMPLE)],
                    "names": ["cluster.local"],
                    "forward": {"resolv-conf": ""},
                    "blocks": [
                        hosts | {"view": {"name": "tcp", "conditions": ["proto() == 'tcp'"]}, "hosts": HOSTS_OF_ONE},
                        hosts | {"hosts": HOSTS_OF_ONE},
                    ],
                }
            )
        )
        with kept(folder) as serve:
            server = serve("--config", file)
            for name in ("a.one.example", "b.other.example"):
                for tcp in (False, True):
                    ask(server.addresses[0], name, tcp=tcp)
            with urllib.request.urlopen(f"http://{http}/metrics") as response:
                families = text_string_to_metric_families(response.read().decode())
            yield [Sample(each.name, each.labels, each.value) for family in families for each in family.samples]

    def test_each_zone_and_view_is_counted_apart(self, samples: list[Sample]) -> None:
        assert by(samples, "coredns_dns_responses_total", "zone view rcode plugin") == {
            ("one.example.", "", "NOERROR", "hosts"): 1,
            ("one.example.", "tcp", "NOERROR", "hosts"): 1,
            ("dropped", "", "REFUSED", ""): 2,
        }
