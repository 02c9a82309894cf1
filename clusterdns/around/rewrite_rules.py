"""The rules of rewriting, made ready: what each does to a question, and what is to be undone in the reply.

Rules see a name as text, in lower case and with its last dot. `exact` rules put the names of the answer back by
themselves, the others do with `auto` or with patterns of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import unpack
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from clusterdns.around.message import Message
from clusterdns.around.options import Asker, EdnsRule, Options, edit
from clusterdns.around.patterns import NotAPattern
from clusterdns.around.renaming import Match, NotARule, Rename, by_pattern, renamer, within
from clusterdns.records import LONGEST_TTL
from clusterdns.zones.text import name_from_text, name_text

if TYPE_CHECKING:
    from clusterdns.names import Name

MOST_RULES = 1000


class AnswerRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Rewrites names of the reply: the owners of its records, or the names that their data leads to."""

    part: Literal["name", "value"]
    pattern: str
    replacement: str
    """With `{1}` for what the first group matched, and so on."""


class NameRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag="name"):
    name: str
    replacement: str
    """With `{1}` for what the first group of a `regex` matched, and so on."""
    match: Match = "exact"
    stop: bool = True
    """Whether the rules behind it are left out once it has matched."""
    auto: bool = False
    """Whether names of the reply are put back; `exact` rules always do."""
    answers: tuple[AnswerRule, ...] = ()


class TtlRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag="ttl"):
    """Keeps the TTLs of the reply within bounds, in seconds."""

    name: str
    lowest: int
    highest: int
    match: Match = "exact"
    stop: bool = True


class RcodeRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag="rcode"):
    name: str
    rcode: int
    replacement: int
    match: Match = "exact"
    stop: bool = True


class TypeRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag="type"):
    rtype: int
    replacement: int
    stop: bool = True


class ClassRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag="class"):
    rclass: int
    replacement: int
    stop: bool = True


class CnameRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag="cname"):
    """Lets an alias in the answer lead elsewhere, and answers with what is there."""

    target: str
    replacement: str
    match: Match = "exact"
    stop: bool = True


Rule: TypeAlias = NameRule | TtlRule | RcodeRule | TypeRule | ClassRule | EdnsRule | CnameRule


class NotSupported(NotARule):
    """A rule that only CoreDNS can follow."""


Undo: TypeAlias = Callable[[Message], None]


class Asked(Struct):
    """A question on its way through the rules."""

    name: str
    qtype: int
    qclass: int
    asker: Asker
    options: Options | None
    """Of EDNS; None if they can not be changed."""
    undo: tuple[Undo, ...] = ()
    """What to do to the reply, the last first."""
    leads: tuple[Rename, ...] = ()
    """Where aliases of the reply are led instead."""


Step: TypeAlias = Callable[[Asked], bool]
"""Follows a rule, and says whether that was the last one."""


def steps_of(rules: Sequence[Rule]) -> list[Step]:
    """Raises NotARule."""
    if len(rules) > MOST_RULES:
        raise NotARule(f"rewrite: {len(rules)} rules, more than {MOST_RULES}")
    found = []
    for number, rule in enumerate(rules, 1):
        try:
            found.append(_step(rule))
        except NotSupported as error:
            raise NotSupported(f"rewrite rule {number}: {error}") from error
        except (NotAPattern, NotARule) as error:
            raise NotARule(f"rewrite rule {number}: {error}") from error
    return found


def _step(rule: Rule) -> Step:
    match rule:
        case NameRule():
            return _name_step(rule)
        case TtlRule():
            if not 0 <= rule.lowest <= rule.highest <= LONGEST_TTL:
                raise NotARule(f"{rule.lowest}-{rule.highest} is no range of TTLs")
            return _reply_step(rule, _ttls_within(rule.lowest, rule.highest))
        case RcodeRule():
            if not (0 <= rule.rcode <= 0xF and 0 <= rule.replacement <= 0xF):
                raise NotSupported("only the rcodes 0 to 15 can be rewritten")
            return _reply_step(rule, _other_rcode(rule.rcode, rule.replacement))
        case TypeRule() | ClassRule():
            return _typed_step(rule)
        case EdnsRule():
            return _options_step(rule)
        case CnameRule():
            return _leading_step(rule)


def _name_step(rule: NameRule) -> Step:
    rename = renamer(rule.match, rule.name, rule.replacement)
    is_exact = rule.match == "exact"
    if rule.auto and not is_exact and any(each.part == "name" for each in rule.answers):
        raise NotARule("names of the answer are put back either automatically or by patterns of their own")
    undo = [
        (_rename_owners if each.part == "name" else _rename_values)(by_pattern(each.pattern, each.replacement))
        for each in rule.answers
    ]
    if rule.auto and rule.match == "suffix":
        undo = [*_put_back(renamer("suffix", rule.replacement, rule.name)), *undo]
    always = rule.match != "suffix" and (rule.auto or is_exact)

    def step(asked: Asked) -> bool:
        renamed = rename(asked.name)
        if renamed is None:
            return False
        back = _put_back(within(renamed, asked.name)) if always else ()
        asked.undo = (*asked.undo, *back, *undo)
        asked.name = renamed
        return rule.stop

    return step


def _reply_step(rule: TtlRule | RcodeRule, undo: Undo) -> Step:
    matches = renamer(rule.match, rule.name, ".")

    def step(asked: Asked) -> bool:
        if matches(asked.name) is None:
            return False
        asked.undo = (*asked.undo, undo)
        return rule.stop

    return step


def _typed_step(rule: TypeRule | ClassRule) -> Step:
    numbers = (rule.rtype if isinstance(rule, TypeRule) else rule.rclass, rule.replacement)
    if not all(0 <= each <= 0xFFFF for each in numbers):
        raise NotARule(f"{numbers[0]}, {numbers[1]}: a {rule.__struct_config__.tag} is a number from 0 to 65535")

    def step(asked: Asked) -> bool:
        if isinstance(rule, TypeRule):
            if asked.qtype != rule.rtype:
                return False
            asked.qtype = rule.replacement
        else:
            if asked.qclass != rule.rclass:
                return False
            asked.qclass = rule.replacement
        return rule.stop

    return step


def _options_step(rule: EdnsRule) -> Step:
    follow = edit(rule)

    def step(asked: Asked) -> bool:
        if asked.options is None or not follow(asked.options, asked.asker):
            return False
        return rule.stop

    return step


def _leading_step(rule: CnameRule) -> Step:
    lead = renamer(rule.match, rule.target, rule.replacement)

    def step(asked: Asked) -> bool:
        asked.leads = (*asked.leads, lead)
        return rule.stop

    return step


# Replies, changed in place


def _put_back(rename: Rename) -> tuple[Undo, Undo]:
    return _rename_owners(rename), _rename_values(rename)


def _rename_owners(rename: Rename) -> Undo:
    def undo(message: Message) -> None:
        for record in message.records():
            record.owner = _renamed(record.owner, rename)

    return undo


def _rename_values(rename: Rename) -> Undo:
    """The first name in the data of each record: where it leads to; of a SOA record, the name server."""

    def undo(message: Message) -> None:
        for record in message.records():
            if record.names:
                record.names = (_renamed(record.names[0], rename), *record.names[1:])

    return undo


def _renamed(name: Name, rename: Rename) -> Name:
    """Raises NotARecord."""
    renamed = rename(name_text(name).lower())
    return name if renamed is None else name_from_text(renamed)


def _ttls_within(lowest: int, highest: int) -> Undo:
    def undo(message: Message) -> None:
        for record in message.records():
            record.ttl = max(lowest, min(record.ttl, highest))

    return undo


def _other_rcode(rcode: int, replacement: int) -> Undo:
    def undo(message: Message) -> None:
        upper = unpack("!B", message.opt[5:6])[0] if message.opt else 0
        if upper == 0 and message.flags & 0xF == rcode:
            message.flags = message.flags & ~0xF | replacement

    return undo
