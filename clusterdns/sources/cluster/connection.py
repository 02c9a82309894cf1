"""The way to an API server: credentials, TLS, and requests whose bodies are read as they come.

The kubernetes package loads the credentials (the service account of a pod, kubeconfig files with certificates, tokens
and exec plugins) and makes the requests; bodies are handed on raw.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from clusterdns import __version__
from clusterdns.redaction import redacted
from clusterdns.sources import NoCredentials
from clusterdns.sources.cluster.library import (
    KUBECONFIG_LOGGER,
    ConfigException,
    Configuration,
    RESTClientObject,
    aiohttp,
    kube_config,
    load_incluster_config,
    without_authorities,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

CONNECT_SECONDS = 10.0

PIECE = 64 << 10
"""Bytes of a body that are handed on at once, and half of those that are read ahead: a list of a large cluster would
otherwise come in megabytes at a time, while queries wait.
"""

MOST_SECRETS = 50
"""That are remembered, so that they are not told: tokens are rotated."""

Lost = (aiohttp.ClientError, OSError, TimeoutError, EOFError)
"""What a request fails with when it is not the API server that says no."""


Unreadable = (msgspec.DecodeError, RecursionError)
"""What a body is not understood with: it is no JSON, or not the API's, or as deep as no object is."""


class Refused(Exception):
    """The API server's own no: a status of 400 or above, or an ERROR event in a watch."""

    def __init__(self, code: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after


class Status(Struct):
    """The body of a refusal (meta/v1 Status)."""

    code: int = 0
    message: str = ""


class Access(Struct, frozen=True):
    """Where an API server is, and what opens it: a URL, a kubeconfig file, or else the pod that we are in.

    certificate, key, authority: files for a URL; without an authority those of the system are trusted.
    """

    api_server: str = ""
    kubeconfig: Path | None = None
    context: str | None = None
    certificate: str = ""
    key: str = ""
    authority: str = ""

    async def configuration(self) -> Configuration:
        """Read anew each time, because certificates and tokens are rotated. Raises NoCredentials."""
        found = Configuration(client_session_kwargs={"read_bufsize": PIECE})
        try:
            is_missing = self.kubeconfig is not None and not self.kubeconfig.is_file()
        except PermissionError as error:  # its folder is closed to us; the library would take it for missing
            raise NoCredentials(f"{self.kubeconfig}: {_what_is_wrong(error)}") from error
        if is_missing:
            raise NoCredentials(f"{self.kubeconfig}: no such file")
        try:
            if self.api_server:
                found.host = self.api_server.rstrip("/")
                found.cert_file, found.key_file = self.certificate or None, self.key or None
                found.ssl_ca_cert = self.authority or None
            elif self.kubeconfig:
                await kube_config().load_kube_config(str(self.kubeconfig), self.context, found, persist_config=False)
            else:
                load_incluster_config(found)
        except Exception as error:
            why = _what_is_wrong(error)
            if self.kubeconfig:
                if isinstance(error, OSError) and error.filename not in (None, str(self.kubeconfig)):
                    why = f"{error.filename}: {why}"  # such as of a token
                raise NoCredentials(f"{self.kubeconfig}: {why}") from error
            hint = "nothing to serve: give --manifests PATH or --kubeconfig FILE, or run in a pod"
            raise NoCredentials(f"{hint} ({why})") from error
        return found


_OF_A_PLUGIN = re.compile(
    r"exec: (?:process returned -?\d+|failed to decode process output|malformed response|plugin api version"
    r"|missing [A-Za-z ]+|)"
)


def _what_is_wrong(error: Exception) -> str:
    """Why there are no credentials, without what may be a part of them.

    It may be quoted after a brace; and a plugin may have printed it before it failed.
    """
    if isinstance(error, AttributeError | TypeError):  # the library took something else for a mapping or a list
        return "it is not made as a kubeconfig file is"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if of_a_plugin := _OF_A_PLUGIN.match(str(error)):
        return f"{of_a_plugin[0]}; what the command said is not shown, since there may be a token in it"
    return redacted(" ".join(str(error).partition("{")[0].split())) or type(error).__name__


def _is_told(record: logging.LogRecord) -> bool:
    """What the library logs of a plugin that failed, before it goes on without credentials, may hold a token."""
    text = _what_is_wrong(ValueError(record.getMessage()))
    record.msg, record.args = "%(error)s", {"source": "kubeconfig", "error": text}
    return True


logging.getLogger(KUBECONFIG_LOGGER).addFilter(_is_told)


class _Client(Struct, eq=False):
    """A pool of connections that were opened with the same credentials."""

    http: RESTClientObject
    made_of: tuple[object, ...]
    users: int = 0
    """Requests that are being answered."""


class Connection:
    """Requests to one API server, all with the newest credentials that were loaded."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client: _Client | None = None
        self._opening = asyncio.Lock()
        self._secrets: dict[str, None] = {}
        """Those that requests were made with; an error may come late."""

    async def open(self) -> str:
        """Load the credentials, unless they are; returns where they lead. Raises NoCredentials."""
        return str((await self._open()).http.configuration.host)

    async def _open(self) -> _Client:
        async with self._opening:
            if self._client is None:
                configuration = await self._access.configuration()
                self._note_secrets(configuration)
                try:
                    with nullcontext() if configuration.host.startswith("https:") else without_authorities():
                        self._client = _Client(RESTClientObject(configuration), _essence(configuration))
                except OSError as error:
                    whose = self._access.kubeconfig or self._access.api_server or "the service account"
                    raise NoCredentials(f"{whose}: the certificates can not be loaded: {error}") from error
            return self._client

    def redacted(self, text: str) -> str:
        """What the API server says, without what we have told it: it may quote a request."""
        if self._client is not None:
            self._note_secrets(self._client.http.configuration)
        return redacted(text, self._secrets)

    def _note_secrets(self, configuration: Configuration) -> None:
        for each in _secrets(configuration):
            self._secrets[each] = None
        for old in list(self._secrets)[:-MOST_SECRETS]:
            del self._secrets[old]

    async def renew(self) -> None:
        """Forget the credentials; the next request loads them again. What is being answered goes on."""
        client, self._client = self._client, None
        if client is not None and not client.users:
            await client.http.close()

    async def renew_if_rotated(self) -> None:
        """The same, if a request would be made with other credentials today."""
        client = self._client
        with suppress(NoCredentials, OSError):
            fresh = _essence(await self._access.configuration())
            if client is not None and client is self._client and fresh != client.made_of:
                await self.renew()

    async def close(self) -> None:
        await self.renew()

    @asynccontextmanager
    async def get(
        self, path: str, query: Mapping[str, str], silence: Callable[[], float]
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        """The body of an answer, in pieces as they come, none of them later than `silence()` seconds after the last.

        Raises Refused, NoCredentials, and any of Lost. A TimeoutError says that there is a server, but a silent one.
        """
        client = await self._open()
        client.users += 1
        try:
            answer = await _request(client.http, path, query, silence)
            try:
                if answer.status >= 400:
                    raise await _refusal(answer)
                async with aclosing(_pieces(answer.content, silence)) as body:
                    yield body
            finally:
                answer.close()
        finally:
            client.users -= 1
            if client is not self._client and not client.users:
                await client.http.close()


async def _request(
    http: RESTClientObject, path: str, query: Mapping[str, str], silence: Callable[[], float]
) -> aiohttp.ClientResponse:
    url = f"{http.configuration.host}{path}?{urlencode(query, quote_via=quote)}"
    # Compressed bodies would cost us more time than the network saves: we are next to the API server.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"clusterdns/{__version__}"}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    try:
        for each in (await http.configuration.auth_settings()).values():
            headers[each["key"]] = (each["value"] or "").strip()  # tokens come from files, which may end with a line
        async with asyncio.timeout(silence()):
            reply = await http.request("GET", url, headers=headers, _request_timeout=timeout)
        answer: aiohttp.ClientResponse = reply.response
    except aiohttp.ConnectionTimeoutError as error:
        raise ConnectionError(str(error)) from error
    except Lost:
        raise
    except (ConfigException, ValueError) as error:
        raise NoCredentials(f"the credentials can not be sent: {error}") from error
    return answer


async def _pieces(content: aiohttp.StreamReader, silence: Callable[[], float]) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            async with asyncio.timeout(silence()):
                piece = await content.read(PIECE)
        except aiohttp.ClientPayloadError as error:
            raise EOFError("the connection was lost in the midst of the answer") from error
        if not piece:
            return
        yield piece


def _secrets(configuration: Configuration) -> set[str]:
    """All texts that open something: tokens, and what they were encoded from."""
    given = [str(each) for each in (*configuration.api_key.values(), configuration.password) if each]
    words = {word for each in given for word in each.split() if word.lower() not in ("bearer", "basic")}
    url = urlsplit(configuration.host)
    if url.password:  # in this form it is sent
        user, password = unquote(url.username or ""), unquote(url.password)
        words |= {password, url.password, base64.b64encode(f"{user}:{password}".encode()).decode()}
    for word in tuple(words):
        with suppress(ValueError):
            words.add(base64.b64decode(word, validate=True).decode().rpartition(":")[2])
    return words


def _essence(configuration: Configuration) -> tuple[object, ...]:
    """What makes one set of credentials another: where they lead, and what is in their files."""
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    contents = tuple(Path(each).read_bytes() if each else b"" for each in files)
    return configuration.host, dict(configuration.api_key), contents


async def _refusal(answer: aiohttp.ClientResponse) -> Refused:
    body = await answer.read()
    try:
        status = msgspec.json.decode(body, type=Status)
    except Unreadable:
        status = Status(message=body[:200].decode(errors="replace"))
    after = answer.headers.get("Retry-After", "")
    return Refused(answer.status, status.message or answer.reason or "", float(after) if after.isdigit() else None)
