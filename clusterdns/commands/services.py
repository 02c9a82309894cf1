"""`clusterdns services`: the Services that are known, as kubectl lists them."""

from __future__ import annotations

import click

from clusterdns.commands.listing import Asked, Listing, list_objects, with_listing_options
from clusterdns.commands.objects import made_of
from clusterdns.kubectl.services import HEADER, WIDE_HEADER, row
from clusterdns.objects import Service

LISTING = Listing("services", (Service,), lambda told, key: told.services.get(key), HEADER, WIDE_HEADER, row)


@click.command(short_help="List Services, as kubectl does.")
@with_listing_options
def services(
    *,
    name: str | None,
    namespace: str,
    everywhere: bool,
    output: str | None,
    watch: bool,
    manifests: tuple[str, ...],
    kubeconfig: str,
    context: str,
    admin: str,
) -> None:
    """List the Services that a running server knows, or that are in manifests or a cluster, or the one called NAME.

    JSON and YAML have the fields that names are made of, and no others.

    Exit codes: 0 done, 1 there is no such Service, 2 wrong use, 3 nobody to ask.

    \b
    clusterdns services -A
    clusterdns services cart -n shop -o yaml --manifests shop.yaml
    """  # noqa: D301 - the backslash is an escape: click keeps the lines of a paragraph that begins so
    asked = Asked(name, namespace, everywhere, output, watch)
    list_objects(LISTING, asked, made_of(manifests, kubeconfig, context, admin))
