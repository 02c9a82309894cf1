"""Response rate limiting: a server that anybody can make send to anybody else must not send there without end.

Whoever forges a victim's address has much sent there for little. So responses are counted by the network that they go
to, and by what they say. In place of those that are too many, now and then one is sent that says nothing but that TCP
would tell more: a client that is really there comes again that way, and a forger can not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import names, wire
from clusterdns.around.networks import Networks, client_address
from clusterdns.around.reactions import worked_on
from clusterdns.queries import TC, FormatError, read_query
from clusterdns.records import Answer, Rcode
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.respond import Client, Reaction, Respond

MOST_ACCOUNTS = 50_000
"""Of networks that are remembered; when there are more, those go that were not asked for since half of them came."""

MOST_CLIENTS = 10_000
"""Addresses whose network is remembered."""

_ALL, _ANSWERS, _NXDOMAINS, _ERRORS = range(4)
_HAIR = 1e-6
"""Seconds, so that what is rounded in adding up is not too much."""


class RateLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Over UDP, how many responses a second go to one client network. 0: as many as are asked for."""

    answers: int = 0
    """Those that say something, or that a name has no such records."""

    nxdomains: int = 0
    """Those that say that there is no such name: more than that in a row are for made-up names."""

    errors: int = 0
    """All others, such as REFUSED and SERVFAIL."""

    all: int = 0
    """Of all kinds together; what is more than that is not even answered, nor asked upstream."""

    window_seconds: int = 15
    """For how long whoever asked too much has to ask less, at most."""

    slip: int = 2
    """Of the responses that are too many every so many is sent, truncated, so that real clients come again over TCP. 0:
    none is."""

    ipv4_prefix: int = 24
    """Bits: which addresses are one network. A victim's neighbours share its line."""

    ipv6_prefix: int = 56
    """The same for IPv6: what one customer gets."""

    exempt: tuple[str, ...] = ()
    """Networks that get as many as they ask for."""

    @property
    def is_on(self) -> bool:
        return bool(self.answers or self.nxdomains or self.errors or self.all)


class NotALimit(ValueError):
    """A limit that can not be kept."""


class Limiter:
    """What was sent to whom of late. Raises NotALimit.

    clock: seconds that only go up.
    """

    def __init__(self, given: RateLimit, clock: Callable[[], float]) -> None:
        for setting, value, lowest, highest in (
            ("answers", given.answers, 0, 1_000_000),
            ("nxdomains", given.nxdomains, 0, 1_000_000),
            ("errors", given.errors, 0, 1_000_000),
            ("all", given.all, 0, 1_000_000),
            ("window-seconds", given.window_seconds, 1, 3600),
            ("slip", given.slip, 0, 10),
            ("ipv4-prefix", given.ipv4_prefix, 1, 32),
            ("ipv6-prefix", given.ipv6_prefix, 1, 128),
        ):
            if not lowest <= value <= highest:
                raise NotALimit(f"{setting}: {value} is not between {lowest} and {highest}")
        try:
            self._exempt = Networks(given.exempt)
        except ValueError as error:
            raise NotALimit(f"exempt: {error}") from error
        self._given = given
        self._clock = clock
        self._rates = (given.all, given.answers, given.nxdomains, given.errors)
        self._networks: dict[str, int | None] = {}
        self._accounts: dict[int, float] = {}
        """By network and kind, when as much may be sent again as if nothing had been."""
        self._former: dict[int, float] = {}
        self.dropped = 0
        self.slipped = 0

    def limited(self, respond: Respond, slip: Callable[[bytes], bytes | None]) -> Respond:
        """The responder, within the limits.

        slip: makes what is sent in place of some of the responses that are too many.
        """

        def within_limits(packet: bytes, client: Client) -> Reaction:
            known = self._networks.get(client[0], -1)
            network = self._network(client[0]) if known == -1 else known
            if network is None:
                return respond(packet, client)
            if self._rates[_ALL] and self._is_too_much(network, _ALL):
                return self._instead(packet, slip)
            reaction = respond(packet, client)
            if isinstance(reaction, bytes):
                return reaction if self._is_fine(network, reaction) else self._instead(packet, slip)
            return worked_on(
                reaction, lambda reply: reply if self._is_fine(network, reply) else self._instead(packet, slip)
            )

        return within_limits

    def _is_fine(self, network: int, reply: bytes) -> bool:
        rcode = reply[3] & 0xF
        kind = _ANSWERS if rcode == Rcode.NOERROR else _NXDOMAINS if rcode == Rcode.NXDOMAIN else _ERRORS
        return not self._rates[kind] or not self._is_too_much(network, kind)

    def _is_too_much(self, network: int, kind: int) -> bool:
        """Count one more response.

        A network may be sent a second's worth at once, and what it asks for beyond that is counted too, as far as the
        window goes.
        """
        key = network << 2 | kind
        now = self._clock()
        settled_at = self._accounts.get(key)
        if settled_at is None:
            if len(self._accounts) >= MOST_ACCOUNTS // 2:
                self._former, self._accounts = self._accounts, {}
            settled_at = self._former.get(key, now)
        settled_at = max(settled_at, now) + 1 / self._rates[kind]
        self._accounts[key] = min(settled_at, now + 1 + self._given.window_seconds)
        return settled_at > now + 1 + _HAIR

    def _instead(self, packet: bytes, slip: Callable[[bytes], bytes | None]) -> bytes | None:
        self.dropped += 1
        if not self._given.slip or self.dropped % self._given.slip:
            return None
        self.slipped += 1
        return slip(packet)

    def _network(self, text: str) -> int | None:
        """A number for the client's network, or None if it is exempt."""
        if len(self._networks) >= MOST_CLIENTS:
            self._networks.clear()
        packed = names.address(text.partition("%")[0]) or bytes(4)
        bits = self._given.ipv4_prefix if len(packed) == 4 else self._given.ipv6_prefix
        found: int | None = int.from_bytes(packed, "big") >> 8 * len(packed) - bits << 1 | (len(packed) == 16)
        if self._given.exempt and self._exempt.hold(client_address(names.address_text(packed))):
            found = None
        self._networks[text] = found
        return found


def truncated(packet: bytes) -> bytes | None:
    """A reply that says nothing but that TCP would tell more."""
    try:
        query = read_query(packet)
    except FormatError:
        return None
    if query.is_response:
        return None
    reply = wire.encode(query, Answer(authoritative=False), None, Dialect()).to(packet, query.name_end)
    return reply[:2] + bytes((reply[2] | TC >> 8,)) + reply[3:]
