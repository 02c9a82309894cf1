"""The commands and their exit codes: 0 done, 1 "no" as an answer, 2 wrong use or configuration, 3 nobody to ask."""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import click
import msgspec

from clusterdns import __version__, app, config, own_log
from clusterdns.commands import COMMANDS, as_coredns
from clusterdns.corefile import CorefileError
from clusterdns.redaction import redacted
from clusterdns.server import CannotListen
from clusterdns.sources import NoCredentials
from clusterdns.sources.hosts import HostsError
from clusterdns.sources.manifests import ManifestError
from clusterdns.sources.zone_files import ZoneFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WRONG_USE = 2
INTERRUPTED = 130
FAULT = 70
"""EX_SOFTWARE of sysexits.h, so that a fault is never taken for an answer."""
UNWRITTEN = 74
"""EX_IOERR of sysexits.h: what was to be printed is not."""
UNREAD = 128 + 13
"""What a shell says of a program that SIGPIPE ended: nobody reads its output, as behind `| head`. It is no "no"."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

_POD_MODES = ["disabled", "insecure", "verified"]


class _AsCoreDns(click.Group):
    """Also takes the arguments that CoreDNS is started with: `-conf FILE` is `serve --corefile FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if as_coredns.is_meant(args):
            translated = as_coredns.translated(args)
            for flag in translated.unused:
                click.echo(f"clusterdns: {flag}: it does nothing here", err=True)
            if translated.shows_plugins:
                click.echo("\n".join(as_coredns.plugins()))
                ctx.exit()
            args = [*translated.arguments]
            if args[:1] == ["serve"] and not os.environ.get("CLUSTERDNS_LOG_FORMAT"):
                args[1:1] = ["--log-format", "coredns"]  # its users' pipelines read that; what is given later overrides
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, click would make it an exit code 1, which is a "no"
            if isinstance(error, BrokenPipeError):
                _let_go_of_output()
                raise SystemExit(UNREAD) from None
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                _let_go_of_output()
                click.echo(f"clusterdns: the output can not be written: {os.strerror(error.errno).lower()}", err=True)
                raise SystemExit(UNWRITTEN) from None
            _tell_of_fault(error)


def _let_go_of_output() -> None:
    """Python would write at its end what it could not write now, and complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@click.group(cls=_AsCoreDns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """The DNS server that gives a Kubernetes cluster its names, with or without the cluster."""


def _complete_workers(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [each for each in ("auto", "1", "2", "4") if each.startswith(incomplete)]


def _option(name: str, metavar: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, multiple=True, metavar=metavar, help=text)


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options that settings come from."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    _option("--manifests", "PATH", "A file or folder of Kubernetes manifests, watched for changes. Repeatable."),
    click.option(
        "--probes/--no-probes",
        default=None,
        help="Probe pods in manifests that have a readinessProbe, as a kubelet does.  [default: probes]",
    ),
    click.option(
        "--kubeconfig", metavar="FILE", help="The cluster to serve, in place of manifests or of the pod we are in."
    ),
    click.option("--context", metavar="NAME", help="The context of that kubeconfig.  [default: its current one]"),
    click.option("--api-server", metavar="URL", help="The API server's URL, in place of a kubeconfig."),
    click.option("--snapshot", metavar="FILE", help="Where to keep what is known, for a start without the API server."),
    _option(
        "--http",
        "ADDRESS:PORT",
        "Where to show /health, /ready and /metrics; or none. Repeatable.  [default: 127.0.0.1:9153]",
    ),
    click.option(
        "--workers",
        shell_complete=_complete_workers,
        metavar="N|auto",
        help="How many processes answer; auto: one for each processor that may be used.  [default: 1]",
    ),
    click.option(
        "--admin",
        metavar="PATH|ADDRESS:PORT",
        help="Where commands ask what this server knows: a Unix socket, a port of the loopback, or none."
        "  [default: auto]",
    ),
    click.option(
        "--lameduck",
        "lameduck_seconds",
        envvar="CLUSTERDNS_LAMEDUCK",
        type=float,
        metavar="SECONDS",
        help="How long to go on answering after SIGTERM, while /ready says no.  [default: 0]",
    ),
    _option(
        "--listen",
        "ADDRESS:PORT",
        "Where to answer, over UDP and TCP; or tls://ADDRESS:PORT. Repeatable.  [default: 127.0.0.1:1053]",
    ),
    click.option(
        "--tls-certificate", metavar="FILE", help="The certificate of tls:// addresses, read when it changes."
    ),
    click.option("--tls-key", metavar="FILE", help="Its private key."),
    _option(
        "--zone",
        "NAME",
        "A cluster domain, the primary one first; or a reverse zone. Repeatable.  [default: cluster.local]",
    ),
    _option(
        "--external-zone",
        "NAME",
        "Where Services are named by their external addresses, or those of the nodes that lead to them, as"
        " SERVICE.NAMESPACE.NAME; or a reverse zone of theirs."
        " Repeatable.",
    ),
    _option(
        "--service-cidr", "CIDR", "Where Services without a clusterIP get one. Repeatable.  [default: 10.96.0.0/16]"
    ),
    click.option("--pods", type=click.Choice(_POD_MODES), help="Names of pods' addresses.  [default: disabled]"),
    click.option(
        "--endpoint-pod-names/--no-endpoint-pod-names",
        default=None,
        help="Name endpoints without a hostname after their pods.",
    ),
    click.option("--ttl", type=int, metavar="SECONDS", help="How long a record may be remembered.  [default: 30]"),
    click.option("--negative-ttl", type=int, metavar="SECONDS", help="The same for a missing name.  [default: 5]"),
    _option(
        "--upstream",
        "ADDRESS[:PORT]",
        "Who is asked for other names, also tls://ADDRESS#NAME; or none. Repeatable.  [default: /etc/resolv.conf's]",
    ),
    _option("--hosts", "FILE", "Names and addresses, as in /etc/hosts. Repeatable."),
    click.option(
        "--search",
        type=click.Choice(["client", "server"]),
        help="Who completes short names.  [default: server with manifests, else client]",
    ),
    click.option(
        "--autopath/--no-autopath",
        default=None,
        help="Follow a pod's first try through its search list; takes --pods verified.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(get_args(own_log.Format)),
        help="The form of the log; auto is text on a terminal, else JSON.  [default: auto]",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Leave out what is less important.  [default: info]",
    ),
    click.option(
        "--config",
        "file",
        envvar="CLUSTERDNS_CONFIG",
        metavar="FILE",
        type=click.Path(path_type=Path, readable=False),
        help="Settings in YAML.",
    ),
    click.option(
        "--corefile",
        metavar="FILE",
        type=click.Path(path_type=Path, readable=False),
        help="Settings as CoreDNS has them.",
    ),
    click.option(
        "--corefile-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="The port of the zones in a Corefile that name none.  [default: 53]",
    ),
    click.option(
        "--kube-dns-config",
        "kube_dns",
        envvar="CLUSTERDNS_KUBE_DNS_CONFIG",
        metavar="PATH",
        type=click.Path(path_type=Path, readable=False),
        help="Upstreams as kube-dns has them: its ConfigMap, as a manifest or as a folder with its keys.",
    ),
    click.option(
        "--corefile-lenient",
        "lenient",
        envvar="CLUSTERDNS_COREFILE_LENIENT",
        is_flag=True,
        help="Warn of what is not supported in a Corefile.",
    ),
)


@main.command(
    short_help="Answer queries until SIGTERM or Ctrl-C.", context_settings={"auto_envvar_prefix": "CLUSTERDNS"}
)
@_settings
@click.option(
    "--pid-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where to write the process's number, once it answers.",
)
@click.option("--quiet", is_flag=True, help="The same as --log-level warning.")
def serve(*, pid_file: Path | None, quiet: bool, **given: Any) -> None:
    """Answer the names of the Services in --manifests, or of a cluster; ask upstream for all others.

    Options override the environment (CLUSTERDNS_LISTEN for --listen), which overrides --config or --corefile, which
    overrides the defaults.

    \b
    clusterdns serve --manifests config/example
    dig @127.0.0.1 -p 1053 alpaca-prod.default.svc.cluster.local
    """  # noqa: D301 - the backslash is an escape: click keeps the lines of a paragraph that begins so
    if quiet and given["log_level"] is None:
        given["log_level"] = "warning"
    with own_log.told(given["log_format"] or "auto", given["log_level"] or "info"), _plain_words():
        app.run(partial(_load, given), pid_file)


@main.command(short_help="Say what a configuration means, or what is wrong with it.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["yaml", "text"]),
    help="yaml: all settings; text: what a Corefile or kube-dns's ConfigMap says.",
)
@click.pass_context
@_settings
def check(ctx: click.Context, form: str | None, **given: Any) -> None:
    """Check a configuration, and print what is in effect.

    \b
    clusterdns check --corefile /etc/coredns/Corefile
    clusterdns check --corefile /etc/coredns/Corefile --as yaml > clusterdns.yaml
    """  # noqa: D301
    del ctx
    with _plain_words():
        settings, warnings, understood, *_ = _effective(**given)
    for warning in warnings:
        click.echo(f"clusterdns: {warning}", err=True)
    if form == "text" or (form is None and (given["corefile"] or given["kube_dns"])):
        for line in understood:
            click.echo(redacted(line))
    else:
        shown = config.without_secrets(settings)
        click.echo(msgspec.yaml.encode(msgspec.to_builtins(shown)).decode(), nl=False)


def _load(given: dict[str, Any]) -> app.Loaded:
    """The settings as files and options have them now. Raises BadConfig and CorefileError."""
    settings, warnings, _, files, patterns = _effective(**given)
    for warning in warnings:
        logging.getLogger("clusterdns").warning("%s", warning)
    return app.Loaded(settings, files, patterns)


def _effective(
    *,
    file: Path | None,
    corefile: Path | None,
    corefile_port: int | None,
    kube_dns: Path | None,
    lenient: bool,
    zone: tuple[str, ...],
    http: tuple[str, ...],
    upstream: tuple[str, ...],
    hosts: tuple[str, ...],
    tls_certificate: str | None,
    tls_key: str | None,
    workers: str | None,
    **given: Any,
) -> tuple[config.Config, Sequence[object], Sequence[str], tuple[Path, ...], tuple[Path, ...]]:
    """The settings in effect, what they warn of, what others' files were understood to say, all files, and the patterns
    that those were found by.

    Raises BadConfig and CorefileError.
    """
    warnings: Sequence[object] = ()
    understood: Sequence[str] = ()
    files: tuple[Path, ...] = (file,) if file else ()
    patterns: tuple[Path, ...] = ()
    settings = config.Config()
    if file and corefile:
        raise config.BadConfig("--config and --corefile: settings come from one of them")
    if corefile and kube_dns:
        raise config.BadConfig("--corefile and --kube-dns-config: settings come from one of them")
    if file:
        settings = config.read(file)
    if corefile:
        from clusterdns import corefile as corefiles  # noqa: PLC0415

        read = corefiles.read(corefile, corefiles.Disk(), os.environ)
        files, patterns = read.files, read.patterns
        port = 53 if corefile_port is None else corefile_port
        translation = corefiles.translate(read, lenient=lenient, port=port)
        settings, warnings, understood = translation.config, translation.warnings, translation.understood
    if kube_dns:
        from clusterdns import kube_dns as of_kube_dns  # noqa: PLC0415

        settings = settings if file else of_kube_dns.UNSAID
        found = of_kube_dns.read(kube_dns, zone or settings.zone)
        settings, warnings, understood = found.on(settings), found.warnings, found.understood
        files = (*files, *found.files)
    for option, values in (("--upstream", upstream), ("--http", http)):
        if len(values) > 1 and "none" in values:
            raise config.BadConfig(f"{option} none: it stands alone")
    if http:
        settings = msgspec.structs.replace(settings, http=() if "none" in http else http)
    if "none" in upstream:
        given["forward"] = msgspec.structs.replace(settings.forward, upstreams=(), zones=(), resolv_conf="")
    elif upstream:
        given["forward"] = msgspec.structs.replace(settings.forward, upstreams=upstream)
    if hosts:
        given["hosts"] = msgspec.structs.replace(settings.hosts, files=hosts)
    if tls_certificate or tls_key:
        given["tls"] = msgspec.structs.replace(settings.tls, certificate=tls_certificate or "", key=tls_key or "")
    if workers is not None:
        given["workers"] = config.workers(workers)
    given["zone"] = tuple(each for each in zone if not config.is_reverse(each))
    given["reverse_zone"] = tuple(each for each in zone if config.is_reverse(each))
    settings = msgspec.structs.replace(settings, **{k: v for k, v in given.items() if v not in (None, ())})
    config.check(settings)
    return settings, warnings, understood, files, patterns


@contextmanager
def _plain_words() -> Iterator[None]:
    """What goes wrong, as lines on stderr and an exit code."""
    try:
        yield
    except (ManifestError, HostsError) as error:
        _fail(*error.faults)
    except (config.BadConfig, CorefileError, ZoneFileError, CannotListen, NoCredentials) as error:
        _fail(*str(error).splitlines())
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 - a fault of ours; no traceback reaches a user
        _tell_of_fault(error)


def _tell_of_fault(error: Exception) -> NoReturn:
    logging.getLogger("clusterdns").debug("the fault in full", exc_info=error)
    if any(isinstance(each, MemoryError) for each in (error, error.__context__)):
        click.echo("clusterdns: there is no memory left that this process may have", err=True)
        raise SystemExit(FAULT) from None
    click.echo(f"clusterdns: a fault in the program, please report it: {redacted(repr(error))}", err=True)
    raise SystemExit(FAULT) from None


def _fail(*lines: str) -> NoReturn:
    for line in lines:
        click.echo(f"clusterdns: {redacted(line)}", err=True)
    raise SystemExit(WRONG_USE)


for command in COMMANDS:
    main.add_command(command)
