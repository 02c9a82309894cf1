"""Why an answer is what it is."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from clusterdns import app, names, presentation
from clusterdns.answer import answer
from clusterdns.config import Config, Forward
from clusterdns.events import Listed, Put
from clusterdns.explain import Asked, Data, Elsewhere, Known, PodFacts, UpstreamState, Wanted, asked_of, explain
from clusterdns.explain.nearest import distance, nearest
from clusterdns.explain.ours import is_missing
from clusterdns.objects import EndpointSlice
from clusterdns.records import Question, Rcode, Reason, ReasonCode
from tests.cluster import ALL, Server, external_zone, make_index, objects

if TYPE_CHECKING:
    from clusterdns.explain import Finding, Story
    from clusterdns.index import Index

BROKEN = Path(__file__).parent / "data" / "broken"

SETUPS = [
    pytest.param(file, *question.split(), cause, id=f"{file.stem} {question}")
    for file in sorted(BROKEN.iterdir())
    for question, cause in re.findall(r"^# (\S+ [A-Z]+)\n#   (.+)$", file.read_text(), re.MULTILINE)
]
"""What people wonder about, what they ask for, and the cause, as it stands at the beginning of each file."""


async def told(path: Path, name: str, rtype: str, namespace: str = "default", **settings: object) -> Story:
    """The story that the manifests of a file make of a question, where nobody else is asked."""
    config = Config(manifests=(str(path),), forward=Forward(resolv_conf=""), **settings)  # type: ignore[arg-type]
    async with app.rehearsed(config) as story:
        return await story(Wanted(name, (presentation.type_number(rtype),), namespace))


class TestBrokenSetups:
    """Those that people ask about."""

    @pytest.mark.parametrize(("file", "name", "rtype", "cause"), SETUPS)
    async def test_the_cause_is_named(self, file: Path, name: str, rtype: str, cause: str) -> None:
        story = await told(file, name, rtype)
        assert re.sub(r"since \d+ d\b", "since DAYS", story.cause.text) == cause

    def test_there_are_some(self) -> None:
        assert len({each.values[0] for each in SETUPS}) == len(list(BROKEN.iterdir())) >= 12

    @pytest.mark.parametrize(
        ("setup", "name", "note"),
        [
            ("load-balancer", "web.shop", "its load balancer has no address yet (pending)"),
            ("load-balancer", "node.shop", "it is reached at its nodePorts on each node, not by this name"),
            (
                "load-balancer",
                "web.shop",
                "whether a NetworkPolicy or a firewall lets connections through, no DNS server",
            ),
            ("typing-errors", "www.example.com", "fewer than 5 dots (ndots:5), so that 3 names of the search list"),
        ],
    )
    async def test_what_else_there_is_to_say(self, setup: str, name: str, note: str) -> None:
        story = await told(BROKEN / f"{setup}.yaml", name, "A")
        assert any(note in each.text for each in story.notes)

    async def test_another_zone(self) -> None:
        story = await told(BROKEN / "typing-errors.yaml", "cart.shop.svc.cluster.local", "A", zone=("k8s.example",))
        text = "the cluster domain here is k8s.example, not cluster.local: did you mean cart.shop.svc.k8s.example?"
        assert story.cause.text == text

    async def test_the_namespace_of_the_pod_that_asks(self) -> None:
        story = await told(BROKEN / "other-namespace.yaml", "cart", "A", namespace="shop")
        assert (story.found, story.decided_by) == (True, "cart.shop.svc.cluster.local")

    async def test_an_address_outside_of_the_cluster(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text(
            "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"
            "spec: {type: LoadBalancer, clusterIP: 10.96.0.9, ports: [{port: 80}]}\n"
            "status: {loadBalancer: {ingress: [{ip: 203.0.113.7}]}}\n"
        )
        zones = ("example.org", "203.0.113.0/24")
        story = await told(tmp_path, "203.0.113.7", "PTR", external_zone=zones)
        said = "Service shop/web exists, LoadBalancer, ClusterIP 10.96.0.9; outside of the cluster it is at 203.0.113.7"
        assert (story.found, story.cause.text) == (True, said)


CLUSTER = """
kind: Namespace
metadata: {name: shop}
---
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}
---
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints:
- {addresses: [10.244.0.1], hostname: db-0}
- {addresses: [10.244.0.2], hostname: db-1, conditions: {ready: false}}
ports: [{name: sql, port: 5432}]
---
kind: Service
metadata: {name: waiting, namespace: shop}
spec: {clusterIP: None}
---
kind: EndpointSlice
metadata: {name: waiting-1, namespace: shop, labels: {kubernetes.io/service-name: waiting}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.3], conditions: {ready: false}}]
---
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: cart.shop.svc.cluster.local}
---
kind: Service
metadata: {name: lost, namespace: shop}
spec: {type: ExternalName, externalName: nobody.shop.svc.cluster.local}
---
kind: Service
metadata: {name: away, namespace: shop}
spec: {type: ExternalName, externalName: www.example.com}
---
kind: Service
metadata: {name: circle, namespace: shop}
spec: {type: ExternalName, externalName: circle.shop.svc.cluster.local}
---
kind: Service
metadata: {name: lb, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.11}
status: {loadBalancer: {ingress: [{ip: 203.0.113.5}]}}
---
kind: Pod
metadata: {name: teller, namespace: shop}
status: {phase: Running, podIP: 10.244.0.8, podIPs: [{ip: 10.244.0.8}]}
"""

LABELS = ["cart", "db", "waiting", "alias", "lost", "away", "circle", "lb", "nobody", "_http", "_tcp", "db-0", "db-1",
          "10-244-0-3", "shop", "shpo", "svc", "pod", "10-244-0-8", "dns-version", "ns.dns"]  # fmt: skip

ENDS = ["shop.svc.cluster.local", "shop.pod.cluster.local", "svc.cluster.local", "cluster.local", "shop.example.org"]

CENSUS = [
    *["cluster.local", "example.org", "shop.svc.cluster.local", "11.0.96.10.in-addr.arpa", "3.0.244.10.in-addr.arpa"],
    *["1.0.244.10.in-addr.arpa", "0.244.10.in-addr.arpa", "9.9.9.9.in-addr.arpa"],
    *[f"{label}.{end}" for label in LABELS for end in ENDS],
    *[f"{one}.{other}.{end}" for one, other in itertools.product(LABELS, LABELS) for end in ENDS[:1]],
    *[f"_{port}._tcp.{service}.shop.svc.cluster.local" for port in ("http", "sql") for service in ("cart", "db", "lb")],
]


@pytest.fixture(scope="module")
def index() -> Index:
    return Server(CLUSTER, pods="verified", external_zones=[external_zone("example.org")]).index


class TestEveryStoryAgreesWithTheReply:
    """A cause is found by looking at objects, the reply by the server's rules: they must not say different things."""

    @pytest.mark.parametrize("rtype", ["A", "AAAA", "SRV", "TXT", "PTR"])
    def test_for_all_names(self, index: Index, rtype: str) -> None:
        for text in CENSUS:
            question = Question(names.from_text(text), presentation.type_number(rtype))
            node = index.find(question.name)
            assert node is not None
            reply = answer(question, node, index)
            cause = told_of(index, asked_of(question, reply))
            finds = {"found": True}.get(cause.cause, False) or cause.cause.startswith("alias-found")
            is_data = any(each.rtype == question.qtype for each in reply.records)
            assert cause.cause != "answered-around", (text, rtype, cause)
            if is_data and not is_about_endpoints(cause):
                assert finds, (text, rtype, cause)
            if finds:
                assert is_data, (text, rtype, cause)
            if cause.cause.startswith("no-") and is_missing(node):
                assert reply.rcode == Rcode.NXDOMAIN, (text, rtype, cause)

    def test_what_stands_around_has_the_last_word(self, index: Index) -> None:
        """A template or an acl may say something else than the index has."""
        asked = Asked(question=Question(names.from_text("cart.shop.svc.cluster.local"), 1), rcode=Rcode.NXDOMAIN)
        assert told_of(index, asked).cause == "answered-around"


def is_about_endpoints(cause: Finding) -> bool:
    """Whether a name that is there is only said to have nobody behind it."""
    return cause.cause in (
        "no-ready-endpoints",
        "no-selector",
        "no-endpoints",
        "selector-matches-nothing",
        "no-target-port",
    )


def told_of(
    index: Index, *asked: Asked, name: str = "x", pods: dict[str, tuple[PodFacts, ...]] | None = None
) -> Finding:
    return explain(Wanted(name, (1,), "default"), asked, Known(index, 1000.0, pods or {})).cause


def of_others(rcode: int | None, reason: Reason | None = None, **elsewhere: object) -> Asked:
    upstreams = (UpstreamState("192.0.2.53"), UpstreamState("192.0.2.54", is_down=True))
    return Asked(
        question=Question(names.from_text("www.example.com"), 1),
        rcode=rcode,
        reason=reason,
        elsewhere=Elsewhere(**{"upstreams": upstreams, **elsewhere}),  # type: ignore[arg-type]
    )


BOTH = "for www.example.com, upstreams 192.0.2.53, 192.0.2.54 (left out: it does not answer)"


class TestNamesOfOthers:
    @pytest.mark.parametrize(
        ("asked", "text"),
        [
            (
                of_others(Rcode.REFUSED),
                f"{BOTH}: REFUSED; it does not want to answer this server, or not for such names",
            ),
            (
                of_others(Rcode.SERVFAIL, Reason("no upstream answered (192.0.2.53: silent)")),
                f"{BOTH}: no upstream answered (192.0.2.53: silent)",
            ),
            (
                of_others(Rcode.NXDOMAIN, upstreams=(UpstreamState("192.0.2.53"),)),
                "www.example.com is none of our names, and upstream 192.0.2.53 says NXDOMAIN",
            ),
            (
                of_others(Rcode.NOERROR, Reason("the last known answer", ReasonCode.STALE_ANSWER), cached_seconds=400),
                "this is the last known answer, 6 min old: the last known answer",
            ),
            (
                of_others(Rcode.REFUSED, Reason("none", ReasonCode.NOT_AUTHORITATIVE), upstreams=()),
                "www.example.com is in none of our zones, and there is no upstream to ask for it",
            ),
        ],
    )
    def test_why(self, index: Index, asked: Asked, text: str) -> None:
        assert told_of(index, asked, name="www.example.com").text == text


class TestSinceWhen:
    """Readiness is timed by our own clock."""

    SLICE = """
kind: EndpointSlice
metadata: {name: waiting-1, namespace: shop, labels: {kubernetes.io/service-name: waiting}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.3], conditions: {ready: %s}, targetRef: {kind: Pod, name: waiting-0}}]
"""

    def told_at(self, now: float, *readiness: tuple[float, str], pods: tuple[PodFacts, ...] = ()) -> str:
        """What is said of the endpoint, when it was seen with such readiness at such times."""
        clock = [0.0]
        index = make_index(clock=lambda: clock[0])
        for at, ready in readiness:
            clock[0] = at
            index.apply([Put(each) for each in objects(CLUSTER + "---" + self.SLICE % ready)])
        question = Question(names.from_text("waiting.shop.svc.cluster.local"), 1)
        node = index.find(question.name)
        assert node is not None
        asked = Asked(question=question, rcode=Rcode.NXDOMAIN)
        known = Known(synced(index), now, {"shop": pods})
        return explain(Wanted("waiting.shop", (1,), "default"), [asked], known).cause.text.partition("not ready: ")[2]

    def test_a_change_that_was_seen(self) -> None:
        assert self.told_at(142, (50, "true"), (100, "false"), (120, "false")) == "pod waiting-0 not ready for 42 s"

    def test_what_was_so_from_the_first(self) -> None:
        assert self.told_at(142, (100, "false")) == "pod waiting-0 not ready for at least 42 s"

    def test_it_begins_anew(self) -> None:
        assert self.told_at(150, (10, "false"), (20, "true"), (140, "false")) == "pod waiting-0 not ready for 10 s"

    def test_whoever_knows_the_pod_knows_better(self) -> None:
        pod = PodFacts("waiting-0", {}, ("10.244.0.3",), is_ready=False, unready_since=22.0, why="GET /ready: 503")
        assert self.told_at(142, (100, "false"), pods=(pod,)) == "pod waiting-0 not ready for 2 min (GET /ready: 503)"

    def test_what_is_ready_is_not_kept(self, index: Index) -> None:
        (db,) = (each for each in index.objects(EndpointSlice) if each.metadata.name == "db-1")
        assert index.unready_since(db.key, "10.244.0.1") is None
        assert index.unready_since(db.key, "10.244.0.2") is not None


def synced(index: Index) -> Index:
    index.apply([Listed(kind, index.objects(kind)) for kind in ALL])
    return index


class TestOldData:
    def test_a_watch_in_trouble_is_told_of(self, index: Index) -> None:
        asked = Asked(question=Question(names.from_text("nobody.shop.svc.cluster.local"), 1), rcode=Rcode.NXDOMAIN)
        data = [Data("services", 4000, "the API server does not answer"), Data("namespaces", 2)]
        story = explain(Wanted("nobody.shop", (1,), "default"), [asked], Known(index, 0.0), data)
        (note,) = story.notes
        assert note.text == (
            "services: nothing was heard since 66 min (the API server does not answer); what is said here is the last"
            " known"
        )
        assert list(story.lines())[-2:] == [
            "data:  services, as of 66 min ago; the API server does not answer",
            "       namespaces, as of 2 s ago",
        ]

    async def test_a_manifest_that_is_broken_is_told_of(self, tmp_path: Path) -> None:
        file = tmp_path / "shop.yaml"
        file.write_text((BROKEN / "other-namespace.yaml").read_text())
        config = Config(manifests=(str(tmp_path),), forward=Forward(resolv_conf=""))
        async with app.rehearsed(config) as tell:
            file.write_text("kind: [")
            deadline = time.monotonic() + 20
            story = await tell(Wanted("cart", (1,), "shop"))
            while story.notes[-1].cause != "stale-data" and time.monotonic() < deadline:
                story = await tell(Wanted("cart", (1,), "shop"))
        assert story.found
        assert "shop.yaml" in story.notes[-1].text

    def test_before_all_is_read(self) -> None:
        index = make_index()
        asked = Asked(question=Question(names.from_text("cart.shop.svc.cluster.local"), 1), rcode=Rcode.SERVFAIL)
        assert told_of(index, asked).text == (
            "not all of the cluster is read yet: EndpointSlice, Namespace, Service are awaited; until then a missing"
            " name is SERVFAIL"
        )


class TestNearest:
    @pytest.mark.parametrize(
        ("text", "others", "found"),
        [
            ("defualt", ["default", "shop"], ("default",)),
            ("alpaca-prd", ["alpaca-prod", "alpaca-test", "bandicoot-prod"], ("alpaca-prod",)),
            ("cart", ["cart-v2", "card", "art", "cart"], ("art", "card", "cart-v2")),
            ("x", ["yz", "abc"], ()),
            ("web", ["db"], ()),
        ],
    )
    def test_of_some(self, text: str, others: list[str], found: tuple[str, ...]) -> None:
        assert nearest(text, others) == found

    @pytest.mark.parametrize(
        ("one", "other", "slips"),
        [("", "", 0), ("ab", "ba", 1), ("cart", "crat", 1), ("abc", "", 3), ("kitten", "sitting", 3), ("ca", "abc", 3)],
    )
    def test_distance(self, one: str, other: str, slips: int) -> None:
        assert distance(one, other, 9) == distance(other, one, 9) == slips
        assert [distance(one, other, limit) > limit for limit in range(5)] == [slips > limit for limit in range(5)]

    def test_the_likest_of_many_that_are_alike(self) -> None:
        names = [f"service-{number:05}" for number in range(2000)]
        likest = sorted(names, key=lambda each: (distance("service-01235x", each, 99), each))
        assert nearest("service-01235x", names) == tuple(likest[:3])


class TestNamesWithNamesBelow:
    def test_the_type_that_is_not_there_is_named(self, index: Index) -> None:
        asked = Asked(question=Question(names.from_text("svc.cluster.local"), 16), rcode=Rcode.NOERROR)
        text = "svc.cluster.local has no TXT records, but there are names below it"
        assert told_of(index, asked).text == text


class TestForPeople:
    def test_no_orders_for_a_terminal(self, index: Index) -> None:
        reason = Reason("all\x1b[2Jis\nwell\u202e", ReasonCode.OTHER)
        story = explain(
            Wanted("www.example.com", (1,), "default"), [of_others(Rcode.SERVFAIL, reason)], Known(index, 0.0)
        )
        assert all(map(str.isprintable, story.lines()))
        assert any(line.endswith("all?[2Jis well?") for line in story.lines())


class TestAsJson:
    async def test_it_is_the_story(self) -> None:
        story = await told(BROKEN / "typing-errors.yaml", "alpaca-prd", "A")
        found = msgspec.json.decode(msgspec.json.encode(story))
        assert found["cause"] == {
            "cause": "no-service",
            "text": "no Service 'alpaca-prd' in namespace default: did you mean alpaca-prod?",
            "object": "Service default/alpaca-prd",
            "suggestions": ["alpaca-prod"],
        }
        assert [each["name"] for each in found["steps"]] == [
            "alpaca-prd.default.svc.cluster.local.", "alpaca-prd.svc.cluster.local.", "alpaca-prd.cluster.local.",
            "alpaca-prd.",
        ]  # fmt: skip
        assert found["steps"][0]["reason"] == "no Service 'alpaca-prd' in namespace default"
