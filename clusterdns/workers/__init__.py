r"""Several processes that answer on the same addresses, and the one that watches the cluster for all of them.

    source  ->  the parent's index  ->  fork      what is known by then is shared, page by page
                        \->  messages  ->  link  ->  messages  ->  Fed  ->  the worker's index
    metrics  <-  crew  <-  link  <-  readings

The parent forks the workers, tells them what the source tells, replaces those that die or hang, and adds their numbers
up; it answers no queries itself. What a worker serves, and how, is none of the business of this package: it is handed
over as a callable.
"""

from clusterdns.workers.crew import Crew, Outside
from clusterdns.workers.fed import Fed
from clusterdns.workers.link import Link
from clusterdns.workers.messages import (
    Ask,
    Become,
    Changed,
    Failed,
    Inquire,
    Leave,
    Linger,
    Listening,
    Said,
    Told,
    changed,
    decoded,
    encoded,
)

__all__ = [
    "Ask",
    "Become",
    "Changed",
    "Crew",
    "Failed",
    "Fed",
    "Inquire",
    "Leave",
    "Linger",
    "Link",
    "Listening",
    "Outside",
    "Said",
    "Told",
    "changed",
    "decoded",
    "encoded",
]
