"""The ways to match a name, and what it becomes.

A name is text here, in lower case and with its last dot.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, TypeAlias

from clusterdns.around.patterns import find, pattern

Match: TypeAlias = Literal["exact", "prefix", "suffix", "substring", "regex"]
"""How a name is held against a rule's. All but `regex` end at the end of a label, as if both had their last dot."""

Rename: TypeAlias = Callable[[str], str | None]
"""From a name's text to what it becomes, or None if it does not match."""


class NotARule(ValueError):
    """A rule that can not be followed."""


def renamer(match: Match, name: str, replacement: str) -> Rename:
    """Raises NotAPattern or NotARule."""
    if match == "regex":
        return by_pattern(name, replacement)
    old, new = _whole(name), _whole(replacement)
    match match:
        case "exact":
            return lambda text: new if text == old else None
        case "prefix":
            return lambda text: new + text.removeprefix(old) if text.startswith(old) else None
        case "suffix":
            return lambda text: text.removesuffix(old) + new if text.endswith(old) else None
        case "substring":
            return lambda text: text.replace(old, new) if old in text else None
    raise NotARule(f"{match!r} is no way to match a name: expected exact, prefix, suffix, substring or regex")


def by_pattern(text: str, replacement: str) -> Rename:
    compiled, new = pattern(text), _whole(replacement)
    for group in _GROUP.findall(new):
        if int(group) > compiled.groups:
            raise NotARule(f"{replacement!r} uses group {group}, but {text!r} has {compiled.groups}")

    def rename(name: str) -> str | None:
        found = find(compiled, name)
        return None if found is None else _GROUP.sub(lambda group: found[int(group[1])] or "", new)

    return rename


_GROUP = re.compile(r"\{(\d{1,3})\}", re.ASCII)


def within(old: str, new: str) -> Rename:
    """The name, and every name below it."""
    below = "." + old

    def rename(text: str) -> str | None:
        if text == old:
            return new
        return text.removesuffix(old) + new if text.endswith(below) else None

    return rename


def _whole(text: str) -> str:
    return text.lower() if text.endswith(".") else text.lower() + "."
