"""Whole zones over real sockets: to dig, to dnspython, and to NSD, which serves them on."""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import urllib.request
from functools import partial
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.zone
import pytest
import yaml
from serving import COMMAND, ENVIRONMENT, EXAMPLE, REPOSITORY, Serving, eventually, free_port, program, run

from tests.apiserver.certificates import Authority
from tests.upstreams import Nsd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXPOSED = """
kind: Service
apiVersion: v1
metadata: {name: front, namespace: shop}
spec: {externalIPs: [203.0.113.20], ports: [{name: http, port: 80}]}
"""
FILE = """
$TTL 300
@ SOA ns hostmaster 7 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
www A 192.0.2.2
"""
ZONES = ("cluster.local", "in-addr.arpa", "ip6.arpa", "example.org", "113.0.203.in-addr.arpa", "file.example")
SETTINGS = {
    "transfer": {
        "rules": [{"to": ["127.0.0.0/8"]}, {"to": ["127.0.0.2"], "zones": ["file.example"]}],
    },
    "acl": [{"policies": [{"action": "block", "types": [252], "networks": ["127.0.0.3"]}]}],
    "external-zone": ["example.org", "203.0.113.0/24"],
    "nsid": "someone",
}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("transfer")
    (folder / "front.yaml").write_text(EXPOSED)
    (folder / "db.file.example").write_text(FILE)
    files = [{"file": str(folder / "db.file.example"), "zones": ["file.example"]}]
    manifests = [str(EXAMPLE), str(folder / "front.yaml")]
    made = Authority(folder, "resolvers").server(["IP:127.0.0.1"])
    tls = {"certificate": str(made.certificate), "key": str(made.key)}
    given = SETTINGS | {"zone-files": files, "manifests": manifests, "tls": tls}
    (folder / "config.yaml").write_text(yaml.safe_dump(given))
    listen = ("127.0.0.1:0", "tls://127.0.0.1:0")
    serving = Serving(folder / "log", "--config", folder / "config.yaml", listen=listen, forwards=False)
    yield serving
    assert serving.stop() == 0


def transferred(serving: Serving, zone: str, source: str = "127.0.0.2") -> dns.zone.Zone:
    """As dnspython puts it together, which takes nothing twice, and nothing that is of another zone."""
    found = dns.zone.Zone(zone)
    dns.query.inbound_xfr("127.0.0.1", found, port=serving.port, source=source, lifetime=10)
    found.check_origin()
    return found


def records(zone: dns.zone.Zone) -> list[str]:
    return sorted(
        f"{name.derelativize(zone.origin)} {ttl} {dns.rdatatype.to_text(data.rdtype)} "
        f"{data.to_text(origin=zone.origin, relativize=False)}"
        for name, ttl, data in zone.iterate_rdatas()
    )


class TestClients:
    def test_dig_over_tls(self, serving: Serving) -> None:
        """It insists on the protocol's name in the handshake (RFC 9103 section 7.1)."""
        _, (host, port) = serving.addresses
        ran = run(program("dig"), f"@{host}", "-p", port, "-b", "127.0.0.2", "+tls", "axfr", "cluster.local")
        assert "XFR size: 48 records (messages 1, " in ran.stdout

    @pytest.mark.parametrize("zone", ZONES)
    def test_each_record_is_one_that_a_query_finds(self, serving: Serving, zone: str) -> None:
        found = transferred(serving, zone)
        asked = {
            (str(name.derelativize(found.origin)), dns.rdatatype.to_text(each.rdtype))
            for name, each in found.iterate_rdatasets()
        }
        answers = []
        for name, rtype in asked:
            reply = dns.query.tcp(dns.message.make_query(name, rtype), "127.0.0.1", port=serving.port, timeout=10)
            answers += [f"{rrset.name} {rrset.ttl} {rtype} {data}" for rrset in reply.answer for data in rrset]
        assert sorted(answers) == records(found)
        assert len(answers) >= 3

    def test_dig(self, serving: Serving) -> None:
        ran = run(
            program("dig"),
            "@127.0.0.1",
            "-p",
            serving.port,
            "-b",
            "127.0.0.2",
            "axfr",
            "file.example",
            "+nocmd",
            "+nostats",
        )
        lines = [" ".join(each.split()) for each in ran.stdout.splitlines() if each and not each.startswith(";")]
        soa = "file.example. 300 IN SOA ns.file.example. hostmaster.file.example. 7 3600 600 86400 60"
        assert lines[0] == lines[-1] == soa
        assert sorted(lines[1:-1]) == [
            "file.example. 300 IN NS ns.file.example.",
            "ns.file.example. 300 IN A 192.0.2.1",
            "www.file.example. 300 IN A 192.0.2.2",
        ]

    @pytest.mark.parametrize(
        ("zone", "source", "rcode"),
        [
            ("file.example", "127.0.0.1", "REFUSED"),
            ("cluster.local", "127.0.0.3", "REFUSED"),
            ("svc.cluster.local", "127.0.0.2", "NOTAUTH"),
            ("example.com", "127.0.0.2", "NOTAUTH"),
        ],
    )  # fmt: skip
    def test_those_who_may_not_have_it(self, serving: Serving, zone: str, source: str, rcode: str) -> None:
        query = dns.message.make_query(zone, "AXFR")
        reply = dns.query.tcp(query, "127.0.0.1", port=serving.port, source=source, timeout=10)
        assert dns.rcode.to_text(reply.rcode()) == rcode
        assert not reply.answer

    @pytest.mark.parametrize("rtype", ["AXFR", "IXFR"])
    def test_not_over_udp(self, serving: Serving, rtype: str) -> None:
        query = dns.message.make_query("cluster.local", rtype)
        reply = dns.query.udp(query, "127.0.0.1", port=serving.port, source="127.0.0.2", timeout=10)
        assert dns.rcode.to_text(reply.rcode()) == "REFUSED"

    def test_an_ordinary_query_on_the_same_connection(self, serving: Serving) -> None:
        """The bytes of which may look like those of one for a zone."""
        with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as tcp:
            axfr = dns.message.make_query("cluster.local", "AXFR")
            other = dns.message.make_query("a\\000\\000\\252\\000\\001.cluster.local", "A", id=axfr.id ^ 1)
            for query in (axfr, other):
                dns.query.send_tcp(tcp, query)
            rcodes = {}
            for _ in range(2):
                (length,) = struct.unpack("!H", tcp.recv(2, socket.MSG_WAITALL))
                packet = tcp.recv(length, socket.MSG_WAITALL)
                rcodes[int.from_bytes(packet[:2], "big")] = packet[3] & 0xF
        assert rcodes == {axfr.id: 0, other.id: 3}


class TestIncrementalTransfers:
    """RFC 1995: all of the zone, or its SOA record for those who have that already."""

    @pytest.mark.parametrize(
        ("zone", "known", "sent"),
        [
            ("file.example", 6, 5),
            ("file.example", 7, 1),
            ("file.example", 8, 1),
            ("cluster.local", 0x7FFFFFFF, 1),
            ("cluster.local", 1, 48),
        ],
    )  # fmt: skip
    def test_what_is_sent(self, serving: Serving, zone: str, known: int, sent: int) -> None:
        query = dns.message.make_query(zone, "IXFR")
        soa = dns.rrset.from_text(f"{zone}.", 0, "IN", "SOA", f"ns. root. {known} 0 0 0 0")
        query.authority.append(soa)
        with socket.create_connection(("127.0.0.1", serving.port), 10, ("127.0.0.2", 0)) as tcp:
            dns.query.send_tcp(tcp, query)
            reply, _ = dns.query.receive_tcp(tcp, one_rr_per_rrset=True)
        assert len(reply.answer) == sent
        assert reply.flags & dns.flags.AA
        assert reply.answer[0] == reply.answer[-1]

    def test_without_what_is_known(self, serving: Serving) -> None:
        query = dns.message.make_query("file.example", "IXFR")
        reply = dns.query.tcp(query, "127.0.0.1", port=serving.port, source="127.0.0.2", timeout=10)
        assert dns.rcode.to_text(reply.rcode()) == "FORMERR"


def test_nsd_serves_them_on(serving: Serving, tmp_path: Path) -> None:
    """All zones, as an off-the-shelf secondary takes them."""
    zones = dict.fromkeys(ZONES, f"request-xfr: AXFR 127.0.0.1@{serving.port} NOKEY\n  outgoing-interface: 127.0.0.2\n")
    with Nsd(tmp_path / "nsd", {}, secondary=zones) as nsd:
        for zone in ZONES:
            expected = transferred(serving, zone)
            for name, rdataset in expected.iterate_rdatasets():
                owner, rtype = str(name.derelativize(expected.origin)), dns.rdatatype.to_text(rdataset.rdtype)
                data = sorted(each.to_text(origin=expected.origin, relativize=False) for each in rdataset)
                # Its processes of before a transfer answer for a moment beside those of after it.
                eventually(partial(serves, nsd, owner, rtype, data), f"NSD serves {owner} {rtype} {data}", 30)


def serves(nsd: Nsd, name: str, rtype: str, data: list[str]) -> bool:
    return served(nsd, name, rtype) == data


def served(nsd: Nsd, name: str, rtype: str) -> list[str]:
    reply = dns.query.udp(dns.message.make_query(name, rtype), nsd.address, port=nsd.port, timeout=10)
    return sorted(str(data) for rrset in reply.answer for data in rrset if dns.rdatatype.to_text(rrset.rdtype) == rtype)


class TestWhatIsToldOfThem:
    def test_the_query_log_and_the_metrics(self, tmp_path: Path) -> None:
        """A transfer is one query, with one line."""
        http = free_port()
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({
            "transfer": {"rules": [{"to": ["*"]}]}, "query-log": [{}], "http": [f"127.0.0.1:{http}"],
            "manifests": [str(EXAMPLE)], "listen": ["127.0.0.1:0"], "forward": {"resolv-conf": ""},
        }))  # fmt: skip
        command = [*COMMAND, "serve", "--config", str(tmp_path / "config.yaml")]
        with (tmp_path / "out").open("wb") as out, (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stdout=out, stderr=log)
        try:
            eventually(lambda: "ready after" in (tmp_path / "log").read_text(), "ready")
            (port,) = re.findall(r"listening on 127.0.0.1:(\d+)", (tmp_path / "log").read_text())
            found = dns.zone.Zone("cluster.local")
            dns.query.inbound_xfr("127.0.0.1", found, port=int(port), lifetime=10)
            eventually(lambda: (tmp_path / "out").read_text().endswith("\n"), "a line")
            (line,) = map(json.loads, (tmp_path / "out").read_text().splitlines())
            assert (line["name"], line["type"], line["rcode"], line["outcome"]) == (
                "cluster.local.",
                "AXFR",
                "NOERROR",
                "success",
            )
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics", timeout=10) as page:
                metrics = page.read().decode()
        finally:
            process.terminate()
            process.wait(10)
        assert re.search(r'^coredns_dns_requests_total\{.*proto="tcp".*type="AXFR".*\} 1\.0$', metrics, re.MULTILINE)
        assert re.search(
            r'^coredns_dns_responses_total\{.*plugin="transfer",rcode="NOERROR".*\} 1\.0$', metrics, re.MULTILINE
        )
        assert "zone cluster.local. to 127.0.0.1: 45 records" in (tmp_path / "log").read_text()
