"""The cluster as far as it is known here: what an index holds, and of pods what else could be found out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.explain.nearest import nearest
from clusterdns.index import Index
from clusterdns.objects import EndpointSlice, Namespace, Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.nodes import ServiceName
    from clusterdns.objects import Key, Pod


class PodFacts(Struct, frozen=True):
    """What there is to know of a pod. A server keeps less of it than whoever asks the API server has."""

    name: str
    labels: Mapping[str, str] | None
    """None if they are not known: a server that follows a cluster does not keep them."""
    addresses: tuple[str, ...]
    is_ready: bool
    is_over: bool = False
    phase: str = ""
    hostname: str = ""
    subdomain: str = ""
    ports: tuple[str, ...] = ()
    """The names of its containers' ports."""
    unready_since: float | None = None
    """Seconds since the epoch."""
    why: str = ""
    """Why it is not ready, in words."""


def facts_of_pod(pod: Pod, why: str = "", unready_since: float | None = None, *, has_labels: bool = True) -> PodFacts:
    """As far as the object says it. `why` and `unready_since` are whatever else is known, such as of a probe.

    has_labels: whether the pod's labels are in the object, if it has any.
    """
    containers = (*(pod.spec.containers or ()), *(pod.spec.init_containers or ()))
    if pod.metadata.deletion_timestamp is not None:
        why = "it is being deleted"
    return PodFacts(
        name=pod.metadata.name,
        labels=pod.labels if has_labels else None,
        addresses=pod.addresses,
        is_ready=pod.is_ready and pod.metadata.deletion_timestamp is None,
        is_over=pod.is_over,
        phase=pod.status.phase,
        hostname=pod.spec.hostname,
        subdomain=pod.spec.subdomain,
        ports=tuple(port.name for each in containers for port in each.ports or () if port.name),
        unready_since=unready_since,
        why=why,
    )


class EndpointFacts(Struct, frozen=True):
    """An endpoint of a service, with its addresses of both families as one."""

    name: str
    """Its pod's, or its address if there is none."""
    is_pod: bool
    addresses: tuple[str, ...]
    is_ready: bool
    hostname: str
    seconds: float | None = None
    """How long it has not been ready."""
    is_longer: bool = False
    """Whether it may be longer than that."""
    why: str = ""


class Known(Struct, frozen=True):
    """now: seconds since the epoch. pods: by namespace; a namespace that is not in it is one whose pods nobody told.

    alike: by a name and a namespace, the Services there that are like it, as far as that has been looked for.
    """

    index: Index
    now: float
    pods: Mapping[str, tuple[PodFacts, ...]] = {}
    alike: Mapping[tuple[str, str], tuple[str, ...]] = {}

    def age(self, created: float | None) -> int | None:
        return None if created is None else max(0, int(self.now - created))

    def namespaces(self) -> dict[str, float | None]:
        """Those that exist, and when they were created."""
        return {
            each.metadata.name: each.created for each in self.index.objects(Namespace) if isinstance(each, Namespace)
        }

    def services_in(self, namespace: str) -> list[Service]:
        return [each for each in self._services() if each.metadata.namespace == namespace]

    def services_like(self, name: str, namespace: str) -> tuple[str, ...]:
        """The names of those that may have been meant."""
        found = self.alike.get((name, namespace))
        if found is None:
            found = nearest(name, (each.metadata.name for each in self.services_in(namespace)))
        return found

    def namespaces_of_service(self, name: str) -> list[str]:
        """The namespaces that have a Service of this name."""
        return sorted(each.metadata.namespace for each in self._services() if each.metadata.name == name)

    def service_at(self, address: str) -> tuple[Key, EndpointFacts] | None:
        """A Service that has an endpoint at the address, though it is not ready."""
        for each in self.index.objects(EndpointSlice):
            if not isinstance(each, EndpointSlice):
                continue
            if any(address in endpoint.addresses for endpoint in each.endpoints or ()):
                found = (endpoint for endpoint in self.endpoints((each,)) if address in endpoint.addresses)
                return each.service_key, next(found)
        return None

    def endpoints_of(self, service: ServiceName) -> list[EndpointFacts]:
        return self.endpoints(service.slices)

    def endpoints(self, slices: Iterable[EndpointSlice]) -> list[EndpointFacts]:
        """Those of slices of one service."""
        found: dict[str, EndpointFacts] = {}
        for slice_ in slices:
            pods = {each.name: each for each in self.pods.get(slice_.metadata.namespace, ())}
            for each in slice_.endpoints or ():
                if not each.addresses:
                    continue
                pod_name = each.target_ref.name if each.target_ref else ""
                name = pod_name or each.addresses[0]
                before = found.get(name)
                addresses = (*(before.addresses if before else ()), *each.addresses)
                is_ready = each.is_ready and (before is None or before.is_ready)
                since = self.index.unready_since(slice_.key, each.addresses[0])
                seconds, is_longer, why = None, False, ""
                pod = pods.get(name)
                if not is_ready and pod is not None:
                    why = pod.why
                    seconds = None if pod.unready_since is None else self.now - pod.unready_since
                if not is_ready and seconds is None and since is not None and since.at > 0:
                    seconds, is_longer = self.now - since.at, not since.was_seen
                found[name] = EndpointFacts(
                    name, bool(pod_name), addresses, is_ready, each.hostname or "", seconds, is_longer, why
                )
        return list(found.values())

    def _services(self) -> Iterator[Service]:
        return (each for each in self.index.objects(Service) if isinstance(each, Service))
