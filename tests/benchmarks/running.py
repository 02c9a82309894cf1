"""One server as a process on a core of its own: what it uses, and until when it is waited for."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.workloads import Question

PATIENCE = 120.0  # seconds from a server's start until it is ready
GOODBYE = 10.0  # seconds until a server that was told to stop is killed

TYPES = {"A": 1, "PTR": 12, "AAAA": 28, "SRV": 33}


class Failed(Exception):
    """A measurement cannot be made; the message says why, with the end of the server's log."""


class Running(NamedTuple):
    """A server's processes, the port of 127.0.0.1 where it answers, and how many seconds it took to be ready."""

    process: subprocess.Popen[bytes]
    port: int
    ready_in: float = 0.0

    def cpu(self) -> float:
        """The seconds of CPU time that it has used, all threads and processes together."""
        return sum(_cpu(each) for each in family(self.process.pid))

    def peak_memory(self) -> float:
        """In MiB, of its first process."""
        return mebibytes(self.process.pid, "status", "VmHWM")

    def memory(self) -> float:
        """In MiB, all processes together, what they share counted once (PSS, proc(5))."""
        return sum(mebibytes(each, "smaps_rollup", "Pss") for each in family(self.process.pid))


def packet(question: Question, *, edns: bool = False) -> bytes:
    """A query with ID 0x1234, with the OPT record that dnsperf sends if it is told to."""
    name = b"".join(bytes((len(label),)) + label.encode() for label in question.name.split(".")) + b"\0"
    opt = b"\0\0\x29\x10\0\0\0\0\0\0\0" if edns else b""
    return (
        b"\x12\x34\1\0\0\1\0\0\0\0\0" + bytes((edns,)) + name + TYPES[question.type].to_bytes(2, "big") + b"\0\1" + opt
    )


def ask(port: int, question: Question, timeout: float = 1, *, edns: bool = False) -> bytes:
    """The reply; nothing if nobody listens yet, or nobody answers in time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout)
        udp.connect(("127.0.0.1", port))
        try:
            udp.send(packet(question, edns=edns))
            return udp.recv(65535)
        except OSError:
            return b""


def is_right(reply: bytes, question: Question) -> bool:
    """Whether the reply has the code, and as many records as the question deserves, as far as it is not truncated."""
    if len(reply) < 12:
        return False
    is_truncated, rcode, records = bool(reply[2] & 0x02), reply[3] & 0x0F, int.from_bytes(reply[6:8], "big")
    return rcode == question.rcode and (is_truncated or records == question.records)


def free_port() -> int:
    """A port that is free over UDP and TCP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        ):
            udp.bind(("127.0.0.1", 0))
            port = int(udp.getsockname()[1])
            try:
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def process(command: Sequence[str], cores: Sequence[int], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program on these cores; it has ended when the block is left, however it is left."""
    ours = os.sched_getaffinity(0)
    with log.open("wb") as output:
        os.sched_setaffinity(0, cores)  # inherited: no thread of it ever runs elsewhere
        try:
            running = subprocess.Popen(command, stdout=output, stderr=output)
        except OSError as error:
            raise Failed(f"{command[0]} cannot be started: {error.strerror}") from error
        finally:
            os.sched_setaffinity(0, ours)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGCONT)
        running.terminate()
        try:
            running.wait(GOODBYE)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def serving(
    command: Sequence[str], port: int, cores: Sequence[int], log: Path, ready: Sequence[Question]
) -> Iterator[Running]:
    """A server, from the moment on at which it has the right answer to all these questions. Raises Failed."""
    began = time.monotonic()
    with process(command, cores, log) as started:
        for question in ready:
            while not is_right(reply := ask(port, question, timeout=0.05), question):
                if started.poll() is not None or time.monotonic() > began + PATIENCE:
                    state = "does not answer" if started.returncode is None else f"ended with {started.returncode}"
                    told = " ".join(log.read_text(errors="replace")[-400:].split())
                    raise Failed(f"{state} to {question.name} {question.type} (last reply: {reply.hex()}): {told}")
                time.sleep(0.005)
        yield Running(started, port, time.monotonic() - began)


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    children = _said(pid, f"task/{pid}/children").split()
    return [pid, *(each for child in children for each in family(int(child)))]


def _said(pid: int, file: str) -> str:
    """What a file below /proc says of a process; nothing once it has ended."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu_times() -> list[int]:
    """What all processors did since the machine has started, in ticks: user, nice, system, idle, … (proc(5))."""
    return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]


def _cpu(pid: int) -> float:
    fields = _said(pid, "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # its own, and that of children who ended: proc(5)


def mebibytes(pid: int, file: str, key: str) -> float:
    """What a file below /proc says of a process under that key, in kB."""
    return sum(map(int, re.findall(rf"^{key}:\s+(\d+) kB", _said(pid, file), re.MULTILINE))) / 1024
