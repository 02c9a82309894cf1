"""How a command ends when it does not end well: its exit code, and the line that says why."""

from __future__ import annotations

from typing import IO, Any

import click

NO = 1
"""The exit code of a question that was answered, with no."""

INTERRUPTED = 130


class Ending(click.ClickException):
    """The program ends with this line on stderr."""

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(f"clusterdns: {self.message}", err=True)


class WrongUse(Ending):
    exit_code = 2


class NobodyToAsk(Ending):
    exit_code = 3


class NotFound(Ending):
    exit_code = NO


class NotStarted(Ending):
    """As shells have it."""

    exit_code = 127
