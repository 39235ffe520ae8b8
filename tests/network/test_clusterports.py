"""Service ports as proxies see them, from the columns that controllers write."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.network.clusterports import chosen_by, cluster_ports, local_counts, seen_by
from tests.controllers.services import pods_made, selecting
from tests.controllers.world import Hand
from tests.twin import usable as twin


def world() -> Hand:
    """Three nodes in two zones; Services are made by ``service``."""
    hand = Hand("endpointslice", "service-addresses", node=3)
    hand.cluster.node_zone[:] = [0, 0, 1]
    hand.world.texts = ["", "192.0.2.1", "10.0.0.0/8", "192.168.0.0/16"]
    selecting(hand, (0,), (1,), (2,))
    return hand


def service(hand: Hand, name: str, *ports: int, selection: int = 0, **columns: Any) -> int:
    numbers = list(ports) or [80]
    return hand.make("Service", name, selection=selection, ports=1, port_number=numbers,
                     port_name=[0] * len(numbers), **columns)  # fmt: skip


def column(found: Any, name: str) -> list[Any]:
    return getattr(found, name).tolist()


def test_one_row_for_each_port_of_a_service() -> None:
    hand = world()
    service(hand, "web", 80, 443, affinity_us=5, port_protocol=[0, 1])
    service(hand, "named", type=3)
    service(hand, "headless", 5432, headless=1, selection=1)
    service(hand, "edge", 25, type=2, external_policy=1, external_ip=[1, 1], load_balancer_ip=[1, -1],
            source_range=[2, 3], selection=2)  # fmt: skip
    pods_made(hand, 2, node=0)
    (gone, _) = pods_made(hand, 2, template=2, node=1)
    hand.delete(gone, 30_000_000)
    hand.settle()
    ports = cluster_ports(hand.world)
    assert (ports.number.tolist(), ports.service.tolist()) == ([80, 443, 5432, 25], [0, 0, 1, 2])
    assert (ports.ready.tolist(), ports.draining.tolist()) == ([2, 2, 0, 1], [0, 0, 0, 1])
    found = seen_by(hand.world, ports, 0)
    assert (column(found, "endpoints"), column(found, "local_endpoints")) == ([2, 2, 0, 1], [2, 2, 0, 0])
    assert column(found, "protocol") == [0, 1, 0, 0]
    assert column(found, "affinity") == [True, True, False, False]
    assert column(found, "headless") == [False, False, True, False]
    assert column(found, "node_port") == column(found, "external_local") == [False, False, False, True]
    assert column(found, "health_check") == [False, False, False, True]
    assert [column(found, name)[3] for name in ("external_ips", "load_balancer_ips", "source_ranges")] == [2, 1, 2]
    assert column(found, "node_allowed") == [False] * 4
    assert column(seen_by(hand.world, ports, 0, ["192.168.3.4"]), "node_allowed") == [False, False, False, True]
    # On the node with the endpoints of the last one, the ready one alone is used.
    other = seen_by(hand.world, ports, 1)
    assert (column(other, "endpoints"), column(other, "local_endpoints")) == ([2, 2, 0, 1], [0, 0, 0, 1])


def test_a_service_without_an_address_is_not_there_for_a_proxy() -> None:
    hand = world()
    hand.cluster.cluster_service_addresses[0] = 2
    service(hand, "a")
    service(hand, "b")
    hand.settle()
    assert len(cluster_ports(hand.world).objects) == 1


def test_local_counts_are_those_of_a_look_at_each_endpoint() -> None:
    hand = world()
    service(hand, "web")
    service(hand, "other", selection=1)
    for node, count in ((2, 3), (0, 1)):
        pods_made(hand, count, node=node)
    pods = pods_made(hand, 2, template=1, node=1)
    hand.delete(pods[0], 30_000_000)
    hand.ready(pods[1], False)
    hand.settle()
    found = local_counts(cluster_ports(hand.world))
    assert [values.tolist() for values in found] == [[0, 0, 1], [0, 2, 1], [1, 3, 0], [0, 0, 1]]


def test_nodes_follow_the_hints_that_the_controller_writes() -> None:
    hand = world()
    close = service(hand, "close", traffic_distribution=1)
    service(hand, "own", traffic_distribution=2)
    service(hand, "local", internal_policy=1)
    for node in (0, 1, 2):
        pods_made(hand, 1 + node, node=node)
    hand.settle()
    ports = cluster_ports(hand.world)
    assert [column(seen_by(hand.world, ports, node), "endpoints") for node in range(3)] == [
        [3, 1, 6], [3, 2, 6], [3, 3, 6]
    ]  # fmt: skip
    assert column(seen_by(hand.world, ports, 1), "local_endpoints") == [2, 2, 2]
    assert seen_by(hand.world, ports, 1).internal_endpoints.tolist() == [3, 2, 2]
    hand.write(close, traffic_distribution=0)
    hand.settle()
    assert column(seen_by(hand.world, cluster_ports(hand.world), 0), "endpoints") == [6, 1, 6]


def test_all_pairs_use_what_their_plain_twins_use() -> None:
    hand = world()
    rng = np.random.default_rng(5)
    for number in range(6):
        service(hand, f"s{number}", selection=number % 3, traffic_distribution=number % 3)
    pods = [pods_made(hand, 1, int(rng.integers(3)), node=int(rng.integers(3)))[0] for _ in range(20)]
    for pod in pods:
        if rng.random() < 0.3:
            hand.ready(pod, False)
        if rng.random() < 0.4:
            hand.delete(pod, 30_000_000)
    hand.settle()
    ports = cluster_ports(hand.world)
    its = ports.endpoints
    pairs = [(of, node) for of in range(6) for node in range(3)]
    found = chosen_by(hand.world, ports, np.array([of for of, _ in pairs]), np.array([node for _, node in pairs]))
    for place, (of, node) in enumerate(pairs):
        rows = range(int(its.first[of]), int(its.first[of] + its.count[of]))
        plain = [
            twin.Endpoint(int(its.node[r]), bool(its.ready[r]), bool(its.draining[r]), int(its.zone_hint[r]),
                          int(its.node_hint[r])) for r in rows
        ]  # fmt: skip
        mine = found.pair == place
        used = [plain[r - rows.start] for r in found.endpoint[mine & found.cluster].tolist()]
        assert used == twin.cluster(plain, node, int(hand.cluster.node_zone[node]))
        assert int((mine & found.local).sum()) == len(twin.local(plain, node))
