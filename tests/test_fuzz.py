"""The fuzzers themselves: each target takes its examples and a moment of mutation, and a finding is told and kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.one import with_hypothesis
from tests.fuzz.targets import TARGETS, Target

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.parametrize("name", TARGETS)
class TestTargets:
    def test_take_their_examples(self, name: str) -> None:
        for each in TARGETS[name].examples:
            TARGETS[name].check(each)

    def test_take_what_is_made_of_them(self, name: str, tmp_path: Path) -> None:
        assert with_hypothesis(TARGETS[name], 0.5, tmp_path) > 0
        assert not list(tmp_path.iterdir())


class TestFindings:
    def test_are_kept_as_small_as_they_can_be(self, tmp_path: Path) -> None:
        def check(data: bytes) -> None:
            assert b"\xff" not in data

        with pytest.raises(AssertionError):
            with_hypothesis(Target("frail", check, [b"a\xffb"]), 20, tmp_path)
        (kept,) = tmp_path.iterdir()
        assert b"\xff" in kept.read_bytes()

    def test_a_row_says_how_much_was_tried(self, tmp_path: Path) -> None:
        row, is_well = fuzz("names", "hypothesis", 0.5, tmp_path / "names")
        assert is_well, row
        assert row.endswith("| nothing |")

    def test_one_can_be_run_again(self, tmp_path: Path) -> None:
        file = tmp_path / "found"
        file.write_bytes(b"www.example.com")
        command = [sys.executable, "-m", "tests.fuzz", "--reproduce", "names", str(file)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "nothing is wrong with it\n")
