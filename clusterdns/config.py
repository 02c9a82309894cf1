"""Every setting, its default, and the reason for it.

The file is YAML; a name here with `_` is one with `-` there. Nothing below this module knows of it: `app` hands each
part plain values.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct, field

from clusterdns import admin, names, selectors
from clusterdns.admin import AUTOMATIC
from clusterdns.around import (
    acl,
    dns64,
    expressions,
    header,
    nsid,
    patterns,
    query_log,
    renaming,
    rewrite,
    rewrite_rules,
    template,
    visibility,
)
from clusterdns.around.rate_limit import Limiter, RateLimit
from clusterdns.around.server_cookies import secret
from clusterdns.consolidation import Consolidation, Level
from clusterdns.contents import content as content_of
from clusterdns.forward import Policy, host_and_port, parse_address
from clusterdns.nodes import Pods
from clusterdns.own_log import Format
from clusterdns.presentation import rcode_number
from clusterdns.records import LONGEST_TTL
from clusterdns.redaction import HIDDEN, redacted
from clusterdns.sources.manifests.files import RepeatedKey, TooDeep, check_depth, check_keys
from clusterdns.transfers import Rule, Rules
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class BadConfig(Exception):
    """A setting that can not be; the message says where, what, and what was expected."""


class Tcp(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    connections: int = 1000
    """Ten times what a node's caches hold open; when all are taken, the one idle for longest gives way."""

    connections_per_client: int = 250
    """A quarter, so that nobody takes all. A client is one IPv4 address or one IPv6 /64: perhaps a whole node, behind
    address translation. Of a client that has them all, too, the one idle for longest gives way."""

    idle_seconds: float = 10.0
    """RFC 7766 asks for the order of a few seconds. They count from a query's start on: bytes that trickle are none."""

    in_flight: int = 100
    """Queries of one connection that may wait for upstreams, before no more of it is read."""


class Cookies(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """DNS cookies (RFC 7873, RFC 9018), by which clients know our replies, and we know clients again."""

    enabled: bool = True
    """Whether clients that send one are told one. Queries without cookies cost nothing more for it."""

    secrets: tuple[str, ...] = ()
    """What they are made with, 32 hexadecimal digits each: the first makes them, those of all are taken, so that a new
    one can come before the old one goes. A random one unless given; servers that share an address need the same."""

    file: str = ""
    """A file with the secrets in place of these, one a line, read again when it changes."""


class Tls(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What is spoken on tls:// addresses. The files are read again when they change."""

    certificate: str = ""
    """A file with the server's certificate, and those that lead from it to an authority."""

    key: str = ""
    """A file with its private key, without a password."""

    client_certificates: Literal["none", "verified-if-given", "required"] = "none"
    """Whether clients are asked for a certificate, and whether those are served that have none."""

    client_authority: str = ""
    """A file of the authorities that sign the certificates of clients. The system's unless given."""


class Alternative(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Upstreams that are asked after others have answered, if these say that there is nothing."""

    upstreams: tuple[str, ...]
    rcodes: tuple[str, ...] = ("NXDOMAIN",)
    """The response codes that count as nothing."""
    no_data: bool = False
    """Whether an empty answer counts as nothing too."""


class StubZone(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A zone that has upstreams of its own; what is not said here is as for all other names."""

    zone: str
    upstreams: tuple[str, ...]
    policy: Policy | None = None
    force_tcp: bool | None = None
    alternatives: tuple[Alternative, ...] = ()


class Forward(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    upstreams: tuple[str, ...] = ()
    """Who is asked for all other names: ADDRESS, ADDRESS:PORT, tls://ADDRESS#NAME, or the path of a file such as
    resolv.conf, which is read again when it changes. Those of `resolv-conf` unless given."""

    resolv_conf: str = "/etc/resolv.conf"
    """Where they stand otherwise; it is read again when it changes. Nothing is forwarded if this is empty too."""

    zones: tuple[StubZone, ...] = ()
    """Zones with upstreams of their own."""

    excepted: tuple[str, ...] = field(name="except", default=())
    """Zones that are not forwarded, but for `zones` within them."""

    alternatives: tuple[Alternative, ...] = ()
    """Who is asked next about names that the upstreams know nothing of, one after the other."""

    policy: Policy = "random"
    """Which upstream is asked first: `random` and `round-robin` spread the load, `sequential` prefers the first."""

    try_seconds: float = 1.5
    """Until the next upstream is asked as well: time for a resolver that has to go far itself."""

    seconds: float = 4.5
    """Until the client is told that nobody answers: most clients give up after 5."""

    in_flight: int = 1000
    """Queries that may wait for upstreams; what comes on top is refused. kubeadm's choice for CoreDNS. One client, an
    IPv4 address or an IPv6 /64, gets half of them at most, and less where others wait."""

    random_letter_case: bool = False
    """Whether questions are in random letter case, which makes responses hard to forge; some old servers mind."""

    force_tcp: bool = False
    """Whether upstreams are asked over TCP only."""

    failover: tuple[str, ...] = ()
    """Response codes at which the next upstream is asked, beside SERVFAIL, NOTIMP and REFUSED."""

    most_tries: int = 0
    """How many upstreams are tried for a question that do not answer. 0: as many as there is time for."""

    max_failures: int = 2
    """After so many in a row an upstream is asked last, until it answers probes. 0: it is asked as ever."""

    fail_fast: bool = False
    """Whether nobody is asked while all upstreams have failed."""

    probe_seconds: float = 0.5
    """The pause before an upstream that failed is probed again; it grows to 30 s."""

    probe_recursive: bool = True
    """Whether probes ask for recursion."""

    probe_domain: str = ""
    """Probes ask for names in this zone. In the zone that the upstream is for unless given."""

    kept_seconds: float = 10.0
    """How long a connection is kept for the next question."""

    tls_ca: str = ""
    """A file of the authorities that sign the certificates of tls:// upstreams. The system's unless given."""

    tls_certificate: str = ""
    """A file with a certificate of our own, for tls:// upstreams that ask for one."""

    tls_key: str = ""
    """A file with its private key."""


class Cache(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    entries: int = 10_000
    """As CoreDNS has it."""

    bytes: int = 32 << 20
    """A fifth of the pod's memory limit. What was used least recently goes first; 0 keeps nothing."""

    ttl: tuple[int, int] = (0, 3600)
    """Seconds: a response's TTL is raised to the first and lowered to the second."""

    negative_ttl: tuple[int, int] = (0, 1800)
    """The same for names that are missing."""

    failure_seconds: float = 5.0
    """How long an upstream's SERVFAIL is remembered: whoever mends it does not want to wait. 300 at most (RFC 2308)."""

    stale_seconds: int = 86400
    """How long after its TTL a response is still given when no upstream answers (RFC 8767). 0: not at all."""

    stale_after_seconds: float = 1.8
    """How long a client waits for a fresh one, as RFC 8767 recommends. 0: it gets the stale one at once, and the
    upstreams are asked behind."""

    stale_ttl: int = 30
    """Seconds that a stale one may be remembered, as RFC 8767 recommends."""

    prefetch_hits: int = 3
    """A response that was asked for so often is asked for again before it expires. 0: none is."""

    prefetch_gap_seconds: float = 0.0
    """A longer time in which nobody asks for it makes it start from nothing. 0: it does so when its TTL is over."""

    prefetch_percent: int = 10
    """The last part of its TTL, in which it is asked for again."""

    keep_ttl: bool = False
    """Whether clients are told the whole TTL, whatever time of it is over."""

    rotate: bool = False
    """Whether the addresses in upstreams' answers change places from answer to answer, as the cluster's own do."""

    zones: tuple[str, ...] = ()
    """Only names in these are remembered. All unless given."""

    except_success: tuple[str, ...] = ()
    """Zones of which only it is remembered that something is missing..."""

    except_denial: tuple[str, ...] = ()
    """...and zones of which just that is not, nor failures."""


class Header(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Flags that are as they are told, and not as they would be: aa, ra, rd."""

    raised: tuple[header.Flag, ...] = field(name="set", default=())
    """In replies."""

    cleared: tuple[header.Flag, ...] = field(name="clear", default=())
    """In replies."""

    query_set: tuple[header.Flag, ...] = ()
    """In queries, before they are answered."""

    query_clear: tuple[header.Flag, ...] = ()
    """In queries, before they are answered."""


class Hosts(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    files: tuple[str, ...] = ()
    """Files such as /etc/hosts, read again when they change."""

    entries: tuple[str, ...] = ()
    """Lines of such a file."""

    ttl: int = 30
    """Seconds that these may be remembered."""

    needed: bool = True
    """Whether a file that can not be read at the start is an error, or a warning."""

    zones: tuple[str, ...] = ()
    """Names outside of these are passed over. All are taken unless given."""

    reverse: bool = True
    """Whether addresses lead back to their names."""

    fallthrough: tuple[str, ...] = (".",)
    """Below these, a name that they do not have is somebody else's; elsewhere in their zones it is SERVFAIL, as in
    CoreDNS: there is no SOA record to say with NXDOMAIN how long that may be remembered."""


class ZoneFile(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Zones that are answered out of a file in the format of RFC 1035."""

    file: str
    zones: tuple[str, ...]
    """Which zones these are: relative names of the file are completed with each of them."""

    fallthrough: tuple[str, ...] = ()
    """Below these, what the file does not have is asked of the upstreams; elsewhere it is missing."""

    needed: bool = True
    """Whether a file that can not be read at the start is an error, or a warning."""

    followed: bool = True
    """Whether it is read again when it changes."""

    ttl: tuple[int, int] = (0, LONGEST_TTL)
    """Seconds: a record's TTL is raised to the first and lowered to the second."""

    negative_ttl: tuple[int, int] = (0, LONGEST_TTL)
    """The same for what is missing."""


class ZoneFolder(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A folder of such files, each for the zone that it is named after."""

    folder: str
    pattern: str = r"db\.(.*)"
    """Of the names of zone files. CoreDNS's."""

    origin: str = "{1}"
    """The zone of a file: {1} is what the pattern's first group has matched."""

    zones: tuple[str, ...] = (".",)
    """Only zones in these count."""

    followed: bool = True
    """Whether files that come, go and change are noticed."""

    ttl: tuple[int, int] = (0, LONGEST_TTL)
    """Seconds: a record's TTL is raised to the first and lowered to the second."""

    negative_ttl: tuple[int, int] = (0, LONGEST_TTL)
    """The same for what is missing."""


class View(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Which queries a block is for, among those for its zones."""

    name: str = ""
    """For people."""

    conditions: tuple[str, ...] = ()
    """All of them have to hold, such as incidr(client_ip(), '10.0.0.0/8'). None: it is for all queries."""


class Dns64(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """AAAA records for clients that reach IPv4 hosts by way of a NAT64 (RFC 6147)."""

    prefix: str = ""
    """The NAT64's, such as the well-known 64:ff9b::/96. Nothing is translated unless it is given."""

    translate_all: bool = False
    """Whether names that do have AAAA records are translated too."""

    allow_ipv4: bool = False
    """Whether clients that ask over IPv4 get such addresses: they may prefer them to the ones they could use."""


class Chaos(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What clients are told that ask in class CH which server this is."""

    version: str = ""
    """For version.bind and version.server. They are refused, as the other names, unless it is given."""

    authors: tuple[str, ...] = ("the maintainers of clusterdns",)
    """For authors.bind."""

    hostname: str = ""
    """For hostname.bind and id.server; the host's own unless given."""


class External(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    fallthrough: tuple[str, ...] = ()
    """Below these, what the cluster does not show is asked of the upstreams; elsewhere in the zones it is missing."""

    ttl: int = 5
    """Seconds a record may be remembered, 0 to 3600. CoreDNS's choice: load balancers come and go."""

    negative_ttl: int = 5
    """Seconds that a missing name may be remembered."""

    apex: str = "dns"
    """The label below which the zone's own names stand: its name server is ns1.dns.ZONE. CoreDNS's choice."""

    headless: bool = False
    """Whether headless services are shown too, with the addresses of their pods: most networks lead to none of them."""

    node_ports: bool = True
    """Whether services of type NodePort are shown, with the addresses of the nodes. It takes the right to read them."""


class Transfer(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Who may have whole zones, over TCP (AXFR, RFC 5936): the cluster's, those for the outside, and zone files."""

    rules: tuple[Rule, ...] = ()
    """Networks of clients, and the zones that they may have. Nobody has any unless given: a zone tells of all that
    there is."""

    at_once: int = 10
    """Transfers of this block at one time; what is asked for on top is SERVFAIL. A secondary asks for all its zones at
    once, and each keeps what the zone was when it began: a megabyte or two for 10,000 services."""

    seconds: float = 600.0
    """How long one may take. Before that, a client that reads nothing for `tcp.idle-seconds` is cut off."""


class Block(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """How the names of some zones are answered, on some addresses."""

    names: tuple[str, ...] = (".",)
    """The zones whose queries come here. Where several blocks listen on one address, the longest zone decides."""

    listen: tuple[str, ...] = ("127.0.0.1:1053",)
    """Over UDP and TCP, or as tls://ADDRESS:PORT over TLS. A port that takes no rights, on an address that only this
    machine sees."""

    tls: Tls = field(default_factory=Tls)

    view: View = field(default_factory=View)

    cluster: bool = True
    """Whether the cluster's names are answered here."""

    zone: tuple[str, ...] = ("cluster.local",)
    """The cluster domains, the primary one first: PTR records point into it. `cluster.local` is every installer's."""

    reverse_zone: tuple[str, ...] = ("in-addr.arpa", "ip6.arpa")
    """Where addresses are looked up: names, or networks such as 10.96.0.0/12."""

    fallthrough: tuple[str, ...] = ("in-addr.arpa", "ip6.arpa")
    """Below these, what the cluster does not have is asked of the upstreams; elsewhere in its zones it is missing."""

    namespaces: tuple[str, ...] = ()
    """Only these namespaces are served here; all unless given."""

    ttl: int = 30
    """Seconds a record may be remembered, 0 to 3600. kubeadm's choice: long enough to help, short enough to move."""

    negative_ttl: int = 5
    """Seconds that a missing name may be remembered: one that was asked for too early must not stay missing."""

    pods: Pods = "disabled"
    """Names such as 10-244-1-7.default.pod.cluster.local: `disabled`, `insecure` (any address, as long as the namespace
    exists) or `verified` (only those of running pods). The specification calls these names deprecated."""

    endpoint_pod_names: bool = False
    """Whether an endpoint without a hostname is named after its pod, in place of its address."""

    ignore_empty_service: bool = False
    """Whether a ClusterIP service without a ready endpoint is NXDOMAIN: clients try the rest of their search list."""

    ptr_hostname_only: bool = False
    """Whether only endpoints with a hostname of their own have PTR records, so that the address of a pod with a
    hostname leads to that, however many services select the pod."""

    zonal: bool = False
    """Whether headless services have names such as eu-1a._zone.db.shop.svc.cluster.local, for their endpoints in that
    topology zone: a client may prefer those that are near."""

    udp_size: int = 1232
    """The largest reply over UDP in bytes: what passes every network whole (DNS flag day 2020)."""

    unserved: Literal["refused", "servfail"] = "refused"
    """What is said of names that are nobody's: not ours, and with no upstream to ask. REFUSED sends a client elsewhere
    at once; `servfail` is what CoreDNS says."""

    extended_errors: bool = True
    """Whether clients that send EDNS are told in words why an answer is what it is (RFC 8914)."""

    external_zone: tuple[str, ...] = ()
    """Zones that show services to the outside of the cluster, by their external and load balancers' addresses, as
    SERVICE.NAMESPACE.ZONE. The primary one first; reverse zones among them lead back to it. None unless given."""

    external: External = field(default_factory=External)

    forward: Forward = field(default_factory=Forward)

    cache: Cache = field(default_factory=Cache)

    hosts: Hosts = field(default_factory=Hosts)

    zone_files: tuple[ZoneFile, ...] = ()
    """Zones that somebody wrote down. The cluster's names and those of hosts files go before them."""

    zone_folders: tuple[ZoneFolder, ...] = ()
    """Folders of such files."""

    search: Literal["auto", "client", "server"] = "auto"
    """Who completes short names: `client` leaves it to the clients, `server` does it here, so that a plain
    `dig alpaca-prod` is answered; `auto` is `server` with manifests and `client` in a cluster."""

    search_domains: tuple[str, ...] = ()
    """What `server` completes names with: default.svc.ZONE, svc.ZONE and ZONE unless given."""

    acl: tuple[acl.Rule, ...] = ()
    """Which clients are answered: the first rule that fits decides, and what none decides is allowed."""

    visibility: tuple[visibility.Rule, ...] = ()
    """Which namespaces are there for which clients: the first rule that is about a client decides, and those that none
    is about see all."""

    transfer: Transfer = field(default_factory=Transfer)

    rewrite: tuple[rewrite_rules.Rule, ...] = ()
    """What questions are turned into before they are answered."""

    template: tuple[template.Template, ...] = ()
    """What is said to questions that fit a pattern."""

    query_log: tuple[query_log.Rule, ...] = ()
    """Which queries are written to standard output, and how: the first rule that is about the name and the client
    decides. None are unless given: a line costs as much as an answer."""

    any: bool = False
    """Whether ANY is answered with one HINFO record for names of others too (RFC 8482)."""

    header: Header = field(default_factory=Header)

    local: bool = False
    """Whether localhost, and the addresses that are a machine's own, are answered here as RFC 6761 asks for."""

    whoami: bool = False
    """Whether names that nobody answers for are answered with the client's address and port."""

    minimal: bool = False
    """Whether answers come without authority and additional records."""

    prefer: tuple[str, ...] = ()
    """Networks whose addresses stand before all others in answers."""

    nsid: str = ""
    """What clients are told that ask who answers (RFC 5001)."""

    dns64: Dns64 = field(default_factory=Dns64)

    chaos: Chaos = field(default_factory=Chaos)

    autopath: bool = False
    """Whether a pod's first try is followed through the rest of its search list here, so that it need not ask again and
    again; it takes `pods: verified`."""

    autopath_conf: str = ""
    """A resolv.conf whose search list is taken for that of every client, in place of what a pod's namespace says."""

    autopath_zones: tuple[str, ...] = ()
    """Only first tries in these are followed. All are unless given."""


class Config(Block, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One block, and what all blocks share."""

    manifests: tuple[str, ...] = ()
    """Files and folders of Kubernetes manifests that the names are made of."""

    probes: bool = True
    """Whether pods in manifests that have a readinessProbe are probed, as a kubelet would; else their status counts."""

    kubeconfig: str = ""
    """A kubeconfig file that leads to the cluster to serve, in place of manifests."""

    context: str = ""
    """The context of that file; its current one unless given."""

    api_server: str = ""
    """The URL of an API server, such as that of `kubectl proxy`, in place of both."""

    api_certificate: str = ""
    """A file with the certificate that it knows us by, if it asks for one. It is read again when it changes, as those
    below are."""

    api_key: str = ""
    """A file with its private key."""

    api_authority: str = ""
    """A file of the authorities that sign the API server's certificate. The system's unless given."""

    namespace_labels: str = ""
    """Only namespaces that this label selector matches are served."""

    labels: str = ""
    """Only Services, EndpointSlices and Pods that this label selector matches are served."""

    endpoints: bool = True
    """Whether endpoints are followed. Without them there are no headless services, but a large cluster weighs less."""

    snapshot: str = ""
    """A file to keep what is known of a cluster in, for a start while its API server is away. None unless given."""

    http: tuple[str, ...] = ("127.0.0.1:9153",)
    """Where /health, /ready and /metrics are shown, as ADDRESS:PORT. This one, where CoreDNS has its metrics, gives
    way: to whichever program has the port, and to any of the next settings."""

    http_health: tuple[str, ...] = ()
    """Where /health is, but not the others: CoreDNS has each on a port of its own, and probes ask there."""

    http_ready: tuple[str, ...] = ()
    """The same for /ready."""

    http_metrics: tuple[str, ...] = ()
    """The same for /metrics."""

    admin: str = AUTOMATIC
    """Where commands ask this server what it knows: the path of a Unix socket, a port of a loopback address, or none.
    auto: $XDG_RUNTIME_DIR/clusterdns.sock, or else /run/clusterdns/admin.sock, where that can be made."""

    lameduck_seconds: float = 0.0
    """How long queries are still answered after SIGTERM, while /ready says no: those who ask hear late that we go.
    While queries still come then, up to 5 more."""

    service_cidr: tuple[str, ...] = ("10.96.0.0/16",)
    """Where Services without a clusterIP get one; the first is the primary family. Part of kubeadm's 10.96.0.0/12."""

    dns_service: str = "kube-system/kube-dns"
    """The Service that fronts this server, for NS records; kubeadm's name for it."""

    tcp: Tcp = field(default_factory=Tcp)

    cookies: Cookies = field(default_factory=Cookies)

    rate_limit: RateLimit = field(default_factory=RateLimit)

    log_format: Format = "auto"
    """Of the program's own log: `auto` is text on a terminal, else an object of JSON a line. `coredns` is [LEVEL] and
    the message on standard output, which is what its users' pipelines read; the others go to standard error."""

    log_level: Level = "info"
    """What is less important is left out. Of libraries only warnings and errors are told, whatever this is."""

    log_repeat_seconds: float = 30.0
    """A warning or an error that comes again is told once in so long, with how often it came. 0: each time."""

    workers: int | Literal["auto"] = 1
    """How many processes answer; auto: one for each processor that this one may use. More than one pays where one is
    busy all the time: each has a cache, limits and upstream connections of its own, and one more process watches."""

    log_consolidate: tuple[Consolidation, ...] = ()
    """Warnings and errors of the log that are counted for a while and told together, in another way than that."""

    blocks: tuple[Block, ...] = ()
    """More zones that are answered otherwise, or on other addresses."""


def without_secrets(config: Config) -> Config:
    """As it may be shown."""
    cookies = msgspec.structs.replace(config.cookies, secrets=(HIDDEN,) * len(config.cookies.secrets))
    return msgspec.structs.replace(config, cookies=cookies, api_server=redacted(config.api_server))


def blocks(config: Config) -> tuple[Block, ...]:
    """All blocks, the file's own first."""
    return (config, *config.blocks)


PAGES = ("/health", "/ready", "/metrics")


def pages(config: Config) -> dict[tuple[str, int], tuple[str, ...]]:
    """By address, the paths of the pages that are shown there."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    addresses_of_all = () if dispensable_pages(config) and _has_pages_apart(config) else config.http
    for addresses, paths in (
        (addresses_of_all, PAGES),
        (config.http_health, ("/health",)),
        (config.http_ready, ("/ready",)),
        (config.http_metrics, ("/metrics",)),
    ):
        for address in map(listen_address, addresses):
            found[address] = tuple(dict.fromkeys((*found.get(address, ()), *paths)))
    return found


MOST_GUESTS = 30
"""Connections at each address of pages: more than probes, scrapers and people together have."""


def dispensable_pages(config: Config) -> tuple[tuple[str, int], ...]:
    """Where pages are shown only if nobody else has the address, since nobody has said where to."""
    return tuple(map(listen_address, config.http)) if config.http == Config().http else ()


def _has_pages_apart(config: Config) -> bool:
    return bool(config.http_health or config.http_ready or config.http_metrics)


def read(path: Path) -> Config:
    """The configuration in a YAML file. Raises BadConfig."""
    try:
        text = content_of(path)
        check_depth(text.decode(errors="replace"))
        content = msgspec.yaml.decode(text)
        check_keys(text.decode())
        return Config() if content is None else msgspec.convert(content, Config)
    except OSError as error:
        raise BadConfig(f"{path}: {error.strerror}") from error
    except (RepeatedKey, TooDeep) as error:
        raise BadConfig(f"{path}:{error.line}: {error.problem}") from error
    except (msgspec.DecodeError, ValueError, AttributeError, LookupError) as error:
        # At scalars that are not what their tag says, the parser fails like this; newer versions of msgspec wrap it.
        if any(isinstance(each, (AttributeError, LookupError)) for each in (error, error.__context__)):
            raise BadConfig(f"{path}: a value is not what its tag says: {error}") from error
        raise BadConfig(f"{path}{_in_plain_words(str(error))}") from error


def check(config: Config) -> None:
    """Whether all values can be. Raises BadConfig, with a line for each that can not."""
    faults = [*_block_faults(config), *_shared_faults(config), *_overlaps(blocks(config))]
    for number, block in enumerate(config.blocks):
        faults += [f"blocks[{number}].{each}" for each in _block_faults(block)]
    if faults:
        raise BadConfig("\n".join(faults))


def _block_faults(block: Block) -> Iterator[str]:
    yield from _out_of_bounds(
        ("ttl", block.ttl, 0, 3600),
        ("negative-ttl", block.negative_ttl, 0, 3600),
        ("udp-size", block.udp_size, 512, 4096),
        ("forward.try-seconds", block.forward.try_seconds, 0.05, 60),
        ("forward.seconds", block.forward.seconds, 0.05, 60),
        ("forward.in-flight", block.forward.in_flight, 1, 100_000),
        ("forward.most-tries", block.forward.most_tries, 0, 1000),
        ("forward.max-failures", block.forward.max_failures, 0, 1_000_000),
        ("forward.probe-seconds", block.forward.probe_seconds, 0.01, 3600),
        ("forward.kept-seconds", block.forward.kept_seconds, 0, 3600),
        ("cache.entries", block.cache.entries, 0, 100_000_000),
        ("cache.bytes", block.cache.bytes, 0, 1 << 40),
        ("cache.failure-seconds", block.cache.failure_seconds, 0, 300),
        ("cache.stale-seconds", block.cache.stale_seconds, 0, 7 * 86400),
        ("cache.stale-after-seconds", block.cache.stale_after_seconds, 0, 60),
        ("cache.stale-ttl", block.cache.stale_ttl, 0, LONGEST_TTL),
        ("cache.prefetch-hits", block.cache.prefetch_hits, 0, 1_000_000),
        ("cache.prefetch-gap-seconds", block.cache.prefetch_gap_seconds, 0, 7 * 86400),
        ("cache.prefetch-percent", block.cache.prefetch_percent, 1, 90),
        *(("cache.ttl", each, 0, LONGEST_TTL) for each in block.cache.ttl),
        *(("cache.negative-ttl", each, 0, LONGEST_TTL) for each in block.cache.negative_ttl),
        ("hosts.ttl", block.hosts.ttl, 0, LONGEST_TTL),
        *(("zone-files.ttl", each, 0, LONGEST_TTL) for file in block.zone_files for each in file.ttl),
        *(("zone-files.negative-ttl", each, 0, LONGEST_TTL) for file in block.zone_files for each in file.negative_ttl),
        *(("zone-folders.ttl", each, 0, LONGEST_TTL) for one in block.zone_folders for each in one.ttl),
        *(
            ("zone-folders.negative-ttl", each, 0, LONGEST_TTL)
            for one in block.zone_folders
            for each in one.negative_ttl
        ),
        ("external.ttl", block.external.ttl, 0, 3600),
        ("transfer.at-once", block.transfer.at_once, 1, 1000),
        ("transfer.seconds", block.transfer.seconds, 0.1, 86400),
        ("external.negative-ttl", block.external.negative_ttl, 0, 3600),
    )
    stubs = block.forward.zones
    alternatives = (*block.forward.alternatives, *(one for each in stubs for one in each.alternatives))
    yield from _unreadable(
        ("names", block.names, names.from_text),
        ("listen", block.listen, listening),
        ("zone", block.zone, forward_zone),
        ("reverse-zone", block.reverse_zone, reverse_zones),
        ("fallthrough", block.fallthrough, names.from_text),
        ("forward.upstreams", block.forward.upstreams, _upstream),
        ("forward.except", block.forward.excepted, names.from_text),
        ("forward.zones.zone", tuple(each.zone for each in stubs), names.from_text),
        ("forward.zones.upstreams", tuple(one for each in stubs for one in each.upstreams), _upstream),
        ("forward.alternatives.upstreams", tuple(one for each in alternatives for one in each.upstreams), _upstream),
        ("forward.alternatives.rcodes", tuple(one for each in alternatives for one in each.rcodes), rcode_number),
        ("forward.failover", block.forward.failover, rcode_number),
        ("forward.probe-domain", (block.forward.probe_domain or ".",), names.from_text),
        ("hosts.zones", block.hosts.zones, names.from_text),
        ("hosts.fallthrough", block.hosts.fallthrough, names.from_text),
        ("cache.zones", block.cache.zones, names.from_text),
        ("cache.except-success", block.cache.except_success, names.from_text),
        ("cache.except-denial", block.cache.except_denial, names.from_text),
        ("search-domains", block.search_domains, names.from_text),
        ("zone-folders.zones", tuple(one for each in block.zone_folders for one in each.zones), names.from_text),
        ("zone-files.zones", tuple(one for each in block.zone_files for one in each.zones), names.from_text),
        (
            "zone-files.fallthrough",
            tuple(one for each in block.zone_files for one in each.fallthrough),
            names.from_text,
        ),
        ("external-zone", block.external_zone, external_zones),
        ("external.fallthrough", block.external.fallthrough, names.from_text),
        ("autopath-zones", block.autopath_zones, names.from_text),
        ("prefer", block.prefer, ipaddress.ip_network),
    )
    yield from _faulty_external_zones(block)
    for setting in ("names", "listen", "zone"):
        if not getattr(block, setting):
            yield f"{setting}: at least one is needed"
    yield from (f"zone-files.zones: {each.file}: at least one is needed" for each in block.zone_files if not each.zones)
    if any(map(expressions.asks_for_own_address, _read_conditions(block))):
        for address in block.listen:
            if _is_wildcard(address):
                yield f"view.conditions: server_ip() takes an address to listen on, not {address}"
    yield from _faulty_stub_zones(stubs)
    yield from _faulty_tls(block)
    yield from _faulty_rules(block)
    for setting, (lowest, highest) in (
        ("cache.ttl", block.cache.ttl),
        ("cache.negative-ttl", block.cache.negative_ttl),
        *(("zone-files.ttl", each.ttl) for each in block.zone_files),
        *(("zone-files.negative-ttl", each.negative_ttl) for each in block.zone_files),
        *(("zone-folders.ttl", each.ttl) for each in block.zone_folders),
        *(("zone-folders.negative-ttl", each.negative_ttl) for each in block.zone_folders),
    ):
        if lowest > highest:
            yield f"{setting}: {lowest} to {highest}: the first is the lowest, the second the highest"
    if block.autopath and block.pods != "verified":
        yield f"autopath: it takes pods: verified, not {block.pods}"
    if block.autopath and block.autopath_conf:
        yield "autopath: search lists come from the pods' namespaces or from autopath-conf, not from both"
    if any(each.namespaces for each in block.query_log) and block.pods != "verified":
        yield f"query-log.namespaces: they take pods: verified, not {block.pods}"
    if any(each.clients for each in block.visibility) and block.pods != "verified":
        yield f"visibility.clients: they take pods: verified, not {block.pods}"
    if block.namespaces:
        strangers = {one: None for each in block.visibility for one in each.clients if one not in block.namespaces}
        yield from (
            f"visibility.clients: {each}: it is none of namespaces, so its pods are not known" for each in strangers
        )
    for setting, zones in (
        ("zone", block.zone),
        ("reverse-zone", block.reverse_zone),
        ("external-zone", block.external_zone),
    ):
        given = [each for each in map(names.possible, zones) if each is not None]
        for inner in given:
            for outer in given:
                if outer in names.ancestors(inner):
                    yield f"{setting}: {names.to_text(inner)} lies within {names.to_text(outer)}"


def _faulty_external_zones(block: Block) -> Iterator[str]:
    """Their names may stand beside those of the cluster domains, or around or below them, but not among them."""
    if not names.is_kubernetes_label(block.external.apex):
        yield f"external.apex: {block.external.apex!r}: expected one label, such as dns"
    if block.external_zone and all(map(is_reverse, block.external_zone)):
        yield "external-zone: at least one is needed that is no reverse zone"
    for text in block.external_zone:
        name = names.possible(text)
        for zone in filter(None, map(names.possible, block.zone)):
            taken = (zone, *(names.below(label, parent=zone) for label in ("svc", "pod", "dns")))
            if name is not None and (name in taken or any(each in taken[1:] for each in names.ancestors(name))):
                yield f"external-zone: {text}: its names are those of zone {names.to_text(zone)}"


def _read_conditions(block: Block) -> Iterator[str]:
    """Those that can be read."""
    for each in block.view.conditions:
        with contextlib.suppress(expressions.NotAnExpression):
            expressions.condition(each)
            yield each


def _is_wildcard(address: str) -> bool:
    try:
        return listening(address).host in ("0.0.0.0", "::")
    except ValueError:
        return False


def _faulty_rules(block: Block) -> Iterator[str]:
    """Rules that can not be followed; whoever makes them ready knows best."""
    dialect = Dialect()
    makings: tuple[tuple[str, Callable[[], object]], ...] = (
        ("acl", lambda: acl.guarding(_nobody, block.acl, dialect, stream=False)),
        ("transfer.rules", lambda: Rules(block.transfer.rules)),
        ("rewrite", lambda: rewrite.rewriting(_nobody, block.rewrite, dialect, stream=False)),
        ("zone-folders", lambda: [renaming.by_pattern(each.pattern, each.origin) for each in block.zone_folders]),
        ("view.conditions", lambda: [expressions.condition(each) for each in block.view.conditions]),
        ("dns64.prefix", lambda: block.dns64.prefix and dns64.prefix_bytes(block.dns64.prefix)),
        ("template", lambda: template.templating(_nobody, block.template, dialect, stream=False)),
        ("query-log", lambda: query_log.check(block.query_log)),
        ("nsid", lambda: block.nsid and nsid.identified(_nobody, block.nsid, dialect, stream=False)),
        ("visibility", lambda: visibility.check(block.visibility)),
    )
    for setting, make in makings:
        try:
            make()
        except ValueError as error:
            yield f"{setting}: {error}"


def _faulty_tls(block: Block) -> Iterator[str]:
    yield from _lonely("tls.certificate", block.tls.certificate, "tls.key", block.tls.key)
    yield from _lonely(
        "forward.tls-certificate", block.forward.tls_certificate, "forward.tls-key", block.forward.tls_key
    )
    if not block.tls.certificate and not block.tls.key:
        yield from (f"tls.certificate: {each} takes one, and tls.key" for each in block.listen if is_tls(each))
    if block.tls.client_authority and block.tls.client_certificates == "none":
        yield "tls.client-authority: it takes tls.client-certificates"


def _lonely(certificate: str, given_certificate: str, key: str, given_key: str) -> Iterator[str]:
    """A certificate without its key, or the other way round."""
    if given_certificate and not given_key:
        yield f"{certificate}: it takes {key}"
    if given_key and not given_certificate:
        yield f"{key}: it takes {certificate}"


def _nobody(_packet: bytes, _client: object) -> None:
    """Answers nothing."""


def _nulls(value: object, setting: str = "") -> Iterator[str]:
    """The settings with a byte that no path and no address has."""
    if isinstance(value, str) and "\0" in value:
        yield f"{setting}: {value!r}: expected no NUL"
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _nulls(each, f"{setting}.{name}" if setting else name)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _nulls(each, f"{setting}[{number}]")


def _shared_faults(config: Config) -> Iterator[str]:
    yield from _nulls(msgspec.to_builtins(config))
    yield from _out_of_bounds(
        ("tcp.connections", config.tcp.connections, 1, 1_000_000),
        ("tcp.connections-per-client", config.tcp.connections_per_client, 1, 1_000_000),
        ("tcp.in-flight", config.tcp.in_flight, 1, 100_000),
        ("tcp.idle-seconds", config.tcp.idle_seconds, 0.1, 86400),
        ("lameduck-seconds", config.lameduck_seconds, 0, 3600),
        ("log-repeat-seconds", config.log_repeat_seconds, 0, 86400),
        *((("workers", config.workers, 1, 256),) if config.workers != "auto" else ()),
    )
    try:
        Limiter(config.rate_limit, float)
    except ValueError as error:
        yield f"rate-limit.{error}"
    if config.cookies.secrets and config.cookies.file:
        yield "cookies.secrets: they stand in cookies.file, or here, not in both"
    for number, text in enumerate(config.cookies.secrets):
        try:
            secret(text)
        except ValueError as error:
            yield f"cookies.secrets[{number}]: {error}"
    yield from _unreadable(
        ("service-cidr", config.service_cidr, ipaddress.ip_network),
        ("dns-service", (config.dns_service,), service_key),
        ("labels", (config.labels,), selectors.checked),
        ("namespace-labels", (config.namespace_labels,), selectors.checked),
        ("http", config.http, listen_address),
        ("http-health", config.http_health, listen_address),
        ("http-ready", config.http_ready, listen_address),
        ("http-metrics", config.http_metrics, listen_address),
        ("admin", (config.admin,), admin.parse),
    )
    yield from _out_of_bounds(
        *(("log-consolidate.seconds", each.seconds, 0.001, 86400) for each in config.log_consolidate)
    )
    yield from _unreadable(
        ("log-consolidate.pattern", tuple(each.pattern for each in config.log_consolidate), patterns.pattern)
    )
    if not config.service_cidr:
        yield "service-cidr: at least one is needed"
    if len({":" in each for each in config.service_cidr}) != len(config.service_cidr):
        yield f"service-cidr: {', '.join(config.service_cidr)}: expected one of IPv4, one of IPv6, or both"
    if config.manifests:
        yield from (f"{name}: it is for a cluster, not for manifests" for name in _only_for_a_cluster(config))
    if any(each.ignore_empty_service for each in blocks(config)) and not config.endpoints:
        yield "ignore-empty-service: it takes endpoints, which are off"
    if any(each.zonal for each in blocks(config)) and not config.endpoints:
        yield "zonal: it takes endpoints, which are off"
    yield from _lonely("api-certificate", config.api_certificate, "api-key", config.api_key)
    for name in ("api_certificate", "api_key", "api_authority"):
        if getattr(config, name) and not config.api_server:
            yield f"{name.replace('_', '-')}: it takes api-server"
    origins = [name for name in ("manifests", "kubeconfig", "api_server") if getattr(config, name)]
    if len(origins) > 1:
        yield f"{' and '.join(origins).replace('_', '-')}: names come from one of them, not from several"


def _overlaps(blocks: Sequence[Block]) -> Iterator[str]:
    """A zone on an address is the business of one block, and a certificate there that of all."""
    seen: set[tuple[names.Name, str]] = set()
    spoken: dict[str, Tls] = {}
    for block in blocks:
        for address in filter(is_tls, block.listen):
            if spoken.setdefault(address, block.tls) != block.tls:
                yield f"blocks: {address}: another block has another certificate there"
        for text in block.names:
            zone = names.possible(text)
            for address in block.listen:
                if zone is not None and (zone, address) in seen:
                    yield f"blocks: {text} on {address}: another block has it"
                elif zone is not None and not block.view.conditions:
                    seen.add((zone, address))


def _out_of_bounds(*numbers: tuple[str, float, float, float]) -> Iterator[str]:
    for setting, number, lowest, highest in numbers:
        if not lowest <= number <= highest:
            yield f"{setting}: {number} is not between {lowest} and {highest}"


def _unreadable(*texts: tuple[str, tuple[str, ...], Callable[[str], object]]) -> Iterator[str]:
    for setting, values, parse in texts:
        for value in values:
            try:
                parse(value)
            except ValueError as error:
                yield f"{setting}: {value!r}: {error}"


def is_file(upstream: str) -> bool:
    """Whether it is the path of a file that names upstreams, and no address."""
    return "/" in upstream and "://" not in upstream


def _upstream(text: str) -> object:
    """Raises ValueError."""
    return text if is_file(text) else parse_address(text)


def _faulty_stub_zones(zones: Sequence[StubZone]) -> Iterator[str]:
    seen: set[names.Name] = set()
    for each in zones:
        zone = names.possible(each.zone)
        if not each.upstreams:
            yield f"forward.zones: {each.zone}: it has no upstreams"
        if zone == names.ROOT:
            yield "forward.zones: .: the upstreams of all names are those of forward.upstreams"
        elif zone in seen:
            yield f"forward.zones: {each.zone}: it stands there twice"
        elif zone is not None:
            seen.add(zone)


def _only_for_a_cluster(config: Config) -> Iterator[str]:
    """The settings in use that manifests have no use for."""
    default = Config()
    for name in ("context", "namespace_labels", "labels", "endpoints", "snapshot"):
        if getattr(config, name) != getattr(default, name):
            yield name.replace("_", "-")


def listen_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:53`, `[::1]:53`, or an address alone for port 53. Raises ValueError."""
    return host_and_port(text, 53)


def workers(text: str) -> int | Literal["auto"]:
    """Raises BadConfig."""
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise BadConfig(f"workers: {text!r}: expected a whole number, or auto")
    return int(text)


class Listening(Struct, frozen=True):
    """Where it is listened, as it is set."""

    host: str
    port: int
    is_tls: bool = False


def listening(text: str) -> Listening:
    """An address as above, or tls:// and one, whose port is 853 if it has none. Raises ValueError."""
    address = text.removeprefix(TLS)
    host, port = host_and_port(address, 853 if is_tls(text) else 53)
    return Listening(host, port, is_tls(text))


TLS = "tls://"


def is_tls(address: str) -> bool:
    return address.startswith(TLS)


def is_reverse(text: str) -> bool:
    """Whether a zone is meant as a reverse zone."""
    return "/" in text or text.lower().rstrip(".").endswith(".arpa")


def forward_zone(text: str) -> names.Name:
    """Raises ValueError."""
    name = names.from_text(text)
    if name == names.ROOT:
        raise ValueError("expected a name such as cluster.local")
    if name.endswith((names.IN_ADDR, names.IP6)):
        raise ValueError("this is a reverse zone; it belongs under reverse-zone")
    if len(name) > LONGEST_ZONE:
        raise ValueError(f"longer than {LONGEST_ZONE} bytes, which leaves no room for names of services")
    return name


LONGEST_ZONE = 54
"""Bytes: `_<port>._<protocol>.<service>.<namespace>.svc.` may take 201 of a name's 255."""


def reverse_zones(text: str) -> list[names.Name]:
    """The zone of that name, or those of a network. Raises ValueError."""
    if "/" in text:
        return names.reverse_zones(text)
    name = names.from_text(text)
    if not name.endswith((names.IN_ADDR, names.IP6)):
        raise ValueError("expected a name below in-addr.arpa or ip6.arpa, or a network such as 10.96.0.0/12")
    return [name]


def external_zones(text: str) -> list[names.Name]:
    """The zone of that name; or the reverse zones of a network. Raises ValueError."""
    return reverse_zones(text) if is_reverse(text) else [forward_zone(text)]


def service_key(text: str) -> tuple[str, str]:
    """Raises ValueError."""
    namespace, separator, name = text.partition("/")
    if not (separator and names.is_kubernetes_label(namespace) and names.is_kubernetes_label(name)):
        raise ValueError("expected NAMESPACE/NAME, such as kube-system/kube-dns")
    return namespace, name


_KINDS = {
    "object": "settings by name",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}


def _values(setting: str) -> Iterator[str]:
    """What a setting may be, of those few that may be one of some words."""
    kinds: list[Any] = [Config]
    for part in re.sub(r"\[.*?\]", "", setting).split("."):
        fields = [field for kind in kinds if isinstance(kind, type) for field in msgspec.structs.fields(kind)]
        kinds = [kind for field in fields if field.encode_name == part for kind in _single(field.type)]
    yield from dict.fromkeys(str(value) for kind in kinds for value in get_args(kind))


def _single(kind: Any) -> Iterator[Any]:
    """The kinds of one value, where there may be many, or where it may be of several kinds."""
    if get_origin(kind) in (tuple, UnionType, Union):
        for each in get_args(kind):
            yield from _single(each)
    elif kind is not Ellipsis and (get_origin(kind) is Literal or hasattr(kind, "__struct_fields__")):
        yield kind


def _in_plain_words(fault: str) -> str:
    """What msgspec and its YAML parser say, as `: setting: what was expected` or `:line: what is wrong`."""
    if match := re.search(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`(?: - at `\$\.?(.*)`)?", fault):
        expected, got, setting = match.groups()
        return f": {setting or 'the file'}: expected {_KINDS.get(expected, expected)}, not {_KINDS.get(got, got)}"
    if match := re.search(r"Invalid enum value (.*) - at `\$\.(.*)`", fault):
        return f": {match[2]}: {match[1]} is none of its values, {', '.join(_values(match[2]))}"
    if match := re.search(r"Expected `array` of length (\d+), got (\d+) - at `\$\.(.*)`", fault):
        return f": {match[3]}: expected a list of {match[1]}, not of {match[2]}"
    if match := re.search(r"unknown field `(.*?)`(?: - at `\$\.(.*)`)?", fault):
        setting, within = match.groups()
        return f": {f'{within}.' if within else ''}{setting}: there is no such setting"
    if match := re.search(r"^(.*?)\s*in \"<byte string>\", line (\d+)", fault, re.DOTALL):
        return f":{match[2]}: {' '.join(match[1].split())}"
    return f": {' '.join(fault.split())}"
