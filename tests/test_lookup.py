"""Asking as a pod's resolver does; the servers are real ones, and glibc's resolver is the judge of what is asked."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import pytest
from click.testing import CliRunner

from clusterdns import names
from clusterdns.commands.lookup import RESOLV_CONF, lookup
from clusterdns.forward import UpstreamAddress
from clusterdns.lookup import Exchange, Servers, look_up
from clusterdns.records import Question, Type
from clusterdns.search import SearchList
from tests import glibc
from tests.scripted import Scripted, reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from click.testing import Result

    from tests.scripted import Asked

DOMAINS = ("x.test", "y.test")


def does(
    behaviour: dict[str, str], otherwise: str = "NXDOMAIN"
) -> Callable[[dns.message.Message, Asked], Iterable[bytes]]:
    """A script of rcodes by name; "data" is an address, "NODATA" an answer without records, "silence" none at all."""

    def script(query: dns.message.Message, asked: Asked) -> Iterable[bytes]:
        match behaviour.get(asked.name, otherwise):
            case "silence":
                return []
            case "data":
                return [reply(query, "@ 30 A 10.0.0.1" if asked.rtype == "A" else "@ 30 AAAA fd00::1")]
            case "A alone":
                return [reply(query, *["@ 30 A 10.0.0.1"] * (asked.rtype == "A"))]
            case "alias":
                return [reply(query, "@ 30 CNAME nowhere.test.")]
            case "NODATA":
                return [reply(query)]
            case rcode:
                return [reply(query, rcode=rcode)]

    return script


def servers(*ports: int, timeout: float = 5, attempts: int = 1) -> Servers:
    return Servers([UpstreamAddress("127.0.0.1", each) for each in ports], timeout=timeout, attempts=attempts)


async def tried(
    name: str, asking: Servers, *, search: Sequence[str] = DOMAINS, ndots: int = 5, types: Sequence[int] = (Type.A,)
) -> list[Exchange]:
    found = SearchList(tuple(map(names.from_text, search)), ndots)
    try:
        return [
            exchange
            async for exchanges in look_up(names.from_text(name), types, found, asking.ask, absolute=name.endswith("."))
            for exchange in exchanges
        ]
    finally:
        asking.close()


async def asked(question: Question, asking: Servers) -> Exchange:
    try:
        return await asking.ask(question)
    finally:
        asking.close()


SEARCHES: dict[str, tuple[str, int, dict[str, str], list[str]]] = {
    "the first name is there": ("a.b", 5, {"a.b.x.test.": "data"}, ["a.b.x.test."]),
    "an alias is an answer": ("a.b", 5, {"a.b.x.test.": "alias"}, ["a.b.x.test."]),
    "the last name is there": ("a.b", 5, {"a.b.": "data"}, ["a.b.x.test.", "a.b.y.test.", "a.b."]),
    "none is there": ("a.b", 5, {}, ["a.b.x.test.", "a.b.y.test.", "a.b."]),
    "the first has other types": ("a.b", 5, {"a.b.x.test.": "NODATA"}, ["a.b.x.test.", "a.b.y.test.", "a.b."]),
    "the first fails": ("a.b", 5, {"a.b.x.test.": "SERVFAIL"}, ["a.b.x.test.", "a.b.y.test.", "a.b."]),
    "the first is refused": ("a.b", 5, {"a.b.x.test.": "REFUSED"}, ["a.b.x.test.", "a.b."]),
    "the first is not understood": ("a.b", 5, {"a.b.x.test.": "FORMERR"}, ["a.b.x.test.", "a.b."]),
    "the first meets silence": ("a.b", 5, {"a.b.x.test.": "silence"}, ["a.b.x.test.", "a.b."]),
    "the second meets silence": ("a.b", 5, {"a.b.y.test.": "silence"}, ["a.b.x.test.", "a.b.y.test.", "a.b."]),
    "the name itself first, refused": ("a.b", 1, {"a.b.": "REFUSED"}, ["a.b.", "a.b.x.test.", "a.b.y.test."]),
    "the name itself first, silence": ("a.b", 1, {"a.b.": "silence"}, ["a.b.", "a.b.x.test.", "a.b.y.test."]),
    "the name itself alone": ("a.b.", 5, {}, ["a.b."]),
}


class TestSearch:
    @pytest.mark.parametrize(("name", "ndots", "behaviour", "expected"), SEARCHES.values(), ids=SEARCHES)
    async def test_how_far_it_goes(self, name: str, ndots: int, behaviour: dict[str, str], expected: list[str]) -> None:
        with Scripted(does(behaviour)) as server:
            exchanges = await tried(name, servers(server.port, timeout=1), ndots=ndots)
        assert [names.to_text(each.question.name) for each in exchanges] == expected
        assert list(dict.fromkeys(each.name for each in server.asked)) == expected

    @glibc.needs_glibc
    @pytest.mark.parametrize(("name", "ndots", "behaviour", "expected"), SEARCHES.values(), ids=SEARCHES)
    def test_that_is_as_far_as_glibc_goes(
        self, name: str, ndots: int, behaviour: dict[str, str], expected: list[str]
    ) -> None:
        with Scripted(does(behaviour)) as server:
            glibc.asked(name, port=server.port, search=DOMAINS, ndots=ndots)
        assert list(dict.fromkeys(each.name for each in server.asked)) == expected

    async def test_one_type_is_enough(self) -> None:
        """As for getaddrinfo: a name with an IPv4 address is found, though it has no IPv6 address."""
        with Scripted(does({"a.x.test.": "A alone"})) as server:
            exchanges = await tried("a", servers(server.port), types=(Type.A, Type.AAAA))
        assert [(each.question.qtype, each.is_found) for each in exchanges] == [(Type.A, True), (Type.AAAA, False)]

    async def test_an_alias_to_nothing_is_not_found(self) -> None:
        with Scripted(does({"a.x.test.": "alias"})) as server:
            (exchange,) = await tried("a", servers(server.port))
        assert exchange.has_answer
        assert not exchange.is_found


class TestExchange:
    QUESTION = Question(names.from_text("a.test"), Type.A)

    async def test_the_query(self) -> None:
        with Scripted(does({}, "data")) as server:
            await asked(self.QUESTION, servers(server.port))
        query = dns.message.from_wire(server.queries[0])
        assert (query.flags, query.edns, query.payload, query.ednsflags) == (dns.flags.RD, 0, 1232, 0)

    async def test_ids_and_ports_can_not_be_guessed(self) -> None:
        with Scripted(does({}, "data")) as server:
            for _ in range(20):
                await asked(self.QUESTION, servers(server.port))
        assert len({each[:2] for each in server.queries}) > 10

    async def test_a_truncated_response_is_asked_for_again_over_tcp(self) -> None:
        def script(query: dns.message.Message, asked: Asked) -> Iterable[bytes]:
            yield reply(query, flags="TC") if asked.transport == "UDP" else reply(query, "@ 30 A 10.0.0.1")

        with Scripted(script) as server:
            exchange = await asked(self.QUESTION, servers(server.port))
        assert [each.transport for each in server.asked] == ["UDP", "TCP"]
        assert (exchange.over_tcp, exchange.is_found, exchange.fault) == (True, True, "")

    async def test_a_truncated_response_is_better_than_none(self) -> None:
        with Scripted(lambda query, _: [reply(query, "@ 30 A 10.0.0.1", flags="TC")], tcp=False) as server:
            exchange = await asked(self.QUESTION, servers(server.port))
        assert exchange.response is not None
        assert exchange.response.is_truncated

    async def test_packets_that_answer_something_else_are_passed_over(self) -> None:
        def script(query: dns.message.Message, _: Asked) -> Iterable[bytes]:
            right = reply(query, "@ 30 A 10.0.0.1")
            other = dns.message.make_query("b.test", "A")
            other.id = query.id
            yield bytes((right[0] ^ 1,)) + right[1:]  # another ID
            yield reply(other, "@ 30 A 10.6.6.6")
            yield query.to_wire()
            yield right[:11]
            yield right

        with Scripted(script) as server:
            exchange = await asked(self.QUESTION, servers(server.port))
        assert exchange.response is not None
        assert [each.data for each in exchange.response.records()[0]] == [bytes((10, 0, 0, 1))]

    @pytest.mark.parametrize("rcode", ["FORMERR", "NOTIMP"])
    async def test_a_server_that_knows_no_edns(self, rcode: str) -> None:
        def script(query: dns.message.Message, _: Asked) -> Iterable[bytes]:
            if query.edns < 0:
                return [reply(query, "@ 30 A 10.0.0.1")]
            query.use_edns(False)
            return [reply(query, rcode=rcode)]

        with Scripted(script) as server:
            exchange = await asked(self.QUESTION, servers(server.port))
        assert exchange.is_found

    async def test_silence_is_asked_again(self) -> None:
        with Scripted(does({}, "silence")) as server:
            exchange = await asked(self.QUESTION, servers(server.port, timeout=0.1, attempts=3))
        assert len(server.asked) == 3
        assert (exchange.response, exchange.fault) == (None, "no response within 0.1 s")
        assert exchange.seconds >= 0.1

    async def test_a_port_where_nobody_listens(self) -> None:
        with Scripted(does({})) as server:
            pass
        exchange = await asked(self.QUESTION, servers(server.port))
        assert (exchange.response, exchange.fault) == (None, "connection refused")

    @pytest.mark.parametrize("first", ["silence", "SERVFAIL", "REFUSED", "NOTIMP"])
    async def test_the_next_server_may_do_better(self, first: str) -> None:
        with Scripted(does({}, first)) as bad, Scripted(does({}, "data")) as good:
            exchange = await asked(self.QUESTION, servers(bad.port, good.port, timeout=1))
        assert (exchange.is_found, exchange.server.port) == (True, good.port)

    @pytest.mark.parametrize("first", ["NXDOMAIN", "NODATA"])
    async def test_an_answer_is_an_answer(self, first: str) -> None:
        with Scripted(does({}, first)) as empty, Scripted(does({}, "data")) as full:
            await asked(self.QUESTION, servers(empty.port, full.port))
        assert not full.asked

    async def test_a_refusal_is_better_than_silence(self) -> None:
        with Scripted(does({}, "silence")) as silent, Scripted(does({}, "REFUSED")) as refusing:
            exchange = await asked(self.QUESTION, servers(silent.port, refusing.port, timeout=0.5, attempts=2))
        assert exchange.server.port == refusing.port
        assert (len(silent.asked), len(refusing.asked)) == (2, 1)

    async def test_no_server_at_all(self) -> None:
        with pytest.raises(ValueError, match="no server"):
            await asked(self.QUESTION, servers())


def run(*arguments: object, **environment: str) -> Result:
    variables = {"KUBERNETES_SERVICE_HOST": None} | environment
    return CliRunner().invoke(lookup, [str(each) for each in arguments], prog_name="clusterdns lookup", env=variables)


class TestCommand:
    """Its output and its exit codes, against a server that does as it is told."""

    def test_found(self) -> None:
        def script(query: dns.message.Message, asked: Asked) -> Iterable[bytes]:
            if asked.name == "cart.shop.svc.cluster.test.":
                return [reply(query, "@ 30 CNAME b.test.", 'b.test 5 TXT "x y"', "b.test 5 TYPE65280 \\# 1 ff")]
            return [reply(query, rcode="NXDOMAIN")]

        with Scripted(script) as server:
            here = f"127.0.0.1:{server.port}"
            ran = run("cart.shop", "txt", "--namespace", "default", "--zone", "cluster.test", "--server", here)
        assert ran.exit_code == 0, ran.output
        assert [line.split(", ")[0] for line in ran.stdout.splitlines()] == [
            "cart.shop.default.svc.cluster.test. TXT: NXDOMAIN",
            "cart.shop.svc.cluster.test. TXT: NOERROR",
            "  cart.shop.svc.cluster.test. 30 IN CNAME b.test.",
            '  b.test. 5 IN TXT "x y"',
            "  b.test. 5 IN TYPE65280 \\# 1 ff",
        ]
        assert ran.stdout.splitlines()[0].endswith(f" ms, {here} over UDP")

    def test_not_found(self) -> None:
        with Scripted(does({})) as server:
            ran = run("cart", "--server", f"127.0.0.1:{server.port}")
        assert (ran.exit_code, ran.stderr) == (1, "")
        assert sorted(set(server.asked)) == sorted(
            (f"cart{domain}.", rtype, "UDP")
            for domain in (".default.svc.cluster.local", ".svc.cluster.local", ".cluster.local", "")
            for rtype in ("A", "AAAA")
        )

    def test_nobody_answers(self) -> None:
        with Scripted(does({}, "silence")) as server:
            here = f"127.0.0.1:{server.port}"
            ran = run("cart.", "A", "--server", here, "--timeout", 0.1)
        assert (ran.exit_code, len(server.asked)) == (3, 2)
        assert ran.stdout.startswith("cart. A: no response within 0.1 s, ")
        assert ran.stderr == f"clusterdns: no server answered: {here}: no response within 0.1 s\n"

    def test_a_failure_is_an_answer_too(self) -> None:
        with Scripted(does({}, "SERVFAIL")) as server:
            assert run("cart.", "--server", f"127.0.0.1:{server.port}").exit_code == 1

    @pytest.mark.parametrize(
        ("address", "asked"),
        [
            ("10.96.0.10", "10.0.96.10.in-addr.arpa."),
            ("fd00::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa."),
        ],
    )
    @pytest.mark.parametrize("rtype", [(), ("PTR",)])
    def test_an_address_is_asked_for_its_names(self, address: str, asked: str, rtype: tuple[str, ...]) -> None:
        with Scripted(lambda query, _: [reply(query, "@ 30 PTR cart.shop.svc.cluster.local.")]) as server:
            ran = run(address, *rtype, "--server", f"127.0.0.1:{server.port}")
        assert ran.exit_code == 0, ran.output
        assert server.asked == [(asked, "PTR", "UDP")]

    def test_json(self) -> None:
        with Scripted(does({"cart.default.svc.cluster.local.": "A alone"})) as server:
            here = f"127.0.0.1:{server.port}"
            ran = run("cart", "--server", here, "--json")
        told: dict[str, Any] = json.loads(ran.stdout)
        assert all(each.pop("milliseconds") > 0 for each in told["tried"])
        common = {"name": "cart.default.svc.cluster.local.", "server": here, "transport": "UDP"}
        record = {"name": "cart.default.svc.cluster.local.", "ttl": 30, "type": "A", "data": "10.0.0.1"}
        assert told == {
            "found": True,
            "tried": [
                {**common, "type": "A", "rcode": "NOERROR", "records": [record]},
                {**common, "type": "AAAA", "rcode": "NODATA"},
            ],
        }

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ("a..b", "'a..b' is no name: a label has 1 to 63 bytes, not 0: ''"),
            ("a XYZ", "'XYZ' is no record type: expected one such as A, SRV or TYPE65280"),
            ("10.0.0.1 A", "10.0.0.1 is an address, which has PTR records only, not A"),
            ("a --namespace a.b", "--namespace: 'a.b': expected the name of a namespace, such as default"),
            ("a --zone .", "--zone: '.': expected a name such as cluster.local"),
            ("a --zone a..b", "--zone: 'a..b': expected a name such as cluster.local"),
            ("a --server tls://10.0.0.1", "--server: 'tls://10.0.0.1': pods ask over UDP and TCP, not over TLS"),
        ],
    )
    def test_wrong_use(self, arguments: str, told: str) -> None:
        ran = run(*arguments.split())
        assert (ran.exit_code, ran.stdout, ran.stderr) == (2, "", f"clusterdns: {told}\n")

    @pytest.mark.parametrize("server", ["dns", "127.0.0.1:dns", "127.0.0.1:0", "[::1", ""])
    def test_a_server_that_can_not_be(self, server: str) -> None:
        ran = run("a", "--server", server)
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert ran.stderr.startswith(f"clusterdns: --server: {server!r}: expected ")


class TestInPod:
    """Its own resolv.conf says whom to ask, and what to search."""

    def test_what_the_help_says_of_it(self) -> None:
        assert "those of its /etc/resolv.conf" in " ".join(run("--help").output.split())
        assert str(RESOLV_CONF) == "/etc/resolv.conf"

    @pytest.fixture
    def own(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "resolv.conf"
        file.write_text("search x.test\nnameserver 192.0.2.1\noptions ndots:1\n")
        monkeypatch.setattr("clusterdns.commands.lookup.RESOLV_CONF", file)

    @pytest.mark.usefixtures("own")
    @pytest.mark.parametrize(
        ("options", "asked"),
        [
            ((), ["a.b.", "a.b.x.test."]),
            (
                ("--namespace", "shop"),
                ["a.b.shop.svc.cluster.local.", "a.b.svc.cluster.local.", "a.b.cluster.local.", "a.b."],
            ),
        ],
    )
    def test_its_own_search_list_unless_another_is_wanted(self, options: tuple[str, ...], asked: list[str]) -> None:
        with Scripted(does({})) as server:
            here = f"127.0.0.1:{server.port}"
            ran = run("a.b", "A", "--server", here, *options, KUBERNETES_SERVICE_HOST="10.96.0.1")
        assert ran.exit_code == 1, ran.output
        assert [each.name for each in server.asked] == asked


def test_timeouts_leave_nothing_running() -> None:
    """What is still open is closed with the servers; pytest would tell of a socket that is not."""
    with Scripted(does({}, "silence")) as server:

        async def give_up() -> None:
            asking = servers(server.port)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asking.ask(TestExchange.QUESTION), 0.1)
            asking.close()

        asyncio.run(give_up())
    assert len(server.asked) == 1
