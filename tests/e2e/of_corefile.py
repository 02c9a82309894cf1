"""A server that was started with a Corefile, as CoreDNS is: `clusterdns -conf FILE`."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serving import COMMAND, ENVIRONMENT, REPOSITORY, eventually, free_port

from tests.upstreams import ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    import dns.message


class OfCorefile:
    """Its server blocks' keys have PORT for the port; each of them listens on 127.0.0.1 unless it says otherwise."""

    def __init__(self, folder: Path, text: str, arguments: Sequence[object] = ()) -> None:
        self.address = ("127.0.0.1", free_port())
        self.file = folder / "Corefile"
        self._log = folder / "log"
        self.file.write_text(text.replace("PORT", f"{self.address[1]}"))
        with self._log.open("wb") as stderr:
            command = [*COMMAND, "-conf", str(self.file), *map(str, arguments)]
            self.process = subprocess.Popen(command, cwd=REPOSITORY, env=ENVIRONMENT, stderr=stderr)
        try:
            eventually(lambda: self.process.poll() is not None or "listening on" in self.log, "listening")
            assert self.process.poll() is None, self.log
        except BaseException:
            self.kill()
            raise

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ask(self, name: str, rtype: str = "A", **options: Any) -> dns.message.Message:
        return ask(self.address, name, rtype, **options)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def of_corefile(folder: Path, text: str, *arguments: object) -> Iterator[OfCorefile]:
    """From its start to its end, which is a good one."""
    started = OfCorefile(folder, text, arguments)
    try:
        yield started
        started.process.terminate()
        assert started.process.wait(10) == 0, started.log
        assert "Traceback" not in started.log, started.log
    finally:
        started.kill()
