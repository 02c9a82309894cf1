"""Credentials and TLS: what opens an API server, what happens when that is rotated, and what is never accepted."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from clusterdns.sources import NoCredentials
from clusterdns.sources.cluster import Access
from clusterdns.sources.cluster.connection import Connection, Lost, Refused
from clusterdns.sources.cluster.library import load_incluster_config
from tests.apiserver import ApiServer, Authority, credential_plugin, kubeconfig, service_account, until
from tests.followed import Followed, namespace, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.apiserver.certificates import Certificate

SECRET = "s3cret-t0ken"
USER = "system:serviceaccount:kube-system:clusterdns"
MISPLACED_TOKEN = f"""
current-context: a
contexts: [{{name: a, context: {{cluster: a, user: a}}}}]
clusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:1'}}}}]
users: [{{name: a, token: {SECRET}}}]
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """Another one, with the same name."""
    return Authority(tmp_path / "stranger")


@asynccontextmanager
async def guarded(authority: Authority | None = None, **options: Any) -> AsyncIterator[ApiServer]:
    """An API server that lets in who has the token or a certificate."""
    async with ApiServer(authority=authority, tokens={SECRET: USER}, bookmark_interval=0.1, **options) as api:
        api.put(namespace("demo"), service("web"))
        yield api


@pytest.fixture
async def api(authority: Authority) -> AsyncIterator[ApiServer]:
    async with guarded(authority) as server:
        yield server


async def replaced(followed: Followed, api: ApiServer) -> None:
    """Cut all streams, and wait for what the new ones tell."""
    before = [each.restarts for each in followed.cluster.health]
    api.cut()
    await until(lambda: all(each.restarts > old for each, old in zip(followed.cluster.health, before, strict=True)))
    api.put(service(f"after-{len(api.requests)}"))
    await followed.agrees()


async def get(access: Access) -> bytes:
    connection = Connection(access)
    try:
        async with connection.get("/api/v1/services", {}, lambda: 5.0) as body:
            return b"".join([piece async for piece in body])
    finally:
        await connection.close()


class TestInAPod:
    """The service account: an address in the environment, a token and a CA in files that kubelet replaces."""

    @pytest.fixture
    def account(self, api: ApiServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "serviceaccount"
        for name, value in service_account(folder, api.url, token=SECRET, ca=authority.ca).items():
            monkeypatch.setenv(name, value)
        mount = sys.modules[load_incluster_config.__module__]
        monkeypatch.setattr(mount, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
        monkeypatch.setattr(mount, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
        return folder

    async def test_its_service_account_opens_the_api_server(self, api: ApiServer, account: Path) -> None:
        async with Followed(api, access=Access()) as followed:
            await followed.agrees()
        assert api.requests[0].authorization.lower() == f"bearer {SECRET}"

    async def test_a_token_that_was_rotated_is_read_again(self, api: ApiServer, account: Path) -> None:
        """Trap 11: 401 comes without a WWW-Authenticate header."""
        async with Followed(api, access=Access()) as followed:
            await followed.agrees()
            api.access.accept("rotated")
            api.access.revoke(SECRET)
            (account / "token").write_text("rotated")
            await replaced(followed, api)
        assert api.requests[-1].authorization == "bearer rotated"
        assert len(api.asked("services", "watchlist")) == 1

    async def test_a_token_that_comes_too_late_is_waited_for(self, api: ApiServer, account: Path) -> None:
        async with Followed(api, access=Access()) as followed:
            await followed.agrees()
            api.access.accept("rotated")
            api.access.revoke(SECRET)
            api.cut()
            await until(lambda: all("401" in each.trouble for each in followed.cluster.health))
            assert followed.has("web.demo")
            (account / "token").write_text("rotated\n")
            api.put(service("new"))
            await followed.agrees()

    @pytest.mark.parametrize("content", ["", None, "two\nlines"])
    async def test_a_token_file_that_is_broken_for_a_while_is_no_end(
        self, api: ApiServer, account: Path, content: str | None
    ) -> None:
        async with Followed(api, access=Access()) as followed:
            await followed.agrees()
            if content is None:
                (account / "token").unlink()
            else:
                (account / "token").write_text(content)
            api.access.revoke(SECRET)
            api.cut()
            await until(lambda: len([each for each in followed.cluster.health if each.trouble]) == 3)
            await asyncio.sleep(0.1)
            api.access.accept("rotated")
            (account / "token").write_text("rotated")
            api.put(service("new"))
            await followed.agrees()

    async def test_a_ca_that_was_rotated_is_read_again(
        self, account: Path, authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with guarded(stranger) as other:
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(other.port))
            async with Followed(other, access=Access()) as followed:
                await until(lambda: all("certificate" in each.trouble for each in followed.cluster.health))
                (account / "ca.crt").write_bytes(stranger.ca.read_bytes())
                await followed.agrees()

    async def test_outside_of_a_pod_it_says_what_to_give(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        with pytest.raises(NoCredentials, match=r"give --manifests PATH or --kubeconfig FILE, or run in a pod"):
            await Connection(Access()).open()


class TestAKubeconfig:
    async def test_with_a_token(self, api: ApiServer, authority: Authority, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", api.url, ca=authority.ca, token=SECRET)
        async with Followed(api, access=Access(kubeconfig=path)) as followed:
            await followed.agrees()

    async def test_with_another_context(self, api: ApiServer, authority: Authority, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", ca=authority.ca)
        kubeconfig(path, api.url, context="second", ca=authority.ca, token=SECRET)
        async with Followed(api, access=Access(kubeconfig=path, context="second")) as followed:
            await followed.agrees()

    @pytest.mark.parametrize("ending", ["", "\n"])
    async def test_with_a_token_file_that_is_rotated(
        self, api: ApiServer, authority: Authority, tmp_path: Path, ending: str
    ) -> None:
        """Whoever writes it with an editor ends it with a new line."""
        token = tmp_path / "token"
        token.write_text(SECRET + ending)
        path = kubeconfig(tmp_path / "config", api.url, ca=authority.ca, token_file=token)
        async with Followed(api, access=Access(kubeconfig=path)) as followed:
            await followed.agrees()
            api.access.accept("rotated")
            api.access.revoke(SECRET)
            token.write_text("rotated" + ending)
            await replaced(followed, api)
            assert len(api.asked("services", "watchlist")) == 1
        assert api.requests[-1].authorization == "Bearer rotated"

    @pytest.mark.parametrize("embed", [False, True])
    async def test_with_a_client_certificate(
        self, api: ApiServer, authority: Authority, tmp_path: Path, embed: bool
    ) -> None:
        certificate = authority.client(USER)
        path = kubeconfig(tmp_path / "config", api.url, ca=authority.ca, certificate=certificate, embed=embed)
        async with Followed(api, access=Access(kubeconfig=path)) as followed:
            await followed.agrees()
        assert not api.requests[0].authorization

    async def test_with_a_client_certificate_that_is_rotated(
        self, authority: Authority, stranger: Authority, tmp_path: Path
    ) -> None:
        """What the API server does not trust fails in the handshake; the new one is used at the next try."""
        path = kubeconfig(tmp_path / "config", "", ca=authority.ca, certificate=stranger.client(USER))
        async with guarded(authority) as api:
            path.unlink()
            kubeconfig(path, api.url, ca=authority.ca, certificate=stranger.client(USER))
            async with Followed(api, access=Access(kubeconfig=path)) as followed:
                await until(lambda: all(each.trouble for each in followed.cluster.health))
                path.unlink()
                kubeconfig(path, api.url, ca=authority.ca, certificate=authority.client(USER))
                await followed.agrees()

    async def test_with_a_program_that_gives_tokens(self, api: ApiServer, authority: Authority, tmp_path: Path) -> None:
        """Asked again when the token no longer opens anything."""
        plugin = credential_plugin(tmp_path, token=SECRET)
        path = kubeconfig(tmp_path / "config", api.url, ca=authority.ca, plugin=plugin)
        async with Followed(api, access=Access(kubeconfig=path)) as followed:
            await followed.agrees()
            api.access.accept("rotated")
            api.access.revoke(SECRET)
            credential_plugin(tmp_path, token="rotated")
            await replaced(followed, api)

    async def test_with_a_program_that_gives_certificates(
        self, api: ApiServer, authority: Authority, tmp_path: Path
    ) -> None:
        plugin = credential_plugin(tmp_path, certificate=authority.client(USER))
        path = kubeconfig(tmp_path / "config", api.url, ca=authority.ca, plugin=plugin)
        async with Followed(api, access=Access(kubeconfig=path)) as followed:
            await followed.agrees()

    async def test_with_a_program_that_gives_another_token_each_time(
        self, api: ApiServer, authority: Authority, tmp_path: Path
    ) -> None:
        """Whoever lost a connection takes the new token; nobody else's connection is closed for it."""
        counter = tmp_path / "counter"
        counter.write_text("")
        script = tmp_path / "plugin"
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
        token = json.dumps(credential | {"status": {"token": "T"}})
        script.write_text(f'echo x >> {counter}\necho \'{token}\' | sed "s/\\"T\\"/\\"t$(wc -l < {counter})\\"/"\n')
        for number in range(200):
            api.access.accept(f"t{number}")
        plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": [str(script)]}
        path = kubeconfig(tmp_path / "config", api.url, ca=authority.ca, plugin=plugin)
        async with Followed(api, access=Access(kubeconfig=path)) as followed:
            await followed.agrees()
            await until(lambda: api.watching() == 3)
            for _ in range(3):
                before = followed.health().restarts
                api.cut("services")
                await until(lambda before=before: followed.health().restarts >= before + 2 and api.watching() == 3)
            assert [followed.health(each).restarts for each in ("namespaces", "endpointslices")] == [0, 0]

    async def test_that_is_rewritten_to_another_server(self, authority: Authority, tmp_path: Path) -> None:
        path = tmp_path / "config"
        async with guarded() as old:
            kubeconfig(path, old.url, token=SECRET)
            async with Followed(old, access=Access(kubeconfig=path)) as followed:
                await followed.agrees()
                async with guarded(version=5000) as new:
                    new.put(service("new"))
                    path.unlink()
                    kubeconfig(path, new.url, token=SECRET)
                    await old.kill()
                    followed.api = new
                    await followed.agrees()


class TestWhatIsWrongWithAKubeconfig:
    """One line, which says what, and tells no secret."""

    async def why(self, path: Path, context: str | None = None) -> str:
        with pytest.raises(NoCredentials) as raised:
            await Connection(Access(kubeconfig=path, context=context)).open()
        assert "\n" not in str(raised.value)
        assert SECRET not in str(raised.value)
        assert str(path) in str(raised.value)
        return str(raised.value)

    async def test_no_file(self, tmp_path: Path) -> None:
        assert "no such file" in await self.why(tmp_path / "none")
        assert "no such file" in await self.why(tmp_path)

    async def test_no_such_context(self, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", token=SECRET)
        assert "Expected object with name other" in await self.why(path, "other")

    async def test_no_such_certificate(self, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", ca=tmp_path / "none.crt")
        assert "none.crt" in await self.why(path)

    async def test_a_certificate_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "ca.crt").write_text("no certificate")
        path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", ca=tmp_path / "ca.crt", token=SECRET)
        await self.why(path)

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[]",
            "text",
            f"users: [{{name: a, token: {SECRET}",
            f"current-context: a\nusers:\n- name: a\n  token: {SECRET}\n bad\n",
            "current-context: a\n",
            "current-context: a\ncontexts: {}\n",
            MISPLACED_TOKEN,
            '{"current-context": "a", "contexts": [{"name": "a", "context": {"user": "a"}}]}',
            "\x00",
            "\xff",
        ],
    )
    async def test_no_kubeconfig(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "config").write_text(content, encoding="latin-1")
        await self.why(tmp_path / "config")


class TestTls:
    """Always verified, unless the kubeconfig says that it is not."""

    async def test_a_server_of_another_authority_is_never_spoken_to(
        self, api: ApiServer, stranger: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = kubeconfig(tmp_path / "config", api.url, ca=stranger.ca, token=SECRET)
        with caplog.at_level(logging.DEBUG):
            async with Followed(api, access=Access(kubeconfig=path)) as followed:
                await until(lambda: all("certificate" in each.trouble.lower() for each in followed.cluster.health))
                await asyncio.sleep(0.3)
                assert followed.index.awaited == ["EndpointSlice", "Namespace", "Service"]
        assert not api.requests
        assert SECRET not in caplog.text

    async def test_nor_one_that_no_authority_of_this_machine_knows(self, api: ApiServer, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", api.url, token=SECRET)
        with pytest.raises(Lost):
            await get(Access(kubeconfig=path))
        assert not api.requests

    async def test_nor_one_with_another_name(self, authority: Authority, tmp_path: Path) -> None:
        async with guarded(authority) as api:
            api.rotate(authority.server(["DNS:elsewhere.example"]))
            path = kubeconfig(tmp_path / "config", api.url, ca=authority.ca, token=SECRET)
            with pytest.raises(Lost):
                await get(Access(kubeconfig=path))
            assert not api.requests

    async def test_unless_the_kubeconfig_says_so(self, api: ApiServer, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", api.url, insecure=True, token=SECRET)
        assert b'"ServiceList"' in await get(Access(kubeconfig=path))

    async def test_a_server_certificate_may_be_rotated(
        self, api: ApiServer, authority: Authority, tmp_path: Path
    ) -> None:
        path = kubeconfig(tmp_path / "config", api.url, ca=authority.ca, token=SECRET)
        async with Followed(api, access=Access(kubeconfig=path)) as followed:
            await followed.agrees()
            api.rotate()
            await api.kill()
            api.put(service("new"))
            await api.listen()
            await followed.agrees()

    @pytest.mark.parametrize("embed", [False, True])
    async def test_and_its_authority_with_it(self, stranger: Authority, tmp_path: Path, embed: bool) -> None:
        """The last known answers go on until the new one is in the kubeconfig."""
        old = Authority(tmp_path / "old")
        path = tmp_path / "config"
        async with guarded(old) as api:
            kubeconfig(path, api.url, ca=old.ca, token=SECRET, embed=embed)
            async with Followed(api, access=Access(kubeconfig=path)) as followed:
                await followed.agrees()
                api.rotate(stranger.server())
                await api.kill()
                await api.listen()
                await until(lambda: all("certificate" in each.trouble.lower() for each in followed.cluster.health))
                assert followed.has("web.demo")
                path.unlink()
                kubeconfig(path, api.url, ca=stranger.ca, token=SECRET, embed=embed)
                api.put(service("new"))
                await followed.agrees()

    async def test_what_speaks_no_tls_is_no_server(self, tmp_path: Path) -> None:
        async with guarded() as api:
            path = kubeconfig(tmp_path / "config", api.url.replace("http:", "https:"), insecure=True)
            with pytest.raises(Lost):
                await get(Access(kubeconfig=path))


class TestAnAddressAlone:
    async def test_opens_what_asks_for_no_credentials(self) -> None:
        """Such as `kubectl proxy`."""
        async with ApiServer(bookmark_interval=0.1) as api, Followed(api, access=Access(api.url + "/")) as followed:
            await followed.agrees()

    async def test_with_a_certificate(self, api: ApiServer, authority: Authority) -> None:
        certificate, key = map(str, authority.client(USER))
        access = Access(api.url, certificate=certificate, key=key, authority=str(authority.ca))
        async with Followed(api, access=access) as followed:
            await followed.agrees()

    async def test_with_an_authority_alone(self, authority: Authority) -> None:
        async with ApiServer(authority=authority) as api:
            assert await get(Access(api.url, authority=str(authority.ca)))
            with pytest.raises(Lost, match="certificate verify failed"):
                await get(Access(api.url))

    async def test_with_a_certificate_that_is_rotated(
        self, api: ApiServer, authority: Authority, stranger: Authority, tmp_path: Path
    ) -> None:
        """What the API server does not trust fails in the handshake; the new one is used at the next try."""
        files = tmp_path / "certificate", tmp_path / "key"

        def put(certificate: Certificate) -> None:
            for file, content in zip(files, certificate, strict=True):
                file.write_bytes(content.read_bytes())

        put(stranger.client(USER))
        access = Access(api.url, certificate=str(files[0]), key=str(files[1]), authority=str(authority.ca))
        async with Followed(api, access=access) as followed:
            await until(lambda: all(each.trouble for each in followed.cluster.health))
            put(authority.client(USER))
            await followed.agrees()

    async def test_whose_credentials_are_renewed_before_they_fail(
        self, api: ApiServer, authority: Authority, stranger: Authority, tmp_path: Path
    ) -> None:
        """What is followed goes on; the next request comes with the new ones."""
        ca = tmp_path / "ca"
        ca.write_bytes(authority.ca.read_bytes())
        certificate, key = map(str, authority.client(USER))
        async with Followed(
            api, access=Access(api.url, certificate=certificate, key=key, authority=str(ca))
        ) as followed:
            await followed.agrees()
            ca.write_bytes(stranger.ca.read_bytes())
            await followed.cluster.renew()
            api.put(service("still-followed"))
            await followed.agrees()
            api.cut()
            await until(lambda: all("certificate verify failed" in each.trouble for each in followed.cluster.health))

    async def test_and_nothing_else(self) -> None:
        async with guarded() as api:
            with pytest.raises(Refused, match="401 Unauthorized"):
                await get(Access(api.url))

    async def test_what_answers_may_be_anything(self) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with ApiServer() as api, server, Followed(api, access=Access(f"http://127.0.0.1:{port}")) as followed:
            await until(lambda: all(each.trouble for each in followed.cluster.health))
            assert not followed.index.is_synced


class TestSecrets:
    async def test_no_token_is_in_the_log(
        self, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whatever goes wrong, and however much is logged."""
        token = tmp_path / "token"
        token.write_text(SECRET)
        path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", ca=authority.ca, token_file=token)
        with caplog.at_level(logging.DEBUG):
            async with guarded(authority) as api:
                path.unlink()
                kubeconfig(path, api.url, ca=authority.ca, token_file=token)
                async with Followed(api, access=Access(kubeconfig=path)) as followed:
                    await followed.agrees()
                    api.access.revoke(SECRET)
                    api.cut()
                    await until(lambda: followed.health().trouble)
                    token.write_text(f"{SECRET}\nbroken")
                    await asyncio.sleep(0.2)
                    api.access.accept(SECRET)
                    token.write_text(SECRET)
                    await followed.agrees()
        assert SECRET not in caplog.text


class TestImports:
    """What a pod does not need is not read."""

    HEAVY = ("pydantic", "requests", "urllib3", "kubernetes.client", "kubernetes.dynamic", "kubernetes.aio.dynamic")

    def loaded(self, program: str) -> set[str]:
        """The modules that are there after a program, in a process of its own."""
        show = "import sys; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", f"{program}\n{show}"], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    def test_a_server_reads_no_client_that_it_has_no_use_for(self) -> None:
        loaded = self.loaded("import clusterdns.sources.cluster")
        assert "kubernetes.aio.client.rest" in loaded
        assert not loaded.intersection(self.HEAVY)

    def test_who_imports_the_package_elsewhere_gets_all_of_it(self) -> None:
        program = "import clusterdns.sources.cluster.library, kubernetes.aio\nkubernetes.client.CoreV1Api"
        assert {"kubernetes.client", "kubernetes.aio.dynamic"} <= self.loaded(program)

    def test_a_kubeconfig_is_read_by_the_package_with_the_same_errors(self) -> None:
        self.loaded(
            "from clusterdns.sources.cluster.library import ConfigException, kube_config\n"
            "assert kube_config().ConfigException is ConfigException"
        )
