"""Who asks what: counted as queries come, worked out when it is read."""

from __future__ import annotations

import dns.message
import dns.rcode
import pytest

from clusterdns import names, popularity
from clusterdns.popularity import Client, Count, Popularity, Slow

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


def note(counted: Popularity, name: str, rtype: str = "A", rcode: str = "NOERROR", client: str = "10.0.0.1") -> None:
    packet, reply = asked(name, rtype, rcode)
    counted.note(packet, client, reply)


def test_what_is_asked_most() -> None:
    clock = Clock()
    counted = Popularity(ZONES, clock)
    for number in range(3):
        packet, reply = asked("web.shop.svc.cluster.local", number=number)
        counted.note(packet, "10.0.0.1", reply)
    note(counted, "WEB.shop.svc.cluster.local", "AAAA", client="10.0.0.2")
    note(counted, "www.example.com", rcode="SERVFAIL", client="10.0.0.2")
    counted.note(asked("www.example.com")[0], "10.0.0.2", None)
    counted.note(b"\0\1\0", "10.0.0.3", None)
    clock.now += 2
    report = counted.report(10, NAMESPACES, lambda address: {"10.0.0.1": "shop/web-0"}.get(address, ""))
    assert (report.seconds, report.queries, report.per_second, report.in_vain) == (2.0, 7, 3.5, 0)
    assert report.names == (Count("web.shop.svc.cluster.local.", 4), Count("www.example.com.", 2), Count("?", 1))
    assert report.clients == (Client("10.0.0.1", 3, "shop/web-0"), Client("10.0.0.2", 3), Client("10.0.0.3", 1))
    assert report.types == (Count("A", 5), Count("AAAA", 1), Count("?", 1))
    assert report.outcomes == (Count("NOERROR", 4), Count("no reply", 2), Count("SERVFAIL", 1))


def test_how_fast_is_since_the_report_before() -> None:
    clock = Clock()
    counted = Popularity(ZONES, clock)
    note(counted, "a.")
    clock.now += 1
    assert counted.report(1, NAMESPACES, str).per_second == 1
    clock.now += 10
    report = counted.report(1, NAMESPACES, str)
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
    counted = Popularity(ZONES, Clock())
    note(counted, name, rcode="NXDOMAIN")
    report = counted.report(10, NAMESPACES, str)
    assert (report.in_vain, report.meant) == (1, (Count(meant, 1),))


@pytest.mark.parametrize(("name", "rcode"), [("a.example.com", "NXDOMAIN"), ("cart.shop.svc.cluster.local", "NOERROR")])
def test_what_is_not_in_vain(name: str, rcode: str) -> None:
    counted = Popularity(ZONES, Clock())
    note(counted, name, rcode=rcode)
    assert counted.report(10, NAMESPACES, str).in_vain == 0


def test_what_was_waited_for() -> None:
    counted = Popularity(ZONES, Clock())
    for name, rtype, seconds in (
        ("b.", "A", 0.1),
        ("a.", "A", 0.3),
        ("a.", "AAAA", 0.1),
        ("a.", "A", 0.2),
        ("c.", "A", 0.01),
    ):
        counted.note_slow(asked(name, rtype)[0], seconds)
    assert counted.report(2, NAMESPACES, str).slow == (Slow("a.", 3, 200.0, 300.0), Slow("b.", 1, 100.0, 100.0))


def test_it_stays_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of names has no more room than there is; what is asked often stays."""
    monkeypatch.setattr(popularity, "MOST_KEYS", 10)
    monkeypatch.setattr(popularity, "MOST_NAMED", 20)
    counted = Popularity(ZONES, Clock())
    for number in range(1000):
        note(counted, f"x{number}.cluster.local", rcode="NXDOMAIN", client=f"10.0.{number % 200}.1")
        note(counted, "often.")
        counted.note_slow(asked(f"x{number}.")[0], 0.1)
    report = counted.report(1000, NAMESPACES, str)
    assert report.names[0] == Count("often.", 1000)
    assert report.queries == 2000
    assert report.in_vain == 1000
    assert max(map(len, (report.names, report.clients, report.meant, report.slow))) <= 20
