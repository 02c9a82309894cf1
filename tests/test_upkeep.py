"""What manifests leave to whoever runs their pods: addresses, probes, backends; what is refused, and what is not."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest

from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import EndpointSlice, Pod, Service
from clusterdns.probes import Checks, GrpcHealth, HttpGet, NoPort, Probe, TcpSocket
from clusterdns.sources.manifests import ManifestError, Manifests
from clusterdns.sources.manifests.files import read
from clusterdns.sources.manifests.upkeep import Observed, Tended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.probes import Request

CIDRS = ["10.96.0.0/16"]
READY = [{"type": "Ready", "status": "True"}]
NOT_READY = [{"type": "Ready", "status": "False"}]
TCP = {"tcpSocket": {"port": 8080}}
HTTP = {"httpGet": {"port": 8080}}
EXEC = {"exec": {"command": ["true"]}}
ROUTE = [{"name": "http", "containerPort": 8080}]


def pod(
    *containers: Any, address: str | None = None, ip: str = "10.244.0.1", conditions: Any = None, **spec: Any
) -> dict[str, Any]:
    annotations = {} if address is None else {"clusterdns/address": address}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-0", "labels": {"app": "web"}, "annotations": annotations},
        "spec": {"containers": [{"name": "main", "ports": ROUTE} | each for each in containers or [{}]]} | spec,
        "status": {"podIP": ip, "phase": "Running", "conditions": conditions},
    }


def service(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"clusterIP": "None", "ports": ports} | ({} if annotations else {"selector": {"app": "web"}}) | spec,
    }


def tended(manifest: dict[str, Any]) -> tuple[Tended, ...]:
    found, faults = read(Path("a.json"), msgspec.json.encode(manifest))
    assert not faults, faults
    return found[0].tended


def fault(manifest: dict[str, Any]) -> str:
    found, faults = read(Path("a.json"), msgspec.json.encode(manifest))
    assert not found
    return faults[0].reason


def checks(manifest: dict[str, Any]) -> tuple[Checks, ...]:
    watched = tended(manifest)[0].watched()
    return watched.checks if watched else ()


def asked(manifest: dict[str, Any]) -> Request:
    probe = checks(manifest)[0].readiness
    assert probe is not None
    return probe.request


class TestWhatIsAsked:
    @pytest.mark.parametrize(
        ("action", "expected"),
        [
            ({"httpGet": {"port": 80}}, HttpGet("http://10.244.0.1:80/")),
            ({"httpGet": {"port": "http"}}, HttpGet("http://10.244.0.1:8080/")),
            ({"httpGet": {"port": "other"}}, NoPort("other")),
            ({"httpGet": {"port": 80, "path": "ready?a=b"}}, HttpGet("http://10.244.0.1:80/ready?a=b")),
            ({"httpGet": {"port": 443, "scheme": "HTTPS"}}, HttpGet("https://10.244.0.1:443/")),
            ({"httpGet": {"port": 80, "host": "here.example"}}, HttpGet("http://here.example:80/")),
            (
                {"httpGet": {"port": 80, "httpHeaders": [{"name": "A", "value": "b"}, {"name": "A", "value": "c"}]}},
                HttpGet("http://10.244.0.1:80/", (("A", "b"), ("A", "c"))),
            ),
            ({"tcpSocket": {"port": "http"}}, TcpSocket("10.244.0.1", 8080)),
            ({"tcpSocket": {"port": 1, "host": "10.0.0.1"}}, TcpSocket("10.0.0.1", 1)),
            ({"grpc": {"port": 50051}}, GrpcHealth("10.244.0.1", 50051)),
            ({"grpc": {"port": 50051, "service": "a"}}, GrpcHealth("10.244.0.1", 50051, "a")),
        ],
    )
    def test_the_pod_at_its_address(self, action: dict[str, Any], expected: Request) -> None:
        assert asked(pod({"readinessProbe": action})) == expected

    @pytest.mark.parametrize(
        ("address", "action", "expected"),
        [
            ("127.0.0.2", HTTP, HttpGet("http://127.0.0.2:8080/")),
            ("127.0.0.1:18080", HTTP, HttpGet("http://127.0.0.1:18080/")),
            ("127.0.0.1:18080", {"tcpSocket": {"port": "nothing"}}, TcpSocket("127.0.0.1", 18080)),
            ("127.0.0.1:18080", {"tcpSocket": {"port": 9, "host": "10.0.0.1"}}, TcpSocket("10.0.0.1", 9)),
            ("[::1]:50051", {"grpc": {"port": 1}}, GrpcHealth("::1", 50051)),
            ("::1", HTTP, HttpGet("http://[::1]:8080/")),
            ("db.example.org:5432", TCP, TcpSocket("db.example.org", 5432)),
        ],
    )
    def test_the_pod_where_its_annotation_says(self, address: str, action: dict[str, Any], expected: Request) -> None:
        assert asked(pod({"readinessProbe": action}, address=address)) == expected

    def test_an_ipv6_pod(self) -> None:
        assert asked(pod({"readinessProbe": HTTP}, ip="fd00::1")) == HttpGet("http://[fd00::1]:8080/")

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({}, (0, 10, 1, 1, 3)),
            (
                dict.fromkeys(("periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"), 0),
                (0, 10, 1, 1, 3),
            ),
            (
                {
                    "initialDelaySeconds": 5,
                    "periodSeconds": 4,
                    "timeoutSeconds": 3,
                    "successThreshold": 2,
                    "failureThreshold": 1,
                },
                (5, 4, 3, 2, 1),
            ),
        ],
    )
    def test_timing(self, given: dict[str, int], expected: tuple[int, ...]) -> None:
        assert checks(pod({"readinessProbe": TCP | given}))[0].readiness == Probe(
            TcpSocket("10.244.0.1", 8080), *expected
        )

    def test_every_container_with_probes_and_sidecars(self) -> None:
        sidecar = {"name": "proxy", "restartPolicy": "Always", "readinessProbe": {"tcpSocket": {"port": 2}}}
        found = checks(
            pod({}, {"readinessProbe": TCP, "startupProbe": {"tcpSocket": {"port": 1}}}, initContainers=[sidecar])
        )
        ports = [[each and each.request.port for each in (one.startup, one.readiness)] for one in found]  # type: ignore[union-attr]
        assert ports == [[1, 8080], [None, 2]]

    @pytest.mark.parametrize(
        "manifest",
        [
            pod({"readinessProbe": EXEC}),
            pod({"readinessProbe": TCP}, ip=""),
            pod({"readinessProbe": TCP}) | {"status": {"podIP": "10.244.0.1", "phase": "Succeeded"}},
            pod(address="127.0.0.1"),
        ],
        ids=["a command", "no address", "over", "no probe"],
    )
    def test_nothing(self, manifest: dict[str, Any]) -> None:
        assert not checks(manifest)

    def test_a_pod_without_any_of_this_is_not_ours(self) -> None:
        assert not tended(pod({"livenessProbe": TCP}))


class TestWhatIsRefused:
    """As the API server does; in the file's line, with the name of the object."""

    @pytest.mark.parametrize(
        ("probe", "expected"),
        [
            ({}, "expected one of httpGet, tcpSocket, grpc and exec"),
            (TCP | HTTP, "expected one of httpGet, tcpSocket, grpc and exec"),
            ({"tcpSocket": {"port": 0}}, "0 is no port: 1 to 65535, or the name of one"),
            ({"tcpSocket": {"port": "80"}}, "'80' is no port: 1 to 65535, or the name of one"),
            ({"grpc": {"port": 65536}}, "65536 is no port: 1 to 65535, or the name of one"),
            ({"grpc": {"port": "http"}}, "Expected int, got str"),
            ({"httpGet": {}}, "Object missing required field port"),
            ({"httpGet": {"port": 1, "scheme": "http"}}, "'http' is none of HTTP, HTTPS"),
            ({"httpGet": {"port": 1, "host": "a b"}}, "'a b' is no address and no host name"),
            ({"httpGet": {"port": 1, "httpHeaders": [{"name": "a b"}]}}, "'a b' is no name of a header"),
            (TCP | {"periodSeconds": -1}, "-1 is not between 0 and 2147483647"),
            (TCP | {"initialDelaySeconds": 1 << 31}, "2147483648 is not between 0 and 2147483647"),
        ],
    )
    def test_probes(self, probe: dict[str, Any], expected: str) -> None:
        reason = fault(pod({"readinessProbe": probe}))
        assert reason.startswith("Pod default/web-0: spec.containers[0].readinessProbe")
        assert reason.endswith(f": {expected}")

    def test_a_startup_probe_succeeds_once(self) -> None:
        assert fault(pod({"startupProbe": TCP | {"successThreshold": 2}})) == (
            "Pod default/web-0: spec.containers[0].startupProbe.successThreshold: is 1 for a startupProbe"
        )

    def test_an_init_container_that_ends(self) -> None:
        assert fault(pod(initContainers=[{"name": "a", "readinessProbe": TCP}])) == (
            "Pod default/web-0: spec.initContainers[0]: only one with restartPolicy: Always has such probes"
        )

    @pytest.mark.parametrize(
        "address",
        ["", "a b", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "[a]:1", "fe80::1%lo", "A_", "10.0.0.256"],
    )
    def test_addresses(self, address: str) -> None:
        assert fault(pod(address=address)).startswith("Pod default/web-0: metadata.annotations.clusterdns/address: ")

    @pytest.mark.parametrize(
        ("manifest", "expected"),
        [
            (service({"clusterdns/backends": "a b"}), "backends: 'a b': expected an address or host name"),
            (service({"clusterdns/backends": "a"}, selector={"a": "b"}), "backends: a Service with a selector has"),
            (service({"clusterdns/backends": "a"}, type="ExternalName"), "backends: a Service of type ExternalName"),
            (service({"clusterdns/readiness-probe": "a"}), "readiness-probe: it takes clusterdns/backends"),
            (service({"clusterdns/backends": "a", "clusterdns/readiness-probe": "[a"}), "readiness-probe: expected a"),
            (
                service({"clusterdns/backends": "a", "clusterdns/readiness-probe": "exec: {command: [a]}"}),
                "readiness-probe: exec: there is no container",
            ),
            (
                service({"clusterdns/backends": "a", "clusterdns/readiness-probe": "{}"}),
                "readiness-probe: expected one of",
            ),
        ],
    )
    def test_backends(self, manifest: dict[str, Any], expected: str) -> None:
        assert fault(manifest).startswith(f"Service default/web: metadata.annotations.clusterdns/{expected}")

    def test_the_line(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        file.write_text(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web-0\n  annotations:\n    a/b: c\n"
            "    clusterdns/address: 127.0.0.1:0\n"
        )
        with pytest.raises(ManifestError) as caught:
            Manifests([file], CIDRS).load()
        assert caught.value.faults[0].startswith(f"{file}:7: Pod default/web-0: ")


class TestCommands:
    TEXT = """\
apiVersion: v1
kind: Pod
metadata: {name: db-0, labels: {app: web}}
spec:
  containers:
  - name: main
    readinessProbe:
      exec: {command: [pg_isready]}
status: {phase: Running, podIP: 10.244.0.1, conditions: [{type: Ready, status: "%s"}]}
"""

    @pytest.mark.parametrize("status", ["True", "False"])
    def test_the_manifest_says_who_is_ready_and_a_warning_says_so(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: str
    ) -> None:
        file = tmp_path / "db.yaml"
        file.write_text(self.TEXT % status)
        events = Manifests([file], CIDRS, probes=True).load()
        assert [each.is_ready for each in objects(events, Pod)] == [status == "True"]
        (warning,) = [each.message for each in caplog.records if each.levelno == logging.WARNING]
        assert warning == (
            f"{file}:8: Pod default/db-0: container main: readinessProbe.exec is not run, for want of its container;"
            " the Ready condition in the Pod's status counts"
        )

    def test_without_probes_nobody_expects_it(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "db.yaml").write_text(self.TEXT % "True")
        Manifests([tmp_path], CIDRS).load()
        assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def objects(events: Sequence[Any], kind: type) -> list[Any]:
    return [each for event in events if isinstance(event, Listed) and event.kind is kind for each in event.objects]


class TestReadiness:
    GATE: ClassVar = [{"conditionType": "example.com/lb"}]
    OPEN: ClassVar = [{"type": "example.com/lb", "status": "True"}]

    @pytest.mark.parametrize(
        ("manifest", "untold", "passed", "failed", "without"),
        [
            (pod({"readinessProbe": TCP}), False, True, False, False),
            (pod({"readinessProbe": TCP}, conditions=READY), True, True, False, True),
            (pod({"readinessProbe": TCP}, conditions=NOT_READY), False, True, False, False),
            (pod({"readinessProbe": TCP}, address="a.example"), False, True, False, True),
            (pod(address="a.example"), True, True, True, True),
            (pod(address="a.example", conditions=NOT_READY), False, False, False, False),
            (pod({"readinessProbe": TCP}, readinessGates=GATE), False, False, False, False),
            (pod({"readinessProbe": TCP}, readinessGates=GATE, conditions=OPEN), False, True, False, False),
            (pod(address="a.example", readinessGates=GATE), False, False, False, False),
            (pod({"readinessProbe": TCP}, {"readinessProbe": EXEC}), False, False, False, False),
            (pod({"readinessProbe": TCP}, {"readinessProbe": EXEC}, conditions=READY), True, True, False, True),
        ],
    )
    def test_a_pod_is(self, manifest: dict[str, Any], untold: bool, passed: bool, failed: bool, without: bool) -> None:
        """Before its probes have told, when they succeed, when they fail, and with --no-probes."""
        found = tended(manifest)[0]
        key = found.pod.key
        observations = (
            Observed(),
            Observed(ready={key: True}),
            Observed(ready={key: False}),
            Observed(is_probed=False),
        )
        assert [found.seen(each).is_ready for each in observations] == [untold, passed, failed, without]


def slices(*manifests: dict[str, Any], tmp_path: Path) -> list[tuple[str, list[int | None], list[tuple[str, bool]]]]:
    """Family, ports, and the addresses with whether they are ready."""
    (tmp_path / "a.json").write_bytes(b"".join(map(msgspec.json.encode, manifests)))
    found: list[EndpointSlice] = objects(Manifests([tmp_path], CIDRS, probes=True).load(), EndpointSlice)
    return [
        (
            each.address_type,
            [port.port for port in each.ports or ()],
            [(address, one.is_ready) for one in each.endpoints or () for address in one.addresses],
        )
        for each in found
    ]


class TestEndpoints:
    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("127.0.0.2", [("IPv4", [8080], [("127.0.0.2", True)])]),
            ("127.0.0.2:18080", [("IPv4", [18080], [("127.0.0.2", True)])]),
            ("[::1]:18080", [("IPv6", [18080], [("::1", True)])]),
            ("name.example:18080", []),
        ],
    )
    def test_a_pod_where_its_annotation_says(self, tmp_path: Path, address: str, expected: Any) -> None:
        assert slices(service(), pod(address=address), tmp_path=tmp_path) == expected

    @pytest.mark.parametrize(
        ("annotations", "spec", "expected"),
        [
            ({}, {}, [("IPv4", [80], [("10.0.0.5", True), ("10.0.0.6", True)]), ("IPv4", [81], [("10.0.0.7", True)])]),
            (
                {"clusterdns/readiness-probe": "tcpSocket: {port: http}"},
                {},
                [("IPv4", [80], [("10.0.0.5", False), ("10.0.0.6", False)]), ("IPv4", [81], [("10.0.0.7", False)])],
            ),
            (
                {"clusterdns/readiness-probe": "tcpSocket: {port: http}"},
                {"publishNotReadyAddresses": True},
                [("IPv4", [80], [("10.0.0.5", True), ("10.0.0.6", True)]), ("IPv4", [81], [("10.0.0.7", True)])],
            ),
            (
                {},
                {"ports": [{"port": 80, "targetPort": 8000}]},
                [("IPv4", [8000], [("10.0.0.5", True), ("10.0.0.6", True)]), ("IPv4", [81], [("10.0.0.7", True)])],
            ),
            ({}, {"ports": None}, [("IPv4", [], [("10.0.0.5", True), ("10.0.0.6", True), ("10.0.0.7", True)])]),
        ],
    )
    def test_backends(self, tmp_path: Path, annotations: dict[str, str], spec: dict[str, Any], expected: Any) -> None:
        given = {"clusterdns/backends": "10.0.0.5, 10.0.0.6,10.0.0.7:81 , a.example"} | annotations
        assert slices(service(given, **spec), tmp_path=tmp_path) == expected

    def test_backends_are_no_pods(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_bytes(msgspec.json.encode(service({"clusterdns/backends": "10.0.0.5"})))
        events = Manifests([tmp_path], CIDRS).load()
        assert not objects(events, Pod)
        assert [each.target_ref for one in objects(events, EndpointSlice) for each in one.endpoints] == [None]
        assert len(objects(events, Service)) == 1


class TestFollowing:
    async def test_an_edit_that_changes_only_a_probe_makes_no_event_but_counts(self, tmp_path: Path) -> None:
        """The pod is never ready by the first probe, and always by the second."""
        listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        file = tmp_path / "a.json"

        def write(probe: dict[str, Any]) -> None:
            manifests = (service(), pod({"readinessProbe": probe}, ip="127.0.0.1"))
            file.write_bytes(b"".join(map(msgspec.json.encode, manifests)))

        write({"tcpSocket": {"port": "none"}})
        source = Manifests([file], CIDRS, probes=True)
        source.load()
        before = asyncio.all_tasks()
        async with asyncio.timeout(20), aclosing(source.changes()) as changes:
            first = asyncio.ensure_future(anext(changes))
            while not source.failing():  # noqa: ASYNC110 - what its probes say makes no event
                await asyncio.sleep(0.01)
            failing = source.failing()["default", "web-0"]
            assert (failing.probe, failing.outcome) == ("port none", "the container has no port of this name")
            write({"tcpSocket": {"port": port}})
            found = {type(each.object): each.object for each in await first}  # type: ignore[union-attr]
            assert found.keys() == {Pod, EndpointSlice}
            assert found[Pod].is_ready
            assert [each.is_ready for each in found[EndpointSlice].endpoints] == [True]
            assert source.failing() == {}
        listening.close()
        assert not [each for each in asyncio.all_tasks() - before if "clusterdns" in str(each)]

    async def test_of_a_probe_that_is_not_run_it_says_so(self, tmp_path: Path) -> None:
        """Or else nobody who asks why the pod is not ready would be told."""
        manifests = (service(), pod({"readinessProbe": {"exec": {"command": ["true"]}}}, ip="127.0.0.1"))
        (tmp_path / "a.json").write_bytes(b"".join(map(msgspec.json.encode, manifests)))
        source = Manifests([tmp_path], CIDRS, probes=True)
        source.load()
        async with asyncio.timeout(20), aclosing(source.changes()) as changes:
            first = asyncio.ensure_future(anext(changes))
            while not source.failing():  # noqa: ASYNC110 - it makes no event
                await asyncio.sleep(0.01)
            barred = source.failing()["default", "web-0"]
            first.cancel()
            await asyncio.wait({first})
        said = "not run, for want of its container; the Ready condition in the Pod's status counts"
        assert (barred.probe, barred.outcome) == ("readinessProbe.exec", said)

    async def test_a_pod_that_comes_again_is_a_new_one(self, tmp_path: Path) -> None:
        """What was known of the former one does not make it ready."""
        listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        probe = {"tcpSocket": {"port": listening.sockets[0].getsockname()[1]}}
        (tmp_path / "service.json").write_bytes(msgspec.json.encode(service()))
        file = tmp_path / "pod.json"
        text = msgspec.json.encode(pod({"readinessProbe": probe}, ip="127.0.0.1"))
        file.write_bytes(text)
        source = Manifests([tmp_path], CIDRS, probes=True)
        source.load()
        seen: list[bool | None] = []
        async with asyncio.timeout(20), aclosing(source.changes()) as changes:
            async for events in changes:
                for event in events:
                    if isinstance(event, Put) and isinstance(event.object, Pod):
                        seen.append(event.object.is_ready)
                    elif isinstance(event, Gone) and event.kind is Pod:
                        seen.append(None)
                if seen == [True]:
                    file.unlink(missing_ok=True)
                elif seen == [True, None]:
                    file.write_bytes(text)
                elif len(seen) == 4:
                    break
        listening.close()
        assert seen == [True, None, False, True]
