"""What is in a zone: the records that its names are answered with, of one moment.

What the names of a zone follow from is taken at once, and the records are made of it bit by bit. Each batch is what one
service or one name of a file brings along, so that whoever takes them can pause in between; a batch may be empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from clusterdns import names
from clusterdns.answer import answer, every_record, pointed_at
from clusterdns.index.growing import names_of_zone
from clusterdns.records import Answer, Question, Rcode, Reason, ReasonCode, Record, Soa, Type
from clusterdns.zones import NOT_READ, bounded

if TYPE_CHECKING:
    from clusterdns.index import Index, Picture
    from clusterdns.names import Address, Name
    from clusterdns.nodes import ServiceName, Zone
    from clusterdns.zones import ServedZone, ServedZones, ZoneData

Batches: TypeAlias = Iterator[Sequence[Record]]


class Contents(Struct, frozen=True):
    """A zone as it is now."""

    soa: Record
    take: Callable[[], Batches]
    """All other records, each once. It is to be called before anything changes."""

    @property
    def serial(self) -> int:
        data = self.soa.data
        return data.serial if isinstance(data, Soa) else int.from_bytes(bytes(data)[-20:-16], "big")  # type: ignore[arg-type]


def contents_of(apex: Name, index: Index, files: ServedZones) -> Contents | Answer:
    """The zone of that name, a cluster's before a file's; or why there is none to be had."""
    node = index.apex(apex)
    if node is not None:
        if not index.is_synced:
            return _NOT_SYNCED
        (soa,) = answer(Question(apex, Type.SOA), node, index).records
        zone = node.zone
        of_kind = _of_reverse_zone if zone.is_reverse else _of_forward_zone
        return Contents(soa, lambda: of_kind(index.picture(zone), _of_apex(zone, index), index))
    served = files.at(apex)
    if served is None:
        return _NO_ZONE
    data = served.data
    if data is None:
        return NOT_READ
    if data.soa.owner != apex:
        return _NO_SOA
    (soa,) = bounded([data.soa], served.ttl)
    return Contents(soa, lambda: _of_file(served, data))


_NOT_SYNCED = Answer(
    rcode=Rcode.SERVFAIL,
    authoritative=False,
    reason=Reason("the cluster's objects are not all read yet", ReasonCode.NOT_READY),
)
_NO_ZONE = Answer(
    rcode=Rcode.NOTAUTH,
    authoritative=False,
    reason=Reason("no zone that is served here has this name", ReasonCode.NOT_AUTHORITATIVE),
)
_NO_SOA = Answer(rcode=Rcode.SERVFAIL, authoritative=False, reason=Reason("the zone's file has no SOA record for it"))


# The cluster's zones, and those for the outside


def _of_apex(zone: Zone, index: Index) -> list[Record]:
    """Those of the names that the zone has whatever is in the cluster; they follow from all of the index."""
    return [record for node in names_of_zone(zone) for record in every_record(node, index)]


def _of_forward_zone(picture: Picture, of_apex: list[Record], index: Index) -> Batches:
    yield of_apex
    for nodes in picture.nodes():
        yield [record for node in nodes for record in every_record(node, index)]


def _of_reverse_zone(picture: Picture, of_apex: list[Record], _index: Index) -> Batches:
    """An address belongs to who has it outside of the cluster, else to the service whose ClusterIP it is, else to the
    endpoints there; of these each service has one record.
    """
    yield of_apex
    for address in picture.external_addresses:
        name = names.reverse(address)
        yield _pointing_out(picture, address, name) if picture.holds(name) else ()
    for address in picture.cluster_ips:
        name = names.reverse(address)
        yield _pointing_to_owner(picture, address, name) if picture.holds(name) else ()
    apex = picture.zone.name
    zones = [each for each in picture.reverse_zones if each.name.endswith(apex) or apex.endswith(each.name)]
    for key in picture.services:
        service = picture.reached(key)
        yield () if service is None else [each for zone in zones for each in _pointing_below(picture, service, zone)]


def _pointing_out(picture: Picture, address: Address, name: Name) -> list[Record]:
    zone, services = picture.pointing_out(address, name)
    return [Record(name, Type.PTR, zone.ttl, each.name) for each in services] if zone else []


def _pointing_to_owner(picture: Picture, address: Address, name: Name) -> list[Record]:
    zone, owner = picture.reverse_zone(name), picture.owner(address)
    if zone is None or owner is None or _pointing_out(picture, address, name):
        return []
    return [Record(name, Type.PTR, zone.ttl, owner.name)]


def _pointing_below(picture: Picture, service: ServiceName, zone: Zone) -> Iterator[Record]:
    """Those of the service's endpoints whose reverse names are in that zone of the cluster."""
    seen: set[Address] = set()
    for address, target in pointed_at(service, zone):
        name = names.reverse(address)
        if address in seen or picture.reverse_zone(name) is not zone or not picture.holds(name):
            continue
        seen.add(address)
        if not picture.owner(address) and not _pointing_out(picture, address, name):
            yield Record(name, Type.PTR, zone.ttl, target)


# Zone files


def _of_file(served: ServedZone, data: ZoneData) -> Batches:
    """As it stands there: with wildcards, with delegations, and with what lies below them."""
    for node in data.nodes.values():
        for rtype, records in node.items():
            yield bounded(records, served.ttl) if rtype != Type.SOA else ()
