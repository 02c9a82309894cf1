"""What CoreDNS's `cache` means, asked of a server that has it in its Corefile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import dns.flags
import dns.rcode
import pytest
from forwarding import data
from of_corefile import of_corefile
from serving import eventually

from tests.upstreams import Faulty
from tests.upstreams.behaviours import ByLabel, fails, honest, says, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from of_corefile import OfCorefile

    from tests.upstreams.faulty import Behaviour

COREFILE = """
zones.example:PORT {{
    bind 127.0.0.1
    cache 30 kept.zones.example
    forward . {upstream}
}}
disabled.example:PORT {{
    bind 127.0.0.1
    cache 30 {{
        disable success a.disabled.example
        disable denial b.disabled.example
    }}
    forward . {upstream}
}}
keepttl.example:PORT {{
    bind 127.0.0.1
    cache 30 {{
        keepttl
    }}
    forward . {upstream}
}}
immediate.example:PORT {{
    bind 127.0.0.1
    cache {{
        success 1024 1 0
        serve_stale 1h
    }}
    forward . {upstream}
}}
verify.example:PORT {{
    bind 127.0.0.1
    cache {{
        success 1024 1 0
        serve_stale 1h verify 300ms
    }}
    forward . {upstream}
}}
servfail.example:PORT {{
    bind 127.0.0.1
    cache {{
        servfail 2m
    }}
    forward . {upstream}
}}
off.example:PORT {{
    bind 127.0.0.1
    cache {{
        servfail 0
    }}
    forward . {upstream}
}}
prefetch.example:PORT {{
    bind 127.0.0.1
    cache {{
        prefetch 2 1m 90%
    }}
    forward . {upstream}
}}
bounds.example:PORT {{
    bind 127.0.0.1
    cache 40 {{
        denial 1024 25 15
    }}
    template IN A t.bounds.example {{
        answer "{{{{ .Name }}}} 600 IN A 192.0.2.7"
    }}
    template IN TXT t.bounds.example {{
        rcode NXDOMAIN
        authority "bounds.example 1 IN SOA ns.bounds.example. admin.bounds.example. 1 2 3 4 1"
    }}
    rewrite ttl r.bounds.example 600
    forward . {upstream}
}}
"""

SOA = "example. {ttl} IN SOA ns.example. hostmaster.example. 1 7200 1800 86400 {ttl}"


@pytest.fixture(scope="module")
def taught() -> ByLabel:
    return ByLabel()


@pytest.fixture(scope="module")
def upstream(taught: ByLabel) -> Iterator[Faulty]:
    with Faulty(taught) as started:
        yield started


@pytest.fixture(scope="module")
def server(upstream: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfCorefile]:
    with of_corefile(tmp_path_factory.mktemp("cache"), COREFILE.format(upstream=upstream)) as started:
        yield started


@pytest.fixture
def teach(taught: ByLabel) -> Teach:
    return Teach(taught)


class Teach:
    """Names in a zone that nobody has asked for."""

    def __init__(self, taught: ByLabel) -> None:
        self._taught = taught

    def __call__(self, zone: str, behaviour: Behaviour) -> str:
        return self._taught.teach(behaviour).removesuffix("example") + zone

    def change(self, name: str, behaviour: Behaviour) -> None:
        self._taught.change(name, behaviour)


def an_address(ttl: int) -> Behaviour:
    return says(f"{{name}} {ttl} IN A 192.0.2.{{number}}")


def times_asked(upstream: Faulty, name: str) -> int:
    return len(upstream.asked_for(name, "A"))


class TestZones:
    def test_only_their_names_are_kept(self, server: OfCorefile, upstream: Faulty, teach: Teach) -> None:
        kept, other = (teach(zone, an_address(300)) for zone in ("kept.zones.example", "other.zones.example"))
        for number in (1, 2):
            assert server.ask(kept).answer[0].ttl in (29, 30)
            assert server.ask(other).answer[0].ttl == 300, "as it came"
            assert (times_asked(upstream, kept), times_asked(upstream, other)) == (1, number)


class TestDisable:
    @pytest.mark.parametrize(
        ("zone", "kept"),
        [("a.disabled.example", {"absence", "failure"}), ("b.disabled.example", {"success"}), ("disabled.example", {})],
    )
    def test_what_is_kept_all_the_same(
        self, server: OfCorefile, upstream: Faulty, teach: Teach, zone: str, kept: set[str]
    ) -> None:
        behaviours = {
            "success": an_address(300),
            "absence": says(rcode="NXDOMAIN", authority=SOA.format(ttl=300)),
            "failure": fails("SERVFAIL"),
        }
        names = {what: teach(zone, each) for what, each in behaviours.items()}
        for _ in range(2):
            for name in names.values():
                server.ask(name)
        once = {what for what, name in names.items() if times_asked(upstream, name) == 1}
        assert once == (kept or set(behaviours))

    def test_ttls_are_within_bounds_in_any_case(self, server: OfCorefile, teach: Teach) -> None:
        assert server.ask(teach("a.disabled.example", an_address(300))).answer[0].ttl == 30


class TestKeepTtl:
    def test_they_do_not_count_down(self, server: OfCorefile, teach: Teach) -> None:
        name, counting = teach("keepttl.example", an_address(20)), teach("disabled.example", an_address(20))
        server.ask(name), server.ask(counting)
        eventually(lambda: server.ask(counting).answer[0].ttl < 20, "a second is over")
        assert server.ask(name).answer[0].ttl == 20


class TestServeStale:
    def test_at_once_and_the_upstream_is_asked_behind(self, server: OfCorefile, upstream: Faulty, teach: Teach) -> None:
        name = teach("immediate.example", an_address(300))
        assert (data(server.ask(name)), server.ask(name).answer[0].ttl) == (["192.0.2.1"], 1)
        eventually(lambda: server.ask(name).answer[0].ttl == 0, "it is stale, and is given with a TTL of 0", seconds=3)
        assert data(server.ask(name)) in (["192.0.2.1"], ["192.0.2.2"])
        eventually(lambda: data(server.ask(name)) == ["192.0.2.2"], "a fresh one has come", seconds=3)

    def test_at_once_while_nobody_answers(self, server: OfCorefile, teach: Teach) -> None:
        name = teach("immediate.example", an_address(300))
        server.ask(name)
        teach.change(name, silent)
        eventually(lambda: server.ask(name).answer[0].ttl == 0, "it is stale", seconds=3)
        started = time.monotonic()
        assert data(server.ask(name)) == ["192.0.2.1"]
        assert time.monotonic() - started < 0.25, "it waits for nobody"

    def test_verify_gives_what_is_fresh(self, server: OfCorefile, teach: Teach) -> None:
        name = teach("verify.example", an_address(300))
        server.ask(name)
        eventually(lambda: data(server.ask(name)) == ["192.0.2.2"], "asked again", seconds=3)
        assert server.ask(name).answer[0].ttl == 1, "it was never stale"

    def test_verify_waits_no_longer_than_is_said(self, server: OfCorefile, teach: Teach) -> None:
        name = teach("verify.example", an_address(300))
        server.ask(name)
        teach.change(name, silent)
        started = time.monotonic()
        eventually(lambda: server.ask(name).answer[0].ttl == 0, "it is stale", seconds=3)
        assert 1.25 < time.monotonic() - started < 2.0, "a second of its TTL, and 300 ms"


class TestServfail:
    def test_is_kept_for_as_long_as_is_said(self, server: OfCorefile, upstream: Faulty, teach: Teach) -> None:
        kept, off = teach("servfail.example", fails("SERVFAIL")), teach("off.example", fails("SERVFAIL"))
        for _ in range(3):
            assert {server.ask(name).rcode() for name in (kept, off)} == {dns.rcode.SERVFAIL}
        assert times_asked(upstream, off) == 3
        teach.change(kept, honest)
        assert server.ask(kept).rcode() == dns.rcode.SERVFAIL
        assert times_asked(upstream, kept) == 1


class TestPrefetch:
    def test_amount_and_percentage(self, server: OfCorefile, upstream: Faulty, teach: Teach) -> None:
        """With 90 % it is asked for again after the first tenth of its TTL; what was popular stays so."""
        name = teach("prefetch.example", an_address(10))
        for _ in range(3):
            assert data(server.ask(name)) == ["192.0.2.1"]
        eventually(lambda: data(server.ask(name)) == ["192.0.2.2"], "asked for again", seconds=3)
        eventually(lambda: data(server.ask(name)) == ["192.0.2.3"], "and again", seconds=3)


class TestWhatElseGoesThroughIt:
    @pytest.mark.parametrize(("name", "rtype", "ttl"), [("t.bounds.example", "A", 40), ("t.bounds.example", "TXT", 15)])
    def test_templates(self, server: OfCorefile, name: str, rtype: str, ttl: int) -> None:
        reply = server.ask(name, rtype)
        assert [each.ttl for each in (*reply.answer, *reply.authority)] == [ttl]

    def test_rewritten_ttls(self, server: OfCorefile) -> None:
        assert server.ask("r.bounds.example").answer[0].ttl == 40

    @pytest.mark.parametrize(("ttl", "expected"), [(1, 15), (20, 20), (300, 25)])
    def test_absences(self, server: OfCorefile, teach: Teach, ttl: int, expected: int) -> None:
        name = teach("bounds.example", says(rcode="NXDOMAIN", authority=SOA.format(ttl=ttl)))
        assert server.ask(name).authority[0].ttl == expected
