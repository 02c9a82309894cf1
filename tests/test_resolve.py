"""Answers that take more than one look: chains of aliases, and names that are not complete."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any, ClassVar

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from clusterdns import names
from clusterdns.cache import Cache, CacheLimits
from clusterdns.elsewhere import Elsewhere
from clusterdns.forward import Forwarder, Patience, Route, parse_address
from clusterdns.resolve import Resolver, Searching
from clusterdns.respond import responder
from clusterdns.search import SearchList
from clusterdns.wire import Dialect
from tests import cluster
from tests.upstreams import Faulty
from tests.upstreams.behaviours import fails, later, says, silent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from tests.upstreams import Query, Say

MANIFEST = """
kind: Namespace
metadata: {name: shop}
---
kind: Namespace
metadata: {name: default}
---
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: alpaca-prod, namespace: default}
spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 8080}]}
---
kind: Service
metadata: {name: idle, namespace: shop}
spec: {clusterIP: None}
---
kind: Service
metadata: {name: outside, namespace: shop}
spec: {type: ExternalName, externalName: www.example.com}
---
kind: Service
metadata: {name: there-and-back, namespace: shop}
spec: {type: ExternalName, externalName: back.example.com}
---
kind: Service
metadata: {name: round, namespace: shop}
spec: {type: ExternalName, externalName: round.example.com}
---
kind: Service
metadata: {name: far, namespace: shop}
spec: {type: ExternalName, externalName: far.example.com}
---
kind: Service
metadata: {name: lost, namespace: shop}
spec: {type: ExternalName, externalName: missing.example.com}
---
kind: Service
metadata: {name: broken, namespace: shop}
spec: {type: ExternalName, externalName: broken.example.com}
---
kind: Pod
metadata: {name: client, namespace: default}
status: {phase: Running, podIP: 10.244.1.7}
---
kind: Pod
metadata: {name: on-the-host, namespace: default}
spec: {hostNetwork: true}
status: {phase: Running, podIP: 192.0.2.10, hostIP: 192.0.2.10}
"""

SOA = "example.com. 60 IN SOA ns.example.com. host.example.com. 1 7200 1800 86400 60"

WORLD = {
    "www.example.com.": says("{name} 300 IN A 192.0.2.1"),
    "back.example.com.": says("{name} 300 IN CNAME web.shop.svc.cluster.local."),
    "signed.example.com.": says(
        "{name} 300 IN CNAME web.shop.svc.cluster.local.\n"
        "{name} 300 IN RRSIG CNAME 8 3 300 20300101000000 20200101000000 1 example.com. AAAA"
    ),
    "odd.example.com.": says("{name} 300 IN CNAME web.shop.svc.cluster.local.", rcode="NOTAUTH"),
    "oddly-missing.example.com.": says("{name} 300 IN CNAME nobody.example.com.", rcode="NOTAUTH"),
    "round.example.com.": says("{name} 300 IN CNAME round.shop.svc.cluster.local."),
    "far.example.com.": says(
        "{name} 9 IN CNAME a.example.com.\na.example.com. 200 IN CNAME b.example.com.\nb.example.com. 9 IN A 192.0.2.2"
    ),
    "printer.corp.example.": says("{name} 300 IN A 192.0.2.9"),
    "com.": says(authority=SOA),
}


def world(query: Query) -> Iterable[Say]:
    """The names above, and NXDOMAIN for others."""
    name = query.name.lower()
    if name == "broken.example.com.":
        return fails("SERVFAIL")(query)
    if ".slow" in name:
        return later(says(authority=SOA, rcode="NXDOMAIN"), 0.35)(query)
    if name == "silent.example.com.":
        return silent(query)
    if name in WORLD and query.rtype == "AAAA":
        return says(authority=SOA)(query)
    return WORLD.get(name, says(authority=SOA, rcode="NXDOMAIN"))(query)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Faulty]:
    with Faulty(world) as faulty:
        yield faulty


CLUSTER_LIST = tuple(map(names.from_text, ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")))
CORP = names.from_text("corp.example")


@pytest.fixture(autouse=True)
async def _ended() -> AsyncIterator[None]:
    yield
    while Resolving.made:
        Resolving.made.pop().forwarder.stop()


class Resolving:
    """A server of the manifest's names that asks the upstream for others."""

    made: ClassVar[list[Resolving]] = []

    def __init__(self, upstream: Faulty, searching: Searching, *, excepted: Iterable[str] = ()) -> None:
        self._cluster = cluster.Server(MANIFEST, pods="verified")
        self.index = self._cluster.index
        address = parse_address(f"{upstream.address}:{upstream.port}")
        route = Route(names.ROOT, (address,), excepted=frozenset(map(names.from_text, excepted)))
        self.forwarder = Forwarder([route], Patience(try_seconds=0.3, seconds=0.6))
        elsewhere = Elsewhere(Cache(CacheLimits(), time.monotonic), self.forwarder, most_waiting=100, most_seconds=1)
        self.made.append(self)
        self.resolver = Resolver(self.index, elsewhere, searching)
        self.respond = responder(self.index, Dialect(recursion_available=True), stream=False, resolver=self.resolver)

    def put(self, manifest: str) -> None:
        self._cluster.put(manifest)

    async def ask(self, name: str, rtype: str = "A", client: str = "127.0.0.1", **edns: Any) -> dns.message.Message:
        query = dns.message.make_query(name, rtype, **edns)
        found = self.respond(query.to_wire(), (client, 1))
        if asyncio.iscoroutine(found):
            found = await found
        assert isinstance(found, bytes)
        reply = dns.message.from_wire(found)
        assert query.is_response(reply)
        return reply

    async def says(self, name: str, rtype: str = "A", client: str = "127.0.0.1") -> str:
        """The rcode unless it is NOERROR, and the answer's records without TTL and class."""
        reply = await self.ask(name, rtype, client)
        rcode = "" if reply.rcode() == dns.rcode.NOERROR else f"{dns.rcode.to_text(reply.rcode())} "
        fields = [line.split() for rrset in reply.answer for line in str(rrset).splitlines()]
        return rcode + ", ".join(f"{owner} {rtype} {data}" for owner, _, _, rtype, data in fields)


BACK = "back.example.com. CNAME web.shop.svc.cluster.local., web.shop.svc.cluster.local. A 10.96.0.1"
FAR = "far.example.com. CNAME a.example.com., a.example.com. CNAME b.example.com., b.example.com. A 192.0.2.2"


class TestAliases:
    @pytest.fixture
    @staticmethod
    def server(upstream: Faulty) -> Resolving:
        return Resolving(upstream, Searching())

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("outside", "outside CNAME www.example.com., www.example.com. A 192.0.2.1"),
            (
                "there-and-back",
                f"there-and-back CNAME back.example.com., {BACK}",
            ),
            (
                "far",
                f"far CNAME far.example.com., {FAR}",
            ),
            ("round", "round CNAME round.example.com., round.example.com. CNAME round.shop.svc.cluster.local."),
            ("lost", "NXDOMAIN lost CNAME missing.example.com."),
            ("broken", "SERVFAIL "),
        ],
    )
    async def test_are_followed_to_their_end(self, server: Resolving, name: str, expected: str) -> None:
        whole = f"{name}.shop.svc.cluster.local."
        for _ in ("asked", "remembered"):
            assert await server.says(whole) == expected.replace(f"{name} CNAME", f"{whole} CNAME", 1)

    async def test_our_own_name_makes_the_answer_authoritative(self, server: Resolving) -> None:
        reply = await server.ask("outside.shop.svc.cluster.local")
        assert reply.flags & dns.flags.AA
        assert reply.flags & dns.flags.RA

    async def test_what_is_remembered_is_not_asked_for_again(self, server: Resolving, upstream: Faulty) -> None:
        await server.says("back.example.com")
        before = len(upstream.queries)
        for _ in range(3):
            assert await server.says("back.example.com") == BACK
        assert len(upstream.queries) == before

    async def test_whatever_order_the_records_come_in(self, server: Resolving) -> None:
        """Signatures stand between them, for those who ask for them."""
        reply = await server.ask("signed.example.com", want_dnssec=True)
        assert str(reply.answer[-1]) == "web.shop.svc.cluster.local. 30 IN A 10.96.0.1"

    async def test_odd_rcodes(self, server: Resolving) -> None:
        """They are the upstream's: what it says of its own alias is passed on."""
        assert (await server.ask("odd.example.com")).rcode() == dns.rcode.NOERROR
        assert (await server.ask("oddly-missing.example.com")).rcode() == dns.rcode.NOTAUTH

    async def test_an_absence_at_the_end(self, server: Resolving) -> None:
        reply = await server.ask("outside.shop.svc.cluster.local", "AAAA")
        assert reply.rcode() == dns.rcode.NOERROR
        assert [each.to_text() for each in reply.answer] == [
            "outside.shop.svc.cluster.local. 30 IN CNAME www.example.com."
        ]

    async def test_other_types_are_the_client_s_business(self, server: Resolving) -> None:
        reply = await server.ask("outside.shop.svc.cluster.local", "MX")
        assert len(reply.answer) == 1

    async def test_from_an_upstream_into_the_cluster(self, server: Resolving) -> None:
        assert await server.says("back.example.com") == BACK
        server.put("{kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.99}}")
        assert await server.says("back.example.com") == BACK.replace("10.96.0.1", "10.96.0.99")


class TestShortNames:
    """`search: server`: the list is default.svc.cluster.local svc.cluster.local cluster.local, then corp.example."""

    @pytest.fixture
    @staticmethod
    def server(upstream: Faulty) -> Resolving:
        return Resolving(upstream, Searching(SearchList(CLUSTER_LIST, ndots=5), SearchList((CORP,))))

    @pytest.mark.parametrize(
        ("name", "rtype", "expected"),
        [
            ("alpaca-prod", "A", "alpaca-prod.default.svc.cluster.local. A 10.96.0.2"),
            ("ALPACA-prod", "A", "alpaca-prod.default.svc.cluster.local. A 10.96.0.2"),
            ("alpaca-prod.default", "A", "alpaca-prod.default.svc.cluster.local. A 10.96.0.2"),
            ("alpaca-prod.default.svc", "A", "alpaca-prod.default.svc.cluster.local. A 10.96.0.2"),
            ("web.shop", "A", "web.shop.svc.cluster.local. A 10.96.0.1"),
            ("_http._tcp.web.shop", "SRV", "_http._tcp.web.shop.svc.cluster.local. SRV 0"),
            ("10-244-1-7.default.pod", "A", "10-244-1-7.default.pod.cluster.local. A 10.244.1.7"),
        ],
    )
    async def test_that_name_something_of_ours(self, server: Resolving, name: str, rtype: str, expected: str) -> None:
        query = dns.message.make_query(name, rtype)
        reply = dns.message.from_wire(server.respond(query.to_wire(), ("127.0.0.1", 1)))
        whole = expected.split(maxsplit=1)[0]
        assert str(reply.answer[0]) == f"{name}. 30 IN CNAME {whole}"
        assert " ".join(str(reply.answer[1]).replace(" 30 IN", "").split()[:3]) == expected
        assert reply.flags & dns.flags.AA

    async def test_without_such_records(self, server: Resolving) -> None:
        reply = await server.ask("alpaca-prod", "AAAA")
        assert [str(each) for each in reply.answer] == [
            "alpaca-prod. 30 IN CNAME alpaca-prod.default.svc.cluster.local."
        ]
        assert [str(each.name) for each in reply.authority] == ["cluster.local."]

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("www.example.com", "www.example.com. A 192.0.2.1"),
            ("nobody.shop", "NXDOMAIN "),
            ("idle.shop", "NXDOMAIN "),
            ("default", "NXDOMAIN "),
            ("default.svc", "NXDOMAIN "),
            ("a.b.c.d.web.shop", "NXDOMAIN "),
        ],
        ids=["longer", "no service", "nobody ready", "a namespace", "a namespace's names", "as many dots as ndots"],
    )
    async def test_everything_else_goes_upstream_as_it_is(
        self, server: Resolving, upstream: Faulty, name: str, expected: str
    ) -> None:
        assert await server.says(name) == expected
        asked = [each.name for each in upstream.queries if each.rtype == "A"]
        assert asked[-1] == f"{name}."

    async def test_the_host_s_list_comes_after_that(self, server: Resolving, upstream: Faulty) -> None:
        expected = "printer. CNAME printer.corp.example., printer.corp.example. A 192.0.2.9"
        before = len(upstream.queries)
        for _ in ("asked", "remembered"):
            assert await server.says("printer") == expected
        assert [each.name for each in upstream.queries[before:]] == ["printer.corp.example."]

    async def test_a_and_aaaa_decide_alike(self, server: Resolving) -> None:
        reply = await server.ask("printer", "AAAA")
        assert [str(each) for each in reply.answer] == ["printer. 60 IN CNAME printer.corp.example."]
        assert reply.rcode() == dns.rcode.NOERROR

    async def test_a_name_that_comes_later(self, server: Resolving) -> None:
        """That it was missing at the upstream is remembered, but that does not keep it from being ours."""
        assert await server.says("newcomer.shop") == "NXDOMAIN "
        assert await server.says("newcomer.shop") == "NXDOMAIN "
        server.put("{kind: Service, metadata: {name: newcomer, namespace: shop}, spec: {clusterIP: 10.96.0.77}}")
        whole = "newcomer.shop.svc.cluster.local."
        assert await server.says("newcomer.shop") == f"newcomer.shop. CNAME {whole}, {whole} A 10.96.0.77"

    async def test_an_external_name(self, server: Resolving) -> None:
        whole = "outside.shop.svc.cluster.local."
        expected = f"outside.shop. CNAME {whole}, {whole} CNAME www.example.com., www.example.com. A 192.0.2.1"
        assert await server.says("outside.shop") == expected

    @pytest.mark.parametrize("rtype", ["NS", "SOA", "DS", "DNSKEY"])
    async def test_types_that_are_about_zones(self, server: Resolving, upstream: Faulty, rtype: str) -> None:
        """A service of that name must not stand between a validating resolver and the top level."""
        server.put("{kind: Service, metadata: {name: dev, namespace: default}, spec: {clusterIP: 10.96.0.50}}")
        assert (await server.says("dev")).startswith("dev. CNAME dev.default.svc")
        assert await server.says("dev", rtype) == "NXDOMAIN "

    async def test_the_root(self, server: Resolving) -> None:
        assert await server.says(".", "NS") == "NXDOMAIN "


class TestAddresses:
    """Reverse names that nobody here has go upstream, for as long as nobody here has them."""

    async def test_of_others(self, upstream: Faulty) -> None:
        server = Resolving(upstream, Searching())
        for _ in ("asked", "remembered"):
            assert await server.says("77.0.96.10.in-addr.arpa", "PTR") == "NXDOMAIN "
        assert upstream.queries[-1].name == "77.0.96.10.in-addr.arpa."
        server.put("{kind: Service, metadata: {name: newcomer, namespace: shop}, spec: {clusterIP: 10.96.0.77}}")
        expected = "77.0.96.10.in-addr.arpa. PTR newcomer.shop.svc.cluster.local."
        assert await server.says("77.0.96.10.in-addr.arpa", "PTR") == expected

    async def test_while_it_is_not_known_whose_they_are(self, upstream: Faulty) -> None:
        server = Resolving(upstream, Searching())
        server.index._awaited.add(cluster.Service)
        assert await server.says("78.0.96.10.in-addr.arpa", "PTR") == "SERVFAIL "


class TestAutopath:
    CLIENT = "10.244.1.7"

    @pytest.fixture
    @staticmethod
    def server(upstream: Faulty) -> Resolving:
        return Resolving(upstream, Searching(autopath=True, host_domains=(CORP,)))

    @pytest.mark.parametrize(
        ("first", "end"),
        [
            ("web.shop", "web.shop.svc.cluster.local. A 10.96.0.1"),
            ("web.shop.svc", "web.shop.svc.cluster.local. A 10.96.0.1"),
            ("printer", "printer.corp.example. A 192.0.2.9"),
            ("www.example.com", "www.example.com. A 192.0.2.1"),
            ("outside.shop", "outside.shop.svc.cluster.local. CNAME www.example.com., www.example.com. A 192.0.2.1"),
        ],
    )
    async def test_a_pod_s_first_try_is_followed(self, server: Resolving, first: str, end: str) -> None:
        name = f"{first}.default.svc.cluster.local."
        for _ in ("asked", "remembered"):
            assert await server.says(name, client=self.CLIENT) == f"{name} CNAME {end.split(maxsplit=1)[0]}, {end}"

    async def test_what_is_there_is_simply_answered(self, server: Resolving) -> None:
        name = "alpaca-prod.default.svc.cluster.local."
        assert await server.says(name, client=self.CLIENT) == f"{name} A 10.96.0.2"

    async def test_what_is_nowhere(self, server: Resolving) -> None:
        for _ in ("asked", "remembered"):
            reply = await server.ask("nowhere.default.svc.cluster.local", client=self.CLIENT)
            assert reply.rcode() == dns.rcode.NXDOMAIN
            assert [str(each.name) for each in reply.authority] == ["cluster.local."]

    @pytest.mark.parametrize(
        ("client", "name"),
        [
            ("192.0.2.10", "www.example.com.default.svc.cluster.local."),
            ("10.244.9.9", "www.example.com.default.svc.cluster.local."),
            ("10.244.1.7", "www.example.com.shop.svc.cluster.local."),
            ("10.244.1.7", "www.example.com.svc.cluster.local."),
            ("10.244.1.7", "www.example.com.cluster.local."),
            ("fe80::1%lo", "www.example.com.default.svc.cluster.local."),
        ],
        ids=["host network", "unknown", "another namespace", "second try", "third try", "no pod's address"],
    )
    async def test_others_are_left_alone(self, server: Resolving, client: str, name: str) -> None:
        await server.says(name, client="10.244.1.7")
        assert await server.says(name, client=client) == "NXDOMAIN "

    async def test_a_and_aaaa_decide_alike(self, server: Resolving) -> None:
        """www has no IPv6 address: that is said of www, and com is not tried."""
        name = "www.example.com.default.svc.cluster.local."
        reply = await server.ask(name, "AAAA", client=self.CLIENT)
        assert reply.rcode() == dns.rcode.NOERROR
        assert str(reply.answer[0]).endswith("CNAME www.example.com.")
        assert len(reply.answer) == 1

    async def test_a_namespace_is_no_answer(self, server: Resolving) -> None:
        """The names shop.svc.cluster.local and default.svc.cluster.local are there, for those below them."""
        assert await server.says("shop.default.svc.cluster.local", client=self.CLIENT) == "NXDOMAIN "

    async def test_an_upstream_that_fails_ends_the_search(self, server: Resolving) -> None:
        name = "broken.example.com.default.svc.cluster.local."
        assert await server.says(name, client=self.CLIENT) == "SERVFAIL "

    async def test_names_that_nobody_serves_are_nowhere(self, upstream: Faulty) -> None:
        server = Resolving(upstream, Searching(autopath=True, host_domains=(CORP,)), excepted=["."])
        assert await server.says("typo.default.svc.cluster.local", client=self.CLIENT) == "NXDOMAIN "

    async def test_before_everything_is_read(self, server: Resolving) -> None:
        server.index._awaited.add(cluster.Service)
        assert await server.says("www.example.com.default.svc.cluster.local", client=self.CLIENT) == "SERVFAIL "


class TestThoseInLine:
    async def test_find_what_has_come_meanwhile(self, upstream: Faulty) -> None:
        """Replies to come are begun a few at a time: the first may be there before the last one is begun."""
        server, query = Resolving(upstream, Searching()), dns.message.make_query("www.example.com", "A").to_wire()
        before = len(upstream.asked_for("www.example.com"))
        first, in_line = (server.respond(query, ("127.0.0.1", 1)) for _ in range(2))
        replies = [dns.message.from_wire(await each) for each in (first, in_line)]
        assert [str(each.answer[0][0]) for each in replies] == ["192.0.2.1"] * 2
        assert len(upstream.asked_for("www.example.com")) == before + 1


class TestLimits:
    @staticmethod
    def silent(server: Resolving, *clients: str) -> list[asyncio.Task[dns.message.Message]]:
        """What nobody answers, asked by each of these."""
        questions = [server.ask("silent.example.com", client=each, use_edns=0) for each in clients]
        return [asyncio.create_task(each) for each in questions]

    @pytest.mark.parametrize(
        ("clients", "expected"),
        [
            (["192.0.2.1"], [50]),
            (["192.0.2.1", "192.0.2.2"], [50, 32]),
            (["2001:db8::1", "2001:db8::2"], [50, 0]),
            (["2001:db8::1", "2001:db8:0:1::1"], [50, 32]),
        ],
    )
    async def test_none_takes_all_the_room(self, upstream: Faulty, clients: list[str], expected: list[int]) -> None:
        """One after the other takes what it gets, and there is some left for one more."""
        server = Resolving(upstream, Searching())
        before, waiting = 0, []
        for client, count in zip(clients, expected, strict=True):
            waiting += self.silent(server, *[client] * 100)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert server.resolver.elsewhere.waiting - before == count
            before = server.resolver.elsewhere.waiting
        assert await server.says("www.example.com", client="192.0.2.3") == "www.example.com. A 192.0.2.1"
        await asyncio.gather(*waiting)
        assert server.resolver.elsewhere.waiting == 0
        assert not server.resolver.elsewhere._waiting_of

    async def test_too_many_that_wait(self, upstream: Faulty) -> None:
        server = Resolving(upstream, Searching())
        waiting = self.silent(server, *(f"192.0.2.{number}" for number in range(100)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reply = await server.ask("www.example.com", use_edns=0)
        assert reply.rcode() == dns.rcode.REFUSED
        assert "too many" in str(reply.options[0])
        assert await server.says("web.shop.svc.cluster.local") == "web.shop.svc.cluster.local. A 10.96.0.1"
        replies = await asyncio.gather(*waiting)
        assert {each.rcode() for each in replies} == {dns.rcode.SERVFAIL}
        assert await server.says("www.example.com") == "www.example.com. A 192.0.2.1"

    async def test_a_query_has_its_time_whatever_it_takes(self, upstream: Faulty) -> None:
        """Five names that take 0.35 s each, and 1 s for all."""
        slow_domains = tuple(names.from_text(f"slow{number}.example") for number in range(5))
        server = Resolving(upstream, Searching(None, SearchList(slow_domains)))
        started = time.monotonic()
        reply = await server.ask("foo", use_edns=0)
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert 0.9 < time.monotonic() - started < 1.7
        assert "too long" in str(reply.options[0])

    async def test_questions_that_go_on_without_their_client_count(self, upstream: Faulty) -> None:
        server = Resolving(upstream, Searching())
        elsewhere = server.resolver.elsewhere
        elsewhere._asking.update({b"%d" % number: asyncio.Future() for number in range(100)})
        assert (await server.ask("www.example.com")).rcode() == dns.rcode.REFUSED
        elsewhere._asking.clear()
        assert await server.says("www.example.com") == "www.example.com. A 192.0.2.1"

    async def test_who_gives_up_does_not_take_others_along(self, upstream: Faulty) -> None:
        """Two queries wait for one question; the time of the first is over before that of the second."""
        server = Resolving(upstream, Searching())
        server.resolver.elsewhere.most_seconds = 0.2
        first = asyncio.create_task(server.ask("silent.example.com"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        server.resolver.elsewhere.most_seconds = 2
        second = asyncio.create_task(server.ask("silent.example.com", use_edns=0))
        assert (await first).rcode() == dns.rcode.SERVFAIL
        assert not second.done()
        assert "no upstream answered" in str((await second).options[0])
        assert (await server.ask("silent.example.com")).rcode() == dns.rcode.SERVFAIL

    async def test_after_the_end_nobody_waits(self, upstream: Faulty) -> None:
        """What a query would ask next is answered at once, so that it is answered before the sockets close."""
        server = Resolving(upstream, Searching(None, SearchList((CORP,))))
        waiting = asyncio.create_task(server.ask("silent.example.com"))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        server.forwarder.stop()
        assert (await waiting).rcode() == dns.rcode.SERVFAIL
        reply = await server.ask("another", use_edns=0)
        assert "stops" in str(reply.options[0])
        assert time.monotonic() - started < 0.2

    async def test_forms_of_queries_are_remembered_if_they_are_short(self, upstream: Faulty) -> None:
        server = Resolving(upstream, Searching())
        for number in range(3):
            padding = dns.edns.GenericOption(12, bytes([number]) * 1000)
            await server.ask("www.example.com", use_edns=0, options=[padding])
        terms = inspect.getclosurevars(server.respond).nonlocals["terms_of"].__self__
        assert not terms
        await server.ask("www.example.com", use_edns=0)
        assert len(terms) == 1
