"""The commands and their exit codes: 0 done, 1 "no" as an answer, 2 wrong use or configuration, 3 nobody to ask."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from clusterdns import __version__, app, config
from clusterdns.commands import COMMANDS
from clusterdns.server import CannotListen
from clusterdns.sources import NoCredentials
from clusterdns.sources.hosts import HostsError
from clusterdns.sources.manifests import ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable

WRONG_USE = 2
INTERRUPTED = 130
FAULT = 70
"""EX_SOFTWARE of sysexits.h, so that a fault is never taken for an answer."""

_POD_MODES = ["disabled", "insecure", "verified"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """The DNS server that gives a Kubernetes cluster its names, with or without the cluster."""


def _option(name: str, metavar: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, multiple=True, metavar=metavar, help=text)


@main.command(short_help="Answer queries until SIGTERM or Ctrl-C.")
@_option("--manifests", "PATH", "A file or folder of Kubernetes manifests, watched for changes. Repeatable.")
@click.option(
    "--kubeconfig", metavar="FILE", help="The cluster to serve, in place of manifests or of the pod we are in."
)
@click.option("--context", metavar="NAME", help="The context of that kubeconfig.  [default: its current one]")
@click.option("--api-server", metavar="URL", help="The same for an API server that asks for no credentials.")
@click.option("--snapshot", metavar="FILE", help="Where to keep what is known, for a start without the API server.")
@click.option("--http", metavar="ADDRESS:PORT", help="Where to show /health, /ready and /metrics.  [default: nowhere]")
@_option("--listen", "ADDRESS:PORT", "Where to answer, over UDP and TCP. Repeatable.  [default: 127.0.0.1:1053]")
@_option(
    "--zone",
    "NAME",
    "A cluster domain, the primary one first; or a reverse zone. Repeatable.  [default: cluster.local]",
)
@_option("--service-cidr", "CIDR", "Where Services without a clusterIP get one. Repeatable.  [default: 10.96.0.0/16]")
@click.option("--pods", type=click.Choice(_POD_MODES), help="Names of pods' addresses.  [default: disabled]")
@click.option(
    "--endpoint-pod-names/--no-endpoint-pod-names",
    default=None,
    help="Name endpoints without a hostname after their pods.",
)
@click.option("--ttl", type=int, metavar="SECONDS", help="How long a record may be remembered.  [default: 30]")
@click.option("--negative-ttl", type=int, metavar="SECONDS", help="The same for a missing name.  [default: 5]")
@_option(
    "--upstream",
    "ADDRESS[:PORT]",
    "Who is asked for all other names, also tls://ADDRESS#NAME; or none. Repeatable.  [default: /etc/resolv.conf's]",
)
@_option("--hosts", "FILE", "Names and addresses, as in /etc/hosts. Repeatable.")
@click.option(
    "--search",
    type=click.Choice(["client", "server"]),
    help="Who completes short names.  [default: server with manifests, else client]",
)
@click.option(
    "--autopath/--no-autopath",
    default=None,
    help="Follow a pod's first try through its search list; takes --pods verified.",
)
@click.option("--config", "file", metavar="FILE", type=click.Path(path_type=Path), help="Settings in YAML.")
def serve(
    file: Path | None, zone: tuple[str, ...], upstream: tuple[str, ...], hosts: tuple[str, ...], **given: object
) -> None:
    """Answer the names of the Services in --manifests, or of a cluster; ask upstream for all others.

    Options override --config, which overrides the defaults.

    \b
    clusterdns serve --manifests config/example
    dig @127.0.0.1 -p 1053 alpaca-prod.default.svc.cluster.local
    """  # noqa: D301 - the backslash is an escape: click keeps the lines of a paragraph that begins so
    if len(upstream) > 1 and "none" in upstream:
        _fail("--upstream none: it stands alone")
    given["zone"] = tuple(each for each in zone if not config.is_reverse(each))
    given["reverse_zone"] = tuple(each for each in zone if config.is_reverse(each))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells how many changes; we tell which
    try:
        settings = config.read(file) if file else config.Config()
        if "none" in upstream:
            given["forward"] = msgspec.structs.replace(settings.forward, upstreams=(), zones=(), resolv_conf="")
        elif upstream:
            given["forward"] = msgspec.structs.replace(settings.forward, upstreams=upstream)
        if hosts:
            given["hosts"] = msgspec.structs.replace(settings.hosts, files=hosts)
        settings = msgspec.structs.replace(settings, **{k: v for k, v in given.items() if v not in (None, ())})
        config.check(settings)
        asyncio.run(app.serve(settings))
    except (ManifestError, HostsError) as error:
        _fail(*error.faults)
    except (config.BadConfig, CannotListen, NoCredentials) as error:
        _fail(*str(error).splitlines())
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:  # a fault of ours; no traceback reaches a user
        logging.getLogger("clusterdns").debug("the fault in full", exc_info=True)
        click.echo(f"clusterdns: a fault in the program, please report it: {error!r}", err=True)
        raise SystemExit(FAULT) from None


def _fail(*lines: str) -> NoReturn:
    for line in lines:
        click.echo(f"clusterdns: {line}", err=True)
    raise SystemExit(WRONG_USE)


for command in COMMANDS:
    main.add_command(command)
