"""What more than one command is given, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names
from clusterdns.commands.endings import WrongUse
from clusterdns.resolv_conf import ResolvConf, parse

if TYPE_CHECKING:
    from pathlib import Path


def checked_namespace(text: str) -> str:
    """Raises WrongUse."""
    if not names.is_kubernetes_label(text):
        raise WrongUse(f"--namespace: {text!r}: expected the name of a namespace, such as default")
    return text


def checked_zone(text: str) -> str:
    """Raises WrongUse."""
    if names.possible(text) in (None, names.ROOT):
        raise WrongUse(f"--zone: {text!r}: expected a name such as cluster.local")
    return text


def read_resolv_conf(file: Path) -> ResolvConf:
    """Raises WrongUse."""
    try:
        return parse(file.read_text(errors="replace"))
    except OSError as error:
        raise WrongUse(f"{file}: {error.strerror}") from None
