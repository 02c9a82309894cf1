"""Cookies and the limit of responses to a client network, as dig sees them."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.query
import pytest
from serving import EXAMPLE, Serving, eventually, program, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Serve = Callable[..., Serving]

NAME = "alpaca-prod.default.svc.cluster.local"
FIRST, SECOND = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"


def dug(port: int, *arguments: object) -> str:
    return run(program("dig"), "@127.0.0.1", "-p", port, "+tries=1", "+timeout=5", *arguments).stdout


def cookie(text: str) -> str:
    """What dig says is good."""
    found = re.search(r"; COOKIE: ([0-9a-f]{48}) \(good\)", text)
    assert found, text
    return found[1]


class TestCookies:
    def test_it_is_good_and_stays(self, example: Serving) -> None:
        told = cookie(dug(example.port, NAME))
        assert cookie(dug(example.port, f"+cookie={told}", NAME)) == told
        assert cookie(dug(example.port, f"+cookie={told}", "+tcp", "www.example.org")) == told

    def test_by_itself(self, example: Serving) -> None:
        text = dug(example.port, "+header-only")
        assert "QUERY: 0, ANSWER: 0" in text
        assert cookie(text)

    def test_a_wrong_one_by_itself(self, example: Serving) -> None:
        text = dug(example.port, "+header-only", "+nobadcookie", f"+cookie={'01' * 24}")
        assert "status: BADCOOKIE" in text
        assert cookie(text)

    @pytest.fixture
    def secrets(self, tmp_path: Path) -> Path:
        found = tmp_path / "secrets"
        found.write_text(f"{FIRST}  # of this year\n")
        return found

    def test_secrets_in_a_file(self, serve: Serve, tmp_path: Path, secrets: Path) -> None:
        """A new one comes before the old one, which is taken until it goes."""
        settings = tmp_path / "clusterdns.yaml"
        settings.write_text(
            f"cookies: {{file: {secrets}}}\nforward: {{resolv-conf: ''}}\nrate-limit: {{all: 1, slip: 0}}"
        )
        server = serve("--manifests", EXAMPLE, "--config", settings)
        told = cookie(dug(server.port, NAME))

        def is_taken(text: str) -> bool:
            """Whether it is one that the limit is not for."""
            asked = (dug(server.port, "+timeout=1", f"+cookie={text}", NAME) for _ in range(3))
            return all("status: NOERROR" in each for each in asked)

        def is_told(what: str, times: int = 1) -> None:
            eventually(lambda: server.log.count(what) == times, what)

        assert is_taken(told)
        secrets.write_text(f"{SECOND}\n{FIRST}\n")
        is_told("the configuration is read")
        assert cookie(dug(server.port, f"+cookie={told}", NAME)) != told
        secrets.write_text("none")
        is_told("the configuration is not changed")
        assert f"cookies.file: {secrets}: expected 32 hexadecimal digits" in server.log
        assert is_taken(told)
        secrets.write_text(f"{SECOND}\n")
        is_told("the configuration is read", 2)
        assert not is_taken(told)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("limited")
    (folder / "clusterdns.yaml").write_text("rate-limit: {answers: 5, exempt: [127.0.0.9]}\nforward: {resolv-conf: ''}")
    server = Serving(folder / "log", "--manifests", EXAMPLE, "--config", folder / "clusterdns.yaml")
    yield server
    assert server.stop() == 0


class TestRateLimit:
    def burst(self, server: Serving, source: str, count: int = 200) -> tuple[int, int]:
        """How many of so many queries at once are answered, and how many answers are truncated."""
        query = dns.message.make_query(NAME, "A").to_wire()
        replies = []
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((source, 0))
            client.settimeout(1)
            for _ in range(count):
                client.sendto(query, ("127.0.0.1", server.port))
            with suppress(TimeoutError):
                while len(replies) < count:
                    replies.append(dns.message.from_wire(client.recv(1500)))
        truncated = [bool(each.flags & dns.flags.TC) for each in replies]
        return truncated.count(False), truncated.count(True)

    def test_some_are_answered_and_some_truncated(self, server: Serving) -> None:
        """Half of those that are too many are; as many more are answered as the seconds that it takes give leave."""
        whole, truncated = self.burst(server, "127.0.1.1")
        assert 5 <= whole < 50
        assert truncated in ((200 - whole) // 2, (201 - whole) // 2)

    def test_tcp_is_not_limited(self, server: Serving) -> None:
        self.burst(server, "127.0.1.2")
        query = dns.message.make_query(NAME, "A")
        for _ in range(10):
            assert dns.query.tcp(query, "127.0.0.1", port=server.port, source="127.0.1.2", timeout=5).answer

    def test_dig_comes_again_over_tcp(self, server: Serving) -> None:
        self.burst(server, "127.0.1.3")
        text = dug(server.port, "+tries=9", "+timeout=1", "+nocookie", "-b", "127.0.1.3", NAME)
        assert "10.96.78.232" in text
        assert "Truncated, retrying in TCP mode" in text

    def test_and_with_a_cookie_over_udp(self, server: Serving) -> None:
        self.burst(server, "127.0.1.4")
        text = dug(server.port, "+tries=9", "+timeout=1", "-b", "127.0.1.4", NAME)
        assert "BADCOOKIE, retrying" in text
        assert "10.96.78.232" in text
        assert "(UDP)" in text

    def test_some_are_exempt(self, server: Serving) -> None:
        assert self.burst(server, "127.0.0.9") == (200, 0)
