"""Who has this name, who has this address.

tree, tables          ->  growing, hostnames,       ->  index
the names, the objects    addresses, clients            applies events, finds names
                          what follows from objects
"""

from clusterdns.index.index import Index

__all__ = ["Index"]
