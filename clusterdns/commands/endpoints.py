"""`clusterdns endpoints`: where Services lead to, as kubectl lists them, and what is not ready."""

from __future__ import annotations

import click

from clusterdns.commands.listing import Asked, Listing, list_objects, with_listing_options
from clusterdns.commands.objects import made_of
from clusterdns.kubectl.endpoints import HEADER, row
from clusterdns.kubectl.told import Told
from clusterdns.objects import EndpointSlice, Service

LISTING = Listing("endpoints", (Service, EndpointSlice), Told.endpoints, HEADER, HEADER, row)


@click.command(short_help="List the endpoints of Services, ready and not ready.")
@with_listing_options
def endpoints(
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
    """List the endpoints of each Service, or of the one called NAME.

    Those that are not ready have a column of their own: DNS does not tell of them, unless the Service says so. AGE is
    the Service's. Only a running server probes the pods of manifests; with --manifests these are taken at their word.

    -o wide shows all of them. JSON and YAML are Endpoints, as the API had them before there were EndpointSlices.

    Exit codes: 0 done, 1 there is no such Service, 2 wrong use, 3 nobody to ask.

    \b
    clusterdns endpoints cart -n shop --watch
    clusterdns endpoints -A --kubeconfig ~/.kube/config
    """  # noqa: D301 - the backslash is an escape: click keeps the lines of a paragraph that begins so
    asked = Asked(name, namespace, everywhere, output, watch)
    list_objects(LISTING, asked, made_of(manifests, kubeconfig, context, admin))
