"""The commands for people, one in a module; `cli` has them all.

Exit codes: 0 done, 1 "no" as an answer, 2 wrong use, 3 nobody to ask.
"""

from clusterdns.commands import lookup, resolv_conf

COMMANDS = (lookup.lookup, resolv_conf.resolv_conf)

__all__ = ["COMMANDS"]
