"""Which namespace a client is in: only where nobody else can be meant."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns import names
from clusterdns.events import Gone, Listed, Put
from clusterdns.index.clients import MOST_DEPARTURES, REUSE_SECONDS
from clusterdns.objects import Pod
from tests.cluster import make_index

ADDRESS, OTHER = "10.244.0.1", "10.244.0.2"


class Clock:
    """The seconds, as a test moves them on."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Cluster:
    """Pods that come and go, and the index that hears of them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.index = make_index(clock=self.clock)

    def put(self, name: str, namespace: str, *ips: str, phase: str = "Running", **fields: Any) -> None:
        self.index.apply([Put(pod(name, namespace, *ips, phase=phase, **fields))])

    def gone(self, name: str, namespace: str) -> None:
        self.index.apply([Gone(Pod, (namespace, name))])

    def of(self, address: str) -> str | None:
        packed = names.address(address)
        assert packed
        return self.index.namespace_of_client(packed)


def pod(name: str, namespace: str, *ips: str, phase: str = "Running", **fields: Any) -> Pod:
    metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
    status = {"phase": phase, "podIPs": [{"ip": each} for each in ips], **fields.pop("status", {})}
    return msgspec.convert({"metadata": metadata, "status": status, **fields}, Pod)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


class TestTheNamespace:
    def test_is_that_of_the_pod(self, cluster: Cluster) -> None:
        cluster.put("p", "shop", ADDRESS, "fd00::1")
        cluster.put("q", "bank", OTHER)
        assert [cluster.of(each) for each in (ADDRESS, "fd00::1", OTHER)] == ["shop", "shop", "bank"]

    def test_is_unknown_for_an_address_that_nobody_has(self, cluster: Cluster) -> None:
        cluster.put("p", "shop", ADDRESS)
        assert cluster.of(OTHER) is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"phase": "Succeeded"},
            {"phase": "Failed"},
            {"phase": "Unknown"},
            {"metadata": {"deletionTimestamp": "2026-11-22T18:33:23Z"}},
            {"spec": {"hostNetwork": True}},
            {"status": {"hostIP": ADDRESS}},
            {"status": {"hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}, {"ip": ADDRESS}]}},
        ],
        ids=str,
    )
    def test_is_unknown_of_a_pod_that(self, cluster: Cluster, fields: dict[str, Any]) -> None:
        cluster.put("p", "shop", ADDRESS, **fields)
        assert cluster.of(ADDRESS) is None

    def test_is_unknown_beside_a_pod_on_the_host_s_network(self, cluster: Cluster) -> None:
        cluster.put("p", "shop", ADDRESS)
        cluster.put("agent", "shop", ADDRESS, spec={"hostNetwork": True})
        assert cluster.of(ADDRESS) is None

    def test_is_that_of_all_the_pods_at_the_address(self, cluster: Cluster) -> None:
        for name in "pqr":
            cluster.put(name, "shop", ADDRESS)
        assert cluster.of(ADDRESS) == "shop"
        cluster.gone("p", "shop")
        assert cluster.of(ADDRESS) == "shop"

    def test_is_unknown_while_pods_of_two_have_the_address(self, cluster: Cluster) -> None:
        cluster.put("p", "shop", ADDRESS)
        cluster.put("p", "bank", ADDRESS)
        assert cluster.of(ADDRESS) is None
        cluster.gone("p", "bank")
        cluster.clock.now += REUSE_SECONDS
        assert cluster.of(ADDRESS) == "shop"


class TestReuse:
    """For a while a reused address belongs to nobody: the news may have come late, or the query."""

    def test_by_another_namespace_is_in_doubt_at_first(self, cluster: Cluster) -> None:
        cluster.put("p", "shop", ADDRESS)
        cluster.gone("p", "shop")
        cluster.put("q", "bank", ADDRESS)
        for seconds, expected in ((0, None), (REUSE_SECONDS - 1, None), (1, "bank"), (1000, "bank")):
            cluster.clock.now += seconds
            assert cluster.of(ADDRESS) == expected

    def test_by_the_same_namespace_is_not(self, cluster: Cluster) -> None:
        cluster.put("p", "shop", ADDRESS)
        cluster.gone("p", "shop")
        cluster.put("q", "shop", ADDRESS)
        assert cluster.of(ADDRESS) == "shop"

    def test_after_a_while_is_not(self, cluster: Cluster) -> None:
        cluster.put("p", "shop", ADDRESS)
        cluster.gone("p", "shop")
        cluster.clock.now += REUSE_SECONDS
        cluster.put("q", "bank", ADDRESS)
        assert cluster.of(ADDRESS) == "bank"

    def test_counts_every_former_holder(self, cluster: Cluster) -> None:
        """Not just the last one."""
        for namespace in ("shop", "bank"):
            cluster.put("p", namespace, ADDRESS)
            cluster.gone("p", namespace)
        cluster.put("q", "bank", ADDRESS)
        assert cluster.of(ADDRESS) is None
        cluster.clock.now += REUSE_SECONDS
        assert cluster.of(ADDRESS) == "bank"

    def test_counts_from_the_last_time(self, cluster: Cluster) -> None:
        for _ in range(2):
            cluster.put("p", "shop", ADDRESS)
            cluster.gone("p", "shop")
            cluster.clock.now += 20
        cluster.put("q", "bank", ADDRESS)
        cluster.put("other", "bank", OTHER)
        cluster.gone("other", "bank")
        assert cluster.of(ADDRESS) is None
        cluster.clock.now += REUSE_SECONDS - 20
        assert cluster.of(ADDRESS) == "bank"

    def test_counts_from_the_end_of_a_pod_that_was_long_in_going(self, cluster: Cluster) -> None:
        """It answers nobody any more, but it still has its address."""
        cluster.put("p", "shop", ADDRESS)
        cluster.put("p", "shop", ADDRESS, metadata={"deletionTimestamp": "2026-11-22T18:33:23Z"})
        cluster.clock.now += 10 * REUSE_SECONDS
        cluster.gone("p", "shop")
        cluster.put("q", "bank", ADDRESS)
        assert cluster.of(ADDRESS) is None

    def test_counts_from_the_completion_of_a_pod_that_stays_listed(self, cluster: Cluster) -> None:
        """A completed job has given its address back, though its status still shows it."""
        cluster.put("job", "shop", ADDRESS)
        cluster.put("job", "shop", ADDRESS, phase="Succeeded")
        cluster.clock.now += REUSE_SECONDS
        cluster.gone("job", "shop")
        cluster.put("q", "bank", ADDRESS)
        assert cluster.of(ADDRESS) == "bank"

    def test_also_after_a_list(self, cluster: Cluster) -> None:
        """As when a watch was interrupted."""
        cluster.index.apply([Listed(Pod, (pod("p", "shop", ADDRESS),))])
        cluster.index.apply([Listed(Pod, (pod("q", "bank", ADDRESS),))])
        assert cluster.of(ADDRESS) is None
        cluster.clock.now += REUSE_SECONDS
        assert cluster.of(ADDRESS) == "bank"

    def test_of_an_address_that_a_pod_changed_away_from(self, cluster: Cluster) -> None:
        cluster.put("p", "shop", ADDRESS)
        cluster.put("p", "shop", OTHER)
        cluster.put("q", "bank", ADDRESS)
        assert [cluster.of(ADDRESS), cluster.of(OTHER)] == [None, "shop"]

    def test_news_of_a_pod_that_stays_change_nothing(self, cluster: Cluster) -> None:
        cluster.put("p", "shop", ADDRESS, phase="Pending")
        cluster.put("p", "shop", ADDRESS, OTHER)
        assert [cluster.of(ADDRESS), cluster.of(OTHER)] == ["shop", "shop"]
        assert len(cluster.index._pod_addresses) == 2


class TestMemory:
    def test_of_departures_goes_when_their_time_is_over(self, cluster: Cluster) -> None:
        for number in range(100):
            cluster.put(f"p-{number}", "shop", f"10.244.1.{number}")
            cluster.gone(f"p-{number}", "shop")
        assert len(cluster.index._pod_addresses) == 100
        cluster.clock.now += REUSE_SECONDS
        cluster.put("p", "shop", ADDRESS)
        cluster.gone("p", "shop")
        assert len(cluster.index._pod_addresses) == 1

    def test_is_bounded_and_then_everything_is_in_doubt(self, cluster: Cluster) -> None:
        """More departures than can be remembered: none may be taken for never having been."""
        pods = [pod(f"p-{at}", "shop", f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}") for at in range(MOST_DEPARTURES)]
        cluster.index.apply([Listed(Pod, (*pods, pod("last", "shop", ADDRESS)))])
        cluster.index.apply([Listed(Pod, (pod("q", "bank", ADDRESS), pod("r", "bank", "10.0.0.1")))])
        assert len(cluster.index._pod_addresses) < 100
        assert [cluster.of(ADDRESS), cluster.of("10.0.0.1")] == [None, None]
        cluster.clock.now += REUSE_SECONDS
        assert [cluster.of(ADDRESS), cluster.of("10.0.0.1")] == ["bank", "bank"]


NAMESPACES, NAMES, ADDRESSES = ("shop", "bank"), ("p", "q"), (ADDRESS, OTHER, "fd00::1")
CHANGES = st.tuples(
    st.sampled_from([0, 7, REUSE_SECONDS]),
    st.sampled_from(NAMES),
    st.sampled_from(NAMESPACES),
    st.none() | st.tuples(st.booleans(), st.lists(st.sampled_from(ADDRESSES), max_size=2)),
)


@given(st.lists(CHANGES, max_size=30))
def test_any_changes(changes: list[tuple[float, str, str, tuple[bool, list[str]] | None]]) -> None:
    """Held against the whole history: who has the address, and who had it within the time."""
    cluster = Cluster()
    live: dict[tuple[str, str], tuple[bool, list[str]]] = {}
    had: dict[tuple[str, str], float] = {}
    for seconds, name, namespace, now in changes:
        cluster.clock.now += seconds
        _, before = live.pop((namespace, name), (False, []))
        had |= {(each, namespace): cluster.clock.now for each in before}
        if now is None:
            cluster.gone(name, namespace)
        else:
            is_on_host, ips = live[namespace, name] = now
            cluster.put(name, namespace, *ips, spec={"hostNetwork": is_on_host})
        for address in ADDRESSES:
            holders = {(of, on_host) for (of, _), (on_host, ips) in live.items() if address in ips}
            former = {
                of for (each, of), at in had.items() if each == address and cluster.clock.now - at < REUSE_SECONDS
            }
            expected = None
            if len(holders) == 1:
                ((of, is_on_host),) = holders
                expected = None if is_on_host or former - {of} else of
            assert cluster.of(address) == expected
