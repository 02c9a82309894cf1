"""Asks upstream for what is not ours.

    address -> datagrams, streams -> upstream -> asking -> health -> forwarder
    host: the upstreams that the host's resolv.conf names

A question goes to the upstreams of the zone that its name is in, one after the other, until one answers.
"""

from clusterdns.forward.address import UpstreamAddress, host_and_port
from clusterdns.forward.address import parse as parse_address
from clusterdns.forward.asking import Patience
from clusterdns.forward.forwarder import Forwarder, Policy, Route, Tallies
from clusterdns.forward.host import HostResolver
from clusterdns.forward.upstream import DURATION_BOUNDS, Asked, Manner, Tally

__all__ = [
    "DURATION_BOUNDS", "Asked", "Forwarder", "HostResolver", "Manner", "Patience", "Policy", "Route", "Tallies",
    "Tally", "UpstreamAddress", "host_and_port", "parse_address",
]  # fmt: skip
