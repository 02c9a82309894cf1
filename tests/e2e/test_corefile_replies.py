"""What CoreDNS's acl, header, loadbalance, local and whoami mean, asked of a server that has them in its Corefile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import pytest
from of_corefile import of_corefile
from serving import COMMAND, eventually, run

from tests.upstreams import Faulty
from tests.upstreams.behaviours import ByLabel, says

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from of_corefile import OfCorefile

COREFILE = """
.:PORT {{
    bind lo {{
        except ::1
    }}
    local
    hosts {folder}/none {{
        192.0.2.3 mine.example
        fallthrough
    }}
    forward served.example {upstream}
    whoami
}}
header.example:PORT {{
    bind 127.0.0.1
    header {{
        set aa
        clear ra rd
    }}
    forward . {upstream}
}}
balanced.example:PORT {{
    bind 127.0.0.1
    cache 60
    loadbalance
    forward . {many}
}}
preferred.example:PORT {{
    bind 127.0.0.1
    cache 60 {{
        keepttl
    }}
    loadbalance {{
        prefer 192.0.2.3/32
    }}
    forward . {many}
}}
still.example:PORT {{
    bind 127.0.0.1
    cache 60
    forward . {many}
}}
query.example:PORT {{
    bind 127.0.0.1
    header {{
        query clear rd
    }}
    forward . {upstream}
}}
"""


ADDRESSES = [f"192.0.2.{number}" for number in range(1, 5)]
MANY = {
    "several": says("\n".join(f"{{name}} 60 IN A {each}" for each in ADDRESSES)),
    "alias": says(
        "\n".join(["{name} 60 IN CNAME several.example.", *(f"several.example. 60 IN A {each}" for each in ADDRESSES)])
    ),
    "one": says("{name} 60 IN A 192.0.2.1"),
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Faulty]:
    with Faulty(says("{name} 60 IN A 192.0.2.1")) as started:
        yield started


@pytest.fixture(scope="module")
def server(upstream: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfCorefile]:
    folder = tmp_path_factory.mktemp("replies")
    with (
        Faulty(ByLabel(MANY)) as many,
        of_corefile(folder, COREFILE.format(upstream=upstream, many=many, folder=folder)) as started,
    ):
        yield started


def section(rrsets: list[object]) -> list[str]:
    return sorted(line for each in rrsets for line in str(each).splitlines())


WEEK = 604800


class TestLocal:
    @pytest.mark.parametrize(
        ("name", "rtype", "expected"),
        [
            ("localhost", "A", f"localhost. {WEEK} IN A 127.0.0.1"),
            ("localhost", "AAAA", f"localhost. {WEEK} IN AAAA ::1"),
            ("LocalHost", "A", f"LocalHost. {WEEK} IN A 127.0.0.1"),
            ("a.b.localhost", "A", f"a.b.localhost. {WEEK} IN A 127.0.0.1"),
            ("localhost.example.org", "AAAA", f"localhost.example.org. {WEEK} IN AAAA ::1"),
            ("localhost", "NS", f"localhost. {WEEK} IN NS localhost."),
            ("localhost", "SOA", f"localhost. {WEEK} IN SOA localhost. root.localhost. 1 0 0 0 {WEEK}"),
            ("1.0.0.127.in-addr.arpa", "PTR", f"1.0.0.127.in-addr.arpa. {WEEK} IN PTR localhost."),
            ("127.in-addr.arpa", "NS", f"127.in-addr.arpa. {WEEK} IN NS localhost."),
        ],
    )
    def test_is_answered_here(self, server: OfCorefile, name: str, rtype: str, expected: str) -> None:
        reply = server.ask(name, rtype)
        assert (reply.rcode(), section(reply.answer)) == (dns.rcode.NOERROR, [expected])

    @pytest.mark.parametrize(
        ("name", "rtype", "rcode", "zone"),
        [
            ("localhost", "MX", "NOERROR", "localhost"),
            ("a.localhost", "TXT", "NOERROR", "a.localhost"),
            ("127.in-addr.arpa", "A", "NOERROR", "127.in-addr.arpa"),
            ("1.0.0.127.in-addr.arpa", "A", "NOERROR", "127.in-addr.arpa"),
            ("2.0.0.127.in-addr.arpa", "PTR", "NXDOMAIN", "127.in-addr.arpa"),
            ("255.255.255.255.in-addr.arpa", "PTR", "NXDOMAIN", "255.in-addr.arpa"),
        ],
    )
    def test_or_is_missing_here(self, server: OfCorefile, name: str, rtype: str, rcode: str, zone: str) -> None:
        reply = server.ask(name, rtype)
        assert (dns.rcode.to_text(reply.rcode()), section(reply.answer)) == (rcode, [])
        assert section(reply.authority) == [f"{zone}. {WEEK} IN SOA localhost. root.localhost. 1 0 0 0 {WEEK}"]

    @pytest.mark.parametrize("name", ["notlocalhost", "localhosts.served.example", "1.127.in-addr.arpa.served.example"])
    def test_others_are_not(self, server: OfCorefile, name: str) -> None:
        reply = server.ask(name)
        assert "127.0.0.1" not in [str(data) for each in reply.answer for data in each]
        assert not reply.authority


class TestWhoami:
    @pytest.mark.parametrize("tcp", [False, True])
    def test_nobody_s_names_tell_who_asks(self, server: OfCorefile, *, tcp: bool) -> None:
        reply = server.ask("Some.where.example", "TXT", tcp=tcp)
        assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])
        assert reply.flags & dns.flags.AA
        address, service = section(reply.additional)
        assert address == "Some.where.example. 0 IN A 127.0.0.1"
        assert service.startswith(f"_{'tcp' if tcp else 'udp'}.Some.where.example. 0 IN SRV 0 0 ")
        assert service.endswith(" .")

    def test_names_of_somebody_do_not(self, server: OfCorefile) -> None:
        for name, expected in (("mine.example", "192.0.2.3"), ("a.served.example", "192.0.2.1")):
            reply = server.ask(name)
            assert [str(data) for each in reply.answer for data in each] == [expected]
            assert not reply.additional


class TestHeader:
    def test_flags_of_replies(self, server: OfCorefile) -> None:
        plain = server.ask("www.query.example")
        assert plain.flags & dns.flags.RA
        for _ in range(2):
            reply = server.ask("www.header.example")
            assert [str(data) for each in reply.answer for data in each] == ["192.0.2.1"]
            assert reply.flags & (dns.flags.AA | dns.flags.RA | dns.flags.RD) == dns.flags.AA

    def test_flags_of_queries(self, server: OfCorefile, upstream: Faulty) -> None:
        reply = server.ask("asked.query.example")
        assert not reply.flags & dns.flags.RD
        (query,) = upstream.asked_for("asked.query.example", "A")
        assert "RD" not in query.flags


class TestLoadbalance:
    def firsts(self, server: OfCorefile, name: str, rtype: str = "A") -> list[str]:
        """Of eight replies, the first piece of data that is no alias; all have all of it, whatever the order."""
        found = []
        for number in range(8):
            reply = server.ask(name, rtype, tcp=number % 2 == 0)
            data = [str(data) for each in reply.answer if each.rdtype.name == rtype for data in each]
            assert sorted(data) == ADDRESSES
            found.append(data[0])
        return found

    @pytest.mark.parametrize("label", ["several", "alias"])
    def test_addresses_change_places(self, server: OfCorefile, label: str) -> None:
        firsts = self.firsts(server, f"{label}.balanced.example")
        assert sorted(firsts) == sorted(2 * ADDRESSES)
        assert len(set(firsts[:4])) == 4

    def test_aliases_stand_before_them(self, server: OfCorefile) -> None:
        for _ in range(4):
            reply = server.ask("alias.balanced.example")
            assert [each.rdtype.name for each in reply.answer] == ["CNAME", "A"]

    def test_they_do_not_without_it(self, server: OfCorefile) -> None:
        assert len(set(self.firsts(server, "several.still.example"))) == 1

    @pytest.mark.parametrize("label", ["several", "alias"])
    def test_some_are_preferred(self, server: OfCorefile, label: str) -> None:
        assert set(self.firsts(server, f"{label}.preferred.example")) == {"192.0.2.3"}

    def test_a_single_one_stays(self, server: OfCorefile) -> None:
        assert [str(data) for each in server.ask("one.balanced.example").answer for data in each] == ["192.0.2.1"]


NOBODYS = """
silent.example:PORT {
    bind 127.0.0.1
}
logged.example:PORT {
    bind 127.0.0.1
    errors
}
template.example:PORT {
    bind 127.0.0.1
    template IN A {
        answer "{{ .Name }} 60 IN A 192.0.2.7"
    }
}
except.example:PORT {
    bind 127.0.0.1
    forward . 127.0.0.1:9 {
        except local.except.example
    }
}
file.example:PORT {
    bind 127.0.0.1
    file FOLDER/zone www.file.example
}
looped.example:PORT {
    bind 127.0.0.1
    file FOLDER/zone www.looped.example
    loop
}
"""


@pytest.fixture(scope="module")
def nobodys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfCorefile]:
    folder = tmp_path_factory.mktemp("nobodys")
    (folder / "zone").write_text("@ 60 IN SOA ns host 1 2 3 4 5\n@ 60 IN NS ns\n")
    with of_corefile(folder, NOBODYS.replace("FOLDER", str(folder))) as started:
        yield started


class TestNamesOfNobody:
    @pytest.mark.parametrize(
        ("name", "rtype", "expected"),
        [
            ("a.template.example", "A", "NOERROR"),
            ("a.template.example", "MX", "SERVFAIL"),
            ("a.local.except.example", "A", "SERVFAIL"),
            ("a.logged.example", "A", "SERVFAIL"),
            ("a.looped.example", "A", "SERVFAIL"),
            # Zone files say that it is not theirs, and so does a server block that says nothing, or that there is not.
            ("a.file.example", "A", "REFUSED"),
            ("a.silent.example", "A", "REFUSED"),
            ("a.example", "A", "REFUSED"),
        ],
    )
    def test_what_is_said_of_them(self, nobodys: OfCorefile, name: str, rtype: str, expected: str) -> None:
        for tcp in (False, True):
            reply = nobodys.ask(name, rtype, tcp=tcp)
            assert (dns.rcode.to_text(reply.rcode()), bool(reply.flags & dns.flags.AA)) == (
                expected,
                expected == "NOERROR",
            )


class TestAcl:
    def test_networks_of_a_file(self, tmp_path: Path) -> None:
        """It is read again when it changes."""
        (tmp_path / "networks").write_text("# nobody\n192.0.2.0/24  # yet\n")
        text = f".:PORT {{\nbind 127.0.0.1\nroot {tmp_path}\nacl {{\nblock file networks\n}}\nwhoami\n}}\n"
        with of_corefile(tmp_path, text) as server:
            assert server.ask("a.example").rcode() == dns.rcode.NOERROR
            (tmp_path / "networks").write_text("192.0.2.0/24\n127.0.0.1\n")
            eventually(lambda: server.ask("a.example").rcode() == dns.rcode.REFUSED, "it is blocked")

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            (None, "networks: No such file or directory"),
            ("# none\n", "networks: there is no network in it"),
            ("10.0.0.0/8\nten\n", "networks:2: 'ten' does not appear to be an IPv4 or IPv6 network"),
        ],
    )
    def test_a_file_that_can_not_be_used(self, tmp_path: Path, content: str | None, fault: str) -> None:
        if content is not None:
            (tmp_path / "networks").write_text(content)
        (tmp_path / "Corefile").write_text(f".:0 {{\nbind 127.0.0.1\nacl {{\nallow file {tmp_path}/networks\n}}\n}}\n")
        ran = run(*COMMAND, "-conf", tmp_path / "Corefile")
        assert ran.returncode == 2
        assert ran.stderr.endswith(f"acl: {tmp_path}/{fault}\n")
