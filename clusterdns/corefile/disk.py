"""The files of this machine, for Corefiles and what they import."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Disk:
    def read(self, path: Path) -> str:
        """Raises OSError or ValueError."""
        return path.read_bytes().decode(errors="replace")

    def matching(self, pattern: Path) -> Sequence[Path]:
        return sorted(map(Path, glob.glob(str(pattern), include_hidden=True)))  # noqa: PTH207 (Path's leaves out dots)
