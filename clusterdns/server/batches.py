"""Many datagrams in one system call: recvmmsg(2) and sendmmsg(2), which Python's sockets do not have.

Each datagram has a slot: where the kernel puts it, its sender and where it was sent to. The reply is put into the same
slot, so the kernel finds all that it needs where it left it: sender and destination become destination and source.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import sys
from itertools import groupby
from struct import Struct
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from clusterdns.server.replies import Client

Ancillary: TypeAlias = "list[tuple[int, int, bytes]]"

SLOT = 4096
"""Bytes of a query that are read, and of a reply that are sent from its slot."""

_GAP = 64
"""Bytes between slots: at a distance of whole pages they would all share a few lines of the processor's cache."""

_SENDER = 32
_ANCILLARY = 64
_MOST_HOSTS = 10_000

_WORD = 4
_SIZE: Literal["L"] = "L"  # a size_t, as long as a pointer wherever there is Linux
_NOTHING_WAITS = (errno.EAGAIN, errno.EWOULDBLOCK)
_NO_INTERFACE = bytes(4)
_SOCKADDR_IN = Struct(f"!2xH4s{_SENDER - 8}x")
_SOCKADDR_IN6 = Struct(f"!2xHI16s4s{_SENDER - 28}x")
_CMSGHDR = Struct("@Nii")


class _Vector(ctypes.Structure):
    """struct iovec"""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    """struct msghdr"""

    _fields_ = [
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]  # fmt: skip


class _Message(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = [("header", _Header), ("length", ctypes.c_uint32)]


def _calls() -> tuple[ctypes._NamedFuncPointer, ctypes._NamedFuncPointer] | None:
    """None where there are none: they are Linux's."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    try:
        receive, send = library.recvmmsg, library.sendmmsg
    except AttributeError:
        return None
    receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    return receive, send


_CALLS = _calls()

ARE_THERE = _CALLS is not None
"""Whether this system has them."""


class _Hosts(dict[bytes, str]):
    """Addresses as text, of those who have asked of late."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self._family = family

    def __missing__(self, packed: bytes) -> str:
        if len(self) >= _MOST_HOSTS:
            self.clear()
        found = self[packed] = socket.inet_ntop(self._family, packed)
        return found


class Batch:
    """The slots of one non-blocking UDP socket.

    with_destinations: whether it is bound to every address, so that each reply has to leave from the one that was
        asked.
    """

    def __init__(self, udp: socket.socket, size: int, *, with_destinations: bool) -> None:
        assert _CALLS is not None  # noqa: S101 - whoever asks for a batch has looked
        self._receive, self._send = _CALLS
        self._socket = udp
        self._size = size
        self._is_ipv6 = udp.family == socket.AF_INET6
        self._with_destinations = with_destinations
        stride = SLOT + _GAP
        self._slots = ctypes.create_string_buffer(size * stride)
        self._senders = ctypes.create_string_buffer(size * _SENDER)
        self._ancillary = ctypes.create_string_buffer(size * _ANCILLARY)
        self._vectors = (_Vector * size)()
        self._messages = (_Message * size)()
        for at, (vector, message) in enumerate(zip(self._vectors, self._messages, strict=True)):
            header = message.header
            vector.base, vector.length = ctypes.addressof(self._slots) + at * stride, SLOT
            header.name, header.name_length = ctypes.addressof(self._senders) + at * _SENDER, _SENDER
            header.vectors, header.vector_count = ctypes.addressof(self._vectors[at]), 1
            if with_destinations:
                header.control = ctypes.addressof(self._ancillary) + at * _ANCILLARY
                header.control_length = _ANCILLARY
        self._starts = range(0, size * stride, stride)
        self._data = memoryview(self._slots).cast("B")
        self._told = memoryview(self._ancillary).cast("B")
        self._headers, self._fresh_headers = memoryview(self._messages).cast("B"), bytes(self._messages)
        self._parts, self._fresh_parts = memoryview(self._vectors).cast("B"), bytes(self._vectors)
        words = self._headers.cast("I")
        self._lengths = words[_Message.length.offset // _WORD :: ctypes.sizeof(_Message) // _WORD]
        self._reply_lengths = self._parts.cast(_SIZE)[1::2]
        self._hosts = _Hosts(udp.family)

    def receive(self) -> list[tuple[bytes, Client]]:
        """What has come, and from whom, as many as there are slots at most; none if nothing waits.

        Raises OSError for what an earlier reply met on its way, such as an unreachable port.
        """
        self._headers[:], self._parts[:] = self._fresh_headers, self._fresh_parts
        count = self._receive(self._socket.fileno(), self._messages, self._size, 0, None)
        if count < 0:
            error = ctypes.get_errno()
            if error in _NOTHING_WAITS:
                return []
            raise OSError(error, "recvmmsg")
        if self._with_destinations:
            self._name_sources(count)
        data, hosts = self._data, self._hosts
        lengths = self._lengths[:count].tolist()
        if self._is_ipv6:
            ipv6 = zip(self._starts, lengths, _SOCKADDR_IN6.iter_unpack(self._senders), strict=False)
            return [
                (data[at : at + length].tobytes(), (hosts[host], port, flow, int.from_bytes(scope, sys.byteorder)))
                for at, length, (port, flow, host, scope) in ipv6
            ]
        ipv4 = zip(self._starts, lengths, _SOCKADDR_IN.iter_unpack(self._senders), strict=False)
        return [(data[at : at + length].tobytes(), (hosts[host], port)) for at, length, (port, host) in ipv4]

    def source(self, at: int) -> Ancillary:
        """Where a reply to the datagram in this slot comes from, for who sends it by itself; empty: as usual."""
        start = at * _ANCILLARY
        length, level, kind = _CMSGHDR.unpack_from(self._told, start)
        if length <= _CMSGHDR.size:
            return []
        return [(level, kind, self._told[start + _CMSGHDR.size : start + length].tobytes())]

    def _name_sources(self, count: int) -> None:
        """Let replies come from where their queries were sent to; by which interface is the routing table's choice.

        That of an address that means something on one link only stays (ip(7), RFC 3542 section 4).
        """
        told = self._told
        for start in range(0, count * _ANCILLARY, _ANCILLARY):
            at = start + _CMSGHDR.size
            if not self._is_ipv6:
                told[at : at + 4] = told[at + 8 : at + 12] = _NO_INTERFACE
            elif not (told[at] == 0xFE and told[at + 1] & 0xC0 == 0x80):
                told[at + 16 : at + 20] = _NO_INTERFACE

    def send(self, replies: dict[int, bytes]) -> None:
        """Send replies to what is in these slots, in their order. UDP may lose some; their clients ask again."""
        data, starts, lengths = self._data, self._starts, self._reply_lengths
        for at, reply in replies.items():
            start, length = starts[at], len(reply)
            data[start : start + length] = reply
            lengths[at] = length
        if len(replies) == 1 + max(replies) - min(replies):
            self._send_run(min(replies), len(replies))
            return
        for _, run in groupby(enumerate(replies), lambda each: each[1] - each[0]):
            slots = [at for _, at in run]
            self._send_run(slots[0], len(slots))

    def _send_run(self, first: int, count: int) -> None:
        number, messages = self._socket.fileno(), ctypes.addressof(self._messages)
        while count > 0:
            sent = self._send(number, messages + first * ctypes.sizeof(_Message), count, 0)
            done = max(sent, 1)  # one that can not be sent is lost, and the next ones go on
            first, count = first + done, count - done
