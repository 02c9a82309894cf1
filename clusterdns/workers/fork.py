"""A process that goes on from here with all that is known, and lets go of all that is open."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

log = logging.getLogger("clusterdns")

FAULT = 70
"""EX_SOFTWARE of sysexits.h."""

_STANDARD = 3
"""Descriptors that every process has."""


def fork(work: Callable[[], int], kept: Collection[int]) -> int:
    """Have this done in a process of its own, which ends with what it returns; that process's number.

    It is called where no loop runs. Nothing of what calls it goes on in the other process.

    kept: descriptors that stay open there, beside the standard ones. Raises OSError.
    """
    gc.collect()
    gc.freeze()  # the collector writes where it looks, and what is written to is shared no more
    for each in (sys.stdout, sys.stderr):
        each.flush()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings():
            # Of the threads, which only wait for files here; none of their locks is asked for in the other process.
            warnings.simplefilter("ignore", DeprecationWarning)
            number = os.fork()
        if not number:
            _work(work, kept, blocked)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return number


def _work(work: Callable[[], int], kept: Collection[int], blocked: Collection[int]) -> None:
    """Never returns: the frames below this one are the parent's."""
    code = FAULT
    try:
        signal.set_wakeup_fd(-1)
        for each in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        for each in (signal.SIGINT, signal.SIGHUP):  # what a terminal says to all, the parent tells in its own way
            signal.signal(each, signal.SIG_IGN)
        _let_go(kept)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        code = work()
    except BaseException as error:
        log.error("a fault: %r", error)  # noqa: TRY400 - one line
        log.debug("the fault in full", exc_info=True)
    finally:
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        os._exit(code)


def _let_go(kept: Collection[int]) -> None:
    """Put nothing at all in the place of what is open.

    The numbers stay taken: what the parent has made of them is still in memory, and may close one of them some day.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for each in [int(each.name) for each in Path("/dev/fd").iterdir()]:
        if each >= _STANDARD and each != nothing and each not in kept:
            with contextlib.suppress(OSError):
                os.fstat(each)
                os.dup2(nothing, each, inheritable=False)
    os.close(nothing)
