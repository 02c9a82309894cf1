"""CoreDNS's command line in the words of ours, so that whatever starts CoreDNS can start this server.

Its flags are Go's: one dash or two, `-conf FILE` or `-conf=FILE`. What follows them is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from clusterdns.corefile.directives import working

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPTIONS = {"conf": "--corefile", "dns.port": "--corefile-port", "p": "--corefile-port", "pidfile": "--pid-file"}
"""What takes a value, and what it is called here."""

_SWITCHES = frozenset({"quiet", "version", "plugins"})

_UNUSED_OPTIONS = frozenset({"log_backtrace_at", "log_dir", "stderrthreshold", "v", "vmodule"})
_UNUSED_SWITCHES = frozenset({"alsologtostderr", "logtostderr"})
"""Of its logging library (klog), which has no say here."""

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
"""As Go's strconv.ParseBool has them."""

USUAL = "Corefile"
"""In the folder in which CoreDNS is started."""


class Translated(Struct, frozen=True):
    arguments: Sequence[str]
    unused: Sequence[str] = ()
    """Flags that do nothing here."""
    shows_plugins: bool = False


def is_meant(arguments: Sequence[str]) -> bool:
    """Whether a command line begins as one of CoreDNS's does; `--version` means the same on both."""
    name = _name(arguments[0]) if arguments else ""
    return name in (_OPTIONS.keys() | _SWITCHES | _UNUSED_OPTIONS | _UNUSED_SWITCHES) and arguments[0] != "--version"


def translated(arguments: Sequence[str]) -> Translated:
    """Raises UsageError."""
    given: dict[str, str] = {}
    switches: dict[str, bool] = {}
    unused: list[str] = []
    rest = list(arguments)
    while rest and is_meant(rest):
        name, equals, value = _name(rest[0]), "=" in rest[0], rest[0].partition("=")[2]
        del rest[0]
        if name in _SWITCHES | _UNUSED_SWITCHES:
            switches[name] = _switch(name, value) if equals else True
        elif equals or rest:
            given[name] = value if equals else rest.pop(0)
        else:
            raise click.UsageError(f"Option '-{name}' requires an argument.")
        if name in _UNUSED_OPTIONS | _UNUSED_SWITCHES:
            unused.append(f"-{name}")
    if switches.get("version"):
        return Translated(["--version"], unused)
    if switches.get("plugins"):
        return Translated([], unused, shows_plugins=True)
    return Translated(["serve", *_of_serve(given, is_quiet=switches.get("quiet", False)), *rest], unused)


def _of_serve(given: dict[str, str], *, is_quiet: bool) -> Iterator[str]:
    if "conf" not in given:
        yield from ("--corefile", USUAL)
    for name, value in given.items():
        if name in _OPTIONS:
            yield from (_OPTIONS[name], "/dev/stdin" if (name, value) == ("conf", "stdin") else value)
    if is_quiet:
        yield "--quiet"


def plugins() -> Iterator[str]:
    """What there is of CoreDNS's plugins, as it lists its own."""
    yield from ("Server types:", "  dns", "", "Other plugins:")
    yield from (f"  dns.{name}" for name in working())


def _name(argument: str) -> str:
    if not argument.startswith("-"):
        return ""
    return argument.removeprefix("-").removeprefix("-").partition("=")[0]


def _switch(name: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise click.UsageError(f"Option '-{name}': {value!r} is neither true nor false.")
