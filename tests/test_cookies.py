"""DNS cookies (RFC 7873), as servers that share an address make and check them (RFC 9018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from clusterdns.around.cookies import refused_for_cookie, telling_cookies
from clusterdns.around.server_cookies import MOST_REMEMBERED, NotASecret, ServerCookies, secret
from clusterdns.around.siphash import siphash
from clusterdns.origins import Trail
from clusterdns.queries import FormatError
from clusterdns.respond import responder
from clusterdns.traffic import Place, Traffic
from clusterdns.wire import Dialect
from tests.cluster import Server

if TYPE_CHECKING:
    from clusterdns.respond import Respond

OLD, NEW = secret("dd3bdf9344b678b185a6f5cb60fca715"), secret("445536bcd2513298075a5d379663c962")
SECRET = secret("e5e973e5a6b2a43f48e7dc849e37bfcf")
AT = 1559731985
"""Wednesday, 5 June 2019, 10:53:05 UTC."""

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7], ports: [{port: 80}]}
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, clusterIPs: [None], ports: [{port: 5432}]}
---
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [%s]
""" % ", ".join(f"{{addresses: [10.244.0.{number}]}}" for number in range(1, 101))  # noqa: UP031 - braces
CLIENT = ("198.51.100.100", 5353)


def answered(cookie: str, address: str, at: int, *secrets: bytes) -> str:
    found, _ = ServerCookies(secrets, lambda: at).answer(address, bytes.fromhex(cookie))
    return found.hex()


class TestSipHash:
    """The first and the last vector of its authors' reference implementation, and one of a whole word."""

    KEY = bytes(range(16))

    @pytest.mark.parametrize(
        ("length", "expected"), [(0, "310e0edd47db6f72"), (8, "6224939a79f5f593"), (63, "724506eb4c328a95")]
    )
    def test_vectors(self, length: int, expected: str) -> None:
        assert siphash(self.KEY, bytes(range(length))).hex() == expected


class TestVectors:
    """RFC 9018 appendix A."""

    def test_learning_a_new_server_cookie(self) -> None:
        expected = "2464c4abcf10c957010000005cf79f111f8130c3eee29480"
        assert answered("2464c4abcf10c957", "198.51.100.100", AT, SECRET) == expected

    def test_the_same_client_learning_a_renewed_one(self) -> None:
        shown = "2464c4abcf10c957010000005cf79f111f8130c3eee29480"
        expected = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"
        assert answered(shown, "198.51.100.100", 1559734385, SECRET) == expected

    def test_another_client_learning_a_renewed_one(self) -> None:
        shown = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"
        expected = "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"
        assert answered(shown, "203.0.113.203", 1559734700, SECRET) == expected

    def test_ipv6_and_a_secret_that_was_rolled_over(self) -> None:
        shown = "22681ab97d52c298010000005cf7c57926556bd0934c72f8"
        expected = "22681ab97d52c298010000005cf7c609a6bb79d16625507a"
        address = "2001:db8:220:1:59de:d0f4:8769:82b8"
        assert answered(shown, address, 1559741961, NEW, OLD) == expected


class TestServerCookies:
    SHOWN = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")

    @pytest.mark.parametrize(
        ("seconds", "proves", "stays"),
        [
            (0, True, True),
            (1800, True, True),
            (1801, True, False),
            (3600, True, False),
            (3601, False, False),
            (-300, True, True),
            (-301, False, False),
            (2**32, True, True),
            (2**32 - 301, False, False),
        ],
    )
    def test_they_grow_old(self, seconds: int, proves: bool, stays: bool) -> None:
        cookie, is_proof = ServerCookies([SECRET], lambda: AT + seconds).answer(CLIENT[0], self.SHOWN)
        assert (is_proof, cookie == self.SHOWN) == (proves, stays)

    def test_reserved_bytes_are_hashed_and_not_looked_at(self) -> None:
        shown = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
        assert ServerCookies([SECRET], lambda: 1559728000).answer("203.0.113.203", shown) == (shown, True)

    @pytest.mark.parametrize(
        ("address", "cookie"),
        [
            ("198.51.100.101", SHOWN),
            ("198.51.100.100", b"another." + SHOWN[8:]),
            ("198.51.100.100", SHOWN[:8] + b"\2" + SHOWN[9:]),
            ("198.51.100.100", SHOWN[:-1] + b"\0"),
            ("198.51.100.100", SHOWN[:-1]),
            ("198.51.100.100", SHOWN + bytes(16)),
            ("198.51.100.100", SHOWN[:8]),
            ("nowhere", SHOWN),
        ],
    )
    def test_what_is_not_ours_proves_nothing(self, address: str, cookie: bytes) -> None:
        cookies = ServerCookies([SECRET], lambda: AT)
        whole, proves = cookies.answer(address, cookie)
        assert not proves
        assert whole[:8] == cookie[:8]
        assert cookies.answer(address, whole) == (whole, True)

    def test_a_former_secret_is_taken_and_the_new_one_told(self) -> None:
        cookie, proves = ServerCookies([NEW, SECRET], lambda: AT).answer(CLIENT[0], self.SHOWN)
        assert proves
        assert ServerCookies([NEW], lambda: AT).answer(CLIENT[0], cookie) == (cookie, True)

    @pytest.mark.parametrize("length", [0, 7, 9, 15, 41])
    def test_other_lengths_are_malformed(self, length: int) -> None:
        with pytest.raises(FormatError):
            ServerCookies([SECRET], lambda: AT).answer(CLIENT[0], bytes(length))

    def test_what_is_remembered_is_bounded(self) -> None:
        cookies = ServerCookies([SECRET], lambda: AT)
        for number in range(MOST_REMEMBERED + 10):
            cookies.answer(CLIENT[0], number.to_bytes(8, "big"))
        assert len(cookies._remembered) <= MOST_REMEMBERED

    @pytest.mark.parametrize(
        "text", ["", "e5", "e5e973e5a6b2a43f48e7dc849e37bfc", "e5e973e5 a6b2a43f48e7dc849e37bfcf", "x"]
    )
    def test_no_secrets(self, text: str) -> None:
        with pytest.raises(NotASecret, match="expected 32 hexadecimal digits"):
            secret(text)


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(CLUSTER)


def telling(server: Server, *, stream: bool = False, **others: Any) -> Respond:
    """A bare responder with cookies behind its fast way, as it is without settings."""
    cookies = ServerCookies([SECRET], lambda: AT)

    def unfamiliar(whole: Respond, slowly: Respond) -> Respond:
        return telling_cookies(slowly, cookies, stream=stream, unproven=whole, proven=others.get("proven", whole))

    return responder(server.index, Dialect(), stream=stream, unfamiliar=unfamiliar)


def query(cookie: bytes | None, name: str = "web.shop.svc.cluster.local", **edns: Any) -> dns.message.Message:
    options = [dns.edns.NSIDOption(b"")] if edns.pop("nsid", False) else []
    if cookie is not None:
        options.append(dns.edns.GenericOption(10, cookie))
    return dns.message.make_query(name, "A", use_edns=0, options=options, **edns)


def ask(respond: Respond, asked: dns.message.Message) -> dns.message.Message:
    packet = respond(asked.to_wire(), CLIENT)
    assert isinstance(packet, bytes)
    reply = dns.message.from_wire(packet)
    assert asked.is_response(reply)
    return reply


def cookies_of(reply: dns.message.Message) -> list[bytes]:
    return [each.to_wire() for each in reply.options if each.otype == 10]  # type: ignore[misc]


class TestReplies:
    BROUGHT = bytes.fromhex("2464c4abcf10c957")
    WHOLE = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("brought", [BROUGHT, WHOLE, BROUGHT + bytes(8), BROUGHT + bytes(32)])
    @pytest.mark.parametrize(
        ("name", "rcode", "records"),
        [
            ("web.shop.svc.cluster.local", "NOERROR", ["10.96.0.7"]),
            ("nope.shop.svc.cluster.local", "NXDOMAIN", []),
            ("www.example.org", "REFUSED", []),
        ],
    )
    def test_the_answer_and_a_whole_cookie(
        self, server: Server, *, stream: bool, brought: bytes, name: str, rcode: str, records: list[str]
    ) -> None:
        """Whatever server cookie is brought: what is wrong with it is not the client's fault."""
        reply = ask(telling(server, stream=stream), query(brought, name))
        assert dns.rcode.to_text(reply.rcode()) == rcode
        assert [str(data) for each in reply.answer for data in each] == records
        assert cookies_of(reply) == [self.WHOLE]

    def test_it_is_the_same_answer_as_without(self, server: Server) -> None:
        for name in ("web.shop.svc.cluster.local", "nope.shop.svc.cluster.local", "www.example.org"):
            with_cookie, without = query(self.BROUGHT, name), query(None, name)
            with_cookie.id = without.id
            respond = telling(server)
            one, other = ask(respond, with_cookie), ask(respond, without)
            assert cookies_of(other) == []
            kept = [each for each in one.options if each.otype != 10]
            one.use_edns(one.edns, one.ednsflags, one.payload, options=kept)
            assert one.to_text() == other.to_text()

    def test_a_cookie_is_no_form_of_its_own(self, server: Server) -> None:
        """So those who make up cookies fill no memory, and are answered by the fast way."""
        respond = telling(server)
        ask(respond, query(None))
        node = server.index.nodes[b"\3web\4shop\3svc\7cluster\5local\0"]
        before = dict(node.replies)
        for number in range(100):
            ask(respond, query(number.to_bytes(8, "big")))
        assert node.replies == before

    def test_without_edns_there_is_none(self, server: Server) -> None:
        asked = dns.message.make_query("web.shop.svc.cluster.local", "A", use_edns=False)
        assert ask(telling(server), asked).edns == -1

    def test_among_other_options(self, server: Server) -> None:
        assert cookies_of(ask(telling(server), query(self.BROUGHT, nsid=True))) == [self.WHOLE]

    def test_of_two_the_first_counts(self, server: Server) -> None:
        options = [dns.edns.GenericOption(10, self.BROUGHT), dns.edns.GenericOption(10, b"another.")]
        asked = dns.message.make_query("web.shop.svc.cluster.local", "A", use_edns=0, options=options)
        assert cookies_of(ask(telling(server), asked)) == [self.WHOLE]

    @pytest.mark.parametrize("length", [0, 7, 9, 15, 41])
    def test_one_of_an_odd_length_is_malformed(self, server: Server, length: int) -> None:
        packet = telling(server)(query(bytes(length)).to_wire(), CLIENT)
        assert isinstance(packet, bytes)
        assert packet[3] & 0xF == dns.rcode.FORMERR

    @pytest.mark.parametrize("size", [512, 700, 1232, 4096])
    def test_the_reply_stays_within_the_client_s_size(self, server: Server, size: int) -> None:
        asked = query(self.BROUGHT, "db.shop.svc.cluster.local", payload=size)
        packet = telling(server)(asked.to_wire(), CLIENT)
        assert isinstance(packet, bytes)
        reply = dns.message.from_wire(packet)
        assert min(size, 1232) - 16 < len(packet) <= min(size, 1232), "as many records of 16 bytes as fit"
        assert reply.flags & dns.flags.TC
        assert cookies_of(reply) == [self.WHOLE]

    def test_a_response_is_not_answered(self, server: Server) -> None:
        asked = query(self.BROUGHT)
        asked.flags |= dns.flags.QR
        assert telling(server)(asked.to_wire(), CLIENT) is None

    def test_whose_cookie_is_right_is_told_apart(self, server: Server) -> None:
        """So that limits need not be for it."""
        proven: list[bytes] = []

        def note(packet: bytes, client: object) -> bytes | None:
            proven.append(packet)
            return server.datagram(packet, client)  # type: ignore[arg-type, return-value]

        respond = telling(server, proven=note)
        ask(respond, query(self.BROUGHT))
        assert not proven
        assert cookies_of(ask(respond, query(self.WHOLE))) == [self.WHOLE]
        assert len(proven) == 1

    def test_bad_cookie(self, server: Server) -> None:
        reply = dns.message.from_wire(refused_for_cookie(query(self.BROUGHT).to_wire()) or b"")
        assert reply.rcode() == dns.rcode.BADCOOKIE
        assert not reply.answer


class TestLoneCookies:
    """RFC 7873 section 5.4: nothing is asked but for the cookie."""

    WHOLE = TestReplies.WHOLE

    @pytest.mark.parametrize(
        ("brought", "rcode"),
        [(WHOLE[:8], dns.rcode.NOERROR), (WHOLE, dns.rcode.NOERROR), (WHOLE[:8] + bytes(16), dns.rcode.BADCOOKIE)],
    )
    def test_it_is_told(self, server: Server, brought: bytes, rcode: int) -> None:
        asked = dns.message.Message()
        asked.use_edns(0, options=[dns.edns.GenericOption(10, brought)])
        reply = ask(telling(server), asked)
        assert reply.rcode() == rcode
        assert not reply.question
        assert not reply.answer
        assert cookies_of(reply) == [self.WHOLE]

    @pytest.mark.parametrize(("flags", "rcode"), [(0x2800, dns.rcode.NOTIMP), (0x8000, None)])
    def test_it_is_a_query(self, server: Server, flags: int, rcode: int | None) -> None:
        asked = dns.message.Message()
        asked.use_edns(0, options=[dns.edns.GenericOption(10, self.WHOLE)])
        asked.flags |= flags
        packet = telling(server)(asked.to_wire(), CLIENT)
        assert (packet[3] & 0xF if isinstance(packet, bytes) else packet) == rcode

    def test_who_is_not_answered_is_not_told_either(self) -> None:
        """Such as those whom the acl drops, and those who have had too many responses."""
        cookies = ServerCookies([SECRET], lambda: AT)

        def nothing(_packet: bytes, _client: object) -> None:
            return None

        respond = telling_cookies(nothing, cookies, stream=False, unproven=nothing, proven=nothing)
        for brought in (self.WHOLE[:8], self.WHOLE, self.WHOLE[:7]):
            asked = dns.message.Message()
            asked.use_edns(0, options=[dns.edns.GenericOption(10, brought)])
            assert respond(asked.to_wire(), CLIENT) is None

    def test_it_is_counted_as_what_it_is(self, server: Server) -> None:
        """And not as the answer before it."""
        cookies, trail, traffic = ServerCookies([SECRET], lambda: AT), Trail(), Traffic()
        bare = responder(
            server.index,
            Dialect(),
            stream=False,
            trail=trail,
            unfamiliar=lambda whole, slowly: telling_cookies(
                slowly, cookies, stream=False, unproven=whole, proven=whole
            ),
        )
        respond = traffic.counted(bare, Place("127.0.0.1", 53, is_tls=False, is_stream=False, zone="."), trail)
        for _ in range(3):
            ask(respond, query(None))
        lone = dns.message.Message()
        lone.use_edns(0, options=[dns.edns.GenericOption(10, self.WHOLE)])
        ask(respond, lone)
        respond(query(bytes(7)).to_wire(), CLIENT)
        ((_, tally),) = traffic.tallies.items()
        assert tally.totals().responses == {("NOERROR", "kubernetes"): 3, ("NOERROR", ""): 1, ("FORMERR", ""): 1}

    def test_without_a_cookie_it_is_malformed(self, server: Server) -> None:
        asked = dns.message.Message()
        asked.use_edns(0, options=[dns.edns.GenericOption(65001, b"")])
        packet = telling(server)(asked.to_wire(), CLIENT)
        assert isinstance(packet, bytes)
        assert packet[3] & 0xF == dns.rcode.FORMERR
