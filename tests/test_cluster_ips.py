"""Cluster IPs for the Services of manifests: the API server's rules, without its memory."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns.objects import Service
from clusterdns.sources.manifests.cluster_ips import NotAllocated, allocate, ranges

V4, V6 = "10.96.0.0/16", "fd00:96::/112"
ADDRESS = {"IPv4": ipaddress.ip_network(V4), "IPv6": ipaddress.ip_network(V6)}


def service(name: str = "cart", namespace: str = "shop", **spec: Any) -> Service:
    return msgspec.convert({"metadata": {"name": name, "namespace": namespace}, "spec": spec}, Service)


def one(cidrs: list[str], **spec: Any) -> Service:
    (only,) = allocate([service(**spec)], cidrs)
    return only


class TestWhoGetsAnAddress:
    @pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer"])
    @pytest.mark.parametrize("given", [{}, {"clusterIP": ""}, {"clusterIP": "", "clusterIPs": []}])
    def test_a_service_without_one(self, kind: str, given: dict[str, Any]) -> None:
        spec = one([V4], type=kind, **given).spec
        assert ipaddress.ip_address(spec.cluster_ip) in ADDRESS["IPv4"]
        assert spec.cluster_ips == (spec.cluster_ip,)
        assert spec.ip_families == ("IPv4",)

    @pytest.mark.parametrize("spec", [{"type": "ExternalName", "externalName": "example.com"}, {"clusterIP": "None"}])
    def test_never_an_external_name_nor_a_headless_service(self, spec: dict[str, Any]) -> None:
        assert allocate([service(**spec)], [V4]) == [service(**spec)]

    @pytest.mark.parametrize("address", ["10.96.3.4", "192.0.2.1"])
    def test_a_claimed_address_stays_in_the_range_or_not(self, address: str) -> None:
        assert one([V4], clusterIP=address).cluster_ips == (address,)


class TestFamilies:
    @pytest.mark.parametrize(
        ("cidrs", "spec", "families"),
        [
            ([V4], {}, ["IPv4"]),
            ([V6], {}, ["IPv6"]),
            ([V4, V6], {}, ["IPv4"]),
            ([V6, V4], {}, ["IPv6"]),
            ([V4, V6], {"ipFamilies": ["IPv6"]}, ["IPv6"]),
            ([V4, V6], {"ipFamilyPolicy": "SingleStack"}, ["IPv4"]),
            ([V4, V6], {"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"]),
            ([V4, V6], {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"]}, ["IPv6", "IPv4"]),
            ([V4, V6], {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]}, ["IPv6", "IPv4"]),
            ([V4], {"ipFamilyPolicy": "PreferDualStack"}, ["IPv4"]),
            ([V4, V6], {"clusterIP": "fd00::1"}, ["IPv6"]),
            ([V4], {"clusterIP": "fd00::1"}, ["IPv6"]),
            ([V4, V6], {"clusterIP": "10.96.0.9", "ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"]),
            ([V4, V6], {"clusterIP": "fd00::1", "ipFamilyPolicy": "RequireDualStack"}, ["IPv6", "IPv4"]),
            ([V4], {"clusterIPs": ["10.96.0.9", "fd00::1"], "ipFamilyPolicy": "RequireDualStack"}, ["IPv4", "IPv6"]),
        ],
    )
    def test_as_policy_and_families_say(self, cidrs: list[str], spec: dict[str, Any], families: list[str]) -> None:
        got = one(cidrs, **spec)
        assert got.spec.ip_families == tuple(families)
        assert [f"IPv{ipaddress.ip_address(each).version}" for each in got.cluster_ips] == families
        claimed = spec.get("clusterIPs") or [spec[key] for key in ("clusterIP",) if key in spec]
        assert list(got.cluster_ips[: len(claimed)]) == claimed
        for family, address in list(zip(families, got.cluster_ips, strict=True))[len(claimed) :]:
            assert ipaddress.ip_address(address) in ADDRESS[family]

    @pytest.mark.parametrize(
        ("spec", "reason"),
        [
            ({"ipFamilyPolicy": "RequireDualStack"}, "wants an IPv6 address: add a second --service-cidr, one of IPv6"),
            ({"ipFamilies": ["IPv6"]}, "wants an IPv6 address: add a second --service-cidr, one of IPv6"),
            (
                {"ipFamilies": ["IPv4", "IPv6"]},
                "has two ipFamilies: its ipFamilyPolicy must be PreferDualStack or RequireDualStack",
            ),
            (
                {"clusterIP": "10.96.0.9", "ipFamilies": ["IPv6"]},
                "has clusterIPs of other families than its ipFamilies IPv6",
            ),
        ],
    )
    def test_what_cannot_be(self, spec: dict[str, Any], reason: str) -> None:
        with pytest.raises(NotAllocated) as caught:
            one([V4], **spec)
        (fault,) = caught.value.faults
        assert (fault.services, fault.reason) == ((("shop", "cart"),), f"Service shop/cart {reason}")


class TestConflicts:
    def test_two_services_claim_one_address(self) -> None:
        services = [service("b", clusterIP="10.96.0.9"), service("a", clusterIP="10.96.0.9"), service("c")]
        with pytest.raises(NotAllocated, match=r"Services shop/a and shop/b both claim 10\.96\.0\.9") as caught:
            allocate(services, [V4])
        assert [fault.services for fault in caught.value.faults] == [(("shop", "a"), ("shop", "b"))]

    def test_all_faults_are_told(self) -> None:
        with pytest.raises(NotAllocated) as caught:
            allocate([service("a", ipFamilies=["IPv6"]), service("b", ipFamilyPolicy="RequireDualStack")], [V4])
        assert [fault.services for fault in caught.value.faults] == [(("shop", "a"),), (("shop", "b"),)]

    @pytest.mark.parametrize(
        ("cidr", "room"), [("10.0.0.0/28", 14), ("10.0.0.0/27", 30), ("fd00::/124", 15), ("10.0.0.0/31", 0)]
    )
    def test_a_range_gives_every_address_but_its_ends_and_then_is_full(self, cidr: str, room: int) -> None:
        services = [service(f"s{number}") for number in range(room)]
        network = ipaddress.ip_network(cidr)
        addresses = {ipaddress.ip_address(each.spec.cluster_ip) for each in allocate(services, [cidr])}
        assert len(addresses) == room
        assert network.network_address not in addresses
        assert network.version == 6 or network.broadcast_address not in addresses
        with pytest.raises(NotAllocated, match=f"gets no address: {cidr} is full"):
            allocate([*services, service("one-too-many")], [cidr])

    def test_the_lower_band_comes_last(self) -> None:
        """It is where people choose static addresses from: 16 of them in a /24 (min(max(16, 256 / 16), 256))."""
        got = allocate([service(f"s{number}") for number in range(239)], ["10.0.0.0/24"])
        assert {each.spec.cluster_ip for each in got} == {f"10.0.0.{last}" for last in range(16, 255)}


class TestCidrs:
    @pytest.mark.parametrize("cidrs", [[], [V4, "10.97.0.0/16"], [V4, V6, V4], ["10.96.0"], ["10.96.0.1/16"]])
    def test_what_is_refused(self, cidrs: list[str]) -> None:
        with pytest.raises(ValueError):
            ranges(cidrs)


NAMES = st.lists(st.from_regex(r"[a-z]{1,3}", fullmatch=True), min_size=1, max_size=40, unique=True)
SMALL = ["10.0.0.0/26", "fd00::/122"]


class TestWithoutAMemory:
    @given(names=NAMES, data=st.data())
    def test_whatever_the_order(self, names: list[str], data: st.DataObject) -> None:
        services = [service(name, ipFamilyPolicy="PreferDualStack") for name in names]
        assert allocate(services, SMALL) == allocate(data.draw(st.permutations(services)), SMALL)

    @given(names=NAMES, data=st.data())
    def test_no_address_is_ever_shared(self, names: list[str], data: st.DataObject) -> None:
        claims = data.draw(st.lists(st.integers(1, 62), max_size=len(names), unique=True))
        services = [
            service(name, clusterIP=f"10.0.0.{claims[index]}" if index < len(claims) else "")
            for index, name in enumerate(names)
        ]
        addresses = [address for each in allocate(services, SMALL) for address in each.cluster_ips]
        assert len(set(addresses)) == len(addresses) == len(names)

    def test_the_same_address_after_a_restart_and_on_another_machine(self) -> None:
        assert one([V4]).spec.cluster_ip == "10.96.80.105"

    def test_what_is_allocated_stays_when_it_is_allocated_again(self) -> None:
        once = allocate([service("a"), service("b", ipFamilyPolicy="PreferDualStack")], [V4, V6])
        assert allocate(once, [V4, V6]) == once
