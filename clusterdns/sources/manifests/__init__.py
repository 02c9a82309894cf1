"""A folder of manifests in the place of a cluster.

    folders  ->  files                     ->  whole                           ->  watch
    which        text -> objects,              one valid whole of all files:       events, at the
    there are    each admitted (admission)     cluster_ips, endpoint_slices        start and later

What an API server and its controllers do to objects is done here, so that the events are those of a cluster.
"""

from clusterdns.sources.manifests.watch import ManifestError, Manifests

__all__ = ["ManifestError", "Manifests"]
