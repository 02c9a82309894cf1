"""NSD and unbound as processes of ours: started on a free port, paused, killed, and started again on the same one."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Self

from tests.e2e.serving import eventually, free_port, program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.apiserver import Certificate


class Daemon:
    """`with Nsd(folder, zones) as nsd`: it answers at nsd.address and nsd.port, over UDP and TCP.

    folder: for its files, one daemon's each; made if need be.
    prefix: what runs a command in a namespace's network, where port 53 may be had.
    """

    _program: str
    _started: str
    """What its log says when it answers."""

    def __init__(
        self, folder: Path, settings: str, *, address: str, port: int, tls_port: int = 0, prefix: Sequence[str] = ()
    ) -> None:
        self.address, self.port, self.tls_port = address, port, tls_port
        folder.mkdir(parents=True, exist_ok=True)
        configuration = folder / f"{self._program}.conf"
        configuration.write_text(settings)
        self._command = [*prefix, program(self._program), "-d", "-c", str(configuration)]
        self._log = folder / f"{self._program}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def __str__(self) -> str:
        """As --upstream has it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def start(self) -> None:
        """Run it, unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        with self._log.open("wb") as log:
            process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        self.process = process
        try:
            eventually(lambda: self._started in self._said() or process.poll() is not None, self._program)
            assert process.poll() is None, self._said()
        except BaseException:
            self.kill()
            raise

    def _said(self) -> str:
        return self._log.read_text(errors="replace")

    def pause(self) -> None:
        """The kernel still takes packets and connections; nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """With all its processes; its port is closed after that."""
        self._signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Nsd(Daemon):
    """An authoritative server. zones: the text of each, by origin. secondary: zones that it takes from elsewhere, by
    origin, with the settings that say from where.
    """

    _program = "nsd"
    _started = "nsd started"

    def __init__(
        self,
        folder: Path,
        zones: Mapping[str, str],
        *,
        secondary: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
        prefix: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = port or free_port()
        settings = [_NSD.format(folder=folder, address=address, port=port)]
        for number, (origin, text) in enumerate(zones.items()):
            file = folder / f"{number}.zone"
            file.write_text(text)
            settings.append(f"zone:\n  name: {origin}\n  zonefile: {file}\n")
        settings += [f"zone:\n  name: {origin}\n  {said}\n" for origin, said in (secondary or {}).items()]
        super().__init__(folder, "".join(settings), address=address, port=port, prefix=prefix)


_NSD = """
server:
  ip-address: {address}@{port}
  username: ""
  chroot: ""
  zonesdir: {folder}
  database: ""
  pidfile: ""
  xfrdfile: {folder}/xfrd.state
  xfrdir: {folder}
  zonelistfile: {folder}/zone.list
  server-count: 1
  tcp-count: 200
  ipv4-edns-size: 1232
  rrl-ratelimit: 0
  verbosity: 1
remote-control:
  control-enable: no
"""


class Unbound(Daemon):
    """A resolver that knows nothing of the root.

    stubs, forwards: by zone, the servers to ask, authoritative ones or resolvers, as ADDRESS@PORT.
    data: records of its own, as zone text.
    local_zones: of these, by zone, the type: "redirect" has the zone's data for all names in it.
    trust_anchor: DS records; with them it validates.
    certificate: it serves TLS too, at tls_port.
    """

    _program = "unbound"
    _started = "start of service"

    def __init__(
        self,
        folder: Path,
        *,
        stubs: Mapping[str, Daemon] | None = None,
        forwards: Mapping[str, str] | None = None,
        data: Sequence[str] = (),
        local_zones: Mapping[str, str] | None = None,
        trust_anchor: str = "",
        certificate: Certificate | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
        prefix: Sequence[str] = (),
    ) -> None:
        port = port or free_port()
        tls_port = free_port() if certificate else 0
        modules = "validator iterator" if trust_anchor else "iterator"
        ipv6 = "yes" if ":" in address else "no"
        settings = [_UNBOUND.format(folder=folder, address=address, port=port, ipv6=ipv6, modules=modules)]
        settings += [f"  trust-anchor: '{each}'\n" for each in filter(None, trust_anchor.splitlines())]
        settings += [f"  local-zone: {zone} {kind}\n" for zone, kind in (local_zones or {}).items()]
        settings += [f"  local-data: '{each}'\n" for each in data]
        if certificate:
            settings.append(f"  interface: {address}@{tls_port}\n  tls-port: {tls_port}\n")
            settings.append(f"  tls-service-key: {certificate.key}\n  tls-service-pem: {certificate.certificate}\n")
        for zone, server in (stubs or {}).items():
            settings.append(f"stub-zone:\n  name: {zone}\n  stub-addr: {server.address}@{server.port}\n")
        for zone, target in (forwards or {}).items():
            settings.append(f"forward-zone:\n  name: {zone}\n  forward-addr: {target}\n")
        super().__init__(folder, "".join(settings), address=address, port=port, tls_port=tls_port, prefix=prefix)


_UNBOUND = """
remote-control:
  control-enable: no
server:
  directory: {folder}
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 0
  num-threads: 1
  interface: {address}@{port}
  access-control: 127.0.0.0/8 allow
  access-control: ::1 allow
  do-not-query-localhost: no
  do-ip6: {ipv6}
  minimal-responses: no
  rrset-roundrobin: no
  edns-buffer-size: 1232
  max-udp-size: 1232
  incoming-num-tcp: 200
  num-queries-per-thread: 2000
  outgoing-range: 400
  unwanted-reply-threshold: 0
  ede: yes
  module-config: "{modules}"
"""
