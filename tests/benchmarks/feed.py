"""The API server that clusterdns and CoreDNS follow, and what changes in it while they are asked."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.apiserver.process import Process
from tests.benchmarks.workloads import CHANGES, manifests, objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.workloads import Cluster, Service

AT_ONCE = 500  # objects in one request
BETWEEN_LISTS = 2.0  # seconds


class Feed:
    """An API server that has the cluster."""

    def __init__(self, process: Process, cluster: Cluster) -> None:
        self.url = process.url
        self._process = process
        self._cluster = cluster

    @contextmanager
    def meanwhile(self, what: str) -> Iterator[None]:
        """Let this happen until the block is left: nothing, `changes`, or `lists`."""
        if not what:
            yield
            return
        over = threading.Event()
        happening = threading.Thread(target=self._change if what == "changes" else self._expire, args=(over,))
        happening.start()
        try:
            yield
        finally:
            over.set()
            happening.join()

    def _change(self, over: threading.Event) -> None:
        """Another endpoint of a service each time, CHANGES a second, ten in one request."""
        services, number, begun = self._cluster.addressed, 0, time.monotonic()
        while not over.wait(max(0.0, begun + number / CHANGES - time.monotonic())):
            made = [_changed(services[each % len(services)], each) for each in range(number, number + 10)]
            self._process.call("put", *made)
            number += 10

    def _expire(self, over: threading.Event) -> None:
        """What all watches were at is forgotten, so that everything has to be listed anew."""
        while not over.is_set():
            self._process.call("compact")
            self._process.call("expire")
            over.wait(BETWEEN_LISTS)


def _changed(service: Service, number: int) -> dict[str, Any]:
    address = f"10.200.{number // 250 % 250}.{number % 250 + 1}"
    return manifests(service._replace(endpoints=(*service.endpoints, address)))[1]


@contextmanager
def feed(cluster: Cluster) -> Iterator[Feed]:
    with Process() as process:
        all_of_it = objects(cluster)
        for start in range(0, len(all_of_it), AT_ONCE):
            process.call("put", *all_of_it[start : start + AT_ONCE])
        yield Feed(process, cluster)
