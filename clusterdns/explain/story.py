"""A story as a value: what was asked, what became of each name that was tried, and which cause decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns import names, presentation
from clusterdns.records import Question, Rcode, Reason, Record, Soa, Srv, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterdns.names import Name
    from clusterdns.records import Answer


class UpstreamState(Struct, frozen=True):
    address: str
    is_down: bool = False
    is_looping: bool = False


class Elsewhere(Struct, frozen=True):
    """What there was beside the cluster's names when a question was asked."""

    upstreams: tuple[UpstreamState, ...] = ()
    cached_seconds: int | None = None
    """How long its answer had been remembered; None if it was not."""
    is_file: bool = False
    """Whether a zone file has the say about it."""

    @property
    def is_nobody(self) -> bool:
        return not (self.upstreams or self.is_file)


class Wanted(Struct, frozen=True):
    """What somebody wants explained."""

    name: str
    """As it was written."""
    types: tuple[int, ...]
    namespace: str
    """Of the pod that asks."""


def wanted(name: str, rtype: str, namespace: str) -> Wanted:
    """What is wanted, from text; without a type it is what programs ask for. Raises ValueError."""
    is_address = names.address(name) is not None
    if not is_address:
        try:
            names.from_text(name or "..")
        except names.NotAName as error:
            raise ValueError(f"{name!r} is no name: {error}") from None
    if not names.is_kubernetes_label(namespace):
        raise ValueError(f"{namespace!r} is no name of a namespace")
    if rtype:
        return Wanted(name, (presentation.type_number(rtype),), namespace)
    return Wanted(name, (Type.PTR,) if is_address else (Type.A, Type.AAAA), namespace)


class Asked(Struct, frozen=True, kw_only=True):
    """A question, and what the server said to it."""

    question: Question
    rcode: int | None = None
    """None: nothing was said."""
    records: tuple[Record, ...] = ()
    negative_ttl: int | None = None
    reason: Reason | None = None
    fault: str = ""
    """Why nothing was said."""
    elsewhere: Elsewhere | None = None
    """Who else was asked, if the name is none of ours."""

    @property
    def is_found(self) -> bool:
        """Whether there are records of the type."""
        wanted = self.question.qtype
        return self.rcode == Rcode.NOERROR and any(wanted in (each.rtype, Type.ANY) for each in self.records)

    @property
    def outcome(self) -> str:
        """The response code, in letters; NODATA is one here, and so is nothing at all."""
        if self.rcode is None:
            return "no answer"
        if self.rcode == Rcode.NOERROR and not self.is_found:
            return "NODATA"
        return presentation.rcode_text(self.rcode)


def asked_of(question: Question, answer: Answer) -> Asked:
    """What an answer says."""
    soa = next((each for each in answer.authority if each.rtype == Type.SOA), None)
    return Asked(
        question=question,
        rcode=answer.rcode,
        records=answer.records,
        negative_ttl=None if soa is None else soa.ttl,
        reason=answer.reason,
    )


class Finding(Struct, frozen=True, omit_defaults=True):
    """Something that is so, and that explains what was said."""

    cause: str
    """What it is, for programs: one of those in causes.py."""
    text: str
    object: str = ""
    """What decides it: `Service shop/cart`."""
    seconds: int | None = None
    """How long it has been so, as far as that is known."""
    suggestions: tuple[str, ...] = ()
    """What may have been meant."""


class Step(Struct, frozen=True, omit_defaults=True):
    """A name that was tried."""

    name: str
    type: str
    outcome: str
    records: tuple[str, ...] = ()
    reason: str = ""
    """What the reply itself says (RFC 8914)."""
    cached_seconds: int | None = None
    """How long the answer had been remembered; None if it was not."""


class Data(Struct, frozen=True, omit_defaults=True):
    """How old is what the story was made of."""

    source: str
    """`manifests`, or a kind of object that is watched."""
    seconds: int | None = None
    """Since it last was known to be as it is; None if that was never so."""
    trouble: str = ""
    """Why it may be out of date."""


class Story(Struct, frozen=True):
    name: str
    type: str
    namespace: str
    found: bool
    outcome: str
    """Of the name that decides."""
    decided_by: str
    cause: Finding
    notes: tuple[Finding, ...]
    steps: tuple[Step, ...]
    data: tuple[Data, ...]

    def lines(self) -> Iterator[str]:
        """The story for people: what others have written is in it, but no orders for their terminals."""
        yield from map(_shown, self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.name} {self.type}, asked in namespace {self.namespace}: {self.outcome}"
        yield f"  {self.cause.text}"
        yield from (f"  {each.text}" for each in self.notes)
        width = max((len(f"{each.name} {each.type}") for each in self.steps), default=0)
        for number, step in enumerate(self.steps):
            called = f"{step.name} {step.type}".ljust(width)
            yield f"{'tried:' if not number else '':7}{called}  {step.outcome}{_behind(step)}"
        for number, each in enumerate(self.data):
            yield f"{'data:' if not number else '':7}{_in_words(each)}"


def _shown(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in line)


def _behind(step: Step) -> str:
    said = ", ".join(step.records) or step.reason
    age = "" if step.cached_seconds is None else f", remembered for {lasting(step.cached_seconds)}"
    return (f": {said}" if said else "") + age


def _in_words(data: Data) -> str:
    age = "never read" if data.seconds is None else f"as of {lasting(data.seconds)} ago"
    return f"{data.source}, {age}" + (f"; {data.trouble}" if data.trouble else "")


def step_of(asked: Asked) -> Step:
    return Step(
        name=names.to_text(asked.question.name),
        type=presentation.type_text(asked.question.qtype),
        outcome=asked.outcome,
        records=tuple(map(record_text, asked.records)),
        reason=asked.fault or (asked.reason.text if asked.reason else ""),
        cached_seconds=asked.elsewhere.cached_seconds if asked.elsewhere else None,
    )


def record_text(record: Record) -> str:
    """`A 10.96.0.7`: its type and what it holds."""
    match record.data:
        case Srv(weight, port, target, priority):
            data = f"{priority} {weight} {port} {names.to_text(target)}"
        case Soa(mname, rname, serial):
            data = f"{names.to_text(mname)} {names.to_text(rname)} {serial}"
        case tuple() as strings:
            data = " ".join(f'"{each.decode("ascii", "replace")}"' for each in strings)
        case raw:
            data = presentation.data_text(record.rtype, raw)
    return f"{presentation.type_text(record.rtype)} {data}"


def plain(name: Name) -> str:
    """A name in a sentence: without its last dot, but for the root."""
    return names.to_text(name).rstrip(".") or "."


def lasting(seconds: float) -> str:
    """`42 s`, `5 min`, `3 h`, `3 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit == "d" and seconds >= length):
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def listed(items: Iterable[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    every = list(items)
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"
