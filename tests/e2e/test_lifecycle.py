"""The beginning and the end of a server: signals, exit codes, ports, and addresses that stand for many."""

from __future__ import annotations

import signal
import socket
import struct
import sys
from itertools import product
from typing import TYPE_CHECKING

import dns.message
import pytest
from serving import EXAMPLE, Namespace, Serving, dig, free_port, has_ipv6, needs_ipv6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "alpaca-prod.default.svc.cluster.local"
ADDRESS = ["10.96.78.232"]


def read_reply(client: socket.socket) -> bytes:
    with client.makefile("rb") as stream:
        (length,) = struct.unpack("!H", stream.read(2))
        return bytes(stream.read(length))


class TestTheEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_in_peace(self, serve: Callable[..., Serving], number: int) -> None:
        server = serve("--manifests", EXAMPLE)
        assert server.answers(NAME) == ADDRESS
        assert server.stop(number) == 0
        assert server.log.endswith(" INFO stopped\n")
        assert "Traceback" not in server.log

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_its_port_is_free_again(self, serve: Callable[..., Serving], number: int) -> None:
        """Even after TCP connections, whose traces the kernel keeps for a minute."""
        port = free_port()
        for _ in range(2):
            server = serve("--manifests", EXAMPLE, listen=[f"127.0.0.1:{port}"])
            assert server.addresses == [("127.0.0.1", port)]
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                query = dns.message.make_query(NAME, "A").to_wire()
                client.sendall(struct.pack("!H", len(query)) + query)
                assert read_reply(client)[:2] == query[:2]
                assert server.stop(number) == 0
                assert client.recv(1) == b""

    def test_a_client_in_the_midst_of_a_query_does_not_hold_it_up(self, serve: Callable[..., Serving]) -> None:
        server = serve("--manifests", EXAMPLE)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"\0\x40half")
            assert server.answers(NAME) == ADDRESS
            assert server.stop() == 0

    def test_a_second_signal_changes_nothing(self, serve: Callable[..., Serving]) -> None:
        server = serve("--manifests", EXAMPLE)
        server.process.send_signal(signal.SIGINT)
        assert server.stop(signal.SIGTERM) == 0
        assert "Traceback" not in server.log


class TestAllAddresses:
    """Whoever listens on a wildcard answers from the address that was asked: a client takes a reply from no other."""

    @pytest.fixture(scope="class")
    @staticmethod
    def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
        listen = ["0.0.0.0:0", "[::]:0"] if has_ipv6() else ["0.0.0.0:0"]
        started = Serving(tmp_path_factory.mktemp("logs") / "log", "--manifests", EXAMPLE, listen=listen)
        try:
            yield started
        finally:
            assert started.stop() == 0, started.log

    HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.5", "127.255.255.254", pytest.param("::1", marks=needs_ipv6))

    @staticmethod
    def port(server: Serving, host: str) -> int:
        return dict(server.addresses)["::" if ":" in host else "0.0.0.0"]

    @pytest.mark.parametrize("host", HOSTS)
    def test_a_connected_socket_sees_the_reply(self, server: Serving, host: str) -> None:
        query = dns.message.make_query(NAME, "A")
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect((host, self.port(server, host)))
            for _ in range(3):
                client.send(query.to_wire())
                reply = dns.message.from_wire(client.recv(4096))
                assert query.is_response(reply)
                assert [str(data) for data in reply.answer[0]] == ADDRESS

    @pytest.mark.parametrize(("host", "transport"), [*product(HOSTS[:3], ["+notcp", "+tcp"])])
    def test_dig_is_content(self, server: Serving, host: str, transport: str) -> None:
        dug = dig(f"@{host}", "-p", self.port(server, host), transport, NAME)
        assert dug.answer == [f"{NAME}. 30 IN A {ADDRESS[0]}"]

    def test_clients_in_turn(self, server: Serving) -> None:
        """One wake-up may bring datagrams for several addresses; each reply goes out from its own."""
        hosts = [f"127.0.0.{number}" for number in range(1, 41)]
        query = dns.message.make_query(NAME, "A").to_wire()
        clients = []
        try:
            for host in hosts:
                client = socket.socket(type=socket.SOCK_DGRAM)
                clients.append(client)
                client.settimeout(5)
                client.connect((host, self.port(server, host)))
            for client in clients:
                client.send(query)
            assert [client.recv(4096)[:2] for client in clients] == [query[:2]] * len(hosts)
        finally:
            for client in clients:
                client.close()

    def test_two_on_one_machine(self, tmp_path: Path) -> None:
        """The pages are those of the first, where nobody has said where they are to be."""
        namespace = Namespace(tmp_path, "")
        servers: list[Serving] = []
        try:
            for number in range(2):
                text = f"manifests: ['{EXAMPLE}']\n# http: as it is where nobody sets it\n"
                (tmp_path / f"{number}.yaml").write_text(text)
                arguments = ("--config", tmp_path / f"{number}.yaml", "--upstream", "none")
                servers.append(Serving(tmp_path / f"{number}.log", *arguments, prefix=namespace.prefix))
            taken = "cannot listen on 127.0.0.1:9153: the port is in use; /health, /ready and /metrics are not shown"
            assert [taken in each.log for each in servers] == [False, True]
            ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9153/ready').read())"
            assert namespace.run(sys.executable, "-c", ask).stdout == "b'OK'\n"
            for each in servers:
                assert dig("@127.0.0.1", "-p", each.port, NAME, prefix=namespace.prefix).status == "NOERROR"
                assert each.stop() == 0, each.log
        finally:
            for each in servers:
                each.kill()
            namespace.close()

    @needs_ipv6
    def test_the_second_address_of_ipv6(self, tmp_path: Path) -> None:
        """The kernel's own choice of a source would be the client's address."""
        namespace = Namespace(tmp_path, "", addresses=["fd00:ffff::5/128", "fd00:ffff::6/128"])
        try:
            server = Serving(tmp_path / "log", "--manifests", EXAMPLE, listen=["[::]:5353"], prefix=namespace.prefix)
            for host, client in (("fd00:ffff::5", "fd00:ffff::6"), ("fd00:ffff::6", "fd00:ffff::5"), ("::1", "::1")):
                dug = dig("-b", client, f"@{host}", "-p", server.port, NAME, prefix=namespace.prefix)
                assert dug.answer == [f"{NAME}. 30 IN A {ADDRESS[0]}"]
            assert server.stop() == 0, server.log
        finally:
            namespace.close()
