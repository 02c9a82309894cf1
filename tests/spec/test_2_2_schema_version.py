"""Section 2.2: the record for the schema version."""

from __future__ import annotations

from tests.cluster import Server, expect, expect_no_data, expect_nothing


class TestSchemaVersion:
    def test_is_a_text_that_lives_for_eight_hours(self) -> None:
        expect(Server().ask("dns-version.cluster.local", "TXT"), 'dns-version.cluster.local. 28800 IN TXT "1.1.0"')

    def test_its_ttl_is_not_that_of_the_zone(self) -> None:
        expect(Server(ttl=7).ask("dns-version.cluster.local", "TXT"), 'dns-version.cluster.local. 28800 IN TXT "1.1.0"')

    def test_has_no_address(self) -> None:
        expect_no_data(Server(), "dns-version.cluster.local", "A")

    def test_has_nothing_below_it(self) -> None:
        expect_nothing(Server(), "x.dns-version.cluster.local", "TXT")
