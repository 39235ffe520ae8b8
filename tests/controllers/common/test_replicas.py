"""What metrics ask for, by the figures of Kubernetes' own tests, and held to the plain twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.common import replicas
from kscale.controllers.common.replicas import Timing, Tolerance
from tests.twin import autoscaling as twin
from tests.twin.autoscaling import Clock, Pod

SECOND, CLOCK = 1_000_000, Clock()
UNREADY = {"start_us": -60 * SECOND, "ready": False, "ready_us": -60 * SECOND}
#: Ready, but its sample is too early to be believed.
HOT = {"start_us": -60 * SECOND, "ready_us": -10 * SECOND}
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
USUAL = (0.1, 0.1)
Metric = tuple[int, int, bool, tuple[float, float], Sequence[Pod], bool]


def told(metrics: Sequence[Metric], clock: Clock = CLOCK) -> list[tuple[int, int] | None]:
    """What the vectorised calculator says of metrics; all at once."""
    pods = [pod for metric in metrics for pod in metric[4]]
    place = np.repeat(np.arange(len(metrics)), [len(metric[4]) for metric in metrics])
    cpu = np.array([metric[5] for metric in metrics], bool)[place]
    group = replicas.grouped(
        np.array([PHASES.index(pod.phase) for pod in pods], np.uint8),
        np.array([pod.deleted for pod in pods], bool),
        np.array([pod.level is not None for pod in pods], bool),
        cpu,
        np.array([pod.start_us for pod in pods], np.int64),
        np.array([pod.ready for pod in pods], np.uint8),
        np.array([pod.ready_us for pod in pods], np.int64),
        Timing(clock.now_us, clock.sample_us, clock.window_us, clock.initialization_us, clock.readiness_us),
    )
    found = replicas.by_pods(
        np.array([metric[0] for metric in metrics]), np.array([metric[1] for metric in metrics]),
        np.array([metric[2] for metric in metrics], bool),
        Tolerance(*(np.array([metric[3][way] for metric in metrics]) for way in (0, 1))),
        place, group, np.array([pod.level or 0 for pod in pods], np.int64),
        np.array([pod.request for pod in pods], np.int64),
    )  # fmt: skip
    rows = zip(found.replicas.tolist(), found.shown.tolist(), found.failed.tolist(), strict=True)
    return [None if failed else (wanted, shown) for wanted, shown, failed in rows]


def levels(*values: int, requests: Sequence[int] = (), **first: object) -> list[Pod]:
    """Pods with these samples; ``first`` holds for the first one."""
    asked = requests or [1000] * len(values)
    pods = [Pod(level, request) for level, request in zip(values, asked, strict=True)]
    if first:
        pods[0] = Pod(values[0], asked[0], **first)  # type: ignore[arg-type]
    return pods


def some(count: int, **facts: object) -> list[Pod]:
    return [Pod(**facts) for _ in range(count)]  # type: ignore[arg-type]


def two_of(values: Sequence[int], places: Sequence[int], **facts: object) -> list[Pod]:
    return [Pod(level, **(facts if at in places else {})) for at, level in enumerate(values)]  # type: ignore[arg-type]


CPU = [
    ("up", 3, 30, levels(300, 500, 700), (5, 50)),
    ("first unready", 3, 30, levels(300, 500, 700, **UNREADY), (4, 60)),
    ("first hot", 3, 30, levels(300, 500, 700, **HOT), (4, 60)),
    ("two unready", 3, 30, two_of((400, 500, 700), (1, 2), **UNREADY), (3, 40)),
    ("two hot", 3, 30, two_of((400, 500, 700), (1, 2), **HOT), (3, 40)),
    ("two failed", 2, 30, levels(500, 700) + some(2, phase="Failed"), (4, 60)),
    ("two deleted", 2, 30, levels(500, 700) + some(2, deleted=True), (4, 60)),
    ("down", 5, 50, levels(100, 300, 500, 250, 250), (3, 28)),
    ("down, two unready", 5, 50, two_of((100, 300, 500, 250, 250), (3, 4), **UNREADY), (2, 30)),
    ("down, two hot", 5, 50, two_of((100, 300, 500, 250, 250), (3, 4), **HOT), (2, 30)),
    ("four of five pending", 5, 50, levels(100) + some(4, level=None, phase="Pending"), (1, 10)),
    ("within", 3, 100, levels(1010, 1030, 1020, requests=(900, 1000, 1100)), (3, 102)),
    # The metrics of pods that are not there count for nothing.
    ("extra metrics", 4, 100, levels(4000, 9500, 3000, 7000), (24, 587)),
    ("missing two", 4, 100, levels(400, 95) + some(2, level=None), (3, 24)),
    ("missing one", 2, 100, levels(1000) + some(1, level=None), (2, 100)),
    ("missing one, high", 2, 100, levels(1900) + some(1, level=None), (2, 190)),
    ("missing one, low", 2, 100, levels(600) + some(1, level=None), (2, 60)),
    ("missing and unready", 3, 50, levels(100, 450, **UNREADY) + some(1, level=None), (3, 45)),
    ("missing and unready, high", 3, 50, levels(100, 2000, **UNREADY) + some(1, level=None), (4, 200)),
    ("one unready missing", 4, 50, levels(100, 100, 100) + some(1, level=None, ready=False), (3, 10)),
    ("above 100 percent", 4, 300,
     levels(200, 100, 100, requests=(1000, 1000, 2000), **UNREADY) + some(1, level=None, request=2000), (2, 6)),
    ("surge", 2, 50, levels(100, 100) + some(1, level=None), (2, 10)),
]  # fmt: skip
#: Averages of a metric, whatever the pods' readiness: replicas, target, values, and what is wanted.
AVERAGES = [
    (3, 15000, (20000, 10000, 30000), {}, (4, 20000)),
    (3, 15000, (50000, 10000, 30000), UNREADY, (6, 30000)),
    (3, 15000, (50000, 10000, 30000), HOT, (6, 30000)),
    (3, 15000, (50000, 15000, 30000), UNREADY, (7, 31666)),
    (5, 20000, (12000,) * 5, {}, (3, 12000)),
    (3, 20000, (20000, 21000, 21000), {}, (3, 20666)),
]
#: Replicas, ready pods, value, target, whether it is for each pod, tolerance, and what is wanted.
VALUES = [
    (3, 3, 20000, 15000, False, USUAL, (4, 20000)),
    (3, 3, 20000, 5000, True, USUAL, (4, 6667)),
    (3, 1, 50000, 10000, False, USUAL, (5, 50000)),
    (1, 1, 8600, 4400, False, USUAL, (2, 8600)),
    (3, 1, 8600, 4400, False, USUAL, (2, 8600)),
    (3, 3, 8600, 2150, True, USUAL, (4, 2867)),
    (5, 5, 6000, 2000, True, USUAL, (3, 1200)),
    (5, 5, 12000, 20000, False, USUAL, (3, 12000)),
    (5, 5, 8600, 14334, False, USUAL, (3, 8600)),
    (5, 5, 8600, 2867, True, USUAL, (3, 1720)),
    (3, 3, 20666, 20000, False, USUAL, (3, 20666)),
    (4, 4, 20166, 5000, True, USUAL, (4, 5042)),
    (3, 3, 8600, 8888, False, USUAL, (3, 8600)),
    (3, 3, 8600, 2900, True, USUAL, (3, 2867)),
    (4, 4, 20208, 5000, True, (0.01, 0.1), (5, 5052)),
    (3, 3, 8900, 8800, False, (0.01, 0.1), (4, 8900)),
    (3, 3, 8600, 2800, True, (0.01, 0.1), (4, 2867)),
    (1, 1, 2**63 - 1, 1, True, USUAL, (2**31 - 1, None)),
    (0, 0, 20000, 15000, False, USUAL, (2, 20000)),
]


@pytest.mark.parametrize(("name", "current", "target", "pods", "wanted"), CPU, ids=[case[0] for case in CPU])
def test_percent_of_the_requests_of_cpu(
    name: str, current: int, target: int, pods: list[Pod], wanted: tuple[int, int]
) -> None:
    metric = (current, target, True, USUAL, pods, True)
    assert told([metric]) == [wanted]
    assert twin.by_pods(*metric, CLOCK) == wanted


def test_without_tolerance_one_percent_is_enough() -> None:
    pods = levels(909, 1010, 1111, requests=(900, 1000, 1100))
    assert told([(3, 100, True, (0.0, 0.0), pods, True)]) == [(4, 101)]


@pytest.mark.parametrize(("current", "target", "values", "first", "wanted"), AVERAGES)
def test_average_of_the_pods(
    current: int, target: int, values: tuple[int, ...], first: dict[str, object], wanted: tuple[int, int]
) -> None:
    metric = (current, target, False, USUAL, levels(*values, **first), False)
    assert told([metric]) == [wanted]
    assert twin.by_pods(*metric, CLOCK) == wanted


def test_a_small_tolerance_upwards() -> None:
    assert told([(3, 20000, False, (0.01, 0.1), levels(20000, 21000, 21000), False)]) == [(4, 20666)]


def test_a_pod_that_has_no_metric_yet_while_pods_are_replaced() -> None:
    pods = levels(10000, 10000) + some(1, level=None)
    assert told([(2, 17000, False, USUAL, pods, False)]) == [(2, 10000)]


def value_of(*cases: Sequence[object]) -> list[tuple[int, int] | None]:
    current, status, pods, ready, value, target = (np.array([case[i] for case in cases], np.int64) for i in range(6))
    average = np.array([case[6] for case in cases], bool)
    tolerance = Tolerance(*(np.array([case[7][way] for case in cases]) for way in (0, 1)))  # type: ignore[index]
    found = replicas.by_value(current, status, pods, ready, value, target, average, tolerance)
    rows = zip(found.replicas.tolist(), found.shown.tolist(), found.failed.tolist(), strict=True)
    return [None if failed else (wanted, shown) for wanted, shown, failed in rows]


@pytest.mark.parametrize(("current", "ready", "value", "target", "average", "tolerance", "wanted"), VALUES)
def test_one_value(
    current: int, ready: int, value: int, target: int, average: bool, tolerance: tuple[float, float],
    wanted: tuple[int, int | None],
) -> None:  # fmt: skip
    case = (current, current, current, ready, value, target, average, tolerance)
    (found,) = value_of(case)
    assert found is not None
    assert found == (wanted[0], found[1] if wanted[1] is None else wanted[1])
    if wanted[1] is not None:
        assert twin.by_value(*case) == found


def test_what_cannot_be_told() -> None:
    assert told([(3, 30, True, USUAL, some(2, level=None), True), (3, 30, True, USUAL, [], True)]) == [None, None]
    assert value_of((2, 0, 0, 0, 100, 10, False, USUAL)) == [None]


tolerances = st.tuples(*[st.sampled_from([0.0, 0.01, 0.1, 0.5])] * 2)
times = st.sampled_from([-400, -301, -300, -299, -60, -31, -30, -29, -16, -15, -14, 0]).map(lambda s: s * SECOND)
some_pods = st.builds(
    Pod, st.one_of(st.none(), st.integers(0, 3000)), st.sampled_from([500, 1000, 2000]), st.sampled_from(PHASES),
    st.booleans(), times, st.booleans(), times,
)  # fmt: skip
some_metrics = st.tuples(
    st.integers(1, 12), st.integers(1, 300), st.booleans(), tolerances, st.lists(some_pods, max_size=8), st.booleans()
)


@settings(max_examples=70, deadline=None)
@given(st.lists(some_metrics, min_size=1, max_size=5), st.sampled_from([0, -7 * SECOND, -14 * SECOND]))
def test_many_at_once_are_as_each_alone(metrics: list[Metric], sample_us: int) -> None:
    clock = Clock(sample_us=sample_us)
    assert told(metrics, clock) == [twin.by_pods(*metric, clock) for metric in metrics]


counts = st.integers(0, 6)
some_values = st.tuples(
    counts, counts, counts, counts, st.integers(0, 10**6), st.integers(1, 10**5), st.booleans(), tolerances
)


@settings(max_examples=70, deadline=None)
@given(st.lists(some_values, min_size=1, max_size=6))
def test_many_values_at_once_are_as_each_alone(cases: list[Sequence[object]]) -> None:
    assert value_of(*cases) == [twin.by_value(*case) for case in cases]  # type: ignore[arg-type]
