"""A pod's life on its node: where its start goes, how it ends, what its kubelet may call, and few looks."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.engine.clock import NEVER
from kscale.engine.living import HAS_FINISHED, HAS_STOPPED
from kscale.kernels import plain_form
from kscale.node import runtimes
from kscale.node.columns import STEPS
from kscale.node.starting import ENDED
from kscale.node.stopping import exit_after
from kscale.state.lives import ALWAYS_RESTART, INIT, NEVER_RESTART, ON_FAILURE, SIDECAR, ContainerLife, PodLife, Probe
from tests.node.world import NOTHING, SECOND, Kubelets

WEB = PodLife(
    (
        ContainerLife("setup", kind=INIT, restart=ON_FAILURE, image="a", run_us=2 * SECOND),
        ContainerLife("mesh", kind=SIDECAR, image="b", startup=Probe(period_us=SECOND, failure=9), ready_us=3 * SECOND),
        ContainerLife("web", image="c", readiness=Probe(), ready_us=4 * SECOND),
    ),
    mounts=2,
    layers=tuple((name, ((name, 100_000_000),)) for name in "abc"),
)


@pytest.mark.parametrize("name", sorted(runtimes.found()))
def test_the_steps_of_a_start_add_up(name: str) -> None:
    kubelets = Kubelets(WEB, PodLife(mounts=1), runtime=runtimes.found()[name])
    for template in (0, 1, 0):
        kubelets.bind(template)
    kubelets.run(100 * SECOND)
    cluster = kubelets.cluster
    assert cluster.life_ready[:3].tolist() == [1, 1, 1]
    steps = cluster.life_spent_us[:3]
    assert steps.sum(axis=1).tolist() == cluster.life_ready_us[:3].tolist()
    assert steps[:, : STEPS.index("readiness")].sum(axis=1).tolist() == cluster.pod_started_us[:3].tolist()
    assert cluster.startup_sum_us.tolist() == steps.sum(axis=0).tolist()
    assert cluster.startup_count.tolist() == [3] * len(STEPS)
    assert cluster.startup_bucket.sum(axis=1).tolist() == [3] * len(STEPS)
    # 5 ms until it is seen are below 8 ms; the sandbox's time is the runtime's.
    assert cluster.startup_bucket[0].tolist()[:4] == [0, 0, 0, 3]
    chosen = runtimes.found()[name]
    assert steps[0, STEPS.index("sandbox")] == chosen.sandbox_us + chosen.cni_add_us
    assert steps[0, STEPS.index("volumes")] == 300_000


def test_few_looks() -> None:
    kubelets = Kubelets(PodLife((ContainerLife(readiness=Probe(), ready_us=SECOND),), mounts=1))
    pod = kubelets.bind()
    kubelets.run(100 * SECOND)
    kubelets.delete(pod)
    kubelets.run()
    assert kubelets.looks == 4
    assert kubelets.cluster.life_stage[pod] == ENDED


def test_a_look_that_comes_too_early_changes_nothing() -> None:
    kubelets = Kubelets(WEB)
    pod = kubelets.bind()
    while kubelets.now < 60 * SECOND:
        due = int(kubelets.cluster.life_due_us[pod])
        if due >= NEVER:
            break
        before = {name: column.copy() for name, column in kubelets.cluster.columns.items()}
        kubelets.now = (kubelets.now + due) // 2
        if kubelets.now < due:
            assert kubelets.look(pod) == 0
        changed = [name for name, old in before.items() if not np.array_equal(old, kubelets.cluster.columns[name])]
        assert set(changed) <= {"cluster_now_us"}
        kubelets.run(due)
    assert kubelets.cluster.life_ready[pod] == 1


def test_a_pod_that_runs_its_time_succeeds_and_one_that_fails_does_not() -> None:
    well, badly = (
        ContainerLife(restart=NEVER_RESTART, run_us=5 * SECOND),
        ContainerLife(restart=NEVER_RESTART, run_us=5 * SECOND, exit_code=3),
    )
    kubelets = Kubelets(PodLife((well,), NEVER_RESTART), PodLife((well, badly), NEVER_RESTART), relist_us=1, watch_us=0)
    kubelets.bind(0)
    kubelets.bind(1)
    kubelets.bind(0, duration_us=9 * SECOND)
    kubelets.run()
    ends = [(time, pod, phase) for time, pod, what, phase, _ in kubelets.log if what == HAS_FINISHED]
    assert ends == [(5 * SECOND, 0, 2), (5 * SECOND, 1, 3), (9 * SECOND, 2, 2)]
    assert kubelets.cluster.life_exit_code[:3].tolist() == [0, 3, 0]


def test_the_runtime_is_looked_at_each_second_at_the_nodes_own_time() -> None:
    kubelets = Kubelets(PodLife(), nodes=8, watch_us=0)
    for node in range(8):
        kubelets.bind(node=node)
    kubelets.run(5 * SECOND)
    seen = [time for time, *_ in sorted(kubelets.log, key=lambda entry: entry[1])]
    assert seen == kubelets.cluster.node_relist_us.tolist()
    assert len(set(seen)) > 3 and all(time % 100_000 == 0 and time < SECOND for time in seen)
    told = Kubelets(PodLife(), watch_us=0, evented=1)
    told.bind()
    told.run(5 * SECOND)
    assert told.log[0][0] == 0


@pytest.mark.parametrize(
    ("hook", "turn", "stop", "grace", "expected"),
    [
        (0, 0, 5, 30, 5),
        (0, 0, 50, 30, 30),
        (10, 0, 50, 30, 30),
        (29, 0, 50, 30, 31),
        (40, 0, 50, 30, 32),
        (0, 0, 50, 1, 2),
        (0, 12, 5, 30, 17),
        (0, 40, 50, 30, 32),
    ],
)
def test_hook_and_stop_are_within_the_grace_but_for_two_seconds(
    hook: int, turn: int, stop: int, grace: int, expected: int
) -> None:
    assert plain_form(exit_after)(hook, turn, stop, grace, 2) == expected


def test_sidecars_stop_last_and_in_reverse() -> None:
    life = PodLife(
        (
            ContainerLife(kind=SIDECAR, stop_us=2 * SECOND),
            ContainerLife(kind=SIDECAR, stop_us=4 * SECOND),
            ContainerLife(stop_us=7 * SECOND),
        )
    )
    kubelets = Kubelets(life, watch_us=0)
    pod = kubelets.bind()
    kubelets.run(50 * SECOND)
    kubelets.delete(pod)
    kubelets.run()
    assert kubelets.log[-1][:3] == (63 * SECOND, pod, HAS_STOPPED)


def test_a_shorter_grace_ends_a_pod_sooner_and_none_at_once() -> None:
    kubelets = Kubelets(PodLife((ContainerLife(stop_us=60 * SECOND),)), watch_us=0)
    pods = [kubelets.bind() for _ in range(3)]
    kubelets.run(10 * SECOND)
    for pod in pods:
        kubelets.delete(pod)
    kubelets.run(15 * SECOND)
    kubelets.cluster.life_grace_us[pods[1]] = 10 * SECOND
    kubelets.cluster.life_grace_us[pods[2]] = 0
    for pod in pods[1:]:
        kubelets.module.stop(pod, kubelets.now, kubelets.table)
    kubelets.run()
    ends = {pod: time for time, pod, what, *_ in kubelets.log if what == HAS_STOPPED}
    assert ends == {pods[0]: 40 * SECOND, pods[1]: 20 * SECOND, pods[2]: 15 * SECOND}


def test_sidecars_stop_when_the_others_are_done() -> None:
    life = PodLife(
        (
            ContainerLife(kind=SIDECAR, stop_us=3 * SECOND),
            ContainerLife(restart=NEVER_RESTART, run_us=10 * SECOND),
        ),
        NEVER_RESTART,
    )
    kubelets = Kubelets(life, watch_us=0, relist_us=1)
    kubelets.bind()
    kubelets.run()
    assert kubelets.log[-1][:4] == (13 * SECOND, 0, HAS_FINISHED, 2)


def test_a_static_pod_runs_on_when_its_mirror_is_deleted() -> None:
    kubelets = Kubelets(PodLife(static=True))
    pod = kubelets.bind()
    kubelets.run(10 * SECOND)
    kubelets.delete(pod)
    kubelets.run()
    assert kubelets.cluster.life_deleted_us[pod] == -1
    assert (kubelets.read("life_phase", pod), kubelets.read("life_ready", pod)) == (1, 1)


def test_fifty_calls_a_second_after_a_hundred_at_once() -> None:
    kubelets = Kubelets(PodLife(), nodes=1, pods=256, watch_us=0)
    for _ in range(150):
        kubelets.bind()
    kubelets.run(20 * SECOND)
    told = sorted(time for time, *_ in kubelets.log)
    # Each pod takes a call when it is seen; those have used the burst and 1 s more when the runtime is looked at.
    at = kubelets.read("node_relist_us", 0)
    full = 150 * 20_000
    assert told == [max(at, full + number * 20_000 - 99 * 20_000) for number in range(150)]


def test_a_claim_is_attached_when_its_last_node_has_given_it_back() -> None:
    life = PodLife(claims=("default/data",))
    kubelets = Kubelets(
        life, watch_us=0, attach_us=2 * SECOND, mount_us=SECOND, unmount_us=SECOND, detach_us=4 * SECOND, reconcile_us=0
    )
    first = kubelets.bind(node=0)
    kubelets.run(10 * SECOND)
    assert kubelets.read("life_worker_us", first) == 3 * SECOND
    second = kubelets.bind(node=1)
    kubelets.run(20 * SECOND)
    assert kubelets.read("life_worker_us", second) == -1
    kubelets.delete(first)
    kubelets.run(60 * SECOND)
    # Stopped and unmounted at 21 s; detached 5 s later; then attached and mounted, as the next look sees.
    gone = next(time for time, pod, what, *_ in kubelets.log if what == HAS_STOPPED)
    assert gone == 21 * SECOND
    assert 29 * SECOND <= kubelets.read("life_worker_us", second) <= 29 * SECOND + 300_000
    kubelets.cluster.node_silent[1] = 1
    kubelets.delete(second)
    kubelets.run(1000 * SECOND)
    assert kubelets.cluster.life_due_us[second] >= NEVER
    kubelets.cluster.cluster_now_us[0] = kubelets.now
    kubelets.module.leave(second, kubelets.table)
    assert kubelets.read("attached_free_us", 0) == kubelets.now + 360 * SECOND


def test_claims_that_a_pod_has_for_itself_are_attached_and_mounted_too() -> None:
    durations = {"watch_us": 0, "attach_us": 2 * SECOND, "mount_us": SECOND, "unmount_us": SECOND, "reconcile_us": 0}
    kubelets = Kubelets(PodLife(own_claims=2), **durations)
    pods = [kubelets.bind(node=node) for node in (0, 1)]
    kubelets.run(10 * SECOND)
    # Each of the two has its own: neither waits for the other.
    assert [kubelets.read("life_worker_us", pod) for pod in pods] == [3 * SECOND, 3 * SECOND]
    kubelets.delete(pods[0])
    kubelets.run(20 * SECOND)
    assert next(time for time, _, what, *_ in kubelets.log if what == HAS_STOPPED) == 11 * SECOND


def test_what_ran_before_the_run_is_ready_and_runs_on() -> None:
    kubelets = Kubelets(WEB, PodLife((ContainerLife(restart=NEVER_RESTART),), NEVER_RESTART), relist_us=1)
    for template in (0, 1):
        pod = kubelets.bind(template, duration_us=5 * SECOND if template else -1)
        kubelets.module.resume(pod, 0, 0, kubelets.table)
    assert kubelets.cluster.life_ready[:2].tolist() == [1, 1]
    kubelets.run(60 * SECOND)
    assert kubelets.log == [(5 * SECOND, 1, HAS_FINISHED, 2, 0)]


@pytest.mark.compiled
def test_compiled_and_plain_are_equal() -> None:
    crashing = PodLife(
        (ContainerLife(crash_mean_us=20 * SECOND, crash_millionths=200_000, readiness=Probe(), hang_us=15 * SECOND),)
    )
    logs = []
    for compiled in (False, True):
        kubelets = Kubelets(WEB, crashing, nodes=4, compiled=compiled, runtime=runtimes.found()["docker"])
        for number in range(24):
            kubelets.now = number * 700_000
            kubelets.bind(number % 2, number % 4)
        kubelets.run(100 * SECOND)
        for pod in range(0, 24, 3):
            kubelets.delete(pod)
        kubelets.run(300 * SECOND)
        assert len(kubelets.log) > 100
        logs.append((kubelets.log, kubelets.looks, kubelets.cluster.startup_sum_us.tolist()))
    assert logs[0] == logs[1]


def test_every_pod_restarts_its_own_way() -> None:
    life = PodLife((ContainerLife(restart=ALWAYS_RESTART, crash_mean_us=20 * SECOND),))
    first, second = (Kubelets(life, seed=seed, runtime=NOTHING) for seed in (1, 2))
    for kubelets in (first, second):
        for _ in range(8):
            kubelets.bind()
        kubelets.run(200 * SECOND)
    assert len({time for time, *_ in first.log}) > 8
    assert first.log != second.log


def test_an_address_is_told_while_init_containers_run_and_at_once_on_the_hosts_network() -> None:
    waiting = PodLife((ContainerLife("setup", kind=INIT, restart=ON_FAILURE, run_us=30 * SECOND), ContainerLife("web")))
    own = PodLife((ContainerLife("web"),), host_network=True)
    kubelets = Kubelets(waiting, own, PodLife(), nodes=1)
    init, host, plain = (kubelets.bind(template) for template in range(3))
    kubelets.run(5 * SECOND)
    cluster = kubelets.cluster
    assert cluster.life_phase[[init, host, plain]].tolist() == [0, 1, 1]
    assert cluster.life_addressed[[init, host, plain]].tolist() == [1, 1, 1]
    # Seen 5 ms after it was bound; others when their kubelet has looked at the runtime.
    assert kubelets.addressed[host] == 5_000
    assert kubelets.addressed[init] == kubelets.addressed[plain] == int(cluster.pod_started_us[plain])
    kubelets.run(40 * SECOND)
    assert cluster.life_ready[init] == 1
