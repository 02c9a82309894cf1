"""Manifests are edited while the server runs: a second later the answers follow, and no query is lost meanwhile."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import struct
from itertools import pairwise
from typing import TYPE_CHECKING

import dns.message
import pytest
from serving import Serving, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOON = 3.0
"""Seconds in which a change is answered; it takes a few hundred milliseconds."""

NXDOMAIN = ["NXDOMAIN"]


def service(name: str, address: str) -> str:
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{clusterIP: {address}, ports: [{{port: 80}}]}}
---
"""


def host(name: str) -> str:
    return f"{name}.shop.svc.cluster.local"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "manifests"
    made.mkdir()
    (made / "cart.yaml").write_text(service("cart", "10.96.0.20"))
    (made / "stays.yaml").write_text(service("stays", "10.96.0.99"))
    return made


@pytest.fixture
def server(folder: Path, serve: Callable[..., Serving]) -> Serving:
    started = serve("--manifests", folder)
    assert started.answers(host("cart")) == ["10.96.0.20"]
    return started


class TestFiles:
    @pytest.fixture(autouse=True)
    @staticmethod
    def _the_other_answers_stay(server: Serving) -> object:
        yield
        assert server.answers(host("stays")) == ["10.96.0.99"]

    def test_a_new_file(self, server: Serving, folder: Path) -> None:
        """A service that was asked for a moment too early does not stay missing."""
        assert server.answers(host("web")) == NXDOMAIN
        (folder / "web.yaml").write_text(service("web", "10.96.0.30"))
        server.until(host("web"), ["10.96.0.30"], seconds=SOON)

    def test_a_removed_file(self, server: Serving, folder: Path) -> None:
        (folder / "cart.yaml").unlink()
        server.until(host("cart"), NXDOMAIN, seconds=SOON)

    def test_a_file_written_over(self, server: Serving, folder: Path) -> None:
        (folder / "cart.yaml").write_text(service("cart", "10.96.0.21"))
        server.until(host("cart"), ["10.96.0.21"], seconds=SOON)
        server.until("20.0.96.10.in-addr.arpa", NXDOMAIN, "PTR", seconds=SOON)

    def test_a_file_written_bit_by_bit(self, server: Serving, folder: Path) -> None:
        """Half a document in the file is not half an answer."""
        with (folder / "cart.yaml").open("a", buffering=1) as file:
            for line in service("web", "10.96.0.30").splitlines(keepends=True):
                file.write(line)
                assert server.answers(host("cart")) == ["10.96.0.20"]
        server.until(host("web"), ["10.96.0.30"], seconds=SOON)

    def test_a_file_renamed_into_place(self, server: Serving, folder: Path) -> None:
        """As editors and careful programs do it."""
        (folder / ".cart.yaml.swp").write_text(service("cart", "10.96.0.21"))
        (folder / ".cart.yaml.swp").replace(folder / "cart.yaml")
        server.until(host("cart"), ["10.96.0.21"], seconds=SOON)

    def test_a_service_moved_to_another_file(self, server: Serving, folder: Path) -> None:
        (folder / "cart.yaml").rename(folder / "other.yaml")
        (folder / "web.yaml").write_text(service("web", "10.96.0.30"))
        server.until(host("web"), ["10.96.0.30"], seconds=SOON)
        assert server.answers(host("cart")) == ["10.96.0.20"]

    def test_a_folder_in_the_folder(self, server: Serving, folder: Path) -> None:
        (folder / "more").mkdir()
        (folder / "more" / "web.yaml").write_text(service("web", "10.96.0.30"))
        server.until(host("web"), ["10.96.0.30"], seconds=SOON)
        (folder / "more" / "web.yaml").write_text(service("web", "10.96.0.31"))
        server.until(host("web"), ["10.96.0.31"], seconds=SOON)
        shutil.rmtree(folder / "more")
        server.until(host("web"), NXDOMAIN, seconds=SOON)


def test_a_single_file(tmp_path: Path, serve: Callable[..., Serving]) -> None:
    """--manifests names a file: it is followed too, and its neighbours are not read."""
    file = tmp_path / "cart.yaml"
    file.write_text(service("cart", "10.96.0.20"))
    server = serve("--manifests", file)
    (tmp_path / "web.yaml").write_text(service("web", "10.96.0.30"))
    file.write_text(service("cart", "10.96.0.21"))
    server.until(host("cart"), ["10.96.0.21"], seconds=SOON)
    assert server.answers(host("web")) == NXDOMAIN


def test_a_configmap(tmp_path: Path, serve: Callable[..., Serving]) -> None:
    """The kubelet writes a folder aside, and swaps one link: every file of it changes at once."""

    def publish(version: int, **files: str) -> None:
        data = tmp_path / f"..2026_07_31_12_00_0{version}.1"
        data.mkdir()
        for name, text in files.items():
            (data / f"{name}.yaml").write_text(text)
            if not (tmp_path / f"{name}.yaml").is_symlink():
                (tmp_path / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
        (tmp_path / "..data_tmp").symlink_to(data.name)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    publish(1, cart=service("cart", "10.96.0.20"), web=service("web", "10.96.0.30"))
    server = serve("--manifests", tmp_path)
    assert server.answers(host("cart")) == ["10.96.0.20"]
    for version in (2, 3):
        publish(version, cart=service("cart", f"10.96.{version}.20"), web=service("web", f"10.96.{version}.30"))
        server.until(host("cart"), [f"10.96.{version}.20"], seconds=SOON)
        assert server.answers(host("web")) == [f"10.96.{version}.30"]
        shutil.rmtree(tmp_path / f"..2026_07_31_12_00_0{version - 1}.1")
    assert server.answers(host("cart")) == ["10.96.3.20"]


class TestFaults:
    """A server that answers is worth more than a file that is right."""

    BROKEN = (
        pytest.param("kind: [\n", 2, "is no YAML", id="no YAML"),
        pytest.param(service("web", "10.96.0.300"), 4, "'10.96.0.300' is no IPv4 or IPv6 address", id="no address"),
        pytest.param("\n\n" + service("web", "10.96.0.99"), 3, "both claim 10.96.0.99", id="claimed twice"),
        pytest.param(service("stays", "10.96.0.30"), 1, "Service shop/stays", id="declared twice"),
    )

    @pytest.mark.parametrize(("text", "line", "reason"), BROKEN)
    def test_the_last_answers_stay(self, server: Serving, folder: Path, text: str, line: int, reason: str) -> None:
        file = folder / "cart.yaml"
        file.write_text(text)
        eventually(lambda: " ERROR " in server.log, "a fault in the log", SOON)
        (told,) = (each for each in server.log.splitlines() if " ERROR " in each)
        assert re.search(rf"{re.escape(str(file))}:{line}\b", told), told
        assert reason in told
        assert server.answers(host("cart")) == ["10.96.0.20"]
        assert server.answers(host("stays")) == ["10.96.0.99"]
        assert server.answers(host("web")) == NXDOMAIN

        file.write_text(service("cart", "10.96.0.22"))
        server.until(host("cart"), ["10.96.0.22"], seconds=SOON)
        assert f"{file} is read again" in server.log

    def test_the_other_files_are_still_followed(self, server: Serving, folder: Path) -> None:
        (folder / "cart.yaml").write_text("kind: [")
        (folder / "stays.yaml").write_text(service("stays", "10.96.0.100"))
        server.until(host("stays"), ["10.96.0.100"], seconds=SOON)
        assert server.answers(host("cart")) == ["10.96.0.20"]

    def test_a_fault_is_told_once(self, server: Serving, folder: Path) -> None:
        (folder / "cart.yaml").write_text("kind: [}\n")
        eventually(lambda: "cart.yaml:1: " in server.log, "the fault in the log", SOON)
        for address in ("10.96.0.31", "10.96.0.32"):
            (folder / "web.yaml").write_text(service("web", address))
            server.until(host("web"), [address], seconds=SOON)
        assert server.log.count("cart.yaml:1: ") == 1

    def test_the_folder_goes_and_comes_back(self, server: Serving, folder: Path) -> None:
        folder.rename(folder.with_name("away"))
        eventually(lambda: f"{folder}: " in server.log, "the missing folder in the log", SOON)
        folder.with_name("away").rename(folder)
        (folder / "web.yaml").write_text(service("web", "10.96.0.30"))
        server.until(host("web"), ["10.96.0.30"], seconds=SOON)
        assert server.answers(host("cart")) == ["10.96.0.20"]


class TestUnderLoad:
    """Each answer is the old one or the new one as a whole, and there is one to each query."""

    ENDPOINTS = 5
    GENERATIONS = 8
    CLIENTS = 6
    QUERIES = 3000
    """At least; and more than one is asked while each edit is on its way."""

    def generation(self, number: int) -> str:
        """A headless service whose addresses all tell which generation they are of."""
        addresses = ", ".join(f"{{addresses: [10.{number}.0.{each}]}}" for each in range(self.ENDPOINTS))
        return f"""\
apiVersion: v1
kind: Service
metadata: {{name: cart, namespace: shop}}
spec: {{clusterIP: None, ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: cart-1, namespace: shop, labels: {{kubernetes.io/service-name: cart}}}}
addressType: IPv4
endpoints: [{addresses}]
ports: [{{port: 80}}]
"""

    async def test_none_is_lost_and_none_is_mixed(self, folder: Path, serve: Callable[..., Serving]) -> None:
        file = folder / "cart.yaml"
        file.write_text(self.generation(1))
        server = serve("--manifests", folder)
        load = _Load(host("cart"), server.port, self.ENDPOINTS)
        async with asyncio.TaskGroup() as group:
            for _ in range(self.CLIENTS):
                group.create_task(load.over_udp())
            group.create_task(load.over_tcp())
            for number in range(2, self.GENERATIONS + 1):
                if number % 2:
                    file.write_text(self.generation(number))
                else:
                    (folder / "aside").write_text(self.generation(number))
                    (folder / "aside").replace(file)
                async with asyncio.timeout(SOON):
                    await load.reaches(number)
                await load.has_asked(self.QUERIES * number // self.GENERATIONS)
            load.stop()
        for seen in load.generations:
            assert all(earlier <= later for earlier, later in pairwise(seen)), "an old answer after a new one"
        assert {each for seen in load.generations for each in seen} == set(range(1, self.GENERATIONS + 1))


class _Load:
    """Clients that ask without a pause, each the next query when the last is answered."""

    def __init__(self, name: str, port: int, records: int) -> None:
        self.generations: list[list[int]] = []
        self.answers = 0
        self._query = dns.message.make_query(name, "A").to_wire()[2:]
        self._port = port
        self._records = records
        self._goes_on = True
        self._random = random.Random(1)

    def stop(self) -> None:
        self._goes_on = False

    async def reaches(self, number: int) -> None:
        """Every client has got an answer of this generation."""
        while not self.generations or not all(seen and seen[-1] == number for seen in self.generations):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def has_asked(self, count: int) -> None:
        while self.answers < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def over_udp(self) -> None:
        loop = asyncio.get_running_loop()
        replies: asyncio.Queue[bytes] = asyncio.Queue()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: object) -> None:
                replies.put_nowait(data)

        transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", self._port))
        try:
            await self._ask(transport.sendto, replies.get)
        finally:
            transport.close()

    async def over_tcp(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def receive() -> bytes:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(length)

        try:
            await self._ask(lambda query: writer.write(struct.pack("!H", len(query)) + query), receive)
        finally:
            writer.close()
            await writer.wait_closed()

    async def _ask(self, send: Callable[[bytes], object], receive: Callable[[], object]) -> None:
        seen: list[int] = []
        self.generations.append(seen)
        while self._goes_on:
            query = self._random.randbytes(2) + self._query
            send(query)
            async with asyncio.timeout(2):  # no second try: what is lost is lost
                reply = await receive()  # type: ignore[misc]
            assert reply[:2] == query[:2]
            seen.append(self._generation(reply))
            self.answers += 1

    def _generation(self, reply: bytes) -> int:
        message = dns.message.from_wire(reply)
        assert message.rcode() == 0, message
        addresses = [str(data).split(".") for each in message.answer for data in each]
        assert len(addresses) == self._records, message
        assert len({each[1] for each in addresses}) == 1, message
        return int(addresses[0][1])


class TestClusterIPs:
    """What has no clusterIP gets one that follows from its name alone."""

    NAMES = tuple(f"service-{number}" for number in range(40))

    def manifest(self, name: str) -> str:
        return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{}}\n---\n"

    def addresses(self, server: Serving) -> dict[str, list[str]]:
        return {name: server.answers(host(name)) for name in self.NAMES}

    def test_they_are_the_same_after_a_restart_and_on_every_replica(
        self, tmp_path: Path, serve: Callable[..., Serving]
    ) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        for name in self.NAMES:
            (tmp_path / "a" / f"{name}.yaml").write_text(self.manifest(name))
        (tmp_path / "b" / "all.yaml").write_text("".join(map(self.manifest, reversed(self.NAMES))))
        first, replica = serve("--manifests", tmp_path / "a"), serve("--manifests", tmp_path / "b")
        expected = self.addresses(first)
        assert len({address for each in expected.values() for address in each}) == len(self.NAMES)
        assert self.addresses(replica) == expected
        assert first.stop() == 0
        assert self.addresses(serve("--manifests", tmp_path / "a")) == expected

    def test_a_new_service_moves_no_other(self, tmp_path: Path, serve: Callable[..., Serving]) -> None:
        (tmp_path / "all.yaml").write_text("".join(map(self.manifest, self.NAMES)))
        server = serve("--manifests", tmp_path)
        expected = self.addresses(server)
        (tmp_path / "more.yaml").write_text(service("web", "10.96.0.30"))
        server.until(host("web"), ["10.96.0.30"], seconds=SOON)
        assert self.addresses(server) == expected


def test_an_unreadable_file_keeps_its_answers(server: Serving, folder: Path) -> None:
    """A link that leads nowhere, as in the middle of a checkout."""
    target = folder / "cart.yaml"
    (folder / "aside").symlink_to("nowhere")
    (folder / "aside").replace(target)
    eventually(lambda: f"{target}: " in server.log, "the link in the log", SOON)
    assert server.answers(host("cart")) in (["10.96.0.20"], NXDOMAIN)
    target.unlink()
    target.write_text(service("cart", "10.96.0.23"))
    server.until(host("cart"), ["10.96.0.23"], seconds=SOON)
