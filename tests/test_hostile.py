"""What one packet, one object or one file may not do: each of these once stopped or slowed the whole server."""

from __future__ import annotations

import asyncio
import os
import random
import struct
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn

import pytest

from clusterdns import config, kube_dns, names
from clusterdns.app import serving
from clusterdns.corefile import CorefileError, Disk
from clusterdns.corefile import read as read_corefile
from clusterdns.events import Listed, Put
from clusterdns.index import Index
from clusterdns.index.remembered import MOST_BYTES, OVERHEAD
from clusterdns.nodes import ServiceName, Zone
from clusterdns.objects import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointSlice,
    Metadata,
    Namespace,
    Service,
    ServicePort,
    ServiceSpec,
)
from clusterdns.respond import responder
from clusterdns.sources.manifests.files import read
from clusterdns.sources.zone_files import ZoneFile, ZoneFileError, ZoneFiles
from clusterdns.wire import Dialect
from tests.translated import block, faults, translated

if TYPE_CHECKING:
    from collections.abc import Callable

ZONE = names.from_text("cluster.local")
ORDINARY = struct.pack("!6H", 1, 256, 1, 0, 0, 0) + names.from_text("web.shop.svc.cluster.local") + b"\0\1\0\1"


def zone() -> Zone:
    return Zone(name=ZONE, mname=names.below("ns", "dns", parent=ZONE), rname=names.below("hostmaster", parent=ZONE))


def service(name: str, address: str = "10.96.0.9") -> Service:
    spec = ServiceSpec(cluster_ip=address, ports=(ServicePort(80, "http"),))
    return Service(Metadata(name=name, namespace="shop"), spec)


def slice_of(service: str, addresses: list[str]) -> EndpointSlice:
    metadata = Metadata(name=service, namespace="shop", labels={SERVICE_NAME_LABEL: service})
    return EndpointSlice(metadata, "IPv4", tuple(Endpoint((each,)) for each in addresses))


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
        over_udp, over_tcp = (responder(index, Dialect(), stream=stream) for stream in (False, True))
        chance = random.Random(1)
        for turn in range(60_000):
            respond = over_tcp if turn % 2 else over_udp
            name = names.from_text(f"s{chance.randrange(2000)}.shop.svc.cluster.local")
            size = chance.randrange(65536)
            opt = b"\0\0\x29" + struct.pack("!H", size) + bytes(6)
            question = name + struct.pack("!HH", chance.choice((1, 28, 33, chance.randrange(1, 250))), 1)
            assert respond(struct.pack("!6H", 7, 256, 1, 0, 0, 1) + question + opt)
        kept = {id(reply): reply.size for node in index.nodes.values() for reply in node.replies.values()}
        assert OVERHEAD * len(kept) + sum(kept.values()) <= 2.2 * MOST_BYTES
        assert max(len(node.replies) for node in index.nodes.values()) <= 12

    @pytest.mark.parametrize("endpoints", [1, 50])
    def test_they_take_what_is_counted(self, index: Index, endpoints: int) -> None:
        addresses = [f"10.98.0.{number}" for number in range(endpoints)]
        for number in range(1000):
            index.apply([Put(service(f"s{number}", "None")), Put(slice_of(f"s{number}", addresses))])
        respond = responder(index, Dialect(), stream=True)
        packets = [
            struct.pack("!6H", 7, 256, 1, 0, 0, 0)
            + names.from_text(f"s{number}.shop.svc.cluster.local")
            + struct.pack("!HH", qtype, 1)
            for number in range(1000)
            for qtype in (1, 28, 16)
        ]
        tracemalloc.start()
        for each in packets:
            assert respond(each)
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        kept = [reply.size for node in index.nodes.values() for reply in node.replies.values()]
        assert len(kept) >= 3000
        assert 0.7 * taken < OVERHEAD * len(kept) + sum(kept) < 1.5 * taken


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


class TestConfigurations:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("names: " + "[" * 100_000, ":1: more than 200 levels deep"),
            ("{names: " * 100_000, ":1: more than 200 levels deep"),
            ("a:\n" + "-  " * 100_000, ":2: more than 200 levels deep"),
            ('ttl: !!int ""', ": a value is not what its tag says: string index out of range"),
            ("header: {set: [xx]}", ": header.set[0]: 'xx' is none of its values, aa, ra, rd"),
            ("blocks: [{pods: some}]", ": blocks[0].pods: 'some' is none of its values, disabled, insecure, verified"),
            ("acl: [{policies: [{action: bar}]}]", "'bar' is none of its values, allow, block, filter, drop"),
            ('zone-files: [{file: "a\\0b", zones: [x]}]', "zone-files[0].file: 'a\\x00b': expected no NUL"),
            ('hosts: {files: ["\\0"]}', "hosts.files[0]: '\\x00': expected no NUL"),
            (f"nsid: {'x' * 129}", "nsid: nsid: an identifier has 1 to 128 bytes, not 129"),
        ],
    )
    def test_a_fault_is_a_line(self, tmp_path: Path, text: str, fault: str) -> None:
        """The parser, in C, ended the process where a text was too deep, at a reload too."""
        file = tmp_path / "clusterdns.yaml"
        file.write_text(text)
        with pytest.raises(config.BadConfig) as caught:
            config.check(config.read(file))
        assert str(caught.value).removeprefix(str(file)).endswith(fault)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("rewrite ttl a.b {huge}", "2: rewrite: expected a TTL such as 30, 30-60, 30- or -60"),
            ("rewrite rcode a.b {huge} 0", "2: rewrite: expected a response code such as NXDOMAIN"),
            ("bind a\0b", "2: bind: expected an address or an interface of this machine, not 'a\\x00b'"),
            ("template IN A {{\nanswer {{{{{deep}}}}}\n}}", "2: template: more than 50 parentheses within one another"),
            ('"a\nb\x1b[31m"', "2: a\\nb\\x1b[31m: not supported"),
        ],
    )
    def test_of_a_corefile_too(self, text: str, fault: str) -> None:
        found = faults(block(text.format(huge="9" * 5000, deep="(" * 900)))
        assert found[0].startswith(f"Corefile:{fault}")

    def test_a_time_without_an_end_is_the_longest_one(self) -> None:
        settings = translated(block("cache {", f"serve_stale {'9' * 5000}h", "}")).config
        assert settings.cache.stale_seconds == 7 * 86400

    async def test_a_fault_of_ours_at_a_reload_is_not_the_last_reload(self, caplog: pytest.LogCaptureFixture) -> None:
        """It once ended whatever would have read the configuration again."""
        running = SimpleNamespace(reloads_failed=0, fault="")
        again = asyncio.Event()

        def load() -> NoReturn:
            raise ZeroDivisionError("odd\nfile")

        task = asyncio.create_task(serving._reload(running, load, SimpleNamespace(), again))  # type: ignore[arg-type]
        for number in (1, 2):
            again.set()
            for _ in range(5):
                await asyncio.sleep(0)
            assert running.reloads_failed == number
        task.cancel()
        assert running.fault == "a fault in the program, please report it: ZeroDivisionError('odd\\nfile')"
        assert caplog.messages == [f"the configuration is not changed: {running.fault}"] * 2

    def test_a_manifest_of_one_may_not_be_deep(self, tmp_path: Path) -> None:
        file = tmp_path / "Corefile"
        file.write_text("kind: ConfigMap\ndata: " + "[" * 100_000)
        with pytest.raises(CorefileError) as caught:
            read_corefile(file, Disk(), {})
        assert str(caught.value) == f"{file}:1: expected a file: more than 200 levels deep, in line 2"
        with pytest.raises(config.BadConfig, match="more than 200 levels deep, in line 2"):
            kube_dns.read(file, ("cluster.local",))

    def test_a_pipe_that_nobody_writes_to_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "Corefile")
        assert Disk().read(tmp_path / "Corefile") == ""

    def test_a_file_without_an_end_is_not_read_to_its_end(self) -> None:
        with pytest.raises(ValueError, match="more than 64 MiB"):
            Disk().read(Path("/dev/zero"))

    async def test_a_zone_file_is_a_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "db")
        with pytest.raises(ZoneFileError, match="db: cannot be read: it is no file"):
            await ZoneFiles([ZoneFile(tmp_path / "db", (ZONE,))]).open()
