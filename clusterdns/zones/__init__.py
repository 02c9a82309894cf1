"""Zones that somebody wrote down in the format of RFC 1035 section 5, and what they say to a question.

text  ->  data  ->  master_file  ->  zone
words     of a      records of       answers
names     record    a file
"""

from clusterdns.zones.master_file import MasterFileError, read_records
from clusterdns.zones.served import NOT_READ, ServedZone, ServedZones, bounded
from clusterdns.zones.zone import ZoneData, make_zone

__all__ = [
    "NOT_READ",
    "MasterFileError",
    "ServedZone",
    "ServedZones",
    "ZoneData",
    "bounded",
    "make_zone",
    "read_records",
]
