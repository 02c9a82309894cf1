"""A server that forwards, with settings of its own."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import dns.edns
import dns.message
import dns.rcode
import yaml
from serving import EXAMPLE, Serving

from tests.upstreams import address_of, over_udp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Serve = Callable[..., Serving]

EDE_STALE_ANSWER, EDE_STALE_NXDOMAIN, EDE_NO_REACHABLE_AUTHORITY = 3, 19, 22
"""RFC 8914 section 4."""

IMPATIENT = MappingProxyType({"try_seconds": 0.3, "seconds": 1.0})
"""So that a test of silence does not last."""

CLUSTER_NAME = "alpaca-prod.default.svc.cluster.local"
CLUSTER_ADDRESS = "10.96.78.232"


def forwarding(
    serve: Serve,
    folder: Path,
    *upstreams: object,
    cache: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    arguments: tuple[object, ...] = ("--manifests", EXAMPLE),
    listen: tuple[str, ...] = ("127.0.0.1:0",),
    prefix: tuple[str, ...] = (),
    **forward: Any,
) -> Serving:
    """A server whose `forward` section has these settings, with `_` for `-`; `settings` are those of the top."""
    section = {name.replace("_", "-"): value for name, value in forward.items()}
    if upstreams:
        section["upstreams"] = [str(each) for each in upstreams]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "clusterdns.yaml"
    file.write_text(yaml.safe_dump({"forward": section, "cache": dict(cache or {}), **(settings or {})}))
    return serve("--config", file, *arguments, listen=listen, prefix=prefix)


@contextmanager
def kept(folder: Path) -> Iterator[Serve]:
    """Starts servers as the fixture `serve` does, for more tests than one."""
    started: list[Serving] = []

    def start(*arguments: object, **options: Any) -> Serving:
        started.append(Serving(folder / f"{len(started)}.log", *arguments, **options))
        return started[-1]

    try:
        yield start
        codes = [each.stop() for each in started]
    finally:
        for each in started:
            each.kill()
    for each, code in zip(started, codes, strict=True):
        assert code == 0, each.log
        assert "Traceback" not in each.log, each.log


def at(server: Serving) -> tuple[str, int]:
    """Where to ask it."""
    return server.addresses[0]


def extended_errors(reply: dns.message.Message) -> list[int]:
    """The codes of RFC 8914."""
    return [int(each.code) for each in reply.options if isinstance(each, dns.edns.EDEOption)]


def data(reply: dns.message.Message) -> list[str]:
    """Of the answer's records, in their order."""
    return [str(each) for rrset in reply.answer for each in rrset]


def ask_all(server: Serving, names: Sequence[str]) -> dict[str, dns.message.Message]:
    """All at once; each is answered."""
    queries = [dns.message.make_query(each, "A", use_edns=0) for each in names]
    packets = over_udp(at(server), [each.to_wire() for each in queries], window=len(names))
    replies = {}
    for query, packet in zip(queries, packets, strict=True):
        assert packet is not None, f"silence for {query.question[0].name}"
        reply = replies[query.question[0].name.to_text(omit_final_dot=True)] = dns.message.from_wire(packet)
        assert query.is_response(reply)
    return replies


def names(number: int) -> list[str]:
    """Some that nobody has asked for."""
    return [f"n{next(_numbers)}.example" for _ in range(number)]


_numbers = count()


def expect_truth(reply: dns.message.Message, name: str) -> None:
    """What an honest upstream says of the name."""
    assert reply.rcode() == dns.rcode.NOERROR, reply
    assert data(reply) == [address_of(name)]


def expect_failure(reply: dns.message.Message) -> None:
    """Nobody knows, and it is told so."""
    assert reply.rcode() == dns.rcode.SERVFAIL, reply
    assert not reply.answer
    assert EDE_NO_REACHABLE_AUTHORITY in extended_errors(reply)
