"""Records rotate from answer to answer, so that clients that take the first spread out."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.cluster import Server, addresses

ALL = [f"10.244.0.{number}" for number in range(1, 8)]
CLUSTER = f"""
kind: Service
metadata: {{name: db, namespace: data}}
spec: {{clusterIP: None}}
---
kind: EndpointSlice
metadata: {{name: db-1, namespace: data, labels: {{kubernetes.io/service-name: db}}}}
addressType: IPv4
ports: [{{name: pg, port: 5432}}]
endpoints: [{", ".join(f"{{addresses: [{each}]}}" for each in ALL)}]
---
kind: Service
metadata: {{name: alias, namespace: data}}
spec: {{type: ExternalName, externalName: db.data.svc.cluster.local}}
"""


class TestRotation:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("name", ["db", "alias"])
    def test_every_record_is_the_first_equally_often(self, name: str, stream: bool) -> None:
        server = Server(CLUSTER)
        replies = [addresses(server.ask(f"{name}.data.svc.cluster.local", stream=stream)) for _ in range(3 * len(ALL))]
        assert Counter(reply[0] for reply in replies) == dict.fromkeys(ALL, 3)

    def test_the_records_are_the_same_each_time(self) -> None:
        server = Server(CLUSTER)
        for _ in range(2 * len(ALL)):
            assert sorted(addresses(server.ask("db.data.svc.cluster.local"))) == ALL

    def test_neighbours_stay_neighbours(self) -> None:
        found = addresses(Server(CLUSTER).ask("db.data.svc.cluster.local"))
        at = found.index(ALL[0])
        assert found[at:] + found[:at] == ALL

    def test_targets_rotate_as_well(self) -> None:
        server = Server(CLUSTER)
        firsts = {
            server.ask("db.data.svc.cluster.local", "SRV", stream=True).answer[0][0].target for _ in range(len(ALL))
        }
        assert len(firsts) == len(ALL)

    def test_the_alias_stays_in_front(self) -> None:
        server = Server(CLUSTER)
        for _ in range(len(ALL)):
            assert [rrset.rdtype.name for rrset in server.ask("alias.data.svc.cluster.local").answer] == ["CNAME", "A"]
