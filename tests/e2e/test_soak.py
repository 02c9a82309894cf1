"""A short soak: all its clients, changes and faults."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def soak(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.soak", "--rate", "100", *arguments]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class TestSoak:
    def test_a_server_stays_well(self) -> None:
        """With two workers, which one process watches for: the other tests here have one."""
        with soak("--minutes", "0.15", "--seed", "7", "--workers", "2") as running:
            told, progress = running.communicate(timeout=110)
        assert running.returncode == 0, told + progress
        assert told.rstrip().endswith("well")
        assert "| wrong |" not in told

    def test_an_interrupt_ends_it_with_what_was_seen(self) -> None:
        with soak("--minutes", "5", "--seed", "7") as running:
            assert running.stderr is not None
            assert "seed 7" in running.stderr.readline()
            begun = time.monotonic()
            while "queries over UDP" not in running.stderr.readline():
                assert time.monotonic() < begun + 60
            running.send_signal(signal.SIGINT)
            told, _ = running.communicate(timeout=100)
        assert "| over UDP |" in told

    def test_wrong_use_is_a_line(self) -> None:
        with soak("--minutes", "0") as running:
            _, told = running.communicate(timeout=30)
        assert running.returncode == 2
        assert told.splitlines()[-1].endswith("all of them are more than 0, and minutes at most a day's")
