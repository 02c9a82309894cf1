r"""The metrics: numbers that the other parts keep anyway, read when somebody asks for them.

readings  ->  coredns  under the names that CoreDNS has for them, so that its dashboards and alerts are of use here
         \->  own      under names of ours: what CoreDNS has no name for
                \->  adding  those of several processes, as those of one
"""

from clusterdns.metrics.adding import Reading, Sum
from clusterdns.metrics.exposition import Metrics
from clusterdns.metrics.readings import CacheState, Part, Readings, Served, UpstreamState, Watch, Workers

__all__ = [
    "CacheState",
    "Metrics",
    "Part",
    "Reading",
    "Readings",
    "Served",
    "Sum",
    "UpstreamState",
    "Watch",
    "Workers",
]
