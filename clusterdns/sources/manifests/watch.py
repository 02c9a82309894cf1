"""The manifests as a source: read at the start, and again as they change.

At the start every fault counts, and all are told at once. Later a server that answers is worth more than a file that
is right: what is broken, or contradicts another file, is logged once, and the last good content of the file stays.

Meanwhile pods are tended as their manifests ask for it: probed, and found by their host names.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeAlias

from watchfiles import awatch

from clusterdns.contents import content as content_of
from clusterdns.events import Gone, Listed, Put
from clusterdns.objects import EndpointSlice, Namespace, Node, Pod, Service
from clusterdns.probes import prepare
from clusterdns.sources.manifests import cluster_ips
from clusterdns.sources.manifests.files import Fault, Place, read
from clusterdns.sources.manifests.folders import SUFFIXES, Stamp, Survey, stamp, survey
from clusterdns.sources.manifests.tending import Tending
from clusterdns.sources.manifests.upkeep import Observed
from clusterdns.sources.manifests.whole import Whole, compiled, reconciled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
    from pathlib import Path

    from clusterdns.events import Event
    from clusterdns.objects import Key
    from clusterdns.probes import Readiness
    from clusterdns.sources.manifests.files import Found
    from clusterdns.sources.manifests.whole import Objects

log = logging.getLogger("clusterdns.manifests")

SECOND_LOOK = 0.05
"""A change is believed when it looks the same a moment later: nobody is in the midst of it. Seconds."""
LOOKS = 20
"""A file that never rests for so many looks must not hold up the others."""
EMPTIED_NS = 300_000_000
"""A file that was emptied so recently is about to be written."""
_Troubles: TypeAlias = dict["Path", tuple[str, ...]]


class ManifestError(Exception):
    """The manifests make no valid whole; `faults` says why, `path:line: reason` each."""

    def __init__(self, faults: Iterable[object]) -> None:
        self.faults = tuple(str(fault) for fault in faults)
        super().__init__("\n".join(self.faults))


class Manifests:
    """The source that reads `paths`, files and folders, and probes the pods in them if it is told to.

    Raises ValueError for service CIDRs that are none.
    """

    def __init__(self, paths: Sequence[Path], service_cidrs: Sequence[str], *, probes: bool = False) -> None:
        cluster_ips.ranges(service_cidrs)
        self._probes = probes
        self._paths = tuple(paths)
        self._service_cidrs = tuple(service_cidrs)
        self._seen = Survey()
        # Each file's last good content; together they are sound. And those that are good, but only by themselves.
        self._contents: dict[Path, list[Found]] = {}
        self._waiting: dict[Path, list[Found]] = {}
        # What was handed over, and which faults were logged and hold still.
        self._whole = Whole()
        self._troubles: _Troubles = {}
        # What is observed of pods, and by whom; whoever makes something of it, or of files, has a turn.
        self._observed = Observed(is_probed=probes)
        self._tending: Tending | None = None
        self._turn = asyncio.Lock()

    @property
    def troubles(self) -> list[str]:
        """Why the last good content of a file stands in for what is in it now."""
        return [text for texts in self._troubles.values() for text in texts]

    async def open(self) -> list[Event]:
        """All that there is, a Listed for each kind. Raises ManifestError with all faults of all files."""
        return self.load()

    def load(self) -> list[Event]:
        """The same, outside of a loop."""
        seen = survey(self._paths)
        faults = [Fault(Place(path), reason) for path, reason in seen.faults.items()]
        contents: dict[Path, list[Found]] = {}
        for path in seen.stamps:
            contents[path], wrong = _read(path)
            faults += wrong
        whole, conflicts = compiled(contents, self._service_cidrs, self._observed)
        if faults or conflicts:
            raise ManifestError([*faults, *(conflict.fault for conflict in conflicts)])
        self._seen, self._contents, self._whole = seen, contents, whole
        log.info("%d manifest files read: %d objects", len(contents), len(whole.objects))
        if self._paths and not contents:
            log.warning(
                "no manifests in %s: their names end in %s", ", ".join(map(str, self._paths)), " ".join(SUFFIXES)
            )
        self._greet(contents.values())
        return [
            Listed(kind, tuple([each for (of, _), each in whole.objects.items() if of is kind]))
            for kind in (Namespace, Service, EndpointSlice, Pod, Node)
        ]

    def failing(self) -> dict[Key, Readiness]:
        """The pods that fail their probes, and what these said."""
        return self._tending.failing() if self._tending else {}

    async def changes(self) -> AsyncGenerator[list[Event], None]:
        """The difference to what was handed over last, each time that there is one, without end."""
        batches: asyncio.Queue[list[Event]] = asyncio.Queue()
        self._tending = tending = Tending(probes=self._probes)
        tending.take(self._whole)
        workers = [
            asyncio.create_task(self._follow_files(batches, tending)),
            asyncio.create_task(self._follow_pods(batches, tending)),
        ]
        for worker in workers:
            worker.add_done_callback(lambda _: batches.put_nowait([]))
        try:
            while True:
                events = await batches.get()
                for worker in workers:
                    if worker.done():
                        await worker  # it never ends but by a fault
                if events:
                    yield events
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await tending.stop()

    async def _follow_files(self, batches: asyncio.Queue[list[Event]], tending: Tending) -> None:
        while True:
            folders = self._seen.folders
            async with aclosing(_wake_ups(folders)) as wake_ups:
                async for _ in wake_ups:
                    async with self._turn:
                        before = self._whole
                        if events := await self._changed():
                            batches.put_nowait(events)
                        if self._whole is not before:
                            tending.take(self._whole)
                            self._observed = tending.observed()
                    if self._seen.folders != folders:
                        break

    async def _follow_pods(self, batches: asyncio.Queue[list[Event]], tending: Tending) -> None:
        while True:
            await tending.stirred.wait()
            async with self._turn:
                self._observed = tending.observed()
                changed, is_resolved_anew = tending.news()
                if is_resolved_anew:
                    before = self._whole.objects
                    self._whole, _ = await asyncio.to_thread(
                        compiled, self._contents, self._service_cidrs, self._observed
                    )
                    events = _difference(before, self._whole.objects)
                    tending.take(self._whole)
                else:
                    events = [Put(each) for each in self._whole.with_readiness(self._observed, changed)]
                if events:
                    batches.put_nowait(events)

    async def _changed(self) -> list[Event]:
        seen = await asyncio.to_thread(self._look)
        if seen == self._seen:
            return []
        for _ in range(LOOKS):
            await asyncio.sleep(SECOND_LOOK)
            before, seen = seen, await asyncio.to_thread(self._look)
            if seen == before and not self._was_emptied(seen):
                break
        restless = {path for path, stamp in seen.stamps.items() if before.stamps.get(path) != stamp}
        return await asyncio.to_thread(self._apply, seen, restless)

    def _look(self) -> Survey:
        seen = survey(self._paths)
        if seen.unreadable:
            # They may be as full as before: only what is seen to be gone is gone.
            hidden = {
                path: old
                for path, old in self._seen.stamps.items()
                if not seen.unreadable.isdisjoint((path, *path.parents))
            }
            seen.stamps = hidden | seen.stamps
        return seen

    def _was_emptied(self, seen: Survey) -> bool:
        now = time.time_ns()
        return any(
            stamp.size == 0 and self._contents.get(path) and abs(now - stamp.modified_ns) < EMPTIED_NS
            for path, stamp in seen.stamps.items()
        )

    def _apply(self, seen: Survey, restless: Collection[Path]) -> list[Event]:
        """Reads what has changed and takes over what fits; the restless files are left for the next time."""
        known = self._seen.stamps
        offered: dict[Path, list[Found]] = {path: [] for path in known.keys() - seen.stamps.keys()}
        troubles: _Troubles = {path: (str(Fault(Place(path), reason)),) for path, reason in seen.faults.items()}
        for path, now in list(seen.stamps.items()):
            if known.get(path) != now and path not in restless:
                found, faults = _read(path)
                if stamp(path) == now:
                    if faults:
                        troubles[path] = tuple(map(str, faults))
                    else:
                        offered[path] = found
                    continue
            seen.stamps[path] = known.get(path, Stamp(path))
            if path in self._troubles and path not in self._waiting:
                troubles[path] = self._troubles[path]
        self._seen = seen
        self._waiting = {path: each for path, each in self._waiting.items() if path not in offered | troubles}
        offered |= self._waiting
        events = self._take_over(offered, troubles)
        self._tell(troubles)
        return events

    def _take_over(self, offered: dict[Path, list[Found]], troubles: _Troubles) -> list[Event]:
        """Makes the offered contents part of the whole as far as they fit, and notes the trouble with the others."""
        if not offered:
            return []
        whole, refused = reconciled(self._contents, offered, self._service_cidrs, self._observed)
        troubles.update({path: tuple(str(each.fault) for each in conflicts) for path, conflicts in refused.items()})
        accepted = sorted(offered.keys() - refused.keys())
        self._waiting = {path: offered[path] for path in refused}
        self._contents |= {path: offered[path] for path in accepted}
        events = _difference(self._whole.objects, whole.objects)
        self._whole = whole
        self._greet(offered[path] for path in accepted)
        if accepted:
            puts = sum(isinstance(event, Put) for event in events)
            some = ", ".join(map(str, accepted[:5])) + (f" and {len(accepted) - 5} more" if len(accepted) > 5 else "")
            log.info("%s: objects put: %d, gone: %d", some, puts, len(events) - puts)
        return events

    def _greet(self, contents: Iterable[Iterable[Found]]) -> None:
        """Makes ready for the probes in new contents, and says which of them are not made."""
        for each in (each for content in contents for each in content if self._probes):
            if any(tended.containers for tended in each.tended):
                prepare()
            for fault in each.unheard:
                log.warning("%s", fault)

    def _tell(self, troubles: _Troubles) -> None:
        """Logs what is new in the faults, and what has healed since."""
        for path, faults in troubles.items():
            if self._troubles.get(path) != faults:
                kept = any(self._contents[each] for each in self._contents if path in (each, *each.parents))
                for fault in faults:
                    log.error("%s%s", fault, "; what was read before stays" if kept else "")
        for path in (self._troubles.keys() - troubles.keys()) & self._seen.stamps.keys():
            log.info("%s is read again", path)
        self._troubles = troubles


def _read(path: Path) -> tuple[list[Found], list[Fault]]:
    try:
        content = content_of(path)
    except OSError as error:
        return [], [Fault(Place(path), f"cannot be read: {error.strerror}")]
    return read(path, content)


def _difference(before: Objects, after: Objects) -> list[Event]:
    puts = [Put(each) for identity, each in after.items() if before.get(identity) != each]
    return [*puts, *[Gone(*identity) for identity in before if identity not in after]]


async def _wake_ups(folders: Collection[tuple[Path, int, int]]) -> AsyncGenerator[None, None]:
    """Yields at once, whenever something happens in a folder, and once a second in case that nobody tells us."""
    yield
    try:
        watching = awatch(
            *[path for path, _, _ in folders],
            watch_filter=None,
            debounce=200,
            step=50,
            rust_timeout=1000,
            yield_on_timeout=True,
            recursive=False,
        )
        async with aclosing(watching) as changes:
            async for _ in changes:
                yield
    except (OSError, RuntimeError) as error:
        # A folder that went away a moment ago, or no more inotify watches to be had (watchfiles' internal error).
        log.warning("nobody tells of changes, so we look once a second: %s", error)
    while True:
        await asyncio.sleep(1)
        yield
