"""Label selectors, as people write them: `app=web,tier in (front, back),!canary`."""

from __future__ import annotations

import re

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_KEY = rf"(?:{_NAME}/)?{_NAME}"
_VALUE = rf"(?:{_NAME})?"
_VALUES = rf"\(\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*\)"
_REQUIREMENT = rf"(?:!\s*{_KEY}|{_KEY}(?:\s*(?:==?|!=)\s*{_VALUE}|\s+(?:in|notin)\s*{_VALUES})?)"
_SELECTOR = re.compile(rf"\s*{_REQUIREMENT}\s*(?:,\s*{_REQUIREMENT}\s*)*")


def checked(text: str) -> str:
    """The selector, or nothing, which selects all. Raises ValueError if an API server would not take it."""
    if text and not _SELECTOR.fullmatch(text):
        raise ValueError("expected a label selector such as app=web,tier in (front, back)")
    return text
