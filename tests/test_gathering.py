"""Which part of a cluster is served, and how what is heard of each kind becomes one stream."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from clusterdns import config, names
from clusterdns.answer import answer
from clusterdns.app import Answering, build_source
from clusterdns.config import Config
from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import EndpointSlice, Metadata, Namespace, Pod, Service
from clusterdns.records import Question, Type
from clusterdns.sources.cluster import Access, Cluster, Selection, details
from tests.apiserver import ApiServer, until
from tests.followed import PATIENCE, Followed, headless, namespace, pod, service, slice_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RESOURCES = {"namespaces", "services", "endpointslices"}


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    async with ApiServer(bookmark_interval=0.1) as server:
        server.put(namespace("demo", team="a"), namespace("other", team="b"))
        server.put(service("web"), service("web", "other"), headless("db"), headless("db", "other"))
        server.put(slice_of("db", "10.0.1.1"), slice_of("db", "10.0.2.1", namespace="other"))
        yield server


def asked(api: ApiServer) -> set[str]:
    return {each.resource for each in api.requests}


def addresses(followed: Followed, name: str, rtype: Type = Type.A) -> list[str]:
    question = Question(names.from_text(name), rtype)
    node = followed.index.find(question.name)
    assert node is not None
    return sorted(names.address_text(each.data) for each in answer(question, node, followed.index).records)


class TestEverything:
    async def test_is_what_is_served_by_default(self, api: ApiServer) -> None:
        async with Followed(api) as followed:
            await followed.agrees()
        assert asked(api) == RESOURCES

    async def test_with_no_more_rights_than_list_and_watch(self, api: ApiServer) -> None:
        async with Followed(api) as followed:
            await followed.agrees()
        assert {each.kind for each in api.requests} <= {"list", "watch", "watchlist"}

    async def test_says_who_asks(self, api: ApiServer) -> None:
        async with Followed(api) as followed:
            await followed.agrees()
        assert api.requests[0].user_agent


class TestNamespaces:
    @pytest.fixture
    def selection(self) -> Selection:
        return Selection(namespaces=frozenset({"demo"}))

    async def test_only_those_that_are_named(self, api: ApiServer, selection: Selection) -> None:
        async with Followed(api, selection=selection) as followed:
            await followed.agrees()
            assert followed.has("web.demo")
            assert not followed.has("web.other")
            assert [each.key for each in followed.index.objects(Namespace)] == [("", "demo")]

    async def test_changes_in_others_do_not_matter(self, api: ApiServer, selection: Selection) -> None:
        async with Followed(api, selection=selection) as followed:
            await followed.agrees()
            api.put(service("new"), service("new", "other"))
            api.delete(service("web"), service("web", "other"))
            await followed.agrees()
            api.expire()
            api.delete(service("new"))
            api.put(service("newer"), service("newer", "other"))
            await followed.agrees()
            assert not followed.has("newer.other")

    def test_each_event_is_judged(self, selection: Selection) -> None:
        def of(name: str, where: str) -> Service:
            return Service(Metadata(name, where))

        here, there = of("a", "demo"), of("a", "other")
        demo, other = Namespace(Metadata("demo")), Namespace(Metadata("other"))
        events = [Listed(Service, (here, there)), Put(there), Put(here), Gone(Service, there.key)]
        events += [Gone(Service, here.key), Put(demo), Put(other), Gone(Namespace, ("", "other"))]
        assert selection.admit(events) == [
            Listed(Service, (here,)),
            Put(here),
            Gone(Service, here.key),
            Put(demo),
        ]
        assert Selection().admit(events) == events


class TestNamespaceLabels:
    @pytest.fixture
    def selection(self) -> Selection:
        return Selection(namespace_labels="team in (a, c)")

    async def test_only_namespaces_that_match(self, api: ApiServer, selection: Selection) -> None:
        async with Followed(api, selection=selection) as followed:
            await followed.agrees()
            assert followed.has("web.demo")
            assert not followed.has("web.other")
            assert addresses(followed, "web.demo.svc.cluster.local")
        assert {each.query.get("labelSelector") for each in api.asked("namespaces")} == {"team in (a, c)"}
        assert {each.query.get("labelSelector") for each in api.asked("services")} == {None}

    async def test_a_namespace_that_gains_the_label_and_loses_it(self, api: ApiServer, selection: Selection) -> None:
        """With all that is in it, and its reverse names."""
        async with Followed(api, selection=selection) as followed:
            await followed.agrees()
            for _ in range(2):
                api.put(namespace("other", team="c"))
                await until(lambda: followed.has("web.other") and followed.has("db.other"))
                await followed.agrees()
                api.put(namespace("other", team="b"))
                await until(lambda: not followed.has("web.other"))
                await followed.agrees()
                assert not followed.has("db.other")

    async def test_one_that_does_so_unheard(self, api: ApiServer, selection: Selection) -> None:
        async with Followed(api, selection=selection) as followed:
            await followed.agrees()
            api.cut("namespaces")
            api.put(namespace("demo", team="none"), namespace("other", team="a"))
            api.compact()
            await until(lambda: followed.has("web.other") and not followed.has("web.demo"))
            await followed.agrees()


class TestLabels:
    async def test_only_services_that_match(self, api: ApiServer) -> None:
        yes = {"dns": "yes"}
        api.put(service("chosen", labels=yes), headless("few") | {"metadata": {"name": "few", "namespace": "demo"}})
        async with Followed(api, selection=Selection(labels="dns=yes")) as followed:
            await followed.agrees()
            assert followed.has("chosen.demo")
            assert not followed.has("web.demo")
            api.put(service("web", labels=yes), service("chosen"))
            await followed.agrees()
            assert followed.has("web.demo")
            assert not followed.has("chosen.demo")
        assert {each.query.get("labelSelector") for each in api.asked("endpointslices")} == {"dns=yes"}
        assert {each.query.get("labelSelector") for each in api.asked("namespaces")} == {None}

    async def test_a_selector_that_is_none_is_said(self, api: ApiServer) -> None:
        async with Followed(api, selection=Selection(labels="a=(")) as followed:
            await until(lambda: "unable to parse" in followed.health().trouble)
            assert not followed.index.is_synced


class TestEndpointsOff:
    async def test_slices_are_not_followed_and_services_have_their_addresses(self, api: ApiServer) -> None:
        async with Followed(api, selection=Selection(kinds=(Namespace, Service))) as followed:
            await followed.agrees()
            assert followed.has("web.demo")
            assert not followed.has("db.demo")
        assert asked(api) == RESOURCES - {"endpointslices"}


class TestPods:
    VERIFIED = Selection(kinds=(Namespace, Service, EndpointSlice, Pod))
    NAME = "10-0-3-1.demo.pod.cluster.local"

    async def test_verified_names_are_those_of_running_pods(self, api: ApiServer) -> None:
        api.put(pod("one", "10.0.3.1"), pod("over", "10.0.3.2", phase="Succeeded"))
        async with Followed(api, selection=self.VERIFIED, pods="verified") as followed:
            await followed.agrees()
            assert addresses(followed, self.NAME) == ["10.0.3.1"]
            assert not addresses(followed, "10-0-3-2.demo.pod.cluster.local")
            assert not addresses(followed, self.NAME.replace("demo", "other"))
            api.put(pod("one", "10.0.3.1", phase="Failed"))
            await until(lambda: not addresses(followed, self.NAME))
            await followed.agrees()
            api.put(pod("two", "10.0.3.1"))
            await until(lambda: addresses(followed, self.NAME))
            api.delete(pod("two", "10.0.3.1"))
            await followed.agrees()
            assert not addresses(followed, self.NAME)
        (selector,) = {each.query.get("fieldSelector") for each in api.asked("pods")}
        assert selector == "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"

    async def test_one_of_two_pods_at_an_address_goes(self, api: ApiServer) -> None:
        api.put(pod("one", "10.0.3.1"), pod("two", "10.0.3.1"))
        async with Followed(api, selection=self.VERIFIED, pods="verified") as followed:
            await followed.agrees()
            api.delete(pod("one", "10.0.3.1"))
            await followed.agrees()
            assert addresses(followed, self.NAME) == ["10.0.3.1"]

    async def test_insecure_names_are_those_of_any_address(self, api: ApiServer) -> None:
        async with Followed(api, pods="insecure") as followed:
            await followed.agrees()
            assert addresses(followed, self.NAME) == ["10.0.3.1"]
            assert not addresses(followed, self.NAME.replace("demo", "none"))
        assert "pods" not in asked(api)


class TestNamesOfEndpoints:
    async def test_after_their_pods(self, api: ApiServer) -> None:
        endpoint = {"addresses": ["10.0.1.5"], "conditions": {}, "targetRef": {"kind": "Pod", "name": "db-0"}}
        api.put(slice_of("db", endpoints=[endpoint]))
        async with Followed(api, endpoint_pod_names=True) as followed:
            await followed.agrees()
            assert followed.has("db-0.db.demo")
        async with Followed(api) as followed:
            await followed.agrees()
            assert not followed.has("db-0.db.demo")
            assert followed.has("10-0-1-5.db.demo")


class TestEmptyServices:
    async def test_are_ignored_on_demand(self, api: ApiServer) -> None:
        async with Followed(api, ignore_empty_service=True) as followed:
            await followed.agrees()
            assert not followed.has("web.demo")
            api.put(slice_of("web", "10.0.0.1"))
            await followed.agrees()
            assert followed.has("web.demo")
            api.put(slice_of("web", "10.0.0.1", ready=False))
            await followed.agrees()
            assert not followed.has("web.demo")


class TestSettings:
    """What the settings say becomes what is asked for."""

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, RESOURCES),
            ({"endpoints": False}, {"namespaces", "services"}),
            ({"pods": "verified"}, RESOURCES | {"pods"}),
            ({"pods": "insecure"}, RESOURCES),
        ],
    )
    async def test_which_kinds(self, api: ApiServer, settings: dict[str, object], expected: set[str]) -> None:
        given = Config(api_server=api.url, **settings)
        config.check(given)
        source, index = build_source(given), Answering(given, given, 10).index
        index.apply(await source.open())
        async with aclosing(source.changes()) as changes:
            async for events in changes:
                index.apply(events)
                if index.is_synced:
                    break
        assert asked(api) == expected

    async def test_which_part(self, api: ApiServer) -> None:
        given = Config(
            api_server=api.url,
            namespaces=("demo", "third"),
            namespace_labels="team=a",
            labels="dns=yes",
        )
        source = build_source(given)
        assert source._selection == Selection(
            namespaces=frozenset({"demo", "third"}), namespace_labels="team=a", labels="dns=yes"
        )


class TestOneStream:
    async def test_a_fault_of_ours_is_not_taken_for_a_quiet_cluster(
        self, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = Cluster(Access(api.url), Selection(), PATIENCE)
        monkeypatch.setattr(source._following[1], "_read", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            async for _events in source.changes():
                pass
        await until(lambda: not api._transports(), "no connection is left")

    async def test_a_slow_reader_makes_the_api_server_wait(self, api: ApiServer) -> None:
        """What was heard does not pile up here, and nothing of it is lost."""
        api.put(*(service(f"s{number}") for number in range(1000)))
        followed = Followed(api)
        async with aclosing(followed.cluster.changes()) as changes:
            async for events in changes:
                followed.index.apply(events)
                await asyncio.sleep(0.01)
                if followed.is_true():
                    break

    async def test_health_is_told_of_each_kind(self, api: ApiServer) -> None:
        async with Followed(api) as followed:
            assert [each.resource for each in followed.cluster.health] == [
                "namespaces",
                "services",
                "endpointslices.discovery.k8s.io",
            ]
            await followed.agrees()
            for each in followed.cluster.health:
                assert each.listed_at is not None
                assert each.heard_at is not None
                assert (each.differences, each.trouble) == (0, "")


class TestThePodsOfANamespace:
    """What there is to know of them is asked for once, and never told of a part."""

    @pytest.fixture
    async def cluster(self, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
        api.put(*(pod(f"web-{number}", f"10.0.1.{number}") for number in range(1, 6)))
        monkeypatch.setattr(details, "PAGE", 2)
        cluster = Cluster(Access(api.url), Selection(), PATIENCE)
        await cluster.open()
        yield cluster
        await cluster.close()

    async def test_come_page_by_page(self, cluster: Cluster) -> None:
        told = await cluster.pods_in("demo")
        assert [each.metadata.name for each, _, _ in told or ()] == ["web-1", "web-2", "web-3", "web-4", "web-5"]

    async def test_too_many_are_as_good_as_none(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(details, "MOST_PAGES", 2)
        assert await cluster.pods_in("demo") is None
