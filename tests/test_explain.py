"""Explain: the whole of what is said of a pod; on recordings, what the real kube-scheduler said."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from kscale.errors import InputError
from kscale.explain import Explanation, Room, ahead, explain
from kscale.scheduler.configuration import parse_configuration
from kscale.selecting import find_pod, with_pending
from kscale.state.manifests import Inventory, inventory_of
from kscale.verdicts import Status
from tests.golden.select import HERE
from tests.test_verdicts import BUDGET, CLASSES, TAINT, node, pod

NOTHING = "no new claims to deallocate, preemption: "
NODES = [node("a1"), node("a2"), node("a3", 8, taints=TAINT), node("b1", 8, 32), node("b2", 8, taints=TAINT)]
BOUND = [
    pod("db-0", 3000, 4, on="a1", labels={"app": "db"}), pod("web-0", 3000, 4, on="a2"),
    pod("web-1", 3000, 4, on="b1"), pod("top", 3000, 4, on="b1", priorityClassName="high"),
]  # fmt: skip
PENDING = [
    pod("big", 3500, 1), pod("vip", 3500, 1, priorityClassName="high"),
    pod("polite", 3500, 1, priorityClassName="high", preemptionPolicy="Never"), pod("small", 500, 1),
    pod("gated", schedulingGates=[{"name": "a.io/x"}]), pod("lost", schedulerName="other"),
    pod("claims", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]),
]  # fmt: skip


def world(pending: list[dict[str, Any]] = PENDING) -> Inventory:
    return inventory_of([*CLASSES, BUDGET, *NODES, *BOUND], pending)


def explained(name: str, inventory: Inventory | None = None, **how: Any) -> Explanation:
    inventory = inventory or world()
    return explain(inventory, find_pod(inventory, name), compiled=False, **how)


def test_a_pod_that_fits_nowhere() -> None:
    found = explained("big")
    assert found.outcome.status == "unschedulable" and found.outcome.node is None
    assert found.message == (
        "0/5 nodes are available: 2 node(s) had untolerated taint {a: b}, 3 Insufficient cpu. " + NOTHING
        + "0/5 nodes are available: 2 Preemption is not helpful for scheduling, "
        "3 No preemption victims found for incoming pod."
    )  # fmt: skip
    assert found.message.startswith(found.outcome.message)
    assert found.why == "no node fits, and evicting pods of lower priority makes room on none"
    assert [one.status.plugin for one in found.nodes] == [
        "NodeResourcesFit", "NodeResourcesFit", "TaintToleration", "NodeResourcesFit", "TaintToleration",
    ]  # fmt: skip
    assert found.nodes[2].rejecting == ("TaintToleration",) and found.nodes[0].rejecting == ("NodeResourcesFit",)
    assert all(one.total is None and one.scores == () for one in found.nodes)


def test_a_pod_for_which_others_are_evicted() -> None:
    found = explained("vip")
    assert found.outcome.status == "preempted"
    assert (found.outcome.node, found.outcome.victims) == ("b1", ("default/web-1",))
    assert found.message == "0/5 nodes are available: 2 node(s) had untolerated taint {a: b}, 3 Insufficient cpu."
    assert [one.room for one in found.nodes] == [
        Room(("default/db-0",), 1, ()), Room(("default/web-0",), 0, ()),
        Room((), 0, ("Preemption is not helpful for scheduling",)), Room(("default/web-1",), 0, ()),
        Room((), 0, ("Preemption is not helpful for scheduling",)),
    ]  # fmt: skip
    assert found.why.endswith(
        "of 3 nodes where evicting pods makes room, b1 wins: its most important victims started last"
    )


@pytest.mark.parametrize(
    ("victims", "words"),
    [
        ([("db-1", 3000, {"labels": {"app": "db"}})], "it breaks the fewest disruption budgets"),
        ([("x", 3000, {"priorityClassName": "mid"})], "its most important victim has the lowest priority"),
        ([("x", 1500, {}), ("y", 1500, {"priorityClassName": "low"})], "priorities of its victims add up to the least"),
        ([], "the only one where evicting pods makes room"),
    ],
)
def test_why_a_node_is_the_one_that_is_cleared(victims: list[tuple[str, int, dict[str, Any]]], words: str) -> None:
    mid = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "mid"}, "value": 50}
    bound = [pod(name, cpu, on="a2", **more) for name, cpu, more in victims]
    inventory = inventory_of(
        [*CLASSES, mid, BUDGET, node("a1"), node("a2", 4 if victims else 1), pod("w", 3000, on="a1"), *bound],
        [pod("p", 3000, priorityClassName="high")],
    )
    found = explained("p", inventory)
    assert found.outcome.node == "a1" and words in found.why


def test_a_pod_that_may_not_evict() -> None:
    found = explained("polite")
    assert found.message.endswith(f" {NOTHING}not eligible due to preemptionPolicy=Never.")
    assert found.why == "no node fits, and it may not evict others"
    assert all(one.room is None for one in found.nodes)


def test_a_profile_without_preemption_or_claims() -> None:
    for plugins, ending in (
        ('[{name: "*"}]', "3 Insufficient cpu."),
        ("[{name: DynamicResources}]", "preemption: not eligible due to preemptionPolicy=Never."),
        ("[{name: DefaultPreemption}]", "3 Insufficient cpu. no new claims to deallocate"),
    ):
        text = f"""
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles: [{{plugins: {{postFilter: {{disabled: {plugins}}}}}}}]
"""
        assert explained("polite", configuration=parse_configuration(text)).message.endswith(ending)


def test_a_pod_that_fits() -> None:
    found = explained("small")
    assert (found.outcome.status, found.outcome.node, found.ties) == ("scheduled", "b1", ("b1",))
    assert found.message == "Successfully assigned default/small to b1"
    assert found.why == "b1 has the highest total, 417; the next has 411"
    best = found.nodes[3]
    assert best.status == Status() and best.room is None and best.total == 417
    assert best.total == sum(score.points * score.weight for score in best.scores)
    assert found.nodes[2].total is None


def test_ties_and_single_nodes() -> None:
    inventory = inventory_of([node("a1"), node("a2")], [pod("p", 500), pod("q", 500, nodeName="a2")])
    tied, alone = explained("p", inventory), explained("q", inventory)
    assert tied.outcome.node == "a1" and tied.ties == ("a1", "a2")
    assert "a1 is the first of 2 nodes with the highest total" in tied.why and "by chance" in tied.why
    assert alone.why == "a2 is the only node that fits: kube-scheduler does not score it"


def test_pods_that_are_not_tried() -> None:
    gated, lost = explained("gated"), explained("lost")
    assert (gated.outcome.status, gated.message) == ("gated", "waiting for scheduling gates: [a.io/x]")
    assert gated.why == "it is not tried before its gates are gone" and gated.nodes == ()
    assert (lost.outcome.status, lost.message) == ("no_profile", "no profile has the name 'other'")


def test_a_pod_that_is_turned_away_before_any_node() -> None:
    """kube-scheduler v1.34.1 then ends with what the plug-in for claims says of state that it never wrote."""
    found = explained("claims")
    assert found.bar == Status(
        "VolumeRestrictions", "UnschedulableAndUnresolvable", ('persistentvolumeclaim "none" not found',)
    )
    assert found.message == '0/5 nodes are available: persistentvolumeclaim "none" not found. not found'
    assert found.why == "VolumeRestrictions turns it away before any node is looked at" and found.nodes == ()


def test_a_term_that_cannot_be_read_breaks_the_cycle_off() -> None:
    term = {"weight": 1, "preference": {"matchExpressions": [{"key": "zone", "operator": "Gt", "values": ["-5"]}]}}
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}
    found = explained("p", world([pod("p", affinity=affinity)]))
    assert found.outcome.status == "error" and not found.message.startswith("0/5")


def test_a_bound_pod_is_explained_without_itself() -> None:
    found = explained("db-0")
    assert found.bound_to == "a1" and found.outcome.node == "a1"
    assert found.nodes[0].total is not None and found.nodes[1].status.reasons == ("Insufficient cpu",)


def test_pods_that_come_before_it() -> None:
    inventory = world()
    small, vip, big = (find_pod(inventory, name) for name in ("small", "vip", "big"))
    names = inventory.pods.names
    assert [names[row] for row in ahead(inventory, small, "given")] == ["big", "vip", "polite"]
    assert [names[row] for row in ahead(inventory, small, "queue")] == ["vip", "polite", "big"]
    assert ahead(inventory, vip, "queue") == [] == ahead(inventory, small, "none")
    assert [names[row] for row in ahead(inventory, big, "queue")] == ["vip", "polite"]
    bound = find_pod(inventory, "db-0")
    assert len(ahead(inventory, bound, "given")) == len(PENDING)
    # vip evicts web-1 and takes its room.
    assert explained("small").outcome.node == "b1"
    after = explained("small", after="queue")
    assert after.before == 3 and after.nodes[3].total == 411
    assert explained("vip", after="given").before == 1


def test_pods_by_name() -> None:
    inventory = inventory_of(
        [
            node("a1"),
            pod("web-0", on="a1"),
            {**pod("web-0", on="a1"), "metadata": {"name": "web-0", "namespace": "shop"}},
        ],
        [pod("web-1")],
    )
    assert find_pod(inventory, "web-1") == 2 == find_pod(inventory, "default/web-1")
    assert find_pod(inventory, "shop/web-0") == 1 == find_pod(inventory, "web-0", "shop")
    assert find_pod(inventory, "shop/web-0", "shop") == 1
    for name, namespace, words in (
        ("web-0", None, "may be default/web-0, shop/web-0"),
        ("shop/web-0", "default", "is not in the namespace default"),
        ("wbe-1", None, "did you mean default/web-1"),
        ("web", None, "did you mean default/web-0 or default/web-1"),
        ("web-1", "shop", "did you mean shop/web-0?"),
        ("web-1", "shp", "no pods in the namespace 'shp'; did you mean 'shop'?"),
        ("", None, "there is no pod ''"),
        ("zzz", None, "there is no pod 'zzz'; expected one of the 3 pods"),
    ):
        with pytest.raises(InputError) as caught:
            find_pod(inventory, name, namespace)
        assert words in str(caught.value)
    with pytest.raises(InputError, match="expected objects with pods"):
        find_pod(inventory_of([node("a1")]), "web-0")


def test_other_pods_pending() -> None:
    inventory = world()
    found = with_pending(inventory, [find_pod(inventory, "small")] * 3, ["x", "y", "z"])
    assert found.pods.names[-3:] == ["x", "y", "z"] and len(found.pods) == len(BOUND) + 3
    assert found.pending.tolist() == [4, 5, 6] and (found.pods.node[:4] >= 0).all()
    away = with_pending(inventory, [0], away=0)
    assert away.pods.names == ["web-0", "web-1", "top", "db-0"] and away.pods.node.tolist() == [1, 3, 3, -1]
    assert (inventory.pods.node[:4] >= 0).all()


@pytest.mark.parametrize(
    ("family", "pods"), [("mixed", (3, 9, 17, 30)), ("preemption", (5, 11, 20)), ("volumes", (8, 15))]
)
def test_recorded_decisions(family: str, pods: tuple[int, ...]) -> None:
    """What the real kube-scheduler said of pods that were tried after those before them in the input."""
    file = min((HERE / family).glob("*.json.gz"), key=lambda file: (file.stat().st_size, file.name))
    recording = json.loads(gzip.decompress(file.read_bytes()))
    scenario, result = recording["scenario"], recording["result"]
    inventory = inventory_of(scenario["objects"], scenario["pending"])
    config = scenario.get("config")
    for place in pods:
        recorded = result["pods"][place]
        found = explain(
            inventory, int(inventory.pending[place]), parse_configuration(config) if config else None, after="given",
            compiled=False,
        )  # fmt: skip
        assert (found.outcome.status, found.outcome.node) == (recorded["status"], recorded.get("node"))
        if "filter" in recorded:
            statuses = [result["statuses"][index] for index in recorded["filter"]]
            assert [(one.status.plugin, one.status.code) for one in found.nodes] == [
                (status["plugin"], status["code"]) for status in statuses
            ]
        if "total" in recorded:
            assert [one.total for one in found.nodes if one.total is not None] == recorded["total"]
            assert found.ties == tuple(result["nodes"][index] for index in recorded["ties"])
        stated = {c["node"]: c for c in recorded.get("preemption", {}).get("candidates", ())}
        for one in found.nodes:
            victims = one.room.victims if one.room is not None else ()
            assert list(victims) == stated.get(one.name, {"victims": []})["victims"]
