"""NodeResourcesFit, least and most allocated, balanced: by hand, in exact integers, and against the twin."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.kernels import plain_form
from kscale.scheduler.plugins.resources import (
    BALANCED,
    FIRST_EXTENDED,
    FIT,
    LEAST,
    MOST,
    RATIO,
    balanced_allocation,
    beyond_capacity,
    fits,
    hundredths,
    least_allocated,
    most_allocated,
    requested_to_capacity_ratio,
)
from kscale.state.intake import derive
from kscale.state.quantities import LARGEST
from kscale.state.tables import Cluster
from tests import naive
from tests.engine.columns import call, small
from tests.scheduler.states import State, states

MIB = 1 << 20
GIB = 1 << 30


def cluster(allocatable: list[list[int]], requested: list[list[int]], request: list[int]) -> Cluster:
    """Return columns for these amounts by node and resource; both books alike; cpu and memory are scored.

    The template is the second profile's; the first one has other weights.
    """
    made = small(node=len(allocatable), resource=len(request))
    made.node_allocatable[:] = np.array(allocatable).T
    made.node_requested[:] = np.array(requested).T
    made.node_nonzero_requested[:] = np.array(requested).T
    made.template_request[0] = made.template_nonzero_request[0] = request
    made.template_fit_request[0] = made.template_scored_request[0] = request
    made.template_profile[0] = 1
    made.resource_scored_weight[0], made.resource_balanced[0] = 5, 1
    made.resource_scored_weight[1, :2] = made.resource_balanced[1, :2] = 1
    derive(made)
    return made


def score(kernel: Any, made: Cluster, first: int = 0, last: int | None = None) -> list[int]:
    derive(made)
    call(kernel, made, 0, first, made.sizes["node"] if last is None else last)
    return made.scan_raw.tolist()


EDGES = [1 << 46, 1 << 47, 1 << 52, 1 << 53, 1 << 58, LARGEST]
capacities = st.one_of(
    st.integers(1, 10_000),
    st.sampled_from(EDGES).flatmap(lambda edge: st.integers(edge - 3, min(edge + 3, LARGEST - 1))),
    st.integers(1, LARGEST - 1),
)


@st.composite
def parts(draw: st.DrawFn) -> tuple[int, int]:
    """An amount and the capacity that holds it, often just at a whole hundredth."""
    capacity = draw(capacities)
    near = capacity * draw(st.integers(0, 100)) // 100 + draw(st.integers(-1, 1))
    return draw(st.one_of(st.just(min(max(near, 0), capacity)), st.integers(0, capacity))), capacity


# The filter


def test_fit_looks_at_what_is_asked_for_only() -> None:
    made = cluster(
        [[1000, 8, 0, 3, 2]] * 4,
        [[700, 8, 0, 2, 0], [701, 0, 0, 2, 0], [0, 0, 0, 3, 1], [9999, 9, 9, 0, 9]],
        [300, 0, 0, 1, 2],
    )
    call(fits, made, 0, 0, 4, 4)
    # cpu: 300 of 300 left, of 299, of 1000, of less than nothing. pods: 3 + 1 > 3. The last resource: 2 of 2, of 1.
    assert made.scan_reject.tolist() == [0, 1 << 4, (1 << 7) | (1 << 8), (1 << 4) | (1 << 8)]


def test_a_pod_that_asks_for_nothing_fits_on_an_overcommitted_node() -> None:
    made = cluster([[1000, 8, 0, 3]] * 2, [[2000, 9, 5, 2], [2000, 9, 5, 3]], [0, 0, 0, 1])
    call(fits, made, 0, 0, 2, 0)
    assert made.scan_reject.tolist() == [0, 1 << 3]


def test_fit_keeps_earlier_bits_and_its_range() -> None:
    made = cluster([[10, 0, 0, 9]] * 3, [[9, 0, 0, 0]] * 3, [2, 0, 0, 1])
    made.scan_reject[:] = 1 << 30
    call(fits, made, 0, 1, 2, 2)
    assert made.scan_reject.tolist() == [1 << 30, (1 << 30) | (1 << 2), 1 << 30]


def test_fit_does_not_look_at_what_its_arguments_ignore() -> None:
    made = cluster([[1000, 8, 0, 3, 2]], [[0, 0, 0, 0, 2]], [300, 0, 0, 1, 1])
    made.template_fit_request[0, 4] = 0
    call(fits, made, 0, 0, 1, 0)
    assert made.scan_reject.tolist() == [0]


@pytest.mark.parametrize(
    ("allocatable", "requested", "hopeless"),
    [
        ([1000, 8, 0, 3, 2], [800, 0, 0, 0, 0], False),  # 300 of cpu fit once others have gone
        ([299, 8, 0, 3, 2], [0, 0, 0, 0, 0], True),  # they never will
        ([299, 8, 0, 3, 2], [299, 0, 0, 3, 0], True),
        ([300, 8, 0, 0, 2], [0, 0, 0, 0, 0], False),  # the number of pods does not count
        ([1000, 8, 0, 3, 0], [800, 0, 0, 0, 0], True),  # one of the reasons is enough
    ],
)
def test_no_eviction_helps_where_the_whole_node_is_too_small(
    allocatable: list[int], requested: list[int], hopeless: bool
) -> None:
    made = cluster([allocatable] * 2, [[0] * 5, requested], [300, 0, 0, 1, 1])
    for form in (True, False):
        assert bool(call(beyond_capacity, made, 0, 1, compiled=form)) is hopeless


def test_reasons_follow_the_resources() -> None:
    assert FIT.reasons is not None
    assert FIT.reasons(["cpu", "memory", "ephemeral-storage", "pods", "example.com/x"]) == [
        "Insufficient cpu",
        "Insufficient memory",
        "Insufficient ephemeral-storage",
        "Too many pods",
        "Insufficient example.com/x",
    ]


@settings(deadline=None)
@given(states(), st.data())
def test_fit_agrees_with_the_twin(state: State, data: st.DataObject) -> None:
    spec = data.draw(st.integers(0, len(state.specs) - 1))
    assert FIT.reasons is not None
    texts = FIT.reasons(state.simulation.intake.resources)
    for node, bits in enumerate(state.rejects("NodeResourcesFit", spec)):
        told = {text for bit, text in enumerate(texts) if bits >> bit & 1}
        assert told == set(naive.node_resources_fit(state.nodes[node], state.specs[spec]))


# Scores by hand


def test_least_and_most_allocated_by_hand() -> None:
    made = cluster(
        [[4000, 8192, 0, 9], [4000, 8192, 0, 9], [4000, 0, 0, 9], [0, 0, 0, 9], [1000, 8192, 0, 9]],
        [[100, 200, 0, 0], [4000, 8192, 0, 0], [0, 50, 0, 0], [0, 0, 0, 0], [500, 0, 0, 0]],
        [1000, 200, 0, 1],
    )
    # n0: cpu (4000 - 1100) * 100 / 4000 = 72.5, memory (8192 - 400) * 100 / 8192 = 95.1; (72 + 95) / 2 = 83.5
    # n1: more than all: 0, 0. n2 has no memory: cpu alone, 3000 * 100 / 4000 = 75. n3 has nothing: 0.
    # n4: cpu 1500 of 1000: 0; memory (8192 - 200) * 100 / 8192 = 97.5; (0 + 97) / 2 = 48.5
    assert score(least_allocated, made) == [83, 0, 75, 0, 48]
    # n0: 27.5 and 4.8: (27 + 4) / 2 = 15.5. n1: clamped, 100 and 100. n2: 25. n4: (100 + 2.4) / 2 = 51
    assert score(most_allocated, made) == [15, 100, 25, 0, 51]


def test_a_score_keeps_to_its_range() -> None:
    made = cluster([[1000, 1000, 0, 9]] * 3, [[0, 0, 0, 0]] * 3, [250, 250, 0, 1])
    made.scan_raw[:] = -5
    assert score(least_allocated, made, 1, 2) == [-5, 75, -5]
    assert score(balanced_allocation, made, 2, 3) == [-5, 75, 100]
    assert score(most_allocated, made, 0, 1) == [25, 75, 100]


def test_weights_and_extended_resources() -> None:
    made = cluster([[1000, 1000, 0, 9, 10]], [[0, 500, 0, 0, 4]], [0, 0, 0, 1, 0])
    made.resource_scored_weight[1] = [3, 1, 0, 0, 2]
    # cpu 100 * 3, memory 50 * 1; the extended resource that the pod does not ask for drops out: 350 / 4 = 87.5
    assert score(least_allocated, made) == [87]
    made.template_scored_request[0, 4] = 1
    # It counts now: (300 + 50 + 2 * 50) / 6 = 75
    assert FIRST_EXTENDED == 4
    assert score(least_allocated, made) == [75]
    # Most of it: 0, 50 and twice 50 over 6 make 25.
    assert score(most_allocated, made) == [25]


def test_balanced_by_hand() -> None:
    made = cluster(
        [[4000, 8 * GIB, 0, 9]] * 3 + [[4000, 0, 0, 9]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [9000, 0, 0, 0], [0, 0, 0, 0]],
        [1000, GIB, 0, 1],
    )
    made.node_requested[1, 1] = made.node_requested_double[1, 1] = GIB
    # n0: 1/4 and 1/8: 100 * (1 - 1/16) = 93.75. n1: 1/4 and 1/4. n2: cpu is full: 100 * (1 - 7/16) = 56.25.
    # n3 has no memory.
    assert score(balanced_allocation, made) == [93, 100, 56, 100]
    made.template_request[0] = [0, 0, 0, 1]
    assert score(balanced_allocation, made) == [0] * 4  # asks for none of them: skipped, no points


def test_balanced_of_three_is_the_standard_deviation() -> None:
    made = cluster([[1000, 1000, 0, 9, 10], [1000, 1000, 0, 9, 0]], [[0, 0, 0, 0, 0]] * 2, [200, 400, 0, 1, 9])
    made.resource_balanced[1, 4] = 1
    # 0.2, 0.4, 0.9: mean 0.5, squares 0.09 + 0.01 + 0.16 = 0.26, sqrt(0.26 / 3) = 0.29439: 70.56.
    # The second node lacks the third: half of 0.2 is 0.1: 90.
    assert score(balanced_allocation, made) == [70, 90]
    made.template_request[0, 4] = 0  # not asked for: drops out
    assert score(balanced_allocation, made) == [90, 90]


def test_scores_count_for_the_pod_what_is_stated_for_scores() -> None:
    made = cluster([[1000, 1000, 0, 9]], [[100, 100, 0, 0]], [900, 900, 0, 1])
    made.template_scored_request[0] = [200, 300, 0, 1]
    assert score(least_allocated, made) == [(70 + 60) // 2]
    assert score(most_allocated, made) == [(30 + 40) // 2]
    made.template_request[0] = [500, 100, 0, 1]
    assert score(balanced_allocation, made) == [80]  # 0.6 and 0.2: what is requested


# RequestedToCapacityRatio


def shaped(made: Cluster, shape: list[tuple[int, int]]) -> Cluster:
    """The shape of the template's profile, scores 0 to 100; the other profile has another."""
    made.profile_points[:] = [1, len(shape)]
    made.profile_score[0] = 77
    made.profile_utilization[1, : len(shape)], made.profile_score[1, : len(shape)] = zip(*shape, strict=True)
    return made


def test_ratio_by_hand() -> None:
    made = cluster(
        [[1000, 1000, 0, 9]] * 4 + [[0, 1000, 0, 9]],
        [[0, 0, 0, 0], [350, 0, 0, 0], [200, 300, 0, 0], [900, 500, 0, 0], [0, 250, 0, 0]],
        [250, 250, 0, 1],
    )
    # Up to 100 at 50 %, then down to 0: n0 is at 25 %, 25 %: 50, 50. n1 at 60 %: 80, and 50: 65. n2 at 45 %, 55 %:
    # 90, 90. n3 at more than all of cpu: 0, which leaves the mean, and at 75 %: 50. n4 has memory alone, at 50 %.
    shaped(made, [(0, 0), (50, 100), (100, 0)])
    assert score(requested_to_capacity_ratio, made) == [50, 65, 90, 50, 100]
    # Before the first point and behind the last the shape is level; 37 and 62 between: 37.5 -> 37, and -37.5 -> -37.
    shaped(made, [(25, 10), (33, 30), (61, 0)])
    made.node_nonzero_requested[:, 0] = [0, 0, 0, 0]
    assert score(requested_to_capacity_ratio, made)[:2] == [10, 6]  # n1: 60 %: 30 - 30 * 27 // 28 = 2, 10: (2 + 10) / 2


def test_ratio_rounds_the_mean_half_up_and_keeps_to_its_range() -> None:
    made = shaped(cluster([[1000, 1000, 0, 9]] * 3, [[0, 10, 0, 0]] * 3, [500, 500, 0, 1]), [(0, 0), (100, 100)])
    made.scan_raw[:] = -5
    assert score(requested_to_capacity_ratio, made, 1, 2) == [-5, 51, -5]  # (50 + 51) / 2 = 50.5
    made.resource_scored_weight[1, :2] = [2, 1]
    assert score(requested_to_capacity_ratio, made, 0, 1) == [50, 51, -5]  # 151 / 3 = 50.33


points = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 10).map(lambda n: 10 * n)), min_size=1, max_size=3)


@settings(deadline=None, max_examples=200)
@given(
    points.map(lambda shape: sorted(dict(shape).items())),
    st.integers(0, 3), st.integers(1, 3), parts(), parts(), st.sampled_from([0, 1, 100, 1 << 40]),
)  # fmt: skip
def test_ratio_is_exact(
    shape: list[tuple[int, int]], cpu_weight: int, memory_weight: int, cpu: Any, memory: Any, request: int
) -> None:
    made = shaped(cluster([[cpu[1], memory[1], 0, 9]], [[cpu[0], memory[0], 0, 0]], [request, request, 0, 1]), shape)
    made.resource_scored_weight[1, :2] = [cpu_weight, memory_weight]
    total = counted = 0
    for (used, size), weight in ((cpu, cpu_weight), (memory, memory_weight)):
        at = 100 if used + request > size else (used + request) * 100 // size
        before = [point for point in shape if point[0] < at]
        after = [point for point in shape if point[0] >= at]
        if not before or not after:
            found = Fraction((before or after)[-1 if before else 0][1])
        else:
            (left, low), (right, high) = before[-1], after[0]
            # Go cuts the product's quotient towards zero.
            found = Fraction(low + int(Fraction((high - low) * (at - left), right - left)))
        if found > 0:
            total += int(found) * weight
            counted += weight
    expected = int(Fraction(total, counted) + Fraction(1, 2)) if counted else 0
    assert score(requested_to_capacity_ratio, made) == [expected]


# Scores in exact integers, on both sides of what doubles divide exactly


@settings(deadline=None, max_examples=300)
@given(parts())
def test_hundredths_do_not_leave_int64(part: tuple[int, int]) -> None:
    amount, capacity = part
    for form in (hundredths, plain_form(hundredths)):
        assert form(np.int64(amount), np.int64(capacity)) == amount * 100 // capacity


def exact(used: int, capacity: int, most: bool) -> int:
    if most:
        return min(used, capacity) * 100 // capacity
    return 0 if used > capacity else (capacity - used) * 100 // capacity


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(parts(), parts()), min_size=1, max_size=4), st.integers(0, 3), st.integers(0, 3), st.booleans(),
    st.sampled_from([0, 1, 100, 1 << 40]),
)  # fmt: skip
def test_allocation_scores_are_exact(
    nodes: list[tuple[tuple[int, int], tuple[int, int]]], cpu_weight: int, memory_weight: int, most: bool, request: int
) -> None:
    """Free cpu and memory of each node as drawn; what the pod asks comes on top, and may be more than there is."""
    made = cluster(
        [[cpu[1], memory[1], 0, 9] for cpu, memory in nodes],
        [[cpu[1] - cpu[0], memory[1] - memory[0], 0, 0] for cpu, memory in nodes],
        [request, request, 0, 1],
    )
    made.resource_scored_weight[1, :2] = [cpu_weight, memory_weight]
    found = score(most_allocated if most else least_allocated, made)
    for (cpu, memory), points in zip(nodes, found, strict=True):
        shares = [exact(size - free + request, size, most) for free, size in (cpu, memory)]
        weights = cpu_weight + memory_weight
        expected = (cpu_weight * shares[0] + memory_weight * shares[1]) // weights if weights else 0
        assert points == expected


def test_doubles_would_be_wrong_beyond_2_to_the_46() -> None:
    """The case that the wide way is for: 100 * amount is no double any more, and the double quotient rounds up."""
    capacity = (1 << 58) - 1
    amount = capacity * 3 // 100  # just below three hundredths
    assert amount * 100 // capacity == 2
    assert int(100.0 * float(amount) / float(capacity)) == 3
    made = cluster([[capacity, capacity, 0, 9]], [[0, 0, 0, 0]], [amount, amount, 0, 1])
    assert made.resource_wide[:2].tolist() == [2, 2]
    assert score(most_allocated, made) == [2]
    assert score(least_allocated, made) == [97]  # 100 - 2.99…


@settings(deadline=None, max_examples=200)
@given(parts(), parts(), st.integers(0, 1000))
def test_balanced_is_within_a_rounding_of_the_exact_fraction(
    cpu: tuple[int, int], memory: tuple[int, int], request: int
) -> None:
    made = cluster([[cpu[1], memory[1], 0, 9]], [[cpu[0], memory[0], 0, 0]], [request + 1, 0, 0, 1])
    fractions = [min(Fraction(cpu[0] + request + 1, cpu[1]), Fraction(1)), min(Fraction(*memory), Fraction(1))]
    points = 100 * (1 - abs(fractions[0] - fractions[1]) / 2)
    (found,) = score(balanced_allocation, made)
    # kube-scheduler works in doubles: the exact points only where they are not at an edge.
    assert found in {int(points - Fraction(1, 10**9)), int(points + Fraction(1, 10**9))}
    # And in its own order of operations to the bit.
    doubles = [min(float(cpu[0] + request + 1) / float(cpu[1]), 1.0), min(float(memory[0]) / float(memory[1]), 1.0)]
    assert found == int((1.0 - abs((doubles[0] - doubles[1]) / 2.0)) * 100.0)


@pytest.mark.parametrize(
    ("plugin", "raw"),
    [
        (LEAST, naive.least_allocated),
        (FIT, naive.least_allocated),
        (MOST, naive.most_allocated),
        (BALANCED, naive.balanced_allocation),
    ],
    ids=["LeastAllocated", "NodeResourcesFit", "MostAllocated", "NodeResourcesBalancedAllocation"],
)
@settings(deadline=None, max_examples=60)
@given(state=states(gpus=False), data=st.data())
def test_scores_agree_with_the_twin(plugin: Any, raw: naive.Raw, state: State, data: st.DataObject) -> None:
    spec = data.draw(st.integers(0, len(state.specs) - 1))
    assert state.scores(plugin.name, spec) == state.twin_scores(raw, spec)


def test_strategies_are_told_apart() -> None:
    assert [plugin.variant for plugin in (FIT, LEAST, MOST, RATIO)] == [
        "LeastAllocated", "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio",
    ]  # fmt: skip
