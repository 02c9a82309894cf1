"""Corefiles as configuration: as a whole, with what is wrong in them, and with what does nothing here."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from clusterdns.config import Config
from clusterdns.corefile import CorefileError, Disk, read, translate
from tests.test_corefiles_in_the_wild import IN_THE_WILD
from tests.translated import block, cluster, external, faults, translated, warnings

DATA = Path(__file__).parent / "data/corefiles"

KUBEADM = (DATA / "kubeadm.corefile").read_text()


class TestKubeadm:
    def test_becomes_the_configuration_that_it_stands_for(self) -> None:
        config = translated(KUBEADM).config
        default = Config()
        assert config == msgspec.structs.replace(
            default,
            listen=("0.0.0.0:53", "[::]:53"),
            negative_ttl=30,
            pods="insecure",
            udp_size=4096,
            unserved="servfail",
            search="client",
            forward=msgspec.structs.replace(default.forward, in_flight=1000),
            cache=msgspec.structs.replace(
                default.cache,
                entries=2 * 9984,
                ttl=(5, 30),
                negative_ttl=(5, 30),
                stale_seconds=0,
                prefetch_hits=0,
                rotate=True,
                except_success=("cluster.local",),
                except_denial=("cluster.local",),
            ),
            http=(),
            http_health=("0.0.0.0:8080", "[::]:8080"),
            http_ready=("0.0.0.0:8181", "[::]:8181"),
            http_metrics=("0.0.0.0:9153", "[::]:9153"),
            lameduck_seconds=5.0,
        )

    def test_is_understood_line_by_line(self) -> None:
        understood = translated(KUBEADM).understood
        assert [line.removeprefix("/etc/coredns/").split(": ")[:2] for line in understood] == [
            ["Corefile:3", "errors"],
            ["Corefile:4", "health"],
            ["Corefile:7", "ready"],
            ["Corefile:8", "kubernetes"],
            ["Corefile:13", "prometheus"],
            ["Corefile:14", "forward"],
            ["Corefile:17", "cache"],
            ["Corefile:21", "loop"],
            ["Corefile:22", "reload"],
            ["Corefile:23", "loadbalance"],
        ]
        kubernetes = next(line for line in understood if ": kubernetes: " in line)
        for part in ("zone cluster.local", "ttl 30", "pods insecure", "fallthrough in-addr.arpa, ip6.arpa"):
            assert f"; {part}" in kubernetes

    def test_has_upstreams_in_the_hosts_resolv_conf(self) -> None:
        assert translated(KUBEADM).config.forward.resolv_conf == "/etc/resolv.conf"


FAULTS: dict[str, list[str]] = {
    "": ["Corefile:1: expected a server block, such as .:53 { ... }"],
    "https://example.org {\n}": ["Corefile:1: https://: not supported"],
    "a:99999 {\n}": ["Corefile:1: 'a:99999': expected a port from 0 to 65535 behind the last colon, not 99999"],
    block("etcd example.org", "dnssec", "nonsense"): [
        "Corefile:2: etcd: not supported", "Corefile:3: dnssec: not supported",
        "Corefile:4: nonsense: not supported",
    ],
    external(
        ". example.org a.example.org in-addr.arpa", "apex a.b", "ttl 3601", "headless x",
        "nodes",
    ): [
        "Corefile:3: k8s_external: .: expected a name such as cluster.local: not supported",
        "Corefile:3: k8s_external: a.example.org within another of its zones: not supported",
        "Corefile:4: k8s_external: apex: a.b in the place of one label: not supported",
        "Corefile:5: k8s_external: ttl: expected seconds from 0 to 3600, not 3601",
        "Corefile:6: k8s_external: headless: expected no arguments, not x",
        "Corefile:7: k8s_external: nodes: not supported",
    ],
    external("203.0.113.0/24"): ["Corefile:3: k8s_external: reverse zones alone: not supported"],
    external("cluster.local"): [
        "Corefile:1: external-zone: cluster.local: its names are those of zone cluster.local.",
    ],
    block("proxy . 192.0.2.1"): ["Corefile:2: proxy: forward is in its place since CoreDNS 1.5: not supported"],
    block("cache 30", "cache 60"): [
        "Corefile:3: cache: expected one in a server block, not another than at /etc/coredns/Corefile:2",
    ],
    block("kubernetes in-addr.arpa"): ["Corefile:2: kubernetes: expected a zone such as cluster.local among its zones"],
    block("kubernetes"): ["Corefile:2: kubernetes: .: expected a name such as cluster.local"],
    block("kubernetes cluster.local svc.cluster.local"): [
        "Corefile:2: kubernetes: svc.cluster.local within another of its zones: not supported",
    ],
    cluster("ttl 3601", "ttl", "ttl -1", "ttl x"): [
        "Corefile:3: kubernetes: ttl: expected seconds from 0 to 3600, not 3601",
        "Corefile:4: kubernetes: ttl: expected seconds from 0 to 3600, not nothing",
        "Corefile:5: kubernetes: ttl: expected seconds from 0 to 3600, not -1",
        "Corefile:6: kubernetes: ttl: expected seconds from 0 to 3600, not x",
    ],
    cluster("pods unsure", "pods"): [
        "Corefile:3: kubernetes: pods: expected disabled, insecure or verified, not unsure",
        "Corefile:4: kubernetes: pods: expected disabled, insecure or verified, not nothing",
    ],
    cluster("multicluster a.example", "noendpoints now"): [
        "Corefile:3: kubernetes: multicluster: not supported",
        "Corefile:4: kubernetes: noendpoints: expected no arguments, not now",
    ],
    cluster("namespaces a", "namespace_labels b=c"): [
        "Corefile:2: kubernetes: expected namespaces or namespace_labels, not both",
    ],
    cluster("noendpoints", "ignore empty_service"): [
        "Corefile:2: kubernetes: expected ignore empty_service or noendpoints, not both",
    ],
    cluster("labels environment in (production, qa"): [
        (
            "Corefile:3: kubernetes: labels: expected a label selector such as app=web,tier in (front, back), not"
            " environment in (production, qa"
        ),
    ],
    cluster("zonal", "noendpoints"): ["Corefile:2: kubernetes: expected zonal or noendpoints, not both"],
    cluster("resyncperiod 15"): [
        "Corefile:3: kubernetes: resyncperiod: expected a duration such as 5s or 1h30m, not 15",
    ],
    cluster("apiserver_qps x", "apiserver_burst 1.5", "apiserver_max_inflight -1"): [
        "Corefile:3: kubernetes: apiserver_qps: expected a number of 0 or more, not x",
        "Corefile:4: kubernetes: apiserver_burst: expected a number of 0 or more, not 1.5",
        "Corefile:5: kubernetes: apiserver_max_inflight: expected a number of 0 or more, not -1",
    ],
    cluster("endpoint ftp://a"): [
        "Corefile:3: kubernetes: endpoint: expected a URL such as https://10.0.0.1:6443, not ftp://a",
    ],
    "a {\nkubernetes {\nlabels x=y\n}\n}\nb {\nkubernetes\n}": [
        "Corefile:6: another labels than the server block at /etc/coredns/Corefile:1 has: not supported",
    ],
    block("forward ."): ["Corefile:2: forward: expected FROM TO..., not ."],
    block("forward . 192.0.2.999 https://9.9.9.9 ns.example.org 192.0.2.1"): [
        "Corefile:2: forward: 192.0.2.999: expected ADDRESS, ADDRESS:PORT or tls://ADDRESS#NAME",
        "Corefile:2: forward: https://9.9.9.9: not supported",
        "Corefile:2: forward: the name ns.example.org in the place of an address: not supported",
    ],
    block(f"forward . {'192.0.2.1 ' * 16}"): ["Corefile:2: forward: expected at most 15 upstreams, not 16"],
    block(
        "forward . 192.0.2.1 {", "policy best", "max_concurrent -1", "health_check 5", "spray", "next NO",
        "failover NOERROR", "health_check 1s rec", "}",
    ): [
        "Corefile:3: forward: policy: expected random, round_robin or sequential, not best",
        "Corefile:4: forward: max_concurrent: expected a number of 0 or more, not -1",
        "Corefile:5: forward: health_check: expected a duration such as 5s or 1h30m from 0s to 3600s, not 5",
        "Corefile:6: forward: spray: not supported",
        "Corefile:7: forward: next: NO: expected a response code such as NXDOMAIN",
        "Corefile:8: forward: failover: expected response codes other than NOERROR",
        "Corefile:9: forward: health_check: expected DURATION [no_rec] [domain NAME], not 1s rec",
    ],
    cluster("endpoint https://a", "tls cert ca"): [
        "Corefile:4: kubernetes: tls: expected three files: CERT KEY CACERT, not cert ca",
    ],
    block("forward a tls://192.0.2.1 {", "tls a.pem", "}", "forward . 192.0.2.2 {", "max_fails 5", "}"): [
        "Corefile:5: forward: another tls-ca than /etc/coredns/Corefile:2 has: not supported",
        "Corefile:5: forward: another max-failures than /etc/coredns/Corefile:2 has: not supported",
    ],
    "tls://. {\n}": ["Corefile:1: tls://: expected the directive tls CERT KEY in its server block"],
    "tls://. {\ntls cert\n}": [
        "Corefile:1: tls://: expected the directive tls CERT KEY in its server block",
        "Corefile:2: tls: expected CERT KEY [CA], not cert",
    ],
    "tls://. {\ntls cert key {\nclient_auth\nclient_auth x\nclient_auth require\nalpn dot\n}\n}": [
        "Corefile:3: tls: client_auth: expected who has to have a certificate, not nothing",
        "Corefile:4: tls: client_auth: expected nocert, request, verify_if_given, require_and_verify or require, not x",
        "Corefile:5: tls: client_auth: require, which takes any certificate at all: not supported",
        "Corefile:6: tls: alpn: not supported",
    ],
    block("cache 0"): ["Corefile:2: cache: expected a TTL in seconds of 1 or more, not 0"],
    block(
        "cache {", "success", "prefetch 5 1m 5%", "prefetch 5 1m 20", "serve_stale 1h later", "servfail 6m", "x",
        "serve_stale 1h immediate 1s", "}",
    ): [
        "Corefile:3: cache: success: expected CAPACITY [TTL [MINTTL]], not nothing",
        "Corefile:4: cache: prefetch: expected a percentage from 10 to 90, not 5",
        "Corefile:5: cache: prefetch: expected a percentage from 10% to 90%, not 20",
        "Corefile:6: cache: serve_stale: expected immediate or verify, not later",
        "Corefile:7: cache: servfail: expected a duration such as 5s or 1h30m from 0s to 300s, not 6m",
        "Corefile:8: cache: x: not supported",
        "Corefile:9: cache: serve_stale: expected nothing behind immediate, not 1s",
    ],
    block("hosts {", "ttl 0", "}"): ["Corefile:3: hosts: ttl: expected seconds from 1 to 65535, not 0"],
    block("bufsize 100", "health 8080", "prometheus a b", "nsid", "log . {", "class odd", "}"): [
        "Corefile:2: bufsize: expected bytes from 512 to 4096, not 100",
        "Corefile:3: health: expected ADDRESS:PORT or :PORT, not 8080",
        "Corefile:4: prometheus: expected at most one address, not a b",
        "Corefile:7: log: class: expected success, denial, error or all, not odd",
    ],
    block("errors {", "consolidate 5m", "consolidate 1x a", "consolidate 1s ( ", "consolidate 1s a loud", "}"): [
        "Corefile:3: errors: consolidate: expected DURATION REGEXP [LEVEL] [show_first], not 5m",
        "Corefile:4: errors: consolidate: expected a duration such as 5s or 1h30m of 0.001s or more, not 1x",
        "Corefile:5: errors: consolidate: a parenthesis without its other one, in '('",
        "Corefile:6: errors: consolidate: expected warning, error, info or debug, not loud",
    ],
    block("loadbalance weighted file", "reload 1s"): [
        "Corefile:2: loadbalance: weighted: not supported",
        "Corefile:3: reload: expected a duration such as 5s or 1h30m of 2s or more, not 1s",
    ],
    block("header {", "set tc", "response clear", "query no rd", "}", "header", "local now", "whoami me"): [
        "Corefile:3: header: set: expected aa, ra or rd, not tc",
        "Corefile:4: header: response: expected set or clear, and flags",
        "Corefile:5: header: query: expected set or clear, not no",
        "Corefile:7: header: expected one in a server block, not another than at /etc/coredns/Corefile:2",
        "Corefile:8: local: expected no arguments, not now",
        "Corefile:9: whoami: expected no arguments, not me",
    ],
    block("header"): ["Corefile:2: header: expected a block of set and clear, and flags"],
    block("timeouts {", "idle 2", "idle 25h", "age 3s", "}"): [
        "Corefile:3: timeouts: idle: expected a duration such as 5s or 1h30m from 1s to 86400s, not 2",
        "Corefile:4: timeouts: idle: expected a duration such as 5s or 1h30m from 1s to 86400s, not 25h",
        "Corefile:5: timeouts: age: not supported",
    ],
    block("loadbalance weighted file {", "limit_answers 5", "prefer", "prefer ten", "}"): [
        "Corefile:2: loadbalance: weighted: not supported",
        "Corefile:3: loadbalance: limit_answers: not supported",
        "Corefile:4: loadbalance: prefer: expected networks, not nothing",
        "Corefile:5: loadbalance: prefer: expected a network such as 192.0.2.0/24, not ten",
    ],
    block("bind nosuch0"): [
        "Corefile:2: bind: expected an address or an interface of this machine, not nosuch0",
    ],
    block("erratic", "etcd", "route53 a:b", "sign db", "dnssec", "secondary", "tsig", "grpc . 192.0.2.1"): [
        f"Corefile:{n}: {name}: not supported"
        for n, name in enumerate(
            ("erratic", "etcd", "route53", "sign", "dnssec", "secondary", "tsig", "grpc"), 2
        )
    ],
    block("transfer", "transfer a..b {", "from 192.0.2.1", "to", "to ns.example.org 10.0.0.0/33", "}"): [
        "Corefile:2: transfer: expected `to` and addresses in its block",
        "Corefile:3: transfer: a..b: a label has 1 to 63 bytes, not 0: ''",
        "Corefile:3: transfer: expected `to` and addresses in its block",
        "Corefile:4: transfer: from: not supported",
        "Corefile:5: transfer: to: expected at least one address, not nothing",
        "Corefile:6: transfer: to: expected an address, a network or *, not ns.example.org",
        "Corefile:6: transfer: to: expected an address, a network or *, not 10.0.0.0/33",
    ],
    block("autopath @erratic"): ["Corefile:2: autopath: @erratic in the place of @kubernetes: not supported"],
    block("acl {", "refuse", "block type ODD", "block 10.0.0.0/8", "}"): [
        "Corefile:3: acl: refuse: expected one of allow, block, filter, drop",
        "Corefile:4: acl: block: 'ODD' is no record type: expected one such as A, SRV or TYPE65280",
        "Corefile:5: acl: block: expected type, net or file, not 10.0.0.0/8",
    ],
    block(
        "rewrite edns0 local set 1 {server_ip}", "rewrite", "rewrite answer name a b", "rewrite name a",
        "rewrite ttl a -",
    ): [
        "Corefile:2: rewrite: {server_ip}: not supported",
        "Corefile:3: rewrite: expected name, ttl, rcode, type, class, edns0 or cname, not nothing",
        "Corefile:4: rewrite: expected a name rule before the answer",
        "Corefile:5: rewrite: expected [exact|prefix|suffix|substring|regex] and 2 words, not a",
        "Corefile:6: rewrite: expected a TTL such as 30, 30-60, 30- or -60, not -",
    ],
    block("rewrite name like a b", "rewrite name exact a b c"): [
        "Corefile:2: rewrite: expected exact, prefix, suffix, substring or regex, not like",
        "Corefile:3: rewrite: expected answer auto, answer name FROM TO or answer value FROM TO behind the names",
    ],
    block(
        "rewrite edns0 local set x y", "rewrite edns0 local do 1 y", "rewrite edns0 subnet set 33 56",
        "rewrite edns0 nsid", "rewrite edns0 local set 1 {port}", "rewrite edns0 nsid set x",
        "rewrite cname exact a b c", "rewrite edns0 local set 1 0xg",
    ): [
        "Corefile:2: rewrite: expected the code of an option such as 0xffee, not x",
        "Corefile:3: rewrite: expected set, append, replace or unset, not do",
        "Corefile:4: rewrite: expected bits from 0 to 32, not 33",
        "Corefile:5: rewrite: expected local, nsid or subnet, and set, append, replace or unset",
        "Corefile:6: rewrite: {port}: expected one of {qname}, {qtype}, {client_ip}, {client_port}, {protocol}",
        "Corefile:7: rewrite: expected local ACTION CODE DATA, nsid ACTION or subnet ACTION BITS BITS",
        "Corefile:8: rewrite: expected where the alias leads, and where it shall lead",
        "Corefile:9: rewrite: 0xg are no bytes",
    ],
    block("view {", "expr", "expr true &&", "exp true", "expr metadata('a/b') == 'c'", "}"): [
        "Corefile:2: view: expected a name, not nothing",
        "Corefile:3: view: expr: expected an expression, not nothing",
        "Corefile:4: view: expr: expected a value, not the end: 'true &&'",
        "Corefile:5: view: exp: not supported",
        "Corefile:6: view: expr: metadata(): not supported",
    ],
    block("view x {", "expr server_ip() == '192.0.2.1'", "}"): [
        "Corefile:1: view.conditions: server_ip() takes an address to listen on, not 0.0.0.0:53",
        "Corefile:1: view.conditions: server_ip() takes an address to listen on, not [::]:53",
    ],
    "a {\n}\na {\nview x {\nexpr true\n}\n}\n": ["Corefile:3: dns://a.:53 is served already: /etc/coredns/Corefile:1"],
    block(
        "auto", "auto {", "directory /a b", "}", "auto {", "directory /a ( b", "}", "auto {", "directory /a", "x", "}",
    ): [
        "Corefile:2: auto: expected a directory in its block",
        "Corefile:3: auto: expected a directory in its block",
        "Corefile:4: auto: directory: expected DIR, or DIR REGEXP ORIGIN_TEMPLATE",
        "Corefile:6: auto: a parenthesis without its other one, in '('",
        "Corefile:11: auto: x: not supported",
    ],
    block("template IN", "template XX A {", "rcode ODD", "}"): [
        "Corefile:2: template: expected CLASS TYPE [ZONE...], not IN",
        "Corefile:3: template: expected a class, IN, CH, HS, NONE, ANY, not XX",
        "Corefile:4: template: rcode: expected a response code such as NXDOMAIN, not ODD",
    ],
}  # fmt: skip


class TestWhatCanNotBe:
    @pytest.mark.parametrize(("text", "expected"), FAULTS.items())
    def test_is_told_all_at_once_with_file_and_line(self, text: str, expected: list[str]) -> None:
        assert faults(text) == expected

    @pytest.mark.parametrize(
        ("directive", "start", "named"),
        [
            ("rewrite name regex (a {1}", "Corefile:2: rewrite: ", "(a"),
            ("rewrite name regex a {1}", "Corefile:2: rewrite: ", "{1}"),
            ("acl {\nallow net 10.0.0.0/33\n}", "Corefile:3: acl: allow: ", "10.0.0.0/33"),
            ("template IN A {\nmatch (a\n}", "Corefile:2: template: ", "(a"),
            ('template IN A {\nanswer "{{ .Name"\n}', "Corefile:2: template: ", "{{ .Name"),
        ],
    )
    def test_is_a_rule_that_can_not_be_followed(self, directive: str, start: str, named: str) -> None:
        (fault,) = faults(block(directive))
        assert fault.startswith(start)
        assert named in fault

    def test_is_told_of_all_server_blocks_and_of_their_keys(self) -> None:
        assert faults("a:x {\ncache 0\n}\nb {\ndnssec\n}") == [
            "Corefile:1: 'a:x': expected a port from 0 to 65535 behind the last colon, not x",
            "Corefile:2: cache: expected a TTL in seconds of 1 or more, not 0",
            "Corefile:5: dnssec: not supported",
        ]


class TestThoseWhoAreLenient:
    def test_are_warned_of_what_is_not_supported(self) -> None:
        text = block("dnssec", "kubernetes cluster.local in-addr.arpa {", "multicluster a.example", "}")
        assert warnings(text, lenient=True) == [
            "Corefile:2: dnssec: not supported",
            "Corefile:4: kubernetes: multicluster: not supported",
        ]
        assert translated(text, lenient=True).config.zone == ("cluster.local",)

    def test_are_not_spared_what_is_wrong(self) -> None:
        with pytest.raises(CorefileError, match="Corefile:3: cache: expected a TTL"):
            translated(block("dnssec", "cache 0"), lenient=True)

    def test_need_something_that_is_supported(self) -> None:
        with pytest.raises(CorefileError, match="Corefile:1: expected a server block"):
            translated("https://. {\n}", lenient=True)


WARNINGS = {
    block("debug", "pprof", "trace", "dnstap a b", "dnstap c", "geoip a.mmdb"): [
        f"Corefile:{2 + n}: {name}: it does nothing here"
        for n, name in enumerate(("debug", "pprof", "trace", "dnstap", "dnstap", "geoip"))
    ],
    block(
        "hosts {", "192.0.2.1", "192.0.2.256 a", "no-reverse", "192.0.2.1 *.a.example a..b bücher.example a.b", "}"
    ): [
        "Corefile:3: hosts: 192.0.2.1: it does nothing here, nor in CoreDNS: expected ADDRESS NAME [ALIAS...]",
        "Corefile:4: hosts: 192.0.2.256: it does nothing here, nor in CoreDNS: expected ADDRESS NAME [ALIAS...]",
        "Corefile:5: hosts: no-reverse: it does nothing here, nor in CoreDNS: expected ADDRESS NAME [ALIAS...]",
        "Corefile:6: hosts: 192.0.2.1: *.a.example does nothing here: hosts has no wildcards, in CoreDNS neither",
        "Corefile:6: hosts: 192.0.2.1: a..b does nothing here: it is no host name",
        "Corefile:6: hosts: 192.0.2.1: bücher.example does nothing here: it is no host name",
    ],
    "tls://. {\ntls cert key {\nclient_auth request\nkeylog file\n}\n}": [
        "Corefile:3: tls: client_auth: it does nothing here: nobody would look at the certificate",
        "Corefile:4: tls: keylog: it does nothing here: keys are not told",
    ],
    cluster("resyncperiod 5m", "upstream"): [
        "Corefile:3: kubernetes: resyncperiod: it does nothing here, nor in CoreDNS since 1.7",
        "Corefile:4: kubernetes: upstream: it does nothing here, nor in CoreDNS since 1.7",
    ],
    cluster("ttl 30 5"): ["Corefile:3: kubernetes: ttl: only the first word is used: 30"],
    cluster("endpoint http://a http://b"): ["Corefile:3: kubernetes: endpoint: only the first one is used: http://a"],
    cluster("endpoint http://a", "kubeconfig b"): ["Corefile:2: kubernetes: endpoint does nothing beside kubeconfig"],
    block("forward . 192.0.2.1 {", "max_idle_conns 3", "max_age 10s", "}"): [
        "Corefile:3: forward: max_idle_conns: it does nothing here: an upstream has eight connections at most",
        "Corefile:4: forward: max_age: it does nothing here: connections are kept while they are of use",
    ],
    block("forward . 192.0.2.1", "forward a 192.0.2.2"): [
        "Corefile:3: forward: it does nothing: what stands before it takes all its names",
    ],
    block("k8s_external example.org"): ["Corefile:2: k8s_external: it does nothing without kubernetes"],
    block("autopath @kubernetes"): ["Corefile:2: autopath: it does nothing without kubernetes and pods verified"],
    block("cache {", "serve_stale 200h", "}"): [
        "Corefile:3: cache: serve_stale: responses are kept for 7 days at most",
    ],
    block("transfer {", "to * 10.0.0.0/8 192.0.2.1:53", "}"): [
        (
            "Corefile:3: transfer: to: 192.0.2.1:53 is not notified of changes: a secondary looks after the time of its"
            " SOA record"
        ),
    ],
    KUBEADM.replace("lameduck 5s", ""): [],
}


class TestWhatDoesNothingHere:
    @pytest.mark.parametrize(("text", "expected"), WARNINGS.items())
    def test_is_warned_of(self, text: str, expected: list[str]) -> None:
        assert warnings(text) == expected


class TestInTheWild:
    @pytest.mark.parametrize("path", IN_THE_WILD)
    def test_a_corefile_is_translated(self, path: str) -> None:
        found = read(DATA / path, Disk(), {"UPSTREAM_DNS": "192.0.2.1", "CORP_DNS": "192.0.2.2"})
        translation = translate(found)
        assert translation.understood
        assert len([translation.config, *translation.config.blocks]) >= len(found.blocks)

    def test_a_stub_domain_is_a_block_of_its_own(self) -> None:
        config = translate(read(DATA / "stub-domain.corefile", Disk(), {})).config
        (stub,) = config.blocks
        assert (stub.names, stub.cluster, stub.forward.upstreams) == (("consul.local",), False, ("10.150.0.1:53",))
        assert config.listen == stub.listen
