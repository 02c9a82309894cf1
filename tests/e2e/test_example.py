"""config/example, asked as its reader asks it: with dig and nslookup."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

import pytest
from serving import EXAMPLE, Dug, Namespace, Serving, needs_ipv6, program, read_dig, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAYS = [
    pytest.param(f"{transport} {host} {edns}", marks=[needs_ipv6] if host == "::1" else [])
    for transport, host, edns in product(("udp", "tcp"), ("127.0.0.1", "::1"), ("edns", "noedns"))
]

ANSWERED = {
    "alpaca-prod.default.svc.cluster.local A": """
        alpaca-prod.default.svc.cluster.local. 30 IN A 10.96.78.232
    """,
    "bandicoot-prod.default.svc.cluster.local A": """
        bandicoot-prod.default.svc.cluster.local. 30 IN A 10.96.191.162
    """,
    "Alpaca-PROD.default.SVC.cluster.local A": """
        Alpaca-PROD.default.SVC.cluster.local. 30 IN A 10.96.78.232
    """,
    "web.shop.svc.cluster.local A": """
        web.shop.svc.cluster.local. 30 IN A 10.96.20.20
    """,
    "web.shop.svc.cluster.local AAAA": """
        web.shop.svc.cluster.local. 30 IN AAAA fd00:10:96::20
    """,
    "cart.shop.svc.cluster.local A": """
        cart.shop.svc.cluster.local. 30 IN A 10.96.80.105
    """,
    "10-244-3-20.web.shop.svc.cluster.local A": """
        10-244-3-20.web.shop.svc.cluster.local. 30 IN A 10.244.3.20
    """,
    "db.shop.svc.cluster.local A": """
        db.shop.svc.cluster.local. 30 IN A 10.244.3.10
        db.shop.svc.cluster.local. 30 IN A 10.244.3.11
    """,
    "db-0.db.shop.svc.cluster.local A": """
        db-0.db.shop.svc.cluster.local. 30 IN A 10.244.3.10
    """,
    "payments.shop.svc.cluster.local A": """
        payments.shop.svc.cluster.local. 30 IN CNAME payments.example.com.
    """,
    "_https._tcp.kubernetes.default.svc.cluster.local SRV": """
        _https._tcp.kubernetes.default.svc.cluster.local. 30 IN SRV 0 100 443 kubernetes.default.svc.cluster.local.
    """,
    "_postgres._tcp.db.shop.svc.cluster.local SRV": """
        _postgres._tcp.db.shop.svc.cluster.local. 30 IN SRV 0 50 5432 db-0.db.shop.svc.cluster.local.
        _postgres._tcp.db.shop.svc.cluster.local. 30 IN SRV 0 50 5432 db-1.db.shop.svc.cluster.local.
    """,
    "web.shop.svc.cluster.local SRV": """
        web.shop.svc.cluster.local. 30 IN SRV 0 25 443 web.shop.svc.cluster.local.
        web.shop.svc.cluster.local. 30 IN SRV 0 25 80 web.shop.svc.cluster.local.
    """,
    "-x 10.96.78.232": """
        232.78.96.10.in-addr.arpa. 30 IN PTR alpaca-prod.default.svc.cluster.local.
    """,
    "-x 10.244.3.10": """
        10.3.244.10.in-addr.arpa. 30 IN PTR db-0.db.shop.svc.cluster.local.
    """,
    "-x 10.244.3.20": """
        20.3.244.10.in-addr.arpa. 30 IN PTR 10-244-3-20.web.shop.svc.cluster.local.
    """,
    "-x fd00:10:96::20": """
        0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa. 30 IN PTR web.shop.svc.cluster.local.
    """,
    "dns-version.cluster.local TXT": """
        dns-version.cluster.local. 28800 IN TXT "1.1.0"
    """,
    "cluster.local NS": """
        cluster.local. 30 IN NS kube-dns.kube-system.svc.cluster.local.
    """,
}

NEGATIVE = {
    "alpaca-prod.default.svc.cluster.local AAAA": "NOERROR",
    "alpaca-prod.default.svc.cluster.local TXT": "NOERROR",
    "svc.cluster.local A": "NOERROR",
    "shop.svc.cluster.local A": "NOERROR",
    "_tcp.db.shop.svc.cluster.local SRV": "NOERROR",
    "charlie-prod.default.svc.cluster.local A": "NXDOMAIN",
    "charlie-prod.default.svc.cluster.local AAAA": "NXDOMAIN",
    "alpaca-prod.shop.svc.cluster.local A": "NXDOMAIN",
    "alpaca-prod.nowhere.svc.cluster.local A": "NXDOMAIN",
    "db-2.db.shop.svc.cluster.local A": "NXDOMAIN",
    "_http._udp.web.shop.svc.cluster.local SRV": "NXDOMAIN",
    "www.example.com.shop.svc.cluster.local A": "NXDOMAIN",
    "-x 10.96.78.233": "NXDOMAIN",
}


REFUSED = "www.example.com A"
WITH_ADDITIONAL = "_http._tcp.web.shop.svc.cluster.local SRV"


@pytest.fixture(scope="module")
def asked(example: Serving, way: str) -> dict[str, Dug]:
    """All the questions, in one run of dig."""
    questions = [*ANSWERED, *NEGATIVE, REFUSED, WITH_ADDITIONAL]
    transport, host, edns = way.split()
    options = ["+tcp" if transport == "tcp" else "+notcp", f"+{edns}", "+tries=1", "+timeout=5"]
    tuples = [part for each in questions for part in (f"@{host}", *each.split(), *options)]
    ran = run(program("dig"), "-p", dict(example.addresses)[host], *tuples)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count(f"({host}) ({transport.upper()})") == len(questions)
    replies = ran.stdout.split(";; Got answer:\n")[1:]
    return dict(zip(questions, map(read_dig, replies), strict=True))


@pytest.mark.parametrize("way", WAYS, scope="module")
class TestDig:
    """Over UDP and TCP, IPv4 and IPv6, with EDNS and without: the answers are the same."""

    @pytest.mark.parametrize("question", ANSWERED)
    def test_what_exists_is_answered(self, asked: dict[str, Dug], way: str, question: str) -> None:
        dug = asked[question]
        assert dug.answer == sorted(line.strip() for line in ANSWERED[question].strip().splitlines())
        assert (dug.status, dug.flags) == ("NOERROR", "qr aa rd")
        assert not dug.authority
        assert bool(dug.edns) == way.endswith(" edns")

    @pytest.mark.parametrize("question", NEGATIVE)
    def test_what_does_not_exist_has_the_soa(self, asked: dict[str, Dug], question: str) -> None:
        dug = asked[question]
        assert (dug.status, dug.flags, dug.answer) == (NEGATIVE[question], "qr aa rd", [])
        zone = "in-addr.arpa." if question.startswith("-x") else "cluster.local."
        (soa,) = dug.authority
        assert re.fullmatch(rf"{zone} 5 IN SOA ns\.dns\.{zone} hostmaster\.{zone} \d+ 7200 1800 86400 5", soa)

    def test_what_is_not_ours_is_refused(self, asked: dict[str, Dug]) -> None:
        dug = asked[REFUSED]
        assert (dug.status, dug.flags, dug.answer, dug.authority) == ("REFUSED", "qr rd", [], [])

    def test_the_addresses_of_srv_targets_come_along(self, asked: dict[str, Dug]) -> None:
        assert asked[WITH_ADDITIONAL].additional == [
            "web.shop.svc.cluster.local. 30 IN A 10.96.20.20",
            "web.shop.svc.cluster.local. 30 IN AAAA fd00:10:96::20",
        ]


class TestTheBook:
    """ "Kubernetes: Up & Running" exposes alpaca-prod, and asks for it by name."""

    def test_the_session(self, example: Serving) -> None:
        """The command and what it prints, but for the lines that differ from one run to the next."""
        ran = run(program("dig"), "@127.0.0.1", "-p", example.port, "alpaca-prod.default.svc.cluster.local")
        text = re.sub(r"id: \d+", "id: 12071", ran.stdout)
        assert (
            ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 12071\n"
            ";; flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1\n"
        ) in text
        assert (
            ";; QUESTION SECTION:\n"
            ";alpaca-prod.default.svc.cluster.local. IN A\n"
            "\n"
            ";; ANSWER SECTION:\n"
            "alpaca-prod.default.svc.cluster.local. 30 IN A\t10.96.78.232\n"
        ) in text
        assert f";; SERVER: 127.0.0.1#{example.port}(127.0.0.1) (UDP)\n" in text

    def test_a_reason_for_what_is_missing(self, example: Serving) -> None:
        ran = run(program("dig"), "@127.0.0.1", "-p", example.port, "charlie-prod.default.svc.cluster.local")
        assert "; EDE: 0 (Other): (no Service 'charlie-prod' in namespace default)\n" in ran.stdout


class TestNslookup:
    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            (["alpaca-prod.default.svc.cluster.local."], "Address: 10.96.78.232"),
            (["web.shop.svc.cluster.local."], "Address: fd00:10:96::20"),
            (["10.96.78.232"], "name = alpaca-prod.default.svc.cluster.local."),
            (["-type=srv", "_postgres._tcp.db.shop.svc.cluster.local."], "service = 0 50 5432 db-0.db.shop.svc"),
            (["payments.shop.svc.cluster.local."], "canonical name = payments.example.com."),
        ],
    )
    def test_it_finds(self, example: Serving, question: list[str], expected: str) -> None:
        ran = run(program("nslookup"), f"-port={example.port}", *question, "127.0.0.1")
        assert expected in ran.stdout
        if "payments" not in question[0]:  # where that leads to is not ours to know
            assert ran.returncode == 0

    def test_it_tells_what_is_missing(self, example: Serving) -> None:
        ran = run(program("nslookup"), f"-port={example.port}", "charlie.default.svc.cluster.local.", "127.0.0.1")
        assert ran.returncode == 1
        assert "server can't find charlie.default.svc.cluster.local: NXDOMAIN" in ran.stdout


class TestResolvConf:
    """A pod's /etc/resolv.conf leads to the server at port 53: names are as short as in a cluster."""

    RESOLV_CONF = """\
nameserver 127.0.0.1
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
"""

    @pytest.fixture(scope="class")
    @staticmethod
    def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
        namespace = Namespace(tmp_path_factory.mktemp("pod"), TestResolvConf.RESOLV_CONF)
        log = tmp_path_factory.mktemp("logs") / "log"
        try:
            server = Serving(log, "--manifests", EXAMPLE, listen=["127.0.0.1:53"], prefix=namespace.prefix)
            yield namespace
            assert server.stop() == 0, server.log
        finally:
            namespace.close()

    @pytest.mark.parametrize(
        ("name", "addresses"),
        [
            ("alpaca-prod", {"10.96.78.232"}),
            ("alpaca-prod.default", {"10.96.78.232"}),
            ("alpaca-prod.default.svc", {"10.96.78.232"}),
            ("alpaca-prod.default.svc.cluster.local", {"10.96.78.232"}),
            ("alpaca-prod.default.svc.cluster.local.", {"10.96.78.232"}),
            ("db.shop", {"10.244.3.10", "10.244.3.11"}),
            ("db-1.db.shop", {"10.244.3.11"}),
            ("web.shop", {"10.96.20.20", "fd00:10:96::20"}),
        ],
    )
    def test_the_c_library_finds_it(self, pod: Namespace, name: str, addresses: set[str]) -> None:
        """getaddrinfo, which nearly every program calls."""
        ran = pod.run(program("getent"), "ahosts", name)
        assert {line.split()[0] for line in ran.stdout.splitlines()} == addresses

    def test_the_c_library_finds_the_name_of_an_address(self, pod: Namespace) -> None:
        ran = pod.run(program("getent"), "hosts", "10.96.78.232")
        assert ran.stdout.split() == ["10.96.78.232", "alpaca-prod.default.svc.cluster.local"]

    def test_the_c_library_learns_that_there_is_none(self, pod: Namespace) -> None:
        assert pod.run(program("getent"), "ahosts", "charlie-prod.default.svc.cluster.local.").returncode == 2

    @pytest.mark.parametrize("name", ["alpaca-prod", "alpaca-prod.default", "alpaca-prod.default.svc"])
    def test_nslookup_finds_it(self, pod: Namespace, name: str) -> None:
        ran = pod.run(program("nslookup"), name)
        assert "Name:\talpaca-prod.default.svc.cluster.local\nAddress: 10.96.78.232\n" in ran.stdout
        assert ran.returncode == 0

    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            ("alpaca-prod.default.svc.cluster.local", "Address: 10.96.78.232\n"),
            ("web.shop.svc.cluster.local", "Address: fd00:10:96::20\n"),
            ("10.96.78.232", "name = alpaca-prod.default.svc.cluster.local\n"),
            ("10.244.3.10", "name = db-0.db.shop.svc.cluster.local\n"),
            ("-type=srv _http._tcp.web.shop.svc.cluster.local", "service = 0 50 80 web.shop.svc.cluster.local\n"),
        ],
    )
    def test_the_nslookup_of_busybox_finds_it(self, pod: Namespace, question: str, expected: str) -> None:
        ran = pod.run(program("busybox"), "nslookup", *question.split())
        assert expected in ran.stdout
        assert ran.returncode == 0


def test_the_answers_rotate(example: Serving) -> None:
    """Clients that take the first address spread out over all of them."""
    command = (program("dig"), "+short", "@127.0.0.1", "-p", example.port, "db.shop.svc.cluster.local")
    firsts = {run(*command).stdout.split()[0] for _ in range(4)}
    assert firsts == {"10.244.3.10", "10.244.3.11"}


def test_the_logs_say_where_it_listens(serve: Callable[..., Serving]) -> None:
    server = serve("--manifests", "config/example", listen=["127.0.0.1:0", "127.0.0.2:0"])
    assert [host for host, _ in server.addresses] == ["127.0.0.1", "127.0.0.2"]
    assert all(port for _, port in server.addresses)
    assert "4 manifest files read: 26 objects" in server.log
