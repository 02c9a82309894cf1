"""What was told so far of services and their endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.events import Gone, Listed, Put
from clusterdns.kubectl.endpoints import gathered
from clusterdns.objects import EndpointSlice, Service

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterdns.events import Event
    from clusterdns.objects import Endpoints, Key


class Told:
    def __init__(self) -> None:
        self.services: dict[Key, Service] = {}
        self._slices: dict[Key, EndpointSlice] = {}
        self._slices_of: dict[Key, dict[Key, EndpointSlice]] = {}

    def endpoints(self, key: Key) -> Endpoints | None:
        """Those of a service; None if it is none that could have any."""
        service, slices = self.services.get(key), self._slices_of.get(key, {})
        if not slices and (service is None or service.is_external_name):
            return None
        return gathered(key, service, [slices[each] for each in sorted(slices)])

    def keys(self) -> list[Key]:
        """Of all that is a service, or has endpoints like one, in the order of an API server."""
        return sorted((each for each in self.services.keys() | self._slices_of.keys() if all(each)), key="/".join)

    def apply(self, events: Iterable[Event]) -> dict[Key, None]:
        """Take in what is told. Returns the services that are told of, or whose endpoints are."""
        touched: dict[Key, None] = {}
        for event in events:
            match event:
                case Put(Service() as service):
                    touched |= self._put(service)
                case Put(EndpointSlice() as slice_):
                    touched |= self._put_slice(slice_)
                case Gone(kind, key) if kind is Service:
                    touched |= self._remove(key)
                case Gone(kind, key) if kind is EndpointSlice:
                    touched |= self._remove_slice(key)
                case Listed(kind, objects) if kind is Service:
                    fresh = {each.key: each for each in objects if isinstance(each, Service)}
                    for key in self.services.keys() - fresh.keys():
                        touched |= self._remove(key)
                    for each in fresh.values():
                        touched |= self._put(each)
                case Listed(kind, objects) if kind is EndpointSlice:
                    slices = {each.key: each for each in objects if isinstance(each, EndpointSlice)}
                    for key in self._slices.keys() - slices.keys():
                        touched |= self._remove_slice(key)
                    for slice_ in slices.values():
                        touched |= self._put_slice(slice_)
        return touched

    def _put(self, service: Service) -> dict[Key, None]:
        self.services[service.key] = service
        return {service.key: None}

    def _remove(self, key: Key) -> dict[Key, None]:
        self.services.pop(key, None)
        return {key: None}

    def _put_slice(self, slice_: EndpointSlice) -> dict[Key, None]:
        """The label of a slice may name another service than before."""
        touched = self._remove_slice(slice_.key)
        self._slices[slice_.key] = slice_
        self._slices_of.setdefault(slice_.service_key, {})[slice_.key] = slice_
        return touched | {slice_.service_key: None}

    def _remove_slice(self, key: Key) -> dict[Key, None]:
        old = self._slices.pop(key, None)
        if old is None:
            return {}
        others = self._slices_of[old.service_key]
        del others[key]
        if not others:
            del self._slices_of[old.service_key]
        return {old.service_key: None}
