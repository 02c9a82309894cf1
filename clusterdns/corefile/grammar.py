"""What a Corefile says: server blocks, their keys, and directives with their arguments and lines.

A directive goes to the end of its line, or of the block that opens there. A `}` that ends a server block therefore
stands behind no directive; within a directive's own block it may.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.corefile.imports import Files, Stream
from clusterdns.corefile.words import CorefileError, Fault, Place, Token, Word, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

DEEPEST_BLOCK = 16
"""Blocks within one another; CoreDNS's plugins have one or two."""


class Directive(Struct, frozen=True):
    name: str
    arguments: tuple[Word, ...]
    lines: tuple[Directive, ...] | None
    """Those of its block: the options of `kubernetes`, the lines of `hosts`. None if it has no block."""
    place: Place


class ServerBlock(Struct, frozen=True):
    keys: tuple[Word, ...]
    """The zones and ports, as they are written. At least one."""
    directives: tuple[Directive, ...]
    place: Place


class Corefile(Struct, frozen=True):
    blocks: tuple[ServerBlock, ...]
    files: tuple[Path, ...]
    """Every file that was read, the Corefile first: a change of any of them changes the Corefile."""
    patterns: tuple[Path, ...] = ()
    """What files were looked for by, found or not: a new one may be a part of the Corefile."""


def read(path: Path, files: Files, environment: Mapping[str, str]) -> Corefile:
    """A Corefile with all that it imports.

    environment: the variables that it may name.

    Raises CorefileError, with every fault that was found.
    """
    stream = Stream(files, environment)
    try:
        stream.open(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CorefileError([Fault(Place(path, 1), f"expected a file: {reason}")], [path]) from error
    parser = _Parser(stream)
    blocks = parser.blocks()
    if stream.faults:
        # What is imported twice has its faults twice.
        raise CorefileError([*dict.fromkeys(stream.faults)], stream.files, [*stream.patterns])
    return Corefile(blocks, tuple(stream.files), tuple(stream.patterns))


class _Parser:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def blocks(self) -> tuple[ServerBlock, ...]:
        blocks: list[ServerBlock] = []
        while token := self._stream.statement():
            keys, opening = self._keys()
            if len(keys) == 1 and keys[0].text.startswith("(") and keys[0].text.endswith(")"):
                self._snippet(keys[0], opening)
            elif opening:
                blocks.append(ServerBlock(_words(keys), self._block(opening, depth=0), token.place))
            elif keys:
                blocks.append(ServerBlock(_words(keys), self._directives(), token.place))
        return tuple(blocks)

    def _keys(self) -> tuple[list[Token], Token | None]:
        """The keys of a block, as far as the line goes and beyond it behind a comma; and the { behind them, if any."""
        keys: list[Token] = []
        first = comma = opening = None
        while token := (self._stream.peek() if first and not comma else self._stream.statement()):
            if token.begins_line and first and not comma and token.brace != "{":
                break
            first = first or token
            self._stream.take()
            if token.brace == "{":
                opening = token
                break
            comma = token if token.text.endswith(",") else None
            text, opening = self._unglued(token)
            if token.brace:
                self._stream.fault(token, "expected a zone or a snippet's name, not a } without its {")
            elif text:
                keys.append(Token(text.removesuffix(","), token.place, "", begins_line=False))
            if opening:
                break
        if comma:
            self._stream.fault(comma, f"expected another zone behind the comma, not {_shown(token)}")
        elif first and not keys and first.brace != "}":
            self._stream.fault(first, f"expected a zone or a snippet's name, not {_shown(first)}")
        return keys, opening

    def _unglued(self, token: Token) -> tuple[str, Token | None]:
        """A word, and the { that stands at its end, if it does: CoreDNS would take it for a part of the word."""
        if not token.text.endswith("{") or len(token.text) == 1:
            return token.text, None
        self._stream.fault(token, f"expected a blank before the {{ of {_shown(token)}")
        return token.text.removesuffix("{"), token

    def _snippet(self, name: Token, opening: Token | None) -> None:
        """Its words are kept as they are: what they mean is seen where they are imported."""
        if opening:
            self._stream.define(name, self._balanced(opening))
        else:
            self._stream.fault(name, f"expected {{ behind {_shown(name)}, not {_shown(self._stream.peek())}")

    def _balanced(self, opening: Token) -> list[Token]:
        """The words of a block, without its braces."""
        body: list[Token] = []
        depth = 1
        while token := self._stream.peek():
            self._stream.take()
            depth += {"{": 1, "}": -1}.get(token.brace, 0)
            if not depth:
                return body
            body.append(token)
        self._stream.fault(opening, "expected a } for this {, not the end")
        return body

    def _directives(self) -> tuple[Directive, ...]:
        """Those of the one server block of a Corefile without braces: all that follow."""
        directives: list[Directive] = []
        while token := self._stream.statement():
            self._stream.take()
            if token.brace == "}":
                self._stream.fault(token, "expected a directive, not a } without its {")
            else:
                directives += self._directive(token, depth=0)
        return tuple(directives)

    def _block(self, opening: Token, depth: int) -> tuple[Directive, ...]:
        """The directives of a block, whose } is taken as well.

        depth: how many blocks there are around this one.
        """
        directives: list[Directive] = []
        while token := self._stream.statement():
            self._stream.take()
            if token.brace == "}":
                return tuple(directives)
            directives += self._directive(token, depth)
        self._stream.fault(opening, "expected a } for this {, not the end")
        return tuple(directives)

    def _directive(self, first: Token, depth: int) -> list[Directive]:
        """The directive that begins with this word, if it is one."""
        if first.brace:
            self._stream.fault(first, "expected a directive, not {")
            self._balanced(first)
            return []
        name, glued = self._unglued(first) if depth == 0 else (first.text, None)
        if depth == 0 and not name:
            self._stream.fault(first, "expected a directive, not an empty word")
        arguments: list[Word] = []
        lines = self._block(glued, depth + 1) if glued else None
        while (token := self._stream.peek()) and not (token.begins_line and (token.brace != "{" or lines is not None)):
            if token.brace == "}":
                if depth == 0:
                    self._stream.fault(token, f"expected the end of the line behind {shown(name)}, not }}")
                break
            if lines is not None:
                self._stream.fault(token, f"expected the end of the line behind }}, not {_shown(token)}")
                self._stream.rest_of_line()
            elif not token.brace:
                arguments.append(self._stream.take().word)
            elif depth == DEEPEST_BLOCK:
                self._stream.fault(token, f"expected at most {DEEPEST_BLOCK} blocks within one another")
                self._balanced(self._stream.take())
            else:
                lines = self._block(self._stream.take(), depth + 1)
        return [Directive(name, tuple(arguments), lines, first.place)]


def _words(tokens: list[Token]) -> tuple[Word, ...]:
    return tuple([token.word for token in tokens])


def _shown(token: Token | None) -> str:
    return shown(token.text) if token else "the end"
