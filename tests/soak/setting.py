"""The processes of a soak: an API server and an upstream of ours, and clusterdns as a user starts it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError
from urllib.request import urlopen

from tests.apiserver.process import Process
from tests.benchmarks.running import family, free_port

if TYPE_CHECKING:
    from tests.soak.world import World

PATIENCE = 60.0  # seconds until the server is ready
REPOSITORY = Path(__file__).parents[2]


class Upstream:
    """It has an address for every name. It can be killed, and come back at the same port; and do wrong."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.soak.upstream", str(self.port)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True)
        self._understood()

    def behave(self, how: str) -> None:
        """As tests/soak/upstream.py knows it."""
        assert self.process.stdin is not None
        print(how, file=self.process.stdin, flush=True)
        self._understood()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _understood(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "ready\n", f"the upstream says {line!r}"


class Setting:
    """`with Setting(folder, world, workers) as setting`: all of them run, and clusterdns is ready."""

    def __init__(self, folder: Path, world: World, workers: int) -> None:
        self.folder = folder
        self.port = free_port()
        self._pages = free_port()
        self.log = folder / "clusterdns.log"
        self.configuration = folder / "clusterdns.yaml"
        self._world = world
        self._workers = workers

    def __enter__(self) -> Self:
        self.api = Process("--state", self.folder / "state.json")
        self.upstream = Upstream()
        self.api.call("put", *self._world.namespaces())
        self.api.call("put", *(each for service in self._world.still for each in service.manifests()))
        self.write_configuration()
        command = [
            sys.executable, "-m", "clusterdns", "serve", "--config", self.configuration, "--api-server", self.api.url,
            "--listen", f"127.0.0.1:{self.port}", "--http", f"127.0.0.1:{self._pages}",
            "--upstream", f"127.0.0.1:{self.upstream.port}", "--search", "client",
            "--snapshot", self.folder / "snapshot.json", "--workers", str(self._workers), "--admin", "none",
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.server = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while not self.is_ready():
            if self.server.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise SystemExit(f"soak: the server is not ready: {self.log.read_text()[-1000:]}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.server, self.upstream.process):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.api.resume()
        self.api.kill()

    def is_ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self._pages}/ready", timeout=2) as reply:
                return bool(reply.status == 200)
        except (OSError, URLError):
            return False

    def write_configuration(self, *, ttl: int = 30, fault: str = "") -> None:
        self.configuration.write_text(f"ttl: {ttl}\n{fault}")

    def reload(self) -> None:
        self.server.send_signal(signal.SIGHUP)

    def stored(self) -> dict[str, list[dict[str, Any]]]:
        """The objects that the API server has now, by resource."""
        found: dict[str, list[dict[str, Any]]] = self.api.call("snapshot")["objects"]
        return found

    def processes(self) -> list[int]:
        """The server's, the first one first."""
        return family(self.server.pid)

    def faults_told(self) -> list[str]:
        """Lines of the log that a program in order does not write."""
        text = self.log.read_text(errors="replace")
        return re.findall(r".*(?:Traceback|fault in the program|never retrieved|CRITICAL).*", text)
