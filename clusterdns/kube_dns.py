"""The ConfigMap `kube-dns`, which the cluster DNS of before CoreDNS was set up with, becomes our configuration.

It has at most three keys, whose values are JSON: stubDomains, upstreamNameservers, federations. What it does not say is
as kube-dns has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from clusterdns import config_map, names
from clusterdns.config import BadConfig, Config, StubZone
from clusterdns.contents import content
from clusterdns.forward import parse_address
from clusterdns.names import NotAName
from clusterdns.sources.manifests.files import check_depth

if TYPE_CHECKING:
    from collections.abc import Iterator

STUB_DOMAINS, UPSTREAMS, FEDERATIONS = "stubDomains", "upstreamNameservers", "federations"
KEYS = (STUB_DOMAINS, UPSTREAMS, FEDERATIONS)

MOST_UPSTREAMS = 3
"""As kube-dns has it."""

UNSAID = Config(listen=("0.0.0.0:53", "[::]:53"), pods="insecure", search="client")
"""What kube-dns does, where that is not our own default."""

T = TypeVar("T")


class KubeDns(Struct, frozen=True):
    stub_zones: tuple[StubZone, ...]
    upstreams: tuple[str, ...]
    """Those of the host if there are none."""
    files: tuple[Path, ...]
    """Where it was read, and may be read anew; they need not exist."""
    understood: tuple[str, ...]
    """A line for each key: where it stands, and what it has become."""
    warnings: tuple[str, ...]

    def on(self, settings: Config) -> Config:
        """The settings with what is said here about upstreams."""
        forward = replace(settings.forward, zones=self.stub_zones, upstreams=self.upstreams)
        return replace(settings, forward=forward)


def read(path: Path, cluster_zones: tuple[str, ...]) -> KubeDns:
    """From a manifest, or from a folder with a file for each key, as a pod has a ConfigMap mounted.

    Raises BadConfig, with a line for each fault.
    """
    values = _values(path)
    places = {key: str(path / key) if path.is_dir() else f"{path}: {key}" for key in values}
    reading = _Reading(values, places)
    stub_zones = tuple(reading.stub_zones(cluster_zones))
    upstreams = tuple(reading.upstreams())
    reading.federations()
    if reading.faults:
        raise BadConfig("\n".join(reading.faults))
    warnings = tuple(
        f"{place}: kube-dns has no such key; it does nothing" for key, place in places.items() if key not in KEYS
    )
    files = tuple(path / key for key in KEYS) if path.is_dir() else (path,)
    return KubeDns(stub_zones, upstreams, files, tuple(reading.understood), warnings)


def _values(path: Path) -> dict[str, str]:
    """What stands under each key. Raises BadConfig."""
    try:
        if path.is_dir():
            # A mounted ConfigMap has names with dots, of folders, beside its keys.
            files = [each for each in sorted(path.iterdir()) if each.is_file() and not each.name.startswith(".")]
            return {each.name: each.read_text() for each in files}
        text = content(path).decode()
        check_depth(text)
        return config_map.data(text)
    except OSError as error:
        raise BadConfig(f"{error.filename or path}: {error.strerror}") from error
    except ValueError as error:
        raise BadConfig(f"{path}: {error}") from error


class _Reading:
    """The values, and what is found to be wrong with them."""

    def __init__(self, values: dict[str, str], places: dict[str, str]) -> None:
        self.faults: list[str] = []
        self.understood: list[str] = []
        self._values = values
        self._places = places

    def stub_zones(self, cluster_zones: tuple[str, ...]) -> Iterator[StubZone]:
        clusters = [names.from_text(each) for each in cluster_zones]
        for domain, servers in (self._json(STUB_DOMAINS, dict[str, tuple[str, ...]]) or {}).items():
            try:
                zone = names.from_text(domain)
            except NotAName as error:
                self._fault(STUB_DOMAINS, f"{domain!r}: {error}")
                continue
            if zone == names.ROOT:
                self._fault(STUB_DOMAINS, f"{domain!r}: the upstreams of all names are those of {UPSTREAMS}")
            elif any(each in (zone, *names.ancestors(zone)) for each in clusters):
                self._fault(STUB_DOMAINS, f"{domain}: the names of the cluster's zone are answered here")
            elif not servers:
                self._fault(STUB_DOMAINS, f"{domain}: expected at least one address")
            elif self._are_addresses(STUB_DOMAINS, servers, f"{domain}: "):
                self._understand(STUB_DOMAINS, f"forward.zones {domain} {', '.join(servers)}")
                yield StubZone(zone=domain, upstreams=servers)

    def upstreams(self) -> Iterator[str]:
        servers = self._json(UPSTREAMS, tuple[str, ...]) or ()
        if len(servers) > MOST_UPSTREAMS:
            self._fault(UPSTREAMS, f"expected at most {MOST_UPSTREAMS} addresses, not {len(servers)}")
        elif servers and self._are_addresses(UPSTREAMS, servers):
            self._understand(UPSTREAMS, f"forward.upstreams {', '.join(servers)}")
            yield from servers

    def federations(self) -> None:
        if self._values.get(FEDERATIONS, "").strip() not in ("", "{}"):
            self._fault(FEDERATIONS, "not supported: Kubernetes has no federated services any more")

    def _are_addresses(self, key: str, servers: tuple[str, ...], before: str = "") -> bool:
        found = len(self.faults)
        for server in servers:
            try:
                _check_address(server)
            except ValueError as error:
                self._fault(key, f"{before}{server!r}: {error}")
        return len(self.faults) == found

    def _json(self, key: str, kind: type[T]) -> T | None:
        text = self._values.get(key, "")
        if not text.strip():
            return None
        try:
            return msgspec.json.decode(text, type=kind)
        except msgspec.ValidationError:
            expected = '{"acme.local": ["192.0.2.53"]}' if key == STUB_DOMAINS else '["192.0.2.53"]'
            self._fault(key, f"expected JSON such as {expected}")
        except (msgspec.DecodeError, RecursionError) as error:
            self._fault(key, f"is no JSON: {error}")
        return None

    def _fault(self, key: str, text: str) -> None:
        self.faults.append(f"{self._places[key]}: {text}")

    def _understand(self, key: str, text: str) -> None:
        self.understood.append(f"{self._places[key]}: {text}")


def _check_address(text: str) -> None:
    """Raises ValueError."""
    if "/" in text or "#" in text:
        raise ValueError("expected ADDRESS or ADDRESS:PORT")
    parse_address(text)
