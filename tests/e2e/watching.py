"""A command that goes on, such as `endpoints --watch`."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

from serving import COMMAND, ENVIRONMENT, REPOSITORY, eventually

if TYPE_CHECKING:
    from pathlib import Path


class Watching:
    """A command that goes on, and what it has printed so far."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._output, self._errors = folder / "output", folder / "errors"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=REPOSITORY, env=ENVIRONMENT, stdout=output, stderr=errors
            )

    @property
    def lines(self) -> list[str]:
        return self._output.read_text().splitlines()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def until(self, *lines: str) -> None:
        """What it has printed, and no more; two spaces or more count as two."""
        eventually(lambda: [re.sub(r"  +", "  ", each) for each in self.lines] == [*lines], f"{lines} in {self.lines}")

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
