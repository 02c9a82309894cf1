"""Corefiles as github.com/coredns/caddy reads them: words, variables, blocks, directives, snippets, faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdns.corefile import CorefileError, read, served_zones
from clusterdns.corefile.grammar import DEEPEST_BLOCK
from tests.corefiles import COREFILE, Memory, Said, blocks, corefile, faults, said


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
            ("{%ZONE%}:{%PORT%}", "example.org:1053"),
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
            ("cache 30 {\nsuccess 9\n\ndenial 9 5\n}", [("cache", "30", [("success", "9"), ("denial", "9", "5")])]),
            ("cache\n{\nsuccess 100\n}\nlog", [("cache", [("success", "100")]), ("log",)]),
            ("template ANY A { rcode NXDOMAIN }\nlog", [("template", "ANY", "A", [("rcode", "NXDOMAIN")]), ("log",)]),
            ("a {\nb c {\nd\n}\ne\n}", [("a", [("b", "c", [("d",)]), ("e",)])]),
            ("a {\nb{ c\n}", [("a", [("b{", "c")])]),
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
            (". {\nhealth {\n}\n{\n}\n}", ["Corefile:4: expected a directive, not {"]),
            (". {\nhealth{\nlameduck 5s }\n}", ["Corefile:2: expected a blank before the { of health{"]),
            ('. {\n"" a\n}', ["Corefile:2: expected a directive, not an empty word"]),
            (".:53{\nlog\nhealth{\nlameduck 5s\n}\n}\na {\n}", [
                "Corefile:1: expected a blank before the { of .:53{",
                "Corefile:3: expected a blank before the { of health{",
            ]),
            (".:53{ log\nready\n}", ["Corefile:1: expected a blank before the { of .:53{"]),
            ("(s)\n. {\n}", ["Corefile:1: expected { behind (s), not ."]),
            ("(s)", ["Corefile:1: expected { behind (s), not the end"]),
            ("(s) {\n}\n(s) {\n}", ["Corefile:3: expected a name of its own for each snippet, not (s) again"]),
            ('. {\nimport\nimport a b\nimport ""\n}', [
                "Corefile:2: import: expected one file, pattern or snippet, not nothing",
                "Corefile:3: import: expected one file, pattern or snippet, not a b",
                "Corefile:4: import: expected one file, pattern or snippet, not an empty word",
            ]),
            ("import no\n. {\nlog\n", [
                "Corefile:1: import: expected a snippet or a file, not no: No such file or directory",
                "Corefile:2: expected a } for this {, not the end",
            ]),
            ("import */*.a\nimport a[bc]", [
                "Corefile:1: import: expected a snippet or a file, not */*.a: a pattern has one * and one ? at most",
                "Corefile:2: import: expected a snippet or a file, not a[bc]: a pattern has one * and one ? at most",
            ]),
            ("(s) {\nimport s\n}\n. {\nimport s\n}", ["Corefile:2: import: snippet (s) imports itself"]),
            ("import Corefile", ["Corefile:1: import: file /etc/coredns/Corefile imports itself"]),
        ],
    )  # fmt: skip
    def test_of_a_text(self, text: str, expected: list[str]) -> None:
        assert faults(text) == expected

    def test_in_an_imported_file(self) -> None:
        assert faults("import a\n", a="a {\nlog }\n") == ["a:2: expected the end of the line behind log, not }"]

    def test_in_what_is_imported_twice_is_told_once(self) -> None:
        text = "(s) {\nhealth {\n} a\n}\na {\nimport s\n}\nb {\nimport s\n}"
        assert faults(text) == ["Corefile:3: expected the end of the line behind }, not a"]

    @pytest.mark.parametrize(
        ("word", "shown"),
        [
            ('"a b"', "a b"),
            ('"a\nb"', r"'a\nb'"),
            ("a" * 60, "a" * 60),
            ("a" * 61, "a" * 60 + "..."),
            ('""', "an empty word"),
        ],
    )
    def test_show_words_on_one_line(self, word: str, shown: str) -> None:
        assert faults(f". {{\na {{\n}} {word}\n}}") == [
            f"Corefile:3: expected the end of the line behind }}, not {shown}"
        ]

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


PIECES = st.sampled_from(
    [
        "{", "}", '"', "\\", "#", "\n", " ", ",", "import ", "(s)", "import s\n", "import *\n", "import a\n",
        "import Corefile\n", "{$ITSELF}", "{$OPEN}", "{%", "%}", "a", ".:53", "bind ", "10.0.0.0/9", "::/3", "\r",
        "\ufeff", "\0", "//", "://", "é",
    ]
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
            found = error.faults
        else:
            return
        assert found
        assert all(fault.place.line >= 1 and "\n" not in str(fault) for fault in found)

    @given(directives=st.lists(DIRECTIVES, max_size=4))
    def test_what_is_written_is_read(self, directives: list[tuple[str, list[str], list[object] | None]]) -> None:
        lines = "".join(map(written, directives))
        for text in (f". {{\n{lines}}}\n", f".\n{lines}"):
            assert blocks(corefile(text)) == [(["."], [expected(each) for each in directives])]
