"""The README's sessions: what it prints is what a reader gets."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from serving import COMMAND, ENVIRONMENT, EXAMPLE

if TYPE_CHECKING:
    from tests.e2e.serving import Serving

README = Path(__file__).parents[2] / "README.md"
READING = ("services", "endpoints", "env", "explain")
ASKING = (
    "dig @127.0.0.1 -p 1053", "nslookup -port=1053", "clusterdns lookup", "clusterdns resolv-conf",
    *(f"clusterdns {each} " for each in READING),
)  # fmt: skip


def sessions() -> list[tuple[str, list[str]]]:
    """Each command that asks the example, and the lines that are printed below it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.strip().splitlines()
            if command.startswith(ASKING):
                found.append((command, [line for line in lines if line.strip() not in ("", "…")]))
    return found


def comparable(line: str) -> str:
    """Without what differs each time: an ID, a serial; and without the width of the columns."""
    line = re.sub(r"id: \d+", "id", line)
    line = re.sub(r"[\d.]+ ms", "some ms", line)
    line = re.sub(r"(hostmaster\.cluster\.local\.) \d+", r"\1 serial", line)
    return " ".join(line.split())


def test_there_are_sessions() -> None:
    assert len(sessions()) > 8


@pytest.mark.parametrize(("command", "printed"), sessions(), ids=[command for command, _ in sessions()])
def test_the_output_is_the_real_one(example: Serving, command: str, printed: list[str]) -> None:
    name, *arguments = shlex.split(command.replace("1053", str(example.port)))
    program = [*COMMAND, *arguments] if name == "clusterdns" else [name, *arguments]
    if arguments[0] == "lookup":
        program += ["--server", f"127.0.0.1:{example.port}"]
    if arguments[0] in READING:
        program += ["--manifests", str(EXAMPLE)]
    if arguments[0] == "explain":
        program += ["--upstream", "none"]
    run = subprocess.run(program, capture_output=True, text=True, timeout=20, check=False, env=ENVIRONMENT)
    assert (run.returncode, run.stderr) in ((0, ""), (1 if arguments[0] == "explain" else 0, ""))
    lines = {comparable(line.replace(str(example.port), "1053")) for line in run.stdout.splitlines()}
    assert [line for line in printed if comparable(line) not in lines] == []
