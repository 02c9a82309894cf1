"""The server as a process, for tests that wait for other programs, or kill and stop it by signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tests.apiserver.certificates import Certificate

if TYPE_CHECKING:
    from types import TracebackType

REPOSITORY = Path(__file__).parents[2]


class Process:
    """`with Process("--objects", folder) as api`: api.url, and `api.call("cut", resource="services")` for the rest.

    ca and client: with --tls, what to trust, and a client's certificate.
    """

    def __init__(self, *arguments: object) -> None:
        self._command = [sys.executable, "-m", "tests.apiserver", *map(str, arguments)]
        self._ports: list[str] = []
        self.start()

    def start(self) -> None:
        """Run it; after kill, again, on the same ports. It has what it had if --state names a file."""
        self.process = subprocess.Popen(
            [*self._command, *self._ports], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait()}"
        said = json.loads(line)
        self.url, self._admin = said["url"], said["admin"]
        port, admin_port = (str(urlsplit(each).port) for each in (self.url, self._admin))
        self._ports = ["--port", port, "--admin-port", admin_port]
        self.ca = Path(said["ca"]) if "ca" in said else None
        self.client = Certificate(Path(said["certificate"]), Path(said["key"])) if "key" in said else None

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """What ApiServer or its Access has by this name."""
        body = json.dumps({"arguments": arguments, **named}).encode()
        request = Request(f"{self._admin}/{method}", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=90) as reply:
            return json.load(reply)

    def pause(self) -> None:
        """The kernel still takes connections; nobody answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
