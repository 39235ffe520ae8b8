"""The bounds that ``--check`` looks at: each is told when it is broken, and only then."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.controllers.common.bounds import Bounds
from kscale.engine.world import World
from kscale.errors import GateError
from tests.living.stage import live, play, sets_of, simulation, workload
from tests.living.worlds import BUDGET, SERVICE


def settled() -> World:
    """Return a world at rest with a Deployment, a StatefulSet, a Job and a budget."""
    job = workload("Job", "batch", {"kscale.dev/run-time": "1h"}, completions=4, parallelism=2)
    objects = [workload("Deployment", "web", replicas=4), workload("StatefulSet", "db", replicas=2), job, BUDGET]
    return play(objects, minutes=2).living.world


def row(world: World, kind: str, name: str) -> tuple[int, int]:
    found = world.find(kind, "default", name)
    return found, int(world.cluster.object_row[found])


def test_each_broken_bound_is_told() -> None:
    world = settled()
    cluster, bounds = world.cluster, Bounds(world)
    assert bounds.violations() == []
    (old,) = sets_of(world, "web")
    at = cluster.object_row[old]
    # 25 % of 4 on top is one.
    for size, said in ((5, []), (6, ["a Deployment asks for more pods than its rollout may have"]), (6, []), (4, [])):
        cluster.replicaset_replicas[at] = size
        assert bounds.violations() == said
    for count, said in ((5, []), (6, ["a Deployment has more pods than its rollout may have"]), (6, []), (4, [])):
        cluster.object_active[old] = count
        assert bounds.violations() == said
    # And one may be missing.
    for size, said in (
        (3, []), (2, ["a Deployment gives up more available pods than its rollout may miss"]), (2, []), (4, [])
    ):  # fmt: skip
        cluster.replicaset_replicas[at] = size
        assert bounds.violations() == said
    # What crashes is not given up.
    cluster.replicaset_available_replicas[at] = 1
    assert bounds.violations() == []


def test_scaling_and_other_bounds_are_no_rollout() -> None:
    world = settled()
    cluster, bounds = world.cluster, Bounds(world)
    (old,), (_, deployment) = sets_of(world, "web"), row(world, "Deployment", "web")
    cluster.deployment_replicas[deployment] = 1
    cluster.replicaset_replicas[cluster.object_row[old]], cluster.replicaset_desired[cluster.object_row[old]] = 1, 1
    assert bounds.violations() == []


@pytest.mark.parametrize("surge", [0, 1])
def test_a_daemon_set_has_one_pod_on_a_node_and_a_second_while_it_surges(surge: int) -> None:
    unavailable = {"maxSurge": surge, "maxUnavailable": 1 - surge}
    agent = workload("DaemonSet", "agent", updateStrategy={"rollingUpdate": unavailable})
    world = play([agent], minutes=2).living.world
    cluster, said = world.cluster, ["a DaemonSet has more pods on a node than its update may have"]
    first, second, third = np.flatnonzero(cluster.life_owner >= 0).tolist()
    bounds = Bounds(world)
    assert bounds.violations() == []
    cluster.life_pin[second] = cluster.life_pin[first]
    assert bounds.violations() == ([] if surge else said)
    # What was so before is nobody's fault.
    assert bounds.violations() == []
    cluster.life_pin[third] = cluster.life_pin[first]
    assert bounds.violations() == said
    # One that is being deleted, and one that has ended, count no more.
    bounds = Bounds(world)
    cluster.life_deleted_us[second], cluster.life_phase[third] = 0, 3
    assert bounds.violations() == []
    cluster.life_deleted_us[second], cluster.life_phase[third] = -1, 1
    assert bounds.violations() == said


def test_jobs_ordinals_and_budgets() -> None:
    world = settled()
    cluster, bounds = world.cluster, Bounds(world)
    job, at = row(world, "Job", "batch")
    cluster.object_active[job] = 3
    assert bounds.violations() == ["a Job has more pods than its parallelism"]
    cluster.job_parallelism[at] = 1
    assert bounds.violations() == []
    cluster.object_active[job] = 2
    pods = np.flatnonzero(cluster.life_owner == row(world, "StatefulSet", "db")[0])
    assert cluster.life_number[pods].tolist() == [0, 1]
    cluster.life_number[pods] = 1
    assert bounds.violations() == ["two pods of a StatefulSet have one ordinal"]
    cluster.life_number[pods] = [0, 1]
    _, budget = row(world, "PodDisruptionBudget", "web")
    table = world.kinds["PodDisruptionBudget"].table
    for allowed in (4, -1):
        cluster.columns[f"{table}_allowed"][budget] = allowed
        assert bounds.violations() == ["a disruption budget allows evictions that it cannot bear"]


def test_a_run_under_check_stops_at_the_first() -> None:
    made = simulation([workload("Deployment", "web", replicas=4)], minutes=2)
    seen = 0

    def look(world: World, _: int) -> None:
        nonlocal seen
        seen += 1
        if seen == 12:
            world.cluster.replicaset_replicas[world.cluster.object_row[sets_of(world, "web")]] = 9

    with pytest.raises(GateError, match=r"an invariant does not hold at \d+ us: a Deployment asks for more pods"):
        live(made, look)


def test_evictions_never_take_a_budget_below_what_it_needs() -> None:
    """Somebody asks for the eviction of every pod again and again; one of four has to be healthy."""
    evicting = {"every": 7, "from": 30, "until": 100, "evict": "deployment/web"}
    made = simulation([workload("Deployment", "web", replicas=4), SERVICE, BUDGET], [evicting], minutes=4)
    least = 4

    def look(world: World, now_us: int) -> None:
        nonlocal least
        if now_us >= 30_000_000:
            least = min(least, int(world.cluster.object_ready[sets_of(world, "web")].sum()))

    world = live(made, look).living.world
    _, budget = row(world, "PodDisruptionBudget", "web")
    granted, refused = (
        int(world.cluster.columns[f"{world.kinds['PodDisruptionBudget'].table}_{name}"][budget])
        for name in ("granted", "refused")
    )
    assert least == 1 and granted > 8 and refused > 0
    assert (made.pods()["status"] == "deleted").sum() == granted
