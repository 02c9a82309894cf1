"""Conditions on queries, in the part of the expr language that CoreDNS's plugin view is used with.

    incidr(client_ip(), '10.0.0.0/8') && type() in ['A', 'AAAA'] || not (name() matches '[.]example[.]$')

What an operator is given has to be of a type that it takes: that is seen when the text is read. There are no loops and
no variables, and patterns are bounded (patterns.py), so a condition takes no longer than it looks.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from clusterdns.around.networks import client_address
from clusterdns.around.patterns import NotAPattern, find, pattern
from clusterdns.presentation import type_text
from clusterdns.queries import FormatError, Query, read_query
from clusterdns.respond import Client
from clusterdns.wire import SMALLEST_UDP
from clusterdns.zones.text import CLASSES, name_text

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_TEXT = 4096
DEEPEST = 50
"""Parentheses, lists and operators within one another."""


class NotAnExpression(ValueError):
    """A condition that can not be read, or that is none."""


class Where(Struct, frozen=True):
    """What a query comes in by. `host` is "" if that is any of the machine's addresses."""

    host: str
    port: int
    stream: bool


class Asked(Struct, frozen=True):
    """A query, and who has sent it where."""

    query: Query
    packet: bytes
    client: Client
    where: Where


Value: TypeAlias = Callable[[Asked], Any]


class _Node(Struct, frozen=True):
    """A part of an expression: its type, how to get its value, and the value itself if it is always the same."""

    kind: str
    value: Value
    constant: Any = None


def condition(text: str) -> Callable[[Asked], bool]:
    """Raises NotAnExpression."""
    if len(text) > LONGEST_TEXT:
        raise NotAnExpression(f"longer than {LONGEST_TEXT} characters: {text[:40]!r}…")
    node = _Reader(text).read()
    if node.kind != "bool":
        raise NotAnExpression(f"expected a condition, not a value of type {node.kind}: {text!r}")
    return node.value


def asks_for_own_address(text: str) -> bool:
    """Whether it depends on which address of ours was asked."""
    return any(token == "server_ip" for token, _ in _tokens(text))  # noqa: S105 - a function


def holding(conditions: Sequence[Callable[[Asked], bool]], where: Where) -> Callable[[bytes, Client], bool]:
    """Whether a packet is a query that all these conditions hold for."""

    def holds(packet: bytes, client: Client) -> bool:
        try:
            asked = Asked(read_query(packet), packet, client, where)
            return all(each(asked) for each in conditions)
        except (FormatError, ValueError, IndexError):  # what we ask ourselves has no address and no port
            return False

    return holds


# What can be asked


def _client_ip(asked: Asked) -> str:
    return str(client_address(str(asked.client[0])))


def _buffer_size(asked: Asked) -> int:
    edns = asked.query.edns
    return max(edns.udp_size, SMALLEST_UDP) if edns else SMALLEST_UDP


_CLASS_TEXT = {number: text for text, number in CLASSES.items()}

_FUNCTIONS: dict[str, tuple[str, Value]] = {
    "bufsize": ("int", _buffer_size),
    "class": ("string", lambda asked: _CLASS_TEXT.get(asked.query.question.qclass, "")),
    "client_ip": ("string", _client_ip),
    "do": ("bool", lambda asked: bool(asked.query.edns and asked.query.edns.dnssec_ok)),
    "id": ("int", lambda asked: int.from_bytes(asked.packet[:2], "big")),
    "name": ("string", lambda asked: name_text(asked.query.question.name)),
    "opcode": ("int", lambda asked: asked.query.opcode),
    "port": ("string", lambda asked: str(asked.client[1])),
    "proto": ("string", lambda asked: "tcp" if asked.where.stream else "udp"),
    "server_ip": ("string", lambda asked: asked.where.host),
    "server_port": ("string", lambda asked: str(asked.where.port)),
    "size": ("int", lambda asked: len(asked.packet)),
    "type": ("string", lambda asked: type_text(asked.query.question.qtype)),
}
"""Those without arguments: the type, and the value."""


def _in_network(address: str, network: str) -> bool:
    """Raises ValueError."""
    return ipaddress.ip_address(address.strip("[]").partition("%")[0]) in _network(network)


@lru_cache(maxsize=1024)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if "/" not in text:
        raise ValueError(f"{text!r} is no network such as 10.0.0.0/8")
    return ipaddress.ip_network(text, strict=False)


# Operators, by how strongly they bind

_BINDING = {
    "||": 1, "or": 1, "&&": 2, "and": 2, "==": 3, "!=": 3, "<": 3, ">": 3, "<=": 3, ">=": 3, "in": 3, "not in": 3,
    "matches": 3, "contains": 3, "startsWith": 3, "endsWith": 3,
}  # fmt: skip
_NOT = 4
"""Binds a `not` to what stands right behind it."""

_OF_NUMBERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}
_OF_STRINGS: dict[str, Callable[[Any, Any], bool]] = {
    "contains": lambda left, right: right in left,
    "startsWith": lambda left, right: left.startswith(right),
    "endsWith": lambda left, right: left.endswith(right),
}


def _joined(operator: str, left: _Node, right: _Node) -> _Node:
    kinds, first, second = (left.kind, right.kind), left.value, right.value
    match operator:
        case "||" | "or" if kinds == ("bool", "bool"):
            return _Node("bool", lambda asked: first(asked) or second(asked))
        case "&&" | "and" if kinds == ("bool", "bool"):
            return _Node("bool", lambda asked: first(asked) and second(asked))
        case "==" if left.kind == right.kind:
            return _Node("bool", lambda asked: first(asked) == second(asked))
        case "!=" if left.kind == right.kind:
            return _Node("bool", lambda asked: first(asked) != second(asked))
        case "in" if right.kind in (f"list of {left.kind}", "list of nothing"):
            return _Node("bool", lambda asked: first(asked) in second(asked))
        case "not in" if right.kind in (f"list of {left.kind}", "list of nothing"):
            return _Node("bool", lambda asked: first(asked) not in second(asked))
        case "matches" if kinds == ("string", "string"):
            return _matching(left, right)
    if operator in _OF_NUMBERS and kinds in (("int", "int"), ("string", "string")):
        compared = _OF_NUMBERS[operator]
    elif operator in _OF_STRINGS and kinds == ("string", "string"):
        compared = _OF_STRINGS[operator]
    else:
        raise NotAnExpression(f"{operator} does not go with {left.kind} and {right.kind}")
    return _Node("bool", lambda asked: compared(first(asked), second(asked)))


def _matching(left: _Node, right: _Node) -> _Node:
    if right.constant is None:
        raise NotAnExpression("matches takes a pattern that is written there")
    try:
        compiled = pattern(right.constant)
    except NotAPattern as error:
        raise NotAnExpression(str(error)) from error
    return _Node("bool", lambda asked: find(compiled, left.value(asked)) is not None)


# Text

_TOKEN = re.compile(
    r"""\s+|(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>\d+)
    |(?P<word>not\s+in\b|[A-Za-z_]\w*)|(?P<sign>\|\||&&|[=!<>]=|[<>!(),\[\]])""",
    re.ASCII | re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPED = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}


def _tokens(text: str) -> list[tuple[str, str]]:
    """Each token's text, and its kind."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise NotAnExpression(f"{text[at:][:20]!r} is not understood, in {text!r}")
        at = token.end()
        if token.lastgroup:
            found.append((" ".join(token[0].split()) if token["word"] else token[0], token.lastgroup))
    return found


def _unescaped(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]

    def plain(escape: re.Match[str]) -> str:
        code = escape[1]
        if code in _ESCAPED:
            return _ESCAPED[code]
        if len(code) == 1:
            raise NotAnExpression(f"\\{code} stands for nothing, in {text}")
        return chr(int(code[1:], 16))

    return _ESCAPE.sub(plain, text[1:-1])


class _Reader:
    """Goes through the tokens once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def read(self) -> _Node:
        node = self._expression(0)
        if self._at < len(self._tokens):
            raise self._unexpected("an operator or the end")
        return node

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "end")

    def _take(self, expected: str = "") -> tuple[str, str]:
        token = self._peek()
        if expected and token != (expected, "sign"):
            raise self._unexpected(expected)
        self._at += 1
        return token

    def _unexpected(self, expected: str) -> NotAnExpression:
        token, kind = self._peek()
        return NotAnExpression(f"expected {expected}, not {'the end' if kind == 'end' else token}: {self._text!r}")

    def _expression(self, binding: int) -> _Node:
        """As far as operators bind more strongly than that."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotAnExpression(f"more than {DEEPEST} parts within one another: {self._text[:40]!r}…")
        left = self._operand()
        while True:
            operator, kind = self._peek()
            strength = _BINDING.get(operator, 0) if kind in ("word", "sign") else 0
            if strength <= binding:
                self._depth -= 1
                return left
            self._at += 1
            left = _joined(operator, left, self._expression(strength))

    def _operand(self) -> _Node:
        token, kind = self._peek()
        match kind, token:
            case "string", _:
                self._at += 1
                return _constant("string", _unescaped(token))
            case "number", _:
                self._at += 1
                return _constant("int", int(token))
            case "word", "true" | "false":
                self._at += 1
                return _constant("bool", token == "true")  # noqa: S105 - a word
            case ("sign", "!") | ("word", "not"):
                self._at += 1
                return self._negated()
            case "sign", "(":
                self._at += 1
                node = self._expression(0)
                self._take(")")
                return node
            case "sign", "[":
                self._at += 1
                return self._list()
            case "word", _ if token not in _BINDING:
                self._at += 1
                return self._call(token)
        raise self._unexpected("a value")

    def _negated(self) -> _Node:
        node = self._expression(_NOT)
        if node.kind != "bool":
            raise NotAnExpression(f"not does not go with {node.kind}")
        return _Node("bool", lambda asked: not node.value(asked))

    def _list(self) -> _Node:
        nodes = self._separated("]")
        kinds = {each.kind for each in nodes} or {"nothing"}
        if len(kinds) > 1:
            raise NotAnExpression(f"a list of {' and '.join(sorted(kinds))}: {self._text!r}")
        return _Node(f"list of {kinds.pop()}", lambda asked: [each.value(asked) for each in nodes])

    def _separated(self, end: str) -> list[_Node]:
        nodes: list[_Node] = []
        while self._peek() != (end, "sign"):
            if nodes:
                self._take(",")
            nodes.append(self._expression(0))
        self._take(end)
        return nodes

    def _call(self, name: str) -> _Node:
        self._take("(")
        nodes = self._separated(")")
        kinds = tuple(each.kind for each in nodes)
        if name == "incidr" and kinds == ("string", "string"):
            address, network = nodes
            if network.constant is not None:
                try:
                    _network(network.constant)
                except ValueError as error:
                    raise NotAnExpression(f"incidr: {error}") from error
            return _Node("bool", lambda asked: _in_network(address.value(asked), network.value(asked)))
        if name in _FUNCTIONS and not nodes:
            return _Node(*_FUNCTIONS[name])
        if name in _FUNCTIONS or name == "incidr":
            raise NotAnExpression(
                f"{name}: expected {'an address and a network' if name == 'incidr' else 'no arguments'}"
            )
        raise NotAnExpression(f"{name}(): expected incidr, {', '.join(_FUNCTIONS)}")


def _constant(kind: str, value: object) -> _Node:
    return _Node(kind, lambda _: value, value)
