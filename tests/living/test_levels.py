"""A controller that is stopped at some moment and started again later brings its objects to the same end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kscale import controllers
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.simulation import Simulation
from tests.living import ends
from tests.living.stage import live, play, simulation, workload
from tests.living.worlds import LAST, Drawn, settled, worlds

SECOND = 1_000_000


def sleeping(made: Simulation, name: str, point: int, seconds: int) -> Callable[[World, int], None]:
    """Return what stops a controller at a control point, and starts it again so many seconds later."""
    reconciler, seen, since = made.living.manager.reconcilers[name], 0, -1

    def look(world: World, now_us: int) -> None:
        nonlocal seen, since
        seen += 1
        if seen == point:
            reconciler.stopped, since = True, now_us
        if not reconciler.stopped:
            return
        again = since + seconds * SECOND
        if now_us >= again:
            reconciler.restart(world)
        due = world.cluster.cluster_control_us
        due[0] = min(int(due[0]), max(again, now_us + 1))

    return look


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(rough=False), st.sampled_from(sorted(controllers.found())), st.integers(1, 150), st.integers(1, LAST))
def test_a_stop_changes_nothing_in_the_end(drawn: Drawn, name: str, point: int, seconds: int) -> None:
    drawn = settled(drawn)
    try:
        whole = simulation(drawn.objects, drawn.actions, limited=drawn.limited, minutes=20)
    except InputError as error:
        assume("rollback" not in str(error) and "is paused" not in str(error))
        raise
    live(whole)
    ends.check(whole.living.world, disturbed=False)
    broken = simulation(drawn.objects, drawn.actions, limited=drawn.limited, minutes=20)
    live(broken, sleeping(broken, name, point, seconds))
    assert ends.end_state(broken.living.world) == ends.end_state(whole.living.world)


def _rollout() -> dict[str, Any]:
    objects = [workload("Deployment", "web", replicas=4), workload("StatefulSet", "db", replicas=3),
               workload("DaemonSet", "agent")]  # fmt: skip
    actions = [
        {"at": "1m", "image": {"target": f"{kind}/{name}", "containers": {"web": "web:2"}}}
        for kind, name in (("deployment", "web"), ("statefulset", "db"), ("daemonset", "agent"))
    ]
    return {"objects": objects, "actions": actions, "minutes": 20}


@pytest.mark.parametrize("name", ["deployment", "replicaset", "statefulset", "daemonset", "garbage-collector"])
def test_a_stop_in_the_middle_of_a_rollout_is_made_up_for(name: str) -> None:
    how = _rollout()
    whole = ends.end_state(play(**how).living.world)
    for point in (1, 22, 45, 80):
        broken = simulation(**how)
        assert name in broken.living.manager.reconcilers
        live(broken, sleeping(broken, name, point, 120))
        assert ends.end_state(broken.living.world) == whole, point


def test_without_its_controller_a_rollout_stands_still() -> None:
    """The stop does stop: a controller that is not started again leaves another end."""
    how = _rollout()
    broken = simulation(**how)
    live(broken, sleeping(broken, "deployment", 60, 10**6))
    assert ends.end_state(broken.living.world) != ends.end_state(play(**how).living.world)
