"""Every sentence of a story. Values in, a Finding out; whether it is so, is for others to find out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.explain.story import Finding, lasting, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clusterdns.explain.known import EndpointFacts, PodFacts
    from clusterdns.objects import Service, ServicePort
    from clusterdns.records import Reason


def meant(suggestions: Sequence[str]) -> str:
    """`: did you mean a, b or c?`; empty if there is nothing to suggest."""
    if not suggestions:
        return ""
    *others, last = suggestions
    return f": did you mean {', '.join(others)} or {last}?" if others else f": did you mean {last}?"


def called(service: Service) -> str:
    return f"Service {'/'.join(service.key)}"


def described(service: Service, age: int | None) -> str:
    """`Service shop/cart exists since 3 d, headless`"""
    kind = service.spec.type
    if service.is_external_name:
        form = f"ExternalName {service.spec.external_name or '(empty)'}"
    elif service.is_headless:
        form = "headless"
    else:
        where = " and ".join(service.cluster_ips)
        form = " ".join(filter(None, ("ClusterIP" if kind == "ClusterIP" else f"{kind}, ClusterIP", where or "none")))
    return f"{called(service)} exists{'' if age is None else f' since {lasting(age)}'}, {form}"


def of_port(port: ServicePort) -> str:
    return f"{port.name or '(no name)'} ({port.port}/{port.protocol})"


def of_endpoint(each: EndpointFacts) -> str:
    """`pod cart-0 not ready for 42 s (the readiness probe fails)`"""
    since = ""
    if each.seconds is not None and (each.seconds >= 1 or not each.is_longer):
        since = f" for {'at least ' if each.is_longer else ''}{lasting(each.seconds)}"
    return f"{'pod ' if each.is_pod else ''}{each.name} not ready{since}{f' ({each.why})' if each.why else ''}"


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def selector_text(selector: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in selector.items())


def _about(cause: str, service: Service, age: int | None, text: str, suggestions: Iterable[str] = ()) -> Finding:
    said = f"{described(service, age)}{text}"
    return Finding(cause, said, object=called(service), seconds=age, suggestions=tuple(suggestions))


# Found


def service_found(service: Service, age: int | None, ready: int, count: int) -> Finding:
    if service.is_external_name:
        return _about("found", service, age, "")
    return _about("found", service, age, f"; {count} endpoint{'' if count == 1 else 's'}, {ready} ready")


def found_outside(service: Service, age: int | None, where: Sequence[str], *, at_nodes: bool) -> Finding:
    whose = "at the nodes" if at_nodes else "at"
    return _about("found", service, age, f"; outside of the cluster it is {whose} {listed(where)}")


def port_found(service: Service, age: int | None, port: str, protocol: str) -> Finding:
    return _about("found", service, age, f", with the port {port} over {protocol}")


def endpoint_found(service: Service, age: int | None, name: str) -> Finding:
    return _about("found", service, age, f"; its endpoint {name} is ready")


def other_found(text: str) -> Finding:
    return Finding("found", text)


# Namespaces and Services


def no_namespace(namespace: str, suggestions: Sequence[str]) -> Finding:
    text = f"namespace '{namespace}' does not exist{meant(suggestions)}"
    return Finding("no-namespace", text, object=f"Namespace {namespace}", suggestions=tuple(suggestions))


def no_service(service: str, namespace: str, suggestions: Sequence[str], elsewhere: Sequence[str]) -> Finding:
    text = f"no Service '{service}' in namespace {namespace}{meant(suggestions)}"
    if elsewhere:
        there = listed(elsewhere)
        text += f"{'' if suggestions else ':'} there is a Service '{service}' in namespace {there}:"
        text += f" ask for {service}.{elsewhere[0]}"
    others = tuple(f"{service}.{each}" for each in elsewhere[:3])
    return Finding("no-service", text, object=f"Service {namespace}/{service}", suggestions=(*suggestions, *others))


def no_service_above(above: str, namespace: str, service: str, suggestions: Sequence[str]) -> Finding:
    text = f"no Service '{service}' in namespace {namespace}, so nothing below it is called '{above}'"
    return Finding(
        "no-service-above",
        text + meant(suggestions),
        object=f"Service {namespace}/{service}",
        suggestions=tuple(suggestions),
    )


def subdomain_without_service(pod: PodFacts, namespace: str, governing: Sequence[str]) -> Finding:
    text = (
        f"pod {pod.name} has the subdomain '{pod.subdomain}' (a StatefulSet's serviceName), but there is no Service"
        f" '{pod.subdomain}' in namespace {namespace}"
    )
    if governing:
        text += f": the Service that selects it is '{governing[0]}'"
    return Finding("no-service-of-subdomain", text, object=f"Pod {namespace}/{pod.name}", suggestions=tuple(governing))


def name_of_a_pod(pod: PodFacts, namespace: str, suggestion: str) -> Finding:
    text = (
        f"no Service '{pod.name}' in namespace {namespace}, but a pod: a pod has no name by itself, only below a"
        " headless Service that its hostname and subdomain name"
    )
    if suggestion:
        text += f": ask for {suggestion}"
    elif pod.subdomain:
        text += f"; its subdomain is '{pod.subdomain}', but there is no Service of that name"
    else:
        text += f"; pod {pod.name} has no subdomain"
    suggestions = (suggestion,) if suggestion else ()
    return Finding("name-of-a-pod", text, object=f"Pod {namespace}/{pod.name}", suggestions=suggestions)


def service_not_shown(service: str, namespace: str) -> Finding:
    text = (
        f"Service {namespace}/{service} is not shown to the outside: it has no address of a load balancer and no"
        " externalIPs, nor is it of type NodePort with nodes that are known and shown"
    )
    return Finding("not-exposed", text, object=f"Service {namespace}/{service}")


def name_of_a_namespace(namespace: str, age: int | None, zone: str) -> Finding:
    since = "" if age is None else f" since {lasting(age)}"
    text = (
        f"'{namespace}' is a namespace, which exists{since}, and no Service: ask for <service>.{namespace}.svc.{zone}"
    )
    return Finding("name-of-a-namespace", text, object=f"Namespace {namespace}", seconds=age)


# Endpoints


def none_ready(service: Service, age: int | None, endpoints: Sequence[EndpointFacts]) -> Finding:
    count = "1 endpoint, not ready" if len(endpoints) == 1 else f"{len(endpoints)} endpoints, none ready"
    return _about("no-ready-endpoints", service, age, f"; {count}: {listed(map(of_endpoint, endpoints))}")


def nobody_answers(then: Finding) -> Finding:
    """A ClusterIP has its name whatever becomes of the endpoints."""
    text = f"{then.text}{'' if then.text.endswith('?') else '.'} The name is right, but nobody answers behind it"
    return Finding(then.cause, text, then.object, then.seconds, then.suggestions)


def no_selector(service: Service, age: int | None) -> Finding:
    text = (
        "; no endpoints: it has no selector, so only EndpointSlices that somebody writes, labelled"
        f" kubernetes.io/service-name={service.metadata.name}, give it any"
    )
    return _about("no-selector", service, age, text)


def selects_nothing(service: Service, age: int | None, count: int, likest: Mapping[str, str]) -> Finding:
    wanted = selector_text(service.spec.selector or {})
    pods = "there is no pod" if not count else f"its selector {wanted} matches none of {_pods(count)}"
    where = f" in namespace {service.metadata.namespace}"
    suggestion = selector_text(likest)
    text = f"; no endpoints: {pods}{where}" + (f" for its selector {wanted}" if not count else "")
    text += f": did you mean {suggestion}?" if suggestion else ""
    return _about("selector-matches-nothing", service, age, text, (suggestion,) if suggestion else ())


def selected_without_address(service: Service, age: int | None, pods: Sequence[PodFacts]) -> Finding:
    shown = listed(
        f"{each.name} is {each.phase or 'not running'}{f' ({each.why})' if each.why else ''}" for each in pods
    )
    verb = "match" if len(pods) != 1 else "matches"
    text = f"; no endpoints: {_pods(len(pods))} {verb} its selector, but none has an address yet: {shown}"
    return _about("pods-without-address", service, age, text)


def selected_without_slices(service: Service, age: int | None, pods: Sequence[PodFacts]) -> Finding:
    text = (
        f"; no endpoints, though its selector matches {_pods(len(pods))} with addresses: the EndpointSlices of it are"
        " missing, or have another label"
    )
    return _about("no-slices", service, age, text)


def no_endpoints(service: Service, age: int | None) -> Finding:
    text = (
        f"; no endpoints: no pod that has an address matches its selector {selector_text(service.spec.selector or {})}."
        " Which pods there are is not known here"
    )
    return _about("no-endpoints", service, age, text)


def no_such_endpoint(service: Service, age: int | None, host: str, suggestions: Sequence[str]) -> Finding:
    text = f", but no endpoint of it is called '{host}'{meant(suggestions)}"
    return _about("no-endpoint-name", service, age, text, suggestions)


def endpoint_not_ready(service: Service, age: int | None, endpoint: EndpointFacts) -> Finding:
    return _about("endpoint-not-ready", service, age, f"; its endpoint {of_endpoint(endpoint)}")


def pod_without_hostname(service: Service, age: int | None, pod: PodFacts) -> Finding:
    if pod.subdomain and pod.subdomain != service.metadata.name:
        why = f"its subdomain (a StatefulSet's serviceName) is '{pod.subdomain}', not '{service.metadata.name}'"
    elif pod.subdomain:
        why = "its spec has a subdomain, but no hostname"
    else:
        why = (
            f"its spec has no hostname and subdomain '{service.metadata.name}' (a StatefulSet's pods get them by its"
            " serviceName)"
        )
    text = f"; pod {pod.name} is an endpoint of it, but has no name of its own there: {why}"
    return _about("pod-without-hostname", service, age, text)


# Ports


def no_port(
    service: Service, age: int | None, wanted: tuple[str, str], has: Sequence[str], suggestions: Sequence[str]
) -> Finding:
    """wanted: the port, and the protocol."""
    port, protocol = wanted
    what = f"; it has {listed(has)}" if has else "; none of its ports has a name"
    text = f", but has no port named '{port}' over {protocol}{meant(suggestions)}"
    return _about("no-port", service, age, text + ("" if suggestions else what), suggestions)


def port_without_target(service: Service, age: int | None, port: ServicePort, targets: Sequence[str]) -> Finding:
    target = f"'{port.target_port}'" if isinstance(port.target_port, str) else str(port.target_port or port.port)
    has = f"; their ports are called {listed(targets)}" if targets else ""
    text = f"; no endpoint has its port {of_port(port)}: targetPort {target} is the name of no port of its pods{has}"
    return _about("no-target-port", service, age, text, targets)


# Types


def no_such_family(service: Service, age: int | None, family: str, has: str) -> Finding:
    text = f"; it has {has} addresses only: that there is no {family} address (NODATA) is right, and clients use {has}"
    return _about("no-address-family", service, age, text)


def no_such_type(what: str, wanted: str, has: str) -> Finding:
    return Finding("no-record-of-type", f"{what} has no {wanted} records, but {has}", object=what)


def no_cluster_ip(service: Service, age: int | None) -> Finding:
    return _about("no-cluster-ip", service, age, ": it has not been given an address yet")


# Aliases


def alias_to_address(service: Service, age: int | None) -> Finding:
    text = (
        ": that is an address, and an alias leads to a name; a Service without a selector, with an EndpointSlice that"
        " holds the address, does what is meant"
    )
    return _about("alias-to-address", service, age, text)


def alias_to_nothing(service: Service, age: int | None) -> Finding:
    return _about("alias-to-address", service, age, ": that is no host name, so there is no alias")


def alias_in_circle(service: Service, age: int | None, chain: Sequence[str]) -> Finding:
    """chain: the names on the way, if there are others than its own."""
    text = f"in a circle: {' -> '.join(chain)}" if chain else "to itself"
    return _about("alias-in-circle", service, age, f": the alias leads {text}")


def alias_too_short(service: Service, age: int | None, suggestions: Sequence[str]) -> Finding:
    text = (
        f": '{service.spec.external_name}' is asked for as it stands, for no search list completes the target of an"
        f" alias{meant(suggestions)}"
    )
    return _about("alias-to-short-name", service, age, text, suggestions)


def alias_target(service: Service, age: int | None, target: str, then: Finding) -> Finding:
    text = f"{described(service, age)}, which leads on to {target}: {then.text}"
    return Finding(f"alias-{then.cause}", text, called(service), age, then.suggestions)


# Pods' and addresses' names


def pods_disabled(label: str) -> Finding:
    return Finding(
        "pods-disabled", f"'{label}' would be the name of a pod's address, and these are off (pods: disabled)"
    )


def no_pod_there(label: str, namespace: str, *, is_address: bool, verified: bool) -> Finding:
    if not is_address:
        why = f"'{label}' is no address with dashes in the place of its dots or colons"
    elif verified:
        why = f"no running pod of namespace {namespace} has the address that '{label}' says"
    else:
        why = f"there is no name below the address '{label}'"
    return Finding("no-pod", why, object=f"Namespace {namespace}")


def nobody_at(address: str) -> Finding:
    return Finding("no-address", f"no Service and no ready endpoint has the address {address}", object=address)


def not_ready_at(address: str, service: Sequence[str], endpoint: EndpointFacts) -> Finding:
    where = "/".join(service)
    text = (
        f"{address} is an endpoint of Service {where}, but names are for those that are ready: {of_endpoint(endpoint)}"
    )
    return Finding("endpoint-not-ready", text, object=f"Service {where}")


# Names of no kind


def no_name_of_ours(name: str, zone: str, suggestion: str) -> Finding:
    text = f"nothing in {zone} is called {name}; Services are <service>.<namespace>.svc.{zone}"
    return Finding(
        "no-name",
        text + (f": did you mean {suggestion}?" if suggestion else ""),
        suggestions=tuple(filter(None, [suggestion])),
    )


def other_zone(zones: Sequence[str], theirs: str, suggestion: str) -> Finding:
    text = f"the cluster domain here is {' and '.join(zones)}, not {theirs}: did you mean {suggestion}?"
    return Finding("other-cluster-domain", text, suggestions=(suggestion,))


def not_synced(kinds: Sequence[str]) -> Finding:
    text = f"not all of the cluster is read yet: {listed(kinds)} are awaited; until then a missing name is SERVFAIL"
    return Finding("not-synced", text)


def answered_around(name: str, outcome: str, reason: Reason | None) -> Finding:
    text = (
        f"{name} is {outcome} by what stands around the cluster's names, such as a template, a rewrite, an acl, or"
        " visibility"
    )
    return Finding("answered-around", f"{text}: {reason.text}" if reason is not None else text)


def as_the_reply_says(text: str) -> Finding:
    return Finding("other", text)


# Names of others


def nobody_to_ask(name: str) -> Finding:
    return Finding("nobody-to-ask", f"{name} is in none of our zones, and there is no upstream to ask for it")


def upstream_failed(who: str, what: str, advice: str) -> Finding:
    return Finding("upstream-failed", f"{who}: {what}{advice}", object=who)


def upstream_denied(name: str, who: str, what: str) -> Finding:
    return Finding("no-name-upstream", f"{name} is none of our names, and {who} says {what}", object=who)


def upstream_found(name: str, who: str) -> Finding:
    return Finding("found", f"{name} is none of our names; {who} has the answer", object=who)


def upstream_stale(seconds: int | None, text: str) -> Finding:
    age = "" if seconds is None else f", {lasting(seconds)} old"
    return Finding("stale", f"this is the last known answer{age}: {text}", seconds=seconds)


def fell_through(name: str, then: Finding) -> Finding:
    text = f"{then.text}; the zone falls through, so that upstreams were asked for {name}"
    return Finding(then.cause, text, then.object, then.seconds, then.suggestions)


def completed_first(count: int, ndots: int) -> Finding:
    text = (
        f"the name has fewer than {ndots} dots (ndots:{ndots}), so that {count} names of the search list were asked for"
        " first; with a dot at its end it is asked for at once"
    )
    return Finding("search-list", text)


# What else there is to say


def load_balancer_pending(service: Service) -> Finding:
    text = "its load balancer has no address yet (pending); inside of the cluster that changes nothing"
    return Finding("load-balancer-pending", text, object=called(service))


def node_port(service: Service) -> Finding:
    text = "from outside of the cluster it is reached at its nodePorts on each node, not by this name"
    return Finding("node-port", text, object=called(service))


def beyond_dns(service: Service) -> Finding:
    text = "whether a NetworkPolicy or a firewall lets connections through, no DNS server can know"
    return Finding("beyond-dns", text, object=called(service))


def out_of_date(source: str, trouble: str, seconds: int | None) -> Finding:
    age = "" if seconds is None else f" since {lasting(seconds)}"
    return Finding(
        "stale-data",
        f"{source}: nothing was heard{age} ({trouble}); what is said here is the last known",
        seconds=seconds,
    )
