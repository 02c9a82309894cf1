"""Reads the text of one manifest: YAML or JSON -> the objects in it, and what is wrong with it.

Takes what people write by hand and what `kubectl get -o yaml` prints: several documents, lists, nulls for what is
absent. Refuses what an API server would refuse, where DNS would otherwise give a wrong answer or none. Kinds that do
not matter to DNS are passed over in silence. Nothing here opens a file, or knows of any other.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml
from msgspec import Struct

from clusterdns.objects import Endpoints, EndpointSlice, Namespace, Node, Pod, Service
from clusterdns.sources.manifests.admission import Admissible, Refused, admitted
from clusterdns.sources.manifests.upkeep import Tended, backends, commands, tended_pod

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS: dict[tuple[str, str], type[Admissible]] = {
    ("v1", "Namespace"): Namespace,
    ("v1", "Service"): Service,
    ("v1", "Endpoints"): Endpoints,
    ("v1", "Pod"): Pod,
    ("v1", "Node"): Node,
    ("discovery.k8s.io/v1", "EndpointSlice"): EndpointSlice,
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): EndpointSlice,
}


class Place(Struct, frozen=True, gc=False):
    """Where something stands, as compilers say it: `shop.yaml:12`. JSON objects have no line."""

    path: Path
    line: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}:{self.line}"


class Fault(Struct, frozen=True):
    """Its text is one line, as compilers write theirs: place, colon, reason."""

    place: Place
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Found(Struct, frozen=True, gc=False):
    object: Admissible
    place: Place
    tended: tuple[Tended, ...] = ()
    """What it leaves to whoever runs its pods."""
    unheard: tuple[Fault, ...] = ()
    """What it asks for there that is not done."""


def read(path: Path, content: bytes) -> tuple[list[Found], list[Fault]]:
    """The objects of a manifest, in canonical form, and its faults; the path only says what to call it."""
    found: list[Found] = []
    faults: list[Fault] = []
    text = ""
    try:
        text = content.decode("utf-8-sig")
        for document in _documents(path, text):
            for each in _entries(path, document):
                if isinstance(each, Found):
                    found.append(each)
                else:
                    faults.append(each)
    except UnicodeDecodeError as error:
        faults.append(Fault(Place(path, content.count(b"\n", 0, error.start) + 1), "is not UTF-8"))
    except json.JSONDecodeError as error:
        faults.append(Fault(Place(path, error.lineno), f"is no JSON: {error.msg}"))
    except yaml.YAMLError as error:
        faults.append(Fault(Place(path, _yaml_line(error, text)), f"is no YAML: {_yaml_reason(error)}"))
    except Exception as error:  # noqa: BLE001 - the parser fails in its own ways at odd scalars; no file may end a server
        faults.append(Fault(Place(path), f"cannot be read: {error}"))
    return found, faults


def check_depth(text: str) -> None:
    """Whether a YAML text can be read at all; what else may be wrong, its reader tells. Raises TooDeep."""
    try:
        _check_depth(text)
    except TooDeep:
        raise
    except yaml.YAMLError:
        pass


class TooDeep(yaml.MarkedYAMLError, ValueError):
    """A text has more levels than the parser can take."""

    def __init__(self, at: yaml.Mark | None) -> None:
        super().__init__(problem=f"more than {DEEPEST} levels deep", problem_mark=at)
        self.line = int(at.line) + 1 if at else 1

    def __str__(self) -> str:
        return f"{self.problem}, in line {self.line}"


def check_keys(text: str) -> None:
    """Whether no mapping of a YAML text has a key twice. Raises RepeatedKey; for what is no YAML, YAMLError."""
    for node in yaml.compose_all(text, Loader=_Loader):
        _check_keys(node)


class RepeatedKey(yaml.MarkedYAMLError):
    """A mapping has a key twice: only one of them would count, and nobody could tell which."""

    def __init__(self, key: yaml.Node) -> None:
        super().__init__(problem=f"the key {key.value!r} stands there twice", problem_mark=key.start_mark)
        self.line = int(key.start_mark.line) + 1


def describe(found: Admissible) -> str:
    """`Service shop/cart`, for messages."""
    return f"{type(found).__name__} {'/'.join(part for part in found.key if part)}"


# Text -> documents.


class _Document(Struct, frozen=True):
    """A document, or an item of a list in one: its plain value, and the YAML node that it came from.

    An item may leave its kind to the list; hence the defaults.
    """

    value: Any
    node: yaml.Node | None = None
    default_type: tuple[str, str] = ("", "")

    def line(self, field: str = "") -> int | None:
        """The line of the field, or of what encloses it if it is not there."""
        return None if self.node is None else int(_walk(self.node, field).start_mark.line) + 1


def _documents(path: Path, text: str) -> Iterator[_Document]:
    if path.suffix == ".json":
        return iter(_json_documents(text))
    if text.lstrip().startswith("{"):
        # JSON that the YAML parser would refuse for its tabs; or else YAML's own braces.
        try:
            return iter(_json_documents(text))
        except json.JSONDecodeError:
            pass
    return _yaml_documents(text)


def _json_documents(text: str) -> list[_Document]:
    """Every JSON value in the text, which may hold one behind the other."""
    decoder = json.JSONDecoder(object_pairs_hook=_without_nulls)
    documents, end = [], 0
    while start := _NOT_SPACE.search(text, end):
        value, end = decoder.raw_decode(text, start.start())
        documents.append(_Document(value))
    return documents


def _without_nulls(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key!r} stands there twice")
    return {key: value for key, value in pairs if value is not None} if None in found.values() else found


_NOT_SPACE = re.compile(r"[^ \t\r\n]")


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a timestamp is a string, and so is a lone `=`; null is absence."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the parent has it
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":timestamp", ":value"))]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        found = super().construct_mapping(node, deep)
        return {key: value for key, value in found.items() if value is not None}


def _yaml_documents(text: str) -> Iterator[_Document]:
    _check_depth(text)
    may_multiply = "&" in text and "*" in text
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if may_multiply and node is not None and _size(node, {}) > MOST_NODES:
                raise ValueError(f"its aliases come to more than {MOST_NODES} values")
            _check_keys(node)
            value = loader.construct_document(node)
            if value is not None:
                yield _Document(value, node)
    finally:
        loader.dispose()


DEEPEST = 200
"""Levels of a document: a schema of a custom resource has some 60. The parser, in C, would overrun its stack."""
MOST_NODES = 1_000_000
"""Values of a document with its aliases written out."""
_INDENTED = re.compile(rf"^ {{{DEEPEST}}}", re.MULTILINE)
_OPENING = re.compile(r"[-?:][ \t]")


def _check_depth(text: str) -> None:
    """Reads a document that may be deep as a mere stream of events first. Raises YAMLError."""
    if text.count("[") + text.count("{") <= DEEPEST and not _may_be_deep(text):
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > DEEPEST:
                    raise TooDeep(event.start_mark)  # type: ignore[arg-type] # C's marks too
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.scanner.ScannerError as error:
        # Newer parsers have a bound of their own, far above this one; their scanner, which reads ahead, meets it first.
        if error.problem is not None and "nesting depth" in error.problem:
            raise TooDeep(error.problem_mark) from None
        raise


def _may_be_deep(text: str) -> bool:
    """Whether it has lines that open many levels, by themselves or below others."""
    long = (line for line in text.splitlines() if len(line) > 2 * DEEPEST)
    return bool(_INDENTED.search(text)) or any(len(_OPENING.findall(line)) > DEEPEST for line in long)


def _check_keys(root: yaml.Node | None) -> None:
    """Raises RepeatedKey. It is done before anything is merged (`<<`), which may well bring a key again."""
    rest, seen = [root] if root is not None else [], set()
    while rest:
        node = rest.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            rest += node.value
            continue
        keys: set[tuple[str, str]] = set()
        for key, value in node.value:
            rest += (key, value)
            if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                if (key.tag, key.value) in keys:
                    raise RepeatedKey(key)
                keys.add((key.tag, key.value))


def _fault(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values the node holds with its aliases written out. Raises YAMLError."""
    size = sizes.get(id(node))
    if size is None:
        sizes[id(node)] = -1
        children = [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
        size = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(_size(each, sizes) for each in children))
        sizes[id(node)] = size
    if size < 0:
        raise _fault("it holds itself", node)
    return size


def _yaml_line(error: yaml.YAMLError, text: str) -> int | None:
    if isinstance(error, yaml.MarkedYAMLError) and error.context == "while scanning a simple key":
        return int(error.context_mark.line) + 1 if error.context_mark else None  # the key that lacks its colon
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return int(error.problem_mark.line) + 1
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1
    return None


def _yaml_reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        return ", ".join(part for part in (error.problem, error.context) if part)
    if isinstance(error, yaml.reader.ReaderError):
        return str(error.reason)
    return str(error)


def _walk(node: yaml.Node, field: str) -> yaml.Node:
    """The node that stands for the field: its key where it has one, since the value may begin a line later."""
    stands = node
    for key, index in _STEP.findall(field):
        if key and isinstance(node, yaml.MappingNode):
            # Where a merge (`<<`) brought the same key, the mapping's own comes last.
            pair = next((pair for pair in reversed(node.value) if pair[0].value == key), None)
        elif index == "..." and isinstance(node, yaml.MappingNode):
            # msgspec does not say which: the first that is no string.
            pair = next((pair for pair in node.value if not pair[1].tag.endswith(":str")), None)
        elif index.isdecimal() and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            pair = node.value[int(index)], node.value[int(index)]
        else:
            pair = None
        if pair is None:
            break
        stands, node = pair
    return stands


_STEP = re.compile(r"\.([\w/-]+)|\[(\d+|\.\.\.)\]")


# Documents -> objects.


def _entries(path: Path, document: _Document) -> Iterator[Found | Fault]:
    """The objects of the kinds that are read: the document itself, or the items of a list, of lists in lists too."""
    try:
        api_version, kind = _type(document)
        item_type = ("", "") if kind == "List" else (api_version, kind.removesuffix("List"))
        if (api_version, kind) in KINDS:
            found, tended = _object(document, api_version, kind)
            if not isinstance(found, EndpointSlice) or found.address_type != "FQDN":  # that one has no addresses
                unheard = (
                    Fault(Place(path, document.line(field)), reason)
                    for each in tended
                    for field, reason in commands(each)
                )
                yield Found(found, Place(path, document.line()), tended, tuple(unheard))
        elif (api_version, kind) == ("v1", "List") or (item_type in KINDS and kind.endswith("List")):
            for item in _items(document, item_type):
                yield from _entries(path, item)
    except Refused as wrong:
        yield Fault(Place(path, document.line(wrong.field)), wrong.reason)


def _type(document: _Document) -> tuple[str, str]:
    """Its apiVersion and kind. Raises Refused."""
    if not isinstance(document.value, dict):
        raise Refused("", "this is no manifest: a manifest is a mapping with apiVersion and kind")
    api_version, kind = document.default_type
    api_version = document.value.get("apiVersion", api_version)
    kind = document.value.get("kind", kind)
    for field, value in (("kind", kind), ("apiVersion", api_version)):
        if not isinstance(value, str) or not value:
            raise Refused(f".{field}", f"this is no manifest: it has no {field}")
    return api_version, kind


def _items(document: _Document, default_type: tuple[str, str]) -> Iterator[_Document]:
    """The items of a list. Raises Refused."""
    values, nodes = document.value.get("items", []), None
    if not isinstance(values, list):
        raise Refused(".items", "the items of a list are a list")
    if document.node is not None and values:
        nodes = next(value for key, value in reversed(document.node.value) if key.value == "items").value
    for index, value in enumerate(values):
        yield _Document(value, nodes and nodes[index], default_type)


def _object(document: _Document, api_version: str, kind: str) -> tuple[Admissible, tuple[Tended, ...]]:
    """The object, checked and in canonical form, and what it leaves to whoever runs its pods.

    Raises Refused, with the object's name in the reason.
    """
    try:
        try:
            found = admitted(msgspec.convert(document.value, KINDS[api_version, kind]))
            return found, _tended(document, found)
        except msgspec.ValidationError as error:
            raise _from_msgspec(error) from None
    except Refused as wrong:
        field = f"{wrong.field.removesuffix('[...]').removeprefix('.')}: " if wrong.field else ""
        raise Refused(wrong.field, f"{_called(kind, document.value)}: {field}{wrong.reason}") from None


def _tended(document: _Document, found: Admissible) -> tuple[Tended, ...]:
    """Raises Refused and msgspec.ValidationError."""
    match found:
        case Pod():
            return tended_pod(document.value, found)
        case Service():
            return backends(document.value, found)
    return ()


def _called(kind: str, value: dict[str, Any]) -> str:
    """What to call an object that may have no name."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict) or "name" not in metadata:
        return kind
    namespace = "" if kind in ("Namespace", "Node") else f"{metadata.get('namespace') or 'default'}/"
    return f"{kind} {namespace}{metadata['name']}"


def _from_msgspec(error: msgspec.ValidationError) -> Refused:
    reason, _, place = str(error).replace("`", "").partition(" - at ")
    if reason.startswith("Expected str, got ") and reason.endswith((" int", " float", " bool")):
        reason += ": put it in quotes"
    return Refused(place.rpartition("$")[2], reason)
