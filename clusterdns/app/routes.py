"""Where names of others go, as the settings have it: upstreams that stand there, and those that files name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from clusterdns import names
from clusterdns.config import is_file
from clusterdns.forward import Route, parse_address
from clusterdns.presentation import rcode_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clusterdns.config import Alternative, Forward, StubZone
    from clusterdns.forward import Manner, UpstreamAddress
    from clusterdns.names import Name

    Named = Mapping[str, Sequence[UpstreamAddress]]
    """The upstreams that each file names."""


def upstream_texts(given: Forward) -> Iterator[str]:
    """All upstreams that are written down, addresses and files."""
    groups = [(given.upstreams, given.alternatives), *[(each.upstreams, each.alternatives) for each in given.zones]]
    for upstreams, alternatives in groups:
        yield from upstreams
        for each in alternatives:
            yield from each.upstreams


def files(given: Forward) -> list[str]:
    """Those that name upstreams."""
    texts = upstream_texts(given) if given.upstreams else (given.resolv_conf, *upstream_texts(given))
    return [each for each in dict.fromkeys(texts) if is_file(each)]


def routes(given: Forward, manner: Manner, named: Named) -> list[Route]:
    """That of all names, behind those of single zones."""
    upstreams = given.upstreams or ((given.resolv_conf,) if given.resolv_conf else ())
    return [
        *[_route(names.from_text(each.zone), each, given, manner, named) for each in given.zones],
        _route(names.ROOT, replace(given, upstreams=upstreams), given, manner, named),
    ]


def _route(zone: Name, of: Forward | StubZone, given: Forward, manner: Manner, named: Named) -> Route:
    """What a zone does not say is as it is for all names."""
    route = Route(
        zone,
        tuple(_addresses(of.upstreams, named)),
        of.policy or given.policy,
        frozenset(map(names.from_text, given.excepted)),
        manner if of.force_tcp is None else replace(manner, force_tcp=of.force_tcp),
        failover=frozenset(map(rcode_number, given.failover)),
        most_tries=given.most_tries,
        fails_fast=given.fail_fast,
    )
    return _with_alternatives(route, of.alternatives, named)


def _with_alternatives(route: Route, alternatives: Sequence[Alternative], named: Named) -> Route:
    if not alternatives:
        return route
    first, *others = alternatives
    after = _with_alternatives(replace(route, upstreams=tuple(_addresses(first.upstreams, named))), others, named)
    rcodes = frozenset(map(rcode_number, first.rcodes))
    return replace(route, after=after, after_rcodes=rcodes, after_no_data=first.no_data)


def _addresses(texts: Sequence[str], named: Named) -> Iterator[UpstreamAddress]:
    for text in texts:
        if is_file(text):
            yield from named.get(text, ())
        else:
            yield parse_address(text)
