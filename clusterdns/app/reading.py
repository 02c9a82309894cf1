"""The sources that commands read by themselves, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clusterdns.config import Config
from clusterdns.sources.manifests import Manifests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.objects import KubernetesObject
    from clusterdns.sources.cluster import Cluster


def manifests(paths: Sequence[str]) -> Manifests:
    return Manifests([Path(path) for path in paths], Config().service_cidr)


def cluster(
    kubeconfig: str, context: str, kinds: tuple[type[KubernetesObject], ...], namespaces: frozenset[str]
) -> Cluster:
    """namespaces: none for all."""
    from clusterdns.sources.cluster import Access, Cluster, Patience, Selection  # noqa: PLC0415 - it takes half a second

    access = Access(kubeconfig=Path(kubeconfig), context=context or None)
    return Cluster(access, Selection(kinds=kinds, namespaces=namespaces), Patience())
