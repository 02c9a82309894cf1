"""What Corefiles import: files, patterns, and snippets of snippets; from memory and from the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clusterdns.corefile import CorefileError, Disk, read
from clusterdns.corefile.imports import DEEPEST, MOST_WORDS
from tests.corefiles import COREFILE, blocks, corefile, faults

if TYPE_CHECKING:
    from pathlib import Path


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

    def test_of_more_keys(self) -> None:
        assert blocks(corefile("a,\nimport b", b="c, d {\nlog\n}")) == [(["a", "c", "d"], [("log",)])]

    def test_of_a_pattern(self) -> None:
        found = corefile(
            ". {\nlog\nimport custom/*.override\n}\nimport custom/*.server",
            custom__b_override="ready", custom__a_override="errors",
            custom__z_server="z {\n}", custom__y_server="y {\n}",
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
        shown = name if name.isprintable() else repr(name)
        assert str(raised.value) == f"{folder}/Corefile:1: import: expected a snippet or a file, not {shown}: {reason}"
