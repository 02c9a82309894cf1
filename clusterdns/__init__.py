r"""clusterdns: the DNS server that gives a Kubernetes cluster its names.

sources  ->  events  ->  index  ->  answer  ->  wire  ->  server
(cluster,    Listed      who has    question    values    packets in,
manifests)   Put Gone    this name  -> Answer   <-> bytes packets out
                               \-> not ours: resolve -> zones, elsewhere -> cache, forward
"""

__version__ = "0.1.0"
