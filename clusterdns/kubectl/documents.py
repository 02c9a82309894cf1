"""Objects as YAML and JSON: with the fields that names are made of, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterdns.objects import Endpoints, Service

Form: TypeAlias = Literal["json", "yaml"]


def document(value: Service | Endpoints) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": type(value).__name__, **_stated(msgspec.to_builtins(value))}


def list_of(documents: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "items": list(documents), "kind": "List", "metadata": {"resourceVersion": ""}}


def text(value: dict[str, Any], form: Form) -> str:
    if form == "yaml":
        return msgspec.yaml.encode(value, order="sorted").decode()
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=4).decode() + "\n"


def _stated(value: Any) -> Any:
    """The value without what nobody said."""
    if isinstance(value, dict):
        stated = {key: _stated(each) for key, each in value.items()}
        return {key: each for key, each in stated.items() if each not in (None, "", 0, {}, [])}
    if isinstance(value, list | tuple):
        return [_stated(each) for each in value]
    return value
