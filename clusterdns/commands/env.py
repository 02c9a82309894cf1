"""`clusterdns env`: the environment variables by which a process in a pod finds services."""

from __future__ import annotations

import asyncio
import os
import shlex
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from clusterdns.commands.arguments import checked_namespace
from clusterdns.commands.endings import INTERRUPTED, NotStarted, WrongUse
from clusterdns.commands.listing import complete_namespace
from clusterdns.commands.objects import Origin, Wanted, followed, made_of, with_origin
from clusterdns.environment import MASTER, environment
from clusterdns.kubectl.told import Told
from clusterdns.objects import Service

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterdns.environment import Variable


@click.command(
    short_help="Print the variables by which a pod finds services.", context_settings={"allow_interspersed_args": False}
)
@click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    metavar="NS",
    shell_complete=complete_namespace,
    help="The pod's namespace.",
)
@click.option("--export", is_flag=True, help='Print lines for a shell: eval "$(clusterdns env --export)".')
@click.option("--exec", "executes", is_flag=True, help="Start COMMAND with them; its exit code is ours.")
@click.option("--no-links", is_flag=True, help="Of a pod with `enableServiceLinks: false`: the API server's alone.")
@with_origin
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def env(
    *,
    namespace: str,
    export: bool,
    executes: bool,
    no_links: bool,
    command: tuple[str, ...],
    manifests: tuple[str, ...],
    kubeconfig: str,
    context: str,
    admin: str,
) -> None:
    """Print the variables that the kubelet gives to each container of a pod in a namespace, for the Services in it and
    for the API server.

    Exit codes: 0 done, 2 wrong use, 3 nobody to ask; with --exec that of COMMAND, or 127 if it can not be started.

    \b
    clusterdns env -n shop
    clusterdns env -n shop --exec ./server --port 8080
    """  # noqa: D301 - the backslash is an escape: click keeps the lines of a paragraph that begins so
    if executes != bool(command):
        raise WrongUse(
            "--exec: expected a command to start" if executes else f"{command[0]}: it takes --exec before it"
        )
    if executes and export:
        raise WrongUse("--export and --exec: one of them")
    namespaces = frozenset({checked_namespace(namespace), MASTER[0]})
    origin = made_of(manifests, kubeconfig, context, admin)
    try:
        known = asyncio.run(_services(origin, Wanted((Service,), namespaces)))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    variables = _told_apart(environment(known, namespace, links=not no_links))
    if executes:
        _start(command, variables)
    if export:
        variables = _assignable(variables)
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}" if export else f"{name}={value}")


async def _services(origin: Origin, wanted: Wanted) -> list[Service]:
    told = Told()
    async with aclosing(followed(origin, wanted, watch=False)) as batches:
        async for events in batches:
            told.apply(events)
    return [*told.services.values()]


def _told_apart(variables: Iterable[Variable]) -> dict[str, str]:
    """By name; where two services make one of the same name, that is said."""
    found: dict[str, Variable] = {}
    for each in variables:
        other = found.get(each.name)
        if other is not None and other.value != each.value:
            either, latter = other.service[1], each.service[1]
            text = f"{each.name}: of {either} or of {latter}, as chance has it in a pod; here of the latter"
            click.echo(f"clusterdns: {text}", err=True)
        found[each.name] = each
    return {name: each.value for name, each in found.items()}


def _assignable(variables: dict[str, str]) -> dict[str, str]:
    """Those that a shell can have (POSIX: a name does not begin with a digit); one line would end its whole `eval`."""
    beyond = [name for name in variables if name[0].isdigit()]
    if beyond:
        text = f"{', '.join(beyond)}: no shell has variables that begin with a digit, as they do in a pod; left out"
        click.echo(f"clusterdns: {text}", err=True)
    return {name: value for name, value in variables.items() if name not in beyond}


def _start(command: tuple[str, ...], variables: dict[str, str]) -> None:
    """Become that process. Raises NotStarted."""
    try:
        os.execvpe(command[0], command, os.environ | variables)  # noqa: S606 - it is what was asked for
    except OSError as error:
        raise NotStarted(f"{command[0]}: {(error.strerror or str(error)).lower()}") from None
