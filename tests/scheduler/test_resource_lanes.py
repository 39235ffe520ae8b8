"""The allocation scores in their second form, one node and many lanes: in exact integers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.kernels import plain_form
from kscale.scheduler.resource_lanes import (
    balanced_allocation_lanes,
    least_allocated_lanes,
    most_allocated_lanes,
    open_balanced,
    open_scored,
)
from kscale.scheduler.shares import QUICK, quick_share
from kscale.state.tables import Cluster
from tests.engine.columns import call, small

#: Capacities on both sides of where a product with the inverse is exact, and just around powers of two.
CAPACITIES = st.one_of(
    st.integers(1, 1 << 20), st.integers(1 << 40, (1 << 46) - 1),
    st.builds(lambda power, by: max((1 << power) + by, 1), st.integers(0, 45), st.integers(-3, 0)),
)  # fmt: skip


@st.composite
def books(draw: st.DrawFn) -> tuple[int, int, int]:
    """A capacity, what is taken of it, and what is asked: often such that a whole hundredth is taken, or one less."""
    capacity = draw(CAPACITIES)
    near = capacity * draw(st.integers(0, 100)) // 100 + draw(st.integers(-1, 1))
    used = draw(st.one_of(st.just(max(near, 0)), st.integers(0, capacity)))
    taken = draw(st.integers(0, used))
    return capacity, taken, used - taken


def opened(books: list[tuple[int, int, int]], weights: list[int]) -> Cluster:
    """A node of two resources, and one lane for the template 0; further lanes are not opened."""
    made = small(lane=4)
    made.template_profile[:] = 0
    for resource, (capacity, taken, asked) in enumerate(books):
        made.resource_scored[resource], made.resource_everywhere[resource] = 1, 1
        made.node_allocatable[resource, 0], made.node_allocatable_double[resource, 0] = capacity, capacity
        made.node_requested[resource, 0], made.node_requested_double[resource, 0] = taken, taken
        made.node_nonzero_requested_double[resource, 0] = taken
        made.template_scored_request[0, resource] = made.template_request[0, resource] = asked
        made.resource_scored_weight[0, resource] = weights[resource]
        made.resource_balanced[0, resource] = 1
    call(open_scored, made, 0, 0, compiled=False)
    call(open_balanced, made, 0, 0, compiled=False)
    return made


@settings(deadline=None, max_examples=300)
@given(st.tuples(books(), books()), st.tuples(st.integers(0, 3), st.integers(1, 3)), st.booleans())
def test_allocation_scores_of_lanes_are_exact(
    books: tuple[tuple[int, int, int], tuple[int, int, int]], weights: tuple[int, int], most: bool
) -> None:
    made = opened(list(books), list(weights))
    shares = []
    for capacity, taken, asked in books:
        used = min(taken + asked, capacity)
        shares.append((used if most else capacity - used) * 100 // capacity)
    expected = sum(share * weight for share, weight in zip(shares, weights, strict=True)) // sum(weights)
    for compiled in (True, False):
        call(most_allocated_lanes if most else least_allocated_lanes, made, 0, 4, compiled=compiled)
        assert made.lane_raw.tolist() == [expected, 0, 0, 0]


@settings(deadline=None, max_examples=500)
@given(books())
def test_a_quick_share_is_the_integer_quotient(book: tuple[int, int, int]) -> None:
    capacity, taken, asked = book
    amount = min(taken + asked, capacity)
    if capacity < QUICK:
        assert plain_form(quick_share)(float(amount), 1.0 / capacity) == amount * 100 // capacity


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        ([[500, 500, 0], [0, 0, 0]], [100, 0]),
        ([[500, 250, 0], [0, 0, 0]], [87, 0]),
        ([[500, 250, 0], [0, 0, 0], [500, 500, 1]], [87, 0, 76]),
    ],
    ids=["by-two", "uneven", "three"],
)  # fmt: skip
def test_a_balance_is_taken_each_in_its_way(asks: list[list[int]], expected: list[int]) -> None:
    """By cpu and memory, not at all where nothing is asked for, and by the deviation of three.

    The fractions 0.5, 0.5 and 0.001 deviate by 0.2352…, and 100 * (1 - that) is 76.4….
    """
    made = small(lane=4, template=4)
    made.template_profile[:] = 0
    for resource, row in ((0, 0), (1, 1), (4, 2)):
        made.node_allocatable[resource, 0], made.node_allocatable_double[resource, 0] = 1000, 1000
        made.resource_balanced[0, resource] = 1
        for template, asked in enumerate(asks):
            made.template_request[template, resource] = asked[row]
    for template in range(len(asks)):
        made.lane_template[template] = template
        call(open_balanced, made, template, template, compiled=False)
    for compiled in (True, False):
        made.lane_raw[:] = -1
        call(balanced_allocation_lanes, made, 0, len(asks), compiled=compiled)
        assert made.lane_raw[: len(asks)].tolist() == expected
        made.lane_raw[:] = -1
        call(balanced_allocation_lanes, made, 0, 4, compiled=compiled)
        assert made.lane_raw[: len(asks)].tolist() == expected
