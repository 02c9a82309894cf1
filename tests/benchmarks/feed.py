"""The API server that clusterdns and CoreDNS follow, and what changes in it while they are asked."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.apiserver.process import Process
from tests.benchmarks.running import Failed
from tests.benchmarks.workloads import CHANGES, manifests, objects, pods

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.workloads import Cluster, Service

AT_ONCE = 500  # objects in one request
AT_A_TIME = 10  # changes in one request
YIELDING = 5  # nice(1): who asks has the same core, and times answers, not how long it waited for its own turn
ENOUGH = 0.8  # of the changes that shall be made each second
BETWEEN_LISTS = 2.0  # seconds
SERVED = ("/api/v1/namespaces", "/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices")


class Feed:
    """An API server that has the cluster."""

    def __init__(self, process: Process, cluster: Cluster) -> None:
        self.url = process.url
        self._process = process
        self._cluster = cluster

    @contextmanager
    def meanwhile(self, what: str) -> Iterator[None]:
        """Let this happen until the block is left: nothing, `changes`, or `lists`. Raises Failed if it did not."""
        if not what:
            yield
            return
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            happening = pool.submit(self._change if what == "changes" else self._expire, over)
            try:
                yield
            finally:
                over.set()
                error = happening.exception()
        if error is not None:
            raise Failed(f"the API server: {error}")

    def _change(self, over: threading.Event) -> None:
        """Another endpoint of a service each time, CHANGES a second, AT_A_TIME in one request."""
        services, number, begun = self._cluster.addressed, 0, time.monotonic()
        while not over.wait(max(0.0, begun + number / CHANGES - time.monotonic())):
            some = range(number, number + AT_A_TIME)
            self._process.call("put", *(_changed(services[each % len(services)], each) for each in some))
            number += AT_A_TIME
        reached = number / (time.monotonic() - begun)
        if reached < ENOUGH * CHANGES:
            raise Failed(f"only {reached:.0f} changes/s in place of {CHANGES}")

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
def feed(cluster: Cluster, number_of_pods: int = 0) -> Iterator[Feed]:
    """Raises Failed."""
    try:
        with Process() as process:
            os.setpriority(os.PRIO_PROCESS, process.process.pid, YIELDING)
            left = chain(objects(cluster), pods(number_of_pods))
            while some := list(islice(left, AT_ONCE)):
                process.call("put", *some)
            for path in SERVED:  # so that the first server does not wait for what the later ones find done
                with urlopen(process.url + path) as answer:
                    answer.read()
            yield Feed(process, cluster)
    except (AssertionError, URLError) as error:
        raise Failed(f"the API server: {error}") from error
