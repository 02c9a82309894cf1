"""What a zone of records says to a question (RFC 1034 section 4.3.2).

Names from the apex downward: a delegation ends the way, a DNAME record leads elsewhere (RFC 6672), and what does not
exist is made of the wildcard below the closest encloser, if there is one (RFC 4592). Signatures and NSEC records are
given as they stand in the zone, to those who set DO.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace

from clusterdns.names import LONGEST_NAME, Name, ancestors, labels
from clusterdns.records import Answer, Question, Rcode, Reason, Record, Type

MX, DNAME, RRSIG, NSEC = 15, 39, 46, 47

LONGEST_CHAIN = 8
"""Aliases of one zone that are followed; as CoreDNS has it."""

WILDCARD = b"\1*"

Node: TypeAlias = Mapping[int, tuple[Record, ...]]
"""The records of a name by their types; none at all for an empty non-terminal (RFC 8499 section 7)."""

_NOTHING: Node = {}


class NotAZone(ValueError):
    """Records that make no zone."""


class ZoneData(Struct, frozen=True):
    """A zone, ready to be asked."""

    name: Name
    soa: Record
    nodes: dict[Name, Node]
    chain: tuple[tuple[tuple[bytes, ...], Name], ...] = ()
    """The owners of NSEC records in canonical order (RFC 4034 section 6.1), behind what they are ordered by."""
    outside: int = 0
    """How many records are not in the zone, and left out."""

    @property
    def serial(self) -> int:
        return int.from_bytes(_data(self.soa)[-20:-16], "big")


def make_zone(name: Name, records: Iterable[Record]) -> ZoneData:
    """A zone of those records that are in it. Raises NotAZone.

    Its SOA record is that of the apex; else, as CoreDNS has it, whichever there is.
    """
    nodes: dict[Name, dict[int, list[Record]]] = {name: {}}
    authorities: list[Record] = []
    outside = 0
    for record in records:
        if record.rtype == Type.SOA:
            authorities.append(record)
        if not _is_within(record.owner, name):
            outside += 1
            continue
        held = nodes.setdefault(record.owner, {}).setdefault(record.rtype, [])
        if all(each.data != record.data for each in held):
            held.append(record)
    soa = next((each for each in authorities if each.owner == name), authorities[0] if authorities else None)
    if soa is None:
        raise NotAZone("there is no SOA record")
    for owner in [*nodes]:
        for above in ancestors(owner):
            if len(above) <= len(name) or above in nodes:
                break
            nodes[above] = {}
    whole = {owner: {rtype: _of_one_ttl(held) for rtype, held in node.items()} for owner, node in nodes.items()}
    chain = sorted((tuple(reversed(labels(owner))), owner) for owner, node in nodes.items() if NSEC in node)
    return ZoneData(name, soa, whole, tuple(chain), outside)  # type: ignore[arg-type]


def _of_one_ttl(records: list[Record]) -> tuple[Record, ...]:
    """A record set has one TTL, the first (RFC 2181 section 5.2); signatures are of different sets."""
    if records[0].rtype == RRSIG:
        return tuple(records)
    return tuple([each if each.ttl == records[0].ttl else replace(each, ttl=records[0].ttl) for each in records])


def _is_within(name: Name, zone: Name) -> bool:
    return name == zone or zone in ancestors(name)


# Questions


class _Found(Struct, frozen=True):
    """Where the way from the apex downward ends."""

    node: Node = _NOTHING
    name: Name = b""
    """The node's own, where that is not the name that was asked for: a wildcard's, a delegation's, a DNAME's."""
    encloser: Name = b""
    """The closest one, if the name does not exist."""
    is_delegation: bool = False
    is_tree: bool = False
    """Whether the node has a DNAME record that takes the name elsewhere."""


def lookup(zone: ZoneData, question: Question, *, dnssec_ok: bool) -> Answer:
    """What the zone says. An alias that leads out of it is followed by whoever knows what is there."""
    return _Lookup(zone, question.qtype, dnssec_ok).answer(question.name)


class _Lookup:
    """One question on its way through the zone."""

    def __init__(self, zone: ZoneData, qtype: int, dnssec_ok: bool) -> None:  # noqa: FBT001 - the query's bit
        self._zone = zone
        self._qtype = qtype
        self._dnssec_ok = dnssec_ok
        self._aliases: list[Record] = []
        """The aliases on the way, as the answer begins with them."""
        self._proof: list[Record] = []
        """That no name on the way was one which a wildcard stood in for."""

    def answer(self, name: Name) -> Answer:
        for _ in range(LONGEST_CHAIN + 1):
            found = _find(self._zone, name, self._qtype)
            if found.is_delegation:
                return self._delegation(found)
            if self._dnssec_ok and found.name and found.encloser:
                self._proof += _covering(self._zone, name)
            target = self._target(name, found)
            if target is None:
                return self._end(name, found)
            if len(target) > LONGEST_NAME:
                return Answer(rcode=_YXDOMAIN, records=tuple(self._aliases))
            if found.is_tree and self._qtype == Type.CNAME:
                return Answer(records=tuple(self._aliases))
            name = target
            if not _is_within(name, self._zone.name):
                return self._from_here(onward=name)
            if any(each.owner == name and each.rtype == Type.CNAME for each in self._aliases):
                break
        return self._from_here(reason=Reason("aliases of the zone lead in a circle, or on over too many names"))

    def _target(self, name: Name, found: _Found) -> Name | None:
        """Where the name leads to, if it is an alias; it is one more on the way then."""
        if found.is_tree:
            (dname, *_) = found.node[DNAME]
            target = name[: -len(found.name)] + _data(dname)
            self._aliases += self._set(found.node, DNAME)
            if len(target) <= LONGEST_NAME:
                self._aliases.append(Record(name, Type.CNAME, dname.ttl, target))
            return target
        if Type.CNAME not in found.node or self._qtype in _OF_THE_ALIAS:
            return None
        self._aliases += _owned(self._set(found.node, Type.CNAME), name, found)
        return _data(found.node[Type.CNAME][0])

    def _end(self, name: Name, found: _Found) -> Answer:
        """What is said of the name that all aliases lead to."""
        wanted = self._wanted(found.node)
        if wanted:
            is_said = self._qtype == Type.NS and name == self._zone.name
            authority = () if is_said else self._nameservers()
            return Answer(
                records=(*self._aliases, *_owned(wanted, name, found)),
                authority=(*authority, *self._proof),
                additional=tuple(self._addresses(wanted)),
            )
        exists = not found.encloser or bool(found.name)
        denial = [*self._soa(), *self._proof]
        if self._dnssec_ok and exists:
            denial += self._set(found.node, NSEC) or _covering(self._zone, name)
        elif self._dnssec_ok:
            denial += [*_covering(self._zone, name), *_covering(self._zone, WILDCARD + found.encloser)]
        rcode = Rcode.NOERROR if exists else Rcode.NXDOMAIN
        return Answer(rcode=rcode, records=tuple(self._aliases), authority=tuple(dict.fromkeys(denial)))

    def _wanted(self, node: Node) -> list[Record]:
        match self._qtype:
            case Type.ANY:
                return [record for held in node.values() for record in held]
            case number if number == RRSIG:
                return list(node.get(RRSIG, ()))
            case number:
                return self._set(node, number)

    def _from_here(self, onward: Name | None = None, reason: Reason | None = None) -> Answer:
        """The aliases, and no more."""
        return Answer(records=tuple(self._aliases), authority=self._nameservers(), onward=onward, reason=reason)

    def _delegation(self, found: _Found) -> Answer:
        """Who has the names below, and whether they are signed there; the aliases that lead there are ours."""
        nameservers = found.node[Type.NS]
        secure = self._set(found.node, Type.DS) or self._set(found.node, NSEC) if self._dnssec_ok else []
        return Answer(
            records=tuple(self._aliases),
            authority=(*nameservers, *secure),
            additional=tuple(self._addresses(nameservers)),
            authoritative=bool(self._aliases),
        )

    def _set(self, node: Node, rtype: int) -> list[Record]:
        return _set(node, rtype, dnssec_ok=self._dnssec_ok)

    def _soa(self) -> list[Record]:
        """With a TTL that is that of the absence (RFC 2308 section 3)."""
        soa = self._zone.soa
        ttl = min(soa.ttl, int.from_bytes(_data(soa)[-4:], "big"))
        return [replace(each, ttl=ttl) for each in self._set(self._zone.nodes[self._zone.name], Type.SOA) or [soa]]

    def _nameservers(self) -> tuple[Record, ...]:
        return tuple(self._set(self._zone.nodes[self._zone.name], Type.NS))

    def _addresses(self, records: Iterable[Record]) -> Iterator[Record]:
        """Of the servers that these records name, as far as they are in the zone or below it."""
        zone = self._zone
        for target in dict.fromkeys(filter(None, map(_server, records))):
            node = zone.nodes.get(target)
            if node is None and _is_within(target, zone.name):
                found = _find(zone, target, Type.A)
                node = None if found.is_delegation or found.is_tree else found.node
            for rtype in (Type.A, Type.AAAA) if node else ():
                yield from [replace(each, owner=target) for each in self._set(node or _NOTHING, rtype)]


_YXDOMAIN = 6
"""The name that a DNAME record makes is too long (RFC 6672 section 2.2)."""

_OF_THE_ALIAS = frozenset({Type.CNAME, Type.ANY, RRSIG, NSEC})
"""Types that are asked of the alias itself."""


def _find(zone: ZoneData, name: Name, qtype: int) -> _Found:
    nodes = zone.nodes
    way = [name, *ancestors(name)]
    way = way[: way.index(zone.name) + 1]
    encloser = zone.name
    for each in reversed(way):
        node = nodes.get(each)
        if node is None:
            wildcard = WILDCARD + encloser
            return _Found(nodes.get(wildcard, _NOTHING), wildcard if wildcard in nodes else b"", encloser)
        if Type.NS in node and each != zone.name and not (each == name and qtype == Type.DS):
            return _Found(node, each, is_delegation=True)
        if DNAME in node and each != name:
            return _Found(node, each, is_tree=True)
        encloser = each
    return _Found(nodes[name])


def _set(node: Node, rtype: int, *, dnssec_ok: bool) -> list[Record]:
    """The records of a type, with their signatures for those who want them."""
    found = list(node.get(rtype, ()))
    if dnssec_ok and found:
        covered = rtype.to_bytes(2, "big")
        found += [each for each in node.get(RRSIG, ()) if _data(each)[:2] == covered]
    return found


def _owned(records: list[Record], name: Name, found: _Found) -> list[Record]:
    """What a wildcard has becomes the name's own."""
    return [replace(each, owner=name) for each in records] if found.name else records


_BEFORE_SERVER: Mapping[int, int] = {Type.NS: 0, MX: 2, Type.SRV: 6}


def _server(record: Record) -> Name | None:
    skipped = _BEFORE_SERVER.get(record.rtype)
    return None if skipped is None else _data(record)[skipped:]


def _data(record: Record) -> bytes:
    """All data is bytes here."""
    return cast("bytes", record.data)


# Proofs of absence (RFC 4035 section 3.1.3)


def _covering(zone: ZoneData, name: Name) -> list[Record]:
    """The NSEC record whose owner is the last one before the name."""
    if not zone.chain:
        return []
    at = bisect_right(zone.chain, (tuple(reversed(labels(name))), name))
    return _set(zone.nodes[zone.chain[at - 1][1]], NSEC, dnssec_ok=True)
