"""Reads Corefiles.

    words -> imports -> grammar -> keys           -> translate
    text     snippets   server     the zones and     our own
             and files  blocks     ports of each     configuration
                ^                                       ^
               disk                                 directives

The grammar is that of github.com/coredns/caddy; what a directive means is known to `directives` alone. Where CoreDNS
passes over an evident slip (a quote or a block without its end, a `}` too many), this is an error.
"""

from clusterdns.corefile.disk import Disk
from clusterdns.corefile.grammar import Corefile, Directive, ServerBlock, read
from clusterdns.corefile.imports import Files
from clusterdns.corefile.keys import Scheme, ServedZone, served_zones, zones
from clusterdns.corefile.translate import Translation, translate
from clusterdns.corefile.words import CorefileError, Fault, Place, Word

__all__ = [
    "Corefile", "CorefileError", "Directive", "Disk", "Fault", "Files", "Place", "Scheme", "ServedZone", "ServerBlock",
    "Translation", "Word", "read", "served_zones", "translate", "zones",
]  # fmt: skip
