"""Search lists: which names a resolver asks for, given one that a person wrote (resolv.conf(5), glibc's res_search).

Names are completed as bytes: the name without the root's zero, and the domain behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from clusterdns.names import LONGEST_NAME, ROOT, Name, ancestors, is_kubernetes_label, label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SVC = label("svc")


class SearchList(Struct, frozen=True):
    domains: tuple[Name, ...]
    """The root may be among them: the name itself, at that place."""
    ndots: int = 1
    """A name with fewer dots than that is completed before it is asked for as it is."""

    def candidates(self, name: Name, *, absolute: bool = False) -> Iterator[Name]:
        """The names to ask for, in glibc's order, until one of them is there.

        absolute: whether it was written with a trailing dot.
        """
        if absolute or name == ROOT:
            yield name
            return
        as_it_is_first = not self.is_short(name)
        if as_it_is_first:
            yield name
        yield from _completed(name, self.domains)
        if not as_it_is_first and ROOT not in self.domains:
            yield name

    def completions(self, name: Name) -> Iterator[Name]:
        """What a server may try in the place of its client: the name completed, but not the name itself.

        Nothing for names with as many dots as ndots: their clients mean them as they are. It is asked for each query
        that is not for one of our names, so it looks at no more of a name than it has to.
        """
        return _completed(name, self.domains) if self.is_short(name) else iter(())

    def is_short(self, name: Name) -> bool:
        """Whether the name has fewer dots than ndots: at most ndots labels."""
        at = 0
        for _ in range(self.ndots if name != ROOT else 0):
            at += 1 + name[at]
            if not name[at]:
                return True
        return False


def rest_of_search(name: Name, zone: Name, host_domains: Sequence[Name]) -> tuple[str, Iterator[Name]] | None:
    """What a pod would ask next if this name, the first of its search list, did not exist.

    name: `<name>.<ns>.svc.<zone>`, where `<name>` may hold several labels. None if it has not that form.
    host_domains: those that the kubelet puts behind the cluster's.

    Returns the namespace whose pods ask so, and the candidates in their order: `<name>.svc.<zone>`, `<name>.<zone>`,
    `<name>.<each host domain>`, `<name>`.
    """
    services = _SVC + zone
    if not name.endswith(services):
        return None
    before, at, end = 0, 0, len(name) - len(services)
    while at < end:
        before, at = at, at + 1 + name[at]
    if at > end or not before:  # the ending is a part of a label, or there is a namespace alone
        return None
    namespace = name[before + 1 : end].decode("latin-1")
    if not is_kubernetes_label(namespace):
        return None
    return namespace, _completed(name[:before] + ROOT, (services, zone, *host_domains, ROOT))


def rest_of_list(name: Name, domains: Sequence[Name]) -> Iterator[Name] | None:
    """What a client with this search list would ask next if this name, the first that it asks for, did not exist.

    None if it does not end with the first of the domains.
    """
    if not domains:
        return None
    first, *others = domains
    stem = name[: len(name) - len(first)]
    if not stem or first not in ancestors(name):
        return None
    return _completed(stem + ROOT, (*others, ROOT))


def _completed(name: Name, domains: Iterable[Name]) -> Iterator[Name]:
    """The name in front of each domain; where that is too long for a name, it is left out."""
    stem = name[:-1]
    space = LONGEST_NAME - len(stem)
    for domain in domains:
        if len(domain) <= space:
            yield stem + domain
