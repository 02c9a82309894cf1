"""From a manifest to the object that the API server makes of it: defaults, addresses, notes in the margin."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.apiserver.shapes import copied, go_json, in_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Network, IPv6Network

    from tests.apiserver.shapes import Resource

Object = dict[str, Any]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Admission:
    """Hands out each address and each port once."""

    def __init__(self, service_cidrs: tuple[str, str] = ("10.96.0.0/16", "fd00:10:96::/112")) -> None:
        self._addresses = {f"IPv{cidr.version}": _hosts(cidr) for cidr in map(ip_network, service_cidrs)}
        self._node_ports = iter(range(30000, 32768))

    def admit(self, resource: Resource, manifest: Object, before: Object | None, *, manager: str) -> Object:
        """The object, without its resourceVersion. What the manifest says of uid, times and managedFields is kept."""
        data = copied({key: value for key, value in manifest.items() if key not in ("kind", "apiVersion")})
        metadata = data.setdefault("metadata", {})
        metadata.pop("resourceVersion", None)
        if resource.is_namespaced:
            metadata.setdefault("namespace", "default")
        if before is not None and "status" in before:
            data.setdefault("status", copied(before["status"]))
        getattr(self, f"_admit_{resource.name}")(data, before)
        old = before["metadata"] if before else {}
        metadata.setdefault("managedFields", _managed_fields(resource, data, manager))
        if resource.name == "services":
            self._allocate(data["spec"], before["spec"] if before else {})
        metadata.setdefault("uid", old.get("uid") or str(uuid4()))
        metadata.setdefault("creationTimestamp", old.get("creationTimestamp") or now())
        if resource.name in ("endpointslices", "pods"):
            metadata["generation"] = _generation(data, before)
        return in_order({"metadata": metadata, **data}, resource.shape)

    def _admit_namespaces(self, data: Object, _before: Object | None) -> None:
        labels = data["metadata"].setdefault("labels", {})
        labels.setdefault("kubernetes.io/metadata.name", data["metadata"]["name"])
        data.setdefault("spec", {"finalizers": ["kubernetes"]})
        data.setdefault("status", {"phase": "Active"})

    def _admit_nodes(self, data: Object, _before: Object | None) -> None:
        data.setdefault("spec", {})
        data.setdefault("status", {})

    def _admit_services(self, data: Object, _before: Object | None) -> None:
        spec = data.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        if spec["type"] != "ExternalName":
            spec.setdefault("internalTrafficPolicy", "Cluster")
        if spec["type"] in ("NodePort", "LoadBalancer"):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if spec["type"] == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
        data.setdefault("status", {"loadBalancer": {}})

    def _allocate(self, spec: Object, before: Object) -> None:
        if spec["type"] == "ExternalName":
            return
        if spec["type"] in ("NodePort", "LoadBalancer"):
            old = {(port["port"], port["protocol"]): port.get("nodePort") for port in before.get("ports", ())}
            for port in spec.get("ports") or ():
                port.setdefault("nodePort", old.get((port["port"], port["protocol"])) or next(self._node_ports))
        given = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else before.get("clusterIPs"))
        families = spec.setdefault("ipFamilies", _families(spec, given, before))
        spec.setdefault("ipFamilyPolicy", "SingleStack" if len(families) == 1 else "RequireDualStack")
        given = given or [next(self._addresses[family]) for family in families]
        spec["clusterIP"], spec["clusterIPs"] = given[0], given

    def _admit_endpointslices(self, data: Object, _before: Object | None) -> None:
        data.setdefault("addressType", "IPv4")
        data["endpoints"] = data.get("endpoints") or None
        data["ports"] = data.get("ports") or None
        for endpoint in data["endpoints"] or ():
            endpoint.setdefault("conditions", {})
        for port in data["ports"] or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")

    def _admit_endpoints(self, data: Object, _before: Object | None) -> None:
        if not data.get("subsets"):
            data.pop("subsets", None)
        for subset in data.get("subsets", ()):
            for port in subset.get("ports") or ():
                port.setdefault("protocol", "TCP")

    def _admit_pods(self, data: Object, _before: Object | None) -> None:
        spec = data.setdefault("spec", {})
        for name in ("initContainers", "containers"):
            for container in spec.get(name) or ():
                for port in container.get("ports") or ():
                    port.setdefault("protocol", "TCP")
                container.setdefault("resources", {})
                container.setdefault("terminationMessagePath", "/dev/termination-log")
                container.setdefault("terminationMessagePolicy", "File")
                container.setdefault("imagePullPolicy", "IfNotPresent")
        spec.setdefault("containers", None)
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", 30)
        spec.setdefault("dnsPolicy", "ClusterFirst")
        spec.setdefault("securityContext", {})
        spec.setdefault("schedulerName", "default-scheduler")
        spec.setdefault("enableServiceLinks", True)
        status = data.setdefault("status", {})
        status.setdefault("phase", "Running" if status.get("podIP") else "Pending")
        if status.get("podIP"):
            status.setdefault("podIPs", [{"ip": status["podIP"]}])
        status.setdefault("qosClass", "BestEffort")


def _hosts(network: IPv4Network | IPv6Network) -> Iterator[str]:
    return (str(network[number]) for number in count(10))


def _families(spec: Object, given: list[str] | None, before: Object) -> list[str]:
    if given and given != ["None"]:
        return [f"IPv{ip_address(each).version}" for each in given]
    if before.get("ipFamilies") and "ipFamilyPolicy" not in spec:
        return list(before["ipFamilies"])
    return ["IPv4"] if spec.get("ipFamilyPolicy", "SingleStack") == "SingleStack" else ["IPv4", "IPv6"]


def _generation(data: Object, before: Object | None) -> int:
    """It counts the changes of what was asked for, not those of the status or of metadata."""
    if before is None:
        return int(data["metadata"].get("generation", 1))
    aside = ("metadata", "status")
    is_same = all(data.get(key) == before.get(key) for key in {*data, *before} if key not in aside)
    return int(before["metadata"].get("generation", 1)) + (not is_same)


def _managed_fields(resource: Resource, data: Object, manager: str) -> list[Object]:
    """Who set which field. DNS needs none of it, but it is a third of each body, and a client must get past it."""
    fields: Object = {}
    for name, value in data.items():
        if name == "metadata":
            for key in ("annotations", "labels"):
                if value.get(key):
                    fields.setdefault("f:metadata", {})[f"f:{key}"] = {".": {}} | _named(value[key])
            if "generateName" in value:
                fields.setdefault("f:metadata", {})["f:generateName"] = {}
        elif name == "spec" and resource.name != "namespaces":
            fields["f:spec"] = _named(value)
            if resource.name == "services" and value.get("ports"):
                fields["f:spec"]["f:ports"] = {".": {}} | _ports(value["ports"])
        elif name != "status" and value is not None and resource.name != "namespaces":
            fields[f"f:{name}"] = {}
    entry = {"manager": manager, "operation": "Update", "apiVersion": resource.api_version, "time": now()}
    entry["fieldsType"] = "FieldsV1"
    managed = [entry | {"fieldsV1": dict(sorted(fields.items()))}]
    if resource.name == "pods":
        status = entry | {"fieldsV1": {"f:status": _named(data["status"])}, "subresource": "status"}
        managed.append(status)
    return managed


def _named(value: Object) -> Object:
    return {f"f:{key}": {} for key in sorted(value)}


def _ports(ports: list[Object]) -> Object:
    each_of = sorted(ports, key=lambda port: (port["port"], port["protocol"]))
    keys = [go_json({"port": port["port"], "protocol": port["protocol"]}).decode() for port in each_of]
    return {f"k:{key}": {".": {}} | _named(port) for key, port in zip(keys, each_of, strict=True)}
