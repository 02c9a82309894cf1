"""The keys of server blocks: which zones, ports and schemes they mean, and which of them collide."""

from __future__ import annotations

import pytest

from clusterdns.corefile import served_zones, zones
from tests.corefiles import COREFILE, corefile, faults


class TestKeys:
    """[SCHEME://]ZONE[:PORT]"""

    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            (".", ["dns://.:53"]),
            (".:53", ["dns://.:53"]),
            (".:0", ["dns://.:0"]),
            ("example.org", ["dns://example.org.:53"]),
            ("Example.ORG.:1053", ["dns://example.org.:1053"]),
            ("dns://example.org", ["dns://example.org.:53"]),
            ("dns://.:1053", ["dns://.:1053"]),
            ("tls://example.org", ["tls://example.org.:853"]),
            ("tls://.:853", ["tls://.:853"]),
            ("https://.", ["https://.:443"]),
            ("grpc://.", ["grpc://.:443"]),
            ("quic://.", ["quic://.:853"]),
            ("https3://.:444", ["https3://.:444"]),
            ("_tcp.example.org", ["dns://_tcp.example.org.:53"]),
            ("10.in-addr.arpa", ["dns://10.in-addr.arpa.:53"]),
            ("10.0.0.0/8", ["dns://10.in-addr.arpa.:53"]),
            ("10.0.0.0/8:1053", ["dns://10.in-addr.arpa.:1053"]),
            ("tls://10.0.0.0/8", ["tls://10.in-addr.arpa.:853"]),
            ("10.1.2.3/15", ["dns://0.10.in-addr.arpa.:53", "dns://1.10.in-addr.arpa.:53"]),
            ("192.0.2.0/24", ["dns://2.0.192.in-addr.arpa.:53"]),
            ("192.0.2.6/31", ["dns://6.2.0.192.in-addr.arpa.:53", "dns://7.2.0.192.in-addr.arpa.:53"]),
            ("192.0.2.6/32", ["dns://6.2.0.192.in-addr.arpa.:53"]),
            ("192.0.2.18/28", [f"dns://{octet}.2.0.192.in-addr.arpa.:53" for octet in range(16, 32)]),
            ("0.0.0.0/0", ["dns://in-addr.arpa.:53"]),
            ("2001:db8::/32", ["dns://8.b.d.0.1.0.0.2.ip6.arpa.:53"]),
            ("2001:db8::/32:54", ["dns://8.b.d.0.1.0.0.2.ip6.arpa.:54"]),
            ("2001:db8::/31", ["dns://8.b.d.0.1.0.0.2.ip6.arpa.:53", "dns://9.b.d.0.1.0.0.2.ip6.arpa.:53"]),
            ("2001:db8::f/124", [f"dns://{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa.:53"]),
            ("2001:db8::1/127", [f"dns://{digit}.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa.:53" for digit in "01"]),
            # RFC 2317 names zones like that; it is no network.
            ("0/25.2.0.192.in-addr.arpa", ["dns://0\\04725.2.0.192.in-addr.arpa.:53"]),
        ],
    )  # fmt: skip
    def test_mean(self, key: str, expected: list[str]) -> None:
        ((*served,),) = served_zones(corefile(f"{key} {{\n}}"))
        assert [str(each) for each in served] == expected
        assert [each.zone for each in served] == list(zones(key))

    def test_have_their_places(self) -> None:
        ((first,), (second, third)) = served_zones(corefile("a {\n}\nb,\nc:54 {\n}"))
        assert [str(each.place) for each in (first, second, third)] == [f"{COREFILE}:{line}" for line in (1, 3, 4)]

    @pytest.mark.parametrize(
        ("key", "fault"),
        [
            (":53", "expected a zone, such as example.org, 10.0.0.0/8 or . for all"),
            ("tls://", "expected a zone, such as example.org, 10.0.0.0/8 or . for all"),
            ("a:", "expected a port from 0 to 65535 behind the last colon, not nothing"),
            ("a:dns", "expected a port from 0 to 65535 behind the last colon, not dns"),
            ("a:65536", "expected a port from 0 to 65535 behind the last colon, not 65536"),
            ("a:-1", "expected a port from 0 to 65535 behind the last colon, not -1"),
            ("a:²", "expected a port from 0 to 65535 behind the last colon, not ²"),
            ("a:53:53", "expected one colon, between a zone and its port"),
            ("::1", "expected one colon, between a zone and its port"),
            ("http://a", "expected one of dns://, tls://, https://, grpc://, quic://, https3://, not http://"),
            ("TLS://a", "expected one of dns://, tls://, https://, grpc://, quic://, https3://, not TLS://"),
            ("a:" + "5" * 61, f"expected a port from 0 to 65535 behind the last colon, not {'5' * 60}..."),
            ("a..b", "a label has 1 to 63 bytes, not 0: ''"),
            (".a", "a label has 1 to 63 bytes, not 0: ''"),
            ("x" * 64, f"a label has 1 to 63 bytes, not 64: '{'x' * 64}'"),
            (".".join(["x" * 63] * 4), f"'{'.'.join(['x' * 63] * 4)}' is longer than 255 bytes"),
            ("10.0.0.0/33", "expected a network, such as 10.0.0.0/8 or fd00::/8"),
            ("fd00::/x", "expected a network, such as 10.0.0.0/8 or fd00::/8"),
        ],
    )  # fmt: skip
    def test_mean_nothing(self, key: str, fault: str) -> None:
        assert faults(f"a {{\n}}\n{key} {{\n}}") == [f"Corefile:3: {key!r}: {fault}"]
        with pytest.raises(ValueError) as raised:
            zones(key)
        assert str(raised.value) == fault

    @pytest.mark.parametrize("key", ["\n://a", "a:\n", "\n.."])
    def test_are_complained_of_on_one_line(self, key: str) -> None:
        assert len(faults(f'"{key}" {{\n}}')) == 1

    def test_are_all_complained_of(self) -> None:
        assert len(faults("a:x b:y {\n}\nc: {\n}")) == 3


class TestOneZoneInTwoBlocks:
    @pytest.mark.parametrize(
        "text",
        [
            ". {\n}\n.:54 {\n}\ntls://. {\n}\nexample.org {\n}",
            ". {\nbind 127.0.0.1\n}\n. {\nbind 127.0.0.2\n}",
            ". {\nbind lo\nbind eth0\n}\n. {\nbind 127.0.0.2 ::1\n}",
        ],
    )
    def test_is_fine_elsewhere(self, text: str) -> None:
        assert served_zones(corefile(text))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (". {\n}\n. {\n}", ["Corefile:3: dns://.:53 is served already: /etc/coredns/Corefile:1"]),
            (". .:53 {\n}", ["Corefile:1: dns://.:53 is served already: /etc/coredns/Corefile:1"]),
            ("A {\n}\n\ndns://a.:53 {\n}", ["Corefile:4: dns://a.:53 is served already: /etc/coredns/Corefile:1"]),
            ("tls://a {\n}\ntls://a:853 {\n}", ["Corefile:3: tls://a.:853 is served already: /etc/coredns/Corefile:1"]),
            ("10.0.0.0/15 {\n}\n1.10.in-addr.arpa {\n}", [
                "Corefile:3: dns://1.10.in-addr.arpa.:53 is served already: /etc/coredns/Corefile:1",
            ]),
            (". {\nbind ::1\n}\n. {\nbind lo 0:0::1\n}", [
                "Corefile:4: dns://.:53 is served already: /etc/coredns/Corefile:1",
            ]),
            (". {\n}\n. {\nbind ::1\n}", ["Corefile:3: dns://.:53 is served already: /etc/coredns/Corefile:1"]),
            (". {\nbind ::1\n}\n. {\n}", ["Corefile:4: dns://.:53 is served already: /etc/coredns/Corefile:1"]),
            ("a {\n}\na {\n}\na {\n}", [
                "Corefile:3: dns://a.:53 is served already: /etc/coredns/Corefile:1",
                "Corefile:5: dns://a.:53 is served already: /etc/coredns/Corefile:1",
            ]),
        ],
    )  # fmt: skip
    def test_is_a_fault(self, text: str, expected: list[str]) -> None:
        assert faults(text) == expected
