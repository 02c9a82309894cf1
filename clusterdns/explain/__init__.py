"""Why an answer is what it is: what the server said to the names of a search list -> a story of causes.

    story     values: what was asked, what was found out, how it is told
    causes    every sentence, and nothing else
    known     the cluster as far as it is known, for whoever looks for a cause in it
    nearest   what somebody may have meant
    ours      the cause behind a name of the cluster
    theirs    the cause behind a name that is asked of others
    explaining  of all names that were tried, the one that decides

Nothing here decides what is answered: that is read from the replies. It is asked for by people, never for a query.
"""

from clusterdns.explain.explaining import explain, namespaces_of, service_sought
from clusterdns.explain.known import Known, PodFacts, facts_of_pod
from clusterdns.explain.nearest import Nearest
from clusterdns.explain.ours import end_of_aliases
from clusterdns.explain.story import (
    Asked,
    Data,
    Elsewhere,
    Finding,
    Step,
    Story,
    UpstreamState,
    Wanted,
    asked_of,
    wanted,
)

__all__ = [
    "Asked",
    "Data",
    "Elsewhere",
    "Finding",
    "Known",
    "Nearest",
    "PodFacts",
    "Step",
    "Story",
    "UpstreamState",
    "Wanted",
    "asked_of",
    "end_of_aliases",
    "explain",
    "facts_of_pod",
    "namespaces_of",
    "service_sought",
    "wanted",
]
