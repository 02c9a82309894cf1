"""Whole zones for those who may have them (RFC 5936): one moment of a zone, however long it takes to be read.

rules       ->  contents         ->  messages    ->  transferring
who may have    a zone's records,    records <->     a query -> one message after the other,
which zones     as of one moment     bytes           as the client reads them
"""

from clusterdns.transfers.contents import Contents, contents_of
from clusterdns.transfers.rules import EVERYBODY, NotARule, Rule, Rules
from clusterdns.transfers.transferring import Transfers, Within, transferring

__all__ = ["EVERYBODY", "Contents", "NotARule", "Rule", "Rules", "Transfers", "Within", "contents_of", "transferring"]
