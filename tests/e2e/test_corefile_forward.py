"""What the options of CoreDNS's `forward` mean, asked of a server that has them in its Corefile."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

import dns.rcode
import pytest
from forwarding import data
from of_corefile import of_corefile
from serving import eventually, free_port

from tests.upstreams import Faulty
from tests.upstreams.behaviours import ByLabel, fails, says

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from of_corefile import OfCorefile

COREFILE = """
failover.test:PORT {{
    bind 127.0.0.1
    forward . {one} {two} {{
        policy sequential
        failover NXDOMAIN
    }}
}}
plain.test:PORT {{
    bind 127.0.0.1
    forward . {one} {two} {{
        policy sequential
    }}
}}
next.test:PORT {{
    bind 127.0.0.1
    forward . {one} {{
        next NXDOMAIN
    }}
    forward . {two} {{
        next_on_nodata
    }}
    forward . {three}
}}
several.test:PORT {{
    bind 127.0.0.1
    forward a.several.test {one} {{
        except out.a.several.test
        force_tcp
    }}
    forward in.out.a.several.test {two}
    forward b.several.test {three} {folder}/resolv.conf
}}
attempts.test:PORT {{
    bind 127.0.0.1
    forward . {dead} {two} {{
        policy sequential
        max_connect_attempts 1
        max_fails 0
    }}
}}
fast.test:PORT {{
    bind 127.0.0.1
    forward . {dead} {{
        failfast_all_unhealthy_upstreams
    }}
}}
health.test:PORT {{
    bind 127.0.0.1
    forward . {probed} {{
        health_check 100ms no_rec domain probes.example
    }}
}}
"""

NOTHING, NO_DATA = (
    says(rcode=rcode, authority="test. 60 IN SOA ns.test. admin.test. 1 2 3 4 60") for rcode in ("NXDOMAIN", "NOERROR")
)


def known_to(number: int) -> ByLabel:
    address = says(f"{{name}} 60 IN A 192.0.2.{number}")
    return ByLabel({"all": address, f"only{number}": address, **BEHAVIOURS[number]})


BEHAVIOURS = {
    1: {"only2": NOTHING, "only3": NOTHING, "none": NOTHING, "empty": NO_DATA, "refused": fails("REFUSED")},
    2: {"only1": NOTHING, "only3": NO_DATA, "none": NOTHING, "refused": says("{name} 60 IN A 192.0.2.2")},
    3: {"only1": NOTHING, "only2": NOTHING, "none": NOTHING},
}


@pytest.fixture(scope="module")
def upstreams() -> Iterator[Mapping[str, Faulty]]:
    with ExitStack() as stack:
        yield {
            **{
                name: stack.enter_context(Faulty(known_to(number)))
                for number, name in enumerate(("one", "two", "three"), 1)
            },
            "probed": stack.enter_context(Faulty(says("{name} 60 IN A 192.0.2.9"))),
        }


@pytest.fixture(scope="module")
def server(upstreams: Mapping[str, Faulty], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfCorefile]:
    folder = tmp_path_factory.mktemp("forward")
    (folder / "resolv.conf").write_text("nameserver 127.0.0.77\n")
    text = COREFILE.format(**upstreams, folder=folder, dead=f"127.0.0.1:{free_port()}")
    with of_corefile(folder, text) as started:
        yield started


CASES = [
    ("all.failover.test", ["192.0.2.1"]),
    ("only2.failover.test", ["192.0.2.2"]),
    ("none.failover.test", "NXDOMAIN"),
    ("refused.failover.test", ["192.0.2.2"]),
    ("only2.plain.test", "NXDOMAIN"),
    ("refused.plain.test", ["192.0.2.2"]),
    ("all.next.test", ["192.0.2.1"]),
    ("only2.next.test", ["192.0.2.2"]),
    ("only3.next.test", ["192.0.2.3"]),
    ("none.next.test", "NXDOMAIN"),
    ("empty.next.test", []),
    ("all.a.several.test", ["192.0.2.1"]),
    ("all.out.a.several.test", "SERVFAIL"),
    ("all.in.out.a.several.test", ["192.0.2.2"]),
    ("all.c.several.test", "SERVFAIL"),
    ("only2.attempts.test", "SERVFAIL"),
]


class TestOptions:
    @pytest.mark.parametrize(("name", "expected"), CASES)
    def test_decide_who_answers(self, server: OfCorefile, name: str, expected: object) -> None:
        reply = server.ask(name)
        found = dns.rcode.to_text(reply.rcode()) if reply.rcode() else data(reply)
        assert found == expected

    def test_force_tcp_is_for_one_forward(self, server: OfCorefile, upstreams: Mapping[str, Faulty]) -> None:
        for name, which, transport in (
            ("tcp.a.several.test", "one", "tcp"),
            ("udp.in.out.a.several.test", "two", "udp"),
        ):
            server.ask(name)
            assert [each.transport for each in upstreams[which].asked_for(name, "A")] == [transport]

    def test_a_file_stands_among_addresses(self, server: OfCorefile) -> None:
        numbers = count()

        def is_left_out() -> bool:
            """It does not answer; but it is asked, and the other one is in its place."""
            assert data(server.ask(f"only3.n{next(numbers)}.b.several.test")) == ["192.0.2.3"]
            return "upstream 127.0.0.77:53 does not answer" in server.log

        eventually(is_left_out, "it was asked")

    def test_failfast_asks_nobody_while_all_have_failed(self, server: OfCorefile) -> None:
        said = []
        for number in range(3):
            reply = server.ask(f"n{number}.fast.test", use_edns=0)
            assert reply.rcode() == dns.rcode.SERVFAIL
            said += [each.text for each in reply.options]
        assert ["connection refused" in text for text in said] == [True, True, False]

    def test_health_checks(self, server: OfCorefile, upstreams: Mapping[str, Faulty]) -> None:
        probes = [each for each in upstreams["probed"].queries if each.rtype == "HINFO"]
        assert probes
        for each in probes:
            assert each.name.rstrip(".").endswith(".probes.example")
            assert "RD" not in each.flags
