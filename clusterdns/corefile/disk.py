"""The files of this machine, for Corefiles and what they import.

A manifest of a ConfigMap, as `kubectl get configmap coredns -o yaml` prints it, is read as the Corefile in it.
"""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from clusterdns import config_map

if TYPE_CHECKING:
    from collections.abc import Sequence


class Disk:
    def read(self, path: Path) -> str:
        """Raises OSError or ValueError."""
        text = path.read_bytes().decode(errors="replace")
        return config_map.in_place(text, "Corefile") if config_map.looks_so(text) else text

    def matching(self, pattern: Path) -> Sequence[Path]:
        return sorted(map(Path, glob.glob(str(pattern), include_hidden=True)))  # noqa: PTH207 (Path's leaves out dots)
