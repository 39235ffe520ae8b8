"""Fit: clones until none fits, by hand and against the twin of kube-scheduler."""

from __future__ import annotations

import copy
import gzip
import json
from collections import Counter
from typing import Any

import pytest

from kscale.fit import Room, fit
from kscale.scheduler.configuration import parse_configuration
from kscale.selecting import find_pod
from kscale.state.manifests import Inventory, inventory_of
from tests.golden.select import HERE
from tests.test_verdicts import CLASSES, TAINT, node, pod
from tests.twin.schedule import Twin

NO_PREEMPTION = {
    "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
    "profiles": [{"plugins": {"postFilter": {"disabled": [{"name": "DefaultPreemption"}]}}}],
}  # fmt: skip


def rooms(inventory: Inventory, *names: str, **how: Any) -> list[Room]:
    return fit(inventory, [find_pod(inventory, name) for name in names], compiled=False, **how)


def room(inventory: Inventory, name: str, **how: Any) -> Room:
    (found,) = rooms(inventory, name, **how)
    return found


def test_what_is_left_of_each_node() -> None:
    found = inventory_of(
        [node("a1"), node("a2"), node("a3", taints=TAINT), pod("x", 2500, on="a1"), pod("waits", 4000)],
        [pod("p", 500), pod("other", 4000)],
    )
    assert room(found, "p") == Room(
        "default/p", {"a1": 3, "a2": 8}, False,
        "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu.",
    )  # fmt: skip
    assert room(found, "p").count == 11


def test_a_bound_pod_stays_where_it_is() -> None:
    found = inventory_of([node("a1"), pod("x", 1000, on="a1")], [])
    assert room(found, "x").nodes == {"a1": 3}


def test_nobody_is_evicted() -> None:
    found = inventory_of([*CLASSES, node("a1"), pod("x", 3000, on="a1")], [pod("p", 1000, priorityClassName="high")])
    assert room(found, "p") == Room("default/p", {"a1": 1}, False, "0/1 nodes are available: 1 Insufficient cpu.")


def test_a_pod_that_requests_nothing_is_stopped_by_the_number_of_pods_or_the_limit() -> None:
    found = inventory_of([node("a1", pods=100), node("a2", pods=60), pod("x", on="a1")], [pod("p")])
    whole = room(found, "p")
    assert whole.nodes == {"a1": 99, "a2": 60} and not whole.limited
    assert whole.message == "0/2 nodes are available: 2 Too many pods."
    limited = room(found, "p", limit=70)
    assert limited.count == 70 and limited.limited and limited.message == ""
    exact = room(found, "p", limit=159)
    assert exact.count == 159 and exact.limited
    over = room(found, "p", limit=160)
    assert over.count == 159 and not over.limited


def test_without_the_filter_of_resources_only_the_limit_ends_it() -> None:
    config = parse_configuration("""
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles: [{plugins: {filter: {disabled: [{name: NodeResourcesFit}]}}}]
""")
    found = inventory_of([node("a1", 1), node("a2", 1)], [pod("p", 900)])
    rows = [find_pod(found, "p")]
    assert fit(found, rows, config, limit=130, compiled=False)[0].count == 130


def anti_affinity(key: str) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "p"}}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_clones_count_for_each_other() -> None:
    nodes = [node("a1"), node("a2"), node("b1", 1), node("b2")]
    apart = pod("p", 100, labels={"app": "p"}, affinity=anti_affinity("kubernetes.io/hostname"))
    found = room(inventory_of(nodes, [apart]), "p")
    assert found.nodes == {"a1": 1, "a2": 1, "b1": 1, "b2": 1}
    assert found.message == "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules."
    zones = pod("p", 100, labels={"app": "p"}, affinity=anti_affinity("zone"))
    assert room(inventory_of(nodes, [zones]), "p").count == 2
    spread = [{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "p"}},
    }]  # fmt: skip
    even = pod("p", 1000, labels={"app": "p"}, topologySpreadConstraints=spread)
    # Five fit in zone b, so six may lie in zone a.
    found = room(inventory_of(nodes, [even]), "p")
    assert found.count == 11 and "node(s) didn't match pod topology spread constraints" in found.message
    ports = pod("p", 100)
    ports["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 80}]
    assert room(inventory_of(nodes, [ports]), "p").count == 4


def test_several_pods_alone_and_together() -> None:
    found = inventory_of([node("a1"), node("a2")], [pod("p", 1000), pod("q", 500)])
    alone = rooms(found, "p", "q")
    assert [one.count for one in alone] == [8, 16]
    together = rooms(found, "p", "q", together=True)
    # In turns: five of each take 7.5 cores; the last half core is for one of the second.
    assert [one.count for one in together] == [5, 6]
    assert all("Insufficient cpu" in one.message and not one.limited for one in together)
    limited = rooms(found, "p", "q", together=True, limit=3)
    assert [(one.count, one.limited) for one in limited] == [(3, True), (3, True)]


def test_a_clone_may_make_room_for_one_of_the_other_kind() -> None:
    """The first kind goes only where the second is: it fails in the first turn, and not in those that follow."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "q"}}}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    found = inventory_of([node("a1")], [pod("p", 1000, affinity=affinity), pod("q", 1000, labels={"app": "q"})])
    assert [one.count for one in rooms(found, "p", "q", together=True)] == [2, 2]
    assert room(found, "p").count == 0


def test_pods_that_are_not_tried() -> None:
    gates, volumes = [{"name": "a.io/x"}], [{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]
    found = inventory_of(
        [node("a1")], [pod("g", schedulingGates=gates), pod("l", schedulerName="x"), pod("v", volumes=volumes)]
    )
    assert [(one.count, one.limited, one.message) for one in rooms(found, "g", "l", "v")] == [
        (0, False, "waiting for scheduling gates: [a.io/x]"), (0, False, "no profile has the name 'x'"),
        (0, False, '0/1 nodes are available: persistentvolumeclaim "none" not found.'),
    ]  # fmt: skip


def test_progress_is_told() -> None:
    told: list[int] = []
    found = inventory_of([node("a1", 100, pods=1000), pod("x", on="a1")], [pod("p", 100)])
    assert room(found, "p", progress=told.append).count == 999
    assert told[-1] == 999 and told == sorted(told) and len(told) > 2


@pytest.mark.parametrize("family", ["mixed", "topology_spread", "interpod_affinity", "ports", "dense_fill", "volumes"])
def test_as_many_as_the_twin_places(family: str) -> None:
    file = min((HERE / family).glob("*.json.gz"), key=lambda file: (file.stat().st_size, file.name))
    scenario = json.loads(gzip.decompress(file.read_bytes()))["scenario"]
    inventory = inventory_of(scenario["objects"], scenario["pending"])
    compared = 0
    for place in (0, 7, 13):
        written = scenario["pending"][place]
        clones = []
        for number in range(40):
            clone = copy.deepcopy(written)
            clone["metadata"]["name"] += f"-{number + 1}"
            clones.append(clone)
        twin = Twin(
            {"objects": scenario["objects"], "pending": clones, "config": json.dumps(NO_PREEMPTION)}, masks=False
        )
        results = twin.schedule_given()
        expected = Counter(result["node"] for result in results if result["status"] == "scheduled")
        found = fit(inventory, [int(inventory.pending[place])], limit=40, compiled=False)[0]
        assert found.nodes == expected, (family, place)
        compared += found.count
    assert compared > 3
