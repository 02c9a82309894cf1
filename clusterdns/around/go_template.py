"""Go's templates, as far as records need them: variables, `index`, `parseInt`, literals, parentheses.

Everything else that Go's text/template has (pipelines, conditions, variables of one's own, …) is refused when a
template is read, and so is what could never be filled in. Reading happens once; what is left for each question is a few
calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

LONGEST_TEMPLATE = 4096
"""Characters."""

DEEPEST = 50
"""Parentheses within one another."""

LONGEST_OUTPUT = 4096

MISSING = "<no value>"
"""What Go writes for a key that a map does not have."""


class Data(Struct, frozen=True):
    """What a template is filled in with."""

    zone: str
    name: str
    qclass: str
    qtype: str
    remote: str
    """The client's address."""
    match: tuple[str, ...]
    """What the pattern matched, and what each of its groups did."""
    groups: dict[str, str]
    """The same by the groups' names and numbers."""


class Groups(Struct, frozen=True):
    """What the patterns of a template have to offer, all of them together."""

    names: frozenset[str] = frozenset()
    count: int = 0


class NotATemplate(ValueError):
    """The text is no template, or uses what is not known here."""


class CanNotBeFilledIn(ValueError):
    """The template asks for something that this question does not have."""


Value: TypeAlias = str | int | tuple[str, ...] | dict[str, str]

_Expression: TypeAlias = Callable[[Data], Value]

Template: TypeAlias = Callable[[Data], str]
"""Raises CanNotBeFilledIn."""

_ACTION = re.compile(
    r"""\{\{(?P<before>-\s)?
    (?P<inside>/\*.*?\*/|(?:"(?:[^"\\]|\\.)*"|`[^`]*`|.)*?)
    (?P<behind>\s-)?\}\}""",
    re.VERBOSE | re.DOTALL,
)
_TOKEN = re.compile(
    r"""\s+
    | (?P<field>\.(?:[A-Za-z_]\w*(?:\.\w+)*)?)
    | (?P<function>[A-Za-z_]\w*)
    | (?P<number>-?\d+)
    | (?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
    | (?P<brace>[()])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)

_FIELDS: dict[str, _Expression] = {
    ".Zone": lambda data: data.zone,
    ".Name": lambda data: data.name,
    ".Class": lambda data: data.qclass,
    ".Type": lambda data: data.qtype,
    ".Remote": lambda data: data.remote,
    ".Match": lambda data: data.match,
    ".Group": lambda data: data.groups,
    ".Question.Name": lambda data: data.name,
}


def read_template(text: str, groups: Groups) -> Template:
    """Raises NotATemplate."""
    if len(text) > LONGEST_TEMPLATE:
        raise NotATemplate(f"a template of more than {LONGEST_TEMPLATE} characters")
    parts: list[str | _Expression] = []
    at = 0
    for action in _ACTION.finditer(text):
        plain = text[at : action.start()]
        if at and _ends_trimming(text[:at]):
            plain = plain.lstrip()
        parts.append(plain.rstrip() if action["before"] else plain)
        if not re.fullmatch(r"/\*.*\*/", action["inside"], re.DOTALL):
            parts.append(_Reader(action["inside"], groups).read())
        at = action.end()
    rest = text[at:].lstrip() if at and _ends_trimming(text[:at]) else text[at:]
    if "{{" in rest:
        raise NotATemplate(f"{{{{ without }}}} in {text!r}")
    parts.append(rest)

    def template(data: Data) -> str:
        found = "".join([part if isinstance(part, str) else _printed(part(data)) for part in parts])
        if len(found) > LONGEST_OUTPUT:
            raise CanNotBeFilledIn(f"more than {LONGEST_OUTPUT} characters came out")
        return found

    return template


def _ends_trimming(text: str) -> bool:
    return re.search(r"\s-\}\}$", text) is not None


def _printed(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{' '.join(value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join([f'{key}:{value[key]}' for key in sorted(value)])}]"
    return str(value)


class _Reader:
    """Goes through an action once."""

    def __init__(self, text: str, groups: Groups) -> None:
        self._text = text.strip()
        self._groups = groups
        self._tokens = [each for each in _TOKEN.finditer(text) if each.lastgroup]
        self._at = 0
        self._depth = 0

    def read(self) -> _Expression:
        found = self._call()
        if self._at < len(self._tokens):
            raise self._fault(f"{self._tokens[self._at][0]} is not expected")
        return found

    def _call(self) -> _Expression:
        """A function with its arguments, or an operand."""
        word = self._peek()
        if word == ".Meta":
            self._at += 1
            (name,) = self._arguments(1)
            del name  # no metadata is kept, and Go gives the empty text for what is not
            return lambda _: ""
        if word == "index":
            self._at += 1
            return self._index()
        if word == "parseInt":
            self._at += 1
            text, base, bits = self._arguments(3)
            return lambda data: _parsed(text(data), base(data), bits(data))
        return self._operand()

    def _arguments(self, count: int) -> Sequence[_Expression]:
        found: list[_Expression] = []
        while len(found) < count and self._at < len(self._tokens):
            found.append(self._operand())
        if len(found) < count:
            raise self._fault(f"{count} arguments expected")
        return found

    def _operand(self) -> _Expression:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        if token is None:
            raise self._fault("something is missing")
        self._at += 1
        text = token[0]
        match token.lastgroup:
            case "field":
                return self._field(text)
            case "number":
                number = int(text)
                return lambda _: number
            case "text":
                plain = text[1:-1] if text[0] == "`" else re.sub(r"\\(.)", r"\1", text[1:-1])
                return lambda _: plain
            case "brace" if text == "(":
                self._depth += 1
                if self._depth > DEEPEST:
                    raise self._fault(f"more than {DEEPEST} parentheses within one another")
                found = self._call()
                self._depth -= 1
                if self._peek() != ")":
                    raise self._fault("a parenthesis without its other one")
                self._at += 1
                return found
        raise self._fault(f"{text} is not known")

    def _field(self, text: str) -> _Expression:
        if text in _FIELDS:
            return _FIELDS[text]
        _, _, name = text.partition(".Group.")
        if not text.startswith(".Group."):
            raise self._fault(f"{text} is not known")
        if name not in self._groups.names:
            raise self._fault(f"no pattern has a group of the name {name}")
        return lambda data: data.groups.get(name, MISSING)

    def _index(self) -> _Expression:
        which = self._peek()
        base, key = self._arguments(2)
        if which not in (".Match", ".Group"):
            raise self._fault("only .Match and .Group have an index")
        last = self._tokens[self._at - 1]
        if last.lastgroup == "number" and which == ".Match" and not 0 <= int(last[0]) <= self._groups.count:
            raise self._fault(f"no pattern has a group {last[0]}")
        return lambda data: _item(base(data), key(data))

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _fault(self, what: str) -> NotATemplate:
        return NotATemplate(f"{what}, in {{{{ {self._text} }}}}")


def _item(base: Value, key: Value) -> Value:
    if isinstance(base, tuple) and isinstance(key, int) and 0 <= key < len(base):
        return base[key]
    if isinstance(base, dict) and isinstance(key, str):
        return base.get(key, MISSING)
    raise CanNotBeFilledIn(f"there is no {key!r}")


def _parsed(text: Value, base: Value, bits: Value) -> int:
    """An unsigned number of so many bits, written to that base."""
    if not (isinstance(text, str) and isinstance(base, int) and isinstance(bits, int)):
        raise CanNotBeFilledIn("parseInt takes a text, a base and a number of bits")
    if not 0 <= bits <= 64:
        raise CanNotBeFilledIn(f"{bits} is no number of bits")
    if not text.isalnum() or not text.isascii():
        raise CanNotBeFilledIn(f"{text!r} is no number")
    try:
        found = int(text, base)
    except ValueError as error:
        raise CanNotBeFilledIn(f"{text!r} is no number to the base {base}") from error
    if found >> (bits or 64):
        raise CanNotBeFilledIn(f"{text} has more than {bits} bits")
    return found
