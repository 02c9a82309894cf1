"""The words of a Corefile one after the other, with what is imported in the place of each import.

A snippet is imported before a file of that name. Files are read through a `Files`, each of them once.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from clusterdns.corefile.words import Fault, Place, Token, shown, split

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_WORDS = 500_000
"""Of a Corefile and its imports: more than any ConfigMap holds, and an end to snippets that import each other twice."""

DEEPEST = 50
"""Imports within one another: many more than people can follow."""


class Files(Protocol):
    def read(self, path: Path) -> str:
        """The text of a file. Raises OSError or ValueError."""

    def matching(self, pattern: Path) -> Sequence[Path]:
        """The files that a pattern with `*` and `?` matches, sorted; a leading dot is nothing special.

        Raises OSError or ValueError.
        """


class _Source(Struct, eq=False):
    """A file or a snippet, and how many of its words were taken."""

    name: str
    tokens: Sequence[Token]
    importer: _Source | None = None
    depth: int = 0
    taken: int = 0

    def is_within(self, name: str) -> bool:
        source: _Source | None = self
        while source and source.name != name:
            source = source.importer
        return source is not None


class Stream:
    """The words, first to last.

    An import stands where a statement begins, which only the grammar knows: it asks for `statement` there.
    """

    def __init__(self, files: Files, environment: Mapping[str, str]) -> None:
        self.faults: list[Fault] = []
        self.files: list[Path] = []
        """Those that were asked for, whether or not they could be read, each of them once."""
        self.patterns: dict[Path, None] = {}
        """Those that files were looked for by, in their order."""
        self._snippets: dict[str, Sequence[Token]] = {}
        self._words: dict[Path, Sequence[Token]] = {}
        self._open: list[_Source] = []
        """What is left to be read; the last one is being read."""
        self._files = files
        self._environment = environment
        self._taken = 0

    def open(self, path: Path) -> None:
        """Begin with a file. Raises OSError or ValueError."""
        self._open = [_Source(f"file {path}", self._file(path))]

    def fault(self, token: Token, text: str) -> None:
        """Note what is wrong there; behind the last word that is read, nothing is."""
        if self._taken < MOST_WORDS:
            self.faults.append(Fault(token.place, text))

    def define(self, name: Token, body: Sequence[Token]) -> None:
        snippet = name.text[1:-1]
        if snippet in self._snippets:
            self.fault(name, f"expected a name of its own for each snippet, not {shown(name.text)} again")
        self._snippets[snippet] = body

    def peek(self) -> Token | None:
        """The next word, None at the end."""
        while self._open and self._open[-1].taken == len(self._open[-1].tokens):
            self._open.pop()
        return self._open[-1].tokens[self._open[-1].taken] if self._open else None

    def take(self) -> Token:
        """The word that was looked at, which is no longer the next one."""
        source = self._open[-1]
        token = source.tokens[source.taken]
        source.taken += 1
        self._taken += 1
        if self._taken == MOST_WORDS:
            self._open = []  # here it ends
            self.faults.append(Fault(token.place, f"expected at most {MOST_WORDS} words, with those of all imports"))
        return token

    def statement(self) -> Token | None:
        """The next word, where a statement may begin: an import has been replaced."""
        while (token := self.peek()) and token.text == "import":
            self._import()
        return self.peek()

    def rest_of_line(self) -> list[Token]:
        """What stands behind the word that was taken last, in the same line."""
        tokens: list[Token] = []
        # Where a file or a snippet ends, so does the line; and who imports must be the last one open still.
        while self._open and (source := self._open[-1]).taken < len(source.tokens):
            if source.tokens[source.taken].begins_line:
                break
            tokens.append(self.take())
        return tokens

    def _import(self) -> None:
        importer = self._open[-1]
        statement = self.take()
        names = [token.text for token in self.rest_of_line()]
        if len(names) != 1 or not names[0]:
            found = shown(" ".join(names)) if names else "nothing"
            self.fault(statement, f"import: expected one file, pattern or snippet, not {found}")
            return
        try:
            sources = self._sources(names[0], statement.place, importer)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.fault(statement, f"import: expected a snippet or a file, not {shown(names[0])}: {reason}")
            return
        if importer.depth == DEEPEST:
            self.fault(statement, f"import: expected at most {DEEPEST} imports within one another")
            return
        for source in reversed(sources):  # the last one in the list is read first
            if importer.is_within(source.name):
                self.fault(statement, f"import: {shown(source.name)} imports itself")
            else:
                self._open.append(source)

    def _sources(self, name: str, place: Place, importer: _Source) -> list[_Source]:
        """Raises OSError or ValueError."""
        depth = importer.depth + 1
        if name in self._snippets:
            return [_Source(f"snippet ({name})", self._snippets[name], importer, depth)]
        path = Path(posixpath.normpath(place.file.parent / name))
        paths: Sequence[Path] = [path]
        if any(sign in str(path) for sign in "*?["):
            if str(path).count("*") > 1 or str(path).count("?") > 1 or "[" in str(path):
                raise ValueError("a pattern has one * and one ? at most")
            self.patterns[path] = None
            paths = self._files.matching(path)
        return [_Source(f"file {each}", self._file(each), importer, depth) for each in paths]

    def _file(self, path: Path) -> Sequence[Token]:
        """Raises OSError or ValueError."""
        if path not in self._words:
            self._words[path] = ()
            self.files.append(path)
            tokens, faults = split(self._files.read(path), path, self._environment)
            self._words[path] = tokens
            self.faults += faults
        return self._words[path]
