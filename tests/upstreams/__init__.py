"""The upstreams that forwarding is judged with: NSD and unbound as they are, and one that does wrong on purpose.

```
 zones -> signing -> daemons (NSD <- unbound)  <- asking -> replies
 behaviours -> faulty                          <-'
```
"""

from tests.upstreams.asking import Exchange, Load, ask, over_tcp, over_udp
from tests.upstreams.behaviours import LIE, LIES, SOA, address_of
from tests.upstreams.daemons import Nsd, Unbound
from tests.upstreams.faulty import Faulty, Query, Say
from tests.upstreams.replies import difference
from tests.upstreams.signing import signed
from tests.upstreams.zones import Asked, Zone, every_type

__all__ = [
    "LIE",
    "LIES",
    "SOA",
    "Asked",
    "Exchange",
    "Faulty",
    "Load",
    "Nsd",
    "Query",
    "Say",
    "Unbound",
    "Zone",
    "address_of",
    "ask",
    "difference",
    "every_type",
    "over_tcp",
    "over_udp",
    "signed",
]
