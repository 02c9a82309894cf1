"""python -m tests.apiserver: the server in a process of its own, and its admin API on another port.

Once both listen, it prints a line of JSON: url, admin, and with --tls the files ca, certificate and key of a client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from aiohttp import web

from tests.apiserver import admin
from tests.apiserver.certificates import Authority
from tests.apiserver.server import ApiServer
from tests.apiserver.shapes import BY_KIND, RESOURCES
from tests.apiserver.watching import WatchList, line

if TYPE_CHECKING:
    from tests.apiserver.store import Event


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.apiserver", description="An API server for tests.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--admin-port", type=int, default=0)
    parser.add_argument("--objects", type=Path, action="append", default=[], help="a YAML file, or a folder of them")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep the objects there, and begin with them")
    parser.add_argument("--token", action="append", help="TOKEN or TOKEN=USER; without, anybody may ask")
    parser.add_argument("--tls", type=Path, metavar="FOLDER", help="serve HTTPS; certificates are made there")
    parser.add_argument("--watchlist", type=WatchList, choices=list(WatchList), default=WatchList.SERVED)
    parser.add_argument("--bookmark-interval", type=float, default=60.0)
    parser.add_argument("--longest-watch", type=float)
    parser.add_argument("--version", type=int, default=100, help="the first resourceVersion")
    return parser.parse_args()


def _put_all(api: ApiServer, path: Path) -> None:
    """Put what is served here; no controllers run, so that there are no slices but those of the manifests."""
    files = sorted(path.rglob("*.y*ml")) if path.is_dir() else [path]
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]
    objects = [item for each in documents for item in (each["items"] if each["kind"].endswith("List") else [each])]
    served = [each for each in objects if each["kind"] in BY_KIND]
    namespaces = {each["metadata"].get("namespace", "default") for each in served if each["kind"] != "Namespace"}
    api.put(*({"kind": "Namespace", "metadata": {"name": each}} for each in sorted(namespaces)), *served)


def _keep(api: ApiServer, path: Path) -> None:
    """Write each change down before it is told, and take all up again: what etcd does for the real one."""
    if path.exists():
        snapshot, *events = path.read_bytes().splitlines(keepends=True)
        api.restore(json.loads(snapshot))
        for each in events:
            if each.endswith(b"\n"):  # else it was killed meanwhile, and has told nobody
                api.store.replay(json.loads(each))
        api.compact()

    def begin() -> None:
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(api.snapshot()) + "\n")
        aside.replace(path)

    def write(event: Event) -> None:
        with path.open("ab") as journal:
            journal.write(line(event.type, event.now.json_with_kind))

    begin()
    api.store.when_restored = begin
    for resource in RESOURCES.values():
        api.store.subscribe(resource, write)


async def _serve(arguments: argparse.Namespace) -> None:
    tokens = None
    if arguments.token:
        pairs = (each.partition("=") for each in arguments.token)
        tokens = {token: user or "system:serviceaccount:kube-system:clusterdns" for token, _, user in pairs}
    authority = Authority(arguments.tls) if arguments.tls else None
    api = ApiServer(
        host=arguments.host,
        port=arguments.port,
        tokens=tokens,
        authority=authority,
        watchlist=arguments.watchlist,
        bookmark_interval=arguments.bookmark_interval,
        longest_watch=arguments.longest_watch,
        version=arguments.version,
    )
    if not (arguments.state and arguments.state.exists()):
        for path in arguments.objects:
            _put_all(api, path)
    if arguments.state:
        _keep(api, arguments.state)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    runner = web.AppRunner(admin.application(api), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", arguments.admin_port)
    await site.start()
    async with api:
        host, port = runner.addresses[0][:2]
        said = {"url": api.url, "admin": f"http://{host}:{port}"}
        if authority:
            client = authority.client("clusterdns")
            said |= {"ca": str(authority.ca), "certificate": str(client.certificate), "key": str(client.key)}
        print(json.dumps(said), flush=True)
        await ended.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
