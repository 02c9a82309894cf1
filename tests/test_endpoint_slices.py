"""EndpointSlices for manifests: what kube-controller-manager would have made of Pods and Endpoints."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clusterdns.objects import Endpoints, EndpointSlice, Pod, Service
from clusterdns.sources.manifests.endpoint_slices import made_slices

READY = [{"type": "Ready", "status": "True"}]
NOT_READY = [{"type": "Ready", "status": "False"}]


def service(name: str = "cart", **spec: Any) -> Service:
    spec = {"selector": {"app": "cart"}, "clusterIP": "10.96.0.9"} | spec
    return msgspec.convert({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}, Service)


def pod(name: str = "cart-0", *, namespace: str = "shop", spec: Any = None, status: Any = None, **metadata: Any) -> Pod:
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "cart", "tier": "back"}} | metadata
    status = {"phase": "Running", "podIP": "10.244.0.1", "conditions": READY} | (status or {})
    return msgspec.convert({"metadata": metadata, "spec": spec or {}, "status": status}, Pod)


def endpoints(*subsets: Any, name: str = "cart", labels: Any = None) -> Endpoints:
    metadata = {"name": name, "namespace": "shop", "labels": labels}
    return msgspec.convert({"metadata": metadata, "subsets": list(subsets)}, Endpoints)


def written(managed_by: str | None = None, name: str = "cart-abc", service: str = "cart") -> EndpointSlice:
    labels = {"kubernetes.io/service-name": service}
    if managed_by:
        labels["endpointslice.kubernetes.io/managed-by"] = managed_by
    metadata = {"name": name, "namespace": "shop", "labels": labels}
    return msgspec.convert({"metadata": metadata, "addressType": "IPv4", "endpoints": [], "ports": []}, EndpointSlice)


def endpoint_slices(
    services: list[Service], slices: list[EndpointSlice], endpoints: list[Endpoints], pods: Any
) -> list[EndpointSlice]:
    return [*slices, *[each.slice for each in made_slices(services, slices, endpoints, pods)]]


def made(service: Service, *pods: Pod) -> list[EndpointSlice]:
    return endpoint_slices([service], [], [], pods)


def addresses(slices: list[EndpointSlice]) -> list[str]:
    return sorted(address for each in slices for endpoint in each.endpoints or () for address in endpoint.addresses)


class TestWhichPods:
    @pytest.mark.parametrize(
        ("selector", "matches"),
        [
            ({"app": "cart"}, True),
            ({"app": "cart", "tier": "back"}, True),
            ({"app": "cart", "tier": "front"}, False),
            ({"app": "shop"}, False),
            ({"other": "cart"}, False),
            ({}, False),
            (None, False),
        ],
    )
    def test_all_labels_of_the_selector(self, selector: dict[str, str] | None, *, matches: bool) -> None:
        assert bool(made(service(selector=selector), pod())) is matches

    def test_never_for_an_external_name(self) -> None:
        assert not made(service(type="ExternalName"), pod())

    @pytest.mark.parametrize(
        "left_out",
        [
            pod(namespace="other"),
            pod(status={"podIP": ""}),
            pod(status={"phase": "Succeeded"}),
            pod(status={"phase": "Failed"}),
        ],
        ids=["other namespace", "no address", "succeeded", "failed"],
    )
    def test_left_out(self, left_out: Pod) -> None:
        assert not made(service(), left_out)


class TestReady:
    @pytest.mark.parametrize(
        ("conditions", "terminating", "publish", "ready"),
        [
            (READY, False, False, True),
            (NOT_READY, False, False, False),
            ([], False, False, False),
            (None, False, False, False),
            (READY, True, False, False),
            (NOT_READY, False, True, True),
            (READY, True, True, True),
        ],
    )
    def test_the_condition(self, conditions: Any, *, terminating: bool, publish: bool, ready: bool) -> None:
        given = pod(
            status={"conditions": conditions}, deletionTimestamp="2026-01-01T00:00:00Z" if terminating else None
        )
        (only,) = made(service(publishNotReadyAddresses=publish), given)
        assert [each.is_ready for each in only.endpoints or ()] == [ready]


class TestAnEndpoint:
    def test_target_and_labels(self) -> None:
        (only,) = made(service(), pod())
        assert only.service_key == ("shop", "cart")
        assert only.metadata.name == "cart-ipv4-1"
        (endpoint,) = only.endpoints or ()
        assert endpoint.target_ref is not None
        assert endpoint.target_ref.name == "cart-0"

    @pytest.mark.parametrize(
        ("spec", "hostname"),
        [
            ({"hostname": "first", "subdomain": "cart"}, "first"),
            ({"hostname": "first", "subdomain": "other"}, None),
            ({"hostname": "first"}, None),
            ({"subdomain": "cart"}, None),
        ],
    )
    def test_a_hostname_under_its_own_service_only(self, spec: dict[str, str], hostname: str | None) -> None:
        (only,) = made(service(), pod(spec=spec))
        assert [each.hostname for each in only.endpoints or ()] == [hostname]


class TestFamilies:
    DUAL = pod(status={"podIP": "10.244.0.1", "podIPs": [{"ip": "10.244.0.1"}, {"ip": "fd00::1"}]})
    V6 = pod("cart-1", status={"podIP": "fd00::2"})

    @pytest.mark.parametrize(
        ("spec", "families"),
        [
            ({"ipFamilies": ["IPv4"]}, {"IPv4": ["10.244.0.1"]}),
            ({"ipFamilies": ["IPv6"]}, {"IPv6": ["fd00::1", "fd00::2"]}),
            ({"ipFamilies": ["IPv4", "IPv6"]}, {"IPv4": ["10.244.0.1"], "IPv6": ["fd00::1", "fd00::2"]}),
            ({"clusterIP": "fd00:96::1"}, {"IPv6": ["fd00::1", "fd00::2"]}),
            ({"clusterIP": "None"}, {"IPv4": ["10.244.0.1"], "IPv6": ["fd00::2"]}),
            (
                {"clusterIP": "None", "ipFamilyPolicy": "PreferDualStack"},
                {"IPv4": ["10.244.0.1"], "IPv6": ["fd00::1", "fd00::2"]},
            ),
        ],
    )
    def test_one_slice_for_each_family_of_the_service(
        self, spec: dict[str, Any], families: dict[str, list[str]]
    ) -> None:
        """A headless service that names no families takes each pod's primary address, or all if it is dual stack."""
        slices = made(service(**spec), self.DUAL, self.V6)
        assert {each.address_type: addresses([each]) for each in slices} == families


CONTAINERS = {
    "containers": [{"ports": [{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 5353}]}],
    "initContainers": [
        {"ports": [{"name": "admin", "containerPort": 15000}], "restartPolicy": "Always"},
        {"ports": [{"name": "setup", "containerPort": 99}]},
    ],
}


class TestPorts:
    @pytest.mark.parametrize(
        ("port", "number"),
        [
            ({"port": 80}, 80),
            ({"port": 80, "targetPort": 8000}, 8000),
            ({"port": 80, "targetPort": 0}, 80),
            ({"port": 80, "targetPort": ""}, 80),
            ({"port": 80, "targetPort": "http"}, 8080),
            ({"port": 80, "targetPort": "admin"}, 15000),
            ({"port": 80, "targetPort": "setup"}, None),
            ({"port": 80, "targetPort": "other"}, None),
            ({"port": 53, "targetPort": "dns", "protocol": "UDP"}, None),
        ],
    )
    def test_the_number_behind_a_target_port(self, port: dict[str, Any], number: int | None) -> None:
        (only,) = made(service(ports=[{"name": "web"} | port]), pod(spec=CONTAINERS))
        found = [(each.name, each.port, each.protocol) for each in only.ports or ()]
        assert found == ([("web", number, port.get("protocol", "TCP"))] if number else [])

    def test_a_service_without_ports(self) -> None:
        (only,) = made(service(clusterIP="None"), pod())
        assert only.ports == ()
        assert addresses([only]) == ["10.244.0.1"]

    def test_pods_with_other_numbers_stand_in_other_slices(self) -> None:
        other = {"containers": [{"ports": [{"name": "http", "containerPort": 9090}]}]}
        slices = made(
            service(ports=[{"port": 80, "targetPort": "http"}]),
            pod(spec=CONTAINERS),
            pod("cart-1", spec=other, status={"podIP": "10.244.0.2"}),
        )
        found = {each.metadata.name: ([port.port for port in each.ports or ()], addresses([each])) for each in slices}
        assert found == {"cart-ipv4-1": ([8080], ["10.244.0.1"]), "cart-ipv4-2": ([9090], ["10.244.0.2"])}


MIXED = {
    "addresses": [{"ip": "10.0.0.1", "hostname": "one"}, {"ip": "fd00::1"}],
    "notReadyAddresses": [{"ip": "10.0.0.2", "targetRef": {"kind": "Pod", "name": "cart-2"}}],
    "ports": [{"name": "web", "port": 80, "protocol": "TCP"}],
}


class TestEndpointsObjects:
    def test_are_mirrored_each_family_apart(self) -> None:
        slices = endpoint_slices([service(selector=None)], [], [endpoints(MIXED)], [])
        assert {each.address_type: addresses([each]) for each in slices} == {
            "IPv4": ["10.0.0.1", "10.0.0.2"],
            "IPv6": ["fd00::1"],
        }
        found = {
            endpoint.addresses[0]: (
                endpoint.is_ready,
                endpoint.hostname,
                endpoint.target_ref and endpoint.target_ref.name,
            )
            for each in slices
            for endpoint in each.endpoints or ()
        }
        assert found == {
            "10.0.0.1": (True, "one", None),
            "10.0.0.2": (False, None, "cart-2"),
            "fd00::1": (True, None, None),
        }
        assert {port.port for each in slices for port in each.ports or ()} == {80}

    def test_without_a_service_are_nothing(self) -> None:
        assert not endpoint_slices([], [], [endpoints(MIXED)], [])

    def test_subsets_with_other_ports_stand_in_other_slices(self) -> None:
        subsets = [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": port}]} for port in (80, 81)]
        slices = endpoint_slices([service(selector=None)], [], [endpoints(*subsets)], [])
        assert [[port.port for port in each.ports or ()] for each in slices] == [[80], [81]]


SUBSET = {"addresses": [{"ip": "10.0.0.1"}]}
BY_SLICES, BY_MIRRORING = "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"


class TestWhatIsWrittenAlready:
    @pytest.mark.parametrize(
        ("slices", "mirrored", "expected"),
        [
            ([], [], ["10.244.0.1"]),
            ([written()], [], ["10.244.0.1"]),
            ([written("by-hand")], [], ["10.244.0.1"]),
            ([written(BY_SLICES)], [], []),
            ([written(BY_SLICES, service="other")], [], ["10.244.0.1"]),
            ([], [endpoints(SUBSET)], ["10.0.0.1"]),
            ([written()], [endpoints(SUBSET)], ["10.0.0.1"]),
            ([written(BY_SLICES)], [endpoints(SUBSET)], []),
            ([written(BY_MIRRORING)], [endpoints(SUBSET)], []),
            (
                [],
                [endpoints(SUBSET, labels={"endpointslice.kubernetes.io/skip-mirror": "true"})],
                ["10.244.0.1"],
            ),
        ],
    )
    def test_is_not_made_again(self, slices: Any, mirrored: Any, expected: list[str]) -> None:
        """The service selects a pod, 10.244.0.1; its Endpoints object holds 10.0.0.1."""
        got = endpoint_slices([service()], slices, mirrored, [pod()])
        assert got[: len(slices)] == slices
        assert addresses(got) == expected

    def test_a_taken_name_is_not_given_again(self) -> None:
        got = endpoint_slices([service()], [written(name="cart-ipv4-1")], [], [pod()])
        assert [each.metadata.name for each in got] == ["cart-ipv4-1", "cart-ipv4-2"]

    def test_whatever_the_order(self) -> None:
        services, pods = [service("a"), service("b")], [pod(), pod("cart-1", status={"podIP": "10.244.0.2"})]
        assert endpoint_slices(services, [], [], pods) == endpoint_slices(services[::-1], [], [], pods[::-1])
