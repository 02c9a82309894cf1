"""One upstream: a question goes out, over UDP or a stream, and what comes back is held against it."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.durations import Durations
from clusterdns.forward.datagrams import Datagram
from clusterdns.forward.streams import KEPT_SECONDS, Pending, Streams
from clusterdns.names import Name
from clusterdns.queries import HEADER, OPCODE, QR, TC, Edns, FormatError, write_query
from clusterdns.records import Question, Rcode
from clusterdns.responses import read_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.forward.address import UpstreamAddress
    from clusterdns.responses import Response

UDP_SIZE = 1232
"""What we take over UDP, in bytes: what passes every network whole (DNS flag day 2020)."""

PLAIN_SECONDS = 600.0
"""How long an upstream that did not know EDNS is asked without."""

DURATION_BOUNDS = tuple(0.00025 * 2**power for power in range(16))
"""Seconds; those of CoreDNS, so that dashboards can add up both."""


class Asked(Struct, frozen=True):
    """A question as it goes upstream."""

    question: Question
    flags: int
    """RD, CD and AD of the header."""
    dnssec_ok: bool = False
    options: bytes = b""
    """Of EDNS."""


class Manner(Struct, frozen=True):
    """How upstreams are asked."""

    random_letter_case: bool = False
    """Whether the question's letters are in random case, which the response has to repeat (0x20)."""
    force_tcp: bool = False
    tls: ssl.SSLContext | None = None
    most_failures: int = 2
    """In a row, until an upstream is left out. 0: none ever is."""
    probe_seconds: float = 0.5
    """The first pause between the probes of one that failed."""
    probe_recursive: bool = True
    """Whether probes ask for recursion."""
    probe_domain: Name | None = None
    """Probes ask for names below it; below the zone that the upstream is for if it is not set."""
    kept_seconds: float = KEPT_SECONDS
    """How long a connection is kept for the next query."""


class Tally:
    """What became of the questions to an upstream. They go on being counted here when it is set up anew."""

    def __init__(self) -> None:
        self.durations: dict[int, Durations] = {}
        """Of its responses, by their rcode."""
        self.failed = 0
        """Questions without a response."""
        self.probes_failed = 0

    def note_response(self, rcode: int, seconds: float) -> None:
        durations = self.durations.get(rcode)
        if durations is None:
            durations = self.durations[rcode] = Durations(*DURATION_BOUNDS)
        durations.observe(seconds)


class Upstream:
    """An upstream, and how it is doing."""

    def __init__(self, address: UpstreamAddress, manner: Manner, tally: Tally | None = None) -> None:
        self.address = address
        self.tally = tally or Tally()
        self.manner = manner
        self.streams = Streams(address, manner.tls if address.tls else None, manner.kept_seconds)
        self.failures = 0
        """In a row."""
        self.is_looping = False
        """Whether what it is asked comes back to this server."""
        self.plain_until = 0.0

    def __str__(self) -> str:
        return str(self.address)

    @property
    def is_down(self) -> bool:
        return 0 < self.manner.most_failures <= self.failures

    def close(self) -> None:
        self.streams.close()


class Try:
    """One question to one upstream, until it answers or cannot.

    answered, failed: told how it ended, the latter with a reason in words; never before `start` returns.
    """

    def __init__(
        self,
        upstream: Upstream,
        asked: Asked,
        answered: Callable[[Try, Response], None],
        failed: Callable[[Try, str], None],
    ) -> None:
        self.upstream = upstream
        self.is_over_stream = False
        """Whether it came to that: over UDP the response was truncated, or not to be had."""
        self._loop = asyncio.get_running_loop()
        self._asked = asked
        self._answered = answered
        self._failed = failed
        self._name = asked.question.name
        self._query = b""
        self._sent_edns = False
        self._is_plain_again = False
        """Whether it is asked again without EDNS."""
        self._exchange: Datagram | Pending | None = None
        self._cut: Response | None = None
        """A truncated response, for when nothing better can be had."""
        self.started = self._loop.time()

    def start(self) -> None:
        upstream = self.upstream
        self._write(plain=self.started < upstream.plain_until)
        if upstream.address.tls or upstream.manner.force_tcp:
            self._ask_over_stream()
        else:
            self._ask_over_udp()

    def close(self) -> None:
        """There is no more need for an answer."""
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    def _write(self, *, plain: bool) -> None:
        self._sent_edns = not plain
        if self.upstream.manner.random_letter_case:
            self._name = in_random_case(self._asked.question.name)
        edns = None if plain else Edns(UDP_SIZE, dnssec_ok=self._asked.dnssec_ok, options=self._asked.options)
        self._query = write_query(0, self._name, self._asked.question, self._asked.flags, edns)

    def _ask_over_udp(self) -> None:
        address = self.upstream.address
        self._exchange = Datagram((address.host, address.port), self._query, self._take, self._fail)

    def _ask_over_stream(self) -> None:
        self.is_over_stream = True
        self._exchange = self.upstream.streams.ask(self._query, self._take, self._fail)

    def _take(self, packet: bytes) -> bool:
        """Whether this is a response to the question, in which case the exchange that it came over is done."""
        is_about_it = self._is_about_the_question(packet)
        if self._sent_edns and _knows_no_edns(packet) and (is_about_it or packet[4:6] == b"\0\0"):
            self._is_plain_again = True
            self._write(plain=True)
            if isinstance(self._exchange, Datagram):
                self._ask_over_udp()
            else:
                self._ask_over_stream()
            return True
        if not is_about_it:
            return False
        try:
            response = read_response(packet, self._asked.question)
        except FormatError:
            if not int.from_bytes(packet[2:4], "big") & TC or not isinstance(self._exchange, Datagram):
                return False
            response = None  # cut in the middle of a record
        if isinstance(self._exchange, Datagram) and (response is None or response.is_truncated):
            self._cut = response
            self._ask_over_stream()
            return True
        if response is None:
            return False
        self._exchange = None
        if self._is_plain_again and response.rcode not in (Rcode.FORMERR, Rcode.NOTIMP):
            self.upstream.plain_until = self._loop.time() + PLAIN_SECONDS  # it was EDNS indeed that it minded
        self._answered(self, response)
        return True

    def _is_about_the_question(self, packet: bytes) -> bool:
        """RFC 5452 section 9.1; the ID was looked at, and the address."""
        start = HEADER + len(self._name)
        flags = int.from_bytes(packet[2:4], "big")
        echoed = packet[HEADER:start]
        if not self.upstream.manner.random_letter_case:
            echoed = echoed.lower()
        return (
            flags & (QR | OPCODE) == QR
            and packet[4:6] == b"\0\1"
            and echoed == self._name
            and packet[start : start + 4] == self._query[start : start + 4]
        )

    def _fail(self, why: str) -> None:
        self._exchange = None
        if self._cut is not None:
            self._answered(self, self._cut)
        else:
            self._failed(self, why)


def _knows_no_edns(packet: bytes) -> bool:
    """Whether a response says so: an error that has no OPT record (RFC 6891 section 7); a bare header is one too."""
    flags = int.from_bytes(packet[2:4], "big")
    return bool(flags & QR) and flags & 0xF in (Rcode.FORMERR, Rcode.NOTIMP) and packet[10:12] == b"\0\0"


def in_random_case(name: bytes) -> bytes:
    """The name with each letter in upper or lower case; the lengths of labels are no letters."""
    flips = secrets.token_bytes(len(name))
    return bytes([byte ^ flip & 0x20 if 97 <= byte <= 122 else byte for byte, flip in zip(name, flips, strict=True)])
