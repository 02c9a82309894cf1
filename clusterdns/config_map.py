"""The data of a ConfigMap, from its manifest as `kubectl get configmap -o yaml` prints it."""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

_LOOKS_SO = re.compile(r'^(?:kind:|\s*"kind"\s*:) *["\']?ConfigMap\b', re.MULTILINE)


class _ConfigMap(Struct):
    kind: str
    data: dict[str, str] | None = None


class NotAConfigMap(ValueError):
    """A text that looks like the manifest of a ConfigMap, and is none."""


def looks_so(text: str) -> bool:
    """Whether a text is meant as such a manifest, in YAML or JSON."""
    return bool(_LOOKS_SO.search(text))


def data(text: str) -> dict[str, str]:
    """Its data by key. Raises NotAConfigMap."""
    try:
        found = msgspec.yaml.decode(text, type=_ConfigMap)
    except (msgspec.DecodeError, ValueError, AttributeError, LookupError, RecursionError) as error:  # two at odd tags
        raise NotAConfigMap(f"no manifest of a ConfigMap: {' '.join(str(error).split())}") from error
    if found.kind != "ConfigMap":
        raise NotAConfigMap(f"no manifest of a ConfigMap: its kind is {found.kind}")
    return found.data or {}


def in_place(text: str, key: str) -> str:
    """What stands under a key of the data, moved down to the lines where the manifest has it, if they are its lines.

    Raises NotAConfigMap.
    """
    values = data(text)
    if key not in values:
        have = f"it has {', '.join(values)}" if values else "it has none"
        raise NotAConfigMap(f"the ConfigMap has no data under {key}: {have}")
    block = re.search(rf"^\s+{re.escape(key)}: *\|[-+0-9]*[ \t]*$", text, re.MULTILINE)
    return "\n" * (text.count("\n", 0, block.end()) + 1 if block else 0) + values[key]
