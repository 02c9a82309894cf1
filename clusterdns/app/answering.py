"""One block of the configuration at work: its index, its upstreams, and what answers its queries."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from functools import partial
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING, Any

from clusterdns import config, names, resolv_conf
from clusterdns.app import certificates, indexes, network_files
from clusterdns.app.following import following
from clusterdns.app.routes import files, routes
from clusterdns.around import (
    acl,
    any_type,
    chaos,
    closed_hosts,
    dns64,
    header,
    localhost,
    log_line,
    minimal,
    named,
    nsid,
    preference,
    query_log,
    renaming,
    rewrite,
    template,
    visibility,
    whoami,
)
from clusterdns.cache import Cache, CacheLimits
from clusterdns.contents import content
from clusterdns.elsewhere import Elsewhere
from clusterdns.forward import Forwarder, HostResolver, Manner, Patience
from clusterdns.itself import Itself
from clusterdns.nodes import ServiceName
from clusterdns.origins import Trail
from clusterdns.records import Rcode
from clusterdns.resolv_conf import POD_NDOTS
from clusterdns.resolve import Resolver, Searching
from clusterdns.respond import NOBODY, responder
from clusterdns.search import SearchList
from clusterdns.sources.hosts import Hosts
from clusterdns.sources.zone_files import ZoneFile, ZoneFiles, ZoneFolder
from clusterdns.transfers import Rules, Transfers, Within, contents_of, transferring
from clusterdns.wire import Dialect
from clusterdns.zones import ServedZones

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from clusterdns.app.front import Front
    from clusterdns.config import Block, Config
    from clusterdns.forward import UpstreamAddress
    from clusterdns.index import Index
    from clusterdns.names import Name
    from clusterdns.records import Question
    from clusterdns.resolv_conf import ResolvConf
    from clusterdns.server import Respond

log = logging.getLogger("clusterdns")

RESOLV_CONF = "/etc/resolv.conf"
"""Where the kubelet has the domains from that it puts behind the cluster's in the search lists of pods."""

_COMMON_HEADER = b"\0\0\1\0\0\1" + bytes(6)
_COMMON_QUESTIONS = (b"\0\x01\0\x01", b"\0\x1c\0\x01")
"""A and AAAA with recursion desired and nothing else, as the resolvers of C libraries ask."""

SLICE = 200
"""Names whose replies are encoded before the loop gets its turn."""

GRACE_SECONDS = 0.2
"""So that of a single name it is the upstreams that are said to be silent, not the sum of them."""


class Answering:
    """A block. Raises BadConfig for a file that it can not read.

    most_waiting: queries that may wait for upstreams.
    former: what answered for the block before; the index and the cache live on, where nothing about them has changed.
    """

    def __init__(self, block: Block, settings: Config, most_waiting: int, former: Answering | None = None) -> None:
        self.block = block
        self.origin = indexes.origin(block, settings)
        """What the index is made of."""
        keeps_index = former is not None and former.origin == self.origin
        self.index: Index = former.index if former is not None and keeps_index else indexes.build_index(block, settings)
        self.is_new = not keeps_index
        """Whether the index has yet to be told of the cluster."""
        paths = [Path(path) for path in block.hosts.files]
        hosts_zones = list(map(names.from_text, block.hosts.zones))
        self._rules = network_files.read_in(block.acl)
        self.hosts = Hosts(paths, block.hosts.entries, needed=block.hosts.needed, zones=hosts_zones)
        self.zone_files = ZoneFiles(
            [_zone_file(each) for each in block.zone_files], [_zone_folder(each) for each in block.zone_folders]
        )
        self._zones = ServedZones()
        given = block.forward
        self._searches = block.search == "server" or (block.search == "auto" and bool(settings.manifests))
        self.tls: certificates.ForUpstreams = certificates.for_upstreams(
            given, former.tls if former is not None else None
        )
        self._manner = _manner(given, self.tls)
        self._named: dict[str, tuple[UpstreamAddress, ...]] = {}
        """The upstreams that files name."""
        patience = Patience(given.try_seconds, given.seconds)
        tallies = None if former is None else former.forwarder.tallies
        self.forwarder: Forwarder = Forwarder(routes(given, self._manner, {}), patience, tallies)
        keeps_cache = former is not None and _of_cache(former.block) == _of_cache(block)
        counts = None if former is None else former.cache.counts
        fresh = Cache(_cache_limits(block.cache), time.monotonic, counts)
        self.cache: Cache = former.cache if former is not None and keeps_cache else fresh
        zone = block.zone[0]
        domains = block.search_domains or (f"default.svc.{zone}", f"svc.{zone}", zone)
        self._client_domains = _search_domains(block.autopath_conf)
        self._cluster = SearchList(tuple(map(names.from_text, domains)), ndots=POD_NDOTS) if self._searches else None
        elsewhere = Elsewhere(self.cache, self.forwarder, most_waiting, given.seconds + GRACE_SECONDS)
        self.resolver = Resolver(self.index, elsewhere, self._searching(), self._zones)
        self.trail: Trail = Trail(time.monotonic) if former is None else former.trail
        """Where it says what its replies come from."""
        self._following: list[asyncio.Task[None]] = []

    def __str__(self) -> str:
        return " ".join(self.block.names)

    async def make_ready(self) -> None:
        """Encode what is asked most, the addresses of services, so that those who are forked from here share it.

        Without that, the first query for a name would have each of them write, if only counts of references, wherever
        its service is in memory: and what is written to is shared no more.
        """
        respond = responder(self.index, self._dialect(), stream=False)
        nodes = [each for each in self.index.nodes.values() if isinstance(each, ServiceName) and not each.is_alias]
        for start in range(0, len(nodes), SLICE):
            for node in nodes[start : start + SLICE]:
                for question in _COMMON_QUESTIONS:
                    respond(_COMMON_HEADER + node.name + question, NOBODY)
            await asyncio.sleep(0)

    def responds(self, front: Front) -> tuple[Respond, Respond]:
        """What answers over UDP, and over TCP, behind that."""
        dialect = self._dialect()
        return self._respond(dialect, front, stream=False), self._respond(dialect, front, stream=True)

    def _dialect(self) -> Dialect:
        given = self.block.forward
        return Dialect(
            udp_size=self.block.udp_size,
            extended_errors=self.block.extended_errors,
            unserved=Rcode.SERVFAIL if self.block.unserved == "servfail" else Rcode.REFUSED,
            recursion_available=bool(given.upstreams or given.zones or given.resolv_conf),
            relayed_options=rewrite.relayed_options(self.block.rewrite),
        )

    def _respond(self, dialect: Dialect, front: Front, *, stream: bool) -> Respond:
        """What answers, behind what stands around it, the innermost first."""
        block = self.block
        bare = responder(
            self.index,
            dialect,
            stream=stream,
            resolver=self.resolver,
            trail=self.trail,
            unfamiliar=front.unfamiliar(stream=stream),
        )
        respond = self._behind_search_lists(bare, dialect, stream=stream)
        respond = minimal.minimal(respond) if block.minimal else respond
        given = block.header
        of_queries = header.Flags(cleared=given.query_clear, raised=given.query_set)
        of_replies = header.Flags(cleared=given.cleared, raised=given.raised)
        respond = self._said_by("header", header.flagged(respond, of_queries, of_replies), respond)
        respond = self._said_by("rewrite", rewrite.rewriting(respond, block.rewrite, dialect, stream=stream), respond)
        respond = preference.preferring(respond, block.prefer)
        if block.chaos.version:
            hostname = block.chaos.hostname or socket.gethostname()
            identity = chaos.Identity(block.chaos.version, block.chaos.authors, hostname)
            respond = self._said_by("chaos", chaos.telling_identity(respond, identity, dialect, stream=stream), respond)
        if block.any:
            respond = self._said_by("any", any_type.sparing_of_any(respond, dialect, stream=stream), respond)
        respond = self._said_by("acl", acl.guarding(respond, self._rules, dialect, stream=stream), respond)
        if block.dns64.prefix:
            translation = dns64.Translation(block.dns64.prefix, block.dns64.translate_all, block.dns64.allow_ipv4)
            respond = self._said_by("dns64", dns64.translating(respond, translation, dialect, stream=stream), respond)
        if block.local:
            respond = self._said_by("local", localhost.answering_localhost(respond, dialect, stream=stream), respond)
        if block.nsid:
            respond = nsid.identified(respond, block.nsid, dialect, stream=stream)
        respond = respond if respond is bare else front.telling(respond, stream=stream)
        return self._transferring(respond, dialect) if stream and block.transfer.rules else respond

    def _transferring(self, respond: Respond, dialect: Dialect) -> Respond:
        """What answers, and gives whole zones to those who may have them; that takes several messages, and nothing
        that stands around the responder knows more than one.
        """
        given = self.block.transfer
        find = partial(contents_of, index=self.index, files=self._zones)
        transfers = Transfers(
            Rules(given.rules), find, Within(given.at_once, given.seconds), dialect, self.trail
        ).respond
        guarded = acl.guarding(transfers, self._rules, dialect, stream=True)
        return transferring(respond, self._said_by("acl", guarded, transfers))

    def _behind_search_lists(self, respond: Respond, dialect: Dialect, *, stream: bool) -> Respond:
        """What answers to each name of a search list that is tried here."""
        block = self.block
        respond = visibility.showing(respond, block.visibility, self._places(), self._namespace, dialect, stream=stream)
        if block.whoami:
            telling = whoami.telling_clients(respond, self._is_answered_for, dialect, stream=stream)
            respond = self._said_by("whoami", telling, respond)
        claim = closed_hosts.Claim(
            frozenset(map(names.from_text, block.hosts.zones)) or frozenset({names.ROOT}),
            frozenset(map(names.from_text, block.hosts.fallthrough)),
        )
        closed = closed_hosts.closing(respond, claim, self.index.has_host, dialect, stream=stream)
        respond = self._said_by("hosts", closed, respond)
        templated = template.templating(respond, block.template, dialect, stream=stream)
        respond = self._said_by("template", templated, respond)
        if stream and block.template:
            self.resolver.own_block = Itself(respond)
        return respond

    def _said_by(self, part: str, outer: Respond, inner: Respond) -> Respond:
        """The outer responder, whose own replies are counted as those of that part."""
        return named.named(part, outer, inner, self.trail)

    def look_beyond(self, whole: Respond, *, is_alone: bool) -> None:
        """Follow aliases through the whole server, if that is more than this block's own zones and upstreams.

        is_alone: whether no other block is asked on the same address.
        """
        if not is_alone or self.block.template or self.block.rewrite:
            self.resolver.whole_server = Itself(whole)

    def _is_answered_for(self, name: Name) -> bool:
        """Whether a name is ours, or there is somebody to ask for it."""
        served = self._zones.serves(name) or self.resolver.elsewhere.serves(name)
        return served or self.resolver.ours(name) is not None

    def logged(self, respond: Respond, host: str, write: Callable[[str], None], *, stream: bool) -> Respond:
        """What answers on that address, and writes down what is to be."""
        around = log_line.Surroundings(
            write=write,
            clock=time.perf_counter,
            now=time.time,
            pod=self._pod,
            zones=tuple(zone.name for zone in self.index.zones),
            local=host,
            stream=stream,
        )
        return query_log.logged(respond, self.block.query_log, around)

    def _places(self) -> visibility.Places:
        """Where names of the cluster have a namespace in them."""
        block = self.block
        external = [each for each in block.external_zone if not config.is_reverse(each)]
        return visibility.Places(
            frozenset(map(names.from_text, block.zone)) if block.cluster else frozenset(),
            frozenset(map(names.from_text, external)),
            block.external.apex.encode(),
        )

    def _namespace(self, client: str) -> str | None:
        address = names.address(client.partition("%")[0])
        return self.index.namespace_of_client(address) if address else None

    def remembered_for(self, question: Question) -> int | None:
        """For how many seconds the cache has had the answer to a question; None if it has none."""
        entry = self.cache.recall(question.name + pack("!HHB", question.qtype, question.qclass, 0), self.cache.clock())
        return None if entry is None else int(self.cache.clock() - entry.stored_at)

    def _pod(self, client: str) -> log_line.Pod | None:
        address = names.address(client.partition("%")[0])
        found = self.index.pod_of_client(address) if address else None
        return None if found is None else log_line.Pod(*found)

    async def open(self) -> None:
        """Read the hosts files and the zone files. Raises HostsError and ZoneFileError."""
        self._told = await self.hosts.open()
        self._zones.put(await self.zone_files.open())

    def take_in(self) -> None:
        """Put what was read into the index, and keep up with what the files say from now on."""
        self.index.apply(self._told)
        self.follow_files()

    def take_up(self) -> None:
        """Go on, in a fork, with what the files said: it may have come between a change and the news of it."""
        if self.hosts.is_telling:
            self.index.apply([self.hosts.listed()])
            self.hosts.look_anew()
        self._zones.put(self.zone_files.served())
        self._following = []
        self.follow_files()

    def follow_files(self) -> None:
        """Hosts files and zone files."""
        self._keep_up_with("hosts files", self._follow_hosts)
        self._keep_up_with("zone files", self._follow_zone_files)

    def start(self, listening: Sequence[tuple[str, int]]) -> None:
        """Ask upstreams, and keep up with what their files say."""
        given = self.block.forward
        followed = [given.resolv_conf] if given.resolv_conf else []
        if self.block.autopath and not followed:
            followed.append(RESOLV_CONF)
        for path in dict.fromkeys([*followed, *files(given)]):
            host = HostResolver(path, listening)
            self._take(host, host.read())
            self._keep_up_with(path, partial(self._follow, host))
        if given.upstreams:
            self._tell()
        self.forwarder.start()

    def rest(self) -> None:
        """Follow nothing any more; what is asked for may yet be answered."""
        for each in self._following:
            each.cancel()
        self._following.clear()  # a task that was cancelled knows where, and so keeps us

    def stop(self) -> None:
        self.rest()
        self.forwarder.stop()
        self.resolver.own_block = self.resolver.whole_server = None  # they lead back to it

    def _keep_up_with(self, what: str, follow: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._following.append(asyncio.create_task(following(what, follow, self._note_fault)))

    def _note_fault(self) -> None:
        self.trail.faults += 1

    async def _follow_hosts(self) -> None:
        async for events in self.hosts.changes():
            self.index.apply(events)

    async def _follow_zone_files(self) -> None:
        async for zones in self.zone_files.changes():
            self._zones.put(zones)
            self.cache.clear()  # an upstream may have been asked for what a zone has now

    async def _follow(self, host: HostResolver) -> None:
        async for conf in host.changes():
            self._take(host, conf)

    def _take(self, host: HostResolver, conf: ResolvConf) -> None:
        if host.path in files(self.block.forward):
            self._named[host.path] = host.upstreams()
            for route in routes(self.block.forward, self._manner, self._named):
                self.forwarder.put(route)
            self._tell()
        if host.path != (self.block.forward.resolv_conf or RESOLV_CONF):
            return
        domains = _domains(conf)
        is_for_clients = self._searches and bool(self.block.forward.resolv_conf)
        host_list = SearchList(domains, conf.ndots) if is_for_clients and domains else None
        searching = self._searching(host_list, domains)
        if searching != self.resolver.searching:
            self.resolver.searching = searching
            self.resolver.elsewhere.cache.clear()  # what is there was found by another search list

    def _searching(self, host: SearchList | None = None, host_domains: tuple[Name, ...] = ()) -> Searching:
        zones = frozenset(map(names.from_text, self.block.autopath_zones)) or frozenset({names.ROOT})
        return Searching(self._cluster, host, self.block.autopath, host_domains, self._client_domains, zones)

    def _tell(self) -> None:
        upstreams = ", ".join(str(each) for zone, each in self.forwarder.upstreams if zone == names.ROOT)
        log.info("upstreams: %(upstreams)s", {"upstreams": upstreams or "none; names of others are refused"})


def _domains(conf: ResolvConf) -> tuple[Name, ...]:
    return tuple(name for name in map(names.possible, conf.search) if name not in (None, names.ROOT))


def _search_domains(path: str) -> tuple[Name, ...]:
    """Those of a resolv.conf, if one is given. Raises BadConfig."""
    try:
        return _domains(resolv_conf.parse(content(Path(path)).decode(errors="replace"))) if path else ()
    except OSError as error:
        raise config.BadConfig(f"autopath-conf: {path}: {error.strerror}") from error


def _of_cache(block: Block) -> tuple[object, ...]:
    """The settings that decide what upstreams are asked for."""
    return (
        block.forward, block.cache, block.zone_files, block.zone_folders, block.autopath_conf, block.autopath_zones,
    )  # fmt: skip


def _zone_folder(given: config.ZoneFolder) -> ZoneFolder:
    within = frozenset(map(names.from_text, given.zones))
    rename = renaming.by_pattern(given.pattern, given.origin)

    def zone_of(file: str) -> Name | None:
        zone = names.possible(rename(file) or "..")
        return zone if zone is not None and not within.isdisjoint((zone, *names.ancestors(zone))) else None

    return ZoneFolder(Path(given.folder), zone_of, given.followed, given.ttl, given.negative_ttl)


def _zone_file(given: config.ZoneFile) -> ZoneFile:
    zones = tuple(dict.fromkeys(map(names.from_text, given.zones)))
    fall_through = frozenset(map(names.from_text, given.fallthrough))
    path = Path(given.file)
    return ZoneFile(path, zones, fall_through, given.needed, given.followed, given.ttl, given.negative_ttl)


def _manner(given: config.Forward, tls: certificates.ForUpstreams) -> Manner:
    return Manner(
        given.random_letter_case,
        given.force_tcp,
        tls.context,
        given.max_failures,
        given.probe_seconds,
        given.probe_recursive,
        names.from_text(given.probe_domain) if given.probe_domain else None,
        given.kept_seconds,
    )


def _cache_limits(given: config.Cache) -> CacheLimits:
    return CacheLimits(
        given.entries if given.bytes else 0,
        given.bytes,
        given.ttl,
        given.negative_ttl,
        given.failure_seconds,
        given.stale_seconds,
        given.stale_after_seconds,
        given.stale_ttl,
        given.prefetch_hits,
        given.prefetch_gap_seconds,
        given.prefetch_percent / 100,
        given.keep_ttl,
        given.rotate,
        frozenset(map(names.from_text, given.zones or (".",))),
        frozenset(map(names.from_text, given.except_success)),
        frozenset(map(names.from_text, given.except_denial)),
    )
