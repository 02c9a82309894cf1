"""`clusterdns top`: who asks a running server what."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import click
import msgspec

from clusterdns.commands.endings import INTERRUPTED, NobodyToAsk
from clusterdns.commands.objects import answer, of_server, with_server
from clusterdns.kubectl.columns import Columns
from clusterdns.popularity import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clusterdns.commands.objects import Origin
    from clusterdns.popularity import Count

FROM_THE_TOP = "\x1b[H\x1b[2J"
"""Clears a terminal (ECMA-48)."""


@click.command(short_help="Show who asks a running server what.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between tables.",
)
@click.option(
    "--rows", type=click.IntRange(1, 1000), default=10, show_default=True, metavar="COUNT", help="Of each table."
)
@click.option("--times", type=click.IntRange(1), metavar="COUNT", help="End after so many.  [default: with Ctrl-C]")
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON a line, for programs.")
@with_server
def top(*, interval: float, rows: int, times: int | None, as_json: bool, admin: str) -> None:
    """Show which names are asked most, who asks, for what types, and what comes of it.

    IN VAIN are names that were looked for along search lists and not found in the cluster, WAITED FOR those that
    upstreams were asked for, the slowest first. All is counted since the command began, and nothing once it ends.

    Exit codes: 0 done, 2 wrong use, 3 no server to ask.

    \b
    clusterdns top
    clusterdns top --interval 60 --times 1 --json
    """  # noqa: D301 - the backslash is an escape: click keeps the lines of a paragraph that begins so
    query = {"interval": f"{interval:g}", "rows": str(rows)}
    try:
        asyncio.run(_show(of_server(admin), query, times, as_json=as_json))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


async def _show(origin: Origin, query: dict[str, str], times: int | None, *, as_json: bool) -> None:
    shown = 0
    async with aclosing(answer(origin, "/top", query)) as lines:
        async for line in lines:
            if as_json:
                click.echo(line, nl=False)
            else:
                tables = "\n".join(_tables(msgspec.json.decode(line, type=Report)))
                click.echo((FROM_THE_TOP if sys.stdout.isatty() else "") + tables)
            shown += 1
            if shown == times:
                return
    raise NobodyToAsk("the server has ended")


def _tables(report: Report) -> Iterator[str]:
    yield (
        f"{report.queries} queries in {report.seconds:.0f} s, {report.per_second:g} a second; "
        f"{_percent(report.in_vain, report.queries)} in vain"
    )
    yield ""
    clients = [(each.address, str(each.queries), each.pod) for each in report.clients]
    yield from _table(("CLIENT", "QUERIES", "POD"), clients)
    yield from _counts("NAME", report.names)
    yield from _counts("TYPE", report.types)
    yield from _counts("OUTCOME", report.outcomes)
    yield from _counts("IN VAIN", report.meant)
    slow = [(each.name, str(each.queries), f"{each.mean_ms:g}", f"{each.longest_ms:g}") for each in report.slow]
    yield from _table(("WAITED FOR", "QUERIES", "MEAN MS", "LONGEST MS"), slow)


def _counts(title: str, counts: Iterable[Count]) -> Iterator[str]:
    yield from _table((title, "QUERIES"), [(each.what, str(each.queries)) for each in counts])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield from (each.rstrip() for each in Columns().lines([header, *rows]))
        yield ""


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole if whole else 0:.0f} %"
