"""The configuration: what its file may say, and what is told to whoever says something else."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from clusterdns import config
from clusterdns.around.query_log import Rule
from clusterdns.around.rate_limit import RateLimit
from clusterdns.around.visibility import Rule as Visible
from clusterdns.config import (
    BadConfig,
    Cache,
    Config,
    Cookies,
    External,
    Forward,
    Hosts,
    StubZone,
    Tcp,
    Tls,
    Transfer,
)  # fmt: skip
from clusterdns.consolidation import Consolidation
from clusterdns.transfers import Rule as Transferred

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTED = Path(__file__).parents[1] / "config" / "clusterdns.yaml"


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Config]:
    def read(text: str) -> Config:
        (tmp_path / "clusterdns.yaml").write_text(text)
        return config.read(tmp_path / "clusterdns.yaml")

    return read


def fault(read: Callable[[str], Config], text: str) -> str:
    """What is said of a file, without its path."""
    with pytest.raises(BadConfig) as caught:
        read(text)
    path, _, reason = str(caught.value).partition(": ")
    assert re.search(r"/clusterdns\.yaml(:\d+)?$", path)
    assert "\n" not in reason
    return reason


class TestTheDocumentedFile:
    """config/clusterdns.yaml holds every setting with its default."""

    def test_it_says_what_holds_without_it(self) -> None:
        assert config.read(DOCUMENTED) == Config()

    def test_it_leaves_nothing_out(self) -> None:
        def settings(struct: type[msgspec.Struct], prefix: str = "") -> set[str]:
            found = set()
            for each in msgspec.structs.fields(struct):
                is_group = isinstance(each.type, type) and issubclass(each.type, msgspec.Struct)
                name = prefix + each.encode_name
                found |= settings(each.type, f"{name}.") if is_group else {name}
            return found

        def written(content: dict[str, Any], prefix: str = "") -> set[str]:
            found = set()
            for name, value in content.items():
                found |= written(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name}
            return found

        assert written(yaml.safe_load(DOCUMENTED.read_text())) == settings(Config)

    def test_each_setting_has_a_word_about_it(self) -> None:
        """A comment above it, or above the settings that it stands with."""
        lines = DOCUMENTED.read_text().splitlines()
        assert [line for before, line in pairwise(lines) if not before and line and line[0] != "#"] == ["tcp:"]


def upstream(text: str) -> Config:
    return Config(forward=Forward(upstreams=(text,)))


class TestReading:
    def test_a_file_overrides_only_what_it_names(self, read: Callable[[str], Config]) -> None:
        settings = read("ttl: 60\nlisten: [127.0.0.1:53, '[::1]:53']\ntcp: {idle-seconds: 3}\n")
        assert settings == Config(ttl=60, listen=("127.0.0.1:53", "[::1]:53"), tcp=Tcp(idle_seconds=3))

    @pytest.mark.parametrize("text", ["", "\n", "{}", "# nothing\n"])
    def test_an_empty_file_changes_nothing(self, read: Callable[[str], Config], text: str) -> None:
        assert read(text) == Config()

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("ttll: 30", "ttll: there is no such setting"),
            ("negative_ttl: 30", "negative_ttl: there is no such setting"),
            ("tcp: {conections: 1}", "tcp.conections: there is no such setting"),
            ("ttl: soon", "ttl: expected a whole number, not text"),
            ("ttl: '30'", "ttl: expected a whole number, not text"),
            ("ttl: 30.5", "ttl: expected a whole number, not a number"),
            ("ttl:", "ttl: expected a whole number, not nothing"),
            ("ttl: true", "ttl: expected a whole number, not true or false"),
            ("listen: 127.0.0.1:53", "listen: expected a list, not text"),
            ("listen: [53]", "listen[0]: expected text, not a whole number"),
            ("extended-errors: 1", "extended-errors: expected true or false, not a whole number"),
            ("pods: maybe", "pods: 'maybe' is none of its values, disabled, insecure, verified"),
            (
                "forward: {policy: best}",
                "forward.policy: 'best' is none of its values, random, round-robin, sequential",
            ),
            ("cache: {ttl: [5]}", "cache.ttl: expected a list of 2, not of 1"),
            ("tcp: 5", "tcp: expected settings by name, not a whole number"),
            ("- ttl", "the file: expected settings by name, not a list"),
            ("30", "the file: expected settings by name, not a whole number"),
            ("ttl: 30\nttl: 30", "the key 'ttl' stands there twice"),
            ("cache: {entries: 1, bytes: 2, entries: 3}", "the key 'entries' stands there twice"),
        ],
    )
    def test_what_is_no_setting_is_refused(self, read: Callable[[str], Config], text: str, reason: str) -> None:
        assert fault(read, text) == reason

    @pytest.mark.parametrize("text", ["ttl: [", "ttl: 30\n\tx: 1", "ttl: 30\nttl : : 1", "ttl: \0", "ttl: 2001-99-99"])
    def test_what_is_no_yaml_is_refused(self, read: Callable[[str], Config], text: str) -> None:
        assert fault(read, text)

    def test_what_is_no_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "clusterdns.yaml").write_bytes(b"ttl: \xff\xff")
        with pytest.raises(BadConfig, match=r"clusterdns\.yaml: "):
            config.read(tmp_path / "clusterdns.yaml")

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(BadConfig, match=r"/nowhere\.yaml: No such file or directory$"):
            config.read(tmp_path / "nowhere.yaml")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(BadConfig, match=r": Is a directory$"):
            config.read(tmp_path)


def faults(settings: Config) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        config.check(settings)
    return str(caught.value).splitlines()


class TestChecking:
    def test_the_defaults_can_be(self) -> None:
        config.check(Config())

    @pytest.mark.parametrize(
        "settings",
        [
            Config(ttl=0, negative_ttl=0),
            Config(ttl=3600, negative_ttl=3600),
            Config(udp_size=512),
            Config(udp_size=4096),
            Config(listen=("0.0.0.0:53", "[::]:53", "::1", "127.0.0.1", "[::1]", "127.0.0.1:0")),
            Config(listen=("tls://192.0.2.1:8853", "tls://[::]"), tls=Tls("cert", "key", "required", "ca")),
            Config(forward=Forward(tls_certificate="cert", tls_key="key")),
            Config(service_cidr=("10.96.0.0/12", "fd00:10:96::/112")),
            Config(service_cidr=("fd00:10:96::/112",)),
            Config(zone=("cluster.local", "Cluster.Example.", "x")),
            Config(reverse_zone=("10.in-addr.arpa", "192.168.0.0/16", "fd00::/8")),
            Config(dns_service="kube-system/coredns"),
            Config(tcp=Tcp(connections=1, idle_seconds=0.1)),
            Config(forward=Forward(upstreams=("192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53", "2001:db8::1"))),
            Config(forward=Forward(upstreams=("tls://192.0.2.1", "tls://[2001:db8::1]:8853#dns.example.org"))),
            Config(forward=Forward(upstreams=("dns://192.0.2.1", "fe80::1%lo"))),
            Config(
                forward=Forward(zones=(StubZone("corp.example", ("192.0.2.1",)),), excepted=("x.corp.example", "."))
            ),
            Config(cache=Cache(entries=0, bytes=0, ttl=(5, 5), stale_seconds=0, prefetch_hits=0)),
            Config(search="server", search_domains=("shop.svc.cluster.local", "example")),
            Config(pods="verified", autopath=True),
            Config(external_zone=("example.org", "x.cluster.local", "203.0.113.0/24", "ip6.arpa")),
            Config(zone=("k.example.org",), external_zone=("example.org",), external=External(ttl=0, apex="ns-1")),
        ],
    )
    def test_what_can_be(self, settings: Config) -> None:
        config.check(settings)

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            (Config(ttl=-1), "ttl: -1 is not between 0 and 3600"),
            (Config(ttl=3601), "ttl: 3601 is not between 0 and 3600"),
            (Config(negative_ttl=-1), "negative-ttl: -1 is not between 0 and 3600"),
            (Config(negative_ttl=3601), "negative-ttl: 3601 is not between 0 and 3600"),
            (Config(udp_size=511), "udp-size: 511 is not between 512 and 4096"),
            (Config(udp_size=65535), "udp-size: 65535 is not between 512 and 4096"),
            (Config(tcp=Tcp(connections=0)), "tcp.connections: 0 is not between 1 and 1000000"),
            (
                Config(tcp=Tcp(connections_per_client=0)),
                "tcp.connections-per-client: 0 is not between 1 and 1000000",
            ),
            (Config(tcp=Tcp(in_flight=0)), "tcp.in-flight: 0 is not between 1 and 100000"),
            (
                Config(visibility=(Visible(clients=("shop",), see=()),)),
                "visibility.clients: they take pods: verified, not disabled",
            ),
            (
                Config(pods="verified", namespaces=("bank",), visibility=(Visible(clients=("shop", "bank"), see=()),)),
                "visibility.clients: shop: it is none of namespaces, so its pods are not known",
            ),
            (Config(visibility=(Visible(see=("Shop",)),)), "visibility: rule 1: 'Shop' is no name of a namespace"),
            (Config(rate_limit=RateLimit(slip=11)), "rate-limit.slip: 11 is not between 0 and 10"),
            (
                Config(cookies=Cookies(secrets=("e5e9",))),
                "cookies.secrets[0]: expected 32 hexadecimal digits",
            ),
            (
                Config(cookies=Cookies(secrets=("e5e973e5a6b2a43f48e7dc849e37bfcf",), file="secrets")),
                "cookies.secrets: they stand in cookies.file, or here, not in both",
            ),
            (
                Config(transfer=Transfer(rules=(Transferred(to=("ns.example.org",)),))),
                "transfer.rules: rule 1: 'ns.example.org' does not appear to be an IPv4 or IPv6 network",
            ),
            (Config(transfer=Transfer(at_once=0)), "transfer.at-once: 0 is not between 1 and 1000"),
            (Config(transfer=Transfer(seconds=0)), "transfer.seconds: 0 is not between 0.1 and 86400"),
            (Config(tcp=Tcp(idle_seconds=0)), "tcp.idle-seconds: 0 is not between 0.1 and 86400"),
            (Config(tcp=Tcp(idle_seconds=float("nan"))), "tcp.idle-seconds: nan is not between 0.1 and 86400"),
            (Config(listen=()), "listen: at least one is needed"),
            (
                Config(listen=("tls://",), tls=Tls("cert", "key")),
                "listen: 'tls://': expected ADDRESS:PORT, such as 127.0.0.1:1053 or [::1]:1053",
            ),
            (Config(listen=("https://[::1]",)), "listen: 'https://[::1]': expected ADDRESS:PORT, such as 127.0.0.1"),
            (Config(http=("tls://[::1]:80",)), "http: 'tls://[::1]:80': expected ADDRESS:PORT, such as 127.0.0.1:1053"),
            (Config(listen=("tls://[::1]",)), "tls.certificate: tls://[::1] takes one, and tls.key"),
            (Config(tls=Tls("cert")), "tls.certificate: it takes tls.key"),
            (Config(api_certificate="c", api_server="https://a"), "api-certificate: it takes api-key"),
            (Config(api_key="k", api_server="https://a"), "api-key: it takes api-certificate"),
            (Config(api_authority="c"), "api-authority: it takes api-server"),
            (Config(tls=Tls("", "key")), "tls.key: it takes tls.certificate"),
            (Config(tls=Tls(client_authority="ca")), "tls.client-authority: it takes tls.client-certificates"),
            (Config(forward=Forward(tls_certificate="c")), "forward.tls-certificate: it takes forward.tls-key"),
            (Config(forward=Forward(tls_key="k")), "forward.tls-key: it takes forward.tls-certificate"),
            (Config(listen=("53",)), "listen: '53': expected ADDRESS:PORT, such as 127.0.0.1:1053 or [::1]:1053"),
            (Config(listen=("",)), "listen: '': expected ADDRESS:PORT, such as 127.0.0.1:1053 or [::1]:1053"),
            (Config(listen=("127.0.0.1:",)), "listen: '127.0.0.1:': expected a port from 0 to 65535"),
            (Config(listen=("127.0.0.1:-1",)), "listen: '127.0.0.1:-1': expected a port from 0 to 65535"),
            (Config(listen=("127.0.0.1:65536",)), "listen: '127.0.0.1:65536': expected a port from 0 to 65535"),
            (Config(listen=("127.0.0.1:٥٣",)), "listen: '127.0.0.1:٥٣': expected a port from 0 to 65535"),
            (Config(listen=("[::1:53",)), "listen: '[::1:53': "),
            (Config(service_cidr=()), "service-cidr: at least one is needed"),
            (Config(service_cidr=("10.96.0.1/16",)), "service-cidr: '10.96.0.1/16': 10.96.0.1/16 has host bits set"),
            (Config(service_cidr=("10.0.0.0/16", "10.1.0.0/16")), "service-cidr: 10.0.0.0/16, 10.1.0.0/16: expected"),
            (Config(zone=()), "zone: at least one is needed"),
            (Config(zone=("a..b",)), "zone: 'a..b': "),
            (Config(zone=("a" * 60,)), f"zone: '{'a' * 60}': longer than 54 bytes"),
            (Config(zone=("10.in-addr.arpa",)), "zone: '10.in-addr.arpa': this is a reverse zone"),
            (Config(reverse_zone=("cluster.local",)), "reverse-zone: 'cluster.local': expected a name below"),
            (Config(reverse_zone=("10.96.0.0/33",)), "reverse-zone: '10.96.0.0/33': "),
            (Config(dns_service="kube-dns"), "dns-service: 'kube-dns': expected NAMESPACE/NAME"),
            (Config(dns_service="a/b/c"), "dns-service: 'a/b/c': expected NAMESPACE/NAME"),
            (upstream("localhost"), "forward.upstreams: 'localhost': expected ADDRESS, ADDRESS:PORT or tls://"),
            (upstream("192.0.2.1:0"), "forward.upstreams: '192.0.2.1:0': expected a port from 1 to 65535"),
            (upstream("https://192.0.2.1"), "forward.upstreams: 'https://192.0.2.1': expected tls:// or dns://"),
            (upstream("192.0.2.1#name"), "forward.upstreams: '192.0.2.1#name': a server name is for tls://"),
            (upstream("tls://192.0.2.1#a..b"), "forward.upstreams: 'tls://192.0.2.1#a..b': 'a..b' is no host name"),
            (Config(forward=Forward(excepted=("a..b",))), "forward.except: 'a..b': "),
            (Config(forward=Forward(zones=(StubZone("a..b", ("::1",)),))), "forward.zones.zone: 'a..b': "),
            (Config(forward=Forward(zones=(StubZone("a", ("b",)),))), "forward.zones.upstreams: 'b': expected ADDRESS"),
            (upstream("tls://192.0.2.1#"), "forward.upstreams: 'tls://192.0.2.1#': '' is no host name"),
            (Config(forward=Forward(zones=(StubZone("a", ()),))), "forward.zones: a: it has no upstreams"),
            (Config(forward=Forward(zones=(StubZone(".", ("::1",)),))), "forward.zones: .: the upstreams of all"),
            (
                Config(forward=Forward(zones=(StubZone("a", ("::1",)), StubZone("A.", ("::1",))))),
                "forward.zones: A.: it stands there twice",
            ),
            (Config(forward=Forward(try_seconds=0)), "forward.try-seconds: 0 is not between 0.05 and 60"),
            (Config(forward=Forward(seconds=61)), "forward.seconds: 61 is not between 0.05 and 60"),
            (Config(forward=Forward(failover=("NO",))), "forward.failover: 'NO': expected a response code such as"),
            (Config(forward=Forward(max_failures=-1)), "forward.max-failures: -1 is not between"),
            (
                Config(forward=Forward(alternatives=(config.Alternative(("x",)),))),
                "forward.alternatives.upstreams: 'x': expected ADDRESS",
            ),
            (Config(forward=Forward(in_flight=0)), "forward.in-flight: 0 is not between 1 and 100000"),
            (Config(cache=Cache(entries=-1)), "cache.entries: -1 is not between"),
            (Config(cache=Cache(ttl=(60, 30))), "cache.ttl: 60 to 30: the first is the lowest, the second the highest"),
            (Config(cache=Cache(negative_ttl=(-1, 30))), "cache.negative-ttl: -1 is not between"),
            (Config(cache=Cache(failure_seconds=301)), "cache.failure-seconds: 301 is not between 0 and 300"),
            (Config(cache=Cache(stale_after_seconds=-1)), "cache.stale-after-seconds: -1 is not between 0 and 60"),
            (Config(cache=Cache(prefetch_percent=95)), "cache.prefetch-percent: 95 is not between 1 and 90"),
            (Config(cache=Cache(zones=("a..b",))), "cache.zones: 'a..b': "),
            (Config(cache=Cache(stale_seconds=604801)), "cache.stale-seconds: 604801 is not between 0 and 604800"),
            (Config(hosts=Hosts(ttl=-1)), "hosts.ttl: -1 is not between"),
            (Config(hosts=Hosts(zones=("a..b",))), "hosts.zones: 'a..b': "),
            (Config(search_domains=("a..b",)), "search-domains: 'a..b': "),
            (Config(query_log=(Rule(sample=0),)), "query-log: rule 1: sample 0: expected 1 or more"),
            (
                Config(query_log=(Rule(namespaces=("shop",)),)),
                "query-log.namespaces: they take pods: verified, not disabled",
            ),
            (
                Config(log_consolidate=(Consolidation(pattern="(", seconds=1),)),
                "log-consolidate.pattern: '(': a parenthesis without its other one, in '('",
            ),
            (
                Config(log_consolidate=(Consolidation(pattern="a", seconds=0),)),
                "log-consolidate.seconds: 0 is not between 0.001 and 86400",
            ),
            (Config(lameduck_seconds=-1), "lameduck-seconds: -1 is not between 0 and 3600"),
            (Config(http_ready=("here",)), "http-ready: 'here': "),
            (Config(external=External(ttl=3601)), "external.ttl: 3601 is not between 0 and 3600"),
            (Config(external=External(negative_ttl=-1)), "external.negative-ttl: -1 is not between 0 and 3600"),
            (Config(external=External(apex="a.b")), "external.apex: 'a.b': expected one label, such as dns"),
            (Config(external=External(fallthrough=("a..b",))), "external.fallthrough: 'a..b': "),
            (Config(external_zone=(".",)), "external-zone: '.': expected a name such as cluster.local"),
            (Config(external_zone=("10.in-addr.arpa",)), "external-zone: at least one is needed that is no reverse"),
            (Config(external_zone=("a", "b.a")), "external-zone: b.a. lies within a."),
            (
                Config(external_zone=("Cluster.local",)),
                "external-zone: Cluster.local: its names are those of zone clust",
            ),
            (Config(external_zone=("x.svc.cluster.local",)), "external-zone: x.svc.cluster.local: its names are those"),
            (Config(autopath=True), "autopath: it takes pods: verified, not disabled"),
            (Config(prefer=("ten",)), "prefer: 'ten': 'ten' does not appear to be an IPv4 or IPv6 network"),
            (Config(autopath_zones=("a..b",)), "autopath-zones: 'a..b': "),
            (
                Config(pods="verified", autopath=True, autopath_conf="/etc/resolv.conf"),
                "autopath: search lists come from the pods' namespaces or from autopath-conf, not from both",
            ),
        ],
    )
    def test_what_cannot_be(self, settings: Config, expected: str) -> None:
        (line,) = faults(settings)
        assert line.startswith(expected)

    def test_every_fault_is_named(self) -> None:
        settings = Config(ttl=-1, udp_size=1, listen=("a", "b"), zone=("..",), dns_service="")
        told = [line.partition(":")[0] for line in faults(settings)]
        assert told == ["ttl", "udp-size", "listen", "listen", "zone", "dns-service"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:1053", ("127.0.0.1", 1053)),
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:1053", ("::1", 1053)),
        ("[::1]", ("::1", 53)),
        ("::1", ("::1", 53)),
        ("::", ("::", 53)),
        ("[fe80::1%lo]:53", ("fe80::1%lo", 53)),
    ],
)
def test_addresses_to_listen_on(text: str, expected: tuple[str, int]) -> None:
    assert config.listen_address(text) == expected
    assert config.listening(text) == config.Listening(*expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tls://127.0.0.1", ("127.0.0.1", 853)),
        ("tls://127.0.0.1:0", ("127.0.0.1", 0)),
        ("tls://[::1]:8853", ("::1", 8853)),
        ("tls://::", ("::", 853)),
    ],
)
def test_addresses_to_listen_on_over_tls(text: str, expected: tuple[str, int]) -> None:
    assert config.listening(text) == config.Listening(*expected, is_tls=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in-addr.arpa", True),
        ("96.10.in-addr.arpa.", True),
        ("IP6.ARPA", True),
        ("10.96.0.0/16", True),
        ("fd00::/8", True),
        ("cluster.local", False),
        ("arpa.example", False),
    ],
)
def test_reverse_zones_are_told_from_the_others(text: str, expected: bool) -> None:
    assert config.is_reverse(text) is expected


@pytest.mark.parametrize(
    ("settings", "shown", "dispensable"),
    [
        ({}, [("127.0.0.1", 9153)], [("127.0.0.1", 9153)]),
        ({"http": ("0.0.0.0:9153",)}, [("0.0.0.0", 9153)], []),
        ({"http": ()}, [], []),
        ({"http_metrics": ("0.0.0.0:9153",)}, [("0.0.0.0", 9153)], None),
    ],
)
def test_where_pages_are(settings: dict[str, Any], shown: list[object], dispensable: list[object] | None) -> None:
    """The address that nobody has set gives way."""
    made = Config(**settings)
    assert list(config.pages(made)) == shown
    if dispensable is not None:
        assert list(config.dispensable_pages(made)) == dispensable


def test_pages_at_one_address_are_shown_together() -> None:
    settings = Config(http=("127.0.0.1:1",), http_ready=("127.0.0.1:1", "127.0.0.1:2"), http_health=("127.0.0.1:2",))
    assert config.pages(settings) == {
        ("127.0.0.1", 1): ("/health", "/ready", "/metrics"),
        ("127.0.0.1", 2): ("/health", "/ready"),
    }


def test_secrets_are_not_shown() -> None:
    secret = "e5e973e5a6b2a43f48e7dc849e37bfcf"
    settings = Config(cookies=Cookies(secrets=(secret, secret)), api_server="https://admin:hunter2@192.0.2.1:6443")
    shown = config.without_secrets(settings)
    assert shown.cookies.secrets == ("***", "***")
    assert shown.api_server == "https://***@192.0.2.1:6443"
