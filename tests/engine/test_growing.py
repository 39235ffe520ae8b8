"""Pods that controllers created, told of after those of the trace."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from kscale.engine.growing import LETTERS, GrowingPods, suffix
from kscale.traces import PODS
from kscale.traces.common.pods import Framed


def framed(count: int) -> Framed:
    rows = {
        "name": [f"t{row}" for row in range(count)], "namespace": ["a"] * count, "owner": [None] * count,
        "arrival_us": list(range(count)), "duration_us": [None] * count, "end_us": [None] * count,
        "spec": [row % 3 for row in range(count)],
    }  # fmt: skip
    return Framed(pl.DataFrame(rows, schema=PODS))


@given(st.integers(0, len(LETTERS) ** 5 - 1), st.integers(0, len(LETTERS) ** 5 - 1))
def test_no_two_pods_of_fourteen_million_have_the_same_suffix(a: int, b: int) -> None:
    assert len(suffix(a)) == 5
    assert set(suffix(a)) <= set(LETTERS)
    assert (suffix(a) == suffix(b)) == (a == b)


def test_created_pods_follow_those_of_the_trace() -> None:
    pods = GrowingPods(framed(3))
    pods.name_owner(7, "shop", "web-5d", ordinals=False)
    pods.name_owner(8, "shop", "db", ordinals=True)
    pods.name_owner(9, "shop", "run", ordinals=False)
    pods.add(50, np.array([4, 5]), np.array([7, 8]), np.array([-1, 2]))
    pods.add(60, np.array([6]), np.array([9]), np.array([11]))
    assert pods.height == 6
    assert pods.spec.tolist() == [0, 1, 2, 4, 5, 6]
    whole = pods.known(0, 6)
    assert whole["name"].to_list() == ["t0", "t1", "t2", f"web-5d-{suffix(3)}", "db-2", f"run-11-{suffix(5)}"]
    assert whole["namespace"].to_list() == ["a", "a", "a", "shop", "shop", "shop"]
    assert whole["arrival_us"].to_list() == [0, 1, 2, 50, 50, 60]
    for first in range(7):
        for last in range(first, 7):
            assert pods.known(first, last).equals(whole[first:last])
    assert pods.called(np.array([1, 4])).to_list() == ["a/t1", "shop/db-2"]
    assert pods.knows(8)
    assert not pods.knows(10)


def test_without_a_trace_there_are_only_created_pods() -> None:
    pods = GrowingPods(framed(0))
    assert pods.known(0, 0).height == 0
    pods.name_owner(0, "a", "x", ordinals=True)
    pods.add(1, np.array([0]), np.array([0]), np.array([0]))
    assert pods.known(0, 1)["name"].to_list() == ["x-0"]
