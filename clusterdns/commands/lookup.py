"""`clusterdns lookup`: ask as a pod would, and see what happens on the way."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from msgspec import Struct

from clusterdns import names, presentation
from clusterdns.commands.arguments import checked_namespace, checked_zone, read_resolv_conf
from clusterdns.commands.endings import INTERRUPTED, NO, NobodyToAsk, WrongUse
from clusterdns.forward import UpstreamAddress, address
from clusterdns.lookup import Servers, look_up
from clusterdns.names import Name
from clusterdns.queries import FormatError
from clusterdns.records import Rcode, Type
from clusterdns.resolv_conf import MOST_NAMESERVERS, ResolvConf, for_pod
from clusterdns.search import SearchList

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterdns.lookup import Exchange

HERE = UpstreamAddress("127.0.0.1", 1053)
"""Where `clusterdns serve` listens unless told otherwise."""

RESOLV_CONF = Path("/etc/resolv.conf")


class _Question(Struct, frozen=True):
    name: Name
    types: tuple[int, ...]
    absolute: bool
    """Whether the search list is left alone."""


class Shown(Struct, frozen=True):
    """A record in text."""

    name: str
    ttl: int
    type: str
    data: str


class Tried(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question and what became of it, in text."""

    name: str
    type: str
    server: str
    transport: str
    milliseconds: float
    rcode: str = ""
    """NODATA is one here. Empty if there was no response."""
    records: tuple[Shown, ...] = ()
    negative_ttl: int | None = None
    """Seconds that the absence may be remembered."""
    extended_errors: tuple[str, ...] = ()
    fault: str = ""
    """Why there was no response, or why it can not be read."""

    def lines(self) -> Iterator[str]:
        outcome = self.fault or self.rcode
        if self.negative_ttl is not None:
            outcome += f" (TTL {self.negative_ttl})"
        yield f"{self.name} {self.type}: {outcome}, {self.milliseconds:.1f} ms, {self.server} over {self.transport}"
        yield from (f"  {each.name} {each.ttl} IN {each.type} {each.data}" for each in self.records)
        yield from (f"  {each}" for each in self.extended_errors)


class Report(Struct, frozen=True):
    found: bool
    tried: tuple[Tried, ...]


@click.command(short_help="Ask as a pod would, and show each name that was tried.")
@click.argument("name")
@click.argument("rtype", metavar="[TYPE]", required=False)
@click.option("--namespace", metavar="NS", help="The pod's namespace.  [default: default; in a pod, its own]")
@click.option(
    "--server",
    metavar="ADDRESS[:PORT]",
    help="Who to ask.  [default: 127.0.0.1:1053; in a pod, those of its /etc/resolv.conf]",
)
@click.option("--zone", metavar="NAME", help="The cluster domain.  [default: cluster.local; in a pod, its own]")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0.01, 300),
    help="How long a server may take for one of its two tries.  [default: 5]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def lookup(
    name: str,
    rtype: str | None,
    *,
    namespace: str | None,
    server: str | None,
    zone: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Look NAME up as the resolver of a pod does: along its search list, for A and AAAA or for TYPE.

    A NAME that ends in a dot is complete; an address is looked up for the names that it has. TYPE is one such as SRV,
    or TYPE65280.

    Exit codes: 0 found, 1 not found, 2 wrong use, 3 no server answered.

    \b
    clusterdns lookup alpaca-prod
    clusterdns lookup _http._tcp.web.shop.svc SRV --namespace shop
    """  # noqa: D301 - the backslash is an escape: click keeps the lines of a paragraph that begins so
    question = _checked_question(name, rtype)
    conf, addresses = _resolver(namespace, zone, server)
    domains = [domain for domain in map(names.possible, conf.search) if domain is not None]
    servers = Servers(addresses, timeout=timeout or conf.timeout or 1, attempts=conf.attempts or 1)
    try:
        tried = asyncio.run(_look_up(question, SearchList(tuple(domains), conf.ndots), servers, is_told=not as_json))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    found = any(exchange.is_found for exchange in tried)
    if as_json:
        report = Report(found, tuple(map(in_text, tried)))
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    if all(exchange.response is None for exchange in tried):
        who = " and ".join(map(str, addresses))
        raise NobodyToAsk(f"no server answered: {who}: {tried[-1].fault}")
    if not found:
        raise SystemExit(NO)


async def _look_up(question: _Question, search: SearchList, servers: Servers, *, is_told: bool) -> list[Exchange]:
    """All that was tried; told as it happens, unless the whole is wanted."""
    tried: list[Exchange] = []
    try:
        async for exchanges in look_up(question.name, question.types, search, servers.ask, absolute=question.absolute):
            tried += exchanges
            for exchange in exchanges if is_told else ():
                click.echo("\n".join(in_text(exchange).lines()))
    finally:
        servers.close()
    return tried


def _resolver(namespace: str | None, zone: str | None, server: str | None) -> tuple[ResolvConf, list[UpstreamAddress]]:
    """What the pod's resolver is told, and who it asks. Raises WrongUse."""
    own = read_resolv_conf(RESOLV_CONF) if "KUBERNETES_SERVICE_HOST" in os.environ else None
    if own is None or namespace or zone:
        of_namespace, of_zone = checked_namespace(namespace or "default"), checked_zone(zone or "cluster.local")
        conf = for_pod(of_namespace, of_zone, own.nameservers if own else (), ResolvConf())
    else:
        conf = own
    if server is not None:
        return conf, [_checked_server(server)]
    if own is None:
        return conf, [HERE]
    return conf, [UpstreamAddress(each, 53) for each in own.nameservers[:MOST_NAMESERVERS] or ("127.0.0.1",)]


def _checked_question(name: str, rtype: str | None) -> _Question:
    """Raises WrongUse."""
    try:
        types = (presentation.type_number(rtype),) if rtype else (Type.A, Type.AAAA)
        packed = names.address(name)
        if packed is None:
            return _Question(names.from_text(name), types, name.endswith("."))
    except names.NotAName as error:
        raise WrongUse(f"{name!r} is no name: {error}") from None
    except ValueError as error:
        raise WrongUse(str(error)) from None
    if rtype and types != (Type.PTR,):
        raise WrongUse(f"{name} is an address, which has PTR records only, not {rtype}")
    return _Question(names.reverse(packed), (Type.PTR,), absolute=True)


def _checked_server(text: str) -> UpstreamAddress:
    try:
        server = address.parse(text)
    except ValueError as error:
        raise WrongUse(f"--server: {text!r}: {error}") from None
    if server.tls:
        raise WrongUse(f"--server: {text!r}: pods ask over UDP and TCP, not over TLS")
    return server


def in_text(exchange: Exchange) -> Tried:
    """The exchange in words and numbers."""
    response, fault = exchange.response, exchange.fault
    records: tuple[Shown, ...] = ()
    errors: tuple[str, ...] = ()
    rcode, negative_ttl = "", None
    if response is not None:
        is_nodata = response.rcode == Rcode.NOERROR and not exchange.has_answer
        rcode = "NODATA" if is_nodata else presentation.rcode_text(response.rcode)
        if response.is_truncated:
            rcode += ", truncated"
        if not response.is_data:
            negative_ttl = response.negative_ttl
        errors = tuple(presentation.extended_errors(response.errors))
        try:
            records = tuple(
                Shown(
                    names.to_text(each.owner),
                    each.ttl,
                    presentation.type_text(each.rtype),
                    presentation.data_text(each.rtype, each.data),
                )
                for each in response.records()[0]
                if isinstance(each.data, bytes)
            )
        except FormatError as error:
            fault = f"a response that can not be read: {error}"
    return Tried(
        name=names.to_text(exchange.question.name),
        type=presentation.type_text(exchange.question.qtype),
        server=str(exchange.server),
        transport="TCP" if exchange.over_tcp else "UDP",
        milliseconds=round(1000 * exchange.seconds, 3),
        rcode=rcode,
        records=records,
        negative_ttl=negative_ttl,
        extended_errors=errors,
        fault=fault,
    )
