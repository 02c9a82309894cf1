"""Secrets are taken out of what is told: those that are known, and what looks like one.

Foreign text may hold anything: an API server that quotes a request, a URL with a password, a library's complaint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "***"
"""What stands in the place of a secret."""

SHORTEST_SECRET = 4
"""Characters: shorter ones would be found in the midst of words."""

_PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), HIDDEN),
    (re.compile(r"(://)[^/\s@\"'<>]+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"'\[]*)(?:(?:bearer|basic|token)\s+)?[^\s\"',;\]})]+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(Basic\s+)(?=[\w+/]*[\dA-Z=])[\w+/]{8,}={0,2}"), rf"\1{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]+){1,2}"), HIDDEN),
    (
        re.compile(r"(?i)\b((?:\w+[-_])?(?:token|password|passwd|client-key-data)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;}]+"),
        rf"\1{HIDDEN}",
    ),
)
"""Private keys, the user part of URLs, HTTP's authorization, JSON web tokens, and what is called a password."""


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets, and without what looks like others."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text
