"""A folder of manifests as a source: what is read, what is refused, and what a change of the files does."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clusterdns.events import Event, Gone, Listed, Put
from clusterdns.objects import EndpointSlice, Namespace, Node, Pod, Service
from clusterdns.sources.manifests import ManifestError, Manifests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CIDRS = ["10.96.0.0/16"]
SERVICE_C = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}}
DEADLINE = 10


def service(name: str, cluster_ip: str = "", namespace: str = "shop") -> str:
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
spec:
  clusterIP: "{cluster_ip}"
---
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(*paths: Path, cidrs: list[str] = CIDRS) -> dict[type, dict[tuple[str, str], Any]]:
    events = Manifests(paths, cidrs).load()
    assert all(isinstance(event, Listed) for event in events)
    assert [event.kind for event in events] == [Namespace, Service, EndpointSlice, Pod, Node]
    return {event.kind: {each.key: each for each in event.objects} for event in events}


def services(*paths: Path) -> set[str]:
    return {name for _, name in loaded(*paths)[Service]}


def faults(*paths: Path, cidrs: list[str] = CIDRS) -> list[str]:
    """What is wrong, with the folder of the test left out."""
    with pytest.raises(ManifestError) as caught:
        Manifests(paths, cidrs).load()
    assert all("\n" not in fault for fault in caught.value.faults)
    folder = paths[0] if paths[0].is_dir() else paths[0].parent
    return [fault.replace(f"{folder}/", "") for fault in caught.value.faults]


class TestWhichFiles:
    def test_folders_with_their_folders_and_files_by_name(self, tmp_path: Path) -> None:
        write(tmp_path / "given" / "a.yaml", service("a"))
        write(tmp_path / "given" / "b.yml", service("b"))
        write(tmp_path / "given" / "deep" / "er" / "c.json", json.dumps(SERVICE_C))
        for skipped in ("d.txt", "README.md", "kustomization.yaml", "deep/kustomization.yml"):
            write(tmp_path / "given" / skipped, "[broken")
        by_name = write(tmp_path / "e.conf", service("e"))
        assert services(tmp_path / "given", by_name) == {"a", "b", "c", "e"}

    def test_what_begins_with_a_dot_is_skipped(self, tmp_path: Path) -> None:
        write(tmp_path / "a.yaml", service("a"))
        write(tmp_path / ".b.yaml", "[broken")
        write(tmp_path / ".git" / "c.yaml", "[broken")
        assert services(tmp_path) == {"a"}

    def test_a_hidden_folder_that_is_named_by_itself_is_read(self, tmp_path: Path) -> None:
        write(tmp_path / ".manifests" / "a.yaml", service("a"))
        assert services(tmp_path / ".manifests") == {"a"}

    def test_a_file_that_is_reached_twice_is_read_once(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a" / "a.yaml", service("a"))
        (tmp_path / "b").symlink_to(tmp_path / "a")
        (tmp_path / "a" / "loop").symlink_to(tmp_path)
        (tmp_path / "a" / "link.yaml").symlink_to("a.yaml")
        assert services(tmp_path, tmp_path / "a", file, file) == {"a"}

    def test_what_is_not_there_is_a_fault(self, tmp_path: Path) -> None:
        (tmp_path / "link.yaml").symlink_to("nowhere.yaml")
        reason = "cannot be read: No such file or directory"
        assert faults(tmp_path, tmp_path / "missing") == [f"link.yaml: {reason}", f"missing: {reason}"]

    def test_a_pipe(self, tmp_path: Path) -> None:
        """As in `--manifests <(helm template …)`."""
        reader, writer = os.pipe()
        os.write(writer, service("a").encode())
        os.close(writer)
        assert services(Path(f"/dev/fd/{reader}")) == {"a"}
        os.close(reader)


class TestWhatIsRead:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "---\n# nothing\n---\n",
            "apiVersion: apps/v1\nkind: Deployment\nspec: {labels: {a: 1}, enum: [=], since: 2026-99-99}\n",
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: A}\n",
            "apiVersion: serving.knative.dev/v1\nkind: ServiceList\nitems: [{metadata: {name: A}}]\n",
            "apiVersion: v1\nkind: List\nitems: null\n",
            "apiVersion: v1\nkind: X\na: &a {b: 1}\nc: &c {<<: *a, b: 2}\nd: [*c, {<<: *c, b: 3}, {<<: [*a, *c]}]",
            "apiVersion: v1\nkind: ServiceList\nitems: []\n",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
            (
                "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: FQDN\nmetadata: {name: a}\n"
                "endpoints: [{addresses: [example.com]}]\n"
            ),
        ],
    )
    def test_what_does_not_matter_is_passed_over(self, tmp_path: Path, text: str) -> None:
        assert not any(loaded(write(tmp_path / "a.yaml", text)).values())

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("documents.yaml", service("a") + service("b")),
            ("windows.yaml", "\ufeff" + (service("a") + service("b")).replace("\n", "\r\n")),
            (
                "list.yaml",
                (
                    "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\n"
                    "- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Service, metadata: {name: b}}]}\n"
                ),
            ),
            (
                "kinds.yaml",
                "apiVersion: v1\nkind: ServiceList\nitems:\n- {metadata: {name: a}}\n- {metadata: {name: b}}\n",
            ),
            (
                "anchors.yaml",
                (
                    "apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: Service, metadata: {name: a}}\n"
                    "- {<<: *a, metadata: {name: b}}\n"
                ),
            ),
            (
                "values.json",
                (
                    '{"apiVersion": "v1",\t"kind": "Service", "metadata": {"name": "a"}}\n'
                    '{"apiVersion": "v1", "kind": "ServiceList", "items": [{"metadata": {"name": "b"}}]}\n'
                ),
            ),
            (
                "json.yaml",
                (
                    '{\n\t"apiVersion": "v1", "kind": "ServiceList",\n\t'
                    '"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}'
                ),
            ),
            ("braces.yaml", "{apiVersion: v1, kind: ServiceList, items: [metadata: {name: a}, metadata: {name: b}]}"),
        ],
        ids=lambda value: value if value.endswith((".yaml", ".json")) else "",
    )
    def test_a_and_b_in_every_shape(self, tmp_path: Path, name: str, text: str) -> None:
        path = tmp_path / name
        path.write_bytes(text.encode())
        assert services(path) == {"a", "b"}

    def test_as_kubectl_prints_it_with_nulls_and_times(self, tmp_path: Path) -> None:
        text = """\
apiVersion: v1
kind: Pod
metadata: {name: cart-0.x, namespace: null, deletionTimestamp: 2026-01-01T00:00:00Z, labels: {a: null}}
spec: {hostname: null, containers: [{name: c, ports: null}]}
status: {podIP: null, podIPs: null, conditions: null}
"""
        pod = loaded(write(tmp_path / "a.yaml", text))[Pod]["default", "cart-0.x"]
        assert pod.metadata.deletion_timestamp == "2026-01-01T00:00:00Z"
        assert (pod.labels, pod.addresses) == ({}, ())

    def test_addresses_come_in_canonical_form(self, tmp_path: Path) -> None:
        text = """\
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {clusterIPs: ["FD00:0::0A"]}
---
apiVersion: discovery.k8s.io/v1beta1
kind: EndpointSlice
metadata: {name: cart-x, labels: {kubernetes.io/service-name: cart}}
addressType: IPv6
endpoints: [{addresses: ["FD00:0::B"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: cart-0}
status: {podIP: "fd00:0:0::c"}
"""
        objects = loaded(write(tmp_path / "a.yaml", text))
        assert objects[Service]["default", "cart"].spec.cluster_ip == "fd00::a"
        assert objects[EndpointSlice]["default", "cart-x"].endpoints[0].addresses == ("fd00::b",)
        assert objects[Pod]["default", "cart-0"].addresses == ("fd00::c",)


class TestTheWhole:
    def test_services_get_addresses_and_their_pods_get_slices(self, tmp_path: Path) -> None:
        write(tmp_path / "cart.yaml", service("cart").replace("spec:", "spec:\n  selector: {app: cart}"))
        write(
            tmp_path / "pod.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: cart-0, namespace: shop, labels: {app: cart}}\n"
            "status: {podIP: 10.244.0.1, conditions: [{type: Ready, status: 'True'}]}\n",
        )
        objects = loaded(tmp_path)
        assert objects[Service]["shop", "cart"].spec.cluster_ip == "10.96.80.105"
        (made,) = objects[EndpointSlice].values()
        assert made.service_key == ("shop", "cart")
        assert made.endpoints[0].addresses == ("10.244.0.1",)

    def test_namespaces_are_made_if_nobody_writes_any(self, tmp_path: Path) -> None:
        write(tmp_path / "a.yaml", service("a", namespace="one") + service("b", namespace="two"))
        assert set(loaded(tmp_path)[Namespace]) == {("", "one"), ("", "two")}
        write(tmp_path / "b.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: one}\n")
        assert set(loaded(tmp_path)[Namespace]) == {("", "one")}


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("- a", "1: this is no manifest: a manifest is a mapping with apiVersion and kind"),
            ("---\n---\na: 1", "3: this is no manifest: it has no kind"),
            ("kind: Service", "1: this is no manifest: it has no apiVersion"),
            ("apiVersion: v1\nkind: 1", "2: this is no manifest: it has no kind"),
            ("a: b: c", "1: is no YAML: mapping values are not allowed in this context"),
            ("a: 1\nb: [\n", "3: is no YAML: did not find expected node content, while parsing a flow node"),
            ("a: 1\nb: \x01", "2: is no YAML: control characters are not allowed"),
            ("a: 1\nb: 2\na: 3", "3: is no YAML: the key 'a' stands there twice"),
            ("a:\n- b: {c: 1}\n- {d: 1, e: 2,\n d: 1}", "4: is no YAML: the key 'd' stands there twice"),
            ("apiVersion: v1\nkind: List\nitems: {}", "3: the items of a list are a list"),
            (
                "apiVersion: v1\nkind: List\nitems:\n- kind: Service\n  apiVersion: v1",
                "4: Service: Object missing required field metadata",
            ),
        ],
    )
    def test_no_manifest(self, tmp_path: Path, text: str, fault: str) -> None:
        assert faults(write(tmp_path / "a.yaml", text)) == [f"a.yaml:{fault}"]

    def test_a_key_that_stands_twice_in_json(self, tmp_path: Path) -> None:
        write(tmp_path / "a.json", '{"apiVersion": "v1", "kind": "Service", "spec": {"x": null, "x": 1}}')
        assert faults(tmp_path) == ["a.json: cannot be read: the key 'x' stands there twice"]

    def test_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"# x\n# \xff\n")
        assert faults(tmp_path) == ["a.yaml:2: is not UTF-8"]

    def test_json_has_the_line_of_a_syntax_error_and_else_the_field(self, tmp_path: Path) -> None:
        write(tmp_path / "a.json", '{"apiVersion": "v1",\n"kind" "Service"}')
        wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}, "spec": {"ports": [{"port": "x"}]}}
        write(tmp_path / "b.json", json.dumps(wrong))
        assert faults(tmp_path) == [
            "a.json:2: is no JSON: Expecting ':' delimiter",
            "b.json: Service default/b: spec.ports[0].port: Expected int, got str",
        ]

    @pytest.mark.parametrize(
        ("kind", "body", "line", "reason"),
        [
            ("Service", "spec:\n  ports:\n  - port: 80\n  - name: web\n    port: http", 8, "Expected int, got str"),
            ("Service", "spec:\n  clusterIP: 10", 5, "Expected str, got int: put it in quotes"),
            ("Service", "spec:\n  selector:\n    app: cart\n    tier: 1", 7, "Expected str, got int: put it in quotes"),
            ("Service", "spec:\n  selector:\n    app: yes", 6, "Expected str, got bool: put it in quotes"),
            ("Service", "spec:\n  clusterIP: 10.96.0.256", 5, "'10.96.0.256' is no IPv4 or IPv6 address"),
            ("Service", "spec:\n  clusterIPs:\n  - None\n  - 10.96.0.1", 5, "holds one address, or one of IPv4 and"),
            ("Service", "spec:\n  clusterIPs: [10.96.0.1, 10.96.0.2]", 5, "holds one address, or one of IPv4 and"),
            ("Service", "spec:\n  clusterIPs: [10.96.0.1]\n  clusterIP: 10.96.0.2", 6, "is 10.96.0.2, but the first"),
            ("Service", "spec:\n  type: Internal", 5, "'Internal' is none of ClusterIP, NodePort, LoadBalancer, Ext"),
            ("Service", "spec:\n  ipFamilyPolicy: Dual", 5, "'Dual' is none of SingleStack, PreferDualStack, Requir"),
            ("Service", "spec:\n  ipFamilies:\n  - IPv4\n  - ipv6", 7, "'ipv6' is none of IPv4, IPv6"),
            ("Service", "spec:\n  ports:\n  - {port: 1, name: Web_1}", 6, "'Web_1' is no name"),
            ("Service", "spec:\n  ports:\n  - port: 70000", 6, "70000 is not between 1 and 65535"),
            ("Service", "spec:\n  ports:\n  - port: 80\n    protocol: tcp", 7, "'tcp' is none of TCP, UDP, SCTP"),
            ("Service", "spec:\n  type: ExternalName\n  externalName: a..b", 6, "'a..b' is no host name"),
            ("Endpoints", "subsets:\n- addresses:\n  - ip: 10.0.0.1\n  - ip: x", 7, "'x' is no IPv4 or IPv6 address"),
            ("Endpoints", "subsets:\n- notReadyAddresses:\n  - ip: 10.0.0.1\n    hostname: A", 7, "'A' is no name"),
            ("EndpointSlice", "addressType: IPv4\nendpoints:\n- addresses:\n  - fd00::1", 7, "'fd00::1' is no IPv4 a"),
            ("EndpointSlice", "addressType: IPv4\nendpoints:\n- addresses: []", 6, "holds at least one address"),
            ("EndpointSlice", "addressType: ipv4", 4, "'ipv4' is none of IPv4, IPv6, FQDN"),
            ("EndpointSlice", "endpoints: []", 1, "Object missing required field addressType"),
            ("Pod", "status:\n  podIPs:\n  - ip: 10.0.0.1\n  - ip: fe80::1%eth0", 7, "'fe80::1%eth0' is no IPv4 or"),
            ("Pod", "status:\n  podIP: 10.0.0.01", 5, "'10.0.0.01' is no IPv4 or IPv6 address"),
            ("Pod", "spec:\n  hostname: -a", 5, "'-a' is no name"),
        ],
    )
    def test_a_field_has_its_own_line(self, tmp_path: Path, kind: str, body: str, line: int, reason: str) -> None:
        version = "discovery.k8s.io/v1" if kind == "EndpointSlice" else "v1"
        text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: cart}}\n{body}\n"
        (fault,) = faults(write(tmp_path / "a.yaml", text))
        place, _, rest = fault.partition(": ")
        assert place == f"a.yaml:{line}"
        assert rest.startswith(f"{kind} default/cart: ")
        assert reason in rest

    @pytest.mark.parametrize(
        ("kind", "name", "good"),
        [
            ("Service", "a" * 63, True),
            ("Service", "a" * 64, False),
            ("Service", "1-a", True),
            ("Service", "a.b", False),
            ("Service", "Cart", False),
            ("Service", "", False),
            ("Namespace", "a.b", False),
            ("Endpoints", "a_b", False),
            ("Pod", "a.b", True),
            ("Pod", "a..b", False),
            ("Pod", ".".join(["a" * 63] * 4), False),
        ],
    )
    def test_names(self, tmp_path: Path, kind: str, name: str, *, good: bool) -> None:
        path = write(tmp_path / "a.yaml", f'apiVersion: v1\nkind: {kind}\nmetadata:\n  name: "{name}"\n')
        if good:
            loaded(path)
        else:
            (fault,) = faults(path)
            assert fault.startswith("a.yaml:4: ")
            assert "is no name" in fault

    def test_all_of_all_files_at_once(self, tmp_path: Path) -> None:
        write(tmp_path / "a.yaml", service("A") + service("b", "x") + service("good"))
        write(tmp_path / "b.yaml", service("good") + "[")
        assert [fault.partition(": ")[0] for fault in faults(tmp_path)] == [
            "a.yaml:4",
            "a.yaml:15",
            "b.yaml:10",
            "b.yaml:1",
        ]


class TestConflicts:
    def test_the_same_object_twice_names_both(self, tmp_path: Path) -> None:
        write(tmp_path / "a.yaml", service("other") + service("cart"))
        write(tmp_path / "b.yaml", service("cart") + service("cart", namespace="else"))
        (fault,) = faults(tmp_path)
        assert fault == "b.yaml:1: Service shop/cart stands here again (see also a.yaml:9)"

    def test_the_same_address_twice_names_both(self, tmp_path: Path) -> None:
        write(tmp_path / "a.yaml", service("a", "10.96.0.9"))
        write(tmp_path / "b.yaml", service("b", "10.96.0.9"))
        assert faults(tmp_path) == [
            "b.yaml:1: Services shop/a and shop/b both claim 10.96.0.9 (see also a.yaml:1)",
        ]

    def test_a_service_that_can_have_no_address_is_named(self, tmp_path: Path) -> None:
        write(tmp_path / "a.yaml", service("a") + service("b"))
        assert faults(tmp_path, cidrs=["fd00::/127"]) == [
            "a.yaml:9: Service shop/b gets no address: fd00::/127 is full",
        ]

    def test_service_cidrs_that_are_none(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="there is one service CIDR"):
            Manifests([tmp_path], [])


class Watch:
    """What a listener of the source knows, batch by batch."""

    def __init__(self, first: list[Event]) -> None:
        self.batches: list[list[Event]] = []
        self.objects = {(each.__class__, each.key): each for event in first for each in event.objects}

    def hear(self, batch: list[Event]) -> None:
        assert batch
        self.batches.append(batch)
        for event in batch:
            if isinstance(event, Gone):
                del self.objects[event.kind, event.key]
            else:
                assert isinstance(event, Put)
                assert self.objects.get((type(event.object), event.object.key)) != event.object
                self.objects[type(event.object), event.object.key] = event.object

    def services(self) -> dict[str, str]:
        return {key[1]: each.spec.cluster_ip for (kind, key), each in self.objects.items() if kind is Service}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - a log line is a condition too
                await asyncio.sleep(0.01)

    async def until_services(self, **expected: str) -> None:
        try:
            await self.until(lambda: self.services() == expected)
        except TimeoutError:
            assert self.services() == expected


@asynccontextmanager
async def watching(*paths: Path) -> AsyncIterator[Watch]:
    source = Manifests(paths, CIDRS)
    watch = Watch(source.load())

    async def listen() -> None:
        async for batch in source.changes():
            watch.hear(batch)

    task = asyncio.create_task(listen())
    try:
        yield watch
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE)
        assert task.cancelled()


def replace(path: Path, text: str) -> None:
    """As editors save: a new file takes the place of the old one."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


class TestChanges:
    async def test_a_file_is_written_again(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        async with watching(tmp_path) as watch:
            write(file, service("a", "10.96.0.2"))
            await watch.until_services(a="10.96.0.2")
            assert [len(batch) for batch in watch.batches] == [1]

    async def test_an_editor_puts_a_new_file_in_its_place(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        async with watching(file) as watch:
            for last in (2, 3):
                replace(file, service("a", f"10.96.0.{last}"))
                await watch.until_services(a=f"10.96.0.{last}")
            assert not any(isinstance(event, Gone) for batch in watch.batches for event in batch)

    async def test_files_come_and_go_in_folders_that_are_new(self, tmp_path: Path) -> None:
        async with watching(tmp_path) as watch:
            file = write(tmp_path / "new" / "folder" / "a.yaml", service("a", "10.96.0.1"))
            await watch.until_services(a="10.96.0.1")
            write(tmp_path / "new" / "folder" / "b.yaml", service("b", "10.96.0.2"))
            await watch.until_services(a="10.96.0.1", b="10.96.0.2")
            file.unlink()
            await watch.until_services(b="10.96.0.2")
            assert watch.batches[-1] == [Gone(Service, ("shop", "a"))]

    async def test_a_folder_is_removed_and_made_again(self, tmp_path: Path) -> None:
        folder = tmp_path / "manifests"
        write(folder / "a.yaml", service("a", "10.96.0.1"))
        async with watching(folder) as watch:
            shutil.rmtree(folder)
            await watch.until_services()
            write(folder / "a.yaml", service("a", "10.96.0.2"))
            await watch.until_services(a="10.96.0.2")
            write(folder / "a.yaml", service("a", "10.96.0.3"))
            await watch.until_services(a="10.96.0.3")

    async def test_a_config_map_changes_all_at_once(self, tmp_path: Path) -> None:
        def publish(version: str) -> None:
            """As the kubelet does: a new folder, and one link that is swapped for it."""
            folder = tmp_path / f"..2026_{version}"
            for name, last in (("a", version), ("b", version)):
                write(folder / f"{name}.yaml", service(name, f"10.96.{'ab'.index(name)}.{last}"))
            (tmp_path / "..data_tmp").symlink_to(folder.name)
            (tmp_path / "..data_tmp").rename(tmp_path / "..data")

        publish("1")
        for name in ("a.yaml", "b.yaml"):
            (tmp_path / name).symlink_to(f"..data/{name}")
        async with watching(tmp_path) as watch:
            for version in ("2", "3"):
                publish(version)
                shutil.rmtree(tmp_path / f"..2026_{int(version) - 1}")
                await watch.until_services(a=f"10.96.0.{version}", b=f"10.96.1.{version}")
            assert [len(batch) for batch in watch.batches] == [2, 2]

    async def test_a_link_to_a_file_elsewhere(self, tmp_path: Path) -> None:
        target = write(tmp_path / "elsewhere" / "a.yaml", service("a", "10.96.0.1"))
        (tmp_path / "given").mkdir()
        (tmp_path / "given" / "a.yaml").symlink_to(target)
        async with watching(tmp_path / "given") as watch:
            write(target, service("a", "10.96.0.2"))
            await watch.until_services(a="10.96.0.2")

    async def test_a_service_and_its_endpoints_change_together(self, tmp_path: Path) -> None:
        async with watching(tmp_path) as watch:
            endpoints = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: a, namespace: shop}\nsubsets:\n"
            write(tmp_path / "a.yaml", service("a") + endpoints + "- addresses: [{ip: 10.0.0.1}]\n")
            await watch.until(lambda: bool(watch.batches))
            (batch,) = watch.batches
            assert [type(event.object) for event in batch if isinstance(event, Put)] == [
                Namespace,
                Service,
                EndpointSlice,
            ]

    async def test_what_says_the_same_changes_nothing(self, tmp_path: Path) -> None:
        write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        async with watching(tmp_path) as watch:
            replace(tmp_path / "a.yaml", "# a comment\n" + service("a", "10.96.0.1"))
            write(tmp_path / "b.yaml", service("b", "10.96.0.2"))
            await watch.until_services(a="10.96.0.1", b="10.96.0.2")
            assert watch.batches == [[Put(watch.objects[Service, ("shop", "b")])]]

    async def test_a_change_between_the_start_and_the_watch_is_not_lost(self, tmp_path: Path) -> None:
        source = Manifests([tmp_path], CIDRS)
        source.load()
        write(tmp_path / "a.yaml", service("a"))
        changes = source.changes()
        async with asyncio.timeout(DEADLINE):
            batch = await anext(changes)
        await changes.aclose()
        assert [type(event.object) for event in batch if isinstance(event, Put)] == [Namespace, Service]


class TestAFileInTheMidstOfBeingWritten:
    async def test_an_emptied_file_is_not_believed_at_once(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        async with watching(tmp_path) as watch:
            for last in range(2, 7):
                with file.open("w") as stream:
                    await asyncio.sleep(0.12)  # a slow writer, not a wait for a state
                    stream.write(service("a", f"10.96.0.{last}"))
                await watch.until_services(a=f"10.96.0.{last}")
            assert not any(isinstance(event, Gone) for batch in watch.batches for event in batch)

    async def test_but_later_it_is(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        async with watching(tmp_path) as watch:
            write(file, "")
            await watch.until_services()

    async def test_a_file_that_never_rests_does_not_hold_up_the_others(self, tmp_path: Path) -> None:
        busy = write(tmp_path / "busy.yaml", "# nothing\n")

        async def scribble() -> None:
            while True:
                with busy.open("a") as stream:
                    stream.write("# more\n")
                await asyncio.sleep(0.01)

        async with watching(tmp_path) as watch:
            task = asyncio.create_task(scribble())
            write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
            await watch.until_services(a="10.96.0.1")
            task.cancel()


class TestFaultsInLife:
    @pytest.fixture(autouse=True)
    def _listen_to_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "clusterdns.manifests")

    async def test_a_broken_file_keeps_its_last_content_and_heals(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        async with watching(tmp_path) as watch:
            write(file, service("a", "10.96.0.2") + "[")
            await watch.until(lambda: "a.yaml:10: is no YAML" in caplog.text)
            write(tmp_path / "b.yaml", service("b", "10.96.0.3"))
            await watch.until_services(a="10.96.0.1", b="10.96.0.3")
            write(file, service("a", "10.96.0.4"))
            await watch.until_services(a="10.96.0.4", b="10.96.0.3")
        assert caplog.text.count("is no YAML") == 1
        assert f"{file} is read again" in caplog.text
        assert f"{file}: objects put: 1, gone: 0" in caplog.text

    async def test_a_broken_file_that_is_removed_goes(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        file = write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        async with watching(tmp_path) as watch:
            write(file, "[")
            await watch.until(lambda: "is no YAML" in caplog.text)
            file.unlink()
            await watch.until_services()

    async def test_an_object_moves_to_another_file_in_two_saves(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = write(tmp_path / "a.yaml", service("a", "10.96.0.1") + service("b", "10.96.0.2"))
        target = write(tmp_path / "b.yaml", "")
        async with watching(tmp_path) as watch:
            write(target, service("b", "10.96.0.3"))
            await watch.until(lambda: "Service shop/b stands here again" in caplog.text)
            assert watch.services() == {"a": "10.96.0.1", "b": "10.96.0.2"}
            write(source, service("a", "10.96.0.1"))
            await watch.until_services(a="10.96.0.1", b="10.96.0.3")
            assert not any(isinstance(event, Gone) for batch in watch.batches for event in batch)
        assert caplog.text.count("stands here again") == 1
        assert f"{target} is read again" in caplog.text

    async def test_what_contradicts_waits_and_the_rest_goes_on(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        async with watching(tmp_path) as watch:
            stage = tmp_path / ".stage"
            write(stage / "b.yaml", service("b", "10.96.0.1"))
            write(stage / "c.yaml", service("c", "10.96.0.3"))
            for name in ("b.yaml", "c.yaml"):
                (stage / name).rename(tmp_path / name)
            await watch.until_services(a="10.96.0.1", c="10.96.0.3")
            await watch.until(lambda: "both claim 10.96.0.1" in caplog.text)
            (tmp_path / "a.yaml").unlink()
            await watch.until_services(b="10.96.0.1", c="10.96.0.3")

    async def test_what_waits_and_is_broken_then_waits_no_longer(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        other = write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        async with watching(tmp_path) as watch:
            file = write(tmp_path / "b.yaml", service("b", "10.96.0.1"))
            await watch.until(lambda: "both claim" in caplog.text)
            write(file, "[")
            await watch.until(lambda: "is no YAML" in caplog.text)
            write(other, service("a", "10.96.0.2"))
            await watch.until_services(a="10.96.0.2")
            write(file, service("b", "10.96.0.3"))
            await watch.until_services(a="10.96.0.2", b="10.96.0.3")

    async def test_two_objects_change_places(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Neither file fits without the other, nor does a third one that contradicts them hold them back."""
        write(tmp_path / "a.yaml", service("a", "10.96.0.1"))
        write(tmp_path / "b.yaml", service("b", "10.96.0.2"))
        async with watching(tmp_path) as watch:
            replace(tmp_path / "a.yaml", service("b", "10.96.0.3"))
            replace(tmp_path / "b.yaml", service("a", "10.96.0.4"))
            replace(tmp_path / "c.yaml", service("a", "10.96.0.5"))
            await watch.until(lambda: "c.yaml:1: Service shop/a stands here again" in caplog.text)
            await watch.until_services(a="10.96.0.4", b="10.96.0.3")
