"""Holds the tests' API server against what a real one was recorded to say (tests/data/api-recordings)."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import aiohttp
import pytest

from tests.apiserver import (
    ApiServer,
    Authority,
    Process,
    WatchList,
    credential_plugin,
    kubeconfig,
    service_account,
    until,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RECORDINGS = Path(__file__).parent / "data" / "api-recordings"

SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
WEAK = "system:serviceaccount:rec:weak"


class Recording(NamedTuple):
    """What was asked, and what came."""

    path: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def lines(self) -> list[bytes]:
        return self.body.splitlines(keepends=True)


def recorded(name: str) -> Recording:
    said = (RECORDINGS / f"{name}.headers").read_text()
    (body,) = (path for path in RECORDINGS.glob(f"{name}.json*"))
    answered = re.findall(r"^< ([\w-]+): (.*)$", said, re.MULTILINE)
    return Recording(
        re.search(r"^> GET (\S+)", said, re.MULTILINE)[1],
        int(re.search(r"^< HTTP/1.1 (\d+)", said, re.MULTILINE)[1]),
        dict(answered),
        body.read_bytes(),
    )


def loaded(name: str) -> dict[str, Any]:
    return json.loads((RECORDINGS / f"{name}.json").read_bytes())


def service(name: str, namespace: str = "demo", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
    return {"kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}], **more}}


class Client:
    def __init__(self, api: ApiServer | Process, **options: Any) -> None:
        self._session = aiohttp.ClientSession(api.url, auto_decompress=False, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str, **headers: str) -> Recording:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.get(path, headers=named) as reply:
            return Recording(path, reply.status, dict(reply.headers), await reply.read())

    async def names(self, path: str) -> list[str]:
        reply = await self.get(path)
        assert reply.status == 200, reply.body
        return [each["metadata"]["name"] for each in json.loads(reply.body)["items"]]

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[Lines]:
        async with self._session.get(path) as reply:
            assert reply.status == 200, await reply.read()
            yield Lines(reply)


class Lines:
    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self.headers = dict(reply.headers)
        self._reply = reply

    async def next(self, count: int) -> list[bytes]:
        async with asyncio.timeout(5):
            return [await self._reply.content.readline() for _ in range(count)]

    async def rest(self) -> list[bytes]:
        """What comes until the end, which must be a clean one."""
        async with asyncio.timeout(5):
            return (await self._reply.content.read()).splitlines(keepends=True)

    async def is_silent(self, seconds: float = 0.1) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return not await self._reply.content.readline()
        except TimeoutError:
            return True


def read(lines: list[bytes]) -> list[tuple[str, str]]:
    """The type of each event, and whose it is (the version, for a bookmark)."""
    events = [json.loads(line) for line in lines]
    return [
        (each["type"], each["object"]["metadata"].get("name") or each["object"]["metadata"]["resourceVersion"])
        for each in events
    ]


def keys(value: Any) -> Any:
    """The names of the fields, in their order."""
    if isinstance(value, dict):
        return [(key, keys(inner)) for key, inner in value.items()]
    return [keys(each) for each in value] if isinstance(value, list) else None


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    async with ApiServer() as server:
        yield server


@pytest.fixture
async def client(api: ApiServer) -> AsyncIterator[Client]:
    async with Client(api) as made:
        yield made


class TestDiscovery:
    @pytest.mark.parametrize(
        ("path", "version", "name"),
        [("/apis/discovery.k8s.io/v1", "discovery.k8s.io/v1", "endpointslices"), ("/api/v1", "v1", "services")],
    )
    async def test_a_group_tells_of_its_resources(self, path: str, version: str, name: str) -> None:
        """CoreDNS asks before it watches slices: without an answer it takes a cluster for one of old."""
        async with ApiServer() as api, aiohttp.ClientSession() as client, client.get(f"{api.url}{path}") as reply:
            told = await reply.json()
        assert (told["kind"], told["groupVersion"]) == ("APIResourceList", version)
        assert name in [each["name"] for each in told["resources"]]


class TestListsAsRecorded:
    @pytest.mark.parametrize("name", ["services-list", "endpointslices-list", "namespaces-list"])
    async def test_byte_for_byte(self, api: ApiServer, client: Client, name: str) -> None:
        """Trap 5 too: with resourceVersion=0 nobody minds a limit."""
        recording = recorded(name)
        api.store.load(loaded(name))
        reply = await client.get(recording.path)
        assert (reply.status, reply.body) == (200, recording.body)
        assert list(reply.headers) == list(recording.headers)
        assert (await client.get(recording.path.replace("500", "2"))).body == recording.body

    async def test_pods(self, api: ApiServer, client: Client) -> None:
        api.store.load(loaded("pods-list"))
        reply = await client.get("/api/v1/pods?limit=500&resourceVersion=0")
        assert reply.body == (RECORDINGS / "pods-list.json").read_bytes()

    async def test_pages(self, api: ApiServer, client: Client) -> None:
        """All pages are of one version, whatever happens meanwhile."""
        api.store.load(loaded("services-list"))
        api.store.version = 431
        for number in (1, 2):
            page = recorded(f"services-list-page{number}")
            assert (await client.get(page.path)).body == page.body
            api.put(service(f"between-{number}"))
        token = json.loads(page.body)["metadata"]["continue"]
        last = json.loads((await client.get(f"{SERVICES}?limit=500&continue={token}")).body)
        assert last["metadata"] == {"resourceVersion": "431"}
        assert len(last["items"]) == 6

    async def test_in_one_namespace(self, api: ApiServer, client: Client) -> None:
        api.put(service("b"), service("a"), service("a", "other"), service("c"))
        assert await client.names("/api/v1/namespaces/demo/services") == ["a", "b", "c"]
        first = json.loads((await client.get("/api/v1/namespaces/demo/services?limit=2")).body)["metadata"]
        assert first["remainingItemCount"] == 1
        assert await client.names(f"/api/v1/namespaces/demo/services?continue={first['continue']}") == ["c"]

    async def test_gzip_only_of_what_is_large_and_if_asked_for(self, api: ApiServer, client: Client) -> None:
        """Trap 10."""
        api.put(service("a"))
        assert "Content-Encoding" not in (await client.get(SERVICES, Accept_Encoding="gzip")).headers
        api.put(*(service(f"s{number}") for number in range(200)))
        assert "Content-Encoding" not in (await client.get(SERVICES, Accept_Encoding="identity")).headers
        packed = await client.get(SERVICES, Accept_Encoding="gzip")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.body[:2] == b"\x1f\x8b"


class TestWhatIsRefused:
    @pytest.mark.parametrize("name", ["services-403", "services-watch-403"])
    async def test_403(self, name: str) -> None:
        recording = recorded(name)
        async with ApiServer(tokens={"t": WEAK}) as api, Client(api) as client:
            api.access.deny("services")
            reply = await client.get(recording.path, Authorization="Bearer t")
            assert (reply.status, reply.body) == (403, recording.body)
            assert sorted(reply.headers) == sorted(recording.headers)
            slices = json.loads((await client.get(SLICES, Authorization="Bearer t")).body)
            assert slices["kind"] == "EndpointSliceList"
            api.access.allow("services")
            assert (await client.get(SERVICES, Authorization="Bearer t")).status == 200

    async def test_403_names_the_group_and_the_namespace(self, api: ApiServer, client: Client) -> None:
        api.access.deny("endpointslices", "list")
        said = json.loads((await client.get("/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices")).body)
        assert said["message"] == (
            'endpointslices.discovery.k8s.io is forbidden: User "system:anonymous" cannot list resource '
            '"endpointslices" in API group "discovery.k8s.io" in the namespace "demo"'
        )

    @pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
    async def test_401_without_www_authenticate(self, header: dict[str, str]) -> None:
        """Trap 11."""
        recording = recorded("services-401")
        async with ApiServer(tokens={"t": WEAK}) as api, Client(api) as client:
            reply = await client.get(recording.path, **header)
            assert (reply.status, reply.body) == (401, recording.body)
            assert list(reply.headers) == list(recording.headers)

    async def test_tokens_come_and_go(self) -> None:
        async with ApiServer(tokens={"old": WEAK}) as api, Client(api) as client:
            api.access.revoke("old")
            api.access.accept("new")
            assert (await client.get(SERVICES, Authorization="Bearer old")).status == 401
            assert (await client.get(SERVICES, Authorization="Bearer new")).status == 200
            assert [each.status for each in api.asked("services", "list")] == [401, 200]

    @pytest.mark.parametrize(
        ("name", "version"),
        [("services-list-future", 1069), ("services-watch-badrv", 5), ("services-watch-watchlist-nomatch", 5)],
    )
    async def test_504_500_and_422(self, name: str, version: int) -> None:
        """Traps 3 and 9."""
        recording = recorded(name)
        async with ApiServer(version=version) as api, Client(api) as client:
            reply = await client.get(recording.path)
            assert (reply.status, reply.body) == (recording.status, recording.body)
            assert list(reply.headers) == list(recording.headers)

    async def test_what_is_not_there(self, client: Client) -> None:
        for path in ("/api/v1/secrets", "/apis/apps/v1/deployments", "/api/v1/namespaces/demo/services/none"):
            reply = await client.get(path)
            assert (reply.status, json.loads(reply.body)["reason"]) == (404, "NotFound")


class TestTooOld:
    """Traps 1 and 2."""

    async def test_a_watch(self) -> None:
        recording = recorded("services-watch-410")
        async with ApiServer(version=1062) as api, Client(api) as client:
            api.compact()
            async with client.watch(recording.path) as watch:
                assert await watch.rest() == recording.lines
                assert list(watch.headers) == list(recording.headers)

    async def test_a_young_cluster_knows_everything(self, api: ApiServer, client: Client) -> None:
        api.put(service("a"))
        async with client.watch(f"{SERVICES}?watch=1&resourceVersion=1") as watch:
            assert read(await watch.next(1)) == [("ADDED", "a")]

    async def test_a_watch_cache_that_overflowed(self) -> None:
        async with ApiServer(version=1, window=2) as api, Client(api) as client:
            api.put(*(service(name) for name in "abc"))
            async with client.watch(f"{SERVICES}?watch=1&resourceVersion=1") as watch:
                assert b'"too old resource version: 1 (2)"' in (await watch.rest())[0]
            async with client.watch(f"{SERVICES}?watch=1&resourceVersion=2") as watch:
                assert read(await watch.next(2)) == [("ADDED", "b"), ("ADDED", "c")]

    async def test_a_continued_list(self, api: ApiServer, client: Client) -> None:
        recording = recorded("services-list-410-continue")
        api.store.load(loaded("services-list"))
        api.store.version = 1062
        api.compact()
        reply = await client.get(recording.path)
        assert (reply.status, reply.body) == (410, recording.body)
        token = json.loads(reply.body)["metadata"]["continue"]
        rest = json.loads((await client.get(f"{SERVICES}?limit=2&continue={token}")).body)
        assert rest["metadata"]["resourceVersion"] == "1062"
        assert [each["metadata"]["name"] for each in rest["items"]] == ["dual", "headless"]


class TestWatchesAsRecorded:
    @pytest.mark.parametrize(
        ("name", "start"), [("services", 415), ("endpointslices", 431), ("namespaces", 404), ("pods", 426)]
    )
    async def test_byte_for_byte(self, api: ApiServer, client: Client, name: str, start: int) -> None:
        recording = recorded(f"{name}-watch")
        api.store.load(loaded(f"{name}-list"))
        api.store.version = start
        lines = [line for line in recording.lines if b'"BOOKMARK"' not in line]
        async with client.watch(recording.path) as watch:
            await until(lambda: api.watching(name) == 1)
            for line in lines:
                api.store.replay(json.loads(line))
            assert await watch.next(len(lines)) == lines
            assert list(watch.headers) == list(recording.headers)
        async with client.watch(recording.path) as again:
            assert await again.next(len(lines)) == lines

    async def test_watch_list(self, api: ApiServer, client: Client) -> None:
        """Trap 9: the objects, then a bookmark that says so, then what happens."""
        recording = recorded("services-watchlist")
        api.store.load(loaded("services-list"))
        api.store.version = 431
        async with client.watch(recording.path) as watch:
            assert await watch.next(11) == recording.lines[:11]
            lines = [line for line in recording.lines[11:] if b'"BOOKMARK"' not in line]
            for line in lines:
                api.store.replay(json.loads(line))
            assert await watch.next(len(lines)) == lines
        assert [each.kind for each in api.requests] == ["watchlist"]

    @pytest.mark.parametrize("name", ["services-watch", "namespaces-watch"])
    async def test_bookmarks(self, name: str) -> None:
        recording = recorded(name)
        bookmark = recording.lines[-1]
        async with ApiServer(version=1012, bookmark_interval=0.05, last_bookmarks=()) as api, Client(api) as client:
            path = recording.path.split("?")[0] + "?allowWatchBookmarks=true&watch=1&resourceVersion=1012"
            async with client.watch(path) as watch:
                assert await watch.next(3) == [bookmark] * 3
            async with client.watch(path.replace("allowWatchBookmarks=true&", "")) as watch:
                assert await watch.is_silent(0.2)

    async def test_empty_slices_and_their_bookmarks_hold_null(self, api: ApiServer, client: Client) -> None:
        """Trap 6."""
        api.settings.bookmark_interval = 0.05
        metadata = {"name": "a", "namespace": "demo"}
        for manifest in ({}, {"endpoints": [], "ports": []}):
            api.put({"kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4", **manifest})
        async with client.watch(f"{SLICES}?watch=1&allowWatchBookmarks=true") as watch:
            added, bookmark = await watch.next(2)
        assert added.endswith(b',"addressType":"IPv4","endpoints":null,"ports":null}}\n')
        assert bookmark == (
            b'{"type":"BOOKMARK","object":{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1",'
            b'"metadata":{"resourceVersion":"101"},"addressType":"","endpoints":null,"ports":null}}\n'
        )

    async def test_it_ends_cleanly_in_time_after_the_last_bookmarks(self) -> None:
        async with ApiServer(last_bookmarks=(0.2, 0.1)) as api, Client(api) as client:
            api.put(service("a"))
            path = f"{SERVICES}?watch=1&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=0"
            async with client.watch(path) as watch:
                assert read(await watch.rest()) == [("ADDED", "a"), ("BOOKMARK", "101"), ("BOOKMARK", "101")]
            assert api.watching() == 0

    async def test_a_version_of_the_future_is_silence(self) -> None:
        """Trap 3: no error, no bookmark, no event, until the time is over."""
        async with ApiServer(bookmark_interval=0.05, longest_watch=0.5) as api, Client(api) as client:
            api.put(service("a"))
            async with client.watch(f"{SERVICES}?watch=1&allowWatchBookmarks=true&resourceVersion=999999") as watch:
                api.put(service("b"))
                assert await watch.rest() == []


class TestVersions:
    @pytest.mark.parametrize("start", ["", "&resourceVersion=", "&resourceVersion=0"])
    async def test_without_a_version_everything_is_added_first(
        self, api: ApiServer, client: Client, start: str
    ) -> None:
        api.put(service("b"), service("a"))
        async with client.watch(f"{SERVICES}?watch=true{start}") as watch:
            await until(lambda: api.watching("services"))
            api.put(service("c"))
            assert read(await watch.next(3)) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]

    async def test_one_counter_for_all(self, api: ApiServer, client: Client) -> None:
        assert api.put(service("a"))["metadata"]["resourceVersion"] == "101"
        assert api.put({"kind": "Namespace", "metadata": {"name": "demo"}})["metadata"]["resourceVersion"] == "102"
        api.delete(service("a"))
        async with client.watch(f"{SERVICES}?watch=1&resourceVersion=100") as watch:
            events = [json.loads(line) for line in await watch.next(2)]
        assert [(each["type"], each["object"]["metadata"]["resourceVersion"]) for each in events] == [
            ("ADDED", "101"),
            ("DELETED", "103"),
        ]

    async def test_what_changes_nothing_is_no_event(self, api: ApiServer) -> None:
        assert api.put(service("a")) == api.put(service("a"))
        assert api.store.version == 101

    async def test_a_restored_backup_counts_from_there(self, api: ApiServer, client: Client) -> None:
        api.put(service("a"))
        backup = json.loads(json.dumps(api.snapshot()))
        api.put(service("b"))
        async with client.watch(f"{SERVICES}?watch=1&resourceVersion=102") as watch:
            api.restore(backup)
            with pytest.raises(aiohttp.ClientPayloadError):
                await watch.rest()
        assert await client.names(SERVICES) == ["a"]
        assert (await client.get(f"{SERVICES}?resourceVersion=102")).status == 504
        assert api.put(service("c"))["metadata"]["resourceVersion"] == "102"

    @pytest.mark.parametrize(
        ("watchlist", "status", "said"),
        [
            (
                WatchList.FORBIDDEN,
                422,
                b"sendInitialEvents is forbidden for watch unless the WatchList feature gate is",
            ),
            (WatchList.IGNORED, 200, b""),
        ],
    )
    async def test_older_servers(self, watchlist: WatchList, status: int, said: bytes) -> None:
        path = f"{SERVICES}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        async with ApiServer(watchlist=watchlist, longest_watch=0.2, last_bookmarks=()) as api, Client(api) as client:
            reply = await client.get(path)
            assert reply.status == status
            assert said in reply.body
            assert b"initial-events-end" not in reply.body


class TestSelectors:
    @pytest.fixture
    def api(self, api: ApiServer) -> ApiServer:
        labels = {"a": {"app": "x", "tier": "1"}, "b": {"app": "y"}, "c": {"headless": ""}}
        api.put(*(service(name, metadata={"labels": value}) for name, value in labels.items()), service("d", "other"))
        return api

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("labelSelector=app", "ab"),
            ("labelSelector=!app", "cd"),
            ("labelSelector=app=x", "a"),
            ("labelSelector=app==y", "b"),
            ("labelSelector=app!=x", "bcd"),
            ("labelSelector=app in (x, y)", "ab"),
            ("labelSelector=app in (x,y),tier", "a"),
            ("labelSelector=app notin (x,z)", "bcd"),
            ("labelSelector=!app,headless=", "c"),
            ("fieldSelector=metadata.namespace=other", "d"),
            ("fieldSelector=metadata.namespace!=demo,metadata.name=a", ""),
            ("fieldSelector=metadata.name=b", "b"),
        ],
    )
    async def test_lists(self, api: ApiServer, client: Client, query: str, expected: str) -> None:
        assert "".join(await client.names(f"{SERVICES}?{query}")) == expected

    async def test_a_field_that_cannot_be_selected(self, client: Client) -> None:
        reply = await client.get(f"{SERVICES}?fieldSelector=spec.ports=80")
        assert (reply.status, json.loads(reply.body)["reason"]) == (400, "BadRequest")

    async def test_a_watch_sees_what_begins_and_ceases_to_match(self, api: ApiServer, client: Client) -> None:
        version = api.store.version
        async with client.watch(f"{SERVICES}?watch=1&resourceVersion={version}&labelSelector=app=x") as watch:
            await until(api.watching)
            for name, app in (("b", "x"), ("a", "z"), ("c", "z"), ("b", "x")):
                api.put(service(name, metadata={"labels": {"app": app}}, sessionAffinity="ClientIP"))
            api.put(service("b", metadata={"labels": {"app": "x"}}))
            api.delete(service("b"))
            api.delete(service("a"))
            lines = await watch.next(4)
        assert read(lines) == [("ADDED", "b"), ("DELETED", "a"), ("MODIFIED", "b"), ("DELETED", "b")]
        gone = json.loads(lines[1])["object"]["metadata"]
        assert (gone["labels"]["app"], gone["resourceVersion"]) == ("x", str(version + 2))

    async def test_pods_by_phase(self, api: ApiServer, client: Client) -> None:
        pods = [
            {"kind": "Pod", "metadata": {"name": each}, "status": {"phase": each}} for each in ("Running", "Failed")
        ]
        api.put(*pods)
        path = "/api/v1/pods?fieldSelector=status.phase!=Failed,status.phase!=Succeeded"
        assert await client.names(path) == ["Running"]
        async with client.watch(f"{path}&watch=1&resourceVersion={api.store.version}") as watch:
            await until(api.watching)
            api.put(pods[0] | {"status": {"phase": "Succeeded"}})
            assert read(await watch.next(1)) == [("DELETED", "Running")]


class TestWhatIsFilledIn:
    def strip(self, data: dict[str, Any]) -> dict[str, Any]:
        """What differs from one cluster to another."""
        apart = ("uid", "resourceVersion", "creationTimestamp", "time", "clusterIP", "clusterIPs", "manager")
        return json.loads(json.dumps(data), object_hook=lambda each: {k: v for k, v in each.items() if k not in apart})

    @pytest.mark.parametrize("position", range(1, 10))
    async def test_a_service_becomes_what_it_became(self, api: ApiServer, position: int) -> None:
        """Down to the order of its fields. (The first one is the API server's own, made in ways of its own.)"""
        real = loaded("services-list")["items"][position]
        applied = real["metadata"].get("annotations", {}).get("kubectl.kubernetes.io/last-applied-configuration")
        given = {
            key: real["metadata"][key]
            for key in ("name", "namespace", "labels", "annotations")
            if key in real["metadata"]
        }
        exposed = {key: real["spec"][key] for key in ("ports", "selector") if key in real["spec"]}
        spec = json.loads(applied)["spec"] if applied else exposed
        ours = api.put({"kind": "Service", "metadata": given, "spec": spec})
        assert self.strip(ours) == self.strip(real)
        assert keys(ours) == keys(real)
        assert len(ours["spec"].get("clusterIPs", ())) == len(real["spec"].get("clusterIPs", ()))

    async def test_a_namespace(self, api: ApiServer) -> None:
        real = loaded("namespaces-list")["items"][1]
        ours = api.put({"kind": "Namespace", "metadata": {"name": "demo"}})
        assert self.strip(ours) == self.strip(real)
        assert keys(ours) == keys(real)

    async def test_conditions_stay_as_they_are(self, api: ApiServer) -> None:
        """Trap 7."""
        given = [{}, {"ready": True}, {"ready": False, "serving": True, "terminating": True}]
        endpoints = [{"addresses": ["10.0.0.1"], "conditions": each} for each in given]
        manifest = {"kind": "EndpointSlice", "metadata": {"name": "a"}, "addressType": "IPv4"}
        kept = api.put(manifest | {"endpoints": [*endpoints, {"addresses": ["10.0.0.2"]}]})
        assert [each["conditions"] for each in kept["endpoints"]] == [*given, {}]

    async def test_addresses_stay_while_the_service_does(self, api: ApiServer) -> None:
        spec = {"ipFamilyPolicy": "RequireDualStack"}
        first = api.put(service("a", **spec))["spec"]
        assert [":" in each for each in first["clusterIPs"]] == [False, True]
        assert api.put(service("a", **spec, sessionAffinity="ClientIP"))["spec"]["clusterIPs"] == first["clusterIPs"]
        assert api.put(service("b"))["spec"]["clusterIP"] != first["clusterIP"]
        assert "clusterIP" not in api.put(service("c", type="ExternalName", externalName="x.example."))["spec"]

    async def test_the_dot_of_an_external_name_stays(self, api: ApiServer) -> None:
        """Trap 10."""
        made = api.put(service("c", type="ExternalName", externalName="x.example."))
        assert made["spec"]["externalName"] == "x.example."


class TestFaults:
    async def test_429_so_many_times(self, api: ApiServer, client: Client) -> None:
        api.fail(429, times=2, retry_after=3, resource="services", verb="list")
        replies = [await client.get(SERVICES) for _ in range(3)]
        assert [each.status for each in replies] == [429, 429, 200]
        assert replies[0].headers["Retry-After"] == "3"
        assert (await client.get(SLICES)).status == 200

    async def test_500_and_503_until_it_is_well_again(self, api: ApiServer, client: Client) -> None:
        api.fail(503)
        assert [(await client.get(path)).status for path in (SERVICES, f"{SLICES}?watch=1")] == [503, 503]
        api.heal()
        api.fail(500, times=1)
        assert [(await client.get(SERVICES)).status for _ in range(2)] == [500, 200]

    @pytest.mark.parametrize(
        ("how", "error"),
        [({}, aiohttp.ClientPayloadError), ({"in_line": True}, aiohttp.ClientPayloadError), ({"reset": True}, OSError)],
    )
    async def test_cut_streams(
        self, api: ApiServer, client: Client, how: dict[str, bool], error: type[Exception]
    ) -> None:
        """Trap 4: no last chunk."""
        async with client.watch(f"{SERVICES}?watch=1") as watch:
            api.cut("services", **how)
            with pytest.raises((error, aiohttp.ClientPayloadError)):
                await watch.rest()
        await until(lambda: not api.watching())

    async def test_cut_in_line_leaves_half_a_line(self, api: ApiServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(b"GET /api/v1/services?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        api.cut(in_line=True)
        rest = await reader.read()
        writer.close()
        assert b'{"type":"BOOKMARK"' in rest
        assert b"\n" not in rest.split(b"\r\n")[1]
        assert not rest.endswith(b"0\r\n\r\n")

    async def test_clean_ends(self, api: ApiServer, client: Client) -> None:
        async with client.watch(f"{SERVICES}?watch=1") as watch, client.watch(f"{SLICES}?watch=1") as other:
            api.end_streams("services")
            assert await watch.rest() == []
            assert api.watching() == 1
            assert await other.is_silent()

    async def test_silence_and_what_was_held_back(self, api: ApiServer, client: Client) -> None:
        api.settings.bookmark_interval = 0.02
        async with client.watch(f"{SERVICES}?watch=1&allowWatchBookmarks=true") as watch:
            await until(api.watching)
            api.hush("services")
            await watch.is_silent(0.05)
            api.put(service("a"))
            assert await watch.is_silent(0.2)
            api.speak("services")
            assert ("ADDED", "a") in read(await watch.next(3))

    async def test_a_polite_end(self, api: ApiServer, client: Client) -> None:
        """Trap 4: silence, while new connections are refused; a bookmark; a clean end."""
        recording = recorded("services-watch-apiserver-sigterm")
        api.store.version = 1126
        async with client.watch(recording.path) as watch:
            await until(api.watching)
            ending = asyncio.create_task(api.stop_politely(0.2))
            assert await watch.is_silent()
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.get(SERVICES)
            assert await watch.rest() == recording.lines
            await ending

    async def test_refused_and_back_on_the_same_port(self, api: ApiServer, client: Client) -> None:
        url = api.url
        assert await client.names(SERVICES) == []
        async with client.watch(f"{SERVICES}?watch=1") as watch:
            await api.refuse()
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.get(SERVICES)
            api.put(service("a"))
            assert read(await watch.next(1)) == [("ADDED", "a")]
        await api.listen()
        assert api.url == url
        assert await client.names(SERVICES) == ["a"]

    async def test_a_connection_in_use_is_not_used_again(self, api: ApiServer, client: Client) -> None:
        api.slow(before=0.1)
        asking = asyncio.create_task(client.get(SERVICES))
        await until(lambda: api.requests)
        await api.refuse()
        assert (await asking).status == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(SERVICES)

    async def test_killed(self, api: ApiServer, client: Client) -> None:
        async with client.watch(f"{SERVICES}?watch=1") as watch:
            await api.kill()
            with pytest.raises((aiohttp.ClientPayloadError, ConnectionError)):
                await watch.rest()
        await api.listen()
        assert await client.names(SERVICES) == []

    async def test_slow_and_truncated_lists(self, api: ApiServer, client: Client) -> None:
        api.put(*(service(name) for name in "abc"))
        api.slow(before=0.05, item=0.05)
        clock = asyncio.get_running_loop().time
        started = clock()
        assert await client.names(SERVICES) == ["a", "b", "c"]
        assert clock() - started >= 0.25
        api.heal()
        api.truncate()
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.get(SERVICES)
        assert await client.names(SERVICES) == ["a", "b", "c"]

    async def test_garbage_and_expiry_in_a_watch(self, api: ApiServer, client: Client) -> None:
        async with client.watch(f"{SERVICES}?watch=1&resourceVersion=100") as watch:
            await until(api.watching)
            api.inject()
            assert await watch.next(1) == [b"garbage\n"]
            api.expire()
            (line,) = await watch.rest()
            assert json.loads(line)["object"]["code"] == 410

    async def test_what_was_asked_is_counted(self, api: ApiServer, client: Client) -> None:
        await client.get(SERVICES, User_Agent="clusterdns/1")
        async with client.watch(f"{SERVICES}?watch=1&resourceVersion=100"):
            assert api.watching("services") == 1
        await until(lambda: not api.watching())
        assert [(each.kind, each.status) for each in api.asked("services")] == [("list", 200), ("watch", 200)]
        assert api.asked(kind="list")[0].user_agent == "clusterdns/1"
        assert api.asked(kind="watch")[0].query["resourceVersion"] == "100"


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path / "pki")

    async def test_client_certificates(self, authority: Authority) -> None:
        trusting = ssl.create_default_context(cafile=authority.ca)
        known = ssl.create_default_context(cafile=authority.ca)
        known.load_cert_chain(*authority.client(WEAK))
        async with ApiServer(authority=authority, tokens={}) as api, Client(api) as client:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.get(SERVICES)
            async with Client(api, connector=aiohttp.TCPConnector(ssl=trusting)) as trusting_client:
                assert (await trusting_client.get(SERVICES)).status == 401
            async with Client(api, connector=aiohttp.TCPConnector(ssl=known)) as known_client:
                assert (await known_client.get(SERVICES)).status == 200
                api.access.deny("services", user=WEAK)
                assert (await known_client.get(SERVICES)).body == recorded("services-403").body

    async def test_rotation(self, authority: Authority) -> None:
        async with ApiServer(authority=authority) as api:

            async def serial() -> bytes:
                context = ssl.create_default_context(cafile=authority.ca)
                _reader, writer = await asyncio.open_connection("127.0.0.1", api.port, ssl=context)
                shown = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
                writer.close()
                await writer.wait_closed()
                return shown

            before = await serial()
            assert await serial() == before
            api.rotate()
            assert await serial() != before

    def test_files_for_clients(self, authority: Authority, tmp_path: Path) -> None:
        certificate = authority.client("me")
        url = "https://127.0.0.1:6443"
        path = kubeconfig(tmp_path / "config", url, ca=authority.ca, token="t")
        plugin = credential_plugin(tmp_path, token="t")
        kubeconfig(path, url, context="second", insecure=True, certificate=certificate, embed=True)
        kubeconfig(path, url, context="third", plugin=plugin)
        config = json.loads(path.read_text())
        assert config["current-context"] == "test"
        assert [each["name"] for each in config["contexts"]] == ["test", "second", "third"]
        assert [list(each["user"]) for each in config["users"]] == [
            ["token"],
            ["client-certificate-data", "client-key-data"],
            ["exec"],
        ]
        assert json.loads(Path(plugin["args"][0]).read_text())["status"] == {"token": "t"}
        environment = service_account(tmp_path / "account", url, token="t", ca=authority.ca)
        assert environment == {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
        assert (tmp_path / "account" / "token").read_text() == "t"


class TestProcess:
    """With objects from a folder, told what to do over HTTP, and killed."""

    async def test_it_is_told_and_killed(self, tmp_path: Path) -> None:
        (tmp_path / "objects.yaml").write_text(json.dumps(service("a")))
        with await asyncio.to_thread(Process, "--objects", tmp_path, "--state", tmp_path / "state.json") as process:
            async with Client(process) as client:
                assert await client.names(SERVICES) == ["a"]
                assert await client.names("/api/v1/namespaces") == ["demo"]
                await asyncio.to_thread(process.call, "put", service("b"))
                await asyncio.to_thread(process.call, "configure", bookmark_interval=0.1, watchlist="forbidden")
                asked = await asyncio.to_thread(process.call, "asked", "services", "list")
                assert [each["status"] for each in asked] == [200]
                url = process.url
                async with client.watch(f"{SERVICES}?watch=1&allowWatchBookmarks=1") as watch:
                    version = json.loads((await watch.next(3))[2])["object"]["metadata"]["resourceVersion"]
                    process.kill()
                    with pytest.raises((aiohttp.ClientPayloadError, ConnectionError)):
                        await watch.rest()
                await asyncio.to_thread(process.start)
                assert process.url == url
                listed = json.loads((await client.get(SERVICES)).body)
                assert [each["metadata"]["name"] for each in listed["items"]] == ["a", "b"]
                assert listed["metadata"]["resourceVersion"] == version

    async def test_tls_and_tokens(self, tmp_path: Path) -> None:
        with await asyncio.to_thread(Process, "--tls", tmp_path, "--token", "t") as process:
            trusting = ssl.create_default_context(cafile=process.ca)
            async with Client(process, connector=aiohttp.TCPConnector(ssl=trusting)) as client:
                assert (await client.get(SERVICES)).status == 401
                assert (await client.get(SERVICES, Authorization="Bearer t")).status == 200
                await asyncio.to_thread(process.call, "revoke", "t")
                assert (await client.get(SERVICES, Authorization="Bearer t")).status == 401
