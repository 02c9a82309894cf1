"""Why a name of the cluster is answered as it is: what its node is, and what is behind that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names, presentation
from clusterdns.answer import LONGEST_CHAIN
from clusterdns.explain import causes, theirs
from clusterdns.explain.known import PodFacts
from clusterdns.explain.nearest import nearest
from clusterdns.explain.story import Asked, plain
from clusterdns.nodes import (
    AddressName,
    Apex,
    EmptyNonTerminal,
    EndpointName,
    ExposedService,
    HostAddress,
    HostName,
    Nothing,
    PodName,
    PodNamespace,
    PortName,
    ServiceName,
)
from clusterdns.records import Question, Rcode, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clusterdns.explain.known import Known
    from clusterdns.explain.story import Finding
    from clusterdns.index import Index
    from clusterdns.names import Name
    from clusterdns.nodes import Node
    from clusterdns.objects import Service, ServicePort

_FAMILIES = {Type.A: (4, "IPv4"), Type.AAAA: (16, "IPv6")}


def cause_of(asked: Asked, node: Node, known: Known) -> Finding:
    """The cause behind the answer to a name whose node this is."""
    if asked.rcode == Rcode.SERVFAIL and not known.index.is_synced:
        return causes.not_synced(known.index.awaited)
    if is_missing(node) != (asked.rcode == Rcode.NXDOMAIN) and not _is_alias(node):
        return causes.answered_around(plain(asked.question.name), asked.outcome, asked.reason)
    match node:
        case Nothing():
            return _missing(asked, node, known)
        case ServiceName() if node.is_alias:
            return _alias(asked, node, known)
        case ServiceName() if node.is_missing:
            return _without_endpoints(node, known)
        case _ if asked.is_found:
            return _found(node, known)
        case ServiceName():
            return _service_without(asked, node, known)
        case PodNamespace() | EmptyNonTerminal():
            return _empty(asked, node, known)
        case _:
            return _other_type(asked, node, known)


def is_missing(node: Node) -> bool:
    """Whether the index says that there is no such name."""
    return isinstance(node, Nothing) or (isinstance(node, ServiceName) and node.is_missing)


def _is_alias(node: Node) -> bool:
    return isinstance(node, ServiceName | ExposedService) and node.is_alias


# There is no such name


def _missing(asked: Asked, nothing: Nothing, known: Known) -> Finding:
    encloser = nothing.encloser
    name = asked.question.name
    labels = _labels_above(name, encloser.name)
    label, above = labels[-1], ".".join(labels[:-1])
    zone = plain(encloser.zone.name)
    match encloser:
        case PodNamespace(namespace=namespace):
            is_address = not above and names.undashed(label) is not None
            verified = encloser.zone.pods == "verified"
            return causes.no_pod_there(
                f"{above}.{label}" if above else label, namespace, is_address=is_address, verified=verified
            )
        case EmptyNonTerminal(lacks="namespace") if encloser.name.startswith(names.label("pod")):
            if label in known.namespaces() and encloser.zone.pods == "disabled":
                return causes.pods_disabled(above or label)
            return _no_namespace(label, known)
        case EmptyNonTerminal(lacks="namespace"):
            return _no_namespace(label, known)
        case EmptyNonTerminal(lacks="exposed Service"):
            return _not_exposed(label, _first(encloser.name), known)
        case EmptyNonTerminal(lacks="Service"):
            return _no_service(label, above, _first(encloser.name), zone, known)
        case EmptyNonTerminal(lacks="port"):
            service = known.index.find(next(names.ancestors(encloser.name)))
            if isinstance(service, ServiceName | ExposedService):
                return _no_port(service, label, _first(encloser.name), known)
        case ServiceName() | ExposedService() if label.startswith("_"):
            wanted = labels[-2] if len(labels) > 1 else label
            protocol = label if len(labels) > 1 else "_tcp"
            return _no_port(encloser, wanted, protocol, known)
        case ServiceName():
            return _no_endpoint(encloser, ".".join(labels), known)
        case Apex() if encloser.zone.is_reverse:
            return _nobody_at(name, known)
        case Apex() if encloser.zone.external is not None:
            return _no_namespace(label, known)
    return causes.no_name_of_ours(plain(name), zone, _with_svc(labels, zone, known))


def _no_namespace(label: str, known: Known) -> Finding:
    return causes.no_namespace(label, nearest(label, known.namespaces()))


def _no_service(label: str, above: str, namespace: str, zone: str, known: Known) -> Finding:
    suggestions = known.services_like(label, namespace)
    pods = known.pods.get(namespace, ())
    subdomain = next((each for each in pods if each.subdomain == label), None)
    if subdomain is not None:
        services = known.services_in(namespace)
        governing = [each.metadata.name for each in services if _selects(each, subdomain) and each.is_headless]
        return causes.subdomain_without_service(subdomain, namespace, governing)
    if above:
        return causes.no_service_above(above, namespace, label, suggestions)
    pod = next((each for each in pods if each.name == label), None)
    if pod is not None:
        is_there = any(each.metadata.name == pod.subdomain for each in known.services_in(namespace))
        suggestion = f"{pod.hostname or pod.name}.{pod.subdomain}.{namespace}.svc.{zone}" if is_there else ""
        return causes.name_of_a_pod(pod, namespace, suggestion)
    others = [each for each in known.namespaces_of_service(label) if each != namespace]
    return causes.no_service(label, namespace, suggestions, others)


def _not_exposed(label: str, namespace: str, known: Known) -> Finding:
    if any(each.metadata.name == label for each in known.services_in(namespace)):
        return causes.service_not_shown(label, namespace)
    return causes.no_service(label, namespace, known.services_like(label, namespace), ())


def _no_port(node: ServiceName | ExposedService, port: str, protocol: str, known: Known) -> Finding:
    service = node.service
    wanted, transport = port.removeprefix("_"), protocol.removeprefix("_").upper()
    age = known.age(service.created)
    untargeted = isinstance(node, ServiceName) and next((p for p in service.ports if p.name == wanted), None)
    if untargeted and isinstance(node, ServiceName) and service.is_headless:
        return causes.port_without_target(service, age, untargeted, _target_names(node, known))
    has = [f"{name} over {of.upper()}" for name, of in dict.fromkeys(node.named_ports())]
    others = [f"{name} over {of.upper()}" for name, of in node.named_ports() if name == wanted]
    likest = nearest(wanted, {name for name, of in node.named_ports() if of.upper() == transport})
    numbered = [each.name for each in service.ports if each.name and str(each.port) == wanted]
    return causes.no_port(service, age, (wanted, transport), has, tuple(dict.fromkeys((*others, *likest, *numbered))))


def _no_endpoint(node: ServiceName, host: str, known: Known) -> Finding:
    service, age = node.service, known.age(node.service.created)
    endpoints = known.endpoints_of(node)
    for each in endpoints:
        if host in (each.hostname, each.name, *map(names.dashed, each.addresses)) and not each.is_ready:
            return causes.endpoint_not_ready(service, age, each)
    pod = next((each for each in known.pods.get(service.metadata.namespace, ()) if each.name == host), None)
    named = {each.name for each in endpoints}
    if host in named and not any(each.hostname == host for each in endpoints):
        return causes.pod_without_hostname(service, age, pod or PodFacts(host, {}, (), is_ready=True))
    have = {each.hostname or names.dashed(each.addresses[0]) for each in endpoints if each.is_ready}
    return causes.no_such_endpoint(service, age, host, nearest(host, have))


def _nobody_at(name: Name, known: Known) -> Finding:
    match names.reversed_digits(name):
        case (length, digits) if len(digits) == 2 * length:
            address = names.address_text(bytes.fromhex(digits))
            holder = known.service_at(address)
            if holder is not None and not holder[1].is_ready:
                return causes.not_ready_at(address, *holder)
            return causes.nobody_at(address)
    return causes.nobody_at(plain(name))


def _with_svc(labels: Sequence[str], zone: str, known: Known) -> str:
    """`cart.shop.cluster.local` lacks a label, if there is such a Service."""
    if len(labels) < 2:
        return ""
    *_, service, namespace = labels
    is_there = any(each.metadata.name == service for each in known.services_in(namespace))
    return f"{'.'.join(labels)}.svc.{zone}" if is_there else ""


# The name of a Service is not there for want of endpoints; or it is, and they are


def _without_endpoints(node: ServiceName, known: Known) -> Finding:
    service, age = node.service, known.age(node.service.created)
    endpoints = known.endpoints_of(node)
    if endpoints:
        return causes.none_ready(service, age, endpoints)
    if not service.spec.selector:
        return causes.no_selector(service, age)
    pods = known.pods.get(service.metadata.namespace)
    if pods is None or any(each.labels is None for each in pods):
        return causes.no_endpoints(service, age)
    selected = [each for each in pods if _selects(service, each)]
    if not selected:
        return causes.selects_nothing(service, age, len(pods), _likest_labels(service.spec.selector, pods))
    if any(each.addresses and not each.is_over for each in selected):
        return causes.selected_without_slices(service, age, selected)
    return causes.selected_without_address(service, age, selected)


def _selects(service: Service, pod: PodFacts) -> bool:
    selector = service.spec.selector or {}
    return bool(selector) and pod.labels is not None and selector.items() <= pod.labels.items()


def _likest_labels(selector: dict[str, str], pods: Iterable[PodFacts]) -> dict[str, str]:
    """What the selector would have to be for a pod that it nearly matches; empty if it matches none nearly."""
    for labels in (pod.labels or {} for pod in pods):
        meant: dict[str, str] = {}
        for key, value in selector.items():
            like = key if key in labels else next(iter(nearest(key, labels)), "")
            if not like or (labels[like] != value and not nearest(value, [labels[like]])):
                break
            meant[like] = labels[like]
        else:
            return meant
    return {}


# There are records


def _found(node: Node, known: Known) -> Finding:
    match node:
        case ServiceName() if not node.service.is_headless:
            return _service_found(node, known)
        case ServiceName():
            return _service_in_words(node, known)
        case ExposedService(service=service):
            where = [*map(names.address_text, node.addresses), *map(plain, node.hosts)]
            return causes.found_outside(service, known.age(service.created), where, at_nodes=node.is_at_nodes)
        case PortName(service=service, port=port, protocol=protocol):
            return causes.port_found(service.service, known.age(service.service.created), port, protocol)
        case EndpointName(service=service):
            return causes.endpoint_found(service.service, known.age(service.service.created), _first(node.name))
        case HostName() | HostAddress():
            return causes.other_found("a hosts file has this name; it goes before the cluster's names")
        case AddressName(cluster_ip_of=ServiceName(service=service)):
            return causes.service_found(service, known.age(service.created), *_counts(node.cluster_ip_of, known))
        case AddressName(endpoint_of=(first, *_)):
            return causes.endpoint_found(
                first.service, known.age(first.service.created), names.address_text(node.address)
            )
        case AddressName(external_of=(first, *_)):
            where = [names.address_text(node.address)]
            return causes.found_outside(
                first.service, known.age(first.service.created), where, at_nodes=first.is_at_nodes
            )
        case PodName(address=address):
            checked = "a running pod has it" if node.zone.pods == "verified" else "nobody looked whether a pod has it"
            return causes.other_found(f"the name says the address {names.address_text(address)} itself; {checked}")
        case _:
            return causes.other_found("this is one of the zone's own names")


def _service_found(node: ServiceName, known: Known) -> Finding:
    """A ClusterIP has its address whatever the endpoints do; whether somebody answers there is another matter."""
    _, count = _counts(node, known)
    if not any(each.is_ready for each in known.endpoints_of(node)) and (count or node.service.spec.selector):
        return causes.nobody_answers(_without_endpoints(node, known))
    untargeted = _untargeted(node)
    if untargeted is not None:
        return causes.port_without_target(
            node.service, known.age(node.service.created), untargeted, _target_names(node, known)
        )
    return _service_in_words(node, known)


def _service_in_words(node: ServiceName, known: Known) -> Finding:
    ready, count = _counts(node, known)
    return causes.service_found(node.service, known.age(node.service.created), ready, count)


def _counts(node: ServiceName | ExposedService | None, known: Known) -> tuple[int, int]:
    endpoints = known.endpoints_of(node) if isinstance(node, ServiceName) else []
    return sum(each.is_ready for each in endpoints), len(endpoints)


def _untargeted(node: ServiceName) -> ServicePort | None:
    """A port of the Service that no slice with endpoints has: its targetPort is none of the pods'."""
    slices = [each for each in node.slices if each.endpoints]
    held = {(port.name or "", port.protocol or "TCP") for each in slices for port in each.ports or () if port.port}
    if not slices:
        return None
    return next((each for each in node.service.ports if (each.name, each.protocol) not in held), None)


def _target_names(node: ServiceName, known: Known) -> list[str]:
    """What the ports of the service's pods are called."""
    pods = known.pods.get(node.service.metadata.namespace, ())
    return list(dict.fromkeys(port for each in pods if _selects(node.service, each) for port in each.ports))


# The name is there, records of the type are not


def _service_without(asked: Asked, node: ServiceName, known: Known) -> Finding:
    service, age = node.service, known.age(node.service.created)
    qtype = asked.question.qtype
    if qtype in _FAMILIES:
        lengths = {len(each) for each in _addresses(node)}
        if not lengths:
            return causes.no_cluster_ip(service, age)
        length, family = _FAMILIES[Type(qtype)]
        has = "IPv6" if length == 4 else "IPv4"
        return causes.no_such_family(service, age, family, has)
    if qtype == Type.SRV:
        untargeted = _untargeted(node)
        if untargeted is not None:
            return causes.port_without_target(service, age, untargeted, _target_names(node, known))
    return causes.no_such_type(causes.called(service), presentation.type_text(qtype), "has addresses and SRV records")


def _addresses(node: ServiceName) -> list[bytes]:
    if node.service.is_headless:
        return [each.address for each in node.ready_endpoints()]
    return [each for each in map(names.address, node.service.cluster_ips) if each]


def _empty(asked: Asked, node: EmptyNonTerminal | PodNamespace, known: Known) -> Finding:
    namespace = _first(node.name)
    if node.lacks in ("Service", "exposed Service") and namespace in known.namespaces():
        age = known.age(known.namespaces()[namespace])
        return causes.name_of_a_namespace(namespace, age, plain(node.zone.name))
    wanted = presentation.type_text(asked.question.qtype)
    return causes.no_such_type(plain(node.name), wanted, "there are names below it")


def _other_type(asked: Asked, node: Node, known: Known) -> Finding:
    wanted = presentation.type_text(asked.question.qtype)
    match node:
        case PortName(service=service):
            return causes.no_such_type(f"{plain(node.name)} of {causes.called(service.service)}", wanted, "SRV records")
        case EndpointName(service=service):
            age = known.age(service.service.created)
            if asked.question.qtype in _FAMILIES:
                length, family = _FAMILIES[Type(asked.question.qtype)]
                return causes.no_such_family(service.service, age, family, "IPv6" if length == 4 else "IPv4")
            return causes.no_such_type(plain(node.name), wanted, "addresses")
        case _:
            if asked.reason is not None:
                return causes.as_the_reply_says(asked.reason.text)
            return causes.no_such_type(plain(node.name), wanted, "records of other types")


# Aliases


def _alias(asked: Asked, node: ServiceName, known: Known) -> Finding:
    service, age = node.service, known.age(node.service.created)
    text = service.spec.external_name.removesuffix(".")
    target = names.possible(text) if text else None
    if names.address(text):
        return causes.alias_to_address(service, age)
    if target is None or target == names.ROOT:
        return causes.alias_to_nothing(service, age)
    if asked.is_found:
        return causes.alias_target(service, age, plain(target), causes.other_found("there are records"))
    chain = _aliases(node.name, known.index)
    if chain[-1] in chain[:-1]:
        return causes.alias_in_circle(service, age, [] if len(chain) == 2 else list(map(plain, chain)))
    if asked.question.qtype not in (*_FAMILIES, Type.CNAME, Type.ANY):
        wanted = presentation.type_text(asked.question.qtype)
        return causes.no_such_type(causes.called(service), wanted, "a CNAME: it is an ExternalName")
    found = known.index.find(target)
    if found is None and "." not in text:
        zone = plain(node.zone.name)
        full = [f"{text}.{each}.svc.{zone}" for each in known.namespaces_of_service(text)]
        return causes.alias_too_short(service, age, full[:3])
    onward = Asked(
        question=Question(target, asked.question.qtype),
        rcode=asked.rcode,
        records=tuple(each for each in asked.records if each.owner != node.name),
        reason=asked.reason,
        elsewhere=asked.elsewhere,
    )
    then = theirs.cause_of(onward, known) if found is None else cause_of(onward, found, known)
    return causes.alias_target(service, age, plain(target), then)


def end_of_aliases(name: Name, index: Index) -> Name:
    """Where the ExternalNames of ours lead in the end; the name itself if it is none."""
    return _aliases(name, index)[-1]


def _aliases(name: Name, index: Index) -> list[Name]:
    """The names that a name leads through, itself the first; of a circle, its first name comes twice."""
    passed = [name]
    while len(passed) <= LONGEST_CHAIN + 1 and passed[-1] not in passed[:-1]:
        node = index.find(passed[-1])
        if not (isinstance(node, ServiceName) and node.is_alias):
            break
        target = names.possible(node.service.spec.external_name.removesuffix("."))
        if target is None:
            break
        passed.append(target)
    return passed


# Labels


def _labels_above(name: Name, ancestor: Name) -> list[str]:
    """The labels in front of the ancestor's, as text."""
    return [each.decode("ascii", "replace") for each in names.labels(name[: len(name) - len(ancestor)] + names.ROOT)]


def _first(name: Name) -> str:
    return names.labels(name)[0].decode("ascii", "replace")
