"""What is fed with bytes, and what must be true of whatever they are."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import dns.message
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterdns import config, corefile, names
from clusterdns.events import Gone, Listed, Put
from clusterdns.queries import FormatError, read_query
from clusterdns.records import Question
from clusterdns.resolv_conf import parse as parse_resolv_conf
from clusterdns.responses import read_response, terms
from clusterdns.sources.cluster import Patience, Refused, Unreadable
from clusterdns.sources.cluster.following import RESOURCES, Following, _Unsupported
from clusterdns.sources.manifests.files import read as read_manifest
from clusterdns.wire import LARGEST, Dialect
from clusterdns.zones.master_file import MasterFileError, read_records
from tests import test_index
from tests.cluster import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.objects import Key, Object
    from clusterdns.sources.cluster.connection import Connection

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "config" / "example"
HEADER, OPCODE = 12, 0x78


class Target(NamedTuple):
    name: str
    check: Callable[[bytes], object]
    """Raises whatever it likes if something is wrong with what is made of these bytes."""
    examples: list[bytes]


# Packets.


SERVER = Server(
    "\n---\n".join(each.read_text() for each in sorted(EXAMPLE.glob("*.yaml"))), listed=test_index.cluster.ALL
)
ASKED = [
    dns.message.make_query(name, rtype, **edns)
    for name, rtype in (
        ("alpaca-prod.default.svc.cluster.local", "A"),
        ("_postgres._tcp.db.shop.svc.cluster.local", "SRV"),
        ("nobody.shop.svc.cluster.local", "AAAA"),
        ("payments.shop.svc.cluster.local", "CNAME"),
        ("11.3.244.10.in-addr.arpa", "PTR"),
    )
    for edns in ({}, {"use_edns": 0, "payload": 1232}, {"use_edns": 0, "want_dnssec": True})
]
QUERIES = [each.to_wire() for each in ASKED]


def queries(packet: bytes) -> None:
    """Silence, or a reply to it: with its ID, and readable by dnspython unless it is a bare header."""
    for respond, space in ((SERVER.datagram, 4096), (SERVER.stream, LARGEST)):
        reply = respond(packet, ("192.0.2.1", 5353))
        if reply is None:
            assert len(packet) < 2 or _is_response(packet), "silence"
            continue
        assert isinstance(reply, bytes)
        assert reply[:2] == packet[:2]
        assert reply[2] & 0x80
        assert HEADER <= len(reply) <= space
        if len(reply) > HEADER and not packet[2] & OPCODE:  # dnspython wants more of the questions of other opcodes
            dns.message.from_wire(reply)


def _is_response(packet: bytes) -> bool:
    return len(packet) > 2 and bool(packet[2] & 0x80)


_QUERY = read_query(QUERIES[0])
_TERMS = [terms(_QUERY, Dialect(), space) for space in (512, LARGEST)]


BROKEN = (dns.message.ShortHeader, dns.message.TrailingJunk)


def responses(packet: bytes) -> None:
    """Refused, or given to the client in a form that can be read, and in no more room than it has."""
    question = _QUERY.question
    packet = QUERIES[0][:2] + packet[2:HEADER].ljust(10, b"\0") + QUERIES[0][HEADER:] + packet[HEADER:]
    try:
        response = read_response(packet, Question(question.name, question.qtype))
    except FormatError:
        return
    for asked, space in zip(_TERMS, (512, LARGEST), strict=True):
        reply = response.to(QUERIES[0], _QUERY.name_end, asked, 1)
        assert len(reply) <= space
        # What is in an upstream's records is relayed as it is, but they have to be as many and as long as they say.
        read = dns.message.from_wire(reply, one_rr_per_rrset=True, continue_on_error=True)
        assert not [each for each in read.errors if isinstance(each.exception, BROKEN)]


RESPONSES = [
    pack("!HHHHHH", 0, 0x8180, 1, 2, 0, 0)
    + b"\xc0\x0c\0\5\0\1\0\0\0\x1e\0\6\3www\xc0\x0c"
    + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\1\2\3\4",
    pack("!HHHHHH", 0, 0x8183, 1, 0, 1, 0) + b"\0\0\6\0\1\0\0\0\x1e\0\x1a\1a\0\1b\0" + pack("!IIIII", 1, 2, 3, 4, 5),
    pack("!HHHHHH", 0, 0x8180, 1, 1, 0, 1) + b"\xc0\x0c\0\x10\0\1\0\0\0\x1e\0\4\3txt\0\0\x29\4\xd0\0\0\0\0\0\0",
]


# Text.


def name_texts(data: bytes) -> None:
    """A name that can be read is written as it can be read again; and a reverse name leads to its address."""
    text = data.decode(errors="replace")
    name = names.possible(text)
    if name is not None:
        assert len(name) <= names.LONGEST_NAME
        assert b"".join(bytes((len(each),)) + each for each in names.labels(name)) + names.ROOT == name
        names.to_text(name)
        names.reversed_digits(name)
        assert list(names.ancestors(name))[-1:] in ([], [names.ROOT])
    address = names.address(text)
    if address is not None:
        assert names.address(names.address_text(address)) == address
        assert names.reversed_digits(names.reverse(address)) == (len(address), address.hex())


def manifests(data: bytes) -> None:
    for name in ("fuzz.yaml", "fuzz.json"):
        found, faults = read_manifest(Path(name), data)
        assert all(each.reason for each in faults)
        test_index.new_index().apply([Put(each.object) for each in found if isinstance(each.object, test_index.ALL)])


class _Memory:
    """Files that are not there, but for one."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self, path: Path) -> str:
        if path.name != "Corefile":
            raise FileNotFoundError(2, "No such file or directory")
        return self._text

    def matching(self, _pattern: Path) -> list[Path]:
        return []


def corefiles(data: bytes) -> None:
    """A configuration that its own checks let pass, or faults with their lines."""
    files = _Memory(data.decode(errors="replace"))
    with suppress(config.BadConfig):
        try:
            config.check(corefile.translate(corefile.read(Path("Corefile"), files, {})).config)
        except corefile.CorefileError as error:
            faults = error.faults
        else:
            return
        assert faults
        assert all(each.place.line >= 1 for each in faults)


def configurations(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file, suppress(config.BadConfig):
        file.write(data)
        file.flush()
        config.check(config.read(Path(file.name)))


def zone_files(data: bytes) -> None:
    def missing(_name: str, _file: str) -> Any:
        raise MasterFileError("no such file")

    with suppress(MasterFileError):
        read_records("fuzz", data.decode(errors="replace"), names.from_text("example.org"), missing)


def resolv_confs(data: bytes) -> None:
    parse_resolv_conf(data.decode(errors="replace"))


# Events: hypothesis makes them of the bytes.


@settings(deadline=None, database=None, max_examples=30)
@given(st.lists(st.lists(test_index.events(), min_size=1, max_size=6), min_size=1, max_size=6))
def _any_events(batches: list[list[Any]]) -> None:
    index, live = test_index.new_index(), {kind: {} for kind in test_index.ALL}
    index.apply([Listed(kind, ()) for kind in test_index.ALL])
    for batch in batches:
        test_index.answers(index)
        index.apply(batch)
        for event in batch:
            test_index.apply_to(live, event)
    assert test_index.differing(index, test_index.fresh(live)) == []


def events(data: bytes) -> None:
    """An index after any events answers as one that was told the final objects at once."""
    _any_events.hypothesis.fuzz_one_input(data)


class _NoConnection:
    """Nothing is asked: what comes is given by hand."""

    def redacted(self, text: str) -> str:
        return text


def watches(data: bytes) -> None:
    """What a watch says, line by line: understood, or given up; whoever is told has what is known here."""
    resource = RESOURCES[len(data) % len(RESOURCES)]
    following = Following(resource, cast("Connection", _NoConnection()), Patience(), {})
    following._begin_list()
    told: dict[Key, Object] = {}
    with suppress(Refused, _Unsupported, *Unreadable):
        for line in data.splitlines():
            for event in following._read([line], 0.0).events:
                match event:
                    case Put(new):
                        told[new.key] = new
                    case Gone(_, key):
                        told.pop(key, None)
                    case Listed(_, objects):
                        told = {each.key: each for each in objects}
            assert following._is_listing or told == following._known
    if told:
        test_index.new_index().apply([Put(each) for each in told.values()])


WATCHES = [
    b"\n".join(
        b'{"type":"%s","object":%s}' % (b"BOOKMARK" if is_end else kind, body)
        for kind in (b"ADDED", b"MODIFIED", b"DELETED", b"ERROR")
        for body, is_end in (
            (b'{"metadata":{"name":"a","namespace":"b","resourceVersion":"7"},"spec":{"clusterIP":"10.0.0.1"}}', False),
            (b'{"metadata":{"resourceVersion":"8","annotations":{"k8s.io/initial-events-end":"true"}}}', True),
            (
                (
                    b'{"metadata":{"name":"c","labels":{"kubernetes.io/service-name":"a"}},"addressType":"IPv4",'
                    b'"endpoints":[{"addresses":["10.1.1.1"],"hostname":"h"}],"ports":[{"name":"p","port":1}]}'
                ),
                False,
            ),
        )
    ),
]


def _files(folder: Path, pattern: str) -> list[bytes]:
    return [each.read_bytes() for each in sorted(folder.rglob(pattern)) if each.is_file()]


TARGETS = {
    each.name: each
    for each in (
        Target("queries", queries, QUERIES),
        Target("responses", responses, RESPONSES),
        Target("names", name_texts, [b"www.example.com.", b"10.96.0.1", b"fd00::1", b"1.0.0.10.in-addr.arpa"]),
        Target("manifests", manifests, _files(EXAMPLE, "*.yaml")),
        Target("corefiles", corefiles, _files(REPOSITORY / "tests" / "data" / "corefiles", "*.corefile")),
        Target("configurations", configurations, _files(REPOSITORY / "config", "clusterdns.yaml")),
        Target(
            "zone files",
            zone_files,
            [b"$ORIGIN example.org.\n$TTL 1h\n@ IN SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"],
        ),
        Target("resolv.conf", resolv_confs, [b"nameserver 192.0.2.1\nsearch a.example b.example\noptions ndots:5\n"]),
        Target("watches", watches, WATCHES),
        Target("events", events, [bytes(range(256))]),
    )
}
