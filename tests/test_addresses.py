"""Who holds an address, held against a plain list of pairs."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from clusterdns.index.addresses import Holders

ADDRESSES = [ipaddress.ip_address(each).packed for each in ("10.0.0.1", "10.0.0.2", "10.9.0.1", "fd00::1", "fd00:1::1")]
KEYS = [("a", "x"), ("a", "y"), ("b", "x")]
PREFIXES = [(len(each), each.hex()[:cut]) for each in ADDRESSES for cut in (0, 1, 2, 4, 7, 2 * len(each))]
PREFIXES += [(4, "ff"), (16, "00"), (4, "0b")]


class HoldersAsAList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.holders = Holders()
        self.pairs: list[tuple[bytes, tuple[str, str]]] = []

    @rule(address=st.sampled_from(ADDRESSES), key=st.sampled_from(KEYS))
    def add(self, address: bytes, key: tuple[str, str]) -> None:
        self.holders.add([address], key)
        if (address, key) not in self.pairs:
            self.pairs.append((address, key))

    @rule(address=st.sampled_from(ADDRESSES), key=st.sampled_from(KEYS))
    def remove(self, address: bytes, key: tuple[str, str]) -> None:
        self.holders.remove(address, key)
        if (address, key) in self.pairs:
            self.pairs.remove((address, key))

    @rule(prefix=st.sampled_from(PREFIXES))
    def ask(self, prefix: tuple[int, str]) -> None:
        length, digits = prefix
        expected = any(len(each) == length and each.hex().startswith(digits) for each, _ in self.pairs)
        assert self.holders.any_below(length, digits) == expected

    @invariant()
    def the_first_holder_comes_first(self) -> None:
        for address in ADDRESSES:
            assert self.holders.get(address) == tuple(key for each, key in self.pairs if each == address)
        assert len(self.holders) == len({each for each, _ in self.pairs})


TestHolders = HoldersAsAList.TestCase


class TestPrefixes:
    @given(st.sets(st.ip_addresses(v=4), max_size=8), st.ip_addresses(v=4), st.integers(0, 8))
    def test_any_address_that_begins_so(
        self, held: set[ipaddress.IPv4Address], asked: ipaddress.IPv4Address, digits: int
    ) -> None:
        holders = Holders()
        holders.add([each.packed for each in held], ("a", "x"))
        prefix = asked.packed.hex()[:digits]
        assert holders.any_below(4, prefix) == any(each.packed.hex().startswith(prefix) for each in held)
