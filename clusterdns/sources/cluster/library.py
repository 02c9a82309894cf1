"""The parts of the kubernetes package that are used here, without all that its packages read on the way to them.

`import kubernetes` brings the client for threads, the dynamic one, informers, and pydantic and requests for these: half
a second and 20 MiB, a seventh of what a pod may have. So a package stands here for its folder alone, and only while
modules of it are imported: whoever imports it elsewhere gets all of it.

What it imports itself reads all the authorities of the system, twice, for connections that are opened without a context
of their own; here none is. That would be another tenth of a second.
"""

from __future__ import annotations

import os
import ssl
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


@contextmanager
def without_authorities() -> Iterator[None]:
    """Let TLS contexts be made that trust nobody of a file; a folder of authorities is looked into once one is met."""
    before = os.environ.get(_AUTHORITIES)
    os.environ[_AUTHORITIES] = os.devnull
    try:
        yield
    finally:
        del os.environ[_AUTHORITIES]
        if before is not None:
            os.environ[_AUTHORITIES] = before


_AUTHORITIES = ssl.get_default_verify_paths().openssl_cafile_env

with without_authorities():
    import aiohttp

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
    "aiohttp",
    "kube_config",
    "load_incluster_config",
    "without_authorities",
]
