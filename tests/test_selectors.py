"""Label selectors: which an API server takes."""

from __future__ import annotations

import pytest

from clusterdns import selectors


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app",
        "!app",
        "! app",
        "app=web",
        "app==web",
        "app != web",
        "app=",
        "app.kubernetes.io/name=web-1.x_y",
        "tier in (front, back)",
        "tier in (front,back),app=web",
        "tier notin (front), app = web , !canary",
        "tier in ()",
    ],
)
def test_what_is_one(text: str) -> None:
    assert selectors.checked(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "=web",
        "app=web,",
        ",app",
        "app web",
        "app=web tier=front",
        "tier in (front, back",
        "tier in front",
        "tier within (front)",
        "tierin (front)",
        "app=-web",
        "app=we b",
        "app=web/1",
        "a/b/c",
        "-app",
        "app=wéb",
        "(app)",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="label selector"):
        selectors.checked(text)


def test_long_ones_take_no_longer_than_they_are() -> None:
    with pytest.raises(ValueError, match="label selector"):
        selectors.checked("a" * 20_000 + "!")
