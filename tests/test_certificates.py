"""Certificates, keys and authorities as files: what is made of them, and what is said of those that are no good."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from clusterdns.app import certificates
from clusterdns.config import BadConfig, Block, Config, Forward, Tls
from tests.apiserver.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

UPSTREAM = "tls://192.0.2.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """certificate and key, those of others, and files of no use."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder / "authority", "resolvers")
    certificate, key = authority.server()
    shutil.copy(certificate, folder / "certificate")
    shutil.copy(key, folder / "key")
    shutil.copy(authority.server().key, folder / "other-key")
    shutil.copy(authority.ca, folder / "ca")
    (folder / "broken").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "empty").touch()
    lock = ["openssl", "pkcs8", "-topk8", "-in", str(key), "-out", str(folder / "locked-key"), "-passout", "pass:x"]
    subprocess.run(lock, check=True)
    return folder


FAULTS = [
    (("nowhere", "key"), "certificate: nowhere: No such file or directory"),
    (("certificate", "nowhere"), "key: nowhere: No such file or directory"),
    (("", "key"), "certificate: : Is a directory"),
    (("empty", "key"), "certificate: empty: expected a certificate in PEM"),
    (("key", "key"), "certificate: key: expected a certificate in PEM"),
    (("certificate", "certificate"), "key: certificate: expected a private key in PEM"),
    (("certificate", "other-key"), "key: other-key: it is not the key of certificate"),
    (("certificate", "locked-key"), "key: locked-key: expected a key without a password"),
    (("broken", "key"), "certificate: broken, key: they can not be loaded: "),
]


class TestWhatIsNoGood:
    def said(self, raised: pytest.ExceptionInfo[BadConfig], folder: Path) -> str:
        assert "\n" not in str(raised.value)
        return str(raised.value).replace(f"{folder}/", "").replace(str(folder), "")

    @pytest.mark.parametrize(("files", "line"), FAULTS)
    def test_for_clients(self, folder: Path, files: tuple[str, str], line: str) -> None:
        certificate, key = (str(folder / each) for each in files)
        with pytest.raises(BadConfig) as raised:
            certificates.for_clients(Tls(certificate, key))
        assert self.said(raised, folder).startswith(f"tls.{line}")

    @pytest.mark.parametrize(("files", "line"), FAULTS)
    def test_for_upstreams(self, folder: Path, files: tuple[str, str], line: str) -> None:
        certificate, key = (str(folder / each) for each in files)
        with pytest.raises(BadConfig) as raised:
            certificates.for_upstreams(Forward(tls_certificate=certificate, tls_key=key), None)
        assert self.said(raised, folder).replace("tls-", "").startswith(f"forward.{line}")

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("nowhere", "No such file or directory"),
            ("empty", "expected certificates of authorities in PEM"),
            ("key", "expected certificates of authorities in PEM"),
            ("broken", "it can not be loaded: "),
        ],
    )
    def test_authorities(self, folder: Path, name: str, why: str) -> None:
        path = str(folder / name)
        given = Tls(str(folder / "certificate"), str(folder / "key"), "required", path)
        with pytest.raises(BadConfig) as raised:
            certificates.for_clients(given)
        assert self.said(raised, folder).startswith(f"tls.client-authority: {name}: {why}")
        with pytest.raises(BadConfig) as raised:
            certificates.for_upstreams(Forward(tls_ca=path), None)
        assert self.said(raised, folder).startswith(f"forward.tls-ca: {name}: {why}")

    @pytest.mark.parametrize(("files", "line"), FAULTS)
    def test_for_the_api_server(self, folder: Path, files: tuple[str, str], line: str) -> None:
        certificate, key = (str(folder / each) for each in files)
        with pytest.raises(BadConfig) as raised:
            certificates.check_api_server(Config(api_certificate=certificate, api_key=key))
        assert self.said(raised, folder).startswith(f"api-{line}")


class TestForUpstreams:
    def test_nothing_is_loaded_without_need(self) -> None:
        assert certificates.for_upstreams(Forward(upstreams=("192.0.2.1",)), None).context is None

    def test_it_stays_while_its_files_do(self, folder: Path, tmp_path: Path) -> None:
        shutil.copy(folder / "ca", path := tmp_path / "ca")
        given = Forward(upstreams=(UPSTREAM,), tls_ca=str(path))
        first = certificates.for_upstreams(given, None)
        shutil.copy(folder / "ca", path)
        assert certificates.for_upstreams(given, first) is first
        shutil.copy(folder / "certificate", path)
        second = certificates.for_upstreams(given, first)
        assert second.context is not first.context
        assert second.context is not None
        assert second.context.verify_mode == ssl.CERT_REQUIRED
        assert second.context.check_hostname


def test_the_files_of_all_blocks_are_watched() -> None:
    """Those of a certificate that nobody is shown are not."""
    settings = Config(
        tls=Tls("unused", "unused"),
        forward=Forward(tls_ca="ca"),
        blocks=(
            Block(listen=("tls://127.0.0.1",), tls=Tls("certificate", "key", "required", "clients")),
            Block(forward=Forward(tls_certificate="own", tls_key="own-key", tls_ca="ca")),
        ),
    )
    assert list(map(str, certificates.files(settings))) == ["ca", "certificate", "key", "clients", "own", "own-key"]


@pytest.mark.parametrize("gone", ["certificate", "ca"])
def test_files_that_go_while_they_are_read_are_told_of(
    gone: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a Secret do, when others are put in their place."""
    for name in ("certificate", "key", "ca"):
        shutil.copy(folder / name, tmp_path)
    expect = certificates._expect

    def look_and_lose(setting: str, path: str, *rest: str) -> None:
        expect(setting, path, *rest)
        if path.endswith(f"/{gone}"):
            (tmp_path / gone).unlink()

    monkeypatch.setattr(certificates, "_expect", look_and_lose)
    certificate, key, authority = (str(tmp_path / name) for name in ("certificate", "key", "ca"))
    with pytest.raises(BadConfig, match="No such file or directory"):
        certificates.for_clients(Tls(certificate, key, "required", authority))
