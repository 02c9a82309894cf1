"""Corefiles as clusters have them: those of installers, clouds and operators."""

from __future__ import annotations

from pathlib import Path

import pytest

from clusterdns import names
from clusterdns.config import blocks
from clusterdns.corefile import Disk, read, served_zones, translate
from tests.corefiles import said

DATA = Path(__file__).parent / "data/corefiles"

REST = "kubernetes prometheus forward cache loop reload loadbalance"
KUBEADM = f"errors health ready {REST}"

IN_THE_WILD: dict[str, list[tuple[str, str]]] = {
    "ack.corefile": [
        (
            ".:53",
            "errors log health ready template autopath kubernetes prometheus forward cache loop reload loadbalance",
        ),
    ],
    "aks-localdns.corefile": [
        ("health-check.localdns.local:53", "bind whoami"),
        (".:53", "log bind forward ready cache loop nsid prometheus template template"),
        ("cluster.local:53", "errors bind forward cache loop nsid prometheus"),
    ],
    "digitalocean.corefile": [(".:53", KUBEADM)],
    "nodelocaldns-gke.corefile": [
        ("cluster.local:53", "errors template cache reload loop bind health forward prometheus"),
        ("acme.local:53", "errors cache reload loop bind forward prometheus"),
        ("in-addr.arpa:53", "errors cache reload loop bind forward prometheus"),
        (".:53", "errors template cache reload loop bind forward prometheus"),
    ],
    "aks/Corefile": [
        (".:53", f"errors ready health {REST} hosts log template template"),
        ("puglife.local:53", "errors cache forward"),
        ("example.com:53", "log errors rewrite forward"),
    ],
    "autopath.corefile": [
        (".:53", "errors health ready kubernetes autopath prometheus forward template cache loop reload loadbalance"),
    ],
    "eks.corefile": [(".:53", KUBEADM)],
    "eks-tuned.corefile": [(".:53", f"{KUBEADM} log")],
    "gardener.corefile": [
        (
            ".:8053",
            "health ready rewrite rewrite kubernetes prometheus loop errors log forward cache reload loadbalance",
        ),
    ],
    "gke.corefile": [(".:53", KUBEADM), ("corp.internal:53", "errors cache forward")],
    "home-resolver.corefile": [
        (".", "nsid root any bind acl bufsize hosts rewrite forward cache prometheus errors log"),
    ],
    "k3d-rewrite.corefile": [
        ("registry.localhost:53", "hosts"),
        (".:53", "errors health rewrite ready kubernetes hosts prometheus forward cache loop reload loadbalance"),
    ],
    "k3s.corefile": [
        (".:53", "errors health ready kubernetes hosts prometheus cache loop reload loadbalance forward"),
    ],
    "kind.corefile": [
        (".:53", "errors health ready kubernetes prometheus hosts forward cache loop reload loadbalance"),
    ],
    "kops.corefile": [
        (".:53", "errors health ready kubernetes hosts prometheus forward cache loop reload loadbalance dns64"),
    ],
    "kops-external.corefile": [
        ("amazonaws.com:53", "errors log health prometheus forward cache"),
        (".:53", "errors health autopath kubernetes prometheus forward cache"),
    ],
    "kubeadm.corefile": [(".:53", KUBEADM)],
    "kubeadm-1.18.corefile": [(".:53", KUBEADM)],
    "kubespray.corefile": [
        ("example.com example.io:1053", "log errors rewrite forward loadbalance cache reload hosts"),
        (".:53", "errors health ready kubernetes prometheus forward k8s_external cache loop reload loadbalance hosts"),
    ],
    "microk8s.corefile": [
        (".:53", "errors health ready log kubernetes prometheus forward cache loop reload loadbalance"),
    ],
    "minikube.corefile": [
        (".:53", "log errors health ready kubernetes prometheus hosts forward cache loop reload loadbalance"),
    ],
    "no-braces.corefile": [("example.org example.net:1053", "file errors log")],
    "nodelocaldns.corefile": [
        ("cluster.local:53", "errors cache reload loop bind forward prometheus health"),
        ("in-addr.arpa:53", "errors cache reload loop bind forward prometheus"),
        ("ip6.arpa:53", "errors cache reload loop bind forward prometheus"),
        (".:53", "errors cache reload loop bind forward prometheus"),
    ],
    "openshift.corefile": [
        ("corp.example.com:5353 corp.example.org:5353", "prometheus forward errors log bufsize cache"),
        (".:5353", "bufsize errors log health ready kubernetes prometheus forward cache reload"),
        ("hostname.bind:5353", "chaos"),
    ],
    "rke2.corefile": [(".:53", KUBEADM)],
    "snippets.corefile": [
        ("cluster.local 10.96.0.0/12 10.244.0.0/16", "errors log prometheus cache kubernetes"),
        ("tls://corp.example.com", "errors log prometheus cache tls forward"),
        (".:53", "errors log prometheus cache forward health ready"),
    ],
    "split-horizon.corefile": [
        ("home.example:5533", "log errors view hosts"),
        ("home.example:5533", "log errors view template template"),
        (".:5533", "log errors forward"),
        (".:5301", "bind dnstap dnstap forward"),
        (".:5302", "bind forward"),
    ],
    "stub-domain.corefile": [
        (".:53", "errors health kubernetes prometheus forward cache loop reload loadbalance"),
        ("consul.local:53", "errors cache forward"),
    ],
    "talos.corefile": [
        (".:53", "errors health ready log prometheus kubernetes forward cache loop reload loadbalance"),
    ],
    "template-wildcard.corefile": [
        (
            ".:53",
            "errors health ready template template kubernetes forward forward prometheus cache loop reload loadbalance",
        ),
    ],
    "tencent.corefile": [
        (".:53", "template template errors health ready kubernetes prometheus forward cache reload loadbalance"),
    ],
}  # fmt: skip


class TestInTheWild:
    @pytest.mark.parametrize("name", IN_THE_WILD)
    def test_a_corefile_is_understood(self, name: str) -> None:
        found = read(DATA / name, Disk(), {"CORP_DNS": "10.1.0.53", "UPSTREAM_DNS": "192.0.2.1"})
        assert [
            (" ".join(key.text for key in block.keys), " ".join(each.name for each in block.directives))
            for block in found.blocks
        ] == IN_THE_WILD[name]
        assert len(served_zones(found)) == len(found.blocks)

    @pytest.mark.parametrize("name", IN_THE_WILD)
    def test_a_corefile_is_taken_whole(self, name: str) -> None:
        """Nothing in it is unsupported, and what comes of it is a configuration."""
        found = translate(read(DATA / name, Disk(), {"CORP_DNS": "10.1.0.53", "UPSTREAM_DNS": "192.0.2.1"}))
        assert {each for block in blocks(found.config) for each in block.names}
        assert not [each for each in found.warnings if "not supported" in str(each)]

    def test_none_is_left_out(self) -> None:
        files = [*DATA.glob("*.corefile"), *DATA.glob("*/Corefile")]
        assert {str(path.relative_to(DATA)) for path in files} == set(IN_THE_WILD)

    def test_each_says_where_it_is_from(self) -> None:
        assert all((DATA / name).read_text().startswith("# ") for name in IN_THE_WILD)

    def test_regular_expressions_come_through_whole(self) -> None:
        found = read(DATA / "aks/Corefile", Disk(), {})
        assert said(found.blocks[0].directives)[-2] == (
            "template", "ANY", "ANY", "internal.cloudapp.net",
            [("match", r"^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$"), ("rcode", "NXDOMAIN"), ("fallthrough",)],
        )  # fmt: skip
        found = read(DATA / "template-wildcard.corefile", Disk(), {})
        assert said(found.blocks[0].directives)[3] == (
            "template", "IN", "A", "example.net",
            [
                ("match", r"(^[\w\-_]*[.]|^.*[.]pages[.])example[.]net[.]$"),
                ("answer", "{{ .Name }}  60  IN  A  192.168.2.2"),
                ("fallthrough",),
            ],
        )  # fmt: skip

    def test_names_and_ports_of_a_block(self) -> None:
        found = read(DATA / "snippets.corefile", Disk(), {})
        first, second, third = served_zones(found)
        assert [names.to_text(each.zone) for each in first] == [
            "cluster.local.",
            *(f"{octet}.10.in-addr.arpa." for octet in range(96, 112)),
            "244.10.in-addr.arpa.",
        ]
        assert [str(each) for each in (*second, *third)] == ["tls://corp.example.com.:853", "dns://.:53"]
