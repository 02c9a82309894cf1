"""Search lists: which names are asked for, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns import names
from clusterdns.search import SearchList, rest_of_search
from tests import glibc
from tests.scripted import Scripted, reply

if TYPE_CHECKING:
    from collections.abc import Sequence

OF_POD = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
ZONE = names.from_text("cluster.local")


def search_list(domains: Sequence[str], ndots: int = 5) -> SearchList:
    return SearchList(tuple(map(names.from_text, domains)), ndots)


def candidates(name: str, domains: Sequence[str], ndots: int) -> list[str]:
    """The candidates for a name as a person writes it."""
    found = search_list(domains, ndots).candidates(names.from_text(name), absolute=name.endswith("."))
    return [names.to_text(each) for each in found]


ORDERS: dict[str, tuple[str, Sequence[str], int, list[str]]] = {
    "a service's name": (
        "cart",
        OF_POD,
        5,
        ["cart.default.svc.cluster.local.", "cart.svc.cluster.local.", "cart.cluster.local.", "cart."],
    ),
    "service and namespace": (
        "web.shop",
        OF_POD,
        5,
        ["web.shop.default.svc.cluster.local.", "web.shop.svc.cluster.local.", "web.shop.cluster.local.", "web.shop."],
    ),
    "a last dot": ("cart.", OF_POD, 5, ["cart."]),
    "a last dot behind others": ("cart.shop.", OF_POD, 5, ["cart.shop."]),
    "one dot less than ndots": ("a.b.c.d.e", ("x.test",), 5, ["a.b.c.d.e.x.test.", "a.b.c.d.e."]),
    "as many dots as ndots": ("a.b.c.d.e.f", ("x.test",), 5, ["a.b.c.d.e.f.", "a.b.c.d.e.f.x.test."]),
    "ndots 1, no dot": ("a", ("x.test", "y.test"), 1, ["a.x.test.", "a.y.test.", "a."]),
    "ndots 1, a dot": ("a.b", ("x.test", "y.test"), 1, ["a.b.", "a.b.x.test.", "a.b.y.test."]),
    "ndots 0": ("a", ("x.test",), 0, ["a.", "a.x.test."]),
    "ndots 15": ("1.2.3.4.5.6.7.8.9.a.b.c.d.e.f", ("x.test",), 15, [
        "1.2.3.4.5.6.7.8.9.a.b.c.d.e.f.x.test.", "1.2.3.4.5.6.7.8.9.a.b.c.d.e.f.",
    ]),
    "no search list": ("a.b", (".",), 5, ["a.b."]),
    "the root in the list": ("a", ("x.test", ".", "y.test"), 1, ["a.x.test.", "a.", "a.y.test."]),
    "the root in the list, a dot": ("a.b", ("x.test", "."), 1, ["a.b.", "a.b.x.test.", "a.b."]),
    "a domain with its last dot": ("a", ("x.test.",), 1, ["a.x.test.", "a."]),
}  # fmt: skip


class TestCandidates:
    @pytest.mark.parametrize(("name", "domains", "ndots", "expected"), ORDERS.values(), ids=ORDERS)
    def test_the_order(self, name: str, domains: Sequence[str], ndots: int, expected: list[str]) -> None:
        assert candidates(name, domains, ndots) == expected

    @glibc.needs_glibc
    @pytest.mark.parametrize(("name", "domains", "ndots", "expected"), ORDERS.values(), ids=ORDERS)
    def test_the_order_is_that_of_glibc(
        self, name: str, domains: Sequence[str], ndots: int, expected: list[str]
    ) -> None:
        with Scripted(lambda query, _: [reply(query, rcode="NXDOMAIN")]) as server:
            glibc.asked(name, port=server.port, search=domains, ndots=ndots)
        assert [each.name for each in server.asked] == expected

    def test_without_a_list_it_is_the_name(self) -> None:
        assert candidates("a", (), 5) == ["a."]

    def test_the_root_is_complete(self) -> None:
        assert [*search_list(OF_POD).candidates(names.ROOT)] == [names.ROOT]

    def test_where_a_name_would_be_too_long_it_is_left_out(self) -> None:
        longest = ".".join(["x" * 63] * 3 + ["x" * 54])  # in front of `.y.test.`, 255 bytes
        domains = ("y.test", "yy.test", "y.te")
        assert candidates(longest, domains, 5) == [f"{longest}.y.test.", f"{longest}.y.te.", f"{longest}."]
        assert max(map(len, search_list(domains).candidates(names.from_text(longest)))) == 255


class TestCompletions:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("cart", ["cart.default.svc.cluster.local.", "cart.svc.cluster.local.", "cart.cluster.local."]),
            ("a.b.c.d.e", [f"a.b.c.d.e.{each}." for each in OF_POD]),
            ("a.b.c.d.e.f", []),
            (".".join("abcdefghijklmnop"), []),
            (".", []),
        ],
    )
    def test_are_those_of_the_list_alone(self, name: str, expected: list[str]) -> None:
        assert [names.to_text(each) for each in search_list(OF_POD).completions(names.from_text(name))] == expected

    @given(st.lists(st.binary(min_size=1, max_size=63), max_size=6), st.integers(0, 8))
    def test_depend_on_labels_not_on_bytes(self, labels: list[bytes], ndots: int) -> None:
        """A dot within a label is no dot, and a zero no end."""
        try:
            name = dns.name.Name([*labels, b""]).to_wire()
        except dns.name.NameTooLong:
            return
        found = search_list(["x.test"], ndots)
        assert found.is_short(name) == (0 < len(labels) <= ndots)
        if found.is_short(name) and len(name) <= 200:
            assert [*found.completions(name)] == [name[:-1] + names.from_text("x.test")]


class TestRestOfSearch:
    """What a pod asks for after the first name of its list."""

    @pytest.mark.parametrize(
        ("first", "namespace", "rest"),
        [
            ("cart.shop.svc.cluster.local", "shop", ["cart.svc.cluster.local.", "cart.cluster.local.", "cart."]),
            (
                "www.example.com.shop.svc.cluster.local",
                "shop",
                ["www.example.com.svc.cluster.local.", "www.example.com.cluster.local.", "www.example.com."],
            ),
            (
                "_http._tcp.web.default.svc.cluster.local",
                "default",
                ["_http._tcp.web.svc.cluster.local.", "_http._tcp.web.cluster.local.", "_http._tcp.web."],
            ),
            (
                "cart.shop.svc.cluster.local.default.svc.cluster.local",
                "default",
                ["cart.shop.svc.cluster.local.svc.cluster.local.", "cart.shop.svc.cluster.local.cluster.local.",
                 "cart.shop.svc.cluster.local."],
            ),
            ("a.svc.svc.cluster.local", "svc", ["a.svc.cluster.local.", "a.cluster.local.", "a."]),
        ],
    )  # fmt: skip
    def test_of_a_first_name(self, first: str, namespace: str, rest: list[str]) -> None:
        found = rest_of_search(names.from_text(first), ZONE, [])
        assert found is not None
        assert (found[0], [names.to_text(each) for each in found[1]]) == (namespace, rest)

    def test_the_hosts_domains_come_before_the_name_itself(self) -> None:
        hosts = [names.from_text("corp.test"), names.from_text("test")]
        found = rest_of_search(names.from_text("cart.shop.svc.cluster.local"), ZONE, hosts)
        assert found is not None
        assert [names.to_text(each) for each in found[1]] == [
            "cart.svc.cluster.local.", "cart.cluster.local.", "cart.corp.test.", "cart.test.", "cart.",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "name",
        [
            b"\0",
            ZONE,
            *map(
                names.from_text,
                [
                    "svc.cluster.local",
                    "shop.svc.cluster.local",
                    "cart.svc.cluster.test",
                    "cart.shop.pod.cluster.local",
                    "cart.shop.cluster.local",
                    "cart.-shop.svc.cluster.local",
                    "cart.sh_op.svc.cluster.local",
                    "cart.*.svc.cluster.local",
                    "example.com",
                ],
            ),
            b"\4cart\x08shop\3svc" + ZONE,
            b"\4cart\x05\4shop\3svc" + ZONE,
            b"\4cart\4sh\xffp\3svc" + ZONE,
        ],
    )
    def test_any_other_name_is_none(self, name: bytes) -> None:
        assert rest_of_search(name, ZONE, []) is None

    @given(
        st.lists(st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True), min_size=1, max_size=4),
        st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True),
        st.lists(st.sampled_from(["corp.test", "x.y.test", "test"]), max_size=3),
    )
    def test_it_is_the_rest_of_what_the_pod_would_ask(
        self, labels: list[str], namespace: str, hosts: list[str]
    ) -> None:
        domains = (f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local", *hosts)
        name = names.from_text(".".join(labels))
        first, *rest = search_list(domains).candidates(name)
        found = rest_of_search(first, ZONE, [names.from_text(each) for each in hosts])
        assert found is not None
        assert (found[0], [*found[1]]) == (namespace, rest)
