"""Which upstream a name goes to: by zone, by policy, over TLS, by resolv.conf; and where chains of names lead."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING

import dns.flags
import dns.rcode
import pytest
from forwarding import CLUSTER_ADDRESS, CLUSTER_NAME, at, data, expect_failure, extended_errors, forwarding, kept
from serving import Namespace, Serving, dig, eventually, free_port, needs_ipv6

from tests.apiserver import Authority
from tests.upstreams import Faulty, Unbound, ask
from tests.upstreams.behaviours import ByLabel, says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.upstreams import Query, Say

    Serve = Callable[..., Serving]

ONE, TWO, THREE = "192.0.2.1", "192.0.2.2", "192.0.2.3"


@pytest.fixture(scope="module")
def upstreams() -> Iterator[list[Faulty]]:
    """Three, each with an address of its own for every name."""
    with ExitStack() as stack:
        yield [stack.enter_context(Faulty(says(f"{{name}} 30 IN A {each}"))) for each in (ONE, TWO, THREE)]


class TestZones:
    @pytest.fixture(scope="class")
    @staticmethod
    def server(upstreams: list[Faulty], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
        folder = tmp_path_factory.mktemp("zones")
        one, two, three = upstreams
        zones = [
            {"zone": "corp.example", "upstreams": [str(two)]},
            {"zone": "lab.corp.example", "upstreams": [str(three)]},
        ]
        excepted = {"except": ["internal.example"]}
        with kept(folder) as serve:
            yield forwarding(serve, folder, one, zones=zones, **excepted)

    @pytest.mark.parametrize(
        ("name", "address"),
        [
            ("www.example", ONE),
            ("corp.example", TWO),
            ("www.corp.example", TWO),
            ("WWW.Corp.Example", TWO),
            ("a.b.c.corp.example", TWO),
            ("notcorp.example", ONE),
            ("corp.example.org", ONE),
            ("lab.corp.example", THREE),
            ("www.lab.corp.example", THREE),
            ("slab.corp.example", TWO),
        ],
    )
    def test_the_longest_that_holds_a_name_decides(self, server: Serving, name: str, address: str) -> None:
        assert data(ask(at(server), name)) == [address]

    @pytest.mark.parametrize("name", ["internal.example", "www.internal.example", "A.B.Internal.Example"])
    def test_what_is_excepted_is_refused(self, server: Serving, upstreams: list[Faulty], name: str) -> None:
        assert ask(at(server), name).rcode() == dns.rcode.REFUSED
        assert not any(each.asked_for(name) for each in upstreams)

    @pytest.mark.parametrize("name", ["none.default.svc.cluster.local", "none.cluster.local"])
    def test_our_own_never_leave(self, server: Serving, upstreams: list[Faulty], name: str) -> None:
        assert ask(at(server), name).rcode() == dns.rcode.NXDOMAIN
        assert not any(each.asked_for(name) for each in upstreams)

    def test_there_may_be_nothing_else(self, upstreams: list[Faulty], serve: Serve, tmp_path: Path) -> None:
        zones = [{"zone": "corp.example", "upstreams": [str(upstreams[1])]}]
        server = forwarding(serve, tmp_path, zones=zones, resolv_conf="")
        assert data(ask(at(server), "www.corp.example")) == [TWO]
        assert ask(at(server), "www.example").rcode() == dns.rcode.REFUSED


@needs_ipv6
def test_an_upstream_may_have_an_ipv6_address(serve: Serve, tmp_path: Path) -> None:
    records = [f"www.example. 300 IN A {ONE}", *[f"www.example. 300 IN TXT {'x' * 200}{n}" for n in range(20)]]
    with Unbound(tmp_path / "unbound", data=records, address="::1") as unbound:
        server = forwarding(serve, tmp_path, unbound)
        assert len(data(ask(at(server), "www.example", "TXT", tcp=True))) == 20
        assert data(ask(at(server), "www.example")) == [ONE]


class TestPolicies:
    @pytest.mark.parametrize(
        ("policy", "least", "most"),
        [
            ("sequential", [120, 0, 0], [120, 0, 0]),
            ("round-robin", [40, 40, 40], [40, 40, 40]),
            ("random", [15, 15, 15], [90, 90, 90]),
        ],
    )
    def test_share_the_questions_out(
        self, upstreams: list[Faulty], serve: Serve, tmp_path: Path, *, policy: str, least: list[int], most: list[int]
    ) -> None:
        server = forwarding(serve, tmp_path, *upstreams, policy=policy)
        got = [data(ask(at(server), f"{policy}-{number}.example"))[0] for number in range(120)]
        shares = [got.count(each) for each in (ONE, TWO, THREE)]
        assert all(low <= share <= high for low, share, high in zip(least, shares, most, strict=True)), shares


class TestTls:
    @pytest.fixture(scope="class")
    @staticmethod
    def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
        return Authority(tmp_path_factory.mktemp("authority"), "resolvers")

    @pytest.fixture(scope="class")
    @staticmethod
    def unbound(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unbound]:
        certificate = authority.server(["DNS:dns.example", "IP:127.0.0.1"])
        folder = tmp_path_factory.mktemp("unbound")
        data = [f"example. 300 IN A {ONE}", *[f"example. 300 IN TXT {'x' * 200}{n}" for n in range(20)]]
        with Unbound(folder, data=data, local_zones={"example.": "redirect"}, certificate=certificate) as started:
            yield started

    @pytest.fixture(scope="class")
    @staticmethod
    def server(unbound: Unbound, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
        """Each zone asks the same resolver under another name."""
        where = f"tls://127.0.0.1:{unbound.tls_port}"
        zones = [{"zone": zone, "upstreams": [f"{where}{name}"]} for zone, name in TestTls.NAMES.items()]
        with kept(folder := tmp_path_factory.mktemp("tls")) as serve:
            yield forwarding(serve, folder, zones=zones, resolv_conf="", tls_ca=str(authority.ca))

    NAMES = MappingProxyType({
        "right.example": "#dns.example",
        "in-capitals.example": "#DNS.example",
        "address.example": "",
        "wrong.example": "#other.example",
        "wrong-address.example": "#127.0.0.2",
    })  # fmt: skip

    @pytest.mark.parametrize("zone", ["right.example", "in-capitals.example", "address.example"])
    def test_to_whom_the_certificate_names(self, server: Serving, zone: str) -> None:
        """The address itself, if no name is given."""
        assert data(ask(at(server), f"www.{zone}")) == [ONE]
        assert len(data(ask(at(server), f"www.{zone}", "TXT", tcp=True))) == 20

    @pytest.mark.parametrize("zone", ["wrong.example", "wrong-address.example"])
    def test_to_nobody_else(self, server: Serving, zone: str) -> None:
        expect_failure(ask(at(server), f"www.{zone}", use_edns=0))

    def test_nor_to_whom_nobody_vouches_for(self, unbound: Unbound, serve: Serve, tmp_path: Path) -> None:
        server = forwarding(serve, tmp_path, f"tls://127.0.0.1:{unbound.tls_port}#dns.example")
        expect_failure(ask(at(server), "www.example", use_edns=0))

    def test_one_connection_serves_many(self, authority: Authority, serve: Serve, tmp_path: Path) -> None:
        context = authority.context(authority.server(["DNS:dns.example"]))
        with Faulty(says("{name} 30 IN A 192.0.2.1"), tls=context) as upstream:
            where = f"tls://127.0.0.1:{upstream.tls_port}#dns.example"
            server = forwarding(serve, tmp_path, where, tls_ca=str(authority.ca))
            for number in range(30):
                assert data(ask(at(server), f"n{number}.example")) == [ONE]
            assert {each.transport for each in upstream.queries} == {"tls"}
            assert upstream.connections == 1


class TestResolvConf:
    """In a network of its own, where port 53 may be had."""

    @pytest.fixture(scope="class")
    @staticmethod
    def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
        """Resolvers at 127.0.0.2 and 127.0.0.3."""
        folder = tmp_path_factory.mktemp("network")
        namespace = Namespace(folder, "nameserver 127.0.0.1\n")
        try:
            with ExitStack() as stack:
                for host, address in (("127.0.0.2", ONE), ("127.0.0.3", TWO)):
                    zone = {"data": [f"example. 0 IN A {address}"], "local_zones": {"example.": "redirect"}}
                    stack.enter_context(Unbound(folder / host, address=host, port=53, prefix=namespace.prefix, **zone))
                yield namespace
        finally:
            namespace.close()

    def serving(self, network: Namespace, serve: Serve, folder: Path, resolv_conf: str) -> Serving:
        (folder / "resolv.conf").write_text(resolv_conf)
        settings = {"resolv_conf": str(folder / "resolv.conf"), "try_seconds": 0.3, "seconds": 1.0}
        return forwarding(serve, folder, listen=("127.0.0.1:53",), prefix=network.prefix, **settings)

    def asked(self, network: Namespace, name: str = "www.example") -> list[str]:
        found = dig("@127.0.0.1", name, prefix=network.prefix)
        return [each.split()[4] for each in found.answer] or [found.status]

    def test_is_read_again_when_it_changes(self, network: Namespace, serve: Serve, tmp_path: Path) -> None:
        self.serving(network, serve, tmp_path, "nameserver 127.0.0.2\n")
        assert self.asked(network) == [ONE]
        (tmp_path / "resolv.conf").write_text("search example\nnameserver 127.0.0.3\n")
        eventually(lambda: self.asked(network) == [TWO], "written over")
        (tmp_path / "new").write_text("nameserver 127.0.0.2\n")
        (tmp_path / "new").replace(tmp_path / "resolv.conf")
        eventually(lambda: self.asked(network) == [ONE], "replaced")

    def test_may_vanish(self, network: Namespace, serve: Serve, tmp_path: Path) -> None:
        """What it said last goes on."""
        self.serving(network, serve, tmp_path, "nameserver 127.0.0.2\n")
        (tmp_path / "resolv.conf").unlink()
        for number in range(20):
            assert self.asked(network, f"n{number}.example") == [ONE]
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.3\n")
        eventually(lambda: self.asked(network) == [TWO], "it is there again")

    def test_our_own_address_is_left_out(self, network: Namespace, serve: Serve, tmp_path: Path) -> None:
        server = self.serving(network, serve, tmp_path, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n")
        assert [self.asked(network, f"n{number}.example") for number in range(10)] == [[ONE]] * 10
        assert "WARNING" in server.log
        assert "127.0.0.1" in server.log.split("WARNING", 1)[1].splitlines()[0]

    def test_our_own_address_alone_is_nobody(self, network: Namespace, serve: Serve, tmp_path: Path) -> None:
        server = self.serving(network, serve, tmp_path, "nameserver 127.0.0.1\n")
        assert self.asked(network) in (["REFUSED"], ["SERVFAIL"])
        assert self.asked(network, CLUSTER_NAME) == [CLUSTER_ADDRESS]
        assert "WARNING" in server.log


class TestLoops:
    """Found out, told of, and broken; the server lives."""

    def expect_broken(self, server: Serving) -> None:
        eventually(lambda: "loop" in server.log, "it is told of")
        reply = ask(at(server), "www.example", use_edns=0)
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert extended_errors(reply)
        assert data(ask(at(server), CLUSTER_NAME)) == [CLUSTER_ADDRESS]
        assert server.process.poll() is None

    def test_to_itself(self, serve: Serve, tmp_path: Path) -> None:
        here = f"127.0.0.1:{free_port()}"
        self.expect_broken(forwarding(serve, tmp_path, here, listen=(here,)))

    def test_through_unbound(self, serve: Serve, tmp_path: Path) -> None:
        port = free_port()
        with Unbound(tmp_path / "unbound", forwards={".": f"127.0.0.1@{port}"}) as unbound:
            self.expect_broken(forwarding(serve, tmp_path, unbound, listen=(f"127.0.0.1:{port}",)))

    def test_through_another_of_our_kind(self, serve: Serve, tmp_path: Path) -> None:
        here, there = (f"127.0.0.1:{free_port()}" for _ in range(2))
        one = forwarding(serve, tmp_path / "one", here, listen=(there,))
        self.expect_broken(forwarding(serve, tmp_path / "two", there, listen=(here,)))
        assert one.process.poll() is None

    def test_a_good_upstream_beside_it_does_the_work(
        self, upstreams: list[Faulty], serve: Serve, tmp_path: Path
    ) -> None:
        here = f"127.0.0.1:{free_port()}"
        server = forwarding(serve, tmp_path, here, upstreams[0], listen=(here,), policy="sequential")
        eventually(lambda: "loop" in server.log, "it is told of")
        assert [data(ask(at(server), f"beside-{number}.example")) for number in range(10)] == [[ONE]] * 10

    def test_one_query_does_not_become_many(self, serve: Serve, tmp_path: Path) -> None:
        port = free_port()

        def sends_back(query: Query) -> Iterator[Say]:
            with socket.socket(type=socket.SOCK_DGRAM) as client:
                client.sendto(query.packet, ("127.0.0.1", port))
            yield from ()

        with Faulty(sends_back) as upstream:
            limits = {"try_seconds": 0.2, "seconds": 1.0}
            server = forwarding(serve, tmp_path, upstream, listen=(f"127.0.0.1:{port}",), **limits)
            assert ask(at(server), "www.example").rcode() == dns.rcode.SERVFAIL
            assert len(upstream.asked_for("www.example")) < 20


SAID = {
    "www": f"{{name}} 300 IN A {ONE}",
    "links": f"{{name}} 300 IN CNAME a.example.\na.example. 300 IN CNAME b.example.\nb.example. 300 IN A {TWO}",
    "inwards": "{name} 300 IN CNAME web.default.svc.cluster.local.",
    "round": "{name} 300 IN CNAME circle.default.svc.cluster.local.",
    "self": "{name} 300 IN CNAME {name}",
    "pair": "{name} 300 IN CNAME other.example.\nother.example. 300 IN CNAME {name}",
}
"""What the upstream of these tests says of names that begin with a label."""


class TestChains:
    MANIFEST = "\n---\n".join(
        f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: default}}, spec: {spec}}}"
        for name, spec in {
            "web": "{clusterIP: 10.96.0.80, ports: [{port: 80}]}",
            "pay": "{type: ExternalName, externalName: www.example}",
            "gone": "{type: ExternalName, externalName: none.example}",
            "long": "{type: ExternalName, externalName: links.example}",
            "back": "{type: ExternalName, externalName: inwards.example}",
            "circle": "{type: ExternalName, externalName: round.example}",
        }.items()
    )
    SOA = "example. 60 IN SOA ns.example. hostmaster.example. 1 7200 1800 86400 60"

    @pytest.fixture(scope="class")
    @staticmethod
    def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
        folder = tmp_path_factory.mktemp("chains")
        (folder / "cluster.yaml").write_text(TestChains.MANIFEST)
        behaviours = {label: says(text) for label, text in SAID.items()}
        behaviours["none"] = says(rcode="NXDOMAIN", authority=TestChains.SOA)
        with Faulty(ByLabel(behaviours)) as upstream, kept(folder) as serve:
            yield forwarding(serve, folder, upstream, arguments=("--manifests", folder / "cluster.yaml"))

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("pay.default.svc.cluster.local", ["www.example.", ONE]),
            ("long.default.svc.cluster.local", ["links.example.", "a.example.", "b.example.", TWO]),
            ("back.default.svc.cluster.local", ["inwards.example.", "web.default.svc.cluster.local.", "10.96.0.80"]),
            ("inwards.example", ["web.default.svc.cluster.local.", "10.96.0.80"]),
        ],
    )
    def test_are_followed_to_their_end(self, server: Serving, name: str, expected: list[str]) -> None:
        for _ in range(2):
            reply = ask(at(server), name)
            assert reply.rcode() == dns.rcode.NOERROR
            assert data(reply) == expected
            assert reply.answer[0].name.to_text(omit_final_dot=True) == name

    def test_the_end_may_be_missing(self, server: Serving) -> None:
        """RFC 6604: the rcode is about the last name of the chain."""
        for _ in range(2):
            reply = ask(at(server), "gone.default.svc.cluster.local")
            assert reply.rcode() == dns.rcode.NXDOMAIN
            assert data(reply) == ["none.example."]
            assert [rrset.rdtype.name for rrset in reply.authority] == ["SOA"]

    @pytest.mark.parametrize(
        "name", ["circle.default.svc.cluster.local", "round.example", "self.example", "pair.example"]
    )
    def test_circles_end(self, server: Serving, name: str) -> None:
        for _ in range(2):
            reply = ask(at(server), name, seconds=3)
            assert len(data(reply)) <= 10
            assert all(rrset.rdtype.name == "CNAME" for rrset in reply.answer)

    def test_the_cname_alone_is_to_be_had(self, server: Serving) -> None:
        assert data(ask(at(server), "pay.default.svc.cluster.local", "CNAME")) == ["www.example."]
