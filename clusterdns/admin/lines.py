"""Events as lines of JSON, and back.

{"put":"Service","object":{…}} and {"gone":"Service","key":["shop","cart"]} are what they say; a list is
{"listing":"Service"}, then each as a `put`, then {"listed":"Service"}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import EndpointSlice, Key, Namespace, Pod, Service

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from clusterdns.events import Event
    from clusterdns.objects import KubernetesObject, Object

KINDS: dict[str, type[KubernetesObject]] = {each.__name__: each for each in (Namespace, Service, EndpointSlice, Pod)}


class _Line(Struct, omit_defaults=True):
    put: str = ""
    gone: str = ""
    listing: str = ""
    listed: str = ""
    key: Key | None = None
    object: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Line)
_decoders = {name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()}


def encoded(events: Iterable[Event], kinds: Collection[type[Object]]) -> Iterator[bytes]:
    """The lines of events about these kinds, each with its end."""
    for event in events:
        match event:
            case Put(new) if type(new) in kinds:
                yield _put(new)
            case Gone(kind, key) if kind in kinds:
                yield _line(_Line(gone=kind.__name__, key=key))
            case Listed(kind, objects) if kind in kinds:
                yield _line(_Line(listing=kind.__name__))
                yield from map(_put, objects)
                yield _line(_Line(listed=kind.__name__))


def _put(new: Object) -> bytes:
    return _line(_Line(put=type(new).__name__, object=msgspec.Raw(msgspec.json.encode(new))))


def _line(line: _Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


class Reader:
    """Makes events of lines."""

    def __init__(self) -> None:
        self._listing: list[Object] | None = None

    def read(self, line: bytes) -> Event | None:
        """The event that is complete with the line. Raises ValueError for what is none."""
        try:
            return self._read(_decoder.decode(line))
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(f"a line that is no event: {error}") from None

    def _read(self, told: _Line) -> Event | None:
        name = told.put or told.gone or told.listing or told.listed
        if name not in KINDS:
            raise ValueError(f"a line about {name or 'nothing'}")
        if told.listing:
            self._listing = []
        elif told.listed:
            objects, self._listing = self._listing or (), None
            return Listed(KINDS[name], tuple(objects))
        elif told.gone:
            return Gone(KINDS[name], told.key or ("", ""))
        else:
            new = _decoders[name].decode(told.object)
            if self._listing is None:
                return Put(new)
            self._listing.append(new)
        return None
