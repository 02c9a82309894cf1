"""Section 2.4: the records of a headless Service."""

from __future__ import annotations

import pytest

from clusterdns.objects import EndpointSlice
from tests.cluster import Server, expect, expect_no_data, expect_nothing

CLUSTER = """
kind: Namespace
metadata: {name: data}
---
kind: Service
metadata: {name: db, namespace: data}
spec: {clusterIP: None, clusterIPs: [None], ports: [{name: pg, port: 15432, targetPort: pg}]}
---
kind: EndpointSlice
metadata: {name: db-4, namespace: data, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: pg, port: 5432, protocol: TCP}, {name: stats, port: 9187}]
endpoints:
- {addresses: [10.244.0.1], hostname: db-0, conditions: {ready: true, serving: true, terminating: false}}
- {addresses: [10.244.0.2], hostname: db-1, conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.244.0.3], conditions: {}}
- {addresses: [10.244.0.4], conditions: {ready: null}}
---
kind: EndpointSlice
metadata: {name: db-6, namespace: data, labels: {kubernetes.io/service-name: db}}
addressType: IPv6
ports: [{name: pg, port: 5432, protocol: TCP}, {name: stats, port: 9187}]
endpoints:
- {addresses: ["fd00:244::1"], hostname: db-0}
- {addresses: ["fd00:244::"]}
---
kind: EndpointSlice
metadata: {name: db-canary, namespace: data, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: pg, port: 6432}, {name: "", port: 1}, {name: nowhere, port: null}]
endpoints:
- {addresses: [10.244.0.5], hostname: canary}
---
kind: EndpointSlice
metadata: {name: db-names, namespace: data, labels: {kubernetes.io/service-name: db}}
addressType: FQDN
ports: [{name: pg, port: 5432}]
endpoints:
- {addresses: [db.example.com]}
---
kind: EndpointSlice
metadata: {name: db-1, namespace: data}
addressType: IPv4
endpoints:
- {addresses: [10.244.9.1]}
---
kind: EndpointSlice
metadata: {name: db-elsewhere, namespace: other, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints:
- {addresses: [10.244.9.2]}
---
kind: Service
metadata: {name: waiting, namespace: data}
spec: {clusterIP: None, ports: [{name: pg, port: 5432}]}
---
kind: EndpointSlice
metadata: {name: waiting-1, namespace: data, labels: {kubernetes.io/service-name: waiting}}
addressType: IPv4
ports: [{name: pg, port: 5432}]
endpoints:
- {addresses: [10.244.1.1], hostname: waiting-0, conditions: {ready: false}}
---
kind: Service
metadata: {name: empty, namespace: data}
spec: {clusterIP: None, ports: [{name: pg, port: 5432}]}
---
kind: EndpointSlice
metadata: {name: empty-1, namespace: data, labels: {kubernetes.io/service-name: empty}}
addressType: IPv4
endpoints: null
ports: null
---
kind: Service
metadata: {name: portless, namespace: data}
spec: {clusterIP: None}
---
kind: EndpointSlice
metadata: {name: portless-1, namespace: data, labels: {kubernetes.io/service-name: portless}}
addressType: IPv4
ports: null
endpoints:
- {addresses: [10.244.0.1], hostname: db-0}
- {addresses: [10.244.2.1], hostname: p}
- {addresses: [10.244.2.2], hostname: p}
"""


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(CLUSTER)


class TestAddresses:
    """Section 2.4.1."""

    def test_one_record_for_each_ready_address(self, server: Server) -> None:
        """A condition that is absent or null counts as ready; a slice belongs to the service that its label names."""
        expect(
            server.ask("db.data.svc.cluster.local"),
            """
db.data.svc.cluster.local. IN A 10.244.0.1
db.data.svc.cluster.local. IN A 10.244.0.3
db.data.svc.cluster.local. IN A 10.244.0.4
db.data.svc.cluster.local. IN A 10.244.0.5
""",
        )
        expect(
            server.ask("db.data.svc.cluster.local", "AAAA"),
            """
db.data.svc.cluster.local. IN AAAA fd00:244::1
db.data.svc.cluster.local. IN AAAA fd00:244::
""",
        )

    @pytest.mark.parametrize("service", ["waiting", "empty"])
    @pytest.mark.parametrize("rtype", ["A", "AAAA", "SRV", "TXT", "ANY"])
    def test_no_ready_endpoint_no_name(self, server: Server, service: str, rtype: str) -> None:
        expect_nothing(server, f"{service}.data.svc.cluster.local", rtype)

    @pytest.mark.parametrize("name", ["_tcp.waiting", "_pg._tcp.waiting", "waiting-0.waiting", "_pg._tcp.empty"])
    def test_and_none_below_it(self, server: Server, name: str) -> None:
        expect_nothing(server, f"{name}.data.svc.cluster.local", "SRV")

    def test_an_address_in_several_slices_is_one_record(self) -> None:
        server = Server(CLUSTER)
        server.put(
            """
kind: EndpointSlice
metadata: {name: portless-2, namespace: data, labels: {kubernetes.io/service-name: portless}}
addressType: IPv4
endpoints: [{addresses: [10.244.2.1], hostname: p}]
"""
        )
        name = "p.portless.data.svc.cluster.local"
        expect(server.ask(name), f"{name}. IN A 10.244.2.1\n{name}. IN A 10.244.2.2")
        assert len(server.datagram(make_packet("portless.data.svc.cluster.local"))) == 12 + 37 + 3 * 16

    def test_follows_its_slices(self) -> None:
        server = Server(CLUSTER)
        expect_nothing(server, "empty.data.svc.cluster.local")
        server.put(
            """
kind: EndpointSlice
metadata: {name: empty-1, namespace: data, labels: {kubernetes.io/service-name: empty}}
addressType: IPv4
endpoints: [{addresses: [10.244.3.1]}]
"""
        )
        expect(server.ask("empty.data.svc.cluster.local"), "empty.data.svc.cluster.local. IN A 10.244.3.1")
        server.gone(EndpointSlice, "empty-1", "data")
        expect_nothing(server, "empty.data.svc.cluster.local")


class TestNamedEndpoints:
    """Section 2.4.1: `<hostname>.<service>`."""

    @pytest.mark.parametrize(
        ("hostname", "rtype", "data"),
        [
            ("db-0", "A", ["10.244.0.1"]),
            ("db-0", "AAAA", ["fd00:244::1"]),
            ("10-244-0-3", "A", ["10.244.0.3"]),
            ("10-244-0-4", "A", ["10.244.0.4"]),
            ("canary", "A", ["10.244.0.5"]),
            ("fd00-244--0", "AAAA", ["fd00:244::"]),
        ],
    )
    def test_a_ready_endpoint(self, server: Server, hostname: str, rtype: str, data: list[str]) -> None:
        """By its hostname; without one, by its address with dashes, which do not come last."""
        owner = f"{hostname}.db.data.svc.cluster.local"
        expect(server.ask(owner, rtype), "\n".join(f"{owner}. IN {rtype} {each}" for each in data))

    def test_several_endpoints_of_one_name(self, server: Server) -> None:
        name = "p.portless.data.svc.cluster.local"
        expect(server.ask(name), f"{name}. IN A 10.244.2.1\n{name}. IN A 10.244.2.2")

    @pytest.mark.parametrize("hostname", ["db-1", "10-244-0-1", "10-244-0-2", "10-244-9-1", "fd00-244--", "x.db-0"])
    def test_no_other(self, server: Server, hostname: str) -> None:
        expect_nothing(server, f"{hostname}.db.data.svc.cluster.local")

    def test_no_data_for_the_other_family(self, server: Server) -> None:
        expect_no_data(server, "canary.db.data.svc.cluster.local", "AAAA")


class TestPorts:
    """Section 2.4.2: the ports are those of the endpoints, not of the service."""

    def test_a_named_port(self, server: Server) -> None:
        """Of six pairs of address and port two are one record, as one name has both addresses."""
        owner = "_pg._tcp.db.data.svc.cluster.local"
        expect(
            server.ask(owner, "SRV", use_edns=0, payload=1232),
            f"""
{owner}. IN SRV 0 16 5432 db-0.db.data.svc.cluster.local.
{owner}. IN SRV 0 16 5432 10-244-0-3.db.data.svc.cluster.local.
{owner}. IN SRV 0 16 5432 10-244-0-4.db.data.svc.cluster.local.
{owner}. IN SRV 0 16 5432 fd00-244--0.db.data.svc.cluster.local.
{owner}. IN SRV 0 16 6432 canary.db.data.svc.cluster.local.
""",
            additional="""
db-0.db.data.svc.cluster.local. IN A 10.244.0.1
db-0.db.data.svc.cluster.local. IN AAAA fd00:244::1
10-244-0-3.db.data.svc.cluster.local. IN A 10.244.0.3
10-244-0-4.db.data.svc.cluster.local. IN A 10.244.0.4
fd00-244--0.db.data.svc.cluster.local. IN AAAA fd00:244::
canary.db.data.svc.cluster.local. IN A 10.244.0.5
""",
        )

    def test_every_port_of_every_ready_endpoint_at_the_name_of_the_service(self, server: Server) -> None:
        owner = "db.data.svc.cluster.local"
        (found,) = server.ask(owner, "SRV", stream=True).answer
        assert {(each.port, each.target.to_text().removesuffix(f".{owner}.")) for each in found} == {
            *((port, host) for port in (5432, 9187) for host in ("db-0", "10-244-0-3", "10-244-0-4", "fd00-244--0")),
            (6432, "canary"),
            (1, "canary"),
        }
        assert {(each.priority, each.weight) for each in found} == {(0, 100 // 12)}

    @pytest.mark.parametrize(
        "name", ["_tcp.portless", "_pg._tcp.portless", "_udp.db", "_pg._udp.db", "_._tcp.db", "_nowhere._tcp.db"]
    )
    def test_no_other_port(self, server: Server, name: str) -> None:
        expect_nothing(server, f"{name}.data.svc.cluster.local", "SRV")

    def test_endpoints_without_ports_have_no_srv_record(self, server: Server) -> None:
        expect_no_data(server, "portless.data.svc.cluster.local", "SRV")


class TestReverseNames:
    """Section 2.4.3: one record for each service that has the endpoint."""

    def test_an_endpoint_of_two_services(self, server: Server) -> None:
        expect(
            server.ask("1.0.244.10.in-addr.arpa", "PTR"),
            """
1.0.244.10.in-addr.arpa. IN PTR db-0.db.data.svc.cluster.local.
1.0.244.10.in-addr.arpa. IN PTR db-0.portless.data.svc.cluster.local.
""",
        )

    def test_an_endpoint_without_a_hostname(self, server: Server) -> None:
        expect(
            server.ask("3.0.244.10.in-addr.arpa", "PTR"),
            "3.0.244.10.in-addr.arpa. IN PTR 10-244-0-3.db.data.svc.cluster.local.",
        )

    def test_an_ipv6_endpoint(self, server: Server) -> None:
        name = "1." + "0." * 23 + "4.4.2.0.0.0.d.f.ip6.arpa"
        expect(server.ask(name, "PTR"), f"{name}. IN PTR db-0.db.data.svc.cluster.local.")

    @pytest.mark.parametrize("address", ["2.0.244.10", "1.1.244.10", "1.9.244.10", "2.9.244.10"])
    def test_an_endpoint_that_is_not_ready_or_nobodys_has_none(self, server: Server, address: str) -> None:
        expect_nothing(server, f"{address}.in-addr.arpa", "PTR", zone="in-addr.arpa")


def make_packet(name: str) -> bytes:
    import dns.message

    return dns.message.make_query(name, "A").to_wire()
