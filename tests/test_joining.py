"""What rooms tell each other in columns: limits and zones at the start, budgets at control points."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.joining import UNLIMITED, ZONE, Budgets, fill
from kscale.node.manifests import life_of
from kscale.state.descriptions import DisruptionBudget, NodeDescriptions, PodTemplate
from kscale.state.labels import Labels
from kscale.state.lives import PodLife
from kscale.state.manifests.selectors import equality_selector
from tests.controllers.world import Hand


def test_limits_and_zones_are_filled() -> None:
    zones = [{ZONE: "b"}, {}, {ZONE: "a", "x": "y"}, {ZONE: "b"}]
    nodes = NodeDescriptions(("n0", "n1", "n2", "n3"), Labels(zones), ((),), np.zeros(4, np.int32), np.zeros(4, bool))
    hand = Hand("endpointslice")
    fill(hand.cluster, [PodTemplate(), PodTemplate(life=PodLife(cpu_limit_milli=250))], nodes)
    assert hand.cluster.template_cpu_limit_milli[:3].tolist() == [0, 250, 0]
    assert hand.cluster.node_zone[:5].tolist() == [1, -1, 0, 1, -1]
    assert not hand.cluster.node_control_plane.any()


@pytest.mark.parametrize("label", ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"])
def test_nodes_of_the_control_plane_are_told_by_either_label(label: str) -> None:
    nodes = NodeDescriptions(
        ("n0", "n1"), Labels([{ZONE: "a"}, {label: ""}]), ((),), np.zeros(2, np.int32), np.zeros(2, bool)
    )
    hand = Hand("endpointslice")
    fill(hand.cluster, [PodTemplate()], nodes)
    assert hand.cluster.node_control_plane[:3].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (b'{"containers": [{"resources": {"limits": {"cpu": "250m"}}}, {"resources": {"limits": {"cpu": 1}}}]}', 1250),
        (b'{"containers": [{"resources": {"limits": {"cpu": "250m"}}}, {"name": "b"}]}', 0),
        (b'{"containers": [{"resources": {"limits": {"memory": "1Gi"}}}]}', 0),
        (b'{"containers": [{"resources": {"limits": {"cpu": 1}}}], "initContainers": [{"name": "a"}]}', 1000),
        (b'{"containers": [{"name": "a"}], "resources": {"limits": {"cpu": 2}}}', 2000),
    ],
)
def test_a_pod_has_a_limit_of_cpu_where_all_of_its_containers_do(spec: bytes, expected: int) -> None:
    assert life_of(spec, {}).cpu_limit_milli == expected


def test_budgets_are_mirrored_and_costs_of_clearing_forgotten_only_where_one_changes() -> None:
    hand = Hand("disruption")
    cluster, world = hand.cluster, hand.world
    web, api = equality_selector({"app": "web"}), equality_selector({"app": "api"})
    # The first budget has the one selector, and later the other; the last one is never made.
    told = [("web", web), ("web", api), ("api", api), ("none", web)]
    budgets = [DisruptionBudget(name, "default", selector, 0) for name, selector in told]
    cluster.resize("budget", 4)
    cluster.resize("clearing", 2)
    world.selections = [np.empty(0, np.int64)] * 2
    mirrored = Budgets(world, budgets, [web, api])
    first = hand.make("PodDisruptionBudget", "web", selection=0, least=1)
    second = hand.make("PodDisruptionBudget", "api", selection=1, least=1)

    def allowed(**by_now: int) -> list[int]:
        for object_, name in ((first, "web"), (second, "api")):
            cluster.poddisruptionbudget_allowed[cluster.object_row[object_]] = by_now[name]
        cluster.clearing_cursor[:] = 7
        mirrored.mirror()
        return [-1 if one == UNLIMITED else one for one in cluster.budget_allowed.tolist()]

    def forgotten() -> bool:
        assert len(set(cluster.clearing_cursor.tolist())) == 1
        return bool(cluster.clearing_cursor[0] < 0)

    assert allowed(web=2, api=0) == [2, -1, 0, -1]
    assert forgotten()
    assert allowed(web=2, api=0) == [2, -1, 0, -1]
    assert not forgotten()
    assert allowed(web=1, api=3) == [1, -1, 3, -1]
    assert forgotten()
    hand.write(first, selection=1)
    world.versions["PodDisruptionBudget"] += 1
    assert allowed(web=1, api=3) == [-1, 1, 3, -1]
    cluster.object_live[second] = 2
    world.versions["PodDisruptionBudget"] += 1
    assert allowed(web=1, api=3) == [-1, 1, -1, -1]
