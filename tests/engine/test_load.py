"""Load curves, and how a full node shares its cpu."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.load import Constant, Curve, LoadCurves, Loads, Points, Sine, share_cpu, share_equally
from kscale.errors import InputError

SECOND = 1_000_000
times = st.integers(0, 10**9)
amounts = st.integers(0, 10**6)
points = st.lists(st.tuples(times, amounts), min_size=1, max_size=6, unique_by=lambda point: point[0])
curves = st.one_of(
    st.builds(Constant, amounts),
    st.builds(Points, points.map(lambda found: tuple(sorted(found))), st.booleans()),
    st.builds(Sine, amounts, amounts, st.integers(1, 10**9), st.integers(-(10**9), 10**9)),
)


def test_the_shapes() -> None:
    steps = Points(((10, 100), (20, 300)))
    assert [steps.at(time) for time in (0, 10, 19, 20, 99)] == [100, 100, 100, 300, 300]
    lines = Points(((10, 100), (20, 300)), linear=True)
    assert [lines.at(time) for time in (0, 10, 15, 20, 99)] == [100, 100, 200, 300, 300]
    wave = Sine(1000, 500, 40 * SECOND)
    assert [wave.at(time * SECOND) for time in (0, 10, 20, 30, 40)] == [1000, 1500, 1000, 500, 1000]
    assert Sine(1000, 500, 40 * SECOND, 10 * SECOND).at(0) == 1500
    assert Sine(100, 500, 40 * SECOND).at(30 * SECOND) == 0
    assert Constant(7).at(5) == 7


@settings(max_examples=70, deadline=None)
@given(st.lists(curves, min_size=1, max_size=6), times)
def test_many_curves_at_once_are_as_each_alone(found: list[Curve], time: int) -> None:
    loads = Loads({("Deployment", "default", str(i)): LoadCurves(curve) for i, curve in enumerate(found)})
    numbers = np.arange(len(found) + 1)
    rows = loads.rows("object", "cpu", numbers, lambda place: ("Deployment", "default", str(place)))
    assert loads.at(rows, time).tolist() == [*(curve.at(time) for curve in found), 0]


def test_each_quantity_has_its_curve_and_a_new_one_counts_at_once() -> None:
    key = ("Deployment", "default", "web")
    loads = Loads({key: LoadCurves(Constant(1), Constant(2), {"hits": Constant(3)})})

    def value(quantity: str) -> int:
        return int(loads.at(loads.rows("object", quantity, np.array([7]), lambda _: key), 0)[0])

    assert [value(quantity) for quantity in ("cpu", "memory", "hits", "misses")] == [1, 2, 3, 0]
    loads[key] = LoadCurves(Constant(9))
    assert [value("cpu"), value("memory")] == [9, 0]
    del loads[key]
    assert value("cpu") == 0


@pytest.mark.parametrize(
    ("make", "field"),
    [(lambda: Constant(-1), "value"), (lambda: Points(()), "points"), (lambda: Points(((5, 1), (5, 2))), "points"),
     (lambda: Points(((5, 1), (6, -2))), "points[1]"), (lambda: Sine(1, 1, 0), "period_us"),
     (lambda: Sine(1, -1, 5), "amplitude"), (lambda: Sine(1, 1, 5, 1 << 60), "phase_us")],
)  # fmt: skip
def test_wrong_curves_are_refused(make: object, field: str) -> None:
    with pytest.raises(InputError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.field == field
    assert caught.value.expected


def test_shares_add_up() -> None:
    place = np.array([0, 0, 0, 1, 1])
    assert share_equally(np.array([10, 5]), place, np.array([3, 2])).tolist() == [4, 3, 3, 3, 2]


def naive_shares(
    demand: list[int], request: list[int], limit: list[int], capacity: list[int], node: list[int]
) -> list[int]:
    """One node after the other: whoever wants no more than its share gets that, until nobody does."""
    got = [0] * len(demand)
    for here, room in enumerate(capacity):
        pods = [pod for pod, on in enumerate(node) if on == here]
        want = {pod: min(demand[pod], limit[pod] or demand[pod], room) for pod in pods}
        weight = {pod: max(request[pod] * 1024 // 1000, 2) for pod in pods}
        left, open_ = Fraction(room), set(pods)
        while open_:
            level = left / sum(weight[pod] for pod in open_)
            content = {pod for pod in open_ if want[pod] <= level * weight[pod]}
            for pod in content or open_:
                got[pod] = want[pod] if content else int(level * weight[pod])
            if not content:
                break
            left -= sum(want[pod] for pod in content)
            open_ -= content
    return got


@pytest.mark.parametrize(
    ("demand", "request_", "limit", "got"),
    [([300, 400], [100, 100], [0, 0], [300, 400]), ([900, 900], [125, 375], [0, 0], [250, 750]),
     ([900, 900], [100, 300], [0, 200], [800, 200]), ([900, 900, 100], [100, 100, 800], [0, 0, 0], [450, 450, 100]),
     ([900, 900], [0, 1000], [0, 0], [100, 900]), ([5000], [10], [0], [1000])],
)  # fmt: skip
def test_a_full_node_shares_by_request(
    demand: list[int], request_: list[int], limit: list[int], got: list[int]
) -> None:
    arrays = [np.array(column) for column in (demand, request_, limit)]
    found = share_cpu(*arrays, np.array([1000]), np.zeros(len(demand), np.int64)).tolist()
    assert found == got == naive_shares(demand, request_, limit, [1000], [0] * len(demand))


pods = st.tuples(st.integers(0, 3000), st.integers(0, 2000), st.sampled_from([0, 0, 100, 1500]), st.integers(0, 2))


@settings(max_examples=70, deadline=None)
@given(st.lists(pods, max_size=12), st.lists(st.integers(0, 4000), min_size=3, max_size=3))
def test_shares_are_those_of_the_plain_filling(found: list[tuple[int, int, int, int]], capacity: list[int]) -> None:
    columns = [[pod[i] for pod in found] for i in range(4)]
    demand, request, limit, node = (np.array(column, np.int64) for column in columns)
    shares = share_cpu(demand, request, limit, np.array(capacity), node)
    assert shares.tolist() == naive_shares(*columns[:3], capacity, columns[3])
    assert (np.bincount(node, weights=shares, minlength=3) <= capacity).all()
