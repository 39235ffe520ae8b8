"""When probes run, by the table of doProbe's own tests (pkg/kubelet/prober): what a pod's state makes of its probes.

Each row is a pod whose probes would tell something else, or kill it, if they ran on or counted on.
"""

from __future__ import annotations

from typing import Any

import pytest

from kscale.engine.clock import NEVER
from kscale.engine.living import HAS_FINISHED, HAS_STOPPED
from kscale.engine.objects import FAILED, PENDING, RUNNING_PHASE
from kscale.state.lives import NEVER_RESTART, ContainerLife, PodLife, Probe
from tests.node.world import SECOND, Kubelets

#: A probe that runs each second, and whose first failure counts.
EACH = Probe(period_us=SECOND, failure=1)
KINDS = ("startup", "liveness", "readiness")
#: Well after all that happens.
LATE = 200 * SECOND


def kubelets(*containers: ContainerLife, policy: int = 2, **more: Any) -> Kubelets:
    made = Kubelets(PodLife(containers, policy, **more), nodes=1, relist_us=SECOND, watch_us=0, requeue_us=0)
    made.bind()
    return made


def told(made: Kubelets) -> list[tuple[int, int, int]]:
    """When, phase and ready of each status that was told, in seconds."""
    return [(time // SECOND, phase, ready) for time, _, _, phase, ready in made.log]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_status_it_goes_on_and_has_no_result(kind: str) -> None:
    """A container that is not there yet for 30 s neither fails by that, nor is its pod ready; then it is probed."""
    life = PodLife((ContainerLife(image="a", **{kind: EACH}),), layers=(("a", (("a", 30),)),))
    made = Kubelets(life, nodes=1, relist_us=SECOND, watch_us=0, pull_bytes_per_s=1)
    made.bind()
    made.run(29 * SECOND)
    assert (made.read("life_phase", 0), made.read("life_ready", 0), made.log) == (PENDING, 0, [])
    made.run(LATE)
    assert (made.read("life_phase", 0), made.read("life_ready", 0)) == (RUNNING_PHASE, 1)
    assert made.read("life_restarts", 0) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_pod_that_has_failed_it_stops(kind: str) -> None:
    life = ContainerLife(restart=NEVER_RESTART, run_us=10 * SECOND, exit_code=1, **{kind: EACH})
    made = kubelets(life, policy=NEVER_RESTART)
    made.run(LATE)
    assert made.log[-1][2:] == (HAS_FINISHED, FAILED, 0)
    assert made.log[-1][0] < 13 * SECOND
    assert made.read("life_due_us", 0) == NEVER


@pytest.mark.parametrize("kind", ["startup", "liveness"])
def test_of_a_pod_that_is_deleted_it_stops_and_nothing_is_killed_by_it(kind: str) -> None:
    """It would fail 4 s after the deletion (and does without one); its container takes 20 s to stop."""
    life = ContainerLife(stop_us=20 * SECOND, hang_us=-1, ready_us=1 << 40, **{kind: Probe(0, SECOND, SECOND, 1, 10)})
    if kind == "liveness":
        life = ContainerLife(stop_us=20 * SECOND, hang_us=10 * SECOND, liveness=Probe(0, SECOND, SECOND, 1, 1))
    alone = kubelets(life, grace_us=30 * SECOND)
    alone.run(60 * SECOND)
    assert alone.read("life_restarts", 0) > 0
    made = kubelets(life, grace_us=30 * SECOND)
    made.run(7 * SECOND)
    made.delete(0)
    made.run(LATE)
    time, _, what, _, _ = made.log[-1]
    assert (time // SECOND, what, made.read("life_restarts", 0)) == (27, HAS_STOPPED, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_while_a_container_waits_it_goes_on_and_has_failed(kind: str) -> None:
    """Exited at 20 s, it is started anew at once; exited again, it waits for 10 s, and is probed again after that."""
    made = kubelets(ContainerLife(run_us=20 * SECOND, exit_code=1, **{kind: EACH}))
    made.run(45 * SECOND)
    assert (made.read("life_phase", 0), made.read("life_ready", 0)) == (RUNNING_PHASE, 0)
    made.run(59 * SECOND)
    (away, _, _), (back, _, _) = told(made)[-2:]
    assert 40 <= away <= 42 and 50 <= back <= 53
    assert (made.read("life_phase", 0), made.read("life_ready", 0), made.read("life_restarts", 0)) == (1, 1, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_container_that_has_ended_for_good_it_stops_and_has_failed(kind: str) -> None:
    """The other container runs on, so that the pod does, and is never ready again."""
    ends = ContainerLife(restart=NEVER_RESTART, run_us=20 * SECOND, **{kind: EACH})
    made = kubelets(ends, ContainerLife(restart=NEVER_RESTART), policy=NEVER_RESTART)
    made.run(LATE)
    assert [one[1:] for one in told(made)][-2:] == [(RUNNING_PHASE, 1), (RUNNING_PHASE, 0)]
    assert (made.read("life_restarts", 0), made.read("life_due_us", 0)) == (0, NEVER)
