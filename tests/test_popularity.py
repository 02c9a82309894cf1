"""Who asks what: counted as queries come, worked out when it is read."""

from __future__ import annotations

import dns.message
import dns.rcode
import msgspec
import pytest

from clusterdns import names, popularity
from clusterdns.popularity import Client, Count, Counting, Popularity, Report, Slow, Tally

ZONES = [names.from_text("cluster.local"), names.from_text("example.org")]
NAMESPACES = {"default", "shop"}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def asked(name: str, rtype: str = "A", rcode: str = "NOERROR", *, number: int = 1) -> tuple[bytes, bytes]:
    """A query and its reply."""
    query = dns.message.make_query(name, rtype, id=number)
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.from_text(rcode))
    return query.to_wire(), reply.to_wire()


class Seen:
    """What one process counts, and what is made of it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.counting = Counting(ZONES)
        self.popularity = Popularity(ZONES, clock or Clock())

    def report(self, rows: int = 10, pods: dict[str, str] | None = None) -> Report:
        self.popularity.add(self.counting.taken())
        return self.popularity.report(rows, NAMESPACES, lambda address: (pods or {}).get(address, ""))


def note(counted: Counting, name: str, rtype: str = "A", rcode: str = "NOERROR", client: str = "10.0.0.1") -> None:
    packet, reply = asked(name, rtype, rcode)
    counted.note(packet, client, reply)


def test_what_is_asked_most() -> None:
    clock = Clock()
    seen = Seen(clock)
    for number in range(3):
        packet, reply = asked("web.shop.svc.cluster.local", number=number)
        seen.counting.note(packet, "10.0.0.1", reply)
    note(seen.counting, "WEB.shop.svc.cluster.local", "AAAA", client="10.0.0.2")
    note(seen.counting, "www.example.com", rcode="SERVFAIL", client="10.0.0.2")
    seen.counting.note(asked("www.example.com")[0], "10.0.0.2", None)
    seen.counting.note(b"\0\1\0", "10.0.0.3", None)
    clock.now += 2
    report = seen.report(10, {"10.0.0.1": "shop/web-0"})
    assert (report.seconds, report.queries, report.per_second, report.in_vain) == (2.0, 7, 3.5, 0)
    assert report.names == (Count("web.shop.svc.cluster.local.", 4), Count("www.example.com.", 2), Count("?", 1))
    assert report.clients == (Client("10.0.0.1", 3, "shop/web-0"), Client("10.0.0.2", 3), Client("10.0.0.3", 1))
    assert report.types == (Count("A", 5), Count("AAAA", 1), Count("?", 1))
    assert report.outcomes == (Count("NOERROR", 4), Count("no reply", 2), Count("SERVFAIL", 1))


def test_how_fast_is_since_the_report_before() -> None:
    clock = Clock()
    seen = Seen(clock)
    note(seen.counting, "a.")
    clock.now += 1
    assert seen.report(1).per_second == 1
    clock.now += 10
    report = seen.report(1)
    assert (report.seconds, report.queries, report.per_second) == (11.0, 1, 0.0)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("www.example.com.shop.svc.cluster.local", "www.example.com."),
        ("www.example.com.svc.cluster.local", "www.example.com."),
        ("www.example.com.cluster.local", "www.example.com."),
        ("cart.shop.svc.cluster.local", "cart."),
        ("cart.shpo.svc.cluster.local", "cart.shpo."),
        ("shop.svc.cluster.local", "shop."),
        ("svc.cluster.local", "svc."),
        ("www.example.org", "www."),
    ],
)
def test_what_was_meant(name: str, meant: str) -> None:
    seen = Seen()
    note(seen.counting, name, rcode="NXDOMAIN")
    report = seen.report()
    assert (report.in_vain, report.meant) == (1, (Count(meant, 1),))


@pytest.mark.parametrize(("name", "rcode"), [("a.example.com", "NXDOMAIN"), ("cart.shop.svc.cluster.local", "NOERROR")])
def test_what_is_not_in_vain(name: str, rcode: str) -> None:
    seen = Seen()
    note(seen.counting, name, rcode=rcode)
    assert seen.report().in_vain == 0


def test_what_was_waited_for() -> None:
    seen = Seen()
    for name, rtype, seconds in (
        ("b.", "A", 0.1),
        ("a.", "A", 0.3),
        ("a.", "AAAA", 0.1),
        ("a.", "A", 0.2),
        ("c.", "A", 0.01),
    ):
        seen.counting.note_slow(asked(name, rtype)[0], seconds)
    assert seen.report(2).slow == (Slow("a.", 3, 200.0, 300.0), Slow("b.", 1, 100.0, 100.0))


def test_it_stays_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of names has no more room than there is; what is asked often stays."""
    monkeypatch.setattr(popularity, "MOST_KEYS", 10)
    monkeypatch.setattr(popularity, "MOST_NAMED", 20)
    seen = Seen()
    for number in range(1000):
        note(seen.counting, f"x{number}.cluster.local", rcode="NXDOMAIN", client=f"10.0.{number % 200}.1")
        note(seen.counting, "often.")
        seen.counting.note_slow(asked(f"x{number}.")[0], 0.1)
    report = seen.report(1000)
    assert report.names[0] == Count("often.", 1000)
    assert report.queries == 2000
    assert report.in_vain == 1000
    assert max(map(len, (report.names, report.clients, report.meant, report.slow))) <= 20


def test_what_several_count_is_added_up() -> None:
    popularity_of_all = Popularity(ZONES, Clock())
    for client, rcode, seconds in (("10.0.0.1", "NXDOMAIN", 0.1), ("10.0.0.2", "NOERROR", 0.3)):
        one = Counting(ZONES)
        note(one, "cart.shop.svc.cluster.local", rcode=rcode, client=client)
        one.note_slow(asked("www.example.com")[0], seconds)
        popularity_of_all.add(one.taken())
        assert one.taken() == Tally()
    report = popularity_of_all.report(10, NAMESPACES, str)
    assert (report.queries, report.in_vain) == (2, 1)
    assert report.names == (Count("cart.shop.svc.cluster.local.", 2),)
    assert [each.address for each in report.clients] == ["10.0.0.1", "10.0.0.2"]
    assert report.slow == (Slow("www.example.com.", 2, 200.0, 300.0),)


def test_what_is_counted_travels_between_processes() -> None:
    one = Counting(ZONES)
    note(one, "cart.shop.svc.cluster.local", rcode="NXDOMAIN")
    one.note_slow(asked("www.example.com")[0], 0.1)
    tally = one.taken()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tally), type=Tally) == tally
