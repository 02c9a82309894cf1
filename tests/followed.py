"""A cluster that is followed over HTTP, and what the API server's own store says to compare it with."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import msgspec
from msgspec.structs import replace

from clusterdns import names
from clusterdns.answer import answer
from clusterdns.events import Listed
from clusterdns.objects import SERVICE_NAME_LABEL, EndpointSlice, Namespace, Pod, Service
from clusterdns.records import Question, Type
from clusterdns.sources.cluster import Access, Cluster, Patience, Selection
from tests.apiserver import selectors, until
from tests.apiserver.shapes import BY_KIND
from tests.cluster import make_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from clusterdns.events import Event
    from clusterdns.index import Index
    from clusterdns.objects import Object
    from clusterdns.records import Name
    from clusterdns.sources.cluster import Health
    from tests.apiserver import ApiServer, Asked, Store

PATIENCE = Patience(silence=1.0, answer=1.0, first_retry=0.01, last_retry=0.1)
"""Like the default, but in fast motion."""

Said = dict[tuple["Name", Type], tuple[int, frozenset[Any], frozenset[Any]]]


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service(name: str, namespace: str = "demo", *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"kind": "Service", "metadata": metadata, "spec": {"ports": [{"name": "http", "port": 80}], **spec}}


def headless(name: str, namespace: str = "demo") -> dict[str, Any]:
    return service(name, namespace, clusterIP="None")


def slice_of(
    service: str,
    *addresses: str,
    namespace: str = "demo",
    suffix: str = "1",
    ready: bool | None = True,
    **more: Any,
) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": service, **more.pop("labels", {})}
    metadata = {"name": f"{service}-{suffix}", "namespace": namespace, "labels": labels, **more.pop("metadata", {})}
    conditions = {} if ready is None else {"ready": ready}
    endpoints = [{"addresses": [each], "conditions": conditions} for each in addresses]
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    slice_ = {"addressType": "IPv4", "endpoints": endpoints, "ports": ports}
    return {"kind": "EndpointSlice", "metadata": metadata, **slice_, **more}


def pod(name: str, address: str, namespace: str = "demo", **status: Any) -> dict[str, Any]:
    status = {"phase": "Running", "podIP": address, **status}
    return {"kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "status": status}


class Followed:
    """`async with Followed(api) as followed`: an index that is fed by a Cluster, until the block ends."""

    def __init__(
        self,
        api: ApiServer,
        *,
        access: Access | None = None,
        selection: Selection | None = None,
        patience: Patience = PATIENCE,
        **zone: Any,
    ) -> None:
        self.api = api
        self.selection = selection or Selection()
        self.cluster = Cluster(access or Access(api.url), self.selection, patience)
        self.zone = zone
        self.index = self._empty_index()
        self.told: list[Event] = []
        """All that the cluster has said so far."""
        self._truth: Index | None = None
        self._truth_of: tuple[int, int] = (0, 0)

    async def __aenter__(self) -> Self:
        await self.cluster.open()
        self.task = asyncio.create_task(self._apply())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        was_over = self.task.done()
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        assert not was_over, "it does not end by itself"

    async def _apply(self) -> None:
        async for events in self.cluster.changes():
            self.told += events
            self.index.apply(events)

    def _empty_index(self) -> Index:
        return make_index(
            settings=self.zone,
            awaited=self.selection.kinds,
            selects_namespaces=bool(self.selection.namespace_labels),
        )

    def health(self, resource: str = "services") -> Health:
        return next(each for each in self.cluster.health if each.resource.startswith(resource))

    def differences(self) -> int:
        return sum(each.differences for each in self.cluster.health)

    def truth(self) -> Index:
        """An index that was told at once what the API server's store holds."""
        store = self.api.store
        of = store.version, id(store._objects["services"])  # which is another one after a restored backup
        if self._truth is None or self._truth_of != of:
            self._truth, self._truth_of = self._empty_index(), of
            self._truth.apply([Listed(kind, selected(store, kind, self.selection)) for kind in self.selection.kinds])
        return self._truth

    def has(self, name: str, rtype: Type = Type.A) -> bool:
        """Whether there are such records."""
        question = Question(names.from_text(f"{name}.svc.cluster.local"), rtype)
        return bool(answer(question, self.index.find(question.name), self.index).records)

    def is_true(self) -> bool:
        truth = self.truth()
        return all(_by_key(self.index, kind) == _by_key(truth, kind) for kind in self.selection.kinds)

    async def synced(self, seconds: float = 10.0) -> None:
        await until(lambda: self.index.is_synced or self.task.done(), "synced", seconds)
        assert not self.task.done(), self.task.exception()

    async def agrees(self, seconds: float = 10.0) -> None:
        """Wait until the index holds what the store holds; then every answer must be the same."""
        await self.synced(seconds)
        await until(lambda: self.is_true() or self.task.done(), "the store's truth", seconds)
        assert not self.task.done(), self.task.exception()
        truth = self.truth()
        questions = list(asked_of(truth))
        assert said(self.index, questions) == said(truth, questions)


def _by_key(index: Index, kind: type[Object]) -> dict[Any, Object]:
    return {each.key: _without_labels(each) for each in index.objects(kind)}


def _without_labels(each: Object) -> Object:
    """But for the one that names a slice's service: nothing follows from the others, and they need not be kept."""
    named = {SERVICE_NAME_LABEL: each.labels[SERVICE_NAME_LABEL]} if SERVICE_NAME_LABEL in each.labels else None
    return replace(each, metadata=replace(each.metadata, labels=named))


def selected(store: Store, kind: type[Object], selection: Selection) -> tuple[Object, ...]:
    """The objects of the kind that the store holds, as a client should see them."""
    resource = BY_KIND[kind.__name__]
    asked = selection.selectors(kind)
    is_selected = selectors.matcher(resource, "", asked.get("labelSelector", ""), asked.get("fieldSelector", ""))
    stored = [msgspec.convert(each.data, kind) for each in store.at(resource, store.version) if is_selected(each)]
    return next(iter(selection.admit([Listed(kind, tuple(stored))]))).objects


def asked_of(index: Index) -> Iterator[Question]:
    """A question for everything that the objects of an index could be asked for."""
    zone = index.zones[0].name
    for each in index.objects(Service):
        namespace_name, name = each.metadata.namespace, each.metadata.name
        service_name = names.below(name, namespace_name, "svc", parent=zone)
        below = [service_name, names.below("nothing", parent=service_name)]
        below += [names.below(f"_{port.name}", "_tcp", parent=service_name) for port in each.ports if port.name]
        yield from (Question(name, rtype) for name in below for rtype in (Type.A, Type.AAAA, Type.SRV))
        yield from (Question(names.reverse(names.address(text)), Type.PTR) for text in each.cluster_ips)
    for each in index.objects(EndpointSlice):
        namespace_name, name = each.service_key
        for endpoint in each.endpoints or ():
            for text in endpoint.addresses:
                label = endpoint.hostname or names.dashed(text)
                yield Question(names.below(label, name, namespace_name, "svc", parent=zone), Type.A)
                yield Question(names.reverse(names.address(text)), Type.PTR)
                yield Question(names.below(names.dashed(text), namespace_name, "pod", parent=zone), Type.A)
    for each in index.objects(Namespace):
        yield Question(names.below(each.metadata.name, "svc", parent=zone), Type.A)
    for each in index.objects(Pod):
        for text in each.addresses:
            yield Question(names.below(names.dashed(text), each.metadata.namespace, "pod", parent=zone), Type.A)


def said(index: Index, questions: Iterable[Question]) -> Said:
    """The answers, without what counts changes: the serial of SOA records."""
    found: Said = {}
    for question in questions:
        node = index.find(question.name)
        assert node is not None
        reply = answer(question, node, index)
        found[question.name, Type(question.qtype)] = (
            reply.rcode,
            frozenset(reply.records),
            frozenset(reply.additional),
        )
    return found


def versions(asked: Iterable[Asked]) -> list[str]:
    return [each.query.get("resourceVersion", "") for each in asked]
