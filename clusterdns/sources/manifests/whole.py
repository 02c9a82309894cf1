"""Puts the contents of all manifests together: one valid whole, or the conflicts that prevent it.

What depends on more than one file is decided here: objects that stand twice, addresses that are claimed twice, and
all that follows from the objects together: cluster IPs, EndpointSlices, Namespaces. What is observed of pods comes in
here too. Values in, values out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from clusterdns.objects import DatedMetadata, Endpoints, EndpointSlice, Key, Namespace, Node, Object, Pod, Service
from clusterdns.sources.manifests import cluster_ips
from clusterdns.sources.manifests.endpoint_slices import Made, made_slices
from clusterdns.sources.manifests.files import Fault, Found, describe
from clusterdns.sources.manifests.upkeep import Observed, Tended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.sources.manifests.admission import Admissible
    from clusterdns.sources.manifests.files import Place

Contents: TypeAlias = Mapping[Path, Iterable[Found]]
Objects: TypeAlias = dict[tuple[type[Object], Key], Object]


class Conflict(Struct, frozen=True):
    """A fault that lies between manifests, and the files that have a part in it, the one with the fault first."""

    fault: Fault
    paths: tuple[Path, ...]


class Whole(Struct):
    """All objects by kind and key, made ones included; and those of their pods that are tended here."""

    objects: Objects = {}
    tended: dict[Key, Tended] = {}
    made_of: dict[Key, list[Made]] = {}
    """The slices that each of these pods is in."""

    def with_readiness(self, observed: Observed, changed: Iterable[Key]) -> list[Object]:
        """Takes over what is observed of these pods' readiness; the objects that change by that."""
        pods = {key: self.tended[key].seen(observed) for key in changed if key in self.tended}
        found: dict[tuple[type[Object], Key], Object] = {
            (Pod, key): pod for key, pod in pods.items() if (Pod, key) in self.objects
        }
        for made in {each.slice.key: each for key in pods for each in self.made_of.get(key, ())}.values():
            was = self.objects[EndpointSlice, made.slice.key]
            assert isinstance(was, EndpointSlice)  # noqa: S101 - as its kind says
            found[EndpointSlice, was.key] = made.with_pods(was, pods)
        fresh = {identity: each for identity, each in found.items() if self.objects[identity] != each}
        self.objects.update(fresh)
        return list(fresh.values())


def compiled(contents: Contents, service_cidrs: Sequence[str], observed: Observed) -> tuple[Whole, list[Conflict]]:
    """The whole of all contents. It is of use only if there is no conflict."""
    places: dict[tuple[type[Admissible], Key], Place] = {}
    given: list[Admissible] = []
    tended: dict[Key, Tended] = {}
    conflicts: list[Conflict] = []
    for each in (each for path in sorted(contents) for each in contents[path]):
        first = places.setdefault((type(each.object), each.object.key), each.place)
        if first is each.place:
            given.append(each.object)
            tended.update({one.pod.key: one for one in each.tended})
        else:
            conflicts.append(_conflict([each.place, first], f"{describe(each.object)} stands here again"))
    services = [each for each in given if isinstance(each, Service)]
    try:
        services = cluster_ips.allocate(services, service_cidrs)
    except cluster_ips.NotAllocated as error:
        for fault in error.faults:
            involved = [places[Service, key] for key in reversed(fault.services)]
            conflicts.append(_conflict(involved, fault.reason))
    seen = {key: each.seen(observed) for key, each in tended.items()}
    pods = [seen.get(each.key, each) for each in given if isinstance(each, Pod)]
    slices = [each for each in given if isinstance(each, EndpointSlice)]
    backends: dict[Key, list[Pod]] = defaultdict(list)
    for key, backend in tended.items():
        if backend.backend_of:
            backends[backend.backend_of].append(seen[key])
    made = made_slices(
        services,
        slices,
        [each for each in given if isinstance(each, Endpoints)],
        pods,
        backends=backends,
        ports={key: each.port for key, each in tended.items() if each.port},
    )
    made_of: dict[Key, list[Made]] = defaultdict(list)
    for made_slice in made:
        for pod in made_slice.pods:
            if pod in tended:
                made_of[pod].append(made_slice)
    # Whoever writes no Namespace at all leaves them to us; whoever writes one means that there are no others.
    nodes = [each for each in given if isinstance(each, Node)]
    namespaces = [each for each in given if isinstance(each, Namespace)] or [
        Namespace(DatedMetadata(name=name)) for name in sorted({each.metadata.namespace for each in given} - {""})
    ]
    objects: list[Object] = [*namespaces, *services, *slices, *(each.slice for each in made), *pods, *nodes]
    return Whole({(type(each), each.key): each for each in objects}, tended, dict(made_of)), conflicts


def _conflict(places: Sequence[Place], reason: str) -> Conflict:
    place, *others = places
    also = f" (see also {', '.join(map(str, others))})" if others else ""
    return Conflict(Fault(place, reason + also), tuple(each.path for each in places))


def reconciled(
    sound: Contents, offered: Contents, service_cidrs: Sequence[str], observed: Observed
) -> tuple[Whole, dict[Path, list[Conflict]]]:
    """The best whole of contents that are sound together and of those that are offered in their place.

    Returns it, and the files whose offered content has no place in it, with the conflicts. Of each conflict
    one offered file has to go; then each of these may come back that contradicts nothing which is left.
    """
    accepted, refused = dict(offered), dict[Path, list[Conflict]]()
    while True:
        whole, conflicts = compiled({**sound, **accepted}, service_cidrs, observed)
        if not conflicts:
            break
        involved = {path for each in conflicts for path in [path for path in each.paths if path in accepted][:1]}
        # Not even one, if a new file takes the last address: only the old one that lacks it is named then.
        for path in involved or list(accepted):
            refused[path] = conflicts
            del accepted[path]
    for path in sorted(refused):
        tried, conflicts = compiled({**sound, **accepted, path: offered[path]}, service_cidrs, observed)
        if conflicts:
            refused[path] = conflicts
        else:
            whole = tried
            accepted[path] = offered[path]
            del refused[path]
    return whole, refused
