"""Real servers on loopback are probed as a kubelet would: well ones, and all that a server can be besides."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from serving import free_port, needs_ipv6

from clusterdns.probes import Checks, GrpcHealth, HttpGet, NoPort, Probe, Probing, TcpSocket, Watched
from clusterdns.probes.asking import Asking, NotAsked
from clusterdns.probes.host_names import HostNames
from tests.apiserver.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from clusterdns.probes import Request

DEADLINE = 20.0
SLOW = "no answer within 1 s"

RESPONSES = {
    "/200": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/204": "HTTP/1.1 204 No Content\r\n\r\n",
    "/304": "HTTP/1.1 304 Not Modified\r\n\r\n",
    "/399": "HTTP/1.1 399 Odd\r\nContent-Length: 0\r\n\r\n",
    "/400": "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "/404": "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "/503": "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "/one-zero": "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "/large": "HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + 20_000 * "x",
    "/here": "HTTP/1.1 302 Found\r\nLocation: /200\r\n\r\n",
    "/here-but": "HTTP/1.1 307 Temporary Redirect\r\nLocation: /503\r\n\r\n",
    "/elsewhere": "HTTP/1.1 301 Moved\r\nLocation: http://elsewhere.example/503\r\n\r\n",
    "/nowhere": "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "/far": f"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/{1000 * 'x'}\r\n\r\n",
    "/round": "HTTP/1.1 302 Found\r\nLocation: /round\r\n\r\n",
    "/closes": "",
    "/nonsense": "220 mail.example ESMTP\r\n\r\n",
    "/a%20b%2Fc?d=e": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}


class Server:
    """Answers HTTP as its path says, and keeps what it was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[str] = []
        self.hanging: set[asyncio.Task[Any]] = set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            path = request.split()[1]
            if path == "/hangs":
                await reader.read()
            writer.write(RESPONSES.get(path, "").encode())
            if path == "/endless":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                await reader.read()
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def http(host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(0)
    listening = await asyncio.start_server(server.answer, host, 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def known(host: str) -> tuple[str, ...]:
    return {"here.example": ("127.0.0.1",), "nobody.example": ()}.get(host, (host,))


async def asked(request: Request) -> str:
    """What came of it: its sign, and the reason."""
    asking = Asking(known)
    try:
        outcome = await asking.outcome(Probe(request))
    finally:
        await asking.close()
    return f"{'+' if outcome.is_success else '-'} {outcome.text}"


def fields(request: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in request.split("\r\n")[1:] if line)


class TestHttp:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/200", "+ 200"),
            ("/204", "+ 204"),
            ("/304", "+ 304"),
            ("/399", "+ 399"),
            ("/400", "- 400"),
            ("/404", "- 404"),
            ("/503", "- 503"),
            ("/one-zero", "+ 200"),
            ("/large", "+ 200"),
            ("/here", "+ 200"),
            ("/here-but", "- 503"),
            ("/elsewhere", "+ 301, a redirect to another host: http://elsewhere.example/503"),
            ("/nowhere", "+ 302"),
            ("/round", "- stopped after 10 redirects"),
            ("/closes", "- Server disconnected"),
            ("/hangs", f"- {SLOW}"),
            ("/endless", f"- {SLOW}"),
            ("/a%20b%2Fc?d=e", "+ 200"),
        ],
    )
    async def test_responses(self, path: str, expected: str) -> None:
        async with http() as server:
            assert await asked(HttpGet(f"http://127.0.0.1:{server.port}{path}")) == expected

    async def test_what_a_server_says_is_kept_as_one_short_line(self) -> None:
        async with http() as server:
            text = await asked(HttpGet(f"http://127.0.0.1:{server.port}/far"))
        assert text.startswith("+ 302, a redirect to another host: http://elsewhere.example/xxx")
        assert (len(text), text[-2:]) == (202, "x…")

    @pytest.mark.parametrize(
        ("beginning", "repeated", "expected"),
        [
            (b"HTTP/1.1 200 OK\r\n", b"A: " + 1000 * b"b" + b"\r\n", "- "),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "- "),
            (b"", b"\xff\r\n", "- no HTTP: bad status line"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", "+ 200"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b"x", "+ 200"),
        ],
        ids=["headers", "interim responses", "nonsense", "chunks", "body"],
    )
    async def test_a_server_that_never_ends(self, beginning: bytes, repeated: bytes, expected: str) -> None:
        """It can not go on sending for as long as the probe may wait: each header would take work."""
        sent, left = 0, asyncio.Event()
        some = (16 << 10) // len(repeated) * repeated

        async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(beginning)
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(some)
                    await writer.drain()
                    sent += len(some)
            left.set()

        own = socket.create_server(("127.0.0.1", 0))
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 10)  # for what nobody reads
        listening = await asyncio.start_server(flood, sock=own)
        text = await asked(HttpGet(f"http://127.0.0.1:{own.getsockname()[1]}/"))
        async with asyncio.timeout(DEADLINE):
            await left.wait()
        listening.close()
        assert text.startswith(expected)
        assert sent < 1_500_000  # what the system keeps for whoever does not read, and half as much again

    async def test_what_is_no_tls(self) -> None:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example ESMTP\r\n")
            writer.close()

        async with await asyncio.start_server(greet, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            assert (await asked(HttpGet(f"https://127.0.0.1:{port}/"))).startswith("- TLS: ")

    async def test_what_is_no_http(self) -> None:
        async with http() as server:
            assert (await asked(HttpGet(f"http://127.0.0.1:{server.port}/nonsense"))).startswith("- ")

    @needs_ipv6
    async def test_over_ipv6(self) -> None:
        async with http("::1") as server:
            assert await asked(HttpGet(f"http://[::1]:{server.port}/200")) == "+ 200"

    async def test_any_certificate_will_do(self, tmp_path: Any) -> None:
        authority = Authority(tmp_path)
        certificate = authority.server(["DNS:somebody.else"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        async with http(context=context) as server:
            assert await asked(HttpGet(f"https://127.0.0.1:{server.port}/200")) == "+ 200"
            assert await asked(HttpGet(f"https://127.0.0.1:{server.port}/503")) == "- 503"
            assert (await asked(HttpGet(f"http://127.0.0.1:{server.port}/200"))).startswith("- ")

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ((), {"Host": "here.example:PORT", "Accept": "*/*", "Connection": "close"}),
            ((("X-A", "1"), ("Host", "shop.example")), {"Host": "shop.example", "X-A": "1", "Accept": "*/*"}),
            ((("user-agent", "me"), ("accept", "")), {"user-agent": "me", "Host": "here.example:PORT"}),
        ],
    )
    async def test_headers(self, headers: tuple[tuple[str, str], ...], expected: dict[str, str]) -> None:
        async with http() as server:
            assert await asked(HttpGet(f"http://here.example:{server.port}/200", headers)) == "+ 200"
            found = fields(server.requests[0])
        agent = found.pop("User-Agent", "")
        assert agent.startswith("kube-probe/") != any(name == "user-agent" for name, _ in headers)
        expected = {name: value.replace("PORT", str(server.port)) for name, value in expected.items()}
        assert found | {"Connection": "close"} == expected | {"Connection": "close"}

    async def test_a_relative_redirect_keeps_the_host_that_was_asked_for(self) -> None:
        async with http() as server:
            await asked(HttpGet(f"http://127.0.0.1:{server.port}/here", (("Host", "shop.example"),)))
            assert [fields(each)["Host"] for each in server.requests] == ["shop.example"] * 2

    async def test_each_is_a_new_connection_without_memory(self) -> None:
        asking = Asking(known)
        async with http() as server:
            for _ in range(3):
                assert (await asking.outcome(Probe(HttpGet(f"http://127.0.0.1:{server.port}/200")))).is_success
        await asking.close()
        assert [fields(each).get("Cookie") for each in server.requests] == [None] * 3


class TestWant:
    """What is wanting on this machine tells nothing of a server."""

    @pytest.mark.parametrize(
        "request_", [TcpSocket("127.0.0.1", 1), HttpGet("http://127.0.0.1:1/"), GrpcHealth("127.0.0.1", 1)]
    )
    async def test_no_descriptor_is_left(self, request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_socket(*_: object, **__: object) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        asking = Asking(known)
        with monkeypatch.context() as here:
            here.setattr(socket, "socket", no_socket)
            with pytest.raises(NotAsked, match="too many open files"):
                await asking.outcome(Probe(request_))
        await asking.close()


class TestTcp:
    async def test_a_server_that_listens(self) -> None:
        async with http() as server:
            assert await asked(TcpSocket("127.0.0.1", server.port)) == "+ connected"
            assert await asked(TcpSocket("here.example", server.port)) == "+ connected"

    @pytest.mark.parametrize(
        "request_to", [lambda port: TcpSocket("127.0.0.1", port), lambda port: HttpGet(f"http://127.0.0.1:{port}/")]
    )
    async def test_nobody_listens(self, request_to: Callable[[int], Request]) -> None:
        assert await asked(request_to(free_port())) == "- connection refused"

    async def test_a_server_that_takes_no_more(self) -> None:
        """Its backlog is full: what comes on top waits for ever."""
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = []
            for _ in range(3):
                each = socket.socket()
                each.setblocking(False)
                each.connect_ex(full.getsockname())
                waiting.append(each)
            assert await asked(TcpSocket("127.0.0.1", full.getsockname()[1])) == f"- {SLOW}"
            for each in waiting:
                each.close()

    @pytest.mark.parametrize(
        "request_",
        [TcpSocket("nobody.example", 1), HttpGet("http://nobody.example/"), GrpcHealth("nobody.example", 1)],
        ids=["tcp", "http", "grpc"],
    )
    async def test_a_host_whose_address_is_not_known(self, request_: Request) -> None:
        assert await asked(request_) == "- its address is not known"

    async def test_a_port_that_the_container_does_not_have(self) -> None:
        assert await asked(NoPort("web")) == "- the container has no port of this name"


@pytest.fixture(scope="module")
def grpc_port() -> Iterator[int]:
    """A server of grpcio's, with its own health service."""
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    for service, status in (
        ("", health_pb2.HealthCheckResponse.SERVING),
        ("well", health_pb2.HealthCheckResponse.SERVING),
        ("ill", health_pb2.HealthCheckResponse.NOT_SERVING),
        ("odd", health_pb2.HealthCheckResponse.UNKNOWN),
        ("x" * 300, health_pb2.HealthCheckResponse.SERVING),
    ):
        servicer.set(service, status)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


class TestGrpc:
    @pytest.mark.parametrize(
        ("service", "expected"),
        [
            ("", "+ SERVING"),
            ("well", "+ SERVING"),
            ("ill", "- NOT_SERVING"),
            ("odd", "- UNKNOWN"),
            ("x" * 300, "+ SERVING"),
        ],
    )
    async def test_a_service(self, grpc_port: int, service: str, expected: str) -> None:
        assert await asked(GrpcHealth("127.0.0.1", grpc_port, service)) == expected

    async def test_a_service_that_is_not_known(self, grpc_port: int) -> None:
        assert (await asked(GrpcHealth("127.0.0.1", grpc_port, "nobody"))).startswith("- NOT_FOUND")

    async def test_a_server_without_health(self) -> None:
        server = grpc.server(ThreadPoolExecutor(1))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        expected = "- the server does not implement grpc.health.v1.Health"
        assert await asked(GrpcHealth("127.0.0.1", port)) == expected
        server.stop(None).wait()

    async def test_nobody_listens(self) -> None:
        assert await asked(GrpcHealth("127.0.0.1", free_port())) == "- connection refused"

    async def test_what_is_no_grpc(self) -> None:
        async with http() as server:
            assert (await asked(GrpcHealth("127.0.0.1", server.port))).startswith("- ")

    async def test_what_a_server_says_gives_no_orders_to_a_terminal(self) -> None:
        class Ill(health.HealthServicer):
            def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - as it is called
                del request
                context.abort(grpc.StatusCode.INTERNAL, "\x1b[2Jboth\nlines")

        server = grpc.server(ThreadPoolExecutor(1))
        health_pb2_grpc.add_HealthServicer_to_server(Ill(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        assert await asked(GrpcHealth("127.0.0.1", port)) == "- INTERNAL: ?[2Jboth lines"
        server.stop(None).wait()

    @pytest.mark.parametrize(
        "frame",
        [
            b"\0\0\x08\x06\0\0\0\0\0" + 8 * b"x",  # PING, which asks for an answer
            b"\0\0\x06\x04\0\0\0\0\0" + b"\0\3\0\0\0\1",  # SETTINGS
            b"\0\x40\0\0\0\0\0\0\1" + 16384 * b"x",  # DATA of the one stream
        ],
        ids=["ping", "settings", "data"],
    )
    async def test_a_server_that_never_ends(self, frame: bytes) -> None:
        """It is left after so many bytes: each frame would take work, for as long as the probe may."""
        left = asyncio.Event()

        async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\0\0\0\x04\0\0\0\0\0")
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(frame)
                    await writer.drain()
            left.set()

        listening = await asyncio.start_server(flood, "127.0.0.1", 0)
        text = await asked(GrpcHealth("127.0.0.1", listening.sockets[0].getsockname()[1]))
        async with asyncio.timeout(DEADLINE):
            await left.wait()
        listening.close()
        assert text.startswith("- ")
        assert text != f"- {SLOW}"

    async def test_a_server_that_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            assert await asked(GrpcHealth("127.0.0.1", silent.getsockname()[1])) == f"- {SLOW}"


class Script:
    """A server that is well or ill, as it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    @asynccontextmanager
    async def probing(self) -> AsyncIterator[Probing]:
        def tell(key: tuple[str, str]) -> None:
            readiness = probing.readiness(key)
            assert readiness is not None
            self.told.append((key[1], readiness.is_ready))

        probing = Probing(known, tell)
        try:
            yield probing
        finally:
            await probing.stop()
            assert not [each for each in asyncio.all_tasks() if "Probing._follow" in str(each.get_coro())]

    async def until(self, *expected: tuple[str, bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.told) < len(expected):  # noqa: ASYNC110 - what was told is a list
                await asyncio.sleep(0.01)
        assert sorted(self.told) == sorted(expected)
        self.told.clear()


def watched(*requests: Request, is_ready: bool = False, **timing: int) -> Watched:
    timing = {"period": 1, "failure_threshold": 1} | timing
    checks = tuple(Checks(None, Probe(each, **timing)) for each in requests)
    return Watched("Pod default/a", checks, is_ready)


class TestProbing:
    async def test_readiness_comes_and_goes(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "clusterdns.manifests")
        script = Script()
        async with script.probing() as probing, http() as server:
            url = f"http://127.0.0.1:{server.port}/flaps"
            RESPONSES["/flaps"] = RESPONSES["/200"]
            probing.take({("default", "a"): watched(HttpGet(url))})
            await script.until(("a", True))
            RESPONSES["/flaps"] = RESPONSES["/503"]
            await script.until(("a", False))
            found = probing.readiness(("default", "a"))
            assert found is not None
            assert (found.is_ready, found.probe, found.outcome) == (False, f"GET {url}", "503")
            RESPONSES["/flaps"] = RESPONSES["/200"]
            await script.until(("a", True))
        texts = ("is ready: GET {}: 200", "is not ready: GET {}: 503", "is ready: GET {}: 200")
        assert [each.message for each in caplog.records] == [f"Pod default/a {each.format(url)}" for each in texts]

    async def test_all_containers_have_to_be_ready(self) -> None:
        script = Script()
        async with script.probing() as probing, http() as server:
            one, other = (HttpGet(f"http://127.0.0.1:{server.port}/{each}") for each in ("200", "other"))
            RESPONSES["/other"] = RESPONSES["/503"]
            probing.take({("default", "a"): watched(one, other)})
            await script.until(("a", False))
            RESPONSES["/other"] = RESPONSES["/200"]
            await script.until(("a", True))

    async def test_what_is_probed_as_before_goes_on(self) -> None:
        script = Script()
        async with script.probing() as probing, http() as server:
            ways = {each: HttpGet(f"http://127.0.0.1:{server.port}/{each}") for each in ("200", "204", "503")}
            probing.take({("default", "a"): watched(ways["200"]), ("default", "b"): watched(ways["200"])})
            await script.until(("a", True), ("b", True))
            a = probing.readiness(("default", "a"))
            # b is probed in another way, is ready by that too, and so has not changed; c is new.
            again = {("default", "a"): watched(ways["200"]), ("default", "b"): watched(ways["204"])}
            probing.take(again | {("default", "c"): watched(ways["503"])})
            assert probing.readiness(("default", "a")) is a
            await script.until(("c", False))
            probing.take({("default", "c"): watched(ways["503"])})
            assert probing.readiness(("default", "a")) is None

    async def test_hanging_ones_hold_up_nobody(self) -> None:
        """Fifty that never answer, and one that does."""
        script = Script()
        async with script.probing() as probing, http() as server:
            hanging = watched(HttpGet(f"http://127.0.0.1:{server.port}/hangs"), failure_threshold=100)
            many = {("default", f"h{number}"): hanging for number in range(50)}
            probing.take({**many, ("default", "a"): watched(HttpGet(f"http://127.0.0.1:{server.port}/200"))})
            await script.until(("a", True))

    @pytest.mark.parametrize(("patient", "expected"), [(3600, 100), (10, 50)])
    async def test_a_bounded_number_is_asked_at_once(
        self, patient: int, expected: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of those that wait for minutes, too, when most of them are needed by others."""
        monkeypatch.setattr("clusterdns.probes.probing.PATIENT", patient)
        script = Script()
        async with script.probing() as probing, http() as server:
            hanging = watched(HttpGet(f"http://127.0.0.1:{server.port}/hangs"), failure_threshold=2, timeout=60)
            probing.take({("default", f"h{number}"): hanging for number in range(300)})
            async with asyncio.timeout(DEADLINE):
                while len(server.requests) < expected:  # noqa: ASYNC110 - what a server was asked is a list
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert len(server.requests) == expected

    async def test_patient_ones_hold_up_nobody(self) -> None:
        script = Script()
        async with script.probing() as probing, http() as server:
            hanging = watched(HttpGet(f"http://127.0.0.1:{server.port}/hangs"), failure_threshold=1, timeout=3600)
            many = {("default", f"h{number}"): hanging for number in range(300)}
            probing.take({**many, ("default", "a"): watched(HttpGet(f"http://127.0.0.1:{server.port}/200"))})
            await script.until(("a", True))

    async def test_what_can_not_be_asked_stays_as_it_was(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        script, tries = Script(), 0

        async def no_room(*_: object) -> Any:
            nonlocal tries
            tries += 1
            raise OSError(errno.EMFILE, "Too many open files")

        async with script.probing() as probing, http() as server:
            probing.take({("default", "a"): watched(TcpSocket("127.0.0.1", server.port))})
            await script.until(("a", True))
            with monkeypatch.context() as here:
                here.setattr(asyncio, "open_connection", no_room)
                async with asyncio.timeout(DEADLINE):
                    while tries < 2:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            assert script.told == []
        assert [each.message for each in caplog.records if each.levelno == logging.WARNING] == [
            "pods are left as they are while probes can not be made: too many open files"
        ]


class TestHostNames:
    async def test_a_name_and_one_that_is_none(self, caplog: pytest.LogCaptureFixture) -> None:
        changed = asyncio.Event()
        before = asyncio.all_tasks()
        host_names = HostNames(changed.set)
        host_names.take({"localhost", "a..b"})
        async with asyncio.timeout(DEADLINE):
            await changed.wait()
            while not caplog.records:  # noqa: ASYNC110 - the log is a list
                await asyncio.sleep(0.01)
        assert set(host_names.addresses("localhost")) <= {"127.0.0.1", "::1"}
        assert host_names.addresses("localhost")
        assert host_names.addresses("a..b") == ()
        assert host_names.addresses("192.0.2.1") == ("192.0.2.1",)
        assert [each.message.partition(": ")[0] for each in caplog.records] == ["host name a..b"]
        await host_names.stop()
        assert asyncio.all_tasks() == before

    async def test_it_is_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another address is taken over; a failure that may pass is not, but that there is none is."""
        steps: list[Any] = [
            "192.0.2.1",
            socket.gaierror(socket.EAI_AGAIN, "later"),
            "192.0.2.2",
            socket.gaierror(socket.EAI_NONAME, "nobody"),
        ]
        asked_for = 0

        def resolve(*_: object, **__: object) -> Any:
            nonlocal asked_for
            step = steps[min(asked_for, len(steps) - 1)]
            asked_for += 1
            if isinstance(step, OSError):
                raise step
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (step, 0))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        seen: list[tuple[str, ...]] = []
        host_names = HostNames(lambda: seen.append(host_names.addresses("a.example")), again=0.01)
        host_names.take({"a.example"})
        async with asyncio.timeout(DEADLINE):
            while len(seen) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await host_names.stop()
        assert seen == [("192.0.2.1",), ("192.0.2.2",), ()]
