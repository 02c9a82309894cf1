"""DNS as values: a question, the records that answer it, and why.

Content is data: whoever holds an `Answer` never has to ask a second time whether a name exists. Nothing here knows how
the values look on the wire.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

Name: TypeAlias = bytes
"""A domain name; names.py has its grammar."""


class Type(IntEnum):
    """The record types that have a meaning here (IANA, DNS parameters); every other type is a number."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    HINFO = 13
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    DS = 43
    DNSKEY = 48
    IXFR = 251
    AXFR = 252
    ANY = 255


CLASS_IN = 1

LONGEST_TTL = 0x7FFFFFFF
"""Seconds (RFC 2181 section 8)."""


class Rcode(IntEnum):
    """RFC 1035 section 4.1.1, RFC 2136 section 2.2, RFC 6891 section 9, RFC 7873 section 8."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    NOTAUTH = 9
    BADVERS = 16
    BADCOOKIE = 23


class ReasonCode(IntEnum):
    """The INFO-CODE of an Extended DNS Error (RFC 8914 section 4)."""

    OTHER = 0
    STALE_ANSWER = 3
    NOT_READY = 14
    BLOCKED = 15
    FILTERED = 17
    PROHIBITED = 18
    STALE_NXDOMAIN = 19
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21
    NO_REACHABLE_AUTHORITY = 22


class Reason(Struct, frozen=True):
    """Why an answer is what it is, in words for people."""

    text: str
    code: int = ReasonCode.OTHER


class Lacking(Reason, frozen=True, kw_only=True):
    """The same of a label that is missing below a name, which is named: `no Service 'crat' in namespace shop`.

    `text` is for where that has no room.
    """

    parent: Name
    before: str
    after: str


class Srv(Struct, frozen=True):
    """RFC 2782."""

    weight: int
    port: int
    target: Name
    priority: int = 0


class Soa(Struct, frozen=True):
    """RFC 1035 section 3.3.13. Times are seconds; `minimum` is the TTL of negative answers (RFC 2308 section 4)."""

    mname: Name
    rname: Name
    serial: int
    minimum: int
    refresh: int = 7200
    retry: int = 1800
    expire: int = 86400


Data: TypeAlias = bytes | Srv | Soa | tuple[bytes, ...]
"""An address for A and AAAA, a Name for CNAME, NS and PTR, character strings for TXT and HINFO."""


class Question(Struct, frozen=True):
    name: Name
    qtype: int
    qclass: int = CLASS_IN


class Record(Struct, frozen=True):
    owner: Name
    rtype: int
    ttl: int
    data: Data


class Answer(Struct, frozen=True, kw_only=True):
    """All that there is to say to a question.

    `settled` says that the node of the asked name alone decided it: until the index replaces that node, the same
    question has the same answer, whatever happens to other names.
    """

    rcode: int = Rcode.NOERROR
    records: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = True
    settled: bool = True
    reason: Reason | None = None
    onward: Name | None = None
    """Where the last alias leads to, if that is a name which is not ours: the answer goes on there."""
