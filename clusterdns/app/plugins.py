"""What a block has at work, under the names of CoreDNS's plugins for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clusterdns.config import Block


def plugins(block: Block) -> list[str]:
    """In the order of their names. Only those that stand in the way of a query: it is for `coredns_plugin_enabled`."""
    at_work = {
        "acl": block.acl,
        "any": block.any,
        "auto": block.zone_folders,
        "autopath": block.autopath,
        "cache": block.cache.entries,
        "chaos": block.chaos.version,
        "dns64": block.dns64.prefix,
        "errors": True,
        "file": block.zone_files,
        "forward": block.forward.upstreams or block.forward.resolv_conf or block.forward.zones,
        "header": block.header != type(block.header)(),
        "hosts": block.hosts.files or block.hosts.entries,
        "k8s_external": block.external_zone,
        "kubernetes": block.cluster,
        "loadbalance": block.cluster or block.cache.rotate or block.prefer,
        "local": block.local,
        "log": block.query_log,
        "minimal": block.minimal,
        "nsid": block.nsid,
        "prometheus": True,
        "rewrite": block.rewrite,
        "template": block.template,
        "transfer": block.transfer.rules,
        "view": block.view.conditions,
        "whoami": block.whoami,
    }
    return [name for name, is_at_work in at_work.items() if is_at_work]
