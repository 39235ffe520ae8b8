"""The kubelet's kernels against one that goes through time step by step, on random pods."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from kscale.engine.living import HAS_FINISHED, HAS_STOPPED
from kscale.node.runtimes import Runtime
from kscale.node.surroundings import Surroundings
from kscale.state.lives import (
    ALWAYS_RESTART,
    INIT,
    NEVER_RESTART,
    ON_FAILURE,
    REGULAR,
    SIDECAR,
    ContainerLife,
    PodLife,
    Probe,
)  # fmt: skip
from tests.node.world import SECOND, Kubelets
from tests.twin import kubelet as twin

SIZES = {"a": 50_000_000, "b": 20_000_000, "c": 0}
END = 130 * SECOND
PROBES = st.none() | st.builds(
    Probe,
    delay_us=st.sampled_from([0, 0, 3, 7]).map(lambda s: s * SECOND),
    period_us=st.sampled_from([1, 3, 10]).map(lambda s: s * SECOND),
    timeout_us=st.just(SECOND),
    failure=st.integers(1, 3),
)
TENTHS = st.sampled_from([0, 100_000, 700_000, SECOND, 3_500_000, 12 * SECOND, 45 * SECOND])


@st.composite
def lives(draw: Any) -> PodLife:
    policy = draw(st.sampled_from([NEVER_RESTART, ON_FAILURE, ALWAYS_RESTART]))
    containers = []
    for kind in [*draw(st.lists(st.sampled_from([INIT, SIDECAR]), max_size=2)),
                 *[REGULAR] * draw(st.integers(1, 2))]:  # fmt: skip
        init = NEVER_RESTART if policy == NEVER_RESTART else ON_FAILURE
        restart = {INIT: init, SIDECAR: ALWAYS_RESTART, REGULAR: policy}[kind]
        probes: dict[str, Any] = {}
        if kind != INIT:
            probes = {"startup": draw(PROBES), "liveness": draw(PROBES), "readiness": draw(PROBES)}
            if probes["readiness"] is not None and draw(st.booleans()):
                ready = probes["readiness"]
                probes["readiness"] = Probe(ready.delay_us, ready.period_us, ready.timeout_us, 3, ready.failure)
        leaks = draw(st.sampled_from([0, 0, 0, 10]))
        containers.append(
            ContainerLife(
                kind=kind, image=draw(st.sampled_from("abc")), always_pulls=draw(st.booleans()), restart=restart,
                **probes, prestop_us=draw(TENTHS), stop_us=draw(TENTHS), ready_us=draw(TENTHS),
                run_us=draw(TENTHS) if kind == INIT else draw(st.just(-1) | TENTHS),
                exit_code=draw(st.sampled_from([0, 0, 1])), hang_us=draw(st.just(-1) | TENTHS),
                memory=100 * leaks, growth=10 * leaks, limit=max(200 * leaks - 1, 0),
                pull_failures=draw(st.integers(0, 2)),
            )
        )  # fmt: skip
    return PodLife(
        tuple(containers), policy, grace_us=draw(st.sampled_from([1, 5, 30])) * SECOND, mounts=draw(st.integers(0, 1)),
        layers=tuple((image, ((image, size),)) for image, size in SIZES.items()),
    )  # fmt: skip


def last_of_each(log: list[tuple[int, int, Any]]) -> list[tuple[int, int, Any]]:
    """Keep what was told last at each instant of each pod, and drop what was told before."""
    found: dict[tuple[int, int], Any] = {}
    for time, pod, what in log:
        found[time, pod] = what
    told: dict[int, Any] = {}
    kept = []
    for (time, pod), what in sorted(found.items(), key=lambda item: item[0]):
        if told.get(pod, (0, 0)) != what:
            kept.append((time, pod, what))
        told[pod] = what
    return kept


#: From when until when the registry fails, or is ten times slower.
Trouble = tuple[int, int, bool]


def by_kernels(pods: list[tuple[int, PodLife]], deletions: dict[int, int], seed: int, trouble: Trouble) -> Any:
    runtime = Runtime("steps", 300_000, 0, 0, 100_000, pull_us=200_000, stop_us=0, stop_sandbox_us=200_000)
    kubelets = Kubelets(
        *(life for _, life in pods), nodes=1, seed=seed, runtime=runtime, watch_us=0, requeue_us=0, call_burst=100_000,
        pull_burst=100_000, reconcile_us=0, mount_poll_us=300_000, pull_bytes_per_s=10_000_000,
        unpack_bytes_per_s=20_000_000,
    )  # fmt: skip
    surroundings = Surroundings(kubelets.cluster, ())
    begin, end, fails = trouble
    times = sorted({time for time, _ in pods} | set(deletions.values()) | {begin, end})
    for time in times:
        kubelets.run(time - 1)
        kubelets.now = time
        worse = {"registry_failing": 1.0} if fails else {"registry_bandwidth": 0.1}
        surroundings.apply(worse if begin <= time < end else {}, {})
        for number, (bound, _) in enumerate(pods):
            if bound == time:
                kubelets.bind(number)
        for number, deleted in deletions.items():
            if deleted == time and pods[number][0] <= time and kubelets.cluster.life_stage[number] < 7:
                kubelets.delete(number)
    kubelets.run(END)
    words = {HAS_FINISHED: ("", "", "Succeeded", "Failed"), HAS_STOPPED: ("Stopped",) * 4}
    log = [
        (time, pod, words[what & 6][phase] if what & 6 else (phase, ready))
        for time, pod, what, phase, ready in kubelets.log
    ]
    return kubelets, last_of_each(log)


def by_steps(pods: list[tuple[int, PodLife]], deletions: dict[int, int], phase_us: int, trouble: Trouble) -> Any:
    node = twin.Node(
        relist_us=SECOND, phase_us=phase_us, pull_us=200_000, rate=10_000_000, unpack=20_000_000, sizes=SIZES,
        start_us=100_000, sandbox_us=300_000, mount_us=0, stop_us=200_000,
    )  # fmt: skip
    for time in range(0, END + 1, twin.STEP):
        for bound, life in pods:
            if bound == time:
                node.bind(life)
        for number, deleted in deletions.items():
            if deleted == time and number < len(node.pods) and not node.pods[number].gone:
                node.pods[number].deleted = time
        worse = trouble[0] <= time < trouble[1]
        node.failing, node.slower = worse and trouble[2], 10 if worse and not trouble[2] else 1
        node.now = time
        node.run(time)
    return node, last_of_each(node.log)


#: What pulls one image after the other, a first pod being deleted meanwhile.
PULLS = PodLife((ContainerLife(image="a"), ContainerLife(image="b")), layers=tuple(
    (image, ((image, size),)) for image, size in SIZES.items()
))  # fmt: skip


@settings(
    max_examples=120,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.lists(st.tuples(st.sampled_from([0, 0, 500_000, 20 * SECOND]), lives()), min_size=1, max_size=3),
    st.dictionaries(
        st.integers(0, 2), st.sampled_from([2, 7, 21, 30, 90]).map(lambda s: s * SECOND + 400_000), max_size=2
    ),
    st.tuples(st.sampled_from([0, 12 * SECOND]), st.sampled_from([12 * SECOND, 33_300_000]), st.booleans()),
    st.integers(0, 50),
)
@example([(0, PULLS), (20 * SECOND, PULLS)], {0: 2_400_000}, (0, 0, True), 3)
@example([(0, PULLS), (500_000, PULLS), (20 * SECOND, PULLS)], {0: 2_400_000, 1: 7_400_000}, (0, 12 * SECOND, False), 3)
def test_kernels_and_steps_tell_the_same(
    pods: list[tuple[int, PodLife]], deletions: dict[int, int], trouble: Trouble, seed: int
) -> None:
    pods = sorted(pods, key=lambda pair: pair[0])
    deletions = {pod: time for pod, time in deletions.items() if pod < len(pods)}
    kubelets, told = by_kernels(pods, deletions, seed, trouble)
    node, stepped = by_steps(pods, deletions, int(kubelets.cluster.node_relist_us[0]), trouble)
    assert told == stepped
    assert kubelets.addressed == node.addressed
    for number, pod in enumerate(node.pods):
        if not pod.gone:
            restarts = [one.restarts for one in pod.containers]
            assert kubelets.cluster.life_slot_restarts[number][: len(restarts)].tolist() == restarts
