"""VolumeBinding: bound claims, claims that wait, what a placed pod settles; and all volume plug-ins beside the twin."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from kscale.placing import outcomes, simulation_of
from kscale.scheduler.plugins.volume_binding import BINDING, begin_trial, end_trial, settle, unbindable
from kscale.scheduler.volumes import EVERYWHERE, NOWHERE, ONE_NODE, is_within
from kscale.simulation import Settings
from kscale.state.manifests import inventory_of
from kscale.verdicts import Verdicts
from tests.scheduler.claims import (
    HOST,
    WAITS,
    ZONE,
    Object,
    both,
    claim,
    node,
    nodes_of,
    only,
    placed,
    pod,
    random_scenario,
    rejected,
    run,
    storage_class,
    volume,
)
from tests.twin.schedule import Twin

NODES = [node("n0", zone="a"), node("n1", zone="a"), node("n2", zone="b")]
LOCAL = storage_class("local", "kubernetes.io/no-provisioner")
MADE = storage_class("made")
NO_MATCH = "node(s) didn't find available persistent volumes to bind"
NOT_THERE = "node(s) didn't match PersistentVolume's node affinity"


def places(objects: list[Object], *pending: Object) -> list[str | None]:
    return nodes_of(placed([*NODES, LOCAL, MADE, *objects], list(pending)))


def message(objects: list[Object], pending: Object) -> str:
    return placed([*NODES, LOCAL, MADE, *objects], [pending])[0].message


# Bound claims


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        (None, "n0"),
        (only(ZONE, "b"), "n2"),
        (only(HOST, "n1"), "n1"),
        (only(HOST, "n0", "n1", operator="NotIn"), "n2"),
        (only("none", operator="Exists"), None),
        ({"required": {"nodeSelectorTerms": [{}]}}, None),  # an empty term matches nothing
        ({"required": {"nodeSelectorTerms": [{}, only(HOST, "n1")["required"]["nodeSelectorTerms"][0]]}}, "n1"),
    ],
)
def test_a_bound_claim_is_for_the_nodes_of_its_volume(affinity: Object | None, expected: str | None) -> None:
    objects = [volume("v", claim="c", affinity=affinity, phase="Bound"), claim("c", volume="v")]
    assert places(objects, pod("p", "c")) == [expected]


def test_affinity_does_not_see_the_names_of_nodes() -> None:
    field = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    objects: list[Object] = []
    for name, operator in (("c", "In"), ("d", "NotIn")):
        affinity = {"required": {"nodeSelectorTerms": [{"matchFields": [field | {"operator": operator}]}]}}
        objects += [volume(f"v{name}", claim=name, affinity=affinity, phase="Bound"), claim(name, volume=f"v{name}")]
    assert places(objects, pod("p", "c"), pod("q", "d")) == [None, "n0"]


def test_the_reasons_of_bound_and_of_waiting_claims_are_told_together() -> None:
    objects = [volume("v", claim="c", affinity=only(HOST, "n1"), phase="Bound"), claim("c", volume="v"), claim("w")]
    said = message(objects, pod("p", "c", "w"))
    assert said == f"0/3 nodes are available: 2 {NOT_THERE}, 3 {NO_MATCH}."


# Pods that are turned away as a whole


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([claim("c", storage_class="now"), storage_class("now", mode="Immediate")], None),
        ([claim("c", storage_class="unknown")], None),
        ([claim("c", volume="v", bound=False), volume("v")], None),  # named, but not bound
        ([claim("c", deleted=True)], 'persistentvolumeclaim "c" is being deleted'),
        ([], 'persistentvolumeclaim "c" not found'),
    ],
)
def test_a_claim_that_should_be_bound_turns_the_pod_away(objects: list[Object], reason: str | None) -> None:
    reason = reason or "pod has unbound immediate PersistentVolumeClaims"
    assert message(objects, pod("p", "c")) == f"0/3 nodes are available: {reason}."


# Claims that wait


@pytest.mark.parametrize(
    "wrong",
    [
        {"gib": 1}, {"storage_class": "made"}, {"mode": "Block"}, {"modes": ["ReadWriteMany"]}, {"claim": "other"},
        {"phase": "Released"}, {"labels": {"tier": "b"}}, {"affinity": only("none", operator="Exists")},
    ],
)  # fmt: skip
def test_a_volume_must_fit_in_every_way(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"gib": 2, "labels": {"tier": "a"}}
    asked = claim("c", 2, tier="a")
    assert places([volume("v", **right), asked], pod("p", "c")) == ["n0"]
    assert places([volume("v", **(right | wrong)), asked], pod("p", "c")) == [None]


def test_the_smallest_volume_in_reach_is_given_and_the_first_of_equal_ones() -> None:
    objects = [
        volume("big", 9), volume("far", 2, affinity=only(ZONE, "b")), volume("one", 3), volume("two", 3), claim("c", 2),
    ]  # fmt: skip
    simulation = run([*NODES, LOCAL, *objects], [pod("p", "c", selector={ZONE: "a"})])
    binding = simulation.building.kept["VolumeBinding"]
    assert list(binding.volumes)[simulation.cluster.claim_volume[0]] == "one"
    assert simulation.cluster.volume_claim[binding.volumes["one"]] == 0


def test_a_volume_that_is_given_is_gone_for_others_and_ties_the_claim() -> None:
    objects = [volume("v", affinity=only(HOST, "n1")), claim("c"), claim("d")]
    assert places(objects, pod("p", "c"), pod("q", "d"), pod("r", "c")) == ["n1", None, "n1"]


def test_a_volume_kept_for_a_claim_goes_before_all_others_and_may_be_out_of_reach() -> None:
    kept = volume("v", 5, claim="c", affinity=only(HOST, "n2"), phase="Pending")
    assert places([volume("w"), kept, claim("c")], pod("p", "c")) == ["n2"]
    # One that is too small is as if it were not there.
    assert places([volume("w", 5), kept, claim("c", 5)], pod("p", "c")) == ["n2"]
    assert places([volume("w", 9), kept, claim("c", 6)], pod("p", "c")) == ["n0"]
    # Out of reach, the claim does not get another one; nor can one be made.
    assert places([volume("w"), kept, claim("c")], pod("p", "c", selector={HOST: "n0"})) == [None]


def test_claims_of_one_pod_do_not_share_a_volume() -> None:
    two = [claim("c", 1), claim("d", 2)]
    assert places([volume("v", 2), *two], pod("p", "c", "d")) == [None]
    # The smaller claim chooses first: of volumes that both could have, it takes the one that the larger one needs.
    assert places([volume("v", 2), volume("w", 3), *two], pod("p", "d", "c")) == ["n0"]
    assert places([volume("v", 1), volume("w", 2, affinity=only(HOST, "n1")), *two], pod("p", "d", "c")) == ["n1"]
    greedy = [volume("v", 2, affinity=only(HOST, "n0")), volume("w", 1, affinity=only(HOST, "n1")), *two]
    assert places(greedy, pod("p", "c", "d")) == [None]


def test_many_volumes_of_one_reach_serve_many_claims_of_one_pod() -> None:
    names = [f"c{row}" for row in range(4)]
    volumes = [volume(f"v{row}", affinity=only(ZONE, "b")) for row in range(4)]
    assert places([*volumes, *(claim(name) for name in names)], pod("p", *names)) == ["n2"]
    assert places([*volumes[1:], *(claim(name) for name in names)], pod("p", *names)) == [None]


def test_a_volume_is_made_where_the_class_allows_and_ties_the_claim_to_that_node() -> None:
    zoned = storage_class("zoned", zones=("b", "c"))
    assert places([zoned, claim("c", storage_class="zoned")], pod("p", "c")) == ["n2"]
    assert places([zoned, claim("c", storage_class="zoned")], pod("p", "c", selector={ZONE: "a"})) == [None]
    other = pod("q", "c", selector={HOST: "n0"})
    assert places([claim("c", storage_class="made")], pod("p", "c", selector={HOST: "n1"}), other) == ["n1", None]


def test_a_selected_node_is_kept_to() -> None:
    for selected, expected in (("n1", "n1"), ("gone", None)):
        objects = [claim("c", storage_class="made", selected=selected), volume("v", storage_class="made")]
        assert places(objects, pod("p", "c")) == [expected]


def test_a_claim_that_finds_no_volume_may_have_one_made_beside_one_that_does() -> None:
    objects = [volume("v", 1, "made", affinity=only(HOST, "n1")), *(claim(c, storage_class="made") for c in "cd")]
    simulation = run([*NODES, MADE, *objects], [pod("p", "c", "d", selector={HOST: "n1"})])
    assert simulation.cluster.claim_volume.tolist() == [0, -1]
    assert simulation.cluster.claim_node.tolist() == [-1, 1]


def test_pods_that_are_there_before_the_run_settle_nothing() -> None:
    objects = [volume("v"), claim("c"), claim("d"), pod("before", "c", on="n1")]
    assert places(objects, pod("p", "d"), pod("q", "c")) == ["n0", None]


def test_what_is_settled_stays_when_the_pod_is_evicted() -> None:
    objects = [volume("v", affinity=only(HOST, "n1")), claim("c"), claim("d")]
    pods = [
        pod("low", "c", cpu="8"),
        pod("high", cpu="8", priority=9, selector={HOST: "n1"}),
        pod("late", "d", cpu="1"),
    ]
    found = placed([*NODES, LOCAL, *objects], pods)
    assert [(f.status, f.node) for f in found] == [("scheduled", "n1"), ("preempted", "n1"), ("unschedulable", None)]


def test_no_preemption_helps() -> None:
    low = pod("low", on="n0", cpu="8")
    objects = [*NODES, LOCAL, low, claim("c")]
    found = placed(objects, [pod("high", "c", priority=9, cpu="8")])
    assert found[0].status == "unschedulable"
    assert BINDING.unresolvable == (0, 1, 2)
    assert BINDING.hint is None  # only claims, volumes and nodes wake a pod


# The kernels


def test_codes_of_sets_of_nodes() -> None:
    masks = np.array([[0, 1, 0]], np.uint8)
    assert [is_within(0, n, masks) for n in range(3)] == [False, True, False]
    assert [bool(is_within(ONE_NODE - 2, n, masks)) for n in range(3)] == [False, False, True]
    assert all(is_within(EVERYWHERE, n, masks) for n in range(3))
    assert not any(is_within(NOWHERE, n, masks) for n in range(3))


def test_compiled_and_plain_settle_the_same() -> None:
    objects = [
        *NODES, LOCAL, storage_class("made", mode=WAITS, zones=("a",)), volume("v", affinity=only(ZONE, "a")),
        volume("w", affinity=only(HOST, "n2")), volume("u", 3), claim("c"), claim("d", 2),
        claim("e", storage_class="made"), volume("x", claim="f", affinity=only(ZONE, "b")), claim("f", volume="x"),
    ]  # fmt: skip
    simulation = run(objects, [pod("p", "c", "d", "e", cpu="99"), pod("q", "c", "f", cpu="99")])
    cluster = simulation.cluster
    assert rejected(unbindable, cluster, 0) == [0, 0, 2]
    assert rejected(unbindable, cluster, 1) == [1, 1, 0]
    both(begin_trial, cluster, 0, 0)
    both(settle, cluster, 1, 2, 1)  # a trial settles nothing
    both(end_trial, cluster, 0, 0)
    assert cluster.claim_volume.tolist() == [-1, -1, -1]
    both(settle, cluster, 0, 0, 1)  # not the template that was looked at last
    both(settle, cluster, 1, 2, -1)
    assert cluster.claim_volume.tolist() == [-1, -1, -1]
    both(settle, cluster, 1, 2, 1)
    names = list(simulation.building.kept["VolumeBinding"].volumes)
    assert names[cluster.claim_volume[0]] == "w"
    assert rejected(unbindable, cluster, 0) == [2, 2, 2]


# Beside the twin


def differences(scenario: Object, *, every: bool = False) -> tuple[list[object], int]:
    """Return where a run and the twin differ: bars, verdicts of nodes, placements, victims; and the pods tried."""
    twin = Twin(scenario)
    inventory = inventory_of(scenario["objects"], scenario["pending"])
    settings = Settings(compiled=every, every=every, detailed=True)
    simulation = simulation_of(inventory, settings, given=True)
    simulation.compile()
    simulation.start()
    found: list[object] = []
    results: list[Object] = []
    for row, each in enumerate(twin.pending):
        simulation.advance(row * 1_000_000)
        verdicts = Verdicts(simulation, int(inventory.pods.template[inventory.pending[row]]))
        result = twin.schedule(each)
        if result["status"] == "nominated_failed":  # its victims are gone for nothing: what follows differs
            break
        results.append(result)
        if "filter" in result:
            said = [verdicts.status(n) for n in range(len(twin.cluster.nodes))]
            told = [(s.plugin, s.code, tuple(sorted(s.reasons))) for s in said]
            expected = [(plugin, code, tuple(sorted(reasons))) for plugin, code, reasons in result["filter"]]
            found += [(row, n, *pair) for n, pair in enumerate(zip(expected, told, strict=True)) if pair[0] != pair[1]]
        else:
            bar = verdicts.bar
            if bar is None or (bar.plugin, bar.code, bar.reasons) != result["prefilter"]:
                found.append((row, result["prefilter"], bar))
    last = len(results) * 1_000_000
    simulation.advance(last)
    simulation.finish(last)
    for outcome, result in zip(outcomes(simulation, inventory), results, strict=False):
        victims = result.get("preemption", {}).get("victims", ()) if result["status"] == "preempted" else ()
        if (outcome.status, outcome.node, outcome.victims) != (result["status"], result.get("node"), tuple(victims)):
            found.append((outcome, result["status"], result.get("node"), victims))
    return found, len(results)


@pytest.mark.parametrize("seed", range(12))
def test_random_volumes_and_pods_go_as_the_twin_says(seed: int) -> None:
    found, tried = differences(random_scenario(Random(seed)))
    assert tried > 0
    assert found == []


@pytest.mark.compiled
@pytest.mark.slow
def test_compiled_runs_go_as_the_twin_says() -> None:
    for seed in range(100, 120):
        assert differences(random_scenario(Random(seed)), every=True)[0] == [], seed
