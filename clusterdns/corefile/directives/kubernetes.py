"""`kubernetes`, and `autopath`, which takes its pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns import config, names, selectors
from clusterdns.corefile.directives.authority import forward_and_reverse, widest
from clusterdns.corefile.settings import Settings, zone_text, zone_texts
from clusterdns.corefile.words import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading
    from clusterdns.names import Name

TTL = 5
"""Seconds, of what is found and of what is not, if the Corefile does not say."""

LONGEST_SOA_TTL = 300
"""Seconds: CoreDNS gives an SOA record no longer life, and so no missing name (RFC 2308 section 5)."""


def kubernetes(reading: Reading, around: Surroundings) -> Settings:
    zones = reading.zones(reading.words) if reading.words else around.zones
    settings: Settings = {
        "cluster": True,
        **_zones(reading, zones),
        "ttl": TTL,
        "negative-ttl": TTL,
        "pods": "disabled",
        "endpoint-pod-names": False,
        "ignore-empty-service": False,
        "ptr-hostname-only": False,
        "zonal": False,
        "fallthrough": [],
        "endpoints": True,
        "kubeconfig": "",
        "context": "",
        "api-server": "",
        "namespaces": [],
        "namespace-labels": "",
        "labels": "",
    }
    for line in reading.lines():
        settings.update(_option(line))
    if settings["namespaces"] and settings["namespace-labels"]:
        reading.fault("expected namespaces or namespace_labels, not both")
    if settings["ignore-empty-service"] and not settings["endpoints"]:
        reading.fault("expected ignore empty_service or noendpoints, not both")
    if settings["zonal"] and not settings["endpoints"]:
        reading.fault("expected zonal or noendpoints, not both")
    if settings["kubeconfig"] and settings["api-server"]:
        reading.warn("endpoint does nothing beside kubeconfig")
        settings["api-server"] = ""
    if not settings["api-server"]:
        for path in ("api-certificate", "api-key", "api-authority"):
            settings.pop(path, None)  # CoreDNS passes over `tls` without `endpoint`
    return settings


def _zones(reading: Reading, zones: Sequence[Name]) -> Settings:
    forward, reverse = forward_and_reverse(zones)
    for zone in forward:
        try:
            config.forward_zone(zone_text(zone))
        except ValueError as error:
            reading.fault(f"{zone_text(zone)}: {error}")
        if zone not in widest(forward):
            reading.unsupported(f"{zone_text(zone)} within another of its zones")
    if zones and not forward:
        reading.fault("expected a zone such as cluster.local among its zones")
    return {"zone": zone_texts(widest(forward)), "reverse-zone": zone_texts(widest(reverse))}


def _option(line: Reading) -> Settings:
    words = line.words
    match line.keyword:
        case "pods" if line.count("disabled, insecure or verified", 1, 1):
            return _given("pods", line.one_of(words[0], ("disabled", "insecure", "verified")))
        case "ttl" if line.count("seconds from 0 to 3600", 1):
            line.only_first()
            ttl = line.number(words[0], "seconds", 0, 3600)
            return {} if ttl is None else {"ttl": ttl, "negative-ttl": min(ttl, LONGEST_SOA_TTL)}
        case "fallthrough":
            return {"fallthrough": zone_texts(line.zones(words) if words else (names.ROOT,))}
        case "endpoint_pod_names" if line.nothing():
            return {"endpoint-pod-names": True}
        case "noendpoints" if line.nothing():
            return {"endpoints": False}
        case "ptr_hostname_only" if line.nothing():
            return {"ptr-hostname-only": True}
        case "zonal" if line.nothing():
            return {"zonal": True}
        case "ignore" if line.count("empty_service", 1) and line.one_of(words[0], ("empty_service",)):
            line.only_first()
            return {"ignore-empty-service": True}
        case "namespaces" if line.count("at least one namespace", 1):
            return {"namespaces": list(dict.fromkeys(words))}
        case "namespace_labels" if line.count("a label selector", 1):
            return _selector("namespace-labels", line)
        case "labels" if line.count("a label selector", 1):
            return _selector("labels", line)
        case "endpoint" if line.count("a URL", 1):
            return _endpoint(line)
        case "tls" if line.count("three files: CERT KEY CACERT", 3, 3):
            return dict(zip(("api-certificate", "api-key", "api-authority"), words, strict=True))
        case "kubeconfig" if line.count("FILE [CONTEXT]", 1, 2):
            return dict(zip(("kubeconfig", "context"), words, strict=False))
        case "startup_timeout" if line.count("a duration", 1):
            line.only_first()
            line.duration(words[0])
            line.warn(
                "it does nothing here: answers are given from the start, and missing names only when all is known"
            )
        case "apiserver_qps" | "apiserver_burst" | "apiserver_max_inflight" if line.count("a number", 1, 1):
            whole, point, fraction = words[0].partition(".")
            is_fraction = line.keyword == "apiserver_qps" and point and fraction.isdigit()
            line.number(whole if is_fraction else words[0], "a number", 0)
            line.warn("it does nothing here: there is one list and one watch for each kind of object")
        case "resyncperiod" if line.count("a duration", 1):
            line.duration(words[0])
            line.warn("it does nothing here, nor in CoreDNS since 1.7")
        case "upstream" | "transfer":
            line.warn("it does nothing here, nor in CoreDNS since 1.7")
        case (
            "pods" | "ttl" | "endpoint_pod_names" | "noendpoints" | "ignore" | "namespaces" | "namespace_labels"
            | "labels" | "endpoint" | "tls" | "kubeconfig" | "startup_timeout" | "apiserver_qps" | "apiserver_burst"
            | "apiserver_max_inflight" | "ptr_hostname_only" | "zonal" | "resyncperiod"
        ):  # fmt: skip
            pass  # what is wrong with it is noted
        case _:
            line.unsupported()
    return {}


def _given(path: str, value: object) -> Settings:
    return {} if value is None else {path: value}


def _selector(path: str, line: Reading) -> Settings:
    text = " ".join(line.words)
    try:
        return {path: selectors.checked(text)}
    except ValueError as error:
        line.fault(f"{error}, not {shown(text)}")
        return {}


def _endpoint(line: Reading) -> Settings:
    url = line.words[0]
    if len(line.words) > 1:
        line.warn(f"only the first one is used: {shown(url)}")
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "http", url
    if scheme not in ("http", "https") or not rest:
        line.fault(f"expected a URL such as https://10.0.0.1:6443, not {shown(url)}")
        return {}
    return {"api-server": f"{scheme}://{rest}"}


def autopath(reading: Reading, around: Surroundings) -> Settings:
    if not reading.count("[ZONE...] @kubernetes|FILE", 1):
        return {}
    *words, source = reading.words
    reading.no_lines()
    zones = reading.zones(words) if words else around.zones
    settings: Settings = {"autopath-zones": zone_texts(around.not_all(zones))}
    if source == "@kubernetes":
        return {**settings, "autopath": True}
    if source.startswith("@"):
        reading.unsupported(f"{shown(source)} in the place of @kubernetes")
        return {}
    return {**settings, "autopath-conf": source}
