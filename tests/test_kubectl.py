"""Services and endpoints as kubectl prints them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from clusterdns.events import Gone, Listed, Put
from clusterdns.kubectl import documents, endpoints, services
from clusterdns.kubectl.ages import age
from clusterdns.kubectl.columns import Columns
from clusterdns.kubectl.told import Told
from clusterdns.objects import EndpointSlice, Service

CREATED = "2026-11-20T10:00:00Z"
NOW = 1795600800.0

DAY = 86400
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 61, "3h1m"),
        (8 * 3600 - 1, "7h59m"),
        (8 * 3600, "8h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + 3600, "2d1h"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (8 * YEAR - 1, "7y364d"),
        (8 * YEAR + DAY, "8y"),
    ],
)
def test_ages(seconds: float, expected: str) -> None:
    """apimachinery's HumanDuration, with its own bounds."""
    assert age(1000.0, 1000.0 + seconds) == expected


def test_the_age_of_what_has_no_date() -> None:
    assert age(None, 1000.0) == "<unknown>"


class TestColumns:
    def test_they_are_three_wider_than_what_is_in_them(self) -> None:
        assert Columns().lines([("NAME", "AGE"), ("kubernetes", "5d")]) == ["NAME         AGE", "kubernetes   5d"]

    def test_none_is_narrower_than_six(self) -> None:
        assert Columns().lines([("a", "b", "c")]) == ["a     b     c"]

    def test_what_was_wide_once_leaves_its_room(self) -> None:
        columns = Columns()
        columns.lines([("long-enough", "x")])
        assert columns.lines([("a", "b"), ("longer-than-that", "c")]) == [
            "a                  b",
            "longer-than-that   c",
        ]
        assert columns.lines([("a", "b")]) == ["a                  b"]


def made(name: str, status: dict[str, Any] | None = None, **spec: Any) -> Service:
    metadata = {"name": name, "namespace": "shop", "creationTimestamp": CREATED}
    return msgspec.convert({"metadata": metadata, "spec": spec, "status": status}, Service)


def ingress(*given: dict[str, str]) -> dict[str, Any]:
    return {"loadBalancer": {"ingress": list(given)}}


WEB = {"port": 80, "name": "http"}


class TestServices:
    @pytest.mark.parametrize(
        ("service", "expected"),
        [
            (made("web", clusterIP="10.96.0.9", ports=[WEB]), "web ClusterIP 10.96.0.9 <none> 80/TCP"),
            (made("none", clusterIP="None"), "none ClusterIP None <none> <none>"),
            (made("yet", ports=[WEB]), "yet ClusterIP <none> <none> 80/TCP"),
            (
                made("dual", clusterIP="10.96.0.9", clusterIPs=["10.96.0.9", "fd00::9"], ports=[WEB]),
                "dual ClusterIP 10.96.0.9 <none> 80/TCP",
            ),
            (
                made("out", clusterIP="10.96.0.9", externalIPs=["192.0.2.1", "192.0.2.2"], ports=[WEB]),
                "out ClusterIP 10.96.0.9 192.0.2.1,192.0.2.2 80/TCP",
            ),
            (
                made(
                    "node",
                    type="NodePort",
                    clusterIP="10.96.0.9",
                    ports=[WEB | {"nodePort": 30080}, {"port": 53, "protocol": "UDP", "nodePort": 30053}],
                ),
                "node NodePort 10.96.0.9 <none> 80:30080/TCP,53:30053/UDP",
            ),
            (
                made("wait", type="LoadBalancer", clusterIP="10.96.0.9", ports=[WEB]),
                "wait LoadBalancer 10.96.0.9 <pending> 80/TCP",
            ),
            (
                made("lb", ingress({"ip": "203.0.113.1"}), type="LoadBalancer", clusterIP="10.96.0.9"),
                "lb LoadBalancer 10.96.0.9 203.0.113.1 <none>",
            ),
            (
                made(
                    "lb",
                    ingress({"ip": "203.0.113.1"}),
                    type="LoadBalancer",
                    clusterIP="10.96.0.9",
                    externalIPs=["192.0.2.1"],
                ),
                "lb LoadBalancer 10.96.0.9 203.0.113.1,192.0.2.1 <none>",
            ),
            (
                made("lb", ingress({"hostname": "a1b2.elb.example.com"}), type="LoadBalancer", clusterIP="10.96.0.9"),
                "lb LoadBalancer 10.96.0.9 a1b2.elb.exam... <none>",
            ),
            (
                made("else", type="ExternalName", externalName="payments.example.com"),
                "else ExternalName <none> payments.example.com <none>",
            ),
        ],
    )
    def test_rows(self, service: Service, expected: str) -> None:
        assert " ".join(services.row(service, NOW)[:-1]) == expected

    def test_wide_rows(self) -> None:
        balanced = made(
            "lb",
            ingress({"ip": "203.0.113.2"}, {"ip": "203.0.113.1"}),
            type="LoadBalancer",
            clusterIP="10.96.0.9",
            selector={"tier": "front", "app": "web"},
        )
        *_, external, _, _, selector = services.row(balanced, NOW, wide=True)
        assert (external, selector) == ("203.0.113.1,203.0.113.2", "app=web,tier=front")
        assert services.row(made("web"), NOW, wide=True)[-1] == "<none>"

    def test_their_age(self) -> None:
        created = made("web").created
        assert created is not None
        assert services.row(made("web"), created + 5 * DAY)[-1] == "5d"


def slice_of(
    name: str, *given: str, ports: tuple[tuple[str, int], ...] = (("http", 8080),), family: str = "IPv4"
) -> EndpointSlice:
    """An endpoint is an address, with a `-` in front if it is not ready."""
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "labels": {"kubernetes.io/service-name": name.split(".", maxsplit=1)[0]},
            },
            "addressType": family,
            "ports": [{"name": label, "port": number, "protocol": "TCP"} for label, number in ports],
            "endpoints": [
                {
                    "addresses": [each.removeprefix("-")],
                    "conditions": {"ready": not each.startswith("-")},
                    "targetRef": {"name": f"pod-{each.removeprefix('-')}"},
                }
                for each in given
            ],
        },
        EndpointSlice,
    )


def told(*objects: Service | EndpointSlice) -> Told:
    made = Told()
    made.apply([Put(each) for each in objects])
    return made


def row(state: Told, name: str = "cart", *, wide: bool = False) -> tuple[str, ...] | None:
    found = state.endpoints(("shop", name))
    return None if found is None else endpoints.row(found, NOW, wide=wide)[:-1]


CART = made("cart", clusterIP="None", selector={"app": "cart"}, ports=[WEB])


class TestEndpoints:
    @pytest.mark.parametrize(
        ("slices", "ready", "not_ready"),
        [
            ([], "<none>", "<none>"),
            ([slice_of("cart")], "<none>", "<none>"),
            ([slice_of("cart", "10.0.0.1")], "10.0.0.1:8080", "<none>"),
            ([slice_of("cart", "-10.0.0.1")], "<none>", "10.0.0.1:8080"),
            ([slice_of("cart", "10.0.0.2", "-10.0.0.3", "10.0.0.1")], "10.0.0.1:8080,10.0.0.2:8080", "10.0.0.3:8080"),
            (
                [slice_of("cart", *(f"10.0.0.{each}" for each in range(1, 8)), "-10.0.1.1")],
                "10.0.0.1:8080,10.0.0.2:8080,10.0.0.3:8080 + 4 more...",
                "10.0.1.1:8080",
            ),
            ([slice_of("cart.1", "10.0.0.2"), slice_of("cart.2", "10.0.0.1")], "10.0.0.1:8080,10.0.0.2:8080", "<none>"),
            ([slice_of("cart", "10.0.0.1", ports=(("b", 2), ("a", 1)))], "10.0.0.1:1,10.0.0.1:2", "<none>"),
            ([slice_of("cart", "10.0.0.1", ports=())], "10.0.0.1", "<none>"),
            ([slice_of("cart", "fd00::1", family="IPv6")], "[fd00::1]:8080", "<none>"),
            ([slice_of("cart", "example.com", family="FQDN")], "<none>", "<none>"),
        ],
    )
    def test_rows(self, slices: list[EndpointSlice], ready: str, not_ready: str) -> None:
        assert row(told(CART, *slices)) == ("cart", ready, not_ready)

    def test_wide_rows_have_all(self) -> None:
        found = row(told(CART, slice_of("cart", "10.0.0.4", "10.0.0.1", "10.0.0.3", "10.0.0.2")), wide=True)
        assert found == ("cart", "10.0.0.1:8080,10.0.0.2:8080,10.0.0.3:8080,10.0.0.4:8080", "<none>")

    def test_who_has_none(self) -> None:
        state = told(made("else", type="ExternalName", externalName="example.com"), slice_of("alone", "10.0.0.1"))
        assert row(state, "else") is None
        assert row(state, "nobody") is None
        assert row(state, "alone") == ("alone", "10.0.0.1:8080", "<none>")

    def test_as_a_document(self) -> None:
        found = told(CART, slice_of("cart", "10.0.0.1", "-10.0.0.2")).endpoints(("shop", "cart"))
        assert found is not None
        assert documents.text(documents.document(found), "yaml") == (
            "apiVersion: v1\n"
            "kind: Endpoints\n"
            "metadata:\n"
            f"  creationTimestamp: '{CREATED}'\n"
            "  name: cart\n"
            "  namespace: shop\n"
            "subsets:\n"
            "- addresses:\n"
            "  - ip: 10.0.0.1\n"
            "    targetRef:\n"
            "      name: pod-10.0.0.1\n"
            "  notReadyAddresses:\n"
            "  - ip: 10.0.0.2\n"
            "    targetRef:\n"
            "      name: pod-10.0.0.2\n"
            "  ports:\n"
            "  - name: http\n"
            "    port: 8080\n"
            "    protocol: TCP\n"
        )


def test_a_service_as_a_document_is_that_service_again() -> None:
    text = documents.text(documents.document(CART), "yaml")
    assert msgspec.convert(yaml.load(text, yaml.BaseLoader) | {"spec": yaml.safe_load(text)["spec"]}, Service) == CART


class TestTold:
    def test_order_is_that_of_an_api_server(self) -> None:
        """It sorts its keys, /shop/… and /shop-2/…, as text."""
        names = [("shop", "b"), ("shop-2", "a"), ("shop", "a")]
        state = Told()
        state.apply(
            [Put(msgspec.convert({"metadata": {"namespace": of, "name": name}}, Service)) for of, name in names]
        )
        assert state.keys() == [("shop-2", "a"), ("shop", "a"), ("shop", "b")]

    def test_what_a_change_is_about(self) -> None:
        state = told(CART, slice_of("cart", "10.0.0.1"))
        assert list(state.apply([Put(slice_of("cart", "-10.0.0.1"))])) == [("shop", "cart")]
        assert row(state) == ("cart", "<none>", "10.0.0.1:8080")
        assert list(state.apply([Gone(EndpointSlice, ("shop", "cart"))])) == [("shop", "cart")]
        assert row(state) == ("cart", "<none>", "<none>")
        assert list(state.apply([Gone(EndpointSlice, ("shop", "cart"))])) == []
        assert list(state.apply([Gone(Service, ("shop", "cart"))])) == [("shop", "cart")]
        assert row(state) is None

    def test_a_slice_that_goes_to_another_service(self) -> None:
        state = told(slice_of("cart", "10.0.0.1"))
        moved = msgspec.structs.replace(slice_of("web", "10.0.0.1"), metadata=slice_of("cart").metadata)
        moved.metadata.labels["kubernetes.io/service-name"] = "web"  # type: ignore[index]
        assert set(state.apply([Put(moved)])) == {("shop", "cart"), ("shop", "web")}
        assert (row(state, "cart"), row(state, "web")) == (None, ("web", "10.0.0.1:8080", "<none>"))

    def test_a_list_is_all_that_there_is(self) -> None:
        state = told(CART, made("web"), slice_of("web", "10.0.0.1"))
        touched = state.apply([Listed(Service, (CART,)), Listed(EndpointSlice, (slice_of("cart", "10.0.0.2"),))])
        assert set(touched) == {("shop", "cart"), ("shop", "web")}
        assert (row(state, "cart"), row(state, "web")) == (("cart", "10.0.0.2:8080", "<none>"), None)
