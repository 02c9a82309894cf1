"""The grammar of names: text and bytes, cluster names, reverse names."""

from __future__ import annotations

import ipaddress

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns import names
from clusterdns.names import NotAName

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=63)
ADDRESS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


class TestText:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("", b"\0"),
            (".", b"\0"),
            ("local", b"\5local\0"),
            ("cluster.local", b"\7cluster\5local\0"),
            ("cluster.local.", b"\7cluster\5local\0"),
            ("Cluster.LOCAL", b"\7cluster\5local\0"),
            ("x" * 63, b"\x3f" + b"x" * 63 + b"\0"),
        ],
    )
    def test_to_a_name(self, text: str, name: bytes) -> None:
        assert names.from_text(text) == name

    @pytest.mark.parametrize("text", ["..", ".x", "a..b", "a..", "x" * 64, ".".join(["x" * 63] * 4), "ü" * 32])
    def test_that_is_no_name(self, text: str) -> None:
        with pytest.raises(NotAName):
            names.from_text(text)
        assert names.possibly_below(*text.split("."), parent=names.ROOT) is None

    def test_of_255_bytes_is_the_longest(self) -> None:
        longest = ".".join(["x" * 63] * 3 + ["x" * 61])
        assert len(names.from_text(longest)) == 255
        with pytest.raises(NotAName):
            names.from_text(longest + "x")

    @pytest.mark.parametrize(
        ("name", "text"),
        [(b"\0", "."), (b"\3a.b\1*\0", "a\\046b.\\042."), (b"\2\0\xff\0", "\\000\\255."), (b"\4_tcp\0", "_tcp.")],
    )
    def test_from_a_name(self, name: bytes, text: str) -> None:
        assert names.to_text(name) == text
        assert dns.name.from_text(text).to_wire() == name

    @given(st.lists(LABEL, max_size=3))
    def test_there_and_back(self, labels: list[str]) -> None:
        text = ".".join(labels) + "."
        name = names.from_text(text)
        assert names.to_text(name) == text
        assert name == dns.name.from_text(text).to_wire()
        assert names.labels(name) == [each.encode() for each in labels]

    @given(st.lists(LABEL, max_size=3))
    def test_ancestors_end_with_the_root(self, labels: list[str]) -> None:
        name = dns.name.from_text(".".join(labels) + ".")
        found = [*names.ancestors(name.to_wire())]
        assert found == [name.split(depth)[1].to_wire() for depth in range(len(name) - 1, 0, -1)]


class TestKubernetesLabels:
    @pytest.mark.parametrize("text", ["a", "0", "a-b", "3scale", "x" * 63])
    def test_yes(self, text: str) -> None:
        assert names.is_kubernetes_label(text)

    @pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a_b", "x" * 64, "a\n", "é"])
    def test_no(self, text: str) -> None:
        assert not names.is_kubernetes_label(text)


class TestDashes:
    @pytest.mark.parametrize(
        ("address", "label"),
        [
            ("10.244.1.7", "10-244-1-7"),
            ("fd00::7", "fd00--7"),
            ("fd00::", "fd00--0"),
            ("::", "--0"),
            ("::1", "--1"),
            ("1:2:3:4:5:6:7:8", "1-2-3-4-5-6-7-8"),
        ],
    )
    def test_there_and_back(self, address: str, label: str) -> None:
        assert names.dashed(address) == label
        assert names.undashed(label) == ipaddress.ip_address(address).packed

    @given(ADDRESS)
    def test_any_address(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        label = names.dashed(str(address))
        assert names.undashed(label) == address.packed
        assert not label.endswith("-")
        assert len(label) <= 63

    @pytest.mark.parametrize(
        "label", ["", "x", "1-2-3", "1-2-3-4-5", "1-2-3-256", "1.2.3.4", "fd00::1", "01-2-3-4", "a--b--c"]
    )
    def test_what_is_no_address(self, label: str) -> None:
        assert names.undashed(label) is None


class TestReverseNames:
    @given(ADDRESS)
    def test_are_those_of_the_rfcs(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        name = names.reverse(address.packed)
        assert name == dns.name.from_text(address.reverse_pointer).to_wire()
        assert names.reversed_digits(name) == (len(address.packed), address.packed.hex())

    @given(ADDRESS, st.data())
    def test_their_ends_say_how_addresses_begin(
        self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject
    ) -> None:
        ancestors = [*names.ancestors(names.reverse(address.packed))][:-2]
        name = data.draw(st.sampled_from(ancestors))
        length, digits = names.reversed_digits(name)
        assert length == len(address.packed)
        assert address.packed.hex().startswith(digits)
        assert len(digits) == (len(names.labels(name)) - 2) * (2 if length == 4 else 1)

    @pytest.mark.parametrize(
        "text",
        [
            "cluster.local",
            "arpa",
            "256.in-addr.arpa",
            "01.in-addr.arpa",
            "a.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "10.ip6.arpa",
            "g.ip6.arpa",
            "0." * 33 + "ip6.arpa",
            "1.in-addr.arpa.example.com",
        ],
    )
    def test_no_other_name_is_one(self, text: str) -> None:
        assert names.reversed_digits(names.from_text(text)) is None

    @pytest.mark.parametrize(
        ("network", "zones"),
        [
            ("10.0.0.0/8", ["10.in-addr.arpa"]),
            ("10.96.0.0/15", ["96.10.in-addr.arpa", "97.10.in-addr.arpa"]),
            ("10.96.3.0/24", ["3.96.10.in-addr.arpa"]),
            ("10.96.3.4/32", ["3.96.10.in-addr.arpa"]),
            ("10.96.3.128/25", ["3.96.10.in-addr.arpa"]),
            ("0.0.0.0/0", ["in-addr.arpa"]),
            ("::/0", ["ip6.arpa"]),
            ("fd00::/8", ["d.f.ip6.arpa"]),
            ("fd00:96::/31", [f"{nibble}.9.0.0.0.0.d.f.ip6.arpa" for nibble in "67"]),
        ],
    )
    def test_of_a_network(self, network: str, zones: list[str]) -> None:
        assert [names.to_text(each) for each in names.reverse_zones(network)] == [f"{each}." for each in zones]

    def test_of_kubeadms_network_are_sixteen(self) -> None:
        assert len(set(names.reverse_zones("10.96.0.0/12"))) == 16

    @pytest.mark.parametrize("text", ["10.96.0.1/12", "10.96.0.0/33", "x/8", ""])
    def test_of_no_network(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            names.reverse_zones(text)
