"""The admin socket: where it is, what is said over it, and who may listen."""

from __future__ import annotations

import asyncio
import socket
import stat
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from serving import free_port

from clusterdns import admin
from clusterdns.admin.lines import Reader, encoded
from clusterdns.app.admin import Admin
from clusterdns.app.admin_socket import opened
from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import EndpointSlice, Namespace, Pod, Service
from clusterdns.server import CannotListen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clusterdns.events import Event

CART = msgspec.convert({"metadata": {"name": "cart", "namespace": "shop"}, "spec": {"clusterIP": "None"}}, Service)
WEB = msgspec.convert(
    {
        "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2026-11-20T10:00:00Z"},
        "spec": {"type": "NodePort", "clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": 30080}]},
    },
    Service,
)
OTHER = msgspec.convert({"metadata": {"name": "web", "namespace": "other"}}, Service)
SLICE = msgspec.convert(
    {
        "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": False}, "targetRef": {"name": "cart-0"}}],
    },
    EndpointSlice,
)


class TestPlaces:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("auto", None),
            ("none", None),
            ("/run/x.sock", admin.Place(Path("/run/x.sock"))),
            ("./x", admin.Place(Path("x"))),
            ("127.0.0.1:9154", admin.Place(None, "127.0.0.1", 9154)),
            ("127.3.2.1:9154", admin.Place(None, "127.3.2.1", 9154)),
            ("[::1]:9154", admin.Place(None, "::1", 9154)),
        ],
    )
    def test_that_can_be(self, text: str, expected: admin.Place | None) -> None:
        assert admin.parse(text) == expected

    @pytest.mark.parametrize("text", ["0.0.0.0:9154", "192.0.2.1:9154", "[::]:9154", "[2001:db8::1]:9154"])
    def test_that_others_could_reach(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"others could reach it: expected a path"):
            admin.parse(text)

    @pytest.mark.parametrize(
        "text", ["", "x.sock", "localhost:9154", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", ":9154"]
    )
    def test_that_are_none(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"^expected a path, a port of a loopback address"):
            admin.parse(text)

    def test_the_usual_ones(self) -> None:
        assert list(map(str, admin.usual_places({}))) == ["/run/clusterdns/admin.sock"]
        own = admin.usual_places({"XDG_RUNTIME_DIR": "/run/user/7"})
        assert list(map(str, own)) == ["/run/user/7/clusterdns.sock", "/run/clusterdns/admin.sock"]


class TestLines:
    EVENTS: tuple[Event, ...] = (
        Listed(Service, (CART, WEB)),
        Listed(EndpointSlice, ()),
        Put(SLICE),
        Gone(EndpointSlice, ("shop", "cart-1")),
        Listed(Service, (WEB,)),
    )

    def test_what_is_said_is_heard(self) -> None:
        reader = Reader()
        lines = list(encoded(self.EVENTS, {Service, EndpointSlice}))
        assert all(each.count(b"\n") == 1 and each.endswith(b"\n") for each in lines)
        assert tuple(filter(None, map(reader.read, lines))) == self.EVENTS

    def test_only_of_the_kinds_that_are_asked_for(self) -> None:
        events = [Put(CART), Put(Namespace(CART.metadata)), Gone(Pod, ("shop", "x")), Listed(Pod, ())]
        assert [Reader().read(each) for each in encoded(events, {Service})] == [Put(CART)]

    @pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"put":"Secret","object":{}}', b'{"put":"Service"}'])
    def test_what_is_none(self, line: bytes) -> None:
        with pytest.raises(ValueError, match=r"^a line"):
            Reader().read(line)


class TestTheSocket:
    def test_it_is_its_users_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        made = opened(str(path))
        assert made is not None
        assert stat.filemode(path.stat().st_mode) == "srw-------"
        made.forget()
        assert not path.exists()

    def test_one_that_was_left_behind_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        made = opened(str(path))
        assert made is not None
        made.forget()

    def test_that_of_another_server_is_let_be(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            with pytest.raises(CannotListen, match=f"^cannot listen on {path}, for admin: a server listens there$"):
                opened(str(path))
            assert path.is_socket()

    def test_a_file_is_let_be(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        path.write_text("precious")
        with pytest.raises(CannotListen, match="there is a file, which is no socket"):
            opened(str(path))
        assert path.read_text() == "precious"

    def test_what_took_its_place_is_let_be(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.sock"
        made = opened(str(path))
        assert made is not None
        path.unlink()
        path.write_text("another's")
        made.forget()
        assert path.read_text() == "another's"

    @pytest.mark.parametrize(
        ("path", "why"),
        [("/nowhere/at/all/admin.sock", "no such file or directory"), (f"/tmp/{'x' * 200}", "af_unix path too long")],
    )
    def test_where_it_can_not_be(self, path: str, why: str) -> None:
        with pytest.raises(CannotListen, match=f"^cannot listen on {path}, for admin: {why}$"):
            opened(path)

    def test_none(self) -> None:
        assert opened("none") is None

    def test_the_usual_place_is_the_first_servers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        first = opened("auto")
        assert first is not None
        assert first.place.path == tmp_path / "clusterdns.sock"
        assert opened("auto") is None
        first.forget()


class Known:
    def __init__(self, *events: Event) -> None:
        self.events = list(events)

    def known(self) -> list[Event]:
        return self.events


@asynccontextmanager
async def shown(known: Known, setting: str) -> AsyncIterator[Admin]:
    shown = Admin(known, {})
    shown.open(setting)
    try:
        yield shown
    finally:
        await shown.stop()


async def said(setting: str, path: str = "/objects", **query: str) -> list[Event]:
    place = admin.parse(setting)
    assert place is not None
    reader = Reader()
    async with aclosing(admin.ask(place, path, query)) as lines:
        return [event async for line in lines if (event := reader.read(line)) is not None]


@pytest.fixture(params=["a file", "IPv4"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "admin.sock") if request.param == "a file" else f"127.0.0.1:{free_port()}"


ALL: tuple[Event, ...] = (Listed(Namespace, ()), Listed(Service, (CART, OTHER)), Listed(EndpointSlice, (SLICE,)))


class TestObjects:
    async def test_what_there_is(self, setting: str) -> None:
        async with shown(Known(*ALL), setting):
            assert await said(setting) == list(ALL[1:])
            assert await said(setting, kinds="Service", namespace="other") == [Listed(Service, (OTHER,))]

    async def test_what_becomes_of_it(self, tmp_path: Path) -> None:
        setting = str(tmp_path / "admin.sock")
        known, reader = Known(*ALL), Reader()
        place = admin.parse(setting)
        assert place is not None
        async with (
            shown(known, setting) as there,
            aclosing(admin.ask(place, "/objects", {"kinds": "Service", "watch": "1", "namespace": "shop"})) as lines,
            asyncio.timeout(10),
        ):
            heard = (event async for line in lines if (event := reader.read(line)) is not None)
            assert await anext(heard) == Listed(Service, (CART,))
            there.tell([Put(SLICE), Put(OTHER), Put(WEB)])
            there.tell([Gone(Service, ("shop", "cart"))])
            assert [await anext(heard), await anext(heard)] == [Put(WEB), Gone(Service, ("shop", "cart"))]

    @pytest.mark.parametrize(
        ("path", "query", "why"),
        [
            (
                "/objects",
                {"kinds": "Secret"},
                r"^kinds: Secret: expected some of Namespace, Service, EndpointSlice, Pod$",
            ),
            ("/metrics", {}, "404"),
        ],
    )
    async def test_what_is_not_to_be_had(self, tmp_path: Path, path: str, query: dict[str, str], why: str) -> None:
        setting = str(tmp_path / "admin.sock")
        async with shown(Known(*ALL), setting):
            with pytest.raises(admin.Refused, match=why):
                await said(setting, path, **query)

    async def test_nobody_is_there(self, tmp_path: Path) -> None:
        with pytest.raises(admin.NoServer, match="there is no such socket"):
            await said(str(tmp_path / "admin.sock"))
        with pytest.raises(admin.NoServer, match="nobody listens there"):
            await said(f"127.0.0.1:{free_port()}")

    async def test_who_is_too_slow_is_sent_away(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A thousand times nothing new is heard; a reader that is further behind than may be is told no more."""
        monkeypatch.setattr("clusterdns.app.admin.MOST_BEHIND", 2)
        setting = str(tmp_path / "admin.sock")
        place = admin.parse(setting)
        assert place is not None
        async with (
            shown(Known(*ALL), setting) as there,
            aclosing(admin.ask(place, "/objects", {"kinds": "Service", "watch": "1"})) as lines,
            asyncio.timeout(10),
        ):
            await anext(lines)
            for _ in range(4):
                there.tell([Put(WEB)])
            rest = [line async for line in lines]
        assert sum(b'"name":"web"' in each and b"30080" in each for each in rest) == 2


async def test_a_page_of_a_browser_may_not_read_it(tmp_path: Path) -> None:
    """Its host's name may lead to the loopback (DNS rebinding)."""
    path = tmp_path / "admin.sock"
    async with shown(Known(*ALL), str(path)):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /objects HTTP/1.0\r\nHost: evil.example:9154\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"403"
        writer.close()


async def test_it_moves(tmp_path: Path) -> None:
    """Where it was, it is until the new place is in effect."""
    first, second = (str(tmp_path / each) for each in ("first.sock", "second.sock"))
    async with shown(Known(*ALL), first) as there:
        there.open(second)
        assert await said(first) == await said(second)
        await there.close_others(second)
        with pytest.raises(admin.NoServer, match="there is no such socket"):
            await said(first)
        assert await said(second) == list(ALL[1:])


async def test_nothing_is_loaded_until_somebody_looks(tmp_path: Path) -> None:
    import sys

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys, clusterdns.cli; print(sorted(each for each in sys.modules if each in ('aiohttp', 'kubernetes')))",
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert (await process.communicate())[0] == b"[]\n"
