"""DNS over TLS (RFC 7858), to our clients and to upstreams, and certificates that change while it is spoken."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dns.message
import dns.query
import dns.rcode
import pytest
import yaml
from forwarding import CLUSTER_ADDRESS, CLUSTER_NAME, at, data, forwarding
from serving import COMMAND, ENVIRONMENT, EXAMPLE, REPOSITORY, Serving, dig, eventually, free_port, run

from tests.apiserver.certificates import Authority, Certificate
from tests.upstreams import Faulty, ask
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Serve = Callable[..., Serving]

LOCAL = "127.0.0.1"
ANSWER = [f"{CLUSTER_NAME}. 30 IN A {CLUSTER_ADDRESS}"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "resolvers")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "strangers")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.server(["DNS:dns.example", "IP:127.0.0.1"])


class Mounted:
    """A certificate and its key as a Secret is mounted: links through `..data`, which is swapped as a whole."""

    def __init__(self, folder: Path, certificate: Certificate) -> None:
        self._folder = folder
        self._number = 0
        self.put(certificate)
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to(Path("..data", name))

    def put(self, certificate: Certificate, key: Path | None = None) -> None:
        self._number += 1
        version = self._folder / f"..{self._number}"
        version.mkdir()
        shutil.copy(certificate.certificate, version / "tls.crt")
        shutil.copy(key or certificate.key, version / "tls.key")
        aside = self._folder / "..data_tmp"
        aside.symlink_to(version.name)
        aside.replace(self._folder / "..data")

    @property
    def arguments(self) -> tuple[object, ...]:
        return "--tls-certificate", self._folder / "tls.crt", "--tls-key", self._folder / "tls.key"


def trusting(authority: Authority, shown: Certificate | None = None) -> ssl.SSLContext:
    """A client's context; `shown` is its own certificate."""
    context = ssl.create_default_context(cafile=authority.ca)
    if shown:
        context.load_cert_chain(*shown)
    return context


def over_tls(port: int, context: ssl.SSLContext, name: str = CLUSTER_NAME) -> list[str]:
    query = dns.message.make_query(name, "A")
    return data(dns.query.tls(query, LOCAL, port=port, timeout=5, ssl_context=context, server_hostname=LOCAL))


def served_names(port: int, context: ssl.SSLContext) -> list[str]:
    """Those in the certificate that is shown to a new client."""
    text = ssl.get_server_certificate(("127.0.0.1", port))
    printed = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName"],
        input=text, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert over_tls(port, context)
    return [each.strip() for each in printed.splitlines()[1].split(",")]


class TestAnswers:
    @pytest.fixture(scope="class")
    @staticmethod
    def port(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
        files = ("--tls-certificate", certificate.certificate, "--tls-key", certificate.key)
        log = tmp_path_factory.mktemp("answers") / "log"
        server = Serving(log, "--manifests", EXAMPLE, *files, listen=("127.0.0.1:0", "tls://127.0.0.1:0"))
        assert dig("@127.0.0.1", "-p", server.port, CLUSTER_NAME).answer == ANSWER
        yield server.addresses[1][1]
        assert server.stop() == 0
        assert "Traceback" not in server.log

    def test_dig(self, port: int, authority: Authority) -> None:
        checked = ("+tls", f"+tls-ca={authority.ca}", "+tls-hostname=dns.example")
        assert dig("@127.0.0.1", "-p", port, *checked, CLUSTER_NAME).answer == ANSWER

    def test_to_whom_the_name_is_another(self, port: int, authority: Authority) -> None:
        checked = ("+tls", f"+tls-ca={authority.ca}", "+tls-hostname=other.example", "+tries=1")
        ran = run("dig", "@127.0.0.1", "-p", port, *checked, CLUSTER_NAME)
        assert "TLS peer certificate verification" in ran.stdout + ran.stderr

    def test_many_questions_on_one_connection(self, port: int) -> None:
        names = [CLUSTER_NAME, f"no-such.{CLUSTER_NAME}"] * 50
        printed = run("dig", "@127.0.0.1", "-p", port, "+tls", "+keepopen", "+noall", "+comments", *names).stdout
        assert (printed.count("status: NOERROR"), printed.count("status: NXDOMAIN")) == (50, 50)

    def test_without_tls_there_is_no_answer(self, port: int) -> None:
        with pytest.raises((OSError, EOFError)):
            dns.query.tcp(dns.message.make_query(CLUSTER_NAME, "A"), "127.0.0.1", port=port, timeout=5)


COREFILE = """
tls://.:{nocert} {{
    tls {certificate} {key} {ca}
    template IN A {{
        answer "{{{{ .Name }}}} 60 IN A 192.0.2.9"
    }}
}}
tls://.:{given} {{
    tls {certificate} {key} {ca} {{
        client_auth verify_if_given
    }}
    template IN A {{
        answer "{{{{ .Name }}}} 60 IN A 192.0.2.9"
    }}
}}
tls://example.org:{required} tls://example.net:{required} {{
    tls {certificate} {key} {ca} {{
        client_auth require_and_verify
    }}
    template IN A {{
        answer "{{{{ .Name }}}} 60 IN A 192.0.2.9"
    }}
}}
"""


@contextmanager
def started(folder: Path, transport: str, count: int) -> Iterator[None]:
    """A server as CoreDNS is started, with the Corefile of the folder, that listens so often over such a transport."""
    log = folder / "log"
    with log.open("wb") as stderr:
        command = [*COMMAND, "-conf", str(folder / "Corefile")]
        process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stderr=stderr)
    try:
        eventually(lambda: log.read_text().count(f", {transport}\n") >= count, "it listens")
        yield
        process.terminate()
        assert process.wait(10) == 0
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


class TestCorefile:
    @pytest.fixture(scope="class")
    @staticmethod
    def ports(
        authority: Authority, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[dict[str, int]]:
        folder = tmp_path_factory.mktemp("corefile")
        ports = {name: free_port() for name in ("nocert", "given", "required")}
        values = {"certificate": certificate.certificate, "key": certificate.key, "ca": authority.ca}
        (folder / "Corefile").write_text(COREFILE.format(**values, **ports))
        with started(folder, "TLS", len(ports)):
            yield ports

    @pytest.mark.parametrize(
        ("port", "shown", "is_served"),
        [
            ("nocert", "none", True),
            ("nocert", "ours", True),
            ("nocert", "a stranger's", True),
            ("given", "none", True),
            ("given", "ours", True),
            ("given", "a stranger's", False),
            ("required", "none", False),
            ("required", "ours", True),
            ("required", "a stranger's", False),
        ],
    )
    def test_who_is_served(
        self,
        ports: dict[str, int],
        authority: Authority,
        stranger: Authority,
        port: str,
        shown: str,
        *,
        is_served: bool,
    ) -> None:
        certificate = {"none": None, "ours": authority.client("pod"), "a stranger's": stranger.client("pod")}[shown]
        if is_served:
            assert over_tls(ports[port], trusting(authority, certificate), "www.example.net") == ["192.0.2.9"]
        else:
            with pytest.raises((OSError, EOFError)):
                over_tls(ports[port], trusting(authority, certificate), "www.example.net")

    def test_zones_of_one_block(self, ports: dict[str, int], authority: Authority) -> None:
        context = trusting(authority, authority.client("pod"))
        for name, rcode in (("www.example.org", dns.rcode.NOERROR), ("www.example.com", dns.rcode.REFUSED)):
            query = dns.message.make_query(name, "A")
            reply = dns.query.tls(
                query, LOCAL, port=ports["required"], timeout=5, ssl_context=context, server_hostname=LOCAL
            )
            assert reply.rcode() == rcode


class TestCertificatesThatChange:
    """As cert-manager and the kubelet change them."""

    @pytest.fixture
    def mounted(self, certificate: Certificate, tmp_path: Path) -> Mounted:
        (folder := tmp_path / "secret").mkdir()
        return Mounted(folder, certificate)

    @pytest.fixture
    def server(self, serve: Serve, mounted: Mounted) -> Serving:
        self.http = f"127.0.0.1:{free_port()}"
        listen = ("tls://127.0.0.1:0", "127.0.0.1:0")
        return serve("--manifests", EXAMPLE, *mounted.arguments, "--http", self.http, listen=listen)

    def page(self, name: str) -> str:
        with urllib.request.urlopen(f"http://{self.http}/{name}") as response:
            return str(response.read().decode())

    def test_new_clients_see_the_new_one(self, server: Serving, mounted: Mounted, authority: Authority) -> None:
        context = trusting(authority)
        assert served_names(server.port, context) == ["DNS:dns.example", "IP Address:127.0.0.1"]
        query = dns.message.make_query(CLUSTER_NAME, "A")
        plain = socket.create_connection((LOCAL, server.port), timeout=5)
        with context.wrap_socket(plain, server_hostname=LOCAL) as open_before:
            assert data(dns.query.tls(query, "127.0.0.1", sock=open_before, timeout=5)) == [CLUSTER_ADDRESS]
            mounted.put(authority.server(["DNS:new.example", "IP:127.0.0.1"]))
            eventually(lambda: "DNS:new.example" in served_names(server.port, context), "the new certificate")
            assert data(dns.query.tls(query, "127.0.0.1", sock=open_before, timeout=5)) == [CLUSTER_ADDRESS]

    def test_on_sighup(self, server: Serving, mounted: Mounted, authority: Authority) -> None:
        mounted.put(authority.server(["DNS:new.example", "IP:127.0.0.1"]))
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the configuration is read" in server.log, "it is read")
        assert "DNS:new.example" in served_names(server.port, trusting(authority))

    def test_one_without_its_key_changes_nothing(
        self, server: Serving, mounted: Mounted, authority: Authority, certificate: Certificate
    ) -> None:
        mounted.put(authority.server(["DNS:new.example", "IP:127.0.0.1"]), key=certificate.key)
        eventually(lambda: "the configuration is not changed" in server.log, "it is told of")
        assert "it is not the key of" in server.log
        assert served_names(server.port, trusting(authority)) == ["DNS:dns.example", "IP Address:127.0.0.1"]
        assert self.page("ready").startswith("OK\nthe configuration of before is in effect: tls.key: ")
        assert "coredns_reload_failed_total 1.0" in self.page("metrics")
        mounted.put(authority.server(["DNS:new.example", "IP:127.0.0.1"]))
        eventually(lambda: "DNS:new.example" in served_names(server.port, trusting(authority)), "the new certificate")
        assert self.page("ready") == "OK"


class TestWrongUse:
    @pytest.mark.parametrize(
        ("given", "line"),
        [
            (("--tls-certificate", "/nowhere", "--tls-key", "/key"), "/nowhere: No such file or directory"),
            ((), "tls://127.0.0.1:0 takes one, and tls.key"),
        ],
        ids=["a file that is missing", "none"],
    )
    def test_is_one_line(self, given: tuple[str, ...], line: str) -> None:
        ran = run(*COMMAND, "serve", "--manifests", EXAMPLE, "--listen", "tls://127.0.0.1:0", "--http", "none", *given)
        assert ran.returncode == 2
        assert [each for each in ran.stderr.splitlines() if " INFO " not in each] == [
            f"clusterdns: tls.certificate: {line}"
        ]

    def test_in_a_corefile(self, tmp_path: Path) -> None:
        (tmp_path / "Corefile").write_text("tls://. {\n}\n")
        ran = run(*COMMAND, "-conf", tmp_path / "Corefile")
        line = "tls://: expected the directive tls CERT KEY in its server block"
        assert (ran.returncode, ran.stderr) == (2, f"clusterdns: {tmp_path}/Corefile:1: {line}\n")

    def test_two_certificates_on_one_address(self, tmp_path: Path) -> None:
        block = {"names": ["example"], "listen": ["tls://127.0.0.1:853"], "tls": {"certificate": "b", "key": "b"}}
        file = tmp_path / "clusterdns.yaml"
        file.write_text(
            yaml.safe_dump({
                "listen": ["tls://127.0.0.1:853"], "tls": {"certificate": "a", "key": "a"}, "blocks": [block],
            })
        )  # fmt: skip
        ran = run(*COMMAND, "check", "--config", file)
        assert ran.returncode == 2
        assert ran.stderr == "clusterdns: blocks: tls://127.0.0.1:853: another block has another certificate there\n"


class TestUpstreamsThatAskForCertificates:
    @pytest.fixture(scope="class")
    @staticmethod
    def upstream(authority: Authority, certificate: Certificate) -> Iterator[Faulty]:
        context = authority.context(certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        with Faulty(says("{name} 0 IN A 192.0.2.1"), tls=context) as started:
            yield started

    def served(self, server: Serving) -> bool:
        return data(ask(at(server), "www.example")) == ["192.0.2.1"]

    def test_are_shown_ours(
        self, upstream: Faulty, authority: Authority, stranger: Authority, serve: Serve, tmp_path: Path
    ) -> None:
        """And the next one, once it is there; a stranger's is of no use."""
        mounted = Mounted(tmp_path, stranger.client("clusterdns"))
        server = forwarding(
            serve, tmp_path / "served", f"tls://127.0.0.1:{upstream.tls_port}#dns.example",
            tls_ca=str(authority.ca), tls_certificate=str(tmp_path / "tls.crt"), tls_key=str(tmp_path / "tls.key"),
            cache={"failure-seconds": 0},
        )  # fmt: skip
        assert not self.served(server)
        mounted.put(authority.client("clusterdns"))
        eventually(lambda: self.served(server), "the new certificate is shown")

    def test_in_a_corefile(
        self, upstream: Faulty, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without an authority those of the system vouch; without a certificate this upstream says nothing."""
        monkeypatch.setitem(ENVIRONMENT, "SSL_CERT_FILE", str(authority.ca))
        own = authority.client("clusterdns")
        is_served = {
            f"tls {own.certificate} {own.key} {authority.ca}": True,
            f"tls {own.certificate} {own.key}": True,
            f"tls {authority.ca}": False,
            "tls": False,
        }
        ports = [free_port() for _ in is_served]
        where = f"tls://127.0.0.1:{upstream.tls_port}"
        (tmp_path / "Corefile").write_text(
            "".join(
                f".:{port} {{\nbind 127.0.0.1\nforward . {where} {{\n{tls}\ntls_servername dns.example\n}}\n}}\n"
                for port, tls in zip(ports, is_served, strict=True)
            )
        )
        with started(tmp_path, "UDP and TCP", len(ports)):
            replies = [ask((LOCAL, port), "www.example") for port in ports]
        assert [data(each) == ["192.0.2.1"] for each in replies] == [*is_served.values()]
