"""The commands and their exit codes: 0 done, 1 "no" as an answer, 2 wrong use or configuration, 3 nobody to ask."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import NoReturn

import click
import msgspec

from clusterdns import __version__, app, config
from clusterdns.server import CannotListen
from clusterdns.sources.manifests import ManifestError

WRONG_USE = 2

Paths = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """The DNS server that gives a Kubernetes cluster its names, with or without the cluster."""


@main.command(short_help="Answer queries until SIGTERM or Ctrl-C.")
@click.option("--manifests", multiple=True, metavar="PATH", type=Paths, help="A file or folder of Kubernetes manifests; watched for changes. Repeatable.")
@click.option("--listen", multiple=True, metavar="ADDRESS:PORT", help="Where to answer, over UDP and TCP. Repeatable.  [default: 127.0.0.1:1053]")
@click.option("--zone", multiple=True, metavar="NAME", help="A cluster domain, the primary one first; or a reverse zone, by name or as a network. Repeatable.  [default: cluster.local, in-addr.arpa, ip6.arpa]")
@click.option("--service-cidr", multiple=True, metavar="CIDR", help="Where Services without a clusterIP get one; one IPv4 range, one IPv6 range, or both.  [default: 10.96.0.0/16]")
@click.option("--pods", type=click.Choice(["disabled", "insecure", "verified"]), help="Names of pod addresses: none, any, or those of running pods.  [default: disabled]")
@click.option("--endpoint-pod-names/--no-endpoint-pod-names", default=None, help="Name endpoints without a hostname after their pods.")
@click.option("--ttl", type=int, metavar="SECONDS", help="How long a record may be remembered.  [default: 30]")
@click.option("--negative-ttl", type=int, metavar="SECONDS", help="How long a missing name may be remembered.  [default: 5]")
@click.option("--config", "config_file", metavar="FILE", type=Paths, help="A YAML file of settings; options given here override it.")
def serve(manifests: tuple[Path, ...], listen: tuple[str, ...], zone: tuple[str, ...], service_cidr: tuple[str, ...], pods: str | None, endpoint_pod_names: bool | None, ttl: int | None, negative_ttl: int | None, config_file: Path | None) -> None:  # fmt: skip
    """Answer the names of the Services in --manifests, over UDP and TCP.

    \b
    clusterdns serve --manifests config/example
    dig @127.0.0.1 -p 1053 alpaca-prod.default.svc.cluster.local
    """
    given = {
        "manifests": tuple(map(str, manifests)),
        "listen": listen,
        "zone": tuple(each for each in zone if not config.is_reverse(each)),
        "reverse_zone": tuple(filter(config.is_reverse, zone)),
        "service_cidr": service_cidr,
        "pods": pods,
        "endpoint_pod_names": endpoint_pod_names,
        "ttl": ttl,
        "negative_ttl": negative_ttl,
    }
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = config.read(config_file) if config_file else config.Config()
        settings = msgspec.structs.replace(settings, **{k: v for k, v in given.items() if v not in (None, ())})
        config.check(settings)
        if not settings.manifests:
            raise click.UsageError("nothing to serve: give --manifests PATH")
        asyncio.run(app.serve(settings))
    except ManifestError as error:
        _fail(*error.faults)
    except (config.BadConfig, CannotListen) as error:
        _fail(*str(error).splitlines())


def _fail(*lines: str) -> NoReturn:
    for line in lines:
        click.echo(f"clusterdns: {line}", err=True)
    raise SystemExit(WRONG_USE)
