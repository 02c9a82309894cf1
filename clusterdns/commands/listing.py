"""The commands that list objects as `kubectl get` does: as rows or documents, once or as they change."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import click
from click.shell_completion import CompletionItem

from clusterdns.commands.arguments import checked_namespace
from clusterdns.commands.endings import INTERRUPTED, Ending, NotFound, WrongUse
from clusterdns.commands.objects import Origin, Wanted, followed, made_of, with_origin
from clusterdns.kubectl import documents
from clusterdns.kubectl.columns import Columns
from clusterdns.kubectl.told import Told
from clusterdns.objects import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from clusterdns.objects import Endpoints, Key, KubernetesObject

Value: TypeAlias = "Service | Endpoints"


class Row(Protocol):
    def __call__(self, value: Any, /, now: float, *, wide: bool) -> tuple[str, ...]: ...


class Listing(NamedTuple):
    """What is listed."""

    plural: str
    kinds: tuple[type[KubernetesObject], ...]
    """What it is made of."""
    value: Callable[[Told, Key], Value | None]
    header: tuple[str, ...]
    wide_header: tuple[str, ...]
    row: Row


class Asked(NamedTuple):
    name: str | None
    namespace: str
    everywhere: bool
    output: str | None
    watch: bool


def with_listing_options(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments of `list_objects`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return with_origin(command)


def complete_name(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The names of a namespace that go on like this; none if nobody can be asked."""
    namespace = ctx.params.get("namespace") or "default"
    return [CompletionItem(name) for of, name in _keys(ctx) if of == namespace and name.startswith(begun)]


def complete_namespace(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(each) for each in dict.fromkeys(of for of, _ in _keys(ctx)) if each.startswith(begun)]


def _keys(ctx: click.Context) -> list[Key]:
    async def read() -> list[Key]:
        told = Told()
        async with aclosing(followed(origin, Wanted((Service,)), watch=False)) as batches:
            async for events in batches:
                told.apply(events)
        return told.keys()

    given = ctx.params
    try:
        origin = made_of(
            given.get("manifests") or (), given.get("kubeconfig") or "", given.get("context") or "", given["admin"]
        )
        return asyncio.run(read())
    except (Ending, KeyError):
        return []


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("name", required=False, shell_complete=complete_name),
    click.option(
        "-n",
        "--namespace",
        default="default",
        show_default=True,
        metavar="NS",
        shell_complete=complete_namespace,
        help="Where it is.",
    ),
    click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="List those of all namespaces."),
    click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml"]), help="More columns, or all of it."),
    click.option("-w", "--watch", is_flag=True, help="Go on, and print what changes."),
)


def list_objects(listing: Listing, asked: Asked, origin: Origin) -> None:
    """Print what is asked for. Raises WrongUse, NotFound and NobodyToAsk."""
    if asked.name and asked.everywhere:
        raise WrongUse("NAME and --all-namespaces: a name is looked up in one namespace")
    namespaces = frozenset() if asked.everywhere else frozenset({checked_namespace(asked.namespace)})
    try:
        asyncio.run(_list(listing, asked, origin, Wanted(listing.kinds, namespaces)))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


async def _list(listing: Listing, asked: Asked, origin: Origin, wanted: Wanted) -> None:
    told = Told()
    shown: dict[Key, Value] | None = None
    printed = _documents if asked.output in ("json", "yaml") else _Rows(listing, asked).lines
    async with aclosing(followed(origin, wanted, watch=asked.watch)) as batches:
        async for events in batches:
            touched = told.apply(events)
            if shown is None:
                shown = dict(_values(listing, asked, told, told.keys()))
                if asked.name and not shown:
                    raise NotFound(f'{listing.plural} "{asked.name}" not found in namespace {asked.namespace}')
                _echo(printed(asked, list(shown.values()), is_first=True))
                continue
            fresh = dict(_values(listing, asked, told, list(touched)))
            changed = [
                fresh.get(key) or shown[key]  # what is gone is shown as it was
                for key in touched
                if fresh.get(key) != shown.get(key)
            ]
            shown = {key: each for key, each in (shown | fresh).items() if key in fresh or key not in touched}
            _echo(printed(asked, changed, is_first=False))


def _echo(text: str) -> None:
    if text:
        click.echo(text, nl=False)


def _values(listing: Listing, asked: Asked, told: Told, keys: Sequence[Key]) -> Iterator[tuple[Key, Value]]:
    for key in keys:
        if asked.name in (None, key[1]) and (value := listing.value(told, key)) is not None:
            yield key, value


def _documents(asked: Asked, values: Sequence[Value], *, is_first: bool) -> str:
    """One by one if there is one name, or no end; else as a list."""
    form: documents.Form = "yaml" if asked.output == "yaml" else "json"
    made = [documents.document(each) for each in values]
    if is_first and not asked.name and not asked.watch:
        return documents.text(documents.list_of(made), form)
    begin = "---\n" if form == "yaml" and asked.watch else ""
    return "".join(begin + documents.text(each, form) for each in made)


class _Rows:
    """A table that grows; its header comes with the first row."""

    def __init__(self, listing: Listing, asked: Asked) -> None:
        self._row = listing.row
        self._is_wide = asked.output == "wide"
        header = listing.wide_header if self._is_wide else listing.header
        self._header = [("NAMESPACE", *header) if asked.everywhere else header]
        self._columns = Columns()

    def lines(self, asked: Asked, values: Sequence[Value], *, is_first: bool) -> str:
        now = time.time()
        rows = [self._row(each, now, wide=self._is_wide) for each in values]
        if asked.everywhere:
            rows = [(each.metadata.namespace, *row) for each, row in zip(values, rows, strict=True)]
        if not rows:
            if is_first and not asked.watch:
                where = "" if asked.everywhere else f" in {asked.namespace} namespace."
                click.echo(f"No resources found{where}", err=True)
            return ""
        lines = self._columns.lines([*self._header, *rows])
        self._header = []
        return "".join(f"{each}\n" for each in lines)
