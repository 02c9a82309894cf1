"""What each directive means, one file a group: words -> settings.

    kubernetes   the cluster, and autopath
    k8s_external names for the outside of the cluster
    forward      the upstreams
    cache, hosts
    zone_files   file, auto
    transfer     who may have whole zones
    view         which queries a block is for
    acl, rewrite, template, dns64
    listening    addresses, sizes, certificates
    watching     health, readiness, metrics, logs, and what goes without saying

A directive that stands in none of the tables here is not supported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from clusterdns.corefile.directives.acl import acl
from clusterdns.corefile.directives.cache import cache
from clusterdns.corefile.directives.dns64 import dns64
from clusterdns.corefile.directives.forward import forward
from clusterdns.corefile.directives.hosts import hosts
from clusterdns.corefile.directives.k8s_external import k8s_external
from clusterdns.corefile.directives.kubernetes import autopath, kubernetes
from clusterdns.corefile.directives.listening import bind, bufsize, root, timeouts, tls
from clusterdns.corefile.directives.replies import header, loadbalance, local, whoami
from clusterdns.corefile.directives.rewrite import rewrite
from clusterdns.corefile.directives.surroundings import Surroundings, within
from clusterdns.corefile.directives.template import template
from clusterdns.corefile.directives.transfer import transfer
from clusterdns.corefile.directives.view import view
from clusterdns.corefile.directives.watching import (
    any_type,
    chaos,
    errors,
    health,
    ignored,
    log,
    loop,
    minimal,
    nsid,
    prometheus,
    ready,
    reload,
)
from clusterdns.corefile.directives.zone_files import auto, file
from clusterdns.corefile.reading import Reading
from clusterdns.corefile.settings import Settings

Once: TypeAlias = Callable[[Reading, Surroundings], Settings]
Often: TypeAlias = Callable[[Sequence[Reading], Surroundings], Settings]

ONCE: Mapping[str, Once] = {
    "any": any_type, "autopath": autopath, "bufsize": bufsize, "cache": cache, "chaos": chaos, "dns64": dns64,
    "errors": errors, "header": header, "health": health, "hosts": hosts, "k8s_external": k8s_external,
    "kubernetes": kubernetes, "loadbalance": loadbalance, "local": local, "loop": loop, "minimal": minimal,
    "nsid": nsid, "prometheus": prometheus, "ready": ready, "reload": reload, "root": root, "timeouts": timeouts,
    "tls": tls, "whoami": whoami,
}  # fmt: skip
"""Those that a server block has at most once."""

OFTEN: Mapping[str, Often] = {
    "acl": acl, "auto": auto, "bind": bind, "cancel": ignored, "debug": ignored, "dnstap": ignored, "file": file,
    "forward": forward, "geoip": ignored, "log": log, "metadata": ignored, "multisocket": ignored, "pprof": ignored,
    "rewrite": rewrite, "template": template, "trace": ignored, "transfer": transfer, "view": view,
}  # fmt: skip
"""Those that are understood together, in the order in which they stand there."""

GONE: Mapping[str, str] = {"proxy": "forward is in its place since CoreDNS 1.5"}
"""What CoreDNS had once, and what became of it."""


def working() -> list[str]:
    """The directives that mean something here, sorted; others are passed over."""
    return sorted({*ONCE} | {name for name, meaning in OFTEN.items() if meaning is not ignored})


__all__ = ["GONE", "OFTEN", "ONCE", "Surroundings", "within", "working"]
