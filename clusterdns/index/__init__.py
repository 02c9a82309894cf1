"""Who has this name, who has this address.

tree, tables          ->  growing, hostnames,       ->  reverse        ->  index
the names, the objects    addresses, clients            who has this       applies events,
                          what follows from objects     address            finds names
"""

from clusterdns.index.index import Index

__all__ = ["Index"]
