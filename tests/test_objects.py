"""Objects as an API server sends them: the recordings, and what they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import (
    Conditions,
    Endpoint,
    EndpointSlice,
    Host,
    Namespace,
    Object,
    Pod,
    Service,
)
from tests.cluster import Server, expect, expect_no_data, expect_nothing

RECORDINGS = Path(__file__).parent / "data" / "api"
LISTS = {Namespace: "namespaces", Service: "services", EndpointSlice: "endpointslices", Pod: "pods"}


def recorded(kind: type[Object]) -> tuple[Object, ...]:
    body = msgspec.json.decode((RECORDINGS / f"{LISTS[kind]}-list.json").read_bytes(), type=dict[str, msgspec.Raw])
    return msgspec.json.decode(body["items"], type=tuple[kind, ...])


def load(kind: type[Object], **fields: Any) -> Any:
    return msgspec.json.decode(json.dumps({"metadata": {"name": "n", "namespace": "s"}, **fields}), type=kind)


class TestRecordings:
    @pytest.mark.parametrize(("kind", "count"), [(Namespace, 6), (Service, 10), (EndpointSlice, 13), (Pod, 8)])
    def test_every_object_is_read(self, kind: type[Object], count: int) -> None:
        found = recorded(kind)
        assert len(found) == count
        assert len({each.key for each in found}) == count
        assert all(each.metadata.name for each in found)

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Server:
        server = Server(pods="verified", listed=())
        server.index.apply([Listed(kind, recorded(kind)) for kind in LISTS])
        return server

    def answers(self, server: Server, question: str, *data: str) -> None:
        name, rtype = question.split()
        expect(server.ask(name, rtype, stream=True), "\n".join(f"{name}. IN {rtype} {each}" for each in data))

    @pytest.mark.parametrize(
        ("question", "data"),
        [
            ("kubernetes.default.svc.cluster.local A", ["10.96.0.1"]),
            ("dual.demo.svc.cluster.local A", ["10.96.106.128"]),
            ("dual.demo.svc.cluster.local AAAA", ["fd00:10:96::4034"]),
            ("v6only.demo.svc.cluster.local AAAA", ["fd00:10:96::7fb7"]),
            ("headless.demo.svc.cluster.local A", ["10.244.2.1", "10.244.2.3"]),
            ("db-0.headless.demo.svc.cluster.local A", ["10.244.2.1"]),
            ("10-244-2-3.headless.demo.svc.cluster.local A", ["10.244.2.3"]),
            ("headless-dual.demo.svc.cluster.local A", ["10.244.2.1", "10.244.2.2", "10.244.2.3"]),
            ("headless-dual.demo.svc.cluster.local AAAA", ["fd00:10:244::1", "fd00:10:244::2"]),
            ("legacy.manual.demo.svc.cluster.local A", ["198.51.100.7"]),
            ("ext.rec.svc.cluster.local CNAME", ["my.database.example.com."]),
            ("1.0.96.10.in-addr.arpa PTR", ["kubernetes.default.svc.cluster.local."]),
            ("21.1.244.10.in-addr.arpa PTR", ["10-244-1-21.alpaca-prod.demo.svc.cluster.local."]),
            ("10-244-2-1.rec.pod.cluster.local A", ["10.244.2.1"]),
            ("fd00-10-244--2.demo.pod.cluster.local AAAA", ["fd00:10:244::2"]),
        ],
    )
    def test_answers(self, server: Server, question: str, data: list[str]) -> None:
        self.answers(server, question, *data)

    def test_slices_with_different_ports(self, server: Server) -> None:
        """One port of a service may have one number here and another there."""
        owner = "_pg._tcp.headless.demo.svc.cluster.local"
        expect(
            server.ask(owner, "SRV"),
            f"""
{owner}. IN SRV 0 50 5432 db-0.headless.demo.svc.cluster.local.
{owner}. IN SRV 0 50 15432 10-244-2-3.headless.demo.svc.cluster.local.
""",
            additional="""
db-0.headless.demo.svc.cluster.local. IN A 10.244.2.1
10-244-2-3.headless.demo.svc.cluster.local. IN A 10.244.2.3
""",
        )

    @pytest.mark.parametrize(
        "name", ["db-1.headless.demo.svc", "198-51-100-8.manual.demo.svc", "nobody.demo.svc", "10-244-1-21.rec.pod"]
    )
    def test_what_there_is_not(self, server: Server, name: str) -> None:
        expect_nothing(server, f"{name}.cluster.local")

    def test_a_namespace_without_services(self, server: Server) -> None:
        expect_no_data(server, "kube-public.svc.cluster.local")

    def test_a_watch(self) -> None:
        """Service by service as it came, over the list before it; bookmarks are the source's business."""
        server = Server(listed=())
        server.index.apply([Listed(kind, recorded(kind)) for kind in LISTS])
        seen = []
        for line in (RECORDINGS / "services-watch.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["type"] == "BOOKMARK":
                continue
            service = msgspec.convert(event["object"], Service)
            server.index.apply([Gone(Service, service.key) if event["type"] == "DELETED" else Put(service)])
            if service.key == ("rec", "ext"):
                seen.append(server.ask("ext.rec.svc.cluster.local").answer[0].to_text())
        assert seen == [
            "ext.rec.svc.cluster.local. 30 IN CNAME other.example.net.",
            "ext.rec.svc.cluster.local. 30 IN CNAME other.example.net.",
            "ext.rec.svc.cluster.local. 30 IN A 10.96.168.28",
        ]
        self.answers(server, "lb.rec.svc.cluster.local A", "10.96.99.185")
        self.answers(server, "big.rec.svc.cluster.local A", "10.96.133.124")
        expect_nothing(server, "114.57.96.10.in-addr.arpa", "PTR", zone="in-addr.arpa")
        expect_nothing(server, "short.svc.cluster.local")


class TestNulls:
    """Where an API server has nothing, it may send null."""

    @pytest.mark.parametrize("fields", [{}, {"endpoints": None, "ports": None}, {"endpoints": [], "ports": []}])
    def test_of_an_empty_slice(self, fields: dict[str, Any]) -> None:
        found = load(EndpointSlice, addressType="IPv4", **fields)
        assert not found.endpoints
        assert not found.ports

    @pytest.mark.parametrize(
        ("conditions", "ready"),
        [
            ({}, True),
            ({"conditions": None}, True),
            ({"conditions": {}}, True),
            ({"conditions": {"ready": None}}, True),
            ({"conditions": {"ready": True}}, True),
            ({"conditions": {"ready": True, "serving": False, "terminating": False}}, True),
            ({"conditions": {"ready": False}}, False),
            ({"conditions": {"ready": False, "serving": True, "terminating": True}}, False),
        ],
    )
    def test_of_conditions(self, conditions: dict[str, Any], ready: bool) -> None:
        found = load(EndpointSlice, addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1"], **conditions}])
        assert [each.is_ready for each in found.endpoints] == [ready]

    def test_of_labels(self) -> None:
        found = load(EndpointSlice, addressType="IPv4", metadata={"name": "n", "namespace": "s", "labels": None})
        assert found.service_key == ("s", "")

    def test_of_ports(self) -> None:
        assert load(Service, spec={"ports": None}).ports == ()


class TestServices:
    @pytest.mark.parametrize(
        ("spec", "cluster_ips", "headless", "external"),
        [
            ({}, (), False, False),
            ({"clusterIP": ""}, (), False, False),
            ({"clusterIP": "10.96.0.1"}, ("10.96.0.1",), False, False),
            ({"clusterIP": "10.96.0.1", "clusterIPs": None}, ("10.96.0.1",), False, False),
            (
                {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]},
                ("10.96.0.1", "fd00::1"),
                False,
                False,
            ),
            ({"clusterIP": "None", "clusterIPs": ["None"]}, (), True, False),
            ({"type": "ExternalName", "externalName": "x.y"}, (), False, True),
            ({"type": "ExternalName", "externalName": "x.y", "clusterIP": "None"}, (), False, True),
            ({"type": "ExternalName", "externalName": "x.y", "clusterIP": "10.96.0.1"}, (), False, True),
            ({"type": "LoadBalancer", "clusterIP": "10.96.0.1"}, ("10.96.0.1",), False, False),
        ],
    )
    def test_kinds(self, spec: dict[str, Any], cluster_ips: tuple[str, ...], headless: bool, external: bool) -> None:
        found = load(Service, spec=spec)
        assert (found.cluster_ips, found.is_headless, found.is_external_name) == (cluster_ips, headless, external)

    def test_are_frozen(self) -> None:
        with pytest.raises(AttributeError):
            load(Service).spec = None


class TestPods:
    @pytest.mark.parametrize(
        ("status", "addresses"),
        [
            ({}, ()),
            ({"podIP": ""}, ()),
            ({"podIP": "10.0.0.1"}, ("10.0.0.1",)),
            ({"podIP": "10.0.0.1", "podIPs": None}, ("10.0.0.1",)),
            ({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}, ("10.0.0.1", "fd00::1")),
        ],
    )
    def test_addresses(self, status: dict[str, Any], addresses: tuple[str, ...]) -> None:
        assert load(Pod, status=status).addresses == addresses

    @pytest.mark.parametrize(
        ("phase", "deleted", "running", "over"),
        [
            ("Running", None, True, False),
            ("Pending", None, True, False),
            ("Running", "2026-11-22T18:33:23Z", False, False),
            ("Succeeded", None, False, True),
            ("Failed", None, False, True),
            ("Unknown", None, False, False),
        ],
    )
    def test_phases(self, phase: str, deleted: str | None, running: bool, over: bool) -> None:
        found = load(
            Pod, metadata={"name": "n", "namespace": "s", "deletionTimestamp": deleted}, status={"phase": phase}
        )
        assert (found.is_running, found.is_over) == (running, over)

    @pytest.mark.parametrize(("status", "ready"), [("True", True), ("False", False), ("Unknown", False)])
    def test_readiness(self, status: str, ready: bool) -> None:
        conditions = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": status}]
        assert load(Pod, status={"conditions": conditions}).is_ready is ready
        assert not load(Pod).is_ready

    @pytest.mark.parametrize(
        ("spec", "status", "on_host"),
        [
            ({}, {}, False),
            ({}, {"podIP": "10.0.0.1"}, False),
            ({}, {"podIP": "10.0.0.1", "hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}]}, False),
            ({}, {"podIP": "10.0.0.1", "hostIP": "192.0.2.1", "hostIPs": None}, False),
            ({"hostNetwork": False}, {"podIP": "10.0.0.1"}, False),
            ({"hostNetwork": True}, {"podIP": "10.0.0.1"}, True),
            ({"hostNetwork": True}, {}, True),
            ({}, {"podIP": "192.0.2.1", "hostIP": "192.0.2.1"}, True),
            ({}, {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "hostIPs": [{"ip": "fd00::1"}]}, True),
        ],
    )
    def test_on_the_host_s_network(self, spec: dict[str, Any], status: dict[str, Any], on_host: bool) -> None:
        assert load(Pod, spec=spec, status=status).is_on_host_network is on_host

    def test_of_the_recordings_on_the_host_s_network(self) -> None:
        """Those that the API server has written so itself."""
        raw = json.loads((RECORDINGS / "pods-list.json").read_bytes())["items"]
        written = {each["metadata"]["name"] for each in raw if each["spec"].get("hostNetwork")}
        found = {each.metadata.name for each in recorded(Pod) if each.is_on_host_network}
        assert found == written


class TestHosts:
    def test_are_called_by_their_absolute_name(self) -> None:
        assert Host(b"\3nas\7example\0", (bytes(4),)).key == ("", "nas.example.")


class TestEndpoint:
    def test_without_anything_but_addresses_is_ready(self) -> None:
        assert Endpoint(("10.0.0.1",)).is_ready
        assert not Endpoint(("10.0.0.1",), Conditions(ready=False)).is_ready
