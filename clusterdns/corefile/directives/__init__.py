"""What each directive means, one file a group: words -> settings.

    kubernetes   the cluster, and autopath
    k8s_external names for the outside of the cluster
    forward      the upstreams
    cache, hosts
    zone_files   file, auto
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
    "any": any_type, "autopath": autopath, "bufsize": bufsize, "cache": cache, "cancel": ignored, "chaos": chaos,
    "debug": ignored, "dns64": dns64, "dnstap": ignored, "errors": errors, "geoip": ignored, "header": header,
    "health": health, "hosts": hosts,
    "k8s_external": k8s_external, "kubernetes": kubernetes, "loadbalance": loadbalance, "local": local, "loop": loop,
    "metadata": ignored, "minimal": minimal, "multisocket": ignored, "nsid": nsid, "pprof": ignored,
    "prometheus": prometheus, "ready": ready, "reload": reload, "root": root, "timeouts": timeouts, "tls": tls,
    "trace": ignored, "whoami": whoami,
}  # fmt: skip
"""Those that a server block has at most once."""

OFTEN: Mapping[str, Often] = {
    "acl": acl, "auto": auto, "bind": bind, "file": file, "forward": forward, "log": log,
    "rewrite": rewrite, "template": template,
    "view": view,
}  # fmt: skip
"""Those that are understood together, in the order in which they stand there."""


def working() -> list[str]:
    """The directives that mean something here, sorted; others are passed over."""
    return sorted({*OFTEN} | {name for name, meaning in ONCE.items() if meaning is not ignored})


__all__ = ["OFTEN", "ONCE", "Surroundings", "within", "working"]
