"""The objects, one counter of versions for all of them, and what happened lately to each resource."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.apiserver.admission import Admission, Object
from tests.apiserver.shapes import BY_KIND, RESOURCES, Resource, copied, go_json, in_order

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, eq=False)
class Stored:
    """An object as it was at one version; its kind is left out, as in the items of a list."""

    resource: Resource
    data: Object

    @property
    def version(self) -> int:
        return int(self.data["metadata"]["resourceVersion"])

    @property
    def namespace(self) -> str:
        return str(self.data["metadata"].get("namespace", ""))

    @property
    def key(self) -> str:
        """Objects are listed in the order of these, which is not that of (namespace, name)."""
        return key_of(self.data["metadata"])

    @cached_property
    def json(self) -> bytes:
        return go_json(self.data)

    @property
    def json_with_kind(self) -> bytes:
        return _kind(self.resource.kind, self.resource.api_version) + self.json[1:]

    def at(self, version: int) -> Stored:
        metadata = self.data["metadata"] | {"resourceVersion": str(version)}
        return Stored(self.resource, in_order(self.data | {"metadata": metadata}, self.resource.shape))


class Event(NamedTuple):
    """A change. What was deleted is `now` what it was, at the version of its deletion."""

    type: str
    version: int
    now: Stored
    before: Stored | None


class Expired(Exception):
    """That version is no longer kept; `oldest` is."""

    def __init__(self, oldest: int) -> None:
        super().__init__(oldest)
        self.oldest = oldest


class _History:
    def __init__(self, oldest: int) -> None:
        self.oldest = oldest
        self.events: deque[Event] = deque()


class Store:
    """version: the global resourceVersion; each change takes the next one.

    window: how many events of each resource are kept for those who come back.
    """

    def __init__(self, *, version: int = 100, window: int = 1000) -> None:
        self.version = version
        self.window = window
        self._admission = Admission()
        self._objects: dict[str, dict[str, Stored]] = {name: {} for name in RESOURCES}
        self._histories = {name: _History(0) for name in RESOURCES}
        self.when_restored: Callable[[], None] = lambda: None
        self._listeners: dict[str, set[Callable[[Event], None]]] = {name: set() for name in RESOURCES}

    # ---- Changes

    def put(self, manifest: Object, *, manager: str = "kubectl-create") -> Object:
        """Create or replace; what comes out is the object as it is now. What changes nothing is not an event."""
        resource = BY_KIND[manifest["kind"]]
        named = {"namespace": "default"} if resource.is_namespaced else {}
        before = self._objects[resource.name].get(key_of(named | manifest["metadata"]))
        data = self._admission.admit(resource, manifest, before and before.data, manager=manager)
        if before is not None and _without_versions(data) == _without_versions(before.data):
            return copied(before.data)
        now = Stored(resource, data).at(self.version + 1)
        self._happen(Event("MODIFIED" if before else "ADDED", now.version, now, before))
        return copied(now.data)

    def delete(self, manifest: Object) -> None:
        """Only its kind, name and namespace are looked at."""
        resource = BY_KIND[manifest["kind"]]
        named = {"namespace": "default"} if resource.is_namespaced else {}
        before = self._objects[resource.name][key_of(named | manifest["metadata"])]
        version = self.version + 1
        self._happen(Event("DELETED", version, before.at(version), before))

    def load(self, listed: Object) -> None:
        """Take a recorded list as it is, with its versions, without an event."""
        resource = BY_KIND[listed["kind"].removesuffix("List")]
        for data in listed["items"]:
            stored = Stored(resource, data)
            self._objects[resource.name][stored.key] = stored
        self.version = max(self.version, int(listed["metadata"]["resourceVersion"]))
        self._histories[resource.name] = _History(self.version)

    def replay(self, event: Object) -> None:
        """Let a recorded event happen as it is, with its version; a bookmark only moves the version."""
        data = dict(event["object"])
        resource = BY_KIND[data.pop("kind")]
        data.pop("apiVersion")
        stored = Stored(resource, data)
        if event["type"] == "BOOKMARK":
            self.version = max(self.version, stored.version)
        else:
            before = self._objects[resource.name].get(stored.key)
            self._happen(Event(event["type"], stored.version, stored, before))

    def _happen(self, event: Event) -> None:
        name = event.now.resource.name
        self.version = max(self.version, event.version)
        if event.type == "DELETED":
            self._objects[name].pop(event.now.key, None)
        else:
            self._objects[name][event.now.key] = event.now
        history = self._histories[name]
        history.events.append(event)
        while len(history.events) > self.window:
            history.oldest = history.events.popleft().version
        for each in list(self._listeners[name]):
            each(event)

    # ---- Versions

    def compact(self, resource: str | None = None) -> None:
        """Forget what happened: only the version of now can be continued from. A restart does this too."""
        for name in [resource] if resource else RESOURCES:
            self._histories[name] = _History(self.version)

    def snapshot(self) -> Object:
        """A backup, as plain JSON."""
        objects = {name: [each.data for each in these.values()] for name, these in self._objects.items()}
        return copied({"version": self.version, "objects": objects})

    def restore(self, snapshot: Object) -> None:
        """Back to a backup: the version counts on from there, and what happened since never did."""
        self.version = snapshot["version"]
        for name, items in copied(snapshot["objects"]).items():
            stored = [Stored(RESOURCES[name], data) for data in items]
            self._objects[name] = {each.key: each for each in stored}
        self.compact()
        self.when_restored()

    # ---- Questions

    def at(self, resource: Resource, version: int) -> list[Stored]:
        """The objects as they were at that version, in the order of their keys."""
        history = self._histories[resource.name]
        if version < history.oldest:
            raise Expired(history.oldest)
        objects = dict(self._objects[resource.name])
        for event in reversed(history.events):
            if event.version <= version:
                break
            if event.before is None:
                del objects[event.now.key]
            else:
                objects[event.now.key] = event.before
        return [objects[key] for key in sorted(objects)]

    def since(self, resource: Resource, version: int) -> list[Event]:
        history = self._histories[resource.name]
        if version < history.oldest:
            raise Expired(history.oldest)
        return [event for event in history.events if event.version > version]

    def subscribe(self, resource: Resource, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call the listener with each change, until what is returned is called."""
        self._listeners[resource.name].add(listener)
        return lambda: self._listeners[resource.name].discard(listener)


@cache
def _kind(kind: str, api_version: str) -> bytes:
    """How an object begins that says what it is."""
    return go_json({"kind": kind, "apiVersion": api_version})[:-1] + b","


def key_of(metadata: Object) -> str:
    parts = [metadata["namespace"]] if metadata.get("namespace") else []
    return "/".join(["", *parts, metadata["name"]])


def _without_versions(data: Object) -> Object:
    metadata: dict[str, Any] = data["metadata"]
    aside = ("resourceVersion", "managedFields", "generation")
    return data | {"metadata": {key: value for key, value in metadata.items() if key not in aside}}
