"""`rewrite`: each of them is one rule, on its line or in its block."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec

from clusterdns.around.options import Action, EdnsRule, Kind
from clusterdns.around.renaming import Match
from clusterdns.around.rewrite import rewriting
from clusterdns.around.rewrite_rules import (
    AnswerRule,
    ClassRule,
    CnameRule,
    NameRule,
    RcodeRule,
    Rule,
    TtlRule,
    TypeRule,
)
from clusterdns.corefile.directives.rule_words import can_be_followed, nobody, rcode_number, record_type
from clusterdns.corefile.words import shown
from clusterdns.records import LONGEST_TTL
from clusterdns.wire import Dialect
from clusterdns.zones.text import CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading
    from clusterdns.corefile.settings import Settings

MATCHES: tuple[Match, ...] = get_args(Match)
KINDS: tuple[Kind, ...] = get_args(Kind)
ACTIONS: tuple[Action, ...] = get_args(Action)


def rewrite(readings: Sequence[Reading], _: Surroundings) -> Settings:
    rules: list[Rule] = []
    for reading in readings:
        # What its block says is one line that was broken.
        lines = [(line.keyword, *line.words) for line in reading.lines()] if len(reading.words) < 2 else []
        words = [*reading.words, *(word for line in lines for word in line)]
        rule = _rule(reading, words)
        if rule and can_be_followed(reading, lambda rule=rule: rewriting(nobody, [rule], Dialect(), stream=False)):  # type: ignore[misc]
            rules.append(rule)
            reading.understood(" ".join(words))
    return {"rewrite": [msgspec.to_builtins(rule) for rule in rules]}


def _rule(reading: Reading, words: Sequence[str]) -> Rule | None:
    stop = True
    if words and words[0].lower() in ("stop", "continue"):
        stop = words[0].lower() == "stop"
        words = words[1:]
    field, *rest = words or ("",)
    match field.lower():
        case "name":
            return _name_rule(reading, rest, stop=stop)
        case "ttl":
            return _ttl_rule(reading, rest, stop=stop)
        case "rcode":
            return _rcode_rule(reading, rest, stop=stop)
        case "type" if len(rest) == 2:
            old, new = (record_type(reading, word) for word in rest)
            return TypeRule(rtype=old, replacement=new, stop=stop) if old and new else None
        case "class" if len(rest) == 2:
            if any(word.upper() not in CLASSES for word in rest):
                reading.fault(f"expected two of {', '.join(CLASSES)}, not {shown(' '.join(rest))}")
                return None
            old, new = (CLASSES[word.upper()] for word in rest)
            return ClassRule(rclass=old, replacement=new, stop=stop)
        case "edns0":
            return _edns_rule(reading, rest, stop=stop)
        case "cname":
            return _cname_rule(reading, rest, stop=stop)
        case "answer":
            reading.fault("expected a name rule before the answer")
        case "type" | "class":
            reading.fault(f"expected FROM TO behind {field}, not {shown(' '.join(rest)) if rest else 'nothing'}")
        case _:
            reading.fault(
                f"expected name, ttl, rcode, type, class, edns0 or cname, not {shown(field) if field else 'nothing'}"
            )
    return None


def _matched(reading: Reading, words: list[str], least: int) -> tuple[Match, list[str]] | None:
    """How a name is matched, and what stands behind it: `least` words without such a word, or any number with it."""
    if len(words) == least:
        return "exact", words
    kind = reading.one_of(words[0].lower(), MATCHES) if len(words) > least else None
    if len(words) < least:
        reading.fault(f"expected [{'|'.join(MATCHES)}] and {least} words, not {shown(' '.join(words) or 'nothing')}")
    return (kind, words[1:]) if kind else None


def _name_rule(reading: Reading, words: list[str], *, stop: bool) -> NameRule | None:
    matched = _matched(reading, words, 2)
    if not matched:
        return None
    match, (name, replacement, *rest) = matched
    auto = False
    answers: list[AnswerRule] = []
    while rest:
        if rest[0] == "answer":
            rest = rest[1:]
        elif not (auto or answers):
            rest = []
        match rest:
            case ["auto", *rest]:
                auto = True
            case ["name" | "value" as part, old, new, *rest]:
                answers.append(AnswerRule(part=part, pattern=old, replacement=new))
            case _:
                reading.fault("expected answer auto, answer name FROM TO or answer value FROM TO behind the names")
                return None
    return NameRule(name=name, replacement=replacement, match=match, stop=stop, auto=auto, answers=tuple(answers))


def _ttl_rule(reading: Reading, words: list[str], *, stop: bool) -> TtlRule | None:
    matched = _matched(reading, words, 2)
    if not matched:
        return None
    match, rest = matched
    if len(rest) != 2:
        reading.fault("expected a name and a TTL")
        return None
    name, ttl = rest
    lowest, dash, highest = ttl.partition("-")
    bounds = (lowest or "0", (highest or str(LONGEST_TTL)) if dash else lowest)
    if ttl in ("", "-") or not all(each.isascii() and each.isdigit() and len(each) <= 20 for each in bounds):
        reading.fault(f"expected a TTL such as 30, 30-60, 30- or -60, not {shown(ttl)}")
        return None
    return TtlRule(name=name, lowest=int(bounds[0]), highest=int(bounds[1]), match=match, stop=stop)


def _rcode_rule(reading: Reading, words: list[str], *, stop: bool) -> RcodeRule | None:
    matched = _matched(reading, words, 3)
    if not matched:
        return None
    match, rest = matched
    if len(rest) != 3:
        reading.fault("expected a name and two response codes")
        return None
    old, new = (rcode_number(reading, word) for word in rest[1:])
    if old is None or new is None:
        return None
    return RcodeRule(name=rest[0], rcode=old, replacement=new, match=match, stop=stop)


def _cname_rule(reading: Reading, words: list[str], *, stop: bool) -> CnameRule | None:
    matched = _matched(reading, words, 2)
    if not matched:
        return None
    match, rest = matched
    if len(rest) != 2:
        reading.fault("expected where the alias leads, and where it shall lead")
        return None
    return CnameRule(target=rest[0], replacement=rest[1], match=match, stop=stop)


def _edns_rule(reading: Reading, words: list[str], *, stop: bool) -> EdnsRule | None:
    if words[-1:] == ["revert"]:
        words = words[:-1]  # clients are not told of an upstream's options in any case
    if len(words) < 2:
        reading.fault("expected local, nsid or subnet, and set, append, replace or unset")
        return None
    kind = reading.one_of(words[0].lower(), KINDS)
    action = reading.one_of(words[1].lower(), ACTIONS)
    match kind, action, words[2:]:
        case "nsid", _, []:
            pass
        case "subnet", "unset", []:
            pass
        case "local", "unset", [code]:
            return _local_rule(reading, "unset", code, "", stop=stop)
        case "local", str(), [code, data] if action != "unset":
            return _local_rule(reading, action, code, data, stop=stop)
        case "subnet", str(), [ipv4, ipv6] if action != "unset":
            bits = [reading.number(word, "bits", 0, most) for word, most in ((ipv4, 32), (ipv6, 128))]
            if bits[0] is None or bits[1] is None:
                return None
            return EdnsRule(kind="subnet", action=action, ipv4_bits=bits[0], ipv6_bits=bits[1], stop=stop)
        case str(), str(), _:
            reading.fault("expected local ACTION CODE DATA, nsid ACTION or subnet ACTION BITS BITS")
            return None
    return EdnsRule(kind=kind, action=action, stop=stop) if kind and action else None


def _local_rule(reading: Reading, action: Action, code: str, data: str, *, stop: bool) -> EdnsRule | None:
    try:
        number = int(code, 0)
    except ValueError:
        reading.fault(f"expected the code of an option such as 0xffee, not {shown(code)}")
        return None
    if data in ("{server_ip}", "{server_port}") or "/" in data.partition("}")[0] * data.startswith("{"):
        reading.unsupported(data)
        return None
    return EdnsRule(kind="local", action=action, code=number, data=data, stop=stop)
