"""A process that is started with CoreDNS's flags."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from serving import COMMAND, ENVIRONMENT, REPOSITORY, dig, eventually, free_port, run

if TYPE_CHECKING:
    from pathlib import Path

COREFILE = """
example {
    bind 127.0.0.1
    hosts {
        192.0.2.1 a.example
    }
}
"""


def test_from_standard_input_on_another_port_quietly_with_a_pid_file(tmp_path: Path) -> None:
    port, pid_file = free_port(), tmp_path / "pid"
    with (tmp_path / "log").open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "-conf", "stdin", "-dns.port", str(port), "-pidfile", str(pid_file), "-quiet", "-v=3"],
            cwd=REPOSITORY,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        assert process.stdin
        process.stdin.write(COREFILE.encode())
        process.stdin.close()
        eventually(lambda: pid_file.exists() and pid_file.read_text() == f"{process.pid}\n", "a pid file")
        assert dig("@127.0.0.1", "-p", port, "a.example").answer == ["a.example. 3600 IN A 192.0.2.1"]
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert not pid_file.exists()
    assert (tmp_path / "log").read_text() == "clusterdns: -v: it does nothing here\n"


def test_a_pid_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "Corefile").write_text(COREFILE)
    file = tmp_path / "nowhere" / "pid"
    ran = run(*COMMAND, "-conf", tmp_path / "Corefile", "-p", free_port(), "-pidfile", file, "-quiet")
    assert ran.returncode == 2
    assert ran.stderr == f"clusterdns: --pid-file: {file}: No such file or directory\n"
