"""What an answered query costs, side by side with other servers, in one run: `python -m tests.benchmarks --help`.

workloads  ->  rivals     ->  running  ->  measuring  ->  report, budgets, plot
a cluster,     commands and   one server   dnsperf, and   a table, what it says of
questions      settings of    at a time,   latency.c at   our promises, a picture
of clients     each server    on its core  half the load

feed: the API server that clusterdns and CoreDNS follow, and what changes in it meanwhile
"""
