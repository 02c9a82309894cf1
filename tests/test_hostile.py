"""What one packet, one object or one file may not do: each of these once stopped or slowed the whole server."""

from __future__ import annotations

import random
import struct
import time
from typing import TYPE_CHECKING

import pytest

from clusterdns import names
from clusterdns.events import Listed, Put
from clusterdns.index import Index
from clusterdns.nodes import ServiceName, Zone
from clusterdns.objects import (
    SERVICE_NAME_LABEL,
    EndpointSlice,
    Metadata,
    Namespace,
    Service,
    ServicePort,
    ServiceSpec,
)
from clusterdns.respond import MOST_BYTES, responder
from clusterdns.sources.manifests.files import read
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ZONE = names.from_text("cluster.local")
ORDINARY = struct.pack("!6H", 1, 256, 1, 0, 0, 0) + names.from_text("web.shop.svc.cluster.local") + b"\0\1\0\1"


def zone() -> Zone:
    return Zone(name=ZONE, mname=names.below("ns", "dns", parent=ZONE), rname=names.below("hostmaster", parent=ZONE))


def service(name: str, address: str = "10.96.0.9") -> Service:
    spec = ServiceSpec(cluster_ip=address, ports=(ServicePort(80, "http"),))
    return Service(Metadata(name=name, namespace="shop"), spec)


@pytest.fixture
def index() -> Index:
    index = Index([zone()])
    index.apply([Listed(Namespace, ()), Listed(Service, (service("web"),)), Listed(EndpointSlice, ())])
    return index


@pytest.fixture
def respond(index: Index) -> Callable[[bytes], bytes | None]:
    return responder(index, Dialect(), stream=True)


def cost(respond: Callable[[bytes], bytes | None], packet: bytes) -> float:
    """How many ordinary queries, answered the slow way, cost as much; the least of several tries."""
    odd = ORDINARY[:2] + b"\x01\x20" + ORDINARY[4:] + b"x"  # trailing byte: read, and refused
    times: dict[bytes, list[float]] = {packet: [], odd: []}
    for _ in range(5):
        for each, taken in times.items():
            start = time.perf_counter()
            for _ in range(20):
                respond(each)
            taken.append(time.perf_counter() - start)
    return min(times[packet]) / min(times[odd])


class TestPackets:
    @pytest.mark.parametrize(
        "packet",
        [
            struct.pack("!6H", 1, 256, 1, 0, 0, 0) + b"\1a" * 32750 + b"\0\0\1\0\1",
            ORDINARY[:10] + b"\0\x08" + ORDINARY[12:] + b"\0\0\x29" + b"\0" * 6 + b"\x07\xd0" + b"\xc0\x0c" * 1000 * 8,
            ORDINARY[:10]
            + b"\0\1"
            + ORDINARY[12:]
            + b"".join(struct.pack("!H", 0xC000 | 2 * n) for n in range(20, 900)),
            ORDINARY[:10] + b"\0\2" + ORDINARY[12:] + b"\0\0\x10\0\1\0\0\0\0\xfd\xe8" + b"\0" * 65000,
            ORDINARY[:10] + b"\0\2" + ORDINARY[12:] + b"\0\0\x2f\0\1\0\0\0\0\xfd\xe8" + b"\xff" * 65000,
        ],
        ids=["an endless name", "pointers in an option", "a chain of pointers", "empty strings", "bitmaps"],
    )
    def test_none_costs_more_than_some_ordinary_ones(
        self, respond: Callable[[bytes], bytes | None], packet: bytes
    ) -> None:
        """Some of them are of 64 KB, whose copying alone is a few; before, the worst cost some 100,000."""
        assert cost(respond, packet) < 100

    def test_remembered_replies_have_a_common_bound(self, index: Index) -> None:
        """Whatever forms the queries have, and however many names."""
        index.apply([Put(service(f"s{number}", f"10.97.{number // 250}.{number % 250}")) for number in range(2000)])
        respond = responder(index, Dialect(), stream=True)
        chance = random.Random(1)
        for _ in range(60_000):
            name = names.from_text(f"s{chance.randrange(2000)}.shop.svc.cluster.local")
            size = chance.randrange(65536)
            opt = b"\0\0\x29" + struct.pack("!H", size) + bytes(6)
            question = name + struct.pack("!HH", chance.choice((1, 28, 33, chance.randrange(1, 250))), 1)
            assert respond(struct.pack("!6H", 7, 256, 1, 0, 0, 1) + question + opt)
        written = {id(reply): reply for node in index.nodes.values() for reply in node.replies.values()}
        assert sum(300 + 2 * len(each.to(ORDINARY, len(ORDINARY) - 5)) for each in written.values()) < 1.5 * MOST_BYTES
        assert max(len(node.replies) for node in index.nodes.values()) <= 12


class TestObjects:
    def test_a_label_in_capitals_takes_no_name_away(self, index: Index) -> None:
        """A slice may name any service, also one that does not exist."""
        labels = {SERVICE_NAME_LABEL: "WEB"}
        index.apply([Put(EndpointSlice(Metadata(name="x", namespace="shop", labels=labels), "IPv4"))])
        assert isinstance(index.find(names.from_text("web.shop.svc.cluster.local")), ServiceName)

    def test_a_service_takes_no_zone_away(self) -> None:
        inner = zone()
        inner.name = names.from_text("web.shop.svc.cluster.local")
        index = Index([zone(), inner])
        apex = index.find(inner.name)
        index.apply([Put(service("web"))])
        assert index.find(inner.name) is apex


class TestFiles:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("x: !!bool foo", "cannot be read"),
            ('x: !!int ""', "cannot be read"),
            ("x: !!float ''", "cannot be read"),
            ("x: !!timestamp foo", "cannot be read"),
            ("[" * 100_000, "more than 200 levels deep"),
            ("- " * 100_000, "more than 200 levels deep"),
            ("{a: " * 100_000, "more than 200 levels deep"),
            ("a: &a [*a]", "it holds itself"),
        ],
    )
    def test_an_odd_one_is_a_fault(self, tmp_path: Path, text: str, reason: str) -> None:
        found, faults = read(tmp_path / "a.yaml", text.encode())
        assert not found
        assert [reason in str(each) for each in faults] == [True]

    @pytest.mark.parametrize("link", ["items: [{}]", "x: {{<<: [{}]}}"])
    def test_aliases_do_not_multiply(self, tmp_path: Path, link: str) -> None:
        lines = ["apiVersion: v1", "kind: List", "x0: &a0 {apiVersion: v1, kind: List, items: []}"]
        for number in range(1, 9):
            inner = link.format(",".join([f"*a{number - 1}"] * 10))
            lines.append(f"x{number}: &a{number} {{apiVersion: v1, kind: List, {inner}}}")
        found, faults = read(tmp_path / "a.yaml", "\n".join([*lines, "items: [*a8]"]).encode())
        assert not found
        assert ["its aliases come to more than" in str(each) for each in faults] == [True]
