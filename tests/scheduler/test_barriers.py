"""Barriers: anti-affinity by hostname is answered by lanes, and chooses what the full scan chooses."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kscale.scheduler.barriers import bar_lanes, open_barriers
from kscale.scheduler.counting import count_pod
from kscale.state.intake import Sizes
from tests.engine.columns import call, small
from tests.object_worlds import HOSTNAME, ZONE
from tests.scheduler.test_classes import HOW, fields, simulation

#: Sizes in which two pods on nodes of their own are enough for barriers.
FEW = Sizes(alone=2)


def term(app: int, key: str = HOSTNAME) -> dict[str, Any]:
    """A term that selects an app."""
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": f"app-{app}"}}}


def pod(app: int, affinity: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A pod of an app."""
    requests = {"cpu": f"{100 + 50 * app}m", "memory": "64Mi"}
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "pod", "namespace": "default", "labels": {"app": f"app-{app}"}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}], "affinity": affinity, **spec},
    }  # fmt: skip


def apart(*terms: dict[str, Any]) -> dict[str, Any]:
    """Required anti-affinity."""
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}


def world(seed: int, kinds: list[dict[str, Any]], *, nodes: int, pods: int) -> dict[str, Any]:
    """Nodes in three zones, one in five without a hostname, and pods of some kinds in random order."""
    draw, made = random.Random(seed), []
    for number in range(nodes):
        labels = {ZONE: f"z{number % 3}"} | ({} if draw.randrange(5) == 0 else {HOSTNAME: f"n{number}"})
        room = {"cpu": str(draw.randint(1, 4)), "memory": "8Gi", "pods": "20"}
        made.append({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{number}", "labels": labels},
            "status": {"allocatable": room, "capacity": room},
        })  # fmt: skip
    pending = []
    for number in range(pods):
        kind = draw.choice(kinds)
        pending.append({**kind, "metadata": {**kind["metadata"], "name": f"p{number}"}})
    return {"objects": made, "pending": pending}


@pytest.mark.plain
@settings(max_examples=15)
@example(seed=318, given_order=False, every=False)
@given(seed=st.integers(0, 1 << 32), given_order=st.booleans(), every=st.booleans())
def test_barriers_choose_as_the_scan_does(seed: int, given_order: bool, every: bool) -> None:
    spread = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 9, "podAffinityTerm": term(1)}]}
    kinds = [
        pod(0, apart(term(0))),
        pod(1, apart(term(1), term(0))),
        # Searched by groups as well: by zone, or by what it likes.
        pod(2, apart(term(2), term(0, ZONE))),
        pod(2, apart(term(2)), topologySpreadConstraints=[spread | {"labelSelector": {}}]),
        pod(0, apart(term(0)) | {"podAffinity": preferred}),
        pod(1, {}),
    ]
    scenario = world(seed, kinds, nodes=3 + seed % 12, pods=60)
    how = replace(HOW, inflate=given_order, every=every)
    by_scan = fields(simulation(scenario, replace(how, memo=False), seed))
    by_index = simulation(scenario, replace(how, check=True), seed, FEW)
    assert fields(by_index) == by_scan
    assert by_index.cluster.sizes["guarded"] == by_index.cluster.sizes["spot"]


@pytest.mark.plain
def test_what_only_bars_is_not_searched_by_groups() -> None:
    kinds = [pod(0, apart(term(0))), pod(1, apart(term(1), term(1, ZONE))), pod(2, {})]
    scenario = world(1, kinds, nodes=40, pods=90)
    run = simulation(scenario, replace(HOW, inflate=True, check=True), 1, FEW)
    fields(run)
    cluster = run.cluster
    hosted = (cluster.template_hosted_last - cluster.template_hosted_first).tolist()
    # The third is of no interest to anybody. The second is kept off whole zones too, and still not off single nodes.
    assert sorted(zip(cluster.template_grouped.tolist(), hosted, strict=True)) == [(0, 0), (0, 0), (1, 0)]
    assert int(cluster.cluster_found[0]) > 20


@pytest.mark.plain
def test_few_pods_stay_with_the_groups() -> None:
    scenario = world(2, [pod(0, apart(term(0)))], nodes=12, pods=10)
    run = simulation(scenario, replace(HOW, inflate=True, check=True), 2, Sizes(alone=10))
    fields(run)
    assert run.cluster.sizes["guarded"] == 0
    assert run.cluster.template_grouped.tolist() == [1]


@pytest.mark.parametrize("compiled", [True, False])
def test_pods_come_and_go(compiled: bool) -> None:
    cluster = small(
        node=3, spot=4, guarded=4, lane=2, ask=2, counter=2, segment=2, tally=192, topology=1, barrier=2, barring=2
    )
    cluster.topology_domain[0], cluster.topology_node[0, :3] = range(3), range(3)
    cluster.counter_first[:], cluster.counter_single[:], cluster.counter_nodemask[:] = [0, 1], 1, -1
    cluster.template_counting_first[:2], cluster.template_counting_last[:2] = [0, 1], [1, 2]
    cluster.counting_counter[:2] = [0, 1]
    cluster.node_spot[:] = [2, 0, 1]
    # Ask 0 is kept off by both counters, ask 1 by none.
    cluster.ask_barrier_last[0], cluster.barrier_counter[:] = 2, [0, 1]
    cluster.counter_barring_first[:], cluster.counter_barring_last[:] = [0, 1], [1, 2]
    cluster.barring_ask[:] = 0
    for template, node in ((0, 0), (0, 0), (1, 0), (1, 2)):
        call(count_pod, cluster, template, node, 1, compiled=compiled)
    cluster.template_ask[0], cluster.ask_lane[0] = 0, 1
    cluster.spot_barriers[:] = 7
    call(open_barriers, cluster, 0, 1, compiled=compiled)
    assert cluster.spot_barriers[:, 1].tolist() == [0, 1, 2, 0]
    assert cluster.spot_barriers[:, 0].tolist() == [7] * 4
    found = []
    for template, node, sign in ((1, 1, 1), (0, 0, -1), (0, 0, -1), (1, 0, -1), (1, 1, -1)):
        call(count_pod, cluster, template, node, sign, compiled=compiled)
        found.append(cluster.spot_barriers[:, 1].tolist())
    assert found == [[1, 1, 2, 0], [1, 1, 2, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 0, 0]]
    cluster.lane_reject[:] = 0
    call(bar_lanes, cluster, 2, 2, compiled=compiled)
    assert cluster.lane_reject.tolist() == [1, 1]
    cluster.spot_barriers[:, 0], cluster.lane_reject[:] = 0, 0
    call(bar_lanes, cluster, 0, 2, compiled=compiled)
    assert np.asarray(cluster.lane_reject).tolist() == [0, 0]
