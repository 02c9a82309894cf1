"""The server as tests hold it: its life, its objects, what goes wrong, and what it was asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from tests.apiserver.access import Access
from tests.apiserver.answers import Answers, Asked, Settings, as_go_does, until
from tests.apiserver.faults import Faults
from tests.apiserver.store import Store
from tests.apiserver.watching import Fate, Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from tests.apiserver.admission import Object
    from tests.apiserver.certificates import Authority, Certificate


class ApiServer:
    """`async with ApiServer() as api`: it listens on a free port of 127.0.0.1, at api.url.

    authority: serve HTTPS, with a certificate of its. tokens: the user behind each bearer token; without, anybody may.
    In what goes wrong, a resource of None stands for all of them.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tokens: Mapping[str, str] | None = None,
        authority: Authority | None = None,
        version: int = 100,
        window: int = 1000,
        **settings: Any,
    ) -> None:
        self.host = host
        self.port = port
        self.store = Store(version=version, window=window)
        self.access = Access(tokens)
        self.settings = Settings(**settings)
        self._authority = authority
        self._context = authority.context(authority.server()) if authority else None
        self._faults = Faults()
        self._answers = Answers(self.store, self.access, self._faults, self.settings)
        self._listener: asyncio.Server | None = None
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answers.handle)
        application.on_response_prepare.append(as_go_does)
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)

    # ---- Its life

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://{self.host}:{self.port}"

    async def listen(self) -> None:
        """Take connections, on the same port as before."""
        if self._listener is None:
            loop = asyncio.get_running_loop()
            server = self._runner.server
            assert server is not None
            self._listener = await loop.create_server(server, self.host, self.port, ssl=self._context, backlog=512)
            self._answers.is_ending = False
            self.port = self._listener.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse new connections. Those that wait for a request are closed; open answers go on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._answers.is_ending = True
        for transport in self._transports() - self._answers.busy:
            transport.close()
        await asyncio.sleep(0)

    async def kill(self) -> None:
        """As SIGKILL does: nobody listens, and every connection ends where it is."""
        await self.refuse()
        for transport in self._transports():
            transport.abort()
        await until(lambda: not self._transports(), "all connections are closed")

    async def stop_politely(self, silence: float = 60.0) -> None:
        """As SIGTERM does: open watches fall silent while nobody listens, and end cleanly after a last bookmark."""
        await self.refuse()
        self.hush()
        await asyncio.sleep(silence)
        for watch in self._answers.watches:
            watch.inject(watch.bookmark())
        self.speak()
        self.end_streams()
        await until(lambda: not self._answers.watches, "all watches have ended")

    def rotate(self, certificate: Certificate | None = None) -> None:
        """Show another certificate to those who connect from now on."""
        assert self._context is not None
        assert self._authority is not None
        shown = certificate or self._authority.server()
        self._context.load_cert_chain(shown.certificate, shown.key)

    def _transports(self) -> set[asyncio.Transport]:
        server = self._runner.server
        return {each.transport for each in server.connections if each.transport} if server else set()

    # ---- Its objects

    def put(self, *manifests: Object) -> Object:
        """Create or replace each; the last one comes back as it is now."""
        stored: Object = {}
        for each in manifests:
            stored = self.store.put(each)
        return stored

    def delete(self, *manifests: Object) -> None:
        """Only kind, name and namespace are looked at."""
        for each in manifests:
            self.store.delete(each)

    def compact(self, resource: str | None = None) -> None:
        """Make every resourceVersion but the one of now too old. Open watches do not mind."""
        self.store.compact(resource)

    def snapshot(self) -> Object:
        return self.store.snapshot()

    def restore(self, snapshot: Object) -> None:
        """Go back to a backup; as that takes a restart, streams are cut."""
        self.store.restore(snapshot)
        self.cut()

    # ---- What goes wrong

    def fail(
        self,
        code: int,
        *,
        times: int | None = None,
        retry_after: float | None = None,
        resource: str | None = None,
        verb: str | None = None,
    ) -> None:
        """Answer so many requests (all, without a number) with 429, 500, 503…; verb: list or watch, or both."""
        self._faults.refuse(resource, code, verb, times, retry_after)

    def slow(self, *, before: float = 0.0, item: float = 0.0, resource: str | None = None) -> None:
        """Let seconds pass before the headers, and before each item of a list."""
        self._faults.of(resource).delay = before
        self._faults.of(resource).item_delay = item

    def truncate(self, times: int = 1, *, resource: str | None = None) -> None:
        """Cut so many lists in their midst."""
        self._faults.of(resource).truncated = times

    def hush(self, resource: str | None = None) -> None:
        """Keep connections open, but send no lists, no events, no bookmarks and no end; of a new watch, the headers."""
        self._faults.of(resource).is_silent = True
        self._apply_silence()

    def speak(self, resource: str | None = None) -> None:
        """Go on after hush, with all that was held back."""
        self._faults.of(resource).is_silent = False
        self._apply_silence()

    def heal(self) -> None:
        """Let nothing go wrong from now on."""
        self._faults.heal()
        self._apply_silence()

    def cut(self, resource: str | None = None, *, in_line: bool = False, reset: bool = False) -> None:
        """End open watches without the last chunk."""
        self._end(resource, Fate.RESET if reset else Fate.CUT_IN_LINE if in_line else Fate.CUT)

    def end_streams(self, resource: str | None = None) -> None:
        """End open watches cleanly."""
        self._end(resource, Fate.END)

    def expire(self, resource: str | None = None) -> None:
        """Say to open watches that they are too old: an ERROR with 410, and the end."""
        for watch in self._of(resource):
            watch.expire(self.store.version, self.store.version)

    def inject(self, line: str = "garbage\n", resource: str | None = None) -> None:
        """Send this to open watches, as it is."""
        for watch in self._of(resource):
            watch.inject(line.encode())

    def configure(self, **settings: Any) -> None:
        """Change settings, by name."""
        for name, value in settings.items():
            assert hasattr(self.settings, name), name
            setattr(self.settings, name, value)

    def _of(self, resource: str | None) -> Iterable[Watch]:
        return [each for each in self._answers.watches if resource in (None, each.resource.name)]

    def _end(self, resource: str | None, fate: Fate) -> None:
        for watch in self._of(resource):
            watch.end(fate)

    def _apply_silence(self) -> None:
        for watch in self._answers.watches:
            watch.is_silent = self._faults.is_silent(watch.resource.name)
            watch.wake()

    # ---- What was asked

    def asked(self, resource: str | None = None, kind: str | None = None) -> list[Asked]:
        """Requests so far. A watchlist is not a watch here."""
        return [each for each in self.requests if resource in (None, each.resource) and kind in (None, each.kind)]

    @property
    def requests(self) -> list[Asked]:
        """All of them, in the order in which they came."""
        return self._answers.requests

    def watches(self, resource: str) -> frozenset[Watch]:
        """Those that have not ended, as far as this server has noticed."""
        return frozenset(self._of(resource.partition(".")[0]))

    def watching(self, resource: str | None = None) -> int:
        """How many watches are open, and have somebody at their other end."""
        ends = [self._answers.watches[each].transport for each in self._of(resource)]
        return len([each for each in ends if each is not None and not each.is_closing()])
