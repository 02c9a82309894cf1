"""Probes as a kubelet makes them, where there is no kubelet.

    Probe  ->  asking                          ->  Course                  ->  Probing  ->  Readiness, told
    what       http_get, tcp_socket,               what an outcome leads       when, and
    to ask     grpc_health: one Outcome            to, and when to ask next    how many at once

It knows of pods only what they are called. `manifests` says what to probe, and makes endpoints of what comes of it.
"""

from clusterdns.probes.asking import prepare
from clusterdns.probes.host_names import HostNames
from clusterdns.probes.probe import (
    Checks,
    GrpcHealth,
    HttpGet,
    NoPort,
    Probe,
    Readiness,
    Request,
    TcpSocket,
    Watched,
    is_address,
    with_port,
)
from clusterdns.probes.probing import Probing

__all__ = [
    "Checks",
    "GrpcHealth",
    "HostNames",
    "HttpGet",
    "NoPort",
    "Probe",
    "Probing",
    "Readiness",
    "Request",
    "TcpSocket",
    "Watched",
    "is_address",
    "prepare",
    "with_port",
]
