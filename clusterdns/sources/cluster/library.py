"""The parts of the kubernetes package that are used here, without all that its packages read on the way to them.

`import kubernetes` brings the client for threads, the dynamic one, informers, and pydantic and requests for these: half
a second and 20 MiB, a seventh of what a pod may have. So a package stands here for its folder alone, and only while
modules of it are imported: whoever imports it elsewhere gets all of it.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@contextmanager
def _as_folders(*packages: str) -> Iterator[None]:
    """Let the packages, outer ones first, be found but not be run; those that were imported before stay as they are."""
    placed: list[str] = []
    try:
        for name in packages:
            spec = None if name in sys.modules else find_spec(name)
            if spec is not None:
                sys.modules[name] = module_from_spec(spec)
                placed.append(name)
        yield
    finally:
        for name in placed:
            del sys.modules[name]


with _as_folders("kubernetes", "kubernetes.aio", "kubernetes.aio.config"):
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.client.rest import RESTClientObject
    from kubernetes.aio.config.config_exception import ConfigException
    from kubernetes.aio.config.incluster_config import load_incluster_config

KUBECONFIG_LOGGER = "kubernetes.aio.config.kube_config"


def kube_config() -> ModuleType:
    """What reads kubeconfig files. It needs the client with its models, which a pod has no use for."""
    with _as_folders("kubernetes", "kubernetes.aio"):
        from kubernetes.aio.config import kube_config  # noqa: PLC0415 - only now
    return kube_config


__all__ = [
    "KUBECONFIG_LOGGER",
    "ConfigException",
    "Configuration",
    "RESTClientObject",
    "kube_config",
    "load_incluster_config",
]
