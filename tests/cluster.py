"""A cluster as its YAML, a server of its names without sockets, and dnspython as the judge of what it says."""

from __future__ import annotations

import re
from struct import unpack_from
from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataset
import dns.rdatatype
import msgspec
import yaml

from clusterdns import names
from clusterdns.events import Gone, Listed, Put
from clusterdns.index import Index
from clusterdns.nodes import External, Zone
from clusterdns.objects import EndpointSlice, Namespace, Node, Object, Pod, Service
from clusterdns.respond import responder
from clusterdns.wire import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dns.rdataset import Rdataset
    from dns.rrset import RRset

KINDS: dict[str, type[Object]] = {each.__name__: each for each in (Namespace, Service, EndpointSlice, Pod, Node)}
ALL = tuple(KINDS.values())

Sets = dict[tuple[dns.name.Name, str], tuple[int, "Rdataset"]]


def objects(manifest: str) -> list[Object]:
    """The objects of YAML documents."""
    documents = yaml.load_all(manifest, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [msgspec.convert(each, KINDS[each["kind"]]) for each in documents if each]


def of_kind(kind: type[Object], given: Iterable[Object]) -> tuple[Object, ...]:
    return tuple(each for each in given if isinstance(each, kind))


def zone(name: str, *, is_reverse: bool = False, **settings: Any) -> Zone:
    apex = names.from_text(name)
    return Zone(
        name=apex,
        mname=names.below("ns", "dns", parent=apex),
        rname=names.below("hostmaster", parent=apex),
        is_reverse=is_reverse,
        falls_through=is_reverse,
        **settings,
    )


def external_zone(name: str, *, headless: bool = False, node_ports: bool = False, **settings: Any) -> Zone:
    """A zone for the outside of the cluster."""
    apex = names.from_text(name)
    return Zone(
        name=apex,
        mname=names.below("ns1", "dns", parent=apex),
        rname=names.below("hostmaster", "dns", parent=apex),
        is_reverse=name.endswith(".arpa"),
        external=External(headless=headless, node_ports=node_ports),
        **{"ttl": 5, **settings},
    )


def make_index(
    *,
    zones: Sequence[str] = ("cluster.local",),
    reverse_zones: Sequence[str] = ("in-addr.arpa", "ip6.arpa"),
    settings: dict[str, Any] | None = None,
    **of_index: Any,
) -> Index:
    """An index that has heard of nothing yet."""
    return Index(
        [zone(each, **settings or {}) for each in zones],
        [zone(each, is_reverse=True, **settings or {}) for each in reverse_zones],
        **of_index,
    )


class Server:
    """Answers for a cluster; what is not said of it is as the defaults have it.

    manifest: the cluster's objects; all kinds of objects are listed with it, unless `listed` names fewer.
    settings: of every zone.
    """

    def __init__(
        self,
        manifest: str = "",
        *,
        listed: Iterable[type[Object]] = ALL,
        dialect: Dialect | None = None,
        zones: Sequence[str] = ("cluster.local",),
        reverse_zones: Sequence[str] = ("in-addr.arpa", "ip6.arpa"),
        external_zones: Sequence[Zone] = (),
        own_addresses: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        packed = tuple(filter(None, map(names.address, own_addresses)))
        self.index = make_index(
            zones=zones,
            reverse_zones=reverse_zones,
            settings=settings,
            external_zones=external_zones,
            own_addresses=packed,
        )
        dialect = dialect or Dialect()
        self.datagram = responder(self.index, dialect, stream=False)
        self.stream = responder(self.index, dialect, stream=True)
        given = objects(manifest)
        self.index.apply([Listed(kind, of_kind(kind, given)) for kind in listed])

    def put(self, manifest: str) -> None:
        self.index.apply([Put(each) for each in objects(manifest)])

    def gone(self, kind: type[Object], name: str, namespace: str = "") -> None:
        self.index.apply([Gone(kind, (namespace, name))])

    def listed(self, kind: type[Object], manifest: str = "") -> None:
        self.index.apply([Listed(kind, of_kind(kind, objects(manifest)))])

    def ask(self, name: str, rtype: str = "A", *, stream: bool = False, **edns: Any) -> dns.message.Message:
        return self.asked(dns.message.make_query(name, rtype, **edns), stream=stream)

    def asked(self, query: dns.message.Message, *, stream: bool = False) -> dns.message.Message:
        """The reply, which dnspython takes for one to this query."""
        packet = (self.stream if stream else self.datagram)(query.to_wire())
        assert packet is not None, f"silence for {query}"
        reply = dns.message.from_wire(packet)
        assert query.is_response(reply)
        assert reply.question == query.question
        records = sum(len(rrset) for section in reply.sections[1:] for rrset in section) + (reply.opt is not None)
        assert sum(unpack_from("!HHH", packet, 6)) == records, "a record comes twice"
        return reply

    def soa(self, name: str = "cluster.local", ttl: int = 5) -> str:
        """The zone's SOA record, as it stands in its negative answers."""
        soa = next(node.zone for node in [self.index.find(names.from_text(name))] if node).soa()
        mname, rname = names.to_text(soa.mname), names.to_text(soa.rname)
        return f"{name}. {ttl} IN SOA {mname} {rname} {soa.serial} 7200 1800 86400 {soa.minimum}"


def sets(rrsets: Iterable[RRset]) -> Sets:
    """Record sets in a form that can be compared, TTL and all."""
    return {(each.name, dns.rdatatype.to_text(each.rdtype)): (each.ttl, each.to_rdataset()) for each in rrsets}


def zone_text(text: str) -> Sets:
    """The same, of records as a zone file writes them; their TTL is 30 unless they say otherwise."""
    found: Sets = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        owner, ttl, rtype, data = _RECORD.fullmatch(line).groups(default="30")
        name, rdata = dns.name.from_text(owner), dns.rdata.from_text("IN", rtype, data)
        _, rdataset = found.setdefault((name, rtype), (int(ttl), dns.rdataset.Rdataset(rdata.rdclass, rdata.rdtype)))
        rdataset.add(rdata, int(ttl))
    return found


_RECORD = re.compile(r"(\S+)(?: +(\d+))? +IN +(\S+) +(.+)")


def expect(
    reply: dns.message.Message, answer: str = "", *, rcode: str = "NOERROR", authority: str = "", additional: str = ""
) -> None:
    """Hold a whole reply against zone text, section by section; it is authoritative and not cut short."""
    assert dns.rcode.to_text(reply.rcode()) == rcode
    assert sets(reply.answer) == zone_text(answer)
    assert sets(reply.authority) == zone_text(authority)
    assert sets(reply.additional) == zone_text(additional)
    assert bool(reply.flags & dns.flags.AA) == (rcode in ("NOERROR", "NXDOMAIN"))
    assert not reply.flags & dns.flags.TC


def expect_nothing(server: Server, name: str, rtype: str = "A", *, zone: str = "cluster.local") -> None:
    """The name does not exist."""
    expect(server.ask(name, rtype), rcode="NXDOMAIN", authority=server.soa(zone))


def expect_no_data(server: Server, name: str, rtype: str = "A", *, zone: str = "cluster.local") -> None:
    """The name exists, but has no such records."""
    expect(server.ask(name, rtype), authority=server.soa(zone))


def addresses(reply: dns.message.Message) -> list[str]:
    """The addresses of the answer section, in their order."""
    return [each.address for rrset in reply.answer for each in rrset if hasattr(each, "address")]
