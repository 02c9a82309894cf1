"""The commands for people, one in a module; `cli` has them all.

Exit codes: 0 done, 1 "no" as an answer, 2 wrong use, 3 nobody to ask.
"""

from clusterdns.commands import endpoints, env, explain, lookup, resolv_conf, services, top

COMMANDS = (
    endpoints.endpoints,
    env.env,
    explain.explain,
    lookup.lookup,
    resolv_conf.resolv_conf,
    services.services,
    top.top,
)

__all__ = ["COMMANDS"]
