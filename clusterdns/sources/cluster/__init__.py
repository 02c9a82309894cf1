"""A Kubernetes API as the source.

connection            ->  following              ->  gathering
credentials, requests,    one kind: listed, then     all kinds as one
bodies as they come       watched without a gap      stream of batches
                          ^
                          listing: one as it comes in
                      ->  details
                          a namespace's pods, once
"""

from clusterdns.sources.cluster.connection import Access, Lost, Refused, Unreadable
from clusterdns.sources.cluster.following import Health, Patience
from clusterdns.sources.cluster.gathering import Cluster, Selection

__all__ = ["Access", "Cluster", "Health", "Lost", "Patience", "Refused", "Selection", "Unreadable"]
