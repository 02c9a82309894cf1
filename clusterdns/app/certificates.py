"""Certificates, keys and authorities: their files become what TLS is spoken with."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import config
from clusterdns.app.routes import upstream_texts
from clusterdns.contents import content
from clusterdns.forward import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clusterdns.config import Block, Config, Forward, Tls


def files(settings: Config) -> tuple[Path, ...]:
    """All that these settings name."""
    named = [path for block in config.blocks(settings) for path in (*_served(block), *_forwarded(block.forward))]
    named += (settings.api_certificate, settings.api_key, settings.api_authority)
    return tuple(dict.fromkeys(map(Path, filter(None, named))))


def fingerprints(paths: Iterable[Path]) -> Mapping[Path, bytes]:
    """What is in the files, as hashes, so that no key is kept; nothing for one that can not be read."""
    found = {}
    for path in paths:
        try:
            found[path] = hashlib.sha256(content(path)).digest()
        except OSError:
            found[path] = b""
    return found


def for_clients(given: Tls) -> ssl.SSLContext:
    """What clients are spoken to with. Raises BadConfig."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION  # that is work for a server, at no cost for a client
    context.set_alpn_protocols(["dot"])  # who transfers zones insists on it (RFC 9103 section 7.1)
    _load_certificate(context, "tls.certificate", given.certificate, "tls.key", given.key)
    if given.client_certificates != "none":
        if given.client_authority:
            _load_authority(context, "tls.client-authority", given.client_authority)
        else:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        is_required = given.client_certificates == "required"
        context.verify_mode = ssl.CERT_REQUIRED if is_required else ssl.CERT_OPTIONAL
    return context


class ForUpstreams(Struct, frozen=True):
    """What upstreams are spoken to with, and what that was made of."""

    context: ssl.SSLContext | None
    made_of: object = None


def for_upstreams(given: Forward, former: ForUpstreams | None) -> ForUpstreams:
    """The former one, if nothing has changed: to load the system's authorities takes a while. Raises BadConfig."""
    upstreams = [each for each in upstream_texts(given) if not config.is_file(each)]
    named = _forwarded(given)
    if not any(named) and not any(parse_address(each).tls for each in upstreams):
        return ForUpstreams(None)
    made_of = (named, fingerprints(Path(each) for each in named if each))
    if former is not None and former.made_of == made_of:
        return former
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if given.tls_ca:
        _load_authority(context, "forward.tls-ca", given.tls_ca)
    else:
        context.load_default_certs()
    if given.tls_certificate:
        _load_certificate(context, "forward.tls-certificate", given.tls_certificate, "forward.tls-key", given.tls_key)
    return ForUpstreams(context, made_of)


def check_api_server(settings: Config) -> None:
    """Whether the files for the API server can be used. Raises BadConfig."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.api_authority:
        _load_authority(context, "api-authority", settings.api_authority)
    if settings.api_certificate:
        _load_certificate(context, "api-certificate", settings.api_certificate, "api-key", settings.api_key)


def _served(block: Block) -> tuple[str, ...]:
    if not any(map(config.is_tls, block.listen)):
        return ()
    return block.tls.certificate, block.tls.key, block.tls.client_authority


def _forwarded(given: Forward) -> tuple[str, ...]:
    return given.tls_ca, given.tls_certificate, given.tls_key


def _load_certificate(context: ssl.SSLContext, setting: str, certificate: str, key_setting: str, key: str) -> None:
    """OpenSSL does not say which of the files is wrong, so they are looked at before. Raises BadConfig."""
    _expect(setting, certificate, "BEGIN CERTIFICATE", "a certificate")
    _expect(key_setting, key, "PRIVATE KEY", "a private key")
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise config.BadConfig(f"{key_setting}: {key}: it is not the key of {certificate}") from error
        raise config.BadConfig(f"{setting}: {certificate}, {key}: they can not be loaded: {_why(error)}") from error
    except _Locked as error:
        raise config.BadConfig(f"{key_setting}: {key}: expected a key without a password") from error
    except OSError as error:  # they were there a moment ago: others are being put in their place
        raise config.BadConfig(f"{setting}: {certificate}, {key}: {error.strerror}") from error


def _load_authority(context: ssl.SSLContext, setting: str, path: str) -> None:
    """Raises BadConfig."""
    _expect(setting, path, "BEGIN CERTIFICATE", "certificates of authorities")
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise config.BadConfig(f"{setting}: {path}: it can not be loaded: {_why(error)}") from error
    except OSError as error:
        raise config.BadConfig(f"{setting}: {path}: {error.strerror}") from error


def _expect(setting: str, path: str, mark: str, what: str) -> None:
    try:
        text = content(Path(path))
    except OSError as error:
        raise config.BadConfig(f"{setting}: {path}: {error.strerror}") from error
    if mark.encode() not in text:
        raise config.BadConfig(f"{setting}: {path}: expected {what} in PEM")


class _Locked(Exception):
    """A key has a password, and there is nobody to ask for it."""


def _no_password() -> str:
    raise _Locked


def _why(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
