"""The resources, the order in which Go writes their fields, and JSON as Go writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Shape: TypeAlias = dict[str, Any]
"""The fields of a structure in their order, each with its own shape; an array has the shape of its items."""

MAP: Shape = {"": "a map: its keys are data, and are sorted"}
ANY: Shape = {}
"""Left as it is."""

_REFERENCE = dict.fromkeys(("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"), ANY)

_METADATA: Shape = {
    **dict.fromkeys(("name", "generateName", "namespace", "uid", "resourceVersion", "generation"), ANY),
    **dict.fromkeys(("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"), ANY),
    "labels": MAP,
    "annotations": MAP,
    "ownerReferences": dict.fromkeys(("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"), ANY),
    "finalizers": ANY,
    "managedFields": ANY,
}

_SERVICE: Shape = {
    "ports": dict.fromkeys(("name", "protocol", "appProtocol", "port", "targetPort", "nodePort"), ANY),
    "selector": MAP,
    **dict.fromkeys(("clusterIP", "clusterIPs", "type", "externalIPs", "sessionAffinity", "loadBalancerIP"), ANY),
    **dict.fromkeys(("loadBalancerSourceRanges", "externalName", "externalTrafficPolicy", "healthCheckNodePort"), ANY),
    **dict.fromkeys(("publishNotReadyAddresses", "sessionAffinityConfig", "ipFamilies", "ipFamilyPolicy"), ANY),
    **dict.fromkeys(("allocateLoadBalancerNodePorts", "loadBalancerClass", "internalTrafficPolicy"), ANY),
    "trafficDistribution": ANY,
}

_SLICE: Shape = {
    "addressType": ANY,
    "endpoints": {
        "addresses": ANY,
        "conditions": dict.fromkeys(("ready", "serving", "terminating"), ANY),
        "hostname": ANY,
        "targetRef": _REFERENCE,
        **dict.fromkeys(("nodeName", "zone", "hints"), ANY),
    },
    "ports": dict.fromkeys(("name", "protocol", "port", "appProtocol"), ANY),
}

_ADDRESS: Shape = {"ip": ANY, "hostname": ANY, "nodeName": ANY, "targetRef": _REFERENCE}
_SUBSETS: Shape = {
    "addresses": _ADDRESS,
    "notReadyAddresses": _ADDRESS,
    "ports": dict.fromkeys(("name", "port", "protocol", "appProtocol"), ANY),
}

_CONTAINER: Shape = {
    **dict.fromkeys(("name", "image", "command", "args", "workingDir"), ANY),
    "ports": dict.fromkeys(("name", "hostPort", "containerPort", "protocol", "hostIP"), ANY),
    **dict.fromkeys(("envFrom", "env", "resources", "restartPolicy", "volumeMounts", "livenessProbe"), ANY),
    **dict.fromkeys(("readinessProbe", "startupProbe", "lifecycle", "terminationMessagePath"), ANY),
    **dict.fromkeys(("terminationMessagePolicy", "imagePullPolicy", "securityContext"), ANY),
}
_POD: Shape = {
    "volumes": ANY,
    "initContainers": _CONTAINER,
    "containers": _CONTAINER,
    **dict.fromkeys(("restartPolicy", "terminationGracePeriodSeconds", "dnsPolicy"), ANY),
    "nodeSelector": MAP,
    **dict.fromkeys(("serviceAccountName", "serviceAccount", "nodeName", "hostNetwork", "securityContext"), ANY),
    **dict.fromkeys(("hostname", "subdomain", "affinity", "schedulerName", "tolerations", "priority"), ANY),
    **dict.fromkeys(
        ("dnsConfig", "readinessGates", "enableServiceLinks", "preemptionPolicy", "setHostnameAsFQDN"), ANY
    ),
}
_CONDITIONS = dict.fromkeys(("type", "status", "lastProbeTime", "lastTransitionTime", "reason", "message"), ANY)
_POD_STATUS: Shape = {
    "phase": ANY,
    "conditions": _CONDITIONS,
    **dict.fromkeys(("message", "reason", "hostIP", "hostIPs", "podIP", "podIPs", "startTime"), ANY),
    **dict.fromkeys(("initContainerStatuses", "containerStatuses", "qosClass"), ANY),
}


@dataclass(frozen=True, eq=False)
class Resource:
    """What can be listed and watched.

    empty: the fields that an object without any has: what a bookmark's object looks like.
    selectable: the fields that a field selector may name, besides the name and the namespace.
    """

    name: str
    kind: str
    shape: Shape
    group: str = ""
    is_namespaced: bool = True
    empty: dict[str, Any] = field(default_factory=dict)
    selectable: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def prefix(self) -> str:
        """The path that stands before its name, or before namespaces/…/ and its name."""
        return f"/apis/{self.group}/v1" if self.group else "/api/v1"

    @property
    def qualified_name(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name


RESOURCES = {
    each.name: each
    for each in (
        Resource(
            "services",
            "Service",
            {"metadata": _METADATA, "spec": _SERVICE, "status": {"loadBalancer": ANY}},
            empty={"spec": {}, "status": {"loadBalancer": {}}},
            selectable=("spec.clusterIP", "spec.type"),
        ),
        Resource("endpoints", "Endpoints", {"metadata": _METADATA, "subsets": _SUBSETS}),
        Resource(
            "pods",
            "Pod",
            {"metadata": _METADATA, "spec": _POD, "status": _POD_STATUS},
            empty={"spec": {"containers": None}, "status": {}},
            selectable=("status.phase", "status.podIP", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName"),
        ),
        Resource(
            "namespaces",
            "Namespace",
            {"metadata": _METADATA, "spec": {"finalizers": ANY}, "status": {"phase": ANY, "conditions": _CONDITIONS}},
            is_namespaced=False,
            empty={"spec": {}, "status": {}},
            selectable=("status.phase",),
        ),
        Resource(
            "nodes",
            "Node",
            {
                "metadata": _METADATA,
                "spec": dict.fromkeys(("podCIDR", "podCIDRs", "providerID", "unschedulable", "taints"), ANY),
                "status": dict.fromkeys(
                    ("capacity", "allocatable", "conditions", "addresses", "nodeInfo", "images"), ANY
                ),
            },
            is_namespaced=False,
            empty={"spec": {}, "status": {}},
            selectable=("spec.unschedulable",),
        ),
        Resource(
            "endpointslices",
            "EndpointSlice",
            {"metadata": _METADATA, **_SLICE},
            group="discovery.k8s.io",
            empty={"addressType": "", "endpoints": None, "ports": None},
        ),
    )
}
BY_KIND = {each.kind: each for each in RESOURCES.values()}


def in_order(value: Any, shape: Shape) -> Any:
    """The value with its fields in Go's order; fields that the shape does not know come last."""
    if isinstance(value, list):
        return [in_order(each, shape) for each in value]
    if not isinstance(value, dict):
        return value
    if shape is MAP:
        return dict(sorted(value.items()))
    known = {name: in_order(value[name], inner) for name, inner in shape.items() if name in value}
    return known | {name: inner for name, inner in value.items() if name not in known}


def copied(value: Any) -> Any:
    """A copy of what is JSON, ten times as fast as deepcopy."""
    return json.loads(json.dumps(value))


def go_json(value: Any) -> bytes:
    """As encoding/json has it: without blanks, and with what HTML minds escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for each in "<>&\u2028\u2029":
        text = text.replace(each, f"\\u{ord(each):04x}")
    return text.encode()


def discovery(path: str) -> dict[str, Any] | None:
    """What a group's path tells of its resources: some clients, CoreDNS among them, look there before they watch."""
    found = [each for each in RESOURCES.values() if each.prefix == path.rstrip("/")]
    if not found:
        return None
    resources = [
        {
            "name": each.name,
            "singularName": each.kind.lower(),
            "namespaced": each.is_namespaced,
            "kind": each.kind,
            "verbs": ["get", "list", "watch"],
        }
        for each in found
    ]
    group_version = found[0].api_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}
