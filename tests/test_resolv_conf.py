"""resolv.conf: what glibc reads in it, and what the kubelet writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns.resolv_conf import ResolvConf, for_pod, parse
from tests import glibc

if TYPE_CHECKING:
    from pathlib import Path

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("", {}),
    "a server": ("nameserver 10.96.0.10\n", {"nameservers": ("10.96.0.10",)}),
    "no newline at the end": ("nameserver 10.96.0.10", {"nameservers": ("10.96.0.10",)}),
    "tabs and spaces": ("nameserver \t 10.96.0.10 \t\n", {"nameservers": ("10.96.0.10",)}),
    "something behind the address": ("nameserver 10.96.0.10 # ours\n", {"nameservers": ("10.96.0.10",)}),
    "three servers in their order": (
        "nameserver 10.0.0.3\nnameserver fd00::1\nnameserver 10.0.0.1\n",
        {"nameservers": ("10.0.0.3", "fd00::1", "10.0.0.1")},
    ),
    "an IPv6 address in its long form": ("nameserver FD00:0:0::0001\n", {"nameservers": ("fd00::1",)}),
    "an IPv6 address that ends as IPv4 ones do": ("nameserver fd00::0.0.1.2\n", {"nameservers": ("fd00::102",)}),
    "a zone id": ("nameserver fe80::1%lo\n", {"nameservers": ("fe80::1%lo",)}),
    "an address of C: one number": ("nameserver 167772161\n", {"nameservers": ("10.0.0.1",)}),
    "an address of C: two numbers": ("nameserver 127.1\n", {"nameservers": ("127.0.0.1",)}),
    "an address of C: three numbers": ("nameserver 10.1.258\n", {"nameservers": ("10.1.1.2",)}),
    "an address of C: octal, hexadecimal": ("nameserver 010.0x0A.0.1\n", {"nameservers": ("8.10.0.1",)}),
    "no address": ("nameserver localhost\nnameserver 10.0.0.1\n", {"nameservers": ("10.0.0.1",)}),
    "no address: an octet too large": ("nameserver 10.0.0.256\n", {}),
    "no address: a rest too large": ("nameserver 10.0.65536\n", {}),
    "no address: five octets": ("nameserver 10.0.0.0.1\n", {}),
    "no address: a part is empty": ("nameserver 10..0.1\n", {}),
    "no address: no octal number": ("nameserver 08.0.0.1\n", {}),
    "no address: a carriage return": ("nameserver 10.0.0.1\r\nnameserver 10.0.0.2\n", {"nameservers": ("10.0.0.2",)}),
    "no address: a port": ("nameserver 10.0.0.1:53\n", {}),
    "no address: brackets": ("nameserver [fd00::1]\n", {}),
    "no address at all": ("nameserver\nnameserver \n", {}),
    "a search list": ("search a.test b.test\n", {"search": ("a.test", "b.test")}),
    "a search list behind blanks": ("search\t  a.test \t b.test  \n", {"search": ("a.test", "b.test")}),
    "the last search list counts": ("search a.test b.test\nsearch c.test\n", {"search": ("c.test",)}),
    "an empty search list is none": ("search a.test\nsearch \nsearch\n", {"search": ("a.test",)}),
    "a domain is a search list": ("domain a.test\n", {"search": ("a.test",)}),
    "a domain is one": ("domain a.test b.test\n", {"search": ("a.test",)}),
    "a domain behind a search list": ("search a.test b.test\ndomain c.test\n", {"search": ("c.test",)}),
    "a search list behind a domain": ("domain c.test\nsearch a.test b.test\n", {"search": ("a.test", "b.test")}),
    "an empty domain is none": ("search a.test\ndomain \n", {"search": ("a.test",)}),
    "the root": ("search .\n", {"search": (".",)}),
    "last dots": ("search a.test. b.test\n", {"search": ("a.test.", "b.test")}),
    "a remark in a search list is none": ("search a.test # b.test\n", {"search": ("a.test", "#", "b.test")}),
    "options": ("options ndots:5 timeout:2 attempts:4\n", {"ndots": 5, "timeout": 2, "attempts": 4}),
    "several lines of options": ("options ndots:5\noptions timeout:2\n", {"ndots": 5, "timeout": 2}),
    "the last option of a kind counts": ("options ndots:5 ndots:2\noptions ndots:3\n", {"ndots": 3}),
    "options up to their limits": (
        "options ndots:15 timeout:30 attempts:5\n",
        {"ndots": 15, "timeout": 30, "attempts": 5},
    ),
    "options beyond them": ("options ndots:16 timeout:31 attempts:6\n", {"ndots": 15, "timeout": 30, "attempts": 5}),
    "options of nothing": ("options ndots:0 timeout:0 attempts:0\n", {"ndots": 0, "timeout": 0, "attempts": 0}),
    "options without numbers": ("options ndots:x timeout: attempts:3x\n", {"ndots": 0, "timeout": 0, "attempts": 3}),
    "other options": ("options rotate ndots:2 trust-ad\n", {"ndots": 2, "options": ("rotate", "trust-ad")}),
    "an option without its number": ("options ndots\n", {"options": ("ndots",)}),
    "remarks": ("# nameserver 10.0.0.1\n; nameserver 10.0.0.2\n#\n;\n", {}),
    "a keyword that does not start its line": (" nameserver 10.0.0.1\n\tsearch a.test\n", {}),
    "a keyword in capitals": ("NAMESERVER 10.0.0.1\nSearch a.test\n", {}),
    "a keyword that is longer": ("nameservers 10.0.0.1\nsearching a.test\n", {}),
    "other keywords": ("sortlist 130.155.160.0/255.255.240.0\nfamily inet4\nlookup file bind\n\n \n", {}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES)
def test_a_file(text: str, expected: dict[str, Any]) -> None:
    assert parse(text) == ResolvConf(**expected)


def test_all_servers_are_kept() -> None:
    """glibc takes three, but it is not the only one that reads the file."""
    addresses = tuple(f"10.0.0.{each}" for each in range(9))
    assert parse("".join(f"nameserver {each}\n" for each in addresses)).nameservers == addresses


@glibc.needs_glibc
def test_the_files_say_the_same_to_glibc(tmp_path: Path) -> None:
    for (title, (text, _)), read in zip(
        FILES.items(), glibc.read([text for text, _ in FILES.values()], tmp_path), strict=True
    ):
        conf = parse(text)
        ours = {
            "nameservers": [*conf.nameservers] or ["127.0.0.1"],
            "search": [*conf.search],
            "ndots": conf.ndots,
            "timeout": conf.timeout,
            "attempts": conf.attempts,
        }
        if not conf.search:
            del ours["search"], read["search"]  # it takes the host's own domain, which is not in the file
        assert ours == read, title


WORD = st.text("abcxyz.-_:0123456789%#;", min_size=1, max_size=12)


@given(
    st.builds(
        ResolvConf,
        st.lists(st.ip_addresses().map(str), max_size=5).map(tuple),
        st.lists(WORD, max_size=8).map(tuple),
        st.integers(0, 15),
        st.integers(0, 30),
        st.integers(0, 5),
        st.lists(
            WORD.filter(lambda word: word.partition(":")[0] not in ("ndots", "timeout", "attempts")), max_size=3
        ).map(tuple),
    )
)
def test_what_is_written_is_read_again(conf: ResolvConf) -> None:
    assert parse(conf.to_text()) == conf


@given(st.text("nameserchdoptis: \t\n#;.0123456789x%", max_size=200) | st.text(max_size=50))
def test_any_text_is_read(text: str) -> None:
    assert parse(parse(text).to_text()) == parse(text)


class TestForPod:
    """What the kubelet writes for a pod with the DNS policy ClusterFirst (pkg/kubelet/network/dns)."""

    def test_the_file(self) -> None:
        host = parse("search corp.test\nnameserver 192.0.2.1\noptions ndots:2 rotate\n")
        assert for_pod("shop", "cluster.local", ["10.96.0.10", "fd00:10:96::a"], host).to_text() == (
            "search shop.svc.cluster.local svc.cluster.local cluster.local corp.test\n"
            "nameserver 10.96.0.10\n"
            "nameserver fd00:10:96::a\n"
            "options ndots:5\n"
        )

    CLUSTER = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")

    @pytest.mark.parametrize(
        ("of_host", "domains"),
        [
            ("", ()),
            ("search b.test a.test", ("b.test", "a.test")),
            ("domain a.test", ("a.test",)),
            ("search a.test. a.test", ("a.test",)),
            ("search cluster.local a.test svc.cluster.local", ("a.test",)),
            ("search . a.test", ("a.test",)),
            (f"search {'x' * 254} a.test", ("a.test",)),
        ],
    )
    def test_the_hosts_domains_come_last_and_once(self, of_host: str, domains: tuple[str, ...]) -> None:
        assert for_pod("shop", "cluster.local", [], parse(of_host)).search == (*self.CLUSTER, *domains)

    def test_a_zone_with_its_last_dot(self) -> None:
        assert for_pod("shop", "cluster.local.", [], ResolvConf()).search == self.CLUSTER

    def test_at_most_32_domains(self) -> None:
        host = ResolvConf(search=tuple(f"{each}.test" for each in range(40)))
        assert for_pod("shop", "cluster.local", [], host).search == (*self.CLUSTER, *host.search[:29])

    def test_at_most_2048_characters(self) -> None:
        own = len(" ".join(self.CLUSTER))
        filling = ["x" * 202] * 9 + ["x" * (2048 - own - 9 * 203 - 1)]
        host = ResolvConf(search=tuple(f"{number}{each[1:]}" for number, each in enumerate(filling)))
        fitting = for_pod("shop", "cluster.local", [], host).search
        assert fitting == (*self.CLUSTER, *host.search)
        assert len(" ".join(fitting)) == 2048
        longer = ResolvConf(search=(*host.search[:-1], host.search[-1] + "x", "a.test"))
        assert for_pod("shop", "cluster.local", [], longer).search == (*self.CLUSTER, *host.search[:-1])

    def test_at_most_three_servers(self) -> None:
        servers = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
        assert for_pod("shop", "cluster.local", servers, ResolvConf()).nameservers == tuple(servers[:3])
