"""Label and field selectors: one comma-separated text each, read into one test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.apiserver.statuses import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apiserver.shapes import Resource
    from tests.apiserver.store import Stored

_SETS = re.compile(r"\s*(?P<key>[^\s!=(),]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)\s*")
_EQUAL = re.compile(r"\s*(?P<key>[^\s!=(),]+)\s*(?P<operator>==|=|!=)\s*(?P<values>[^\s!=(),]*)\s*")
_EXISTS = re.compile(r"\s*(?P<operator>!?)\s*(?P<key>[^\s!=(),]+)\s*")


def matcher(resource: Resource, namespace: str, labels: str, fields: str) -> Callable[[Stored], bool]:
    """Whether an object is in the namespace (any, if it is empty) and both selectors choose it."""
    by_labels = [_label(*_read(part, labels)) for part in _parts(labels)]
    by_fields = [_field(resource, part, labels, fields) for part in _parts(fields)]

    def matches(stored: Stored) -> bool:
        if namespace and stored.namespace != namespace:
            return False
        return all(test(stored) for test in (*by_labels, *by_fields))

    return matches


def _parts(selector: str) -> list[str]:
    """What stands between the commas that are in no brackets."""
    return [part for part in re.split(r",(?![^(]*\))", selector) if part.strip()]


def _read(part: str, selector: str) -> tuple[str, str, set[str]]:
    for pattern in (_SETS, _EQUAL, _EXISTS):
        if found := pattern.fullmatch(part):
            values = found.groupdict().get("values") or ""
            return found["key"], found["operator"], {each.strip() for each in values.split(",")}
    raise bad_request(f"unable to parse requirement: {selector}")


def _label(key: str, operator: str, values: set[str]) -> Callable[[Stored], bool]:
    def test(stored: Stored) -> bool:
        labels: dict[str, str] = stored.data["metadata"].get("labels") or {}
        match operator:
            case "":
                return key in labels
            case "!":
                return key not in labels
            case "!=" | "notin":
                return labels.get(key) not in values
            case _:
                return labels.get(key) in values

    return test


def _field(resource: Resource, part: str, labels: str, fields: str) -> Callable[[Stored], bool]:
    key, operator, values = _read(part, fields)
    of_metadata = ("metadata.name", "metadata.namespace")[: 1 + resource.is_namespaced]
    if key not in (*of_metadata, *resource.selectable):
        asked = f'Unable to find "{resource.api_version}, Resource={resource.name}" that match '
        selectors = f'label selector "{labels}", field selector "{fields}"'
        raise bad_request(f"{asked}{selectors}: field label not supported: {key}")
    path = key.split(".")

    def test(stored: Stored) -> bool:
        value: Any = stored.data
        for step in path:
            value = (value or {}).get(step)
        return ((value or "") in values) != (operator == "!=")

    return test
