"""The upstreams and the search list that the host's resolv.conf names, read again when it changes."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from clusterdns import resolv_conf
from clusterdns.contents import content
from clusterdns.forward.address import UpstreamAddress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from clusterdns.resolv_conf import ResolvConf

log = logging.getLogger("clusterdns.forward")

LOOK_SECONDS = 1.0

MOST_NAMESERVERS = resolv_conf.MOST_NAMESERVERS
"""As many as the C library's resolver asks."""

DNS_PORT = 53


class HostResolver:
    """A resolv.conf file.

    listening: our own addresses as they are bound. One of them in the file would lead back to us, so it is left out.
    """

    def __init__(self, path: str, listening: Sequence[tuple[str, int]] = ()) -> None:
        self.path = path
        self._path = Path(path)
        self._listening = [host for host, port in listening if port == DNS_PORT]
        self._text = ""
        self._is_missing = False
        self._conf = resolv_conf.ResolvConf()

    def read(self) -> ResolvConf:
        """The file as it is now; as it was, if it can not be read."""
        try:
            text = content(self._path).decode(errors="replace")
        except OSError as error:
            if not self._is_missing:
                rest = "what it said before stays" if self._text else "there are no upstreams until it is there"
                log.warning("%(file)s: %(error)s; %(rest)s", {"file": self.path, "error": error.strerror, "rest": rest})
            self._is_missing = True
            return self._conf
        self._is_missing = False
        if text != self._text:
            self._text = text
            self._conf = resolv_conf.parse(text)
        return self._conf

    def upstreams(self) -> tuple[UpstreamAddress, ...]:
        """Those of the file as it was last read, without ourselves."""
        found = []
        for host in list(dict.fromkeys(self._conf.nameservers))[:MOST_NAMESERVERS]:
            if self._is_own(host):
                fields = {"file": self.path, "upstream": host}
                log.warning("%(file)s: nameserver %(upstream)s is this server itself; it is left out", fields)
            else:
                found.append(UpstreamAddress(host, DNS_PORT))
        return tuple(found)

    async def changes(self) -> AsyncIterator[ResolvConf]:
        """The file each time that it says something else."""
        known = self._conf
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.read() != known:
                known = self._conf
                yield known

    def _is_own(self, host: str) -> bool:
        return any(host == each or (each in ("0.0.0.0", "::") and _is_local(host)) for each in self._listening)


def _is_local(host: str) -> bool:
    """Whether an address is one of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
