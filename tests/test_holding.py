"""Who holds a connection, and who gives way."""

from __future__ import annotations

import pytest

from clusterdns.server.holding import Holding, client_of

ONE, OTHER = "192.0.2.1", "192.0.2.2"


def holding(*held: tuple[str, str]) -> Holding[str]:
    """Connections by name, and the addresses that they come from, the one that is idle for longest first."""
    found: Holding[str] = Holding()
    for connection, address in held:
        found.add(connection, address)
    return found


class TestGivingWay:
    @pytest.mark.parametrize(
        ("most", "most_of_client", "expected"),
        [
            (4, 4, []),
            (3, 4, ["a"]),
            (2, 4, ["a", "b"]),
            (4, 2, ["b"]),
            (4, 1, ["b", "c"]),
            (3, 2, ["b"]),
            (2, 2, ["b", "a"]),
            (1, 1, ["b", "c", "a"]),
        ],
    )
    def test_a_client_s_own_before_the_others(self, most: int, most_of_client: int, expected: list[str]) -> None:
        held = holding(("a", OTHER), ("b", ONE), ("c", ONE), ("d", ONE))
        assert held.excess(ONE, most, most_of_client) == expected

    def test_whoever_asks_is_the_last(self) -> None:
        held = holding(("a", ONE), ("b", ONE), ("c", OTHER))
        held.note_query("a")
        assert list(held) == ["b", "c", "a"]
        assert held.excess(ONE, 3, 1) == ["b"]
        assert held.excess(OTHER, 1, 1) == ["b", "c"]

    def test_whoever_is_gone_is_not_counted(self) -> None:
        held = holding(("a", ONE), ("b", ONE))
        held.remove("a")
        held.remove("a")
        held.note_query("a")
        assert list(held) == ["b"]
        assert held.excess(ONE, 1, 1) == []


class TestClients:
    @pytest.mark.parametrize(
        ("address", "other", "are_one"),
        [
            ("192.0.2.1", "192.0.2.1", True),
            ("192.0.2.1", "192.0.2.2", False),
            ("2001:db8:0:1::7", "2001:db8:0:1:ffff::9", True),
            ("2001:db8:0:1::7", "2001:db8:0:2::7", False),
            ("fe80::1%eth0", "fe80::2", True),
        ],
    )
    def test_an_address_or_an_ipv6_network(self, address: str, other: str, are_one: bool) -> None:
        assert (client_of(address) == client_of(other)) == are_one
