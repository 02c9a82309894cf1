"""What parent and workers say to each other, as values and as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Raw, Struct

from clusterdns.events import Event, Gone, Listed, Put
from clusterdns.metrics import Reading
from clusterdns.objects import EndpointSlice, Key, Namespace, Node, Object, Pod, Service

if TYPE_CHECKING:
    from collections.abc import Iterable


class Changed(Struct, frozen=True, tag=True, array_like=True):
    """A batch of events; `events_of` has them."""

    said: tuple[tuple[str, str, Raw], ...]


class Ask(Struct, frozen=True, tag=True, array_like=True):
    """Say that all that was sent before this is taken over.

    reads: whether the metrics are wanted too.
    """

    reads: bool


class Become(Struct, frozen=True, tag=True, array_like=True):
    """Do as these settings say, whatever they are."""

    settings: Raw


class Linger(Struct, frozen=True, tag=True, array_like=True):
    """We go: answer until those who ask have heard of it, and end."""


class Inquire(Struct, frozen=True, tag=True, array_like=True):
    """Say something about this, whatever it is; the answer is Said, with the same number."""

    number: int
    about: bytes


class Leave(Struct, frozen=True, tag=True, array_like=True):
    """From the parent: answer what was asked, and end. From a worker: somebody wants it to end.

    patience: seconds that replies to come are waited for.
    """

    patience: float = 0.0


class Listening(Struct, frozen=True, tag=True, array_like=True):
    """Queries are answered from now on; or as the settings say that were sent last."""


class Failed(Struct, frozen=True, tag=True, array_like=True):
    """They are not."""

    why: str


class Told(Struct, frozen=True, tag=True, array_like=True):
    """The answer to Ask, and to Leave."""

    reading: Reading | None


class Said(Struct, frozen=True, tag=True, array_like=True):
    """The answer to Inquire; empty if there is none."""

    number: int
    answer: bytes


ToWorker: TypeAlias = Changed | Ask | Become | Linger | Inquire | Leave
ToParent: TypeAlias = Listening | Failed | Told | Said | Leave

_KINDS: dict[str, type[Object]] = {each.__name__: each for each in (Namespace, Service, EndpointSlice, Pod, Node)}
_OBJECT = {name: msgspec.msgpack.Decoder(kind) for name, kind in _KINDS.items()}
_OBJECTS = {name: msgspec.msgpack.Decoder(tuple[kind, ...]) for name, kind in _KINDS.items()}  # type: ignore[valid-type]
_KEY = msgspec.msgpack.Decoder(Key)
_MESSAGE = msgspec.msgpack.Decoder[ToWorker | ToParent](
    Changed | Ask | Become | Linger | Inquire | Leave | Listening | Failed | Told | Said
)
_ENCODER = msgspec.msgpack.Encoder()


def encoded(message: ToWorker | ToParent) -> bytes:
    return _ENCODER.encode(message)


def decoded(message: bytes) -> ToWorker | ToParent:
    found: ToWorker | ToParent = _MESSAGE.decode(message)
    return found


def changed(events: Iterable[Event]) -> Changed:
    return Changed(tuple(map(_said, events)))


def events_of(message: Changed) -> list[Event]:
    return [_event(*each) for each in message.said]


def _said(event: Event) -> tuple[str, str, Raw]:
    match event:
        case Listed(kind, objects):
            return "listed", kind.__name__, Raw(_ENCODER.encode(objects))
        case Put(new):
            return "put", type(new).__name__, Raw(_ENCODER.encode(new))
        case Gone(kind, key):
            return "gone", kind.__name__, Raw(_ENCODER.encode(key))


def _event(verb: str, kind: str, content: Raw) -> Event:
    match verb:
        case "listed":
            return Listed(_KINDS[kind], _OBJECTS[kind].decode(content))
        case "put":
            return Put(_OBJECT[kind].decode(content))
        case _:
            return Gone(_KINDS[kind], _KEY.decode(content))
