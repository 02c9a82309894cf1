"""`clusterdns explain`: why a name is answered as it is."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from clusterdns import app
from clusterdns.commands.endings import INTERRUPTED, NO, NobodyToAsk, WrongUse
from clusterdns.commands.objects import answer, made_of, with_origin
from clusterdns.explain import Story, wanted
from clusterdns.sources import NoCredentials
from clusterdns.sources.hosts import HostsError
from clusterdns.sources.manifests import ManifestError
from clusterdns.sources.zone_files import ZoneFileError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from clusterdns.commands.objects import Origin
    from clusterdns.explain import Wanted

_COMMON_TYPES = ("A", "AAAA", "SRV", "PTR", "CNAME", "TXT", "NS", "SOA")


def _complete_type(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415

    return [CompletionItem(each) for each in _COMMON_TYPES if each.startswith(begun.upper())]


@click.command(short_help="Say why a name is answered as it is.")
@click.argument("name")
@click.argument("rtype", metavar="[TYPE]", required=False, default="", shell_complete=_complete_type)
@click.option("-n", "--namespace", metavar="NS", default="default", show_default=True, help="The pod's namespace.")
@with_origin
@click.option(
    "--zone",
    metavar="NAME",
    multiple=True,
    help="A cluster domain, where no server is asked. Repeatable.  [default: cluster.local]",
)
@click.option(
    "--upstream",
    metavar="ADDRESS[:PORT]",
    multiple=True,
    help="Who is asked for other names, where no server is; or none. Repeatable.  [default: /etc/resolv.conf's]",
)
@click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="The settings in YAML of the server that is meant, to do without it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def explain(
    name: str,
    rtype: str,
    *,
    namespace: str,
    manifests: tuple[str, ...],
    kubeconfig: str,
    context: str,
    admin: str,
    zone: tuple[str, ...],
    upstream: tuple[str, ...],
    file: Path | None,
    as_json: bool,
) -> None:
    """Say why NAME is answered as it is, when a pod asks for it: which names of the search list are tried, which object
    decides and since when, what may have been meant, and how old is what this was made of.

    It is asked for A and AAAA records, or for those of TYPE. An address is asked for the names that it has. A running
    server tells what it says, and knows; with --manifests, --kubeconfig or --config, what one would.

    Exit codes: 0 found, 1 not found, 2 wrong use, 3 no server or API to ask.

    \b
    clusterdns explain alpaca-prd
    clusterdns explain _http._tcp.web.shop SRV --kubeconfig ~/.kube/config
    """  # noqa: D301 - the backslash is an escape: click keeps the lines of a paragraph that begins so
    origin = made_of(manifests, kubeconfig, context, admin)
    try:
        asked = wanted(name, rtype, namespace)
        if manifests or kubeconfig or file:
            given = app.Given(
                file=file, manifests=manifests, kubeconfig=kubeconfig, context=context, zone=zone, upstream=upstream
            )
            telling = _without_server(asked, given)
        elif zone or upstream:
            raise WrongUse(f"--{'zone' if zone else 'upstream'}: it takes --manifests or --kubeconfig")
        else:
            telling = _of_server(asked, rtype, origin)
        story = asyncio.run(telling)
    except (ManifestError, HostsError) as error:
        raise WrongUse("\nclusterdns: ".join(error.faults)) from None
    except (app.BadConfig, NoCredentials, ZoneFileError, ValueError) as error:
        raise WrongUse("\nclusterdns: ".join(str(error).splitlines())) from None
    except app.NotRead as error:
        raise NobodyToAsk(f"the API server gives no answer: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(story), indent=2))
    else:
        click.echo("\n".join(story.lines()))
    if not story.found:
        raise SystemExit(NO)


async def _of_server(asked: Wanted, rtype: str, origin: Origin) -> Story:
    query = {"name": asked.name, "type": rtype, "namespace": asked.namespace}
    async with aclosing(answer(origin, "/explain", query)) as lines:
        async for line in lines:
            return msgspec.json.decode(line, type=Story)
    raise NobodyToAsk("the server has ended")


async def _without_server(asked: Wanted, given: app.Given) -> Story:
    logging.basicConfig(level=logging.CRITICAL)  # what goes wrong is a part of the story
    async with app.rehearsed(given.settings()) as story:
        return await story(asked)
