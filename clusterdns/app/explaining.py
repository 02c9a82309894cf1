"""Explains answers: asks the blocks what they would say, and gathers what is known of the reasons."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from clusterdns import explain, names
from clusterdns.explain import Asked, Data, Elsewhere, Known, Nearest, PodFacts, Story, UpstreamState, Wanted
from clusterdns.forward import UpstreamAddress
from clusterdns.itself import Itself
from clusterdns.lookup import Exchange, look_up
from clusterdns.objects import Key, Pod, Service
from clusterdns.probes import Readiness
from clusterdns.queries import FormatError
from clusterdns.records import Question
from clusterdns.resolv_conf import ResolvConf, for_pod
from clusterdns.responses import Terms
from clusterdns.search import SearchList
from clusterdns.sources.manifests import Manifests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from clusterdns.app.answering import Answering
    from clusterdns.http import Page
    from clusterdns.index import Index
    from clusterdns.names import Name
    from clusterdns.server import Respond
    from clusterdns.sources.cluster import Cluster
    from clusterdns.workers import Crew, Fed

SLICE = 50
"""Names that are compared before queries get their turn."""

AT_ONCE = 1000
"""Pods that are looked at before they do."""

_HERE = UpstreamAddress("127.0.0.1", 53)
_NOBODY = ("127.0.0.1", 0)
_TERMS = Terms(0, 0xFFFF, b"", wants_authentic=False, suffix=b"", dnssec_ok=False, takes_errors=True)


async def explained(
    wanted: Wanted,
    answering: Sequence[Answering],
    respond: Respond,
    data: Sequence[Data],
    pods: Callable[[str], Awaitable[tuple[PodFacts, ...] | None]],
) -> Story:
    """The story of a name, as a pod of that namespace would come upon it.

    respond: what answers clients. pods: those of a namespace; None if nobody knows them.
    """
    address = names.address(wanted.name)
    name = names.from_text(wanted.name) if address is None else names.reverse(address)
    index = _index_of(name, answering)
    itself = Itself(respond)
    client = await _client(index, wanted.namespace)
    beside: dict[Question, Elsewhere] = {}

    async def ask(question: Question) -> Exchange:
        end = Question(explain.end_of_aliases(question.name, index), question.qtype)
        beside[question] = _elsewhere(_block_of(end.name, answering), end)
        started = time.monotonic()
        response = await itself.ask(question, _TERMS, client)
        fault = "" if response is not None else "this server says nothing to it"
        return Exchange(question, _HERE, time.monotonic() - started, response, fault=fault)

    zone = next((names.to_text(zone.name) for each in answering for zone in each.index.zones), "cluster.local")
    domains = map(names.possible, for_pod(wanted.namespace, zone, (), ResolvConf()).search)
    search = SearchList(tuple(domain for domain in domains if domain is not None), ndots=5)
    is_absolute = wanted.name.endswith(".") or address is not None
    asked = [
        _asked(each, beside[each.question])
        async for exchanges in look_up(name, wanted.types, search, ask, absolute=is_absolute)
        for each in exchanges
    ]
    namespaces = {namespace for each in asked for namespace in explain.namespaces_of(each.question.name, index)}
    told = {namespace: await pods(namespace) for namespace in sorted(namespaces)}
    facts = {namespace: found for namespace, found in told.items() if found is not None}
    sought = {found for each in asked if (found := explain.service_sought(each.question.name, index)) is not None}
    alike = {each: await _services_like(*each, index) for each in sorted(sought)}
    known = Known(index, time.time(), facts, alike)
    return explain.explain(wanted, asked, known, data)


class Inquiry(Struct, frozen=True, tag=True):
    """What is asked, and what the source knows: whoever answers clients has what they are answered from."""

    wanted: Wanted
    data: tuple[Data, ...]
    failing: dict[Key, Readiness]
    """The pods that fail their probes."""


def inquiry(wanted: Wanted, source: Manifests | Cluster | Fed) -> Inquiry:
    return Inquiry(wanted, tuple(data_of(source)), source.failing() if isinstance(source, Manifests) else {})


async def by_worker(crew: Crew, about: Inquiry) -> Story:
    """The story that one of several processes has. Raises ValueError if none has any."""
    said = await crew.inquire(msgspec.msgpack.encode(about))
    if not said:
        raise ValueError("this server answers in several processes, and none of them says anything to it just now")
    return msgspec.msgpack.decode(said, type=Story)


def page(explains: Callable[[Wanted], Awaitable[Story]]) -> Page:
    """What the admin socket shows of it."""

    async def story(query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        wanted = explain.wanted(query.get("name", ""), query.get("type", ""), query.get("namespace", "default"))
        yield msgspec.json.encode(await explains(wanted)) + b"\n"

    return story


def data_of(source: Manifests | Cluster | Fed) -> list[Data]:
    """How old is what a source has told."""
    if isinstance(source, Manifests):
        return [Data("manifests", 0, "; ".join(source.troubles))]
    now = time.monotonic()
    return [
        Data(each.resource, None if each.heard_at is None else int(now - each.heard_at), each.trouble)
        for each in source.health
    ]


async def pods_in(
    index: Index, namespace: str, failing: Mapping[Key, Readiness], *, has_labels: bool
) -> tuple[PodFacts, ...]:
    """The pods of a namespace that an index was told of."""
    return tuple(
        [_facts(each, failing.get(each.key), has_labels=has_labels) async for each in _of_namespace(index, namespace)]
    )


def _facts(pod: Pod, failing: Readiness | None, *, has_labels: bool) -> PodFacts:
    if failing is None:
        return explain.facts_of_pod(pod, has_labels=has_labels)
    why = f"{failing.probe}: {failing.outcome}"
    return explain.facts_of_pod(pod, why, failing.since, has_labels=has_labels)


async def _of_namespace(index: Index, namespace: str) -> AsyncGenerator[Pod, None]:
    pods = index.objects(Pod)
    for start in range(0, len(pods), AT_ONCE):
        for each in pods[start : start + AT_ONCE]:
            if isinstance(each, Pod) and each.metadata.namespace == namespace:
                yield each
        await asyncio.sleep(0)


async def _services_like(name: str, namespace: str, index: Index) -> tuple[str, ...]:
    services = index.objects(Service)
    search = Nearest(name)
    for start in range(0, len(services), SLICE):
        found = (each.metadata for each in services[start : start + SLICE] if isinstance(each, Service))
        search.look(each.name for each in found if each.namespace == namespace)
        await asyncio.sleep(0)
    return search.found


async def _client(index: Index, namespace: str) -> tuple[str, int]:
    """A pod of the namespace, if one is known: for some clients there are other answers."""
    async with aclosing(_of_namespace(index, namespace)) as pods:
        async for each in pods:
            if each.is_running and each.addresses:
                return each.addresses[0], 0
    return _NOBODY


def _asked(exchange: Exchange, elsewhere: Elsewhere) -> Asked:
    response = exchange.response
    if response is None:
        return Asked(question=exchange.question, fault=exchange.fault, elsewhere=elsewhere)
    try:
        records, _ = response.records()
    except FormatError as error:
        return Asked(question=exchange.question, fault=f"a response that can not be read: {error}", elsewhere=elsewhere)
    return Asked(
        question=exchange.question,
        rcode=response.rcode,
        records=tuple(records),
        negative_ttl=None if response.is_data else response.negative_ttl,
        reason=response.reason,
        elsewhere=elsewhere,
    )


def _block_of(name: Name, answering: Sequence[Answering]) -> Answering:
    """The one with the longest zone that the name is in."""
    enclosing = [names.to_text(each) for each in (name, *names.ancestors(name))]
    found = [
        (enclosing.index(zone), number)
        for number, each in enumerate(answering)
        for zone in (names.to_text(names.from_text(text)) for text in each.block.names)
        if zone in enclosing
    ]
    return answering[min(found, default=(0, 0))[1]]


def _index_of(name: Name, answering: Sequence[Answering]) -> Index:
    """That of the block that the name is for, if it has the cluster's names; else the first that has."""
    block = _block_of(name, answering)
    of_cluster = [each.index for each in (block, *answering) if each.index.zones]
    return of_cluster[0] if of_cluster else block.index


def _elsewhere(block: Answering, question: Question) -> Elsewhere:
    """Who else may be asked, and whether the answer is remembered, before it is."""
    name = question.name
    upstreams = [UpstreamState(str(each), each.is_down, each.is_looping) for each in block.forwarder.upstreams_of(name)]
    return Elsewhere(tuple(upstreams), block.remembered_for(question), is_file=block.resolver.zones.serves(name))
