"""What the options of a Corefile's `kubernetes` do to the answers, before an API server that speaks plain HTTP."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import dns.message
import dns.query
import dns.rcode
import pytest
from forwarding import data
from of_corefile import of_corefile
from serving import eventually

from tests.apiserver import Process
from tests.followed import headless, namespace, pod, service, slice_of
from tests.upstreams import Faulty
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from of_corefile import OfCorefile

    Start = Callable[[str], "CoreDns"]

UPSTREAM = "192.0.2.1"
"""What the upstream says of each name."""

CLIENT = "127.0.0.21"
"""A pod's address."""

EXTERNAL = {
    "stub": "db.corp.example",
    "template": "x.made.example",
    "back": "cart.made.example",
    "circle": "circle.made.example",
    "rewritten": "old.example",
    "listed": "nas.home.example",
    "blocked": "secret.example",
    "nobodys": "x.nobodys.example",
    "other": "www.example.org",
}


@pytest.fixture(scope="module")
def api() -> Iterator[Process]:
    with Process() as started:
        started.call("put", *(namespace(each) for each in ("shop", "data")))
        started.call("put", service("cart", "shop", clusterIP="10.96.7.7"), headless("db", "data"))
        started.call("put", slice_of("cart", "10.0.1.1", namespace="shop"))
        endpoints = [{"addresses": [f"10.0.2.{n}"], "zone": f"eu-1{zone}"} for n, zone in ((1, "a"), (2, "b"))]
        started.call("put", slice_of("db", namespace="data", endpoints=endpoints))
        for name, target in EXTERNAL.items():
            started.call("put", service(name, "shop", type="ExternalName", externalName=target))
        started.call("put", pod("client", CLIENT, "shop"))
        yield started


@pytest.fixture(scope="module")
def upstream() -> Iterator[Faulty]:
    with Faulty(says(f"{{name}} 60 IN A {UPSTREAM}")) as started:
        yield started


class CoreDns:
    """A server that was started as CoreDNS is, and has read the cluster."""

    def __init__(self, server: OfCorefile) -> None:
        self._server = server
        eventually(lambda: "ready after" in server.log, "ready")

    def edit(self, old: str, new: str) -> None:
        """Change the Corefile."""
        file = self._server.file
        file.write_text(file.read_text().replace(old, new))

    def has(self, name: str) -> bool:
        return bool(self._server.ask(name).answer)

    def asked(self, name: str, rtype: str = "A", source: str | None = None) -> dns.message.Message:
        """The reply over UDP, which over TCP is the same."""
        query = dns.message.make_query(name, rtype, use_edns=False)
        host, port = self._server.address
        over_udp = dns.query.udp(query, host, 5, port, source=source)
        over_tcp = dns.query.tcp(query, host, 5, port, source=source)
        assert (over_udp.rcode(), sorted(data(over_udp))) == (over_tcp.rcode(), sorted(data(over_tcp)))
        return over_udp

    def says(self, name: str, rtype: str = "A", source: str | None = None) -> list[str] | str:
        """The data of the answer, or the rcode."""
        reply = self.asked(name, rtype, source)
        return sorted(data(reply)) if reply.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(reply.rcode())


@pytest.fixture(scope="module")
def start(api: Process, upstream: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a server with this Corefile; API and UPSTREAM in it are where these are."""
    with ExitStack() as stack:

        def start(corefile: str) -> CoreDns:
            text = corefile.replace("API", api.url).replace("UPSTREAM", str(upstream))
            return CoreDns(stack.enter_context(of_corefile(tmp_path_factory.mktemp("corefile"), text)))

        yield start


@pytest.fixture(scope="module")
def partial(start: Start) -> CoreDns:
    return start(
        ".:PORT {\n  bind 127.0.0.1\n  kubernetes cluster.local in-addr.arpa {\n    endpoint API\n"
        "    fallthrough pod.cluster.local old.cluster.local gone.svc.cluster.local\n  }\n  forward . UPSTREAM\n}\n"
    )


class TestNamespaces:
    """Each server block has its own, whether or not another has all; a reload lets one have more."""

    ONE, OTHER = (
        f"{zone}:PORT {{{{\n  bind 127.0.0.1\n  kubernetes {zone} {{{{\n    endpoint API\n    {{}}\n  }}}}\n}}}}\n"
        for zone in ("tree.example", "wood.example")
    )

    def test_are_those_of_the_server_block(self, start: Start) -> None:
        it = start(self.ONE.format("namespaces data") + self.OTHER.format("namespaces shop"))
        assert it.says("db.data.svc.tree.example") == ["10.0.2.1", "10.0.2.2"]
        assert it.says("db.data.svc.wood.example") == it.says("data.svc.wood.example") == "NXDOMAIN"
        assert it.says("cart.shop.svc.wood.example") == ["10.96.7.7"]
        assert it.says("cart.shop.svc.tree.example") == it.says("shop.svc.tree.example") == "NXDOMAIN"

    def test_may_be_all_in_another(self, start: Start) -> None:
        it = start(self.ONE.format("namespaces shop") + self.OTHER.format("ttl 7"))
        assert it.says("db.data.svc.tree.example") == "NXDOMAIN"
        assert it.says("db.data.svc.wood.example") == ["10.0.2.1", "10.0.2.2"]

    def test_are_others_after_a_reload(self, start: Start) -> None:
        it = start(self.ONE.format("namespaces shop") + self.OTHER.format("namespaces shop data"))
        assert it.says("db.data.svc.tree.example") == "NXDOMAIN"
        it.edit("namespaces shop\n", "namespaces data\n")
        eventually(lambda: it.has("db.data.svc.tree.example"), "the other namespace")
        assert it.says("db.data.svc.tree.example") == ["10.0.2.1", "10.0.2.2"]
        assert it.says("cart.shop.svc.tree.example") == "NXDOMAIN"
        assert it.says("cart.shop.svc.wood.example") == ["10.96.7.7"]


class TestAPartFallsThrough:
    """`fallthrough` may name zones within the zone, whether or not there is anything at their names."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("cart.shop.svc.cluster.local", ["10.96.7.7"]),
            ("nobody.shop.svc.cluster.local", "NXDOMAIN"),
            ("www.cluster.local", "NXDOMAIN"),
            ("old.cluster.local", [UPSTREAM]),
            ("www.old.cluster.local", [UPSTREAM]),
            ("wwwold.cluster.local", "NXDOMAIN"),
            ("10-0-0-1.shop.pod.cluster.local", [UPSTREAM]),
            ("pod.cluster.local", []),
            ("web.gone.svc.cluster.local", [UPSTREAM]),
            ("web.never.svc.cluster.local", "NXDOMAIN"),
            ("1.2.0.192.in-addr.arpa", "NXDOMAIN"),
        ],
    )
    def test_and_no_other(self, partial: CoreDns, name: str, expected: list[str] | str) -> None:
        assert partial.says("nosuch.cluster.local") == "NXDOMAIN"
        assert partial.says(name) == expected
        assert partial.says(name) == expected, "again"


@pytest.fixture(scope="module")
def newest(start: Start) -> CoreDns:
    return start(
        "cluster.local:PORT 10.0.0.0/8:PORT {\n  bind 127.0.0.1\n  kubernetes {\n    endpoint API\n    ttl 900\n"
        "    zonal\n    ptr_hostname_only\n    apiserver_qps 5.5\n    startup_timeout 2s\n  }\n}\n"
    )


class TestOptionsOfTheNewest:
    def test_zonal(self, newest: CoreDns) -> None:
        assert newest.says("db.data.svc.cluster.local") == ["10.0.2.1", "10.0.2.2"]
        assert newest.says("eu-1a._zone.db.data.svc.cluster.local") == ["10.0.2.1"]
        assert newest.says("eu-1c._zone.db.data.svc.cluster.local") == "NXDOMAIN"

    def test_ptr_hostname_only(self, newest: CoreDns) -> None:
        assert newest.says("7.7.96.10.in-addr.arpa", "PTR") == ["cart.shop.svc.cluster.local."]
        assert newest.says("1.1.0.10.in-addr.arpa", "PTR") == "NXDOMAIN"

    @pytest.mark.parametrize("zone", ["cluster.local", "10.in-addr.arpa"])
    def test_a_missing_name_is_missing_for_300_seconds_at_most(self, newest: CoreDns, zone: str) -> None:
        (soa,) = newest.asked(f"x.y.{zone}").authority
        assert soa.to_text().startswith(f"{zone}. 300 IN SOA ns.dns.{zone}. hostmaster.{zone}. ")
        assert soa[0].minimum == 300
        assert newest.says(f"ns.dns.{zone}") == ["127.0.0.1"]


@pytest.fixture(scope="module")
def several(start: Start) -> CoreDns:
    return start("""
corp.example:PORT {
  bind 127.0.0.1
  template ANY A corp.example {
    answer "{{ .Name }} 60 IN A 203.0.113.9"
  }
}
home.example:PORT {
  bind 127.0.0.1
  hosts {
    192.0.2.77 nas.home.example
  }
}
nobodys.example:PORT {
  bind 127.0.0.1
  errors
}
secret.example:PORT {
  bind 127.0.0.1
  acl {
    block
  }
  forward . UPSTREAM
}
.:PORT {
  bind 127.0.0.1
  autopath @kubernetes
  rewrite name old.example cart.shop.svc.cluster.local
  template IN A made.example {
    match ^x[.]
    answer "{{ .Name }} 60 IN A 192.0.2.55"
    fallthrough
  }
  template IN A made.example {
    match ^(?P<service>[a-z]+)[.]made
    answer "{{ .Name }} 60 IN CNAME {{ .Group.service }}.shop.svc.cluster.local."
  }
  template ANY ANY example.net {
    rcode NXDOMAIN
  }
  kubernetes cluster.local {
    endpoint API
    pods verified
  }
  forward . UPSTREAM
}
""")


class TestExternalNames:
    """What an ExternalName service leads to is what a client would be told of that name."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("stub", ["203.0.113.9", "db.corp.example."]),
            ("template", ["192.0.2.55", "x.made.example."]),
            ("back", ["10.96.7.7", "cart.made.example.", "cart.shop.svc.cluster.local."]),
            ("circle", ["circle.made.example.", "circle.shop.svc.cluster.local."]),
            ("rewritten", ["10.96.7.7", "old.example."]),
            ("listed", ["192.0.2.77", "nas.home.example."]),
            ("blocked", ["secret.example."]),
            ("nobodys", ["x.nobodys.example."]),
            ("other", [UPSTREAM, "www.example.org."]),
        ],
    )
    def test_lead_through_the_whole_server(self, several: CoreDns, name: str, expected: list[str]) -> None:
        assert several.says(f"{name}.shop.svc.cluster.local") == expected

    def test_have_the_letter_case_and_lifetime_of_what_they_lead_to(self, several: CoreDns) -> None:
        texts = [each.to_text() for each in several.asked("Stub.shop.svc.cluster.local").answer]
        assert texts == [
            "Stub.shop.svc.cluster.local. 5 IN CNAME db.corp.example.",
            "db.corp.example. 60 IN A 203.0.113.9",
        ]


class TestAutopath:
    """A pod's first try is followed through what stands behind `autopath` in its block."""

    def test_a_template(self, several: CoreDns) -> None:
        first = "x.made.example.shop.svc.cluster.local"
        assert several.says(first, source=CLIENT) == ["192.0.2.55", "x.made.example."]
        assert several.says("www.example.net.shop.svc.cluster.local", source=CLIENT) == "NXDOMAIN"

    def test_an_upstream(self, several: CoreDns) -> None:
        assert several.says("www.example.org.shop.svc.cluster.local", source=CLIENT) == [UPSTREAM, "www.example.org."]

    def test_no_other_client(self, several: CoreDns) -> None:
        assert several.says("www.example.org.shop.svc.cluster.local") == "NXDOMAIN"
