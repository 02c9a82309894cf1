"""What each directive of a Corefile becomes, and what CoreDNS does if it does not say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clusterdns import __version__, config
from clusterdns.corefile import translate
from clusterdns.corefile.directives.watching import COMBINED_LOG_FORMAT, COMMON_LOG_FORMAT
from tests.corefiles import corefile
from tests.translated import block, cluster, external, faults, translated, value

TLS = {"certificate": "cert", "key": "key", "client-certificates": "none", "client-authority": ""}


def logged(*zones: str, **differing: Any) -> list[dict[str, Any]]:
    """A rule of the query log, in the common format unless it says otherwise."""
    usual = {"clients": [], "namespaces": [], "classes": ["all"], "slower-than": None, "sample": 1}
    return [{"zones": [*zones], **usual, "format": COMMON_LOG_FORMAT, **differing}]


EDNS = {"code": 0, "data": "", "ipv4-bits": 0, "ipv6-bits": 0}


def zone_file(file: str, zones: list[str], **more: Any) -> dict[str, Any]:
    usual = {
        "fallthrough": [],
        "needed": False,
        "followed": True,
        "ttl": [0, 2147483647],
        "negative-ttl": [0, 2147483647],
    }
    return {"file": file, "zones": zones, **usual, **more}


def stub(zone: str, *upstreams: str, **own: Any) -> dict[str, Any]:
    """A zone with upstreams of its own, as the configuration has it."""
    unsaid = {"policy": None, "force-tcp": None, "alternatives": []}
    return {"zone": zone, "upstreams": list(upstreams), **unsaid, **own}


def alternative(*upstreams: str, rcodes: tuple[str, ...] = ("NXDOMAIN",), no_data: bool = False) -> dict[str, Any]:
    return {"upstreams": list(upstreams), "rcodes": list(rcodes), "no-data": no_data}


SETTINGS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "what a Corefile leaves unsaid": [
        (
            block(),
            {
                "names": ["."], "listen": ["0.0.0.0:53", "[::]:53"], "cluster": False, "search": "client",
                "forward.upstreams": [], "forward.resolv-conf": "", "cache.entries": 0, "hosts.files": [],
                "http": [], "udp-size": 4096, "autopath": False, "any": False, "minimal": False, "nsid": "",
            },
        ),
    ],
    "server blocks": [
        ("example.org example.com {\n}", {"names": ["example.org", "example.com"]}),
        ("Example.ORG.:1053 {\n}", {"names": ["example.org"], "listen": ["0.0.0.0:1053", "[::]:1053"]}),
        ("dns://example.org {\n}", {"names": ["example.org"], "listen": ["0.0.0.0:53", "[::]:53"]}),
        ("10.0.0.0/15 {\n}", {"names": ["0.10.in-addr.arpa", "1.10.in-addr.arpa"]}),
        ("example.org {\n}\nexample.com {\n}", {"names": ["example.org"], "blocks.0.names": ["example.com"]}),
        (
            "example.org example.com:54 {\n}",
            {"listen": ["0.0.0.0:53", "[::]:53"], "blocks.0.listen": ["0.0.0.0:54", "[::]:54"]},
        ),
    ],
    "kubernetes": [
        (
            cluster(),
            {
                "cluster": True, "zone": ["cluster.local"], "reverse-zone": ["in-addr.arpa", "ip6.arpa"], "ttl": 5,
                "negative-ttl": 5, "pods": "disabled", "fallthrough": [], "endpoints": True, "kubeconfig": "",
                "api-server": "", "endpoint-pod-names": False, "ignore-empty-service": False,
                "ptr-hostname-only": False, "zonal": False,
            },
        ),
        (
            "cluster.local 10.96.0.0/16 {\nkubernetes\n}",
            {"zone": ["cluster.local"], "reverse-zone": ["96.10.in-addr.arpa"]},
        ),
        (
            block("kubernetes cluster.local one.example 10.96.0.0/16 in-addr.arpa cluster.local"),
            {"zone": ["cluster.local", "one.example"], "reverse-zone": ["in-addr.arpa"]},
        ),
        (block("kubernetes cluster.local"), {"zone": ["cluster.local"], "reverse-zone": []}),
        (cluster("ttl 30"), {"ttl": 30, "negative-ttl": 30}),
        (cluster("ttl 0"), {"ttl": 0, "negative-ttl": 0}),
        (cluster("ttl 3600"), {"ttl": 3600, "negative-ttl": 300}),
        (cluster("ttl 20 40"), {"ttl": 20}),
        (cluster("apiserver_qps 5.5", "apiserver_burst 10", "startup_timeout 2s", "resyncperiod 5m"), {"ttl": 5}),
        (cluster("pods insecure"), {"pods": "insecure"}),
        (cluster("pods verified"), {"pods": "verified"}),
        (cluster("fallthrough"), {"fallthrough": ["."]}),
        (cluster("fallthrough svc.cluster.local"), {"fallthrough": ["svc.cluster.local"]}),
        (cluster("ptr_hostname_only"), {"ptr-hostname-only": True}),
        (cluster("zonal"), {"zonal": True}),
        (cluster("fallthrough in-addr.arpa ip6.arpa"), {"fallthrough": ["in-addr.arpa", "ip6.arpa"]}),
        (cluster("endpoint_pod_names"), {"endpoint-pod-names": True}),
        (cluster("noendpoints"), {"endpoints": False}),
        (cluster("ignore empty_service"), {"ignore-empty-service": True}),
        (cluster("ignore empty_service and more"), {"ignore-empty-service": True}),
        (cluster("namespaces one two", "namespaces three"), {"namespaces": ["three"]}),
        (cluster("namespaces one two"), {"namespaces": ["one", "two"]}),
        (cluster("namespace_labels istio-injection=enabled"), {"namespace-labels": "istio-injection=enabled"}),
        (cluster("labels environment in (a, b),app=nginx"), {"labels": "environment in (a, b),app=nginx"}),
        (cluster("endpoint http://127.0.0.1:8001"), {"api-server": "http://127.0.0.1:8001"}),
        (cluster("endpoint localhost:8080"), {"api-server": "http://localhost:8080"}),
        (cluster("endpoint http://127.0.0.1:8001 http://127.0.0.1:8002"), {"api-server": "http://127.0.0.1:8001"}),
        (cluster("kubeconfig /etc/kubeconfig"), {"kubeconfig": "/etc/kubeconfig", "context": ""}),
        (cluster("kubeconfig /etc/kubeconfig blue"), {"kubeconfig": "/etc/kubeconfig", "context": "blue"}),
        (cluster("endpoint http://a", "kubeconfig b"), {"kubeconfig": "b", "api-server": ""}),
        (cluster("tls cert key ca"), {"api-server": "", "api-certificate": "", "api-key": "", "api-authority": ""}),
        (
            cluster("endpoint https://10.0.0.1:6443", "tls cert key ca"),
            {
                "api-server": "https://10.0.0.1:6443", "api-certificate": "cert", "api-key": "key",
                "api-authority": "ca",
            },
        ),
        (
            cluster("endpoint https://a", 'tls "" "" ca'),
            {"api-certificate": "", "api-key": "", "api-authority": "ca"},
        ),
        (
            "example.org {\n}\ncluster.local in-addr.arpa {\nkubernetes {\nnamespaces a\n}\n}",
            {"cluster": False, "blocks.0.namespaces": ["a"], "blocks.0.cluster": True},
        ),
    ],
    "forward": [
        (
            block("forward . 192.0.2.1 [2001:db8::1]:54 2001:db8::2 192.0.2.2:5353"),
            {
                "forward.upstreams": ["192.0.2.1:53", "[2001:db8::1]:54", "[2001:db8::2]:53", "192.0.2.2:5353"],
                "forward.resolv-conf": "", "forward.policy": "random", "forward.in-flight": 4_000,
                "forward.force-tcp": False, "forward.except": [], "forward.zones": [],
            },
        ),
        (block("forward . /etc/resolv.conf"), {"forward.upstreams": [], "forward.resolv-conf": "/etc/resolv.conf"}),
        (block("forward . dns://192.0.2.1 tls://9.9.9.9"), {"forward.upstreams": ["192.0.2.1:53", "tls://9.9.9.9:853"]}),
        (
            block("forward . tls://9.9.9.9 192.0.2.1 {", "tls_servername dns.quad9.net", "}"),
            {"forward.upstreams": ["tls://9.9.9.9:853#dns.quad9.net", "192.0.2.1:53"]},
        ),
        (
            block("forward . tls://9.9.9.9%dns.quad9.net tls://9.9.9.9%dns.quad9.net:10853"),
            {"forward.upstreams": ["tls://9.9.9.9:853#dns.quad9.net", "tls://9.9.9.9:10853#dns.quad9.net"]},
        ),
        *(
            (block(f"forward . 192.0.2.1 {{\n{option}\n}}"), expected)
            for option, expected in (
                ("policy random", {"forward.policy": "random"}),
                ("policy round_robin", {"forward.policy": "round-robin"}),
                ("policy sequential", {"forward.policy": "sequential"}),
                ("force_tcp", {"forward.force-tcp": True}),
                ("prefer_udp", {"forward.force-tcp": False}),
                ("max_concurrent 1000", {"forward.in-flight": 1000}),
                ("max_concurrent 0", {"forward.in-flight": 4_000}),
                ("except example.org 10.0.0.0/8", {"forward.except": ["example.org", "10.in-addr.arpa"]}),
                ("tls", {"forward.tls-ca": ""}),
                ("tls /etc/ca.pem", {"forward.tls-ca": "/etc/ca.pem"}),
                ("tls c k", {"forward.tls-certificate": "c", "forward.tls-key": "k", "forward.tls-ca": ""}),
                ("tls c k a", {"forward.tls-certificate": "c", "forward.tls-key": "k", "forward.tls-ca": "a"}),
                ("failover SERVFAIL refused NOTIMPL", {"forward.failover": []}),
                ("failover nxdomain FORMERR", {"forward.failover": ["NXDOMAIN", "FORMERR"]}),
                ("max_fails 0", {"forward.max-failures": 0}),
                ("max_connect_attempts 3", {"forward.most-tries": 3}),
                ("failfast_all_unhealthy_upstreams", {"forward.fail-fast": True}),
                ("expire 20s", {"forward.kept-seconds": 20.0}),
                (
                    "health_check 5s no_rec domain example.org",
                    {
                        "forward.probe-seconds": 5.0, "forward.probe-recursive": False,
                        "forward.probe-domain": "example.org",
                    },
                ),
                ("next NXDOMAIN", {"forward.alternatives": []}),
            )
        ),
        (
            "example.org {\nforward example.org 192.0.2.1\n}",
            {"names": ["example.org"], "forward.upstreams": ["192.0.2.1:53"], "forward.zones": []},
        ),
    ],
    "tls": [
        ("tls://. {\ntls cert key\n}", {"listen": ["tls://0.0.0.0:853", "tls://[::]:853"], "tls": TLS}),
        ("tls://.:5553 {\nbind ::1\ntls cert key ca\n}", {"listen": ["tls://[::1]:5553"], "tls": TLS}),
        ("tls://. {\nroot /etc/tls\ntls cert /key\n}", {"tls.certificate": "/etc/tls/cert", "tls.key": "/key"}),
        *(
            (
                f"tls://. {{\ntls cert key {ca} {{\nclient_auth {word}\n}}\n}}",
                {"tls": {**TLS, "client-certificates": wanted, "client-authority": authority}},
            )
            for word, ca, wanted, authority in (
                ("nocert", "ca", "none", ""),
                ("request", "ca", "none", ""),
                ("verify_if_given", "ca", "verified-if-given", "ca"),
                ("require_and_verify", "ca", "required", "ca"),
                ("require_and_verify", "", "required", ""),
            )
        ),
        (
            "tls://a b {\nbind ::1\ntls cert key\n}",
            {"names": ["a"], "listen": ["tls://[::1]:853"], "blocks.0.names": ["b"], "blocks.0.listen": ["[::1]:53"]},
        ),
    ],
    "several forwards: the first that a name fits decides": [
        (
            block("forward consul 192.0.2.1", "forward . 192.0.2.2"),
            {
                "forward.zones": [stub("consul", "192.0.2.1:53")],
                "forward.upstreams": ["192.0.2.2:53"],
            },
        ),
        (
            block("forward consul 192.0.2.1"),
            {"forward.zones": [stub("consul", "192.0.2.1:53")], "forward.upstreams": []},
        ),
        (
            block("forward . 192.0.2.2", "forward consul 192.0.2.1"),
            {"forward.zones": [], "forward.upstreams": ["192.0.2.2:53"]},
        ),
        (
            block("forward . 192.0.2.2 {", "except consul", "}", "forward consul 192.0.2.1"),
            {
                "forward.zones": [stub("consul", "192.0.2.1:53")],
                "forward.upstreams": ["192.0.2.2:53"],
                "forward.except": [],
            },
        ),
        (
            block("forward consul 192.0.2.1 {", "except a.consul", "}", "forward . 192.0.2.2"),
            {
                "forward.zones": [
                    stub("consul", "192.0.2.1:53"),
                    stub("a.consul", "192.0.2.2:53"),
                ],
                "forward.except": [],
            },
        ),
        (
            block("forward a.b 192.0.2.1", "forward b 192.0.2.2", "forward c.b 192.0.2.3"),
            {
                "forward.zones": [
                    stub("b", "192.0.2.2:53"),
                    stub("a.b", "192.0.2.1:53"),
                ],
            },
        ),
        (
            block("forward a 192.0.2.1 {", "except b.a", "}", "forward c.b.a 192.0.2.2"),
            {
                "forward.zones": [stub("a", "192.0.2.1:53"), stub("c.b.a", "192.0.2.2:53")],
                "forward.except": ["b.a"],
            },
        ),
        (
            block("forward a /etc/a.conf", "forward . 192.0.2.1 /etc/resolv.conf"),
            {
                "forward.zones": [stub("a", "/etc/a.conf")], "forward.resolv-conf": "",
                "forward.upstreams": ["192.0.2.1:53", "/etc/resolv.conf"],
            },
        ),
        (
            block("forward a 192.0.2.1 {", "force_tcp", "policy sequential", "}", "forward . 192.0.2.2"),
            {
                "forward.zones": [stub("a", "192.0.2.1:53", **{"force-tcp": True, "policy": "sequential"})],
                "forward.policy": "random", "forward.force-tcp": False,
            },
        ),
        (
            block(
                "forward . 192.0.2.1 {", "next NXDOMAIN refused", "}",
                "forward . 192.0.2.2 {", "next_on_nodata", "}",
                "forward . 192.0.2.3",
                "forward . 192.0.2.4",
            ),
            {
                "forward.upstreams": ["192.0.2.1:53"],
                "forward.alternatives": [
                    alternative("192.0.2.2:53", rcodes=("NXDOMAIN", "REFUSED")),
                    alternative("192.0.2.3:53", rcodes=(), no_data=True),
                ],
            },
        ),
        (
            block("forward a 192.0.2.1 {", "next NXDOMAIN", "}", "forward b 192.0.2.2", "forward . /etc/resolv.conf"),
            {
                "forward.zones": [
                    stub("a", "192.0.2.1:53", alternatives=[alternative("/etc/resolv.conf")]),
                    stub("b", "192.0.2.2:53"),
                ],
                "forward.resolv-conf": "/etc/resolv.conf",
            },
        ),
        (
            block("forward a 192.0.2.1 {", "max_concurrent 5", "}", "forward . 192.0.2.2 {", "max_concurrent 7", "}"),
            {"forward.in-flight": 12},
        ),
    ],
    "cache": [
        (
            block("cache"),
            {
                "cache.entries": 2 * 9984, "cache.ttl": [5, 3600], "cache.negative-ttl": [5, 1800],
                "cache.failure-seconds": 5.0, "cache.stale-seconds": 0, "cache.prefetch-hits": 0,
            },
        ),
        (block("cache 30"), {"cache.ttl": [5, 30], "cache.negative-ttl": [5, 30]}),
        (block("cache 3"), {"cache.ttl": [3, 3], "cache.negative-ttl": [3, 3]}),
        *(
            (block(f"cache {{\n{option}\n}}"), expected)
            for option, expected in (
                ("success 4096", {"cache.entries": 4096 + 9984, "cache.ttl": [5, 3600]}),
                ("success 5000 60", {"cache.entries": 4864 + 9984, "cache.ttl": [5, 60]}),
                ("success 10 60 10", {"cache.entries": 1024 + 9984, "cache.ttl": [10, 60]}),
                ("denial 9984 5", {"cache.negative-ttl": [5, 5]}),
                ("denial 9984 60 0", {"cache.negative-ttl": [0, 60]}),
                (
                    "prefetch 10",
                    {"cache.prefetch-hits": 10, "cache.prefetch-gap-seconds": 60.0, "cache.prefetch-percent": 10},
                ),
                (
                    "prefetch 5 90s 20%",
                    {"cache.prefetch-hits": 5, "cache.prefetch-gap-seconds": 90.0, "cache.prefetch-percent": 20},
                ),
                (
                    "serve_stale",
                    {"cache.stale-seconds": 3600, "cache.stale-after-seconds": 0.0, "cache.stale-ttl": 0},
                ),
                ("serve_stale 2h immediate", {"cache.stale-seconds": 7200, "cache.stale-after-seconds": 0.0}),
                ("serve_stale 1h30m verify", {"cache.stale-seconds": 5400, "cache.stale-after-seconds": 1.8}),
                ("serve_stale 1h verify 300ms", {"cache.stale-seconds": 3600, "cache.stale-after-seconds": 0.3}),
                ("serve_stale 10000h VERIFY", {"cache.stale-seconds": 7 * 86400}),
                ("servfail 0", {"cache.failure-seconds": 0.0}),
                ("servfail 1500ms", {"cache.failure-seconds": 1.5}),
                ("servfail 5m", {"cache.failure-seconds": 300.0}),
                ("disable success", {"cache.except-success": ["."], "cache.except-denial": []}),
                ("disable denial a.example 10.0.0.0/8", {"cache.except-denial": ["a.example", "10.in-addr.arpa"]}),
                ("keepttl", {"cache.keep-ttl": True}),
            )
        ),
        (block("cache example.org"), {"cache.zones": ["example.org"]}),
        ("a.example b.example {\ncache 30 b.example\n}", {"cache.zones": ["b.example"]}),
        ("a.example {\ncache 30 example\n}", {"cache.zones": []}),
    ],
    "cache and what else goes through it": [
        (block("cache 10", "kubernetes cluster.local in-addr.arpa {", "ttl 30", "}"), {"ttl": 10, "negative-ttl": 10}),
        (block("kubernetes cluster.local in-addr.arpa {", "ttl 0", "}", "cache 30"), {"ttl": 5, "negative-ttl": 5}),
        (
            block("kubernetes cluster.local ip6.arpa {", "ttl 30", "}", "cache 10 {", "disable success local", "}"),
            {"ttl": 10, "negative-ttl": 10},
        ),
        (
            block("cache 10 example.org", "kubernetes cluster.local in-addr.arpa {", "ttl 30", "}"),
            {"ttl": 30, "negative-ttl": 30},
        ),
        (block("cache 30", "hosts {", "fallthrough", "}"), {"hosts.ttl": 30}),
        (
            block("cache 30 {", "denial 1024 20 10", "}", "template IN A {", "answer x.example.", "}"),
            {"template.0.ttl": [5, 30], "template.0.negative-ttl": [10, 20]},
        ),
        (
            block("cache 30 example.org", "template IN A {", "answer x.example.", "}"),
            {"template.0.ttl": [0, 0x7FFFFFFF]},
        ),
        (
            block("cache 30 example.org", "template IN A a.example.org {", "answer x.example.", "}"),
            {"template.0.ttl": [5, 30]},
        ),
        (block("cache 30", "rewrite ttl a.example 0-60"), {"rewrite.0.lowest": 5, "rewrite.0.highest": 30}),
    ],
    "file": [
        (block("file db"), {"zone-files": [zone_file("db", ["."])]}),
        (
            block("root /srv", "file db a.example 10.0.0.0/8"),
            {"zone-files": [zone_file("/srv/db", ["a.example", "10.in-addr.arpa"])]},
        ),
        (
            block(
                "file a a.example {", "reload 0", "fallthrough", "}",
                "file b b.example {", "reload 30s", "fallthrough x.b.example", "}",
            ),
            {
                "zone-files": [
                    zone_file("a", ["a.example"], fallthrough=["."], needed=True, followed=False),
                    zone_file("b", ["b.example"], fallthrough=["x.b.example"]),
                ],
            },
        ),
        (
            block("root /srv", "auto {", "directory zones", "reload 0", "}"),
            {
                "zone-folders.0.folder": "/srv/zones", "zone-folders.0.pattern": "db\\.(.*)",
                "zone-folders.0.origin": "{1}", "zone-folders.0.zones": ["."], "zone-folders.0.followed": False,
            },
        ),
        (
            block("auto a.example {", "directory /zones (.*)[.]zone {1}.a.example", "}", "cache 30"),
            {
                "zone-folders.0.pattern": "(.*)[.]zone", "zone-folders.0.origin": "{1}.a.example",
                "zone-folders.0.zones": ["a.example"], "zone-folders.0.ttl": [5, 30],
            },
        ),
        # Its cache keeps these answers too.
        (
            block("file db a.example", "cache 30"),
            {"zone-files": [zone_file("db", ["a.example"], **{"ttl": [5, 30], "negative-ttl": [5, 30]})]},
        ),
        (block("file db a.example", "cache 30 b.example"), {"zone-files": [zone_file("db", ["a.example"])]}),
    ],
    "hosts": [
        (block("hosts {", "fallthrough", "}"), {"hosts.files": ["/etc/hosts"], "hosts.entries": [], "hosts.ttl": 3600}),
        (block("hosts /etc/more {", "fallthrough", "}"), {"hosts.files": ["/etc/more"]}),
        (block("root /srv", "hosts more {", "fallthrough", "}"), {"hosts.files": ["/srv/more"]}),
        (
            block("hosts {", "192.0.2.1 a.example b.example", "::1 localhost", "ttl 60", "fallthrough", "}"),
            {"hosts.entries": ["192.0.2.1 a.example b.example", "::1 localhost"], "hosts.ttl": 60},
        ),
        (block("hosts {", "reload 0", "reload 1.5s", "fallthrough", "}"), {"hosts.files": ["/etc/hosts"]}),
        (block("hosts"), {"hosts.zones": [], "hosts.reverse": True, "hosts.fallthrough": []}),
        (block("hosts /etc/more a.example B.example"), {"hosts.zones": ["a.example", "b.example"]}),
        ("a.example b.example {\nhosts\n}", {"hosts.zones": ["a.example", "b.example"]}),
        (
            block("hosts {", "fallthrough a.example", "no_reverse", "}"),
            {"hosts.fallthrough": ["a.example"], "hosts.reverse": False},
        ),
        (block(), {"hosts.fallthrough": ["."]}),
    ],
    "addresses and sizes": [
        (block("bind 127.0.0.1 ::1", "bind 127.0.0.2"), {"listen": ["127.0.0.1:53", "[::1]:53", "127.0.0.2:53"]}),
        (block("bind 127.0.0.1 127.0.0.2 {", "except 127.0.0.1", "}"), {"listen": ["127.0.0.2:53"]}),
        (block("bind localhost"), {"listen": ["127.0.0.1:53"]}),
        (block("bind lo {", "except ::1", "}"), {"listen": ["127.0.0.1:53"]}),
        (block("bind 192.0.2.1 127.0.0.1 ::1 {", "except lo", "}"), {"listen": ["192.0.2.1:53"]}),
        (block("bufsize"), {"udp-size": 1232}),
        (block("bufsize 512"), {"udp-size": 512}),
    ],
    "what operators see": [
        (block("health"), {"http-health": ["0.0.0.0:8080", "[::]:8080"]}),
        (block("health 127.0.0.1:81"), {"http-health": ["127.0.0.1:81"], "lameduck-seconds": 0.0}),
        (block("health {", "lameduck 1m5s", "}"), {"lameduck-seconds": 65.0}),
        ("a {\nhealth {\nlameduck 5s\n}\n}\nb {\nhealth :1 {\nlameduck 3s\n}\n}", {"lameduck-seconds": 5.0}),
        (block("ready"), {"http-ready": ["0.0.0.0:8181", "[::]:8181"]}),
        (block("ready [::1]:81 {", "monitor continuously", "}"), {"http-ready": ["[::1]:81"]}),
        (block("prometheus"), {"http-metrics": ["127.0.0.1:9153"], "http": []}),
        (block("prometheus 0.0.0.0:9153"), {"http-metrics": ["0.0.0.0:9153"]}),
        (
            "a {\nprometheus 127.0.0.1:1\nhealth 127.0.0.1:2\n}\nb {\nprometheus 127.0.0.1:1\nready 127.0.0.1:3\n}",
            {
                "http": [], "http-metrics": ["127.0.0.1:1"], "http-health": ["127.0.0.1:2"],
                "http-ready": ["127.0.0.1:3"],
            },
        ),
    ],
    "acl": [
        (
            block("acl {", "allow net 10.0.0.0/8 192.0.2.1", "block", "}"),
            {
                "acl": [
                    {
                        "zones": ["."],
                        "policies": [
                            {"action": "allow", "types": [], "networks": ["10.0.0.0/8", "192.0.2.1"], "files": []},
                            {"action": "block", "types": [], "networks": [], "files": []},
                        ],
                    },
                ],
            },
        ),
        (
            block("acl example.org {", "filter type A AAAA net *", "}", "acl {", "DROP type * net ::/0", "}"),
            {
                "acl": [
                    {
                        "zones": ["example.org"],
                        "policies": [{"action": "filter", "types": [1, 28], "networks": [], "files": []}],
                    },
                    {"zones": ["."], "policies": [{"action": "drop", "types": [], "networks": ["::/0"], "files": []}]},
                ],
            },
        ),
        (
            block("root /srv", "acl {", "block net 10.0.0.0/8 file /etc/bad more", "}"),
            {"acl.0.policies.0.networks": ["10.0.0.0/8"], "acl.0.policies.0.files": ["/etc/bad", "/srv/more"]},
        ),
    ],
    "rewrite": [
        (
            block(f"rewrite {text}"),
            {"rewrite": [{"type": kind, "stop": True, **({"match": "exact"} if "name" in rule else {}), **rule}]},
        )
        for text, kind, rule in (
            ("name a b", "name", {"name": "a", "replacement": "b", "auto": False, "answers": []}),
            (
                "continue name suffix .a .b answer auto",
                "name",
                {"name": ".a", "replacement": ".b", "match": "suffix", "stop": False, "auto": True, "answers": []},
            ),
            (
                "stop {\nname regex (.*)\\.a {1}.b\nanswer name (.*)\\.b {1}.a\nanswer value (.*)\\.b {1}.a\n}",
                "name",
                {
                    "name": "(.*)\\.a", "replacement": "{1}.b", "match": "regex", "auto": False,
                    "answers": [
                        {"part": "name", "pattern": "(.*)\\.b", "replacement": "{1}.a"},
                        {"part": "value", "pattern": "(.*)\\.b", "replacement": "{1}.a"},
                    ],
                },
            ),
            ("ttl a.example 30", "ttl", {"name": "a.example", "lowest": 30, "highest": 30}),
            ("ttl prefix a. 30-60", "ttl", {"name": "a.", "match": "prefix", "lowest": 30, "highest": 60}),
            ("ttl a. -60", "ttl", {"name": "a.", "lowest": 0, "highest": 60}),
            ("ttl a. 30-", "ttl", {"name": "a.", "lowest": 30, "highest": 0x7FFFFFFF}),
            ("rcode prefix a NXDOMAIN 0", "rcode", {"name": "a", "match": "prefix", "rcode": 3, "replacement": 0}),
            ("type ANY HINFO", "type", {"rtype": 255, "replacement": 13}),
            ("class CH IN", "class", {"rclass": 3, "replacement": 1}),
            ("cname cdn.a cdn.b", "cname", {"target": "cdn.a", "replacement": "cdn.b", "match": "exact"}),
            ("cname suffix .a .b", "cname", {"target": ".a", "replacement": ".b", "match": "suffix"}),
            ("edns0 nsid set", "edns0", {**EDNS, "kind": "nsid", "action": "set"}),
            (
                "continue edns0 local append 0xffee {client_ip}",
                "edns0",
                {**EDNS, "kind": "local", "action": "append", "code": 0xFFEE, "data": "{client_ip}", "stop": False},
            ),
            ("edns0 local unset 65518", "edns0", {**EDNS, "kind": "local", "action": "unset", "code": 0xFFEE}),
            (
                "edns0 subnet replace 24 56 revert",
                "edns0",
                {**EDNS, "kind": "subnet", "action": "replace", "ipv4-bits": 24, "ipv6-bits": 56},
            ),
        )
    ],
    "template": [
        (
            "example.org {\ntemplate ANY AAAA {\nrcode NXDOMAIN\n}\n}",
            {
                "template": [
                    {
                        "qclass": 255, "qtype": 28, "zones": ["example.org"], "patterns": [], "answer": [],
                        "authority": [], "additional": [], "rcode": 3, "reason": None, "fall-through": [],
                        "ttl": [0, 0x7FFFFFFF], "negative-ttl": [0, 0x7FFFFFFF],
                    },
                ],
            },
        ),
        (
            block(
                "template IN A a.example b.example {", 'match "^x[.]" "^y[.]"',
                'answer "{{ .Name }} 60 IN A 192.0.2.1"',
                'ederror 21 "no such thing"', "fallthrough", "}",
            ),
            {
                "template": [
                    {
                        "qclass": 1, "qtype": 1, "zones": ["a.example", "b.example"], "patterns": ["^x[.]", "^y[.]"],
                        "answer": ["{{ .Name }} 60 IN A 192.0.2.1"], "authority": [], "additional": [], "rcode": 0,
                        "reason": {"text": "no such thing", "code": 21}, "fall-through": ["."],
                        "ttl": [0, 0x7FFFFFFF], "negative-ttl": [0, 0x7FFFFFFF],
                    },
                ],
            },
        ),
    ],
    "k8s_external": [
        (
            external("example.org"),
            {
                "external-zone": ["example.org"], "external.ttl": 5, "external.negative-ttl": 5, "external.apex": "dns",
                "external.headless": False, "external.fallthrough": [],
            },
        ),
        (
            external("203.0.113.0/24 Example.Org. example.com"),
            {"external-zone": ["example.org", "example.com", "113.0.203.in-addr.arpa"]},
        ),
        (
            "example.org in-addr.arpa {\nkubernetes cluster.local\nk8s_external\n}",
            {"external-zone": ["example.org", "in-addr.arpa"], "reverse-zone": []},
        ),
        (
            external("example.org", "apex Ns", "ttl 60", "headless", "fallthrough"),
            {
                "external.ttl": 60, "external.negative-ttl": 60, "external.apex": "ns", "external.headless": True,
                "external.fallthrough": ["."],
            },
        ),
        (
            external("example.org in-addr.arpa", "fallthrough in-addr.arpa"),
            {"external.fallthrough": ["in-addr.arpa"]},
        ),
        (
            external("example.org", "ttl 10", "}", "cache {", "success 9984 60 30", "denial 9984 20"),
            {"external.ttl": 30, "external.negative-ttl": 10},
        ),
        (block("k8s_external example.org"), {"cluster": False, "external-zone": []}),
    ],
    "autopath": [
        (block("kubernetes c.example ip6.arpa {", "pods verified", "}", "autopath @kubernetes"), {"autopath": True}),
        (block("autopath @kubernetes", "kubernetes cluster.local in-addr.arpa"), {"autopath": False}),
        (
            block("kubernetes a.b ip6.arpa {", "pods verified", "}", "autopath a.b c @kubernetes"),
            {"autopath": True, "autopath-zones": ["a.b", "c"]},
        ),
        (
            block("autopath b.example /etc/resolv.conf"),
            {"autopath": False, "autopath-conf": "/etc/resolv.conf", "autopath-zones": ["b.example"]},
        ),
    ],
    "log": [
        (
            block("log"),
            {"query-log": logged(".")},
        ),
        ("example.org {\nlog\n}", {"query-log": logged("example.org")}),
        (block("log example.org"), {"query-log": logged("example.org")}),
        (
            block("log example.org 10.0.0.0/8 {combined} {", "class denial error", "class error", "}"),
            {
                "query-log": logged(
                    "example.org", "10.in-addr.arpa", format=COMBINED_LOG_FORMAT, classes=["denial", "error"]
                ),
            },
        ),
        (
            block('log . "{proto} {common}" {', "class error", "minDuration 1s", "}", "log example.org"),
            {
                "query-log": [
                    *logged(".", format=f"{{proto}} {COMMON_LOG_FORMAT}", classes=["error"], **{"slower-than": 1.0}),
                    *logged("example.org"),
                ],
            },
        ),
    ],
    "errors": [
        (block("errors"), {"log-consolidate": []}),
        (
            block("errors {", 'consolidate 5m ".* i/o timeout$" warning', "consolidate 30s ^Failed show_first", "}"),
            {
                "log-consolidate": [
                    {"pattern": ".* i/o timeout$", "seconds": 300.0, "level": "warning", "show-first": False},
                    {"pattern": "^Failed", "seconds": 30.0, "level": "error", "show-first": True},
                ],
            },
        ),
    ],
    "small ones": [
        (block("any"), {"any": True}),
        (block("local", "whoami"), {"local": True, "whoami": True}),
        (block("loadbalance"), {"cache.rotate": True, "prefer": []}),
        (
            block("loadbalance round_robin {", "prefer 10.0.0.1/8 fd00::/8", "prefer 192.0.2.1", "}"),
            {"cache.rotate": True, "prefer": ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"]},
        ),
        (
            block("header {", "set ra aa", "clear rd AA", "query clear rd", "response set rd", "}"),
            {
                "header.set": ["ra", "rd"], "header.clear": ["aa"], "header.query-set": [],
                "header.query-clear": ["rd"],
            },
        ),
        (block("timeouts {", "idle 1m", "read 3s", "}"), {"tcp.idle-seconds": 60.0}),
        (block("minimal"), {"minimal": True}),
        (
            block(
                "transfer {", "to * 192.0.2.1", "}",
                "transfer example.org 10.0.0.0/8 {", "to 192.0.2.1:5353", "to [::1]:53 fd00::/8", "}",
            ),
            {
                "transfer.rules": [
                    {"zones": ["."], "to": ["*", "192.0.2.1"]},
                    {"zones": ["example.org", "10.in-addr.arpa"], "to": ["192.0.2.1", "::1", "fd00::/8"]},
                ],
            },
        ),
        (block("nsid use The Force"), {"nsid": "use The Force"}),
        (
            "a {\nview x {\nexpr incidr(client_ip(), '10.0.0.0/8')\nexpr type() in ['A', 'MX']\n}\n}\na {\n}\n",
            {
                "view": {"name": "x", "conditions": ["incidr(client_ip(), '10.0.0.0/8')", "type() in ['A', 'MX']"]},
                "blocks.0.view": {"name": "", "conditions": []},
            },
        ),
        (block("dns64"), {"dns64": {"prefix": "64:ff9b::/96", "translate-all": False, "allow-ipv4": False}}),
        (block("dns64 2001:db8::/64"), {"dns64.prefix": "2001:db8::/64"}),
        (
            block("dns64 {", "prefix 2001:db8::/32", "translate_all", "allow_ipv4", "}"),
            {"dns64": {"prefix": "2001:db8::/32", "translate-all": True, "allow-ipv4": True}},
        ),
        (
            block("chaos"),
            {"chaos.version": f"clusterdns-{__version__}", "chaos.authors": ["the maintainers of clusterdns"]},
        ),
        (block("chaos v1 me you"), {"chaos.version": "v1", "chaos.authors": ["me", "you"], "chaos.hostname": ""}),
        (block("errors {", "stacktrace", "}"), {"log-consolidate": []}),
        (block("loop", "reload 10s 5s", "loadbalance round_robin"), {"cluster": False}),
    ],
}  # fmt: skip


class TestWhatEachDirectiveBecomes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [pytest.param(*each, id=f"{about}-{n}") for about, cases in SETTINGS.items() for n, each in enumerate(cases)],
    )
    def test_becomes_settings(self, text: str, expected: dict[str, Any]) -> None:
        blocks = config.blocks(translated(text).config)
        found = {}
        for path in expected:
            # `blocks.0.names` is one of the block behind the first.
            _, number, rest = path.split(".", 2) if path.startswith("blocks.") else ("", "-1", path)
            found[path] = value(blocks[int(number) + 1], rest)
        assert found == expected

    @pytest.mark.parametrize(
        "text",
        [text for cases in SETTINGS.values() for text, _ in cases],
    )
    def test_the_order_of_directives_means_nothing_but_among_those_of_one_name(self, text: str) -> None:
        found = corefile(text)
        turned = msgspec.structs.replace(
            found,
            blocks=tuple(
                msgspec.structs.replace(each, directives=tuple(sorted(each.directives, key=lambda each: each.name)))
                for each in found.blocks
            ),
        )
        assert translate(turned).config == translate(found).config


def test_a_kernel_that_tells_no_addresses_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("clusterdns.corefile.interfaces.addresses", refuse)
    (fault,) = faults(block("bind eth0"))
    assert fault.endswith(
        "bind: the addresses of eth0 can not be had from the kernel: Operation not permitted; give addresses"
    )
