"""Why a name that is none of ours is answered as it is: by what others said, and how they are doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import names, presentation
from clusterdns.explain import causes
from clusterdns.explain.story import Elsewhere, listed, plain
from clusterdns.records import Rcode, ReasonCode

if TYPE_CHECKING:
    from clusterdns.explain.known import Known
    from clusterdns.explain.story import Asked, Finding, UpstreamState
    from clusterdns.names import Name


_STALE = frozenset({ReasonCode.STALE_ANSWER, ReasonCode.STALE_NXDOMAIN})

_ADVICE = {
    Rcode.REFUSED: "; it does not want to answer this server, or not for such names",
    Rcode.SERVFAIL: "; it could not find out, such as for want of a server behind it, or since DNSSEC does not hold",
}


def cause_of(asked: Asked, known: Known) -> Finding:
    """The cause behind the answer to a name that is none of ours."""
    question, reason = asked.question, asked.reason
    name = plain(question.name)
    elsewhere = asked.elsewhere or Elsewhere()
    who = _who(elsewhere)
    if reason is not None and reason.code in _STALE:
        return causes.upstream_stale(elsewhere.cached_seconds, reason.text)
    if asked.is_found:
        return causes.upstream_found(name, who)
    other = _meant_for_another_zone(question.name, known)
    if other is not None:
        return causes.other_zone([plain(zone.name) for zone in known.index.zones], *other)
    if asked.rcode is None:
        return causes.upstream_failed("this server", asked.fault or "no answer", "")
    is_nobodys = reason is not None and reason.code == ReasonCode.NOT_AUTHORITATIVE
    if is_nobodys or (
        asked.rcode == Rcode.NOERROR and asked.elsewhere and not (elsewhere.upstreams or elsewhere.is_file)
    ):
        return causes.nobody_to_ask(name)
    if asked.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN):
        return causes.upstream_denied(name, who, asked.outcome)
    said = reason.text if reason is not None else presentation.rcode_text(asked.rcode)
    advice = "" if reason is not None else _ADVICE.get(Rcode(asked.rcode), "") if asked.rcode in _ADVICE else ""
    return causes.upstream_failed(f"for {name}, {who}" if elsewhere.upstreams else name, said, advice)


def _who(elsewhere: Elsewhere) -> str:
    if elsewhere.is_file:
        return "a zone file"
    if not elsewhere.upstreams:
        return "whoever was asked"
    word = "upstream" if len(elsewhere.upstreams) == 1 else "upstreams"
    return f"{word} {listed(map(_state, elsewhere.upstreams))}"


def _state(upstream: UpstreamState) -> str:
    if upstream.is_looping:
        return f"{upstream.address} (left out: it leads back to this server)"
    return f"{upstream.address} (left out: it does not answer)" if upstream.is_down else upstream.address


def _meant_for_another_zone(name: Name, known: Known) -> tuple[str, str] | None:
    """Where a name looks like a Service's of another cluster domain: that domain, and the name with ours."""
    labels = [each.decode("latin-1") for each in names.labels(name)]
    if not known.index.zones or "svc" not in labels[2:]:
        return None
    at = labels.index("svc", 2)
    if len(labels) == at + 1:
        return None
    ours = plain(known.index.zones[0].name)
    return ".".join(labels[at + 1 :]), ".".join([*labels[: at + 1], ours])
