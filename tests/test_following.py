"""What an API server does to those who watch it, and what a follower makes of it.

The traps are those of tests/data/api-recordings/README.md. After each of them, and after every failure, the index must
hold what the API server's store holds, and give its answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import EndpointSlice, Namespace, Pod, Service
from clusterdns.records import Type
from clusterdns.sources.cluster import Selection
from clusterdns.sources.cluster.following import INITIAL_EVENTS_END
from tests.apiserver import ApiServer, WatchList, until
from tests.followed import PATIENCE, Followed, headless, namespace, pod, service, slice_of, versions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clusterdns.sources.cluster import Patience

RESOURCES = ("namespaces", "services", "endpointslices")
PAGED = (WatchList.FORBIDDEN, WatchList.IGNORED)


def fill(api: ApiServer) -> None:
    """A service of each sort, with its endpoints."""
    api.put(namespace("demo"), namespace("other"))
    api.put(service("web"), service("web", "other"), headless("db"))
    api.put(service("out", type="ExternalName", externalName="www.example.com", ports=None))
    api.put(slice_of("web", "10.0.0.1", "10.0.0.2"), slice_of("db", "10.0.1.1", "10.0.1.2"))


def patience(**seconds: float) -> Patience:
    return msgspec.structs.replace(PATIENCE, **seconds)


def lists(api: ApiServer, resource: str | None = "services") -> int:
    """How often everything was listed so far; verifying a version takes a list of one."""
    pages = [each for each in api.asked(resource, "list") if each.query.get("limit") != "1"]
    return len(api.asked(resource, "watchlist")) + len([each for each in pages if "continue" not in each.query])


async def settled(followed: Followed) -> None:
    """Synced, and watching all that there is to watch."""
    await followed.agrees()
    await until(lambda: followed.api.watching() == len(followed.cluster.health), "all are watched")


@asynccontextmanager
async def replacing(followed: Followed, *resources: str) -> AsyncIterator[None]:
    """What happens in here makes the follower begin anew with these resources (all, unless named)."""
    before = {each.resource: each.restarts for each in followed.cluster.health}
    watches = followed.api.watches
    former = {each.resource: watches(each.resource) for each in followed.cluster.health}
    yield
    for each in followed.cluster.health:
        if not resources or each.resource.startswith(resources):
            await until(lambda each=each: each.restarts > before[each.resource], f"{each.resource} again")
            await until(
                lambda each=each: watches(each.resource).isdisjoint(former[each.resource]), f"{each.resource} anew"
            )
    await settled(followed)


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    async with ApiServer(bookmark_interval=0.1) as server:
        fill(server)
        yield server


@pytest.fixture
async def followed(api: ApiServer) -> AsyncIterator[Followed]:
    async with Followed(api) as one:
        await settled(one)
        yield one


class TestTheInitialList:
    @pytest.fixture
    def small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("clusterdns.sources.cluster.following.PAGE", 10)

    async def test_is_streamed_where_the_api_server_does_that(self, api: ApiServer, followed: Followed) -> None:
        """Trap 9: `sendInitialEvents` takes `resourceVersionMatch`."""
        assert not api.asked(kind="list")
        for resource in RESOURCES:
            (asked,) = api.asked(resource)
            assert asked.kind == "watchlist"
            assert asked.status == 200
            assert asked.query["resourceVersionMatch"] == "NotOlderThan"
            assert asked.query["allowWatchBookmarks"] == "true"

    async def test_and_the_stream_goes_on_as_the_watch(self, api: ApiServer, followed: Followed) -> None:
        api.put(service("new"))
        await followed.agrees()
        assert [each.kind for each in api.asked("services")] == ["watchlist"]

    @pytest.mark.parametrize("watchlist", PAGED)
    @pytest.mark.usefixtures("small_pages")
    async def test_comes_in_pages_from_any_other(self, api: ApiServer, watchlist: WatchList) -> None:
        """One says 422; the other knows nothing of the parameter, and begins an ordinary watch."""
        api.configure(watchlist=watchlist)
        api.put(*(service(f"s{number}") for number in range(20)))
        async with Followed(api, patience=patience(answer=0.3)) as followed:
            await settled(followed)
            api.put(service("new"))
            await followed.agrees()
        pages = [each for each in api.asked("services", "list") if each.query.get("limit") != "1"]
        assert len(pages) == 3
        assert [int(each.query["limit"]) for each in pages] == [10] * 3

    async def test_comes_in_pages_when_a_stream_is_never_quiet_and_never_complete(self) -> None:
        """A server that ignores the parameter sends bookmarks as well, before there can be any in a streamed list."""
        async with ApiServer(watchlist=WatchList.IGNORED, bookmark_interval=0.05) as api:
            fill(api)
            async with Followed(api) as followed:
                await followed.agrees(3)

    @pytest.mark.parametrize("watchlist", list(WatchList))
    async def test_of_nothing_at_all(self, watchlist: WatchList) -> None:
        async with ApiServer(bookmark_interval=0.1, watchlist=watchlist) as api, Followed(api) as followed:
            await settled(followed)
            api.put(namespace("demo"), service("first"))
            await followed.agrees()

    @pytest.mark.parametrize("watchlist", [WatchList.SERVED, WatchList.FORBIDDEN])
    async def test_that_comes_slowly_is_waited_for(self, watchlist: WatchList) -> None:
        """What counts is the silence between two pieces, not how long it takes."""
        async with ApiServer(bookmark_interval=0.1, watchlist=watchlist) as api:
            fill(api)
            api.slow(before=0.3, item=0.1, resource="services")
            async with Followed(api, patience=patience(answer=0.5)) as followed:
                await followed.agrees()
                assert followed.health().restarts <= 2

    @pytest.mark.usefixtures("small_pages")
    async def test_is_answered_from_before_it_is_complete(self, api: ApiServer) -> None:
        """A name that has come is served; only of what is missing nothing is known yet."""
        api.configure(watchlist=WatchList.FORBIDDEN)
        api.put(*(service(f"s{number:04}") for number in range(20)))
        api.slow(before=0.1, resource="services")
        async with Followed(api) as followed:
            await until(lambda: followed.index.objects(Service))
            assert not followed.index.is_synced
            await followed.agrees()

    async def test_that_is_cut_is_not_taken_for_the_whole(self, api: ApiServer) -> None:
        api.configure(watchlist=WatchList.FORBIDDEN)
        api.truncate(2)
        async with Followed(api) as followed:
            await followed.agrees()

    @pytest.mark.usefixtures("small_pages")
    async def test_that_expires_between_two_pages_begins_anew(self, api: ApiServer) -> None:
        """Trap 1, of a list: HTTP 410."""
        api.configure(watchlist=WatchList.FORBIDDEN)
        api.put(*(service(f"s{number:04}") for number in range(20)))
        api.slow(before=0.2, resource="services")
        async with Followed(api) as followed:
            await until(lambda: [each for each in api.asked("services", "list") if each.status == 200])
            api.delete(service("s0000"))
            api.compact()
            await followed.agrees()
        assert 410 in [each.status for each in api.asked("services", "list")]


class TestTrap1AWatchThatIsTooOld:
    """HTTP 200, a line with code 410, the end."""

    async def test_everything_is_listed_again(self, api: ApiServer, followed: Followed) -> None:
        api.expire("services")
        await until(lambda: lists(api) == 2)
        api.put(service("later"))
        await followed.agrees()
        assert lists(api, "namespaces") == 1

    @pytest.mark.parametrize("watchlist", [WatchList.SERVED, WatchList.FORBIDDEN])
    async def test_what_vanished_in_the_gap_goes(self, watchlist: WatchList) -> None:
        async with ApiServer(bookmark_interval=0.1, watchlist=watchlist) as api:
            fill(api)
            async with Followed(api) as followed:
                await settled(followed)
                api.slow(before=0.2)
                api.cut()
                api.delete(service("web"), slice_of("web"), namespace("other"), service("web", "other"))
                api.put(service("fresh"))
                api.compact()
                assert followed.has("web.demo")
                await followed.agrees()
                assert not followed.has("web.demo")
                assert followed.has("fresh.demo")

    @pytest.mark.parametrize("watchlist", [WatchList.SERVED, WatchList.FORBIDDEN])
    async def test_of_what_is_known_nothing_is_said_again(self, watchlist: WatchList) -> None:
        """Tens of thousands of objects would be looked at again, in this process and in each worker."""
        async with ApiServer(bookmark_interval=0.1, watchlist=watchlist) as api:
            fill(api)
            async with Followed(api) as followed:
                await settled(followed)
                before = len(followed.told)
                api.slow(before=0.2)
                api.expire("services")
                api.put(service("fresh"))
                api.delete(service("web"))
                await followed.agrees()
        assert [type(each) for each in followed.told[before:]] == [Put, Gone]

    async def test_what_came_with_a_list_that_broke_off_goes_if_it_is_not_in_the_next(self, api: ApiServer) -> None:
        api.configure(watchlist=WatchList.FORBIDDEN)
        async with Followed(api) as followed:
            await settled(followed)
            api.put(*(service(f"s{number:04}") for number in range(1000)))
            await followed.agrees()
            api.slow(before=0.2)
            api.truncate(resource="services")
            api.expire("services")
            api.put(service("a"))
            await until(lambda: followed.has("a.demo"))
            api.delete(service("a"))
            await followed.agrees()

    async def test_what_follows_the_last_of_a_list_at_once_is_a_change(self, api: ApiServer) -> None:
        """In one piece of a body."""
        added, after = service("a"), service("b")
        end = {"kind": "Service", "metadata": {"resourceVersion": "7", "annotations": {INITIAL_EVENTS_END: "true"}}}
        lines = [("ADDED", added), ("BOOKMARK", end), ("ADDED", after), ("DELETED", added)]
        followed = Followed(api)
        (services,) = [each for each in followed.cluster._following if each.health.resource == "services"]
        services._begin_list()
        text = [json.dumps({"type": kind, "object": each}).encode() for kind, each in lines]
        events = services._read(text, 0.0).events
        assert [type(each) for each in events] == [Put, Listed, Put, Gone]

    async def test_as_a_status_too(self, api: ApiServer, followed: Followed) -> None:
        api.fail(410, times=1, resource="services", verb="watch")
        api.end_streams("services")
        await until(lambda: lists(api) == 2)
        await settled(followed)

    async def test_an_object_is_never_missing_meanwhile(self, api: ApiServer, followed: Followed) -> None:
        """The new list is built aside, and swapped in."""
        missing = 0
        api.put(*(service(f"s{number}") for number in range(300)))
        await followed.agrees()
        api.expire()
        while lists(api) < 2 or not api.watching("services"):
            missing += not followed.has("s150.demo")
            await asyncio.sleep(0)
        assert not missing


class TestTrap2AYoungCluster:
    async def test_its_first_version_can_be_resumed(self) -> None:
        async with ApiServer(version=1, bookmark_interval=60) as api, Followed(api) as followed:
            await settled(followed)
            async with replacing(followed):
                api.cut()
            api.put(namespace("demo"), service("a"))
            await followed.agrees()
            assert lists(api) == 1
            assert versions(api.asked("services", "watch")) == ["1"]


class TestTrap3AVersionOfTheFuture:
    """A watch there says nothing at all: neither an error nor a bookmark nor an event."""

    async def test_a_restored_backup_is_noticed_at_once(self, api: ApiServer, followed: Followed) -> None:
        backup = api.snapshot()
        api.put(service("lost"))
        api.delete(headless("db"))
        await followed.agrees()
        api.restore(backup)
        began = time.monotonic()
        await followed.agrees()
        assert not followed.has("lost.demo")
        assert time.monotonic() - began < PATIENCE.silence

    async def test_also_across_a_restart_of_the_api_server(self, api: ApiServer, followed: Followed) -> None:
        backup = api.snapshot()
        api.put(*(service(f"lost-{number}") for number in range(3)))
        await followed.agrees()
        await api.kill()
        api.restore(backup)
        api.put(namespace("restored"))
        await api.listen()
        await followed.agrees()
        api.put(service("new"))
        await followed.agrees()

    async def test_even_if_the_streams_ended_in_peace(self, api: ApiServer, followed: Followed) -> None:
        """Then nothing seems wrong, and the silence must tell."""
        backup = api.snapshot()
        api.put(*(service(f"lost-{number}") for number in range(3)))
        await followed.agrees()
        api.store.restore(backup)
        api.end_streams()
        await followed.agrees()
        assert not followed.has("lost-1.demo")

    @pytest.mark.parametrize("watchlist", [WatchList.SERVED, WatchList.FORBIDDEN])
    async def test_a_version_that_is_no_number_is_forgotten(self, watchlist: WatchList) -> None:
        """HTTP 500."""
        odd = {"type": "BOOKMARK", "object": {"kind": "Service", "metadata": {"resourceVersion": "odd"}}}
        async with (
            ApiServer(watchlist=watchlist) as api,
            Followed(api, patience=patience(silence=20, first_retry=1e-4)) as followed,
        ):
            await settled(followed)
            async with replacing(followed, "services"):
                api.inject(json.dumps(odd) + "\n", "services")
                api.end_streams("services")
            api.put(service("new"))
            await followed.agrees()
        assert 500 in [each.status for each in api.asked("services", "watch")]


class TestTrap4AnApiServerThatEnds:
    async def test_politely(self, api: ApiServer, followed: Followed) -> None:
        """Silence while new connections are refused, then a clean end."""
        ending = asyncio.create_task(api.stop_politely(0.3))
        await asyncio.sleep(0.1)
        api.put(service("meanwhile"))
        assert not followed.has("meanwhile.demo")
        await ending
        await api.listen()
        await followed.agrees()
        assert lists(api) == 1

    async def test_politely_and_for_longer_than_a_silence_is_believed(self, api: ApiServer, followed: Followed) -> None:
        ending = asyncio.create_task(api.stop_politely(1.5 * PATIENCE.silence))
        api.put(service("meanwhile"))
        await ending
        assert followed.has("web.demo")
        await api.listen()
        await followed.agrees()

    async def test_by_a_kill(self, api: ApiServer, followed: Followed) -> None:
        """The body is cut without its last chunk. The last known answers go on; no list is needed afterwards."""
        await api.kill()
        api.put(service("meanwhile"))
        api.delete(service("web"))
        await until(lambda: followed.health().trouble)
        assert followed.has("web.demo")
        await api.listen()
        await settled(followed)
        assert lists(api) == 1
        assert not followed.health().trouble

    async def test_and_comes_back_without_its_history(self, api: ApiServer, followed: Followed) -> None:
        """As after every restart: what is older than the restart has expired."""
        await api.kill()
        api.delete(service("web"))
        api.compact()
        await api.listen()
        await followed.agrees()
        assert lists(api) == 2

    async def test_a_refused_connection_is_tried_again(self, api: ApiServer, followed: Followed) -> None:
        await api.refuse()
        api.cut()
        await until(lambda: all(each.trouble for each in followed.cluster.health))
        await api.listen()
        await settled(followed)
        assert not any(each.trouble for each in followed.cluster.health)

    async def test_a_start_before_the_api_server_is_there(self) -> None:
        async with ApiServer(bookmark_interval=0.1) as api:
            fill(api)
            await api.refuse()
            async with Followed(api) as followed:
                await until(lambda: all(each.trouble for each in followed.cluster.health))
                assert followed.index.awaited == ["EndpointSlice", "Namespace", "Service"]
                await api.listen()
                await settled(followed)


class TestTrap5LimitsThatAreIgnored:
    async def test_a_list_in_one_body_is_the_whole_list(self, api: ApiServer) -> None:
        api.configure(watchlist=WatchList.FORBIDDEN)
        async with Followed(api) as followed:
            await settled(followed)
        pages = [each for each in api.asked("services", "list") if each.query.get("limit") != "1"]
        assert len(pages) == 1

    async def test_pages_are_not_asked_for_at_version_0(self, api: ApiServer) -> None:
        """That would be one body for everything, however large, and perhaps an old one."""
        api.configure(watchlist=WatchList.FORBIDDEN)
        async with Followed(api) as followed:
            await settled(followed)
        assert not any("resourceVersion" in each.query for each in api.asked(kind="list"))


class TestTrap6Nulls:
    async def test_slices_without_endpoints_and_their_bookmarks(self, api: ApiServer, followed: Followed) -> None:
        empty = slice_of("db", suffix="empty", endpoints=None, ports=None)
        stored = api.put(empty, headless("none"), slice_of("none"))
        assert stored["endpoints"] is None
        version = str(api.store.version)
        await followed.agrees()
        assert not followed.has("none.demo")
        assert followed.has("db.demo")
        await asyncio.sleep(0.3)  # some bookmarks
        api.cut("endpointslices")
        await until(lambda: api.asked("endpointslices", "watch"))
        assert versions(api.asked("endpointslices", "watch"))[-1] == version


class TestTrap7Conditions:
    @pytest.mark.parametrize(
        ("conditions", "is_served"),
        [
            ({}, True),
            ({"ready": True}, True),
            ({"ready": True, "serving": False}, True),
            ({"ready": False, "serving": False, "terminating": True}, False),
            ({"ready": False, "serving": True, "terminating": True}, False),
            (None, True),
        ],
    )
    async def test_only_ready_counts_and_absent_is_ready(
        self, api: ApiServer, followed: Followed, conditions: dict[str, bool] | None, is_served: bool
    ) -> None:
        endpoint = {"addresses": ["10.0.9.1"], "conditions": conditions}
        api.put(headless("one"), slice_of("one", endpoints=[endpoint]))
        await followed.agrees()
        assert followed.has("one.demo") is is_served


class TestTrap8SeveralSlices:
    async def test_of_one_service_with_different_ports(self, api: ApiServer, followed: Followed) -> None:
        first = [{"name": "http", "port": 80, "protocol": "TCP"}]
        second = [{"name": "admin", "port": 9000, "protocol": "TCP"}]
        api.put(headless("two"), slice_of("two", "10.0.2.1", ports=first))
        api.put(slice_of("two", "10.0.2.2", suffix="2", ports=second))
        await followed.agrees()
        assert followed.has("_http._tcp.two.demo", Type.SRV)
        assert followed.has("_admin._tcp.two.demo", Type.SRV)
        api.delete(slice_of("two", suffix="2"))
        await followed.agrees()
        assert not followed.has("_admin._tcp.two.demo", Type.SRV)

    async def test_an_endpoint_that_moves_from_one_slice_to_another(self, api: ApiServer, followed: Followed) -> None:
        api.put(headless("two"), slice_of("two", "10.0.2.1", "10.0.2.2"))
        api.put(slice_of("two", "10.0.2.2", suffix="2"), slice_of("two", "10.0.2.1"))
        await followed.agrees()

    async def test_a_slice_that_changes_its_service(self, api: ApiServer, followed: Followed) -> None:
        moved = {"labels": {"kubernetes.io/service-name": "web"}}
        api.put(slice_of("db", "10.0.1.1", metadata=moved))
        await followed.agrees()
        assert not followed.has("db.demo")


class TestTrap9WatchList:
    async def test_a_bookmark_ends_the_list(self, api: ApiServer) -> None:
        """Not before it is anything known to be missing."""
        api.hush("services")
        async with Followed(api, patience=patience(answer=10)) as followed:
            await until(lambda: followed.index.awaited == ["Service"])
            api.speak("services")
            await settled(followed)

    async def test_after_it_a_silence_is_that_of_a_watch(self) -> None:
        """Bookmarks come about once a minute; a list that is silent for half of it has failed, a watch has not."""
        async with ApiServer(bookmark_interval=0.5) as api:
            fill(api)
            async with Followed(api, patience=patience(answer=0.1, silence=5)) as followed:
                await settled(followed)
                await until(lambda: (followed.health().heard_at or 0) > (followed.health().listed_at or 0) + 0.3)
                assert [each.kind for each in api.requests] == ["watchlist"] * 3

    async def test_one_that_is_cut_in_its_midst_is_not_a_list(self, api: ApiServer) -> None:
        api.configure(watchlist=WatchList.IGNORED, bookmark_interval=60)
        async with Followed(api, patience=patience(answer=10)) as followed:
            await until(lambda: api.watching() == 3)
            assert not followed.index.is_synced
            api.configure(watchlist=WatchList.SERVED, bookmark_interval=0.1)
            api.cut()
            await settled(followed)

    async def test_an_upgraded_api_server_is_asked_again(self, api: ApiServer) -> None:
        api.configure(watchlist=WatchList.FORBIDDEN)
        async with Followed(api) as followed:
            await settled(followed)
            await api.kill()
            api.configure(watchlist=WatchList.SERVED)
            api.put(service("new"))
            api.compact()
            await until(lambda: followed.health().trouble)
            await api.listen()
            await settled(followed)
            assert api.asked("services", "watchlist")[-1].status == 200


class TestTrap10Odds:
    async def test_an_external_name_with_its_last_dot(self, api: ApiServer, followed: Followed) -> None:
        api.put(service("dot", type="ExternalName", externalName="www.example.com.", ports=None))
        await followed.agrees()
        assert followed.has("dot.demo", Type.CNAME) == followed.has("out.demo", Type.CNAME)
        assert followed.has("dot.demo")

    async def test_large_bodies_come_as_they_are(self, api: ApiServer) -> None:
        api.configure(watchlist=WatchList.FORBIDDEN)
        api.put(*(service(f"s{number}") for number in range(400)))
        async with Followed(api) as followed:
            await followed.agrees()


class TestTrap11Refusals:
    async def test_a_right_that_is_missing_is_named_and_the_rest_goes_on(
        self, api: ApiServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        api.access.deny("endpointslices")
        async with Followed(api) as followed:
            await until(lambda: followed.index.awaited == ["EndpointSlice"])
            missing = "the right to list and watch endpointslices.discovery.k8s.io is missing"
            await until(lambda: missing in followed.health("endpointslices").trouble)
            api.put(service("new"))
            await until(lambda: followed.has("new.demo"))
            assert not followed.health().trouble
            api.access.allow("endpointslices")
            await settled(followed)
            assert not followed.health("endpointslices").trouble
        warnings = {each.getMessage().partition(":")[0] for each in caplog.records if "is missing" in each.getMessage()}
        assert warnings == {"endpointslices.discovery.k8s.io"}

    async def test_a_right_that_is_taken_away_and_given_back(self, api: ApiServer, followed: Followed) -> None:
        api.access.deny("services")
        api.end_streams("services")
        api.put(service("meanwhile"), slice_of("db", "10.0.1.9"))
        await until(lambda: "the right to list and watch services is missing" in followed.health().trouble)
        assert followed.has("web.demo")
        api.access.allow("services")
        await settled(followed)
        await until(lambda: not followed.health().trouble)
        assert lists(api) == 1

    @pytest.mark.parametrize("verb", ["list", "watch"])
    async def test_the_right_to_one_of_the_two_alone(self, api: ApiServer, verb: str) -> None:
        """Whatever is missing: it heals once it is there, and there is no storm until then."""
        api.configure(watchlist=WatchList.FORBIDDEN)
        api.access.deny("services", verb)
        async with Followed(api) as followed:
            await until(lambda: followed.health().trouble)
            await asyncio.sleep(0.5)
            assert len(api.asked("services")) < 40
            api.access.allow("services", verb)
            await settled(followed)


class TestStreams:
    """A stream that is cut, ends or falls silent is replaced, from where it was."""

    @pytest.mark.parametrize("how", [{}, {"in_line": True}, {"reset": True}])
    async def test_that_are_cut_are_resumed(self, api: ApiServer, followed: Followed, how: dict[str, bool]) -> None:
        for number in range(5):
            async with replacing(followed):
                api.cut(**how)
                api.put(service(f"s{number}"))
        assert lists(api, None) == 3

    async def test_that_end_cleanly_are_resumed(self, api: ApiServer, followed: Followed) -> None:
        for number in range(5):
            async with replacing(followed):
                api.end_streams()
                api.put(service(f"s{number}"))
        assert lists(api, None) == 3
        assert not any(each.trouble for each in followed.cluster.health)

    async def test_are_resumed_at_the_last_bookmark(self, api: ApiServer, followed: Followed) -> None:
        """Nothing happened to namespaces; but their version went on with those of services, and does not expire."""
        for number in range(10):
            api.put(service(f"s{number}"))
        heard_at = followed.health("namespaces").heard_at or 0
        await until(lambda: (followed.health("namespaces").heard_at or 0) > heard_at + 0.1)
        api.compact()
        async with replacing(followed, "namespaces"):
            api.cut("namespaces")
        assert versions(api.asked("namespaces", "watch")) == [str(api.store.version)]
        assert lists(api, "namespaces") == 1

    async def test_that_fall_silent_are_replaced(self, api: ApiServer, followed: Followed) -> None:
        """As behind a load balancer that forgot the connection: no event comes, no bookmark, no end."""
        api.hush("services")
        api.put(service("unheard"))
        await until(lambda: "nothing was heard for 1 s" in followed.health().trouble)
        assert not followed.has("unheard.demo")
        api.heal()
        await settled(followed)
        assert followed.health("namespaces").restarts == 0

    async def test_that_are_quiet_but_for_their_bookmarks_stay(self, api: ApiServer, followed: Followed) -> None:
        """Bookmarks are all that tells a quiet cluster from a dead connection."""
        began = time.monotonic()
        await until(lambda: time.monotonic() > began + 1.5 * PATIENCE.silence)
        assert len(api.requests) == 3

    async def test_end_on_our_own_terms(self, api: ApiServer) -> None:
        """Each is asked to end after a while, not all of them at once."""
        async with Followed(api, patience=patience(watch=600)) as followed:
            await settled(followed)
        asked = {int(each.query["timeoutSeconds"]) for each in api.requests}
        assert all(300 <= each <= 600 for each in asked)
        assert len(asked) > 1

    async def test_with_a_line_of_garbage_are_replaced(self, api: ApiServer, followed: Followed) -> None:
        deep = '{"type":"ADDED","object":{"metadata":{"name":"x","odd":' + "[" * 5000 + "]" * 5000 + "}}}\n"
        nameless = '{"type":"ADDED","object":{"metadata":{}}}\n'
        for line in ("garbage\n", "{}\n", nameless, "\n", "[1]\n", "\xff\n", deep):
            async with replacing(followed):
                api.inject(line)
                api.put(service("after"))

    async def test_whose_lines_come_in_any_pieces(self, api: ApiServer, followed: Followed) -> None:
        """A line may be as long as an object with many endpoints."""
        api.put(slice_of("db", *(f"10.1.{number // 250}.{number % 250}" for number in range(300))))
        await followed.agrees()

    @pytest.mark.parametrize("code", [401, 403, 410, 429, 500, 503, 504])
    async def test_with_an_error_lose_no_event_before_it(self, api: ApiServer, followed: Followed, code: int) -> None:
        """They come in one piece, the event and the error."""
        async with replacing(followed, "services"):
            api.hush("services")
            api.put(service("last"))
            error = {"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "so it is"}}
            api.inject(json.dumps(error) + "\n", "services")
            api.end_streams("services")
            api.heal()
        assert followed.has("last.demo")


class TestOverload:
    async def test_429_with_retry_after_is_obeyed(self, api: ApiServer) -> None:
        api.fail(429, times=1, retry_after=1, resource="services")
        async with Followed(api) as followed:
            await settled(followed)
        refused, next_one = api.asked("services")[:2]
        assert refused.status == 429
        assert next_one.when - refused.when >= 1.0

    async def test_429_without(self, api: ApiServer) -> None:
        api.fail(429, times=3)
        async with Followed(api) as followed:
            await settled(followed)

    @pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
    async def test_errors_of_all_sorts_pass(self, api: ApiServer, followed: Followed, code: int) -> None:
        api.fail(code, times=9)
        api.cut()
        api.put(service("meanwhile"))
        await until(lambda: any(each.trouble for each in followed.cluster.health))
        assert followed.has("web.demo")
        await settled(followed)

    async def test_the_last_known_answers_go_on(self, api: ApiServer, followed: Followed) -> None:
        api.fail(503)
        api.cut()
        await until(lambda: all(each.trouble for each in followed.cluster.health))
        assert followed.index.is_synced
        assert followed.has("web.demo")
        assert followed.has("db.demo")
        api.heal()
        await settled(followed)


class TestNobodyIsAskedInATightLoop:
    SECONDS = 0.5
    PATIENCE = msgspec.structs.replace(PATIENCE, first_retry=0.02, last_retry=1.0)
    MOST = 60
    """Requests of three kinds in that time; some failures take three for a try. Without growing waits they were 150."""

    async def requests(self, api: ApiServer) -> int:
        before = len(api.requests)
        await asyncio.sleep(self.SECONDS)
        return len(api.requests) - before

    @pytest.mark.parametrize(
        ("code", "watchlist"),
        [
            *((code, WatchList.SERVED) for code in (400, 401, 403, 410, 429, 503)),
            *((code, WatchList.FORBIDDEN) for code in (401, 422, 500)),
        ],
    )
    async def test_while_everything_fails(self, api: ApiServer, code: int, watchlist: WatchList) -> None:
        api.configure(watchlist=watchlist)
        async with Followed(api, patience=self.PATIENCE) as followed:
            await settled(followed)
            api.fail(code)
            api.cut()
            assert 3 <= await self.requests(api) < self.MOST

    @pytest.mark.parametrize("code", [401, 403, 410, 500])
    async def test_while_lists_succeed_and_watches_fail(self, api: ApiServer, code: int) -> None:
        api.configure(watchlist=WatchList.FORBIDDEN)
        async with Followed(api, patience=self.PATIENCE) as followed:
            await settled(followed)
            api.fail(code, verb="watch")
            api.cut()
            assert 3 <= await self.requests(api) < self.MOST

    @pytest.mark.parametrize("watchlist", [WatchList.SERVED, WatchList.FORBIDDEN])
    async def test_while_watches_end_as_soon_as_they_begin(self, api: ApiServer, watchlist: WatchList) -> None:
        api.configure(longest_watch=0.001, watchlist=watchlist)
        async with Followed(api, patience=self.PATIENCE) as followed:
            assert await self.requests(api) < self.MOST
            api.configure(longest_watch=None)
            await settled(followed)

    async def test_while_lists_are_cut(self, api: ApiServer) -> None:
        api.configure(watchlist=WatchList.FORBIDDEN)
        api.truncate(1000)
        async with Followed(api, patience=self.PATIENCE) as followed:
            assert await self.requests(api) < self.MOST
            api.heal()
            await settled(followed)

    async def test_while_each_watch_begins_with_garbage(self, api: ApiServer) -> None:
        async with Followed(api, patience=self.PATIENCE) as followed:
            await settled(followed)
            before = len(api.requests)
            began = time.monotonic()
            while time.monotonic() < began + self.SECONDS:
                api.inject()
                await asyncio.sleep(0.002)
            assert len(api.requests) - before < self.MOST

    async def test_while_nobody_listens(self, api: ApiServer) -> None:
        async with Followed(api, patience=self.PATIENCE) as followed:
            await settled(followed)
            await api.kill()
            before = [each.restarts for each in followed.cluster.health]
            await asyncio.sleep(self.SECONDS)
            tries = [each.restarts - old for each, old in zip(followed.cluster.health, before, strict=True)]
            assert all(1 <= each < self.MOST / 6 for each in tries)

    async def test_the_wait_is_short_again_after_a_watch_that_was_steady(self, api: ApiServer) -> None:
        """It need not last as long as was waited for it, else an API server that is away now and then is not heard."""
        hurried = patience(first_retry=0.02, last_retry=1.28, steady=0.2)
        api.fail(503, resource="services")
        async with Followed(api, patience=hurried) as followed:
            await until(lambda: len(api.asked("services")) >= 7)
            api.heal()
            await settled(followed)
            await asyncio.sleep(0.3)
            cut_at = time.monotonic()
            api.cut("services")
            asked = len(api.asked("services"))
            await until(lambda: len(api.asked("services")) > asked)
            assert api.asked("services")[asked].when - cut_at < 0.3

    async def test_the_wait_grows_up_to_a_limit_and_is_never_twice_the_same(self, api: ApiServer) -> None:
        api.fail(503, resource="services")
        async with Followed(api, patience=patience(first_retry=0.02, last_retry=0.16)):
            await until(lambda: len(api.asked("services")) >= 12)
        whens = [each.when for each in api.asked("services")]
        gaps = [later - earlier for earlier, later in pairwise(whens)]
        for number, gap in enumerate(gaps):
            longest = min(0.16, 0.02 * 2**number)
            assert longest / 2 <= gap < longest + 0.1
        late = [round(each, 4) for each in gaps[4:]]
        assert len(set(late)) > 1

    async def test_the_wait_is_short_again_after_a_good_time(self, api: ApiServer, followed: Followed) -> None:
        async with replacing(followed):
            api.fail(503, times=30)
            api.cut()
        await asyncio.sleep(2 * PATIENCE.last_retry)
        api.fail(503, times=1, resource="services")
        async with replacing(followed):
            api.cut()
        refused, next_one = api.asked("services")[-2:]
        assert next_one.when - refused.when < PATIENCE.last_retry


class TestTheWatchdog:
    """Whatever else goes wrong: from time to time everything is listed, and compared with what is known."""

    @pytest.mark.parametrize("watchlist", [WatchList.SERVED, WatchList.FORBIDDEN])
    async def test_finds_an_event_that_was_lost(self, watchlist: WatchList, caplog: pytest.LogCaptureFixture) -> None:
        async with ApiServer(bookmark_interval=0.1, watchlist=watchlist, longest_watch=0.2) as api:
            fill(api)
            async with Followed(api, patience=patience(relist=1.0)) as followed:
                await settled(followed)
                lose(api, lambda: api.put(service("lost")))
                lose(api, lambda: api.delete(service("web")))
                await until(lambda: followed.differences() == 2)
                await followed.agrees()
        (warning,) = [each.getMessage() for each in caplog.records if "differs" in each.getMessage()]
        assert "services: the new list differs from what the watches had told in 2 objects" in warning
        assert "demo/lost" in warning
        assert "demo/web" in warning

    async def test_finds_nothing_in_a_cluster_that_changes(self) -> None:
        """What changes between the end of a watch and the list was not missed by anybody."""
        async with ApiServer(bookmark_interval=0.1, longest_watch=0.1) as api:
            fill(api)
            async with Followed(api, patience=patience(relist=0.2)) as followed:
                await settled(followed)
                before = lists(api)
                number = 0
                while lists(api) < before + 6:
                    number += 1
                    api.put(service(f"s{number % 50}", labels={"number": str(number)}))
                    await asyncio.sleep(0.001)
                await followed.agrees()
                assert followed.differences() == 0

    async def test_lists_no_more_often_than_it_is_told_to(self, api: ApiServer) -> None:
        api.configure(longest_watch=0.05)
        async with Followed(api, patience=patience(relist=0.5)) as followed:
            await followed.agrees()
            await asyncio.sleep(1.2)
            assert 2 <= lists(api) <= 4


def lose(api: ApiServer, change: Any) -> None:
    """Let something happen that no watch is told."""
    listeners, api.store._listeners["services"] = api.store._listeners["services"], set()
    history = api.store._histories["services"]
    change()
    history.events.clear()
    api.store._listeners["services"] = listeners


class TestTheEnd:
    async def test_connections_are_closed(self, api: ApiServer) -> None:
        async with Followed(api) as followed:
            await settled(followed)
        await until(lambda: not (api._transports() or api.watching()), "no connection is left")

    async def test_in_the_midst_of_a_list(self, api: ApiServer) -> None:
        api.configure(watchlist=WatchList.FORBIDDEN)
        api.slow(item=0.2)
        async with Followed(api):
            await until(lambda: len(api.asked(kind="list")) == 3)
        await until(lambda: not api._transports(), "no connection is left")

    async def test_while_nothing_answers(self, api: ApiServer) -> None:
        api.slow(before=30)
        async with Followed(api):
            await until(lambda: len(api.requests) == 3)
        await until(lambda: not api._transports(), "no connection is left")

    async def test_in_the_midst_of_a_wait(self, api: ApiServer) -> None:
        api.fail(503)
        async with Followed(api, patience=patience(first_retry=60, last_retry=60)) as followed:
            await until(lambda: all(each.trouble for each in followed.cluster.health))
        assert not api._transports()


class TestPropagation:
    async def test_is_counted_for_each_change_but_not_for_lists(self, api: ApiServer, followed: Followed) -> None:
        assert sum(followed.cluster.propagation.counts) == 0
        api.put(service("new"))
        await followed.agrees()
        await until(lambda: sum(followed.cluster.propagation.counts) == 1)

    async def test_from_the_pods_change_too(self, api: ApiServer, followed: Followed) -> None:
        """Its moment stands in an annotation of the slice."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 100))
        metadata = {"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": stamp}}
        api.put(slice_of("db", "10.0.1.7", metadata=metadata))
        await until(lambda: sum(followed.cluster.programming.counts) == 1)
        assert 99 <= followed.cluster.programming.sum <= 110

    async def test_an_odd_annotation_is_no_trouble(self, api: ApiServer, followed: Followed) -> None:
        metadata = {"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "yesterday"}}
        api.put(slice_of("db", "10.0.1.7", metadata=metadata))
        await followed.agrees()
        assert sum(followed.cluster.programming.counts) == 0


class Storm:
    """Changes and failures at random, from a seed."""

    def __init__(self, api: ApiServer, seed: int) -> None:
        self.api = api
        self.random = random.Random(seed)
        self.backups = [api.snapshot()]

    def change(self) -> None:
        api, choose = self.api, self.random
        where, name = choose.choice(["demo", "other", "third"]), f"s{choose.randrange(25)}"
        address = f"10.{choose.randrange(3)}.{choose.randrange(3)}.{choose.randrange(20)}"
        some = [f"10.1.0.{each}" for each in choose.sample(range(40), choose.randrange(4))]
        suffix = str(choose.randrange(2))
        manifest: dict[str, Any] = choose.choice(
            [
                lambda: namespace(where, **({"served": "yes"} if choose.random() < 0.7 else {})),
                lambda: service(name, where, labels={"number": str(choose.random())}),
                lambda: service(name, where, publishNotReadyAddresses=choose.random() < 0.5),
                lambda: headless(name, where),
                lambda: service(name, where, type="ExternalName", externalName="x.example", ports=None),
                lambda: slice_of(name, *some, namespace=where, suffix=suffix, ready=choose.choice([True, False, None])),
                lambda: slice_of(name, *some, namespace=where, suffix=suffix),
                lambda: pod(name, address, where, phase=choose.choice(["Running", "Running", "Failed"])),
            ]
        )()
        if choose.random() < 0.3:
            try:
                api.delete(manifest)
            except KeyError:
                return
        else:
            self._replace(manifest)

    def _replace(self, manifest: dict[str, Any]) -> None:
        """A service can not turn headless, or lose its address, without being made anew."""
        if manifest["kind"] == "Service":
            with suppress(KeyError):
                self.api.delete(manifest)
        self.api.put(manifest)

    async def fail(self) -> None:
        api, choose = self.api, self.random
        resource = choose.choice([None, "services", "endpointslices", "namespaces", "pods"])
        match choose.randrange(16):
            case 0:
                api.cut(resource, in_line=choose.random() < 0.5, reset=choose.random() < 0.5)
            case 1:
                api.end_streams(resource)
            case 2:
                api.expire(resource)
            case 3:
                api.compact(resource)
            case 4:
                api.inject(choose.choice(["garbage\n", "{}\n", "\n", "null\n"]), resource)
            case 5:
                codes = [400, 401, 403, 404, 410, 422, 429, 500, 503, 504]
                api.fail(choose.choice(codes), times=choose.randrange(1, 6), resource=resource)
            case 6:
                api.slow(before=choose.random() / 10, resource=resource)
            case 7:
                api.truncate(choose.randrange(1, 4), resource=resource)
            case 8:
                api.hush(resource)
            case 9:
                api.heal()
            case 10:
                await api.kill()
                await asyncio.sleep(choose.random() / 5)
                if choose.random() < 0.5:
                    api.compact()
                await api.listen()
            case 11:
                self.backups.append(api.snapshot())
            case 12:
                api.restore(choose.choice(self.backups[-3:]))
            case 13:
                api.configure(watchlist=choose.choice(list(WatchList)))
            case 14:
                api.access.deny(resource or "services")
            case 15:
                api.access.denied.clear()


class TestAnHourInFastMotion:
    @pytest.mark.parametrize("seed", [1, 2])
    async def test_every_answer_is_right_afterwards(self, seed: int) -> None:
        everything = Selection(kinds=(Namespace, Service, EndpointSlice, Pod))
        async with ApiServer(bookmark_interval=0.1, longest_watch=1.0, last_bookmarks=(0.1,)) as api:
            fill(api)
            storm = Storm(api, seed)
            quick = patience(silence=0.4, answer=0.4, relist=2.0)
            async with Followed(api, selection=everything, patience=quick, pods="verified") as followed:
                await followed.agrees()
                began, faults = time.monotonic(), 0
                while time.monotonic() < began + 4:
                    for _ in range(storm.random.randrange(8)):
                        storm.change()
                    if storm.random.random() < 0.15:
                        await storm.fail()
                        faults += 1
                    await asyncio.sleep(0.01)
                api.heal()
                api.access.denied.clear()
                await api.listen()
                await followed.agrees()
                assert faults > 10


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clusterdns.cluster")
