"""Zone files as a source: what is there, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterdns import names
from clusterdns.sources import zone_files
from clusterdns.sources.zone_files import ZoneFiles, ZoneFolder

if TYPE_CHECKING:
    import pytest

ZONE = names.from_text("one.example")
TEXT = "@ 60 IN SOA ns admin 1 2 3 4 5\n"


class Going(type(Path())):  # type: ignore[misc]
    """A folder in which one below goes while it is looked through."""

    is_going = False

    def rglob(self, pattern: str) -> Any:
        if Going.is_going:
            Going.is_going = False
            raise FileNotFoundError(2, "No such file or directory")
        return super().rglob(pattern)


async def test_a_folder_that_goes_while_it_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known stays, and the next look finds what is there."""
    monkeypatch.setattr(zone_files, "POLL_SECONDS", 0.01)
    (tmp_path / "one").write_text(TEXT)
    folder = ZoneFolder(Going(tmp_path), lambda name: names.possible(f"{name}.example"))
    source = ZoneFiles([], [folder])
    assert [each.name for each in await source.open()] == [ZONE]
    Going.is_going = True
    (tmp_path / "two").write_text(TEXT)
    found = await anext(aiter(source.changes()))
    assert not Going.is_going
    assert {each.name for each in found} == {ZONE, names.from_text("two.example")}
