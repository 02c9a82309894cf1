"""Who has this name, who has this address.

tree, tables          ->  growing, hostnames,       ->  reverse, picture    ->  index
the names, the objects    addresses, clients            who has an address,     applies events,
                          what follows from objects     what there is now       finds names
"""

from clusterdns.index.index import Index
from clusterdns.index.picture import Picture

__all__ = ["Index", "Picture"]
