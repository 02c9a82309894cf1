"""Of all names that a search list led to, the one that decides; and the story of it.

A resolver stops at the first name that has records. Where none has, people mean one of them: the one that came nearest
to something that exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names, presentation
from clusterdns.explain import causes, ours, theirs
from clusterdns.explain.story import Story, plain, step_of
from clusterdns.nodes import EmptyNonTerminal, Nothing, PodNamespace, ServiceName
from clusterdns.records import Rcode
from clusterdns.resolv_conf import POD_NDOTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterdns.explain.known import Known
    from clusterdns.explain.story import Asked, Data, Finding, Wanted
    from clusterdns.index import Index
    from clusterdns.names import Name

_NEARNESS = {
    "found": 90, "stale": 80, "other-cluster-domain": 80, "not-synced": 80, "other": 60, "no-port": 50,
    "no-endpoint-name": 50, "name-of-a-namespace": 45, "no-service-of-subdomain": 42, "name-of-a-pod": 42,
    "no-service": 40, "not-exposed": 40, "pods-disabled": 40, "no-pod": 40, "upstream-failed": 32,
    "no-name-upstream": 25, "nobody-to-ask": 25, "no-namespace": 20, "no-service-above": 15, "no-name": 10,
}  # fmt: skip
"""How near a name came to what exists; whatever is not here is about a Service that is there: 60."""

_IF_MEANT = {"no-service-above": 20, "no-namespace": 15, "no-name": 25}
"""How much nearer it is if there is something that may have been meant."""

_OF_OTHERS = frozenset({"upstream-failed", "no-name-upstream", "nobody-to-ask"})
"""What is said of the name by itself, which is the last that is tried; a name without dots is seldom meant so."""


def explain(wanted: Wanted, asked: Sequence[Asked], known: Known, data: Sequence[Data] = ()) -> Story:
    """The story of a name for which these were asked, in that order."""
    found = [(each, cause_of(each, known)) for each in asked]
    decides, cause = max(found, key=lambda pair: _weight(*pair, written=wanted.name))
    return Story(
        name=wanted.name,
        type=" and ".join(map(presentation.type_text, wanted.types)),
        namespace=wanted.namespace,
        found=any(each.is_found for each in asked),
        outcome=decides.outcome,
        decided_by=plain(decides.question.name),
        cause=cause,
        notes=(*_notes(wanted, asked, decides, cause, known), *_about_data(data)),
        steps=tuple(map(step_of, asked)),
        data=tuple(data),
    )


def cause_of(asked: Asked, known: Known) -> Finding:
    """The cause behind what was said to one question."""
    node = known.index.find(asked.question.name)
    if node is None:
        return theirs.cause_of(asked, known)
    if asked.rcode is None or asked.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.SERVFAIL):
        return theirs.cause_of(asked, known)
    if not (node.zone.hands_on(asked.question.name) and ours.is_missing(node)):
        return ours.cause_of(asked, node, known)
    if asked.rcode != Rcode.NXDOMAIN:
        return theirs.cause_of(asked, known)
    return causes.fell_through(plain(asked.question.name), ours.cause_of(asked, node, known))


def namespaces_of(name: Name, index: Index) -> Iterator[str]:
    """The namespaces whose pods have to do with a name."""
    node = index.find(name)
    while isinstance(node, Nothing):
        node = node.encloser
    match node:
        case PodNamespace(namespace=namespace):
            yield namespace
        case EmptyNonTerminal(lacks="Service"):
            yield names.labels(node.name)[0].decode("ascii", "replace")
        case EmptyNonTerminal(lacks="port"):
            yield from namespaces_of(next(names.ancestors(node.name)), index)
        case ServiceName():
            yield node.service.metadata.namespace


def service_sought(name: Name, index: Index) -> tuple[str, str] | None:
    """The Service that a name is missing for, and its namespace, if that is what it is missing for."""
    node = index.find(name)
    if isinstance(node, Nothing) and isinstance(node.encloser, EmptyNonTerminal):
        encloser = node.encloser
        if encloser.lacks in ("Service", "exposed Service"):
            missing = names.labels(name[: len(name) - len(encloser.name)] + names.ROOT)[-1]
            return missing.decode("ascii", "replace"), names.labels(encloser.name)[0].decode("ascii", "replace")
    return None


def _weight(asked: Asked, cause: Finding, *, written: str) -> int:
    """The heavier, the likelier it is the name that was meant; of equals it is the first."""
    if cause.cause == "found" and not asked.is_found:
        return 0
    weight = _NEARNESS.get(cause.cause, 60)
    weight += _IF_MEANT.get(cause.cause, 0) if cause.suggestions else 0
    if cause.cause in _OF_OTHERS:
        return weight if "." in written.rstrip(".") else 5
    return weight + (30 if names.possible(written) == asked.question.name else 0)


# What else there is to say


def _notes(wanted: Wanted, asked: Sequence[Asked], decides: Asked, cause: Finding, known: Known) -> Iterator[Finding]:
    name = decides.question.name
    before = {each.question.name for each in asked} - {name}
    node = known.index.find(name)
    if node is None and names.possible(wanted.name) == name and len(before) > 1:
        yield causes.completed_first(len(before), POD_NDOTS)
    if isinstance(node, ServiceName):
        service = node.service
        if service.spec.type == "LoadBalancer" and not service.external_hosts:
            yield causes.load_balancer_pending(service)
        if service.spec.type == "NodePort":
            yield causes.node_port(service)
        if cause.cause == "found":
            yield causes.beyond_dns(service)


def _about_data(data: Sequence[Data]) -> Iterator[Finding]:
    for each in data:
        if each.trouble:
            yield causes.out_of_date(each.source, each.trouble, each.seconds)
