"""Whole zones as those who transfer them see them: dnspython reads the messages, and shares no code with the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.message
import dns.name
import dns.rdatatype

from clusterdns import names
from clusterdns.queries import read_query
from clusterdns.transfers import Contents, contents_of
from clusterdns.transfers.messages import Packing
from clusterdns.wire import Dialect
from clusterdns.zones import ServedZones

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.index import Index
    from clusterdns.records import Record

Line = tuple[str, int, str, str]
"""Owner, TTL, type and data of a record, as text."""


def taken(apex: str, index: Index, files: ServedZones | None = None) -> tuple[Contents, list[Record]]:
    """A zone as it is now, and its records as they are sent."""
    contents = contents_of(names.from_text(apex), index, files or ServedZones())
    assert isinstance(contents, Contents)
    return contents, [contents.soa, *(each for batch in contents.take() for each in batch), contents.soa]


def messages(apex: str, records: Iterable[Record], edns: int = -1) -> Iterator[bytes]:
    query = dns.message.make_query(apex, "AXFR", use_edns=edns)
    packet = query.to_wire()
    packing = Packing(packet, read_query(packet), Dialect())
    for each in records:
        full = packing.add(each)
        if full is not None:
            yield full
    yield packing.message()


def lines(packets: Iterable[bytes], apex: str) -> list[Line]:
    """The records in their order, out of messages that are right one by one."""
    found = []
    for number, packet in enumerate(packets):
        message = dns.message.from_wire(packet, xfr=True, one_rr_per_rrset=True, origin=dns.name.from_text(apex))
        assert message.rcode() == 0
        assert bool(message.question) == (number == 0)
        assert not message.authority
        assert not message.additional
        for rrset in message.answer:
            owner = rrset.name.derelativize(dns.name.from_text(apex))
            (data,) = rrset
            text = data.to_text(origin=dns.name.from_text(apex), relativize=False)
            found.append((str(owner), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), text))
    return found


def zone_of(apex: str, index: Index, files: ServedZones | None = None) -> list[Line]:
    """All records of a zone but its SOA records, which stand at both ends."""
    _, records = taken(apex, index, files)
    first, *between, last = lines(messages(apex, records), apex)
    assert first == last
    assert first[::2] == (f"{apex}.", "SOA")
    assert len(set(between)) == len(between), "a record comes twice"
    assert all(each[2] != "SOA" for each in between)
    return sorted(between)
