r"""The metrics: numbers that the other parts keep anyway, read when somebody asks for them.

readings  ->  coredns  under the names that CoreDNS has for them, so that its dashboards and alerts are of use here
         \->  own      under names of ours: what CoreDNS has no name for
"""

from clusterdns.metrics.exposition import Metrics
from clusterdns.metrics.readings import CacheState, Part, Readings, Served, UpstreamState, Watch

__all__ = ["CacheState", "Metrics", "Part", "Readings", "Served", "UpstreamState", "Watch"]
