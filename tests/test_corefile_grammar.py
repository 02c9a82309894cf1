"""Corefiles as github.com/coredns/caddy reads them: words, blocks, imports, keys, and what is wrong with some."""

from __future__ import annotations

import errno
import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns import names
from clusterdns.corefile import Corefile, CorefileError, Directive, Disk, Files, read, served_zones, zones
from clusterdns.corefile.grammar import DEEPEST_BLOCK
from clusterdns.corefile.imports import DEEPEST, MOST_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DATA = Path(__file__).parent / "data/corefiles"

COREFILE = Path("/etc/coredns/Corefile")

ENVIRONMENT = {
    "ZONE": "example.org", "PORT": "1053", "SPACED": "one two", "OPEN": "{", "CLOSE": "}", "ITSELF": "{$ITSELF}",
    "EMPTY": "", "HASH": "#", "IMPORT": "import",
}  # fmt: skip

Said = tuple[object, ...]
"""A directive's name and arguments, and a list of what its block says: `("health", ["lameduck", "5s"])`."""


class Memory:
    """Files by their paths."""

    def __init__(self, texts: Mapping[Path, str]) -> None:
        self._texts = texts

    def read(self, path: Path) -> str:
        if path not in self._texts:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._texts[path]

    def matching(self, pattern: Path) -> Sequence[Path]:
        return sorted(path for path in self._texts if fnmatch.fnmatchcase(str(path), str(pattern)))


def corefile(text: str, **imported: str) -> Corefile:
    """A Corefile in /etc/coredns; the others' names are relative to it, `a__b` is a/b and `a_b` is a.b."""
    texts = {COREFILE.parent / name.replace("__", "/").replace("_", "."): content for name, content in imported.items()}
    return read(COREFILE, Memory({COREFILE: text, **texts}), ENVIRONMENT)


def faults(text: str, **imported: str) -> list[str]:
    """What is wrong, without the folder."""
    with pytest.raises(CorefileError) as raised:
        served_zones(corefile(text, **imported))
    assert str(raised.value) == "\n".join(map(str, raised.value.faults))
    return [line.removeprefix("/etc/coredns/") for line in str(raised.value).split("\n")]


def said(directives: Sequence[Directive]) -> list[Said]:
    return [
        (each.name, *(word.text for word in each.arguments), *([said(each.lines)] if each.lines is not None else []))
        for each in directives
    ]


def blocks(found: Corefile) -> list[tuple[list[str], list[Said]]]:
    return [([key.text for key in each.keys], said(each.directives)) for each in found.blocks]


class TestWords:
    """Blanks, quotes, comments, line ends."""

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("log a b", ["log", "a", "b"]),
            ("\t log  a\t\tb \t", ["log", "a", "b"]),
            ("log\u00a0a\u2003b", ["log", "a", "b"]),
            ("log a\x1fb\x1cc", ["log", "a\x1fb\x1cc"]),
            ("log a\r", ["log", "a"]),
            ('log "a b"', ["log", "a b"]),
            ('log ""', ["log", ""]),
            ('log "a \\"b\\" c"', ["log", 'a "b" c']),
            ('log "a\\d\\\\.b"', ["log", "a\\d\\\\.b"]),
            ('log "a\\\\" b', ["log", "a\\\\", "b"]),
            ('log "a # b"', ["log", "a # b"]),
            ('log "a"b', ["log", "a", "b"]),
            ('log a"b c"', ["log", 'a"b', 'c"']),
            ('log "{" "}"', ["log", "{", "}"]),
            ("log {{ .Name }} {x} a{", ["log", "{{", ".Name", "}}", "{x}", "a{"]),
            ("log 'a b'", ["log", "'a", "b'"]),
            ("log a, b,c", ["log", "a,", "b,c"]),
            ("log a # b c", ["log", "a"]),
            ("log #", ["log"]),
            ('log "a"# b', ["log", "a"]),
            # CoreDNS drops the rest of the word, but what is behind the next blank counts again.
            ("log 192.0.2.1#dns.example.org b", ["log", "192.0.2.1", "b"]),
            # There is no continuation of lines: the backslash is a word.
            ("log a \\", ["log", "a", "\\"]),
            ("log import a", ["log", "import", "a"]),
        ],
    )  # fmt: skip
    def test_of_a_line(self, line: str, words: list[str]) -> None:
        assert blocks(corefile(f". {{\n{line}\nerrors\n}}")) == [(["."], [tuple(words), ("errors",)])]

    def test_in_quotes_have_line_ends(self) -> None:
        found = corefile('. {\nlog "a\n b\r\n" c\nerrors\n}')
        assert said(found.blocks[0].directives) == [("log", "a\n b\r\n", "c"), ("errors",)]
        assert [each.place.line for each in found.blocks[0].directives] == [2, 5]

    @pytest.mark.parametrize("text", [".:53 {\r\n  errors # all\r\n}\r\n", "\ufeff.:53 {\nerrors\n}"])
    def test_of_windows(self, text: str) -> None:
        assert blocks(corefile(text)) == [([".:53"], [("errors",)])]

    def test_know_their_places(self) -> None:
        (block,) = corefile("# a\n\n.:53 b,\nc {\n\n  hosts {\n    192.0.2.1 nas\n  }\n}").blocks
        assert [str(key.place) for key in block.keys] == [f"{COREFILE}:3", f"{COREFILE}:3", f"{COREFILE}:4"]
        (hosts,) = block.directives
        assert hosts.lines is not None
        lines = [block.place.line, hosts.place.line, hosts.lines[0].place.line]
        assert lines == [3, 6, 7]
        assert hosts.lines[0].arguments[0].place.line == 7


class TestVariables:
    @pytest.mark.parametrize(
        ("written", "word"),
        [
            ("{$ZONE}", "example.org"),
            ("{%ZONE%}", "example.org"),
            ("{$ZONE}:{$PORT}", "example.org:1053"),
            ("{%ZONE%}:{$PORT}", "example.org:1053"),
            ("a.{$ZONE}.b", "a.example.org.b"),
            ('"in {$ZONE} too"', "in example.org too"),
            ("{$SPACED}", "one two"),
            ("{$MISSING}", ""),
            ("{$PORT$}", ""),
            ("{$ITSELF}", "{$ITSELF}"),
            ("{$HASH}", "#"),
            ("{$OPEN}", "{"),
            ("{$CLOSE}", "}"),
            ("{$}", "{$}"),
            ("{%}", "{%}"),
            ("{%%}", "{%%}"),
            ("{%ZONE}", "{%ZONE}"),
            ("{$ZONE", "{$ZONE"),
            ("$ZONE", "$ZONE"),
            ("${ZONE}", "${ZONE}"),
        ],
    )
    def test_in_an_argument(self, written: str, word: str) -> None:
        assert blocks(corefile(f". {{\nlog {written}\n}}")) == [(["."], [("log", word)])]

    def test_in_keys_names_lines_and_imports(self) -> None:
        text = "{$ZONE}:{$PORT} {$EMPTY} {\n{%ZONE%} {\n{$PORT} a\n}\n{$IMPORT} {$ZONE}\n}"
        expected = ["example.org:1053"], [("example.org", [("1053", "a")]), ("log",)]
        assert blocks(corefile(text, example_org="log")) == [expected]


class TestServerBlocks:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", []),
            (" \n\t\n# nothing\n", []),
            (". {\n}", [(["."], [])]),
            (".\n{\n}", [(["."], [])]),
            ("a b {\n}", [(["a", "b"], [])]),
            ("a, b,c {\n}", [(["a", "b,c"], [])]),
            ("a,\n\n  b, # and\nc {\n}", [(["a", "b", "c"], [])]),
            ('"a" "" b {\n}', [(["a", "b"], [])]),
            ("a {\n}\nb {\n}", [(["a"], []), (["b"], [])]),
            ("a {\n} b {\n}", [(["a"], []), (["b"], [])]),
            ("a { log\n}", [(["a"], [("log",)])]),
            ("a import {\n}", [(["a", "import"], [])]),
            # Without braces there is one block.
            ("a", [(["a"], [])]),
            ("a,\nb:1053", [(["a", "b:1053"], [])]),
            ("a b\nlog\nhealth {\n  lameduck 5s\n}\nready", [(["a", "b"], [
                ("log",), ("health", [("lameduck", "5s")]), ("ready",)
            ])]),
        ],
    )  # fmt: skip
    def test_of_a_text(self, text: str, expected: object) -> None:
        assert blocks(corefile(text)) == expected


class TestDirectives:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("cache 30", [("cache", "30")]),
            ("cache {\n}", [("cache", [])]),
            ("cache 30 {\nsuccess 100\n\ndenial 10 5\n}", [("cache", "30", [("success", "100"), ("denial", "10", "5")])]),
            ("cache\n{\nsuccess 100\n}\nlog", [("cache", [("success", "100")]), ("log",)]),
            ("template ANY AAAA { rcode NXDOMAIN }\nlog", [("template", "ANY", "AAAA", [("rcode", "NXDOMAIN")]), ("log",)]),
            ("a {\nb c {\nd\n}\ne\n}", [("a", [("b", "c", [("d",)]), ("e",)])]),
            ("a { b { c } }\nd", [("a", [("b", [("c",)])]), ("d",)]),
            ('hosts {\n"" a\n}', [("hosts", [("", "a")])]),
            ("log\nlog\nlog a", [("log",), ("log",), ("log", "a")]),
        ],
    )  # fmt: skip
    def test_of_a_block(self, text: str, expected: list[Said]) -> None:
        assert blocks(corefile(f". {{\n{text}\n}}")) == [(["."], expected)]
        assert blocks(corefile(f".\n{text}")) == [(["."], expected)]

    def test_nest_so_deep(self) -> None:
        inner = "a {\n" * DEEPEST_BLOCK + "}\n" * DEEPEST_BLOCK
        assert len(corefile(f". {{\n{inner}}}").blocks) == 1
        deeper = "a {\n" * 5000 + "}\n" * 5000
        assert faults(f". {{\n{deeper}}}") == [
            f"Corefile:{DEEPEST_BLOCK + 2}: expected at most 16 blocks within one another"
        ]


class TestSnippets:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("(s) {\nlog\ncache 30\n}\n. {\nimport s\nerrors\n}", [("log",), ("cache", "30"), ("errors",)]),
            ("(s) { log }\n. {\nimport s\n}", [("log",)]),
            ("(s)\n{\nlog\n}\n. {\nimport s\n}", [("log",)]),
            ("(s) {\n}\n. {\nimport s\nlog\n}", [("log",)]),
            ("(s) {\nlog\n}\n. {\nimport s\nimport s\n}", [("log",), ("log",)]),
            ("(s) {\nhealth {\nlameduck 5s\n}\n}\n. {\nimport s\n}", [("health", [("lameduck", "5s")])]),
            ("(s) {\nlameduck 5s\n}\n. {\nhealth {\nimport s\n}\n}", [("health", [("lameduck", "5s")])]),
            ("(s) {\nlog\n}\n(t) {\nimport s\nready\n}\n. {\nimport t\n}", [("log",), ("ready",)]),
            ("(t) {\nimport s\n}\n(s) {\nlog\n}\n. {\nimport t\n}", [("log",)]),
            ("(s) {\nlog\n}\n.\nimport s", [("log",)]),
            ("(s.t) {\nlog\n}\n. {\nimport s.t\n}", [("log",)]),
        ],
    )  # fmt: skip
    def test_stand_where_they_are_imported(self, text: str, expected: list[Said]) -> None:
        assert blocks(corefile(text, s_t="a file of that name is not looked at")) == [(["."], expected)]

    def test_may_be_whole_blocks(self) -> None:
        assert blocks(corefile("(s) {\na {\nlog\n}\n}\nimport s\n")) == [(["a"], [("log",)])]


class TestImports:
    def test_of_a_file_in_a_block(self) -> None:
        found = corefile(". {\nlog\nimport a\nready\n}", a="errors\nhealth {\nlameduck 5s\n}")
        assert blocks(found) == [(["."], [("log",), ("errors",), ("health", [("lameduck", "5s")]), ("ready",)])]
        assert [str(each.place) for each in found.blocks[0].directives] == [
            "/etc/coredns/Corefile:2", "/etc/coredns/a:1", "/etc/coredns/a:2", "/etc/coredns/Corefile:4",
        ]  # fmt: skip

    def test_of_a_file_in_a_directive(self) -> None:
        found = corefile(". {\nhosts {\nimport nas\nfallthrough\n}\n}", nas="192.0.2.1 nas")
        assert blocks(found) == [(["."], [("hosts", [("192.0.2.1", "nas"), ("fallthrough",)])])]

    def test_of_a_file_of_blocks(self) -> None:
        assert blocks(corefile("import a\nb {\n}", a="a {\nlog\n}")) == [(["a"], [("log",)]), (["b"], [])]

    def test_of_a_pattern(self) -> None:
        found = corefile(
            ". {\nlog\nimport custom/*.override\n}\nimport custom/*.server",
            custom__b_override="ready", custom__a_override="errors", custom__z_server="z {\n}", custom__y_server="y {\n}",
        )  # fmt: skip
        assert blocks(found) == [(["."], [("log",), ("errors",), ("ready",)]), (["y"], []), (["z"], [])]
        folder = COREFILE.parent / "custom"
        assert found.files == (
            COREFILE,
            *(folder / f"{each}" for each in ("a.override", "b.override", "y.server", "z.server")),
        )
        assert found.patterns == (folder / "*.override", folder / "*.server")

    def test_of_a_pattern_that_nothing_matches(self) -> None:
        found = corefile(". {\nimport custom/*.override\n}\nimport custom/*.server\n")
        assert blocks(found) == [(["."], [])]
        assert found.patterns == (COREFILE.parent / "custom/*.override", COREFILE.parent / "custom/*.server")

    def test_of_an_empty_file(self) -> None:
        found = corefile("import a\n. {\nimport a\nlog\n}", a="\n# nothing\n")
        assert blocks(found) == [(["."], [("log",)])]
        assert found.files == (COREFILE, COREFILE.parent / "a")

    def test_are_relative_to_the_file_they_stand_in(self) -> None:
        found = corefile(
            "import a/b", a__b="b {\nimport c\nimport ../d\nimport /etc/coredns/e\n}", a__c="c", d="d", e="e"
        )
        assert blocks(found) == [(["b"], [("c",), ("d",), ("e",)])]

    def test_of_one_file_in_two_places(self) -> None:
        found = corefile("a {\nimport c\n}\nb {\nimport ./c\n}", c="log")
        assert blocks(found) == [(["a"], [("log",)]), (["b"], [("log",)])]
        assert found.files == (COREFILE, COREFILE.parent / "c")

    def test_share_snippets(self) -> None:
        assert blocks(corefile("(s) {\nlog\n}\nimport a", a="a {\nimport s\n}")) == [(["a"], [("log",)])]
        assert blocks(corefile("import a\n. {\nimport s\n}", a="(s) {\nlog\n}")) == [(["."], [("log",)])]

    def test_of_siblings_are_no_cycle(self) -> None:
        found = corefile("import *.server", a_server="a {\nimport b\n}\nimport b.server", b_server="b {\n}", b="log")
        assert [keys for keys, _ in blocks(found)] == [["a"], ["b"], ["b"]]

    def test_in_one_another_are_bounded(self) -> None:
        def chain(length: int) -> str:
            links = "".join(f"(s{number}) {{\nimport s{number - 1}\n}}\n" for number in range(1, length))
            return f"(s0) {{\nlog\n}}\n{links}. {{\nimport s{length - 1}\n}}"

        assert blocks(corefile(chain(DEEPEST))) == [(["."], [("log",)])]
        assert faults(chain(DEEPEST + 1)) == ["Corefile:5: import: expected at most 50 imports within one another"]

    def test_that_double_are_bounded(self) -> None:
        links = "".join(f"(s{n}) {{\nimport s{n - 1}\nimport s{n - 1}\n}}\n" for n in range(1, 40))
        (fault,) = faults(f"(s0) {{\nlog\n}}\n{links}. {{\nimport s39\n}}")
        assert fault.endswith(f": expected at most {MOST_WORDS} words, with those of all imports")


class TestFaults:
    """A line each, with the place, what was expected and what stands there."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (". {\nlog", ["Corefile:1: expected a } for this {, not the end"]),
            (". {\nhealth {\nlameduck 5s\n}\n", ["Corefile:1: expected a } for this {, not the end"]),
            (". {\nhealth {\nlog\n", [
                "Corefile:2: expected a } for this {, not the end",
                "Corefile:1: expected a } for this {, not the end",
            ]),
            ("(s) {\nlog\n", ["Corefile:1: expected a } for this {, not the end"]),
            ('. {\nlog "a b\n}', [
                'Corefile:2: expected a closing " before the end of the file',
                "Corefile:1: expected a } for this {, not the end",
            ]),
            (". {\nlog\n}\n}\n", ["Corefile:4: expected a zone or a snippet's name, not a } without its {"]),
            ("}\n. {\n}\n", ["Corefile:1: expected a zone or a snippet's name, not a } without its {"]),
            (".\nlog\n}\nready", ["Corefile:3: expected a directive, not a } without its {"]),
            ("{\nlog\n}\n. {\n}", ["Corefile:1: expected a zone or a snippet's name, not {"]),
            ('"" {\nlog\n}', ["Corefile:1: expected a zone or a snippet's name, not an empty word"]),
            ("{$MISSING} {\nlog\n}", ["Corefile:1: expected a zone or a snippet's name, not an empty word"]),
            ("a, {\n}", ["Corefile:1: expected another zone behind the comma, not {"]),
            ("a,\n", ["Corefile:1: expected another zone behind the comma, not the end"]),
            (". { whoami }", ["Corefile:1: expected the end of the line behind whoami, not }"]),
            (". {\nlog\nbind 127.0.0.1 }", ["Corefile:3: expected the end of the line behind bind, not }"]),
            (". {\nhealth {\n} }", ["Corefile:3: expected the end of the line behind health, not }"]),
            (". {\nhealth {\n} a b\nlog\n}", ["Corefile:3: expected the end of the line behind }, not a"]),
            (". {\n{\nlog\n}\nlog\n}", ["Corefile:2: expected a directive, not {"]),
            ('. {\n"" a\n}', ["Corefile:2: expected a directive, not an empty word"]),
            (".:53{\nlog\nhealth{\nlameduck 5s\n}\n}\na {\n}", [
                "Corefile:1: expected a blank before the { of .:53{",
                "Corefile:3: expected a blank before the { of health{",
            ]),
            ("(s)\n. {\n}", ["Corefile:1: expected { behind (s), not ."]),
            ("(s)", ["Corefile:1: expected { behind (s), not the end"]),
            ("(s) {\n}\n(s) {\n}", ["Corefile:3: expected a name of its own for each snippet, not (s) again"]),
            (". {\nimport\nimport a b\nimport \"\"\n}", [
                "Corefile:2: import: expected one file, pattern or snippet, not nothing",
                "Corefile:3: import: expected one file, pattern or snippet, not a b",
                "Corefile:4: import: expected one file, pattern or snippet, not nothing",
            ]),
            ("import no\n. {\nlog\n", [
                "Corefile:1: import: expected a snippet or a file, not no: No such file or directory",
                "Corefile:2: expected a } for this {, not the end",
            ]),
            ("import */*.server\nimport a[bc]", [
                "Corefile:1: import: expected a snippet or a file, not */*.server: a pattern has one * and one ? at most",
                "Corefile:2: import: expected a snippet or a file, not a[bc]: a pattern has one * and one ? at most",
            ]),
            ("(s) {\nimport s\n}\n. {\nimport s\n}", ["Corefile:2: import: snippet (s) imports itself"]),
            ("import Corefile", ["Corefile:1: import: file /etc/coredns/Corefile imports itself"]),
        ],
    )  # fmt: skip
    def test_of_a_text(self, text: str, expected: list[str]) -> None:
        assert faults(text) == expected

    def test_in_an_imported_file(self) -> None:
        assert faults("import a\nimport b", a="a {\nlog }\n", b="\nimport a") == [
            "a:2: expected the end of the line behind log, not }",
            "a:2: expected the end of the line behind log, not }",
            "a:1: dns://a.:53 is served already: /etc/coredns/a:1",
        ][:2]  # fmt: skip

    def test_of_files_that_import_each_other(self) -> None:
        assert faults("import a", a="import b", b="\nimport a") == ["b:2: import: file /etc/coredns/a imports itself"]

    def test_tell_which_files_to_watch(self) -> None:
        with pytest.raises(CorefileError) as raised:
            corefile("import a\nimport *.server\nimport b\n", a="a {")
        assert raised.value.files == (COREFILE, COREFILE.parent / "a", COREFILE.parent / "b")
        assert raised.value.patterns == (COREFILE.parent / "*.server",)

    def test_of_no_file(self) -> None:
        with pytest.raises(
            CorefileError, match=r"^/no/Corefile:1: expected a file: No such file or directory$"
        ) as raised:
            read(Path("/no/Corefile"), Memory({}), {})
        assert raised.value.files == (Path("/no/Corefile"),)


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
            ("0.0.0.0/0", ["dns://in-addr.arpa.:53"]),
            ("2001:db8::/32", ["dns://8.b.d.0.1.0.0.2.ip6.arpa.:53"]),
            ("2001:db8::/32:54", ["dns://8.b.d.0.1.0.0.2.ip6.arpa.:54"]),
            ("2001:db8::/31", ["dns://8.b.d.0.1.0.0.2.ip6.arpa.:53", "dns://9.b.d.0.1.0.0.2.ip6.arpa.:53"]),
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


class TestDisk:
    @pytest.fixture
    @staticmethod
    def folder(tmp_path: Path) -> Path:
        (tmp_path / "Corefile").write_text(". {\nimport custom/*\n}")
        (tmp_path / "custom").mkdir()
        return tmp_path

    def test_is_read(self, folder: Path) -> None:
        (folder / "custom/b").write_bytes(b"log \xff\n")
        (folder / "custom/a").write_text("errors")
        (folder / "custom/.hidden").write_text("ready")
        found = read(folder / "Corefile", Disk(), {})
        assert blocks(found) == [(["."], [("ready",), ("errors",), ("log", "\ufffd")])]
        assert found.files == (folder / "Corefile", *(folder / "custom" / name for name in (".hidden", "a", "b")))

    def test_may_hold_nothing(self, folder: Path) -> None:
        assert blocks(read(folder / "Corefile", Disk(), {})) == [(["."], [])]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("no", "No such file or directory"), ("custom", "Is a directory"), ("\0", "embedded null byte")],
    )
    def test_may_lack_a_file(self, folder: Path, name: str, reason: str) -> None:
        (folder / "Corefile").write_text(f"import {name}")
        with pytest.raises(CorefileError) as raised:
            read(folder / "Corefile", Disk(), {})
        assert str(raised.value) == f"{folder}/Corefile:1: import: expected a snippet or a file, not {name}: {reason}"

    def test_is_one_of_the_kinds_of_files(self) -> None:
        disk: Files = Disk()
        assert disk.matching(DATA / "aks/custom/*.server") == [
            DATA / "aks/custom/puglife.server", DATA / "aks/custom/rewrite.server",
        ]  # fmt: skip


KUBEADM = "errors health ready kubernetes prometheus forward cache loop reload loadbalance"

IN_THE_WILD: dict[str, list[tuple[str, str]]] = {
    "aks/Corefile": [
        (".:53", "errors ready health kubernetes prometheus forward cache loop reload loadbalance hosts log "
                 "template template"),
        ("puglife.local:53", "errors cache forward"),
        ("example.com:53", "log errors rewrite forward"),
    ],
    "autopath.corefile": [
        (".:53", "errors health ready kubernetes autopath prometheus forward template cache loop reload loadbalance"),
    ],
    "eks.corefile": [(".:53", KUBEADM)],
    "eks-tuned.corefile": [(".:53", f"{KUBEADM} log")],
    "gardener.corefile": [
        (".:8053", "health ready rewrite rewrite kubernetes prometheus loop errors log forward cache reload loadbalance"),
    ],
    "gke.corefile": [(".:53", KUBEADM), ("corp.internal:53", "errors cache forward")],
    "home-resolver.corefile": [
        (".", "nsid root any bind acl bufsize hosts rewrite forward cache prometheus errors log"),
    ],
    "k3d-rewrite.corefile": [
        ("registry.localhost:53", "hosts"),
        (".:53", "errors health rewrite ready kubernetes hosts prometheus forward cache loop reload loadbalance"),
    ],
    "k3s.corefile": [
        (".:53", "errors health ready kubernetes hosts prometheus cache loop reload loadbalance forward"),
    ],
    "kind.corefile": [
        (".:53", "errors health ready kubernetes prometheus hosts forward cache loop reload loadbalance"),
    ],
    "kops.corefile": [
        (".:53", "errors health ready kubernetes hosts prometheus forward cache loop reload loadbalance dns64"),
    ],
    "kops-external.corefile": [
        ("amazonaws.com:53", "errors log health prometheus forward cache"),
        (".:53", "errors health autopath kubernetes prometheus forward cache"),
    ],
    "kubeadm.corefile": [(".:53", KUBEADM)],
    "kubeadm-1.18.corefile": [(".:53", KUBEADM)],
    "kubespray.corefile": [
        ("example.com example.io:1053", "log errors rewrite forward loadbalance cache reload hosts"),
        (".:53", "errors health ready kubernetes prometheus forward k8s_external cache loop reload loadbalance hosts"),
    ],
    "microk8s.corefile": [
        (".:53", "errors health ready log kubernetes prometheus forward cache loop reload loadbalance"),
    ],
    "minikube.corefile": [
        (".:53", "log errors health ready kubernetes prometheus hosts forward cache loop reload loadbalance"),
    ],
    "no-braces.corefile": [("example.org example.net:1053", "file errors log")],
    "nodelocaldns.corefile": [
        ("cluster.local:53", "errors cache reload loop bind forward prometheus health"),
        ("in-addr.arpa:53", "errors cache reload loop bind forward prometheus"),
        ("ip6.arpa:53", "errors cache reload loop bind forward prometheus"),
        (".:53", "errors cache reload loop bind forward prometheus"),
    ],
    "openshift.corefile": [
        ("corp.example.com:5353 corp.example.org:5353", "prometheus forward errors log bufsize cache"),
        (".:5353", "bufsize errors log health ready kubernetes prometheus forward cache reload"),
        ("hostname.bind:5353", "chaos"),
    ],
    "rke2.corefile": [(".:53", KUBEADM)],
    "snippets.corefile": [
        ("cluster.local 10.96.0.0/12 10.244.0.0/16", "errors log prometheus cache kubernetes"),
        ("tls://corp.example.com", "errors log prometheus cache tls forward"),
        (".:53", "errors log prometheus cache forward health ready"),
    ],
    "stub-domain.corefile": [
        (".:53", "errors health kubernetes prometheus forward cache loop reload loadbalance"),
        ("consul.local:53", "errors cache forward"),
    ],
    "talos.corefile": [
        (".:53", "errors health ready log prometheus kubernetes forward cache loop reload loadbalance"),
    ],
    "template-wildcard.corefile": [
        (".:53", "errors health ready template template kubernetes forward forward prometheus cache loop reload loadbalance"),
    ],
    "tencent.corefile": [
        (".:53", "template template errors health ready kubernetes prometheus forward cache reload loadbalance"),
    ],
}  # fmt: skip


class TestInTheWild:
    @pytest.mark.parametrize("name", IN_THE_WILD)
    def test_a_corefile_is_understood(self, name: str) -> None:
        found = read(DATA / name, Disk(), {"CORP_DNS": "10.1.0.53", "UPSTREAM_DNS": "192.0.2.1"})
        assert [
            (" ".join(key.text for key in block.keys), " ".join(each.name for each in block.directives))
            for block in found.blocks
        ] == IN_THE_WILD[name]
        assert len(served_zones(found)) == len(found.blocks)

    def test_none_is_left_out(self) -> None:
        files = [*DATA.glob("*.corefile"), *DATA.glob("*/Corefile")]
        assert {str(path.relative_to(DATA)) for path in files} == set(IN_THE_WILD)

    def test_each_says_where_it_is_from(self) -> None:
        assert all((DATA / name).read_text().startswith("# ") for name in IN_THE_WILD)

    def test_regular_expressions_come_through_whole(self) -> None:
        found = read(DATA / "aks/Corefile", Disk(), {})
        assert said(found.blocks[0].directives)[-2] == (
            "template", "ANY", "ANY", "internal.cloudapp.net",
            [("match", r"^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$"), ("rcode", "NXDOMAIN"), ("fallthrough",)],
        )  # fmt: skip
        found = read(DATA / "template-wildcard.corefile", Disk(), {})
        assert said(found.blocks[0].directives)[3] == (
            "template", "IN", "A", "example.net",
            [
                ("match", r"(^[\w\-_]*[.]|^.*[.]pages[.])example[.]net[.]$"),
                ("answer", "{{ .Name }}  60  IN  A  192.168.2.2"),
                ("fallthrough",),
            ],
        )  # fmt: skip

    def test_names_and_ports_of_a_block(self) -> None:
        found = read(DATA / "snippets.corefile", Disk(), {})
        first, second, third = served_zones(found)
        assert [names.to_text(each.zone) for each in first] == [
            "cluster.local.",
            *(f"{octet}.10.in-addr.arpa." for octet in range(96, 112)),
            "244.10.in-addr.arpa.",
        ]
        assert [str(each) for each in (*second, *third)] == ["tls://corp.example.com.:853", "dns://.:53"]


PIECES = st.sampled_from(
    ["{", "}", '"', "\\", "#", "\n", " ", ",", "import ", "(s)", "import s\n", "import *\n", "import a\n", "import Corefile\n",
     "{$ITSELF}", "{$OPEN}", "{%", "%}", "a", ".:53", "bind ", "10.0.0.0/9", "::/3", "\r", "\ufeff", "\0", "//", "://", "é"]
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join))

WORDS = st.text(st.characters(exclude_characters="\\$%", exclude_categories=["Cs"]))
DIRECTIVE_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "import")
DIRECTIVES = st.recursive(
    st.tuples(DIRECTIVE_NAMES, st.lists(WORDS, max_size=3), st.none()),
    lambda inner: st.tuples(DIRECTIVE_NAMES, st.lists(WORDS, max_size=3), st.none() | st.lists(inner, max_size=3)),
    max_leaves=8,
)


def written(directive: tuple[str, list[str], list[object] | None]) -> str:
    name, arguments, lines = directive
    quoted = "".join(' "' + each.replace('"', '\\"') + '"' for each in arguments)
    block = "" if lines is None else " {\n" + "".join(map(written, lines)) + "}"  # type: ignore[arg-type]
    return f"{name}{quoted}{block}\n"


def expected(directive: tuple[str, list[str], list[object] | None]) -> Said:
    name, arguments, lines = directive
    return (name, *arguments, *([] if lines is None else [[expected(each) for each in lines]]))  # type: ignore[arg-type]


class TestWhateverStandsThere:
    @given(text=TEXTS, imported=TEXTS)
    def test_is_a_corefile_or_a_corefile_error(self, text: str, imported: str) -> None:
        try:
            served_zones(corefile(text, a=imported))
        except CorefileError as error:
            assert error.faults
            assert all(fault.place.line >= 1 and fault.text for fault in error.faults)

    @given(written_directives=st.lists(DIRECTIVES, max_size=4))
    def test_what_is_written_is_read(
        self, written_directives: list[tuple[str, list[str], list[object] | None]]
    ) -> None:
        lines = "".join(map(written, written_directives))
        for text in (f". {{\n{lines}}}\n", f".\n{lines}"):
            assert blocks(corefile(text)) == [(["."], [expected(each) for each in written_directives])]
