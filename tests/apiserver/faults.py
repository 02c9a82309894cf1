"""What goes wrong with new requests, for all resources or for one; open watches have their own ways to end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.apiserver.statuses import trouble

if TYPE_CHECKING:
    from tests.apiserver.statuses import Failure


@dataclass
class _Refusal:
    code: int
    verb: str | None
    times: int | None
    retry_after: float | None


@dataclass
class _Faults:
    delay: float = 0.0
    item_delay: float = 0.0
    truncated: int = 0
    is_silent: bool = False
    refusals: list[_Refusal] = field(default_factory=list)


class Faults:
    """A resource of None stands for all of them, in every method here."""

    def __init__(self) -> None:
        self._of: dict[str | None, _Faults] = {}

    def of(self, resource: str | None) -> _Faults:
        return self._of.setdefault(resource, _Faults())

    def _both(self, resource: str) -> tuple[_Faults, _Faults]:
        return self.of(resource), self.of(None)

    def heal(self) -> None:
        self._of.clear()

    def refuse(
        self, resource: str | None, code: int, verb: str | None, times: int | None, retry_after: float | None
    ) -> None:
        self.of(resource).refusals.append(_Refusal(code, verb, times, retry_after))

    def take_refusal(self, resource: str, verb: str) -> Failure | None:
        """The next one that is due for this request, which it uses up."""
        for faults in self._both(resource):
            for each in faults.refusals:
                if each.verb in (None, verb) and each.times != 0:
                    each.times = None if each.times is None else each.times - 1
                    return trouble(each.code, each.retry_after)
        return None

    def take_truncation(self, resource: str) -> bool:
        for faults in self._both(resource):
            if faults.truncated:
                faults.truncated -= 1
                return True
        return False

    def is_silent(self, resource: str) -> bool:
        return any(each.is_silent for each in self._both(resource))

    def delay(self, resource: str) -> float:
        return max(each.delay for each in self._both(resource))

    def item_delay(self, resource: str) -> float:
        return max(each.item_delay for each in self._both(resource))
