"""Section 2.6: the deprecated names of pods, `<dashed address>.<namespace>.pod.<zone>`."""

from __future__ import annotations

import pytest

from clusterdns.objects import Namespace, Pod
from tests.cluster import Server, expect, expect_no_data, expect_nothing

CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Namespace
metadata: {name: bare}
---
kind: Pod
metadata: {name: dual, namespace: shop}
status: {phase: Running, podIP: 10.244.0.1, podIPs: [{ip: 10.244.0.1}, {ip: "fd00:244::7"}]}
---
kind: Pod
metadata: {name: single, namespace: shop}
status: {phase: Pending, podIP: 10.244.0.2}
---
kind: Pod
metadata: {name: done, namespace: shop}
status: {phase: Succeeded, podIP: 10.244.0.3}
---
kind: Pod
metadata: {name: failed, namespace: shop}
status: {phase: Failed, podIP: 10.244.0.4}
---
kind: Pod
metadata: {name: leaving, namespace: shop, deletionTimestamp: "2026-11-22T18:33:23Z"}
status: {phase: Running, podIP: 10.244.0.5}
---
kind: Pod
metadata: {name: new, namespace: shop}
---
kind: Pod
metadata: {name: host-a, namespace: shop}
status: {phase: Running, podIP: 192.0.2.1}
---
kind: Pod
metadata: {name: host-b, namespace: shop}
status: {phase: Running, podIP: 192.0.2.1, podIPs: [{ip: 192.0.2.1}, {ip: 192.0.2.1}]}
"""

ADDRESSES = [
    ("10-244-0-1", "A", "10.244.0.1"),
    ("10-244-0-2", "A", "10.244.0.2"),
    ("fd00-244--7", "AAAA", "fd00:244::7"),
    ("FD00-244--7", "AAAA", "fd00:244::7"),
    ("fd00-244-0-0-0-0-0-7", "AAAA", "fd00:244::7"),
]
NOT_ADDRESSES = [
    "10-244-0",
    "10-244-0-256",
    "10-244-0-1-2",
    "010-244-0-1",
    "fd00-244---7",
    "fd00-244-",
    "10\\.244\\.0\\.1",
    "fd00:244::7",
    "fd00-244--7%eth0",
    "dual",
    "-",
    "*",
    "\\255",
    "x.10-244-0-1",
]


class TestDisabled:
    @pytest.mark.parametrize("name", ["10-244-0-1.shop", "shop"])
    def test_there_are_none(self, name: str) -> None:
        server = Server(CLUSTER)
        expect_nothing(server, f"{name}.pod.cluster.local")
        expect_no_data(server, "pod.cluster.local")


@pytest.fixture(scope="module")
def insecure() -> Server:
    return Server(CLUSTER, pods="insecure")


@pytest.fixture(scope="module")
def verified() -> Server:
    return Server(CLUSTER, pods="verified")


class TestInsecure:
    @pytest.mark.parametrize(
        ("label", "rtype", "address"),
        [
            *ADDRESSES,
            ("192-168-77-1", "A", "192.168.77.1"),
            ("--1", "AAAA", "::1"),
            ("fd00--0", "AAAA", "fd00::"),
            ("fd00--", "AAAA", "fd00::"),
        ],
    )
    def test_any_address_of_an_existing_namespace(self, insecure: Server, label: str, rtype: str, address: str) -> None:
        name = f"{label}.bare.pod.cluster.local"
        expect(insecure.ask(name, rtype), f"{name}. IN {rtype} {address}")
        expect_no_data(insecure, name, "AAAA" if rtype == "A" else "A")
        expect_no_data(insecure, name, "SRV")

    @pytest.mark.parametrize("label", NOT_ADDRESSES)
    def test_what_is_no_address_is_no_name(self, insecure: Server, label: str) -> None:
        expect_nothing(insecure, f"{label}.shop.pod.cluster.local")
        expect_nothing(insecure, f"{label}.shop.pod.cluster.local", "AAAA")

    def test_the_namespace_must_exist(self) -> None:
        server = Server(CLUSTER, pods="insecure")
        expect_nothing(server, "10-244-0-1.nowhere.pod.cluster.local")
        expect_nothing(server, "nowhere.pod.cluster.local")
        expect_no_data(server, "shop.pod.cluster.local")
        server.gone(Namespace, "shop")
        expect_nothing(server, "10-244-0-1.shop.pod.cluster.local")
        expect_nothing(server, "shop.pod.cluster.local")


class TestVerified:
    @pytest.mark.parametrize(("label", "rtype", "address"), [*ADDRESSES, ("192-0-2-1", "A", "192.0.2.1")])
    def test_any_address_of_a_running_pod(self, verified: Server, label: str, rtype: str, address: str) -> None:
        name = f"{label}.shop.pod.cluster.local"
        expect(verified.ask(name, rtype), f"{name}. IN {rtype} {address}")

    @pytest.mark.parametrize(
        "name",
        [
            "10-244-0-1.bare",  # a pod of another namespace
            "10-244-0-3.shop",  # ended
            "10-244-0-4.shop",  # failed
            "10-244-0-5.shop",  # being deleted
            "10-244-0-6.shop",  # nobody's
            "10-244-0-1.nowhere",
        ],
    )
    def test_no_other(self, verified: Server, name: str) -> None:
        expect_nothing(verified, f"{name}.pod.cluster.local")

    @pytest.mark.parametrize("label", NOT_ADDRESSES)
    def test_what_is_no_address_is_no_name(self, verified: Server, label: str) -> None:
        expect_nothing(verified, f"{label}.shop.pod.cluster.local")
        expect_nothing(verified, f"{label}.shop.pod.cluster.local", "AAAA")

    def test_follows_its_pods(self) -> None:
        server, name = Server(CLUSTER, pods="verified"), "10-244-0-9.shop.pod.cluster.local"
        expect_nothing(server, name)
        server.put("{kind: Pod, metadata: {name: new, namespace: shop}, status: {phase: Running, podIP: 10.244.0.9}}")
        expect(server.ask(name), f"{name}. IN A 10.244.0.9")
        server.put("{kind: Pod, metadata: {name: new, namespace: shop}, status: {phase: Failed, podIP: 10.244.0.9}}")
        expect_nothing(server, name)

    def test_an_address_is_there_until_its_last_pod_is_gone(self) -> None:
        """Pods on the host's network share its address."""
        server, name = Server(CLUSTER, pods="verified"), "192-0-2-1.shop.pod.cluster.local"
        server.gone(Pod, "host-a", "shop")
        expect(server.ask(name), f"{name}. IN A 192.0.2.1")
        server.gone(Pod, "host-b", "shop")
        expect_nothing(server, name)
