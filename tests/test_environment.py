"""The variables that a pod finds, as the kubelet makes them.

Source of the facts: pkg/kubelet/envvars/envvars_test.go and pkg/kubelet/kubelet_pods.go of Kubernetes.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clusterdns.environment import environment
from clusterdns.objects import Service
from tests.followed import service


def of(name: str, ip: str, *ports: str, namespace: str = "demo", **spec: Any) -> Any:
    """A port is `80`, `http:80`, or `dns:53/UDP`."""
    made = []
    for each in ports:
        rest, _, protocol = each.partition("/")
        label, _, number = rest.rpartition(":")
        made.append({"port": int(number), "name": label, "protocol": protocol or "TCP"})
    found = service(name, clusterIP=ip, ports=made, **spec)
    found["metadata"]["namespace"] = namespace
    return found


NOTHING = ""

SERVICES = [
    # The kubelet's own test.
    (
        of("foo-bar", "1.2.3.4", "8080"),
        """
        FOO_BAR_SERVICE_HOST=1.2.3.4
        FOO_BAR_SERVICE_PORT=8080
        FOO_BAR_PORT=tcp://1.2.3.4:8080
        FOO_BAR_PORT_8080_TCP=tcp://1.2.3.4:8080
        FOO_BAR_PORT_8080_TCP_PROTO=tcp
        FOO_BAR_PORT_8080_TCP_PORT=8080
        FOO_BAR_PORT_8080_TCP_ADDR=1.2.3.4
        """,
    ),
    (
        of("abc-123", "5.6.7.8", "u-d-p:8081/UDP", "t-c-p:8081"),
        """
        ABC_123_SERVICE_HOST=5.6.7.8
        ABC_123_SERVICE_PORT=8081
        ABC_123_SERVICE_PORT_U_D_P=8081
        ABC_123_SERVICE_PORT_T_C_P=8081
        ABC_123_PORT=udp://5.6.7.8:8081
        ABC_123_PORT_8081_UDP=udp://5.6.7.8:8081
        ABC_123_PORT_8081_UDP_PROTO=udp
        ABC_123_PORT_8081_UDP_PORT=8081
        ABC_123_PORT_8081_UDP_ADDR=5.6.7.8
        ABC_123_PORT_8081_TCP=tcp://5.6.7.8:8081
        ABC_123_PORT_8081_TCP_PROTO=tcp
        ABC_123_PORT_8081_TCP_PORT=8081
        ABC_123_PORT_8081_TCP_ADDR=5.6.7.8
        """,
    ),
    (
        of("q-u-u-x", "9.8.7.6", "8082", "8083:8083"),
        """
        Q_U_U_X_SERVICE_HOST=9.8.7.6
        Q_U_U_X_SERVICE_PORT=8082
        Q_U_U_X_SERVICE_PORT_8083=8083
        Q_U_U_X_PORT=tcp://9.8.7.6:8082
        Q_U_U_X_PORT_8082_TCP=tcp://9.8.7.6:8082
        Q_U_U_X_PORT_8082_TCP_PROTO=tcp
        Q_U_U_X_PORT_8082_TCP_PORT=8082
        Q_U_U_X_PORT_8082_TCP_ADDR=9.8.7.6
        Q_U_U_X_PORT_8083_TCP=tcp://9.8.7.6:8083
        Q_U_U_X_PORT_8083_TCP_PROTO=tcp
        Q_U_U_X_PORT_8083_TCP_PORT=8083
        Q_U_U_X_PORT_8083_TCP_ADDR=9.8.7.6
        """,
    ),
    (of("svrc-clusterip-none", "None", "8082"), NOTHING),
    (of("svrc-clusterip-empty", "", "8082"), NOTHING),
    # IPv6 addresses stand in brackets where a port follows.
    (
        of("six", "fd00:10:96::a", "http:80"),
        """
        SIX_SERVICE_HOST=fd00:10:96::a
        SIX_SERVICE_PORT=80
        SIX_SERVICE_PORT_HTTP=80
        SIX_PORT=tcp://[fd00:10:96::a]:80
        SIX_PORT_80_TCP=tcp://[fd00:10:96::a]:80
        SIX_PORT_80_TCP_PROTO=tcp
        SIX_PORT_80_TCP_PORT=80
        SIX_PORT_80_TCP_ADDR=fd00:10:96::a
        """,
    ),
    # Of two addresses the primary one.
    (
        of("dual", "10.96.0.5", "1", clusterIPs=["10.96.0.5", "fd00:10:96::5"]),
        """
        DUAL_SERVICE_HOST=10.96.0.5
        DUAL_SERVICE_PORT=1
        DUAL_PORT=tcp://10.96.0.5:1
        DUAL_PORT_1_TCP=tcp://10.96.0.5:1
        DUAL_PORT_1_TCP_PROTO=tcp
        DUAL_PORT_1_TCP_PORT=1
        DUAL_PORT_1_TCP_ADDR=10.96.0.5
        """,
    ),
    (
        of("kube-dns", "10.96.0.10", "dns:53/UDP", "dns-tcp:53", "metrics:9153"),
        """
        KUBE_DNS_SERVICE_HOST=10.96.0.10
        KUBE_DNS_SERVICE_PORT=53
        KUBE_DNS_SERVICE_PORT_DNS=53
        KUBE_DNS_SERVICE_PORT_DNS_TCP=53
        KUBE_DNS_SERVICE_PORT_METRICS=9153
        KUBE_DNS_PORT=udp://10.96.0.10:53
        KUBE_DNS_PORT_53_UDP=udp://10.96.0.10:53
        KUBE_DNS_PORT_53_UDP_PROTO=udp
        KUBE_DNS_PORT_53_UDP_PORT=53
        KUBE_DNS_PORT_53_UDP_ADDR=10.96.0.10
        KUBE_DNS_PORT_53_TCP=tcp://10.96.0.10:53
        KUBE_DNS_PORT_53_TCP_PROTO=tcp
        KUBE_DNS_PORT_53_TCP_PORT=53
        KUBE_DNS_PORT_53_TCP_ADDR=10.96.0.10
        KUBE_DNS_PORT_9153_TCP=tcp://10.96.0.10:9153
        KUBE_DNS_PORT_9153_TCP_PROTO=tcp
        KUBE_DNS_PORT_9153_TCP_PORT=9153
        KUBE_DNS_PORT_9153_TCP_ADDR=10.96.0.10
        """,
    ),
    (
        of("sigtran", "10.96.0.11", "m3ua:2905/SCTP"),
        """
        SIGTRAN_SERVICE_HOST=10.96.0.11
        SIGTRAN_SERVICE_PORT=2905
        SIGTRAN_SERVICE_PORT_M3UA=2905
        SIGTRAN_PORT=sctp://10.96.0.11:2905
        SIGTRAN_PORT_2905_SCTP=sctp://10.96.0.11:2905
        SIGTRAN_PORT_2905_SCTP_PROTO=sctp
        SIGTRAN_PORT_2905_SCTP_PORT=2905
        SIGTRAN_PORT_2905_SCTP_ADDR=10.96.0.11
        """,
    ),
    # A name may begin with a digit since Kubernetes 1.34, and end with one.
    (
        of("9lives", "10.96.0.12", "65535"),
        """
        9LIVES_SERVICE_HOST=10.96.0.12
        9LIVES_SERVICE_PORT=65535
        9LIVES_PORT=tcp://10.96.0.12:65535
        9LIVES_PORT_65535_TCP=tcp://10.96.0.12:65535
        9LIVES_PORT_65535_TCP_PROTO=tcp
        9LIVES_PORT_65535_TCP_PORT=65535
        9LIVES_PORT_65535_TCP_ADDR=10.96.0.12
        """,
    ),
    (
        of("a", "10.96.0.13", "a:1", "b-2:2", "3c:3"),
        """
        A_SERVICE_HOST=10.96.0.13
        A_SERVICE_PORT=1
        A_SERVICE_PORT_A=1
        A_SERVICE_PORT_B_2=2
        A_SERVICE_PORT_3C=3
        A_PORT=tcp://10.96.0.13:1
        A_PORT_1_TCP=tcp://10.96.0.13:1
        A_PORT_1_TCP_PROTO=tcp
        A_PORT_1_TCP_PORT=1
        A_PORT_1_TCP_ADDR=10.96.0.13
        A_PORT_2_TCP=tcp://10.96.0.13:2
        A_PORT_2_TCP_PROTO=tcp
        A_PORT_2_TCP_PORT=2
        A_PORT_2_TCP_ADDR=10.96.0.13
        A_PORT_3_TCP=tcp://10.96.0.13:3
        A_PORT_3_TCP_PROTO=tcp
        A_PORT_3_TCP_PORT=3
        A_PORT_3_TCP_ADDR=10.96.0.13
        """,
    ),
    # Dashes in a row stay as many.
    (
        of("a--b", "10.96.0.14", "x--y:7"),
        """
        A__B_SERVICE_HOST=10.96.0.14
        A__B_SERVICE_PORT=7
        A__B_SERVICE_PORT_X__Y=7
        A__B_PORT=tcp://10.96.0.14:7
        A__B_PORT_7_TCP=tcp://10.96.0.14:7
        A__B_PORT_7_TCP_PROTO=tcp
        A__B_PORT_7_TCP_PORT=7
        A__B_PORT_7_TCP_ADDR=10.96.0.14
        """,
    ),
    # The port of a node, or of a container, is not told.
    (
        of("node", "10.96.0.15", "80", type="NodePort"),
        """
        NODE_SERVICE_HOST=10.96.0.15
        NODE_SERVICE_PORT=80
        NODE_PORT=tcp://10.96.0.15:80
        NODE_PORT_80_TCP=tcp://10.96.0.15:80
        NODE_PORT_80_TCP_PROTO=tcp
        NODE_PORT_80_TCP_PORT=80
        NODE_PORT_80_TCP_ADDR=10.96.0.15
        """,
    ),
    (
        of("balanced", "10.96.0.16", "443", type="LoadBalancer", externalIPs=["203.0.113.9"]),
        """
        BALANCED_SERVICE_HOST=10.96.0.16
        BALANCED_SERVICE_PORT=443
        BALANCED_PORT=tcp://10.96.0.16:443
        BALANCED_PORT_443_TCP=tcp://10.96.0.16:443
        BALANCED_PORT_443_TCP_PROTO=tcp
        BALANCED_PORT_443_TCP_PORT=443
        BALANCED_PORT_443_TCP_ADDR=10.96.0.16
        """,
    ),
    (of("elsewhere", "", "80", type="ExternalName", externalName="example.com"), NOTHING),
    (of("elsewhere-too", "None", type="ExternalName", externalName="example.com"), NOTHING),
    (of("headless", "None"), NOTHING),
    # The API server's, wherever a pod is; and no other of that namespace.
    (
        of("kubernetes", "10.96.0.1", "https:443", namespace="default"),
        """
        KUBERNETES_SERVICE_HOST=10.96.0.1
        KUBERNETES_SERVICE_PORT=443
        KUBERNETES_SERVICE_PORT_HTTPS=443
        KUBERNETES_PORT=tcp://10.96.0.1:443
        KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443
        KUBERNETES_PORT_443_TCP_PROTO=tcp
        KUBERNETES_PORT_443_TCP_PORT=443
        KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1
        """,
    ),
    (of("other", "10.96.0.17", "80", namespace="default"), NOTHING),
    (of("kubernetes", "10.96.0.18", "80", namespace="shop"), NOTHING),
]


def found(services: list[Any], **options: Any) -> list[str]:
    decoded = [msgspec.convert(each, Service) for each in services]
    return [f"{each.name}={each.value}" for each in environment(decoded, "demo", **options)]


@pytest.mark.parametrize(
    ("given", "expected"),
    SERVICES,
    ids=lambda each: each["metadata"]["name"] if each and isinstance(each, dict) else "",
)
def test_a_service(given: dict[str, Any], expected: str) -> None:
    assert found([given]) == expected.split()


def test_all_of_them_together() -> None:
    """In the order of their names."""
    ordered = sorted(SERVICES, key=lambda each: each[0]["metadata"]["name"])
    assert found([given for given, _ in SERVICES]) == " ".join(expected for _, expected in ordered).split()


def test_a_pod_without_links_finds_the_api_server_alone() -> None:
    names = [each.partition("_")[0] for each in found([given for given, _ in SERVICES], links=False)]
    assert set(names) == {"KUBERNETES"}


@pytest.mark.parametrize("turned", [False, True])
def test_a_namespaces_own_service_called_kubernetes_hides_the_api_servers(turned: bool) -> None:
    services = [
        of("kubernetes", "10.96.0.1", "443", namespace="default"),
        of("kubernetes", "10.96.0.77", "80"),
    ]
    assert found(services[::-1] if turned else services)[0] == "KUBERNETES_SERVICE_HOST=10.96.0.77"


def test_where_names_meet_both_are_told_of() -> None:
    """FOO_SERVICE_PORT is a port, or a link: a kubelet keeps the one or the other."""
    met = [
        each
        for each in found([of("foo", "1.1.1.1", "80"), of("foo-service", "2.2.2.2", "81")])
        if "FOO_SERVICE_PORT=" in each
    ]
    assert met == ["FOO_SERVICE_PORT=80", "FOO_SERVICE_PORT=tcp://2.2.2.2:81"]
