"""What a manifest leaves to whoever runs a pod: where it is, and how to see whether it is ready.

A kubelet gives a pod its address and probes its containers. Here the manifest says the address, in the pod's status or,
for what runs on a host without a cluster, in an annotation; and the probes are ours. A Service may name its backends in
an annotation too, where there are no pods: each then counts as a pod that nobody else sees.

Source of the rules: the kubelet's prober and status/generate.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from clusterdns.objects import (
    Container,
    ContainerPort,
    Key,
    Metadata,
    Pod,
    PodCondition,
    PodIP,
    PodSpec,
    PodStatus,
    Service,
)
from clusterdns.probes import Checks, Watched, is_address
from clusterdns.sources.manifests.admission import Refused
from clusterdns.sources.manifests.container_probes import ContainerProbe, check, is_host

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "clusterdns/address"
"""On a Pod: its ADDRESS, HOST, ADDRESS:PORT or HOST:PORT. The port takes the place of each of its ports."""
BACKENDS = "clusterdns/backends"
"""On a Service without a selector: such addresses, with commas between them."""
BACKEND_PROBE = "clusterdns/readiness-probe"
"""On such a Service: a readinessProbe for each of them, as YAML. They are not probed unless it is there."""

NOT_RUN = "not run, for want of its container; the Ready condition in the Pod's status counts"
"""What is said of a probe that is a command in a container, which is not ours to enter."""


class Observed(Struct, frozen=True):
    """What is known of pods beside what their manifests say."""

    addresses: Mapping[str, tuple[str, ...]] = {}
    """Those of host names."""
    ready: Mapping[Key, bool] = {}
    """What the probes have come to."""
    is_probed: bool = True
    """Whether there are probes at all; else manifests say who is ready."""


class _Probed(Struct, frozen=True):
    """The probes of a container."""

    field: str
    """Where it stands in the manifest."""
    name: str
    ports: tuple[ContainerPort, ...]
    startup: ContainerProbe | None
    readiness: ContainerProbe | None

    @property
    def runs_commands(self) -> bool:
        return any(self.commands())

    def commands(self) -> Iterator[str]:
        """Which of its probes are commands."""
        for name, probe in (("startupProbe", self.startup), ("readinessProbe", self.readiness)):
            if probe is not None and probe.exec is not None:
                yield f"{name}.exec"


class Tended(Struct, frozen=True):
    """A pod with something that is left to us; or a backend of a Service, in the form of one."""

    pod: Pod
    host: str = ""
    """Where its annotation says that it is."""
    port: int | None = None
    """Takes the place of its own."""
    containers: tuple[_Probed, ...] = ()
    gates: tuple[str, ...] = ()
    """Conditions that have to hold, too; nobody but the manifest can say so."""
    backend_of: Key | None = None

    @property
    def called(self) -> str:
        if self.backend_of:
            return f"backend {self.pod.metadata.name.partition('/')[2]} of Service {'/'.join(self.backend_of)}"
        return f"Pod {'/'.join(self.pod.key)}"

    def hosts(self) -> Iterator[str]:
        """The host names that it takes to reach it."""
        probes = (probe for each in self.containers for probe in (each.startup, each.readiness) if probe)
        for host in (self.host, *(probe.host for probe in probes)):
            if host and not is_address(host):
                yield host

    def seen(self, observed: Observed) -> Pod:
        """The pod as it is."""
        status = self.pod.status
        if self.host:
            addresses = (self.host,) if is_address(self.host) else observed.addresses.get(self.host, ())
            first = addresses[0] if addresses else ""
            status = replace(status, pod_ip=first, pod_ips=tuple(map(PodIP, addresses)) or None)
        others = tuple(each for each in status.conditions or () if each.type != "Ready")
        ready = PodCondition("Ready", "True" if self._is_ready(observed) else "False")
        return replace(self.pod, status=replace(status, conditions=(*others, ready)))

    def _is_ready(self, observed: Observed) -> bool:
        gates = all(self._says(gate) for gate in self.gates)
        if not self.containers or not observed.is_probed:
            said = self._says("Ready")
            return bool(self.host) and gates if said is None else said
        if self.barred_by():
            return False
        return gates and observed.ready.get(self.pod.key, self.pod.is_ready)

    def barred_by(self) -> str:
        """The probe that is a command, so that the pod, whose manifest does not call it ready, can not become so."""
        commands = (command for each in self.containers for command in each.commands())
        return "" if self.pod.is_ready else next(commands, "")

    def _says(self, condition: str) -> bool | None:
        return next((c.status == "True" for c in self.pod.status.conditions or () if c.type == condition), None)

    def watched(self) -> Watched | None:
        """What to probe; None if there is nothing."""
        host = self.host or next(iter(self.pod.addresses), "")
        if not host or self.pod.is_over:
            return None
        checks = tuple(
            Checks(
                each.startup.probe(host, self.port, each.ports) if each.startup else None,
                each.readiness.probe(host, self.port, each.ports) if each.readiness else None,
            )
            for each in self.containers
            if not each.runs_commands
        )
        return Watched(self.called, checks, self.pod.is_ready) if checks else None


class _Container(Struct, frozen=True, rename="camel"):
    name: str = ""
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""
    startup_probe: ContainerProbe | None = None
    readiness_probe: ContainerProbe | None = None


class _Gate(Struct, frozen=True, rename="camel"):
    condition_type: str


class _Spec(Struct, frozen=True, rename="camel"):
    containers: tuple[_Container, ...] = ()
    init_containers: tuple[_Container, ...] = ()
    readiness_gates: tuple[_Gate, ...] = ()


class _Annotations(Struct, frozen=True):
    address: str | None = field(name=ADDRESS, default=None)
    backends: str | None = field(name=BACKENDS, default=None)
    probe: str | None = field(name=BACKEND_PROBE, default=None)


class _Metadata(Struct, frozen=True):
    annotations: _Annotations = _Annotations()


class _Manifest(Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()


# From manifests.


def tended_pod(value: Any, pod: Pod) -> tuple[Tended, ...]:
    """What the manifest of a Pod leaves to us, if anything. Raises Refused and msgspec.ValidationError."""
    manifest = msgspec.convert(value, _Manifest)
    host, port = "", None
    if manifest.metadata.annotations.address is not None:
        host, port = _place(f".metadata.annotations.{ADDRESS}", manifest.metadata.annotations.address)
    for index, each in enumerate(manifest.spec.init_containers):
        if each.restart_policy != "Always" and (each.readiness_probe or each.startup_probe):
            raise Refused(f".spec.initContainers[{index}]", "only one with restartPolicy: Always has such probes")
    probed = []
    for of, containers in (("containers", manifest.spec.containers), ("initContainers", manifest.spec.init_containers)):
        for index, each in enumerate(containers):
            if each.startup_probe or each.readiness_probe:
                stands = f".spec.{of}[{index}]"
                check(f"{stands}.startupProbe", each.startup_probe, most_successes=1)
                check(f"{stands}.readinessProbe", each.readiness_probe)
                probed.append(_Probed(stands, each.name, each.ports, each.startup_probe, each.readiness_probe))
    if not host and not probed:
        return ()
    gates = tuple(each.condition_type for each in manifest.spec.readiness_gates)
    return (Tended(pod, host, port, tuple(probed), gates),)


def commands(tended: Tended) -> Iterator[tuple[str, str]]:
    """The fields of probes that are commands, and what to say of each."""
    for each in tended.containers:
        for command in each.commands():
            yield f"{each.field}.{command}", f"{tended.called}: container {each.name}: {command} is {NOT_RUN}"


def backends(value: Any, service: Service) -> tuple[Tended, ...]:
    """The backends that the manifest of a Service names, if any. Raises Refused and msgspec.ValidationError."""
    annotations = msgspec.convert(value, _Manifest).metadata.annotations
    if annotations.backends is None:
        if annotations.probe is not None:
            raise Refused(f".metadata.annotations.{BACKEND_PROBE}", f"it takes {BACKENDS}")
        return ()
    stands = f".metadata.annotations.{BACKENDS}"
    if service.spec.selector:
        raise Refused(stands, "a Service with a selector has the endpoints of its pods")
    if service.is_external_name:
        raise Refused(stands, "a Service of type ExternalName has none")
    named = tuple(
        ContainerPort(each.port, each.target_port, each.protocol)
        for each in service.ports
        if isinstance(each.target_port, str)
    )
    probe = _backend_probe(annotations.probe)
    if probe is not None:
        check(f".metadata.annotations.{BACKEND_PROBE}", probe)
    made: dict[str, Tended] = {}
    for text in filter(None, map(str.strip, annotations.backends.split(","))):
        host, port = _place(stands, text)
        pod = Pod(
            # No pod has a name with a slash in it.
            Metadata(f"{service.metadata.name}/{text}", service.metadata.namespace),
            PodSpec(containers=(Container(ports=named),)),
            PodStatus(phase="Running"),
        )
        probed = () if probe is None else (_Probed(stands, "", named, None, probe),)
        made[text] = Tended(pod, host, port, probed, backend_of=service.key)
    return tuple(made.values())


def _backend_probe(text: str | None) -> ContainerProbe | None:
    """Raises Refused."""
    if text is None:
        return None
    stands = f".metadata.annotations.{BACKEND_PROBE}"
    try:
        probe = msgspec.yaml.decode(text, type=ContainerProbe)
    except (msgspec.DecodeError, ValueError, AttributeError, LookupError, RecursionError) as error:  # some at odd tags
        raise Refused(stands, f"expected a readinessProbe in YAML: {' '.join(str(error).split())}") from None
    if probe.exec is not None:
        raise Refused(stands, "exec: there is no container to run a command in")
    return probe


# Addresses.


_PLACE = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")


def _place(field: str, text: str) -> tuple[str, int | None]:
    """An address or host name, and its port if it has one. Raises Refused."""
    if is_address(text):
        return str(ipaddress.ip_address(text)), None
    match = _PLACE.fullmatch(text)
    host = (match["ipv6"] or match["host"]) if match else ""
    port = int(match["port"]) if match and match["port"] else None
    if not (is_address(host) if match and match["ipv6"] else is_host(host)) or (
        port is not None and not 0 < port < 65536
    ):
        raise Refused(
            field, f"{text!r}: expected an address or host name, and :PORT behind it if all ports are that one"
        )
    return (str(ipaddress.ip_address(host)) if is_address(host) else host), port
