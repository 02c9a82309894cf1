"""`clusterdns services`, `endpoints` and `env`, as people call them: with manifests, a cluster, a running server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

import pytest
import yaml
from serving import COMMAND, ENVIRONMENT, EXAMPLE, REPOSITORY, Serving, eventually, free_port, run

from tests.apiserver import Process, kubeconfig
from tests.followed import headless, namespace, service, slice_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from watching import Watching

    Serve = Callable[..., Serving]

SERVICES = """\
NAMESPACE     NAME             TYPE           CLUSTER-IP      EXTERNAL-IP            PORT(S)                  AGE
default       alpaca-prod      ClusterIP      10.96.78.232    <none>                 8080/TCP                 <unknown>
default       bandicoot-prod   ClusterIP      10.96.191.162   <none>                 8080/TCP                 <unknown>
default       kubernetes       ClusterIP      10.96.0.1       <none>                 443/TCP                  <unknown>
kube-system   kube-dns         ClusterIP      10.96.0.10      <none>                 53/UDP,53/TCP,9153/TCP   <unknown>
shop          cart             ClusterIP      10.96.80.105    <none>                 80/TCP                   <unknown>
shop          db               ClusterIP      None            <none>                 5432/TCP                 <unknown>
shop          payments         ExternalName   <none>          payments.example.com   <none>                   <unknown>
shop          web              ClusterIP      10.96.20.20     <none>                 80/TCP,443/TCP           <unknown>
"""

ENDPOINTS = """\
NAME   ENDPOINTS                                   NOT READY          AGE
cart   <none>                                      <none>             <unknown>
db     10.244.3.10:5432,10.244.3.11:5432           10.244.3.12:5432   <unknown>
web    10.244.3.20:8080,[fd00:10:244:3::20]:8080   <none>             <unknown>
"""


class Running:
    """A server over manifests that can be changed, and where it is asked."""

    def __init__(self, folder: Path) -> None:
        self.manifests = folder / "manifests"
        shutil.copytree(EXAMPLE, self.manifests)
        self.socket = folder / "admin.sock"
        self.serving = Serving(folder / "log", "--manifests", self.manifests, "--admin", self.socket)
        self.options = ("--admin", str(self.socket))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("running"))
    try:
        yield made
        assert made.serving.stop() == 0
        assert "Traceback" not in made.serving.log, made.serving.log
        assert not made.socket.exists()
    finally:
        made.serving.kill()


@pytest.fixture(params=["manifests", "a running server"])
def origin(request: pytest.FixtureRequest, running: Running) -> tuple[str, ...]:
    return ("--manifests", str(EXAMPLE)) if request.param == "manifests" else running.options


class TestServices:
    def test_of_all_namespaces(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "services", "-A", *origin)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, SERVICES, "")

    def test_one_in_yaml(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "services", "web", "-n", "shop", "-o", "yaml", *origin)
        assert (ran.returncode, ran.stderr) == (0, "")
        found = yaml.safe_load(ran.stdout)
        assert (found["apiVersion"], found["kind"]) == ("v1", "Service")
        assert found["metadata"] == {"name": "web", "namespace": "shop"}
        assert found["spec"]["clusterIPs"] == ["10.96.20.20", "fd00:10:96::20"]
        assert found["spec"]["selector"] == {"app": "web"}

    def test_all_in_json(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "services", "-n", "shop", "-o", "json", *origin)
        found = json.loads(ran.stdout)
        assert found["kind"] == "List"
        assert [each["metadata"]["name"] for each in found["items"]] == ["cart", "db", "payments", "web"]

    def test_wide(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "services", "alpaca-prod", "-o", "wide", *origin)
        assert ran.stdout == (
            "NAME          TYPE        CLUSTER-IP     EXTERNAL-IP   PORT(S)    AGE         SELECTOR\n"
            "alpaca-prod   ClusterIP   10.96.78.232   <none>        8080/TCP   <unknown>   app=alpaca,env=prod,ver=1\n"
        )

    def test_one_that_is_not_there(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "services", "alpaca-prd", *origin)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr == 'clusterdns: services "alpaca-prd" not found in namespace default\n'

    def test_none(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "services", "-n", "void", *origin)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "No resources found in void namespace.\n")


class TestEndpoints:
    def test_ready_and_not_ready(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "endpoints", "-n", "shop", *origin)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, ENDPOINTS, "")

    def test_an_alias_has_none(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "endpoints", "payments", "-n", "shop", *origin)
        assert ran.returncode == 1
        assert ran.stderr == 'clusterdns: endpoints "payments" not found in namespace shop\n'


HEADER = "NAME  ENDPOINTS  NOT READY  AGE"


def test_endpoints_are_watched_as_pods_become_ready(running: Running, watch: Callable[..., Watching]) -> None:
    """The book's readiness probe: what fails leaves the ready ones, and comes back; Ctrl-C ends it without a word."""
    watching = watch("endpoints", "db", "-n", "shop", "--watch", *running.options)
    before = "db  10.244.3.10:5432,10.244.3.11:5432  10.244.3.12:5432  <unknown>"
    watching.until(HEADER, before)
    file = running.manifests / "database.yaml"
    original = file.read_text()
    file.write_text(original.replace('status: "False"', 'status: "True"'))
    after = "db  10.244.3.10:5432,10.244.3.11:5432,10.244.3.12:5432  <none>  <unknown>"
    watching.until(HEADER, before, after)
    file.write_text(original)
    watching.until(HEADER, before, after, before)
    assert watching.end() == 130
    assert watching.errors == ""


def test_services_are_watched_in_manifests(tmp_path: Path, watch: Callable[..., Watching]) -> None:
    """A new one has a row, and one that went has its last row again."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {clusterIP: %s, ports: [{port: 80}]}\n"
    (manifests / "a.yaml").write_text(text % ("first", "10.96.0.1"))
    watching = watch("services", "-w", "--manifests", str(manifests))
    header, first = (
        "NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE",
        "first  ClusterIP  10.96.0.1  <none>  80/TCP  <unknown>",
    )
    watching.until(header, first)
    (manifests / "b.yaml").write_text(text % ("second", "10.96.0.2"))
    second = first.replace("first", "second").replace("0.1", "0.2")
    watching.until(header, first, second)
    (manifests / "b.yaml").unlink()
    watching.until(header, first, second, second)


def test_a_server_that_ends(serve: Serve, tmp_path: Path, watch: Callable[..., Watching]) -> None:
    server = serve("--manifests", EXAMPLE, "--admin", tmp_path / "admin.sock")
    watching = watch("services", "-w", "--admin", str(tmp_path / "admin.sock"))
    eventually(lambda: len(watching.lines) == 4, "the table")
    assert server.stop() == 0
    assert watching.process.wait(10) == 3
    assert watching.errors == "clusterdns: the server has ended\n"


class TestWhereTheServerIs:
    def test_two_on_one_machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both start; the usual place is that of the first, and it is there that it is looked for."""
        monkeypatch.setitem(ENVIRONMENT, "XDG_RUNTIME_DIR", str(tmp_path))
        monkeypatch.delitem(ENVIRONMENT, "CLUSTERDNS_ADMIN")
        (tmp_path / "none").mkdir()
        first = Serving(tmp_path / "first.log", "--manifests", EXAMPLE)
        second = None
        try:
            second = Serving(tmp_path / "second.log", "--manifests", tmp_path / "none")
            taken = f"no admin socket: {tmp_path}/clusterdns.sock is another server's; --admin gives this one its own"
            eventually(lambda: taken in second.log, "who has the socket")
            assert run(*COMMAND, "services", "-A").stdout == SERVICES
            assert first.stop(signal.SIGKILL) == -signal.SIGKILL
            gone = run(*COMMAND, "services", "-A")
            assert gone.returncode == 3
            assert gone.stderr.startswith(
                f"clusterdns: no server to ask: {tmp_path}/clusterdns.sock: nobody listens there; "
            )
            third = Serving(tmp_path / "third.log", "--manifests", EXAMPLE)
            try:
                assert run(*COMMAND, "services", "-A").stdout == SERVICES
                assert third.stop() == 0
            finally:
                third.kill()
        finally:
            for each in filter(None, (first, second)):
                each.kill()

    def test_a_port_of_the_loopback(self, serve: Serve) -> None:
        where = f"127.0.0.1:{free_port()}"
        serve("--manifests", EXAMPLE, "--admin", where)
        assert run(*COMMAND, "services", "-A", "--admin", where).stdout == SERVICES

    @pytest.mark.parametrize("command", [("serve", "--manifests", EXAMPLE), ("services",)])
    def test_a_place_that_others_could_reach(self, command: tuple[object, ...]) -> None:
        ran = run(*COMMAND, *command, "--admin", "0.0.0.0:9154")
        assert ran.returncode == 2
        assert "admin" in ran.stderr
        assert "others could reach it: expected a path, a port of a loopback address" in ran.stderr
        assert ran.stderr.count("\n") == 1

    def test_it_moves_with_the_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(ENVIRONMENT, "CLUSTERDNS_ADMIN")
        settings = tmp_path / "clusterdns.yaml"
        first, second = tmp_path / "first.sock", tmp_path / "second.sock"
        text = "manifests: [%s]\nforward: {resolv-conf: ''}\nadmin: %s\n"
        settings.write_text(text % (EXAMPLE, first))
        server = Serving(tmp_path / "log", "--config", settings)
        try:
            eventually(first.is_socket, "the socket, which comes after the addresses")
            settings.write_text(text % (EXAMPLE, second))
            eventually(lambda: second.is_socket() and not first.exists(), "the socket's move")
            assert run(*COMMAND, "services", "-A", "--admin", second).stdout == SERVICES
            settings.write_text(text % (EXAMPLE, settings))
            eventually(lambda: "there is a file, which is no socket" in server.log, "the fault")
            assert run(*COMMAND, "services", "-A", "--admin", second).stdout == SERVICES
            assert server.stop() == 0
        finally:
            server.kill()


@pytest.fixture(scope="module")
def api() -> Iterator[Process]:
    """A cluster with what has an age."""
    created = (datetime.now(UTC) - timedelta(days=5, hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def dated(made: dict[str, Any]) -> dict[str, Any]:
        made["metadata"]["creationTimestamp"] = created
        return made

    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    with Process() as started:
        started.call(
            "put",
            namespace("demo"),
            dated(service("web", type="NodePort", clusterIP="10.96.7.7", ports=ports)),
            dated(headless("db")),
        )
        started.call(
            "put", slice_of("web", *(f"10.0.1.{each}" for each in range(1, 6))), slice_of("db", "10.0.2.1", ready=False)
        )
        yield started


class TestACluster:
    @pytest.fixture
    @staticmethod
    def origin(api: Process, tmp_path: Path) -> tuple[str, ...]:
        return ("--kubeconfig", str(kubeconfig(tmp_path / "kubeconfig", api.url)))

    def test_services(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "services", "-n", "demo", *origin)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout == (
            "NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)        AGE\n"
            "db     ClusterIP   None         <none>        80/TCP         5d3h\n"
            "web    NodePort    10.96.7.7    <none>        80:30080/TCP   5d3h\n"
        )

    def test_endpoints(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "endpoints", "-A", *origin)
        assert ran.stdout == (
            "NAMESPACE   NAME   ENDPOINTS                                         NOT READY     AGE\n"
            "demo        db     <none>                                            10.0.2.1:80   5d3h\n"
            "demo        web    10.0.1.1:80,10.0.1.2:80,10.0.1.3:80 + 2 more...   <none>        5d3h\n"
        )

    def test_what_is_asked_of_it(self, api: Process, origin: tuple[str, ...]) -> None:
        """Of one namespace that alone: who may see no other can use the command."""
        asked = len(api.call("asked"))
        run(*COMMAND, "services", "-n", "demo", *origin)
        paths = {each["path"].partition("?")[0] for each in api.call("asked")[asked:]}
        assert paths == {"/api/v1/namespaces/demo/services"}

    def test_what_it_watches(self, api: Process, origin: tuple[str, ...], watch: Callable[..., Watching]) -> None:
        watching = watch("endpoints", "db", "-n", "demo", "-w", *origin)
        watching.until(HEADER, "db  <none>  10.0.2.1:80  5d3h")
        api.call("put", slice_of("db", "10.0.2.1"))
        watching.until(HEADER, "db  <none>  10.0.2.1:80  5d3h", "db  10.0.2.1:80  <none>  5d3h")
        api.call("put", slice_of("db", "10.0.2.1", ready=False))

    def test_nobody_is_there(self, tmp_path: Path) -> None:
        file = kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{free_port()}")
        ran = run(*COMMAND, "services", "--kubeconfig", file)
        assert (ran.returncode, ran.stdout) == (3, "")
        assert ran.stderr.startswith("clusterdns: the API server gives no answer: ")
        assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("services web -A", "NAME and --all-namespaces: a name is looked up in one namespace"),
        ("services -n Shop", "--namespace: 'Shop': expected the name of a namespace, such as default"),
        ("services --manifests x --kubeconfig y", "--manifests and --kubeconfig: objects come from one of them"),
        ("services --context x", "--context: it takes --kubeconfig"),
        ("services --manifests /nowhere", "/nowhere: cannot be read: No such file or directory"),
        ("endpoints --kubeconfig /nowhere", "/nowhere: no such file"),
        ("env --exec", "--exec: expected a command to start"),
        ("env printenv", "printenv: it takes --exec before it"),
        ("env --export --exec printenv", "--export and --exec: one of them"),
    ],
)
def test_wrong_use(arguments: str, said: str) -> None:
    ran = run(*COMMAND, *arguments.split())
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", f"clusterdns: {said}\n")


def test_a_file_that_is_no_kubeconfig(tmp_path: Path) -> None:
    for text in ("hello\n", "- 1\n", "clusters: 5\ncontexts: x\nusers: y\ncurrent-context: a\n"):
        (tmp_path / "config").write_text(text)
        ran = run(*COMMAND, "services", "--kubeconfig", tmp_path / "config")
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.startswith(f"clusterdns: {tmp_path}/config: ")
        assert "object" not in ran.stderr.replace("Expected object", ""), ran.stderr


@pytest.mark.parametrize("hidden", ["file", "folder"])
def test_a_kubeconfig_that_may_not_be_read(hidden: str) -> None:
    with TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        path = Path(folder) / "config"
        path.write_text("")
        Path(folder).chmod(0o755 if hidden == "file" else 0)
        path.chmod(0)
        others = ("setpriv", "--reuid", "65534", "--clear-groups") if os.geteuid() == 0 else ()
        if others and run(*others, *COMMAND, "--version").returncode:
            pytest.skip("nobody else may read this checkout, and root may read everything")
        ran = run(*others, *COMMAND, "services", "--kubeconfig", path)
        Path(folder).chmod(0o755)
    assert (ran.returncode, ran.stderr) == (2, f"clusterdns: {path}: permission denied\n")


class TestEnv:
    def test_for_people(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "env", "-n", "default", *origin)
        assert (ran.returncode, ran.stderr) == (0, "")
        lines = ran.stdout.splitlines()
        assert lines[:7] == [
            "ALPACA_PROD_SERVICE_HOST=10.96.78.232",
            "ALPACA_PROD_SERVICE_PORT=8080",
            "ALPACA_PROD_SERVICE_PORT_HTTP=8080",
            "ALPACA_PROD_PORT=tcp://10.96.78.232:8080",
            "ALPACA_PROD_PORT_8080_TCP=tcp://10.96.78.232:8080",
            "ALPACA_PROD_PORT_8080_TCP_PROTO=tcp",
            "ALPACA_PROD_PORT_8080_TCP_PORT=8080",
        ]
        assert {each.partition("_")[0] for each in lines} == {"ALPACA", "BANDICOOT", "KUBERNETES"}

    def test_for_a_shell(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "env", "-n", "shop", "--export", *origin)
        told = subprocess.run(
            ["sh", "-c", f'{ran.stdout}\necho "$WEB_PORT_443_TCP $KUBERNETES_SERVICE_HOST $ALPACA_PROD_PORT"'],
            capture_output=True, text=True, check=True, env={},
        )  # fmt: skip
        assert told.stdout == "tcp://10.96.20.20:443 10.96.0.1 \n"

    def test_names_that_no_shell_has(self, tmp_path: Path) -> None:
        """One of them would end the `eval` of all."""
        text = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {clusterIP: %s, ports: [{port: 80}]}\n"
        both = "---\n".join(text % each for each in (("9lives", "10.96.0.1"), ("cat", "10.96.0.2")))
        (tmp_path / "a.yaml").write_text(both)
        assert "9LIVES_SERVICE_HOST=10.96.0.1\n" in run(*COMMAND, "env", "--manifests", tmp_path).stdout
        ran = run(*COMMAND, "env", "--export", "--manifests", tmp_path)
        assert ran.stderr.startswith("clusterdns: 9LIVES_SERVICE_HOST, 9LIVES_SERVICE_PORT, 9LIVES_PORT, ")
        assert len(ran.stderr.splitlines()) == 1
        told = run("sh", "-c", f'{ran.stdout}\necho "$CAT_SERVICE_HOST"')
        assert (told.returncode, told.stdout, told.stderr) == (0, "10.96.0.2\n", "")

    def test_a_process_starts_with_them(self, origin: tuple[str, ...]) -> None:
        script = 'echo "$WEB_SERVICE_HOST $1 $2"; exit 7'
        ran = run(*COMMAND, "env", *origin, "-n", "shop", "--exec", "sh", "-c", script, "-", "-n", "--exec")
        assert (ran.returncode, ran.stdout, ran.stderr) == (7, "10.96.20.20 -n --exec\n", "")

    def test_one_that_can_not_start(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "env", *origin, "--exec", "/nowhere/at/all")
        assert (ran.returncode, ran.stderr) == (127, "clusterdns: /nowhere/at/all: no such file or directory\n")

    def test_without_links(self, origin: tuple[str, ...]) -> None:
        ran = run(*COMMAND, "env", "-n", "shop", "--no-links", *origin)
        assert {each.partition("_")[0] for each in ran.stdout.splitlines()} == {"KUBERNETES"}

    def test_names_that_meet(self, tmp_path: Path) -> None:
        text = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {clusterIP: %s, ports: [{port: 80}]}\n"
        both = "---\n".join(text % each for each in (("foo", "10.96.0.1"), ("foo-service", "10.96.0.2")))
        (tmp_path / "a.yaml").write_text(both)
        ran = run(*COMMAND, "env", "--manifests", tmp_path)
        assert ran.stderr == (
            "clusterdns: FOO_SERVICE_PORT: of foo or of foo-service, as chance has it in a pod; here of the latter\n"
        )
        assert [each for each in ran.stdout.splitlines() if each.startswith("FOO_SERVICE_PORT=")] == [
            "FOO_SERVICE_PORT=tcp://10.96.0.2:80"
        ]


def test_names_are_completed(running: Running) -> None:
    words = f"clusterdns services --admin {running.socket} -n shop "
    for begun, expected in (("", ["cart", "db", "payments", "web"]), ("p", ["payments"])):
        completing = {"COMP_WORDS": words + begun, "COMP_CWORD": "6", "_CLUSTERDNS_COMPLETE": "bash_complete"}
        ran = subprocess.run(
            [*COMMAND], cwd=REPOSITORY, env=ENVIRONMENT | completing, capture_output=True, text=True, check=False
        )
        assert ran.stdout.split() == [f"plain,{each}" for each in expected], ran


@pytest.mark.parametrize(
    "arguments",
    [
        ("services", "-A"),
        ("endpoints", "-A", "--watch"),
        ("env",),
        ("explain", "alpaca-prod"),
        ("top", "--interval", "0.1"),
    ],
)
def test_output_that_nobody_reads(running: Running, arguments: tuple[str, ...]) -> None:
    """That is no "no", as behind `| head`: scripts must not take it for one."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as closed:
        ran = written_to(closed, *arguments, *running.options)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_output_that_has_no_room(running: Running) -> None:
    with Path("/dev/full").open("w") as full:
        ran = written_to(full, "services", "-A", *running.options)
    assert (ran.returncode, ran.stderr) == (
        74,
        "clusterdns: the output can not be written: no space left on device\n",
    )


def written_to(output: IO[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=REPOSITORY, env=ENVIRONMENT, stdout=output, stderr=subprocess.PIPE, text=True, check=False, timeout=30,
    )  # fmt: skip
