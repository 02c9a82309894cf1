"""Corefiles for tests, translated; and what comes of it, as the YAML file has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from clusterdns.corefile import CorefileError, Translation, translate
from tests.corefiles import corefile

if TYPE_CHECKING:
    from clusterdns.config import Block


def translated(text: str, *, lenient: bool = False) -> Translation:
    return translate(corefile(text), lenient=lenient)


def block(*directives: str) -> str:
    """A server block for all names; the first directive stands in line 2."""
    return "\n".join((".:53 {", *directives, "}"))


def value(config: Block, path: str) -> Any:
    """A setting by its path in the YAML file."""
    found = msgspec.json.decode(msgspec.json.encode(config))
    for name in path.split("."):
        found = found[int(name) if isinstance(found, list) else name]
    return found


def faults(text: str) -> list[str]:
    with pytest.raises(CorefileError) as raised:
        translated(text)
    return [str(each).removeprefix("/etc/coredns/") for each in raised.value.faults]


def warnings(text: str, *, lenient: bool = False) -> list[str]:
    return [str(each).removeprefix("/etc/coredns/") for each in translated(text, lenient=lenient).warnings]


def cluster(*options: str) -> str:
    return block("kubernetes cluster.local in-addr.arpa ip6.arpa {", *options, "}")


def external(zones: str, *options: str) -> str:
    return block("kubernetes cluster.local", f"k8s_external {zones} {{", *options, "}")
