"""Zones out of files: held against a real NSD with the same files, then as they change and as they are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
import yaml
from forwarding import data, kept
from serving import COMMAND, Serving, dig, eventually, free_port, run

from tests.upstreams import Faulty, Nsd, ask, difference, every_type, over_tcp, signed
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Serve = Any

ZONE = every_type(seed=7, owners=2)
APEX = dns.name.from_text(ZONE.origin)
TYPES = ("A", "DS", "CNAME")
"""What each name is asked for, beside what it was made for."""


class TestAgainstNsd:
    """NSD gives addresses of the zone's own servers with every answer; as with CoreDNS, they are left out here."""

    @pytest.fixture(scope="class", params=[False, True], ids=["plain", "signed"])
    @staticmethod
    def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        folder = tmp_path_factory.mktemp("zones")
        text = signed(folder / "signing", ZONE.origin, ZONE.text).text if request.param else ZONE.text
        (folder / "db").write_text(text)
        settings = {"cluster": False, "forward": {"resolv-conf": ""}, "zone-files": [zone_file(folder, ZONE.origin)]}
        with Nsd(folder / "nsd", {ZONE.origin: text}) as nsd, kept(folder) as serve:
            yield nsd, started(serve, folder, settings), request.param

    def test_every_type_and_shape_of_name(self, servers: tuple[Nsd, Serving, bool]) -> None:
        nsd, server, dnssec_ok = servers
        asked = [
            (each.name, rtype) for each in dict.fromkeys(ZONE.asked) for rtype in dict.fromkeys((each.rtype, *TYPES))
        ]
        # NSD names no servers with keys, and lowers the letters of LP.
        asked = [each for each in asked if each[1] != "LP" and each != (ZONE.origin, "DNSKEY")]
        queries = [dns.message.make_query(*each, want_dnssec=dnssec_ok).to_wire() for each in asked]
        theirs = over_tcp((nsd.address, nsd.port), queries)
        ours = over_tcp(server.addresses[0], queries)
        found = {
            each: difference(without_servers(their, our), our)
            for each, their, our in zip(asked, theirs, ours, strict=True)
        }
        assert len(found) > 500
        assert {each: words for each, words in found.items() if words} == {}


def without_servers(packet: bytes, ours: bytes) -> bytes:
    """NSD's reply without the addresses of the zone's servers, where they come with another answer."""
    reply, own = dns.message.from_wire(packet), dns.message.from_wire(ours)
    if reply.answer and any(each.name == APEX and each.rdtype == dns.rdatatype.NS for each in reply.authority):
        kept_ones = {(each.name, each.rdtype, each.covers) for each in own.additional}
        reply.additional = [each for each in reply.additional if (each.name, each.rdtype, each.covers) in kept_ones]
    return reply.to_wire()


def zone_file(folder: Path, *zones: str, **more: Any) -> dict[str, Any]:
    return {"file": str(folder / "db"), "zones": list(zones), **more}


def started(serve: Serve, folder: Path, settings: dict[str, Any], *arguments: object) -> Serving:
    file = folder / "clusterdns.yaml"
    file.write_text(yaml.safe_dump(settings))
    return serve("--config", file, *arguments)


HEAD = "$TTL 300\n@ IN SOA ns admin 1 7200 1800 86400 60\n@ IN NS ns\nns IN A 192.0.2.53\n"


class TestAmongOthers:
    """A name is the cluster's, else a zone file's, else an upstream's; aliases lead from any to any."""

    @pytest.fixture(scope="class")
    @staticmethod
    def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
        folder = tmp_path_factory.mktemp("zones")
        (folder / "cluster.yaml").write_text(
            "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: a}, spec: {clusterIP: 10.96.0.7}}\n---\n"
            "{apiVersion: v1, kind: Service, metadata: {name: out, namespace: a},"
            " spec: {type: ExternalName, externalName: www.corp.example}}\n"
        )
        (folder / "db").write_text(
            HEAD + "www A 192.0.2.1\nweb CNAME web.a.svc.cluster.local.\nfar CNAME www.elsewhere.example.\n"
            "gone CNAME nothing\nloop CNAME loop2\nloop2 CNAME loop\n7 PTR www.corp.example.\n"
        )
        with Faulty(says("{name} 300 IN A 192.0.2.99")) as upstream, kept(folder) as serve:
            settings = {
                "manifests": [str(folder / "cluster.yaml")],
                "search": "client",
                "forward": {"upstreams": [str(upstream)]},
                "zone-files": [
                    zone_file(folder, "corp.example", fallthrough=["branch.corp.example"]),
                    zone_file(folder, "2.0.192.in-addr.arpa"),
                ],
            }
            yield started(serve, folder, settings)

    @pytest.mark.parametrize(
        ("name", "rtype", "expected"),
        [
            ("www.corp.example", "A", ["192.0.2.1"]),
            ("WWW.Corp.Example", "A", ["192.0.2.1"]),
            ("web.corp.example", "A", ["web.a.svc.cluster.local.", "10.96.0.7"]),
            ("far.corp.example", "A", ["www.elsewhere.example.", "192.0.2.99"]),
            ("out.a.svc.cluster.local", "A", ["www.corp.example.", "192.0.2.1"]),
            ("7.2.0.192.in-addr.arpa", "PTR", ["www.corp.example."]),
            ("www.elsewhere.example", "A", ["192.0.2.99"]),
            ("www.branch.corp.example", "A", ["192.0.2.99"]),
            ("nothing.corp.example", "A", []),
        ],
    )
    def test_answers(self, server: Serving, name: str, rtype: str, expected: list[str]) -> None:
        assert data(ask(server.addresses[0], name, rtype)) == expected

    def test_an_alias_to_nothing(self, server: Serving) -> None:
        """RFC 6604 section 3."""
        reply = ask(server.addresses[0], "gone.corp.example")
        assert (reply.rcode(), data(reply)) == (dns.rcode.NXDOMAIN, ["nothing.corp.example."])

    def test_a_circle_ends(self, server: Serving) -> None:
        reply = ask(server.addresses[0], "loop.corp.example")
        assert data(reply) == ["loop2.corp.example.", "loop.corp.example."]

    def test_are_authoritative(self, server: Serving) -> None:
        dug = dig("@127.0.0.1", "-p", server.port, "nothing.corp.example")
        assert (dug.status, "aa" in dug.flags.split()) == ("NXDOMAIN", True)
        assert dug.authority == ["corp.example. 60 IN SOA ns.corp.example. admin.corp.example. 1 7200 1800 86400 60"]

    def test_any_is_all_that_there_is(self, server: Serving) -> None:
        reply = ask(server.addresses[0], "corp.example", "ANY")
        assert {each.rdtype for each in reply.answer} == {dns.rdatatype.SOA, dns.rdatatype.NS}


class TestChanges:
    def test_a_file_that_changes_and_what_it_includes(self, serve: Serve, tmp_path: Path) -> None:
        (tmp_path / "more").write_text("www A 192.0.2.1\n")
        (tmp_path / "db").write_text(HEAD + "$INCLUDE more\n")
        server = started(serve, tmp_path, {"cluster": False, "zone-files": [zone_file(tmp_path, "corp.example")]})
        assert server.answers("www.corp.example") == ["192.0.2.1"]
        (tmp_path / "more").write_text("www A 192.0.2.2\n")
        server.until("www.corp.example", ["192.0.2.2"])
        (tmp_path / "more").write_text("www A 192.0.2.2\nwww MX mail\n")
        eventually(lambda: "more:2: 2 words of data expected, not 1; what was read before stays" in server.log, "told")
        assert server.answers("www.corp.example") == ["192.0.2.2"]
        (tmp_path / "more").write_text("www A 192.0.2.3\n")
        server.until("www.corp.example", ["192.0.2.3"])

    def test_a_file_that_comes_later(self, serve: Serve, tmp_path: Path) -> None:
        """As with CoreDNS, a Corefile may name one that is not there yet."""
        (tmp_path / "Corefile").write_text(f"corp.example:{free_port()} {{\n  file db\n  root {tmp_path}\n}}\n")
        server = serve("--corefile", tmp_path / "Corefile")
        assert server.answers("www.corp.example") == ["SERVFAIL"]
        assert f"{tmp_path}/db: cannot be read: No such file or directory" in server.log
        (tmp_path / "db").write_text(HEAD + "www A 192.0.2.1\n")
        server.until("www.corp.example", ["192.0.2.1"])

    def test_files_that_come_and_go(self, serve: Serve, tmp_path: Path) -> None:
        folder = tmp_path / "zones"
        folder.mkdir()
        (folder / "db.one.example").write_text(HEAD + "www A 192.0.2.1\n")
        (folder / "db.bad.example").write_text("www A\n")
        (folder / "readme").write_text("no zone file\n")
        (tmp_path / "Corefile").write_text(f"example:{free_port()} {{\n  auto {{\n    directory {folder}\n  }}\n}}\n")
        server = serve("--corefile", tmp_path / "Corefile")
        assert server.answers("www.one.example") == ["192.0.2.1"]
        assert server.answers("www.bad.example") == ["REFUSED"]
        assert f"{folder}/db.bad.example:1: 1 words of data expected, not 0" in server.log
        (folder / "sub").mkdir()
        (folder / "sub" / "db.two.example").write_text(HEAD + "www A 192.0.2.2\n")
        (folder / "db.bad.example").write_text(HEAD + "www A 192.0.2.4\n")
        (folder / "db.example.org").write_text(HEAD + "www A 192.0.2.5\n")
        server.until("www.two.example", ["192.0.2.2"])
        server.until("www.bad.example", ["192.0.2.4"])
        (folder / "db.one.example").unlink()
        server.until("www.one.example", ["REFUSED"])
        assert "db.example.org" not in server.log, "it is not in the block's zones"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (HEAD + "www A 192.0.2\n", ":5: Expected 4 octets in '192.0.2'"),
        (HEAD + '\nwww TXT (\n  "a"\n', ":6: a parenthesis without its other one"),
        ("www 60 IN A 192.0.2.1\n", ":1: there is no SOA record, for the zone corp.example."),
        (HEAD + "$INCLUDE nowhere\n", ":5: nowhere: No such file or directory"),
        (None, ": cannot be read: No such file or directory"),
    ],
    ids=["an address", "a parenthesis", "no SOA", "an inclusion", "no file"],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str | None, what: str) -> None:
    if text is not None:
        (tmp_path / "db").write_text(text)
    file = tmp_path / "clusterdns.yaml"
    file.write_text(yaml.safe_dump({"cluster": False, "zone-files": [zone_file(tmp_path, "corp.example")]}))
    ran = run(*COMMAND, "serve", "--config", file, "--listen", "127.0.0.1:0", "--http", "none")
    assert ran.returncode == 2
    assert [line for line in ran.stderr.splitlines() if line.startswith("clusterdns: ")] == [
        f"clusterdns: {tmp_path / 'db'}{what}"
    ]
