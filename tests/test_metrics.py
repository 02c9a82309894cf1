"""The metrics, read as Prometheus reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clusterdns import __version__
from clusterdns.app import Answering
from clusterdns.app.front import Front
from clusterdns.app.listeners import Listeners
from clusterdns.app.views import build_views
from clusterdns.cache import Counts
from clusterdns.config import Config, Forward, Hosts
from clusterdns.durations import Durations
from clusterdns.forward import Tally
from clusterdns.metrics import CacheState, Metrics, Readings, UpstreamState, Watch
from clusterdns.server import Limits
from clusterdns.sources.cluster import Access, Cluster, Selection
from clusterdns.sources.manifests import Manifests
from tests.apiserver import ApiServer, until
from tests.followed import PATIENCE, Followed, namespace, service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clusterdns.index import Index

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: bytes) -> Samples:
    families = text_string_to_metric_families(text.decode())
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


def labelled(found: Samples, name: str) -> Mapping[tuple[str, ...], float]:
    return {tuple(value for _, value in labels): number for (each, labels), number in found.items() if each == name}


def read(readings: Readings) -> Samples:
    return samples(Metrics(readings).text())


def answering(**settings: Any) -> Answering:
    """A block that asks nobody."""
    config = Config(forward=Forward(resolv_conf=""), **settings)
    return Answering(config, config, 10)


class Shown(NamedTuple):
    answering: list[Answering]
    source: Manifests | Cluster
    listeners: Listeners = Listeners(lambda _: None)
    fault: str = ""
    faults: int = 0
    reloads: int = 0
    reloads_failed: int = 0
    is_leaving: bool = False
    log_lines_dropped: int = 0


class TestWhatIsShown:
    def test_what_runs(self) -> None:
        found = read(Readings(dict))
        assert labelled(found, "clusterdns_build_info") == {(__version__,): 1}
        assert labelled(found, "coredns_build_info") == {("", "", __version__): 1}
        assert found["process_resident_memory_bytes", ()] > 1e6

    def test_lines_of_the_query_log_that_were_lost(self) -> None:
        assert read(Readings(dict, log_lines_dropped=lambda: 412))["clusterdns_query_log_dropped_total", ()] == 412

    def test_objects(self) -> None:
        found = read(Readings(lambda: {"Service": 3, "Pod": 0}))
        assert labelled(found, "clusterdns_objects") == {("Service",): 3, ("Pod",): 0}

    def test_watches(self) -> None:
        watches = [Watch("services", 1.5, 60.0, 4, 2), Watch("pods", None, None, 1, 0)]
        found = read(Readings(dict, watches=lambda: watches))
        assert labelled(found, "clusterdns_watch_age_seconds") == {("services",): 1.5}
        assert labelled(found, "clusterdns_watch_list_age_seconds") == {("services",): 60}
        assert labelled(found, "clusterdns_watch_restarts_total") == {("services",): 4, ("pods",): 1}
        assert labelled(found, "clusterdns_watch_differences_total") == {("services",): 2, ("pods",): 0}

    def test_durations(self) -> None:
        durations = Durations(0.01, 0.1)
        for seconds in (0.001, 0.01, 0.05, 3):
            durations.observe(seconds)
        found = read(Readings(dict, propagation=lambda: durations, programming=lambda: durations))
        assert labelled(found, "clusterdns_propagation_seconds_bucket") == {("0.01",): 2, ("0.1",): 3, ("+Inf",): 4}
        assert labelled(found, "clusterdns_propagation_seconds_count") == {(): 4}
        assert labelled(found, "clusterdns_propagation_seconds_sum") == {(): pytest.approx(3.061)}

    def test_under_the_name_that_dashboards_know(self) -> None:
        """CoreDNS's, with its label."""
        durations = Durations(0.01)
        durations.observe(0.001)
        found = read(Readings(dict, programming=lambda: durations))
        name = "coredns_kubernetes_dns_programming_duration_seconds_count"
        assert found[name, (("service_kind", "headless_with_selector"),)] == 1

    def test_the_cache(self) -> None:
        counts = Counts(
            hits=10, denial_hits=3, misses=4, evictions=9, denial_evictions=2, stale=6, prefetched=7, rejected=8
        )
        state = CacheState("b", "dns://:53", "", ".", entries=5, denials=2, bytes=900, waiting=1, counts=counts)
        found = read(Readings(dict, caches=lambda: [state]))
        block = (("block", "b"),)
        gauges = ("cache_entries", "cache_bytes", "upstream_waiting")
        assert [found[f"clusterdns_{each}", block] for each in gauges] == [5, 900, 1]
        counters = ("hits", "misses", "evictions", "stale", "prefetches")
        assert [found[f"clusterdns_cache_{each}_total", block] for each in counters] == [10, 4, 9, 6, 7]
        assert found["clusterdns_upstream_rejects_total", block] == 8

        success, denial, both = (
            ("dns://:53", "success", "", "."),
            ("dns://:53", "denial", "", "."),
            ("dns://:53", "", "."),
        )
        assert labelled(found, "coredns_cache_entries") == {success: 3, denial: 2}
        assert labelled(found, "coredns_cache_hits_total") == {success: 7, denial: 3}
        assert labelled(found, "coredns_cache_evictions_total") == {success: 7, denial: 2}
        assert labelled(found, "coredns_cache_requests_total") == {both: 14}
        assert labelled(found, "coredns_cache_misses_total") == {both: 4}
        assert labelled(found, "coredns_cache_prefetch_total") == {both: 7}
        assert labelled(found, "coredns_cache_served_stale_total") == {both: 6}
        assert found["coredns_forward_max_concurrent_rejects_total", ()] == 8

    def test_upstreams(self) -> None:
        tally, idle = Tally(), Tally()
        tally.failed, tally.probes_failed = 3, 2
        tally.note_response(0, 0.5)
        tally.note_response(5, 0.002)
        well = UpstreamState(
            "b", "tls://192.0.2.1:853#x", ".", "192.0.2.1:853", is_usable=True, is_looping=False, tally=tally
        )
        loops = UpstreamState("b", "192.0.2.2:53", ".", "192.0.2.2:53", is_usable=False, is_looping=True, tally=idle)
        found = read(Readings(dict, upstreams=lambda: [well, loops], despairs=lambda: 11))
        one, two = ("b", "tls://192.0.2.1:853#x", "."), ("b", "192.0.2.2:53", ".")
        assert labelled(found, "clusterdns_upstream_usable") == {one: 1, two: 0}
        assert labelled(found, "clusterdns_upstream_looping") == {one: 0, two: 1}
        assert labelled(found, "clusterdns_upstream_failures_total") == {one: 3, two: 0}
        name = "clusterdns_upstream_duration_seconds_count"
        assert labelled(found, name) == {("b", rcode, *one[1:]): 1 for rcode in ("NOERROR", "REFUSED")}

        responses = labelled(found, "coredns_proxy_request_duration_seconds_count")
        assert {key: value for key, value in responses.items() if value} == {
            ("forward", "NOERROR", "192.0.2.1:853"): 1,
            ("forward", "REFUSED", "192.0.2.1:853"): 1,
        }
        assert responses["forward", "SERVFAIL", "192.0.2.2:53"] == 0
        took = labelled(found, "coredns_proxy_request_duration_seconds_sum")
        assert took["forward", "NOERROR", "192.0.2.1:853"] == 0.5
        name = "coredns_proxy_healthcheck_failures_total"
        assert labelled(found, name) == {("forward", "192.0.2.1:853"): 2, ("forward", "192.0.2.2:53"): 0}
        assert found["coredns_forward_healthcheck_broken_total", ()] == 11

        assert labelled(found, "coredns_forward_requests_total") == {("192.0.2.1:853",): 2, ("192.0.2.2:53",): 0}
        assert labelled(found, "coredns_forward_responses_total")["REFUSED", "192.0.2.1:853"] == 1
        assert labelled(found, "coredns_forward_request_duration_seconds_sum")["NOERROR", "192.0.2.1:853"] == 0.5
        assert labelled(found, "coredns_forward_healthcheck_failures_total")["192.0.2.1:853",] == 2

    def test_upstreams_of_several_blocks_are_one_to_dashboards(self) -> None:
        tallies = [Tally(), Tally()]
        for each in tallies:
            each.note_response(0, 0.5)
        states = [
            UpstreamState(block, "192.0.2.1:53", ".", "192.0.2.1:53", is_usable=True, is_looping=False, tally=tally)
            for block, tally in zip("bc", tallies, strict=True)
        ]
        found = read(Readings(dict, upstreams=lambda: states))
        assert labelled(found, "coredns_forward_requests_total") == {("192.0.2.1:53",): 2}

    def test_the_configuration(self) -> None:
        found = read(Readings(dict, reloads=lambda: 3, reloads_failed=lambda: 2, is_outdated=lambda: True))
        assert found["clusterdns_reloads_total", ()] == 3
        assert found["coredns_reload_failed_total", ()] == 2
        assert found["clusterdns_configuration_in_effect", ()] == 0
        assert read(Readings(dict))["clusterdns_configuration_in_effect", ()] == 1

    def test_faults(self) -> None:
        assert read(Readings(dict, faults=lambda: 2))["coredns_panics_total", ()] == 2

    def test_numbers_are_read_when_asked_for(self) -> None:
        counts = {"Service": 1}
        metrics = Metrics(Readings(lambda: counts))
        assert labelled(samples(metrics.text()), "clusterdns_objects") == {("Service",): 1}
        counts["Service"] = 2
        assert labelled(samples(metrics.text()), "clusterdns_objects") == {("Service",): 2}


class TestWhatIsCounted:
    def test_says_what_is_at_work(self) -> None:
        block = answering(listen=("0.0.0.0:53",), hosts=Hosts(entries=("192.0.2.9 nas.example",)))
        found = samples(build_views(Shown([block], Manifests([], ("10.96.0.0/16",))))._metrics())
        at_work = labelled(found, "coredns_plugin_enabled")
        assert set(at_work) == {
            (name, "dns://:53", "", ".")
            for name in ("cache", "errors", "hosts", "kubernetes", "loadbalance", "prometheus")
        }

    @pytest.mark.parametrize("counts", [True, False])
    def test_is_nothing_where_nobody_looks(self, *, counts: bool) -> None:
        """Whoever does not ask for numbers does not pay for them."""
        listeners = Listeners(lambda _: None)
        listeners.prepared([answering()], Limits(), Front(Config()), counts=counts)
        assert bool(listeners.traffic.tallies) == counts

    @pytest.mark.parametrize(
        ("listen", "server"),
        [
            ("0.0.0.0:53", "dns://:53"),
            ("[::]:53", "dns://:53"),
            ("192.0.2.1", "dns://192.0.2.1:53"),
            ("[2001:db8::1]:5353", "dns://[2001:db8::1]:5353"),
        ],
    )
    def test_has_the_address_as_coredns_writes_it(self, listen: str, server: str) -> None:
        block = answering(listen=(listen,))
        listeners = Listeners(lambda _: None)
        listeners.prepared([block], Limits(), Front(Config()), counts=True)
        found = samples(build_views(Shown([block], Manifests([], ("10.96.0.0/16",)), listeners))._metrics())
        servers = {dict(labels)["server"] for name, labels in found if name == "coredns_dns_do_requests_total"}
        assert servers == {server}
        servers = {dict(labels)["server"] for name, labels in found if name == "coredns_cache_entries"}
        assert servers == {server}


class TestOfACluster:
    @staticmethod
    def following(index: Index) -> Answering:
        made = answering()
        made.index = index
        return made

    async def test_each_watch_has_its_age(self) -> None:
        async with ApiServer(bookmark_interval=0.1) as api:
            api.put(namespace("demo"), service("web"))
            async with Followed(api) as followed:
                await followed.agrees()
                views = build_views(Shown([self.following(followed.index)], followed.cluster))
                found = samples(views._metrics())
                resources = {("namespaces",), ("services",), ("endpointslices.discovery.k8s.io",)}
                ages = labelled(found, "clusterdns_watch_age_seconds")
                assert set(ages) == set(labelled(found, "clusterdns_watch_list_age_seconds")) == resources
                assert all(0 <= each < 5 for each in ages.values())
                assert labelled(found, "clusterdns_objects")["Service",] == 1
                api.hush()
                before = labelled(samples(views._metrics()), "clusterdns_watch_age_seconds")["services",]
                await until(
                    lambda: (
                        labelled(samples(views._metrics()), "clusterdns_watch_age_seconds")["services",] > before + 0.2
                    )
                )
                api.put(service("new"))
                api.speak()
                await followed.agrees()
                await until(
                    lambda: labelled(samples(views._metrics()), "clusterdns_propagation_seconds_count")[()] == 1
                )

    def test_before_anything_was_heard_there_is_none(self) -> None:
        cluster = Cluster(Access("http://127.0.0.1:1"), Selection(), PATIENCE)
        found = samples(build_views(Shown([answering()], cluster))._metrics())
        assert not labelled(found, "clusterdns_watch_age_seconds")
        assert set(labelled(found, "clusterdns_watch_restarts_total").values()) == {0}


def test_manifests_have_no_watches() -> None:
    found = samples(build_views(Shown([answering()], Manifests([], ("10.96.0.0/16",))))._metrics())
    assert labelled(found, "clusterdns_objects")["Service",] == 0
    assert not [name for name, _ in found if name.startswith(("clusterdns_watch", "clusterdns_propagation"))]
