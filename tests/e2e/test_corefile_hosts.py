"""What CoreDNS's `hosts` means, asked of a server that has it in its Corefile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.flags
import dns.rcode
import pytest
from forwarding import data
from of_corefile import of_corefile
from serving import eventually

from tests.upstreams import Faulty
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from of_corefile import OfCorefile

COREFILE = """
.:PORT {{
    bind 127.0.0.1
    hosts {folder}/hosts zones.example in.example {{
        192.0.2.3 two.zones.example
        192.0.2.8 *.zones.example three.zones.example
        not a line of a hosts file
        fallthrough in.example
    }}
    forward . {upstream}
}}
open.test:PORT 1.2.192.in-addr.arpa:PORT {{
    bind 127.0.0.1
    hosts {folder}/hosts open.test {{
        no_reverse
        ttl 60
        fallthrough
    }}
    forward . {upstream}
}}
closed.test:PORT {{
    bind 127.0.0.1
    cache 30
    hosts {folder}/hosts
    template IN A t.closed.test {{
        answer "{{{{ .Name }}}} 60 IN A 192.0.2.7"
    }}
    forward . {upstream}
}}
"""

HOSTS = """
192.0.2.1 one.zones.example outside.example
192.0.2.2 two.zones.example
2001:db8::2 two.zones.example TWO.zones.example
192.0.2.4 in.example
192.0.2.5 some.closed.test
192.2.1.6 some.open.test
"""

UPSTREAM = "203.0.113.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "hosts").write_text(HOSTS)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[OfCorefile]:
    with (
        Faulty(says(f"{{name}} 300 IN A {UPSTREAM}")) as upstream,
        of_corefile(folder, COREFILE.format(upstream=upstream, folder=folder)) as started,
    ):
        yield started


CASES = [
    ("one.zones.example", "A", "NOERROR", ["192.0.2.1"]),
    ("ONE.zones.EXAMPLE", "A", "NOERROR", ["192.0.2.1"]),
    ("two.zones.example", "A", "NOERROR", ["192.0.2.2", "192.0.2.3"]),
    ("two.zones.example", "AAAA", "NOERROR", ["2001:db8::2"]),
    # Types that a name lacks.
    ("one.zones.example", "AAAA", "NOERROR", []),
    ("one.zones.example", "MX", "NOERROR", []),
    # Names that are missing: SERVFAIL, unless they fall through.
    ("none.zones.example", "A", "SERVFAIL", []),
    ("none.zones.example", "TXT", "SERVFAIL", []),
    ("zones.example", "A", "SERVFAIL", []),
    ("none.in.example", "A", "NOERROR", [UPSTREAM]),
    ("in.example", "A", "NOERROR", ["192.0.2.4"]),
    # Of a line with a wildcard the other names are there, and lines that are none do nothing.
    ("three.zones.example", "A", "NOERROR", ["192.0.2.8"]),
    ("any.zones.example", "A", "SERVFAIL", []),
    # Names outside of the zones, in the file or not.
    ("outside.example", "A", "NOERROR", [UPSTREAM]),
    ("other.example", "A", "NOERROR", [UPSTREAM]),
    # Addresses lead back to names in the zones, wherever they are themselves.
    ("1.2.0.192.in-addr.arpa", "PTR", "NOERROR", ["one.zones.example."]),
    ("3.2.0.192.in-addr.arpa", "PTR", "NOERROR", ["two.zones.example."]),
    # With `no_reverse` they do not.
    ("some.open.test", "A", "NOERROR", ["192.2.1.6"]),
    ("none.open.test", "A", "NOERROR", [UPSTREAM]),
    ("6.1.2.192.in-addr.arpa", "PTR", "NOERROR", [UPSTREAM]),
    # Without zones of its own, those of the server block; without fallthrough nothing behind it is asked.
    ("some.closed.test", "A", "NOERROR", ["192.0.2.5"]),
    ("none.closed.test", "A", "SERVFAIL", []),
    ("none.closed.test", "PTR", "NOERROR", [UPSTREAM]),
    # A template stands before it.
    ("t.closed.test", "A", "NOERROR", ["192.0.2.7"]),
]


class TestNames:
    @pytest.mark.parametrize(("name", "rtype", "rcode", "expected"), CASES)
    def test_are_answered(self, server: OfCorefile, name: str, rtype: str, rcode: str, expected: list[str]) -> None:
        for tcp in (False, True):
            reply = server.ask(name, rtype, tcp=tcp)
            assert (dns.rcode.to_text(reply.rcode()), sorted(data(reply))) == (rcode, expected)

    def test_are_authoritative(self, server: OfCorefile) -> None:
        assert server.ask("one.zones.example").flags & dns.flags.AA
        assert server.ask("one.zones.example", "MX").flags & dns.flags.AA
        assert not server.ask("none.zones.example").flags & dns.flags.AA

    @pytest.mark.parametrize(
        ("name", "ttl"), [("one.zones.example", 3600), ("some.open.test", 60), ("some.closed.test", 30)]
    )
    def test_live_an_hour_or_as_long_as_is_said(self, server: OfCorefile, name: str, ttl: int) -> None:
        assert server.ask(name).answer[0].ttl == ttl

    def test_change_with_the_file(self, server: OfCorefile, folder: Path) -> None:
        assert server.ask("late.zones.example").rcode() == dns.rcode.SERVFAIL
        (folder / "hosts").write_text(HOSTS + "192.0.2.9 late.zones.example late.other.example\n")
        eventually(lambda: data(server.ask("late.zones.example")) == ["192.0.2.9"], "it is there")
        assert data(server.ask("late.other.example")) == [UPSTREAM]
        (folder / "hosts").write_text(HOSTS)
        eventually(lambda: server.ask("late.zones.example").rcode() == dns.rcode.SERVFAIL, "it is gone")
