"""What CoreDNS's `autopath` with a resolv.conf means: a search list that every client has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.rcode
import pytest
from of_corefile import of_corefile
from serving import COMMAND, run

from tests.upstreams import Faulty
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from of_corefile import OfCorefile

    from tests.upstreams import Query, Say

COREFILE = """
.:PORT {{
    bind 127.0.0.1
    cache 60
    autopath a.example a.test {folder}/resolv.conf
    hosts {folder}/none {{
        192.0.2.9 hosted.b.example
        fallthrough
    }}
    forward . {upstream}
}}
"""

RESOLV_CONF = "search a.example b.example c.example\n"

ADDRESS = says("{name} 60 IN A 192.0.2.1")
NO_DATA, NOTHING = (
    says(rcode=rcode, authority="example. 60 IN SOA ns.example. admin.example. 1 2 3 4 60")
    for rcode in ("NOERROR", "NXDOMAIN")
)
EXISTING = {
    "first.a.example.": ADDRESS,
    "second.b.example.": ADDRESS,
    "third.c.example.": ADDRESS,
    "both.a.example.": ADDRESS,
    "both.b.example.": says("{name} 60 IN A 192.0.2.2"),
    "itself.": ADDRESS,
    "dotted.name.c.example.": ADDRESS,
    "empty.b.example.": NO_DATA,
    "empty.c.example.": ADDRESS,
}


def upstream_says(query: Query) -> Iterable[Say]:
    return EXISTING.get(query.name.rstrip(".").lower() + ".", NOTHING)(query)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfCorefile]:
    folder = tmp_path_factory.mktemp("autopath")
    (folder / "resolv.conf").write_text(RESOLV_CONF)
    with (
        Faulty(upstream_says) as upstream,
        of_corefile(folder, COREFILE.format(upstream=upstream, folder=folder)) as started,
    ):
        yield started


CASES = [
    ("first.a.example", ["first.a.example. A 192.0.2.1"]),
    ("both.a.example", ["both.a.example. A 192.0.2.1"]),
    ("second.a.example", ["second.a.example. CNAME second.b.example.", "second.b.example. A 192.0.2.1"]),
    ("third.a.example", ["third.a.example. CNAME third.c.example.", "third.c.example. A 192.0.2.1"]),
    ("itself.a.example", ["itself.a.example. CNAME itself.", "itself. A 192.0.2.1"]),
    (
        "dotted.name.a.example",
        ["dotted.name.a.example. CNAME dotted.name.c.example.", "dotted.name.c.example. A 192.0.2.1"],
    ),
    ("hosted.a.example", ["hosted.a.example. CNAME hosted.b.example.", "hosted.b.example. A 192.0.2.9"]),
]


class TestFirstTries:
    @pytest.mark.parametrize(("name", "expected"), CASES)
    def test_are_followed(self, server: OfCorefile, name: str, expected: list[str]) -> None:
        for _ in range(3):
            reply = server.ask(name)
            found = [f"{each.name} {each.rdtype.name} {data}" for each in reply.answer for data in each]
            assert (reply.rcode(), found) == (dns.rcode.NOERROR, expected)

    def test_end_with_the_first_name_that_exists(self, server: OfCorefile) -> None:
        reply = server.ask("empty.a.example")
        assert reply.rcode() == dns.rcode.NOERROR
        assert not [each for each in reply.answer if each.rdtype.name == "A"]

    @pytest.mark.parametrize("name", ["nothing.a.example", "a.example", "second.b.example.c.example"])
    def test_that_lead_nowhere_are_missing(self, server: OfCorefile, name: str) -> None:
        for _ in range(2):
            assert server.ask(name).rcode() == dns.rcode.NXDOMAIN

    def test_others_are_none(self, server: OfCorefile) -> None:
        """They end with another domain of the list."""
        assert server.ask("third.b.example").rcode() == dns.rcode.NXDOMAIN


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "Corefile").write_text(f".:0 {{\nbind 127.0.0.1\nautopath {tmp_path}/none\n}}\n")
    ran = run(*COMMAND, "-conf", tmp_path / "Corefile")
    assert ran.returncode == 2
    assert f"autopath-conf: {tmp_path}/none: No such file or directory" in ran.stderr
    assert "Traceback" not in ran.stderr
