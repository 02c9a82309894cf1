"""The index after any events answers as one that was made of the final objects; and it keeps nothing that is gone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import dns.message
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterdns import names
from clusterdns.events import Event, Gone, Listed, Put
from clusterdns.index.hostnames import MOST_POINTERS
from clusterdns.nodes import HostAddress, HostName, Nothing, ServiceName
from clusterdns.objects import EndpointSlice, Host, Key, Namespace, Node, Object, Pod, Service
from clusterdns.respond import responder
from clusterdns.wire import Dialect
from tests import cluster
from tests.cluster import external_zone, make_index, sets

if TYPE_CHECKING:
    from clusterdns.index import Index

ALL = (*cluster.ALL, Host)
ZONES = ("cluster.local", "k8s.org")
NAMESPACES, SERVICES, SLICES, PODS, MACHINES = ("a", "b"), ("x", "y", "z"), ("s", "t"), ("p", "q"), ("m", "n")
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "192.0.2.1", "fd00::1", "fd00::"]
CLUSTER_IPS = ["10.96.0.1", "10.96.0.2", "10.0.0.1", "fd00:96::1"]
HOSTS = [
    "example.com",  # where aliases lead
    "x.a.svc.cluster.local",
    "y.a.svc.k8s.org",
    "host-0.y.a.svc.cluster.local",
    "nobody.x.a.svc.cluster.local",
    "_http._tcp.x.a.svc.cluster.local",
    "a.svc.cluster.local",
    "a.pod.cluster.local",
    "10-0-0-1.a.pod.cluster.local",
    "cluster.local",
    "1.0.0.10.in-addr.arpa",
    "printer",
]
PORTS = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}, {"port": 9}]


def made(kind: type[Object], name: str, namespace: str = "", **fields: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
    return msgspec.convert({"metadata": metadata, **fields}, kind)


def services() -> st.SearchStrategy[Object]:
    ports = st.lists(st.sampled_from(PORTS), unique_by=str, max_size=2)
    external_ips = st.lists(st.sampled_from(ADDRESSES), max_size=2)
    return st.one_of(
        # A cluster IP belongs to one service, which the API server sees to.
        st.builds(
            lambda at, ports, more, outside: made(
                Service,
                SERVICES[at % 3],
                NAMESPACES[at // 3 % 2],
                spec={
                    "clusterIP": f"10.96.0.{at}",
                    "clusterIPs": [f"10.96.0.{at}", f"fd00:96::{at}"][: 1 + more],
                    "ports": ports,
                    "externalIPs": outside,
                },
            ),
            st.integers(0, 11),
            ports,
            st.integers(0, 1),
            external_ips,
        ),
        st.builds(
            lambda name, namespace, ports, outside: made(
                Service, name, namespace, spec={"clusterIP": "None", "ports": ports, "externalIPs": outside}
            ),
            st.sampled_from(SERVICES),
            st.sampled_from(NAMESPACES),
            ports,
            external_ips,
        ),
        st.builds(
            lambda name, namespace, number: made(
                Service,
                name,
                namespace,
                spec={
                    "type": "NodePort",
                    "clusterIP": f"10.96.1.{SERVICES.index(name)}{NAMESPACES.index(namespace)}",
                    "ports": [{"name": "http", "port": 80, "nodePort": number}],
                },
            ),
            st.sampled_from(SERVICES),
            st.sampled_from(NAMESPACES),
            st.sampled_from([0, 30080]),
        ),
        st.builds(
            lambda name, namespace, target: made(
                Service, name, namespace, spec={"type": "ExternalName", "externalName": target}
            ),
            st.sampled_from(SERVICES),
            st.sampled_from(NAMESPACES),
            st.sampled_from(["example.com", "x.a.svc.cluster.local", "y.a.svc.k8s.org", "10.0.0.1"]),
        ),
    )


def slices() -> st.SearchStrategy[Object]:
    def endpoint(at: int, ready: bool | None, named: bool) -> dict[str, Any]:
        hostname = f"host-{at}" if named else None  # of one address the same in all slices, as of one pod
        return {"addresses": [ADDRESSES[at]], "conditions": {"ready": ready}, "hostname": hostname}

    endpoints = st.builds(
        lambda ats, ready: [endpoint(at, ready, at % 2 == 0) for at in ats],
        st.lists(st.integers(0, len(ADDRESSES) - 1), max_size=3),
        st.sampled_from([True, True, None, False]),
    )
    return st.builds(
        lambda name, namespace, service, endpoints, ports: made(
            EndpointSlice,
            name,
            namespace,
            metadata={"labels": {"kubernetes.io/service-name": service}},
            addressType="IPv4",
            endpoints=endpoints,
            ports=ports,
        ),
        st.sampled_from(SLICES),
        st.sampled_from(NAMESPACES),
        st.sampled_from(SERVICES),
        endpoints,
        st.lists(st.sampled_from(PORTS), unique_by=str, max_size=2),
    )


def pods() -> st.SearchStrategy[Object]:
    return st.builds(
        lambda name, namespace, phase, ips: made(
            Pod, name, namespace, status={"phase": phase, "podIPs": [{"ip": each} for each in ips]}
        ),
        st.sampled_from(PODS),
        st.sampled_from(NAMESPACES),
        st.sampled_from(["Running", "Running", "Pending", "Failed"]),
        st.lists(st.sampled_from(ADDRESSES), max_size=3),
    )


def machines() -> st.SearchStrategy[Object]:
    return st.builds(
        lambda name, addresses, ready: made(
            Node,
            name,
            "",
            status={
                "addresses": [{"type": "ExternalIP", "address": each} for each in addresses],
                "conditions": [{"type": "Ready", "status": ready}],
            },
        ),
        st.sampled_from(MACHINES),
        st.lists(st.sampled_from(["198.51.100.8", "198.51.100.9"]), max_size=2, unique=True),
        st.sampled_from(["True", "True", "False"]),
    )


def hosts() -> st.SearchStrategy[Object]:
    packed = [names.address(each) for each in (*ADDRESSES, "10.96.0.1", "0.0.0.0", "198.51.100.1")]
    return st.builds(
        lambda name, addresses: Host(names.from_text(name), tuple(addresses)),
        st.sampled_from(HOSTS),
        st.lists(st.sampled_from(packed), min_size=1, max_size=3, unique=True),
    )


def objects() -> st.SearchStrategy[Object]:
    namespaces = st.builds(lambda name: made(Namespace, name), st.sampled_from(NAMESPACES))
    return st.one_of(services(), slices(), slices(), services(), pods(), namespaces, hosts(), hosts(), machines())


def keys(kind: type[Object]) -> st.SearchStrategy[Key]:
    if kind is Host:
        return st.sampled_from(HOSTS).map(lambda name: ("", f"{name}."))
    called = {Service: SERVICES, EndpointSlice: SLICES, Pod: PODS, Namespace: NAMESPACES, Node: MACHINES}[kind]
    namespaces = st.just("") if kind in (Namespace, Node) else st.sampled_from(NAMESPACES)
    return st.tuples(namespaces, st.sampled_from(called))


def events() -> st.SearchStrategy[Event]:
    kinds = st.sampled_from(ALL)
    return st.one_of(
        objects().map(Put),
        objects().map(Put),
        objects().map(Put),
        kinds.flatmap(lambda kind: st.builds(Gone, st.just(kind), keys(kind))),
        st.builds(
            lambda kind, given: Listed(kind, tuple({each.key: each for each in given if type(each) is kind}.values())),
            kinds,
            st.lists(objects(), max_size=6),
        ),
    )


def questions() -> list[tuple[str, str]]:
    below = ["_http._tcp", "_dns._udp", "_tcp", "_udp", "host-0", "host-4", "10-0-0-2", "fd00--0", "10-0-1-1", "nobody"]
    asked = [("", "A"), ("svc", "A"), ("pod", "A"), ("ns.dns", "A")]
    for namespace in NAMESPACES:
        asked += [(f"{namespace}.svc", "A"), (f"{namespace}.pod", "A"), (f"10-0-0-1.{namespace}.pod", "A")]
        asked += [(f"fd00--1.{namespace}.pod", "AAAA")]
        for service in SERVICES:
            name = f"{service}.{namespace}.svc"
            asked += [(name, "A"), (name, "AAAA"), (name, "SRV")]
            asked += [(f"{each}.{name}", rtype) for each in below for rtype in ("A", "SRV")]
    forward = [(f"{name}.{zone}".removeprefix("."), rtype) for zone in ZONES for name, rtype in asked]
    forward += [(name.replace(".svc", "") + ".example.org", rtype) for name, rtype in asked if ".svc" in name]
    forward += [(name, rtype) for name in HOSTS for rtype in ("A", "AAAA", "MX")]
    forward += [("below.printer", "A"), ("below.x.a.svc.cluster.local", "A"), ("nobody.cluster.local", "A")]
    reverse = [
        dns_reverse(each)
        for each in ("198.51.100.1", "0.0.0.0", *ADDRESSES, *CLUSTER_IPS, *(f"10.96.0.{at}" for at in range(12)))
    ]
    partial = [
        ".".join(each.split(".")[cut:]) for each in reverse for cut in (1, 2, 3, 20) if each.count(".") > cut + 1
    ]
    return forward + [(each, "PTR") for each in dict.fromkeys(reverse + partial)]


def dns_reverse(address: str) -> str:
    import dns.reversename

    return dns.reversename.from_address(address).to_text()


PACKETS = [dns.message.make_query(name, rtype, id=7).to_wire() for name, rtype in questions()]


def new_index() -> Index:
    outside = [external_zone("example.org", headless=True, node_ports=True), external_zone("in-addr.arpa")]
    return make_index(zones=ZONES, settings={"pods": "verified"}, external_zones=outside, dns_service=("a", "x"))


def meaning(packet: bytes) -> Any:
    """What a reply says, in no order."""
    reply = dns.message.from_wire(packet)
    authority = [(each.name, each.ttl, each.rdtype) for each in reply.authority]
    return reply.rcode(), sets(reply.answer), sets(reply.additional), authority


def answers(index: Index) -> list[bytes]:
    respond = responder(index, Dialect(), stream=True)
    return [respond(each) or b"" for each in PACKETS]


def differing(one: Index, other: Index) -> list[tuple[str, str]]:
    """The questions that the two answer differently; replies that are the same bytes are not looked into."""
    for zone in (*one._every_zone(), *other._every_zone()):
        zone.serial = 1  # or most replies would differ
    pairs = zip(questions(), answers(one), answers(other), strict=True)
    return [asked for asked, a, b in pairs if a != b and meaning(a) != meaning(b)]


def fresh(live: dict[type[Object], dict[Key, Object]]) -> Index:
    index = new_index()
    index.apply([Listed(kind, tuple(live[kind].values())) for kind in ALL])
    return index


def apply_to(live: dict[type[Object], dict[Key, Object]], event: Event) -> None:
    match event:
        case Put(new):
            live[type(new)][new.key] = new
        case Gone(kind, key):
            live[kind].pop(key, None)
        case Listed(kind, given):
            live[kind] = {each.key: each for each in given}


class TestAnyEvents:
    @settings(max_examples=20)
    @given(st.lists(st.lists(events(), min_size=1, max_size=6), min_size=1, max_size=6))
    def test_lead_to_the_answers_of_the_final_objects(self, batches: list[list[Event]]) -> None:
        """Also with questions between them, which leave grown nodes and remembered replies behind."""
        index = new_index()
        index.apply([Listed(kind, ()) for kind in ALL])
        live: dict[type[Object], dict[Key, Object]] = {kind: {} for kind in ALL}
        for batch in batches:
            answers(index)
            index.apply(batch)
            for event in batch:
                apply_to(live, event)
        assert differing(index, fresh(live)) == []

    @settings(max_examples=20)
    @given(st.lists(objects(), max_size=20))
    def test_leave_nothing_behind_when_everything_is_gone(self, given_objects: list[Object]) -> None:
        index = new_index()
        for each in given_objects:
            index.apply([Put(each)])
            answers(index)
        answers(index)
        index.apply([Gone(type(each), each.key) for each in given_objects])
        assert_empty(index)

    @settings(max_examples=20)
    @given(st.lists(objects(), max_size=20), st.permutations(ALL))
    def test_leave_nothing_behind_when_lists_come_back_empty(
        self, given_objects: list[Object], order: list[type[Object]]
    ) -> None:
        index = new_index()
        index.apply([Put(each) for each in given_objects])
        answers(index)
        for kind in order:
            index.apply([Listed(kind, ())])
            answers(index)
        assert_empty(index)

    @settings(max_examples=20)
    @given(st.lists(events(), max_size=12))
    def test_are_the_same_twice_over(self, given_events: list[Event]) -> None:
        """A source may say again what is known; nothing changes then, not even the serial."""
        index = new_index()
        index.apply([*given_events, *(Listed(kind, ()) for kind in ALL)])
        state = [Listed(kind, tuple(table.objects.values())) for kind, table in index._tables.items()]
        nodes, serial = dict(index.nodes), index.zones[0].serial
        index.apply(state)
        assert index.nodes == nodes
        assert index.zones[0].serial == serial


def assert_empty(index: Index) -> None:
    empty = new_index()
    assert index.nodes.keys() == empty.nodes.keys()
    for name, value in (*vars(index).items(), *vars(index._reverse).items()):
        if name in ("nodes", "_tables", "_awaited"):
            continue
        if isinstance(value, dict):
            assert value == {}, name
    assert not any(table.objects for table in index._tables.values())
    for value in (index._aliases, index._tree._behind, index._hosts._names, index._pod_addresses._held):
        assert not value
    for holders in (index._reverse.cluster_ips, index._reverse.endpoints, index._reverse.external_addresses):
        assert len(holders) == 0
        assert not any(holders._ordered.values())


class TestMemory:
    def test_churn_at_a_shared_address_leaves_nothing_behind(self) -> None:
        """A pod on the host's network comes and goes beside one that stays."""

        def node(service: str, ready: bool) -> Put:
            return Put(
                made(
                    EndpointSlice,
                    service,
                    "a",
                    metadata={"labels": {"kubernetes.io/service-name": service}},
                    addressType="IPv4",
                    endpoints=[{"addresses": ["192.0.2.1"], "conditions": {"ready": ready}}],
                )
            )

        index = new_index()
        index.apply([Put(made(Service, each, "a", spec={"clusterIP": "None"})) for each in ("x", "y")])
        index.apply([node("x", ready=True)])
        respond = responder(index, Dialect(), stream=False)
        question = dns.message.make_query("1.2.0.192.in-addr.arpa", "PTR").to_wire()
        for turn in range(100):
            index.apply([node("y", ready=turn % 2 == 0)])
            assert len(dns.message.from_wire(respond(question)).answer[0]) == 1 + (turn % 2 == 0)
        assert sum(map(len, index._reverse._mentioned_at.values())) <= 2

    def test_a_storm_of_forms_is_forgotten(self) -> None:
        """Whoever varies what need not vary fills no memory."""
        index = new_index()
        index.apply([Listed(kind, ()) for kind in ALL])
        respond = responder(index, Dialect(), stream=False)
        for number in range(600):
            respond(
                dns.message.make_query("nobody.svc.cluster.local", number % 60 + 100, flags=number % 2 << 8).to_wire()
            )
            respond(dns.message.make_query("svc.cluster.local", "A", use_edns=0, payload=number + 512).to_wire())
            respond(dns.message.make_query(f"n-{number}.in-addr.arpa", "A").to_wire())
        remembered = [index.nodes[each] for each in index.nodes]
        remembered += [each.nothing for each in remembered if each.nothing]
        assert max(len(each.replies) for each in remembered) <= 32
        assert len(index.nodes) == len(new_index().nodes)

    @pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts bytes")
    def test_a_node_that_was_never_asked_for_is_small(self) -> None:
        index = new_index()
        index.apply([Put(made(Service, f"s-{number}", "a", spec={"clusterIP": "None"})) for number in range(10)])
        node = index.nodes[names.from_text("s-1.a.svc.cluster.local")]
        assert sys.getsizeof(node) + sys.getsizeof(node.replies) < 256


class TestHosts:
    """A node that the hosts file hides is kept up behind it."""

    NAME = names.from_text("x.a.svc.cluster.local")
    HOST = Host(NAME, (bytes(4),))

    def service(self, address: str) -> Put:
        return Put(made(Service, "x", "a", spec={"clusterIP": address}))

    def test_replaces_a_node_and_gives_it_back(self) -> None:
        index = new_index()
        index.apply([self.service("10.96.0.1")])
        before = index.nodes[self.NAME]
        index.apply([Put(self.HOST)])
        assert isinstance(index.nodes[self.NAME], HostName)
        index.apply([Gone(Host, self.HOST.key)])
        after = index.nodes[self.NAME]
        assert isinstance(after, ServiceName)
        assert after.service is before.service

    def test_says_nothing_new_twice(self) -> None:
        """The node stays, and with it the replies that are encoded."""
        index = new_index()
        index.apply([Listed(Host, (self.HOST,))])
        node, serial = index.nodes[self.NAME], index.serial
        index.apply([Listed(Host, (Host(self.NAME, (bytes(4),)),)), Put(Host(self.NAME, (bytes(4),)))])
        assert index.nodes[self.NAME] is node
        assert index.serial == serial

    def test_a_change_forgets_the_replies(self) -> None:
        index = new_index()
        index.apply([Put(self.HOST)])
        respond = responder(index, Dialect(), stream=False)
        respond(dns.message.make_query("x.a.svc.cluster.local", "A").to_wire())
        assert index.nodes[self.NAME].replies
        index.apply([Put(Host(self.NAME, (b"\1\2\3\4",)))])
        assert not index.nodes[self.NAME].replies

    def test_are_told_by_kind(self) -> None:
        index = new_index()
        index.apply([Put(self.HOST)])
        assert index.objects(Host) == (self.HOST,)
        assert [index.count(each) for each in (Host, Service)] == [1, 0]

    def test_are_not_waited_for(self) -> None:
        assert "Host" not in new_index().awaited

    def test_of_one_address_lead_back_to_the_first_of_them(self) -> None:
        """In the order of the file; a block list has tens of thousands."""
        index = make_index()
        listed = tuple(Host(names.from_text(f"n-{at}.example"), (b"\x7f\0\0\1",)) for at in range(20_000))
        index.apply([Listed(Host, listed)])
        node = index.find(names.reverse(b"\x7f\0\0\1"))
        assert isinstance(node, HostAddress)
        assert node.names == tuple(each.name for each in listed[:MOST_POINTERS])
        index.apply([Gone(Host, each.key) for each in listed[: -MOST_POINTERS - 1]])
        node = index.find(names.reverse(b"\x7f\0\0\1"))
        assert isinstance(node, HostAddress)
        assert node.names == tuple(each.name for each in listed[-MOST_POINTERS - 1 : -1])
        index.apply([Listed(Host, ())])
        assert isinstance(index.find(names.reverse(b"\x7f\0\0\1")), Nothing)

    def test_take_no_more_memory_for_being_asked_about(self) -> None:
        """What is looked up by its address is kept, but nothing that there is not."""
        index = make_index(reverse_zones=())
        index.apply([Put(Host(names.from_text("a"), (b"\x0a\0\0\1",)))])
        size = len(index.nodes)
        for octet in range(256):
            index.find(names.reverse(bytes((10, 0, 0, octet))))
        assert len(index.nodes) == size + 1


class TestListed:
    def test_what_vanished_during_a_gap_goes(self) -> None:
        index = new_index()
        both = [made(Service, each, "a", spec={"clusterIP": f"10.96.0.{at}"}) for at, each in enumerate("xy", 1)]
        index.apply([Listed(kind, ()) for kind in ALL])
        index.apply([Put(each) for each in both])
        answers(index)
        index.apply([Listed(Service, (both[0],))])
        live: dict[type[Object], dict[Key, Object]] = {kind: {} for kind in ALL}
        live[Service] = {both[0].key: both[0]}
        assert differing(index, fresh(live)) == []

    def test_what_is_as_it_was_keeps_its_node(self) -> None:
        """And with it the replies that are encoded."""
        index = new_index()
        both = [made(Service, each, "a", spec={"clusterIP": f"10.96.0.{at}"}) for at, each in enumerate("xy", 1)]
        index.apply([Listed(Service, tuple(both))])
        name = names.from_text("x.a.svc.cluster.local")
        before = index.nodes[name]
        changed = made(Service, "y", "a", spec={"clusterIP": "10.96.0.9"})
        index.apply([Listed(Service, (both[0], changed))])
        assert index.nodes[name] is before


class TestSerial:
    def test_is_never_behind_the_clock(self) -> None:
        now = 1_800_000_000.5
        index = make_index(clock=lambda: now)
        assert index.zones[0].serial == 1_800_000_000
        index.apply([Put(made(Namespace, "a"))])
        assert index.zones[0].serial == 1_800_000_001

    def test_starts_again_at_its_end(self) -> None:
        index = make_index(clock=lambda: (1 << 32) - 1)
        index.apply([Put(made(Namespace, "a"))])
        assert index.zones[0].serial == 0

    def test_grows_once_a_batch(self) -> None:
        index = new_index()
        before = index.zones[0].serial
        index.apply([Put(made(Namespace, each)) for each in "abc"])
        assert index.zones[0].serial == before + 1
