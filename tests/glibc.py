"""glibc's resolver as the judge of ours: what it reads in a resolv.conf, and what it asks for.

Run as a program it is that resolver, in a process of its own, since it is told by the environment and by /etc.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

CLASS_IN = TYPE_A = 1


class _State(ctypes.Structure):
    """struct __res_state of <resolv.h>, as 64-bit systems have it."""

    _fields_ = [
        ("retrans", ctypes.c_int),
        ("retry", ctypes.c_int),
        ("options", ctypes.c_ulong),
        ("nscount", ctypes.c_int),
        ("nsaddr_list", ctypes.c_char * 16 * 3),
        ("id", ctypes.c_ushort),
        ("dnsrch", ctypes.c_char_p * 7),
        ("defdname", ctypes.c_char * 256),
        ("pfcode", ctypes.c_ulong),
        ("ndots", ctypes.c_uint, 4),
        ("flags", ctypes.c_uint, 28),
        ("sort_list", ctypes.c_uint32 * 2 * 10),
        ("hooks", ctypes.c_void_p * 2),
        ("res_h_errno", ctypes.c_int),
        ("vcsock", ctypes.c_int),
        ("more_flags", ctypes.c_uint),
        ("nscounts", ctypes.c_uint16 * 4),
        ("nssocks", ctypes.c_int * 3),
        ("nscount6", ctypes.c_uint16 * 2),
        ("nsaddrs", ctypes.POINTER(ctypes.c_char * 28) * 3),
        ("rest", ctypes.c_char * 64),
    ]


def _resolver() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if ctypes.sizeof(ctypes.c_void_p) == 8 and hasattr(libc, "__res_ninit") else None


needs_glibc = pytest.mark.skipif(_resolver() is None, reason="this machine's C library is another")


def asked(name: str, *, port: int, search: Sequence[str], ndots: int) -> None:
    """Have glibc search for the A records of a name, at a server on 127.0.0.1 that sees what it does."""
    environment = {"LOCALDOMAIN": " ".join(search), "RES_OPTIONS": f"ndots:{ndots} timeout:1 attempts:1"}
    command = [sys.executable, __file__, "search", name, str(port)]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=60)


def read(texts: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """What glibc reads in each of these as its /etc/resolv.conf, in a mount namespace of its own."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("a mount namespace takes root, and unshare")
    (folder / "texts.json").write_text(json.dumps(texts))
    (folder / "resolv.conf").touch()
    mount = (
        f"mount --bind {folder}/resolv.conf /etc/resolv.conf || exit 77; exec {sys.executable} {__file__} read {folder}"
    )
    command = [unshare, "--mount", "sh", "-c", mount]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if not ran.stdout and "Traceback" not in ran.stderr:
        pytest.skip(f"no namespace to be had here: {ran.stderr.strip()}")
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def _state(libc: ctypes.CDLL) -> _State:
    state = _State()
    if getattr(libc, "__res_ninit")(ctypes.byref(state)):
        raise OSError("res_ninit failed")
    return state


def _search(libc: ctypes.CDLL, name: str, port: int) -> None:
    state = _state(libc)
    server = pack("=H", socket.AF_INET) + pack("!H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    ctypes.memmove(state.nsaddr_list[0], server, len(server))
    state.nscount = 1
    search = getattr(libc, "res_nsearch", None) or getattr(ctypes.CDLL("libresolv.so.2"), "__res_nsearch")
    search(ctypes.byref(state), name.encode(), CLASS_IN, TYPE_A, ctypes.create_string_buffer(4096), 4096)


def _read(libc: ctypes.CDLL, folder: Path) -> list[dict[str, Any]]:
    found = []
    for number, text in enumerate(json.loads((folder / "texts.json").read_text())):
        (folder / "resolv.conf").write_text(text)
        os.utime(folder / "resolv.conf", (number, number))  # by which glibc sees that it has changed
        state = _state(libc)
        found.append(
            {
                "nameservers": [_nameserver(state, each) for each in range(state.nscount)],
                "search": [each.decode() for each in state.dnsrch if each is not None],
                "ndots": state.ndots,
                "timeout": state.retrans,
                "attempts": state.retry,
            }
        )
    return found


def _nameserver(state: _State, number: int) -> str:
    ipv4 = ctypes.string_at(state.nsaddr_list[number], 16)
    if int.from_bytes(ipv4[:2], sys.byteorder) == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, ipv4[4:8])
    ipv6 = state.nsaddrs[number].contents.raw
    scope = int.from_bytes(ipv6[24:28], sys.byteorder)
    return socket.inet_ntop(socket.AF_INET6, ipv6[8:24]) + (f"%{socket.if_indextoname(scope)}" if scope else "")


if __name__ == "__main__":
    resolver = _resolver()
    assert resolver is not None
    match sys.argv[1:]:
        case ["search", name, port]:
            _search(resolver, name, int(port))
        case ["read", folder]:
            json.dump(_read(resolver, Path(folder)), sys.stdout)
