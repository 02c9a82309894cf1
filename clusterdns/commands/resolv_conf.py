"""`clusterdns resolv-conf`: the file that a pod gets."""

from __future__ import annotations

from pathlib import Path

import click

from clusterdns.commands.arguments import checked_namespace, checked_zone, read_resolv_conf
from clusterdns.commands.endings import WrongUse
from clusterdns.resolv_conf import ResolvConf, for_pod, nameserver


@click.command("resolv-conf", short_help="Print the resolv.conf of a pod.")
@click.option("--namespace", metavar="NS", default="default", show_default=True, help="The pod's namespace.")
@click.option(
    "--nameserver",
    "nameservers",
    metavar="IP",
    multiple=True,
    default=["10.96.0.10"],
    help="The cluster DNS. Repeatable; three at most are of use.  [default: 10.96.0.10, that of kubeadm]",
)
@click.option("--zone", metavar="NAME", default="cluster.local", show_default=True, help="The cluster domain.")
@click.option(
    "--host-resolv-conf",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The node's own file: pods search its domains too.  [default: none]",
)
def resolv_conf(namespace: str, nameservers: tuple[str, ...], zone: str, file: Path | None) -> None:
    """Print what the kubelet writes into /etc/resolv.conf of a pod with the DNS policy ClusterFirst."""
    addresses = [_checked_nameserver(each) for each in nameservers]
    host = read_resolv_conf(file) if file else ResolvConf()
    conf = for_pod(checked_namespace(namespace), checked_zone(zone), addresses, host)
    click.echo(conf.to_text(), nl=False)


def _checked_nameserver(text: str) -> str:
    if (address := nameserver(text)) is None:
        raise WrongUse(f"--nameserver: {text!r}: expected an address, such as 10.96.0.10 or fd00:10:96::a")
    return address
