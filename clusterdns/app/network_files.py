"""Files that list networks, one a line, for the rules of who may ask what."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from clusterdns import config
from clusterdns.contents import content

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterdns.around.acl import Policy, Rule
    from clusterdns.config import Config

ANY = "*"
"""A line that stands for all addresses."""


def files(settings: Config) -> tuple[Path, ...]:
    """All that these settings name."""
    policies = [policy for block in config.blocks(settings) for rule in block.acl for policy in rule.policies]
    return tuple(dict.fromkeys(Path(each) for policy in policies for each in policy.files))


def read_in(rules: Sequence[Rule]) -> list[Rule]:
    """The rules, with what stands in their files in the place of these. Raises BadConfig."""
    return [replace(rule, policies=tuple(map(_read_in, rule.policies))) for rule in rules]


def _read_in(policy: Policy) -> Policy:
    if not policy.files:
        return policy
    networks = [*policy.networks, *(each for file in policy.files for each in _lines(file))]
    return replace(policy, files=(), networks=() if ANY in networks else tuple(networks))


def _lines(file: str) -> Iterator[str]:
    """What stands in front of each comment. A file of nothing is a fault: no networks at all would mean all of them."""
    try:
        text = content(Path(file)).decode(errors="replace")
    except OSError as error:
        raise config.BadConfig(f"acl: {file}: {error.strerror}") from error
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    if not any(lines):
        raise config.BadConfig(f"acl: {file}: there is no network in it")
    for number, line in enumerate(lines, 1):
        try:
            yield from [str(line if line == ANY else ipaddress.ip_network(line, strict=False))] if line else []
        except ValueError as error:
            raise config.BadConfig(f"acl: {file}:{number}: {error}") from error
