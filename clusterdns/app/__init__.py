"""Builds everything once, starts it, stops it.

This is the one place where parts are put together: a source feeds the indexes, an index answers, the server asks.

    indexes, routes,           ->  answering  ->  views, listeners,  ->  running      ->  serving
    certificates, network files    one block      admin                  all blocks,      from the first configuration
    what a block is made of                       pages, sockets         their source     to the last signal

    reading: what commands read without a server; rehearsal: what explains names to them
    explaining: what does so in a server
"""

from clusterdns.app import reading
from clusterdns.app.answering import Answering
from clusterdns.app.rehearsal import Given, NotRead, rehearsed
from clusterdns.app.running import build_source
from clusterdns.app.serving import Loaded, run
from clusterdns.config import BadConfig

__all__ = ["Answering", "BadConfig", "Given", "Loaded", "NotRead", "build_source", "reading", "rehearsed", "run"]
