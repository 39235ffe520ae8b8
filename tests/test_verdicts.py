"""Verdicts: what each plug-in says of each node, on a world small enough to work out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.placing import simulation_of
from kscale.scheduler.configuration import parse_configuration
from kscale.scheduler.plugins import Plugin
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import Inventory, inventory_of
from kscale.verdicts import NO_VICTIMS, NOT_HELPFUL, UNRESOLVABLE, UNSCHEDULABLE, Eviction, Status, Verdicts

FIT = "NodeResourcesFit"
GIB = 1 << 30


def node(name: str, cpu: int = 4, memory: int = 16, *, pods: int = 10, **spec: Any) -> dict[str, Any]:
    allocatable = {"cpu": str(cpu), "memory": f"{memory}Gi", "pods": str(pods)}
    meta = {"name": name, "labels": {"zone": name[0], "kubernetes.io/hostname": name}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec, "status": {"allocatable": allocatable}}


def pod(
    name: str, cpu: int = 0, memory: int = 0, on: str | None = None, labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    requests = {"cpu": f"{cpu}m", "memory": f"{memory}Gi"}
    meta = {"name": name, "namespace": "default", "labels": labels or {}}
    placed = {"nodeName": on} if on else {}
    containers = [{"name": "c", "resources": {"requests": {k: v for k, v in requests.items() if v[0] != "0"}}}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": containers, **placed, **spec}}


def reading(inventory: Inventory, number: int = 0, config: str | None = None) -> tuple[Simulation, Verdicts]:
    """A run that is about to try a pending pod, and what is said of that."""
    configuration = parse_configuration(config) if config else None
    settings = Settings(compiled=False, every=True, detailed=True, configuration=configuration)
    simulation = simulation_of(inventory, settings, given=True)
    simulation.compile()
    simulation.start()
    simulation.advance(number * 1_000_000)
    return simulation, Verdicts(simulation, int(inventory.pods.template[inventory.pending[number]]))


def plugin(verdicts: Verdicts, name: str) -> Plugin:
    return next(p for p in verdicts.filters if p.name == name)


TAINT = [{"key": "a", "value": "b", "effect": "NoSchedule"}]


def test_the_first_filter_to_reject_a_node_is_the_one_that_is_told() -> None:
    found = inventory_of(
        [
            node("a1"), node("a2", taints=TAINT), node("a3", unschedulable=True, taints=TAINT), node("b1", 1),
            node("b2", pods=1), pod("x", 3500, 15, on="a1"), pod("y", on="b2"),
        ],
        [pod("p", 2000, 2, nodeSelector={"zone": "a"})],
    )  # fmt: skip
    _, verdicts = reading(found)
    taint, affinity = "node(s) had untolerated taint {a: b}", "node(s) didn't match Pod's node affinity/selector"
    assert verdicts.statuses == [
        Status(FIT, UNSCHEDULABLE, ("Insufficient cpu", "Insufficient memory")),
        Status("TaintToleration", UNRESOLVABLE, (taint,)),
        Status("NodeUnschedulable", UNRESOLVABLE, ("node(s) were unschedulable",)),
        Status("NodeAffinity", UNRESOLVABLE, (affinity,)),
        Status("NodeAffinity", UNRESOLVABLE, (affinity,)),
    ]
    assert verdicts.status(1) == verdicts.statuses[1]
    assert len(verdicts.feasible) == 0 and verdicts.ties == []
    alone = {p.name: verdicts.rejects(p).astype(int).tolist() for p in verdicts.filters if verdicts.rejects(p).any()}
    assert alone == {
        "NodeUnschedulable": [0, 0, 1, 0, 0], "TaintToleration": [0, 1, 1, 0, 0], "NodeAffinity": [0, 0, 0, 1, 1],
        FIT: [1, 0, 0, 1, 1],
    }  # fmt: skip


def test_what_could_never_fit_is_unresolvable() -> None:
    found = inventory_of([node("a1"), node("a2", 1), pod("x", 3500, on="a1")], [pod("p", 2000)])
    _, verdicts = reading(found)
    assert [status.code for status in verdicts.statuses] == [UNSCHEDULABLE, UNRESOLVABLE]


def test_scores_totals_and_ties() -> None:
    """LeastAllocated: the mean of what is free of cpu and memory; the balance: 100 less half their difference."""
    found = inventory_of(
        [node("a1", 4, 4), node("a2", 4, 4), node("a3", 4, 4), pod("x", 1000, 1, on="a2")], [pod("p", 1000, 2)]
    )
    _, verdicts = reading(found)
    raw, points, weight = verdicts.scores[FIT]
    assert raw.tolist() == [(75 + 50) // 2, (50 + 25) // 2, (75 + 50) // 2] == points.tolist() and weight == 1
    assert verdicts.scores["NodeResourcesBalancedAllocation"][0].tolist() == [87, 87, 87]
    raw, points, weight = verdicts.scores["TaintToleration"]
    assert (raw.tolist(), points.tolist(), weight) == ([0, 0, 0], [100, 100, 100], 3)
    assert "PodTopologySpread" not in verdicts.scores and "InterPodAffinity" not in verdicts.scores
    assert verdicts.totals.tolist() == [300 + 62 + 87, 300 + 37 + 87, 300 + 62 + 87]
    assert verdicts.feasible.tolist() == [0, 1, 2] and verdicts.ties == [0, 2]


def test_without_score_plugins_every_total_is_one() -> None:
    config = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- plugins: {score: {disabled: [{name: "*"}]}, preScore: {disabled: [{name: "*"}]}}
"""
    _, verdicts = reading(inventory_of([node("a1"), node("a2")], [pod("p", 100)]), config=config)
    assert verdicts.scores == {} and verdicts.totals.tolist() == [1, 1] and verdicts.ties == [0, 1]


def test_filters_that_a_profile_leaves_out_are_not_asked() -> None:
    config = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- plugins: {filter: {disabled: [{name: NodeResourcesFit}]}, postFilter: {disabled: [{name: "*"}]}}
"""
    _, verdicts = reading(inventory_of([node("a1", 1)], [pod("p", 2000)]), config=config)
    assert verdicts.statuses == [Status()] and FIT not in {p.name for p in verdicts.filters}
    assert not verdicts.may_evict


def test_nodes_that_the_pods_own_terms_leave_out() -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a2"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    _, verdicts = reading(inventory_of([node("a1"), node("a2")], [pod("p", affinity=affinity)]))
    assert verdicts.left_out.tolist() == [True, False]
    assert verdicts.statuses == [
        Status("", UNRESOLVABLE, ("node(s) didn't satisfy plugin(s) [NodeAffinity]",)), Status(),
    ]  # fmt: skip


def test_a_pod_that_is_turned_away_before_any_node() -> None:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]
    _, verdicts = reading(inventory_of([node("a1")], [pod("p", volumes=volumes)]))
    assert verdicts.bar == Status("VolumeRestrictions", UNRESOLVABLE, ('persistentvolumeclaim "none" not found',))


CLASSES = [
    {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 100},
    {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "low"}, "value": -5},
]
BUDGET = {
    "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "db", "namespace": "default"},
    "spec": {"selector": {"matchLabels": {"app": "db"}}}, "status": {"disruptionsAllowed": 0},
}  # fmt: skip


def names(inventory: Inventory, eviction: Eviction) -> list[str]:
    return [inventory.pods.names[row] for row in eviction.victims]


def test_what_evicting_comes_to_on_each_node() -> None:
    found = inventory_of(
        [
            *CLASSES, BUDGET, node("a1"), node("a2"), node("a3"), node("a4", taints=TAINT), node("a5", 1), node("a6"),
            pod("db-0", 2000, on="a1", labels={"app": "db"}), pod("low", 1500, on="a1", priorityClassName="low"),
            pod("spare", 100, on="a1"),
            pod("top", 2000, on="a2", priorityClassName="high"),
            pod("equal", 3000, on="a3", priorityClassName="high"), pod("small", 500, on="a3"),
            pod("web", 4000, on="a4"),
            pod("one", 2000, on="a6"), pod("two", 1500, on="a6"),
        ],
        [pod("p", 3000, priorityClassName="high")],
    )  # fmt: skip
    _, verdicts = reading(found)
    evictions = [verdicts.eviction(place) for place in range(6)]
    # Who breaks a budget is put back first where that leaves room, then the most important one.
    assert names(found, evictions[0]) == ["db-0", "low"] and evictions[0].broken == 1
    assert evictions[1] == Eviction(reasons=(NO_VICTIMS,))
    assert evictions[2] == Eviction(reasons=("Insufficient cpu",))
    assert evictions[3] == Eviction(reasons=(NOT_HELPFUL,))
    assert evictions[4] == Eviction(reasons=(NOT_HELPFUL,))
    assert names(found, evictions[5]) == ["one", "two"] and evictions[5].broken == 0
    assert verdicts.may_evict


def test_looking_at_evictions_changes_nothing() -> None:
    found = inventory_of(
        [*CLASSES, node("a1"), node("a2"), pod("x", 3000, on="a1"), pod("y", 3500, on="a2"), pod("z", 500, on="a2")],
        [pod("p", 2000, priorityClassName="high")],
    )
    simulation, verdicts = reading(found)
    before = {name: column.copy() for name, column in simulation.cluster.columns.items() if not name.startswith("scan")}
    evictions = [verdicts.eviction(place) for place in (0, 1, 0)]
    assert evictions[0] == evictions[2] and names(found, evictions[1]) == ["y"]
    for name, column in before.items():
        if name.split("_")[0] in ("node", "pod", "template", "counter"):
            assert np.array_equal(column, simulation.cluster.columns[name]), name


def test_a_volume_elsewhere_is_told_where_room_can_be_made() -> None:
    """On the node that lacks cpu first and could never reach the volume, the dry run ends with the volume."""
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}]}
    meta = {"name": "claim", "namespace": "default", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}}
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "vol"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "nodeAffinity": {"required": terms},
            "claimRef": {"namespace": "default", "name": "claim"}, "local": {"path": "/x"},
        },
        "status": {"phase": "Bound"},
    }  # fmt: skip
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta,
        "spec": {
            "volumeName": "vol", "storageClassName": "", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"phase": "Bound"},
    }  # fmt: skip
    mounted = [{"name": "v", "persistentVolumeClaim": {"claimName": "claim"}}]
    found = inventory_of(
        [
            *CLASSES, volume, claim, node("a1"), node("a2"), node("b1"), pod("x", 3000, on="a1"),
            pod("u", 3000, on="a2", priorityClassName="high"), pod("y", 500, on="a2"),
            pod("z", 4000, on="b1", priorityClassName="high"),
        ],
        [pod("p", 2000, priorityClassName="high", volumes=mounted)],
    )  # fmt: skip
    _, verdicts = reading(found)
    assert [status.plugin for status in verdicts.statuses] == [FIT, FIT, FIT]
    assert verdicts.eviction(0).reasons == ("node(s) didn't match PersistentVolume's node affinity",)
    assert verdicts.eviction(1).reasons == ("Insufficient cpu",)
    assert verdicts.eviction(2).reasons == (NO_VICTIMS,)
