from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from serving import EXAMPLE, Serving, has_ipv6
from watching import Watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def _servers(folder: Path) -> Iterator[Callable[..., Serving]]:
    """Starts servers, and ends them: each with exit code 0, and none of them with a traceback in its log."""
    started: list[Serving] = []
    numbers = count()

    def start(*arguments: object, **options: Any) -> Serving:
        started.append(Serving(folder / f"{next(numbers)}.log", *arguments, **options))
        return started[-1]

    try:
        yield start
        codes = [each.stop() if each.process.poll() is None else each.process.returncode for each in started]
    finally:
        for each in started:
            each.kill()
    for each, code in zip(started, codes, strict=True):
        assert code == 0, each.log
        assert "Traceback" not in each.log, each.log


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Serving]]:
    with _servers(tmp_path_factory.mktemp("logs")) as start:
        yield start


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def start(*arguments: str) -> Watching:
        started.append(Watching(tmp_path, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """config/example, on 127.0.0.1 and on ::1."""
    listen = ["127.0.0.1:0", "[::1]:0"] if has_ipv6() else ["127.0.0.1:0"]
    with _servers(tmp_path_factory.mktemp("example")) as start:
        yield start("--manifests", EXAMPLE, listen=listen)
