"""Regular expressions as Go writes them (RE2's syntax), for Python's engine.

What the two write alike and mean alike goes through; what they write differently is translated; what RE2 does not have
(look-around, back-references, possessive repetition) is refused, as Go does.

RE2 takes linear time and Python does not, so a repetition of what varies is refused too, unless there is but one way to
tell its rounds apart: `([a-z]+[.])*` has one, `(.+[.])*`, `(a+)+` and `(a|aa)*` have not. So is a pattern that has more
than a few repetitions which nothing ends: `[0-9]*-` ends with its dash, `.*-` can go on. What is left takes polynomial
time at worst, and a name that lacks the last characters of a pattern is not tried at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_PATTERN = 1000
"""Characters. The longest ones in use spell out the 32 nibbles of a reverse name."""

MOST_FREE = 4
"""Repetitions in a pattern that nothing ends."""

LONGEST_SUBJECT = 255
"""Characters; a longer text, which only a name of odd bytes can have, matches nothing."""

MOST_ROUNDS = 1000
"""Of a counted repetition: RE2's own limit."""

FEW_ROUNDS = 3
"""So often anything may be repeated; it takes no longer than when it is written out."""

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ",
    "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip

_TOKEN = re.compile(
    r"""
    (?P<literal>\\Q(?:.*?)(?:\\E|$))
    | (?P<escape>\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|[pP]\{\^?\w+\}|.))
    | (?P<set>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])
    | (?P<flags>\(\?[a-zA-Z]*(?:-[a-zA-Z]+)?\))
    | (?P<open>\((?:\?(?:P?<(?P<name>\w+)>|[a-zA-Z]*(?:-[a-zA-Z]+)?:))?)
    | (?P<close>\))
    | (?P<repeat>(?:[*+?]|\{\d+(?:,\d*)?\})\??)
    | (?P<either>\|)
    | (?P<any>.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)

_FLAGS = re.compile(r"\(\?[a-zA-Z-]+\)", re.ASCII)

_IN_A_SET = re.compile(r"\[:(?P<negated>\^?)(?P<named>\w+):\]|(?P<escape>\\.)|(?P<special>[\[&~|])", re.ASCII)
"""What sets name, and what Python would rather have escaped in them."""

_ESCAPES = frozenset("aftnrvdDsSwWbBA0")
"""Behind a backslash they mean the same to both; so does every character that is no letter and no digit."""

_BEGINS_ANYWHERE = re.compile(r"(?:\((?:\?:|\?P<\w+>)?)*\.[*+](?!\?)", re.ASCII)


class Pattern(Struct, frozen=True):
    compiled: re.Pattern[str]
    tail: str = ""
    """What every match ends with."""

    @property
    def groups(self) -> int:
        return self.compiled.groups

    @property
    def names(self) -> frozenset[str]:
        """Of the groups."""
        return frozenset(self.compiled.groupindex)


class NotAPattern(ValueError):
    """The text is no regular expression of RE2, or not one that can be matched in bounded time."""


def pattern(text: str) -> Pattern:
    """The compiled form. Raises NotAPattern."""
    if len(text) > LONGEST_PATTERN:
        raise NotAPattern(f"a pattern of more than {LONGEST_PATTERN} characters")
    reader = _Reader(text)
    try:
        translated = reader.read()
        if _BEGINS_ANYWHERE.match(translated) and "|" not in translated:
            translated = "\\A" + translated  # if it does not match from the first character, it matches from none
        return Pattern(re.compile(translated, re.ASCII), reader.tail())
    except (re.error, OverflowError, RecursionError) as error:
        raise NotAPattern(f"{text!r} is no regular expression: {error}") from error


def find(compiled: Pattern, text: str) -> re.Match[str] | None:
    """The leftmost match."""
    if len(text) > LONGEST_SUBJECT or compiled.tail not in text:
        return None
    return compiled.compiled.search(text)


class _Atom:
    """A character, a set of them, or a group, and how often it is repeated."""

    def __init__(self, text: str, group: _Group | None = None) -> None:
        self.text = text
        """In Python's form; empty for a group."""
        self.group = group
        self.is_repeated = False
        self.varies = group is not None and group.varies
        """Whether it may be of different lengths."""
        self.rounds = 1
        """How often it is there at most."""


class _Group:
    def __init__(self) -> None:
        self.branches: list[list[_Atom]] = [[]]

    @property
    def varies(self) -> bool:
        return len(self.branches) > 1 or any(atom.varies for atom in self.branches[0])

    def has_one_way(self) -> bool:
        """Whether a text has only one division into rounds of this group."""
        if len(self.branches) > 1:
            return _differ_at_once(self.branches)
        atoms = list(_flat(self.branches[0]))
        varying = [at for at, atom in enumerate(atoms) if atom.varies]
        if len(varying) > 1:
            return False
        return all(_is_mark(atoms, at - 1, at) or _is_mark(atoms, at + 1, at) for at in varying)

    def freedom(self) -> int:
        """How many repetitions there are that nothing ends."""
        return max([sum(_freedoms(list(_flat(atoms)))) for atoms in self.branches])


def _flat(atoms: list[_Atom]) -> Iterator[_Atom]:
    """The same without the parentheses that are only there to capture."""
    for atom in atoms:
        if atom.group is None or atom.is_repeated or len(atom.group.branches) > 1:
            yield atom
        else:
            yield from _flat(atom.group.branches[0])


def _freedoms(atoms: list[_Atom]) -> Iterator[int]:
    for at, atom in enumerate(atoms):
        if atom.group is not None:
            within = atom.group.freedom()
            yield within * atom.rounds if atom.rounds <= FEW_ROUNDS else max(within, 1)
        elif atom.varies and atom.rounds > FEW_ROUNDS:
            yield 0 if _is_mark(atoms, at + 1, at) else 1


def _is_mark(atoms: list[_Atom], at: int, repeated: int) -> bool:
    """Whether the atom is a single known character that the repeated one next to it never matches."""
    if not 0 <= at < len(atoms) or not atoms[repeated].text:
        return False
    character = _character(atoms[at])
    return bool(character) and re.fullmatch(atoms[repeated].text, character, re.ASCII | re.IGNORECASE) is None


def _differ_at_once(branches: list[list[_Atom]]) -> bool:
    firsts = [_character(atoms[0]).lower() if atoms else "" for atoms in branches]
    is_fixed = not any(atom.varies for atoms in branches for atom in atoms)
    return is_fixed and all(firsts) and len(set(firsts)) == len(firsts)


def _character(atom: _Atom) -> str:
    """The one character that the atom matches, or nothing."""
    found = re.fullmatch(r"\\([^\w\s])|\[\\?([^\w\s\\^])\]|\[?(\w)\]?|([-,:/])", atom.text, re.ASCII)
    return next(filter(None, found.groups())) if found and not atom.varies else ""


class _Reader:
    """Goes through a pattern once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._groups = [_Group()]
        self._last: _Atom | None = None
        """What a repetition would repeat, and the group that it is, if it is one."""
        self._last_group: _Group | None = None

    def read(self) -> str:
        found = ""
        for token in _TOKEN.finditer(self._text):
            found += self._translated(token)
        if len(self._groups) > 1:
            raise self._fault("a parenthesis without its other one")
        if self._groups[0].freedom() > MOST_FREE:
            raise self._fault(f"more than {MOST_FREE} repetitions that nothing ends could take for ever")
        return found

    def tail(self) -> str:
        """The characters that every match ends with; nothing if that is not known."""
        (atoms, *others) = self._groups[0].branches
        if others or _FLAGS.match(self._text):
            return ""
        found = ""
        for atom in reversed(atoms):
            if atom.text not in ("$", "\\Z"):
                character = "" if atom.is_repeated else _character(atom)
                if not character:
                    break
                found = character + found
        return found

    def _translated(self, token: re.Match[str]) -> str:
        kind, text = "open" if token["open"] else str(token.lastgroup), token[0]
        if kind == "repeat":
            self._repeat(text)
            return text
        self._last, self._last_group = None, None
        match kind:
            case "open":
                return self._open(token)
            case "close":
                return self._close()
            case "either":
                self._groups[-1].branches.append([])
                return text
            case "flags" if token.start():
                raise self._fault(f"{text} has to stand at the beginning")
            case "flags":
                return self._checked_flags(text)
        self._last = _Atom(self._atom(kind, text))
        self._groups[-1].branches[-1].append(self._last)
        return self._last.text

    def _open(self, token: re.Match[str]) -> str:
        if self._text.startswith("(?", token.start()) and token[0] == "(":
            raise self._fault(f"RE2 has no {self._text[token.start() : token.end() + 2]}")
        self._groups.append(_Group())
        return f"(?P<{token['name']}>" if token["name"] else self._checked_flags(token[0])

    def _close(self) -> str:
        if len(self._groups) == 1:
            raise self._fault("a parenthesis without its other one")
        self._last_group = self._groups.pop()
        self._last = _Atom("", self._last_group)
        self._groups[-1].branches[-1].append(self._last)
        return ")"

    def _checked_flags(self, text: str) -> str:
        if "U" in text:
            raise self._fault("the flag U is not supported")
        return text

    def _atom(self, kind: str, text: str) -> str:
        match kind:
            case "literal":
                return re.escape(text[2:].removesuffix("\\E"))
            case "escape":
                return self._escape(text)
            case "set":
                return "[" + _IN_A_SET.sub(self._in_a_set, text[1:])
        return "\\{" if text == "{" else text

    def _escape(self, text: str) -> str:
        if text.startswith("\\x{"):
            return re.escape(chr(int(text[3:-1], 16)))
        if text == "\\z":
            return "\\Z"
        if text[1] in _ESCAPES or not text[1].isalnum() or len(text) == 4:
            return text
        raise self._fault(f"{text} is not supported")

    def _in_a_set(self, found: re.Match[str]) -> str:
        if found["escape"]:
            return found["escape"]
        if found["special"]:
            return "\\" + found["special"]
        if found["negated"] or found["named"] not in _POSIX:
            raise self._fault(f"{found[0]} is not supported")
        return _POSIX[found["named"]]

    def _repeat(self, text: str) -> None:
        if self._last is None:
            raise self._fault(f"{text} has nothing to repeat")
        rounds = [int(each) for each in re.findall(r"\d+", text)]
        most = rounds[-1] if rounds and ",}" not in text else 1 if text[0] == "?" else MOST_ROUNDS
        if max(rounds, default=0) > MOST_ROUNDS:
            raise self._fault(f"{text} repeats more than {MOST_ROUNDS} times")
        if self._last_group is not None and most > FEW_ROUNDS and not self._last_group.has_one_way():
            raise self._fault("a repetition of what varies could take for ever")
        self._last.is_repeated = True
        self._last.varies |= len(rounds) != 1 or "," in text
        self._last.rounds = most
        self._last = None  # what is repeated can not be repeated again

    def _fault(self, what: str) -> NotAPattern:
        return NotAPattern(f"{what}, in {self._text!r}")
