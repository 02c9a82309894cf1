"""Observes the pods of manifests while they are followed: resolves their host names, and probes them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from clusterdns.probes import HostNames, Probing, Readiness
from clusterdns.sources.manifests.upkeep import NOT_RUN, Observed

if TYPE_CHECKING:
    from clusterdns.objects import Key
    from clusterdns.sources.manifests.whole import Whole


class Tending:
    """From `take` to `stop`; when there is something new, `stirred` is set."""

    def __init__(self, *, probes: bool) -> None:
        self.stirred = asyncio.Event()
        self._probes = probes
        self._is_resolved_anew = False
        self._changed: set[Key] = set()
        self._ready: dict[Key, bool] = {}
        self._barred: dict[Key, Readiness] = {}
        self._names = HostNames(self._note_addresses)
        self._probing = Probing(self._names.addresses, self._note_readiness)

    def take(self, whole: Whole) -> None:
        """Observe these pods from now on; a pod that no service has made an endpoint of is nobody's concern."""
        self._names.take({host for each in whole.tended.values() for host in each.hosts()})
        watched = {key: each.watched() for key, each in whole.tended.items() if self._probes and key in whole.made_of}
        probed = {key: each for key, each in watched.items() if each is not None}
        self._ready = {key: ready for key, ready in self._ready.items() if key in probed}
        self._probing.take(probed)
        self._barred = {
            key: self._barred.get(key) or Readiness(is_ready=False, since=time.time(), probe=field, outcome=NOT_RUN)
            for key, each in whole.tended.items()
            if self._probes and key in whole.made_of and (field := each.barred_by())
        }

    def observed(self) -> Observed:
        return Observed(dict(self._names.found), dict(self._ready), self._probes)

    def news(self) -> tuple[frozenset[Key], bool]:
        """Whose readiness has changed since this was last asked for, and whether addresses have."""
        changed, is_resolved_anew = frozenset(self._changed), self._is_resolved_anew
        self._changed, self._is_resolved_anew = set(), False
        self.stirred.clear()
        return changed, is_resolved_anew

    def failing(self) -> dict[Key, Readiness]:
        """The pods that fail their probes, and what these said; and those whose probes are not ours to run."""
        found = ((key, self._probing.readiness(key)) for key, is_ready in self._ready.items() if not is_ready)
        return {key: readiness for key, readiness in found if readiness is not None} | self._barred

    async def stop(self) -> None:
        await self._probing.stop()
        await self._names.stop()

    def _note_addresses(self) -> None:
        self._is_resolved_anew = True
        self.stirred.set()

    def _note_readiness(self, pod: Key) -> None:
        readiness = self._probing.readiness(pod)
        if readiness is not None:
            self._ready[pod] = readiness.is_ready
            self._changed.add(pod)
            self.stirred.set()
