"""The text of one file as words: blanks, quotes, comments and variables end here.

A word is a brace only if it is one brace by itself, without quotes: `{{ .Name }}` is three words and no block.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from clusterdns.presentation import on_one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Place(Struct, frozen=True):
    file: Path
    line: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Word(Struct, frozen=True):
    text: str
    """Without its quotes, with the values of its variables. It may be empty."""
    place: Place


class Fault(Struct, frozen=True):
    place: Place
    text: str

    def __str__(self) -> str:
        return on_one_line(f"{self.place}: {self.text}")


class CorefileError(Exception):
    """A Corefile can not be taken; the message has a line for each fault, `file:line: what is wrong`."""

    def __init__(self, faults: Sequence[Fault], files: Sequence[Path] = (), patterns: Sequence[Path] = ()) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)
        self.files = tuple(files)
        """The files that were asked for: whoever waits for the Corefile to be mended watches these..."""
        self.patterns = tuple(patterns)
        """...and what comes to match these."""


Brace: TypeAlias = Literal["", "{", "}"]


class Token(Struct, frozen=True):
    """A word with what the grammar needs of where it stood."""

    text: str
    place: Place
    brace: Brace
    begins_line: bool

    @property
    def word(self) -> Word:
        return Word(self.text, self.place)


_BLANKS = " \t\r\v\f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_PIECE = re.compile(
    rf"""
      (?P<blanks> [{_BLANKS}]+ )
    | (?P<newline> \n )
    | (?P<comment> \#[^\n]* )
    | "(?P<quoted> (?:[^"\\]++|\\.)*+ ) (?P<end> "|\\?\Z )
    # A number sign within a word ends it, and takes along what follows up to the next blank, but no more.
    | (?P<word> [^{_BLANKS}\n\#"][^{_BLANKS}\n\#]* ) (?:\#[^{_BLANKS}\n]*)?
    """,
    re.VERBOSE | re.DOTALL,
)
_BRACES: dict[str, Brace] = {"{": "{", "}": "}"}
# The bound on a name is for time that grows with the text alone.
_VARIABLE = re.compile(r"\{%(.{1,255}?)%\}|\{\$([^}]{1,255})\}", re.DOTALL)


def split(text: str, file: Path, environment: Mapping[str, str]) -> tuple[list[Token], list[Fault]]:
    """The words of a file, with its variables replaced: `{$NAME}` and `{%NAME%}`, empty where there is none."""
    tokens: list[Token] = []
    faults: list[Fault] = []
    line = 1
    begins_line = True

    def value(variable: re.Match[str]) -> str:
        return environment.get(variable[1] or variable[2], "")

    for piece in _PIECE.finditer(text.removeprefix("\ufeff")):
        match piece.lastgroup:
            case "newline":
                line += 1
                begins_line = True
            case "end":
                place = Place(file, line)
                quoted = piece["quoted"]
                if piece["end"] != '"':
                    faults.append(Fault(place, 'expected a closing " before the end of the file'))
                # Nothing but a quote can be escaped: any other backslash stands for itself.
                unescaped = quoted.replace('\\"', '"')
                tokens.append(Token(_VARIABLE.sub(value, unescaped), place, "", begins_line))
                line += quoted.count("\n")
                begins_line = False
            case "word":
                raw = piece["word"]
                tokens.append(
                    Token(_VARIABLE.sub(value, raw), Place(file, line), _BRACES.get(raw, ""), begins_line),
                )
                begins_line = False
    return tokens, faults


def shown(text: str) -> str:
    """A word as a message has it: on one line, and not long."""
    cut = text if len(text) <= 60 else f"{text[:60]}..."
    return (cut if cut.isprintable() else repr(cut)) or "an empty word"
