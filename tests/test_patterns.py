"""Go's regular expressions, and Python's engine."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clusterdns.around.patterns import MOST_FREE, NotAPattern, find, pattern


class TestPatterns:
    @pytest.mark.parametrize(
        ("text", "matches", "does_not"),
        [
            (r"(?i)FOO", "foo", "bar"),
            (r"[[:alpha:]]+[[:digit:]]\.", "ab1.", "ab."),
            (r"\Qa.b\E", "a.b", "axb"),
            (r"^\x{61}\z", "a", "b"),
            (r"a{,2}", "a{,2}", "aa"),
            (r"(?<name>x)y", "xy", "y"),
            (r"^[]a]$", "]", "b"),
            (r"^[[a]$", "[", "b"),
            (r"^([a-z0-9-]+\.)*example\.com\.$", "a.b.example.com.", "a..example.com."),
            (r"^(?:foo|bar)+\.$", "foobar.", "fo."),
            (r"(.*)-(.*)", "a-b", "ab"),
            ("", "", None),
        ],
    )
    def test_mean_what_go_means(self, text, matches, does_not) -> None:
        assert find(pattern(text), matches)
        assert does_not is None or not find(pattern(text), does_not)

    @pytest.mark.parametrize(
        "text",
        [
            "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(?#a)", r"(a)\1", "(?P=a)",
            "a*+", "a**", "*a", "|*", "(", ")", "a)", "[a", "(?U)a", "x(?i)y",
            "[[:foo:]]", r"\pL", r"\p{Greek}", "a{1001}", "\\", "x" * 1001,
        ],
    )  # fmt: skip
    def test_that_go_does_not_have_are_refused(self, text) -> None:
        with pytest.raises(NotAPattern):
            pattern(text)

    @pytest.mark.parametrize(
        "text",
        ["(a+)+", "(a*)*b", r"(.+\.)*x", "(a|aa)+b", "(a|a+)*", r"([a-z]+\.?)*x", r"([a-z]+\.[a-z.]?)*!", "((a+))*b",
         "(a{1,9}){5,}", "(?:(?:a+b)*)*", "(a*){5}"],
    )  # fmt: skip
    def test_that_could_take_for_ever_are_refused(self, text) -> None:
        with pytest.raises(NotAPattern, match="for ever"):
            pattern(text)

    @pytest.mark.parametrize(
        ("text", "is_taken"),
        [
            (r"(.*)\.(.*)\.(.*)\.(.*)\.x$", True),
            (r"(.*)\.(.*)\.(.*)\.(.*)\.(.*)\.x$", False),
            (r"(\w*)-(\w*)-(\w*)-(\w*)-(\w*)-(\w*)-(\w*)-x", True),
            (r"(.*-){3}.*-", True),
            (r"(.*-){3}.*-.*", False),
            (r"(?:(.*)-(.*)-|a)(.*)-(.*)-", True),
        ],
    )
    def test_have_few_repetitions_that_nothing_ends(self, text, is_taken) -> None:
        if is_taken:
            pattern(text)
        else:
            with pytest.raises(NotAPattern, match="more than 4 repetitions"):
                pattern(text)

    @pytest.mark.parametrize(
        ("text", "tail"),
        [
            (r"(.*)\.example[.]$", ".example."),
            (r"^a-b_\.\z", "a-b_."),
            ("a*", ""),
            ("xa{2}", ""),
            ("xa?b", "b"),
            ("a|b", ""),
            ("(?i)ab", ""),
            ("(ab)", ""),
            ("[ab]c.", ""),
            ("", ""),
        ],
    )
    def test_know_what_every_match_ends_with(self, text, tail) -> None:
        assert pattern(text).tail == tail

    @given(st.from_regex(r"\A(?:[ab.]|\\\.|[ab][*+?]|\([ab.]*\)|\$){0,6}\Z"), st.text(alphabet="ab.", max_size=8))
    def test_find_what_python_finds(self, text, subject) -> None:
        """Whatever is left out of the search could not have been found."""
        # What has more is refused, as the table above has it.
        assume(len(re.findall(r"[ab][*+]", text)) <= MOST_FREE)
        ours, theirs = find(pattern(text), subject), re.search(text, subject)
        assert (ours and ours.span()) == (theirs and theirs.span())

    def test_texts_longer_than_names_match_nothing(self) -> None:
        assert find(pattern("a"), "a" * 255)
        assert not find(pattern("a"), "a" * 256)
