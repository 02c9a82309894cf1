"""`transfer`: who may have whole zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.corefile.keys import DNS_PORT
from clusterdns.corefile.settings import Settings, zone_texts
from clusterdns.corefile.words import shown
from clusterdns.forward import host_and_port
from clusterdns.transfers import EVERYBODY, Rule, Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading


def transfer(readings: Sequence[Reading], around: Surroundings) -> Settings:
    rules = []
    for reading in readings:
        zones = zone_texts(reading.zones(reading.words) if reading.words else around.zones)
        to = [client for line in reading.lines() for client in _clients(line)]
        if not to:
            reading.fault("expected `to` and addresses in its block")
        rules.append({"zones": zones, "to": to})
        reading.understood(f"{', '.join(zones)} to {', '.join(to)}")
    return {"transfer.rules": rules}


def _clients(line: Reading) -> list[str]:
    """Addresses, with a port or without, networks, and `*`."""
    if line.keyword != "to":
        line.unsupported()
        return []
    found = []
    for word in line.words if line.count("at least one address", 1) else ():
        try:
            found.append(_client(word))
            if word != EVERYBODY and "/" not in word:
                line.warn(
                    f"{shown(word)} is not notified of changes: a secondary looks after the time of its SOA record"
                )
        except ValueError:
            line.fault(f"expected an address, a network or *, not {shown(word)}")
    return found


def _client(word: str) -> str:
    """Raises ValueError."""
    client = word if word == EVERYBODY or "/" in word else host_and_port(word, DNS_PORT)[0]
    Rules([Rule(to=(client,))])
    return client
