"""The files of this machine, for Corefiles and what they import.

A manifest of a ConfigMap, as `kubectl get configmap coredns -o yaml` prints it, is read as the Corefile in it.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from clusterdns import config_map
from clusterdns.sources.manifests.files import check_depth

if TYPE_CHECKING:
    from collections.abc import Sequence


MOST_BYTES = 1 << 26
"""Of a file; 500,000 words are some megabytes."""


class Disk:
    def read(self, path: Path) -> str:
        """Raises OSError or ValueError."""
        text = _content(path).decode(errors="replace")
        if not config_map.looks_so(text):
            return text
        check_depth(text)
        return config_map.in_place(text, "Corefile")

    def matching(self, pattern: Path) -> Sequence[Path]:
        return sorted(map(Path, glob.glob(str(pattern), include_hidden=True)))  # noqa: PTH207 (Path's leaves out dots)


def _content(path: Path) -> bytes:
    """Of a file, or of a pipe: one that nobody writes to is not waited for. Raises OSError or ValueError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        os.set_blocking(file.fileno(), True)
        found = file.read(MOST_BYTES + 1)
    if len(found) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
    return found
