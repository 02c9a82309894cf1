"""The servers that are compared: the command of each, and the same cluster in the words of its configuration.

clusterdns and CoreDNS follow an API server. The others know no cluster: they are told its names as zones, hosts or
local data, and nothing changes for them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.running import Failed, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.benchmarks.workloads import Cluster

REPOSITORY = Path(__file__).parents[2]
REVERSE = "10.in-addr.arpa"


class Site(NamedTuple):
    """What a server is started with: where it may write, where it answers, and what it is told of the world."""

    folder: Path
    port: int
    upstream: int
    """The port of whoever is asked for all other names."""
    cluster: Cluster
    api: str
    """The URL of an API server that has the cluster."""

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


class Rival(NamedTuple):
    name: str
    program: str
    """What must be installed; `cc` and ourselves always are."""
    command: Callable[[Site], list[str]]
    is_live: bool = False
    """Whether it follows an API server."""
    forwards: bool = False
    speaks_tcp: bool = True
    is_floor: bool = False
    """It answers nothing that could be checked, and is measured with the first workload only."""

    def path(self) -> str | None:
        """Where its program is, also where only root looks; None if it is not installed."""
        return shutil.which(
            self.program, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
        )


def compiled(source: str, folder: Path) -> Path:
    """The program of a C source beside this file. Raises Failed."""
    program, path = folder / source.removesuffix(".c"), Path(__file__).with_name(source)
    if not program.exists():
        built = subprocess.run(["cc", "-O2", "-o", program, path], capture_output=True, text=True, check=False)
        if built.returncode:
            raise Failed(f"cc cannot compile {path}: {' '.join(built.stderr.split())}")
    return program


def echo(site: Site) -> list[str]:
    return [str(compiled("echo.c", site.folder)), str(site.port)]


def clusterdns(site: Site) -> list[str]:
    """As it is set up in a cluster, where clients complete short names themselves; with all that it does by default."""
    return [
        sys.executable, "-m", "clusterdns", "serve", "--api-server", site.api, "--listen", f"127.0.0.1:{site.port}",
        "--http", f"127.0.0.1:{free_port()}", "--upstream", f"127.0.0.1:{site.upstream}", "--search", "client",
    ]  # fmt: skip


def two_workers(site: Site) -> list[str]:
    return [*clusterdns(site), "--workers", "2"]


def _coredns(site: Site, *, cache: str) -> list[str]:
    """With what kubeadm's Corefile has, but for health, ready, reload and loop, which no query meets."""
    corefile = f"""\
.:{site.port} {{
    bind 127.0.0.1
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        endpoint {site.api}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus 127.0.0.1:{free_port()}
    forward . 127.0.0.1:{site.upstream} {{
        max_concurrent 1000
    }}
    {cache}
    loadbalance
}}
"""
    return ["coredns", "-conf", str(site.write("Corefile", corefile))]


def coredns_cached(site: Site) -> list[str]:
    return _coredns(site, cache="cache 30")


def coredns_newest(site: Site) -> list[str]:
    disable = "disable success cluster.local\n        disable denial cluster.local"
    return _coredns(site, cache=f"cache 30 {{\n        {disable}\n    }}")


def dnsmasq(site: Site) -> list[str]:
    services = site.cluster.services
    hosts = (f"{address} {each.host}\n" for each in services for address in _addresses(each.address, each.endpoints))
    ports = (f"srv-host=_http._tcp.{each.host},{each.host},80\n" for each in site.cluster.addressed)
    settings = f"""\
port={site.port}
listen-address=127.0.0.1
bind-interfaces
no-hosts
no-resolv
addn-hosts={site.write("hosts", "".join(hosts))}
local=/cluster.local/
local=/{REVERSE}/
server=127.0.0.1#{site.upstream}
cache-size=10000
dns-forward-max=1000
local-ttl=30
log-facility=-
pid-file
{"user=root" if os.geteuid() == 0 else ""}
"""
    return ["dnsmasq", "--keep-in-foreground", f"--conf-file={site.write('dnsmasq.conf', settings + ''.join(ports))}"]


def knot(site: Site) -> list[str]:
    zones = "".join(
        f"  - domain: {name}\n    file: {path}\n    zonefile-sync: -1\n    journal-content: none\n"
        for name, path in _zone_files(site)
    )
    settings = f"""\
server:
    rundir: {site.folder}
    listen: 127.0.0.1@{site.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: {site.folder}
zone:
{zones}"""
    return ["knotd", "-c", str(site.write("knot.conf", settings))]


def nsd(site: Site) -> list[str]:
    zones = "".join(f"zone:\n    name: {name}\n    zonefile: {path}\n" for name, path in _zone_files(site))
    settings = f"""\
server:
    ip-address: 127.0.0.1@{site.port}
    server-count: 1
    username: ""
    zonesdir: ""
    pidfile: ""
    zonelistfile: "{site.folder}/zone.list"
    xfrdfile: ""
    xfrdir: "{site.folder}"
    tcp-count: 1000
    rrl-ratelimit: 0
remote-control:
    control-enable: no
{zones}"""
    return ["nsd", "-d", "-c", str(site.write("nsd.conf", settings))]


def unbound(site: Site) -> list[str]:
    data: list[str] = []
    for each in site.cluster.services:
        data += (f"{each.host}. 30 A {address}" for address in _addresses(each.address, each.endpoints))
        if each.address:
            data.append(f"_http._tcp.{each.host}. 30 SRV 0 100 80 {each.host}.")
            data.append(f"{IPv4Address(each.address).reverse_pointer}. 30 PTR {each.host}.")
    settings = f"""\
server:
    interface: 127.0.0.1
    port: {site.port}
    do-daemonize: no
    num-threads: 1
    username: ""
    chroot: ""
    directory: "{site.folder}"
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
    do-not-query-localhost: no
    outgoing-range: 4000
    num-queries-per-thread: 2000
    local-zone: "test." nodefault
    local-zone: "cluster.local." static
    local-zone: "{REVERSE}." static
{"".join(f"    local-data: '{each}'{chr(10)}" for each in data)}
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{site.upstream}
"""
    return ["unbound", "-d", "-c", str(site.write("unbound.conf", settings))]


OURS = Rival("clusterdns", "cc", clusterdns, is_live=True, forwards=True)
WORKERS = OURS._replace(name="clusterdns, 2 workers", command=two_workers)

RIVALS = (
    Rival("echo", "cc", echo, is_floor=True, speaks_tcp=False),
    OURS,
    Rival("CoreDNS, cache 30", "coredns", coredns_cached, is_live=True, forwards=True),
    Rival("CoreDNS, newest Corefile", "coredns", coredns_newest, is_live=True, forwards=True),
    Rival("dnsmasq", "dnsmasq", dnsmasq, forwards=True),
    Rival("Knot DNS", "knotd", knot),
    Rival("NSD", "nsd", nsd),
    Rival("unbound", "unbound", unbound, forwards=True),
)


def _addresses(address: str | None, endpoints: Iterable[str]) -> Iterable[str]:
    return (address,) if address else endpoints


def _zone_files(site: Site) -> list[tuple[str, Path]]:
    """The cluster's names as zones in the format of RFC 1035."""
    start = "$TTL 30\n@ IN SOA ns.dns hostmaster 1 7200 1800 86400 5\n@ IN NS ns.dns\nns.dns IN A 127.0.0.1\n"
    names, addresses = ["$ORIGIN cluster.local.\n", start], [f"$ORIGIN {REVERSE}.\n", start]
    for each in site.cluster.services:
        names += (f"{each.host}. IN A {address}\n" for address in _addresses(each.address, each.endpoints))
        if each.address:
            names.append(f"_http._tcp.{each.host}. IN SRV 0 100 80 {each.host}.\n")
            addresses.append(f"{IPv4Address(each.address).reverse_pointer}. IN PTR {each.host}.\n")
    return [
        ("cluster.local", site.write("cluster.local.zone", "".join(names))),
        (REVERSE, site.write("reverse.zone", "".join(addresses))),
    ]
