"""Several blocks in one configuration: zones that are answered otherwise, or on other addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.rcode
import pytest
import yaml
from forwarding import CLUSTER_ADDRESS, CLUSTER_NAME, at, data, extended_errors
from serving import COMMAND, EXAMPLE, Serving, dig, run

from tests.upstreams import Faulty, ask
from tests.upstreams.behaviours import says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Serve = Callable[..., Serving]

ONE, TWO = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def upstreams() -> Iterator[tuple[Faulty, Faulty]]:
    with Faulty(says(f"{{name}} 30 IN A {ONE}")) as one, Faulty(says(f"{{name}} 30 IN A {TWO}")) as two:
        yield one, two


@pytest.fixture
def configured(serve: Serve, tmp_path: Path) -> Callable[..., Serving]:
    def start(count: int = 1, **settings: object) -> Serving:
        file = tmp_path / "clusterdns.yaml"
        file.write_text(yaml.safe_dump({"manifests": [str(EXAMPLE)], **settings}))
        return serve("--config", file, listen=("127.0.0.1:0",) * count)

    return start


class TestViews:
    """Which block of a zone has the say depends on the query."""

    def test_over_udp_and_tcp(self, configured: Callable[..., Serving]) -> None:
        def hosts(address: str) -> dict[str, object]:
            return {"listen": ["127.0.0.1:0"], "cluster": False, "hosts": {"entries": [f"{address} nas.example"]}}

        server = configured(
            view={"name": "edns", "conditions": ["bufsize() > 512", "incidr(client_ip(), '127.0.0.0/8')"]},
            blocks=[
                {**hosts(ONE), "view": {"name": "streams", "conditions": ["proto() == 'tcp'"]}},
                {**hosts(TWO)},
            ],
            hosts={"entries": ["192.0.2.9 nas.example"]},
        )
        assert data(ask(at(server), "nas.example", use_edns=0, payload=1232)) == ["192.0.2.9"]
        assert data(ask(at(server), "nas.example", tcp=True)) == [ONE]
        assert data(ask(at(server), "nas.example")) == [TWO]


class TestBlocks:
    def test_the_longest_zone_decides(
        self, configured: Callable[..., Serving], upstreams: tuple[Faulty, Faulty]
    ) -> None:
        one, two = upstreams
        here = {"listen": ["127.0.0.1:0"], "cluster": False}
        blocks = [
            {**here, "names": ["corp.example"], "forward": {"upstreams": [str(two)]}},
            {**here, "names": ["hosts.example"], "hosts": {"entries": ["192.0.2.9 nas.hosts.example"]}},
        ]
        blocks[1]["forward"] = {"resolv-conf": ""}
        server = configured(forward={"upstreams": [str(one)]}, blocks=blocks)
        assert [data(ask(at(server), name)) for name in ("www.example", "www.corp.example", "corp.example")] == [
            [ONE],
            [TWO],
            [TWO],
        ]
        assert data(ask(at(server), "nas.hosts.example")) == ["192.0.2.9"]
        assert ask(at(server), "other.hosts.example").rcode() == dns.rcode.REFUSED
        assert data(ask(at(server), CLUSTER_NAME)) == [CLUSTER_ADDRESS]

    def test_a_block_without_the_root(self, configured: Callable[..., Serving]) -> None:
        server = configured(names=["cluster.local", "in-addr.arpa"], forward={"resolv-conf": ""})
        assert data(ask(at(server), CLUSTER_NAME)) == [CLUSTER_ADDRESS]
        assert ask(at(server), "www.example").rcode() == dns.rcode.REFUSED

    def test_each_shows_its_cache(
        self, configured: Callable[..., Serving], upstreams: tuple[Faulty, Faulty], tmp_path: Path
    ) -> None:
        one, two = upstreams
        block = {"names": ["corp.example"], "listen": ["127.0.0.1:0"], "forward": {"upstreams": [str(two)]}}
        server = configured(forward={"upstreams": [str(one)]}, blocks=[block])
        for name in ("a.example", "b.example", "a.corp.example"):
            ask(at(server), name)
        assert [len(each.asked_for("a.example")) for each in upstreams] == [1, 0]
        assert [len(each.asked_for("a.corp.example")) for each in upstreams] == [0, 1]


class TestWhatStandsAround:
    def test_rewrite(self, configured: Callable[..., Serving]) -> None:
        rule = {"type": "name", "name": "db.example.org.", "replacement": f"{CLUSTER_NAME}."}
        server = configured(rewrite=[rule], forward={"resolv-conf": ""})
        dug = dig("@127.0.0.1", "-p", server.port, "db.example.org")
        assert dug.answer == [f"db.example.org. 30 IN A {CLUSTER_ADDRESS}"]

    def test_template(self, configured: Callable[..., Serving]) -> None:
        template = {
            "qtype": 1,
            "zones": ["ip.example."],
            "patterns": [r"^ip-(?P<a>\d+)-(?P<b>\d+)-(?P<c>\d+)-(?P<d>\d+)\.ip\.example\.$"],
            "answer": ["{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"],
        }
        server = configured(template=[template], forward={"resolv-conf": ""})
        dug = dig("@127.0.0.1", "-p", server.port, "ip-10-0-0-7.ip.example")
        assert dug.answer == ["ip-10-0-0-7.ip.example. 60 IN A 10.0.0.7"]

    def test_acl(self, configured: Callable[..., Serving]) -> None:
        rule = {"policies": [{"action": "block", "networks": ["127.0.0.0/8"]}], "zones": ["shop.svc.cluster.local."]}
        server = configured(acl=[rule], forward={"resolv-conf": ""})
        reply = ask(at(server), "web.shop.svc.cluster.local", use_edns=0)
        assert (reply.rcode(), extended_errors(reply)) == (dns.rcode.REFUSED, [15])
        assert data(ask(at(server), CLUSTER_NAME)) == [CLUSTER_ADDRESS]

    def test_nsid(self, configured: Callable[..., Serving]) -> None:
        server = configured(nsid="node-7", forward={"resolv-conf": ""})
        printed = run("dig", "@127.0.0.1", "-p", server.port, "+nsid", CLUSTER_NAME).stdout
        assert "node-7" in printed

    @pytest.mark.parametrize(
        ("settings", "line"),
        [
            ({"rewrite": [{"type": "name", "name": "(", "replacement": "x", "match": "regex"}]}, "rewrite: "),
            ({"template": [{"qtype": 1, "answer": ["{{ if }}"]}]}, "template: "),
            ({"acl": [{"policies": [{"action": "block", "networks": ["x"]}]}]}, "acl: "),
            ({"blocks": [{"names": ["x"], "ttl": -1}]}, "blocks[0].ttl: -1 is not between 0 and 3600"),
            ({"blocks": [{}]}, "blocks: . on 127.0.0.1:1053: another block has it"),
        ],
        ids=["rewrite", "template", "acl", "a block", "two blocks"],
    )
    def test_wrong_use(self, tmp_path: Path, settings: dict[str, object], line: str) -> None:
        file = tmp_path / "clusterdns.yaml"
        file.write_text(yaml.safe_dump(settings))
        ran = run(*COMMAND, "check", "--config", file)
        assert ran.returncode == 2
        assert line in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
