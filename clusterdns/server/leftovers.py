"""What asyncio leaves behind of a connection that is over."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def clear(transport: asyncio.BaseTransport) -> None:
    """Let a transport go whose connection is lost.

    It keeps the method of its own that it reads with, and so itself and its socket, until the garbage collector comes
    by. That is rarely here, so that floods of connections would leave a hundred megabytes. (uvloop's has nothing such.)
    """
    with suppress(TypeError):
        vars(transport).pop("_read_ready_cb", None)
